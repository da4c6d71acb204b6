"""Applying the rules bottom-up until nothing changes."""
from tensorcalculus.expr.node import Expr
def simplify(e: Expr) -> Expr:
    return e

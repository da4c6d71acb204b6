"""Variables that an expression was derived from, beyond those that still occur in it.

The gradient of ``tr(X)`` is the identity: ``X`` is gone, but its array still tells the size.  An
expression remembers the variables of what it came from, so that it is called with the same arrays.
"""

from __future__ import annotations

from collections.abc import Iterable

from tensorcalculus.expr.node import Expr, Number, Variable, variables_of


def remember(result: Expr, *sources: Expr, declared: Iterable[Variable] = ()) -> Expr:
    """Note on ``result`` the variables of ``sources``; returns ``result``."""
    if isinstance(result, Number):
        return result  # a number needs no sizes, and is shared by everything
    context: dict[str, tuple[Variable, ...]] = result.memo.setdefault("context", {})
    found = list(declared)
    for source in sources:
        found += variables_of(source).values()
        for known in source.memo.get("context", {}).values():
            found += known
    for variable in found:
        old = context.get(variable.name, ())
        # Nodes are shared: the same expression may come from variables of one name, two shapes.
        context[variable.name] = (variable, *(v for v in old if v is not variable))
    return result


def remembered(e: Expr) -> dict[str, tuple[Variable, ...]]:
    """The variables that ``e`` came from, by name, the latest first."""
    return e.memo.get("context", {})

"""Rules applied from the leaves up until none changes anything.

A rule is a named function from a node in normal form to a shorter or safer equal expression, or
None.  Results are remembered on the node, so simplifying again costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from tensorcalculus.expr.contraction import folding_symmetry, symmetric
from tensorcalculus.expr.node import Contraction, Expr, walk_new
from tensorcalculus.expr.rebuild import with_children


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewriting step with the reason a reader is given."""

    name: str
    reason: str
    apply: Callable[..., Expr | None]


RULES: dict[type, list[Rule]] = {}
_open: ContextVar[frozenset[Expr]] = ContextVar("open", default=frozenset())


def rule(kind: type, name: str, reason: str) -> Callable[[Callable], Callable]:
    """Register a function as a rule for nodes of one kind."""

    def add(function: Callable) -> Callable:
        RULES.setdefault(kind, []).append(Rule(name, reason, function))
        return function

    return add


def simplify(e: Expr) -> Expr:
    """The same function in shortest known form, with numerically safe functions folded in."""
    if "simple" in e.memo:
        return _known(e)
    # Imported here: the modules of rules need this one; importing them fills the table.
    from tensorcalculus.simplify import rules

    assert rules
    with folding_symmetry():
        for node in walk_new(e, "simple"):
            children = tuple(_known(c) for c in node.children)
            same = all(a is b for a, b in zip(children, node.children, strict=True))
            rebuilt = node if same and not _folds(node) else with_children(node, children)
            result = _known(rebuilt) if "simple" in rebuilt.memo else _rewrite(rebuilt)
            # None stands for the node itself: a node that held itself would never be freed.
            result.memo.setdefault("simple", None)
            node.memo["simple"] = None if result is node else result
    return _known(e)


def _folds(node: Expr) -> bool:
    """Whether the order of axes of a symmetric operand is still as it was written."""
    return isinstance(node, Contraction) and any(o.ndim > 1 and symmetric(o) for o in node.operands)


def _known(node: Expr) -> Expr:
    """The simple form of a node that has been simplified."""
    found = node.memo["simple"]
    return node if found is None else found


def _rewrite(node: Expr) -> Expr:
    open_nodes = _open.get()
    for r in RULES.get(type(node), ()):
        result = r.apply(node)
        if result is None or result is node or result in open_nodes:
            continue  # a rule that leads back to where its turn began changes nothing
        # What a rule builds may hold new parts; they are simplified in turn.
        token = _open.set(open_nodes | {node})
        try:
            return simplify(result)
        finally:
            _open.reset(token)
    if any("simple" not in c.memo for c in node.children):
        return simplify(node)
    return node


def written_out(e: Expr) -> Expr:
    """``e`` as it is printed and run: derivatives of matrix functions as products of factors."""
    from tensorcalculus.expr.operations.matrix_functions import write_out

    plain = write_out(e)
    return e if plain is e else simplify(plain)

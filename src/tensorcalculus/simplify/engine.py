"""Rules applied from the leaves up until none changes anything.

A rule is a named function from a node in normal form to a shorter or safer equal expression, or
None.  Results are remembered on the node, so simplifying again costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from tensorcalculus.expr.contraction import folding_symmetry, symmetric
from tensorcalculus.expr.node import Contraction, Expr, walk, walk_new
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
    found = _applicable(node)
    if found is not None:
        # What a rule builds may hold new parts; they are simplified in turn.
        token = _open.set(_open.get() | {node})
        try:
            return simplify(found[1])
        finally:
            _open.reset(token)
    if any("simple" not in c.memo for c in node.children):
        return simplify(node)
    return node


def _applicable(node: Expr) -> tuple[Rule, Expr] | None:
    """The first rule that changes a node, and what it makes of it."""
    for r in RULES.get(type(node), ()):
        result = r.apply(node)
        # A rule that leads back to where its turn began changes nothing.
        if result is not None and result is not node and result not in _open.get():
            return r, result
    return None


def rewritings(e: Expr) -> Iterator[tuple[Rule, Expr, Expr]]:
    """The rules that lead from ``e`` to its simple form: each with a node before and after it.

    The rules are applied anew, as results only are remembered; to explain, not to compute.
    """
    simplify(e)
    pending, seen = [e], set()
    with folding_symmetry():
        while pending:
            for node in list(walk(pending.pop())):
                rebuilt = with_children(node, tuple(_known(c) for c in node.children))
                if rebuilt in seen or _known(node) is rebuilt:
                    continue
                seen.add(rebuilt)
                found = _applicable(rebuilt)
                if found is not None:
                    simplify(found[1])
                    yield found[0], rebuilt, found[1]
                    pending.append(found[1])


def written_out(e: Expr) -> Expr:
    """``e`` as it is printed and run: derivatives of matrix functions as products of factors."""
    from tensorcalculus.expr.operations.matrix_functions import write_out

    plain = write_out(e)
    return e if plain is e else simplify(plain)

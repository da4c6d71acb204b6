"""Rules applied from the leaves up until none changes anything.

A rule is a named function from a node in normal form to a shorter or safer equal expression, or
None.  Results are remembered on the node, so simplifying again costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorcalculus.expr.node import Expr, walk
from tensorcalculus.expr.rebuild import with_children


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewriting step with the reason a reader is given."""

    name: str
    reason: str
    apply: Callable[..., Expr | None]


RULES: dict[type, list[Rule]] = {}


def rule(kind: type, name: str, reason: str) -> Callable[[Callable], Callable]:
    """Register a function as a rule for nodes of one kind."""

    def add(function: Callable) -> Callable:
        RULES.setdefault(kind, []).append(Rule(name, reason, function))
        return function

    return add


def simplify(e: Expr) -> Expr:
    """The same function in shortest known form, with numerically safe functions folded in."""
    _load()
    found = e.memo.get("simple")
    if found is not None:
        return found
    for node in walk(e):
        if "simple" in node.memo:
            continue
        children = tuple(c.memo["simple"] for c in node.children)
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        rebuilt = node if same else with_children(node, children)
        node.memo["simple"] = rebuilt if _settled(rebuilt) else _rewrite(rebuilt)
    result = e.memo["simple"]
    # The result is simple by construction; marking it saves the next look.
    result.memo.setdefault("simple", result)
    return result


def _settled(node: Expr) -> bool:
    return node.memo.get("simple") is node


def _rewrite(node: Expr) -> Expr:
    for r in RULES.get(type(node), ()):
        result = r.apply(node)
        if result is not None and result is not node:
            # What a rule builds may hold new parts; they are simplified in turn.
            return simplify(result)
    if any("simple" not in c.memo for c in node.children):
        return simplify(node)
    return node


def _load() -> None:
    """Import the modules of rules; they register themselves, in this order."""
    if not RULES:
        from tensorcalculus.simplify import maps, operations, products, sums

        assert maps and operations and products and sums

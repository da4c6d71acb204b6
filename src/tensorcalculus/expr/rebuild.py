"""Rebuilding an expression from changed parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply
from tensorcalculus.expr.node import Combination, Contraction, Expr, Map, Operation, walk


def with_children(node: Expr, children: tuple[Expr, ...]) -> Expr:
    """The same kind of node over other children, in normal form."""
    if isinstance(node, Contraction):
        factors = list(zip(children, node.legs, strict=True))
        return contract(factors, node.out, dict(enumerate(node.dims)))
    if isinstance(node, Combination):
        return add(list(zip(node.coefficients, children, strict=True))) if children else node
    if isinstance(node, Map):
        return apply(node.function, *children)
    if isinstance(node, Operation):
        return Operation(node.row, children, node.params)
    return node


def transform(roots: list[Expr], change: Callable[[Expr], Expr]) -> list[Expr]:
    """Rebuild bottom-up, applying ``change`` to every node once its children are changed."""
    done: dict[Expr, Expr] = {}
    for node in walk(*roots):
        children = tuple(done[c] for c in node.children)
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        done[node] = change(node if same else with_children(node, children))
    return [done[root] for root in roots]


def substitute(e: Expr, replacements: Mapping[Expr, Expr]) -> Expr:
    """``e`` with whole subexpressions replaced."""
    done: dict[Expr, Expr] = dict(replacements)
    for node in walk(e):
        if node in done:
            continue
        children = tuple(done[c] for c in node.children)
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        done[node] = node if same else with_children(node, children)
    return done[e]

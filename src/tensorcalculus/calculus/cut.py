"""Nodes that every path from a function to a variable passes."""

from __future__ import annotations

from tensorcalculus.calculus.sweep import dependent
from tensorcalculus.expr.node import Contraction, Expr, Map


def narrowest(root: Expr, target: Expr) -> Expr | None:
    """A node strictly between, of least order, through which all dependence runs; or None.

    Nodes are taken from the root down with the set of open edges; a node is a cut where it is the
    only one open.
    """
    order, marked = dependent(root, [target])
    position = {node: k for k, node in enumerate(order)}
    open_nodes = {root}
    best: Expr | None = None
    while open_nodes:
        node = max(open_nodes, key=position.__getitem__)
        inside = len(open_nodes) == 1 and node is not root and node is not target
        if inside and (best is None or node.ndim < best.ndim):
            best = node
        open_nodes.remove(node)
        if node is not target:
            open_nodes.update(c for c in node.children if c in marked)
    return best


def linear_inner(root: Expr, target: Expr) -> Contraction | None:
    """The contraction, linear in ``target``, through which alone a deep function depends on it.

    None where at most two elementwise functions follow each other above it: there a plain sweep
    finds as short a form.
    """
    order, marked = dependent(root, [target])
    users = [n for n in order if n in marked and target in n.children]
    inner = users[0] if len(users) == 1 else None
    if inner is root or not isinstance(inner, Contraction):
        return None
    if inner.operands.count(target) != 1 or any(
        e in marked for e in inner.operands if e is not target
    ):
        return None
    depth: dict[Expr, int] = {}
    for node in order:
        if node in marked:
            below = max((depth.get(c, 0) for c in node.children), default=0)
            depth[node] = below + isinstance(node, Map)
    return inner if depth[root] > 2 else None

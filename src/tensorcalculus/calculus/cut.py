"""The narrowest node that every path from a function to a variable passes."""

from __future__ import annotations

from tensorcalculus.calculus.sweep import dependent
from tensorcalculus.expr.node import Expr


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

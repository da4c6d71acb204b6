"""Hierarchical Tucker format: nested bases on a balanced binary tree of the modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorcalculus.errors import ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    Array,
    H,
    is_array,
    namespace,
    norm,
    rank_within,
    same_type,
    svd,
    triangular_factor,
)
from tensorcalculus.networks.formats import conversion
from tensorcalculus.networks.formats.linear import Linear, block_diagonal, dense_input, unfolded
from tensorcalculus.networks.formats.tt_svd import checked_tolerance
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure

Node = tuple[int, int]
"""The modes ``first … last-1`` that a node of the tree stands for."""


def tree(d: int) -> list[Node]:
    """The nodes of the balanced tree over d modes, the root first, parents before children."""
    nodes, k = [(0, d)], 0
    while k < len(nodes):
        first, last = nodes[k]
        if last - first > 1:
            middle = (first + last) // 2
            nodes += [(first, middle), (middle, last)]
        k += 1
    return nodes


def children(node: Node) -> tuple[Node, Node]:
    """The two halves of a node with more than one mode."""
    first, last = node
    middle = (first + last) // 2
    return (first, middle), (middle, last)


class HTucker(Linear):
    """A matrix ``[n_k, r]`` at each leaf, and a transfer array ``[r_left, r_right, r]`` inside.

    The basis of an inner node is made of those of its children; the root has one column.  `cores`
    are in the order of :func:`tree`, the root first.

    Grasedyck, Hierarchical singular value decomposition of tensors, SIAM J. Matrix Anal. Appl. 31
    (2010).

    Raises
    ------
    ShapeError
        Another number of arrays than the tree has nodes, or bonds that do not fit.
    """

    __slots__ = ()

    def __init__(self, cores: Sequence[Any]) -> None:
        if is_array(cores) or len(cores) % 2 == 0:
            raise ShapeError("HTucker: 2*d - 1 arrays are expected, one for each node of the tree")
        made = same_type(cores, "HTucker")
        nodes = tree((len(made) + 1) // 2)
        held = dict(zip(nodes, made, strict=True))
        for node, core in held.items():
            leaf = node[1] - node[0] == 1
            if core.ndim != (2 if leaf else 3) or 0 in core.shape:
                raise ShapeError(f"HTucker: node {node} has shape {tuple(core.shape)}")
            if not leaf:
                sides = tuple(held[child].shape[-1] for child in children(node))
                if tuple(core.shape[:2]) != sides:
                    raise ShapeError(
                        f"HTucker: node {node} has shape {tuple(core.shape)}; its children have"
                        f" ranks {sides}"
                    )
        if made[0].shape[-1] != 1:
            raise ShapeError(f"HTucker: the root's last axis must be 1, not {made[0].shape[-1]}")
        self._set(made)

    @classmethod
    def from_dense(cls, a: Any, tol: float = 1e-8, max_rank: int | None = None) -> HTucker:
        """``norm(a - htucker) <= tol*norm(a)``, unless `max_rank` cuts it.

        Each node's basis is that of the SVD of its unfolding, cut at ``tol*norm/sqrt(2*d-2)``;
        projections on nested bases lose no more than the root of the sum of squares (Grasedyck
        2010, theorem 3.11).
        """
        a = dense_input(a)
        tol = checked_tolerance(tol, max_rank, a)
        d = a.ndim
        if d == 1:
            return cls._made([a.reshape(-1, 1)])
        delta = tol * norm(a) / math.sqrt(2 * d - 2)
        nodes = tree(d)
        bases: dict[Node, Array] = {(0, d): a.reshape(-1, 1)}
        for node in nodes[1:]:
            m = unfolded(a, range(*node))
            if m.shape[1] > m.shape[0]:
                m = H(triangular_factor(H(m)))
            u, s, _ = svd(m)
            bases[node] = u[:, : rank_within(s, delta, max_rank)]
        cores = []
        for node in nodes:
            if node[1] - node[0] == 1:
                cores.append(bases[node])
                continue
            left, right = (bases[child] for child in children(node))
            full = bases[node].reshape(left.shape[0], -1)
            part = (H(left) @ full).reshape(left.shape[1], right.shape[0], -1)
            cores.append(H(right) @ part)
        return cls._made(cores)

    def _held(self) -> dict[Node, Array]:
        return dict(zip(tree(self.ndim), self.cores, strict=True))

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return (len(self.cores) + 1) // 2

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        held = self._held()
        return tuple(held[k, k + 1].shape[0] for k in range(self.ndim))

    @property
    def ranks(self) -> dict[Node, int]:
        """The rank of each node, by the modes that it stands for."""
        return {node: int(core.shape[-1]) for node, core in self._held().items()}

    def _network(self) -> Network:
        return builders.htucker(self.ndim, n=self.shape, rank=[*self.ranks.values()][1:], ends=True)

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.tree(structure, tree(len(structure.out)))

    def to_dense(self) -> Array:
        """The array of all entries."""
        held, bases = self._held(), {}
        for node in reversed(tree(self.ndim)):
            core = held[node]
            if core.ndim == 2:
                bases[node] = core
                continue
            left, right = (bases.pop(child) for child in children(node))
            r, s, t = core.shape
            part = (left @ core.reshape(r, s * t)).reshape(-1, s, t)
            bases[node] = (right @ part).reshape(-1, t)
        return bases[0, self.ndim].reshape(self.shape)

    def _plus(self, other: HTucker) -> HTucker:
        xp = namespace(self.cores[0])
        if self.ndim == 1:
            return self._made([self.cores[0] + other.cores[0]])
        made = []
        for k, (x, y) in enumerate(zip(self.cores, other.cores, strict=True)):
            if x.ndim == 2:
                made.append(xp.concat([x, y], axis=1))
            else:
                made.append(block_diagonal(x, y, joined=() if k else (2,)))
        return self._made(made)

    def _times(self, other: HTucker) -> HTucker:
        made = []
        for x, y in zip(self.cores, other.cores, strict=True):
            if x.ndim == 2:
                made.append((x[:, :, None] * y[:, None, :]).reshape(x.shape[0], -1))
                continue
            (a, b, c), (p, q, r) = x.shape, y.shape
            core = x[:, None, :, None, :, None] * y[None, :, None, :, None, :]
            made.append(core.reshape(a * p, b * q, c * r))
        return self._made(made)

    def dot(self, other: HTucker) -> Array:
        """``sum(conj(self)*other)``, from the leaves to the root: ``O(d n r^2 + d r^4)``."""
        a, b = self._common(other, "dot")
        one, two, grams = a._held(), b._held(), {}
        for node in reversed(tree(self.ndim)):
            x, y = one[node], two[node]
            if x.ndim == 2:
                grams[node] = H(x) @ y
                continue
            left, right = (grams.pop(child) for child in children(node))
            p, q, r = y.shape
            moved = (left @ y.reshape(p, q * r)).reshape(-1, q, r)
            moved = right @ moved
            grams[node] = H(x.reshape(-1, x.shape[2])) @ moved.reshape(-1, r)
        return grams[0, self.ndim][0, 0]

    def __repr__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        largest = max(self.ranks.values())
        return (
            f"HTucker of shape {self.shape}, ranks up to {largest}: {self.size} of"
            f" {math.prod(self.shape)} numbers, {kind}"
        )

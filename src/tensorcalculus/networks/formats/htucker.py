"""Hierarchical Tucker format: nested bases on a binary tree of the modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    NOT_DENSE,
    Array,
    H,
    check_memory,
    checked_tolerance,
    epsilon,
    flattened,
    gaussian,
    is_array,
    namespace,
    norm,
    rank_within,
    same_type,
    svd,
)
from tensorcalculus.networks.formats import conversion, hierarchical, indexing, picture, trees
from tensorcalculus.networks.formats.elementary import bonds
from tensorcalculus.networks.formats.linear import block_diagonal, dense_input, unfolded
from tensorcalculus.networks.formats.modes import Modes
from tensorcalculus.networks.formats.spectra import Spectra
from tensorcalculus.networks.formats.trees import Tree
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure

_ROUNDINGS = 64
"""What a few sweeps leave, in roundings of the type; ranks below that are noise."""


class HTucker(Modes, Spectra):
    """A matrix ``[n_k, r]`` at each leaf, and a transfer array ``[r_left, r_right, r]`` inside.

    The basis of an inner node is made of those of its children; the root has one column.  `cores`
    are in the order of ``trees.nodes(tree)``: the root first, level by level.

    Grasedyck, Hierarchical singular value decomposition of tensors, SIAM J. Matrix Anal. Appl. 31
    (2010).

    Parameters
    ----------
    cores
        The arrays.
    tree
        Pairs of pairs of modes, such as ``((0, 1), (2, 3))``; balanced where nothing is said.

    Raises
    ------
    ShapeError
        Another number of arrays than the tree has nodes, or bonds that do not fit.
    InputError
        Something that is no tree of the modes.

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> x = np.linspace(0, 1, 9)
    >>> t = tn.HTucker.from_dense(np.sin(x[:, None, None] + x[:, None] + x))
    >>> t
    HTucker of shape (9, 9, 9), ranks up to 2: 66 of 729 numbers, float64
      ●─┬─2─● 9
        └─2─●─┬─2─● 9
              └─2─● 9
    >>> (t + t).round().ranks[1, 2]
    2
    """

    __slots__ = ("tree",)

    tree: Tree
    """Pairs of pairs of modes."""

    def __init__(self, cores: Sequence[Any], tree: Tree = None) -> None:
        if is_array(cores) or len(cores) % 2 == 0:
            raise ShapeError("HTucker: 2*d - 1 arrays are expected, one for each node of the tree")
        made = same_type(cores, "HTucker")
        d = (len(made) + 1) // 2
        tree = trees.balanced(d) if tree is None else trees.checked(tree, d)
        for core, node in zip(made, trees.nodes(tree), strict=True):
            if core.ndim != (3 if node.children else 2) or 0 in core.shape:
                raise ShapeError(f"HTucker: node {node.modes} has shape {tuple(core.shape)}")
            if node.children:
                sides = tuple(made[child].shape[-1] for child in node.children)
                if tuple(core.shape[:2]) != sides:
                    raise ShapeError(
                        f"HTucker: node {node.modes} has shape {tuple(core.shape)}; its children"
                        f" have ranks {sides}"
                    )
        if made[0].shape[-1] != 1:
            raise ShapeError(f"HTucker: the root's last axis must be 1, not {made[0].shape[-1]}")
        self._set(made, tree)

    def _set(self, cores: Sequence[Array], *fields: Any) -> Self:
        tree = fields[0] if fields else trees.balanced((len(cores) + 1) // 2)
        object.__setattr__(self, "tree", tree)
        return super()._set(cores)

    def _fields(self) -> tuple[Any, ...]:
        return (self.tree,)

    # Constructors

    @classmethod
    def from_dense(
        cls, a: Any, tol: float = 1e-8, max_rank: int | None = None, tree: Tree = None
    ) -> HTucker:
        """``norm(a - htucker) <= tol*norm(a)``, unless `max_rank` cuts it.

        Each node's basis is that of the SVD of its unfolding, cut at ``tol*norm/sqrt(2*d-2)``;
        projections on nested bases lose no more than the root of the sum of squares (Grasedyck
        2010, theorem 3.11).
        """
        a = dense_input(a)
        tol = checked_tolerance(tol, max_rank, a)
        d = a.ndim
        tree = trees.balanced(d) if tree is None else trees.checked(tree, d)
        if d == 1:
            return cls._made([a.reshape(-1, 1)], tree)
        delta = tol * norm(a) / math.sqrt(2 * d - 2)
        root, *others = trees.nodes(tree)
        bases = [unfolded(a, root.modes).reshape(-1, 1)]
        for node in others:
            u, s, _ = svd(H(flattened(H(unfolded(a, node.modes)))))
            bases.append(u[:, : rank_within(s, delta, max_rank)])
        cores = []
        for node, basis in zip((root, *others), bases, strict=True):
            if node.children is None:
                cores.append(basis)
                continue
            left, right = (bases[child] for child in node.children)
            full = basis.reshape(left.shape[0], -1)
            part = (H(left) @ full).reshape(left.shape[1], right.shape[0], -1)
            cores.append(H(right) @ part)
        return cls._made(cores, tree)

    @classmethod
    def from_tt(cls, t: TT, tol: float = 1e-12, max_rank: int | None = None) -> HTucker:
        """A train on the balanced tree, to `tol`.

        From the leaves to the root by QR, then :meth:`round`.  A node over the modes between bonds
        r and s of the train has a rank of at most ``r*s``.
        """
        tree = trees.balanced(t.ndim)
        return cls._made(hierarchical.from_train(t.cores, tree), tree).round(tol, max_rank)

    @classmethod
    def random(
        cls,
        shape: Sequence[int],
        rank: int | Sequence[int],
        seed: int = 0,
        like: Array | None = None,
        tree: Tree = None,
    ) -> HTucker:
        """Gaussian cores, entries of variance 1; a rank for all nodes, or for each but the root."""
        shape = indexing.checked_shape(shape)
        d = len(shape)
        tree = trees.balanced(d) if tree is None else trees.checked(tree, d)
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        ranks = [1, *bonds(rank, 2 * d - 2)]
        cores = []
        for node, r in zip(trees.nodes(tree), ranks, strict=True):
            if node.children is None:
                cores.append(gaussian((shape[node.modes[0]], r), x, rng))
            else:
                left, right = (ranks[child] for child in node.children)
                cores.append(gaussian((left, right, r), x, rng) * (left * right) ** -0.5)
        return cls._made(cores, tree)

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> HTucker:
        tree = trees.balanced(len(vectors))
        one = namespace(vectors[0]).ones_like(vectors[0][:1]).reshape(1, 1, 1)
        return cls._made(
            [
                one if node.children else vectors[node.modes[0]].reshape(-1, 1)
                for node in trees.nodes(tree)
            ],
            tree,
        )

    def _constant(self, value: Any) -> HTucker:
        made = self.constant(self.shape, value, self.cores[0])
        by_mode = {n.modes[0]: c for n, c in zip(made._nodes(), made.cores, strict=True)}
        # Transfer arrays of ones are the same in any tree.
        inner = next((c for c in made.cores if c.ndim == 3), None)
        return self._made(
            [inner if n.children else by_mode[n.modes[0]] for n in self._nodes()], self.tree
        )

    # What it is

    def _nodes(self) -> tuple[trees.Node, ...]:
        return trees.nodes(self.tree)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return (len(self.cores) + 1) // 2

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(self.cores[number].shape[0] for number, _ in self._carriers())

    @property
    def ranks(self) -> dict[tuple[int, ...], int]:
        """The rank of each node, by the modes that it stands for."""
        pairs = zip(self._nodes(), self.cores, strict=True)
        return {node.modes: int(core.shape[-1]) for node, core in pairs}

    def _network(self) -> Network:
        ranks = [*self.ranks.values()][1:]
        return builders.htucker(self.ndim, n=self.shape, rank=ranks, ends=True, tree=self.tree)

    @classmethod
    def _places(cls, structure: Structure, *fields: Any) -> list[conversion.Place]:
        d = len(structure.out)
        tree = trees.checked(fields[0], d) if fields else trees.balanced(d)
        return conversion.tree(structure, trees.nodes(tree))

    def to_dense(self) -> Array:
        """The array of all entries."""
        check_memory(math.prod(self.shape), self.cores[0], "to_dense: the array", NOT_DENSE)
        bases: dict[int, Array] = {}
        nodes = self._nodes()
        for k in reversed(range(len(nodes))):
            core, pair = self.cores[k], nodes[k].children
            if pair is None:
                bases[k] = core
                continue
            left, right = (bases.pop(child) for child in pair)
            r, s, t = core.shape
            part = (left @ core.reshape(r, s * t)).reshape(-1, s, t)
            bases[k] = (right @ part).reshape(-1, t)
        read = nodes[0].modes
        full = bases[0].reshape([self.shape[k] for k in read])
        return namespace(full).permute_dims(full, [read.index(k) for k in range(self.ndim)])

    def to_tt(self) -> TT:
        """The same tensor as a train, to rounding; modes are sorted by SVDs if need be."""
        made = TT._made(hierarchical.to_train(self.cores, self.tree))
        made = made.round(_ROUNDINGS * epsilon(self.cores[0]))
        read = self._nodes()[0].modes
        return made.permute([read.index(k) for k in range(self.ndim)], 0)

    def _told_ranks(self) -> str:
        return f"ranks up to {max(self.ranks.values())}"

    def _drawn(self) -> str:
        shape, nodes = self.shape, self._nodes()

        def part(k: int) -> picture.Part:
            node = nodes[k]
            if node.children is None:
                return f"● {shape[node.modes[0]]}"
            return "●", [(self.cores[child].shape[-1], part(child)) for child in node.children]

        return picture.tree(part(0))

    # Modes

    def _carriers(self) -> list[tuple[int, int]]:
        leaves = {node.modes[0]: k for k, node in enumerate(self._nodes()) if not node.children}
        return [(leaves[k], 0) for k in range(self.ndim)]

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        made = hierarchical.without(cores, self.tree, gone)
        if not isinstance(made, tuple):
            return made
        left, tree = made
        kept = sorted(set(range(self.ndim)) - gone)
        return self._made(left, trees.mapped(tree, kept.index))

    def _entries(self, indices: Array) -> Array:
        return hierarchical.entries(self.cores, self.tree, indices)

    def _tensor(self, other: HTucker) -> HTucker:
        d = self.ndim
        one = namespace(self.cores[0]).ones_like(self.cores[0].reshape(-1)[:1]).reshape(1, 1, 1)
        tree = (self.tree, trees.mapped(other.tree, lambda k: k + d))
        return self._made(hierarchical.joined(one, self, other), tree)

    def permute(self, order: Sequence[int]) -> HTucker:
        """Mode k of the result is mode ``order[k]``: other names of modes in the tree."""
        order = indexing.permutation(order, self.ndim)
        return self._made(self.cores, trees.mapped(self.tree, order.index))

    # Algebra

    def _agree(self, other: HTucker, name: str) -> None:
        if self.tree != other.tree:
            raise InputError(
                f"{name}: trees {self.tree} and {other.tree} differ; bring both to the balanced one"
                " by HTucker.from_tt(t.to_tt())"
            )

    def _plus(self, other: HTucker) -> HTucker:
        xp = namespace(self.cores[0])
        if self.ndim == 1:
            return self._like([self.cores[0] + other.cores[0]])
        made = []
        for k, (x, y) in enumerate(zip(self.cores, other.cores, strict=True)):
            if x.ndim == 2:
                made.append(xp.concat([x, y], axis=1))
            else:
                made.append(block_diagonal(x, y, joined=() if k else (2,)))
        return self._like(made)

    def _times(self, other: HTucker) -> HTucker:
        made = []
        for x, y in zip(self.cores, other.cores, strict=True):
            if x.ndim == 2:
                made.append((x[:, :, None] * y[:, None, :]).reshape(x.shape[0], -1))
                continue
            (a, b, c), (p, q, r) = x.shape, y.shape
            core = x[:, None, :, None, :, None] * y[None, :, None, :, None, :]
            made.append(core.reshape(a * p, b * q, c * r))
        return self._like(made)

    def _dot(self, other: HTucker) -> Array:
        """From the leaves to the root: ``O(d n r^2 + d r^4)``."""
        nodes, grams = self._nodes(), {}
        for k in reversed(range(len(nodes))):
            x, y, pair = self.cores[k], other.cores[k], nodes[k].children
            if pair is None:
                grams[k] = H(x) @ y
                continue
            left, right = (grams.pop(child) for child in pair)
            p, q, r = y.shape
            moved = right @ (left @ y.reshape(p, q * r)).reshape(-1, q, r)
            grams[k] = H(x.reshape(-1, x.shape[2])) @ moved.reshape(-1, r)
        return grams[0][0, 0]

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for small differences; ``O(d r^4)``."""
        return hierarchical.size(self.cores, self.tree)

    def round(self, tol: float = 1e-8, max_rank: int | None = None) -> HTucker:
        """Smaller ranks, ``norm(self - rounded) <= tol*norm(self)``; ``O(d n r^2 + d r^4)``.

        Grasedyck (2010), section 4: bases are made orthonormal from the leaves to the root, then
        each node is cut at ``tol*norm/sqrt(2*d-3)``.  The singular values of a node come from a
        triangular factor that is carried from the root to the leaves instead of its Gram matrix,
        which would lose those below 1e-8 of the largest.  For the ranks that come out, the error is
        at most ``sqrt(2*d-3)`` times the least one.

        Raises
        ------
        InputError
            A tolerance or a rank that means nothing; entries that are not finite.
        """
        tol = checked_tolerance(tol, max_rank, self.cores[0])
        return self._like(hierarchical.rounded(self.cores, self.tree, tol, max_rank))

    def singular_values(self) -> dict[tuple[int, ...], np.ndarray]:
        """Those of the unfolding of each node but the root, by its modes, in NumPy."""
        if self.ndim == 1:
            return {}
        cores = hierarchical.orthonormal(self.cores, self.tree)
        factors = hierarchical.weights(cores, self.tree)
        pairs = zip(self._nodes()[1:], factors[1:], strict=True)
        return {node.modes: svd(factor)[1] for node, factor in pairs}

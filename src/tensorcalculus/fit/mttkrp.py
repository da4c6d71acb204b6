"""Data contracted with factors of a CP model; dense arrays by a tree over matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tensorcalculus.networks.arrays import (
    Array,
    epsilon,
    is_complex,
    like,
    namespace,
    norm,
    numpy_of,
    svd,
)
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.networks.formats.linear import unfolded

_BLOCK = 1 << 20
"""Entries of the model that are made at a time where its residual is looked at."""

SMALL = 64
"""Length of modes from which a product by the middle one of three is no slower than by the last."""


def gram_product(factors: Sequence[np.ndarray], *left_out: int) -> np.ndarray:
    """``prod_k U_k' conj(U_k)`` entry by entry over all modes but those left out, ``[r, r]``."""
    rank = factors[0].shape[1]
    made = np.ones((rank, rank), factors[0].dtype)
    for k, u in enumerate(factors):
        if k not in left_out:
            made *= u.T @ u.conj()
    return made


class CPData(Protocol):
    """What fits of CP models ask of data; see :class:`DenseData` for the meaning."""

    x: Any
    """An array of the library and type that results shall have."""
    shape: tuple[int, ...]
    order: int
    kind: np.dtype
    norm2: float
    cancels: float
    """Part of ``norm(x)^2`` below which a loss that Gram matrices give has lost its digits."""
    numpy: list[np.ndarray]
    """The factors at present."""

    def put(self, k: int, u: np.ndarray) -> None:
        """Another factor ``[n_k, r]`` for mode k."""
        self.numpy[k] = np.ascontiguousarray(u)

    def put_all(self, factors: Sequence[np.ndarray]) -> None:
        """Other factors for all modes."""
        for k, u in enumerate(factors):
            self.put(k, u)

    def mttkrp(self, k: int) -> np.ndarray:
        """The product by mode k."""
        ...

    def mttkrps(self) -> list[np.ndarray]:
        """The products by all modes at one point."""
        ...

    def loss(self, inner: float, model2: float) -> tuple[float, bool]:
        """``norm(x - m)^2`` from ``Re <x, m>`` and ``norm(m)^2``; whether digits have cancelled."""
        value = self.norm2 - 2 * inner + model2
        return max(value, 0.0), value < self.cancels * self.norm2

    def residual(self, factors: Sequence[np.ndarray]) -> float:
        """``norm(x - m)^2`` as exactly as it can be had."""
        ...

    def leading(self, k: int, rank: int) -> np.ndarray:
        """Leading left singular vectors of an unfolding, as many as there are."""
        ...

    def core_consistency(self, model: CP) -> float | None:
        """See :meth:`tensorcalculus.networks.CP.core_consistency`."""
        ...


class DenseData(CPData):
    """An array, and the products of it that fits of CP models need.

    A matricised tensor times Khatri-Rao product (MTTKRP) contracts all modes but one with their
    factors.  The products by all modes are the leaves of a tree.  Its first step takes out a group
    of modes by one matrix product with the whole array; what is left is small, and serves all modes
    outside the group as long as the factors inside stay.  Of order 3, groups are single modes: all
    products at one point take two matrix products, a sweep of alternating least squares one and a
    half.  Of higher order there are two groups.  No Khatri-Rao product of more than a group is
    made.

    A. H. Phan, P. Tichavsky, A. Cichocki, Fast alternating LS algorithms for high order
    CANDECOMP/PARAFAC tensor factorizations, IEEE Trans. Signal Process. 61 (2013); L. Ma,
    E. Solomonik, Efficient parallel CP decomposition with pairwise perturbation and multi-sweep
    dimension tree, IPDPS 2021.
    """

    def __init__(self, x: Array) -> None:
        if isinstance(x, np.ndarray):
            x = np.ascontiguousarray(x)
        elif hasattr(x, "detach"):
            x = x.detach().contiguous()
        self.x = x
        self.xp = namespace(x)
        self.shape = tuple(int(n) for n in x.shape)
        self.order = len(self.shape)
        self.kind = np.dtype(np.complex128 if is_complex(x) else np.float64)
        self.norm2 = norm(self.x) ** 2
        self.groups = _groups(self.shape)
        self.factors: list[Array] = [None] * self.order
        self.numpy: list[np.ndarray] = [np.zeros((n, 0)) for n in self.shape]
        self._versions = [0] * self.order
        self._nodes: dict[tuple[int, ...], tuple[Array, tuple[int, ...]]] = {}
        self.cancels = epsilon(x) ** 0.5

    def put(self, k: int, u: np.ndarray) -> None:
        """Another factor ``[n_k, r]`` for mode k."""
        self.numpy[k] = u
        self.factors[k] = like(np.ascontiguousarray(u.conj().T), self.x)  # [r, n_k]
        self._versions[k] += 1

    def mttkrp(self, k: int) -> np.ndarray:
        """``sum over all indices but i_k of x[i1, …, id]*prod_{j != k} conj(U_j[i_j, r])``.

        An array ``[n_k, r]`` of NumPy, in double precision.
        """
        modes, node = self._first(k)
        while len(modes) > 1:
            half = len(modes) // 2
            low, high = modes[:half], modes[half:]
            kept, gone = (low, high) if k in low else (high, low)
            found = self._valid(kept)
            if found is None:
                rows = self._khatri_rao(gone)[:, :, None]  # [r, N, 1]
                rank, columns = rows.shape[0], math.prod(self.shape[j] for j in high)
                matrix = node.reshape(rank, -1, columns)
                if kept is high:
                    matrix = matrix.mT
                found = (matrix @ rows)[:, :, 0]
                self._keep(kept, found)
            modes, node = kept, found
        return np.asarray(numpy_of(node).T, dtype=self.kind)

    def mttkrps(self) -> list[np.ndarray]:
        """The products by all modes at one point: two matrix products with the array."""
        for group in self._cheapest():
            rest = self._others(group)
            # None that would serve only modes which a product made before serves.
            if any(self._node(k) is None for k in rest):
                self._keep(rest, self._without(group))
        return [self.mttkrp(k) for k in range(self.order)]

    def _cheapest(self) -> list[tuple[int, ...]]:
        """Two groups to take out of the array where all products are wanted."""
        if self.order == 3:
            # Of the middle mode there are many small products, none of them transposed.
            return [(1,), (0,)] if min(self.shape[1:]) >= SMALL else [(2,), (0,)]
        return self.groups

    def residual(self, factors: Sequence[np.ndarray]) -> float:
        """``norm(x - m)^2`` from the entries themselves, some slices at a time."""
        half = self.groups[-1][0]
        right = [like(u, self.x) for u in factors[half:]]
        left = [like(u, self.x) for u in factors[:half]]
        columns = _khatri_rao([u.mT for u in right])  # [r, N]
        rows = self.x.reshape(-1, columns.shape[1])
        # Blocks of the first mode, so that the product of the left factors is never whole.
        inside = math.prod(self.shape[1:half])
        step = max(1, _BLOCK // (inside * columns.shape[1]))
        total = 0.0
        for start in range(0, self.shape[0], step):
            part = _khatri_rao([left[0][start : start + step].mT, *(u.mT for u in left[1:])])
            rest = rows[start * inside : start * inside + part.shape[1]] - part.mT @ columns
            total += norm(rest) ** 2
        return total

    def leading(self, k: int, rank: int) -> np.ndarray:
        """Leading left singular vectors of an unfolding, as many as there are."""
        matrix = unfolded(self.x, [k])
        if matrix.shape[0] <= matrix.shape[1]:
            gram = np.asarray(numpy_of(matrix @ matrix.mT.conj()), dtype=self.kind)
            return np.linalg.eigh(gram)[1][:, ::-1][:, :rank]
        return np.asarray(numpy_of(svd(matrix)[0]), dtype=self.kind)[:, :rank]

    def core_consistency(self, model: CP) -> float | None:
        """See :meth:`tensorcalculus.networks.CP.core_consistency`."""
        return model.core_consistency(self.x)

    # -- the tree --------------------------------------------------------------------------------

    def _first(self, k: int) -> tuple[tuple[int, ...], Array]:
        """The largest node that mode k is a leaf of, and its modes."""
        found = self._node(k)
        if found is None:
            outside = [g for g in self.groups if k not in g]
            # The factor that was renewed last stays longest.
            before = (k - 1) % self.order
            group = next((g for g in outside if before in g), outside[0])
            for modes in [m for m in self._nodes if self._valid(m) is None]:
                del self._nodes[modes]
            found = self._others(group), self._without(group)
            self._keep(*found)
        return found

    def _node(self, k: int) -> tuple[tuple[int, ...], Array] | None:
        for group in self.groups:
            rest = self._others(group)
            found = self._valid(rest) if k in rest else None
            if found is not None:
                return rest, found
        return None

    def _others(self, group: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(j for j in range(self.order) if j not in group)

    def _without(self, group: tuple[int, ...]) -> Array:
        """The array contracted with the factors of neighbouring modes, ``[r, …]``."""
        rows = self._khatri_rao(group)
        before = math.prod(self.shape[: group[0]])
        after = math.prod(self.shape[group[-1] + 1 :])
        if before == 1:
            return rows @ self.x.reshape(-1, after)
        if after == 1:
            return rows @ self.x.reshape(before, -1).mT
        made = rows @ self.x.reshape(before, -1, after)
        return self.xp.permute_dims(made, (1, 0, 2))

    def _khatri_rao(self, modes: Sequence[int]) -> Array:
        return _khatri_rao([self.factors[k] for k in modes])

    def _state(self, modes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(v for j, v in enumerate(self._versions) if j not in modes)

    def _valid(self, modes: tuple[int, ...]) -> Array | None:
        found = self._nodes.get(modes)
        return found[0] if found is not None and found[1] == self._state(modes) else None

    def _keep(self, modes: tuple[int, ...], node: Array) -> None:
        self._nodes[modes] = node, self._state(modes)


def _groups(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """What is taken out of the array at a time: single modes, or two halves of even size."""
    d = len(shape)
    if d <= 3:
        return [(k,) for k in range(d)]
    cut = min(range(2, d - 1), key=lambda s: math.prod(shape[:s]) + math.prod(shape[s:]))
    return [tuple(range(cut)), tuple(range(cut, d))]


def _khatri_rao(rows: Sequence[Array]) -> Array:
    """Products of rows ``[r, n_k]``, ``[r, n_1*n_2*…]``; the last index runs fastest."""
    made = rows[0]
    for u in rows[1:]:
        made = (made[:, :, None] * u[:, None, :]).reshape(made.shape[0], -1)
    return made

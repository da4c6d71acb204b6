"""Some fibres of a tensor, multiplied by rows of a matrix."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tensorcalculus.fit.data.cells import CellKeys
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.networks.arrays import Array, numpy_of

_BLOCK = 1 << 20
"""Entries of fibres that are taken at a time."""


class Fibres(Protocol):
    """The fibres of a tensor along each mode."""

    def product(self, k: int, cells: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """``sum_s x[i_1, …, :, …, i_d]*rows[s, r]`` over the ``s`` with other indices ``cells[s]``.

        Parameters
        ----------
        k
            The mode along which the fibres run.
        cells
            ``[s, d-1]``: the indices of the other modes.
        rows
            ``[s, r]``.
        """
        ...


class DenseFibres:
    """Fibres of an array, gathered."""

    def __init__(self, x: Array) -> None:
        self._x = np.asarray(numpy_of(x))

    def product(self, k: int, cells: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See :class:`Fibres`."""
        x = np.moveaxis(self._x, k, -1)
        made = np.zeros((x.shape[-1], rows.shape[1]))
        step = max(1, _BLOCK // x.shape[-1])
        for at in range(0, len(cells), step):
            made += x[tuple(cells[at : at + step].T)].T @ rows[at : at + step]
        return made


class SparseFibres:
    """Fibres of a sparse tensor, found by bisection in sorted keys of their indices.

    For each mode that is asked for, keys and positions are held: 12 bytes a stored cell.
    """

    def __init__(self, x: SparseTensor) -> None:
        self._x = x
        self._sorted: dict[int, tuple[CellKeys, np.ndarray, np.ndarray]] = {}

    def product(self, k: int, cells: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """See :class:`Fibres`."""
        from scipy.sparse import csr_array

        codes, keys, order = self._index(k)
        wanted = codes.of(cells)
        first = np.searchsorted(keys, wanted, side="left")
        counts = np.searchsorted(keys, wanted, side="right") - first
        drawn = np.repeat(np.arange(len(cells)), counts)
        places = np.arange(len(drawn)) - np.repeat(np.cumsum(counts) - counts, counts)
        stored = order[places + first[drawn]]
        values = self._x.values[stored].astype(np.float64)
        where = (self._x.indices[stored, k], drawn)
        matrix: Any = csr_array((values, where), shape=(self._x.shape[k], len(cells)))
        return matrix @ rows

    def _index(self, k: int) -> tuple[CellKeys, np.ndarray, np.ndarray]:
        if k not in self._sorted:
            others = [j for j in range(self._x.ndim) if j != k]
            codes = CellKeys(self._x.indices[:, others], [self._x.shape[j] for j in others])
            order = np.argsort(codes.keys, kind="stable")
            keys = codes.keys[order]
            small = np.int32 if len(order) < 2**31 else np.int64
            # The codes are kept for what they know of long shapes, not for their keys.
            codes.keys = keys[:0]
            self._sorted[k] = codes, keys, order.astype(small)
        return self._sorted[k]

"""Points of a tensor as kernels read them, and how threads share them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.kernels.ordering import morton_order

_SCANNED = 1 << 16
"""Points that are looked at at a time: a part that stays in the cache over all modes."""


class Points:
    """Cells of a tensor: their indices, the numbers in them, perhaps weights.

    Indices must lie inside of the shape: kernels compute addresses from them.  Those of a
    `SparseTensor` do; other callers of the constructor answer for it.

    Parameters
    ----------
    indices
        ``[n, d]``, contiguous, of int32 or int64.
    values
        ``[n]``, of float32 or float64.
    shape
        The sides of the tensor.
    weights
        ``[n]``, of float32 or float64; 1 where absent.
    """

    def __init__(
        self,
        indices: np.ndarray,
        values: np.ndarray,
        shape: Sequence[int],
        weights: np.ndarray | None = None,
    ) -> None:
        self.indices = indices
        self.values = values
        self.weights = weights
        self.shape = tuple(shape)
        self._parts: dict[int, list[Part]] = {}

    @classmethod
    def ordered(cls, tensor: SparseTensor, weights: np.ndarray | None = None) -> Points:
        """A copy of the stored cells along the Z-curve; the way for data that are read often."""
        order = morton_order(tensor.indices, tensor.shape)
        return cls(
            np.take(tensor.indices, order, axis=0),
            tensor.values[order],
            tensor.shape,
            None if weights is None else weights[order],
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        weights = 0 if self.weights is None else self.weights.nbytes
        return self.indices.nbytes + self.values.nbytes + weights

    @property
    def order(self) -> int:
        """The number of modes."""
        return len(self.shape)

    def parts(self, count: int) -> list[Part]:
        """Consecutive points in so many parts of one length, each with the rows that it meets."""
        if count not in self._parts:
            edges = np.linspace(0, len(self), count + 1).astype(int).tolist()
            self._parts[count] = [Part(a, b, self._rows(a, b)) for a, b in pairwise(edges)]
        return self._parts[count]

    def _rows(self, start: int, stop: int) -> list[tuple[int, int]]:
        low = np.array(self.shape, dtype=np.int64)
        high = np.zeros(self.order, dtype=np.int64)
        for at in range(start, stop, _SCANNED):
            block = self.indices[at : min(at + _SCANNED, stop)]
            low = np.minimum(low, block.min(0))
            high = np.maximum(high, block.max(0) + 1)
        return [(int(min(a, b)), int(b)) for a, b in zip(low, high, strict=True)]


class Part:
    """Points that one thread takes: from `start` to `stop`, in rows ``rows[k]`` of mode k."""

    __slots__ = ("rows", "start", "stop")

    def __init__(self, start: int, stop: int, rows: list[tuple[int, int]]) -> None:
        self.start, self.stop, self.rows = start, stop, rows

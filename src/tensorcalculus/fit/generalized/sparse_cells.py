"""The loss over all cells of a sparse tensor, or over those that are stored, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.generalized.sampling import SparseSamples, StoredSamples
from tensorcalculus.fit.kernels.fused import loss_and_gradients
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.losses import Loss


class StoredCells:
    """A loss summed over the stored cells of a tensor; the others are unknown."""

    def __init__(self, x: SparseTensor, loss: Loss) -> None:
        self.shape = x.shape
        self.count = x.nnz
        self._points = Points.ordered(x)
        self._loss = loss

    def moments(self) -> tuple[float, float]:
        """Mean of the observed data and of their squares."""
        return _moments(self._points.values, self.count)

    def slice_means(self) -> list[np.ndarray]:
        """For each mode the means of the observed data in its slices, ``[n_k]``."""
        counts = _slice_sums(self._points, None)
        sums = _slice_sums(self._points, self._points.values)
        return [s / np.maximum(c, 1) for s, c in zip(sums, counts, strict=True)]

    def value_gradients(self, factors: Sequence[np.ndarray]) -> tuple[float, Factors]:
        """The sum of the losses, and its gradient by each factor ``[n_k, r]``."""
        return loss_and_gradients(self._points, factors, self._loss.pair.compiled)

    def samples(self) -> StoredSamples:
        """The same cells, to be drawn."""
        return StoredSamples(self._points, self._loss)


class SparseCells:
    """A loss summed over all cells of a sparse tensor, zeros included, by a pass over the others.

    Where ``f(0, m) = c0 + c1*m + c2*m^2``, its sum over all cells follows from the factors: that of
    ``m`` is a sum of products of column sums, that of ``m^2`` the sum of a product of Gram
    matrices.  What is left are ``f(x, m) - f(0, m)`` at stored cells, and ``-f(0, m)`` at cells
    that are missing.  Other losses can be sampled only.
    """

    def __init__(self, x: SparseTensor, loss: Loss, missing: SparseTensor | None = None) -> None:
        self.shape = x.shape
        self._loss = loss
        self._points = Points.ordered(x)
        self._missing: Points | None = None
        self.count = math.prod(x.shape)
        if missing is not None and missing.nnz:
            self.count -= missing.nnz
            self._missing = Points.ordered(missing)

    def moments(self) -> tuple[float, float]:
        """Mean of the observed data and of their squares."""
        return _moments(self._points.values, self.count)

    def slice_means(self) -> list[np.ndarray]:
        """For each mode the means of the observed data in its slices, ``[n_k]``."""
        sums = _slice_sums(self._points, self._points.values)
        return [s / np.maximum(c, 1) for s, c in zip(sums, self.slice_counts(), strict=True)]

    def slice_counts(self) -> list[np.ndarray]:
        """For each mode how many cells of its slices are observed, ``[n_k]``."""
        whole = [np.full(n, float(math.prod(self.shape) // n)) for n in self.shape]
        if self._missing is None:
            return whole
        gone = _slice_sums(self._missing, None)
        return [w - g for w, g in zip(whole, gone, strict=True)]

    def value_gradients(self, factors: Sequence[np.ndarray]) -> tuple[float, Factors]:
        """The sum of the losses, and its gradient by each factor ``[n_k, r]``.

        Raises
        ------
        InputError
            The loss at zeros is no polynomial of degree 2.
        """
        zero_part = self._loss.zero_part
        if zero_part is None:
            raise InputError(
                f"loss: f(0, m) of {self._loss.name!r} is no polynomial in m of degree 2, so its"
                " sum over all cells needs all of them; method='adam' samples them"
            )
        c0, c1, c2 = (*zero_part, 0.0, 0.0)[:3]
        value, gradients = loss_and_gradients(self._points, factors, self._loss.remainder.compiled)
        value += c0 * math.prod(self.shape)
        if c1:
            sums = [u.sum(axis=0) for u in factors]
            value += c1 * float(np.sum(np.prod(sums, axis=0)))
            for k, g in enumerate(gradients):
                g += c1 * np.prod(sums[:k] + sums[k + 1 :], axis=0)
        if c2:
            grams = [u.T @ u for u in factors]
            value += c2 * float(np.sum(np.prod(grams, axis=0)))
            for k, g in enumerate(gradients):
                g += 2 * c2 * (factors[k] @ np.prod(grams[:k] + grams[k + 1 :], axis=0))
        if self._missing is not None:
            less, by_less = loss_and_gradients(self._missing, factors, self._loss.at_zero.compiled)
            value -= less
            for g, part in zip(gradients, by_less, strict=True):
                g -= part
        return value, gradients

    def samples(self) -> SparseSamples:
        """The same cells, to be drawn."""
        return SparseSamples(self._points, self._loss, self._missing)


def _slice_sums(points: Points, values: np.ndarray | None) -> list[np.ndarray]:
    """For each mode the sums of values (None: ones) in its slices."""
    return [
        np.bincount(points.indices[:, k], values, n).astype(np.float64)
        for k, n in enumerate(points.shape)
    ]


def _moments(values: np.ndarray, count: int) -> tuple[float, float]:
    wide = values.astype(np.float64, copy=False)
    return float(wide.sum()) / max(count, 1), float(np.vdot(wide, wide)) / max(count, 1)

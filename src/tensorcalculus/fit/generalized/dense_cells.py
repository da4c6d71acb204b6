"""The loss over all cells of a dense array, or those of a mask, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.generalized.sampling import DenseSamples
from tensorcalculus.fit.losses import Loss

TILE = 1 << 15
"""Cells of a tile: its arrays stay in the cache while the loss and its derivative are computed."""


class DenseCells:
    """A loss summed over the cells of an array.

    The array is looked at as a matrix of the first modes by the last ones.  A tile of the model is
    a product of rows of two Khatri-Rao products of halves of the modes; the loss and its
    derivative ``Y`` are computed in it, and ``Y`` leaves as products with the same rows: three
    matrix products of a tile, and the model is never whole.  Then follow the gradients of the
    modes inside each half.

    Parameters
    ----------
    x
        Any real array of NumPy; where the mask is 0 its entries do not matter.
    loss
        What is summed.
    weights
        An array of the same shape by which losses are multiplied, or None.
    """

    def __init__(self, x: np.ndarray, loss: Loss, weights: np.ndarray | None = None) -> None:
        self.shape = x.shape
        half = _half(x.shape)
        rows, columns = math.prod(x.shape[:half]), math.prod(x.shape[half:])
        self._half = half
        self._x = x.reshape(rows, columns)
        self._weights = None if weights is None else weights.reshape(rows, columns)
        self.count = x.size if weights is None else int(np.count_nonzero(weights))
        self._loss = loss
        width = min(columns, TILE)
        height = max(1, min(rows, TILE // width))
        self._tiles = [
            (slice(i, min(i + height, rows)), slice(j, min(j + width, columns)))
            for i in range(0, rows, height)
            for j in range(0, columns, width)
        ]

    def moments(self) -> tuple[float, float]:
        """Mean of the observed data and of their squares."""
        first = second = 0.0
        for tile in self._tiles:
            x = np.asarray(self._x[tile], dtype=np.float64)
            if self._weights is not None:
                x = x[self._weights[tile] != 0]
            first += float(x.sum())
            second += float(np.vdot(x, x))
        return first / max(self.count, 1), second / max(self.count, 1)

    def slice_means(self) -> list[np.ndarray]:
        """For each mode the means of the observed data in its slices, ``[n_k]``."""
        x = self._x.reshape(self.shape)
        seen = None if self._weights is None else (self._weights != 0).reshape(self.shape)
        made = []
        for k in range(len(self.shape)):
            rest = tuple(j for j in range(len(self.shape)) if j != k)
            if seen is None:
                made.append(x.mean(axis=rest, dtype=np.float64))
            else:
                made.append(x.sum(axis=rest, dtype=np.float64, where=seen))
        if seen is not None:
            counts = self.slice_counts()
            made = [total / np.maximum(n, 1) for total, n in zip(made, counts, strict=True)]
        return made

    def slice_counts(self) -> list[np.ndarray]:
        """For each mode how many cells of its slices are observed, ``[n_k]``."""
        order = len(self.shape)
        if self._weights is None:
            return [np.full(n, self._x.size // n) for n in self.shape]
        seen = (self._weights != 0).reshape(self.shape)
        return [seen.sum(axis=tuple(j for j in range(order) if j != k)) for k in range(order)]

    def value_gradients(self, factors: Sequence[np.ndarray]) -> tuple[float, Factors]:
        """The sum of the losses, and its gradient by each factor ``[n_k, r]``."""
        left = khatri_rao(factors[: self._half])
        right = khatri_rao(factors[self._half :])
        by_left, by_right = np.zeros_like(left), np.zeros_like(right)
        total = 0.0
        for rows, columns in self._tiles:
            u, v = left[rows], right[columns]
            model = u @ v.T
            value, slope = self._loss.pair(self._x[rows, columns], model)
            if np.ndim(slope) == 0:
                slope = np.full_like(model, slope)
            if self._weights is not None:
                w = self._weights[rows, columns]
                value, slope = w * value, w * slope
            total += float(np.sum(value))
            by_left[rows] += slope @ v
            by_right[columns] += slope.T @ u
        return total, [
            *_inside(by_left, factors[: self._half]),
            *_inside(by_right, factors[self._half :]),
        ]

    def samples(self) -> DenseSamples:
        """The same cells, to be drawn."""
        weights = None if self._weights is None else self._weights.reshape(self.shape)
        return DenseSamples(self._x.reshape(self.shape), self._loss, weights)


def khatri_rao(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Products of rows, ``[n_1*n_2*…, r]``; the last index runs fastest."""
    made = factors[0]
    for u in factors[1:]:
        made = (made[:, None, :] * u[None, :, :]).reshape(-1, u.shape[1])
    return made


def _inside(product: np.ndarray, factors: Sequence[np.ndarray]) -> Factors:
    """Gradients by factors from that by their Khatri-Rao product."""
    if len(factors) == 1:
        return [product]
    half = len(factors) // 2
    left, right = khatri_rao(factors[:half]), khatri_rao(factors[half:])
    whole = product.reshape(len(left), len(right), -1)
    return [
        *_inside(np.einsum("ijr,jr->ir", whole, right), factors[:half]),
        *_inside(np.einsum("ijr,ir->jr", whole, left), factors[half:]),
    ]


def _half(shape: tuple[int, ...]) -> int:
    """Where to split the modes so that the Khatri-Rao products are smallest."""
    splits = range(1, max(len(shape), 2))
    return min(splits, key=lambda s: math.prod(shape[:s]) + math.prod(shape[s:]))

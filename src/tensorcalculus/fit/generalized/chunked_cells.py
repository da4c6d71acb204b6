"""The loss over an array that is read a block at a time, from a disk or in a cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.data.blocks import blocks_of, rows_in
from tensorcalculus.fit.data.chunked import Block, Chunked
from tensorcalculus.fit.data.observed import Observed, block_of
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.generalized.chunked_samples import ChunkedSamples
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells
from tensorcalculus.fit.losses import Loss


class ChunkedCells:
    """A loss summed over the blocks of an array.

    The loss of a block depends on the rows of the factors that it meets; its gradients are added
    to these rows, block by block in their order, so that results do not depend on who computed
    them.  Arrays of dask stay where its scheduler holds them, as tasks of blocks; a block that is
    lost with its worker is made again.  Those of other kinds are read anew in each pass.

    Parameters
    ----------
    found
        Chunked data, and which cells are known.
    loss
        What is summed.
    """

    def __init__(self, found: Observed, loss: Loss) -> None:
        values = found.data.values
        assert isinstance(values, Chunked)
        self.shape = found.data.shape
        self.count = found.count
        self._found, self._loss = found, loss
        self._blocks = blocks_of(values, partial(_cells, loss), found.known_in)
        self._known: list[tuple[float, list[np.ndarray], float, list[np.ndarray]]] | None = None

    def value_gradients(self, factors: Sequence[np.ndarray]) -> tuple[float, Factors]:
        """The sum of the losses, and its gradient by each factor ``[n_k, r]``."""
        places = self._blocks.places
        rows = [rows_in(where, factors) for where in places]
        total, gradients = [], [np.zeros_like(u) for u in factors]
        found = self._blocks.ask(_value_gradients, rows)
        for where, (value, parts) in zip(places, found, strict=True):
            total.append(value)
            for g, part, rows_of in zip(gradients, parts, where, strict=True):
                g[rows_of] += part
        return (math.fsum(total) if np.isfinite(total).all() else sum(total)), gradients

    def samples(self) -> ChunkedSamples:
        """The same cells, to be drawn."""
        return ChunkedSamples(self._found, self._loss)

    def moments(self) -> tuple[float, float]:
        """Mean of the observed data and of their squares."""
        first = second = 0.0
        for (mean, square), _, count in self._sums():
            first, second = first + mean * count, second + square * count
        return first / max(self.count, 1), second / max(self.count, 1)

    def slice_means(self) -> list[np.ndarray]:
        """For each mode the means of the observed data in its slices, ``[n_k]``."""
        sums = [np.zeros(n) for n in self.shape]
        counts = [np.zeros(n) for n in self.shape]
        for where, (_, slices, _) in zip(self._blocks.places, self._sums(), strict=True):
            for k, (means, seen) in enumerate(slices):
                sums[k][where[k]] += means * seen
                counts[k][where[k]] += seen
        return [s / np.maximum(c, 1) for s, c in zip(sums, counts, strict=True)]

    def _sums(self) -> list[Any]:
        """What starts are made of, by one pass."""
        if self._known is None:
            self._known = list(self._blocks.ask(_sums, [()] * len(self._blocks.places)))
        return self._known


def _value_gradients(cells: Cells, *factors: np.ndarray) -> tuple[float, Factors]:
    return cells.value_gradients(factors)


def _sums(cells: Any) -> tuple[Any, Any, int]:
    slices = list(zip(cells.slice_means(), cells.slice_counts(), strict=True))
    return cells.moments(), slices, cells.count


def _cells(loss: Loss, values: Any, where: Block, known: np.ndarray | None) -> Cells:
    """A block with its loss, checked.  Called in the processes of a cluster."""
    if type(values).__module__.startswith("sparse"):
        from tensorcalculus.fit.generalized.sparse_cells import SparseCells

        stored = SparseTensor.from_sparse(values)
        loss.check(stored.values)
        missing = None
        if known is not None:
            cells = np.argwhere(~known)
            missing = SparseTensor(cells, np.zeros(len(cells)), stored.shape)
        return SparseCells(stored, loss, missing)
    dense = block_of(values, where, known)
    loss.check(dense)
    return DenseCells(dense, loss, None if known is None else known.astype(np.float64))

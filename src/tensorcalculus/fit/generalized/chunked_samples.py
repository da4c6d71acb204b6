"""Samples of an array that is read a block at a time: cells for many iterations by one request."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tensorcalculus.compiler.pointwise import import_numba
from tensorcalculus.errors import InputError
from tensorcalculus.fit.data.cells import Places
from tensorcalculus.fit.data.chunked import Chunked
from tensorcalculus.fit.data.observed import Observed
from tensorcalculus.fit.generalized.sampling import Stratum, room
from tensorcalculus.fit.losses import Loss

FETCHED = 10**6
"""Cells that are asked for at a time, about."""

Known = Callable[[np.ndarray], np.ndarray | None]


class FetchedStratum(Stratum):
    """All cells of an array, whose numbers are fetched for many draws together.

    Each request may have to read all chunks, whatever the number of cells.  Cells that are drawn
    and unknown get the weight 0.
    """

    def __init__(self, array: Chunked, known: Known, loss: Loss, number: int, size: int) -> None:
        super().__init__(room(number, array.shape, size), loss.pair, size, None)
        self._array, self._known, self._loss = array, known, loss
        self._number = number
        self._many = max(1, FETCHED // number)
        self._sides = np.array(array.shape, np.uint64)
        self._held: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}
        self._batch = -1

    def coming(self, number: int, stream: Callable[[int], np.uint64]) -> None:
        """Fetch the cells of all draws from `number` on that are not there yet."""
        batch = number // self._many
        if batch == self._batch:
            return
        streams = [stream(n) for n in range(batch * self._many, (batch + 1) * self._many)]
        cells = np.concatenate([self._cells(s) for s in streams])
        values, known = self._numbers(cells)
        parts = np.split(values, self._many)
        seen = [None] * self._many if known is None else np.split(known, self._many)
        self._held = {int(s): pair for s, *pair in zip(streams, parts, seen, strict=True)}  # type: ignore[misc]
        self._batch = batch

    def draw(self, stream: np.uint64) -> None:
        into = self.points
        into.indices[:] = self._cells(stream)
        held = self._held.get(int(stream))
        values, known = held if held is not None else self._numbers(into.indices)
        into.values[:] = values
        if known is not None:
            assert into.weights is not None
            into.weights[:] = known * (self._array.size / self._number)

    def _cells(self, stream: np.uint64) -> np.ndarray:
        from tensorcalculus.fit.kernels import random_cells

        cells = np.empty_like(self.points.indices)
        random_cells.from_all(stream, self._sides, cells)
        return cells

    def _numbers(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Values of cells, 0 where they are unknown, and which are known (None: all)."""
        values = np.asarray(self._array.take(cells), dtype=np.float64)
        known = self._known(cells)
        if known is not None:
            values = np.where(known, values, 0.0)
        if not np.isfinite(values).all():
            place = cells[int(np.argmin(np.isfinite(values)))].tolist()
            raise InputError(f"X: the number in the cell {place} is not finite")
        self._loss.check(values)
        return values, known


class ChunkedSamples:
    """Cells of an array on a disk or in a cluster; see :class:`FetchedStratum`."""

    kinds, steady = ("uniform",), "uniform"

    def __init__(self, found: Observed, loss: Loss) -> None:
        assert isinstance(found.data.values, Chunked)
        self._array, self._found, self._loss = found.data.values, found, loss
        self.shape, self.count = found.data.shape, found.count

    def sizes(self, kind: str, estimate: bool) -> tuple[int, ...]:
        """Of n cells n/100, from 1000 to 10 000; at most 10^6 to estimate the loss."""
        if estimate:
            return (min(10**6, self.count),)
        return (min(max(1000, math.ceil(self.count / 100)), 10_000),)

    def strata(self, kind: str, sizes: Sequence[int]) -> list[Stratum]:
        """One stratum, of all cells."""
        import_numba("samples of cells")
        return [FetchedStratum(self._array, self._known(), self._loss, sizes[0], self._array.size)]

    def _known(self) -> Known:
        known, unknown = self._found.known, self._found.unknown
        if unknown is not None:
            places = Places(unknown, self.shape)
            return lambda cells: places.find(cells) < 0
        if isinstance(known, Chunked):
            return lambda cells: np.asarray(known.take(cells), dtype=bool)
        if known is not None:
            return lambda cells: known[tuple(cells.T)]
        return lambda cells: None

"""Samples of cells with weights, by which sums of losses over all cells are estimated.

Cells fall into strata.  Of a stratum of S cells, s are drawn uniformly with replacement; their
losses, times S/s, add up to that of the stratum on average, and so do gradients.

============== ================================= ========================================
sampling       strata                            loss of a cell that is drawn
============== ================================= ========================================
uniform        all observed cells                ``f(x, m)``
stratified     stored cells                      ``f(x, m)``
\\             observed zeros, by rejection      ``f(0, m)``
semi-          stored cells                      ``f(x, m) - f(0, m)``
stratified     all cells whatsoever              ``f(0, m)``
\\             missing cells, if there are any   ``-f(0, m)``
============== ================================= ========================================

A stratum of which no fewer cells are wanted than it has is summed exactly.

T. G. Kolda, D. Hong, Stochastic gradients for large-scale tensor decomposition, SIAM J. Math. Data
Sci. 2 (2020), Sec. 4; the third stratum of the last is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from tensorcalculus.compiler.pointwise import Pointwise, import_numba
from tensorcalculus.errors import InputError
from tensorcalculus.fit.data.cells import index_type
from tensorcalculus.fit.kernels.fused import adding_gradients, loss
from tensorcalculus.fit.kernels.ordering import morton_order
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.losses import Loss

EPOCH = 1000
"""Iterations by which sizes of samples are reckoned."""

RARE = 1 / 16
"""Share of cells below which those that are wanted are listed rather than found by rejection."""

Fill = Callable[[np.uint64], Any]


class Stratum:
    """Cells, of which some are drawn.

    Attributes
    ----------
    points
        Arrays for the cells that are drawn, with their values and weights.
    pair
        The loss of one of them.
    size
        How many cells the stratum has.
    """

    def __init__(self, points: Points, pair: Pointwise, size: int, fill: Fill | None) -> None:
        self.points = points
        self.pair = pair
        self.size = size
        self._fill = fill

    def coming(self, number: int, stream: Callable[[int], np.uint64]) -> None:
        """Told before cells are drawn for a number, with the streams that belong to numbers."""

    def draw(self, stream: np.uint64) -> None:
        """Other cells, those that belong to a stream of random numbers."""
        if self._fill is not None:
            self._fill(stream)


class SampledCells(Protocol):
    """Data of which cells can be drawn."""

    shape: tuple[int, ...]
    count: int
    """How many cells are observed."""
    kinds: tuple[str, ...]
    """Samplings that suit the data, the default first."""
    steady: str
    """That by which values of the loss are estimated."""

    def sizes(self, kind: str, estimate: bool) -> tuple[int, ...]:
        """How many cells to draw by default, of stored ones and zeros where these are apart."""
        ...

    def strata(self, kind: str, sizes: Sequence[int]) -> list[Stratum]:
        """Samples whose sums estimate the loss over all observed cells."""
        ...


class Gradient:
    """Estimates of the gradient by all factors.

    Parameters
    ----------
    strata
        See :meth:`SampledCells.strata`.
    factors, sums
        Arrays of the factors, and those to which gradients are added; read anew at each call.
    numbers
        A seed, and what else tells these samples from others.
    """

    def __init__(
        self,
        strata: Sequence[Stratum],
        factors: Sequence[np.ndarray],
        sums: Sequence[np.ndarray],
        *numbers: int,
    ) -> None:
        self._strata = strata
        self._begin = _begins(strata, numbers)
        self._add = [adding_gradients(s.points, factors, s.pair.compiled, sums) for s in strata]

    def add(self, number: int) -> None:
        """Draw the cells that belong to this number and add their gradients."""
        from tensorcalculus.fit.kernels.random_numbers import stream

        for stratum, begin, add in zip(self._strata, self._begin, self._add, strict=True):
            stratum.coming(number, partial(stream, behind=begin))
            stratum.draw(stream(number, behind=begin))
            add()


class Estimate:
    """The loss over all observed cells, estimated by a sample that is drawn once.

    Differences of models are then seen although the loss itself is known to some digits only.
    """

    def __init__(self, strata: Sequence[Stratum], shape: Sequence[int], *numbers: int) -> None:
        self._parts = []
        for stratum, begin in zip(strata, _begins(strata, numbers), strict=True):
            stratum.draw(np.uint64(begin))
            drawn = stratum.points
            order = morton_order(drawn.indices, shape)
            weights = None if drawn.weights is None else drawn.weights[order]
            points = Points(drawn.indices[order], drawn.values[order], shape, weights)
            self._parts.append((points, stratum.pair.compiled))

    def value(self, factors: Sequence[np.ndarray]) -> float:
        """The estimate at a model."""
        return sum(loss(points, factors, pair) for points, pair in self._parts)


def _begins(strata: Sequence[Stratum], numbers: Sequence[int]) -> list[int]:
    """For each stratum the stream that belongs to some numbers."""
    import_numba("samples of cells")
    from tensorcalculus.fit.kernels.random_numbers import stream

    return [int(stream(*numbers, k)) for k in range(len(strata))]


# -- data ----------------------------------------------------------------------------------------


class DenseSamples:
    """Cells of a dense array, of which those with weight 0 are missing; see :class:`DenseCells`."""

    kinds, steady = ("uniform",), "uniform"

    def __init__(self, x: np.ndarray, loss: Loss, weights: np.ndarray | None = None) -> None:
        self.shape = x.shape
        self.count = x.size if weights is None else int(np.count_nonzero(weights))
        self._x = np.ascontiguousarray(x).reshape(-1)
        self._weights = None if weights is None else np.ascontiguousarray(weights).reshape(-1)
        self._loss = loss

    def sizes(self, kind: str, estimate: bool) -> tuple[int, ...]:
        """Of n cells n/100, at least 1000; n/10, at least 10^6, to estimate the loss."""
        least, part = (10**6, 10) if estimate else (1000, EPOCH // 10)
        return (max(least, math.ceil(self.count / part)),)

    def strata(self, kind: str, sizes: Sequence[int]) -> list[Stratum]:
        """One stratum, of the cells that are observed."""
        x, weights, pair = self._x, self._weights, self._loss.pair
        number = sizes[0]
        if number >= self.count or self.count < RARE * x.size:
            held = np.arange(x.size) if weights is None else np.flatnonzero(weights)
            cells = _cells_at(held, self.shape)
            kept = None if weights is None else weights[held].astype(np.float64)
            return [_of_list(cells, x[held], self.shape, pair, number, kept)]
        from tensorcalculus.fit.kernels import random_cells

        points = room(number, self.shape, self.count)
        into, found, weighing = points.indices, points.values, points.weights
        sides = np.array(self.shape, np.uint64)
        if weights is None:

            def fill(stream: np.uint64) -> None:
                random_cells.from_array(stream, x, sides, into, found)
        else:
            factor = self.count / number

            def fill(stream: np.uint64) -> None:
                random_cells.from_masked_array(
                    stream, x, weights, factor, sides, into, found, weighing
                )

        return [Stratum(points, pair, self.count, fill)]


class StoredSamples:
    """The points of a tensor of which the other cells are unknown."""

    kinds, steady = ("uniform",), "uniform"

    def __init__(self, x: Points, loss: Loss) -> None:
        self.shape, self.count = x.shape, len(x)
        self._x, self._loss = x, loss

    def sizes(self, kind: str, estimate: bool) -> tuple[int, ...]:
        """As of stored cells where zeros are data; see :meth:`SparseSamples.sizes`."""
        return (_of_stored(self.count, estimate),)

    def strata(self, kind: str, sizes: Sequence[int]) -> list[Stratum]:
        """One stratum, of the stored cells."""
        x = self._x
        return [_of_list(x.indices, x.values, x.shape, self._loss.pair, sizes[0], x.weights)]


class SparseSamples:
    """All cells of a sparse tensor, zeros included, but for those that are missing.

    Parameters
    ----------
    x
        The cells that are stored, missing ones not among them.
    loss
        What is summed.
    missing
        Cells of which nothing is known; their values do not matter.
    """

    kinds, steady = ("semi-stratified", "stratified", "uniform"), "stratified"

    def __init__(self, x: Points, loss: Loss, missing: Points | None = None) -> None:
        self.shape = x.shape
        self._x, self._loss = x, loss
        self._missing = x.indices[:0] if missing is None else missing.indices
        self._all = math.prod(x.shape)
        self.count = self._all - len(self._missing)

    def sizes(self, kind: str, estimate: bool) -> tuple[int, ...]:
        """Of n stored cells 3n/1000, at least 1000, and as many zeros; n/100, at least 10^5, to
        estimate the loss.  Numbers of the Tensor Toolbox for MATLAB (Kolda and Hong, Sec. 5).

        Uniform samples have as many cells in all.
        """
        number = _of_stored(len(self._x), estimate)
        return (2 * number,) if kind == "uniform" else (number, number)

    def strata(self, kind: str, sizes: Sequence[int]) -> list[Stratum]:
        """One stratum if uniform, two if stratified, two or three if semi-stratified."""
        if kind == "uniform":
            return self._uniform(sizes[0])
        x = self._x
        half = kind == "semi-stratified"
        pair = self._loss.remainder if half else self._loss.pair
        made = [_of_list(x.indices, x.values, x.shape, pair, sizes[0])] if len(x) else []
        return made + (self._anywhere(sizes[1]) if half else self._zeros(sizes[1]))

    def _uniform(self, number: int) -> list[Stratum]:
        x, pair = self._x, self._loss.pair
        if number >= self.count or self.count < RARE * self._all:
            others = self._unlisted()
            cells = np.concatenate([x.indices, others])
            values = np.concatenate([x.values, np.zeros(len(others))])
            return [_of_list(cells, values, x.shape, pair, number)]
        from tensorcalculus.fit.kernels import random_cells

        table = self._table(with_rows=True)
        points = room(number, self.shape, self.count)
        into, found, values = points.indices, points.values, x.values

        def fill(stream: np.uint64) -> None:
            random_cells.looked_up(stream, table, values, into, found)

        return [Stratum(points, pair, self.count, fill)]

    def _zeros(self, number: int) -> list[Stratum]:
        """Observed zeros, by rejection of what is stored or missing."""
        zeros, pair = self.count - len(self._x), self._loss.at_zero
        if not zeros:
            return []
        if number >= zeros or zeros < RARE * self._all:
            cells = self._unlisted()
            return [_of_list(cells, np.zeros(len(cells)), self.shape, pair, number)]
        from tensorcalculus.fit.kernels import random_cells

        table, points = self._table(), room(number, self.shape, zeros)
        into = points.indices

        def fill(stream: np.uint64) -> None:
            random_cells.from_others(stream, table, into)

        return [Stratum(points, pair, zeros, fill)]

    def _anywhere(self, number: int) -> list[Stratum]:
        """All cells as if they were zeros, and missing ones taken off again."""
        pair = self._loss.at_zero
        if number >= self._all:
            cells = _cells_at(np.arange(self._all), self.shape)
            made = [_of_list(cells, np.zeros(len(cells)), self.shape, pair, number)]
        else:
            from tensorcalculus.fit.kernels import random_cells

            points = room(number, self.shape, self._all)
            into, sides = points.indices, np.array(self.shape, np.uint64)

            def fill(stream: np.uint64) -> None:
                random_cells.from_all(stream, sides, into)

            made = [Stratum(points, pair, self._all, fill)]
        if len(self._missing):
            # As large a part of the missing cells as of all.
            part = math.ceil(number * len(self._missing) / self._all)
            values = np.zeros(len(self._missing))
            less = _of_list(self._missing, values, self.shape, pair, part)
            assert less.points.weights is not None
            less.points.weights *= -1.0
            made.append(less)
        return made

    def _unlisted(self) -> np.ndarray:
        """All cells that are neither stored nor missing; there are few, or few cells in all."""
        free = np.ones(self._all, bool)
        for cells in (self._x.indices, self._missing):
            free[np.ravel_multi_index(tuple(cells.T), self.shape)] = False
        return _cells_at(np.flatnonzero(free), self.shape)

    def _table(self, *, with_rows: bool = False) -> Any:
        import_numba("samples of cells")
        from tensorcalculus.fit.kernels.cell_table import table_of

        cells = self._x.indices
        if len(self._missing):
            cells = np.concatenate([cells, self._missing])
        return table_of(cells, self.shape, with_rows=with_rows)


def _of_stored(count: int, estimate: bool) -> int:
    return max(10**5, math.ceil(count / 100)) if estimate else max(
        1000, math.ceil(3 * count / EPOCH)
    )  # fmt: skip


def _cells_at(positions: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cells from their positions in the whole array."""
    made = np.empty((len(positions), len(shape)), index_type(shape))
    for k, column in enumerate(np.unravel_index(positions, shape)):
        made[:, k] = column
    return made


def room(number: int, shape: tuple[int, ...], size: int) -> Points:
    """Arrays for cells that are drawn from so many."""
    return Points(
        np.zeros((number, len(shape)), index_type(shape)), np.zeros(number), shape,
        np.full(number, size / number),
    )  # fmt: skip


def _of_list(
    cells: np.ndarray, values: np.ndarray, shape: tuple[int, ...], pair: Pointwise, number: int,
    weights: np.ndarray | None = None,
) -> Stratum:  # fmt: skip
    """The stratum of cells that are listed."""
    size = len(cells)
    if number >= size:
        whole = np.ones(size) if weights is None else weights.astype(np.float64)
        numbers = values.astype(np.float64)
        points = Points(np.ascontiguousarray(cells), numbers, shape, whole)
        return Stratum(points, pair, size, None)
    import_numba("samples of cells")
    from tensorcalculus.fit.kernels import random_cells

    points = room(number, shape, size)
    into, found, weighing = points.indices, points.values, points.weights
    if weights is None:

        def fill(stream: np.uint64) -> None:
            random_cells.from_list(stream, cells, values, into, found)
    else:
        factor, given = size / number, weights

        def fill(stream: np.uint64) -> None:
            random_cells.from_weighted_list(
                stream, cells, values, given, factor, into, found, weighing
            )

    return Stratum(points, pair, size, fill)


def checked_sizes(
    cells: SampledCells,
    kind: str | None,
    samples: int | Sequence[int] | None,
    *,
    estimate: bool = False,
) -> tuple[str, tuple[int, ...]]:
    """The sampling and the sizes that a user asks for, or the defaults.

    Raises
    ------
    InputError
        For a sampling that does not suit the data, and sizes that are no positive integers.
    """
    name = "estimate_samples" if estimate else "samples"
    chosen = kind or (cells.steady if estimate else cells.kinds[0])
    if chosen not in cells.kinds:
        raise InputError(
            f"sampling: {' or '.join(map(repr, cells.kinds))} is expected for these data, not"
            f" {kind!r}"
        )
    automatic = cells.sizes(chosen, estimate)
    if samples is None:
        return chosen, automatic
    numbers = (samples,) * len(automatic) if isinstance(samples, int | np.integer) else samples
    good = isinstance(numbers, tuple | list) and len(numbers) == len(automatic)
    if not good or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in numbers
    ):
        two = " or two, of stored cells and of zeros," if len(automatic) == 2 else ""
        raise InputError(
            f"{name}: a positive integer{two} is expected for {chosen} sampling, not {samples!r}"
        )
    return chosen, tuple(int(n) for n in numbers)

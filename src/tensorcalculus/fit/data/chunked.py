"""Arrays that stay on disk, or in a cluster, and are read a block at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.data.cells import checked_cells

BUDGET = 2**25
"""Bytes of a block: large enough for fast products, small beside any memory."""

Block = tuple[slice, ...]
"""Where a block lies, a slice for each mode."""


class Chunked:
    """An array of NumPy's memory maps, zarr or dask, whose numbers stay where they are.

    Blocks follow the chunks of the source, so that each is read once in a pass; small chunks are
    put together up to a budget, along the axes in which they lie next to each other.  A chunk of
    zarr or dask that is larger than the budget is read as a whole, as there is no other way.

    Parameters
    ----------
    source
        ``np.memmap``, ``zarr.Array`` or ``dask.array.Array``.
    budget
        Bytes of a block.

    Raises
    ------
    InputError
        For objects of another kind, and numbers that are not real.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from tensorcalculus.fit.data.chunked import Chunked
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     x = np.memmap(file, np.float64, "w+", shape=(100, 20, 30))
    ...     blocks = [values.shape for _, values in Chunked(x, budget=2**18).blocks()]
    >>> blocks
    [(54, 20, 30), (46, 20, 30)]
    """

    __slots__ = ("_load", "_order", "_take", "budget", "dtype", "edges", "shape", "source")

    def __init__(self, source: Any, budget: int = BUDGET) -> None:
        self.source = source
        if any(n != n for n in source.shape):
            raise InputError(
                "the sizes of the chunks of a dask array are unknown: x.compute_chunk_sizes()"
            )
        self.shape: tuple[int, ...] = tuple(int(n) for n in source.shape)
        self.dtype = np.dtype(source.dtype)
        self.budget = budget
        if self.dtype.kind not in "biuf":
            raise InputError(f"real numbers are expected, not a chunked array of {self.dtype}")
        if not self.shape or 0 in self.shape:
            raise ShapeError(f"axes, none of length 0, are expected, not the shape {self.shape}")
        self._load, self._take = _readers(source)
        self.edges = _edges(source, self.shape)
        # Axes from the one along which numbers lie next to each other.
        backwards = isinstance(source, np.ndarray) and not source.flags.c_contiguous
        self._order = range(self.ndim) if backwards else range(self.ndim - 1, -1, -1)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of cells."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """What the whole array would take in memory."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        sides = " x ".join(map(str, self.shape))
        return f"Chunked {sides}: {len(self.grid())} blocks, {self.dtype}, {_origin(self.source)}"

    def grid(self) -> list[Block]:
        """Where the blocks lie; together they are the array."""
        most = max(self.budget // self.dtype.itemsize, 1)
        longest = [int(np.diff(e).max()) for e in self.edges]
        size = math.prod(longest)
        merged: list[list[int]] = [[] for _ in self.shape]
        for k in self._order:
            count = max(1, min(most // size, len(self.edges[k]) - 1))
            size *= count
            merged[k] = [*self.edges[k][:-1:count], self.shape[k]]
        return list(product(*([slice(a, b) for a, b in pairwise(e)] for e in merged)))

    def blocks(self) -> Iterator[tuple[Block, np.ndarray]]:
        """Blocks in the order in which they lie on disk: where each is, and its numbers."""
        for where in self.grid():
            yield where, self.load(where)

    def load(self, where: Block) -> np.ndarray:
        """The numbers of one block, of the type of the source."""
        return np.asarray(self._load(where))

    def take(self, cells: Any) -> np.ndarray:
        """The numbers in cells ``[n, d]``; of zarr and dask whole chunks are read for them."""
        made = checked_cells(cells, self.shape, "cells")
        if not len(made):
            return np.empty(0, self.dtype)
        return np.asarray(self._take(tuple(np.ascontiguousarray(made.T))))

    def to_dense(self) -> np.ndarray:
        """The whole array in memory; InputError where that is too small."""
        from tensorcalculus.networks.arrays import check_memory

        check_memory(
            self.size, np.empty(0, self.dtype), "to_dense: the array", "read it block by block"
        )
        made = np.empty(self.shape, self.dtype)
        for where, values in self.blocks():
            made[where] = values
        return made


def is_chunked(x: Any) -> bool:
    """Whether an object is an array that :class:`Chunked` reads; nothing is imported to see it."""
    return isinstance(x, np.memmap) or _origin(x) in ("zarr", "dask")


def _origin(x: Any) -> str:
    return type(x).__module__.split(".")[0]


def _readers(source: Any) -> tuple[Callable[[Block], Any], Callable[[tuple], Any]]:
    """How a block, and how the numbers of some cells, are read."""
    if isinstance(source, np.ndarray):
        return source.__getitem__, source.__getitem__
    origin = _origin(source)
    if origin == "zarr" and hasattr(source, "vindex"):
        return source.__getitem__, lambda cells: source.vindex[cells]
    if origin == "dask" and hasattr(source, "vindex"):
        return lambda where: source[where].compute(), lambda cells: _taken(source, cells)
    raise InputError(
        f"np.memmap, zarr.Array or dask.array.Array is expected, not {type(source).__name__} of"
        f" {origin}"
    )


def _taken(source: Any, cells: tuple[np.ndarray, ...]) -> np.ndarray:
    """Numbers of a dask array, chunk by chunk: its `vindex` takes some 0.1 ms for each of them."""
    from dask.base import compute
    from dask.delayed import delayed

    edges = _edges(source, source.shape)
    inside = [np.searchsorted(e, i, side="right") - 1 for e, i in zip(edges, cells, strict=True)]
    chunks = source.to_delayed()
    which = np.ravel_multi_index(tuple(inside), chunks.shape)
    order = np.argsort(which, kind="stable")
    met, first = np.unique(which[order], return_index=True)
    rows = np.split(order, first[1:])
    pick, asked = delayed(_pick, pure=False), []
    for chunk, mine in zip(met, rows, strict=True):
        place = np.unravel_index(int(chunk), chunks.shape)
        starts = [e[i] for e, i in zip(edges, place, strict=True)]
        local = tuple(i[mine] - s for i, s in zip(cells, starts, strict=True))
        asked.append(pick(chunks[place], local))
    made = np.empty(len(which), source.dtype)
    for mine, values in zip(rows, compute(*asked), strict=True):
        made[mine] = values
    return made


def _pick(chunk: Any, cells: tuple[np.ndarray, ...]) -> np.ndarray:
    values = chunk[cells]
    return np.asarray(values.todense() if hasattr(values, "todense") else values)


def _edges(source: Any, shape: Sequence[int]) -> list[list[int]]:
    """The bounds of chunks along each axis."""
    if isinstance(source, np.ndarray):
        return [list(range(n + 1)) for n in shape]
    chunks = source.chunks
    if _origin(source) == "dask":
        return [[0, *np.cumsum(axis).tolist()] for axis in chunks]
    return [[*range(0, n, step), n] for n, step in zip(shape, chunks, strict=True)]

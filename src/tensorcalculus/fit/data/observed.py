"""Which cells of the data are known: all, those of a mask, or those that are stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.data.cells import CellKeys, Places, checked_cells, index_type
from tensorcalculus.fit.data.chunked import Block, Chunked, is_chunked
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.fit.data.reading import Data, read_data
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.networks.arrays import is_array, like, numpy_of

STORED = "stored"


@dataclass(frozen=True, eq=False)
class Observed:
    """Data, and which of its cells count."""

    data: Data
    """In a dense array unknown cells are 0, whatever was there."""
    count: int
    """How many cells are known."""
    known: np.ndarray | Chunked | None = None
    """Of dense and chunked data: an array that is True where a cell is known; None: everywhere."""
    weights: np.ndarray | None = None
    """Of dense data: what the losses of cells are multiplied by, 0 where a cell is unknown; None:
    by 1 where it is known."""
    stored: bool = False
    """Of sparse data: whether no cells but the stored ones are known."""
    unknown: np.ndarray | None = None
    """Of sparse data: the unknown cells ``[m, d]`` in lexicographic order; none of them is
    stored."""

    def known_in(self, where: Block) -> np.ndarray | None:
        """Which cells of a block of chunked data are known (None: all)."""
        known = self.known
        if known is None and self.unknown is None:
            return None
        if self.unknown is not None:
            starts, stops = np.array([(s.start, s.stop) for s in where]).T
            inside = ((self.unknown >= starts) & (self.unknown < stops)).all(1)
            made = np.ones(tuple(stops - starts), bool)
            made[tuple((self.unknown[inside] - starts).T)] = False
            return made
        if isinstance(known, Chunked):
            return _booleans(known.load(where))
        assert known is not None
        return known[where]


def observe(x: Any, mask: Any = None, missing: Any = None, name: str = "X") -> Observed:
    """Data with its known cells, checked.

    Parameters
    ----------
    x
        Whatever :func:`tensorcalculus.fit.data.reading.read_data` reads.
    mask
        Which cells are known.  None: all; of sparse data those that are not stored are 0.  An array
        of the shape of the data, True (or 1) where a cell is known; for chunked data it may be
        chunked itself, and for dense data it may hold weights, which are not negative.  A sparse
        tensor of ones at the known cells.  Or ``"stored"``: of sparse data only the stored cells
        are known.
    missing
        The opposite, for few unknown cells: their indices ``[n, d]``.  A cell may be listed twice.

    Notes
    -----
    What dense and chunked arrays hold in unknown cells does not matter, NaN included.  A stored
    cell of a sparse tensor that is unknown is an error, as data would be lost without a word:
    ``X.without(cells)`` takes such cells out.

    Raises
    ------
    InputError, ShapeError
        For masks of another shape or with entries that mean nothing, no known cells, stored cells
        that are unknown, and known cells that are not finite: how many, and where.

    Examples
    --------
    >>> import numpy as np
    >>> from tensorcalculus.fit.data.observed import observe
    >>> x = np.array([[1.0, np.nan], [3.0, 4.0]])
    >>> found = observe(x, mask=~np.isnan(x))
    >>> found.count, found.data.values.tolist()
    (3, [[1.0, 0.0], [3.0, 4.0]])
    """
    data = read_data(x, name)
    if mask is not None and missing is not None:
        raise InputError("mask and missing say the same in two ways; give one of them")
    if missing is not None:
        made = _missing(data, missing)
    elif mask is None:
        made = Observed(data, math.prod(data.shape))
    elif isinstance(mask, str):
        made = _stored(data, mask)
    else:
        made = _masked(data, mask)
    if not made.count:
        raise InputError("mask: no cell is known; at least one is expected")
    if data.kind != "dense":
        return made
    dense = data.numpy()
    known = made.known if isinstance(made.known, np.ndarray) else None
    filled = cleared(dense, known, name, [0] * dense.ndim)
    if filled is dense:
        return made
    return replace(made, data=replace(data, values=like(filled, data.home)))


# -- the ways to say what is known -----------------------------------------------------------------


def _stored(data: Data, word: str) -> Observed:
    if word != STORED:
        raise InputError(f"mask: an array, a sparse tensor or 'stored' is expected, not {word!r}")
    if not isinstance(data.values, SparseTensor):
        raise InputError(
            f"mask: 'stored' is for sparse tensors; the data are {data.kind}. Give an array that is"
            " True where they are known, such as ~np.isnan(X)"
        )
    return Observed(data, data.values.nnz, stored=True)


def _missing(data: Data, missing: Any) -> Observed:
    cells = checked_cells(missing, data.shape, "missing").astype(index_type(data.shape))
    if len(cells):
        order = np.unique(CellKeys(cells, data.shape).keys, return_index=True)[1]
        cells = cells[order]
    count = math.prod(data.shape) - len(cells)
    if data.kind == "dense":
        known = np.ones(data.shape, bool)
        known[tuple(cells.T)] = False
        return Observed(data, count, known)
    if isinstance(data.values, SparseTensor):
        _none_lost(data.values, cells[data.values.positions(cells) >= 0], "missing")
    return Observed(data, count, unknown=cells)


def _masked(data: Data, mask: Any) -> Observed:
    """Of a mask of any kind."""
    if isinstance(mask, Chunked) or is_chunked(mask):
        known = mask if isinstance(mask, Chunked) else Chunked(mask)
        _same_shape(known.shape, data.shape)
        if data.kind == "chunked":
            counts = (np.count_nonzero(_booleans(part)) for _, part in known.blocks())
            return Observed(data, sum(map(int, counts)), known)
        return _by_array(data, _booleans(known.to_dense()))
    if is_array(mask) and type(mask).__module__.split(".")[0] not in ("sparse", "scipy", "xarray"):
        return _by_numbers(data, numpy_of(mask))
    read = read_data(mask, "mask")
    _same_shape(read.shape, data.shape)
    _same_labels(read.labels, data.labels)
    if isinstance(read.values, Chunked):
        return _masked(data, read.values)
    if not isinstance(read.values, SparseTensor):
        return _by_numbers(data, read.numpy())
    return _by_cells(data, read.values.indices[_booleans(read.values.values)])


def _by_numbers(data: Data, mask: np.ndarray) -> Observed:
    """Of an array that may hold weights."""
    if data.kind != "dense" or mask.dtype.kind not in "iuf" or ((mask == 0) | (mask == 1)).all():
        return _by_array(data, _booleans(mask))
    if not (np.isfinite(mask).all() and mask.min() >= 0):
        raise InputError(
            "mask: True and False, or weights that are finite and not negative, are expected"
        )
    return replace(_by_array(data, mask != 0), weights=mask.astype(np.float64, copy=False))


def _by_array(data: Data, known: np.ndarray) -> Observed:
    _same_shape(known.shape, data.shape)
    count = int(np.count_nonzero(known))
    if not isinstance(data.values, SparseTensor):
        return Observed(data, count, known)
    x = data.values
    _none_lost(x, x.indices[~known[tuple(x.indices.T)]], "mask")
    if 2 * count < known.size:
        return _by_cells(data, np.argwhere(known))
    cells = np.argwhere(~known).astype(index_type(x.shape))
    return Observed(data, count, unknown=cells)


def _by_cells(data: Data, cells: np.ndarray) -> Observed:
    if not isinstance(data.values, SparseTensor):
        known = np.zeros(data.shape, bool)
        known[tuple(cells.T)] = True
        return Observed(data, len(cells), known)
    x = data.values
    _none_lost(x, x.indices[Places(cells, x.shape).find(x.indices) < 0], "mask")
    # What is known and not stored is 0: then the stored cells are the known ones.
    scarce = SparseTensor._made(cells, x[cells], x.shape)
    return Observed(replace(data, values=scarce), len(cells), stored=True)


# -- checks ----------------------------------------------------------------------------------------


def _same_shape(found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(found) != expected:
        raise ShapeError(
            f"mask: the shape of the data, {expected}, is expected, not {tuple(found)}"
        )


def _same_labels(found: Labels, expected: Labels) -> None:
    """A table or a DataArray says what its indices are: they must be those of the data."""
    if not (found.given and expected.given):
        return
    if found.names != expected.names:
        raise InputError(
            f"mask: modes called {list(expected.names)} are expected, as in the data, not"
            f" {list(found.names)}"
        )
    for name, a, b in zip(found.names, found.coordinates, expected.coordinates, strict=True):
        if a is not None and b is not None and not np.array_equal(a, b):
            raise InputError(f"mask: the labels of {name!r} are not those of the data, in order")


def _booleans(mask: np.ndarray) -> np.ndarray:
    if mask.dtype.kind == "b":
        return mask
    if mask.dtype.kind not in "iuf":
        raise InputError(f"mask: True or False, or 1 and 0, are expected, not {mask.dtype}")
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        raise InputError(
            f"mask: True or False, or 1 and 0, are expected, not {mask[wrong].flat[0]}; only"
            " cells of dense data have weights"
        )
    return mask != 0


def _none_lost(x: SparseTensor, lost: np.ndarray, name: str) -> None:
    if len(lost):
        raise InputError(
            f"{name}: {len(lost)} of {x.nnz} stored cells of the data are unknown, such as"
            f" {lost[0].tolist()}; take them out first, X.without(cells), or count them as known"
        )


def block_of(values: Any, where: Block, known: np.ndarray | None) -> np.ndarray:
    """The numbers of a block as floats, 0 in unknown cells (None: all are known).

    Raises InputError for a number that is known and not finite.
    """
    kind = np.float32 if values.dtype == np.float32 else np.float64
    dense = np.ascontiguousarray(values, dtype=kind)
    return cleared(dense, known, "X", [part.start for part in where])


def cleared(
    values: np.ndarray, known: np.ndarray | None, name: str, offset: list[int]
) -> np.ndarray:
    """Numbers with 0 where they are unknown; a copy only where they are not finite there."""
    finite = np.isfinite(values)
    if finite.all():
        if known is None or known.all():
            return values
        return np.where(known, values, values.dtype.type(0))
    wrong = ~finite if known is None else known & ~finite
    count = int(np.count_nonzero(wrong))
    if count:
        cell = np.unravel_index(int(np.argmax(wrong)), values.shape)
        place = [int(i) + o for i, o in zip(cell, offset, strict=True)]
        what = "numbers in known cells" if known is not None else f"of {values.size} numbers"
        raise InputError(
            f"{name}: {count} {what} are NaN or infinite, the first, {values[cell]}, at {place}; if"
            " they are unknown, say so: mask=np.isfinite(X)"
        )
    assert known is not None
    return np.where(known, values, values.dtype.type(0))

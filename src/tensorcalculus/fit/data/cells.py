"""Cells of a tensor as single numbers: which are listed twice, where one stands in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError

_MOST = 2**63
"""Keys are of 64 bits with a sign."""

_WIDE = 2**31
"""Sides from which indices need 64 bits."""


def index_type(shape: Sequence[int]) -> type[np.signedinteger]:
    """The type of indices into a shape."""
    return np.int64 if max(shape, default=0) >= _WIDE else np.int32


def checked_cells(cells: Any, shape: Sequence[int] | None, name: str) -> np.ndarray:
    """An array of integers ``[n, d]`` that lie in the shape, if there is one; else an error."""
    made = np.asarray(cells)
    if made.ndim != 2 or made.shape[1] == 0:
        raise ShapeError(
            f"{name}: an array [n, d] is expected, a row for each cell, not of shape {made.shape}"
        )
    if shape is not None and made.shape[1] != len(shape):
        raise ShapeError(
            f"{name}: {len(shape)} columns are expected, one for each side of {tuple(shape)}, not"
            f" {made.shape[1]}"
        )
    if made.dtype.kind not in "iu":
        if made.size:
            raise InputError(f"{name}: integers are expected, not {made.dtype}")
        made = made.astype(np.int64)
    # Column by column: a table of booleans as large as the indices would be made otherwise.
    for k in range(made.shape[1] if len(made) else 0):
        column = made[:, k]
        most = _MOST - 2 if shape is None else int(shape[k]) - 1
        if column.min() < 0 or column.max() > most:
            raise _outside(made, shape, name)
    # NumPy adds integers with and without a sign as floating-point numbers.
    return made.astype(np.int64) if made.dtype.kind == "u" else made


def _outside(cells: np.ndarray, shape: Sequence[int] | None, name: str) -> InputError:
    wrong = (cells < 0) | (cells > _MOST - 2)
    if shape is not None:
        wrong |= cells >= np.array(shape)
    rows = np.flatnonzero(wrong.any(1))
    row = rows[0]
    mode = int(np.flatnonzero(wrong[row])[0])
    allowed = "not negative" if shape is None else f"from 0 to {shape[mode] - 1}"
    return InputError(
        f"{name}: row {row} is {cells[row].tolist()}, whose mode {mode} has the index"
        f" {cells[row, mode]}; {allowed} is expected"
        + (f" (one of {len(rows)} such rows)" if len(rows) > 1 else "")
    )


class CellKeys:
    """One integer for each cell, in lexicographic order of cells.

    The key is the position in the array as it would lie in memory.  Where 64 bits are too few for
    that, what the leading modes gave is replaced by its rank among the listed cells first, as often
    as it takes; so equal keys always are equal cells.
    """

    def __init__(self, cells: np.ndarray, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.tables: dict[int, np.ndarray] = {}
        size, keys = 1, np.zeros(len(cells), np.int64)
        for k, n in enumerate(self.shape):
            if size * n > _MOST:
                table = np.unique(keys)
                keys, size = np.searchsorted(table, keys), len(table)
                self.tables[k] = table
                if size * n > _MOST:
                    raise InputError(
                        f"shape: {len(cells)} cells with a side of {n} are too many to be told"
                        " apart by 64 bits"
                    )
            keys *= n
            keys += cells[:, k]
            size *= n
        self.keys = keys

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Keys of other cells; -1 for those which cannot be among the listed ones."""
        keys = np.zeros(len(cells), np.int64)
        known = np.ones(len(cells), bool)
        for k, n in enumerate(self.shape):
            if k in self.tables:
                table = self.tables[k]
                place = np.minimum(np.searchsorted(table, keys), max(len(table) - 1, 0))
                known &= table[place] == keys if len(table) else False
                keys = place
            keys = keys * n + cells[:, k]
        return np.where(known, keys, -1)


def repeated(keys: np.ndarray) -> bool:
    """Whether a key occurs twice."""
    if (keys[1:] > keys[:-1]).all():
        return False
    ordered = np.sort(keys)
    return bool((ordered[1:] == ordered[:-1]).any())


def first_repetition(keys: np.ndarray) -> tuple[int, int, int]:
    """Of keys with repetitions: two rows that are equal, the later as early as possible, and how
    many rows repeat an earlier one.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    later = int(order[again].min())
    earlier = int(order[np.searchsorted(ordered, keys[later])])
    return earlier, later, len(again)


class Places:
    """Where cells stand in a list of distinct ones, by bisection in its sorted keys."""

    def __init__(self, cells: np.ndarray, shape: Sequence[int]) -> None:
        self._made = CellKeys(cells, shape)
        keys = self._made.keys
        ordered = len(keys) == 0 or bool((keys[1:] > keys[:-1]).all())
        self._order = None if ordered else np.argsort(keys)
        self._keys = keys if self._order is None else keys[self._order]

    def find(self, cells: np.ndarray) -> np.ndarray:
        """The row of each cell, -1 where it is not in the list."""
        if not len(self._keys):
            return np.full(len(cells), -1)
        keys = self._made.of(cells)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found = self._keys[place] == keys
        row = place if self._order is None else self._order[place]
        return np.where(found, row, -1)

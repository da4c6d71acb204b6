"""Which cells of a tensor are listed, and where: a hash table for compiled loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from tensorcalculus.fit.kernels.random_numbers import below, mixed

FULL = 0.6
"""Share of the slots that are taken at most."""

_FREE = np.uint64(2**64 - 1)
"""A slot that is free; no key is this number."""


class CellTable(NamedTuple):
    """Keys of cells by open addressing; made by :func:`table_of`."""

    keys: np.ndarray
    """``[s]``: the key in each slot."""
    rows: np.ndarray
    """``[s]``: the row of the cell in the list; of length 0 where nobody asks for it."""
    sides: np.ndarray
    exact: bool
    """Whether keys are positions in the whole array, else hashes of 63 bits: of a tensor of more
    than 2^63 cells.  Among n cells a given other one has the key of one with probability n/2^63."""


def table_of(cells: np.ndarray, shape: Sequence[int], *, with_rows: bool = False) -> CellTable:
    """The table of distinct cells ``[n, d]``; `with_rows` for :func:`row_in`."""
    slots = int(len(cells) / FULL) + 2
    rows = np.empty(slots if with_rows else 0, np.int32 if len(cells) < 2**31 else np.int64)
    made = CellTable(
        np.full(slots, _FREE), rows, np.array(shape, np.uint64), math.prod(shape) < 2**63
    )
    _fill(made, cells)
    return made


@njit(error_model="numpy", inline="always")
def key_of(table, cells, at):  # type: ignore[no-untyped-def]
    """The key of the cell in one row of an array."""
    key = np.uint64(0)
    if table.exact:
        for k in range(cells.shape[1]):
            key = key * table.sides[k] + np.uint64(cells[at, k])
        return key
    for k in range(cells.shape[1]):
        key = mixed(key + np.uint64(cells[at, k]))
    return key >> np.uint64(1)


@njit(error_model="numpy")
def slot_of(table, key):  # type: ignore[no-untyped-def]
    """The slot that holds a key, or the free one where it belongs."""
    count = np.uint64(len(table.keys))
    slot = below(mixed(key), count)
    while table.keys[slot] != _FREE and table.keys[slot] != key:
        slot += np.uint64(1)
        if slot == count:
            slot = np.uint64(0)
    return slot


@njit(error_model="numpy")
def holds(table, cells, at):  # type: ignore[no-untyped-def]
    """Whether a cell is listed."""
    return table.keys[slot_of(table, key_of(table, cells, at))] != _FREE


@njit(error_model="numpy")
def row_in(table, cells, at):  # type: ignore[no-untyped-def]
    """The row of a cell in the list, -1 where it is not listed."""
    slot = slot_of(table, key_of(table, cells, at))
    return np.int64(-1) if table.keys[slot] == _FREE else np.int64(table.rows[slot])


@njit(error_model="numpy", nogil=True)
def _fill(table, cells):  # type: ignore[no-untyped-def]
    for i in range(len(cells)):
        key = key_of(table, cells, i)
        slot = slot_of(table, key)
        table.keys[slot] = key
        if len(table.rows):
            table.rows[slot] = i

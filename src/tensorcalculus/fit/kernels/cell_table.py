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

MARKS = 8
"""Bits for each cell that is listed, which tell of seven in eight others that they are not: these
bits lie in a cache where the slots do not."""

_FREE = np.uint64(2**64 - 1)
"""A slot that is free; no key is this number."""

_ONE, _SIX, _REST = np.uint64(1), np.uint64(6), np.uint64(63)


class CellTable(NamedTuple):
    """Keys of cells by open addressing; made by :func:`table_of`."""

    keys: np.ndarray
    """``[s]``: the key in each slot."""
    rows: np.ndarray
    """``[s]``: the row of the cell in the list; of length 0 where nobody asks for it."""
    marks: np.ndarray
    """Words of 64 bits, of which those are set that belong to a key in the table."""
    sides: np.ndarray
    exact: bool
    """Whether keys are positions in the whole array, else hashes of 63 bits: of a tensor of more
    than 2^63 cells.  Among n cells a given other one has the key of one with probability n/2^63."""


def table_of(cells: np.ndarray, shape: Sequence[int], *, with_rows: bool = False) -> CellTable:
    """The table of distinct cells ``[n, d]``; `with_rows` for :func:`row_in`."""
    slots = int(len(cells) / FULL) + 2
    rows = np.empty(slots if with_rows else 0, np.int32 if len(cells) < 2**31 else np.int64)
    marks = np.zeros(MARKS * len(cells) // 64 + 1, np.uint64)
    sides = np.array(shape, np.uint64)
    made = CellTable(np.full(slots, _FREE), rows, marks, sides, math.prod(shape) < 2**63)
    _fill(made, cells)
    return made


@njit(error_model="numpy", forceinline=True)
def key_of(table, cells, at):
    """The key of the cell in one row of an array."""
    key = np.uint64(0)
    if table.exact:
        for k in range(cells.shape[1]):
            key = key * table.sides[k] + np.uint64(cells[at, k])
        return key
    for k in range(cells.shape[1]):
        key = mixed(key + np.uint64(cells[at, k]))
    return key >> np.uint64(1)


@njit(error_model="numpy", forceinline=True)
def mark_of(table, mix):
    """The word and the bit in it that a mixed key sets."""
    bit = below(mix, np.uint64(64 * len(table.marks)))
    return bit >> _SIX, _ONE << (bit & _REST)


@njit(error_model="numpy", forceinline=True)
def slot_of(table, key, mix):
    """The slot that holds a key, or the free one where it belongs."""
    count = np.uint64(len(table.keys))
    slot = below(mix, count)
    while table.keys[slot] != _FREE and table.keys[slot] != key:
        slot += _ONE
        if slot == count:
            slot = np.uint64(0)
    return slot


@njit(error_model="numpy", forceinline=True)
def slot_with(table, cells, at):
    """The slot that holds the cell in one row of an array, -1 where none does."""
    key = key_of(table, cells, at)
    mix = mixed(key)
    word, bit = mark_of(table, mix)
    if table.marks[word] & bit == np.uint64(0):
        return np.int64(-1)
    slot = slot_of(table, key, mix)
    return np.int64(-1) if table.keys[slot] == _FREE else np.int64(slot)


@njit(error_model="numpy", forceinline=True)
def holds(table, cells, at):
    """Whether a cell is listed."""
    return slot_with(table, cells, at) >= 0


@njit(error_model="numpy", forceinline=True)
def row_in(table, cells, at):
    """The row of a cell in the list, -1 where it is not listed."""
    slot = slot_with(table, cells, at)
    return np.int64(-1) if slot < 0 else np.int64(table.rows[slot])


@njit(error_model="numpy", nogil=True)
def _fill(table, cells):
    for i in range(len(cells)):
        key = key_of(table, cells, i)
        mix = mixed(key)
        word, bit = mark_of(table, mix)
        table.marks[word] |= bit
        slot = slot_of(table, key, mix)
        table.keys[slot] = key
        if len(table.rows):
            table.rows[slot] = i

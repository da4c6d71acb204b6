"""Cells of tensors drawn at random, with replacement, in compiled loops.

All functions fill arrays for a stream of random numbers, see `random_numbers`.  Imported where
numba is known to be installed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tensorcalculus.fit.kernels.cell_table import holds, row_in
from tensorcalculus.fit.kernels.random_numbers import STRIDE, below, mixed

compiled = njit(error_model="numpy", nogil=True)


@compiled
def from_list(stream, cells, values, into, found):
    """Cells of a list, and the numbers that belong to them."""
    count = np.uint64(len(cells))
    for i in range(len(into)):
        stream += STRIDE
        row = below(mixed(stream), count)
        for k in range(cells.shape[1]):
            into[i, k] = cells[row, k]
        found[i] = values[row]


@compiled
def from_weighted_list(stream, cells, values, weights, factor, into, found, weighing):
    """The same with weights, which are multiplied by a factor."""
    count = np.uint64(len(cells))
    for i in range(len(into)):
        stream += STRIDE
        row = below(mixed(stream), count)
        for k in range(cells.shape[1]):
            into[i, k] = cells[row, k]
        found[i] = values[row]
        weighing[i] = factor * weights[row]


@compiled
def from_all(stream, sides, into):
    """Any cells."""
    for i in range(len(into)):
        for k in range(into.shape[1]):
            stream += STRIDE
            into[i, k] = below(mixed(stream), sides[k])


@compiled
def from_others(stream, table, into):
    """Cells that a table does not hold, by rejection."""
    for i in range(len(into)):
        listed = True
        while listed:
            for k in range(into.shape[1]):
                stream += STRIDE
                into[i, k] = below(mixed(stream), table.sides[k])
            listed = holds(table, into, i)


@compiled
def looked_up(stream, table, values, into, found):
    """Any cells with their values: 0 where the table does not hold them.

    Rows of the table beyond the values are cells that are missing, which are rejected.
    """
    for i in range(len(into)):
        row = np.int64(len(values))
        while row >= len(values):
            for k in range(into.shape[1]):
                stream += STRIDE
                into[i, k] = below(mixed(stream), table.sides[k])
            row = row_in(table, into, i)
        found[i] = values[row] if row >= 0 else 0.0


@compiled
def from_array(stream, x, sides, into, found):
    """Cells of an array, which is given as one row, with their values."""
    for i in range(len(into)):
        at = np.uint64(0)
        for k in range(into.shape[1]):
            stream += STRIDE
            index = below(mixed(stream), sides[k])
            into[i, k] = index
            at = at * sides[k] + index
        found[i] = x[at]


@compiled
def from_masked_array(stream, x, weights, factor, sides, into, found, weighing):
    """The same where weights are not 0, by rejection; weights are multiplied by a factor."""
    for i in range(len(into)):
        weight = 0.0
        while weight == 0.0:
            at = np.uint64(0)
            for k in range(into.shape[1]):
                stream += STRIDE
                index = below(mixed(stream), sides[k])
                into[i, k] = index
                at = at * sides[k] + index
            weight = float(weights[at])
        found[i] = x[at]
        weighing[i] = factor * weight

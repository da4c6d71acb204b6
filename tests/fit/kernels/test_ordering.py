"""The Z-curve, against interleaved bits as Python integers."""

import numpy as np
import pytest

from tensorcalculus.fit.kernels.ordering import morton_order


def key(cell, shape):
    """Bits from the highest level down, modes in turn; a mode that has no such bit is left out."""
    bits = [(n - 1).bit_length() for n in shape]
    text = ""
    for level in reversed(range(max(bits))):
        for i, b in zip(cell, bits, strict=True):
            if level < b:
                text += str(int(i) >> level & 1)
    return int(text or "0", 2)


@pytest.mark.parametrize(
    "shape", [(5,), (8, 8), (3, 17), (1, 9, 4), (5000, 3, 70000), (2, 3, 4, 5, 6)]
)
def test_order_of_interleaved_bits(shape):
    rng = np.random.default_rng(0)
    cells = np.unique(np.stack([rng.integers(0, n, 300) for n in shape], 1), axis=0)
    order = morton_order(cells.astype(np.int32), shape)
    keys = [key(cell, shape) for cell in cells[order]]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    assert sorted(order) == list(range(len(cells)))


def test_more_bits_than_a_key_holds():
    shape = (2**40, 2**30, 2**20)
    rng = np.random.default_rng(0)
    cells = np.stack([rng.integers(0, n, 500) for n in shape], 1)
    order = morton_order(cells, shape)
    keys = [key(cell, shape) >> (90 - 64) for cell in cells[order]]
    assert keys == sorted(keys)


def test_no_cells_and_sides_of_one():
    assert morton_order(np.zeros((0, 3), np.int32), (4, 5, 6)).shape == (0,)
    assert morton_order(np.zeros((1, 2), np.int32), (1, 1)).tolist() == [0]

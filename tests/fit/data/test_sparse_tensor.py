"""Sparse tensors beside dense arrays; what their constructors refuse."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus.networks as tn
from tensorcalculus import InputError, ShapeError, SparseTensor
from tensorcalculus.fit.data.cells import CellKeys, Places, first_repetition, repeated


def drawn(shape=(5, 4, 6), density=0.3, seed=0):
    """A dense array with zeros, and the same as a sparse tensor of shuffled cells."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape) * (rng.random(shape) < density)
    cells = rng.permutation(np.argwhere(a))
    return a, SparseTensor(cells, a[tuple(cells.T)], shape)


def test_dense_and_back():
    a, x = drawn()
    assert np.array_equal(x.to_dense(), a)
    assert SparseTensor.from_dense(a).equals(x)
    assert (x.nnz, x.size, x.ndim) == (np.count_nonzero(a), a.size, 3)
    assert x.density == np.count_nonzero(a) / a.size
    assert x.norm() == pytest.approx(np.linalg.norm(a), rel=1e-14)
    assert x.indices.dtype == np.int32 and x.indices.flags.c_contiguous


def test_values_of_cells():
    a, x = drawn()
    cells = np.argwhere(np.ones_like(a))[::-1]
    assert np.array_equal(x[cells], a[tuple(cells.T)])
    assert x[2, 1, 3] == a[2, 1, 3]
    assert x[np.empty((0, 3), int)].shape == (0,)
    rows = x.positions(cells)
    assert np.array_equal(x.indices[rows[rows >= 0]], cells[rows >= 0])
    empty = SparseTensor(np.empty((0, 3), int), [], a.shape)
    assert not empty[cells].any()
    with pytest.raises(InputError, match=r"cells: row 1 is \[0, 4, 0\], whose mode 1 has the .* 4"):
        x[np.array([[0, 0, 0], [0, 4, 0]])]
    with pytest.raises(InputError, match="3 integers"):
        x[1, 2]


@pytest.mark.parametrize(
    "shape", [(7,), (3, 1, 2), (2**40, 2**40, 2**40), (2**31 - 1,) * 4, (10**6,) * 9]
)
def test_cells_of_any_shape(shape):
    # Positions as Python integers, which have no bound, are the oracle.
    rng = np.random.default_rng(1)
    cells = np.stack([rng.integers(0, n, 300) for n in shape], 1)
    cells[:, 0] = rng.integers(0, min(3, shape[0]), 300)
    cells[150:] = cells[rng.integers(0, 150, 150)]
    where = {}
    for i, cell in enumerate(map(tuple, cells.tolist())):
        where.setdefault(cell, i)
    assert repeated(CellKeys(cells, shape).keys)
    earlier, later, count = first_repetition(CellKeys(cells, shape).keys)
    assert count == 300 - len(where)
    first = next(i for i, c in enumerate(map(tuple, cells.tolist())) if where[c] != i)
    assert (later, earlier) == (first, where[tuple(cells[first].tolist())])
    kept = cells[sorted(where.values())]
    asked = np.concatenate([cells, np.stack([rng.integers(0, n, 300) for n in shape], 1)])
    place = {tuple(c): i for i, c in enumerate(kept.tolist())}
    expected = [place.get(tuple(c), -1) for c in asked.tolist()]
    assert Places(kept, shape).find(asked).tolist() == expected
    x = SparseTensor(kept, np.arange(len(kept)), shape)
    assert x.indices.dtype == (np.int64 if max(shape) >= 2**31 else np.int32)
    keys = CellKeys(kept, shape).keys
    order = sorted(range(len(kept)), key=lambda i: kept[i].tolist())
    assert np.argsort(keys).tolist() == order


def test_summed_is_a_sum():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, [3, 4, 2], (200, 3))
    values = rng.standard_normal(200)
    a = np.zeros((3, 4, 2))
    np.add.at(a, tuple(cells.T), values)
    x = SparseTensor.summed(cells, values, a.shape)
    assert np.abs(x.to_dense() - a).max() < 1e-13
    assert np.array_equal(x.indices, np.argwhere(a))
    assert SparseTensor.summed(np.empty((0, 2), int), [], (2, 2)).nnz == 0
    with pytest.raises(InputError, match="sum 0 is inf"):
        SparseTensor.summed([[0], [0]], [1e308, 1e308])


def test_duplicates_are_named():
    cells = [[0, 1], [2, 2], [0, 1], [2, 2], [0, 1]]
    with pytest.raises(InputError, match=r"rows 0 and 2 both are \[0, 1\], and 3 rows in all"):
        SparseTensor(cells, np.ones(5))
    with pytest.raises(InputError, match=r"rows 1 and 2 both are \[1\]; SparseTensor.summed"):
        SparseTensor([[0], [1], [1]], np.ones(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ([[0, 3]], [1.0], (2, 3)),
            r"row 0 is \[0, 3\], whose mode 1 has the index 3; from 0 to 2",
        ),
        (([[0, 0], [-1, 5]], [1.0, 2], (2, 3)), "row 1 .* mode 0 has the index -1"),
        (([[5, 0], [-1, 5], [0, 0]], [1.0, 2, 3], (2, 3)), "one of 2 such rows"),
        (([[-1, 5]], [1.0]), "index -1; not negative"),
        (([[0.0, 1.0]], [1.0]), "indices: integers are expected, not float64"),
        (([[0, 1]], [np.nan]), "values: number 0 is nan"),
        (([[0, 1], [1, 1]], [np.inf, np.nan]), "number 0 is inf, one of 2 that are not finite"),
        (([[0, 1]], [1j]), "real numbers are expected, not complex128"),
        (([[0, 1]], ["a"]), "real numbers are expected, not <U1"),
        (([[2**64 - 1]], [1.0]), "not negative|index 18446744073709551615"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        SparseTensor(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1.0]), r"an array \[n, d\] is expected"),
        (([[0, 1]], [1.0, 2.0]), "values: 1 numbers are expected"),
        (([[0, 1]], [1.0], (2, 3, 4)), "3 columns are expected"),
        (([[0, 1]], [1.0], (2, 0)), "positive integers"),
        (([[0, 1]], [1.0], (2.5, 2)), "positive integers"),
        (([[0, 1]], [1.0], 4), "positive integers"),
        ((np.empty((0, 2), int), []), "has to be given"),
    ],
)
def test_shapes_that_do_not_fit(arguments, message):
    with pytest.raises(ShapeError, match=message):
        SparseTensor(*arguments)


def test_types():
    assert SparseTensor([[0]], np.float32([1])).dtype == np.float32
    assert SparseTensor([[0]], [True]).dtype == np.float64
    assert SparseTensor(np.array([[3]], np.uint64), [1]).shape == (4,)
    x = drawn()[1].astype("float32")
    assert x.dtype == np.float32 and x[np.array([[0, 0, 0]])].dtype == np.float32
    with pytest.raises(InputError, match="float32 or float64"):
        x.astype(int)
    with pytest.raises(InputError, match="inf"), np.errstate(over="ignore"):
        SparseTensor([[0]], [1e300]).astype("float32")


def test_modes_in_another_order():
    a, x = drawn()
    assert np.array_equal(x.permute([2, 0, 1]).to_dense(), a.transpose(2, 0, 1))
    with pytest.raises(InputError, match="modes 0 to 2"):
        x.permute([0, 1])


def test_cells_left_out():
    a, x = drawn()
    gone = np.argwhere(np.ones_like(a))[::3]
    b = a.copy()
    b[tuple(gone.T)] = 0
    assert np.array_equal(x.without(gone).to_dense(), b)


def test_equals():
    _, x = drawn()
    order = np.random.default_rng(3).permutation(x.nnz)
    assert x.equals(SparseTensor(x.indices[order], x.values[order], x.shape))
    values = x.values.copy()
    values[0] += 1
    assert not x.equals(SparseTensor(x.indices, values, x.shape))
    assert not x.equals(SparseTensor(x.indices, x.values, (9, 9, 9)))
    assert not x.equals(drawn(seed=5)[1])


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_files(tmp_path, ending):
    _, x = drawn()
    for y in (x, x.astype("float32"), SparseTensor([[2**40, 0]], [1.5])):
        path = y.save(tmp_path / f"x.{ending}")
        z = SparseTensor.load(path)
        assert z.equals(y) and z.dtype == y.dtype and z.indices.dtype == y.indices.dtype

    other = tn.CP.random((2, 3), 1).save(tmp_path / f"cp.{ending}")
    with pytest.raises(InputError, match="holds a CP; a SparseTensor is expected"):
        SparseTensor.load(other)


def test_told_in_words():
    assert repr(SparseTensor([[1, 1]], [2.0])) == (
        "SparseTensor 2 x 2: 1 stored cell, density 0.25, float64"
    )


def test_too_large_for_a_dense_array():
    with pytest.raises(InputError, match="keep it sparse"):
        SparseTensor([[0, 0, 0]], [1.0], (10**6,) * 3).to_dense()

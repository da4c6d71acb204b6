"""Which cells count: masks of all kinds beside dense boolean arrays."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from fit_data import given_to, per_library

from tensorcalculus import InputError, ShapeError, SparseTensor
from tensorcalculus.fit.data.observed import Observed, observe

SHAPE = (5, 4, 6)


def drawn(density=0.3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(SHAPE) * (rng.random(SHAPE) < density)


def known_and_values(found: Observed) -> tuple[np.ndarray, np.ndarray]:
    """Dense booleans and numbers, 0 where unknown."""
    x = found.data.values
    if found.data.kind == "sparse":
        known = np.zeros(x.shape, bool) if found.stored else np.ones(x.shape, bool)
        if found.stored:
            known[tuple(x.indices.T)] = True
        if found.unknown is not None:
            known[tuple(found.unknown.T)] = False
        return known, x.to_dense()
    known = np.ones(x.shape, bool) if found.known is None else found.known
    return known, found.data.numpy()


@per_library
def test_dense_masks(library):
    rng = np.random.default_rng(1)
    a, known = rng.standard_normal(SHAPE), rng.random(SHAPE) < 0.6
    cells, gone = np.argwhere(known), np.argwhere(~known)
    holes = np.where(known, a, np.nan)
    masks = [
        {"mask": known}, {"mask": known.astype(int)}, {"mask": given_to(library, known)},
        {"mask": SparseTensor(cells, np.ones(len(cells)), SHAPE)},
        {"missing": gone}, {"missing": np.concatenate([gone[::-1], gone])},
    ]  # fmt: skip
    for options in masks:
        found = observe(given_to(library, holes), **options)
        assert type(found.data.values) is type(given_to(library, a))
        seen, values = known_and_values(found)
        assert np.array_equal(seen, known) and np.array_equal(values, np.where(known, a, 0))
        assert found.count == known.sum() < known.size
    assert observe(given_to(library, a)).count == a.size


def test_weights():
    rng = np.random.default_rng(0)
    weights = rng.choice([0, 0.5, 2.0], SHAPE)
    a = np.where(weights > 0, rng.standard_normal(SHAPE), np.nan)
    found = observe(a, mask=weights)
    assert np.array_equal(found.weights, weights) and np.array_equal(found.known, weights > 0)
    assert np.array_equal(found.data.values, np.where(weights > 0, a, 0))
    assert (observe(np.ones(SHAPE), mask=np.full(SHAPE, 2)).weights == 2).all()
    assert observe(a, mask=(weights > 0) * 1.0).weights is None
    with pytest.raises(InputError, match="only cells of dense data have weights"):
        observe(SparseTensor([[0, 0, 0]], [1.0], SHAPE), mask=weights)


def test_arrays_are_not_copied_without_need():
    a = np.ones(SHAPE)
    assert observe(a).data.values is a
    assert observe(a, mask=np.ones(SHAPE, bool)).data.values is a


@pytest.mark.parametrize("part", [0.2, 0.8])
def test_sparse_masks(part):
    rng = np.random.default_rng(2)
    known = rng.random(SHAPE) < part
    a = drawn() * known
    x = SparseTensor.from_dense(a)
    cells = rng.permutation(np.argwhere(known))
    ones = SparseTensor(cells, np.ones(len(cells), bool), SHAPE)
    for options in ({"mask": known}, {"mask": ones}, {"missing": np.argwhere(~known)}):
        found = observe(x, **options)
        seen, values = known_and_values(found)
        assert np.array_equal(seen, known) and np.array_equal(values, a)
        assert found.count == known.sum() and found.data.kind == "sparse"
    # A mask may list cells with 0: they are unknown.
    zeros = SparseTensor(np.argwhere(np.ones(SHAPE)), known.reshape(-1), SHAPE)
    assert np.array_equal(known_and_values(observe(x, mask=zeros))[0], known)


def test_stored_cells_only():
    x = SparseTensor.from_dense(drawn())
    found = observe(x, mask="stored")
    assert found.stored and found.count == x.nnz and found.data.values is x
    assert observe(x).count == np.prod(x.shape) and not observe(x).stored


def test_unknown_cells_are_sorted():
    x = SparseTensor([[0, 0, 0]], [1.0], SHAPE)
    found = observe(x, missing=[[4, 3, 5], [0, 0, 1], [4, 3, 5], [0, 0, 2]])
    assert found.unknown.tolist() == [[0, 0, 1], [0, 0, 2], [4, 3, 5]]
    assert found.count == x.size - 3
    huge = SparseTensor([[0, 0, 0]], [1.0], (10**9,) * 3)
    assert observe(huge, missing=[[5, 5, 5]]).count == 10**27 - 1


def test_matrices_of_scipy():
    a = drawn()[0]
    known = (a != 0) | (np.random.default_rng(0).random(a.shape) < 0.3)
    found = observe(scipy.sparse.csr_array(a), mask=scipy.sparse.csr_array(known))
    assert np.array_equal(known_and_values(found)[0], known)


def test_masks_with_labels():
    xarray, pandas = pytest.importorskip("xarray"), pytest.importorskip("pandas")
    a = drawn()[0]
    x = xarray.DataArray(a, dims=("i", "j"), coords={"i": list("abcd")})
    found = observe(x.where(x != 0), mask=x != 0)
    assert np.array_equal(known_and_values(found)[0], a != 0)
    with pytest.raises(InputError, match=r"modes called \['i', 'j'\] are expected"):
        observe(x, mask=(x != 0).rename(j="k"))
    with pytest.raises(InputError, match="labels of 'i' are not those of the data"):
        observe(x, mask=(x != 0).assign_coords(i=list("abdc")))
    frame = pandas.DataFrame({"i": [0, 1], "j": [0, 1], "v": [2.0, 3.0]})
    every = pandas.DataFrame({"i": [0, 1, 0], "j": [0, 1, 1], "v": [1, 1, 1]})
    found = observe(frame, mask=every)
    assert found.stored and found.count == 3 and found.data.labels.names == ("i", "j")


def test_stored_cells_that_are_unknown():
    a = drawn()
    x, known = SparseTensor.from_dense(a), np.ones(SHAPE, bool)
    lost = x.indices[[3, 7]]
    known[tuple(lost.T)] = False
    few = SparseTensor.from_dense(known)
    for options in ({"mask": known}, {"mask": few}, {"missing": lost}):
        with pytest.raises(InputError, match=rf"2 of {x.nnz} stored cells .* X.without\(cells\)"):
            observe(x, **options)
        y = x.without(lost)
        assert np.array_equal(known_and_values(observe(y, **options))[0], known)


def test_numbers_that_are_not_finite():
    a = drawn()
    a[1, 2, 3] = np.nan
    a[2, 2, 2] = np.inf
    with pytest.raises(InputError, match=r"X: 2 of 120 numbers .* nan, at \[1, 2, 3\]; .*mask="):
        observe(a)
    known = ~np.isnan(a)
    with pytest.raises(InputError, match=r"1 numbers in known cells .* inf, at \[2, 2, 2\]"):
        observe(a, mask=known)
    assert observe(a, mask=np.isfinite(a)).count == 118


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mask": np.ones((5, 4))}, ShapeError, r"mask: the shape .* \(5, 4, 6\), is expected"),
        ({"mask": np.full(SHAPE, -1)}, InputError, "weights that are finite and not negative"),
        ({"mask": np.full(SHAPE, np.nan)}, InputError, "weights that are finite and not negative"),
        ({"mask": np.full(SHAPE, "a")}, InputError, "mask: True or False"),
        ({"mask": np.zeros(SHAPE)}, InputError, "no cell is known"),
        ({"mask": "stored"}, InputError, "the data are dense"),
        ({"mask": "all"}, InputError, "'stored' is expected, not 'all'"),
        ({"mask": {}}, InputError, "^mask: an array"),
        ({"mask": SparseTensor([[0, 0]], [1.0])}, ShapeError, "mask: the shape"),
        ({"mask": SparseTensor([[0, 0, 0]], [2.0], SHAPE)}, InputError, "not 2.0"),
        ({"missing": [[0, 0]]}, ShapeError, "missing: 3 columns"),
        ({"missing": [[0, 0, 6]]}, InputError, "missing: row 0 .* mode 2 has the index 6"),
        ({"missing": [[0, 0, 0.0]]}, InputError, "missing: integers"),
        ({"mask": np.ones(SHAPE), "missing": [[0, 0, 0]]}, InputError, "give one of them"),
    ],
)
def test_what_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        observe(np.ones(SHAPE), **options)


def test_sparse_data_refuse_words():
    with pytest.raises(InputError, match="'stored' is expected"):
        observe(SparseTensor([[0]], [1.0]), mask="known")

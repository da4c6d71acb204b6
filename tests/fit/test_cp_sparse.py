"""CP models of sparse tensors: against plain code on the array, vanishing gradients, SciPy."""

import math

import numpy as np
import pytest
import scipy.sparse
from fit_data import as_cp, dense, drawn, plain_als, product

import tensorcalculus as tc
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit import sparse_mttkrp
from tensorcalculus.fit.sparse_mttkrp import SparseData

SHAPES = [(6, 5), (6, 5, 4), (3, 4, 2, 5)]


def sparse(shape, part=0.3, seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.choice(math.prod(shape), int(part * math.prod(shape)), replace=False)
    indices = np.stack(np.unravel_index(cells, shape), 1)
    return tc.SparseTensor(indices, rng.standard_normal(len(cells)), shape)


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """Whether tensors count as small enough to be looked at as arrays as well."""
    if request.param == "large":
        monkeypatch.setattr(sparse_mttkrp, "SMALL", 0)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_iterates_as_plain_code_on_the_array(shape, l2, size):
    x, start = sparse(shape), drawn(shape, 2, 5)
    if l2:
        sizes = [np.linalg.norm(u, axis=0) for u in start]
        even = np.prod(sizes, axis=0) ** (1 / len(shape))
        start = [u * (even / n) for u, n in zip(start, sizes, strict=True)]
    factors, losses = plain_als(x.to_dense(), start, 6, l2)
    made = tc.cp_als(x, 2, start=start, max_iterations=6, tol=0, l2=l2)
    np.testing.assert_allclose(made.loss_history, losses, rtol=1e-10)
    np.testing.assert_allclose(made.model.to_dense(), dense(factors), atol=1e-9)
    assert made.loss == pytest.approx(np.linalg.norm(x.to_dense() - dense(factors)) ** 2)
    assert made.fit == pytest.approx(1 - math.sqrt(made.loss) / np.linalg.norm(x.values))


def test_nonnegative_models_meet_their_conditions(size):
    x = sparse((8, 7, 6), 0.4)
    x = tc.SparseTensor(x.indices, np.abs(x.values), x.shape)
    made = tc.cp_als(x, 3, nonnegative=True, tol=1e-9, max_iterations=5000)
    assert made.converged
    factors = [made.model.factors[0], *made.model.factors[1:]]
    rest = dense(factors) - x.to_dense()
    for k, u in enumerate(factors):
        assert u.min() >= 0
        slope = product(rest, factors, k)
        scale = np.abs(product(x.to_dense(), factors, k)).max()
        assert np.abs(slope[u > 0]).max() < 1e-6 * scale
        assert slope[u == 0].min(initial=0.0) > -1e-6 * scale


@pytest.mark.parametrize("call", [tc.cp_als, tc.cp_opt])
def test_known_sparse_factors_are_found(call, size):
    rng = np.random.default_rng(1)
    factors = [rng.random((n, 3)) * (rng.random((n, 3)) < 0.4) for n in (20, 15, 12)]
    array = dense(factors)
    x = tc.SparseTensor(np.argwhere(array), array[array != 0], array.shape)
    assert x.nnz < 0.3 * array.size
    made = call(x, 3, starts=3)
    assert made.converged and made.fit > 1 - 1e-6
    assert made.model.match(as_cp(factors)).score > 1 - 1e-5


def test_what_is_known_of_small_tensors_only(monkeypatch):
    x = sparse((6, 5, 4))
    assert tc.cp_als(x, 2).diagnosis.core_consistency is not None
    monkeypatch.setattr(sparse_mttkrp, "SMALL", 0)
    diagnosis = tc.cp_als(x, 2).diagnosis
    assert diagnosis.core_consistency is None and "consistency" not in str(diagnosis)


def test_other_sparse_arrays():
    x = sparse((6, 5))
    expected = tc.cp_als(x.to_dense(), 2, seed=1)
    for given in (scipy.sparse.csr_array(x.to_dense()), scipy.sparse.coo_matrix(x.to_dense())):
        made = tc.cp_als(given, 2, seed=1)
        np.testing.assert_allclose(made.model.to_dense(), expected.model.to_dense(), atol=1e-8)
    package = pytest.importorskip("sparse")
    three = sparse((6, 5, 4))
    made = tc.cp_als(package.COO(three.to_dense()), 2, seed=1)
    same = tc.cp_als(three, 2, seed=1)
    np.testing.assert_allclose(made.model.to_dense(), same.model.to_dense(), atol=1e-8)


def test_single_precision():
    x = sparse((6, 5, 4))
    made = tc.cp_als(x.astype(np.float32), 2, seed=1)
    assert made.model.dtype == np.float32
    expected = tc.cp_als(x, 2, seed=1)
    assert made.loss == pytest.approx(expected.loss, rel=1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (30, 4, 5), (3, 14, 12)])
def test_singular_vectors_of_unfoldings(shape):
    x = sparse(shape, 0.5)
    data, array = SparseData(x), x.to_dense()
    for k in range(len(shape)):
        matrix = np.moveaxis(array, k, 0).reshape(shape[k], -1)
        expected = np.linalg.svd(matrix)[0]
        found = data.leading(k, 2)
        assert found.shape == (shape[k], 2)
        np.testing.assert_allclose(np.abs(np.diag(expected[:, :2].T @ found)), 1, rtol=1e-8)
    made = tc.cp_als(x, 2, start="hosvd", max_iterations=3, tol=0)
    same = tc.cp_als(array, 2, start="hosvd", max_iterations=3, tol=0)
    np.testing.assert_allclose(made.loss_history, same.loss_history, rtol=1e-8)


def test_no_stored_cell():
    x = tc.SparseTensor(np.zeros((0, 3), int), np.zeros(0), (4, 3, 2))
    made = tc.cp_als(x, 2)
    assert made.loss == 0 and not made.model.to_dense().any()


def test_arguments():
    x = sparse((6, 5, 4))
    with pytest.raises(InputError, match="'lm' is expected for sparse data and blocks"):
        tc.cp_opt(x, 2, method="lbfgs")
    with pytest.raises(InputError, match="give at most 20"):
        tc.cp_als(x, 21)
    with pytest.raises(ShapeError, match="at least 2 axes"):
        tc.cp_als(tc.SparseTensor([[0], [2]], [1.0, 2.0]), 1)

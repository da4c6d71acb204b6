"""Generalised CP of sparse tensors: sums over all cells from the stored ones, gradients, optima."""

import numpy as np
import pytest
from gcp_data import LOSSES, data_for, dense_loss, dense_model, factors_for, slope_along

import tensorcalculus as tc
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.sparse_cells import SparseCells, StoredCells

pytest.importorskip("numba")

EXACT = {
    "gaussian": LOSSES["gaussian"],
    "poisson": LOSSES["poisson"],
    "own": tc.Loss("(m-2*x)^2 + 3*m + 1/2"),
    "constant": tc.Loss("2 + x*exp(-m)"),
}
SHAPES = [(7, 5), (4, 3, 5), (3, 4, 2, 3), (2, 3, 2, 3, 2)]


def sparse_data(loss: tc.Loss, shape: tuple, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=shape) < 0.4, data_for(loss, shape, seed), 0.0)


def sparse(x: np.ndarray, seed: int = 3) -> tc.SparseTensor:
    """Stored cells in a random order, some zeros among them; NaN is never stored."""
    rng = np.random.default_rng(seed)
    kept = ((x != 0) | (rng.uniform(size=x.shape) < 0.1)) & np.isfinite(x)
    cells = np.argwhere(kept)[rng.permutation(int(kept.sum()))]
    return tc.SparseTensor(cells, x[tuple(cells.T)], x.shape)


def compare(cells, loss: tc.Loss, x: np.ndarray, mask: np.ndarray | None, factors) -> None:
    """Value, gradients, and what starts are made of, against the dense array."""
    value, gradients = cells.value_gradients(factors)
    oracle = DenseCells(x, loss, mask)
    expected = dense_loss(loss, x, factors, mask)
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-9)
    rng = np.random.default_rng(4)
    directions = [rng.standard_normal(u.shape) for u in factors]
    found = sum(float(np.vdot(g, d)) for g, d in zip(gradients, directions, strict=True))
    numeric = slope_along(lambda u: dense_loss(loss, x, u, mask), factors, directions)
    assert found == pytest.approx(numeric, rel=1e-7, abs=1e-6)
    assert cells.count == oracle.count
    np.testing.assert_allclose(cells.moments(), oracle.moments(), rtol=1e-12)
    for a, b in zip(cells.slice_means(), oracle.slice_means(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


CASES = [("poisson", shape) for shape in SHAPES] + [
    (name, (4, 3, 5)) for name in EXACT if name != "poisson"
]


@pytest.mark.parametrize(("name", "shape"), CASES, ids=str)
@pytest.mark.parametrize("holes", [False, True])
def test_all_cells_of_a_sparse_tensor(name: str, shape: tuple, holes: bool) -> None:
    loss = EXACT[name]
    x = sparse_data(loss, shape)
    gone = np.zeros(shape, bool)
    if holes:
        gone = (x == 0) & (np.random.default_rng(5).uniform(size=shape) < 0.3)
    stored = sparse(np.where(gone, np.nan, x))
    missing = None
    if holes:
        cells = np.argwhere(gone)
        missing = tc.SparseTensor(cells, np.zeros(len(cells)), shape)
    compare(
        SparseCells(stored, loss, missing), loss, x, (~gone).astype(float) if holes else None,
        factors_for(loss, shape, 3),
    )  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_stored_cells_alone(name: str) -> None:
    loss, shape = LOSSES[name], (4, 3, 5)
    x = data_for(loss, shape)
    known = np.random.default_rng(6).uniform(size=shape) < 0.5
    cells = np.argwhere(known)
    stored = tc.SparseTensor(cells, x[known], shape)
    compare(StoredCells(stored, loss), loss, x, known.astype(float), factors_for(loss, shape, 3))


@pytest.mark.parametrize("name", ["gaussian", "poisson"])
def test_fits_of_sparse_tensors_are_those_of_dense_arrays(name: str) -> None:
    rng = np.random.default_rng(7)
    x = rng.poisson(dense_model([rng.gamma(0.5, 1.0, (n, 2)) for n in (12, 10, 9)])).astype(float)
    start = [rng.uniform(0.5, 1.0, (n, 2)) for n in x.shape]
    dense = tc.gcp(x, 2, loss=name, start=start, tol=1e-8)
    found = tc.gcp(sparse(x), 2, loss=name, start=start, tol=1e-8)
    assert found.value == pytest.approx(dense.value, rel=1e-9)
    assert found.model.match(dense.model).congruence > 1 - 1e-6


def test_missing_cells_are_predicted() -> None:
    rng = np.random.default_rng(8)
    mean = dense_model([rng.gamma(0.5, 3.0, (n, 2)) for n in (15, 14, 13)])
    x = rng.poisson(mean).astype(float)
    held = rng.uniform(size=x.shape) < 0.2
    cells = np.argwhere((x != 0) & ~held)
    stored = tc.SparseTensor(cells, x[tuple(cells.T)], x.shape)
    fits = [
        tc.gcp(stored, 2, loss="poisson", missing=gone, starts=3)
        for gone in (np.argwhere(held), None)
    ]
    deviance = [
        float(np.sum(tc.Loss.named("poisson").pair(x[held], f.predict(np.argwhere(held)))[0]))
        for f in fits
    ]
    best = float(np.sum(tc.Loss.named("poisson").pair(x[held], mean[held])[0]))
    # Taken for zeros, they spoil the model; left out, they are nearly as likely as by the truth.
    assert 0 < deviance[0] - best < 0.2 * (deviance[1] - best)


def test_losses_of_zeros_that_are_no_polynomial_are_told() -> None:
    x = sparse(sparse_data(LOSSES["bernoulli"], (4, 3, 5)))
    with pytest.raises(tc.InputError, match="method='adam'"):
        tc.gcp(x, 2, loss="bernoulli", method="lbfgs")

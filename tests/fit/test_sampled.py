"""Sampled least squares: leverage scores, unbiased sums, fits that come near those of all data."""

import itertools
import math

import numpy as np
import pytest
from fit_data import dense, drawn, given_to, per_library

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.fit.fibres import DenseFibres, SparseFibres
from tensorcalculus.fit.leverage import draw_rows, leverage_probabilities


def khatri_rao(factors, cells):
    return np.prod([u[c] for u, c in zip(factors, cells.T, strict=True)], axis=0)


def skewed(n, rank, seed):
    """A factor with few heavy rows."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, rank)) * (0.02 + rng.random((n, 1)) ** 8)


def test_leverage_scores():
    u = skewed(30, 4, 0)
    q = np.linalg.qr(u)[0]
    np.testing.assert_allclose(leverage_probabilities(u), (q**2).sum(1) / 4)
    deficient = u @ np.outer(np.ones(4), np.ones(4))
    expected = np.linalg.svd(deficient)[0][:, 0] ** 2
    np.testing.assert_allclose(leverage_probabilities(deficient), expected, atol=1e-12)
    np.testing.assert_allclose(leverage_probabilities(np.zeros((5, 2))), 0.2)


@pytest.mark.parametrize("samples", [3, 40, 5000])
def test_the_heaviest_rows_stand_once(samples):
    p = [leverage_probabilities(skewed(n, 3, n)) for n in (9, 8, 7)]
    made = draw_rows(p, samples, np.random.default_rng(0))
    every = {c: math.prod(q[i] for q, i in zip(p, c, strict=True)) for c in itertools.product(
        range(9), range(8), range(7))}  # fmt: skip
    heavy = {c for c, chance in every.items() if chance >= 1 / samples}
    certain = [tuple(row) for row in made.cells[: made.certain].tolist()]
    assert sorted(certain) == sorted(heavy)
    assert (made.weights[: made.certain] == 1).all()
    others = [tuple(row) for row in made.cells[made.certain :].tolist()]
    assert not heavy & set(others)
    assert len(made.weights) == len(made.cells) == samples
    left = 1 - sum(every[c] for c in heavy)
    expected = [left / (len(others) * every[c]) for c in others]
    np.testing.assert_allclose(made.weights[made.certain :], expected)


def test_sums_have_the_right_expectation():
    """The mean of 2000 draws is within 5 standard errors of the sum over all rows, in 10 entries: a
    right method fails once in 100 000 runs.
    """
    u = [skewed(n, 2, n) for n in (9, 8, 7)]
    p = [leverage_probabilities(a) for a in u]
    every = np.array(list(itertools.product(range(9), range(8), range(7))))
    target = np.random.default_rng(1).standard_normal((len(every), 3))
    place = np.arange(len(every)).reshape(9, 8, 7)
    rng = np.random.default_rng(2)
    found = []
    for _ in range(2000):
        made = draw_rows(p, 25, rng)
        rows = khatri_rao(u, made.cells)
        beside = np.hstack([rows, target[place[tuple(made.cells.T)]]])
        found.append(rows.T @ (made.weights[:, None] * beside))
    rows = khatri_rao(u, every)
    expected = rows.T @ np.hstack([rows, target])
    error = np.std(found, axis=0) / math.sqrt(len(found))
    assert 0 < made.certain < 25
    assert (np.abs(np.mean(found, axis=0) - expected) < 5 * error).all()


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4), (3, 4, 2, 5)])
def test_fibres(shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape) * (rng.random(shape) < 0.5)
    stored = tc.SparseTensor.from_dense(x)
    for k in range(len(shape)):
        others = [n for j, n in enumerate(shape) if j != k]
        cells = np.stack([rng.integers(0, n, 12) for n in others], 1)
        rows = rng.standard_normal((12, 3))
        fibres = [np.moveaxis(x, k, -1)[tuple(c)] for c in cells]
        expected = np.sum([np.outer(f, r) for f, r in zip(fibres, rows, strict=True)], axis=0)
        np.testing.assert_allclose(DenseFibres(x).product(k, cells, rows), expected, atol=1e-12)
        made = SparseFibres(stored).product(k, cells, rows)
        np.testing.assert_allclose(made, expected, atol=1e-12)


@per_library
def test_an_exact_model_is_found_from_few_rows(library):
    # 60 of 600, 500 and 750 rows: whichever are drawn, the solution is the exact one.
    x = dense(drawn((25, 30, 20), 3, 2))
    made = tc.cp_als(given_to(library, x), 3, method="sampled", samples=60, starts=2)
    assert made.converged and made.fit > 1 - 1e-6
    assert made.method == "sampled"


def test_noise_is_fitted_nearly_as_well_as_by_all_data():
    rng = np.random.default_rng(0)
    x = dense(drawn((40, 35, 30), 3, 2))
    x += 0.2 * np.sqrt(np.mean(x**2)) * rng.standard_normal(x.shape)
    exact = tc.cp_als(x, 3)
    made = tc.cp_als(x, 3, method="sampled", samples=400, seed=1)
    assert exact.loss <= made.loss < 1.05 * exact.loss
    assert made.loss == pytest.approx(np.linalg.norm(x - made.model.to_dense()) ** 2)
    assert not made.converged and "has not fallen for 3 iterations" in made.message


def test_sparse_counts_with_bounds_and_ridge():
    rng = np.random.default_rng(0)
    rate = dense([rng.gamma(0.3, 1.0, (n, 3)) for n in (60, 50, 40)])
    x = tc.SparseTensor.from_dense(rng.poisson(0.5 * rate).astype(float))
    options = {"nonnegative": True, "l2": 0.1}
    exact = tc.cp_als(x, 3, **options)
    made = tc.cp_als(x, 3, method="sampled", samples=500, **options)
    factors = [u * made.weights ** (1 / 3) for u in made.factors]
    assert all(u.min() >= 0 for u in factors)
    value = np.linalg.norm(x.to_dense() - dense(factors)) ** 2
    value += 0.1 * sum(np.linalg.norm(u) ** 2 for u in factors)
    assert value == pytest.approx(min(made.loss_history))
    assert min(exact.loss_history) * (1 - 1e-9) <= value < 1.05 * min(exact.loss_history)


def test_samples_enough_for_all_rows_are_plain_sweeps():
    x = tc.SparseTensor.from_dense(dense(drawn((6, 5, 4), 4, 1)))
    start = drawn((6, 5, 4), 2, 5)
    made = tc.cp_als(x, 2, method="sampled", start=start, max_iterations=3, tol=0)
    plain = tc.cp_als(x, 2, start=start, max_iterations=15, tol=0)
    np.testing.assert_allclose(made.loss_history, plain.loss_history[4::5], rtol=1e-8)


def test_arguments():
    x = np.ones((4, 3, 2))
    with pytest.raises(InputError, match="'als' or 'sampled' is expected, not 'random'"):
        tc.cp_als(x, 1, method="random")
    with pytest.raises(InputError, match="only method='sampled' draws samples"):
        tc.cp_als(x, 1, samples=5)
    for wrong in (0, 2.5, True):
        with pytest.raises(InputError, match="samples: a positive integer"):
            tc.cp_als(x, 1, method="sampled", samples=wrong)
    zarr = pytest.importorskip("zarr")
    with pytest.raises(InputError, match="read block by block, not 'sampled'"):
        tc.cp_als(zarr.array(x, chunks=(2, 2, 2)), 1, method="sampled")
    with pytest.raises(InputError, match="complex arrays"):
        tc.cp_als(x + 1j, 1, method="sampled")

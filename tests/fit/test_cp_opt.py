"""Levenberg-Marquardt and L-BFGS: steps against dense Jacobians, difficult tensors."""

import jax
import numpy as np
import pytest
from fit_data import as_cp, collinear, dense, drawn, given_to, multiplication, per_library

import tensorcalculus as tc
from tensorcalculus.fit import damped
from tensorcalculus.fit.mttkrp import DenseData
from tensorcalculus.fit.quasi_newton import expanded_loss
from tensorcalculus.networks.arrays import numpy_of


def system(x, factors, l2):
    data = DenseData(x)
    data.put_all(factors)
    products = [data.mttkrp(k) for k in range(x.ndim)]
    return damped._System(factors, products, l2)


def dense_step(x, factors, l2, damping):
    """The damped Gauss-Newton step from the whole Jacobian, by JAX."""
    shapes = [u.shape for u in factors]
    ends = np.cumsum([0, *(u.size for u in factors)])
    flat = np.concatenate([u.reshape(-1) for u in factors])

    def parts(v):
        return [v[ends[k] : ends[k + 1]].reshape(s) for k, s in enumerate(shapes)]

    def residual(v):
        operands = []
        for k, u in enumerate(parts(v)):
            operands += [u, [k, 20]]
        return (jax.numpy.einsum(*operands, list(range(x.ndim))) - x).reshape(-1)

    J = np.asarray(jax.jacfwd(residual)(flat))
    g = J.T @ np.asarray(residual(flat)) + l2 * flat
    H = J.T @ J + l2 * np.eye(len(flat))
    step = -np.linalg.solve(H + damping * np.eye(len(flat)), g)
    return parts(step), parts(g), -(g @ step) - 0.5 * step @ H @ step


@pytest.mark.parametrize(
    ("shape", "rank"), [((3, 4), 2), ((5, 4, 6), 3), ((2, 4, 3), 4), ((3, 2, 4, 3), 2)]
)
@pytest.mark.parametrize("dense_up_to", [10_000, 0])
@pytest.mark.parametrize(("l2", "damping"), [(0.0, 0.3), (0.4, 1e-2)])
def test_steps_are_those_of_the_whole_jacobian(
    shape, rank, dense_up_to, l2, damping, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(damped, "MOST_DENSE", dense_up_to)
    monkeypatch.setattr(damped, "ACCURACY", 1e-13)
    x = np.random.default_rng(0).standard_normal(shape)
    factors = drawn(shape, rank, 1)
    made = system(x, factors, l2)
    step, slopes, predicted = dense_step(x, factors, l2, damping)
    size = max(np.abs(p).max() for p in step)
    for found, expected in zip(made.step(damping), step, strict=True):
        assert np.abs(found - expected).max() <= 1e-7 * size
    for found, expected in zip(made.slopes, slopes, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11)
    assert made.predicted(step, damping) == pytest.approx(predicted)


def test_conjugate_gradients_lead_to_the_same_fit(monkeypatch: pytest.MonkeyPatch):
    x = dense(drawn((8, 9, 7), 4, 3)) + 0.1 * np.random.default_rng(0).standard_normal((8, 9, 7))
    direct = tc.cp_opt(x, 4)
    monkeypatch.setattr(damped, "MOST_DENSE", 0)
    indirect = tc.cp_opt(x, 4)
    assert direct.converged and indirect.converged
    assert indirect.loss == pytest.approx(direct.loss, rel=1e-9)


@per_library
@pytest.mark.parametrize("method", ["lm", "lbfgs"])
def test_known_factors_are_found(library, method):
    factors = drawn((7, 6, 5), 3, 2)
    x = given_to(library, dense(factors))
    made = tc.cp_opt(x, 3, method=method)
    assert made.model.match(as_cp([given_to(library, u) for u in factors])).score > 1 - 1e-6
    assert type(made.model.cores[0]) is type(x)


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_expanded_loss_is_that_of_the_residual(order, l2):
    shape = (3, 4, 2, 3, 2)[:order]
    x, factors = np.random.default_rng(0).standard_normal(shape), drawn(shape, 3)
    f = expanded_loss(order, l2)
    given = {"X": x, **{f"U{k}": u for k, u in enumerate(factors)}}
    penalty = l2 * sum(np.linalg.norm(u) ** 2 for u in factors)
    expected = np.linalg.norm(x - dense(factors)) ** 2 - np.linalg.norm(x) ** 2 + penalty
    assert f(**given) == pytest.approx(expected, rel=1e-12)
    for k, u in enumerate(factors):
        # The loss is quadratic in one factor: central differences are exact but for rounding.
        slope = f.gradient(f"U{k}")(**given)
        for place in [(0, 0), (shape[k] - 1, 2)]:
            move = np.zeros_like(u)
            move[place] = 0.1
            ends = [
                np.linalg.norm(x - dense([*factors[:k], u + s * move, *factors[k + 1 :]])) ** 2
                + l2 * np.linalg.norm(u + s * move) ** 2
                for s in (1, -1)
            ]
            assert slope[place] == pytest.approx((ends[0] - ends[1]) / 0.2, rel=1e-9)


def test_strassen():
    # Seven products multiply two 2 x 2 matrices; 96 of the starts 0 to 99 find such, these too.
    x = multiplication(2)
    for seed in range(5):
        made = tc.cp_opt(x, 7, seed=seed, tol=1e-13)
        assert np.abs(numpy_of(made.model.to_dense()) - x).max() < 1e-10
        assert made.converged
    # Six do not, nor nearly (Landsberg 2006): one entry of the eight is missed.
    assert tc.cp_opt(x, 6, seed=1).loss == pytest.approx(1, abs=1e-9)


@pytest.mark.slow
def test_laderman():
    # 23 products for 3 x 3 matrices (Laderman 1976): a ridge that is let go keeps components small.
    # It leads to an exact model from 10 of the starts 0 to 11.
    x, start = multiplication(3), "random"
    for l2 in (1e-2, 1e-3, 0.0):
        made = tc.cp_opt(x, 23, start=start, l2=l2, tol=1e-12)
        start = made.model
    assert np.abs(numpy_of(made.model.to_dense()) - x).max() < 1e-10
    with pytest.warns(tc.DegeneracyWarning):
        assert tc.cp_opt(x, 23, seed=1).diagnosis.degenerate


@pytest.mark.parametrize("cosine", [0.9, 0.95])
def test_a_swamp_is_reported_and_crossed(cosine):
    factors = collinear(10, 3, cosine)
    x = dense(factors)
    slow = tc.cp_als(x, 3, tol=1e-8, max_iterations=1500)
    quick = tc.cp_opt(x, 3)
    assert slow.diagnosis.swamps and "swamp: iterations" in str(slow.diagnosis)
    assert "method='lm'" in str(slow.diagnosis)
    assert slow.diagnosis.trapped is not slow.converged
    assert quick.converged and quick.iterations < slow.iterations / 10
    assert quick.loss < slow.loss and quick.diagnosis.sound
    assert quick.model.match(as_cp(factors)).score > 0.999

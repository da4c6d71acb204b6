"""The PyTorch and JAX kernels compiled, mapped over a batch, and differentiated by their hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends import Backend, close, exponentials, positive, rank, sines, well
from numpy.testing import assert_allclose

from tensorcalculus.compiler import spectral_kernels as S


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


# -- compiled, mapped, differentiated ------------------------------------------------------------

EVERY: list[tuple[str, Callable[[Any, Any], Any], tuple[int, ...], str]] = [
    *(
        (name, lambda b, x, name=name: getattr(b.kernels, name)(x), (4,), "any")
        for name in ("sigmoid", "softplus", "relu", "step", "logcosh", "erf", "erfc")
    ),
    *(
        (name, lambda b, x, name=name: getattr(b.kernels, name)(x), (4,), "positive")
        for name in ("lgamma", "gamma", "digamma", "reciprocal_or_zero", "nonzero_sign")
    ),
    ("trigamma", lambda b, x: b.kernels.polygamma(1, x), (4,), "positive"),
    ("polygamma", lambda b, x: b.kernels.polygamma(2, x), (4,), "positive"),
    ("power", lambda b, x: b.kernels.power(x, 1.7), (4,), "positive"),
    ("power of", lambda b, x: b.kernels.power(2.0, x), (4,), "any"),
    ("power both", lambda b, x: b.kernels.power(x, x), (4,), "positive"),
    ("guarded_power", lambda b, x: b.kernels.guarded_power(x, -0.5), (4,), "positive"),
    ("xlogy", lambda b, x: b.kernels.xlogy(x, x), (4,), "positive"),
    ("softmax", lambda b, x: b.kernels.softmax(x), (2, 4), "any"),
    ("logsumexp", lambda b, x: b.kernels.logsumexp(x), (2, 4), "any"),
    ("share_max", lambda b, x: b.kernels.share_max(x, (-1,)), (2, 4), "any"),
    *(
        (f"prod {k}", lambda b, x, k=k: b.kernels.product_except(x, k), (2, 4), "any")
        for k in range(4)
    ),
    ("cumsum", lambda b, x: b.kernels.cumsum(x, 1), (2, 4), "any"),
    ("norm", lambda b, x: b.kernels.norm(x), (2, 4), "any"),
    ("windows", lambda b, x: b.kernels.windows(x, 0, 2), (4, 3), "any"),
    ("overlap_add", lambda b, x: b.kernels.overlap_add(x, 3), (4, 3), "any"),
    ("lower", lambda b, x: b.kernels.lower(4, 0.5, like=x) @ x, (4,), "any"),
    ("shift", lambda b, x: b.kernels.shift(4, 2, like=x) * x[:, None, None], (4,), "any"),
    ("cofactor", lambda b, x: b.kernels.cofactor(x), (4, 4), "well"),
    ("cofactor of an ill one", lambda b, x: b.kernels.cofactor(x), (4, 4), "singular"),
    ("logdet", lambda b, x: b.kernels.logdet(x), (3, 3), "well"),
    ("eigenvalues", lambda b, x: b.kernels.eigh(x)[0], (3, 3), "well"),
    ("spectral", lambda b, x: b.kernels.spectral(b.xp.exp, *b.kernels.eigh(x)), (3, 3), "well"),
    ("singular", lambda b, x: b.kernels.singular(b.xp.exp, *b.kernels.svd(x)), (3, 3), "well"),
    ("cholesky", lambda b, x: b.kernels.cholesky(x @ x.T), (3, 3), "well"),
    ("svd", lambda b, x: b.kernels.svd(x)[1], (4, 3), "any"),
    ("qr", lambda b, x: b.kernels.qr(x)[0], (4, 3), "any"),
    ("qr wide", lambda b, x: b.kernels.qr(x)[1], (3, 4), "any"),
    ("pinv", lambda b, x: b.kernels.pinv(x), (4, 3), "any"),
    ("gap_multiply", lambda b, x: b.kernels.gap_multiply(x * x[0], x[0], 0), (3, 3), "any"),
    ("expm", lambda b, x: b.kernels.matrix_function("expm", x), (3, 3), "any"),
    ("logm", lambda b, x: b.kernels.matrix_function("logm", x), (3, 3), "well"),
    ("sqrtm", lambda b, x: b.kernels.matrix_function("sqrtm", x), (3, 3), "well"),
    ("sqrtm of spd", lambda b, x: b.kernels.matrix_function("sqrtm", x @ x.T), (3, 3), "well"),
    ("frechet", lambda b, x: b.kernels.frechet("sqrtm", x, x * x), (3, 3), "well"),
    ("solve", lambda b, x: b.kernels.factorize(x).solve(x[0]), (3, 3), "well"),
    ("inverse", lambda b, x: b.kernels.factorize(x).inverse(), (3, 3), "well"),
    (
        "divided_difference",
        lambda b, x: b.kernels.divided_difference(exponentials(b.xp), x, 2),
        (3,),
        "any",
    ),
    (
        "signed_difference",
        lambda b, x: b.kernels.signed_difference(sines(b.xp), x, "odd", "+-"),
        (3,),
        "positive",
    ),
    ("diagonal", lambda b, x: b.kernels.diagonal(x, "aab", (3, 3, 2)), (3, 2), "any"),
    ("embed", lambda b, x: b.kernels.embed(x, (5, 4), (slice(0, 5, 2), 1)), (3,), "any"),
    ("select", lambda b, x: b.kernels.select(x, (slice(None, None, -1), 1)), (3, 2), "any"),
]


def draw(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "positive":
        return rng.uniform(0.5, 2.0, size=shape)
    if kind == "singular":
        return rank(rng, shape[-1], shape[-1] - 1)
    return well(rng, *shape) if kind == "well" else rng.normal(size=shape)


@pytest.mark.parametrize("case", EVERY, ids=lambda c: c[0])
def test_transformations(backend: Backend, rng: np.random.Generator, case: Any) -> None:
    name, kernel, shape, kind = case

    def f(x: Any) -> Any:
        return kernel(backend, x)

    points = [draw(rng, shape, kind) for _ in range(2)]
    expected = np.stack([np.asarray(backend.fast(f)(backend.array(p))) for p in points])
    close(backend.jit(f)(backend.array(points[0])), expected[0])
    close(backend.fast(backend.vmap(f))(backend.array(np.stack(points))), expected)
    # A derivative in a random direction against a difference of fourth order.
    weight = rng.normal(size=expected[0].shape)
    direction = rng.normal(size=shape)
    if kind == "singular":
        direction = direction / 10
    x, h = points[0], 1e-3

    def value(y: Any) -> Any:
        return (f(y) * backend.array(weight)).sum()

    run = backend.fast(value)
    along = [float(run(backend.array(x + c * h * direction))) for c in (-2, -1, 1, 2)]
    slope = (along[0] - 8 * along[1] + 8 * along[2] - along[3]) / (12 * h)
    gradient = backend.grad(value) if name not in ("step", "share_max") else None
    if gradient is None:
        assert_allclose(slope, 0, atol=1e-12)
        return
    actual = np.asarray(backend.fast(gradient)(backend.array(x)))
    assert np.isfinite(actual).all()
    if name == "nonzero_sign":
        assert not actual.any()
        return
    size = max(np.abs(expected[0] * weight).sum(), np.abs(actual * direction).sum())
    assert_allclose((actual * direction).sum(), slope, rtol=0, atol=1e-7 * size)


@pytest.mark.slow
@pytest.mark.parametrize("case", EVERY, ids=lambda c: c[0])
def test_other_modes_and_second_derivatives(
    backend: Backend, rng: np.random.Generator, case: Any
) -> None:
    name, kernel, shape, kind = case
    if name in ("step", "share_max", "nonzero_sign"):
        pytest.skip("piecewise constant")
    x, direction = draw(rng, shape, kind), rng.normal(size=shape)
    weight = rng.normal(size=np.shape(kernel(backend, backend.array(x))))

    def value(y: Any) -> Any:
        return (kernel(backend, y) * backend.array(weight)).sum()

    gradient = backend.fast(backend.grad(value))
    actual = np.asarray(gradient(backend.array(x)))
    close(backend.fast(backend.jacobian(value, forward=True))(backend.array(x)), actual, 1e-9)
    h = 1e-3 if kind != "singular" else 1e-4
    along = [np.asarray(gradient(backend.array(x + c * h * direction))) for c in (-2, -1, 1, 2)]
    slope = (along[0] - 8 * along[1] + 8 * along[2] - along[3]) / (12 * h)
    for forward in (False, True):
        second = backend.fast(backend.jacobian(backend.grad(value), forward))(backend.array(x))
        product = np.tensordot(np.asarray(second), direction, axes=x.ndim)
        scale = np.abs(slope).max() + np.abs(actual).max()
        assert_allclose(product, slope, rtol=0, atol=1e-6 * scale)


SPECIAL: list[tuple[str, Callable[[Any, Any], Any], Any, Any]] = [
    ("softplus", lambda b, x: b.kernels.softplus(x), [-1e3, 0.0, 1e3], [0, 0.5, 1]),
    ("relu", lambda b, x: b.kernels.relu(x), [-1.0, 0.0, 1.0], [0, 0, 1]),
    ("logcosh", lambda b, x: b.kernels.logcosh(x), [-1e3, 0.0, 1e3], [-1, 0, 1]),
    ("sigmoid", lambda b, x: b.kernels.sigmoid(x), [-1e3, 0.0, 1e3], [0, 0.25, 0]),
    ("norm", lambda b, x: b.kernels.norm(x), [0.0, 0.0], [0, 0]),
    ("norm large", lambda b, x: b.kernels.norm(x), [3e200, 4e200], [0.6, 0.8]),
    ("guarded -1", lambda b, x: b.kernels.guarded_power(x, -1.0), [0.0, 2.0], [0, -0.25]),
    ("guarded 0.5", lambda b, x: b.kernels.guarded_power(x, 0.5), [0.0, 4.0], [0, 0.25]),
    ("guarded 1", lambda b, x: b.kernels.guarded_power(x, 1.0), [0.0, 4.0], [1, 1]),
    ("power 2.5", lambda b, x: b.kernels.power(x, 2.5), [0.0, 4.0], [0, 20]),
    ("exponent", lambda b, x: b.kernels.guarded_power(b.xp.zeros_like(x), x), [2.0, -1.0], [0, 0]),
    (
        "xlogy x",
        lambda b, x: b.kernels.xlogy(x, b.xp.ones_like(x) * 2),
        [0.0, 1.0],
        [np.log(2)] * 2,
    ),
    ("xlogy y", lambda b, x: b.kernels.xlogy(b.xp.zeros_like(x), x), [0.0, 1.0], [0, 0]),
    ("xlogy", lambda b, x: b.kernels.xlogy(x, x), [0.0, 1.0], [0, 1]),
    ("logsumexp", lambda b, x: b.kernels.logsumexp(x), [1.0, 1.0, -np.inf], [0.5, 0.5, 0]),
    ("prod", lambda b, x: b.kernels.product_except(x, 0), [0.0, 2.0, 3.0], [6, 0, 0]),
    ("prod 1", lambda b, x: b.kernels.product_except(x, 1), [0.0, 2.0, 0.0], [2, 0, 2]),
    ("reciprocal", lambda b, x: b.kernels.reciprocal_or_zero(x), [2.0, 0.0], [-0.25, 0]),
    ("pinv", lambda b, x: b.kernels.pinv(x), [[1.0, 0], [0, 1.0]], -np.ones((2, 2))),
    ("cofactor", lambda b, x: b.kernels.cofactor(x).diagonal(), np.eye(3), 2 * np.eye(3)),
    ("sqrtm", lambda b, x: b.kernels.matrix_function("sqrtm", x), np.eye(3), np.full((3, 3), 0.5)),
    (
        "logm",
        lambda b, x: b.kernels.matrix_function("logm", x),
        2 * np.eye(3),
        np.full((3, 3), 0.5),
    ),
    (
        "divided difference",
        lambda b, x: b.kernels.divided_difference(exponentials(b.xp), x, 1),
        [0.0, 0.0],
        [8, 8],
    ),
    (
        "signed difference",
        lambda b, x: b.kernels.signed_difference(sines(b.xp), x, "odd", "+-"),
        [0.0, 1.0],
        None,
    ),
]


@pytest.mark.parametrize("case", SPECIAL, ids=lambda c: c[0])
def test_gradients_at_special_points(backend: Backend, case: Any) -> None:
    _, kernel, x, expected = case
    x = np.array(x)
    gradient = backend.fast(backend.grad(lambda y: kernel(backend, y).sum()))(backend.array(x))
    gradient = np.asarray(gradient)
    if expected is not None:
        assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)
    assert np.isfinite(gradient).all()


def test_second_derivative_of_logcosh_at_zero(backend: Backend) -> None:
    twice = backend.grad(backend.grad(backend.kernels.logcosh))
    close(twice(backend.array(0.0)), 1.0)


def test_matrix_functions_know_unsymmetric_directions(
    backend: Backend, rng: np.random.Generator
) -> None:
    a, g = positive(rng, 3, 3), rng.normal(size=(3, 3))
    a = (a + a.T) / 2
    for name in ("expm", "logm", "sqrtm"):

        def value(x: Any, name: str = name) -> Any:
            return (backend.kernels.matrix_function(name, x) * backend.array(g)).sum()

        gradient = backend.fast(backend.grad(value))(backend.array(a))
        close(gradient, S.frechet(name, a.T, g), 1e-11)

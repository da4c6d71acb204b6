"""Kernels against independent formulas: loops, differences, SciPy, exact decimal arithmetic."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, special

from tensorcalculus.compiler import kernels as K
from tensorcalculus.compiler import spectral_kernels as S
from tensorcalculus.errors import GaugeWarning, InputError

STEP = 1e-30
GRID = np.array([-40.0, -3.2, -1.0, -0.3, -1e-9, 1e-9, 0.4, 1.0, 2.7, 30.0])
POSITIVE = np.array([1e-3, 0.3, 1.0, 1.4, 2.5, 17.0])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Nothing may leak; the tests of warnings use `pytest.warns` inside."""
    with warnings.catch_warnings(), np.errstate(divide="warn", over="warn", invalid="warn"):
        warnings.simplefilter("error")
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def rank(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    return rng.normal(size=(n, r)) @ rng.normal(size=(r, n))


ELEMENTWISE: list[tuple[str, Callable[..., Any], Callable[..., Any], Callable[..., Any], Any]] = [
    ("sigmoid", K.sigmoid, special.expit, lambda x: special.expit(x) * special.expit(-x), GRID),
    ("softplus", K.softplus, lambda x: np.logaddexp(0, x), special.expit, GRID),
    ("relu", K.relu, lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0), GRID),
    ("step", K.step, lambda x: 1.0 * (x > 0), lambda x: 0 * x, GRID),
    ("logcosh", K.logcosh, lambda x: np.log(np.cosh(x)), np.tanh, GRID),
    (
        "sech2",
        K.sech2,
        lambda x: 1 / np.cosh(x) ** 2,
        lambda x: -2 * np.tanh(x) / np.cosh(x) ** 2,
        GRID,
    ),
    ("sign", K.sign, np.sign, lambda x: 0 * x, GRID),
    ("abs", K.abs_, np.abs, np.sign, GRID),
    ("erf", K.erf, special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), GRID),
    ("erfc", K.erfc, special.erfc, lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x), GRID[2:]),
    ("lgamma", K.lgamma, special.gammaln, special.psi, POSITIVE),
    ("lgamma-", K.lgamma, special.gammaln, special.psi, np.array([-2.5, -0.3, 0.7])),
    ("digamma", K.digamma, special.psi, lambda x: special.polygamma(1, x), POSITIVE),
    (
        "polygamma",
        lambda x: K.polygamma(2, x),
        lambda x: special.polygamma(2, x),
        lambda x: special.polygamma(3, x),
        POSITIVE,
    ),
    (
        "guarded_power",
        lambda x: K.guarded_power(x, 2.5),
        lambda x: x**2.5,
        lambda x: 2.5 * x**1.5,
        POSITIVE,
    ),
]
for _p in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 1.7):
    ELEMENTWISE.append(
        (
            f"power {_p}",
            lambda x, p=_p: K.power(x, p),
            lambda x, p=_p: x**p,
            lambda x, p=_p: p * x ** (p - 1),
            POSITIVE,
        )
    )


@pytest.mark.parametrize("case", ELEMENTWISE, ids=lambda c: c[0])
def test_elementwise_value_and_complex_step(case: Any) -> None:
    name, kernel, value, slope, x = case
    rtol = 1e-13 if name != "digamma" else 1e-11
    # The naive log(cosh(x)) has an absolute error only.
    atol = 1e-15 if name == "logcosh" else 1e-50
    assert_allclose(kernel(x), value(x), rtol=rtol, atol=atol)
    z = kernel(x + STEP * 1j)
    assert_allclose(z.real, value(x), rtol=1e-11, atol=atol)
    assert_allclose(z.imag / STEP, slope(x), rtol=1e-11, atol=1e-300)
    single = kernel(x.astype(np.float32))
    assert single.dtype == np.float32
    assert kernel(x.reshape(-1, 1)).shape == (len(x), 1)
    assert np.ndim(kernel(x[0])) == 0


def test_tails_and_kinks() -> None:
    big = np.array([-1000.0, 0.0, 1000.0, -np.inf, np.inf])
    assert_array_equal(K.sigmoid(big), [0, 0.5, 1, 0, 1])
    assert_array_equal(K.softplus(big), [0, np.log(2), 1000, 0, np.inf])
    assert_array_equal(K.logcosh(big[[0, 2]]), [1000 - np.log(2)] * 2)
    assert_array_equal(K.sech2(big), [0, 1, 0, 0, 0])
    assert_allclose(K.sech2(300.0), 4 * np.exp(-600.0), rtol=1e-13)
    assert_allclose(K.softplus(np.array(-700.0 + 0j)).real, np.exp(-700.0), rtol=1e-13)
    small = np.array([1e-3, 1e-8, 1e-100])
    assert_allclose(K.logcosh(small), small**2 / 2 - small**4 / 12, rtol=1e-12)
    assert_allclose(K.logcosh(small + 0j).real, small**2 / 2 - small**4 / 12, rtol=1e-12)
    zero = np.array([0.0, -0.0])
    for f in (K.step, K.sign, K.abs_, K.relu):
        assert_array_equal(f(zero), [0, 0])
        assert_array_equal(f(zero + STEP * 1j), [0, 0])
    assert np.isnan(K.relu(np.nan)) and np.isnan(K.abs_(np.nan)) and np.isnan(K.sigmoid(np.nan))
    assert_array_equal(K.sigmoid(np.array([0, 1])), special.expit([0.0, 1.0]))


def test_xlogy() -> None:
    x, y = np.array([0.0, 0.0, 2.0, 0.5]), np.array([0.0, 3.0, 0.1, 1e3])
    assert_allclose(K.xlogy(x, y), special.xlogy(x, y), rtol=1e-15)
    assert K.xlogy(1.0, 0.0) == -np.inf and np.isnan(K.xlogy(0.0, np.nan))
    assert K.xlogy(1.0 + 0j, 0.0) == -np.inf and K.xlogy(0j, 0.0) == 0
    assert_allclose(K.xlogy(x[1:] + STEP * 1j, y[1:]).imag / STEP, np.log(y[1:]), rtol=1e-14)
    assert_allclose(K.xlogy(x[1:], y[1:] + STEP * 1j).imag / STEP, x[1:] / y[1:], rtol=1e-14)
    assert K.xlogy(np.float32(2), np.float32(3)).dtype == np.float32


def test_maximum_minimum() -> None:
    x, y = np.array([1.0, 2.0, 3.0, -np.inf]), np.array([[2.0], [np.inf]])
    assert_array_equal(K.maximum(x, y), np.maximum(x, y))
    assert_array_equal(K.minimum(x, y), np.minimum(x, y))
    for f, share in ((K.maximum, [0, 0.5, 1, 0]), (K.minimum, [1, 0.5, 0, 1])):
        z = f(x + STEP * 1j, y[0])
        assert_array_equal(z.real, f(x, y[0]))
        assert_allclose(z.imag / STEP, share)
    assert np.isnan(K.maximum(np.nan, 1.0)) and np.isnan(K.maximum(1.0 + 0j, np.nan))


def test_powers() -> None:
    x = np.array([0.0, 4.0, -2.0])
    assert_array_equal(K.guarded_power(x, -1), [0, 0.25, -0.5])
    assert_array_equal(K.guarded_power(x, 0), [0, 1, 1])
    assert_array_equal(K.guarded_power(x, np.array([2.0, 0.5, -1.0])), [0, 2, -0.5])
    assert_array_equal(K.guarded_power(np.array([0, 2]), -1), [0, 0.5])
    assert np.isnan(K.guarded_power(-1.0, 0.5)) and K.guarded_power(1e-300, -2) == np.inf
    for p, slope in ((1, 1.0), (2, 0.0), (0.5, 0.0), (-1, 0.0)):
        assert_allclose(K.guarded_power(np.array(STEP * 1j), p).imag / STEP, slope, atol=1e-20)
    assert_array_equal(K.power(x, np.array([1.0, 2.0, 3.0])), [0, 16, -8])
    assert K.power(np.array([3]), -1)[0] == 1 / 3


def test_softmax_logsumexp(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 5)) * 3
    x[0, 0], x[0, 1, :3], x[1, 2, 0] = [1000, -1000, 999, 1000, 0], -np.inf, -np.inf
    assert_allclose(K.softmax(x), special.softmax(x, axis=-1), rtol=1e-14)
    assert_allclose(K.logsumexp(x), special.logsumexp(x, axis=-1), rtol=1e-14)
    assert_allclose(K.logsumexp(np.array([0.0, -50.0])), np.exp(-50.0), rtol=1e-14)
    assert K.logsumexp(np.full(3, -np.inf)) == -np.inf
    assert K.logsumexp(np.array([np.inf, 800.0, -np.inf])) == np.inf
    assert np.all(np.isnan(K.softmax(np.full(3, -np.inf))))
    assert K.logsumexp(np.zeros((2, 0))).shape == (2,) and K.softmax(np.zeros((2, 0))).size == 0
    p = K.softmax(x)
    for k in range(5):
        z = x + STEP * 1j * (np.arange(5) == k)
        assert_allclose(K.logsumexp(z).imag / STEP, p[..., k], rtol=1e-13, atol=1e-300)
        jac = p * ((np.arange(5) == k) - p[..., k : k + 1])
        assert_allclose(K.softmax(z).imag / STEP, jac, rtol=1e-12, atol=1e-16)


def test_gamma_errors() -> None:
    x = np.array([-0.5, 2.0])
    assert_allclose(K.polygamma(0, x), special.psi(x))
    with pytest.raises(InputError, match="order"):
        K.polygamma(-1, x)
    with pytest.raises(InputError, match="imaginary"):
        K.polygamma(1, x + 0.5j)
    with pytest.raises(InputError, match="imaginary"):
        K.lgamma(x + 0.5j)


def test_share_max() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, -1.0]])
    assert_array_equal(K.share_max(x, (1,)), [[0, 0.5, 0.5], [1, 0, 0]])
    assert_array_equal(K.share_max(x, (0, -1)), [[0, 0.5, 0.5], [0, 0, 0]])
    assert_array_equal(K.share_max(x, ()), np.ones((2, 3)))
    assert K.share_max(np.zeros((0, 3)), (0,)).shape == (0, 3)
    assert np.all(np.isnan(K.share_max(np.array([np.nan, 1.0]), (0,))))


@pytest.mark.parametrize("n", [0, 1, 2, 4])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_product_except(rng: np.random.Generator, n: int, order: int, zeros: int) -> None:
    x = rng.normal(size=(2, 3, n))
    x[..., :zeros] = 0
    want = np.zeros((2, 3) + (n,) * order)
    for index in itertools.permutations(range(n), order):
        want[(..., *index)] = np.prod(np.delete(x, list(index), axis=-1), axis=-1)
    assert_allclose(K.product_except(x, order), want, rtol=1e-14, atol=0)
    with pytest.raises(InputError):
        K.product_except(x, -1)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_windows_and_their_adjoint(n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, n))
    if size == n + 1:
        assert K.windows(x, 1, size).shape == (2, 0, size)
        return
    if size > n:
        with pytest.raises(InputError, match="window"):
            K.windows(x, 1, size)
        return
    w = K.windows(x, -1, size)
    assert w.shape == (2, n - size + 1, size) and np.shares_memory(w, x)
    g = rng.normal(size=w.shape)
    assert_allclose((K.overlap_add(g, size) * x).sum(), (g * w).sum(), rtol=1e-12, atol=1e-12)
    assert_array_equal(K.windows(x.T, 0, size), np.moveaxis(w, 0, 1))
    with pytest.raises(InputError):
        K.overlap_add(g, size + 1)


def minors(x: np.ndarray) -> np.ndarray:
    n = len(x)
    out = np.empty((n, n))
    for i, j in itertools.product(range(n), repeat=2):
        minor = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * (np.linalg.det(minor) if n > 1 else 1.0)
    return out


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_cofactor(rng: np.random.Generator, n: int) -> None:
    for r in range(max(n - 3, 0), n + 1):
        X = np.stack([rank(rng, n, r) for _ in range(3)]).reshape(3, 1, n, n)
        want = np.stack([minors(x[0]) for x in X])[:, None]
        got = S.cofactor(X)
        assert got.shape == X.shape
        assert_allclose(got, want, rtol=0, atol=1e-12 * max(1, np.abs(X).max() ** (n - 1)))
    mixed = np.stack([rank(rng, n, n), np.zeros((n, n)), rank(rng, n, max(n - 1, 1)), np.eye(n)])
    for x, c in zip(mixed, S.cofactor(mixed), strict=True):
        assert_allclose(c, minors(x), rtol=0, atol=1e-12 * max(1, np.abs(x).max() ** (n - 1)))
    well = np.eye(n) * 3 + 0.2 * rng.normal(size=(n, n))
    assert_allclose(S.cofactor(well), np.linalg.det(well) * np.linalg.inv(well).T, rtol=1e-12)
    assert_allclose(S.cofactor(1e-50 * well), S.cofactor(well) * 1e-50 ** (n - 1), rtol=1e-12)
    assert S.cofactor(well.astype(np.float32)).dtype == np.float32
    z = rank(rng, n, n) + 1j * rank(rng, n, n)
    assert_allclose(S.cofactor(z), np.linalg.det(z) * np.linalg.inv(z).T, rtol=1e-10)


def test_cofactor_edges() -> None:
    assert S.cofactor(np.zeros((2, 0, 0))).shape == (2, 0, 0)
    d = np.array([1e-200, 1e200, 1e100])
    # Small relative to the largest entry, 1e300, is 0; the naive determinant would overflow.
    got = np.diag(S.cofactor(np.diag(d * 1e-50)))
    assert_allclose(got, K.product_except(d * 1e-50, 1), rtol=1e-12, atol=1e190)
    X = np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])
    assert_allclose(S.cofactor(X), minors(X), atol=1e-14)
    bad = np.stack([np.full((3, 3), np.nan), np.eye(3)])
    assert np.all(np.isnan(S.cofactor(bad)[0]))
    assert_allclose(S.cofactor(bad)[1], np.eye(3))
    with pytest.raises(InputError, match="square"):
        S.cofactor(np.ones((2, 3)))


def test_logdet_eigh_cholesky(rng: np.random.Generator) -> None:
    X = rng.normal(size=(2, 3, 4, 4))
    assert_allclose(S.logdet(X), np.log(np.abs(np.linalg.det(X))), rtol=1e-12)
    assert S.logdet(np.zeros((2, 2))) == -np.inf and S.logdet(np.zeros((0, 0))) == 0
    sym = (X + np.swapaxes(X, -1, -2)) / 2
    d, V = S.eigh(X)
    assert_allclose((V * d[..., None, :]) @ np.swapaxes(V, -1, -2), sym, atol=1e-13)
    spd = X @ np.swapaxes(X, -1, -2) + 0.1 * np.eye(4)
    skew = np.triu(np.ones((4, 4)), 1) - np.tril(np.ones((4, 4)), -1)
    L = S.cholesky(spd + skew)
    assert_allclose(L @ np.swapaxes(L, -1, -2), spd, rtol=1e-11)
    assert_array_equal(L, np.tril(L))
    with pytest.raises(InputError, match=r"smallest eigenvalue .* is -3$"):
        S.cholesky(np.diag([2.0, -3.0]))
    with pytest.raises(InputError, match=r"matrix \(1,\) of the batch is -1"):
        S.cholesky(np.stack([np.eye(2), -np.eye(2)]))
    with pytest.raises(InputError, match="finite"):
        S.cholesky(np.full((2, 2), np.nan))


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3), (1, 1), (5, 0)])
def test_svd_qr_pinv(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    X = rng.normal(size=(2, *shape))
    k = min(shape)
    U, s, V = S.svd(X)
    assert U.shape == (2, shape[0], k) and V.shape == (2, shape[1], k)
    assert_allclose((U * s[:, None, :]) @ np.swapaxes(V, -1, -2), X, atol=1e-13)
    Q, R = S.qr(X)
    assert Q.shape == (2, shape[0], k) and R.shape == (2, k, shape[1])
    assert_allclose(Q @ R, X, atol=1e-13)
    assert_allclose(np.swapaxes(Q, -1, -2) @ Q, np.broadcast_to(np.eye(k), (2, k, k)), atol=1e-13)
    assert np.all(np.diagonal(R, axis1=-2, axis2=-1) >= 0)
    if k:
        assert_allclose(S.pinv(X), np.linalg.pinv(X), atol=1e-12)
        low = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5))
        assert_allclose(S.pinv(low), np.linalg.pinv(low, rcond=1e-10), rtol=1e-9, atol=1e-12)
    with pytest.raises(InputError, match="finite"):
        S.svd(np.full((2, 2), np.inf))


def test_reciprocal_or_zero() -> None:
    s = np.array([[4.0, 2.0, 1e-17], [0.0, 0.0, 0.0]])
    assert_array_equal(S.reciprocal_or_zero(s), [[0.25, 0.5, 0], [0, 0, 0]])
    assert_array_equal(S.nonzero_sign(s), [[1, 1, 0], [0, 0, 0]])
    assert S.reciprocal_or_zero(np.zeros((2, 0))).shape == (2, 0)


def test_gap_multiply_is_the_differential_of_eigenvectors(rng: np.random.Generator) -> None:
    A, E = (a + a.T for a in rng.normal(size=(2, 4, 4)))
    d, V = S.eigh(A)
    h = 1e-5
    plus, minus = S.eigh(A + h * E)[1], S.eigh(A - h * E)[1]
    plus, minus = (W * np.sign((W * V).sum(0)) for W in (plus, minus))
    got = V @ S.gap_multiply(V.T @ E @ V, d, False)
    assert_allclose(got, (plus - minus) / (2 * h), atol=1e-8)
    M, D = rng.normal(size=(5, 2, 3, 3)), rng.normal(size=(2, 3))
    got = S.gap_multiply(M, D, True)
    for a, b, i, j in itertools.product(range(5), range(2), range(3), range(3)):
        want = 0 if i == j else M[a, b, i, j] / (D[b, j] - D[b, i])
        assert_allclose(got[a, b, i, j], want, rtol=1e-14)
    assert S.gap_multiply(M[0, 0], D, False).shape == (2, 3, 3)
    assert S.gap_multiply(np.ones((1, 1)), np.zeros(1), False) == 0
    assert S.gap_multiply(np.ones((0, 0)), np.zeros(0), False).shape == (0, 0)


def test_gap_multiply_warns_of_the_gauge(rng: np.random.Generator) -> None:
    d = np.array([1.0, 1.0 + 1e-15, 2.0])
    M = rng.normal(size=(6, 3, 3))
    for transposed in (False, True):
        with pytest.warns(GaugeWarning, match="equal eigenvalues are not differentiable"):
            got = S.gap_multiply(M, d, transposed)
        assert_array_equal(got[:, [0, 1], [1, 0]], 0)
        assert_allclose(got[:, 0, 2], M[:, 0, 2] / (d[2] - d[0]))
    # Rounding noise is no dependence on the gauge, nor is a symmetric part in the adjoint.
    M[:, [0, 1], [1, 0]] = 1e-12
    S.gap_multiply(M, d, False)
    M[:, [0, 1], [1, 0]] = 5.0
    S.gap_multiply(M, d, True)
    M[1:] = 0
    M[2, 0, 1] = 1e-13
    S.gap_multiply(M, d, True)
    S.gap_multiply(np.zeros((3, 3)), np.zeros(3), False)


def test_degenerate_check() -> None:
    d = np.array([[1.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    g = np.array([[[4.0, 4.0 + 1e-12, 1.0], [1.0, 2.0, 3.0]]])
    assert_array_equal(S.degenerate_check(g, d), g)
    g[0, 0, 1] = 5
    with pytest.warns(GaugeWarning, match="single eigenvalue"):
        assert_array_equal(S.degenerate_check(g, d), g)
    with pytest.warns(GaugeWarning):
        S.degenerate_check(np.eye(3), d[0])
    assert S.degenerate_check(np.zeros(0), np.zeros(0)).shape == (0,)


def exact_divided_difference(f: Callable[[Decimal], Decimal], xs: Any) -> float:
    """The recurrence in 150 digits; coinciding points are spread by a relative 1e-25."""
    with localcontext() as context:
        context.prec = 150
        points = [x * (1 + i * Decimal("1e-25")) for i, x in enumerate(sorted(map(Decimal, xs)))]
        c = [f(x) for x in points]
        for k in range(1, len(points)):
            c = [(c[i + 1] - c[i]) / (points[i + k] - points[i]) for i in range(len(c) - 1)]
        return float(c[0])


LOG = [np.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3]
DIFFERENTIABLE: Any = {
    "exp": ([np.exp] * 4, lambda x: x.exp()),
    "log": (LOG, lambda x: x.ln()),
    "inverse": ([*LOG[1:], lambda x: -6 / x**4], lambda x: 1 / x),
}


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("spread", [0.0, 1e-15, 1e-9, 1e-6, 1e-4, 1e-2, 0.1, 0.6])
def test_divided_difference(order: int, name: str, spread: float) -> None:
    functions, f = DIFFERENTIABLE[name]
    d = np.array([[0.7, 2.0, 0.7 * (1 + spread), 0.7 * (1 - 1.3 * spread)], [3, 1, 2, 2 + spread]])
    got = S.divided_difference(functions, d, order)
    assert got.shape == (2,) + (4,) * (order + 1)
    for b in range(2):
        for index in itertools.product(range(4), repeat=order + 1):
            want = exact_divided_difference(f, d[b][sorted(index)])
            assert_allclose(got[(b, *index)], want, rtol=1e-12 if order < 2 else 1e-10)


def test_divided_difference_edges() -> None:
    assert S.divided_difference([np.exp] * 3, np.zeros((2, 0)), 2).shape == (2, 0, 0, 0)
    assert S.divided_difference([np.exp] * 3, np.zeros((0, 2)), 1).shape == (0, 2, 2)
    assert S.divided_difference([np.exp] * 2, np.zeros(1, np.float32), 1).dtype == np.float32
    with pytest.raises(InputError, match="derivatives"):
        S.divided_difference([np.exp], np.zeros(2), 1)
    # A far pair across a pole and values at the edge of the domain.
    got = S.divided_difference(LOG[1:], np.array([-1.0, 2.0]), 1)
    assert_allclose(got, -1 / np.outer([-1, 2], [-1, 2]), rtol=1e-13)


def inputs(name: str, rng: np.random.Generator, symmetric: bool, n: int = 4) -> np.ndarray:
    A = rng.normal(size=(n, n))
    A = A @ A.T + 0.5 * np.eye(n) if symmetric else A + (0 if name == "expm" else 4) * np.eye(n)
    return (A + A.T) / 2 if symmetric else A


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_matrix_function_and_frechet(rng: np.random.Generator, name: str, symmetric: bool) -> None:
    f = getattr(linalg, name)
    A = np.stack([inputs(name, rng, symmetric), inputs(name, rng, True)])
    want = np.stack([f(a).real for a in A])
    assert_allclose(S.matrix_function(name, A), want, rtol=1e-10, atol=1e-11)
    assert S.matrix_function(name, np.zeros((3, 0, 0))).shape == (3, 0, 0)
    E = rng.normal(size=(5, 2, 4, 4))
    got = S.frechet(name, A, E)
    for k, b in itertools.product(range(5), range(2)):
        block = f(np.block([[A[b], E[k, b]], [0 * A[b], A[b]]])).real[:4, 4:]
        assert_allclose(got[k, b], block, rtol=0, atol=2e-11 * np.abs(block).max())
        one = S.frechet(name, A[b], E[k, b])
        assert_allclose(one, got[k, b], atol=1e-12 * np.abs(block).max())
        for scale in (1e-200, 1e-307, 1e150):
            scaled = S.frechet(name, A[b], scale * E[k, b]) / scale
            assert_allclose(scaled, one, rtol=0, atol=1e-12 * np.abs(block).max())
    h = 1e-5
    step = (S.matrix_function(name, A + h * E[0]) - S.matrix_function(name, A - h * E[0])) / (2 * h)
    assert_allclose(got[0], step, rtol=0, atol=1e-7 * np.abs(got[0]).max())
    # Either argument may have the additional axes.
    assert_allclose(S.frechet(name, A, E[0, 0])[1], S.frechet(name, A[1], E[0, 0]), atol=1e-10)
    assert_allclose(S.frechet(name, A[0], E), S.frechet(name, A[:1], E), atol=1e-10)
    assert_array_equal(S.frechet(name, A[0], np.zeros((4, 4))), np.zeros((4, 4)))
    with pytest.raises(InputError):
        S.frechet(name, A, np.ones((3, 3)))


def test_frechet_of_symmetric_matrices_with_close_eigenvalues() -> None:
    d = np.array([0.8, 0.8, 0.8 + 1e-9, 0.9, 50.0])
    E = np.ones((5, 5))
    derivatives: Any = {
        "expm": [np.exp] * 2,
        "logm": LOG,
        "sqrtm": [np.sqrt, lambda x: 0.5 / np.sqrt(x)],
    }
    for name, functions in derivatives.items():
        want = S.divided_difference(functions, d, 1)
        assert_allclose(S.frechet(name, np.diag(d), E), want, rtol=1e-12)
    far = S.frechet("expm", np.diag([700.0, -4000.0]), np.ones((2, 2)))
    assert_allclose(far[0, 1], np.exp(700.0) / 4700, rtol=1e-13)


def test_matrix_functions_that_are_not_real() -> None:
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    assert_allclose(S.matrix_function("logm", turn), np.pi / 2 * turn, atol=1e-14)
    for bad in (np.diag([1.0, -1.0]), np.diag([1.0, 0.0]), np.array([[1.0, 1], [0, -2]])):
        with pytest.raises(InputError, match="principal logarithm"):
            S.matrix_function("logm", bad)
    for bad in (np.diag([1.0, -1.0]), np.array([[1.0, 1], [0, -2]])):
        with pytest.raises(InputError, match="principal square root"):
            S.matrix_function("sqrtm", bad)
    for bad in (np.array([[0.0, 1], [0, 0]]), np.array([[0.0, 1, 0], [0, 0, 0], [0, 0, 1]])):
        with pytest.raises(InputError, match="not real or not finite"):
            S.matrix_function("sqrtm", bad)
    assert_allclose(S.matrix_function("sqrtm", np.diag([4.0, 0.0])), np.diag([2.0, 0.0]))
    root = S.matrix_function("sqrtm", np.array([[4.0, 1], [0, 0]]))
    assert_allclose(root, [[2, 0.5], [0, 0]], atol=1e-12)
    for singular in (np.diag([1.0, 0.0]), np.array([[4.0, 1], [0, 0]])):
        with pytest.raises(InputError, match="singular"):
            S.frechet("sqrtm", singular, np.eye(2))
    with pytest.raises(InputError, match="finite"):
        S.matrix_function("expm", np.full((2, 2), np.nan))
    with pytest.raises(InputError, match="unknown"):
        S.matrix_function("sinm", np.eye(2))
    for f in (S.eigh, S.svd, S.qr, lambda x: S.matrix_function("expm", x)):
        with pytest.raises(InputError, match="real"):
            f(np.eye(2) * 1j)
    single = S.matrix_function("logm", np.array([[4.0, 1], [0, 1]], np.float32))
    assert single.dtype == np.float32
    assert S.matrix_function("expm", np.array([[1000.0, 1], [0, 1000]]))[0, 0] == np.inf
    S.matrix_function("expm", np.eye(2) * 1000)


def test_scipy_is_not_imported_at_module_level() -> None:
    for value in (*vars(K).values(), *vars(S).values()):
        assert not str(getattr(value, "__name__", "")).startswith("scipy")

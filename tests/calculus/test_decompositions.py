"""Adjoints of decompositions: against JAX and numbers, and at equal or zero singular values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tensorcalculus as tc
from tensorcalculus.check import check
from tensorcalculus.expr.node import Expr

RNG = np.random.default_rng(7)
TALL, WIDE, SQUARE = (RNG.standard_normal(s) for s in ((5, 3), (3, 5), (4, 4)))
SYMMETRIC = SQUARE + SQUARE.T
DEFINITE = SQUARE @ SQUARE.T + 4 * np.eye(4)


def matrix(shape: str = "m n") -> Expr:
    return tc.variables(X=shape)


def weighted(*parts: Expr) -> Expr:
    """The sum of squares of the sine of entries: depends on every entry of every part."""
    total = parts[0] * 0
    total = total.sum()
    for part in parts:
        total = total + (np.sin(part) ** 2).sum()
    return total


def quiet(f: Expr, **values: Any) -> np.ndarray:
    """The value; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(f(**values))


# -- away from degenerate points -----------------------------------------------------------------


def of_svd(X: Expr) -> Expr:
    u, s, v = tc.svd(X)
    return weighted((u * np.tanh(s)) @ v.T, u @ v.T, s)


def of_qr(X: Expr) -> Expr:
    return weighted(*tc.qr(X))


def of_eigh(X: Expr) -> Expr:
    d, v = tc.eigh(X)
    return weighted((v * np.tanh(d)) @ v.T, d, v * v)


def of_chol(X: Expr) -> Expr:
    return weighted(np.linalg.cholesky(X))


def of_solve(X: Expr) -> Expr:
    return weighted(np.linalg.solve(X, np.tanh(X)), np.linalg.inv(X))


def of_det(X: Expr) -> Expr:
    return np.linalg.det(X) + np.sin(tc.function("logdet", X))


def of_pinv(X: Expr) -> Expr:
    return weighted(np.linalg.pinv(X))


def jax_twin(name: str) -> Callable[[Any], Any]:
    """The same functions in JAX."""
    jnp = pytest.importorskip("jax.numpy")
    import jax

    jax.config.update("jax_enable_x64", True)

    def weigh(*parts: Any) -> Any:
        return sum((jnp.sin(p) ** 2).sum() for p in parts)

    def svd(x: Any) -> Any:
        u, s, vt = jnp.linalg.svd(x, full_matrices=False)
        return weigh((u * jnp.tanh(s)) @ vt, u @ vt, s)

    def qr(x: Any) -> Any:
        q, r = jnp.linalg.qr(x)
        sign = jnp.sign(jnp.diag(r))
        return weigh(q * sign, r * sign[:, None])

    def eigh(x: Any) -> Any:
        d, v = jnp.linalg.eigh((x + x.T) / 2)
        return weigh((v * jnp.tanh(d)) @ v.T, d, v * v)

    twins = {
        "svd": svd,
        "qr": qr,
        "eigh": eigh,
        "chol": lambda x: weigh(jnp.linalg.cholesky((x + x.T) / 2)),
        "solve": lambda x: weigh(jnp.linalg.solve(x, jnp.tanh(x)), jnp.linalg.inv(x)),
        "det": lambda x: jnp.linalg.det(x) + jnp.sin(jnp.linalg.slogdet(x)[1]),
        "pinv": lambda x: weigh(jnp.linalg.pinv(x)),
    }
    return twins[name]


CASES = [
    ("svd", of_svd, "m n", TALL),
    ("svd", of_svd, "m n", WIDE),
    ("svd", of_svd, "n n", SQUARE),
    ("qr", of_qr, "m n", TALL),
    ("qr", of_qr, "m n", WIDE),
    ("qr", of_qr, "n n", SQUARE),
    ("eigh", of_eigh, "n n", SYMMETRIC),
    ("eigh", of_eigh, "n n", SQUARE),
    ("chol", of_chol, "n n", DEFINITE),
    ("solve", of_solve, "n n", SQUARE + 4 * np.eye(4)),
    ("det", of_det, "n n", SQUARE),
    ("pinv", of_pinv, "m n", TALL),
    ("pinv", of_pinv, "m n", WIDE),
]
IDS = [f"{name}-{'x'.join(map(str, x.shape))}-{k}" for k, (name, *_, x) in enumerate(CASES)]


@pytest.mark.parametrize(("name", "build", "shape", "x"), CASES, ids=IDS)
def test_gradient_equals_that_of_jax(
    name: str, build: Callable[[Expr], Expr], shape: str, x: np.ndarray
) -> None:
    if name == "qr" and x.shape[0] < x.shape[1]:
        pytest.skip("JAX has no derivative of the QR factors of a wide matrix")
    jax = pytest.importorskip("jax")
    twin = jax_twin(name)
    f = build(matrix(shape))
    assert_allclose(quiet(f, X=x), twin(x), rtol=1e-12)
    assert_allclose(quiet(f.gradient("X"), X=x), jax.grad(twin)(x), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("name", "build", "shape", "x"), CASES, ids=IDS)
def test_derivatives_equal_numbers(
    name: str, build: Callable[[Expr], Expr], shape: str, x: np.ndarray
) -> None:
    f = build(matrix(shape))
    for mode in ("reverse", "forward"):
        check(f, mode=mode, values={"X": x})
    check(f, order=2, values={"X": x[:3, :3]} if x.shape[0] == x.shape[1] else {"X": x})


@pytest.mark.parametrize("x", [TALL, WIDE, SQUARE], ids=["tall", "wide", "square"])
def test_truncation_error(x: np.ndarray) -> None:
    u, s, v = tc.svd(matrix())
    rest = matrix() - (u[:, :2] * s[:2]) @ v[:, :2].T
    f = (rest**2).sum()
    p, t, qt = np.linalg.svd(x, full_matrices=False)
    left = (p[:, 2:] * t[2:]) @ qt[2:]
    assert_allclose(quiet(f, X=x), (t[2:] ** 2).sum(), rtol=1e-10)
    assert_allclose(quiet(f.gradient("X"), X=x), 2 * left, atol=1e-10)
    check(f, values={"X": x})


def test_gradient_of_a_symmetric_variable_is_symmetric() -> None:
    f = of_eigh(matrix("n n sym"))
    g = quiet(f.gradient("X"), X=SYMMETRIC)
    assert_allclose(g, g.T, atol=1e-12)
    check(f, order=2, values={"X": SYMMETRIC})


# -- where eigenvalues or singular values coincide or vanish -------------------------------------

Q = np.linalg.qr(SQUARE)[0]
REPEATED = Q @ np.diag([3.0, 3.0, 1.0, -2.0]) @ Q.T
REPEATED = (REPEATED + REPEATED.T) / 2
P, R = np.linalg.qr(TALL)[0], np.linalg.qr(SQUARE[:3, :3])[0]
EQUAL = P @ np.diag([2.0, 2.0, 0.5]) @ R.T
DEFICIENT = np.outer(P[:, 0], [1.0, 2.0, 2.0])


def projector(x: np.ndarray, part: slice) -> np.ndarray:
    v = np.linalg.eigh(x)[1][:, part]
    return v @ v.T


def test_nuclear_norm() -> None:
    f = tc.function("svdvals", matrix()).sum()
    u, _, vt = np.linalg.svd(EQUAL, full_matrices=False)
    assert_allclose(quiet(f.gradient("X"), X=EQUAL), u @ vt, atol=1e-10)
    expected = np.outer(P[:, 0], [1, 2, 2]) / 3
    assert_allclose(quiet(f.gradient("X"), X=DEFICIENT), expected, atol=1e-10)
    assert_allclose(quiet(f.gradient("X"), X=np.zeros((3, 2))), np.zeros((3, 2)))
    assert_allclose(quiet(f.gradient("X"), X=np.eye(3)), np.eye(3), atol=1e-14)


@pytest.mark.parametrize("name", ["exp", "sin", "softplus"])
@pytest.mark.parametrize("x", [np.eye(3), np.zeros((3, 3)), REPEATED], ids=["I", "0", "repeated"])
def test_trace_of_a_function(name: str, x: np.ndarray) -> None:
    f = tc.function(name, tc.function("eigvalsh", matrix("n n"))).sum()
    slope = {"exp": np.exp, "sin": np.cos, "softplus": lambda d: 1 / (1 + np.exp(-d))}[name]
    d, v = np.linalg.eigh(x)
    assert_allclose(quiet(f.gradient("X"), X=x), (v * slope(d)) @ v.T, atol=1e-12)


@pytest.mark.parametrize("x", [np.eye(3), REPEATED], ids=["I", "repeated"])
def test_hessian_of_the_trace_of_a_function(x: np.ndarray) -> None:
    """The Hessian has divided differences, whose limit at equal eigenvalues is f''."""
    f = np.exp(tc.function("eigvalsh", matrix("n n"))).sum()
    n = len(x)
    h = quiet(f.hessian("X"), X=x)
    d, v = np.linalg.eigh(x)
    gap = d[:, None] - d[None, :]
    same = np.abs(gap) < 1e-9
    rise = np.exp(d)[:, None] - np.exp(d)[None, :]
    quotient = np.where(same, np.exp(d)[:, None], rise / np.where(same, 1, gap))
    plain = np.einsum("ia,jb,ab,ka,lb->ijkl", v, v, quotient, v, v)
    plain = (plain + plain.swapaxes(2, 3)) / 2
    assert h.shape == (n, n, n, n)
    assert_allclose(h, plain, atol=1e-9)


def test_function_of_a_matrix_with_repeated_eigenvalues() -> None:
    d, v = tc.eigh(matrix("n n"))
    f = weighted((v * np.exp(d)) @ v.T)
    check(f, mode="reverse", values={"X": REPEATED})
    check(f, mode="forward", values={"X": REPEATED})
    quiet(f.gradient("X"), X=REPEATED)


def test_projector_on_a_subspace_with_a_repeated_eigenvalue_inside() -> None:
    _, v = tc.eigh(matrix("n n"))
    top = v[:, 2:] @ v[:, 2:].T
    f = (top * matrix("n n").T).sum() + (np.sin(top)).sum()
    assert_allclose(
        quiet(f, X=REPEATED),
        (projector(REPEATED, slice(2, None)) * REPEATED).sum()
        + np.sin(projector(REPEATED, slice(2, None))).sum(),
        rtol=1e-10,
    )
    g = quiet(f.gradient("X"), X=REPEATED)
    assert np.all(np.isfinite(g))
    check(f, mode="reverse", values={"X": REPEATED})


def test_sum_of_the_largest_eigenvalues() -> None:
    f = tc.function("eigvalsh", matrix("n n"))[2:].sum()
    expected = projector(REPEATED, slice(2, None))
    assert_allclose(quiet(f.gradient("X"), X=REPEATED), expected, atol=1e-10)


def test_ky_fan_norm_and_its_square() -> None:
    f = tc.function("svdvals", matrix())[:2].sum()
    u, _, vt = np.linalg.svd(EQUAL, full_matrices=False)
    assert_allclose(quiet(f.gradient("X"), X=EQUAL), u[:, :2] @ vt[:2], atol=1e-10)


def test_reconstruction_with_equal_singular_values() -> None:
    u, s, v = tc.svd(matrix())
    f = ((u * s) @ v.T * matrix("m n")).sum()
    assert_allclose(quiet(f.gradient("X"), X=EQUAL), 2 * EQUAL, atol=1e-9)
    assert_allclose(quiet(f.gradient("X"), X=DEFICIENT), 2 * DEFICIENT, atol=1e-9)


NOWHERE = {
    "one eigenvalue": (lambda X: tc.eigh(X)[0][0], np.eye(3)),
    "one eigenvector": (lambda X: tc.eigh(X)[1][0, 1], np.eye(3)),
    "a projector that splits a pair": (
        lambda X: (tc.eigh(X)[1][:, 3] * np.sin(X[0]) * tc.eigh(X)[1][:, 3]).sum(),
        REPEATED,
    ),
    "one singular value": (lambda X: tc.svd(X)[1][0], EQUAL),
    "one singular vector": (lambda X: tc.svd(X)[0].sum(), EQUAL),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_warning_where_there_is_no_derivative(name: str) -> None:
    build, x = NOWHERE[name]
    f = build(matrix("m n" if x.shape[0] != x.shape[1] else "n n"))
    with pytest.warns(tc.GaugeWarning, match=r"not (differentiable|unique)"):
        g = f.gradient("X")(X=x)
    assert np.all(np.isfinite(g))


def test_functions_without_a_value_say_so() -> None:
    X = matrix("n n")
    with pytest.raises(tc.InputError, match="positive definite"):
        np.linalg.cholesky(X).sum().gradient("X")(X=-np.eye(2))
    with pytest.raises(tc.InputError, match="singular"):
        np.linalg.inv(X).sum().gradient("X")(X=np.zeros((2, 2)))


# -- far apart magnitudes ------------------------------------------------------------------------


def slopes(function: Callable[[np.ndarray], Any], x: np.ndarray, step: float) -> np.ndarray:
    """Central differences of fourth order, the axis of the variable last."""
    columns = []
    for d in np.eye(len(x)):
        near = np.asarray(function(x + step * d)) - function(x - step * d)
        far = np.asarray(function(x + 2 * step * d)) - function(x - 2 * step * d)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, -1)


@pytest.mark.parametrize("inner", ["sin(x)*sin(x)'", "x*x'"])
@pytest.mark.parametrize("m", [3, 4])
def test_hessian_of_a_frechet_derivative_in_large_directions(inner: str, m: int) -> None:
    """The product of many large entries puts directions of 1e8 beside a matrix of order 1.

    The Fréchet derivative of the block matrix [A E; 0 A] keeps its digits only if it is balanced
    first (``spectral_kernels._derivative``): without, the Hessian is wrong by 1e-6 to 0.5.
    """
    f = tc.parse(f"prod(16*m*diag(frechet_expm({inner}+eye(m),ones(m,m))))", x="m")
    g, h = f.gradient("x"), f.hessian("x")
    x = np.random.default_rng(1).standard_normal(m)
    for derived, function in ((g, f), (h, g)):
        expected = slopes(lambda at, function=function: function(x=at), x, 1e-5)
        assert_allclose(derived(x=x), expected, rtol=0, atol=1e-8 * np.abs(expected).max())

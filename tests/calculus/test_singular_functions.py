"""Functions U*diag(f(s))*V' and U*diag(f(s))*U' where singular values coincide or vanish."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

import tensorcalculus as tc

Part = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

SMOOTH: dict[str, Part] = {
    "U*diag(tanh(s))*V'": lambda u, s, v: (u * np.tanh(s)) @ v.T,
    "3*U*diag(s.^3)*V'": lambda u, s, v: 3 * (u * s**3) @ v.T,
    "U*diag(s+s.^3)*V'": lambda u, s, v: (u * (s + s**3)) @ v.T,
    "U*diag(tanh(s).^2)*U'": lambda u, s, v: (u * np.tanh(s) ** 2) @ u.T,
    "2*U*diag(s.^2)*U'": lambda u, s, v: 2 * (u * s**2) @ u.T,
    "V*diag(log(1+s.^2))*V'": lambda u, s, v: (v * np.log1p(s**2)) @ v.T,
}
FULL_RANK: dict[str, Part] = {
    "U*V'": lambda u, s, v: u @ v.T,
    "U*diag(cos(s))*V'": lambda u, s, v: (u * np.cos(s)) @ v.T,
    "U*diag(1./s)*V'": lambda u, s, v: (u / s) @ v.T,
    "V*diag(s)*V'": lambda u, s, v: (v * s) @ v.T,
    "U*diag(exp(s))*U'": lambda u, s, v: (u * np.exp(s)) @ u.T,
}
SPECTRA = {"simple": (3, 2, 1), "double": (2, 2, 1), "triple": (1, 1, 1)}
VANISHING = {"one zero": (2, 2, 0), "two zeros": (1.5, 0, 0), "zero": (0, 0, 0)}
SHAPES = [(3, 3), (5, 3), (3, 4)]


def matrix(shape: tuple[int, int], values: tuple[float, ...]) -> np.ndarray:
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.standard_normal((shape[0], 3)))[0]
    right = np.linalg.qr(rng.standard_normal((shape[1], 3)))[0]
    return (left * np.array(values)) @ right.T


def numerical(part: Part, x: np.ndarray, dx: np.ndarray, step: float = 1e-4) -> np.ndarray:
    def at(t: float) -> np.ndarray:
        u, s, vt = np.linalg.svd(x + t * dx, full_matrices=False)
        return part(u, s, vt.T)

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


CASES = [
    *((text, shape, values) for text in SMOOTH for shape in SHAPES for values in SPECTRA),
    *((text, shape, values) for text in SMOOTH for shape in SHAPES for values in VANISHING),
    *((text, shape, values) for text in FULL_RANK for shape in SHAPES for values in SPECTRA),
]


@pytest.mark.parametrize(("text", "shape", "values"), CASES)
def test_first_derivatives(text: str, shape: tuple[int, int], values: str) -> None:
    declared = "n n" if shape[0] == shape[1] else "m n"
    f = tc.parse(f"{text} where (U,s,V) = svd(X)", X=declared)
    x = matrix(shape, (SPECTRA | VANISHING)[values])
    dx = np.random.default_rng(2).standard_normal(shape)
    right = numerical((SMOOTH | FULL_RANK)[text], x, dx)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tc.GaugeWarning)
        for mode in ("forward", "reverse"):
            found = np.tensordot(f.jacobian("X", mode=mode)(X=x), dx, 2)
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-8 * max(1, abs(right).max()))


@pytest.mark.parametrize("values", [*SPECTRA, *VANISHING])
@pytest.mark.parametrize("text", ["U*diag(tanh(s))*V'", "U*diag(s.^3)*V'", "U*diag(tanh(s).^2)*U'"])
def test_second_derivatives(text: str, values: str) -> None:
    f = tc.parse(f"sum(A.*({text})) where (U,s,V) = svd(X)", X="n n", A="n n")
    a, dx = np.random.default_rng(3).standard_normal((2, 3, 3))
    x, step = matrix((3, 3), (SPECTRA | VANISHING)[values]), 1e-4
    g = f.gradient("X")
    right = (g(X=x + step * dx, A=a) - g(X=x - step * dx, A=a)) / (2 * step)
    found = np.tensordot(f.hessian("X")(X=x, A=a), dx, 2)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * max(1, abs(right).max()))


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("text", ["svdvals(X)", "exp(svdvals(X))", "log(1+svdvals(X).^2)"])
def test_second_derivatives_of_sums(text: str, shape: tuple[int, int], values: str) -> None:
    f = tc.parse(f"sum({text})", X="n n" if shape[0] == shape[1] else "m n")
    x, step = matrix(shape, SPECTRA[values]), 1e-4
    dx = np.random.default_rng(6).standard_normal(shape)
    g = f.gradient("X")
    right = (g(X=x + step * dx) - g(X=x - step * dx)) / (2 * step)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tc.GaugeWarning)
        found = np.tensordot(f.hessian("X")(X=x), dx, 2)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * max(1, abs(right).max()))


def test_polar_factor_at_the_identity() -> None:
    f = tc.parse("sum(A.*(U*V')) where (U,s,V) = svd(X)", X="n n", A="n n")
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(f.gradient("X")(X=np.eye(2), A=a), (a - a.T) / 2, atol=1e-15)


@pytest.mark.parametrize("text", ["U*V'", "U*diag(cos(s))*V'", "U*diag(1./s)*V'"])
def test_without_a_derivative_a_warning_and_no_nan(text: str) -> None:
    f = tc.parse(f"sum(A.*({text})) where (U,s,V) = svd(X)", X="m n", A="m n")
    a = np.random.default_rng(4).standard_normal((5, 3))
    with pytest.warns(tc.GaugeWarning, match="singular value is 0"):
        found = f.gradient("X")(X=matrix((5, 3), (2, 1, 0)), A=a)
    assert np.isfinite(found).all() and abs(found).max() < 100


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("U*diag(s)*V'", "X"),
        ("U*diag(s.^2)*U'", "X*X'"),
        ("V*diag(s.^2)*V'", "X'*X"),
        ("U*diag(tanh(s))*V'", "U*diag(tanh(s))*V' where (U,s,V) = svd(X)"),
        ("V*U'", "V*U' where (U,s,V) = svd(X)"),
        ("U*diag(tanh(s).^2)*U'", "U*diag(tanh(s).^2)*U' where (U,s,V) = svd(X)"),
    ],
)
def test_printed_as_it_is_written(text: str, printed: str) -> None:
    f = tc.parse(f"{text} where (U,s,V) = svd(X)", X="m n").simplify()
    assert str(f) == printed
    assert tc.parse(printed, X="m n").simplify() is f


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("cosh(s)", 1),
        ("log(1+s.^2)", 2),
        ("sqrt(1+s.^2)", 1),
        ("exp(-s.^2)", -2),
        ("exp(s)+exp(-s)", 2),
        ("s.*sinh(s)", 2),
    ],
)
def test_even_functions_have_second_derivatives_at_zero(text: str, second: float) -> None:
    f = tc.parse(f"sum({text}) where s = svdvals(X)", X="m n")
    x = np.zeros((2, 3))
    right = second * np.einsum("ik,jl->ijkl", np.eye(2), np.eye(3))
    np.testing.assert_allclose(f.hessian("X")(X=x), right, atol=1e-12)


@pytest.mark.parametrize("values", [(1, 1, 1), (1, 1, 2), (3, 2, 1)])
@pytest.mark.parametrize(
    "text", ["var(d)", "prod(d)", "sum(d.^2)^2*sum(d)", "sum(tanh(d))*sum(exp(d))", "norm2(d)"]
)
def test_functions_of_all_eigenvalues_at_equal_ones(text: str, values: tuple) -> None:
    f = tc.parse(f"{text} where d = eigvalsh(S)", S="n n sym")
    s = matrix((3, 3), (1, 1, 1))
    s = s @ np.diag(values) @ s.T
    ds = np.random.default_rng(7).standard_normal((3, 3))
    ds, step, g = ds + ds.T, 1e-4, f.gradient("S")
    right = (g(S=s + step * ds) - g(S=s - step * ds)) / (2 * step)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tc.GaugeWarning)
        found = np.tensordot(f.hessian("S")(S=s), ds, 2)
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * max(1, abs(right).max()))

"""Factorised matrices: Cholesky where a matrix is symmetric and positive definite, else LU."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.compiler.factors import Factorization, PositiveFactorization, factorize
from tensorcalculus.compiler.program import Program
from tensorcalculus.errors import InputError

RNG = np.random.default_rng(0)


def positive(n: int, dtype: type = np.float64) -> np.ndarray:
    a = RNG.standard_normal((n, n))
    return (a @ a.T + np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_positive_definite(dtype: type, order: str) -> None:
    a = np.asarray(positive(6, dtype), order=order)  # type: ignore[call-overload]
    f = factorize(a, symmetric=True)
    assert isinstance(f, PositiveFactorization)
    tolerance = {"rtol": 1e-3 if dtype is np.float32 else 1e-10}
    for b in (RNG.standard_normal(6).astype(dtype), RNG.standard_normal((6, 3)).astype(dtype)):
        for found in (f.solve(b), f.solve(b, transposed=True)):
            assert found.dtype == dtype
            np.testing.assert_allclose(found, np.linalg.solve(a, b), **tolerance)
    np.testing.assert_allclose(f.inverse(), np.linalg.inv(a), **tolerance)
    np.testing.assert_allclose(f.logdet(), np.linalg.slogdet(a)[1], **tolerance)
    np.testing.assert_allclose(f.det(), np.linalg.det(a), **tolerance)
    z = RNG.standard_normal(6) + 1j * RNG.standard_normal(6)
    np.testing.assert_allclose(f.solve(z), np.linalg.solve(a, z), **tolerance)


def test_others_fall_back() -> None:
    a = positive(5)
    indefinite = a - 3 * np.eye(5)
    assert np.linalg.eigvalsh(indefinite).min() < 0
    complex_step = a + 1e-30j * np.eye(5)
    for matrix in (indefinite, complex_step):
        f = factorize(matrix, symmetric=True)
        assert type(f) is Factorization
        np.testing.assert_allclose(f.inverse(), np.linalg.inv(matrix), rtol=1e-9)
    assert factorize(np.zeros((0, 0)), symmetric=True).inverse().shape == (0, 0)


def test_singular_ones_are_refused() -> None:
    with pytest.raises(InputError, match="singular"):
        factorize(np.ones((3, 3)), symmetric=True)
    with pytest.raises(InputError, match="singular to working precision"):
        factorize(np.diag([1.0, 1e-40]), symmetric=True)


def test_a_likelihood_and_its_derivatives_share_one_factor() -> None:
    f = tc.parse("y'*inv(X*X'+s*eye(m))*y+logdet(X*X'+s*eye(m))", X="m n", y="m", s="")
    outputs = [f, f.gradient("s"), f.gradient("X")]
    program = Program(outputs)
    assert program.source().count("factorize(") == 1
    assert "symmetric=True" in program.source()
    n = 400
    assert program.cost({"m": n, "n": 5}).flops < 2 * n**3  # nothing but factors and their inverse
    X, y = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
    value, *_ = program({"X": X, "y": y, "s": 0.5})
    k = X @ X.T + 0.5 * np.eye(8)
    np.testing.assert_allclose(value, y @ np.linalg.solve(k, y) + np.linalg.slogdet(k)[1])
    f.check(order=2)

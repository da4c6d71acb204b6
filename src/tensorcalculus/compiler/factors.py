"""Factorised matrices that several solves share, and functions of a symmetric matrix."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tensorcalculus.compiler.kernels import Array
from tensorcalculus.compiler.spectral_kernels import nonzero_sign
from tensorcalculus.errors import InputError


@lru_cache(maxsize=64)
def lapack(names: tuple[str, ...], dtype: np.dtype[Any]) -> list[Callable[..., Any]]:
    """LAPACK's functions for a type; SciPy takes longer to find them than a small matrix does."""
    from scipy.linalg import get_lapack_funcs

    return get_lapack_funcs(names, dtype=dtype)


class Factorization:
    """A square matrix factorised once for every solve with it; the factors are those of LU."""

    def __init__(self, a: ArrayLike) -> None:
        self.a = np.asarray(a)
        self._inverse: Array | None = None
        self.rcond = 1.0
        self._factorize()

    def _factorize(self) -> None:
        if not self.a.size:  # which LAPACK takes for a mistake
            self._lu, self._pivots = self.a, np.zeros(0, int)
            return
        getrf, self._getrs, gecon = lapack(("getrf", "getrs", "gecon"), self.a.dtype)
        self._lu, self._pivots, info = getrf(self.a)
        if info > 0:
            raise InputError("a matrix to be inverted is singular")
        self._accept(gecon(self._lu, self._norm())[0])

    def _norm(self) -> float:
        return float(np.abs(self.a).sum(axis=0).max())

    def _accept(self, rcond: float) -> None:
        """InputError where the reciprocal condition number leaves no digit of a solution right."""
        self.rcond = rcond
        if rcond < np.finfo(self.a.dtype).eps / 8:
            raise InputError(
                "a matrix to be inverted is singular to working precision "
                f"(reciprocal condition number {rcond:.1e})"
            )

    def solve(self, b: ArrayLike, transposed: bool = False) -> Array:
        """``inv(A) @ b``, or ``inv(A).T @ b``; ``b`` is a vector or a matrix."""
        b = np.asarray(b)
        if not self.a.size or not b.size:
            return np.zeros(b.shape, np.result_type(self.a, b))
        if np.iscomplexobj(b) and not np.iscomplexobj(self.a):
            return self.solve(np.real(b), transposed) + 1j * self.solve(np.imag(b), transposed)
        return self._solve(b, transposed)

    def _solve(self, b: Array, transposed: bool) -> Array:
        return self._getrs(self._lu, self._pivots, b, trans=1 if transposed else 0)[0]

    def logdet(self) -> Array:
        """``log|det A|``; continued analytically from real matrices to complex ones."""
        pivots = np.diagonal(self._lu)
        value = np.log(np.abs(pivots)).sum()
        if pivots.dtype.kind == "f":
            return value
        sign = np.prod(pivots / np.abs(pivots))
        return value + 1j * np.arctan(sign.imag / sign.real)

    def det(self) -> Array:
        """``det A``, with the sign of the row exchanges."""
        exchanged = np.count_nonzero(self._pivots != np.arange(len(self._pivots)))
        return np.asarray(np.prod(np.diagonal(self._lu)) * (-1.0 if exchanged % 2 else 1.0))

    def inverse(self) -> Array:
        """The inverse as a matrix, where a formula needs its entries."""
        if self._inverse is None:
            self._inverse = self._inverted() if self.a.size else self.a.copy()
        return self._inverse

    def _inverted(self) -> Array:
        (getri,) = lapack(("getri",), self._lu.dtype)
        return getri(self._lu, self._pivots)[0]


class PositiveFactorization(Factorization):
    """The Cholesky factor of a positive definite matrix, at half the cost of LU."""

    def _factorize(self) -> None:
        potrf, self._potrs, pocon = lapack(("potrf", "potrs", "pocon"), self.a.dtype)
        # The transpose lies as LAPACK wants it, and is the same matrix.
        self._c, info = potrf(self.a.T, lower=1, clean=0)
        if info:
            raise _NotPositive
        self._accept(pocon(self._c, self._norm(), uplo="L")[0])

    def _solve(self, b: Array, transposed: bool) -> Array:
        return self._potrs(self._c, b, lower=1)[0]

    def logdet(self) -> Array:
        return 2.0 * np.log(np.diagonal(self._c)).sum()

    def det(self) -> Array:
        return np.asarray(np.square(np.prod(np.diagonal(self._c))))

    def _inverted(self) -> Array:
        (potri,) = lapack(("potri",), self._c.dtype)
        lower = np.tril(potri(self._c, lower=1)[0])
        return lower + np.tril(lower, -1).T


class _NotPositive(Exception):
    """A matrix is not positive definite."""


def factorize(a: ArrayLike, symmetric: bool = False) -> Factorization:
    """The factors of ``a``: Cholesky's where it is symmetric and positive definite, else LU with
    partial pivoting; InputError where it is singular.
    """
    a = np.asarray(a)
    # Of a complex symmetric matrix, as complex steps make them, Cholesky takes the conjugate.
    if symmetric and a.size and a.dtype.kind == "f":
        with suppress(_NotPositive):
            return PositiveFactorization(a)
    return Factorization(a)


def spectral(function: Callable[[Array], Array], d: Array, v: Array) -> Array:
    """``V diag(f(d)) V'``."""
    return (v * function(d)[..., None, :]) @ np.swapaxes(v, -1, -2)


def singular(function: Callable[[Array], Array], u: Array, s: Array, v: Array) -> Array:
    """``U diag(f(s)) V'``; an ``s`` that is 0 to rounding counts as 0."""
    values = np.where(nonzero_sign(s) > 0, s, s.dtype.type(0))
    return (u * function(values)[..., None, :]) @ np.swapaxes(v, -1, -2)

"""Factorised matrices that several solves share, and functions of a symmetric matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tensorcalculus.compiler.kernels import Array
from tensorcalculus.compiler.spectral_kernels import nonzero_sign
from tensorcalculus.errors import InputError


class Factorization:
    """LU factors of a square matrix, shared by every solve with it."""

    def __init__(self, a: ArrayLike) -> None:
        from scipy.linalg import get_lapack_funcs

        self.a = np.asarray(a)
        self._inverse: Array | None = None
        self.rcond = 1.0
        if not self.a.size:  # which LAPACK takes for a mistake
            self._lu, self._pivots = self.a, np.zeros(0, int)
            return
        (getrf, self._getrs) = get_lapack_funcs(("getrf", "getrs"), (self.a,))
        self._lu, self._pivots, info = getrf(self.a)
        if info > 0:
            raise InputError("a matrix to be inverted is singular")
        norm = np.abs(self.a).sum(axis=0).max()
        (gecon,) = get_lapack_funcs(("gecon",), (self._lu,))
        self.rcond, _ = gecon(self._lu, norm)
        if self.rcond < np.finfo(self._lu.dtype).eps / 8:
            raise InputError(
                "a matrix to be inverted is singular to working precision "
                f"(reciprocal condition number {self.rcond:.1e})"
            )

    def solve(self, b: ArrayLike, transposed: bool = False) -> Array:
        """``inv(A) @ b``, or ``inv(A).T @ b``; ``b`` is a vector or a matrix."""
        b = np.asarray(b)
        if not self.a.size or not b.size:
            return np.zeros(b.shape, np.result_type(self.a, b))
        if np.iscomplexobj(b) and not np.iscomplexobj(self.a):
            return self.solve(np.real(b), transposed) + 1j * self.solve(np.imag(b), transposed)
        x, _ = self._getrs(self._lu, self._pivots, b, trans=1 if transposed else 0)
        return x

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
            from scipy.linalg import get_lapack_funcs

            (getri,) = get_lapack_funcs(("getri",), (self._lu,))
            self._inverse = getri(self._lu, self._pivots)[0] if self.a.size else self._lu.copy()
        return self._inverse


def factorize(a: ArrayLike) -> Factorization:
    """LU factors of ``a`` with partial pivoting; InputError where it is singular."""
    return Factorization(a)


def spectral(function: Callable[[Array], Array], d: Array, v: Array) -> Array:
    """``V diag(f(d)) V'``."""
    return (v * function(d)[..., None, :]) @ np.swapaxes(v, -1, -2)


def singular(function: Callable[[Array], Array], u: Array, s: Array, v: Array) -> Array:
    """``U diag(f(s)) V'``; an ``s`` that is 0 to rounding counts as 0."""
    values = np.where(nonzero_sign(s) > 0, s, s.dtype.type(0))
    return (u * function(values)[..., None, :]) @ np.swapaxes(v, -1, -2)

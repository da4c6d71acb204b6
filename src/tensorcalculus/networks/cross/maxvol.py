"""Rows of a tall matrix that span it well: maximal volume, square and rectangular."""

from __future__ import annotations

import math

import numpy as np

from tensorcalculus.compiler.factors import lapack
from tensorcalculus.errors import InputError, ShapeError


def maxvol(
    a: np.ndarray, tol: float = 1.05, max_swaps: int = 1000
) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose square submatrix has (locally) the largest volume.

    Goreinov, Oseledets, Savostyanov, Tyrtyshnikov, Zamarashkin, How to find a good submatrix,
    Matrix Methods: Theory, Algorithms, Applications (2010): start from the pivots of LU, then swap
    rows while an entry of ``a @ inv(a[rows])`` exceeds `tol`; a swap multiplies the volume by it.

    Parameters
    ----------
    a
        ``[n, r]`` with ``n >= r``, of full rank.
    tol
        At least 1.
    max_swaps
        Limit on swaps.

    Returns
    -------
    rows, coefficients
        ``[r]`` and ``[n, r]`` with ``a = coefficients @ a[rows]``, entries at most `tol`.

    Raises
    ------
    ShapeError
        Fewer rows than columns.
    InputError
        A matrix that is not of full rank, or ``tol < 1``.
    """
    if a.ndim != 2 or a.shape[0] < a.shape[1] or not a.shape[1]:
        raise ShapeError(f"maxvol: a tall matrix is expected, not one of shape {a.shape}")
    if tol < 1:
        raise InputError(f"maxvol: tol must be at least 1, not {tol!r}")
    rows, c = _start(a)
    for _ in range(max_swaps):
        i, j = divmod(int(np.argmax(np.abs(c))), c.shape[1])
        pivot = c[i, j]
        if abs(pivot) <= tol:
            break
        change = c[i].copy()
        change[j] -= 1
        c -= np.outer(c[:, j] / pivot, change)
        rows[j] = i
    return rows, c


def _start(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that partial pivoting picks, and the coefficients of all rows in them."""
    from scipy.linalg import solve_triangular

    r = a.shape[1]
    (getrf,) = lapack(("getrf",), a.dtype)
    lu, swaps, info = getrf(a)
    if info > 0 or not np.isfinite(lu).all():
        raise InputError("maxvol: the matrix must be of full rank; use fewer columns")
    order = np.arange(a.shape[0])
    for k, other in enumerate(swaps):
        order[k], order[other] = order[other], order[k]
    # a[order] = L U, so coefficients are L inv(L[:r]).
    lower = lu.copy()
    coefficients = np.empty_like(lu)
    top = np.tril(lower[:r], -1)
    np.fill_diagonal(top, 1)
    below = solve_triangular(top, lower[r:].T, trans=1, lower=True, unit_diagonal=True).T
    coefficients[order[:r]] = np.eye(r)
    coefficients[order[r:]] = below
    return order[:r].copy(), coefficients


def rect_maxvol(
    a: np.ndarray, tau: float = 1.0, least: int = 0, most: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """More rows than columns: those of :func:`maxvol`, and then the ones worst represented.

    Mikhalev, Oseledets, Rectangular maximum-volume submatrices and their applications, Linear
    Algebra Appl. 538 (2018), algorithm 2: the row of coefficients with the largest norm is added,
    which multiplies the volume ``sqrt(det(b^H b))`` of the rows by ``sqrt(1 + norm^2)``.

    Parameters
    ----------
    a
        ``[n, r]`` with ``n >= r``, of full rank.
    tau
        Rows are added until no row of coefficients has a larger norm.
    least, most
        At least and at most as many rows; `most` is no less than r.

    Returns
    -------
    rows, coefficients
        ``[m]`` and ``[n, m]`` with ``a = coefficients @ a[rows]``, of least norm.
    """
    rows, c = maxvol(a)
    n, r = a.shape
    limit = n if most is None else max(r, min(n, most))
    chosen = list(rows)
    norms = np.einsum("ij,ij->i", c, c.conj()).real
    norms[rows] = -math.inf
    while len(chosen) < limit:
        i = int(np.argmax(norms))
        if norms[i] <= tau * tau and len(chosen) >= least:
            break
        row = c[i].conj()
        v = c @ row  # [n]
        weight = 1 / (1 + v[i].real)
        c = np.hstack([c - np.outer(v * weight, c[i]), (v * weight)[:, None]])
        norms -= weight * (v * v.conj()).real
        chosen.append(i)
        norms[i] = -math.inf
    return np.array(chosen), c

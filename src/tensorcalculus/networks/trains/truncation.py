"""One truncated singular value decomposition and its adjoint, right where values are equal or 0."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from tensorcalculus.errors import GaugeWarning
from tensorcalculus.networks.arrays import (
    Array,
    H,
    epsilon,
    is_abstract,
    is_complex,
    like,
    namespace,
    numpy_of,
    rank_within,
    svd,
)


class Split(NamedTuple):
    """``m = u diag(sigma) vh``, thin; `keep` is 1 for singular values that are kept, 0 for others.

    The truncated matrix is ``left @ right`` with orthonormal rows in `right`.
    """

    u: Array
    sigma: Array
    vh: Array
    keep: Array


def split(m: Array, delta: Any, most: int | None) -> tuple[Split, Array, Array]:
    """The SVD cut off within an error of `delta`, and both factors, weights at the left.

    While JAX traces, nothing may depend on numbers: the factors have `most` columns, and those
    beyond the rank that `delta` asks for are 0 at the left.
    """
    if is_abstract(m):
        xp = namespace(m)
        u, sigma, vh = xp.linalg.svd(m, full_matrices=False)
        top = xp.where(sigma[0] > 0, sigma[0], 1.0)
        tails = xp.sqrt(xp.flip(xp.cumsum(xp.flip((sigma / top) ** 2))))
        width = min(len(sigma), m.shape[0] if most is None else most)
        places = xp.arange(len(sigma))
        kept = ((tails > delta / top) | (places == 0)) & (places < width)
        keep = xp.astype(kept, sigma.dtype)
    else:
        u, values, vh = svd(m)
        width = rank_within(values, delta, most)
        sigma = _real(values, m)
        keep = _real((np.arange(len(values)) < width) * 1.0, m)
    made = Split(u, sigma, vh, keep)
    return made, u[:, :width] * (sigma * keep)[:width], vh[:width]


def split_adjoint(made: Split, left: Array, right: Array, told: str) -> Array:
    """The adjoint of :func:`split`, of cotangents of both factors, ``df = Re <cotangent, d .>``.

    Exact for what depends on the product of the factors only.  With ``y`` the cotangent of that
    product, blocks of ``u^H y v`` of kept and cut-off vectors are, by first-order perturbation of
    the projectors on singular spaces,

    - both kept: as they are; both cut off: 0;
    - i kept, j cut off: ``(s_i^2 a_ij + s_i s_j conj(a_ji)) / (s_i^2 - s_j^2)``, and the same for
      ``ji``: half of ``s_i/(s_i + s_j)`` times the difference, and half of ``s_i/(s_i - s_j)``
      times the sum of ``a_ij`` and ``conj(a_ji)``.

    So equal values on one side of the cut do no harm, and a value of 0 that is cut off gives the
    projection on the tangent space of the matrices of that rank.  Only a gap that closes at the cut
    has no derivative, where that sum does not vanish: it is left out there.  Orthonormal rows move
    orthogonally to their span, a choice on which such functions do not depend; so no differences of
    kept values occur.  For real matrices the differential is that of Feppon, Lermusiaux, A
    geometric approach to dynamical model order reduction, SIAM J. Matrix Anal. Appl. 39 (2018).

    Warns
    -----
    GaugeWarning
        The gap at the cut is closed and the function notices; or it depends on the basis of a bond.
        Not while JAX traces.
    """
    u, sigma, vh, keep = made
    xp = namespace(u)
    width = left.shape[1]
    v = H(vh)
    left = left * keep[:width]
    known = vh[:width] * _column(keep[:width])
    inverse = xp.where(sigma > 0, 1 / xp.where(sigma > 0, sigma, 1.0), 0.0) * keep
    if not is_abstract(left):
        _check_basis(made, left, right, known, told)
    right = right - (right @ H(known)) @ known
    y = left @ known + (u[:, :width] * inverse[:width]) @ right

    a = (H(u) @ y) @ v
    rows, columns = _column(keep), keep[None, :]
    both = rows * columns
    mixed = rows + columns - 2 * both
    low, high = xp.minimum(_column(sigma), sigma), xp.maximum(_column(sigma), sigma)
    gap, total = high - low, high + low
    closed = gap <= 64 * epsilon(u) * len(sigma) * sigma[0]
    if not is_abstract(left):
        _check_gap(numpy_of(mixed) * numpy_of(closed), numpy_of(a), told)
    p = xp.where(closed, 0.0, high / xp.where(closed, 1.0, gap))
    q = xp.where(total > 0, high / xp.where(total > 0, total, 1.0), 0.5)
    inside = (both + mixed * (p + q) / 2) * a + (mixed * (p - q) / 2) * H(a)
    result = u @ inside @ vh
    if u.shape[0] > u.shape[1]:
        outside = (y - u @ (H(u) @ y)) @ v
        result = result + (outside * keep) @ vh
    if vh.shape[1] > vh.shape[0]:
        outside = H(u) @ (y - (y @ v) @ vh)
        result = result + u @ (_column(keep) * outside)
    return result


def _real(values: np.ndarray, m: Array) -> Array:
    """Real numbers of the precision of `m`."""
    x = m.real if is_complex(m) else m
    return like(values, x)


def _column(x: Array) -> Array:
    return x[:, None]


def _check_basis(made: Split, left: Array, right: Array, known: Array, told: str) -> None:
    """Warn where the function changes as the basis of the bond is rotated."""
    width = left.shape[1]
    xp = namespace(left)
    weights = (made.sigma * made.keep)[:width]
    turned = _column(weights) * (H(made.u[:, :width]) @ left) - right @ H(known)
    size = float(numpy_of(weights[0])) * _size(left) + _size(right)
    if _size(turned - H(turned)) > 4 * math.sqrt(epsilon(xp.real(left))) * size:
        _warn(
            f"{told}: what is differentiated depends on the basis of a bond, not only on the tensor"
            " that the cores make; singular vectors have no derivative of their own, and that part"
            " is left out"
        )


def _check_gap(closed: np.ndarray, a: np.ndarray, told: str) -> None:
    """Warn where a coinciding pair, one kept and one cut off, contributes."""
    if closed.any():
        sums = np.abs(a + a.conj().T) * closed
        if sums.max() > math.sqrt(np.finfo(a.dtype).eps) * np.abs(a).max():
            _warn(
                f"{told}: a singular value that is kept equals one that is cut off; the truncation"
                " has no derivative there, and the contribution of the pair is set to 0. Keep both"
                " or none of them (max_rank, tol)"
            )


def _size(x: Array) -> float:
    return float(np.linalg.norm(numpy_of(x)))


def _warn(text: str) -> None:
    warnings.warn(text, GaugeWarning, stacklevel=2)

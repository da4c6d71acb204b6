"""Decompositions and matrix functions that read the same on PyTorch and JAX.

As in `framework_kernels`, no branch looks at the entries of an array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tensorcalculus.compiler.framework_kernels import (
    Array,
    Framework,
    exponent_range,
    gauss_nodes,
    gauss_weights,
    product_except,
)
from tensorcalculus.errors import InputError

# Above this condition number the cofactor is taken from the SVD instead of the inverse.
_WELL_CONDITIONED = 1e3
# Steps of the iteration for a square root.  Scaled, it needs about 10 for condition numbers up to
# 1e16; more do no harm, and fewer would cost matrices with eigenvalues near the negative axis.
_ROOT_STEPS = 20
# Square roots taken before the series of a logarithm, and points of its quadrature: eigenvalues
# between 1e-8 and 1e8 of their geometric mean come to within a third of 1, where the error of the
# Pade approximant of this order is below 1e-17.
_ROOTS, _LOG_POINTS = 6, 10
_LOG_NODES, _LOG_WEIGHTS = (
    tuple(float(v) for v in values)
    for values in (gauss_nodes(_LOG_POINTS), gauss_weights(_LOG_POINTS, 1))
)


@dataclass(frozen=True)
class Spectral(Framework):
    """The decompositions of a framework, besides."""

    svd: Callable[[Array], tuple[Array, Array, Array]]
    """Thin ``U, s, Vh``."""
    eigh: Callable[[Array], tuple[Array, Array]]
    expm: Callable[[Array], Array]


def transpose(x: Array) -> Array:
    """The last two axes exchanged."""
    return x.swapaxes(-1, -2)


def check_square(x: Array, what: str) -> None:
    """Refuse what is not a batch of square matrices: shapes are known also while tracing."""
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise InputError(f"{what} needs square matrices, got an array of shape {tuple(x.shape)}")


def symmetric_part(x: Array, what: str) -> Array:
    """``(X + X.T)/2``."""
    check_square(x, what)
    return 0.5 * x + 0.5 * transpose(x)


def _matrices(mask: Array) -> Array:
    """One value a matrix, ready to broadcast to its entries."""
    return mask[..., None, None]


def _largest(fw: Framework, x: Array) -> Array:
    return fw.xp.amax(abs(x).reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1])), -1)


def _all(x: Array) -> Array:
    return x.reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1])).all(-1)


# -- determinants --------------------------------------------------------------------------------


def cofactor(fw: Spectral, a: Array) -> Array:
    """``det(X) inv(X).T`` where that is accurate, else by the SVD, ``U diag(prod_except(s)) V.T``.

    Both are computed, each on matrices that suit it: the derivatives of an SVD do not exist at
    repeated singular values (an orthogonal matrix), those of an inverse at singular matrices.
    """
    xp = fw.xp
    check_square(a, "cofactor")
    n = a.shape[-1]
    if 0 in a.shape:
        return a
    if n == 1:
        return xp.ones_like(a)
    if n == 2:
        flipped = xp.flip(a, (-1, -2))
        return flipped * fw.constant(np.array, ([[1.0, -1.0], [-1.0, 1.0]],), a)
    finite = _matrices(_all(xp.isfinite(a)))
    scale = _matrices(exponent_range(fw, _largest(fw, a)))
    unit = fw.constant(np.eye, (n,), a)
    scaled = xp.where(finite, a, unit) / xp.where(finite, scale, 1.0)
    plain = fw.detach(scaled)
    condition = _row_sum(fw, plain) * _row_sum(fw, fw.inverse(plain))
    good = _matrices(condition < _WELL_CONDITIONED)
    regular = xp.where(good, scaled, unit)
    by_inverse = _matrices(xp.linalg.det(regular)) * transpose(fw.inverse(regular))
    # A stand-in with simple singular values, where the SVD has derivatives.
    simple = fw.constant(_simple, (n,), a)
    U, s, Vh = fw.svd(xp.where(good, simple, scaled))
    sign = fw.detach(xp.sign(xp.linalg.det(U) * xp.linalg.det(Vh)))
    by_svd = _matrices(sign) * ((U * product_except(fw, s, 1)[..., None, :]) @ Vh)
    core = xp.where(good, by_inverse, by_svd)
    # In two halves, as the power may be out of range where the result is not.
    half = scale ** ((n - 1) // 2)
    return xp.where(finite, core * half * (half * scale if n % 2 == 0 else half), float("nan"))


def _simple(n: int) -> NDArray[np.float64]:
    return np.diag(np.arange(1.0, n + 1))


def _row_sum(fw: Framework, x: Array) -> Array:
    return fw.xp.amax(abs(x).sum(-1), -1)


# -- spectra -------------------------------------------------------------------------------------


def positive(fw: Framework, s: Array) -> Array:
    """Where ``s`` is above the rounding of its largest entry, along the last axis."""
    if 0 in s.shape:
        return s > 0
    # The floor of 4 covers long thin matrices, where rounding comes from the long side.
    return s > rank_tolerance(fw, s, s.shape[-1]) * fw.xp.amax(s, -1)[..., None]


def rank_tolerance(fw: Framework, x: Array, n: int) -> float:
    """Relative size up to which one of ``n`` singular values counts as 0."""
    return 8 * float(fw.xp.finfo(x.dtype).eps) * max(n, 4)


def reciprocal_or_zero(fw: Framework, s: Array) -> Array:
    """``1/s`` where ``s`` is `positive`, else 0."""
    keep = positive(fw, s)
    return fw.xp.where(keep, 1 / fw.xp.where(keep, s, 1.0), 0.0)


def gap_multiply(fw: Framework, m: Array, d: Array) -> Array:
    """``M_ij / (d_j - d_i)``, 0 where ``|d_i - d_j| <= 64 eps n max|d|``, the diagonal included."""
    if 0 in m.shape or 0 in d.shape:
        return m
    limit = 64 * float(fw.xp.finfo(d.dtype).eps) * d.shape[-1] * fw.xp.amax(abs(d), -1)
    gap = d[..., None, :] - d[..., :, None]
    omit = abs(gap) <= _matrices(limit)
    return fw.xp.where(omit, 0.0, m / fw.xp.where(omit, 1.0, gap))


def scaled_product(u: Array, values: Array, v: Array) -> Array:
    """``U diag(values) V'``."""
    return (u * values[..., None, :]) @ transpose(v)


# -- matrix functions ----------------------------------------------------------------------------


def matrix_function(fw: Spectral, name: str, a: Array) -> Array:
    """``expm``, ``logm`` or ``sqrtm``; NaN where the principal value is not real.

    The value at a symmetric matrix is taken from its eigenvalues, which is accurate for any
    condition number and right for a singular root.  Its derivative is that of the general
    algorithm all the same: eigenvectors know nothing of a perturbation that is not symmetric.
    """
    _check_name(name)
    check_square(a, name)
    if 0 in a.shape:
        return a
    if name == "expm":
        return fw.expm(a)
    xp = fw.xp
    general = _logarithm(fw, a) if name == "logm" else _square_root(fw, a)
    plain = fw.detach(a)
    symmetric = _matrices(_all((plain == transpose(plain)) & xp.isfinite(plain)))
    d, V = fw.eigh(xp.where(symmetric, plain, fw.constant(np.eye, (a.shape[-1],), a)))
    # Eigenvalues that are 0 to rounding count as 0.
    limit = 64 * float(xp.finfo(a.dtype).eps) * d.shape[-1] * xp.amax(abs(d), -1)[..., None]
    root = xp.sqrt(xp.where((d < 0) & (d >= -limit), 0.0, d))
    value = scaled_product(V, xp.log(d) if name == "logm" else root, V)
    slope = xp.where(xp.isfinite(general), general - fw.detach(general), 0.0)
    return xp.where(symmetric, value + slope, general)


def frechet(fw: Spectral, name: str, a: Array, e: Array) -> Array:
    """Derivative of a matrix function at ``A`` in direction ``E``, which may have any scale."""
    _check_name(name)
    check_square(a, name)
    check_square(e, name)
    n = a.shape[-1]
    if n != e.shape[-1]:
        raise InputError(
            f"{name}: the direction has shape {tuple(e.shape)}, the matrix {tuple(a.shape)}"
        )
    xp = fw.xp
    shape = xp.broadcast_shapes(a.shape, e.shape)
    if 0 in shape:
        return xp.zeros_like(xp.broadcast_to(e, shape))
    if name == "sqrtm":
        return _sylvester(fw, matrix_function(fw, name, a), e)
    if name == "logm":
        return _logarithm_derivative(fw, a, e)
    # The upper right block of exp([A E; 0 A]).  Linear in the direction: bring it to the scale of
    # the matrix, where rounding is least.
    a, e = xp.broadcast_to(a, shape), xp.broadcast_to(e, shape)
    sizes = exponent_range(fw, _largest(fw, a)), exponent_range(fw, _largest(fw, e))
    ratio = _matrices(sizes[0] / sizes[1])
    upper = xp.concatenate([a, e * ratio], -1)
    lower = xp.concatenate([xp.zeros_like(a), a], -1)
    whole = fw.expm(xp.concatenate([upper, lower], -2))
    return whole[..., :n, n:] / ratio


def _check_name(name: str) -> None:
    if name not in ("expm", "logm", "sqrtm"):
        raise InputError(f"no matrix function {name!r}: there are expm, logm and sqrtm")


def _square_root(fw: Framework, a: Array) -> Array:
    """Principal square root by the product form of the scaled Denman-Beavers iteration.

    ``M' = (2 I + mu^2 M + inv(mu^2 M)) / 4``, ``X' = mu X (I + inv(mu^2 M)) / 2`` from
    ``M = X = A`` keeps ``M = X inv(A) X`` and ends at ``M = I``, ``X^2 = A`` (Higham 2008,
    eq. 6.29).  The scaling balances ``M`` and its inverse; the limit does not depend on it, so it
    is constant to differentiation.  A Newton step at the end, ``X + Y`` with ``X Y + Y X =
    A - X^2``, corrects the result and, as it is differentiated as well, its derivatives.  NaN
    where the result does not square to ``A``.
    """
    xp = fw.xp
    scale = _matrices(exponent_range(fw, _largest(fw, a)))
    target = a / scale
    unit = fw.constant(np.eye, (a.shape[-1],), a)

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        m, x = state
        inverse = fw.inverse(m)
        mu2 = _balance(fw, m, inverse)
        inverse = inverse / mu2
        return 0.5 * unit + 0.25 * (mu2 * m + inverse), 0.5 * xp.sqrt(mu2) * (x + x @ inverse)

    _, x = fw.repeat(_ROOT_STEPS, step, (target, target))
    x = x + _sylvester(fw, x, target - x @ x)
    residual = _largest(fw, fw.detach(x @ x - target))
    good = residual <= 16 * float(xp.finfo(a.dtype).eps) ** 0.5 * _largest(fw, fw.detach(target))
    return xp.where(_matrices(good), x * xp.sqrt(scale), float("nan"))


def _sylvester(fw: Framework, s: Array, e: Array) -> Array:
    """The solution of ``S L + L S = E``, the derivative of the square root ``S`` of a matrix.

    Half the upper right block of the sign of ``[S E; 0 -S]``, by Newton's iteration,
    ``P' = (mu P + inv(mu P)) / 2``, ``Q' = (mu Q + inv(P) Q inv(P) / mu) / 2`` (Roberts 1980).
    """

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        p, q = state
        inverse = fw.inverse(p)
        mu = _balance(fw, p, inverse)
        return 0.5 * (mu * p + inverse / mu), 0.5 * (mu * q + inverse @ q @ inverse / mu)

    shape = fw.xp.broadcast_shapes(s.shape, e.shape)
    start = fw.xp.broadcast_to(s, shape), fw.xp.broadcast_to(e, shape)
    return 0.5 * fw.repeat(_ROOT_STEPS, step, start)[1]


def _balance(fw: Framework, x: Array, inverse: Array) -> Array:
    """The scale that makes ``x`` as large as its inverse, constant to differentiation."""
    x, inverse = fw.detach(x), fw.detach(inverse)
    squares = [(y * y).sum(-1).sum(-1) for y in (inverse, x)]
    return _matrices((squares[0] / squares[1]) ** 0.25)


def _logarithm(fw: Framework, a: Array) -> Array:
    """Principal logarithm by inverse scaling and squaring.

    ``log A = log c I + 2^k log(I + Z)``, ``I + Z = (A/c)^(1/2^k)``, with ``c`` the geometric mean
    of the eigenvalues' sizes, and the diagonal Pade approximant of ``log(I + Z)`` as Gauss
    quadrature of ``integral of Z inv(I + t Z) over 0 < t < 1`` (Higham 2008, section 11.4).
    """
    unit = fw.constant(np.eye, (a.shape[-1],), a)
    log_mean = _log_mean(fw, a)
    root = fw.repeat(_ROOTS, lambda x: _square_root(fw, x), a / fw.xp.exp(log_mean))
    z = root - unit
    total = fw.xp.zeros_like(z)
    for t, w in zip(_LOG_NODES, _LOG_WEIGHTS, strict=True):
        total = total + w * (z @ fw.inverse(unit + t * z))
    return log_mean * unit + 2.0**_ROOTS * total


def _logarithm_derivative(fw: Framework, a: Array, e: Array) -> Array:
    """The derivative of `_logarithm` step by step: of each root, then of the integrand,
    ``inv(I + t Z) dZ inv(I + t Z)`` (Al-Mohy, Higham and Relton 2013).
    """
    unit = fw.constant(np.eye, (a.shape[-1],), a)
    mean = fw.xp.exp(_log_mean(fw, a))

    def step(state: tuple[Array, Array]) -> tuple[Array, Array]:
        root = _square_root(fw, state[0])
        return root, _sylvester(fw, root, state[1])

    shape = fw.xp.broadcast_shapes(a.shape, e.shape)
    start = fw.xp.broadcast_to(a / mean, shape), fw.xp.broadcast_to(e / mean, shape)
    root, dz = fw.repeat(_ROOTS, step, start)
    total = fw.xp.zeros_like(dz)
    for t, w in zip(_LOG_NODES, _LOG_WEIGHTS, strict=True):
        inverse = fw.inverse(unit + t * (root - unit))
        total = total + w * (inverse @ dz @ inverse)
    return 2.0**_ROOTS * total


def _log_mean(fw: Framework, a: Array) -> Array:
    """Logarithm of the geometric mean of the eigenvalues' sizes, constant to differentiation:
    what depends on it depends on its value in no way.
    """
    return _matrices(fw.detach(fw.xp.linalg.slogdet(a)[1]) / a.shape[-1])

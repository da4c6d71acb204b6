"""Decompositions, matrix functions and the pieces of their derivatives.

All functions are batched over leading axes as `numpy.linalg` is.  SciPy is imported only by the
functions that need it.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tensorcalculus.compiler.divided_differences import divided_difference
from tensorcalculus.compiler.kernels import Array, as_inexact, product_except
from tensorcalculus.errors import GaugeWarning, InputError

__all__ = [
    "cholesky",
    "cofactor",
    "degenerate_check",
    "divided_difference",
    "eigh",
    "frechet",
    "gap_multiply",
    "logdet",
    "matrix_function",
    "nonzero_sign",
    "pinv",
    "qr",
    "reciprocal_or_zero",
    "svd",
]

# Above this condition number the cofactor is taken from the SVD instead of the inverse.
_WELL_CONDITIONED = 1e3
# Relative size above which a term that the gauge makes arbitrary is reported.
_GAUGE_TOLERANCE = 1e-8


def _square(x: ArrayLike, what: str) -> Array:
    a = as_inexact(x)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise InputError(f"{what} needs square matrices, got an array of shape {a.shape}")
    return a


def _transpose(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


def _real_finite(x: ArrayLike, what: str) -> Array:
    a = as_inexact(x)
    if a.dtype.kind != "f":
        raise InputError(f"{what} needs real matrices, got {a.dtype}")
    if not np.all(np.isfinite(a)):
        raise InputError(f"{what} needs finite entries, got infinity or NaN")
    return a


def _symmetric_part(x: ArrayLike, what: str) -> Array:
    a = _square(_real_finite(x, what), what)
    return 0.5 * a + 0.5 * _transpose(a)


def cofactor(X: ArrayLike) -> Array:
    """Cofactor matrix ``det(X) inv(X).T``, right also for singular ``X`` of any rank.

    ``det(U) det(V) U diag(product_except(s)) V.T`` with the SVD ``X = U diag(s) V.T``; for
    well-conditioned matrices the formula with the inverse, which is faster.  Matrices are scaled
    by a power of 2 before, so that only a result out of range overflows or underflows.
    """
    a = _square(X, "cofactor")
    n = a.shape[-1]
    if n == 0:
        return a.copy()
    if n == 1:
        return np.ones_like(a)
    if n == 2:
        out = np.empty_like(a)
        out[..., 0, 0], out[..., 0, 1] = a[..., 1, 1], -a[..., 1, 0]
        out[..., 1, 0], out[..., 1, 1] = -a[..., 0, 1], a[..., 0, 0]
        return out
    if not np.all(np.isfinite(a)):
        # The SVD of such a matrix does not converge; spoil only the matrices concerned.
        bad = ~np.all(np.isfinite(a), axis=(-1, -2), keepdims=True)
        return np.where(bad, np.nan, cofactor(np.where(bad, a.dtype.type(0), a)))
    exponent = np.frexp(np.abs(a).max(axis=(-1, -2), keepdims=True))[1]
    with np.errstate(all="ignore"):
        scaled = _scale(a, -exponent).reshape(-1, n, n)
        try:
            inverse = np.linalg.inv(scaled)
            condition = np.abs(scaled).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
            out = np.linalg.det(scaled)[:, None, None] * _transpose(inverse)
            poor = ~(condition < _WELL_CONDITIONED)
        except np.linalg.LinAlgError:
            out, poor = np.empty_like(scaled), np.ones(len(scaled), bool)
        if poor.any():
            U, s, Vh = np.linalg.svd(scaled[poor])
            # For complex matrices the same formula needs the conjugates; for real ones they and
            # the determinants, rounded to a sign, do nothing else.
            sign = np.linalg.det(U) * np.linalg.det(Vh)
            if a.dtype.kind == "f":
                sign = np.sign(sign)
            core = (np.conj(U) * product_except(s, 1)[:, None, :]) @ np.conj(Vh)
            out[poor] = sign[:, None, None] * core
        return _scale(out.reshape(a.shape), exponent * (n - 1))


def _scale(x: Array, exponent: Array) -> Array:
    """``x * 2**exponent`` without overflow of the factor."""
    if x.dtype.kind != "c":
        return np.ldexp(x, exponent)
    out = np.empty_like(x)
    out.real, out.imag = np.ldexp(np.real(x), exponent), np.ldexp(np.imag(x), exponent)
    return out


def logdet(X: ArrayLike) -> Array:
    """``log|det X|``; -inf for singular ``X``, without a warning.

    For complex ``X`` it is continued analytically from real matrices.
    """
    a = _square(X, "logdet")
    with np.errstate(divide="ignore", invalid="ignore"):
        sign, value = np.linalg.slogdet(a)
        return value if a.dtype.kind == "f" else value + 1j * np.arctan(sign.imag / sign.real)


def eigh(X: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues ``d`` (ascending) and eigenvectors ``V`` (columns) of ``(X + X.T)/2``."""
    d, V = np.linalg.eigh(_symmetric_part(X, "eigh"))
    return d, V


def cholesky(X: ArrayLike) -> Array:
    """Lower triangular ``L`` with ``L L.T = (X + X.T)/2``.

    Raises
    ------
    InputError
        Where the symmetric part is not positive definite; gives its smallest eigenvalue.
    """
    a = _symmetric_part(X, "cholesky")
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(a)[..., 0]
        at = np.unravel_index(np.argmin(smallest), smallest.shape)
        which = f" of matrix {tuple(int(i) for i in at)} of the batch" if at else ""
        raise InputError(
            "cholesky needs a positive definite matrix; the smallest eigenvalue of the symmetric "
            f"part{which} is {smallest[at]:.6g}"
        ) from None


def svd(X: ArrayLike) -> tuple[Array, Array, Array]:
    """Thin singular value decomposition ``X = U diag(s) V.T``; returns ``V``, not ``V.T``."""
    U, s, Vh = np.linalg.svd(_real_finite(X, "svd"), full_matrices=False)
    return U, s, _transpose(Vh)


def qr(X: ArrayLike) -> tuple[Array, Array]:
    """Reduced decomposition ``X = Q R`` with a nonnegative diagonal of ``R``.

    The sign convention makes the factors unique, and smooth, where the leading columns are
    linearly independent.
    """
    Q, R = np.linalg.qr(_real_finite(X, "qr"))
    sign = np.where(np.diagonal(R, axis1=-2, axis2=-1) < 0, -1, 1).astype(R.dtype)
    return Q * sign[..., None, :], R * sign[..., :, None]


def pinv(X: ArrayLike) -> Array:
    """Moore-Penrose inverse ``V diag(1/s) U.T``, singular values cut as `reciprocal_or_zero`."""
    U, s, V = svd(X)
    return (V * reciprocal_or_zero(s)[..., None, :]) @ _transpose(U)


def _positive(s: Array) -> NDArray[np.bool_]:
    if s.shape[-1] == 0:
        return np.zeros(s.shape, bool)
    # The floor of 4 covers long thin matrices, where rounding comes from the long side.
    tolerance = 8 * np.finfo(s.dtype).eps * max(s.shape[-1], 4)
    return s > tolerance * s.max(axis=-1, keepdims=True)


def reciprocal_or_zero(s: ArrayLike) -> Array:
    """``1/s`` where ``s > tol * max(s)`` along the last axis, else 0.

    ``tol = 8 * eps * max(n, 4)`` with ``n`` the length of the last axis.
    """
    a = as_inexact(s)
    keep = _positive(a)
    with np.errstate(over="ignore"):
        return np.where(keep, 1 / np.where(keep, a, a.dtype.type(1)), a.dtype.type(0))


def nonzero_sign(s: ArrayLike) -> Array:
    """1 where ``s`` is positive by the tolerance of `reciprocal_or_zero`, else 0."""
    a = as_inexact(s)
    return _positive(a).astype(a.dtype)


def _coinciding(d: Array) -> NDArray[np.bool_]:
    """Pairs ``i != j`` with ``|d_i - d_j| <= 64 eps n max|d|``, shape (..., n, n)."""
    n = d.shape[-1]
    limit = 64 * np.finfo(d.dtype).eps * n * np.abs(d).max(axis=-1, initial=0.0)
    close = np.abs(d[..., :, None] - d[..., None, :]) <= limit[..., None, None]
    return close & ~np.eye(n, dtype=bool)


def _largest(x: Array, lead: int, core: int) -> Array:
    """Maximum of ``|x|`` over the last ``core`` axes and over the extra leading axes.

    ``lead`` is the number of batch axes of the spectrum.  The extra axes of ``x`` run over
    directions at the same point; rounding noise in one is judged by the size of all.
    """
    extra = tuple(range(max(x.ndim - core - lead, 0)))
    axes = extra + tuple(range(x.ndim - core, x.ndim))
    return np.abs(x).max(axis=axes, keepdims=True, initial=0.0)


def gap_multiply(M: ArrayLike, d: ArrayLike, transposed: bool) -> Array:
    """Hadamard product ``F * M`` with the inverse gaps of a spectrum, ``F_ij = 1/(d_j - d_i)``.

    ``F`` is 0 on the diagonal and where ``|d_i - d_j| <= 64 eps n max|d|``.  This is the step of
    the differential of eigenvectors, ``dV = V (F * (V.T dA V))``, that has no limit when two
    eigenvalues meet, unless what is computed does not depend on the choice of the eigenvectors.

    Parameters
    ----------
    M : array, shape (..., n, n)
    d : array, shape (..., n)
        Broadcast against the leading axes of ``M`` from the right.
    transposed : bool
        Whether this is the differential (False) or its adjoint (True).  A coinciding pair is
        reported when the matrix does not vanish there: ``M_ij`` itself for the differential,
        ``M_ij - M_ji`` for the adjoint.  In both cases the pair contributes 0.

    Warns
    -----
    GaugeWarning
    """
    m, e = as_inexact(M), as_inexact(d)
    close = _coinciding(e)
    if close.any():
        entries = np.abs(m - _transpose(m) if transposed else m)
        if np.any(close & (entries > _GAUGE_TOLERANCE * _largest(m, e.ndim - 1, 2))):
            warnings.warn(
                "eigenvectors (or singular vectors) that belong to equal eigenvalues are not "
                "differentiable: the result depends on the basis that the decomposition happened "
                "to choose; the contribution of the pair is set to 0",
                GaugeWarning,
                stacklevel=2,
            )
    omit = close | np.eye(e.shape[-1], dtype=bool)
    gap = np.where(omit, e.dtype.type(1), e[..., None, :] - e[..., :, None])
    return np.where(omit, m.dtype.type(0), m / gap)


def degenerate_check(g: ArrayLike, d: ArrayLike) -> Array:
    """Return ``g``; warn when it differs between two coinciding entries of ``d``.

    A single one of several equal eigenvalues (or singular values) has no derivative; a symmetric
    function of them has, and its derivative ``g`` is equal in their places.  Entries of ``d``
    coincide as in `gap_multiply`; ``g`` differs beyond 1e-8 of its largest entry.

    Warns
    -----
    GaugeWarning
    """
    a, e = as_inexact(g), as_inexact(d)
    close = _coinciding(e)
    if close.any():
        difference = np.abs(a[..., :, None] - a[..., None, :])
        limit = _GAUGE_TOLERANCE * _largest(a, e.ndim - 1, 1)[..., None]
        if np.any(close & (difference > limit)):
            warnings.warn(
                "the derivative of a single eigenvalue (or singular value) is not unique where "
                "it coincides with another one: the result depends on the basis that the "
                "decomposition happened to choose",
                GaugeWarning,
                stacklevel=2,
            )
    return a


def _spectrum_function(name: str, d: Array) -> Array:
    """``f(d)`` for the eigenvalues of symmetric matrices, refused where it is not real."""
    if name == "expm":
        return np.exp(d)
    limit = 64 * np.finfo(d.dtype).eps * d.shape[-1] * np.abs(d).max(axis=-1, initial=0.0)
    if name == "logm":
        _check_log(d.min(initial=np.inf))
        return np.log(d)
    if np.any(d < -limit[..., None]):
        _refuse_root(d.min())
    return np.sqrt(np.maximum(d, d.dtype.type(0)))


def _check_log(smallest: float) -> None:
    if smallest <= 0:
        raise InputError(
            f"logm: the matrix has the real eigenvalue {smallest:.6g}; a real principal logarithm "
            "needs a matrix without zero or negative real eigenvalues"
        )


def _refuse_root(smallest: float) -> None:
    raise InputError(
        f"sqrtm: the matrix has the real eigenvalue {smallest:.6g}; a real principal square root "
        "needs a matrix without negative eigenvalues"
    )


def _check_name(name: str) -> None:
    if name not in ("expm", "logm", "sqrtm"):
        raise InputError(f"unknown matrix function {name!r}: expected expm, logm or sqrtm")


def _is_symmetric(a: Array) -> bool:
    return bool(np.array_equal(a, _transpose(a)))


def matrix_function(name: str, A: ArrayLike) -> Array:
    """Principal ``expm``, ``logm`` or ``sqrtm`` of real square matrices.

    Symmetric matrices go through their eigenvalues, others through SciPy one by one.

    Raises
    ------
    InputError
        Where the principal logarithm or square root is not real or does not exist.
    """
    _check_name(name)
    a = _square(_real_finite(A, name), name)
    if a.size == 0:
        return a.copy()
    if _is_symmetric(a):
        d, V = np.linalg.eigh(a)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return (V * _spectrum_function(name, d)[..., None, :]) @ _transpose(V)
    out = np.empty_like(a)
    for index in np.ndindex(a.shape[:-2]):
        one = a[index]
        out[index] = matrix_function(name, one) if _is_symmetric(one) else _general(name, one)
    return out


def _general(name: str, a: Array) -> Array:
    """The function of one matrix by SciPy, real."""
    from scipy import linalg

    a = a.astype(np.float64)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # SciPy warns of singular matrices; those are judged here, by the result.
        warnings.simplefilter("ignore")
        if name == "expm":
            return linalg.expm(a)
        eigenvalues = np.linalg.eigvals(a)
        limit = 64 * np.finfo(a.dtype).eps * a.shape[-1] * np.linalg.norm(a)
        real = np.real(eigenvalues)[np.imag(eigenvalues) == 0]
        smallest = real.min(initial=np.inf)
        if name == "logm":
            _check_log(smallest)
            result = np.asarray(linalg.logm(a))
            size = max(1.0, np.abs(result).max())
        else:
            if smallest < -limit:
                _refuse_root(smallest)
            result = np.asarray(linalg.sqrtm(a))
            size = np.abs(result).max()
        value = np.ascontiguousarray(np.real(result))
        good = np.all(np.isfinite(value)) and np.abs(np.imag(result)).max() <= 1e-7 * size
        if good and name == "sqrtm":
            # A nilpotent part has no square root, and SciPy returns some matrix.
            good = np.abs(value @ value - a).max() <= 1e-7 * np.abs(a).max()
    if not good:
        raise InputError(f"{name}: the principal value of this matrix is not real or not finite")
    return value


def frechet(name: str, A: ArrayLike, E: ArrayLike) -> Array:
    """Fréchet derivative ``L_f(A, E) = d/dt f(A + t E)`` at ``t = 0`` for `matrix_function`.

    For symmetric ``A = V diag(d) V.T`` it is ``V (F * (V.T E V)) V.T`` with the divided
    differences ``F_ij = f[d_i, d_j]`` in closed form.  Otherwise ``expm`` is done by
    `scipy.linalg.expm_frechet`, ``sqrtm`` as the solution of ``S L + L S = E`` with ``S = f(A)``,
    and ``logm`` as the upper right block of ``f([[A, E], [0, A]])``.

    Parameters
    ----------
    name : {"expm", "logm", "sqrtm"}
    A, E : arrays, shape (..., n, n)
        Broadcast against each other in the leading axes.  ``E`` may have any scale.
    """
    _check_name(name)
    a, e = (_square(_real_finite(x, name), name) for x in (A, E))
    if a.shape[-1] != e.shape[-1]:
        raise InputError(f"{name}: the direction has shape {e.shape}, the matrix {a.shape}")
    shape = np.broadcast_shapes(a.shape, e.shape)
    if 0 in shape:
        return np.zeros(shape, np.result_type(a, e))
    if _is_symmetric(a):
        d, V = np.linalg.eigh(a)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            F = _pair_quotients(name, d)
            return V @ (F * (_transpose(V) @ e @ V)) @ _transpose(V)
    out = np.empty(shape, np.result_type(a, e))
    directions = np.broadcast_to(e, shape)
    extra = len(shape) - a.ndim
    for index in np.ndindex(a.shape[:-2]):
        # All directions at one matrix together, over the axes that `a` lacks or has length 1 in.
        slices = tuple(slice(None) if a.shape[axis] == 1 else i for axis, i in enumerate(index))
        at = (slice(None),) * extra + slices
        one, some = a[index], directions[at]
        out[at] = frechet(name, one, some) if _is_symmetric(one) else _derivative(name, one, some)
    return out


def _pair_quotients(name: str, d: Array) -> Array:
    """``(f(d_i) - f(d_j)) / (d_i - d_j)`` and its limit, without cancellation."""
    f = _spectrum_function(name, d)
    x, y = d[..., :, None], d[..., None, :]
    if name == "sqrtm":
        _check_regular(d)
        return 1 / (f[..., :, None] + f[..., None, :])
    one = d.dtype.type(1)
    if name == "expm":
        gap = np.abs(x - y)
        ratio = -np.expm1(-gap) / np.where(gap == 0, one, gap)
        return np.exp(np.maximum(x, y)) * np.where(gap == 0, one, ratio)
    # log x - log y = 2 atanh(z); for distant eigenvalues z rounds to 1 and the logarithms serve.
    mean = 0.5 * x + 0.5 * y
    z = (0.5 * x - 0.5 * y) / mean
    near = np.abs(z) < 0.5
    ratio = np.arctanh(np.where(near, z, 0.5 * one)) / np.where(near & (z != 0), z, one)
    distant = (f[..., :, None] - f[..., None, :]) / np.where(near, one, x - y)
    return np.where(near, np.where(z == 0, one, ratio) / mean, distant)


def _check_regular(eigenvalues: Array) -> None:
    size = np.abs(eigenvalues)
    limit = 8 * np.finfo(size.dtype).eps * size.shape[-1] * size.max(axis=-1)
    if np.any(size.min(axis=-1) <= limit):
        raise InputError("sqrtm: the square root is not differentiable at a singular matrix")


def _derivative(name: str, a: Array, e: Array, balance: bool = True) -> Array:
    """Fréchet derivatives at one matrix ``a`` in the directions ``e`` of shape (..., n, n)."""
    from scipy import linalg

    # A second derivative puts a direction into the matrix, [A E; 0 A]: balanced, a large E costs
    # no digits. T is diagonal, L(A, E) = T L(inv(T) A T, inv(T) E T) inv(T).
    balanced, (scales, _) = linalg.matrix_balance(a, permute=False, separate=True)
    ratio = scales[:, None] / scales
    if balance and np.any(ratio != 1.0):
        return _derivative(name, np.asarray(balanced), e / ratio, balance=False) * ratio
    n = a.shape[-1]
    out = np.zeros(e.shape, np.result_type(a, e))
    root = np.empty((0, 0))
    if name == "sqrtm":
        _check_regular(np.linalg.eigvals(a))
        root = _general(name, a)
    size = np.abs(a).max()
    for index in np.ndindex(e.shape[:-2]):
        largest = np.abs(e[index]).max()
        if largest == 0:
            continue
        # Linear in the direction: bring it to the scale of the matrix, where rounding is least.
        direction = e[index] / largest * size
        if name == "expm":
            result = np.asarray(linalg.expm_frechet(a, direction, compute_expm=False))
        elif name == "sqrtm":
            result = linalg.solve_sylvester(root, root, direction)
        else:
            block = np.block([[a, direction], [np.zeros_like(a), a]])
            result = _general(name, block)[:n, n:]
        out[index] = result / size * largest
    return out

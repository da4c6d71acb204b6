"""Elementwise functions, reductions and window helpers called by generated NumPy source.

Every elementwise function accepts real or complex arrays.  For complex input the branch is chosen
by the real part and the chosen branch is continued analytically, so that a complex step
``f(x + 1e-30j).imag / 1e-30`` gives the derivative to working precision.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tensorcalculus.errors import InputError

Array = NDArray[Any]

# Largest imaginary part, relative to the real one, for which a first-order expansion in the
# imaginary part stands in for a complex function that SciPy does not have.
_COMPLEX_STEP_LIMIT = 1e-8


def as_inexact(x: ArrayLike) -> Array:
    """Return ``x`` as a float or complex array (integers and booleans become float64)."""
    a = np.asarray(x)
    return a if a.dtype.kind in "fc" else a.astype(np.float64)


def _fold(x: Array) -> Array:
    """Return ``x`` where its real part is nonnegative and ``-x`` elsewhere."""
    return np.where(np.real(x) < 0, -x, x)


def _complex(real: Array, imag: Array) -> Array:
    """Assemble a complex array; unlike ``real + 1j*imag`` right also for infinite parts."""
    out = np.empty(np.broadcast_shapes(real.shape, imag.shape), np.result_type(real, np.complex64))
    out.real, out.imag = real, imag
    return out


def _log1p(x: Array) -> Array:
    """``log(1 + x)``; NumPy's complex version loses the real part for small ``x``."""
    if x.dtype.kind != "c":
        return np.log1p(x)
    a, b = np.asarray(np.real(x)), np.asarray(np.imag(x))
    return _complex(0.5 * np.log1p(a * (2 + a) + b * b), np.arctan2(b, 1 + a))


@cache
def _expit() -> Any:
    from scipy.special import expit

    return expit


def sigmoid(x: ArrayLike) -> Array:
    """Logistic function ``1 / (1 + exp(-x))``, precise in both tails."""
    if isinstance(x, np.ndarray) and x.dtype.char in "fd":
        return _expit()(x)
    z = as_inexact(x)
    if z.dtype.kind == "f":
        return _expit()(z)
    e = np.exp(-_fold(z))
    return np.where(np.real(z) >= 0, 1, e) / (1 + e)


@np.errstate(under="ignore")
def softplus(x: ArrayLike) -> Array:
    """``log(1 + exp(x))``, computed as ``max(x, 0) + log1p(exp(-|x|))``."""
    z = as_inexact(x)
    if z.dtype.kind == "f":
        return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return relu(z) + _log1p(np.exp(-_fold(z)))


def relu(x: ArrayLike) -> Array:
    """``max(x, 0)``, chosen by the real part; NaN is kept."""
    z = as_inexact(x)
    return np.where(np.real(z) <= 0, z.dtype.type(0), z)


def step(x: ArrayLike) -> Array:
    """1 where the real part is positive, else 0 (0 at 0): the derivative of `relu`."""
    z = as_inexact(x)
    return (np.real(z) > 0).astype(z.dtype)


@np.errstate(under="ignore")
def logcosh(x: ArrayLike) -> Array:
    """``log(cosh(x))`` without overflow.

    ``log1p(sinh(x)**2) / 2`` near 0, where the result is of second order, and
    ``|x| + log1p(exp(-2|x|)) - log(2)`` elsewhere.
    """
    z = _fold(as_inexact(x))
    small = np.real(z) < 1
    near = np.sinh(np.where(small, z, z.dtype.type(0)))
    far = z + _log1p(np.exp(-2 * z)) - math.log(2.0)
    return np.where(small, 0.5 * _log1p(near * near), far)


@np.errstate(under="ignore")
def sech2(x: ArrayLike) -> Array:
    """``1 - tanh(x)**2``: ``1/cosh(x)**2``, in the tails ``4 e / (1 + e)**2``, ``e = exp(-2|x|)``.

    Neither overflows nor cancels: the relative error in the tails is that of ``exp``.
    """
    z = _fold(as_inexact(x))
    small = np.real(z) < 10
    near = np.cosh(np.where(small, z, z.dtype.type(0)))
    e = np.exp(-2 * z)
    return np.where(small, 1 / (near * near), 4 * e / ((1 + e) * (1 + e)))


@np.errstate(divide="ignore")
def xlogy(x: ArrayLike, y: ArrayLike) -> Array:
    """``x * log(y)``, and 0 where ``x`` is 0 (unless ``y`` is NaN)."""
    a, b = as_inexact(x), as_inexact(y)
    # x = ih with y > 0 is a complex step in x and must give ih*log(y); only at y = 0 has it no
    # finite derivative.
    zero = ((a == 0) | ((np.real(a) == 0) & (np.real(b) == 0))) & ~np.isnan(b)
    log = np.log(np.where(zero, b.dtype.type(1), b))
    if a.dtype.kind == "c" or b.dtype.kind == "c":
        # x * -inf would set the imaginary part to NaN.
        blank = np.isneginf(np.real(log)) & (np.imag(a) == 0)
        product = a * np.where(blank, 0, log)
        return np.where(zero, 0, np.where(blank, np.copysign(np.inf, -np.real(a)), product))
    return np.where(zero, np.result_type(a, b).type(0), a * log)


def sign(x: ArrayLike) -> Array:
    """Sign of the real part: -1, 0 or 1, in the type of ``x``."""
    z = as_inexact(x)
    return np.sign(np.real(z)).astype(z.dtype)


def abs_(x: ArrayLike) -> Array:
    """Absolute value; for complex input ``x * sign(re x)``, whose derivative at 0 is 0."""
    z = as_inexact(x)
    if z.dtype.kind != "c":
        return np.abs(z)
    return np.where(np.real(z) == 0, z.dtype.type(0), _fold(z))


def maximum(x: ArrayLike, y: ArrayLike) -> Array:
    """Larger of two arrays, elementwise by the real part.

    Where the real parts are equal the imaginary parts are averaged: a complex step then shares
    the derivative between the two arguments, as `share_max` does.
    """
    a, b = as_inexact(x), as_inexact(y)
    if a.dtype.kind != "c" and b.dtype.kind != "c":
        return np.maximum(a, b)
    mean = 0.5 * np.imag(a) + 0.5 * np.imag(b)
    imag = np.where(
        np.real(a) > np.real(b), np.imag(a), np.where(np.real(a) < np.real(b), np.imag(b), mean)
    )
    return _complex(np.asarray(np.maximum(np.real(a), np.real(b))), imag)


def minimum(x: ArrayLike, y: ArrayLike) -> Array:
    """Smaller of two arrays, elementwise by the real part; ties as in `maximum`."""
    return -maximum(-as_inexact(x), -as_inexact(y))


@np.errstate(all="ignore")
def guarded_power(x: ArrayLike, p: ArrayLike) -> Array:
    """``x**p`` where ``x`` is not 0, and 0 where it is, whatever ``p``; never warns.

    For complex ``x`` with zero real part the power is kept where ``p >= 1``, so that a complex
    step at 0 gives the derivative, and is 0 where there is no finite derivative.
    """
    z, q = as_inexact(x), np.asarray(p)
    zero = (z == 0) | ((np.real(z) == 0) & (np.real(q) < 1))
    base = np.where(zero, z.dtype.type(1), z)
    power_ = base ** (p if isinstance(p, (int, float)) else q)
    return np.where(zero, power_.dtype.type(0), power_)


def power(x: ArrayLike, p: ArrayLike) -> Array:
    """``x**p``, spelled with products, quotients and roots for the common small exponents.

    Faster than the general power and exact to one rounding for each operation.  Outside the
    domain (0 to a negative power, the root of a negative number) NumPy warns as usual.
    """
    z = as_inexact(x)
    if not isinstance(p, (int, float)) and np.ndim(p) > 0:
        return z ** np.asarray(p)
    match p:
        case 0:
            return np.ones_like(z)
        case 1:
            return z.copy()
        case 2:
            return z * z
        case 3:
            return z * z * z
        case 4:
            square = z * z
            return square * square
        case -1:
            return 1 / z
        case -2:
            inverse = 1 / z
            return inverse * inverse
        case 0.5:
            return np.sqrt(z)
        case -0.5:
            return 1 / np.sqrt(z)
        case _:
            return z ** (p if isinstance(p, (int, float)) else np.asarray(p))


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def softmax(x: ArrayLike) -> Array:
    """``exp(x) / sum(exp(x))`` along the last axis.

    Entries of -inf get weight 0.  NaN where all entries are -inf or one is +inf.
    """
    z = as_inexact(x)
    if z.size == 0:
        return z.copy()
    top = np.real(z).max(axis=-1, keepdims=True)
    e = np.exp(z - np.where(np.isfinite(top), top, top.dtype.type(0)))
    return e / e.sum(axis=-1, keepdims=True)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def logsumexp(x: ArrayLike) -> Array:
    """``log(sum(exp(x)))`` along the last axis, which is reduced (-inf if it is empty).

    The entry ``m`` with the largest real part is taken out: ``m + log1p(sum of exp(x - m) over
    the others)``, precise also where the result is close to 0.
    """
    z = as_inexact(x)
    if z.shape[-1] == 0:
        return np.full(z.shape[:-1], -np.inf, z.dtype)
    where = np.argmax(np.real(z), axis=-1)[..., None]
    top = np.take_along_axis(z, where, axis=-1)
    e = np.exp(z - np.where(np.isfinite(top), top, z.dtype.type(0)))
    np.put_along_axis(e, where, 0, axis=-1)
    return top[..., 0] + _log1p(e.sum(axis=-1))


def _first_order(value: Array, slope: Array, z: Array, name: str) -> Array:
    """``f(re) + i im f'(re)``, refused where the imaginary part is more than a complex step."""
    if np.any(np.abs(np.imag(z)) > _COMPLEX_STEP_LIMIT * np.abs(np.real(z))):
        raise InputError(f"{name} of complex numbers is known only for tiny imaginary parts")
    return _complex(np.asarray(value), np.asarray(slope * np.imag(z)))


def lgamma(x: ArrayLike) -> Array:
    """Logarithm of ``|Gamma(x)|``; for complex ``x`` in the right half plane ``log Gamma(x)``."""
    from scipy import special

    z = as_inexact(x)
    if z.dtype.kind != "c":
        return special.gammaln(z)
    if np.all(np.real(z) > 0):
        return special.loggamma(z)
    # To the left of 0 log Gamma has an imaginary part of multiples of pi, log |Gamma| has not.
    return _first_order(special.gammaln(np.real(z)), special.digamma(np.real(z)), z, "lgamma")


def digamma(x: ArrayLike) -> Array:
    """Digamma function, the derivative of `lgamma`."""
    from scipy import special

    return special.digamma(as_inexact(x))


def polygamma(n: int, x: ArrayLike) -> Array:
    """Derivative of order ``n`` of the digamma function; ``n = 0`` is `digamma` itself."""
    from scipy import special

    z = as_inexact(x)
    if n < 0:
        raise InputError(f"polygamma needs an order of at least 0, not {n}")
    if n == 0:
        return special.digamma(z)
    if z.dtype.kind != "c":
        return np.asarray(special.polygamma(n, z)).astype(z.dtype)
    real, slope = special.polygamma(n, np.real(z)), special.polygamma(n + 1, np.real(z))
    return _first_order(real, slope, z, "polygamma")


def erf(x: ArrayLike) -> Array:
    """Error function ``2/sqrt(pi) * integral of exp(-t**2) from 0 to x``."""
    from scipy import special

    return special.erf(as_inexact(x))


def erfc(x: ArrayLike) -> Array:
    """Complementary error function ``1 - erf(x)``, precise where it is small."""
    from scipy import special

    return special.erfc(as_inexact(x))


@np.errstate(invalid="ignore")
def share_max(x: ArrayLike, axes: tuple[int, ...]) -> Array:
    """Weights of the maximum over ``axes``: 1/(number of ties) at maximal entries, else 0.

    The result has the shape of ``x``; it is the derivative of the maximum with ties shared, and
    is NaN where the maximum is.
    """
    z = np.real(as_inexact(x))
    if z.size == 0:
        return np.zeros_like(z)
    mask = (z == z.max(axis=axes, keepdims=True)).astype(z.dtype)
    return mask / mask.sum(axis=axes, keepdims=True)


def product_except(x: ArrayLike, order: int) -> Array:
    """Products over the last axis that leave out ``order`` entries, exact with zeros in ``x``.

    Parameters
    ----------
    x : array, shape (..., n)
    order : int
        Number of entries left out.

    Returns
    -------
    array, shape (..., n, ..., n) with ``order`` axes in place of the last one
        ``P[..., i1, ..., ik] = prod of x[..., j] over j not in {i1, ..., ik}`` where the indices
        are distinct, else 0: the ``order``-th derivative of the product.  There is no division;
        the cost is O(n**order), and O(n) for order 0.
    """
    z = as_inexact(x)
    if order < 0:
        raise InputError(f"product_except leaves out at least 0 entries, not {order}")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return _product_except(z, order)


def _product_except(z: Array, order: int) -> Array:
    if order == 0:
        return np.prod(z, axis=-1)
    n = z.shape[-1]
    if order == 1:
        before, after = np.ones_like(z), np.ones_like(z)
        np.cumprod(z[..., :-1], axis=-1, out=before[..., 1:])
        np.cumprod(z[..., :0:-1], axis=-1, out=after[..., -2::-1])
        return before * after
    # Row i is x with entry i replaced by 1; leaving out i again must count as 0.
    same = np.eye(n, dtype=bool)
    rest = _product_except(np.where(same, z.dtype.type(1), z[..., None, :]), order - 1)
    for k in range(order - 1):
        shape = [n] + [1] * (order - 1)
        shape[1 + k] = n
        rest = np.where(same.reshape(shape), z.dtype.type(0), rest)
    return rest


def windows(x: ArrayLike, axis: int, size: int) -> Array:
    """Sliding windows along ``axis`` as a read-only view.

    ``axis``, of length n, becomes one of length ``n - size + 1``, and a new last axis of length
    ``size`` runs inside the window: ``out[..., i, ..., j] = x[..., i + j, ...]``.
    """
    a = np.asarray(x)
    if size == a.shape[axis] + 1:
        shape = list(a.shape)
        shape[axis] = 0
        return np.empty((*shape, size), a.dtype)
    if not 1 <= size <= a.shape[axis]:
        raise InputError(f"a window of {size} entries does not fit an axis of {a.shape[axis]}")
    return np.lib.stride_tricks.sliding_window_view(a, size, axis=axis)


def overlap_add(g: ArrayLike, size: int) -> Array:
    """Adjoint of `windows` on the last axis: ``out[..., i] = sum of g[..., o, j], o + j = i``.

    Parameters
    ----------
    g : array, shape (..., o, size)
    size : int
        The window size, given again as a check.

    Returns
    -------
    array, shape (..., o + size - 1)
    """
    a = as_inexact(g)
    if a.ndim < 2 or a.shape[-1] != size:
        raise InputError(f"expected windows of {size} entries in the last axis, got {a.shape}")
    count = a.shape[-2]
    out = np.zeros((*a.shape[:-2], max(count + size - 1, 0)), a.dtype)
    # One Python step for each index of the shorter axis.
    if size <= count:
        for j in range(size):
            out[..., j : j + count] += a[..., :, j]
    else:
        for i in range(count):
            out[..., i : i + size] += a[..., i, :]
    return out


def gamma(x: ArrayLike) -> Array:
    """Gamma function, real or complex."""
    from scipy.special import gamma as scipy_gamma

    return scipy_gamma(as_inexact(x))


def cumsum(x: ArrayLike, reverse: int) -> Array:
    """Running sum along the last axis, from the end where ``reverse`` is set."""
    z = as_inexact(x)
    return np.cumsum(z[..., ::-1], axis=-1)[..., ::-1] if reverse else np.cumsum(z, axis=-1)


def lower(n: int, diagonal: float) -> Array:
    """Ones strictly below the diagonal and ``diagonal`` on it."""
    return np.tri(n, k=-1) + diagonal * np.eye(n)


def shift(n: int, width: int) -> Array:
    """The index tensor ``P[i, o, j] = [i = o + j]`` of a valid convolution, dense."""
    p = np.zeros((n, n - width + 1, width))
    o, j = np.indices(p.shape[1:])
    p[o + j, o, j] = 1.0
    return p


def norm(x: ArrayLike) -> Array:
    """Euclidean norm of all entries; scaled where squares would under- or overflow."""
    z = as_inexact(x)
    largest = float(np.abs(np.real(z)).max(initial=0.0))
    # Squares of single precision leave the range much earlier.
    far = 1e15 if z.dtype.char in "fF" else 1e140
    if 1 / far < largest < far or largest == 0.0 or not np.isfinite(largest):
        return np.sqrt((z * z).sum())
    z = z / largest
    return largest * np.sqrt((z * z).sum())


def symmetric_product(a: ArrayLike, b: ArrayLike) -> Array:
    """``a @ b`` where that is known to be symmetric: blocks below the diagonal are mirrored."""
    x, y = np.asarray(a), np.asarray(b)
    n = len(x)
    block = max(128, -(-n // 8))
    out = np.empty((n, n), np.result_type(x, y))
    for start in range(0, n, block):
        stop = min(start + block, n)
        np.matmul(x[start:stop], y[:, start:], out=out[start:stop, start:])
        out[stop:, start:stop] = out[start:stop, stop:].T
    return out


def row_dot(a: ArrayLike, b: ArrayLike) -> Array:
    """Sums of ``a * b`` along the last axis, without a conjugate."""
    x = np.asarray(a)
    return np.vecdot(x if x.dtype.kind == "f" else x.conj(), b)


def spread_product(pattern: str, a: Array, b: Array) -> Array:
    """The product of two arrays that each lack axes of the result, as in ``i,j->ij``.

    The loops of ``einsum`` start quicker than those of a broadcast, which is 1.3 to 1.8 times
    faster where these are short.
    """
    return np.einsum(pattern, a, b)

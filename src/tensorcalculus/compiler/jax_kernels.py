"""Kernels on JAX arrays: what generated JAX source calls, under the names of NumPy's.

The functions of `kernels`, `spectral_kernels`, `factors` and `divided_differences` that source may
call, with the same arguments and meaning, for real arrays.  They work under `jax.jit`, `jax.vmap`
and `jax.grad`: only shapes decide what is run.  Results follow the type of the arguments; double
precision is the user's to enable (`jax_enable_x64`).  Differences from the NumPy kernels:

- Nothing is refused for its entries.  Where a NumPy kernel raises InputError, as at a singular
  matrix, at one that is not positive definite, or where a root or logarithm is not real, the
  result holds inf or NaN.  Shapes that do not fit are still an InputError.
- No GaugeWarning: `degenerate_check` returns its argument, `gap_multiply` and `signed_difference`
  are silent.
- `logm` and `sqrtm` come from iterations (`framework_spectral`), where SciPy has a Schur form.  At
  a symmetric matrix values are as accurate as NumPy's; else the relative error is about eps times
  the condition number of the root, for `frechet` eps times that of the matrix.
- `expm` is NaN for norms above 1e10.
- `divided_difference` runs in the type of its points, also in single precision.

JAX differentiates all of it again.  There are no derivatives, but NaN, of `eigh` and `svd` at
repeated values, and of `cofactor` at a singular matrix with exactly equal singular values, as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.linalg
import jax.scipy.special
from jax.typing import ArrayLike
from numpy.typing import NDArray

from tensorcalculus.compiler import framework_kernels as shared
from tensorcalculus.compiler import framework_spectral as spectra
from tensorcalculus.errors import InputError

Array = jax.Array
Function = Callable[[Array], Array]

# Norm up to which the Pade approximant of order 13 of exp is exact to rounding (Higham 2005).
_PADE_NORM = {8: 5.37, 4: 3.93}
# Squarings of an exponential, whose number must be known beforehand: for norms up to 1e10.
_SQUARINGS = 32


def _constant(build: Callable[..., NDArray[Any]], args: tuple[Any, ...], like: Array) -> Array:
    value = build(*args)
    return jnp.asarray(value, like.dtype if value.dtype.kind == "f" else None)


def _svd(x: Array) -> tuple[Array, Array, Array]:
    U, s, Vh = jnp.linalg.svd(x, full_matrices=False)
    return U, s, Vh


def _eigh(x: Array) -> tuple[Array, Array]:
    d, V = jnp.linalg.eigh(x, symmetrize_input=False)
    return d, V


def _expm(a: Array) -> Array:
    """Matrix exponential by scaling and squaring, NaN for norms above 1e10.

    `jax.scipy.linalg.expm` scales by half of what is needed and loses five digits.
    """
    times = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    norm_ = jax.lax.stop_gradient(jnp.abs(a).sum(-1).max(-1))
    squarings = jnp.ceil(jnp.log2(jnp.maximum(norm_ / _PADE_NORM[a.dtype.itemsize], 1.0)))
    squarings = squarings[..., None, None]
    a = a / jnp.exp2(squarings)
    # Coefficients of the numerator; the denominator is that of -a.
    c = [1.0]
    for k in range(1, 14):
        c.append(c[-1] * (14 - k) / (k * (27 - k)))
    unit = jnp.eye(a.shape[-1], dtype=a.dtype)
    a2 = times(a, a)
    a4 = times(a2, a2)
    a6 = times(a4, a2)
    odd = times(a6, c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2
    odd = times(a, odd + c[1] * unit)
    even = times(a6, c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2
    even = even + c[0] * unit
    result = jnp.linalg.solve(even - odd, even + odd)

    def square(k: int, x: Array) -> Array:
        wanted = k < squarings
        # Without `vmap` no product is taken that no matrix of the batch needs.
        return jax.lax.cond(wanted.any(), lambda: jnp.where(wanted, times(x, x), x), lambda: x)

    result = jax.lax.fori_loop(0, _SQUARINGS, square, result)
    return jnp.where(squarings <= _SQUARINGS, result, jnp.nan)


_FRAMEWORK = spectra.Spectral(
    xp=jnp,
    constant=_constant,
    take=lambda x, index: jnp.take_along_axis(x, index, -1),
    detach=jax.lax.stop_gradient,
    inverse=jnp.linalg.inv,
    svd=_svd,
    eigh=_eigh,
    repeat=lambda count, step_, state: jax.lax.fori_loop(0, count, lambda _, s: step_(s), state),
    expm=_expm,
)


def _inexact(x: ArrayLike) -> Array:
    """A floating array; a Python number stays one that changes no type."""
    a = jnp.asarray(x)
    return a if jnp.issubdtype(a.dtype, jnp.floating) else a.astype(jnp.result_type(float))


# -- elementwise ---------------------------------------------------------------------------------


def sigmoid(x: ArrayLike) -> Array:
    """Logistic function ``1 / (1 + exp(-x))``."""
    return jax.nn.sigmoid(x)


def softplus(x: ArrayLike) -> Array:
    """``log(1 + exp(x))`` without overflow."""
    return jax.nn.softplus(x)


def relu(x: ArrayLike) -> Array:
    """``max(x, 0)``; NaN is kept.  Its derivative at 0 is 0."""
    return jax.nn.relu(x)


def step(x: ArrayLike) -> Array:
    """1 where ``x`` is positive, else 0."""
    z = _inexact(x)
    return (z > 0).astype(z.dtype)


def logcosh(x: ArrayLike) -> Array:
    """``log(cosh(x))`` without overflow, precise near 0."""
    return shared.logcosh(_FRAMEWORK, _inexact(x))


def erf(x: ArrayLike) -> Array:
    """Error function."""
    return jax.scipy.special.erf(x)


def erfc(x: ArrayLike) -> Array:
    """Complementary error function ``1 - erf(x)``, precise where it is small."""
    return jax.scipy.special.erfc(x)


def lgamma(x: ArrayLike) -> Array:
    """Logarithm of ``|Gamma(x)|``."""
    return jax.scipy.special.gammaln(x)


def gamma(x: ArrayLike) -> Array:
    """Gamma function."""
    return jax.scipy.special.gamma(x)


def digamma(x: ArrayLike) -> Array:
    """Digamma function, the derivative of `lgamma`."""
    return jax.scipy.special.digamma(x)


def polygamma(n: float, x: ArrayLike) -> Array:
    """Derivative of order ``n`` of `digamma`."""
    if n < 0:
        raise InputError(f"polygamma needs an order of at least 0, not {n}")
    return digamma(x) if n == 0 else jax.scipy.special.polygamma(int(n), x)


def power(x: ArrayLike, p: ArrayLike) -> Array:
    """``x**p``, spelled with products, quotients and roots for the common small exponents."""
    return shared.power(_FRAMEWORK, _inexact(x), p)


def guarded_power(x: ArrayLike, p: ArrayLike) -> Array:
    """``x**p`` where ``x`` is not 0, and 0 where it is, whatever ``p``."""
    return shared.guarded_power(_FRAMEWORK, _inexact(x), p)


def xlogy(x: ArrayLike, y: ArrayLike) -> Array:
    """``x * log(y)``, and 0 where ``x`` is 0 (unless ``y`` is NaN)."""
    return shared.xlogy(_FRAMEWORK, _inexact(x), _inexact(y))


# -- along axes ----------------------------------------------------------------------------------


def softmax(x: Array) -> Array:
    """``exp(x) / sum(exp(x))`` along the last axis."""
    return jax.nn.softmax(x, axis=-1) if x.size else x


def logsumexp(x: Array) -> Array:
    """``log(sum(exp(x)))`` along the last axis, precise also where the result is close to 0."""
    return shared.logsumexp(_FRAMEWORK, x)


def share_max(x: Array, axes: tuple[int, ...]) -> Array:
    """Weights of the maximum over the last axis: 1/(number of ties) at maximal entries, else 0."""
    if axes != (-1,):
        raise InputError(f"share_max works on the last axis, (-1,), not on {axes}")
    return shared.share_max(_FRAMEWORK, x)


def product_except(x: Array, order: int) -> Array:
    """Products over the last axis that leave out ``order`` entries, exact with zeros in ``x``."""
    return shared.product_except(_FRAMEWORK, x, order)


def cumsum(x: Array, reverse: int) -> Array:
    """Running sum along the last axis, from the end where ``reverse`` is set."""
    return shared.cumsum(_FRAMEWORK, x, reverse)


def norm(x: ArrayLike) -> Array:
    """Euclidean norm of all entries without overflow; its derivative at 0 is 0."""
    return shared.norm(_FRAMEWORK, _inexact(x))


def windows(x: Array, axis: int, size: int) -> Array:
    """Sliding windows along ``axis``: ``out[..., i, ..., j] = x[..., i + j, ...]``."""
    n = x.shape[axis]
    if size == n + 1:
        shape = list(x.shape)
        shape[axis] = 0
        return jnp.zeros((*shape, size), x.dtype)
    if not 1 <= size <= n:
        raise InputError(f"a window of {size} entries does not fit an axis of {n}")
    axis = axis % x.ndim
    positions = jnp.arange(n - size + 1)[:, None] + jnp.arange(size)
    return jnp.moveaxis(jnp.take(x, positions, axis=axis), axis + 1, -1)


def overlap_add(g: Array, size: int) -> Array:
    """Adjoint of `windows` on the last axis: ``out[..., i] = sum of g[..., o, j], o + j = i``."""
    return shared.overlap_add(_FRAMEWORK, g, size)


def row_dot(a: Array, b: Array) -> Array:
    """Sums of products along the last axis; nothing is conjugated."""
    return (a[..., None, :] @ b[..., :, None])[..., 0, 0]


def symmetric_product(a: Array, b: Array) -> Array:
    """``a @ b`` where that is known to be symmetric; half of it saves nothing on a device."""
    return a @ b


# -- fixed patterns and positions ----------------------------------------------------------------


def lower(n: int, diagonal: float, like: Array | None = None) -> Array:
    """Ones strictly below the diagonal and ``diagonal`` on it.

    Here and in `shift`, ``like`` is an array whose type the result gets.
    """
    i = jnp.arange(n)
    below = (i[:, None] > i).astype(float if like is None else like.dtype)
    return jnp.where(i[:, None] == i, diagonal, below)


def shift(n: int, width: int, like: Array | None = None) -> Array:
    """The index tensor ``P[i, o, j] = [i = o + j]`` of a valid convolution, dense."""
    i = jnp.arange(n)
    hits = i[:, None, None] == i[: n - width + 1, None] + i[:width]
    return hits.astype(float if like is None else like.dtype)


def diagonal(value: Array, pattern: str, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` with ``value`` written along a diagonal.

    Parameters
    ----------
    value : array
        Broadcasts to one axis a distinct letter of ``pattern``, in order of first appearance.
    pattern : str
        One letter an axis of the result: "aab" writes ``out[i, i, j] = value[i, j]``.
    shape : tuple of int
    """
    index = tuple(shared.diagonal_index(pattern, shape, k) for k in range(len(shape)))
    return jnp.zeros(shape, value.dtype).at[index].set(value)


def embed(value: Array, shape: tuple[int, ...], index: tuple[int | slice, ...]) -> Array:
    """Zeros of ``shape`` with ``value`` written to ``[..., *index]``, ints and slices."""
    return jnp.zeros(shape, value.dtype).at[(..., *index)].set(value)


def select(value: Array, index: tuple[int | slice, ...]) -> Array:
    """``value[..., *index]``; under a name, as tensors of PyTorch take no steps below 0."""
    return value[(..., *index)]


# -- decompositions and matrix functions ---------------------------------------------------------


def cofactor(X: Array) -> Array:
    """Cofactor matrix ``det(X) inv(X).T``, right also for singular ``X`` of any rank."""
    return spectra.cofactor(_FRAMEWORK, X)


def logdet(X: Array) -> Array:
    """``log|det X|``; -inf for singular ``X``."""
    spectra.check_square(X, "logdet")
    return jnp.linalg.slogdet(X)[1]


def eigh(X: Array) -> tuple[Array, Array]:
    """Eigenvalues ``d`` (ascending) and eigenvectors ``V`` (columns) of ``(X + X.T)/2``."""
    return _eigh(spectra.symmetric_part(X, "eigh"))


def cholesky(X: Array) -> Array:
    """Lower triangular ``L`` with ``L L.T = (X + X.T)/2``; NaN where there is none."""
    return jnp.linalg.cholesky(spectra.symmetric_part(X, "cholesky"), symmetrize_input=False)


def svd(X: Array) -> tuple[Array, Array, Array]:
    """Thin singular value decomposition ``X = U diag(s) V.T``; returns ``V``, not ``V.T``."""
    U, s, Vh = _svd(X)
    return U, s, Vh.swapaxes(-1, -2)


def qr(X: Array) -> tuple[Array, Array]:
    """Reduced decomposition ``X = Q R`` with a nonnegative diagonal of ``R``.

    A wide matrix by its leading square part, as JAX differentiates no other.
    """
    k = min(X.shape[-2:])
    Q, R = jnp.linalg.qr(X[..., :k])
    R = jnp.concatenate([R, Q.swapaxes(-1, -2) @ X[..., k:]], -1) if k < X.shape[-1] else R
    sign = jnp.where(jnp.diagonal(R, axis1=-2, axis2=-1) < 0, -1, 1).astype(R.dtype)
    return Q * sign[..., None, :], R * sign[..., :, None]


def pinv(X: Array) -> Array:
    """Moore-Penrose inverse, singular values cut as `reciprocal_or_zero` cuts them."""
    if not X.size:
        return X.swapaxes(-1, -2)
    return jnp.linalg.pinv(X, rtol=spectra.rank_tolerance(_FRAMEWORK, X, min(X.shape[-2:])))


def reciprocal_or_zero(s: Array) -> Array:
    """``1/s`` where ``s`` is above the rounding of its largest entry, else 0."""
    return spectra.reciprocal_or_zero(_FRAMEWORK, s)


def nonzero_sign(s: Array) -> Array:
    """1 where ``s`` is above the rounding of its largest entry, else 0."""
    return spectra.positive(_FRAMEWORK, s).astype(s.dtype)


def gap_multiply(M: Array, d: Array, transposed: bool) -> Array:
    """``M_ij / (d_j - d_i)``, 0 where the eigenvalues coincide to rounding."""
    return spectra.gap_multiply(_FRAMEWORK, M, d)


def degenerate_check(g: Array, d: Array) -> Array:
    """Return ``g``; the warning of the NumPy kernel would need its numbers."""
    return g


def matrix_function(name: str, A: Array) -> Array:
    """``expm``, ``logm`` or ``sqrtm`` of ``A``; NaN where the principal value is not real."""
    return spectra.matrix_function(_FRAMEWORK, name, A)


def frechet(name: str, A: Array, E: Array) -> Array:
    """Fréchet derivative ``d/dt f(A + t E)`` at ``t = 0`` for `matrix_function`."""
    return spectra.frechet(_FRAMEWORK, name, A, E)


def divided_difference(functions: Sequence[Function], d: Array, order: int) -> Array:
    """Divided differences ``f[d_i0, ..., d_ik]`` of all index tuples, for ``k = order``."""
    return shared.divided_difference(_FRAMEWORK, functions, d, order)


def signed_difference(functions: Sequence[Function], s: Array, parity: str, signs: str) -> Array:
    """Divided differences ``f[+-s_i0, ..., +-s_ik]`` of a function continued as odd or even."""
    return shared.signed_difference(_FRAMEWORK, functions, s, parity, signs)


# -- factors -------------------------------------------------------------------------------------


class Factorization:
    """LU factors of a square matrix, shared by every solve with it."""

    def __init__(self, a: Array) -> None:
        spectra.check_square(a, "a solve")
        self.a = a
        self._factors = jax.scipy.linalg.lu_factor(a)
        self._inverse: Array | None = None

    def solve(self, b: Array, transposed: bool = False) -> Array:
        """``inv(A) @ b``, or ``inv(A).T @ b``; ``b`` is a vector or a matrix."""
        return jax.scipy.linalg.lu_solve(self._factors, b, trans=1 if transposed else 0)

    def logdet(self) -> Array:
        """``log|det A|``."""
        return jnp.log(jnp.abs(jnp.diagonal(self._factors[0]))).sum()

    def det(self) -> Array:
        """``det A``, with the sign of the row exchanges."""
        lu, pivots = self._factors
        exchanged = (pivots != jnp.arange(len(self.a))).sum()
        return (1 - 2 * (exchanged % 2)) * jnp.prod(jnp.diagonal(lu))

    def inverse(self) -> Array:
        """The inverse as a matrix, where a formula needs its entries."""
        if self._inverse is None:
            self._inverse = self.solve(jnp.eye(len(self.a), dtype=self.a.dtype))
        return self._inverse


def factorize(a: Array) -> Factorization:
    """LU factors of ``a`` with partial pivoting; solves are infinite or NaN if it is singular."""
    return Factorization(a)


def spectral(function: Function, d: Array, v: Array) -> Array:
    """``V diag(f(d)) V'``."""
    return spectra.scaled_product(v, function(d), v)


def singular(function: Function, u: Array, s: Array, v: Array) -> Array:
    """``U diag(f(s)) V'``; an ``s`` that is 0 to rounding counts as 0."""
    return spectra.scaled_product(u, function(s * nonzero_sign(s)), v)

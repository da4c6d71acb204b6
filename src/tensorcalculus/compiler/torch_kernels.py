"""Kernels on PyTorch tensors: what generated PyTorch source calls, under the names of NumPy's.

The functions of `kernels`, `spectral_kernels`, `factors` and `divided_differences` that source may
call, with the same arguments and meaning, for real tensors.  They work under `torch.compile`,
`torch.func.vmap` and `torch.func.grad`: only shapes decide what is run.  Results follow the type
and the device of the arguments.  Differences from the NumPy kernels:

- Nothing is refused for its entries.  Where a NumPy kernel raises InputError, as at a singular
  matrix, at one that is not positive definite, or where a root or logarithm is not real, the
  result holds inf or NaN.  Shapes that do not fit are still an InputError.  Only PyTorch itself
  complains, of NaN in `eigh` and `svd`.
- No GaugeWarning: `degenerate_check` returns its argument, `gap_multiply` and `signed_difference`
  are silent.
- `logm` and `sqrtm` come from iterations (`framework_spectral`), where SciPy has a Schur form.  At
  a symmetric matrix values are as accurate as NumPy's; else the relative error is about eps times
  the condition number of the root, for `frechet` eps times that of the matrix.
- `divided_difference` runs in the type of its points, also in single precision.

PyTorch differentiates all of it again.  There are no derivatives, but NaN, of `eigh` and `svd` at
repeated values, and of `cofactor` at a singular matrix with exactly equal singular values, as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from tensorcalculus.compiler import framework_kernels as shared
from tensorcalculus.compiler import framework_spectral as spectra
from tensorcalculus.errors import InputError

Function = Callable[[Tensor], Tensor]
Number = float | int


@torch.compiler.assume_constant_result
def _numbers(
    build: Callable[..., NDArray[Any]], args: tuple[Any, ...]
) -> tuple[list[Any], tuple[int, ...], bool]:
    value = build(*args)
    return value.ravel().tolist(), value.shape, value.dtype.kind == "f"


def _constant(build: Callable[..., NDArray[Any]], args: tuple[Any, ...], like: Tensor) -> Tensor:
    if torch.compiler.is_compiling():
        # The compiler keeps numbers, not arrays of NumPy.
        numbers, shape, floating = _numbers(build, args)
        dtype = like.dtype if floating else torch.int64
        return torch.tensor(numbers, dtype=dtype, device=like.device).reshape(shape)
    value = build(*args)
    dtype = like.dtype if value.dtype.kind == "f" else None
    return torch.as_tensor(value, dtype=dtype, device=like.device)


def _repeat(count: int, step_: Callable[[Any], Any], state: Any) -> Any:
    for _ in range(count):
        state = step_(state)
    return state


def _svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.linalg.svd(x, full_matrices=False)


_FRAMEWORK = spectra.Spectral(
    xp=torch,
    constant=_constant,
    take=lambda x, index: torch.take_along_dim(x, index, -1),
    detach=lambda x: x.detach(),
    # Unlike `inv` it does not raise, and asks no device whether all went well.
    inverse=lambda x: torch.linalg.inv_ex(x).inverse,
    repeat=_repeat,
    svd=_svd,
    eigh=torch.linalg.eigh,
    expm=torch.linalg.matrix_exp,
)


def _tensor(x: Tensor | Number, like: Tensor | Number = 0.0) -> Tensor:
    """A number as a tensor without axes, of the type and on the device of ``like``."""
    if isinstance(x, Tensor):
        return x
    if isinstance(like, Tensor):
        return torch.tensor(x, dtype=like.dtype, device=like.device)
    return torch.tensor(x, dtype=torch.float64)


def common(*arrays: Tensor) -> tuple[torch.dtype, torch.device]:
    """The type and the device of results that are made of ``arrays``."""
    dtype = arrays[0].dtype
    for a in arrays[1:]:
        dtype = torch.promote_types(dtype, a.dtype)
    return dtype, arrays[0].device


# -- elementwise ---------------------------------------------------------------------------------


def sigmoid(x: Tensor | Number) -> Tensor:
    """Logistic function ``1 / (1 + exp(-x))``."""
    return torch.sigmoid(_tensor(x))


def softplus(x: Tensor | Number) -> Tensor:
    """``log(1 + exp(x))``; `torch.nn.functional.softplus` cuts the tails off."""
    z = _tensor(x)
    return torch.logaddexp(z, torch.zeros_like(z))


def relu(x: Tensor | Number) -> Tensor:
    """``max(x, 0)``; NaN is kept.  Its derivative at 0 is 0."""
    return torch.relu(_tensor(x))


def step(x: Tensor | Number) -> Tensor:
    """1 where ``x`` is positive, else 0."""
    z = _tensor(x)
    return (z > 0).to(z.dtype)


def logcosh(x: Tensor | Number) -> Tensor:
    """``log(cosh(x))`` without overflow, precise near 0."""
    return shared.logcosh(_FRAMEWORK, _tensor(x))


def erf(x: Tensor | Number) -> Tensor:
    """Error function."""
    return torch.special.erf(_tensor(x))


def erfc(x: Tensor | Number) -> Tensor:
    """Complementary error function ``1 - erf(x)``, precise where it is small."""
    return torch.special.erfc(_tensor(x))


def lgamma(x: Tensor | Number) -> Tensor:
    """Logarithm of ``|Gamma(x)|``."""
    return torch.special.gammaln(_tensor(x))


def gamma(x: Tensor | Number) -> Tensor:
    """Gamma function; below 0 its sign changes at each integer."""
    z = _tensor(x)
    sign = torch.where((z < 0) & (torch.floor(z) % 2 == 1), -1.0, 1.0).to(z.dtype)
    return sign * torch.exp(torch.special.gammaln(z))


def digamma(x: Tensor | Number) -> Tensor:
    """Digamma function, the derivative of `lgamma`."""
    return torch.special.digamma(_tensor(x))


def polygamma(n: Number, x: Tensor | Number) -> Tensor:
    """Derivative of order ``n`` of `digamma`.

    `torch.special.polygamma` has an error of 1e-10 for n = 1 and x near 2; there its value is
    taken farther out, by ``psi1(x) = sum of 1/(x + k)^2 over k < 16, + psi1(x + 16)``.
    """
    order, z = int(n), _tensor(x)
    if order < 0:
        raise InputError(f"polygamma needs an order of at least 0, not {order}")
    if order == 0:
        return torch.special.digamma(z)
    if order > 1:
        return torch.special.polygamma(order, z)
    steps = z[..., None] + torch.arange(16, dtype=z.dtype, device=z.device)
    return (1 / (steps * steps)).sum(-1) + torch.special.polygamma(1, z + 16)


def power(x: Tensor | Number, p: Tensor | Number) -> Tensor:
    """``x**p``, spelled with products, quotients and roots for the common small exponents."""
    return shared.power(_FRAMEWORK, _tensor(x, p), p)


def guarded_power(x: Tensor | Number, p: Tensor | Number) -> Tensor:
    """``x**p`` where ``x`` is not 0, and 0 where it is, whatever ``p``."""
    return shared.guarded_power(_FRAMEWORK, _tensor(x, p), p)


def xlogy(x: Tensor | Number, y: Tensor | Number) -> Tensor:
    """``x * log(y)``, and 0 where ``x`` is 0 (unless ``y`` is NaN)."""
    return shared.xlogy(_FRAMEWORK, _tensor(x, y), _tensor(y, x))


# -- along axes ----------------------------------------------------------------------------------


def softmax(x: Tensor) -> Tensor:
    """``exp(x) / sum(exp(x))`` along the last axis."""
    return torch.softmax(x, -1)


def logsumexp(x: Tensor) -> Tensor:
    """``log(sum(exp(x)))`` along the last axis, precise also where the result is close to 0."""
    return shared.logsumexp(_FRAMEWORK, x)


def share_max(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Weights of the maximum over the last axis: 1/(number of ties) at maximal entries, else 0."""
    if axes != (-1,):
        raise InputError(f"share_max works on the last axis, (-1,), not on {axes}")
    return shared.share_max(_FRAMEWORK, x)


def product_except(x: Tensor, order: int) -> Tensor:
    """Products over the last axis that leave out ``order`` entries, exact with zeros in ``x``."""
    return shared.product_except(_FRAMEWORK, x, order)


def cumsum(x: Tensor, reverse: int) -> Tensor:
    """Running sum along the last axis, from the end where ``reverse`` is set."""
    return shared.cumsum(_FRAMEWORK, x, reverse)


def norm(x: Tensor | Number) -> Tensor:
    """Euclidean norm of all entries without overflow; its derivative at 0 is 0."""
    return shared.norm(_FRAMEWORK, _tensor(x))


def windows(x: Tensor, axis: int, size: int) -> Tensor:
    """Sliding windows along ``axis`` as a view: ``out[..., i, ..., j] = x[..., i + j, ...]``."""
    n = x.shape[axis]
    if size == n + 1:
        shape = list(x.shape)
        shape[axis] = 0
        return x.new_zeros((*shape, size))
    if not 1 <= size <= n:
        raise InputError(f"a window of {size} entries does not fit an axis of {n}")
    return x.unfold(axis, size, 1)


def overlap_add(g: Tensor, size: int) -> Tensor:
    """Adjoint of `windows` on the last axis: ``out[..., i] = sum of g[..., o, j], o + j = i``."""
    return shared.overlap_add(_FRAMEWORK, g, size)


def row_dot(a: Tensor, b: Tensor) -> Tensor:
    """Sums of products along the last axis; nothing is conjugated."""
    return (a[..., None, :] @ b[..., :, None])[..., 0, 0]


def symmetric_product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` where that is known to be symmetric; half of it saves nothing on a device."""
    return a @ b


# -- fixed patterns and positions ----------------------------------------------------------------


def lower(n: int, diagonal: float, like: Tensor | None = None) -> Tensor:
    """Ones strictly below the diagonal and ``diagonal`` on it.

    Here and in `shift`, ``like`` is a tensor whose type and device the result gets.
    """
    i = torch.arange(n, device=None if like is None else like.device)
    below = (i[:, None] > i).to(torch.float64 if like is None else like.dtype)
    return torch.where(i[:, None] == i, diagonal, below)


def shift(n: int, width: int, like: Tensor | None = None) -> Tensor:
    """The index tensor ``P[i, o, j] = [i = o + j]`` of a valid convolution, dense."""
    i = torch.arange(n, device=None if like is None else like.device)
    hits = i[:, None, None] == i[: n - width + 1, None] + i[:width]
    return hits.to(torch.float64 if like is None else like.dtype)


def diagonal(value: Tensor, pattern: str, shape: tuple[int, ...]) -> Tensor:
    """Zeros of ``shape`` with ``value`` written along a diagonal.

    Parameters
    ----------
    value : tensor
        Broadcasts to one axis a distinct letter of ``pattern``, in order of first appearance.
    pattern : str
        One letter an axis of the result: "aab" writes ``out[i, i, j] = value[i, j]``.
    shape : tuple of int
    """
    return _scattered(value, shape, shared.diagonal_index, (pattern, tuple(shape)))


def embed(value: Tensor, shape: tuple[int, ...], index: tuple[int | slice, ...]) -> Tensor:
    """Zeros of ``shape`` with ``value`` written to ``[..., *index]``, ints and slices."""
    return _scattered(value, shape, shared.embed_index, (tuple(shape), index))


def _scattered(
    value: Tensor,
    shape: tuple[int, ...],
    positions: Callable[..., NDArray[Any]],
    args: tuple[Any, ...],
) -> Tensor:
    if not shape:
        return value
    # Not by writing into a view: under vmap a batch of values cannot be written into plain zeros.
    zeros = torch.zeros(shape, dtype=value.dtype, device=value.device)
    index = tuple(_constant(positions, (*args, axis), value) for axis in range(len(shape)))
    return torch.index_put(zeros, index, value)


def select(value: Tensor, index: tuple[int | slice, ...]) -> Tensor:
    """``value[..., *index]``, steps below 0 included, which tensors do not take."""
    lengths = value.shape[value.ndim - len(index) :]
    items: list[Any] = [...]
    backwards, kept = [], 0
    for item, length in zip(index, lengths, strict=True):
        if isinstance(item, slice):
            positions = range(length)[item]
            if positions.step < 0:
                backwards.append(kept - sum(isinstance(i, slice) for i in index))
                positions = positions[::-1]
            item = slice(positions.start, max(positions.stop, positions.start), positions.step)
            kept += 1
        items.append(item)
    found = value[tuple(items)]
    return torch.flip(found, backwards) if backwards else found


# -- decompositions and matrix functions ---------------------------------------------------------


def cofactor(X: Tensor) -> Tensor:
    """Cofactor matrix ``det(X) inv(X).T``, right also for singular ``X`` of any rank."""
    return spectra.cofactor(_FRAMEWORK, X)


def inv(X: Tensor) -> Tensor:
    """Inverse matrices; infinite or NaN where there is none."""
    spectra.check_square(X, "inv")
    return torch.linalg.inv_ex(X).inverse


def logdet(X: Tensor) -> Tensor:
    """``log|det X|``; -inf for singular ``X``."""
    spectra.check_square(X, "logdet")
    return torch.linalg.slogdet(X).logabsdet


def eigh(X: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues ``d`` (ascending) and eigenvectors ``V`` (columns) of ``(X + X.T)/2``."""
    return tuple(torch.linalg.eigh(spectra.symmetric_part(X, "eigh")))


def cholesky(X: Tensor) -> Tensor:
    """Lower triangular ``L`` with ``L L.T = (X + X.T)/2``; NaN where there is none."""
    factor, info = torch.linalg.cholesky_ex(spectra.symmetric_part(X, "cholesky"))
    return torch.where(info[..., None, None] == 0, factor, math.nan)


def svd(X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Thin singular value decomposition ``X = U diag(s) V.T``; returns ``V``, not ``V.T``."""
    U, s, Vh = _svd(X)
    return U, s, Vh.swapaxes(-1, -2)


def qr(X: Tensor) -> tuple[Tensor, Tensor]:
    """Reduced decomposition ``X = Q R`` with a nonnegative diagonal of ``R``."""
    Q, R = torch.linalg.qr(X)
    sign = torch.where(torch.diagonal(R, dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(R.dtype)
    return Q * sign[..., None, :], R * sign[..., :, None]


def pinv(X: Tensor) -> Tensor:
    """Moore-Penrose inverse, singular values cut as `reciprocal_or_zero` cuts them."""
    return torch.linalg.pinv(X, rtol=spectra.rank_tolerance(_FRAMEWORK, X, min(X.shape[-2:])))


def reciprocal_or_zero(s: Tensor) -> Tensor:
    """``1/s`` where ``s`` is above the rounding of its largest entry, else 0."""
    return spectra.reciprocal_or_zero(_FRAMEWORK, s)


def nonzero_sign(s: Tensor) -> Tensor:
    """1 where ``s`` is above the rounding of its largest entry, else 0."""
    return spectra.positive(_FRAMEWORK, s).to(s.dtype)


def gap_multiply(M: Tensor, d: Tensor, transposed: bool) -> Tensor:
    """``M_ij / (d_j - d_i)``, 0 where the eigenvalues coincide to rounding."""
    return spectra.gap_multiply(_FRAMEWORK, M, d)


def degenerate_check(g: Tensor, d: Tensor) -> Tensor:
    """Return ``g``; the warning of the NumPy kernel would need its numbers."""
    return g


def matrix_function(name: str, A: Tensor) -> Tensor:
    """``expm``, ``logm`` or ``sqrtm`` of ``A``; NaN where the principal value is not real."""
    return spectra.matrix_function(_FRAMEWORK, name, A)


def frechet(name: str, A: Tensor, E: Tensor) -> Tensor:
    """Fréchet derivative ``d/dt f(A + t E)`` at ``t = 0`` for `matrix_function`."""
    return spectra.frechet(_FRAMEWORK, name, A, E)


def divided_difference(functions: Sequence[Function], d: Tensor, order: int) -> Tensor:
    """Divided differences ``f[d_i0, ..., d_ik]`` of all index tuples, for ``k = order``."""
    return shared.divided_difference(_FRAMEWORK, functions, d, order)


def signed_difference(functions: Sequence[Function], s: Tensor, parity: str, signs: str) -> Tensor:
    """Divided differences ``f[+-s_i0, ..., +-s_ik]`` of a function continued as odd or even."""
    return shared.signed_difference(_FRAMEWORK, functions, s, parity, signs)


# -- factors -------------------------------------------------------------------------------------


class Factorization:
    """LU factors of a square matrix, shared by every solve with it."""

    def __init__(self, a: Tensor) -> None:
        spectra.check_square(a, "a solve")
        self.a = a
        self._lu, self._pivots, _ = torch.linalg.lu_factor_ex(a)
        self._inverse: Tensor | None = None

    def solve(self, b: Tensor, transposed: bool = False) -> Tensor:
        """``inv(A) @ b``, or ``inv(A).T @ b``; ``b`` is a vector or a matrix."""
        columns = b[:, None] if b.ndim == 1 else b
        dtype = torch.promote_types(self._lu.dtype, b.dtype)
        x = torch.linalg.lu_solve(
            self._lu.to(dtype), self._pivots, columns.to(dtype), adjoint=transposed
        )
        return x[:, 0] if b.ndim == 1 else x

    def logdet(self) -> Tensor:
        """``log|det A|``."""
        return torch.log(torch.abs(torch.diagonal(self._lu))).sum()

    def det(self) -> Tensor:
        """``det A``, with the sign of the row exchanges."""
        rows = torch.arange(1, len(self.a) + 1, device=self.a.device)
        sign = 1 - 2 * ((self._pivots != rows).sum() % 2)
        return sign * torch.prod(torch.diagonal(self._lu))

    def inverse(self) -> Tensor:
        """The inverse as a matrix, where a formula needs its entries."""
        if self._inverse is None:
            unit = torch.eye(len(self.a), dtype=self.a.dtype, device=self.a.device)
            self._inverse = self.solve(unit)
        return self._inverse


def factorize(a: Tensor) -> Factorization:
    """LU factors of ``a`` with partial pivoting; solves are infinite or NaN if it is singular."""
    return Factorization(a)


def spectral(function: Function, d: Tensor, v: Tensor) -> Tensor:
    """``V diag(f(d)) V'``."""
    return spectra.scaled_product(v, function(d), v)


def singular(function: Function, u: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """``U diag(f(s)) V'``; an ``s`` that is 0 to rounding counts as 0."""
    return spectra.scaled_product(u, function(s * nonzero_sign(s)), v)

"""Kernels that read the same on PyTorch and JAX; `torch_kernels` and `jax_kernels` name them.

Everything is written for tracing: no Python branch looks at the entries of an array, only at
shapes.  Where a formula fails at some entries it is evaluated at harmless ones and the result is
masked, so that neither values nor derivatives of the branch not taken leak as NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensorcalculus.compiler import divided_differences as numpy_version
from tensorcalculus.errors import InputError

Array = Any
"""A tensor of PyTorch or an array of JAX."""


@dataclass(frozen=True)
class Framework:
    """The little in which PyTorch and JAX are spelled differently."""

    xp: Any
    """``torch`` or ``jax.numpy``, for the names and signatures that both have."""
    constant: Callable[[Callable[..., NDArray[Any]], tuple[Any, ...], Array], Array]
    """What a NumPy function gives for some arguments, on the device of an array; floating results
    get its type.  A compiler may call the function once and keep the result."""
    take: Callable[[Array, Array], Array]
    """Entries along the last axis at an array of positions of the same number of axes."""
    detach: Callable[[Array], Array]
    """The same numbers, constant to differentiation."""
    inverse: Callable[[Array], Array]
    """Inverse matrices; infinite or NaN where there is none."""
    repeat: Callable[[int, Callable[[Any], Any], Any], Any]
    """The state after a number of steps, each a function of the state."""


def exponent_range(fw: Framework, largest: Array) -> Array:
    """A constant power of 2 near ``largest``, by which entries are scaled; 1 at 0, inf, NaN."""
    largest = fw.detach(largest)
    usable = (largest > 0) & fw.xp.isfinite(largest)
    return fw.xp.exp2(fw.xp.floor(fw.xp.log2(fw.xp.where(usable, largest, 1.0))))


# -- elementwise ---------------------------------------------------------------------------------


def logcosh(fw: Framework, x: Array) -> Array:
    """``log1p(sinh(x)**2) / 2`` near 0, ``|x| + log1p(exp(-2|x|)) - log(2)`` elsewhere."""
    xp = fw.xp
    small = abs(x) < 1
    near = xp.sinh(xp.where(small, x, 0.0))
    size = xp.where(small, 1.0, abs(x))
    far = size + xp.log1p(xp.exp(-2 * size)) - float(np.log(2.0))
    return xp.where(small, 0.5 * xp.log1p(near * near), far)


def power(fw: Framework, x: Array, p: Any) -> Array:
    """``x**p``; products, quotients and roots where ``p`` is a common number."""
    if not isinstance(p, (int, float)):
        return x**p
    match p:
        case 0:
            return fw.xp.ones_like(x)
        case 1:
            return x
        case 2:
            return x * x
        case 3:
            return x * x * x
        case 4:
            square = x * x
            return square * square
        case -1:
            return 1 / x
        case -2:
            inverse = 1 / x
            return inverse * inverse
        case 0.5:
            return fw.xp.sqrt(x)
        case -0.5:
            return 1 / fw.xp.sqrt(x)
        case _:
            return x**p


def guarded_power(fw: Framework, x: Array, p: Any) -> Array:
    """``x**p`` where ``x`` is not 0, and 0 where it is."""
    # From p = 1 on the power is 0 at 0 by itself and has a derivative there: no mask over it.
    if isinstance(p, (int, float)) and p >= 1:
        return power(fw, x, p)
    zero = (x == 0) & (p < 1)
    return fw.xp.where(zero, 0.0, power(fw, fw.xp.where(zero, 1.0, x), p))


def xlogy(fw: Framework, x: Array, y: Array) -> Array:
    """``x * log(y)``, and 0 where ``x`` is 0 (unless ``y`` is NaN)."""
    # 0 * log(y) is 0 by itself where the logarithm is finite, and then d/dx is log(y).
    blank = (x == 0) & ((y <= 0) | fw.xp.isinf(y))
    return fw.xp.where(blank, 0.0, x * fw.xp.log(fw.xp.where(blank, 1.0, y)))


# -- along the last axis -------------------------------------------------------------------------


def logsumexp(fw: Framework, x: Array) -> Array:
    """``m + log1p(sum of exp(x - m) over the others)``, precise also where the result is near 0."""
    xp = fw.xp
    n = x.shape[-1]
    if n == 0:
        return x.sum(-1) - np.inf
    largest = fw.constant(np.arange, (n,), x) == xp.argmax(x, -1)[..., None]
    # One entry, rather than the maximum, whose derivative ties would share: the sum leaves out
    # exactly this one.
    top = xp.where(largest, x, 0.0).sum(-1)
    shift = xp.where(xp.isfinite(top), top, 0.0)[..., None]
    rest = xp.where(largest, 0.0, xp.exp(xp.where(largest, 0.0, x - shift)))
    return top + xp.log1p(rest.sum(-1))


def share_max(fw: Framework, x: Array) -> Array:
    """Weights of the maximum over the last axis: 1/(number of ties) where maximal, else 0."""
    if 0 in x.shape:
        return fw.xp.zeros_like(x)
    maximal = (x == fw.xp.amax(x, -1)[..., None]) * fw.xp.ones_like(x)
    return maximal / maximal.sum(-1)[..., None]


def product_except(fw: Framework, x: Array, order: int) -> Array:
    """Products over the last axis that leave out ``order`` entries; no division."""
    xp = fw.xp
    if order < 0:
        raise InputError(f"product_except leaves out at least 0 entries, not {order}")
    if order == 0:
        return xp.prod(x, -1)
    n = x.shape[-1]
    if order == 1:
        after = xp.flip(_products_before(fw, xp.flip(x, (-1,))), (-1,))
        return _products_before(fw, x) * after
    # Row i is x with entry i replaced by 1; leaving out i again must count as 0.
    i = fw.constant(np.arange, (n,), x)
    same = i[:, None] == i
    rest = product_except(fw, xp.where(same, 1.0, x[..., None, :]), order - 1)
    for k in range(order - 1):
        shape = [n] + [1] * (order - 1)
        shape[1 + k] = n
        rest = xp.where(same.reshape(shape), 0.0, rest)
    return rest


def _products_before(fw: Framework, x: Array) -> Array:
    """Product of the entries before each one.

    By doubling: the derivative is made of products as well, while that of a cumulative product
    divides by the entries or loops over them.
    """
    n = x.shape[-1]
    one = fw.xp.ones_like(x)
    result = fw.xp.concatenate([one[..., :1], x[..., :-1]], -1)
    step = 1
    while step < n:
        earlier = fw.xp.concatenate([one[..., :step], result[..., :-step]], -1)
        result = result * earlier
        step *= 2
    return result


def overlap_add(fw: Framework, g: Array, size: int) -> Array:
    """Adjoint of sliding windows: ``out[..., i] = sum of g[..., o, j], o + j = i``.

    With r rows of length c, padded to c + r and read anew in rows of length c + r - 1, row i
    starts at column i, and the sum over rows is the result.
    """
    if g.ndim < 2 or g.shape[-1] != size:
        raise InputError(f"expected windows of {size} entries in the last axis, got {g.shape}")
    if g.shape[-2] > size:
        g = fw.xp.swapaxes(g, -1, -2)
    *lead, r, c = g.shape
    if r == 0:
        return fw.constant(np.zeros, ((*lead, max(c - 1, 0)),), g)
    if r == 1:
        return g[..., 0, :]
    padding = fw.xp.zeros_like(g[..., :1])
    padding = fw.xp.broadcast_to(padding, (*lead, r, r))
    skewed = fw.xp.concatenate([g, padding], -1).reshape((*lead, r * (c + r)))
    return skewed[..., : r * (c + r - 1)].reshape((*lead, r, c + r - 1)).sum(-2)


def cumsum(fw: Framework, x: Array, reverse: int) -> Array:
    """Running sum along the last axis, from the end where ``reverse`` is set."""
    if not reverse:
        return fw.xp.cumsum(x, -1)
    return fw.xp.flip(fw.xp.cumsum(fw.xp.flip(x, (-1,)), -1), (-1,))


def norm(fw: Framework, x: Array) -> Array:
    """Euclidean norm of all entries, scaled; its derivative at 0 is 0."""
    x = x.reshape(-1)
    if x.shape[0] == 0:
        return x.sum()
    # Constant to differentiation, which is exact: the norm is homogeneous.
    scale = exponent_range(fw, fw.xp.amax(abs(x), -1))
    scaled = x / scale
    total = (scaled * scaled).sum()
    zero = total == 0
    return scale * fw.xp.where(zero, 0.0, fw.xp.sqrt(fw.xp.where(zero, 1.0, total)))


# -- positions -----------------------------------------------------------------------------------


def diagonal_index(pattern: str, shape: tuple[int, ...], axis: int) -> NDArray[np.int64]:
    """Positions along one axis of the entries that ``pattern`` allows: "aab" has i, i, j.

    Those of all axes broadcast to one axis a letter, in order of first appearance.
    """
    letters = list(dict.fromkeys(pattern))
    layout = [1] * len(letters)
    layout[letters.index(pattern[axis])] = shape[axis]
    return np.arange(shape[axis]).reshape(layout)


def embed_index(
    shape: tuple[int, ...], index: tuple[int | slice, ...], axis: int
) -> NDArray[np.int64]:
    """Positions of ``t[..., index]`` along one axis of an array ``t`` of ``shape``.

    Those of all axes broadcast to the shape of ``t[..., index]``.
    """
    items = [slice(None)] * (len(shape) - len(index)) + list(index)
    kept = [k for k, item in enumerate(items) if isinstance(item, slice)]
    layout, item = [1] * len(kept), items[axis]
    if not isinstance(item, slice):
        return np.array([range(shape[axis])[item]]).reshape(layout)
    layout[kept.index(axis)] = -1
    # A copy, as PyTorch takes no negative strides.
    return np.arange(shape[axis])[item].copy().reshape(layout)


# -- divided differences -------------------------------------------------------------------------


def divided_difference(
    fw: Framework,
    functions: Sequence[Callable[[Array], Array]],
    d: Array,
    order: int,
    jumps: Array | bool = False,
) -> Array:
    """Divided differences ``f[d_i0, ..., d_ik]`` of all index tuples, for ``k = order``.

    The method of `divided_differences.divided_difference`, in the type of ``d``: both the
    recurrence and the quadrature are evaluated everywhere, and the better one is kept.
    """
    if order < 0 or len(functions) <= order:
        raise InputError(
            f"divided differences of order {order} need the function and {order} derivatives, "
            f"got {len(functions)} functions"
        )
    n, batch = d.shape[-1], tuple(d.shape[:-1])
    if 0 in d.shape:
        return fw.xp.zeros_like(d).reshape((*batch, *[n] * (order + 1)))
    # Tied points must keep their order, or a derivative goes to the wrong one: sort by positions.
    positions = fw.xp.argsort(fw.detach(d), -1)
    ranks = fw.xp.argsort(positions, -1)
    points = fw.take(d, positions)
    values = functions[0](points)
    errors = _eps(fw, d) * abs(values)
    for k in range(1, order + 1):
        values, errors = _raise_order(fw, functions[k], points, values, errors, k, jumps)
    # Entry (i0, ..., ik) is the value for the sorted tuple of the ranks.
    table = fw.constant(numpy_version._positions, (n, order + 1), d)
    index = tuple(
        ranks.reshape((*batch, *[1] * axis, n, *[1] * (order - axis))) for axis in range(order + 1)
    )
    rows = table[index].reshape((*batch, n ** (order + 1)))
    return fw.take(values, rows).reshape((*batch, *[n] * (order + 1)))


def _eps(fw: Framework, x: Array) -> float:
    return float(fw.xp.finfo(x.dtype).eps)


def _raise_order(
    fw: Framework,
    derivative: Callable[[Array], Array],
    points: Array,
    values: Array,
    errors: Array,
    k: int,
    jumps: Array | bool,
) -> tuple[Array, Array]:
    """Divided differences of order ``k``, and their error estimates, from those of ``k - 1``."""
    xp, eps = fw.xp, _eps(fw, points)
    n = points.shape[-1]
    left = fw.constant(_shorter, (n, k, False), points)
    right = fw.constant(_shorter, (n, k, True), points)
    x = points[..., fw.constant(numpy_version._tuples, (n, k + 1), points)]
    gap = x[..., -1] - x[..., 0]
    same = gap == 0
    gap = xp.where(same, 1.0, gap)
    out = (values[..., right] - values[..., left]) / gap
    error = (errors[..., right] + errors[..., left]) / abs(gap) + eps * abs(out)
    count = numpy_version._POINTS.get(k, 4)
    coarse = _simplex(fw, derivative, x, count - 1)
    fine = _simplex(fw, derivative, x, count)
    estimate = abs(fine - coarse) + 2 * eps * abs(fine)
    # 45 eps is the 1e-14 of the NumPy version in double precision.
    accurate = xp.isfinite(error) & (error <= 45 * eps * abs(out))
    better = ~xp.isfinite(error) | ((estimate < error) & ~accurate)
    # Where the functions jump at 0, no integral may run across it.
    better = same | (better & ~((x[..., 0] <= 0) & (x[..., -1] >= 0) & jumps))
    return xp.where(better, fine, out), xp.where(better, estimate, error)


def _shorter(n: int, k: int, first: bool) -> NDArray[np.intp]:
    """For each tuple of k + 1 points the position of that without its first or last one."""
    tuples = numpy_version._tuples(n, k + 1)
    shorter = tuples[:, 1:] if first else tuples[:, :-1]
    return numpy_version._positions(n, k)[tuple(shorter.T)]


def gauss_nodes(count: int) -> NDArray[np.float64]:
    """Points of Gauss quadrature between 0 and 1."""
    return 0.5 * (np.polynomial.legendre.leggauss(count)[0] + 1)


def gauss_weights(count: int, k: int) -> NDArray[np.float64]:
    """Weights of the points of the simplex in k dimensions, the innermost variable first."""
    nodes, weights = gauss_nodes(count), 0.5 * np.polynomial.legendre.leggauss(count)[1]
    result = np.ones(1)
    for power_ in range(k):
        result = (result[:, None] * (weights * nodes**power_)).reshape(-1)
    return result


def _simplex(fw: Framework, derivative: Callable[[Array], Array], x: Array, count: int) -> Array:
    """Integral of ``f^(k)(sum_i t_i x_i)`` over the simplex, for k + 1 points in the last axis."""
    k = x.shape[-1] - 1
    steps = x[..., 1:] - x[..., :-1]
    offset = fw.xp.zeros_like(x[..., :1])
    nodes = fw.constant(gauss_nodes, (count,), x)
    # From the innermost variable outwards; each multiplies the number of nodes by `count`.
    for j in reversed(range(k)):
        inner = steps[..., j, None] + offset
        offset = (inner[..., None] * nodes).reshape((*inner.shape[:-1], inner.shape[-1] * count))
    # Not a matrix product, which some devices round more coarsely.
    return (derivative(x[..., :1] + offset) * fw.constant(gauss_weights, (count, k), x)).sum(-1)


def signed_difference(
    fw: Framework,
    functions: Sequence[Callable[[Array], Array]],
    s: Array,
    parity: str,
    signs: str,
) -> Array:
    """Divided differences of a function continued to negative numbers as odd or even.

    As `divided_differences.signed_difference`, but silent where the function jumps at an ``s``
    of 0; that it jumps is an array here, not a branch.
    """
    n = s.shape[-1]
    if 0 in s.shape:
        return fw.xp.zeros_like(s).reshape((*s.shape[:-1], *[n] * len(signs)))
    zero = fw.detach(fw.xp.zeros_like(s[..., :1]))
    beside = functions[0](zero + 1e-30)
    jumps = ((functions[0](zero) != 0) | (abs(beside) > 1e-10)).reshape(-1)[0]
    limit = 64 * n * _eps(fw, s) * fw.xp.amax(abs(s), -1)[..., None]
    s = fw.xp.where((abs(s) <= limit) & jumps, 0.0, s)
    odd = parity == "odd"
    continued = [_continued(fw, f, k, (k + odd) % 2 == 1, jumps) for k, f in enumerate(functions)]
    if "-" not in signs:
        return divided_difference(fw, continued, s, len(signs) - 1, jumps)
    both = fw.xp.concatenate([s, -s], -1)
    whole = divided_difference(fw, continued, both, len(signs) - 1, jumps)
    return whole[(..., *(slice(0, n) if sign == "+" else slice(n, None) for sign in signs))]


def _continued(
    fw: Framework, f: Callable[[Array], Array], k: int, odd: bool, jumps: Array
) -> Callable[[Array], Array]:
    """``f``, of order ``k``, for negative arguments as well; 0 at 0 where it would jump."""

    def function(t: Array) -> Array:
        # Odd derivatives are 0 at 0.  An odd function itself is so without a mask, unless it
        # jumps, and keeps its derivative there.
        blank = (t == 0) if odd and k > 0 else (t == 0) & jumps
        t = fw.xp.where(blank, 1.0, t)
        value = f(fw.xp.where(t < 0, -t, t))
        if odd:
            value = fw.xp.where(t < 0, -value, value)
        return fw.xp.where(blank, 0.0, value)

    return function

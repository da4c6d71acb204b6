"""One pass over the points of a sparse tensor: loss, gradients by all factors, products by a mode.

With the datum ``x``, the model's value ``m = sum_r prod_k U_k[i_k, r]`` and the weight ``w`` of a
point ``i``, a loss is ``sum_i w f(x, m)`` and its gradient by ``U_k`` has the rows
``sum_i w f'(x, m) prod_{j != k} U_j[i_j, r]``.  That is the matricised tensor times Khatri-Rao
product (MTTKRP) of the tensor of slopes, which is not stored: a point is visited once, and the rows
that it takes serve all modes.

T. G. Kolda, D. Hong, Stochastic gradients for large-scale tensor decomposition, SIAM J. Math. Data
Sci. 2 (2020), Sec. 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tensorcalculus.compiler.pointwise import import_numba
from tensorcalculus.errors import ShapeError
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.kernels.row_products import row_products
from tensorcalculus.fit.kernels.threads import NEEDED_BY, Piece, in_parts

BLOCK = 128
"""Points that are taken in three steps: models, slopes, gradients.  Their rows stay in the cache,
and the step in the middle is a loop without calls."""


def loss_and_gradients(
    points: Points,
    factors: Sequence[np.ndarray],
    pair: Callable[..., Any],
    *,
    threads: int | None = None,
    out: Sequence[np.ndarray] | None = None,
) -> tuple[float, list[np.ndarray]]:
    """``sum_i w f(x, m)`` over all points and its gradients by all factors.

    Parameters
    ----------
    points
        See :class:`~tensorcalculus.fit.kernels.points.Points`; ordered ones are several times as
        fast.
    factors
        ``[n_k, r]``, contiguous, all of float32 or all of float64; sums over r and gradients are
        formed in that type, values and slopes in double precision.
    pair
        The loss at one point as a function that numba has compiled, ``(x, m) -> (f, df/dm)``: the
        `compiled` of a :class:`~tensorcalculus.compiler.pointwise.Pointwise`.  Without branches
        and calls it runs as vector instructions.
    threads
        How many at most; by default as numba is set (``NUMBA_NUM_THREADS``).  The result is the
        same each time for one number of threads, and differs by roundings for another.
    out
        Arrays for the gradients, which are overwritten.

    Returns
    -------
    tuple
        The sum, of relative error below 1e-12 of the sum of absolute values for any number of
        points; and the gradients ``[n_k, r]``, zero in rows that no point meets.

    Raises
    ------
    ShapeError
        For factors that do not fit the points.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> from tensorcalculus.fit.data.sparse_tensor import SparseTensor
    >>> X = SparseTensor([[0, 1, 2], [1, 0, 0]], [3.0, 1.0], (2, 2, 3))
    >>> squares = tc.Loss.named("gaussian").pair.compiled
    >>> U = [np.ones((n, 2)) for n in X.shape]
    >>> value, gradients = loss_and_gradients(Points.ordered(X), U, squares)
    >>> value, gradients[0].tolist()
    (2.0, [[-2.0, -2.0], [2.0, 2.0]])
    """
    u = checked(points, factors)
    made = _outputs(points, u, out)
    run = _kernel(_key(points, u, "all"), pair)
    value = in_parts(points, u, dict(enumerate(made)), _caller(points, u, run), threads)
    return value, made


def loss(
    points: Points,
    factors: Sequence[np.ndarray],
    pair: Callable[..., Any],
    *,
    threads: int | None = None,
) -> float:
    """The sum alone; arguments are those of :func:`loss_and_gradients`."""
    u = checked(points, factors)
    run = _kernel(_key(points, u, "value"), pair)
    return in_parts(points, u, {}, _caller(points, u, run), threads)


def adding_gradients(
    points: Points,
    factors: Sequence[np.ndarray],
    pair: Callable[..., Any],
    sums: Sequence[np.ndarray],
) -> Callable[[], Any]:
    """A function that adds the gradients by all factors to `sums`, by what the arrays then hold.

    For samples: everything is looked at once, and many calls follow with other points and other
    factors in the same arrays, by one thread.
    """
    u = checked(points, factors)
    if any(a is not b for a, b in zip(u, factors, strict=True)):
        raise ShapeError("factors: contiguous arrays of one type are expected, float32 or float64")
    _check_outputs(u, sums)
    run = _kernel(_key(points, u, "gradients"), pair)
    weights = points.values if points.weights is None else points.weights
    given = (
        _address(points.indices), points.values, weights, tuple(map(_address, u)),
        tuple(map(_address, sums)), 0, len(points),
    )  # fmt: skip
    # What lies at these addresses is to stay.
    held = (points, u, tuple(sums))
    return lambda held=held: run(*given)


def mttkrps(
    points: Points,
    factors: Sequence[np.ndarray],
    *,
    threads: int | None = None,
    out: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """``sum_i w x prod_{j != k} U_j[i_j, r]`` in the rows ``i_k``, for all modes k by one pass."""
    u = checked(points, factors)
    made = _outputs(points, u, out)
    run = _kernel(_key(points, u, "products"), None)
    in_parts(points, u, dict(enumerate(made)), _caller(points, u, run), threads)
    return made


def mttkrp(
    points: Points,
    factors: Sequence[np.ndarray],
    mode: int,
    *,
    threads: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The product by one mode, as alternating least squares needs them one by one.

    Along the Z-curve this is as fast as over a copy of the data sorted by that mode.
    """
    u = checked(points, factors)
    made = _outputs(points, u, None if out is None else [out], [mode])[0]
    run = _kernel(_key(points, u, f"mode {mode}"), None)
    in_parts(points, u, {mode: made}, _caller(points, u, run), threads)
    return made


# -- arguments -----------------------------------------------------------------------------------


def checked(points: Points, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Contiguous factors of one type that fit the points; kernels read beyond what does not."""
    if [u.ndim for u in factors] != [2] * points.order or any(
        u.shape != (n, factors[0].shape[1]) for u, n in zip(factors, points.shape, strict=True)
    ):
        raise ShapeError(
            f"factors: matrices with {points.shape} rows and as many columns each are expected, not"
            f" arrays of shapes {[u.shape for u in factors]}"
        )
    kind = np.float32 if all(u.dtype == np.float32 for u in factors) else np.float64
    return [np.ascontiguousarray(u, dtype=kind) for u in factors]


def _outputs(
    points: Points,
    factors: list[np.ndarray],
    out: Sequence[np.ndarray] | None,
    modes: Sequence[int] | None = None,
) -> list[np.ndarray]:
    like = factors if modes is None else [factors[k] for k in modes]
    if out is None:
        return [np.zeros_like(u) for u in like]
    made = list(out)
    _check_outputs(like, made)
    for a in made:
        a[:] = 0
    return made


def _check_outputs(like: Sequence[np.ndarray], out: Sequence[np.ndarray]) -> None:
    for k, (a, u) in enumerate(zip(out, like, strict=True)):
        if a.shape != u.shape or a.dtype != u.dtype or not a.flags.c_contiguous:
            raise ShapeError(
                f"out[{k}]: a contiguous array of {u.dtype} and shape {u.shape} is expected, not of"
                f" {a.dtype} and {a.shape}"
            )


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _caller(points: Points, factors: list[np.ndarray], run: Any) -> Callable[[Piece], float]:
    """The kernel with the arguments that all parts share."""
    indices = _address(points.indices)
    bases = tuple(map(_address, factors))
    weights = points.values if points.weights is None else points.weights

    def call(piece: Piece) -> float:
        # An array of which a part alone is held lies where its first row would lie.
        into = tuple(
            _address(a) - first * a.strides[0] if a.size else 0 for a, first in piece.targets
        )
        return run(indices, points.values, weights, bases, into, piece.start, piece.stop)

    return call


# -- kernels -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Key:
    """What a kernel is compiled for."""

    task: str
    order: int
    rank: int
    single: bool
    wide: bool
    values: str
    weights: str


def _key(points: Points, factors: list[np.ndarray], task: str) -> _Key:
    return _Key(
        task, points.order, factors[0].shape[1], factors[0].dtype == np.float32,
        points.indices.dtype == np.int64, points.values.dtype.name,
        "" if points.weights is None else points.weights.dtype.name,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _kernel(key: _Key, pair: Callable[..., Any] | None) -> Any:
    """The compiled function; a fifth of a second, once for each key and pair."""
    numba = import_numba(NEEDED_BY)
    types = numba.types
    every = ("all", "gradients", "products")
    targets = key.order if key.task in every else 0 if key.task == "value" else 1
    signature = types.float64(
        types.intp,
        types.Array(getattr(types, key.values), 1, "C", readonly=True),
        types.Array(getattr(types, key.weights or key.values), 1, "C", readonly=True),
        types.UniTuple(types.intp, key.order),
        types.UniTuple(types.intp, targets) if targets else types.Tuple(()),
        types.intp,
        types.intp,
    )
    run = _products(key) if pair is None else _losses(key, pair)
    return numba.njit(signature, nogil=True, error_model="numpy")(run)


def _products(key: _Key) -> Callable[..., float]:
    """Products with the data: nothing has to be known of the model."""
    one = key.task.startswith("mode")
    mode = int(key.task.split()[1]) if one else None
    rows = row_products(key.order, key.rank, key.single, key.wide, mode)
    add = rows.add_one if one else rows.add_all
    stride = key.order * (8 if key.wide else 4)
    weighted = bool(key.weights)
    target = _first(key) if one else _same(key)

    def run(
        indices: int, values: Any, weights: Any, factors: Any, sums: Any, start: int, stop: int
    ) -> float:
        into = target(sums)
        for p in range(start, stop):
            # `float` of a float32 is one again in compiled code.
            slope = np.float64(values[p])
            if weighted:
                slope *= weights[p]
            add(into, factors, indices + p * stride, slope)
        return 0.0

    return run


def _losses(key: _Key, pair: Callable[..., Any]) -> Callable[..., float]:
    """Loss and gradients: models of a block of points, their slopes, then the sums."""
    rows = row_products(key.order, key.rank, key.single, key.wide)
    model, add = rows.model, rows.add_all
    stride = key.order * (8 if key.wide else 4)
    slopes, valued, weighted = key.task != "value", key.task != "gradients", bool(key.weights)
    numba = import_numba(NEEDED_BY)

    # Lanes may be summed in any order; NaN and infinities stay what they are.
    @numba.njit(fastmath={"reassoc"})
    def added(terms: Any, count: int) -> float:
        total = 0.0
        for q in range(count):
            total += terms[q]
        return total

    def run(
        indices: int, values: Any, weights: Any, factors: Any, sums: Any, start: int, stop: int
    ) -> float:
        m, s, terms = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
        total = lost = 0.0
        for first in range(start, stop, BLOCK):
            count = min(BLOCK, stop - first)
            at = indices + first * stride
            for q in range(count):
                m[q] = model(factors, at + q * stride)
            for q in range(count):
                w = np.float64(weights[first + q]) if weighted else 1.0
                value, slope = pair(np.float64(values[first + q]), m[q])
                if valued:
                    terms[q] = w * value
                s[q] = w * slope
            # Blocks are added with what rounding loses (A. Neumaier, ZAMM 54 (1974)).
            part = added(terms, count) if valued else 0.0
            sum_ = total + part
            if abs(total) >= abs(part):
                lost += (total - sum_) + part
            else:
                lost += (part - sum_) + total
            total = sum_
            if slopes:
                for q in range(count):
                    add(sums, factors, at + q * stride, s[q])
        # An infinite sum has no rest that could be told.
        return total + lost if lost - lost == 0.0 else total

    return run


def _same(key: _Key) -> Any:
    return import_numba(NEEDED_BY).njit(lambda sums: sums)


def _first(key: _Key) -> Any:
    return import_numba(NEEDED_BY).njit(lambda sums: sums[0])

"""Sums, products and contractions of tensor trains, on lists of cores ``[r, n, r']``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tensorcalculus.networks.arrays import (
    NOT_DENSE,
    Array,
    H,
    check_memory,
    flattened,
    is_jax,
    is_tracked,
    namespace,
    zeros,
)
from tensorcalculus.networks.trains.tracking import Work, tracked

Cores = Sequence[Array]


def add(a: Cores, b: Cores) -> list[Array]:
    """Cores of the sum: block diagonal, so ranks add (Oseledets 2011, section 4.1)."""
    xp, d = namespace(a[0]), len(a)
    if d == 1:
        return [a[0] + b[0]]
    made = [xp.concat([a[0], b[0]], axis=2)]
    for x, y in zip(a[1:-1], b[1:-1], strict=True):
        upper = zeros((x.shape[0], x.shape[1], y.shape[2]), x)
        lower = zeros((y.shape[0], y.shape[1], x.shape[2]), x)
        rows = [xp.concat([x, upper], axis=2), xp.concat([lower, y], axis=2)]
        made.append(xp.concat(rows, axis=0))
    made.append(xp.concat([a[-1], b[-1]], axis=0))
    return made


def _place(x: Array) -> dict[str, Any]:
    """Where new arrays beside `x` go; only PyTorch's arrays must be told."""
    return {"device": x.device} if hasattr(x, "detach") else {}


def hadamard(a: Cores, b: Cores) -> list[Array]:
    """Cores of the elementwise product: Kronecker products of matrices, ranks multiply."""
    pairs = zip(a, b, strict=True)
    count = sum(math.prod(x.shape) * y.shape[0] * y.shape[2] for x, y in pairs)
    check_memory(count, a[0], "*: the product's cores", "`multiply` rounds without them")
    made = []
    for x, y in zip(a, b, strict=True):
        core = x[:, None, :, :, None] * y[None, :, :, None, :]  # [r, s, n, r', s']
        (r, n, rr), (s, _, ss) = x.shape, y.shape
        made.append(core.reshape(r * s, n, rr * ss))
    return made


def dot(a: Cores, b: Cores) -> Array:
    """``sum(conj(a)*b)``, core by core from the left: ``O(d n r^3)``."""
    xp = namespace(a[0])
    w = xp.ones_like(a[0][:1, 0, :1])  # [r_b, r_a]
    for x, y in zip(a, b, strict=True):
        (r, n, rr), (s, _, ss) = x.shape, y.shape
        # The larger product first would cost the same: both are n r s (r or s).
        t = w.T @ y.reshape(s, n * ss)  # [r, n s']
        w = t.reshape(r * n, ss).T @ x.reshape(r * n, rr).conj()  # [s', r']
    return w[0, 0]


def norm(a: Cores) -> Array:
    """The Frobenius norm, by triangular factors: exact to rounding also for small differences.

    ``sqrt(dot(a, a))`` would lose half of the digits of ``norm(a - b)`` where a and b nearly agree.
    The gradient is that of ``dot(a, a)`` over twice the norm, as triangular factors of redundant
    bonds are singular and have none; it is 0 where the norm is.
    """
    if is_tracked(a):
        return _norm_by_jax(a) if is_jax(a[0]) else tracked(_NORM, a)[0]
    return _norm(a)


def _norm_by_jax(a: Cores) -> Array:
    """The norm, whose differential is that of ``dot(a, a)`` over twice it: in both modes."""
    import jax

    value = jax.custom_jvp(_norm)

    def slope(primals: Any, tangents: Any) -> Any:
        size = value(*primals)
        _, change = jax.jvp(lambda cores: dot(cores, cores).real, primals, tangents)
        positive = size > 0
        return size, jax.numpy.where(positive, change / (2 * jax.numpy.where(positive, size, 1)), 0)

    value.defjvp(slope)
    return value(list(a))


def _norm(a: Cores) -> Array:
    xp = namespace(a[0])
    w = None
    for core in a:
        r, n, s = core.shape
        m = core if w is None else w @ core.reshape(r, n * s)
        w = flattened(m.reshape(-1, s))
    assert w is not None
    return xp.linalg.vector_norm(w.reshape(-1))


def _norm_slopes(residuals: tuple[list[Array], Array], cotangents: Cores) -> list[Array]:
    """``x_{<k}^H x x_{>k}^H / norm(x)`` for each core, by Gram matrices of both sides."""
    cores, value = residuals
    xp = namespace(value)
    weight = xp.where(value > 0, cotangents[0] / xp.where(value > 0, value, 1.0), 0.0)
    left = xp.ones_like(cores[0][:1, 0, :1])
    before = []
    for core in cores:
        r, n, s = core.shape
        before.append(left)
        moved = (left @ core.reshape(r, n * s)).reshape(r * n, s)
        left = H(core.reshape(r * n, s)) @ moved
    right = xp.ones_like(cores[0][:1, 0, :1])
    found = []
    for core, left in zip(reversed(cores), reversed(before), strict=True):
        r, n, s = core.shape
        moved = (core.reshape(r * n, s) @ right).reshape(r, n * s)
        found.append(weight * (left @ moved).reshape(r, n, s))
        right = moved @ H(core.reshape(r, n * s))
    return found[::-1]


def _norm_forward(a: Cores) -> tuple[list[Array], tuple[list[Array], Array]]:
    value = _norm(a)
    return [value], (list(a), value)


_NORM = Work(_norm_forward, _norm_slopes)


def absorb(cores: Sequence[Array]) -> list[Array] | Array:
    """Cores without those of two axes ``[r, r']``, which are multiplied into their neighbours.

    Where none of three axes is left, the number (an array without axes) that they make.
    """
    made: list[Array] = []
    waiting: Array | None = None
    for core in cores:
        if core.ndim == 2:
            waiting = core if waiting is None else waiting @ core
            continue
        if waiting is not None:
            r, n, s = core.shape
            core = (waiting @ core.reshape(r, n * s)).reshape(-1, n, s)
            waiting = None
        made.append(core)
    if waiting is not None:
        if not made:
            return waiting[0, 0]
        r, n, s = made[-1].shape
        made[-1] = (made[-1].reshape(r * n, s) @ waiting).reshape(r, n, -1)
    return made


def dense(cores: Cores) -> Array:
    """The array of all entries."""
    shape = tuple(core.shape[1] for core in cores)
    check_memory(math.prod(shape), cores[0], "to_dense: the array", NOT_DENSE)
    made = cores[0].reshape(shape[0], -1)
    for core in cores[1:]:
        r = core.shape[0]
        made = made.reshape(-1, r) @ core.reshape(r, -1)
    return made.reshape(shape)


def entries(cores: Cores, indices: Array) -> Array:
    """Entries at the rows of `indices`, an integer array ``[batch, d]``."""
    rows = cores[0][0, indices[:, 0], :]  # [batch, r]
    for k in range(1, len(cores)):
        if rows.shape[0] > 4 * cores[k].shape[1] and not is_jax(rows):
            rows = _grouped(rows, cores[k], indices[:, k])
        else:
            rows = (rows[:, None, :] @ cores[k].swapaxes(0, 1)[indices[:, k]])[:, 0, :]
    return rows[:, 0]


def _grouped(rows: Array, core: Array, index: Array) -> Array:
    """``rows[p] @ core[:, index[p], :]``: points of one index together, n matrix products."""
    xp = namespace(rows)
    order = xp.argsort(index)
    ordered = rows[order]
    known = xp.arange(1, core.shape[1] + 1, dtype=index.dtype, **_place(index))
    ends = [0, *(int(end) for end in xp.searchsorted(index[order], known))]
    parts = [
        ordered[start:end] @ core[:, i, :]
        for i, (start, end) in enumerate(pairwise(ends))
        if end > start
    ]
    return xp.concat(parts, axis=0)[xp.argsort(order)]

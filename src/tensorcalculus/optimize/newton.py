"""Newton's method with the full Hessian, and with conjugate gradients on its products."""

from __future__ import annotations

from math import sqrt

import numpy as np

from tensorcalculus.optimize.descent import Direction, descend
from tensorcalculus.optimize.monitor import EPSILON, Monitor
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.problem import Problem

SAFE = 1e-8
"""Smallest squared ratio of pivots that a shifted factor may have."""


def newton(problem: Problem, monitor: Monitor, x: Array) -> None:
    """Newton's method: the Hessian over all variables, factorised (Nocedal and Wright, Sec. 3.4).

    Where it is not positive definite, a multiple of the identity is added (Alg. 3.3, with
    multiples relative to the Hessian).
    """
    descend(problem, monitor, x, _by_cholesky(problem))


def _by_cholesky(problem: Problem) -> Direction:
    shift = 0.0

    def direction(x: Array, g: Array, free: Array | None) -> tuple[Array, bool]:
        nonlocal shift
        H = problem.hessian(x)
        if free is not None:
            H = H[np.ix_(free, free)]
        inner = g if free is None else g[free]
        if not np.isfinite(H).all() or not len(inner):
            step = -inner
        else:
            step, shift = solve_shifted(H, -inner, shift)
        return spread(step, free), False

    return direction


def solve_shifted(H: Array, b: Array, last: float) -> tuple[Array, float]:
    """``inv(H + s*I)*b`` with ``s = 0`` where that is positive definite; and the relative ``s``."""
    from scipy.linalg import get_lapack_funcs

    potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (H,))

    size = float(np.linalg.norm(H)) / sqrt(len(H)) or 1.0
    shift = 0.0
    while True:
        A = H
        if shift:
            A = H.copy()
            A[np.diag_indices_from(A)] += shift * size
        L, info = potrf(A, lower=1)
        pivots = np.diagonal(L)
        limit = SAFE if shift else len(H) * EPSILON
        if info == 0 and pivots.min() ** 2 > limit * pivots.max() ** 2:
            return potrs(L, b, lower=1)[0], shift
        shift = max(10 * shift, last / 100, 1e-10)


def newton_cg(problem: Problem, monitor: Monitor, x: Array) -> None:
    """Truncated Newton: conjugate gradients on Hessian products (Nocedal and Wright, Alg. 7.1).

    The products are a formula of the direction, so no Hessian is made.
    """
    descend(problem, monitor, x, _by_conjugate_gradients(problem))


def _by_conjugate_gradients(problem: Problem) -> Direction:
    first = 0.0

    def direction(x: Array, g: Array, free: Array | None) -> tuple[Array, bool]:
        nonlocal first
        inner = g if free is None else np.where(free, g, 0.0)
        norm = float(np.linalg.norm(inner))
        first = first or norm
        product = problem.product(x)

        def times(v: Array) -> Array:
            return product(v) if free is None else np.where(free, product(v), 0.0)

        return conjugate_gradients(times, -inner, min(0.5, sqrt(norm / first)) if first else 0.5)

    return direction


def conjugate_gradients(times, b: Array, accuracy: float) -> tuple[Array, bool]:
    """Approximately ``inv(A)*b``, and whether the first direction has negative curvature.

    Stops where the residual is ``accuracy`` of what it was or a direction of negative curvature
    appears.
    """
    z = np.zeros_like(b)
    r, d = b.copy(), b.copy()
    rr = float(r @ r)
    target = accuracy**2 * rr
    for j in range(min(2 * len(b) + 10, 1000)):
        if rr <= target or rr == 0:
            break
        Ad = times(d)
        curvature = float(d @ Ad)
        if not np.isfinite(curvature):
            return (b, True) if j == 0 else (z, False)
        if curvature <= EPSILON * float(np.linalg.norm(d) * np.linalg.norm(Ad)):
            return (b, True) if j == 0 else (z, False)
        alpha = rr / curvature
        z = z + alpha * d
        r = r - alpha * Ad
        old, rr = rr, float(r @ r)
        d = r + (rr / old) * d
    return z, False


def spread(step: Array, free: Array | None) -> Array:
    """A vector on the free entries as one on all."""
    if free is None:
        return step
    full = np.zeros(len(free))
    full[free] = step
    return full

"""Descent along Newton directions: a line search that follows the bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.problem import Problem

ARMIJO = 1e-4
_MOST_BACKTRACKS = 50
_MOST_DOUBLINGS = 20
_MOST_SHORTER = 15

Direction = Callable[[Array, Array, Array | None], tuple[Array, bool]]
"""From point, gradient and the mask of free entries (None: all) to a descent direction, which
is 0 at the others, and whether the function curves down along it."""

Downward = Callable[[Array, Array | None], Array | None]
"""From a point where the gradient is zero and the mask of free entries to a direction along which
the function curves down; None where none is found, as at a minimum."""


def descend(
    problem: Problem, monitor: Monitor, x: Array, direction: Direction, downward: Downward
) -> None:
    """Minimise by steps along ``direction`` with backtracking (Nocedal and Wright, Alg. 3.1).

    With bounds the search follows the projected path, and entries held by a bound move along
    their gradient: the two-metric projection of Bertsekas (1982), eq. 36, which keeps Newton's
    rate on the free entries.  Where differences of values are rounding errors, a step is taken if
    the gradient falls (the approximate condition of Hager and Zhang 2005).  A saddle point is left
    along a direction of negative curvature.
    """
    f, g = problem.value_gradient(x)
    tell = monitor.start
    while True:
        try:
            tell(x, f, g)
        except Finished as end:
            left = _leave_saddle(problem, monitor, x, f, g, downward) if end.converged else None
            if left is None:
                raise
            x, f, g = left
            tell = monitor.step
            continue
        tell = monitor.step
        free = problem.free(x, g)
        p, curved = direction(x, g, free)
        slope = float(g @ p)
        if not np.isfinite(slope) or slope >= 0:
            p, curved = (-g if free is None else np.where(free, -g, 0.0)), False
            slope = float(g @ p)
        held = None if free is None else ~free
        if held is not None:
            p = np.where(held, -g, p)
        noise = monitor.rounding(f)
        found = _search(problem, monitor, x, f, g, p, slope, held, noise)
        if found is None:
            if -slope <= 2 * noise:
                monitor.exhausted(x, f, g)
            monitor.stalled(x, f, g)
        t, y, fy, gy = found
        if curved and t == 1.0:
            y, fy, gy = _doubled(problem, x, p, y, fy, gy)
        x, f, g = y, fy, gy


def _leave_saddle(
    problem: Problem, monitor: Monitor, x: Array, f: float, g: Array, downward: Downward
) -> tuple[Array, float, Array] | None:
    """A lower point, with value and gradient, where the function curves down; else None."""
    v = downward(x, problem.free(x, g))
    if v is None:
        return None
    if len(monitor.record) > monitor.max_iterations:
        raise Finished(
            "a saddle point: the gradient is below tol, but the function curves down; "
            f"max_iterations reached ({monitor.max_iterations})",
            False,
        )
    t = max(1.0, float(np.abs(x).max(initial=0.0)))
    for _ in range(_MOST_SHORTER):
        ends = []
        for step in (t, -t):
            y = problem.clipped(x + step * v)
            fy, gy = problem.value_gradient(y)
            if np.isfinite(gy).all() and fy < f - monitor.rounding(f):
                ends.append((y, fy, gy))
        if ends:
            return min(ends, key=lambda end: end[1])
        t /= 4
    return None


def _search(
    problem: Problem,
    monitor: Monitor,
    x: Array,
    f: float,
    g: Array,
    p: Array,
    slope: float,
    held: Array | None,
    noise: float,
) -> tuple[float, Array, float, Array] | None:
    """The first point along the path whose value is low enough, with value and gradient."""
    t = 1.0
    for _ in range(_MOST_BACKTRACKS):
        y = problem.clipped(x + t * p)
        fy, gy = problem.value_gradient(y)
        expected = t * slope
        if held is not None:
            expected += float(g[held] @ (y - x)[held])
        if np.isfinite(fy) and np.isfinite(gy).all():
            if fy <= f + ARMIJO * expected and fy < f:
                return t, y, fy, gy
            if fy <= f + noise and -expected <= 1e3 * noise:
                if monitor.norm(y, gy) < 0.9 * monitor.norm(x, g):
                    return t, y, fy, gy
                return None
            # The minimum of the parabola through what is known, within reason.
            bend = fy - f - expected
            shorter = -expected / (2 * bend) if bend > 0 else 0.5
            t *= min(max(shorter, 0.1), 0.5)
        else:
            t *= 0.25
        if t * float(np.abs(p).max(initial=0.0)) <= 1e-18 * float(np.abs(x).max(initial=0.0)):
            return None
    return None


def _doubled(
    problem: Problem, x: Array, p: Array, y: Array, fy: float, gy: Array
) -> tuple[Array, float, Array]:
    """Further along a direction of negative curvature, whose length means nothing."""
    t = 2.0
    for _ in range(_MOST_DOUBLINGS):
        z = problem.clipped(x + t * p)
        fz, gz = problem.value_gradient(z)
        if not (np.isfinite(fz) and np.isfinite(gz).all() and fz < fy):
            break
        y, fy, gy, t = z, fz, gz, 2 * t
    return y, fy, gy

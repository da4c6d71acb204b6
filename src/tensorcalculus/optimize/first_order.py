"""Methods that use gradients only: L-BFGS-B and Adam."""

from __future__ import annotations

import numpy as np

from tensorcalculus.optimize.monitor import Minimised, Monitor
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.problem import Problem

MEMORY, MEMORY_WITH_BOUNDS = 20, 10
"""Pairs that L-BFGS keeps.  Ten are usual; unbalanced factorisations need more (thousands of
iterations with 10, some hundred with 20).  With bounds the work inside the method, which then
outweighs many a function, grows with them."""

LEARNING_RATE = 0.01
PATIENCE = 50
"""Steps without a lower value after which Adam halves its learning rate."""


def lbfgs(problem: Minimised, monitor: Monitor, x: Array) -> None:
    """L-BFGS-B of SciPy (Byrd, Lu, Nocedal and Zhu 1995; Zhu et al. 1997), with its bounds."""
    from scipy.optimize import Bounds, minimize

    f, g = problem.value_gradient(x)
    monitor.start(x, f, g)
    accepted = last = (x, f, g)
    paused = False

    def function(y: Array) -> tuple[float, Array]:
        nonlocal last
        y = np.array(y)
        if np.array_equal(y, last[0]):
            return last[1], last[2]
        fy, gy = problem.value_gradient(y)
        if not (np.isfinite(fy) and np.isfinite(gy).all()):
            # A steep slope back to where the line began: the search interpolates.
            away = y - accepted[0]
            rise = 10 * abs(float(accepted[2] @ away)) + abs(accepted[1]) + 1.0
            return accepted[1] + rise, away * (2 * rise / (float(away @ away) or 1.0))
        last = (y, fy, gy)
        return fy, gy

    def callback(xk: Array) -> None:
        nonlocal accepted, paused
        if not np.array_equal(xk, last[0]):
            function(xk)
        accepted = last
        monitor.step(*accepted)
        if monitor.pauses():
            paused = True
            raise StopIteration

    bounds = None if problem.lower is None else Bounds(problem.lower, problem.upper)  # type: ignore[arg-type]
    options = {
        "maxcor": MEMORY if bounds is None else MEMORY_WITH_BOUNDS,
        "ftol": 0.0, "gtol": 0.0, "maxls": 40, "maxiter": 2**31 - 1, "maxfun": 2**31 - 1,
    }  # fmt: skip
    while True:
        before, paused = accepted[1], False
        minimize(
            function, accepted[0], jac=True, method="L-BFGS-B", bounds=bounds,
            callback=callback, options=options,
        )  # fmt: skip
        if not paused and accepted[1] >= before - monitor.rounding(before):
            monitor.stalled(*accepted)
        # The line search failed with an old memory: once more from here without one.


def adam(problem: Problem, monitor: Monitor, x: Array, learning_rate: float) -> None:
    """Adam (Kingma and Ba 2015, Alg. 1), on the whole function.

    The learning rate is halved where no lower value was found for 50 steps, so that the steps
    end in the minimum rather than around it.  Where the function has no value, the step is taken
    back and the rate halved.
    """
    beta, gamma, small = 0.9, 0.999, 1e-8
    f, g = problem.value_gradient(x)
    monitor.start(x, f, g)
    m, v, k = np.zeros_like(x), np.zeros_like(x), 0
    best, since = f, 0
    rate = learning_rate
    while True:
        k += 1
        m = beta * m + (1 - beta) * g
        v = gamma * v + (1 - gamma) * g * g
        change = m / (1 - beta**k) / (np.sqrt(v / (1 - gamma**k)) + small)
        y = problem.clipped(x - rate * change)
        fy, gy = problem.value_gradient(y)
        while not (np.isfinite(fy) and np.isfinite(gy).all()):
            rate /= 2
            y = problem.clipped(x - rate * change)
            if np.array_equal(y, x):
                monitor.stalled(x, f, g)
            fy, gy = problem.value_gradient(y)
        x, f, g = y, fy, gy
        monitor.step(x, f, g)
        since = 0 if f < best else since + 1
        best = min(best, f)
        if since >= PATIENCE:
            rate, since = rate / 2, 0
            if rate < 1e-14 * learning_rate:
                monitor.stalled(x, f, g)

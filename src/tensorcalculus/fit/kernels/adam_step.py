"""One step of Adam on all factors, in one pass over their entries."""

from __future__ import annotations

import math

from numba import njit


@njit(error_model="numpy", nogil=True)
def adam_step(x, g, m, v, edges, floors, l2, rate, beta, gamma, small, count):
    """Step number `count`; the gradient is 0 afterwards.

    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015, Alg. 1, with the
    bound ``floors[k]`` for entries from ``edges[k]`` to ``edges[k+1]`` by projection.

    .. math:: m ← βm + (1-β)g, v ← γv + (1-γ)g², x ← x - ρ \\hat m/(\\sqrt{\\hat v} + ε)
    """
    step = rate / (1.0 - beta**count)
    root = 1.0 / math.sqrt(1.0 - gamma**count)
    for k in range(len(floors)):
        floor = floors[k]
        for i in range(edges[k], edges[k + 1]):
            slope = g[i] + 2.0 * l2 * x[i]
            g[i] = 0.0
            m[i] = beta * m[i] + (1.0 - beta) * slope
            v[i] = gamma * v[i] + (1.0 - gamma) * slope * slope
            # Written so that NaN stays NaN: the epoch is then taken back.
            new = x[i] - step * m[i] / (math.sqrt(v[i]) * root + small)
            x[i] = floor if new < floor else new

"""What generated source calls as `kernels`, for single real numbers in loops that numba compiles.

Imported where numba is known to be installed.  Functions are those of `kernels`, in the same words.
"""

from __future__ import annotations

import math

from numba import njit

from tensorcalculus.compiler import numba_numpy as np

number = njit(error_model="numpy", forceinline=True)


@number
def sigmoid(x):
    e = np.exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0 else e / (1.0 + e)


@number
def softplus(x):
    return max(x, 0.0) + np.log1p(np.exp(-abs(x)))


@number
def logcosh(x):
    a = abs(x)
    if a < 1.0:
        return 0.5 * np.log1p(math.sinh(a) ** 2)
    return a + np.log1p(np.exp(-2.0 * a)) - np.log(2.0)


@number
def sech2(x):
    e = np.exp(-2.0 * abs(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


@number
def relu(x):
    return x if x > 0 or x != x else x * 0.0


@number
def step(x):
    return 1.0 if x > 0 else 0.0 * (x - x)


@number
def xlogy(x, y):
    return x * np.log(y) if x != 0 or y != y else 0.0


@number
def power(x, p):
    # Exponents are literals in the source: the branches vanish where this is inlined.
    if p == 3.0:
        return x * x * x
    if p == 4.0:
        return (x * x) * (x * x)
    if p == -1.0:
        return 1.0 / x
    if p == -2.0:
        return (1.0 / x) * (1.0 / x)
    if p == -3.0:
        return (1.0 / x) * (1.0 / x) * (1.0 / x)
    if p == 0.5:
        return np.sqrt(x)
    if p == -0.5:
        return 1.0 / np.sqrt(x)
    return x**p


@number
def guarded_power(x, p):
    return 0.0 * x if x == 0 else power(x, p)


@number
def erf(x):
    return math.erf(x)


@number
def erfc(x):
    return math.erfc(x)


@number
def lgamma(x):
    return math.lgamma(x)


@number
def gamma(x):
    return math.gamma(x)


@number
def digamma_right(x):
    below = 0.0
    while x < 10.0:
        below += 1.0 / x
        x += 1.0
    t = 1.0 / (x * x)
    series = t * (
        1.0 / 12
        - t * (1.0 / 120 - t * (1.0 / 252 - t * (1.0 / 240 - t * (1.0 / 132 - t * 691.0 / 32760))))
    )
    return np.log(x) - 0.5 / x - series - below


@number
def digamma(x):
    """Recurrence to x >= 10, then the asymptotic series: Abramowitz and Stegun 6.3.5, 6.3.18."""
    if x <= 0.0:
        if x == math.floor(x):
            return math.nan
        return digamma_right(1.0 - x) - math.pi / math.tan(math.pi * x)
    return digamma_right(x)

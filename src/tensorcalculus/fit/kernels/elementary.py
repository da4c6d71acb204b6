"""Logarithm and exponential without branches or calls, so that LLVM vectorises loops over them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from tensorcalculus.fit.kernels.compiled import numba_module

_LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")
"""The leading 43 bits of ``log(2)``: a multiple by an exponent is exact."""
_LN2_LOW = 5.497923018708371e-14
_MAGIC = 6755399441055744.0
"""``1.5*2^52``: added to a small number it leaves the number, rounded, in the lowest bits."""
_HALF_ROOT = 0x3FE6A09E667F3BCD
"""The bits of ``sqrt(1/2)``."""

# Chebyshev interpolation in 40 digits of (2 atanh(s) - 2 s)/s^3 in s^2, up to (√2-1)/(√2+1), and of
# (exp(r) - 1 - r)/r^2 up to |r| = log(2)/2; relative errors are 6e-20 and 2e-19.
_LOG = (
    0.13086626147840102, 0.13268773138656886, 0.15386239702814658, 0.18181795640132906,
    0.22222222391713917, 0.28571428570803614, 0.4000000000000088, 0.6666666666666666,
)  # fmt: skip
_EXP = (
    2.0914679376583935e-09, 2.510520637395701e-08, 2.7557273661348637e-07, 2.7557255425746435e-06,
    2.4801587325533363e-05, 0.00019841269874800493, 0.0013888888888883752, 0.008333333333326141,
    0.04166666666666667, 0.1666666666666667, 0.5,
)  # fmt: skip


@lru_cache(maxsize=1)
def elementary() -> SimpleNamespace:
    """``log`` and ``exp`` of float64 for compiled code, within two roundings of the true values.

    ``log(x)``: with ``x = 2^k (1+f)`` and ``s = f/(2+f)``, ``log(1+f) = 2 atanh(s)``.
    ``exp(x)``: with ``x = k log(2) + r``, ``exp(x) = 2^k exp(r)``.  What is short enough for one
    polynomial is left in both.  NaN, infinities, zero and subnormal numbers are told apart by
    selections, not by branches.
    """
    numba = numba_module()
    from numba.extending import intrinsic

    types = numba.types

    @intrinsic
    def bits_of(typing: Any, x: Any) -> Any:
        def made(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(types.int64))

        return types.int64(types.float64), made

    @intrinsic
    def number_of(typing: Any, i: Any) -> Any:
        def made(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(types.float64))

        return types.float64(types.int64), made

    # Compiled code calls them without the first argument.
    bits: Any = bits_of
    number: Any = number_of
    l0, l1, l2, l3, l4, l5, l6, l7 = _LOG
    e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10 = _EXP
    inf, nan, tiny = math.inf, math.nan, float(np.finfo(float).tiny)
    high, low, magic = _LN2_HIGH, _LN2_LOW, _MAGIC
    root, one = np.int64(_HALF_ROOT), np.int64(0x3FF0000000000000)
    mantissa, shift = np.int64(0x000FFFFFFFFFFFFF), np.int64(52)
    magic_bits = np.int64(np.float64(_MAGIC).view(np.int64))
    compiled = numba.njit(error_model="numpy", fastmath={"contract"}, inline="never")

    def log(x: float) -> float:
        small = x < tiny
        scaled = x * 2.0**54 if small else x
        # The exponent by which the rest lies between sqrt(1/2) and sqrt(2).
        i = bits(scaled) + (one - root)
        # As a double without a conversion of 64-bit integers, which AVX2 lacks.
        k = number(((i >> shift) & np.int64(0x7FF)) + magic_bits) - (magic + 1023.0)
        f = number((i & mantissa) + root) - 1.0
        s = f / (2.0 + f)
        z = s * s
        p = l0 * z + l1
        p = p * z + l2
        p = p * z + l3
        p = p * z + l4
        p = p * z + l5
        p = p * z + l6
        p = p * z + l7
        k = k - 54.0 if small else k
        half = 0.5 * f * f
        made = k * high - ((half - (s * (half + z * p) + k * low)) - f)
        made = made if x > 0.0 else (-inf if x == 0.0 else nan)
        return made if x < inf else x

    def exp(x: float) -> float:
        # Beyond these the result is 0 or infinite.
        y = min(max(x, -750.0), 710.0)
        shifted = y * 1.4426950408889634 + magic
        k = shifted - magic
        r = (y - k * high) - k * low
        p = e0 * r + e1
        p = p * r + e2
        p = p * r + e3
        p = p * r + e4
        p = p * r + e5
        p = p * r + e6
        p = p * r + e7
        p = p * r + e8
        p = p * r + e9
        p = p * r + e10
        # Two factors: 2^1024 and subnormal ones have no exponent of their own.
        whole = bits(shifted) - magic_bits
        half = whole >> np.int64(1)
        first = number((half + np.int64(1023)) << shift)
        second = number((whole - half + np.int64(1023)) << shift)
        made = ((1.0 + (r + r * r * p)) * first) * second
        return made if x == x else x

    return SimpleNamespace(log=compiled(log), exp=compiled(exp))


def swifter(function: Callable[..., Any]) -> Callable[..., Any]:
    """The vectorising form of a function of `math` or NumPy; the same function where none is."""
    if function in (math.log, np.log):
        return elementary().log
    if function in (math.exp, np.exp):
        return elementary().exp
    return function

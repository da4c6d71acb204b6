"""What generated source calls as `np` in compiled loops: NumPy, but for log, exp and log1p.

These three have neither branches nor calls, so that LLVM vectorises loops over them.  Imported
where numba is known to be installed.  All take and give float64; NaN, infinities, zero and
subnormal numbers are told apart by selections.  Without a vector library, which numba's wheels do
not hold, loops over `math.log` call one function a number and take four times as long.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

_LN2_HIGH = float.fromhex("0x1.62e42fefa3800p-1")
"""The leading 43 bits of ``log(2)``: a multiple by an exponent is exact."""
_LN2_LOW = 5.497923018708371e-14
_MAGIC = 6755399441055744.0
"""``1.5*2^52``: added to a small number it leaves the number, rounded, in the lowest bits."""
_MAGIC_BITS = np.int64(np.float64(_MAGIC).view(np.int64))
_HALF_ROOT = np.int64(0x3FE6A09E667F3BCD)
"""The bits of ``sqrt(1/2)``."""
_ONE = np.int64(0x3FF0000000000000)
_MANTISSA, _EXPONENT, _SHIFT = np.int64(0x000FFFFFFFFFFFFF), np.int64(0x7FF), np.int64(52)
_TINY = float(np.finfo(float).tiny)

# Chebyshev interpolation in 40 digits of (2 atanh(s) - 2 s)/s^3 in s^2, up to (√2-1)/(√2+1), and of
# (exp(r) - 1 - r)/r^2 up to |r| = log(2)/2; relative errors are 6e-20 and 2e-19.
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (
    0.13086626147840102, 0.13268773138656886, 0.15386239702814658, 0.18181795640132906,
    0.22222222391713917, 0.28571428570803614, 0.4000000000000088, 0.6666666666666666,
)  # fmt: skip
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10 = (
    2.0914679376583935e-09, 2.510520637395701e-08, 2.7557273661348637e-07, 2.7557255425746435e-06,
    2.4801587325533363e-05, 0.00019841269874800493, 0.0013888888888883752, 0.008333333333326141,
    0.04166666666666667, 0.1666666666666667, 0.5,
)  # fmt: skip


def __getattr__(name: str) -> Any:
    return getattr(np, name)


@intrinsic
def _bits_of(typing: Any, x: Any) -> Any:
    def made(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), made


@intrinsic
def _number_of(typing: Any, i: Any) -> Any:
    def made(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), made


# Compiled code calls them without the first argument.
_bits: Any = _bits_of
_number: Any = _number_of
_compiled = njit(error_model="numpy", fastmath={"contract"}, forceinline=True)


@_compiled
def log(x: float) -> float:
    """With ``x = 2^k (1+f)`` and ``s = f/(2+f)``, ``log(1+f) = 2 atanh(s)``."""
    small = x < _TINY
    scaled = x * 2.0**54 if small else x
    # The exponent by which the rest lies between sqrt(1/2) and sqrt(2).
    i = _bits(scaled) + (_ONE - _HALF_ROOT)
    # As a double without a conversion of 64-bit integers, which AVX2 lacks.
    k = _number(((i >> _SHIFT) & _EXPONENT) + _MAGIC_BITS) - (_MAGIC + 1023.0)
    k = k - 54.0 if small else k
    f = _number((i & _MANTISSA) + _HALF_ROOT) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = _L0 * z + _L1
    p = p * z + _L2
    p = p * z + _L3
    p = p * z + _L4
    p = p * z + _L5
    p = p * z + _L6
    p = p * z + _L7
    half = 0.5 * f * f
    made = k * _LN2_HIGH - ((half - (s * (half + z * p) + k * _LN2_LOW)) - f)
    made = made if x > 0.0 else (-math.inf if x == 0.0 else math.nan)
    return made if x < math.inf else x


@_compiled
def exp(x: float) -> float:
    """With ``x = k log(2) + r``, ``exp(x) = 2^k exp(r)``."""
    # Beyond these the result is 0 or infinite.
    y = min(max(x, -750.0), 710.0)
    shifted = y * 1.4426950408889634 + _MAGIC
    k = shifted - _MAGIC
    r = (y - k * _LN2_HIGH) - k * _LN2_LOW
    p = _E0 * r + _E1
    p = p * r + _E2
    p = p * r + _E3
    p = p * r + _E4
    p = p * r + _E5
    p = p * r + _E6
    p = p * r + _E7
    p = p * r + _E8
    p = p * r + _E9
    p = p * r + _E10
    # Two factors: 2^1024 and subnormal ones have no exponent of their own.
    whole = _bits(shifted) - _MAGIC_BITS
    half = whole >> np.int64(1)
    first = _number((half + np.int64(1023)) << _SHIFT)
    second = _number((whole - half + np.int64(1023)) << _SHIFT)
    made = ((1.0 + (r + r * r * p)) * first) * second
    return made if x == x else x


@_compiled
def log1p(x: float) -> float:
    """``log(u)`` of the rounded ``u = 1 + x``, and what rounding lost."""
    u = 1.0 + x
    lost = (x - (u - 1.0)) / u
    return log(u) + (lost if 0.0 < u < math.inf else 0.0)

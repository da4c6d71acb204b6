"""Random numbers of compiled loops: a counter, mixed.

Number k of a stream is ``mixed(s + k*STRIDE)`` for the 64 bits ``s`` that begin it, so that a
stream is told by one number and has no state to be kept.  G. L. Steele, D. Lea, C. H. Flood, Fast
splittable pseudorandom number generators, OOPSLA 2014.  Imported where numba is known to be
installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

STRIDE = np.uint64(0x9E3779B97F4A7C15)
"""The golden ratio as a fraction of 2^64, odd."""

_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


@njit(error_model="numpy", forceinline=True)
def mixed(z):
    """A bijection of 64 bits in which each bit depends on all."""
    z = (z ^ (z >> _30)) * _A
    z = (z ^ (z >> _27)) * _B
    return z ^ (z >> _31)


def _high_product(typing: Any, a: Any, b: Any) -> Any:
    """The upper 64 bits of a product of 128: one instruction."""
    from llvmlite import ir

    def made(context: Any, b: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = b.mul(b.zext(args[0], wide), b.zext(args[1], wide))
        return b.trunc(b.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), made


# Compiled code calls it without the first argument.
below: Any = intrinsic(_high_product)
"""``below(r, n)``: from 64 random bits a whole number from 0 to n-1; each has the same probability
up to a relative error of ``n/2^64``."""


def stream(*path: int, behind: int = 0) -> np.uint64:
    """The beginning of the stream that belongs to a sequence of numbers.

    That of a longer sequence is one `behind` that of its first numbers.
    """
    state = int(behind)
    for number in path:
        state = _mixed(state + _STRIDE * (number + 1))
    return np.uint64(state)


_WHOLE, _STRIDE, _FIRST, _SECOND = 2**64 - 1, int(STRIDE), int(_A), int(_B)


def _mixed(z: int) -> int:
    """The same for Python's integers."""
    z &= _WHOLE
    z = ((z ^ (z >> 30)) * _FIRST) & _WHOLE
    z = ((z ^ (z >> 27)) * _SECOND) & _WHOLE
    return z ^ (z >> 31)

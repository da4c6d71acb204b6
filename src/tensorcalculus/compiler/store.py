"""Large arrays used again from call to call.

The allocator hands blocks beyond 32 MiB back to the system as soon as they are free, and the system
clears each page of a new one: a result of 200 MB costs 35 ms before a number is computed.
"""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any

import numpy as np

LARGE = 4 << 20
"""Entries from which an array is kept; smaller blocks the allocator keeps itself."""
KEPT = 2
"""Arrays kept: a caller holds one result while the next one is made."""


class Store:
    """Arrays of one shape and type, lent again once nobody else holds them."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []
        self._lock = Lock()

    def array(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array with any entries that nothing else refers to, not even a view of it."""
        dtype = np.dtype(dtype)
        with self._lock:
            for kept in self._kept:
                if kept.shape == shape and kept.dtype == dtype and _references(kept) <= _ALONE:
                    return kept
            made = np.empty(shape, dtype)
            if _COUNTED:
                self._kept = [a for a in self._kept if a.shape == shape and a.dtype == dtype]
                self._kept = [*self._kept[1 - KEPT :], made]
            return made

    def spread_product(self, pattern: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The product of two arrays that each lack axes of the result; see ``kernels``."""
        given, wanted = pattern.split("->")
        lengths = dict(zip(given.replace(",", ""), a.shape + b.shape, strict=True))
        out = self.array(tuple(lengths[i] for i in wanted), np.result_type(a, b))
        return np.einsum(pattern, a, b, out=out)

    def times(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """``a * b``, broadcast."""
        out = self.array(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
        return np.multiply(a, b, out=out)

    def product(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """``a @ b``."""
        out = self.array(a.shape[:-1] + b.shape[1:], np.result_type(a, b))
        return np.matmul(a, b, out=out)


def _references(a: np.ndarray) -> int:
    return sys.getrefcount(a)


def _alone() -> int:
    """How many references there are to an array that only a list and a loop over it hold."""
    for a in [np.empty(1)]:
        return _references(a)
    raise AssertionError


# Where references are not counted at once, nothing is known to be free.
_COUNTED = hasattr(sys, "getrefcount") and getattr(sys, "_is_gil_enabled", lambda: True)()
_ALONE = _alone() if _COUNTED else -1

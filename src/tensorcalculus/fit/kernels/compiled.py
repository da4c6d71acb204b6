"""numba, loaded when a kernel is first needed."""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType


@lru_cache(maxsize=1)
def numba_module() -> ModuleType:
    """The module `numba`; an `ImportError` says how to install it where it is absent."""
    try:
        import numba
    except ImportError as error:
        raise ImportError(
            "fits of sparse tensors run compiled kernels, which need numba:"
            " pip install 'tensorcalculus[fit]'"
        ) from error
    return numba

"""Other libraries, where they are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def silent() -> Iterator[None]:
    """What compiled libraries print is dropped."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def peer(name: str) -> Any:
    """A peer's module, or None."""
    try:
        with silent():
            return import_module(name)
    except ImportError:
        return None

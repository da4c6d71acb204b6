"""Axes of matplotlib, which is asked for only when something is drawn."""

from __future__ import annotations

from typing import Any


def axes(ax: Any, numbers: str) -> Any:
    """The Axes given, or new ones; `numbers` says where to find what would have been drawn.

    Raises
    ------
    ImportError
        There are none, and matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            "plots need matplotlib, which is not installed: pip install matplotlib; "
            f"the numbers are in {numbers}"
        ) from None
    return plt.subplots()[1]

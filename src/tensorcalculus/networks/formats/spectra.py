"""Singular values of the unfoldings of a format, and their plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorcalculus.display.plots import axes
from tensorcalculus.networks.formats.base import Format


class Spectra(Format):
    """Formats whose ranks are those of unfoldings."""

    __slots__ = ()

    def singular_values(self) -> Sequence[np.ndarray] | Mapping[tuple[int, ...], np.ndarray]:
        """Singular values of the unfoldings, in the structure of ``ranks``, in NumPy."""
        raise NotImplementedError

    def plot_singular_values(self, ax: Any = None) -> Any:
        """Draw the singular values of each unfolding, relative to the norm, on a logarithmic axis.

        A rounding to `tol` cuts where the tail falls below it.

        Parameters
        ----------
        ax
            matplotlib's Axes; new ones where nothing is given.

        Returns
        -------
        matplotlib.axes.Axes
            One line for each cut.

        Raises
        ------
        ImportError
            No `ax`, and matplotlib is not installed.
        """
        ax = axes(ax, "singular_values()")
        held = self.singular_values()
        named = held.items() if isinstance(held, Mapping) else enumerate(held)
        for name, values in named:
            size = float(np.linalg.norm(values)) or 1.0
            seen = np.where(values > 0, values / size, np.nan)  # a logarithm of 0 is not drawn
            ax.semilogy(np.arange(1, len(values) + 1), seen, ".-", label=self._told_cut(name))
        ax.set_xlabel("number")
        ax.set_ylabel("singular value / norm")
        ax.set_title(f"{type(self).__name__}: singular values of unfoldings")
        if 0 < len(held) <= 12:
            ax.legend()
        return ax

    def _told_cut(self, name: Any) -> str:
        """The unfolding in words."""
        return f"modes {name}" if isinstance(name, tuple) else f"mode {name}"

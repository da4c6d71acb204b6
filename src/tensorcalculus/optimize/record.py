"""What a minimisation gives: the minimum and the record of how it was reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorcalculus.display.curve import descent
from tensorcalculus.display.html import Html
from tensorcalculus.display.plots import axes
from tensorcalculus.display.rows import Fields, Rows


@dataclass(frozen=True, slots=True)
class Iteration(Fields):
    """One accepted step; number 0 is the start."""

    iteration: int
    value: float
    gradient_norm: float
    """Largest entry of the gradient, projected on the bounds."""
    step: float
    """Euclidean length of the step that led here."""
    seconds: float
    """Time since the start, without deriving and compiling."""

    def told(self) -> str:
        """The iteration in one line."""
        return (
            f"iteration {self.iteration}, value {self.value:.8g}, gradient {self.gradient_norm:.1e}"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Minimum(Rows):
    """The result of :func:`tensorcalculus.minimize`; ``result["U"]`` is an array of its values."""

    values: dict[str, np.ndarray]
    """The variables that were optimised, at the best point found."""
    value: float
    gradient_norm: float
    """Largest entry of the gradient, projected on the bounds."""
    iterations: int
    evaluations: int
    """Evaluations of value and gradient."""
    converged: bool
    """Whether the gradient, projected on the bounds, is below ``tol``, and nothing else."""
    message: str
    """Why it stopped, in words."""
    method: str
    seconds: float
    """Wall time, with deriving and compiling."""
    record: tuple[Iteration, ...] = field(repr=False)

    def __getitem__(self, name: str) -> np.ndarray:
        from tensorcalculus.errors import UnknownNameError, nearest

        if name not in self.values:
            raise UnknownNameError(
                f"{name!r} was not optimised (values: {', '.join(self.values)})."
                + nearest(str(name), self.values)
            )
        return self.values[name]

    def _rows(self) -> list[tuple[str, str]]:
        shapes = ", ".join(
            f"{name} {tuple(a.shape)}" if a.ndim else f"{name} = {float(a):.6g}"
            for name, a in self.values.items()
        )
        return [
            ("value", f"{self.value:.10g}"),
            ("converged", f"{'yes' if self.converged else 'no'}: {self.message}"),
            ("gradient", f"{self.gradient_norm:.2e} (largest entry)"),
            ("work", f"{self.iterations} iterations, {self.evaluations} evaluations, "
             f"{self.seconds:.3g} s by {self.method}"),
            ("values", shapes),
        ]  # fmt: skip

    def _pictures(self) -> list[tuple[str, Html]]:
        return [("descent", descent([entry.value for entry in self.record]))]

    def plot(self, ax: Any = None) -> Any:
        """Draw how value and gradient fell, on a logarithmic axis; returns the matplotlib Axes.

        The value is drawn as its distance from the lowest one.
        """
        ax = axes(ax, ".record")
        steps = [entry.iteration for entry in self.record]
        values = np.array([entry.value for entry in self.record])
        above = values - values.min()
        above[above <= 0] = np.nan
        ax.semilogy(steps, above, label="value above the lowest")
        norms = np.array([entry.gradient_norm for entry in self.record])
        ax.semilogy(steps, np.where(norms > 0, norms, np.nan), label="largest entry of gradient")
        ax.set_xlabel("iteration")
        ax.set_title(f"{self.method}: {self.value:.6g}")
        ax.legend()
        return ax

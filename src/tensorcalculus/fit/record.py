"""What a fit gives: the model, how good it is, how it was reached, what may be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorcalculus.display.curve import descent
from tensorcalculus.display.html import Html
from tensorcalculus.display.plots import axes
from tensorcalculus.display.rows import Rows
from tensorcalculus.fit.data.labels import Labelled, Labels
from tensorcalculus.fit.pictures import components
from tensorcalculus.fit.trouble import FitDiagnosis
from tensorcalculus.fit.watch import FitIteration
from tensorcalculus.networks.arrays import Array, numpy_of
from tensorcalculus.networks.formats.cp import CP


@dataclass(frozen=True, repr=False)
class CPFit(Labelled, Rows):
    """The result of :func:`tensorcalculus.cp_als` and :func:`tensorcalculus.cp_opt`.

    Components are in the order of their weights.  In all modes but the first, the columns of the
    model have norm 1; the first takes the weights.  The largest entry of a column of a real factor
    is positive, but in the first mode that is free to have signs.
    """

    model: CP
    weights: np.ndarray
    """The norms of the components."""
    factors: tuple[Array, ...]
    """The factors, all columns of norm 1."""
    fit: float
    """``1 - norm(X - model)/norm(X)``."""
    loss: float
    """``norm(X - model)^2``."""
    converged: bool
    """Whether the relative gradient is below ``tol`` and no components diverge, and nothing
    else."""
    message: str
    """Why it stopped, in words."""
    iterations: int
    method: str
    diagnosis: FitDiagnosis
    seconds: float
    """Wall time of all starts."""
    start_losses: tuple[float, ...]
    """The loss that each start led to, with its penalty."""
    record: tuple[FitIteration, ...] = field(repr=False)
    """All iterations of the start that is kept."""
    labels: Labels | None = field(default=None, repr=False)
    """Names of the modes and their indices, where the data had them."""

    @property
    def explained(self) -> float:
        """Explained variation, ``1 - norm(X - model)^2/norm(X)^2``."""
        return 1 - (1 - self.fit) ** 2

    @property
    def rank(self) -> int:
        """The number of components."""
        return self.model.rank

    @property
    def loss_history(self) -> np.ndarray:
        """The loss, with its penalty, after each iteration."""
        return np.array([entry.value for entry in self.record])

    def _rows(self) -> list[tuple[str, str]]:
        shape = " x ".join(map(str, self.model.shape))
        starts = len(self.start_losses)
        more = f", best of {starts} starts" if starts > 1 else ""
        weights = ", ".join(f"{w:.4g}" for w in self.weights[:8])
        return [
            ("model", f"CP of rank {self.rank}, {shape}"),
            ("fit", f"{self.fit:.6f} ({100 * self.explained:.4g} % explained)"),
            ("converged", f"{'yes' if self.converged else 'no'}: {self.message}"),
            ("work", f"{self.iterations} iterations, {self.seconds:.3g} s by {self.method}{more}"),
            ("weights", weights + (", …" if self.rank > 8 else "")),
            ("diagnosis", str(self.diagnosis)),
        ]

    def _pictures(self) -> list[tuple[str, Html]]:
        return [
            ("weights", components(self.weights, self.factors, self._labels())),
            ("descent", descent(self.loss_history)),
        ]

    def plot(self, ax: Any = None) -> Any:
        """Draw how the loss fell, swamps shaded; returns the matplotlib Axes."""
        ax = axes(ax, ".record and .factors")
        steps = np.arange(1, len(self.record) + 1)
        losses = self.loss_history
        ax.semilogy(steps, np.where(losses > 0, losses, np.nan))
        for first, last in self.diagnosis.swamps:
            ax.axvspan(first, last, alpha=0.15, color="tab:red")
        ax.set_xlabel("iteration")
        ax.set_ylabel("loss")
        ax.set_title(f"CP of rank {self.rank} by {self.method}: fit {self.fit:.6f}")
        return ax

    def plot_mode(self, mode: int | str, ax: Any = None) -> Any:
        """Draw the columns of the factor of one mode, by number or name; returns the Axes."""
        ax = axes(ax, ".record and .factors")
        labels = self._labels()
        columns = numpy_of(self.factors[labels.mode(mode)])
        for r in range(self.rank):
            ax.plot(np.real(columns[:, r]), label=f"component {r}")
        ax.set_xlabel(f"index of {labels.names[labels.mode(mode)]}")
        ax.legend()
        return ax

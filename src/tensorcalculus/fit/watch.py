"""Watching a fit: the record, the best model, and the reasons to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from tensorcalculus.fit.components import Factors
from tensorcalculus.optimize.monitor import Finished
from tensorcalculus.optimize.progress import Progress
from tensorcalculus.optimize.record import Iteration


@dataclass(frozen=True, slots=True)
class FitIteration(Iteration):
    """One iteration of a fit.

    `value` is the loss with its penalty.  `gradient_norm` is the largest of ``norm(U_k G_k -
    M_k)/norm(M_k)`` over the modes, the relative residual of their normal equations; by L-BFGS it
    is the largest entry of the gradient.
    """

    growth: float
    """Norm of the components relative to that of the model; large where they cancel."""


class Watch:
    """Told of every iteration; raises :class:`Finished` when it is time to stop."""

    def __init__(
        self, tol: float, max_iterations: int, max_seconds: float | None, progress: Progress
    ) -> None:
        self.tol = tol
        self.max_iterations = max_iterations
        self.max_seconds = max_seconds
        self.progress = progress
        self.record: list[FitIteration] = []
        self.judges = True
        """Whether the gradient is compared with `tol` here."""
        self.began = perf_counter()
        self.best: tuple[float, float, Factors] | None = None
        """Loss with penalty, without it, and the model."""

    def note(
        self, factors: Sequence[np.ndarray], value: float, loss: float, gradient: float,
        step: float, growth: float,
    ) -> None:  # fmt: skip
        """One more iteration, and the model that it led to."""
        seconds = perf_counter() - self.began
        entry = FitIteration(len(self.record) + 1, value, gradient, step, seconds, growth)
        self.record.append(entry)
        converged = self.judges and gradient <= self.tol
        if not np.isfinite(value):
            raise Finished("the loss is not finite", False)
        if self.best is None or value < self.best[0] or converged:
            self.best = value, loss, list(factors)
        self.progress.update(entry)
        if converged:
            raise Finished(f"the relative gradient is {gradient:.1e} (tol={self.tol:g})", True)
        if entry.iteration >= self.max_iterations:
            raise Finished(f"max_iterations reached ({self.max_iterations})", False)
        if self.max_seconds is not None and seconds > self.max_seconds:
            raise Finished(f"max_seconds reached ({self.max_seconds:g} s)", False)

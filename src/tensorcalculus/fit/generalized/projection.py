"""Samples in terms of components that are known: the first factor for other data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from tensorcalculus.errors import ShapeError
from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.start import model_of
from tensorcalculus.fit.losses import Loss
from tensorcalculus.optimize.first_order import lbfgs
from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.progress import Progress


class _FirstFactor(FactorProblem):
    """The loss as a function of the first factor; the others stay."""

    lower: np.ndarray | None
    upper: np.ndarray | None

    def __init__(
        self, cells: Cells, others: Sequence[np.ndarray], nonnegative: bool, l2: float
    ) -> None:
        self.others = list(others)
        super().__init__(cells, others[0].shape[1], frozenset([0] if nonnegative else []), l2)
        first = cells.shape[0] * self.rank
        if self.lower is not None and self.upper is not None:
            self.lower, self.upper = self.lower[:first], self.upper[:first]

    def factors(self, x: np.ndarray) -> Factors:
        return [x.reshape(-1, self.rank), *self.others]

    def value_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        self.evaluations += 1
        value, gradients = self.cells.value_gradients(self.factors(x))
        return value + self.l2 * float(x @ x), gradients[0].reshape(-1) + 2 * self.l2 * x


def first_factor(
    cells: Cells,
    loss: Loss,
    others: Sequence[np.ndarray],
    nonnegative: bool,
    l2: float = 0.0,
    tol: float = 1e-6,
    max_iterations: int = 1000,
) -> np.ndarray:
    """The factor of the first mode that fits the data best, the others given.

    The rows are independent of each other, and for the losses of the table but Rayleigh, gamma and
    beta the problem is convex.  L-BFGS-B for all rows together.

    Raises
    ------
    ShapeError
        The data have other modes than the components, but for the first.
    """
    if cells.shape[1:] != tuple(len(u) for u in others):
        raise ShapeError(
            f"X: samples of shape {tuple(len(u) for u in others)} are expected, as in fit, not"
            f" {cells.shape[1:]}"
        )
    problem = _FirstFactor(cells, others, nonnegative, l2)
    mean, _ = cells.moments()
    level = max(mean, 0.0) if loss.nonnegative else model_of(loss, mean)
    total = float(np.sum(np.prod([u.mean(axis=0) for u in others], axis=0)))
    value = level / total if total else 0.0
    if nonnegative and value <= 0:
        value = 1e-3
    x = np.full(cells.shape[0] * problem.rank, value)
    monitor = Monitor(problem, tol, max_iterations, None, Progress(False, ""), None)
    with np.errstate(all="ignore"), suppress(Finished):
        lbfgs(problem, monitor, x)
    return monitor.best[1].reshape(-1, problem.rank)

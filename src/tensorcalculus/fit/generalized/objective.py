"""What a fit minimises: a sum of losses over cells, as a function of factors or of one vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.generalized.sampling import SampledCells


class Cells(Protocol):
    """Observed cells and their loss."""

    shape: tuple[int, ...]
    count: int
    """How many cells are observed."""

    def value_gradients(self, factors: Sequence[np.ndarray]) -> tuple[float, Factors]:
        """The sum of the losses, and its gradient by each factor ``[n_k, r]``."""
        ...

    def moments(self) -> tuple[float, float]:
        """Mean of the observed data and of their squares."""
        ...

    def samples(self) -> SampledCells:
        """The same cells, to be drawn."""
        ...

    def slice_means(self) -> list[np.ndarray]:
        """For each mode the means of the observed data in its slices, ``[n_k]``."""
        ...


class FactorProblem:
    """A loss of factors as a function of one vector, for methods of `optimize`.

    Parameters
    ----------
    cells
        Where the loss comes from.
    rank
        The number of columns.
    nonnegative
        Modes whose factors have no negative entries.
    l2
        Weight of the squared norms of all factors.
    sizes
        Typical values of the rows of each factor, ``[n_k, 1]``.  The vector holds factors divided
        by their square roots: of counts, the curvature by an entry is about one over it, so that
        rows of few and of many counts move alike (on a million counts with rows of very unequal
        sums 40 iterations came as far as 1000 of the plain ones).
    """

    def __init__(
        self,
        cells: Cells,
        rank: int,
        nonnegative: frozenset[int],
        l2: float = 0.0,
        sizes: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.cells = cells
        self.rank = rank
        self.l2 = l2
        ends = np.cumsum([0, *(n * rank for n in cells.shape)])
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self._unit: np.ndarray | None = None
        if sizes is not None:
            each = zip(sizes, cells.shape, strict=True)
            self._unit = np.sqrt(
                np.concatenate([np.broadcast_to(s, (n, rank)).ravel() for s, n in each])
            )
        self.lower: np.ndarray | None = None
        self.upper: np.ndarray | None = None
        self.evaluations = 0
        if nonnegative:
            self.lower = np.full(int(ends[-1]), -np.inf)
            for k in nonnegative:
                self.lower[self._parts[k]] = 0.0
            self.upper = np.full(int(ends[-1]), np.inf)

    def factors(self, x: np.ndarray) -> Factors:
        """The factors that a vector stands for."""
        if self._unit is not None:
            x = x * self._unit
        return [x[part].reshape(-1, self.rank) for part in self._parts]

    def pack(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """The vector that stands for factors."""
        x = np.concatenate([u.reshape(-1) for u in factors])
        return x if self._unit is None else x / self._unit

    def penalty(self, factors: Sequence[np.ndarray]) -> float:
        """What is added to the loss."""
        return self.l2 * sum(float(np.vdot(u, u)) for u in factors) if self.l2 else 0.0

    def value_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss with penalty and its gradient."""
        self.evaluations += 1
        factors = self.factors(x)
        value, gradients = self.cells.value_gradients(factors)
        if self.l2:
            gradients = [g + 2 * self.l2 * u for g, u in zip(gradients, factors, strict=True)]
        g = np.concatenate([part.reshape(-1) for part in gradients])
        if self._unit is not None:
            g *= self._unit
        return value + self.penalty(factors), g

    def clipped(self, x: np.ndarray) -> np.ndarray:
        """The nearest point within the bounds."""
        return x if self.lower is None else np.maximum(x, self.lower)

    def projected_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """``x - P(x - g)``: zero where the first-order conditions hold."""
        return g if self.lower is None else x - self.clipped(x - g)

    def named(self, x: np.ndarray) -> Factors:
        """Factors of their own."""
        return [u.copy() for u in self.factors(x)]

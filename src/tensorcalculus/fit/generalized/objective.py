"""What a fit minimises: a sum of losses over cells, as a function of factors or of one vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from tensorcalculus.fit.components import Factors


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
    """

    def __init__(
        self, cells: Cells, rank: int, nonnegative: frozenset[int], l2: float = 0.0
    ) -> None:
        self.cells = cells
        self.rank = rank
        self.l2 = l2
        ends = np.cumsum([0, *(n * rank for n in cells.shape)])
        self._parts = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.lower = self.upper = None
        self.evaluations = 0
        if nonnegative:
            self.lower = np.full(int(ends[-1]), -np.inf)
            for k in nonnegative:
                self.lower[self._parts[k]] = 0.0
            self.upper = np.full(int(ends[-1]), np.inf)

    def factors(self, x: np.ndarray) -> Factors:
        """Views of the vector."""
        return [x[part].reshape(-1, self.rank) for part in self._parts]

    def pack(self, factors: Sequence[np.ndarray]) -> np.ndarray:
        """One vector of all entries."""
        return np.concatenate([u.reshape(-1) for u in factors])

    def penalty(self, x: np.ndarray) -> float:
        """What is added to the loss."""
        return self.l2 * float(x @ x) if self.l2 else 0.0

    def value_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss with penalty and its gradient."""
        self.evaluations += 1
        value, gradients = self.cells.value_gradients(self.factors(x))
        g = self.pack(gradients)
        if self.l2:
            g += 2 * self.l2 * x
        return value + self.penalty(x), g

    def clipped(self, x: np.ndarray) -> np.ndarray:
        """The nearest point within the bounds."""
        return x if self.lower is None else np.maximum(x, self.lower)

    def projected_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """``x - P(x - g)``: zero where the first-order conditions hold."""
        return g if self.lower is None else x - self.clipped(x - g)

    def named(self, x: np.ndarray) -> Factors:
        """Factors of their own."""
        return [u.copy() for u in self.factors(x)]

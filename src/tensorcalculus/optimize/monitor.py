"""Watching a minimisation: the record, the best point, and the reasons to stop."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NoReturn, Protocol

import numpy as np

from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.progress import Progress
from tensorcalculus.optimize.record import Iteration

EPSILON = float(np.finfo(float).eps)

CREDIBLE = 1e-2
"""Relative gradient above which no model of the function tells what remains to be gained."""

UNBOUNDED = -1e100


class Finished(Exception):
    """A reason to stop; methods end by raising it."""

    def __init__(self, message: str, converged: bool) -> None:
        super().__init__(message)
        self.message, self.converged = message, converged


class Minimised(Protocol):
    """A function of one vector, perhaps within bounds, as first-order methods see it."""

    lower: Array | None
    upper: Array | None

    def value_gradient(self, x: Array) -> tuple[float, Array]:
        """Value and gradient; an infinite value where the function has none."""
        ...

    def projected_gradient(self, x: Array, g: Array) -> Array:
        """Zero where the first-order conditions hold."""
        ...

    def named(self, x: Array) -> Any:
        """The point in the words of whoever asked for it."""
        ...


class Monitor:
    """Told of every accepted point; raises :class:`Finished` when it is time to stop."""

    def __init__(
        self,
        problem: Minimised,
        tol: float,
        max_iterations: int,
        max_seconds: float | None,
        progress: Progress,
        callback: Callable[[Any, Iteration], Any] | None,
    ) -> None:
        self.problem = problem
        self.tol = tol
        self.max_iterations = max_iterations
        self.max_seconds = max_seconds
        self.progress = progress
        self.callback = callback
        self.record: list[Iteration] = []
        self.began = perf_counter()
        self.x: Array = np.zeros(0)
        self.best: tuple[float, Array, float] = (np.inf, self.x, np.inf)
        self.first_norm = 0.0

    def start(self, x: Array, f: float, g: Array) -> None:
        """The first point."""
        self.first_norm = self.norm(x, g)
        self.x = x
        self._note(x, f, g, 0.0)

    def step(self, x: Array, f: float, g: Array) -> None:
        """The next point."""
        self.first_norm = self.first_norm or self.norm(x, g)
        change = x - self.x
        self.x = x
        self._note(x, f, g, float(np.sqrt(change @ change)))

    def pauses(self) -> bool:
        """Whether the method is to begin anew where it is."""
        return False

    def norm(self, x: Array, g: Array) -> float:
        """The largest entry of the projected gradient, of a step that is no longer than ``x``.

        An entry that moves to its bound gives the way to it instead of its slope, which says
        nothing where gradients are far larger than the variables.
        """
        largest = float(np.abs(g).max(initial=0.0))
        size = float(np.abs(x).max(initial=0.0))
        step = min(1.0, size / largest) if size > 0 and 0 < largest < np.inf else 1.0
        return float(np.abs(self.problem.projected_gradient(x, step * g)).max(initial=0.0)) / step

    def scale(self, x: Array, f: float) -> float:
        """What gradients are compared with: the first one, or value over size of the variables."""
        return max(self.first_norm, abs(f) / max(1.0, float(np.abs(x).max(initial=0.0))))

    def _note(self, x: Array, f: float, g: Array, length: float) -> None:
        norm = self.norm(x, g)
        entry = Iteration(len(self.record), f, norm, length, perf_counter() - self.began)
        self.record.append(entry)
        scale = self.scale(x, f)
        converged = norm <= self.tol * scale
        if f < self.best[0] or converged:
            self.best = (f, x, norm)
        self.progress.update(entry)
        if self.callback is not None and self.callback(self.problem.named(x), entry):
            raise Finished("the callback asked to stop", False)
        if converged:
            if norm == 0:
                where = "" if entry.iteration else " at the start"
                raise Finished(f"the gradient is zero{where}", True)
            raise Finished(f"the gradient is below tol: {norm / scale:.1e} of its scale", True)
        if f < UNBOUNDED * (1 + abs(self.record[0].value)):
            raise Finished(f"the function is not bounded below: its value is {f:.1e}", False)
        if len(self.record) > self.max_iterations:
            raise Finished(f"max_iterations reached ({self.max_iterations})", False)
        if self.max_seconds is not None and entry.seconds > self.max_seconds:
            raise Finished(f"max_seconds reached ({self.max_seconds:g} s)", False)

    def rounding(self, f: float) -> float:
        """Differences of values below this are rounding errors."""
        return 4 * EPSILON * abs(f)

    def exhausted(self, x: Array, f: float, g: Array) -> NoReturn:
        """Stop as the step to the minimum would change the value by rounding errors only."""
        why = "what remains to be gained is below rounding errors"
        if self.norm(x, g) > CREDIBLE * self.scale(x, f):
            why = "no lower value is found along the search direction"
        self._stop(why, x, f, g)

    def stalled(self, x: Array, f: float, g: Array) -> NoReturn:
        """Stop as no lower value is found."""
        self._stop("no lower value is found along the search direction", x, f, g)

    def _stop(self, why: str, x: Array, f: float, g: Array) -> NoReturn:
        relative = self.norm(x, g) / (self.scale(x, f) or 1.0)
        raise Finished(
            f"{why}; the gradient is {relative:.1e} of its scale (tol={self.tol:g})", False
        )

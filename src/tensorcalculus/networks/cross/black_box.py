"""A function of indices that is asked for values: checked, counted, cached, bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tensorcalculus.errors import EvaluationError


class BudgetSpent(Exception):
    """The next values would exceed the limit of evaluations."""


class BlackBox:
    """Calls of a function of integer arrays ``[batch, d]``.

    Points are told apart by one 64-bit number: their place in the array, or where there are more
    places, a linear hash with random odd factors, in which two of a million points collide with a
    chance of 3e-8.
    """

    def __init__(
        self,
        f: Callable[[np.ndarray], object],
        shape: Sequence[int],
        max_evaluations: int,
        rng: np.random.Generator,
        told: Callable[[], object] = lambda: None,
    ) -> None:
        self.f = f
        self.told = told
        """Called after values came in."""
        self.shape = tuple(shape)
        self.max_evaluations = max_evaluations
        self.evaluations = 0
        self.largest = 0.0
        """The largest absolute value so far."""
        self._points: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._caches: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._kind = np.dtype(np.float32)
        self._known: tuple[np.ndarray, np.ndarray] | None = None
        self._known_points = np.zeros((0, len(self.shape)), np.int64)
        self._known_values = np.zeros(0)
        total = 1
        for n in self.shape:
            total *= n
        if total < 2**63:
            steps = np.cumprod([1, *self.shape[:0:-1]], dtype=np.uint64)[::-1]
        else:
            steps = rng.integers(0, 2**63, len(self.shape), dtype=np.uint64) * np.uint64(2)
            steps += np.uint64(1)
        self.steps = steps.astype(np.uint64)

    def remember(self, points: np.ndarray, values: np.ndarray) -> None:
        """Values known before, which will not be asked for again."""
        self._known_points, self._known_values = points, values
        keys = self.keys(points, 0)
        order = np.argsort(keys)
        self._known = keys[order], values[order]
        self._kind = np.result_type(self._kind, values.dtype)
        self.largest = max(self.largest, float(np.abs(values).max(initial=0)))

    @property
    def points(self) -> np.ndarray:
        """All points whose values are known, ``[count, d]``: those remembered, then those asked."""
        return np.concatenate([self._known_points, *self._points])

    @property
    def values(self) -> np.ndarray:
        """Their values."""
        return np.concatenate([self._known_values, *self._values])

    def reserve(self, count: int, cached: bool = False) -> None:
        """Refuse more values than may be asked for, before arrays for them are made.

        With `cached`, values that are known by then do not count.

        Raises
        ------
        BudgetSpent
        """
        spent = -len(self._known_values) if cached else self.evaluations
        if spent + count > self.max_evaluations:
            raise BudgetSpent

    def keys(self, points: np.ndarray, first: int) -> np.ndarray:
        """Partial numbers of points whose columns are modes from `first` on."""
        last = first + points.shape[1]
        return (points.astype(np.uint64) * self.steps[first:last]).sum(axis=1, dtype=np.uint64)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points; only what was remembered is not asked for (see :meth:`asked`)."""
        if self._known is None:
            return self.asked(points)
        values, missing = self._cached(None, self.keys(points, 0))
        return self._filled(values, missing, points[missing])

    def _filled(self, values: np.ndarray, missing: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Values whose holes are asked for."""
        if missing.size:
            fresh = self.asked(points)
            if fresh.dtype != values.dtype:
                values = values.astype(np.result_type(values, fresh))
            values[missing] = fresh
        return values

    def asked(self, points: np.ndarray) -> np.ndarray:
        """Values at points, from the function.

        Raises
        ------
        BudgetSpent
            There would be too many.
        EvaluationError
            The function raised, gave the wrong number of values, or NaN or infinite ones.
        """
        count = len(points)
        self.reserve(count)
        try:
            given = self.f(points)
        except Exception as fault:
            raise self._error(f"raised {type(fault).__name__}: {fault}") from fault
        values = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)  # type: ignore[attr-defined]
        if values.shape != (count,):
            raise self._error(
                f"gave an array of shape {values.shape} for points of shape {points.shape};"
                f" ({count},) is expected"
            )
        if values.dtype.kind not in "biufc":
            raise self._error(f"gave values of type {values.dtype}; numbers are expected")
        if values.dtype.kind in "biu":
            values = values.astype(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            place = ", ".join(map(str, points[wrong[0]]))
            raise self._error(f"gave {values[wrong[0]]} at ({place}), at {wrong.size} of {count}")
        self.evaluations += count
        self.largest = max(self.largest, float(np.abs(values).max(initial=0)))
        self._kind = np.result_type(self._kind, values.dtype)
        self._points.append(points)
        self._values.append(values)
        self.told()
        return values

    def _error(self, what: str) -> EvaluationError:
        return EvaluationError(
            f"cross: the function {what}; after {self.evaluations} evaluations, which `points` and"
            " `values` of this error hold",
            self.points,
            self.values,
        )

    def block(self, k: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Values ``[r, n_k, s]`` at all ``(left[a], i, right[b])``, from the cache of mode k."""
        n = self.shape[k]
        self.reserve(len(left) * n * len(right), cached=True)
        keys = (
            self.keys(left, 0)[:, None, None]
            + np.arange(n, dtype=np.uint64)[:, None] * self.steps[k]
            + self.keys(right, k + 1)
        ).reshape(-1)
        values, missing = self._cached(k, keys)
        a, i, b = np.unravel_index(missing, (len(left), n, len(right)))
        holes = np.concatenate([left[a], i[:, None], right[b]], axis=1)
        values = self._filled(values, missing, holes)
        order = np.argsort(keys)
        # Those of the last sweep suffice: earlier ones have little in common with the next.
        self._caches[k] = keys[order], values[order]
        return values.reshape(len(left), n, len(right))

    def _cached(self, k: int | None, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values with holes, and where the holes are."""
        values = np.zeros(len(keys), self._kind)
        missing = np.ones(len(keys), bool)
        for table in (None if k is None else self._caches.get(k), self._known):
            if table is not None and len(table[0]):
                place = np.minimum(np.searchsorted(table[0], keys), len(table[0]) - 1)
                hit = (table[0][place] == keys) & missing
                values[hit] = table[1][place[hit]]
                missing &= ~hit
        return values, np.flatnonzero(missing)

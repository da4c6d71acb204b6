"""Tensor trains of functions of indices, from few values: cross approximation by sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tensorcalculus.display.status_line import StatusLine
from tensorcalculus.errors import EvaluationError, InputError
from tensorcalculus.networks.cross.black_box import BlackBox, BudgetSpent
from tensorcalculus.networks.cross.climbing import climb
from tensorcalculus.networks.cross.maxvol import rect_maxvol
from tensorcalculus.networks.formats.indexing import checked_shape
from tensorcalculus.networks.trains.algebra import entries
from tensorcalculus.networks.trains.rounding import round_train

_VALIDATION_POINTS = 1000
_SEARCHES = 10
"""Climbs before it stops, and after each sweep; the latter bring pivots that lie apart."""
_CLIMBS = 4
_NEGLIGIBLE = 0.03
"""Singular values of a block below this part of the tolerance do not count."""
_SAFETY = 0.5
"""The sweeps stop where the validated error is below this part of the tolerance."""


class Progress(NamedTuple):
    """What a callback is told after a sweep."""

    sweep: int
    evaluations: int
    max_rank: int
    error: float


@dataclass(frozen=True)
class CrossInfo:
    """What a cross approximation took and reached."""

    evaluations: int
    """Points that the function was asked for, those for validation and search included; without
    what was known before."""
    error: float
    """``norm(f - train)/norm(f)`` on random points that the train was not made from."""
    converged: bool
    """Whether that error is within the tolerance, and a search found no place that was missed."""
    reason: str
    """Why it stopped, in words."""
    sweeps: int
    history: tuple[Progress, ...]
    points: np.ndarray = field(repr=False)
    """All points, ``[count, d]``, with what was known before; give the info as `known` to go on."""
    values: np.ndarray = field(repr=False)


class _State:
    """Index sets on both sides of each cut, and the cores of the last sweep."""

    def __init__(self, box: BlackBox, tol: float, max_rank: int | None) -> None:
        d = len(box.shape)
        self.box, self.tol, self.max_rank = box, tol, max_rank
        self.left = [np.zeros((1 if k == 0 else 0, k), np.int64) for k in range(d + 1)]
        self.right = [np.zeros((1 if k == d else 0, d - k), np.int64) for k in range(d + 1)]
        self.floor = _NEGLIGIBLE
        self.typical = math.inf
        """The root mean square of all values, as random points tell."""

    def add(self, points: np.ndarray) -> None:
        """Pivots that must stand in all index sets."""
        for k in range(1, len(self.box.shape)):
            self.left[k] = self._once(np.concatenate([self.left[k], points[:, :k]]), 0)
            self.right[k] = self._once(np.concatenate([self.right[k], points[:, k:]]), k)

    def _once(self, points: np.ndarray, first: int) -> np.ndarray:
        """Different points, told apart by their numbers: NumPy compares rows column by column."""
        _, where = np.unique(self.box.keys(points, first), return_index=True)
        return points[where]

    def sweep(self, forward: bool) -> list[np.ndarray]:
        """Choose the index sets of one side again, and interpolate."""
        d = len(self.box.shape)
        cores: list[np.ndarray] = []
        for k in range(d - 1) if forward else range(d - 1, 0, -1):
            block = self.box.block(k, self.left[k], self.right[k + 1])
            r, n, s = block.shape
            m = block.reshape(r * n, s) if forward else block.reshape(r, n * s).T
            chosen, coefficients = self._choose(m)
            if forward:
                a, i = np.divmod(chosen, n)
                self.left[k + 1] = np.concatenate([self.left[k][a], i[:, None]], axis=1)
                cores.append(coefficients.reshape(r, n, -1))
            else:
                i, b = np.divmod(chosen, s)
                self.right[k] = np.concatenate([i[:, None], self.right[k + 1][b]], axis=1)
                cores.append(coefficients.T.reshape(-1, n, s))
        last = d - 1 if forward else 0
        cores.append(self.box.block(last, self.left[last], self.right[last + 1]))
        return cores if forward else cores[::-1]

    def _choose(self, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows that span a matrix, and the coefficients of all rows in them.

        Where the numerical rank is all that the columns allow, more rows are taken than that: the
        next sweep, the other way round, can then find a larger rank.
        """
        rows, columns = m.shape
        u, sigma, _ = np.linalg.svd(m, full_matrices=False)
        # The rows and columns of a block are where values are large, so its own norm may be far
        # above that of a typical block: beside it, most of the tensor could be negligible.
        size = min(float(np.linalg.norm(sigma)), self.typical * m.size**0.5)
        floor = self.floor * self.tol * size / len(self.box.shape) ** 0.5
        tails = np.sqrt(np.cumsum(sigma[::-1] ** 2))[::-1]
        rank = max(1, int(np.count_nonzero(tails > max(floor, 1e-14 * sigma[0]))))
        limit = min(rows, columns) if self.max_rank is None else min(rows, self.max_rank)
        rank = min(rank, limit)
        wanted = min(rank + 1, limit)
        if rank >= columns:
            wanted = rank + max(2, rank // 2)
        if self.max_rank is not None:
            wanted = min(wanted, self.max_rank)
        return rect_maxvol(np.ascontiguousarray(u[:, :rank]), 0.0, wanted, wanted)


def cross(
    f: Callable[[np.ndarray], object],
    shape: Sequence[int],
    tol: float = 1e-8,
    max_evaluations: int = 10**6,
    seed: int = 0,
    *,
    max_rank: int | None = None,
    max_sweeps: int = 40,
    start: np.ndarray | None = None,
    known: CrossInfo | EvaluationError | tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
) -> tuple[list[np.ndarray], CrossInfo]:
    """Cores of a train for a function of indices, from few of its values.

    Oseledets, Tyrtyshnikov, TT-cross approximation for multidimensional arrays, Linear Algebra
    Appl. 432 (2010); ranks adapt by rectangular submatrices (Mikhalev, Oseledets 2018), which
    offer each cut more rows than its rank.  After each sweep the train is compared with the
    function on random points that serve for nothing else, and climbs along fibres lead from random
    points to where ``|f - train|`` is large: pivots for all cuts.  So does a longer search before
    it stops.
    So a narrow peak is lost only if no climb leads to it.

    Parameters
    ----------
    f
        Takes an integer array ``[batch, d]`` and gives ``[batch]`` real or complex numbers.
    shape
        Lengths of the modes.
    tol
        Relative, in the Frobenius norm as random points estimate it.
    max_evaluations
        When it is reached, the best train so far is given, ``info.converged`` being False.
    seed
        Of the points to start from, to validate on and to search from.
    max_rank, max_sweeps
        Limits, as `max_evaluations`.
    start
        Points to start from, ``[count, d]``, where the function is known to matter.
    known
        The info of an earlier run, the error that ended it, or points and values: these are not
        asked for again.
    progress
        A function called after each sweep; else whether a line on standard error tells how it goes
        (None: if that is a terminal, after a second).

    Notes
    -----
    Ctrl-C, and memory that does not suffice, end the sweeps: the best train so far is given, and
    ``info.reason`` says so.

    Raises
    ------
    EvaluationError
        The function raised, or gave wrong shapes, NaN or infinite values; or the work ended before
        the first sweep.  The points and values so far are in the error.
    ShapeError, InputError
        Arguments that mean nothing.
    """
    shape = _checked(shape, tol, max_evaluations, max_rank)
    rng = np.random.default_rng(seed)
    line = StatusLine(False if callable(progress) else progress)
    history: list[Progress] = []
    box = BlackBox(f, shape, max_evaluations, rng, lambda: line.show(lambda: _told(box, history)))
    if known is not None:
        box.remember(*_checked_known(known, shape))
    state = _State(box, tol, max_rank)
    d = len(shape)
    best: tuple[float, list[np.ndarray]] | None = None
    converged, reason = False, f"{max_sweeps} sweeps were made"
    try:
        count = min(_VALIDATION_POINTS, max(10, max_evaluations // 10))
        checks = np.stack([rng.integers(0, n, count) for n in shape], axis=1)
        truth = box(checks)
        state.typical = float(np.linalg.norm(truth)) / len(truth) ** 0.5 or math.inf
        if start is None:
            state.add(climb(box, None, _random(shape, 4, rng), rounds=1))
        else:
            state.add(_checked_points(start, shape))
        for sweep in range(max_sweeps):
            cores = state.sweep(sweep % 2 == 0) if d > 1 else [_column(box)]
            error = _relative(entries(cores, checks), truth, box.largest)
            if best is None or error < best[0]:
                best = error, cores
            history.append(Progress(sweep, box.evaluations, max(c.shape[2] for c in cores), error))
            if callable(progress):
                progress(history[-1])
            if error > _SAFETY * tol and not _stalled(history, tol):
                if error > 10 * tol:
                    state.add(climb(box, cores, _random(shape, _CLIMBS, rng), rounds=1))
                if len(history) > 2 and history[-1].max_rank <= history[-3].max_rank:
                    state.floor *= 0.2  # the ranks are held down by a threshold that is too large
                continue
            found = climb(box, cores, _random(shape, _SEARCHES, rng), rounds=2)
            off = np.abs(box(found) - entries(cores, found))
            missed = found[off > 10 * tol * box.largest]
            if len(missed):
                state.add(missed)
            elif error <= _SAFETY * tol or _stalled(history, tol):
                converged = error <= tol
                reason = "the tolerance is reached" if converged else "the error does not fall more"
                break
    except BudgetSpent:
        reason = f"max_evaluations={max_evaluations} would be exceeded"
    except KeyboardInterrupt:
        reason = "interrupted"
    except MemoryError:
        reason = f"memory does not suffice for ranks above {_largest(history)}"
    finally:
        line.close()
    if best is None:
        raise EvaluationError(
            f"cross: {reason}, before the first sweep over shape {shape} was complete; `points` and"
            " `values` of this error hold what is known: go on with known=error",
            box.points,
            box.values,
        )
    error, cores = best
    rounded = round_train(cores, 0.2 * tol, max_rank)
    error = max(error, _relative(entries(rounded, checks), truth, box.largest))
    info = CrossInfo(
        box.evaluations,
        error,
        converged and error <= tol,
        reason,
        len(history),
        tuple(history),
        box.points,
        box.values,
    )
    return rounded, info


def _checked(
    shape: Sequence[int], tol: float, max_evaluations: int, max_rank: int | None
) -> tuple[int, ...]:
    listed = checked_shape(shape, "cross: shape")
    if not tol > 0:
        raise InputError(f"cross: tol: a positive number is expected, not {tol!r}")
    if max_evaluations < 1:
        raise InputError(f"cross: max_evaluations must be positive, not {max_evaluations!r}")
    if max_rank is not None and max_rank < 1:
        raise InputError(f"cross: max_rank must be positive or None, not {max_rank!r}")
    return listed


def _checked_known(
    known: CrossInfo | EvaluationError | tuple[np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    pair = known if isinstance(known, tuple) else (known.points, known.values)
    points, values = (np.asarray(x) for x in pair)
    fits = points.ndim == 2 and points.shape[1] == len(shape) and values.shape == points.shape[:1]
    if not fits or points.dtype.kind not in "iu" or values.dtype.kind not in "iufc":
        raise InputError(
            f"cross: known: integer points [count, {len(shape)}] and as many values are expected,"
            f" not {points.dtype} {points.shape} and {values.dtype} {values.shape}"
        )
    if (points < 0).any() or (points >= np.array(shape)).any():
        raise InputError(f"cross: known: a point is outside of the shape {shape}")
    if not np.isfinite(values).all():
        raise InputError("cross: known: values must be finite")
    return points.astype(np.int64), values


def _largest(history: list[Progress]) -> int:
    return max((entry.max_rank for entry in history), default=1)


def _told(box: BlackBox, history: list[Progress]) -> str:
    """The line on the terminal."""
    told = f"cross: sweep {len(history) + 1}, {box.evaluations} of {box.max_evaluations} values"
    if history:
        told += f", ranks up to {history[-1].max_rank}, error {history[-1].error:.1e}"
    return told


def _checked_points(start: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    points = np.atleast_2d(np.asarray(start))
    inside = points.ndim == 2 and points.shape[1] == len(shape) and points.dtype.kind in "iu"
    if not inside or (points < 0).any() or (points >= np.array(shape)).any():
        raise InputError(f"cross: start: integer points inside of {shape} are expected")
    return points.astype(np.int64)


def _random(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.integers(0, n, count) for n in shape], axis=1)


def _column(box: BlackBox) -> np.ndarray:
    return box(np.arange(box.shape[0])[:, None]).reshape(1, -1, 1)


def _relative(found: np.ndarray, truth: np.ndarray, largest: float) -> float:
    """The relative error; where all true values are 0, relative to the largest value seen."""
    size = float(np.linalg.norm(truth)) or largest * len(truth) ** 0.5
    off = float(np.linalg.norm(found - truth))
    return off / size if size else off


def _stalled(history: list[Progress], tol: float) -> bool:
    """Whether the error stays at the level of rounding, or nothing changed in three sweeps."""
    if len(history) < 4:
        return False
    last = history[-4:]
    fell = last[-1].error < 0.5 * last[0].error
    return not fell and last[-1].max_rank <= last[0].max_rank

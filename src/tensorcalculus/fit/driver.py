"""One CP fit from arguments to result: checks, starts, the best of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.errors import DegeneracyWarning, InputError, ShapeError
from tensorcalculus.fit.als import als
from tensorcalculus.fit.chunked_mttkrp import ChunkedData
from tensorcalculus.fit.components import (
    Factors,
    ordered,
)
from tensorcalculus.fit.damped import levenberg_marquardt
from tensorcalculus.fit.data.chunked import Chunked
from tensorcalculus.fit.data.reading import Data, read_data
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.mttkrp import CPData, DenseData
from tensorcalculus.fit.quasi_newton import lbfgs
from tensorcalculus.fit.record import CPFit
from tensorcalculus.fit.sampled import SAMPLES, sampled_als
from tensorcalculus.fit.sparse_mttkrp import SparseData
from tensorcalculus.fit.start import NAMES, start_factors
from tensorcalculus.fit.trouble import FitDiagnosis, growing, suspicious, swamps
from tensorcalculus.fit.watch import FitIteration, Watch
from tensorcalculus.networks.arrays import epsilon, like
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.networks.formats.linear import dense_input
from tensorcalculus.optimize.monitor import Finished
from tensorcalculus.optimize.progress import Progress

UNKNOWN = "; tc.gcp(X, rank, mask=np.isfinite(X)) fits the known cells only"

Solver = Callable[[CPData, Factors, Watch, frozenset[int], float], Any]

METHODS: dict[str, Solver] = {
    "als": als,
    "sampled": sampled_als,
    "lm": lambda data, start, watch, _, l2: levenberg_marquardt(data, start, watch, l2),
    "lbfgs": lbfgs,
}
ITERATIONS = {"als": 1000, "sampled": 200, "lm": 500, "lbfgs": 5000}
"""How many iterations each method makes at most by default."""

PROBE, GROWN, MOVING = 100, 1.02, 1.001
"""Iterations of Levenberg-Marquardt beyond a model that is suspicious; the growth of its components
in all of them, and in the last fifth, by which they are found to diverge."""

DIVERGED, LOST = 10.0, 100.0
"""Size of components relative to the model from which those of a fit that did not converge have
diverged, where that cannot be tried, and in any case."""


def fit(
    name: str,
    x: Any,
    rank: int,
    method: str,
    start: Any,
    starts: int,
    nonnegative: bool | Sequence[int],
    l2: float,
    tol: float,
    max_iterations: int | None,
    max_seconds: float | None,
    seed: int,
    progress: bool | Callable[[FitIteration], Any] | None,
    samples: int | None = None,
) -> CPFit:
    """See :func:`tensorcalculus.cp_als` and :func:`tensorcalculus.cp_opt`."""
    began = perf_counter()
    held = _read(x)
    data = _data(name, held)
    modes = checked_modes(nonnegative, data.order)
    check_options(
        data.shape, rank, start, starts, l2, tol, max_iterations, max_seconds, seed, progress
    )
    _check_method(data, method, modes, samples)
    solve = METHODS[method]
    if method == "sampled":
        solve = partial(sampled_als, samples=samples or SAMPLES, seed=seed)
    limit = ITERATIONS[method] if max_iterations is None else max_iterations
    # Below this the gradient is rounding errors of the data's type.
    tol = max(tol, 4 * epsilon(data.x)) if tol else 0.0
    line = Progress(progress, f"CP of rank {rank} by {method}")
    runs: list[tuple[Watch, str, bool]] = []
    try:
        for attempt in range(starts):
            factors = start_factors(data, rank, start, modes, seed, attempt)
            watch = Watch(tol, limit, max_seconds, line)
            message, converged = _run(solve, data, factors, watch, modes, l2)
            runs.append((watch, message, converged))
            if watch.best is None:
                watch.best = _at_start(data, factors, l2)
            if message == "interrupted":
                break
    finally:
        line.close()
    losses = [watch.best[0] for watch, _, _ in runs if watch.best is not None]
    watch, message, converged = runs[int(np.argmin(losses))]
    made = _result(
        data, watch, message, converged, method, modes, l2, tuple(losses), perf_counter() - began
    )
    labelled = isinstance(held, Data) and held.labels.given
    return replace(made, labels=held.labels) if labelled else made


def _run(
    solve: Solver,
    data: CPData,
    factors: Factors,
    watch: Watch,
    modes: frozenset[int],
    l2: float,
) -> tuple[str, bool]:
    with np.errstate(all="ignore"):
        try:
            solve(data, factors, watch, modes, l2)
        except Finished as end:
            return end.message, end.converged
        except KeyboardInterrupt:
            return "interrupted", False
    raise AssertionError("a method ended without a reason")


def _at_start(data: CPData, factors: Factors, l2: float) -> tuple[float, float, Factors]:
    """What to give where not one iteration was made."""
    loss = data.residual(factors)
    penalty = l2 * sum(float(np.linalg.norm(u)) ** 2 for u in factors)
    return loss + penalty, loss, factors


# -- arguments -----------------------------------------------------------------------------------


def _read(x: Any) -> Any:
    """What was handed over, read; arrays of complex numbers, as no other data may be, stay."""
    return x if "complex" in str(getattr(x, "dtype", "")) else read_data(x)


def _data(name: str, data: Any) -> CPData:
    if not isinstance(data, Data):
        return DenseData(dense_input(data, 2, name))
    if len(data.shape) < 2:
        raise ShapeError(f"{name}: at least 2 axes are expected, not shape {data.shape}")
    if isinstance(data.values, Chunked):
        return ChunkedData(data.values)
    if isinstance(data.values, SparseTensor):
        return SparseData(data.values)
    return DenseData(dense_input(data.values, 2, name, UNKNOWN))


def checked_modes(nonnegative: bool | Sequence[int], order: int) -> frozenset[int]:
    """The modes whose factors have no negative entries."""
    if isinstance(nonnegative, bool):
        return frozenset(range(order) if nonnegative else ())
    try:
        given = [k + order if k < 0 else k for k in nonnegative]
    except TypeError:
        given = [-1]
    if not all(isinstance(k, int | np.integer) and 0 <= k < order for k in given):
        raise InputError(
            f"nonnegative: True, False or a list of modes from 0 to {order - 1} is expected, not"
            f" {nonnegative!r}"
        )
    return frozenset(int(k) for k in given)


def check_options(
    shape: tuple[int, ...], rank: int, start: Any, starts: int, l2: float, tol: float,
    max_iterations: int | None, max_seconds: float | None, seed: int, progress: Any,
) -> None:  # fmt: skip
    """Refuse numbers that no fit of a tensor of this shape can do with."""
    whole = (int, np.integer)
    most = math.prod(shape) // max(shape)
    if not isinstance(rank, whole) or isinstance(rank, bool) or rank < 1:
        raise InputError(f"rank: a positive integer is expected, not {rank!r}")
    if rank > most:
        raise InputError(
            f"rank: {rank} is more than any tensor of shape {shape} needs; give at most {most}"
        )
    if isinstance(start, str) and start not in NAMES:
        raise InputError(
            f"start: {', '.join(map(repr, NAMES))}, a tn.CP or a list of factors is expected, not"
            f" {start!r}"
        )
    if not isinstance(starts, whole) or starts < 1:
        raise InputError(f"starts: a positive integer is expected, not {starts!r}")
    if starts > 1 and not isinstance(start, str):
        raise InputError("starts: one start only where its factors are given")
    for name, value in (("l2", l2), ("tol", tol)):
        if not isinstance(value, int | float | np.number) or not 0 <= value < math.inf:
            raise InputError(f"{name}: a finite number that is not negative is expected: {value!r}")
    if max_iterations is not None and (not isinstance(max_iterations, whole) or max_iterations < 1):
        raise InputError(f"max_iterations: a positive integer is expected, not {max_iterations!r}")
    if max_seconds is not None and not max_seconds > 0:
        raise InputError(f"max_seconds: a positive number is expected, not {max_seconds!r}")
    if not isinstance(seed, whole) or seed < 0:
        raise InputError(f"seed: an integer that is not negative is expected, not {seed!r}")
    if progress not in (None, True, False) and not callable(progress):
        raise TypeError(f"progress is None, True, False or a function, not {progress!r}")


def _check_method(data: CPData, method: str, modes: frozenset[int], samples: int | None) -> None:
    whole = isinstance(samples, int | np.integer) and not isinstance(samples, bool)
    if samples is not None and not (whole and samples > 0):
        raise InputError(f"samples: a positive integer is expected, not {samples!r}")
    if method == "lbfgs" and not isinstance(data, DenseData):
        raise InputError(
            "method: 'lm' is expected for sparse data and blocks, or tc.cp_als, not 'lbfgs'"
        )
    if method == "sampled" and not isinstance(data, DenseData | SparseData):
        raise InputError(
            "method: 'als' is expected for data that are read block by block, not 'sampled': single"
            " fibres would be read from all over them"
        )
    if data.kind.kind == "c" and (method != "als" or modes):
        raise InputError(
            "complex arrays are fitted by tc.cp_als(method='als'), without nonnegative=; fit real"
            " and imaginary parts as one more mode otherwise"
        )
    if method == "lm" and modes:
        raise InputError("nonnegative: method='lm' has no bounds; use 'lbfgs', or tc.cp_als")


# -- the result ----------------------------------------------------------------------------------


def _result(
    data: CPData, watch: Watch, message: str, converged: bool, method: str,
    modes: frozenset[int], l2: float, losses: tuple[float, ...], seconds: float,
) -> CPFit:  # fmt: skip
    assert watch.best is not None
    _, loss, best = watch.best
    units, weights = ordered(best, modes)
    factors = tuple(like(u, data.x) for u in units)
    model = CP(factors, like(weights, data.x))
    record = tuple(watch.record)
    components = CP(units, weights).diagnose()
    grows = suspicious(components) and _diverges(data, best, watch, message, converged, modes, l2)
    found, ended = swamps([entry.value for entry in record], 1e-2 * data.cancels**2 * data.norm2)
    about = FitDiagnosis(
        components,
        grows,
        tuple(found),
        ended and not converged,
        data.core_consistency(model) if weights.all() else None,
        bool(modes),
        l2,
        method,
    )
    if grows:
        warnings.warn(str(about), DegeneracyWarning, stacklevel=4)
        if converged:
            converged, message = False, f"{message}, but components diverge"
    size = math.sqrt(data.norm2)
    error = math.sqrt(max(loss, 0.0))
    fit = 1 - error / size if size else 1.0
    return CPFit(
        model, weights, factors, fit, loss, converged, message, len(record), method,
        about, seconds, losses, record,
    )  # fmt: skip


def _diverges(
    data: CPData, best: Factors, watch: Watch, message: str, converged: bool,
    modes: frozenset[int], l2: float,
) -> bool:  # fmt: skip
    """Whether components that cancel each other would grow on and on.

    Alternating least squares may crawl along such a path, or stop on it with a small gradient, so
    some steps of Levenberg-Marquardt are made beyond the model: they either settle or run away.
    """
    sizes = [entry.growth for entry in watch.record] or [0.0]
    if modes or data.kind.kind == "c" or message == "interrupted":
        return not converged and (growing(sizes) or sizes[-1] > DIVERGED)
    if not converged and sizes[-1] > LOST:
        return True
    beyond = Watch(0.0, PROBE, None, Progress(False, ""))
    _run(METHODS["lm"], data, best, beyond, modes, l2)
    then = [entry.growth for entry in beyond.record] or sizes[-1:]
    # Not by the gradient: that falls below any limit on the way to infinity.
    return then[-1] > GROWN * sizes[-1] and then[-1] > MOVING * then[4 * len(then) // 5]

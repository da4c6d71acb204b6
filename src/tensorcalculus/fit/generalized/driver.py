"""One generalised CP fit from arguments to result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.components import Factors, ordered
from tensorcalculus.fit.driver import check_options, checked_modes
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.losses import Loss, as_loss
from tensorcalculus.networks.arrays import Array, is_array, like
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.optimize.first_order import lbfgs
from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.progress import Progress

METHODS = ("auto", "lbfgs")

SHRINK = (1.0, 0.125, 0.015625)
"""Sizes of random starts, of which the one with the lowest loss is taken: where the model is a
logarithm, what fits the data's size may be far too large."""


def fit(
    x: Any,
    rank: int,
    loss: str | Expr | Loss,
    parameters: Mapping[str, float] | None,
    mask: Any,
    method: str,
    nonnegative: bool | Sequence[int] | None,
    start: Any,
    starts: int,
    l2: float,
    tol: float,
    max_iterations: int | None,
    max_seconds: float | None,
    seed: int,
    progress: bool | Callable[[Any], Any] | None,
) -> GCPFit:
    """See :func:`tensorcalculus.gcp`."""
    began = perf_counter()
    chosen = as_loss(loss, parameters)
    cells = read_cells(x, chosen, mask)
    if method not in METHODS:
        raise InputError(f"method: one of {', '.join(METHODS)} is expected, not {method!r}")
    wanted = chosen.nonnegative if nonnegative is None else nonnegative
    modes = checked_modes(wanted, len(cells.shape))
    if chosen.nonnegative and len(modes) < len(cells.shape):
        raise InputError(
            f"nonnegative: the loss {chosen.name!r} needs a model that is not negative, in all"
            " modes; leave nonnegative=None"
        )
    check_options(
        cells.shape, rank, start, starts, l2, tol, max_iterations, max_seconds, seed, progress
    )
    problem = FactorProblem(cells, rank, modes, l2)
    line = Progress(progress, f"{chosen.name} CP of rank {rank}")
    limit = 1000 if max_iterations is None else max_iterations
    runs: list[tuple[Monitor, str, bool]] = []
    try:
        for attempt in range(starts):
            begin = first_factors(problem, modes, start, seed, attempt)
            monitor = Monitor(problem, tol, limit, max_seconds, line, None)
            runs.append((monitor, *_run(problem, monitor, problem.pack(begin))))
            if runs[-1][1] == "interrupted":
                break
    finally:
        line.close()
    values = tuple(monitor.best[0] for monitor, _, _ in runs)
    monitor, message, converged = runs[int(np.argmin(values))]
    value, best, _ = monitor.best
    units, weights = ordered(problem.named(best), modes)
    home = reference(x)
    factors = tuple(like(u, home) for u in units)
    return GCPFit(
        CP(factors, like(weights, home)), weights, factors, chosen, value - problem.penalty(best),
        cells.count, converged, message, max(len(monitor.record) - 1, 0), "lbfgs",
        perf_counter() - began, values, tuple(monitor.record),
    )  # fmt: skip


def _run(problem: FactorProblem, monitor: Monitor, x: np.ndarray) -> tuple[str, bool]:
    with np.errstate(all="ignore"):
        value, _ = problem.value_gradient(x)
        monitor.best = value, x, np.nan
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at the start; give another one")
        try:
            lbfgs(problem, monitor, x)
        except Finished as end:
            return end.message, end.converged
        except KeyboardInterrupt:
            return "interrupted", False
    raise AssertionError("a method ended without a reason")


def read_cells(x: Any, loss: Loss, mask: Any) -> Cells:
    """The observed cells of what a user handed over."""
    data = np.asarray(x)
    if data.dtype.kind in "biu":
        data = data.astype(np.float64)
    if mask is not None:
        mask = np.asarray(mask)
        data = np.where(mask != 0, data, 0.0)
    loss.check(data)
    return DenseCells(np.ascontiguousarray(data), loss, mask)


def reference(x: Any) -> Array:
    """An array of the library in which factors go back, of a type that holds them."""
    return x if is_array(x) and "float" in str(x.dtype) else np.empty(0)


def first_factors(
    problem: FactorProblem, modes: frozenset[int], start: Any, seed: int, attempt: int
) -> Factors:
    """Random factors of the size of the data, or those that are given."""
    shape, rank = problem.cells.shape, problem.rank
    if not isinstance(start, str):
        given = start.factors if isinstance(start, CP) else start
        return [np.array(u, dtype=np.float64) for u in given]
    rng = np.random.default_rng([seed, attempt, crc32(b"start of a generalised CP fit")])
    mean, square = problem.cells.moments()
    if modes:
        made = [rng.uniform(size=(n, rank)) for n in shape]
        size = float(np.sum(np.prod([u.mean(0) for u in made], axis=0)))
        wanted = mean if mean > 0 else 1.0
    else:
        made = [rng.standard_normal((n, rank)) for n in shape]
        gram = np.prod([u.T @ u / len(u) for u in made], axis=0)
        size = math.sqrt(float(gram.sum()))
        wanted = math.sqrt(square) or 1.0
    tried = []
    for shrink in SHRINK:
        scale = (shrink * wanted / size) ** (1 / len(shape))
        factors = [u * scale for u in made]
        with np.errstate(all="ignore"):
            value = problem.cells.value_gradients(factors)[0]
        tried.append((value if math.isfinite(value) else math.inf, factors))
    return min(tried, key=lambda one: one[0])[1]

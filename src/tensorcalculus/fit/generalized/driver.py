"""One generalised CP fit from arguments to result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.components import ordered
from tensorcalculus.fit.data.chunked import Chunked
from tensorcalculus.fit.data.observed import Observed, observe
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.driver import check_options, checked_modes
from tensorcalculus.fit.generalized.checkpoint import Checkpoint, PausingMonitor, Run
from tensorcalculus.fit.generalized.chunked_cells import ChunkedCells
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.generalized.sparse_cells import SparseCells, StoredCells
from tensorcalculus.fit.generalized.start import first_factors, row_sizes
from tensorcalculus.fit.generalized.stochastic import Adam, AdamState, EpochMonitor, adam
from tensorcalculus.fit.losses import Loss, as_loss
from tensorcalculus.networks.arrays import like
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.optimize.first_order import lbfgs
from tensorcalculus.optimize.monitor import Finished
from tensorcalculus.optimize.progress import Progress

METHODS = ("auto", "lbfgs", "adam")


def fit(
    x: Any,
    rank: int,
    loss: str | Expr | Loss,
    parameters: Mapping[str, float] | None,
    mask: Any,
    missing: Any,
    method: str | Adam,
    nonnegative: bool | Sequence[int] | None,
    start: Any,
    starts: int,
    l2: float,
    tol: float,
    max_iterations: int | None,
    max_seconds: float | None,
    seed: int,
    progress: bool | Callable[[Any], Any] | None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    n_jobs: int = 1,
) -> GCPFit:
    """See :func:`tensorcalculus.gcp`."""
    began = perf_counter()
    chosen = as_loss(loss, parameters)
    found = observe(x, mask, missing)
    cells = observed_cells(found, chosen)
    # All cells of a sparse tensor have no exact sum where zeros have no polynomial as loss.
    inexact = isinstance(cells, SparseCells) and chosen.zero_part is None
    options = Adam() if method == "adam" or (method == "auto" and inexact) else method
    if not isinstance(options, Adam) and options not in METHODS:
        raise InputError(
            f"method: one of {', '.join(METHODS)} or a tc.Adam is expected, not {method!r}"
        )
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
    if not isinstance(n_jobs, int) or n_jobs < 1:
        raise InputError(f"n_jobs: a positive integer is expected, not {n_jobs!r}")
    if n_jobs > 1 and (checkpoint is not None or resume is not None):
        raise InputError("n_jobs: checkpoints are of one start after the other; leave n_jobs=1")
    line = Progress(progress, f"{chosen.name} CP of rank {rank}")
    limit = 1000 if max_iterations is None else max_iterations
    about: dict[str, Any] = {}
    if checkpoint is not None or resume is not None:
        by = asdict(options) if isinstance(options, Adam) else "lbfgs"
        about = {
            "shape": cells.shape, "rank": rank, "loss": chosen.described(), "cells": cells.count,
            "moments": cells.moments(), "method": by, "nonnegative": sorted(modes), "l2": l2,
            "seed": seed, "starts": starts,
        }  # fmt: skip
    files = Checkpoint(checkpoint, resume, about)
    runs = files.runs

    def one(attempt: int) -> Run:
        begin = first_factors(cells, rank, chosen, modes, start, seed, attempt)
        if isinstance(options, Adam):
            state = AdamState(cells.samples(), options, begin, modes, l2, seed, attempt)
            return _sampled(state, EpochMonitor(limit, max_seconds, line), files)
        sizes = [row_sizes(u.mean(axis=1)) for u in begin] if chosen.nonnegative else None
        problem = FactorProblem(cells, rank, modes, l2, sizes)
        monitor = PausingMonitor(problem, tol, limit, max_seconds, line, None)
        return _exact(problem, monitor, problem.pack(begin), files)

    try:
        if n_jobs > 1:
            runs.extend(_together(one, range(starts), n_jobs, line))
        else:
            for attempt in range(len(runs), starts):
                runs.append(one(attempt))
                if runs[-1].message == "interrupted":
                    break
    finally:
        line.close()
    best = min(runs, key=lambda run: run.value)
    units, weights = ordered(best.factors, modes)
    home = found.data.home
    factors = tuple(like(u, home) for u in units)
    penalty = l2 * sum(float(np.vdot(u, u)) for u in best.factors) if l2 else 0.0
    return GCPFit(
        CP(factors, like(weights, home)), weights, factors, chosen, best.value - penalty,
        cells.count, best.converged, best.message, max(len(best.record) - 1, 0),
        "adam" if isinstance(options, Adam) else "lbfgs", perf_counter() - began,
        tuple(run.value for run in runs), best.record,
        found.data.labels if found.data.labels.given else None,
    )  # fmt: skip


def _together(one: Callable[[int], Run], attempts: range, n_jobs: int, line: Progress) -> list[Run]:
    """Several starts at a time, in threads; an interrupt ends all of them."""
    with ThreadPoolExecutor(n_jobs) as pool:
        waiting = [pool.submit(one, attempt) for attempt in attempts]
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            line.interrupt()
        return [job.result() for job in waiting]


def _exact(
    problem: FactorProblem, monitor: PausingMonitor, x: np.ndarray, files: Checkpoint
) -> Run:
    """One start by L-BFGS."""
    x = files.take_up_lbfgs(monitor, x)
    with np.errstate(all="ignore"):
        value, _ = problem.value_gradient(x)
        monitor.best = value, x, np.nan
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at the start; give another one")
        message, converged = _ended(lambda: lbfgs(problem, monitor, x))
    value, best, _ = monitor.best
    return Run(value, problem.named(best), tuple(monitor.record), message, converged)


def _sampled(state: AdamState, monitor: EpochMonitor, files: Checkpoint) -> Run:
    """One start by stochastic gradients."""
    files.take_up_adam(state, monitor)
    with np.errstate(all="ignore"):
        message, converged = _ended(lambda: adam(state, monitor))
    value, best, _ = monitor.best
    factors = [u.copy() for u in state.views(best)]
    return Run(value, factors, tuple(monitor.record), message, converged)


def _ended(method: Callable[[], Any]) -> tuple[str, bool]:
    try:
        method()
    except Finished as end:
        return end.message, end.converged
    except KeyboardInterrupt:
        return "interrupted", False
    raise AssertionError("a method ended without a reason")


def read_cells(x: Any, loss: Loss, mask: Any = None, missing: Any = None) -> Cells:
    """The known cells of what a user handed over, with their loss."""
    return observed_cells(observe(x, mask, missing), loss)


def observed_cells(found: Observed, loss: Loss) -> Cells:
    """The cells that are known, with their loss."""
    values = found.data.values
    if len(found.data.shape) < 2:
        raise ShapeError(f"X: at least 2 axes are expected, not shape {found.data.shape}")
    if isinstance(values, Chunked):
        return ChunkedCells(found, loss)
    if isinstance(values, SparseTensor):
        loss.check(values.values)
        if found.stored:
            return StoredCells(values, loss)
        gone = None
        if found.unknown is not None:
            gone = SparseTensor(found.unknown, np.zeros(len(found.unknown)), values.shape)
        return SparseCells(values, loss, gone)
    data = np.ascontiguousarray(found.data.numpy())
    loss.check(data)
    weights = found.weights
    if weights is None and found.known is not None:
        weights = np.asarray(found.known, dtype=np.float64)
    return DenseCells(data, loss, weights)

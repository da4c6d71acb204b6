"""One generalised CP fit from arguments to result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.components import ordered
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.driver import check_options, checked_modes
from tensorcalculus.fit.generalized.checkpoint import Checkpoint, PausingMonitor, Run
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.generalized.start import first_factors, row_sizes
from tensorcalculus.fit.generalized.stochastic import Adam, AdamState, EpochMonitor, adam
from tensorcalculus.fit.losses import Loss, as_loss
from tensorcalculus.networks.arrays import Array, is_array, like, numpy_of
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.networks.formats.linear import dense_input
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
) -> GCPFit:
    """See :func:`tensorcalculus.gcp`."""
    began = perf_counter()
    chosen = as_loss(loss, parameters)
    cells = read_cells(x, chosen, mask, missing)
    options = Adam() if method == "adam" else method
    if not isinstance(options, Adam) and options not in METHODS:
        raise InputError(f"method: one of {', '.join(METHODS)} or tc.Adam(…) is expected, not {method!r}")
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
    try:
        for attempt in range(len(runs), starts):
            begin = first_factors(cells, rank, chosen, modes, start, seed, attempt)
            if isinstance(options, Adam):
                state = AdamState(cells.samples(), options, begin, modes, l2, seed, attempt)
                run = _sampled(state, EpochMonitor(limit, max_seconds, line), files)
            else:
                sizes = [row_sizes(u.mean(axis=1)) for u in begin] if chosen.nonnegative else None
                problem = FactorProblem(cells, rank, modes, l2, sizes)
                monitor = PausingMonitor(problem, tol, limit, max_seconds, line, None)
                run = _exact(problem, monitor, problem.pack(begin), files)
            runs.append(run)
            if run.message == "interrupted":
                break
    finally:
        line.close()
    best = min(runs, key=lambda run: run.value)
    units, weights = ordered(best.factors, modes)
    home = reference(x)
    factors = tuple(like(u, home) for u in units)
    penalty = l2 * sum(float(np.vdot(u, u)) for u in best.factors) if l2 else 0.0
    return GCPFit(
        CP(factors, like(weights, home)), weights, factors, chosen, best.value - penalty,
        cells.count, best.converged, best.message, max(len(best.record) - 1, 0),
        "adam" if isinstance(options, Adam) else "lbfgs", perf_counter() - began,
        tuple(run.value for run in runs), best.record,
    )  # fmt: skip


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
    """The observed cells of what a user handed over."""
    if isinstance(x, SparseTensor):
        return _read_sparse(x, loss, mask, missing)
    if mask is None:
        data = np.asarray(numpy_of(dense_input(x, 2, "gcp")))
    else:
        data, mask = np.asarray(numpy_of(x) if is_array(x) else x), np.asarray(mask)
        if data.shape != mask.shape:
            raise ShapeError(
                f"mask: an array of shape {data.shape} is expected, as of X, not {mask.shape}"
            )
        data = np.asarray(numpy_of(dense_input(np.where(mask != 0, data, 0.0), 2, "gcp")))
        mask = mask.astype(np.float64)
        if not np.isfinite(mask).all() or mask.min() < 0 or not mask.any():
            raise InputError("mask: True and False, or weights that are not negative, are expected")
    loss.check(data)
    return DenseCells(np.ascontiguousarray(data), loss, mask)


def _read_sparse(x: SparseTensor, loss: Loss, mask: Any, missing: Any) -> Cells:
    from tensorcalculus.fit.generalized.sparse_cells import SparseCells, StoredCells

    loss.check(x.values)
    if mask == "stored":
        return StoredCells(x, loss)
    gone = None
    if missing is not None:
        gone = SparseTensor(missing, np.zeros(len(missing)), x.shape)
    return SparseCells(x, loss, gone)


def reference(x: Any) -> Array:
    """An array of the library in which factors go back, of a type that holds them."""
    return x if is_array(x) and "float" in str(x.dtype) else np.empty(0)

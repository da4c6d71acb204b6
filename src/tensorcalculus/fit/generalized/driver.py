"""One generalised CP fit from arguments to result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.components import ordered
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.driver import check_options, checked_modes
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.generalized.start import first_factors, row_sizes
from tensorcalculus.fit.losses import Loss, as_loss
from tensorcalculus.networks.arrays import Array, is_array, like, numpy_of
from tensorcalculus.networks.formats.cp import CP
from tensorcalculus.networks.formats.linear import dense_input
from tensorcalculus.optimize.first_order import lbfgs
from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.progress import Progress

METHODS = ("auto", "lbfgs")


def fit(
    x: Any,
    rank: int,
    loss: str | Expr | Loss,
    parameters: Mapping[str, float] | None,
    mask: Any,
    missing: Any,
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
    cells = read_cells(x, chosen, mask, missing)
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
    line = Progress(progress, f"{chosen.name} CP of rank {rank}")
    limit = 1000 if max_iterations is None else max_iterations
    runs: list[tuple[FactorProblem, Monitor, str, bool]] = []
    try:
        for attempt in range(starts):
            begin = first_factors(cells, rank, chosen, modes, start, seed, attempt)
            sizes = [row_sizes(u.mean(axis=1)) for u in begin] if chosen.nonnegative else None
            problem = FactorProblem(cells, rank, modes, l2, sizes)
            monitor = Monitor(problem, tol, limit, max_seconds, line, None)
            runs.append((problem, monitor, *_run(problem, monitor, problem.pack(begin))))
            if runs[-1][2] == "interrupted":
                break
    finally:
        line.close()
    values = tuple(monitor.best[0] for _, monitor, _, _ in runs)
    problem, monitor, message, converged = runs[int(np.argmin(values))]
    value, best, _ = monitor.best
    found = problem.named(best)
    units, weights = ordered(found, modes)
    home = reference(x)
    factors = tuple(like(u, home) for u in units)
    return GCPFit(
        CP(factors, like(weights, home)), weights, factors, chosen, value - problem.penalty(found),
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

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
from tensorcalculus.fit.data.chunked import Chunked
from tensorcalculus.fit.data.observed import Observed, observe
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.driver import check_options, checked_modes
from tensorcalculus.fit.generalized.chunked_cells import ChunkedCells
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.objective import Cells, FactorProblem
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.generalized.start import first_factors, row_sizes
from tensorcalculus.fit.losses import Loss, as_loss
from tensorcalculus.networks.arrays import like
from tensorcalculus.networks.formats.cp import CP
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
    found = observe(x, mask, missing)
    cells = observed_cells(found, chosen)
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
    made = problem.named(best)
    units, weights = ordered(made, modes)
    home = found.data.home
    factors = tuple(like(u, home) for u in units)
    return GCPFit(
        CP(factors, like(weights, home)), weights, factors, chosen, value - problem.penalty(made),
        cells.count, converged, message, max(len(monitor.record) - 1, 0), "lbfgs",
        perf_counter() - began, values, tuple(monitor.record),
        found.data.labels if found.data.labels.given else None,
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
        from tensorcalculus.fit.generalized.sparse_cells import SparseCells, StoredCells

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

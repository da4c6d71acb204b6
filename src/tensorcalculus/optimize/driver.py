"""One minimisation from arguments to result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.errors import (
    InputError,
    TensorCalculusError,
    UnknownNameError,
    nearest,
)
from tensorcalculus.expr.node import Expr, Variable
from tensorcalculus.optimize.first_order import LEARNING_RATE, adam, lbfgs
from tensorcalculus.optimize.gauss_newton import gauss_newton
from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.newton import newton, newton_cg
from tensorcalculus.optimize.packing import Packing
from tensorcalculus.optimize.problem import Problem
from tensorcalculus.optimize.progress import Progress
from tensorcalculus.optimize.record import Iteration, Minimum
from tensorcalculus.optimize.squares import squares
from tensorcalculus.optimize.start import (
    DRAWS,
    check_function,
    find_variables,
    read_arrays,
    read_bounds,
    start_vector,
)

METHODS: dict[str, tuple[Callable[..., None], int]] = {
    "newton": (newton, 200),
    "newton-cg": (newton_cg, 1000),
    "gauss-newton": (gauss_newton, 500),
    "lbfgs": (lbfgs, 15_000),
    "adam": (adam, 20_000),
}
"""Each method and how many iterations it makes at most by default."""

MOST_FOR_NEWTON = 200
"""Unknowns up to which the full Hessian is the default."""


def run(
    f: Expr,
    over: str | Variable | Sequence[str | Variable],
    data: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    method: str | None = None,
    bounds: Mapping[str, Any] | None = None,
    tol: float = 1e-8,
    max_iterations: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    learning_rate: float | None = None,
    progress: bool | Callable[[Iteration], Any] | None = None,
    callback: Callable[[dict[str, np.ndarray], Iteration], Any] | None = None,
) -> Minimum:
    """See :func:`tensorcalculus.minimize`."""
    began = perf_counter()
    f = check_function(f)
    variables = find_variables(f, over)
    for name, given in (("data", data), ("start", start), ("bounds", bounds)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"{name}= is a dictionary by name of the variable, not {given!r}")
    _check_options(method, tol, max_iterations, max_seconds, seed, learning_rate)
    if progress not in (None, True, False) and not callable(progress):
        raise TypeError(f"progress is None, True, False or a function, not {progress!r}")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is a function of values and a record entry, not {callback!r}")
    if method == "gauss-newton":
        squares(f, {v.name for v in variables})
    arrays, begun, sizes = read_arrays(f, variables, data, start)
    shapes = {v.name: tuple(d.evaluate(sizes) for d in v.shape) for v in variables}
    packing = Packing(variables, shapes)
    lower, upper = read_bounds(packing, bounds)
    with np.errstate(all="ignore"):
        try:
            problem = Problem(f, variables, arrays, sizes, packing, lower, upper)
        except InputError as error:
            _blame(arrays)
            raise error
        x = _first_point(problem, begun, seed)
        chosen = method or _default(problem)
        solve, most = METHODS[chosen]
        line = Progress(progress, chosen)
        limit = most if max_iterations is None else max_iterations
        monitor = Monitor(problem, tol, limit, max_seconds, line, callback)
        extra = {"learning_rate": learning_rate or LEARNING_RATE} if chosen == "adam" else {}
        try:
            solve(problem, monitor, x, **extra)
            raise AssertionError(f"{chosen} ended without a reason")
        except Finished as end:
            message, converged = end.message, end.converged
        except KeyboardInterrupt:
            message, converged = "interrupted", False
        except MemoryError:
            raise InputError(
                f"{chosen} needs more memory than there is for {packing.size} unknowns; "
                "'lbfgs' and 'newton-cg' store no matrix"
            ) from None
        finally:
            line.close()
    if not monitor.record:  # interrupted before the first point was noted
        value, _ = problem.value_gradient(x)
        monitor.best = (value, x, np.nan)
    value, best, norm = monitor.best
    return Minimum(
        packing.named(best), value, norm, max(len(monitor.record) - 1, 0), problem.evaluations,
        converged, message, chosen, perf_counter() - began, tuple(monitor.record),
    )  # fmt: skip


def _default(problem: Problem) -> str:
    """Newton's method for few unknowns where the function has a Hessian, else L-BFGS."""
    if problem.packing.size <= MOST_FOR_NEWTON:
        try:
            problem.compile_hessian()
            return "newton"
        except TensorCalculusError:
            pass
    return "lbfgs"


def _first_point(problem: Problem, begun: Mapping[str, Any], seed: int) -> np.ndarray:
    """A point where value and gradient are finite; InputError where there is none."""
    given = len(begun) == len(problem.variables)
    x, value, g = np.zeros(0), np.inf, np.zeros(0)
    for attempt in range(1 if given else DRAWS):
        x = start_vector(
            problem.packing, begun, problem.lower, problem.upper, seed, attempt,
            problem.f, problem.sizes,
        )  # fmt: skip
        value, g = problem.value_gradient(x)
        if np.isfinite(value) and np.isfinite(g).all():
            problem.evaluations = 0
            return x
    _blame(problem.data)
    _blame(problem.packing.named(x), "the start value of ")
    value = problem.plain_value(x)
    names = ", ".join(problem.names)
    if not np.isfinite(value):
        what = f"the function is {value} at the start"
    else:
        k = int(np.flatnonzero(~np.isfinite(g))[0])
        what = (
            f"the function is {value:g} at the start, but its gradient by "
            f"{problem.packing.where(k)} is {g[k]}"
        )
    if given:
        raise InputError(f"{what}; give another start for {names}")
    raise InputError(f"{what}, for {DRAWS} random ones; give start={{...}} for {names}")


def _blame(arrays: Mapping[str, np.ndarray], role: str = "") -> None:
    """InputError for the first array that is not finite."""
    for name, a in arrays.items():
        wrong = np.argwhere(~np.isfinite(a))
        if len(wrong):
            index = tuple(int(i) for i in wrong[0])
            place = f"{name}{list(index)}" if index else name
            raise InputError(
                f"the function is not finite at the start: {role}{place} is {a[index]}"
                + (f", one of {len(wrong)} such entries" if len(wrong) > 1 else "")
            )


def _check_options(
    method: Any, tol: Any, max_iterations: Any, max_seconds: Any, seed: Any, learning_rate: Any
) -> None:
    if method is not None and method not in METHODS:
        raise UnknownNameError(
            f"method={method!r} is not known; it is one of {', '.join(METHODS)}."
            + nearest(str(method), METHODS)
        )
    if not isinstance(tol, (int, float)) or isinstance(tol, bool) or not 0 <= tol < np.inf:
        raise InputError(f"tol is a non-negative number, not {tol!r}")
    for name, value in (("max_iterations", max_iterations), ("seed", seed)):
        whole = hasattr(value, "__index__") and not isinstance(value, bool) and value >= 0
        if not whole and not (value is None and name == "max_iterations"):
            raise InputError(f"{name} is a non-negative integer, not {value!r}")
    for name, value in (("max_seconds", max_seconds), ("learning_rate", learning_rate)):
        if value is not None and not (isinstance(value, (int, float)) and value > 0):
            raise InputError(f"{name} is a positive number, not {value!r}")
    if learning_rate is not None and method != "adam":
        raise InputError(f"learning_rate is an option of method='adam', not of {method!r}")

"""Derivatives compared with numbers: complex steps where exact, else finite differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tensorcalculus.calculus.derivative import find_variable, jacobian
from tensorcalculus.compiler.program import Program
from tensorcalculus.display.rows import Fields
from tensorcalculus.errors import CheckError, InputError
from tensorcalculus.expr.combination import is_zero
from tensorcalculus.expr.node import Expr, Map, Operation, Variable, variables_of, walk
from tensorcalculus.random_data import basis, draw_sizes, draw_values, stays_inside

COMPLEX_STEP = "complex step"
DIFFERENCES = "finite differences"
TOLERANCE = {COMPLEX_STEP: 1e-9, DIFFERENCES: 1e-6}
"""Largest accepted error, relative to the largest entry of the derivative."""

DRAWS = 24
"""Points tried until the function is finite and smooth there to the precision asked for."""

_STEP = 1e-30
_FIRST_DIFFERENCE = 0.05
_LEVELS = 7
_NOISE = 1e-3
"""Derivatives below this part of value/argument are judged as if they were that large:
the derivative of a sum that is constant consists of rounding errors."""

_SHAKE = 1e10
"""The same for derivatives below this multiple of what rounding of the data does to the value."""

_MOST_DIRECTIONS = 256


@dataclass(frozen=True, slots=True)
class CheckEntry(Fields):
    """One derivative that was compared: by which variables, and how far off it was at most."""

    variables: tuple[str, ...]
    largest_error: float
    method: str

    @property
    def order(self) -> int:
        return len(self.variables)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All derivatives compared by one check."""

    entries: tuple[CheckEntry, ...]

    @property
    def largest_error(self) -> float:
        """The largest relative error of all entries."""
        return max((e.largest_error for e in self.entries), default=0.0)

    def __repr__(self) -> str:
        rows = [(f"by {', '.join(e.variables)}", f"{e.largest_error:.1e}", e.method)
                for e in self.entries]  # fmt: skip
        width = max((len(name) for name, *_ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {error}  {method}" for name, error, method in rows)

    def _repr_html_(self) -> str:
        from tensorcalculus.display import html

        # A report is of derivatives that are right: others raise CheckError.
        body = [
            (html.mark(True), ", ".join(e.variables), e.order, f"{e.largest_error:.1e}", e.method)
            for e in self.entries
        ]
        head = ("", "by", "order", "largest error", "against")
        return html.result("Derivatives that were checked", html.table(head, body, (2, 3)))


def check(
    f: Expr,
    *wrt: str | Variable,
    order: int = 1,
    mode: str = "auto",
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    tolerance: float | None = None,
    values: Mapping[str, Any] | None = None,
) -> CheckReport:
    """Compare the derivatives of ``f`` with numerical ones on random data.

    Parameters
    ----------
    wrt
        Variables or names; all variables by default.  Every combination of them up to ``order``
        is checked.
    mode
        How the derivatives are derived, as in :func:`jacobian`.
    sizes
        Sizes of symbolic dimensions, ``{"n": 3}``; small distinct numbers by default.
    tolerance
        Largest accepted error relative to the largest entry of the derivative; by default 1e-9
        for complex steps and 1e-6 for differences.
    values
        Arrays for some or all variables instead of random ones.

    Raises
    ------
    CheckError
        Names the derivative, the entry, the derived and the numerical value.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> tc.parse("sum(exp(A*x))", A="m n", x="n").check("x").largest_error < 1e-9
    True
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order is a positive integer, not {order!r}")
    chosen = [find_variable(f, v) for v in wrt] if wrt else list(variables_of(f).values())
    worst: dict[tuple[str, ...], CheckEntry] = {}
    for v in [v for v in chosen if v.name not in variables_of(f)]:
        # It cancelled: there is nothing to move, but the derivative must say so.
        if not is_zero(jacobian(f, v, mode=mode)):
            raise CheckError(f"{v.name} does not occur, and the derivative by it is not 0")
        worst[v.name,] = CheckEntry((v.name,), 0.0, f"{v.name} cancels")
        chosen.remove(v)
    cases = [_Case(f, by, e, d) for by, e, d in _derivatives(f, chosen, order, mode)]
    if not cases:
        return CheckReport(tuple(worst.values()))
    for chosen_sizes in draw_sizes(f, dict(sizes or {}), dict(values or {}), seed):
        for entry in _at_some_point(f, cases, chosen_sizes, dict(values or {}), seed, tolerance):
            known = worst.get(entry.variables)
            if known is None or entry.largest_error > known.largest_error:
                worst[entry.variables] = entry
    return CheckReport(tuple(worst.values()))


def _derivatives(
    f: Expr, chosen: list[Variable], order: int, mode: str
) -> Iterator[tuple[tuple[Variable, ...], Expr, Expr]]:
    """All derivatives up to an order: by which variables, of what, and the expression itself."""
    known: dict[tuple[Variable, ...], Expr] = {(): f}
    for k in range(1, order + 1):
        for by in product(chosen, repeat=k):
            known[by] = jacobian(known[by[:-1]], by[-1], mode=mode)
            yield by, known[by[:-1]], known[by]


class _Case:
    """One derivative with the programs that evaluate it and the function it belongs to."""

    def __init__(self, f: Expr, by: tuple[Variable, ...], e: Expr, derived: Expr) -> None:
        variables = variables_of(f)
        self.by = by
        self.derived = Program([derived], variables)
        # The function as it was written: a wrong simplification of it shows as well.
        self.function = Program([e], variables, simplified=False)
        self.method = COMPLEX_STEP if takes_complex(self.function) else DIFFERENCES

    @property
    def title(self) -> str:
        names = ", ".join(v.name for v in self.by)
        return f"the derivative by {names}" if len(self.by) == 1 else f"the derivative by ({names})"


def takes_complex(program: Program) -> bool:
    """Whether every step of a program is an analytic function of complex numbers."""
    return all(
        (not isinstance(node, Map) or node.function.analytic)
        and (not isinstance(node, Operation) or node.row.analytic or (node.row.constant
             and not node.args))
        for node in walk(*program.roots)
    )  # fmt: skip


def _at_some_point(
    f: Expr,
    cases: list[_Case],
    sizes: dict[str, int],
    values: dict[str, Any],
    seed: int,
    tolerance: float | None,
) -> list[CheckEntry]:
    """The comparison at the first random point where the numerical derivatives can be trusted."""
    whole = Program([f], variables_of(f))
    plain = Program([f], variables_of(f), simplified=False)
    reason = "the function is not finite"
    for attempt in range(DRAWS):
        point = draw_values(f, sizes, values, seed, attempt)
        try:
            with np.errstate(all="ignore"):
                reference, value = call(plain, point, sizes), call(whole, point, sizes)
                if not np.all(np.isfinite(reference)):
                    continue
                size = float(np.abs(reference).max(initial=0.0))
                numbers = [
                    _numerical(case, point, sizes, size, tolerance, attempt) for case in cases
                ]
        except InputError as error:
            reason = str(error)
            continue
        _compare("the value", reference, value, np.abs(reference).max(initial=1.0), 1e-8, "plain")
        entries = []
        for case, (numerical, scale) in zip(cases, numbers, strict=True):
            numerical, derived = _sides(case, point, sizes, numerical)
            try:
                entries.append(_entry(case, numerical, derived, scale, tolerance))
            except CheckError as error:
                if not _is_rounding(case, point, sizes, numerical - derived, attempt):
                    raise
                reason = f"rounding alone explains this: {error}"
                break
        else:
            return entries
    raise CheckError(f"no point to check at was found in {DRAWS} draws: {reason}")


def call(program: Program, point: Mapping[str, Any], sizes: Mapping[str, int]) -> np.ndarray:
    """The value of a program of one expression; sizes that stand on no variable are given too."""
    free = {s: sizes[s] for s in program.free_symbols if s not in program.variables}
    return np.asarray(program({**point, **free}))


def _numerical(
    case: _Case,
    point: dict[str, Any],
    sizes: dict[str, int],
    size: float,
    tolerance: float | None,
    attempt: int,
) -> tuple[np.ndarray, float]:
    """Derivatives along a basis (last axis) and their scale; InputError where they are unsure."""
    variable = case.by[-1]
    x = point[variable.name]
    argument = max(1.0, float(np.abs(x).max(initial=0.0)))
    base = call(case.function, point, sizes)
    shake = _rounding(case, point, sizes, base)
    size = max(size, float(np.abs(base).max(initial=0.0)))
    scale = max(_NOISE * size / argument, _SHAKE * shake / argument, 1e-300)
    step = _FIRST_DIFFERENCE * (float(np.abs(x).max(initial=0.0)) or 1.0) / 4 ** (attempt % 3)
    columns, doubt = [], 0.0
    for direction in basis(variable, x, _MOST_DIRECTIONS):

        def at(t: complex, direction: np.ndarray = direction) -> np.ndarray:
            return call(case.function, {**point, variable.name: x + t * direction}, sizes)

        if case.method == COMPLEX_STEP:
            columns.append(np.imag(at(1j * _STEP)) / _STEP)
        else:
            column, error = _extrapolated(at, step)
            columns.append(column)
            doubt = max(doubt, error)
    numerical = np.stack(columns, -1) if columns else np.zeros((*base.shape, 0))
    scale = max(scale, float(np.abs(numerical).max(initial=0.0)))
    unsure = doubt > 0.2 * (tolerance or TOLERANCE[case.method]) * scale
    if unsure or not np.all(np.isfinite(numerical)):
        raise InputError(f"{case.title} is not smooth to the precision asked for")
    return numerical, scale


def _rounding(case: _Case, point: dict[str, Any], sizes: dict[str, int], base: np.ndarray) -> float:
    """How much the value changes when the data do in their last digits."""
    largest = 0.0
    for moved in _moved(point, (1e-15,)):
        change = np.abs(call(case.function, moved, sizes) - base).max(initial=0.0)
        largest = max(largest, float(change))
    return largest


def _moved(point: dict[str, Any], steps: tuple[float, ...]) -> Iterator[dict[str, Any]]:
    """The data with other last digits, three times for each step."""
    rng = np.random.default_rng(0)
    for step in np.repeat(steps, 3):
        yield {k: x * (1 + step * rng.choice([-1, 1], x.shape)) for k, x in point.items()}


def _extrapolated(at: Any, step: float) -> tuple[np.ndarray, float]:
    """The derivative at 0 by central differences, extrapolated to step 0 (Ridders 1982)."""
    table: list[list[np.ndarray]] = []
    best, error = np.asarray(np.nan), np.asarray(np.inf)
    for _ in range(_LEVELS):
        try:
            row = [(at(step) - at(-step)) / (2 * step)]
        except InputError:
            # Outside the domain: closer points may lie inside.
            table, step = [], step / 2
            continue
        if table:
            for k, lower in enumerate(table[-1]):
                factor = 4.0 ** (k + 1)
                row.append((factor * row[k] - lower) / (factor - 1))
                change = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - lower))
                change = np.where(np.isfinite(change), change, np.inf)
                better = change < error
                best, error = np.where(better, row[-1], best), np.where(better, change, error)
        table.append(row)
        step /= 2
    return best, float(error.max(initial=0.0))


def _sides(
    case: _Case, point: dict[str, Any], sizes: dict[str, int], numerical: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The numerical and the derived derivative, both by entries or both along the directions."""
    variable = case.by[-1]
    x = point[variable.name]
    with np.errstate(all="ignore"):
        derived = call(case.derived, point, sizes)
    directions = np.array(basis(variable, x, _MOST_DIRECTIONS)).reshape(-1, x.size)
    lead = numerical.ndim - 1
    if derived.shape != numerical.shape[:lead] + x.shape:
        raise CheckError(
            f"{case.title} has shape {derived.shape}; expected {numerical.shape[:lead] + x.shape}"
        )
    if stays_inside(variable) and len(directions) < _MOST_DIRECTIONS:
        # The directions are orthonormal and span the space of the variable.
        return (numerical @ directions).reshape(derived.shape), derived
    return numerical, derived.reshape(*derived.shape[:lead], x.size) @ directions.T


def _is_rounding(
    case: _Case, point: dict[str, Any], sizes: dict[str, int], error: np.ndarray, attempt: int
) -> bool:
    """Whether an error is another one in longer numbers, or for data with other last digits.

    That of a wrong formula stays what it is, that of a cancellation does not.
    """
    longer = {k: np.asarray(x, np.longdouble) for k, x in point.items()}
    for other in (longer, *_moved(point, (1e-15, 1e-14, 1e-13))):
        try:
            with np.errstate(all="ignore"):
                numerical, _ = _numerical(case, other, sizes, 1.0, np.inf, attempt)
            numerical, derived = _sides(case, other, sizes, numerical)
        except InputError:
            return True
        except TypeError:
            continue  # LAPACK and some special functions have no longer numbers
        change = np.abs(numerical - derived - error).max(initial=0.0)
        if change > 0.1 * np.abs(error).max(initial=0.0):
            return True
    return False


def _entry(
    case: _Case,
    numerical: np.ndarray,
    derived: np.ndarray,
    scale: float,
    tolerance: float | None,
) -> CheckEntry:
    limit = tolerance or TOLERANCE[case.method]
    scale = max(scale, float(np.abs(derived).max(initial=0.0)))
    error = _compare(case.title, numerical, derived, scale, limit, case.method)
    return CheckEntry(tuple(v.name for v in case.by), error, case.method)


def _compare(
    title: str, expected: Any, found: Any, scale: float, limit: float, method: str
) -> float:
    """The largest difference relative to ``scale``; CheckError where it is beyond the limit."""
    expected, found = np.asarray(expected), np.asarray(found)
    if not expected.size:
        return 0.0
    error = np.abs(expected - found) / scale
    error = np.where(np.isnan(error), np.inf, error)
    worst = np.unravel_index(int(np.argmax(error)), error.shape)
    if error[worst] > limit:
        place = f" at entry {tuple(int(i) for i in worst)}" if worst else ""
        how = "the formula as written" if method == "plain" else f"the numerical one ({method})"
        raise CheckError(
            f"{title} is wrong{place}: derived {found[worst]:.12g}, {how} gives "
            f"{expected[worst]:.12g}; the error is {error[worst]:.1e}, accepted is {limit:.0e}"
        )
    return float(error[worst])

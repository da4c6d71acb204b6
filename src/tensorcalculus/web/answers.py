"""What a worker answers: the formula as it was understood, and the parts that were asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from tensorcalculus.calculus.derivative import find_variable
from tensorcalculus.errors import TensorCalculusError
from tensorcalculus.expr.words import kind, properties
from tensorcalculus.notation.declare import declare
from tensorcalculus.notation.elaborate import parse
from tensorcalculus.notation.syntax import parse_syntax, walk_names
from tensorcalculus.task import Task, layout, repeated, symmetry, unused
from tensorcalculus.web.parts import MADE, notations
from tensorcalculus.web.query import limit_record

if TYPE_CHECKING:
    from tensorcalculus.expr.node import Expr, Variable
    from tensorcalculus.web.query import Query

_MEANT = " Did you mean "


class UserError(Exception):
    """A mistake in one field of a query."""

    def __init__(self, error: Exception, field: str) -> None:
        super().__init__(str(error))
        self.error = error
        self.field = field


def failure(error: Exception) -> tuple[int, dict[str, Any]]:
    """The status of an answer that an error prevents, and the error as the page reads it.

    A fault of this program is told on stderr by its places only: its words may hold the formula.
    """
    if isinstance(error, UserError):
        return 422, _record(error.error, error.field)
    if isinstance(error, TensorCalculusError):
        return 422, _record(error, "formula")
    if isinstance(error, MemoryError):
        return 503, limit_record("the formula needs more memory than one request may take")
    if isinstance(error, RecursionError):
        return 422, limit_record("the formula is nested too deeply; name parts of it with where")
    places = [f"  {p.filename}:{p.lineno} in {p.name}" for p in extract_tb(error.__traceback__)]
    with suppress(OSError):
        sys.stderr.write("\n".join([f"fault in a worker: {type(error).__name__}", *places, ""]))
        sys.stderr.flush()
    told = "the program has met a fault of its own; the server's terminal tells where"
    return 500, limit_record(told, "Fault")


def _record(error: Exception, field: str) -> dict[str, Any]:
    """What is wrong, where, and what was perhaps meant."""
    reason = error.reason if isinstance(error, TensorCalculusError) else str(error)
    message, mark, meant = reason.partition(_MEANT)
    return {
        "kind": type(error).__name__,
        "message": message.rstrip(".") if mark else message,
        "start": getattr(error, "start", None),
        "end": getattr(error, "end", None),
        "hint": f"{mark}{meant}".strip() or None,
        "field": field,
    }


def answer(query: Query) -> Iterator[tuple[str, Any]]:
    """The fields of an answer one by one, so that those made before the time is up can be used.

    Raises an error, which `failure` reads, where there is no answer.
    """
    work = _Work(query)
    yield "formula", notations(work.function)
    yield "variables", work.records()
    yield "unused", list(work.task.unused)
    yield "wrt", list(work.task.wrt)
    yield "order", work.task.order
    yield "layout", layout(work.task) if work.task.order else None
    yield "symmetry", symmetry(work.task) or None
    for part in query.parts:
        yield part, _part(work, query, part)


def _part(work: _Work, query: Query, part: str) -> Any:
    """One part, or why there is none; without a derivative there is no answer at all."""
    try:
        return MADE[part](work.task, query)
    except Exception as error:
        if part == "derivative":
            raise
        return {"error": failure(error)[1]}


class _Work:
    """A query being answered."""

    def __init__(self, query: Query) -> None:
        self.declared: dict[str, Variable] = {}
        for name, spec in query.declarations.items():
            self.declared[name] = _blamed(f"declarations.{name}", declare, name, spec)
        self.function: Expr = _blamed("formula", parse, query.formula, self.declared)
        known = self.function.variables
        written = walk_names(parse_syntax(query.formula))
        self.variables = {n: known[n] for n in dict.fromkeys((*written, *known)) if n in known}
        """In the order in which the formula has them."""
        names = query.wrt or tuple(self.variables)[:1]
        for name in names:
            _blamed("wrt", find_variable, self.function, name)
        order = None if not names or (len(names) > 1 and query.order == 1) else query.order
        wrt = _blamed("order", repeated, names, order)
        known = unused(self.function, self.declared)
        self.task = Task(query.formula, self.function, wrt, query.symmetry, known)

    def records(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "kind": kind(v.ndim),
                "shape": [str(d) for d in v.shape],
                "declaration": " ".join([*map(str, v.shape), *sorted(v.properties)]),
                "declared": name in self.declared,
                "properties": properties(v),
            }
            for name, v in self.variables.items()
        ]


def _blamed(field: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The value of a function whose errors are those of one field of the request."""
    try:
        return function(*arguments)
    except TensorCalculusError as error:
        raise UserError(error, field) from None

"""What the commands compute: declarations and arrays read, a derivative taken, records made."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorcalculus.api import codegen, parse
from tensorcalculus.errors import InputError, NotPrintableError, ParseError
from tensorcalculus.expr.words import kind, properties
from tensorcalculus.task import NOTATIONS, Task, layout, repeated, spell, symmetry, unused

if TYPE_CHECKING:
    from tensorcalculus.check import CheckReport
    from tensorcalculus.explanation.record import Explanation
    from tensorcalculus.expr.node import Expr

_ENTRY = re.compile(r"(?:^|[,;])\s*([^\W\d]\w*)\s*[:=]")


# -- reading -------------------------------------------------------------------------------------


def read_declarations(specs: Sequence[str]) -> dict[str, str]:
    """``"X: m n, y: m, c:"`` as ``{"X": "m n", "y": "m", "c": ""}``; ``;`` and ``=`` serve too."""
    found: dict[str, str] = {}
    for text in specs:
        matches = list(_ENTRY.finditer(text))
        if text.strip() and (not matches or text[: matches[0].start()].strip()):
            raise ParseError(
                f"--vars {text!r} cannot be read; declarations look like "
                '"X: m n, y: m, S: n n spd, c:"'
            )
        for k, match in enumerate(matches):
            end = matches[k + 1].start() if k + 1 < len(matches) else len(text)
            name, spec = match[1], text[match.end() : end].strip(" ,;")
            if ":" in spec or "=" in spec:
                raise ParseError(f"--vars: {spec!r} in the declaration of {name} cannot be read")
            if name in found:
                raise ParseError(f"--vars declares {name} twice")
            found[name] = spec
    return found


def read_task(
    text: str, specs: Sequence[str], wrt: Sequence[str], order: int | None, symmetry: str
) -> Task:
    """The formula and its derivative; errors are the user's."""
    declarations = read_declarations(specs)
    f = parse(text, declarations)
    names = _names(f, wrt)
    task = Task(text, f, repeated(names, order), symmetry, unused(f, declarations))
    task.derivative  # noqa: B018 - errors are those of reading
    return task


def _names(f: Expr, wrt: Sequence[str]) -> tuple[str, ...]:
    """The variables named, or the only one that there is."""
    names = tuple(name.strip() for given in wrt for name in given.split(",") if name.strip())
    if names:
        return names
    known = list(f.variables)
    if not known:
        raise ParseError("the expression has no variables to derive by")
    if len(known) > 1:
        raise ParseError(
            f"say which variable to derive by: --wrt {known[0]} (the variables: {', '.join(known)})"
        )
    return (known[0],)


def read_formula(
    text: str, specs: Sequence[str], wrt: Sequence[str], order: int | None, symmetry: str
) -> tuple[Expr, set[str]]:
    """The formula, or its derivative where variables are named, and all names in the formula."""
    if wrt or order:
        task = read_task(text, specs, wrt, order, symmetry)
        return task.derivative, set(task.function.variables)
    f = parse(text, read_declarations(specs))
    return f, set(f.variables)


def explained(
    text: str,
    specs: Sequence[str],
    wrt: Sequence[str],
    order: int,
    symmetry: str,
    ways: Sequence[str],
    given: Sequence[str],
) -> Explanation:
    """The steps to a derivative; values are those of all variables, or none."""
    from tensorcalculus.explanation.steps import WAYS
    from tensorcalculus.explanation.steps import explained as explain

    declarations = read_declarations(specs)
    f = parse(text, declarations)
    names = _names(f, wrt)
    data = read_values(given, set(f.variables)) if given else None
    return explain(text, names, order, ways or WAYS, data, declarations, symmetry)


def written_steps(told: Explanation, form: str, full: bool) -> str:
    """An explanation as text, LaTeX, Markdown, or a page of HTML that needs no other file."""
    if form == "text":
        return told.to_text(fold=not full)
    if form == "html":
        return told.to_page()
    return told.to_latex() if form == "latex" else told.to_markdown()


def read_values(given: Sequence[str], wanted: set[str]) -> dict[str, Any]:
    """Arrays by name, from ``file.npz``, ``X=file.npy`` and ``X=[[1,2],[3,4]]``.

    Of a file only the arrays that are wanted are taken; what is given by name is taken as it is.
    """
    values: dict[str, Any] = {}
    named: dict[str, Any] = {}
    for item in given:
        name, equals, literal = (part.strip() for part in item.partition("="))
        if not equals or not name.isidentifier():
            values.update(_read_archive(item, wanted))
        elif name in named:
            raise InputError(f"{name} is given twice")
        else:
            named[name] = _read_literal(name, literal)
    return {**values, **named}


def _read_archive(path: str, wanted: set[str]) -> dict[str, Any]:
    import numpy as np

    if not path.endswith(".npz"):
        raise InputError(
            f"{path!r} is neither NAME=VALUE nor a file.npz; values look like 'X=[[1,2],[3,4]]'"
        )
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in wanted}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _read_literal(name: str, literal: str) -> Any:
    import numpy as np

    if literal.endswith(".npy"):
        if not Path(literal).is_file():
            raise InputError(f"there is no file {literal} (for {name})")
        try:
            return np.load(literal, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{literal} cannot be read: {error}") from None
    try:
        return json.loads(literal)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(
            f"the value of {name} is a number, a list such as [[1,2],[3,4]] or a file.npy, "
            f"not {literal[:60]!r}"
        ) from error


def evaluate(f: Expr, names: set[str], given: Sequence[str]) -> Any:
    """The value of an expression for arrays as the command line gives them.

    ``names`` may be given and need not occur in ``f``, a derivative that lost them.
    """
    wanted = set(f.variables) | set(f._program().free_symbols)
    values = read_values(given, wanted)
    return f(**{n: v for n, v in values.items() if n in wanted or n not in names})


def written(
    text: str,
    specs: Sequence[str],
    wrt: Sequence[str],
    order: int | None,
    symmetry: str,
    language: str,
    name: str,
    path: str | None,
) -> str:
    """A module for a formula, and its derivative where variables are named; or where it is."""
    if wrt or order:
        task = read_task(text, specs, wrt, order, symmetry)
        outputs = [task.function, task.derivative]
    else:
        outputs = parse(text, read_declarations(specs))
    try:
        return str(codegen(outputs, language, path, name))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from None


# -- checking ------------------------------------------------------------------------------------


def run_check(task: Task) -> CheckReport:
    """The report of a numerical check of the derivative; CheckError where it is wrong."""
    return task.function.check(*dict.fromkeys(task.wrt), order=task.order)


# -- words and records ---------------------------------------------------------------------------


def _every_notation(e: Expr) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for notation in NOTATIONS:
        try:
            found[notation] = spell(e, notation)
        except NotPrintableError as error:
            found[notation] = None
            found.setdefault("not_printable", {})[notation] = str(error)
    return found


def as_record(task: Task, report: CheckReport | None = None) -> dict[str, Any]:
    """Everything about a derivative, for JSON."""
    f, df = task.function, task.derivative
    return {
        "expression": task.text,
        "function": spell(f, "matrix"),
        "shape": [str(d) for d in f.shape],
        "variables": {
            name: {
                "kind": kind(v.ndim),
                "shape": [str(d) for d in v.shape],
                "properties": properties(v),
            }
            for name, v in f.variables.items()
        },
        "wrt": list(task.wrt),
        "order": task.order,
        "layout": layout(task),
        "symmetry": symmetry(task) or None,
        "derivative": {"shape": [str(d) for d in df.shape], **_every_notation(df)},
        "check": None if report is None else _check_record(report),
    }


def _check_record(report: CheckReport) -> dict[str, Any]:
    return {
        "passed": True,
        "largest_error": report.largest_error,
        "entries": [
            {"wrt": list(e.variables), "largest_error": e.largest_error, "method": e.method}
            for e in report.entries
        ],
    }


def value_record(text: str, wrt: Sequence[str], value: Any) -> dict[str, Any]:
    """A value for JSON; entries that are not finite become null."""
    import numpy as np

    array = np.asarray(value)
    return {
        "expression": text,
        "wrt": list(wrt),
        "shape": list(array.shape),
        "finite": bool(np.isfinite(array).all()),
        "value": _finite(array.tolist()),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value if value == value and value not in (float("inf"), float("-inf")) else None

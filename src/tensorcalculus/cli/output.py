"""How the commands print: colour on a terminal, plain text in a pipe, errors on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from tensorcalculus.errors import CheckError, TensorCalculusError
from tensorcalculus.expr.words import properties, with_shape
from tensorcalculus.task import Task, layout, spell, symmetry, title

if TYPE_CHECKING:
    from tensorcalculus.check import CheckReport
    from tensorcalculus.cli.models import Model
    from tensorcalculus.notation.catalogue import Entry

USER_ERROR = 2
CHECK_FAILED = 1
_LABEL = 12
_COLOURS = [
    (r"\b\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\b", "cyan"),
    (r"[^\W\d]\w*(?=\()", "blue"),
    (r"\\[A-Za-z]+", "blue"),
    (r"\b(?:where|with)\b", "magenta"),
    (r"\.?[-+*/^':@]|=", "dim"),
]


def _console(stderr: bool = False) -> Console:
    # Made for each command: the streams of a test or a redirection are those of now.  Formulas
    # hold brackets, so markup is never read; soft_wrap leaves long lines whole.
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextmanager
def user_errors() -> Iterator[None]:
    """Errors of the user as a message on stderr and exit code 2; warnings as one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except CheckError as error:
            _complain("check failed", str(error))
            raise typer.Exit(CHECK_FAILED) from None
        except (TensorCalculusError, OSError, ImportError) as error:
            # A module that is missing by an oversight of ours is no error of the user; for optional
            # ones an ImportError says what to install.
            if isinstance(error, BrokenPipeError | ModuleNotFoundError):
                raise
            _complain("error", str(error))
            raise typer.Exit(USER_ERROR) from None
        finally:
            for message in dict.fromkeys(str(w.message) for w in caught if _ours(w)):
                _complain("warning", message, "yellow")


def _ours(caught: warnings.WarningMessage) -> bool:
    return issubclass(caught.category, (UserWarning, RuntimeWarning))


def _complain(what: str, message: str, style: str = "red") -> None:
    _console(stderr=True).print(Text.assemble((f"{what}: ", f"bold {style}"), message))


def print_json(record: Any) -> None:
    """One JSON value; names in Greek stay Greek."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    typer.echo(text)


def print_formula(text: str, notation: str) -> None:
    """A formula alone."""
    _console().print(_coloured(text, notation))


def _coloured(text: str, notation: str) -> Any:
    if notation == "numpy" and _console().is_terminal:
        from rich.syntax import Syntax

        return Syntax(text, "python", background_color="default", theme="ansi_dark", word_wrap=True)
    coloured = Text(text)
    if notation != "numpy":
        for pattern, style in _COLOURS:
            coloured.highlight_regex(pattern, style)
    return coloured


def _line(console: Console, label: str, *parts: Any) -> None:
    console.print(Text.assemble((label.ljust(_LABEL), "bold"), *parts))


def print_derivative(task: Task, notation: str, report: CheckReport | None) -> None:
    """What was understood, then the derivative, then the check."""
    console = _console()
    f, df = task.function, task.derivative
    _line(console, "function", _coloured(spell(f, "matrix"), "matrix"))
    if f.ndim:
        _line(console, "", ("a ", "dim"), with_shape(f))
    width = max((len(name) for name in f.variables), default=0)
    for k, (name, variable) in enumerate(f.variables.items()):
        words = ", ".join([with_shape(variable), *properties(variable)])
        _line(console, "" if k else "variables", (name.ljust(width), "bold"), "  ", words)
    _line(console, "layout", layout(task))
    if said := symmetry(task):
        _line(console, "symmetry", said)
    for name in task.unused:
        _line(console, "note", f"{name} is declared and does not occur in the formula")
    console.print()
    _line(console, title(task), f": {with_shape(df)}")
    print_formula(_indented(spell(df, notation)), notation)
    if report is not None:
        console.print()
        for k, entry in enumerate(report.entries):
            error = f"{entry.largest_error:.1e}"
            words = f"by {', '.join(entry.variables)}: largest relative error {error}"
            _line(console, "" if k else "check", words, f" ({entry.method})")
        if task.symmetry == "full" and symmetry(task):
            _line(console, "", "(the check compares the projected derivative)")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.split("\n"))


def print_value(value: Any) -> None:
    """Numbers, shortest digits that read back the same; a terminal gets large arrays abridged."""
    import numpy as np

    array = np.asarray(value)
    if array.ndim == 0:
        _console().print(repr(array.item()))
        return
    threshold = 1000 if _console().is_terminal else sys.maxsize
    _console().print(
        np.array2string(array, separator=", ", threshold=threshold, floatmode="unique")
    )


def print_model(model: Model, count: int, largest: bool = True) -> None:
    """A model and how it was found, then its components."""
    from tensorcalculus.cli.models import components

    console = _console()
    for label, text in model.rows():
        _line(console, label, text)
    if not largest:
        _line(console, "written to", model.path)
        return
    for component in components(model, count):
        console.print()
        _line(console, f"component {component['component']}", f"weight {component['weight']:.4g}")
        width = max(len(mode["name"]) for mode in component["modes"])
        for mode in component["modes"]:
            entries = ", ".join(f"{e['label']}: {e['entry']:.3g}" for e in mode["largest"])
            console.print(Text.assemble("  ", (mode["name"].ljust(width), "blue"), "  ", entries))


def print_functions(found: Sequence[Entry]) -> None:
    """The table of functions in groups."""
    console = _console()
    width = max(len(entry.call) for entry in found)
    for group in dict.fromkeys(entry.group for entry in found):
        members = [entry for entry in found if entry.group == group]
        console.print(Text(group, "bold underline" if console.is_terminal else ""))
        for entry in members:
            extra = f"; also {', '.join(entry.aliases)}" if entry.aliases else ""
            source = f"  [{entry.reference}]" if entry.reference else ""
            console.print(
                Text.assemble(
                    "  ", (entry.call.ljust(width), "blue"), f"  {entry.meaning}{extra}",
                    (source, "dim"),
                )
            )  # fmt: skip
        console.print()
    console.print(
        "Also: * (matrix product), .* ./ .^ (entry by entry), ' (transpose), ^ (power), A:B "
        "(Frobenius product), x[0:2], the constants pi and eye."
    )

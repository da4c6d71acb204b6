"""The parts of an answer: the derivative, its steps, pictures, code, a check, its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorcalculus.errors import CheckError, InputError, NotPrintableError
from tensorcalculus.expr.words import kind
from tensorcalculus.task import Task, spell, title

if TYPE_CHECKING:
    from tensorcalculus.compiler.polynomial import Polynomial
    from tensorcalculus.expr.node import Expr
    from tensorcalculus.web.query import Query

LONGEST_MATHML = 20_000
"""Characters of LaTeX beyond which no MathML is made: browsers take seconds to lay it out."""
LONGEST_TEXT = 400_000
"""Characters beyond which a formula is not sent."""
LONGEST_HTML = 2_000_000
SHOWN_SIZES = (10, 100, 1000)
"""Of all symbols, in the table of costs."""


def mathml(latex: str, display: bool = True) -> str:
    """LaTeX, as this library writes it, as MathML, in a line of its own or in a text.

    What the converter does not read is shown as it is.
    """
    from html import escape

    from tensorcalculus.notation.mathml import to_mathml

    try:
        return to_mathml(latex, display)
    except (MemoryError, RecursionError, ImportError):
        raise
    except Exception:
        kind = "block" if display else "inline"
        return f'<math display="{kind}"><mtext>{escape(latex)}</mtext></math>'


def notations(e: Expr) -> dict[str, Any]:
    text, latex = spell(e, "matrix"), spell(e, "latex")
    size = max(len(text), len(latex))
    if size > LONGEST_TEXT:
        raise NotPrintableError(f"it has {size} characters; at most {LONGEST_TEXT} are shown")
    return {
        "text": text,
        "latex": latex,
        "mathml": mathml(latex) if len(latex) <= LONGEST_MATHML else None,
    }


def _derivative(task: Task, query: Query) -> dict[str, Any] | None:
    if not task.wrt:
        return None
    df = task.derivative
    return {
        "title": title(task),
        "kind": kind(df.ndim),
        "shape": [str(d) for d in df.shape],
        **notations(df),
        "index": {"text": _spelled(df, "index"), "latex": _spelled(df, "index-latex")},
        "einsum": _spelled(df, "einsum"),
    }


def _spelled(e: Expr, notation: str) -> str | None:
    """One more notation, None where the expression has no form in it."""
    try:
        text = spell(e, notation)
    except NotPrintableError:
        return None
    return text if len(text) <= LONGEST_TEXT else None


def _code(task: Task, query: Query) -> dict[str, str]:
    from tensorcalculus.api import codegen

    languages = ("numpy", "torch", "jax")
    return {language: str(codegen(_outputs(task), language)) for language in languages}


def _check(task: Task, query: Query) -> dict[str, Any] | None:
    if not task.wrt:
        return None
    try:
        report = task.function.check(*dict.fromkeys(task.wrt), order=task.order)
    except CheckError as error:
        return {"ok": False, "entries": [], "text": str(error)}
    entries = [
        {"by": list(e.variables), "error": e.largest_error, "method": e.method}
        for e in report.entries
    ]
    return {"ok": True, "entries": entries, "text": str(report)}


def _outputs(task: Task) -> list[Expr]:
    """The function, and its derivative where there is one."""
    return [task.function, task.derivative] if task.wrt else [task.function]


def _steps(task: Task, query: Query) -> dict[str, str] | None:
    from tensorcalculus.explanation.steps import WAYS, explained

    if not task.wrt:
        return None
    names = list(dict.fromkeys(task.wrt))
    if len(names) > 1:
        raise InputError("steps are shown for derivatives by one variable")
    # The text, whose names after `where` are those of the steps.
    found = explained(
        query.formula, names, task.order, WAYS, None, query.declarations, task.symmetry
    )
    html = found.to_html(math=mathml)
    if len(html) > LONGEST_HTML:
        raise NotPrintableError(
            f"the steps take {len(html)} characters; at most {LONGEST_HTML} are shown"
        )
    return {"html": html}


def _diagram(task: Task, query: Query) -> dict[str, Any]:
    drawn = {"function": task.function.draw()}
    if task.wrt:
        axes = task.derivative.ndim - task.function.ndim
        drawn["derivative"] = task.derivative.draw(derivative_axes=axes)
    pictures = {what: diagram.svg for what, diagram in drawn.items()}
    return {**pictures, "tikz": {what: diagram.to_tikz() for what, diagram in drawn.items()}}


def _cost(task: Task, query: Query) -> dict[str, Any]:
    from tensorcalculus.compiler.program import TYPICAL_SIZE, Program

    whats = ["the function"]
    programs = [Program([task.function])]
    if task.wrt:
        programs += [Program([task.derivative]), Program([task.function, task.derivative])]
        whats += [f"the {title(task)}", "both together"]
    costs = [program.cost() for program in programs]
    polynomials = [cost.symbolic for cost in costs]
    expressions = [
        {"what": what, "symbolic": str(p), "mathml": mathml(_latex(p))}
        for what, p in zip(whats, polynomials, strict=True)
    ]
    symbols = programs[-1].symbols
    table = []
    for size in SHOWN_SIZES if symbols else SHOWN_SIZES[:1]:
        sizes = dict.fromkeys(symbols, size)
        cost = programs[-1].cost(sizes)
        table.append({"sizes": sizes, "flops": cost.flops, "bytes": cost.peak_bytes})
    told = (
        "Multiplications, additions and functions of entries, one each; decompositions by their "
        f"leading term. Orders of products are those for sizes of {TYPICAL_SIZE}. Bytes: the most "
        "that results and arrays on the way hold at one time, in double precision."
    )
    width = max(map(len, whats))
    lines = [f"{what:<{width}}  {p}" for what, p in zip(whats, polynomials, strict=True)]
    return {
        "expressions": expressions,
        "table": table,
        "text": told,
        "plan": "\n".join([*lines, *map(str, costs[-1].contractions)]),
    }


def _latex(polynomial: Polynomial) -> str:
    """A polynomial in sizes as LaTeX, its sizes spelled as in formulas."""
    from tensorcalculus.expr.dims import Dim, minimum
    from tensorcalculus.expr.dims import dim as dimension
    from tensorcalculus.notation.latex_parts import tex_size

    def letter(atom: str | tuple[str, Dim, Dim]) -> str:
        d = dimension(atom) if isinstance(atom, str) else minimum(atom[1], atom[2])
        return tex_size(str(d))

    text = ""
    for atoms, c in polynomial.terms.items():
        powers = {atom: atoms.count(atom) for atom in atoms}
        letters = [letter(a) + (f"^{{{k}}}" if k > 1 else "") for a, k in powers.items()]
        size = abs(c)
        if size.denominator > 1:
            letters.insert(0, rf"\frac{{{size.numerator}}}{{{size.denominator}}}")
        elif size != 1 or not letters:
            letters.insert(0, str(size))
        sign = "-" if c < 0 else "+" if text else ""
        text += sign + r"\,".join(letters)
    return text or "0"


MADE: dict[str, Callable[[Task, Query], Any]] = {
    "derivative": _derivative,
    "steps": _steps,
    "diagram": _diagram,
    "code": _code,
    "check": _check,
    "cost": _cost,
}
"""By name, what makes a part of a task that a query asked for."""

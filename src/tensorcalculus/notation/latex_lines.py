"""LaTeX for notebooks: long formulas in several lines, a line for each name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tensorcalculus.errors import NotPrintableError
from tensorcalculus.expr.node import Expr
from tensorcalculus.notation.latex import formula_and_names

WIDTH = 84
"""Signs in a line, about as many as a cell of a notebook is wide."""

LONGEST = 8000
"""Longer LaTeX takes a browser seconds, and nobody reads it: it is left to the text."""

_DEEPEST = 3
"""Brackets inside of which lines are broken."""

_TOKEN = re.compile(r"\\(?:left|right)(?:\\[a-zA-Z]+|\\.|.)|\\[a-zA-Z]+|\\.|.", re.DOTALL)


def for_notebooks(e: Expr) -> str | None:
    """The formula between dollar signs; None where there is none that could be read."""
    try:
        body, names = formula_and_names(e)
    except NotPrintableError:
        return None
    if len(body) + sum(map(len, names)) > LONGEST:
        return None
    lines = to_lines(body, names)
    if len(lines) == 1:
        return rf"$\displaystyle {lines[0]}$"
    # An array, which all converters know; `aligned` is lost on some that make MathML.
    set_in_lines = r" \\ ".join(rf"\displaystyle {line}" for line in lines)
    return rf"$\displaystyle \begin{{array}}{{l}} {set_in_lines} \end{{array}}$"


def to_lines(body: str, names: list[str], width: int = WIDTH) -> list[str]:
    """A formula and its names in lines; one line where both have room in it."""
    if not names:
        return broken(body, width)
    where, beside = r"\text{where } ", r"\qquad\quad {}"
    whole = rf"{body} \quad{where}" + r",\; ".join(names)
    if glyphs(whole) <= width:
        return [whole]
    lines = broken(body, width)
    for k, name in enumerate(names):
        first, *others = broken(name, width)
        lead = beside if k else where
        lines += [lead + first, *(beside + line for line in others)]
        lines[-1] += "," if k + 1 < len(names) else ""
    return lines


def glyphs(latex: str) -> int:
    """About how many signs wide a formula is."""
    shown = re.sub(r"\\(?:operatorname|mathrm|text|mathbf)", "", latex)
    shown = re.sub(r"\\(?:left|right|qquad|quad|,|;|!)", "", shown)
    shown = re.sub(r"\\[a-zA-Z]+ ?", "x", shown)
    return len(re.sub(r"[{}^_\s\\]", "", shown))


def broken(latex: str, width: int = WIDTH) -> list[str]:
    """The lines of one formula: broken before a plus or minus, outside of brackets where that is
    enough, and not inside of anything that has a size of its own.
    """
    if glyphs(latex) <= width:
        return [latex]
    for depth in range(_DEEPEST + 1):
        places = [at for at, level in _breaks(latex) if level <= depth]
        parts = [latex[a:b] for a, b in zip([0, *places], [*places, len(latex)], strict=True)]
        if all(glyphs(part) <= width for part in parts) or depth == _DEEPEST:
            return _filled(parts, width)
    raise AssertionError


def _filled(parts: list[str], width: int) -> list[str]:
    """As many parts in a line as have room; further lines are set in."""
    lines = [""]
    for part in parts:
        room = width if len(lines) == 1 else width - 4
        if lines[-1] and glyphs(lines[-1] + part) > room:
            lines.append(part)
        else:
            lines[-1] += part
    return [lines[0], *(rf"\quad {{}}{line}" for line in lines[1:])]


def _breaks(latex: str) -> Iterator[tuple[int, int]]:
    """Where a term begins inside a sum, and inside of how many brackets."""
    fixed = 0
    depth = 0
    before = ""
    for match in _TOKEN.finditer(latex):
        token = match[0]
        if token == "{" or token.startswith(r"\left"):
            fixed += 1
        elif token == "}" or token.startswith(r"\right"):
            fixed -= 1
        elif token in "([":
            depth += 1
        elif token in ")]":
            depth -= 1
        elif token in "+-" and not fixed and before not in ("", "(", "[", ",", "="):
            yield match.start(), depth
        if not token.isspace():
            before = token

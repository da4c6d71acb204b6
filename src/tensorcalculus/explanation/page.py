"""Explanations as an HTML fragment; formulas by a converter, or left to MathJax."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tensorcalculus.display.html import Html, result
from tensorcalculus.display.html import text as escape
from tensorcalculus.explanation.blocks import Block, Cell, Line, Note, Picture, Table
from tensorcalculus.explanation.record import Explanation
from tensorcalculus.explanation.rules import Rule

Math = Callable[[str, bool], str]
"""From LaTeX, and whether the formula stands in a line of its own, to HTML."""
_MOST = 12
"""Lines of a derivation from which on the middle is folded."""
_KEPT = (4, 4)


def left_to_mathjax(latex: str, display: bool) -> str:
    r"""``\(…\)`` with the characters of HTML escaped; tables hold the lines."""
    return rf"\({escape(latex)}\)"


def page(explanation: Explanation, math: Math | None) -> str:
    """Ways that fold, the first open; no scripts and no styles."""
    write = math or left_to_mathjax
    ways = []
    for k, way in enumerate(explanation.ways):
        body = "".join(_blocks(way.blocks, write))
        opened = ' open="open"' if not k else ""
        ways.append(
            f'<details class="tc-way tc-{way.name}"{opened}><summary>{escape(way.title)}'
            f"</summary>{body}</details>"
        )
    return f'<div class="tc-explanation">{"".join(ways)}</div>'


def whole_page(explanation: Explanation) -> str:
    """A page that needs no other file."""
    from tensorcalculus.notation.mathml import to_mathml

    title = escape(f"derivatives by {', '.join(explanation.wrt)}")
    body = result(title, Html(page(explanation, to_mathml)))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        f'content="light dark"></head>\n<body>{body}</body></html>\n'
    )


def _blocks(blocks: Sequence[Block], math: Math) -> Iterator[str]:
    lines: list[Line] = []
    for block in blocks:
        if isinstance(block, Line):
            lines.append(block)
            continue
        yield _derivation(lines, math)
        lines = []
        if isinstance(block, Note):
            yield f"<p>{escape(block.text)}</p>"
        elif isinstance(block, Table):
            yield _table(block, math)
        else:
            yield _picture(block)
    yield _derivation(lines, math)


def _derivation(lines: Sequence[Line], math: Math) -> str:
    if not lines:
        return ""
    rows, previous = [], ""
    for line in lines:
        rows.append(_row(line, line.left.latex == previous, math))
        previous = line.left.latex
    if len(rows) > _MOST:
        first, last = _KEPT
        middle = rows[first:-last]
        folded = f"<details><summary>{len(middle)} more steps</summary>{_steps(middle)}</details>"
        return _steps(rows[:first]) + folded + _steps(rows[-last:])
    return _steps(rows)


def _steps(rows: Sequence[str]) -> str:
    return f'<table class="tc-steps"><tbody>{"".join(rows)}</tbody></table>'


def _row(line: Line, repeated: bool, math: Math) -> str:
    left = "" if repeated else math(line.left.latex, True)
    why = "".join(f'<div class="tc-rule">{_rule(r, math)}</div>' for r in line.rules)
    return (
        f'<tr><td class="tc-left">{left}</td><td class="tc-right">'
        f'{math("= " + line.right.latex, True)}</td><td class="tc-why">{why}</td></tr>'
    )


def _rule(rule: Rule, math: Math) -> str:
    if rule.latex:
        return f"{escape(rule.name)}: {math(rule.latex, False)}"
    told = f": <code>{escape(rule.text)}</code>" if rule.text else ""
    return f"{escape(rule.name)}{told}"


def _table(table: Table, math: Math) -> str:
    head = "".join(f"<th>{escape(t)}</th>" for t in table.head)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(c, math)}</td>' for c in row)}</tr>" for row in table.rows
    )
    return f'<table class="tc-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(cell: Cell, math: Math) -> str:
    return escape(cell) if isinstance(cell, str) else math(cell.latex, False)


def _picture(picture: Picture) -> str:
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>"
    return f"<figure>{picture.diagram.svg}{caption}</figure>"

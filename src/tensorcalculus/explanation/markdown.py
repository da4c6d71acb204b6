"""Explanations as Markdown with LaTeX formulas between dollar signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorcalculus.explanation.blocks import Block, Cell, Line, Note, Picture, Table
from tensorcalculus.explanation.record import Explanation
from tensorcalculus.explanation.rules import Rule


def markdown(explanation: Explanation) -> str:
    """All ways under headings of level 3; the lines of a derivation are a numbered list."""
    parts = []
    for way in explanation.ways:
        parts += [f"### {way.title}", *_blocks(way.blocks)]
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    lines: list[str] = []
    for block in blocks:
        if isinstance(block, Line):
            lines.append(f"{len(lines) + 1}. {_line(block)}")
            continue
        if lines:
            yield "\n".join(lines)
            lines = []
        if isinstance(block, Note):
            yield block.text
        elif isinstance(block, Table):
            yield _table(block)
        else:
            yield _picture(block)
    if lines:
        yield "\n".join(lines)


def _line(line: Line) -> str:
    shown = _math(f"{line.left.latex} = {line.right.latex}")
    why = "; ".join(map(_rule, line.rules))
    return f"{shown}  \n   {why}" if why else shown


def _rule(rule: Rule) -> str:
    formula = _math(rule.latex) if rule.latex else f"`{rule.text}`" if rule.text else ""
    return f"*{rule.name}*: {formula}" if formula else f"*{rule.name}*"


def _table(table: Table) -> str:
    rows = [table.head, tuple("---" for _ in table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(cell: Cell) -> str:
    # A bar would end the cell, in a formula as well.
    shown = cell if isinstance(cell, str) else _math(cell.latex)
    return shown.replace(r"\|", r"\Vert ").replace("|", r"\vert ")


def _picture(picture: Picture) -> str:
    return f"{picture.caption}\n\n{picture.diagram.svg}"


def _math(latex: str) -> str:
    return f"${latex}$"

"""Explanations as the body of a LaTeX document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorcalculus.diagrams.tikz import escaped
from tensorcalculus.explanation.blocks import Block, Cell, Line, Note, Table
from tensorcalculus.explanation.record import Explanation
from tensorcalculus.explanation.rules import Rule


def tex(explanation: Explanation) -> str:
    """Sections with aligned equations (``amsmath``), tables and pictures (``tikz``)."""
    parts = []
    for way in explanation.ways:
        parts += [rf"\subsection*{{{way.title}}}", *_blocks(way.blocks)]
    return "\n\n".join(parts) + "\n"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    lines: list[Line] = []
    for block in blocks:
        if isinstance(block, Line):
            lines.append(block)
            continue
        if lines:
            yield _aligned(lines)
            lines = []
        if isinstance(block, Note):
            yield escaped(block.text)
        elif isinstance(block, Table):
            yield _table(block)
        else:
            yield f"{escaped(block.caption)}\n\n{block.diagram.to_tikz()}"
    if lines:
        yield _aligned(lines)


def _aligned(lines: Sequence[Line]) -> str:
    rows, previous = [], ""
    for line in lines:
        left = "" if line.left.latex == previous else line.left.latex
        previous = line.left.latex
        why = r",\; ".join(map(_rule, line.rules))
        rows.append(f"  {left} &= {line.right.latex}" + (f" && {why}" if why else ""))
    body = " \\\\\n".join(rows)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _rule(rule: Rule) -> str:
    name = rf"\text{{{escaped(rule.name)}}}"
    if rule.latex:
        return rf"{name}\colon {rule.latex}"
    return rf"{name}\colon \text{{{escaped(rule.text)}}}" if rule.text else name


def _table(table: Table) -> str:
    rows = [r" & ".join(map(_cell, row)) + r" \\" for row in table.rows]
    head = r" & ".join(map(escaped, table.head)) + r" \\ \hline"
    columns = "l" * len(table.head)
    body = "\n".join(f"  {row}" for row in (head, *rows))
    return f"\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}"


def _cell(cell: Cell) -> str:
    return escaped(cell) if isinstance(cell, str) else f"${cell.latex}$"

"""Explanations as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from tensorcalculus.explanation.blocks import Cell, Line, Note, Picture, Table
from tensorcalculus.explanation.record import Explanation

_MOST = 40
"""Lines of one way from which on the middle is left out."""
_KEPT = (16, 12)
_WIDEST = 46
"""Where reasons stand; longer formulas have them on a line of their own."""


def text(explanation: Explanation, fold: bool) -> str:
    """All ways, one below the other."""
    parts = []
    for way in explanation.ways:
        lines = _lines(way.blocks)
        if fold and len(lines) > _MOST:
            first, last = _KEPT
            gone = len(lines) - first - last
            note = [f"  ... {gone} lines; to_text(fold=False) shows them ..."]
            lines = lines[:first] + note + lines[-last:]
        parts.append("\n".join([way.title, *lines]))
    return "\n\n".join(parts)


def _lines(blocks: Sequence[object]) -> list[str]:
    lines: list[str] = []
    previous = ""
    for block in blocks:
        if isinstance(block, Line):
            left = block.left.text
            shown = " " * len(left) if left == previous else left
            previous = left
            lines += _line(f"  {shown} = {block.right.text}", [str(r) for r in block.rules])
            continue
        previous = ""
        if isinstance(block, Note):
            lines.append(f"  {block.text}")
        elif isinstance(block, Table):
            lines += _table(block)
        elif isinstance(block, Picture):
            lines.append(f"  [diagram] {block.caption}")
    return lines


def _line(formula: str, reasons: Sequence[str]) -> list[str]:
    if not reasons:
        return [formula]
    if len(formula) <= _WIDEST:
        return [f"{formula:<{_WIDEST}}  | {reasons[0]}", *_beside(reasons[1:])]
    return [formula, *_beside(reasons)]


def _beside(reasons: Sequence[str]) -> list[str]:
    return [f"{'':<{_WIDEST}}  | {r}" for r in reasons]


def _table(table: Table) -> list[str]:
    rows = [list(table.head), *([_cell(c) for c in row] for row in table.rows)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    texts = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    rule = "  ".join("-" * w for w in widths)
    return [f"  {t.rstrip()}" for t in (texts[0], rule, *texts[1:])]


def _cell(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.text

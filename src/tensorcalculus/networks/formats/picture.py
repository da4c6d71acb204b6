"""Pictures of ranks, in text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MOST_SHOWN = 12
_MOST_RANKS = 8


def shape(sizes: Sequence[int]) -> str:
    """A shape in words; many equal modes as a power."""
    if len(sizes) > _MOST_RANKS and len(set(sizes)) == 1:
        return f"{sizes[0]}^{len(sizes)}"
    return str(tuple(sizes))


def ranks(listed: Sequence[int]) -> str:
    """Ranks in words; of many the largest."""
    if len(listed) > _MOST_RANKS:
        return f"ranks up to {max(listed)}"
    return f"ranks {', '.join(map(str, listed))}"


def chain(shape: Sequence[object], ranks: Sequence[int], ring: bool = False) -> str:
    """A train as two lines: ``●─3─●─3─●`` with the modes below; long ones are cut in the middle."""
    cells = [str(n) for n in shape]
    bonds = [str(r) for r in (ranks if ring else ranks[1:-1])]
    d = len(cells)
    shown = list(range(d))
    if d > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        shown = [*range(half), -1, *range(d - half, d)]
    top, bottom = "", ""
    if ring:
        top, bottom = f"╶{bonds[0]}─", " " * (len(bonds[0]) + 2)
    for place, k in enumerate(shown):
        if k < 0:
            top, bottom = top + "┄─", bottom + "  "
            continue
        top += "●"
        bottom += cells[k]
        gap = len(cells[k]) - 1
        if place + 1 < len(shown):
            bond = bonds[k + 1] if ring else bonds[k]
            top += "─" + "─" * max(0, gap - len(bond) - 1) + bond + "─"
        elif ring:
            top += f"─{bonds[-1]}╴"
        bottom = bottom.ljust(len(top))
        top = top.ljust(len(bottom), "─") if place + 1 < len(shown) else top
    return f"{top}\n{bottom.rstrip()}"


Part = str | tuple[str, Sequence[tuple[object, Any]]]
"""A leaf as text, or what stands at a node and, below it, pairs of a bond and a part."""


def tree(top: Part) -> str:
    """A tree with its root at the left, a leaf a line; of many leaves the middle is left out."""
    lines = _branches(top)
    if len(lines) > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        lines = [*lines[:half], "  ┆", *lines[-half:]]
    return "\n".join(lines)


def _branches(part: Part) -> list[str]:
    if isinstance(part, str):
        return [part]
    head, below = part
    lines = []
    for k, (bond, child) in enumerate(below):
        last = k == len(below) - 1
        joint = ("─" if last else "┬") if k == 0 else ("└" if last else "├")
        start = f"{head}─" if k == 0 else " " * (len(head) + 1)
        first, *others = _branches(child)
        lines.append(f"{start}{joint}─{bond}─{first}")
        space = " " * (len(head) + 1) + (" " if last else "│") + " " * (len(str(bond)) + 2)
        lines += [space + line for line in others]
    return lines

"""Pictures of ranks, in text and HTML."""

from __future__ import annotations

from collections.abc import Sequence

_MOST_SHOWN = 12


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


def html(title: str, shape: Sequence[object], ranks: Sequence[int]) -> str:
    """A table: modes, and ranks as bars between them."""
    largest = max(ranks)
    cells = []
    for k, n in enumerate(shape):
        cells.append(f"<td style='text-align:center'>{n}</td>")
        if k + 1 < len(ranks) - 1:
            width = 6 + int(34 * ranks[k + 1] / largest)
            bar = f"<div style='height:4px;width:{width}px;background:#4878a8'></div>"
            cells.append(f"<td style='text-align:center'>{ranks[k + 1]}{bar}</td>")
    return f"<b>{title}</b><table><tr>{''.join(cells)}</tr></table>"

"""Small curves as SVG text, in the colour of the text around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tensorcalculus.display.html import Html, text

_MOST = 160
"""Points that are drawn; of more, the lowest and highest of each stretch are."""


def curve(
    values: Iterable[float],
    label: str,
    *,
    log: bool = False,
    width: int = 180,
    height: int = 36,
    zero: bool = False,
) -> Html:
    """Numbers as a line from left to right; what is not finite is left out.

    Parameters
    ----------
    values
        The numbers, any count.
    label
        What they are, for those who do not see the picture.
    log
        A logarithmic axis; numbers that are not positive are left out.
    zero
        Whether 0 is on the axis, as a thin line.
    """
    known = [float(v) for v in values]
    points = _points(known, log)
    levels = [y for _, y in points] + ([0.0] if zero else [])
    low, high = (min(levels), max(levels)) if levels else (0.0, 0.0)
    last = max(len(known) - 1, 1)
    rise = high - low

    def place(x: float, y: float) -> str:
        part = (y - low) / rise if rise else 0.5
        return f"{2 + (width - 4) * x / last:.1f},{height - 3 - (height - 6) * part:.1f}"

    lines = []
    if zero and levels and rise:
        (x, y), (far, _) = (place(k, 0.0).split(",") for k in (0, last))
        lines.append(f"<path d='M{x},{y}H{far}' stroke-opacity='.35'/>")
    if points:
        # One point alone is drawn twice, as a dot.
        line = " ".join(place(*p) for p in (points * 2 if len(points) == 1 else points))
        lines.append(f"<path d='M{line}'/>")
    return Html(
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' role='img' aria-label='{text(label)}' fill='none' "
        "stroke='currentColor' stroke-width='1.4' stroke-linejoin='round' "
        f"stroke-linecap='round'>{''.join(lines)}</svg>"
    )


def _points(values: Sequence[float], log: bool) -> list[tuple[int, float]]:
    """Places and heights of what is drawn."""
    levels = [
        math.nan if not math.isfinite(v) or (log and v <= 0) else math.log10(v) if log else v
        for v in values
    ]
    step = max(1, math.ceil(len(levels) / (_MOST // 2)))
    if step < 3:
        kept = list(range(len(levels)))
    else:
        kept = [0, len(levels) - 1] if levels else []
        for start in range(0, len(levels), step):
            known = [k for k in range(start, min(start + step, len(levels)))
                     if levels[k] == levels[k]]  # fmt: skip
            if known:
                kept += [min(known, key=levels.__getitem__), max(known, key=levels.__getitem__)]
    return [(k, levels[k]) for k in sorted(set(kept)) if levels[k] == levels[k]]


def descent(values: Iterable[float]) -> Html:
    """How a value fell: a curve of its distance from the lowest, on a logarithmic axis."""
    known = [float(v) for v in values]
    finite = [v for v in known if math.isfinite(v)]
    if not finite:
        return Html("")
    lowest = min(finite)
    told = f"from {finite[0]:.4g} to {lowest:.4g}"
    if len(known) < 3:
        return text(told)
    drawn = curve([v - lowest for v in known], f"above the lowest value, {told}", log=True)
    return Html(f"{drawn} {text(told)}; above the lowest, log scale")

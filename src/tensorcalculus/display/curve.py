"""Small curves as SVG text, in the colour of the text around them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from tensorcalculus.display.html import Html, text

_MOST = 80
"""Stretches of many numbers; the lowest and the highest of each are drawn."""


def curve(
    values: ArrayLike,
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
    known = np.asarray(values, dtype=float).reshape(-1)
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


def _points(values: np.ndarray, log: bool) -> list[tuple[int, float]]:
    """Places and heights of what is drawn."""
    drawn = np.flatnonzero(np.isfinite(values) & ((values > 0) if log else True))
    levels = np.log10(values[drawn]) if log else values[drawn]
    if len(drawn) > 2 * _MOST:
        edges = [*range(0, len(drawn), -(-len(drawn) // _MOST)), len(drawn)]
        kept = {0, len(drawn) - 1}
        for start, end in pairwise(edges):
            stretch = levels[start:end]
            kept |= {start + int(stretch.argmin()), start + int(stretch.argmax())}
        places = np.array(sorted(kept))
        drawn, levels = drawn[places], levels[places]
    return list(zip(drawn.tolist(), levels.tolist(), strict=True))


def descent(values: ArrayLike) -> Html:
    """How a value fell: a curve of its distance from the lowest, on a logarithmic axis."""
    known = np.asarray(values, dtype=float)
    finite = known[np.isfinite(known)]
    if not len(finite):
        return Html("")
    lowest = finite.min()
    told = f"from {finite[0]:.4g} to {lowest:.4g}"
    if len(known) < 3:
        return text(told)
    drawn = curve(known - lowest, f"above the lowest value, {told}", log=True)
    return Html(f"{drawn} {text(told)}; above the lowest, log scale")

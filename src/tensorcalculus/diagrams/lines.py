"""Points of lines: curves between nodes, what of them lies outside, where labels may stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from tensorcalculus.diagrams.layout import Point
from tensorcalculus.diagrams.piece import LEG, LINE, Box, End, shown, text_width


def covers(box: Box, radius: float, p: Point) -> bool:
    """Whether a point lies within a box with round corners."""
    left, top, right, bottom = box
    x = min(max(p[0], left + radius), right - radius)
    y = min(max(p[1], top + radius), bottom - radius)
    return math.hypot(p[0] - x, p[1] - y) < radius


def inside(box: Box, p: Point) -> bool:
    """Whether a point lies within a box."""
    return box[0] < p[0] < box[2] and box[1] < p[1] < box[3]


def parabola(start: Point, end: Point, bend: float) -> list[Point]:
    """Points of a curve that leaves the straight line by ``bend`` times its length."""
    (x, y), (u, v) = start, end
    mx, my = (x + u) / 2 - bend * (v - y), (y + v) / 2 + bend * (u - x)
    return [
        ((1 - t) ** 2 * x + 2 * t * (1 - t) * mx + t * t * u,
         (1 - t) ** 2 * y + 2 * t * (1 - t) * my + t * t * v)
        for t in (k / 16 for k in range(17))
    ]  # fmt: skip


def trimmed(curve: Sequence[Point], a: End, b: End) -> list[Point]:
    """What of a line from one node to another lies outside of both."""
    points = list(curve)
    for end in (a, b):
        within = 0
        while within < len(points) - 2 and covers(end.box, end.radius, points[within + 1]):
            within += 1
        low, high = points[within], points[within + 1]
        for _ in range(12):
            middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
            inner = covers(end.box, end.radius, middle)
            low, high = (middle, high) if inner else (low, middle)
        points[: within + 1] = [high]
        points.reverse()
    return points


def outer(curve: Sequence[Point], frames: Sequence[Box]) -> list[Point]:
    """The longest part of a line outside of the frames that it crosses."""
    if not frames:
        return list(curve)
    fine = [
        (p[0] + t * (q[0] - p[0]) / 8, p[1] + t * (q[1] - p[1]) / 8)
        for p, q in pairwise(curve)
        for t in range(8)
    ]
    fine.append(curve[-1])
    best: list[Point] = []
    run: list[Point] = []
    for p in fine:
        if any(inside(f, p) for f in frames):
            run = []
        else:
            run.append(p)
            best = max(best, run, key=len)
    return best if len(best) > 1 else list(curve)


def beside(curve: Sequence[Point], label: str) -> tuple[Point, ...]:
    """Places for a label along a line: above or to the right first, then on the other side."""
    found = []
    for t in (0.5, 0.3, 0.7, 0.2, 0.8):
        k, part = divmod(t * (len(curve) - 1), 1)
        a, b = curve[int(k)], curve[min(int(k) + 1, len(curve) - 1)]
        x, y = a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])
        before, after = curve[max(int(k) - 1, 0)], curve[min(int(k) + 1, len(curve) - 1)]
        u, v = after[0] - before[0], after[1] - before[1]
        norm = math.hypot(u, v) or 1.0
        nx, ny = v / norm, -u / norm
        if ny > 1e-9 or (abs(ny) <= 1e-9 and nx < 0):
            nx, ny = -nx, -ny
        found += [(x, y, nx, ny), (x, y, -nx, -ny)]
    w = text_width("label", shown(label)) / 2
    away = [abs(nx) * w + abs(ny) * LINE / 2 + 4 for *_, nx, ny in found]
    near = [(x + r * nx, y + r * ny) for (x, y, nx, ny), r in zip(found, away, strict=True)]
    far = [(p[0] + 8 * f[2], p[1] + 8 * f[3]) for p, f in zip(near, found, strict=True)]
    return (*near, *far)


def at_start(start: Point, angle: float) -> tuple[Point, ...]:
    """Places for the number of an axis, beside the start of its line."""
    c, s = math.cos(angle), math.sin(angle)
    return tuple(
        (start[0] + r * c + w * t * s, start[1] + r * s - w * t * c)
        for w, r in ((6, 6), (6, 10), (6, 14), (6, 19), (6, 24), (9, 10), (9, 18))
        for t in ((-1, 1) if c < -1e-9 or (abs(c) <= 1e-9 and s > 0) else (1, -1))
    )


def beyond(end: Point, angle: float, label: str) -> tuple[Point, ...]:
    """Places for a label at the end of a leg: behind it, then beside it."""
    w = text_width("label", shown(label)) / 2 + 3
    c, s = math.cos(angle), math.sin(angle)
    x, y = end
    sides = [(x - 0.4 * LEG * c + w * t * s, y - 0.4 * LEG * s - 8 * t * c) for t in (1, -1)]
    behind = [(x + (w + r) * c, y + (9 + r) * s) for r in (0, 7)]
    return (behind[0], *((p + 3 * s, q) for p, q in sides), behind[1])


def between(a: float, b: float) -> float:
    """The angle between two directions."""
    return abs((a - b + math.pi) % (2 * math.pi) - math.pi)

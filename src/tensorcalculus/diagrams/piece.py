"""Parts of a drawing as boxes, lines and texts in pixels, which can be moved and mirrored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tensorcalculus.diagrams.graph import Graph
from tensorcalculus.diagrams.layout import Layout, Point

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

HEIGHT, DOT, LEG = 28.0, 3.5, 26.0
"""Of the box of a tensor; the radius of a copy tensor; the length of an open leg."""
LETTER, SMALL, TINY = 7.8, 6.6, 5.0
"""Widths of a letter in a tensor, on a line, at the end of an axis."""
LINE = 11.0
"""Height of a label."""
LONGEST = 22
"""Letters of a name that are shown; the whole name stands in the title of its element."""
CELL = 32.0
"""The side of the squares by which boxes are looked up."""
_SIZES = {"name": (LETTER, 14.0), "sign": (LETTER, 14.0), "axis": (TINY, 8.0)}
"""Width of a letter and height of a line, where they are not those of labels."""


class Shape(NamedTuple):
    """A box with round ends, a dot, a ring, or a frame."""

    kind: str
    box: Box
    title: str
    chosen: bool = False


class Stroke(NamedTuple):
    """A line through points."""

    kind: str
    points: tuple[Point, ...]
    marked: bool
    title: str


class Text(NamedTuple):
    """A text around its middle."""

    kind: str
    at: Point
    text: str
    marked: bool = False

    @property
    def box(self) -> Box:
        """What the text covers, by the mean width of letters."""
        return text_box(self.kind, self.text, self.at)


class Waiting(NamedTuple):
    """A text that may stand at any of some points, at the first of those that cover least."""

    kind: str
    text: str
    options: tuple[Point, ...]
    marked: bool


class End(NamedTuple):
    """Where a line starts: at the box of a node, which may stand in frames that it crosses."""

    box: Box
    radius: float
    frames: tuple[Box, ...] = ()

    @property
    def centre(self) -> Point:
        """The point at which the line is aimed."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


class Port(NamedTuple):
    """An open leg that is drawn from outside: where it starts, and the number of its axis."""

    end: End
    number: str = ""
    wish: float | None = None
    """The direction in which it leaves best, if that is known."""


class Drawn(NamedTuple):
    """A graph that stands in a piece, and the boxes of its nodes."""

    graph: Graph
    layout: Layout
    boxes: tuple[Box, ...]


@dataclass
class Piece:
    """Part of a drawing."""

    shapes: list[Shape] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)
    """What labels keep clear of."""
    nodes: list[Box] = field(default_factory=list)
    """What lines keep clear of."""
    angles: dict[Box, list[float]] = field(default_factory=dict)
    """The directions in which lines leave a node."""
    ports: dict[int, Port] = field(default_factory=dict)
    """By axis, the legs that are left to what stands around it."""
    drawn: list[Drawn] = field(default_factory=list)

    def extent(self) -> Box:
        """What the piece covers, waiting texts at their first places."""
        boxes = [*self.taken, *self.nodes]
        for w in self.waiting:
            first = w.options[: 6 if w.kind == "axis" else 2]
            boxes += [text_box(w.kind, w.text, p) for p in first]
        return around(boxes) if boxes else (0.0, 0.0, 0.0, 0.0)

    def add(self, text: Text) -> None:
        """A text at a fixed place."""
        self.texts.append(text)
        self.taken.append(text.box)

    def absorb(self, other: Piece) -> None:
        """All of another piece but its ports."""
        for name in ("shapes", "strokes", "texts", "waiting", "taken", "nodes", "drawn"):
            getattr(self, name).extend(getattr(other, name))
        self.angles |= other.angles

    def moved(self, dx: float, dy: float) -> Piece:
        """The piece elsewhere."""
        return self._turned(1, dx, dy)

    def mirrored(self) -> Piece:
        """Left and right exchanged."""
        return self._turned(-1, 0.0, 0.0)

    def _turned(self, sign: int, dx: float, dy: float) -> Piece:
        def point(p: Point) -> Point:
            return (sign * p[0] + dx, p[1] + dy)

        def box(b: Box) -> Box:
            (x, y), (u, v) = point((b[0], b[1])), point((b[2], b[3]))
            return (min(x, u), y, max(x, u), v)

        def boxes(many: list[Box]) -> list[Box]:
            if sign > 0:  # by far the most there is to move
                return [(a + dx, b + dy, c + dx, d + dy) for a, b, c, d in many]
            return list(map(box, many))

        def angle(a: float) -> float:
            return a if sign > 0 else math.pi - a

        return Piece(
            [s._replace(box=box(s.box)) for s in self.shapes],
            [s._replace(points=tuple(map(point, s.points))) for s in self.strokes],
            [t._replace(at=point(t.at)) for t in self.texts],
            [w._replace(options=tuple(map(point, w.options))) for w in self.waiting],
            boxes(self.taken),
            boxes(self.nodes),
            {box(b): list(map(angle, a)) for b, a in self.angles.items()},
            {
                k: Port(
                    End(box(e.box), e.radius, tuple(map(box, e.frames))),
                    number,
                    None if wish is None else angle(wish),
                )
                for k, (e, number, wish) in self.ports.items()
            },
            [d._replace(boxes=tuple(map(box, d.boxes))) for d in self.drawn],
        )


class Boxes:
    """Boxes, looked up by where they are."""

    def __init__(self, boxes: Iterable[Box] = ()) -> None:
        self.cells: dict[tuple[int, int], dict[Box, None]] = {}
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        """One more box."""
        for cell in self._covered(box):
            self.cells.setdefault(cell, {})[box] = None

    def near(self, box: Box) -> dict[Box, None]:
        """All that may meet a box."""
        found: dict[Box, None] = {}
        for cell in self._covered(box):
            found |= self.cells.get(cell, {})
        return found

    def hold(self, p: Point, margin: float, but: Sequence[Box]) -> bool:
        """Whether a point is nearer than the margin to a box other than those."""
        x, y = p
        around_it = (x - margin, y - margin, x + margin, y + margin)
        return any(common(around_it, b) > 0 for b in self.near(around_it) if b not in but)

    def _covered(self, box: Box) -> list[tuple[int, int]]:
        left, top, right, bottom = (math.floor(side / CELL) for side in box)
        return [(i, j) for i in range(left, right + 1) for j in range(top, bottom + 1)]


def around(boxes: Iterable[Box]) -> Box:
    """The least box that holds all."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
        return 0.0
    return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))


def shown(name: str) -> str:
    """A name, cut where it is long."""
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def text_width(kind: str, text: str) -> float:
    """About how wide a text is."""
    return _SIZES.get(kind, (SMALL, LINE))[0] * len(text)


def text_box(kind: str, text: str, at: Point) -> Box:
    """What a text covers around its middle."""
    w, h = text_width(kind, text) / 2, _SIZES.get(kind, (SMALL, LINE))[1] / 2
    return at[0] - w, at[1] - h, at[0] + w, at[1] + h

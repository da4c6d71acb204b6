"""Graphs with places as SVG text, in the colour of the text around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tensorcalculus.diagrams.graph import Graph
from tensorcalculus.diagrams.layout import DOWN, UP, Layout, Point, layout
from tensorcalculus.errors import InputError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_HEIGHT, _DOT, _LEG = 28.0, 3.5, 26.0
"""Of the box of a tensor; the radius of a copy tensor; the length of an open leg."""
_LETTER, _SMALL = 7.8, 6.6
"""Widths of a letter in a tensor, and on a line."""
_LINE = 11.0
"""Height of a label."""
_LONGEST = 14
"""Letters of a name that are shown; the whole name stands in the title of its element."""
_MARK = "#e8590c"
"""The colour of what a derivative has taken out, which is told from black and from white."""
_CELL = 64.0
"""The side of the squares by which boxes are looked up."""
_TURNS = 24
"""How many directions a leg is tried in."""
_STYLE = (
    "text{fill:currentColor;font:11px sans-serif;text-anchor:middle;dominant-baseline:central}"
    ".name{font-size:13px}path,rect,circle{stroke:currentColor;stroke-width:1.4;fill:none}"
    ".tensor{fill:currentColor;fill-opacity:.1}.copy{fill:currentColor}"
    f".deleted{{stroke:{_MARK};stroke-dasharray:4 3}}.marked,.end{{stroke:{_MARK}}}"
    ".gone{fill:" + _MARK + "}"
    # As a page of its own there is no text around it.
    "@media (prefers-color-scheme:dark){svg:root{color:#e6e6e6}}"
)


@dataclass(frozen=True)
class Diagram:
    """A drawing: its SVG text, and what was drawn where.

    Lines have the colour of the text around them.  Notebooks show it; :meth:`save` writes a file.
    """

    svg: str
    graphs: tuple[Graph, ...]
    layouts: tuple[Layout, ...]
    boxes: tuple[tuple[Box, ...], ...]
    """For each graph the boxes of its nodes, in pixels."""

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # As part of the page, not as an image, it has the colours of the page.
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the SVG text to a file whose name ends in ``.svg``; InputError for any other."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise InputError(
                f"save: {path.name!r} is given; a name that ends in '.svg' is expected"
            )
        path.write_text(self.svg, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        tensors = sum(n.kind == "tensor" for g in self.graphs for n in g.nodes)
        kinds = ", ".join(dict.fromkeys(k for made in self.layouts for k in made.kinds))
        return f"<diagram of {tensors} tensors: {kinds}; .svg, .save(path)>"


def diagram(graphs: Sequence[Graph], title: str = "") -> Diagram:
    """A drawing of graphs, one below the other as the terms of a sum."""
    layouts = tuple(map(layout, graphs))
    parts: list[str] = []
    boxes: list[tuple[Box, ...]] = []
    top, right = 0.0, 0.0
    lead = 26.0 if len(graphs) > 1 else 0.0
    for k, (graph, places) in enumerate(zip(graphs, layouts, strict=True)):
        drawn = _Drawing(graph, places)
        left, above, far, below = drawn.extent()
        dx, dy = lead - left, top - above
        if k:
            plus = f'<text class="name" x="10" y="{_number(top + (below - above) / 2)}">+</text>'
            parts.append(plus)
        parts.append(f'<g transform="translate({_number(dx)} {_number(dy)})">')
        parts += [*drawn.lines, *drawn.nodes, *drawn.texts, "</g>"]
        boxes.append(tuple((a + dx, b + dy, c + dx, d + dy) for a, b, c, d in drawn.boxes))
        top += below - above
        right = max(right, far - left)
    width, height = _number(right + lead), _number(top)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" class="tensorcalculus">'
        f"<title>{escape(title)}</title><style>{_scoped(_STYLE)}</style>"
    )
    return Diagram(head + "\n".join(parts) + "</svg>\n", tuple(graphs), layouts, tuple(boxes))


def _scoped(style: str) -> str:
    """The style for this kind of drawing alone, wherever it stands in a page."""
    rules = style.split("}")
    made = []
    for rule in rules:
        selectors, brace, body = rule.partition("{")
        if not brace or selectors.startswith("@"):
            made.append(rule)
            continue
        named = ",".join(f".tensorcalculus {s}" for s in selectors.split(","))
        made.append(f"{named}{brace}{body}")
    return "}".join(made)


class _Boxes:
    """Boxes, looked up by where they are."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], dict[Box, None]] = {}

    def add(self, box: Box) -> None:
        for cell in self._covered(box):
            self.cells.setdefault(cell, {})[box] = None

    def near(self, box: Box) -> dict[Box, None]:
        """All that may meet a box."""
        found: dict[Box, None] = {}
        for cell in self._covered(box):
            found |= self.cells.get(cell, {})
        return found

    def hold(self, p: Point, margin: float, *but: Box) -> bool:
        """Whether a point is nearer than the margin to a box other than those."""
        x, y = p
        around = (x - margin, y - margin, x + margin, y + margin)
        return any(_common(around, box) > 0 for box in self.near(around) if box not in but)

    def extent(self) -> Box:
        """What all boxes cover."""
        edges = list(zip(*(box for cell in self.cells.values() for box in cell), strict=True))
        return min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3])

    def _covered(self, box: Box) -> list[tuple[int, int]]:
        left, top, right, bottom = (math.floor(side / _CELL) for side in box)
        return [(i, j) for i in range(left, right + 1) for j in range(top, bottom + 1)]


class _Drawing:
    """One graph in pixels: elements, and what is taken by them."""

    def __init__(self, graph: Graph, places: Layout) -> None:
        self.graph = graph
        self.lines: list[str] = []
        self.nodes: list[str] = []
        self.texts: list[str] = []
        self.taken = _Boxes()
        widths = [_width(n.name) if n.kind != "copy" else 2 * _DOT for n in graph.nodes]
        # In a grid legs and lines share the room between nodes.
        beside = graph.legs if "grid" in places.kinds else ()
        labels = [x.label for x in (*graph.edges, *beside)]
        letters = max((len(_shown(label)) for label in labels), default=0)
        unit = max(max(widths, default=0) + max(34.0, _SMALL * letters + 12), 70.0)
        self.points = [(x * unit, y * unit) for x, y in places.points]
        self.boxes = []
        for node, (x, y), w in zip(graph.nodes, self.points, widths, strict=True):
            half = _DOT if node.kind == "copy" else _HEIGHT / 2
            self.boxes.append((x - w / 2, y - half, x + w / 2, y + half))
        self.around = _Boxes()
        for box in self.boxes:
            self.taken.add(box)
            self.around.add(box)
        self.angles: list[list[float]] = [[] for _ in graph.nodes]
        """The directions in which lines leave a node."""
        self._draw_nodes()
        waiting = self._draw_edges()
        waiting += self._draw_legs(places)
        for text, options, marked in waiting:
            self._write(text, options, marked)

    def extent(self) -> Box:
        """What the drawing covers, with a margin."""
        left, top, right, bottom = self.taken.extent()
        return left - 8, top - 8, right + 8, bottom + 8

    def _draw_nodes(self) -> None:
        for node, (left, top, right, bottom) in zip(self.graph.nodes, self.boxes, strict=True):
            x, y = _number((left + right) / 2), _number((top + bottom) / 2)
            name = f"<title>{escape(node.name)}</title>"
            if node.kind == "copy":
                self.nodes.append(
                    f'<circle class="copy" cx="{x}" cy="{y}" r="{_DOT}">{name}</circle>'
                )
                continue
            size = f'width="{_number(right - left)}" height="{_number(bottom - top)}"'
            at = f'x="{_number(left)}" y="{_number(top)}"'
            self.nodes.append(f'<rect class="{node.kind}" {at} {size} rx="14">{name}</rect>')
            gone = " gone" if node.kind == "deleted" else ""
            text = escape(_shown(node.name))
            self.nodes.append(f'<text class="name{gone}" x="{x}" y="{y}">{text}</text>')

    def _marked(self, *nodes: int) -> bool:
        return any(self.graph.nodes[k].kind == "deleted" for k in nodes)

    def _draw_edges(self) -> list[tuple[str, list[Point], bool]]:
        """All lines between nodes; their labels, with points where these may stand."""
        waiting = []
        used: dict[tuple[int, int], list[float]] = {}
        for a, b, label in sorted(self.graph.edges, key=lambda e: e.a == e.b):
            pair = (min(a, b), max(a, b))
            known = used.setdefault(pair, [])
            if a == b:
                curve = self._loop(a, len(known))
                known.append(0.0)
            else:
                bend = self._bend(pair, known)
                known.append(bend)
                curve = self._curve(a, b, bend if (a, b) == pair else -bend)
            curve = self._trimmed(curve, a, b)
            self._line(curve, "edge", self._marked(a, b), label)
            self._starts(a, curve[0])
            self._starts(b, curve[-1])
            if label:
                waiting.append((label, _beside(curve, label), self._marked(a, b)))
        for k, node in enumerate(self.graph.nodes):
            if node.kind == "copy":
                x, y = self.points[k]
                w = _SMALL * len(_shown(node.name)) / 2 + 8
                around = [(x + w, y - 9), (x - w, y - 9), (x + w, y + 9), (x - w, y + 9)]
                waiting.append((node.name, [*around, (x, y - 14), (x, y + 14)], False))
        return waiting

    def _bend(self, pair: tuple[int, int], known: Sequence[float]) -> float:
        """How far a line between two nodes leaves the straight one: past other nodes and lines."""
        several = sum((min(a, b), max(a, b)) == pair for a, b, _ in self.graph.edges)
        offsets = [0.25, -0.25, 0.6, -0.6, 0.95, -0.95]
        if several == 1:
            offsets = [0.0, *offsets]
        elif several % 2:
            offsets = [0.0, 0.4, -0.4, 0.8, -0.8]
        free = [o for o in offsets if o not in known]
        for offset in free:
            curve = self._curve(*pair, offset)
            own = [self.boxes[k] for k in pair]
            if not any(self.around.hold(p, 4, *own) for p in curve[1:-1]):
                return offset
        return free[0] if free else 0.5 + 0.2 * len(known)

    def _curve(self, a: int, b: int, bend: float) -> list[Point]:
        """Points of a parabola between two nodes."""
        (x, y), (u, v) = self.points[a], self.points[b]
        mx, my = (x + u) / 2 - bend * (v - y), (y + v) / 2 + bend * (u - x)
        steps = [t / 16 for t in range(17)] if bend else [0.0, 0.25, 0.5, 0.75, 1.0]
        return [
            ((1 - t) ** 2 * x + 2 * t * (1 - t) * mx + t * t * u,
             (1 - t) ** 2 * y + 2 * t * (1 - t) * my + t * t * v)
            for t in steps
        ]  # fmt: skip

    def _loop(self, k: int, before: int) -> list[Point]:
        """Points of a loop at a node, where there is room; further ones around it."""
        x, y = self.points[k]
        angle = self._free(k, UP)
        r = 13.0 + 6 * before
        reach = _HEIGHT / 2 + r - 5
        cx, cy = x + reach * math.cos(angle), y + reach * math.sin(angle)
        turns = [angle + math.pi + 2 * math.pi * t / 24 for t in range(25)]
        return [(cx + r * math.cos(t), cy + r * math.sin(t)) for t in turns]

    def _line(self, points: Sequence[Point], kind: str, marked: bool, label: str) -> None:
        spelled = " ".join(f"{_number(x)},{_number(y)}" for x, y in _short(points))
        kind += " marked" if marked else ""
        title = f"<title>{escape(label)}</title>" if label else ""
        self.lines.append(f'<path class={quoteattr(kind)} d="M{spelled}">{title}</path>')
        for (x, y), (u, v) in pairwise(points):
            for t in (0.2, 0.5, 0.8):
                p, q = x + t * (u - x), y + t * (v - y)
                self.taken.add((p - 1, q - 1, p + 1, q + 1))

    def _starts(self, node: int, point: Point) -> None:
        """A line starts at a point on the border of a node; an open end, if that was taken out."""
        x, y = self.points[node]
        self.angles[node].append(math.atan2(point[1] - y, point[0] - x))
        if self._marked(node):
            at = f'cx="{_number(point[0])}" cy="{_number(point[1])}"'
            self.nodes.append(f'<circle class="end" {at} r="3"/>')

    def _trimmed(self, curve: Sequence[Point], a: int, b: int) -> list[Point]:
        """What of a line from one node to another lies outside of both."""
        points = list(curve)
        for k in (a, b):
            inside = 0
            while inside < len(points) - 2 and self._covers(k, points[inside + 1]):
                inside += 1
            low, high = points[inside], points[inside + 1]
            for _ in range(12):
                middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
                low, high = (middle, high) if self._covers(k, middle) else (low, middle)
            points[: inside + 1] = [high]
            points.reverse()
        return points

    def _covers(self, k: int, p: Point) -> bool:
        """Whether a point lies within a node, whose sides are half circles."""
        left, top, right, bottom = self.boxes[k]
        radius = (bottom - top) / 2
        x = min(max(p[0], left + radius), right - radius)
        return math.hypot(p[0] - x, p[1] - top - radius) < radius

    def _draw_legs(self, places: Layout) -> list[tuple[str, list[Point], bool]]:
        waiting = []
        for k in range(len(self.graph.nodes)):
            own = sorted((leg for leg in self.graph.legs if leg.node == k), key=lambda g: g.summed)
            wish = places.outwards[k]
            vertical = abs(math.cos(wish)) < 1e-6 and sum(not leg.summed for leg in own) == 2
            for n, leg in enumerate(own):
                if vertical and not leg.summed:
                    wish = DOWN if n else UP
                elif leg.summed and self.angles[k]:
                    wish = self.angles[k][0] + math.pi
                angle = self._free(k, wish)
                (x, y), marked = self.points[k], self._marked(k)
                c, s = math.cos(angle), math.sin(angle)
                out = (x + 1000 * c, y + 1000 * s)
                start, _ = self._trimmed([self.points[k], out], k, k)
                length = _LEG if not leg.summed else 0.6 * _LEG
                end = (start[0] + length * c, start[1] + length * s)
                self._line([start, end], "summed" if leg.summed else "leg", marked, leg.label)
                self._starts(k, start)
                if leg.summed:
                    at = f'cx="{_number(end[0])}" cy="{_number(end[1])}"'
                    self.nodes.append(f'<circle class="copy" {at} r="{_DOT}"/>')
                if leg.label:
                    behind = (end[0] + leg.summed * _DOT * c, end[1] + leg.summed * _DOT * s)
                    waiting.append((leg.label, _beyond(behind, angle, leg.label), marked))
        return waiting

    def _free(self, k: int, wish: float) -> float:
        """A direction away from the lines at a node, clear of other nodes, near to a wish."""
        x, y = self.points[k]
        reach = max(self.boxes[k][2] - x, _HEIGHT / 2) + _LEG
        best, most = wish, -math.inf
        for t in range(_TURNS):
            angle = wish + 2 * math.pi * t / _TURNS
            gap = min((_between(angle, other) for other in self.angles[k]), default=math.pi)
            value = min(gap, math.pi / 4) - 0.12 * _between(angle, wish)
            ends = [(x + r * math.cos(angle), y + r * math.sin(angle)) for r in (reach, reach + 12)]
            if any(self.around.hold(p, 6, self.boxes[k]) for p in ends):
                value -= 1.0
            if value > most + 1e-9:
                best, most = angle, value
        return best

    def _write(self, text: str, options: Sequence[Point], marked: bool) -> None:
        """A label at the first of the places that covers least."""
        shown = _shown(text)
        w, h = _SMALL * len(shown) / 2, _LINE / 2
        boxes = [(x - w, y - h, x + w, y + h) for x, y in options]
        cost = [sum(_common(box, other) for other in self.taken.near(box)) for box in boxes]
        k = min(range(len(boxes)), key=lambda j: (round(cost[j], 3), j))
        x, y = options[k]
        self.taken.add(boxes[k])
        gone = ' class="gone"' if marked else ""
        self.texts.append(f'<text{gone} x="{_number(x)}" y="{_number(y)}">{escape(shown)}</text>')


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _width(name: str) -> float:
    return max(_HEIGHT, _LETTER * len(_shown(name)) + 12)


def _number(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0")


def _short(points: Sequence[Point]) -> Sequence[Point]:
    """The ends alone of what is straight."""
    return (points[0], points[-1]) if len(points) < 6 else points


def _between(a: float, b: float) -> float:
    """The angle between two directions."""
    return abs((a - b + math.pi) % (2 * math.pi) - math.pi)


def _common(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    return w * h if w > 0 and h > 0 else 0.0


def _beside(curve: Sequence[Point], label: str) -> list[Point]:
    """Places for a label along a line: above or to the right first, then on the other side."""
    found = []
    for t in (0.5, 0.3, 0.7):
        k = round(t * (len(curve) - 1))
        x, y = curve[k]
        if len(curve) < 6:
            x = curve[0][0] + t * (curve[-1][0] - curve[0][0])
            y = curve[0][1] + t * (curve[-1][1] - curve[0][1])
        before, after = curve[max(k - 1, 0)], curve[min(k + 1, len(curve) - 1)]
        u, v = after[0] - before[0], after[1] - before[1]
        norm = math.hypot(u, v) or 1.0
        nx, ny = v / norm, -u / norm
        if ny > 1e-9 or (abs(ny) <= 1e-9 and nx < 0):
            nx, ny = -nx, -ny
        found += [(x, y, nx, ny), (x, y, -nx, -ny)]
    w = _SMALL * len(_shown(label)) / 2
    away = [abs(nx) * w + abs(ny) * _LINE / 2 + 4 for *_, nx, ny in found]
    return [(x + r * nx, y + r * ny) for (x, y, nx, ny), r in zip(found, away, strict=True)]


def _beyond(end: Point, angle: float, label: str) -> list[Point]:
    """Places for a label at the end of a leg: behind it, then beside it."""
    w = _SMALL * len(_shown(label)) / 2 + 3
    c, s = math.cos(angle), math.sin(angle)
    x, y = end
    beside = [(x - 0.4 * _LEG * c + w * t * s, y - 0.4 * _LEG * s - 8 * t * c) for t in (1, -1)]
    return [(x + w * c, y + 9 * s), *((p + 3 * s, q) for p, q in beside)]

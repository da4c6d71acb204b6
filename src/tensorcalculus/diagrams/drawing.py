"""One graph in pixels: nodes and frames at their places, lines, legs and labels clear of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from tensorcalculus.diagrams.graph import Graph, Leg, Node, Picture
from tensorcalculus.diagrams.layout import DOWN, LEFT, RIGHT, UP, Point, layout
from tensorcalculus.diagrams.lines import (
    at_start,
    beside,
    between,
    beyond,
    covers,
    outer,
    parabola,
    trimmed,
)
from tensorcalculus.diagrams.piece import (
    DOT,
    HEIGHT,
    LEG,
    LETTER,
    SMALL,
    Box,
    Boxes,
    Drawn,
    End,
    Piece,
    Port,
    Shape,
    Stroke,
    Text,
    Waiting,
    common,
    shown,
    text_box,
    text_width,
)

_PAD, _TITLE, _CORNER = 11.0, 13.0, 10.0
"""Of frames: room inside, height of the title, radius of the corners."""
_TURNS = 24
"""How many directions a leg is tried in."""
_USUAL = 60.0
"""The width of a node to which the unit of a layout may grow; others are made room for."""
WIDEST = 760.0
"""Where a sum goes on in a new line."""


def side_by_side(picture: Picture, *, through: bool = False, mirrored: bool = False) -> Piece:
    """The terms of a sum in lines, with their signs and numbers.

    ``through`` leaves the open legs of a picture of one term to what stands around it;
    ``mirrored`` exchanges left and right in the networks.
    """
    whole = Piece()
    top, line, right = 0.0, Piece(), 0.0

    def end_line() -> float:
        left, above, _, below = line.extent()
        whole.absorb(line.moved(-left, top - above))
        return top + below - above + 16

    for term in picture:
        sign, factor = term.sign, shown(term.factor)
        drawn = drawing(term.graph, through=through) if term.graph.nodes else Piece()
        drawn = drawn.mirrored() if mirrored else drawn
        left, above, far, below = drawn.extent()
        front = sum(text_width("sign", t) + 8 for t in (sign, factor) if t)
        if right and right + front + far - left > WIDEST:
            top = end_line()
            line, right = Piece(), 0.0
        x = right
        for t in (sign, factor):
            if t:
                x += 8 if right else 0
                line.add(Text("sign", (x + text_width("sign", t) / 2, 0.0), t))
                x += text_width("sign", t) + 6
        drawn = drawn.moved(x - left, -_middle(drawn, above, below))
        line.absorb(drawn)
        line.ports |= drawn.ports
        right = x + far - left + (8 if drawn.nodes else 0)
    if not whole.taken and not whole.nodes:
        return line
    height = end_line() - 16
    return whole.moved(0.0, -height / 2)


def _middle(piece: Piece, above: float, below: float) -> float:
    """The height at which a piece stands on a line: that of its nodes where they are in a row."""
    if piece.drawn:
        heights = {round((b[1] + b[3]) / 2, 3) for b in piece.drawn[-1].boxes}
        if len(heights) == 1:
            return heights.pop()
    return (above + below) / 2


def drawing(graph: Graph, *, through: bool = False) -> Piece:
    """A graph as a piece; ``through`` leaves its open legs and all labels to what is around it."""
    return _Drawing(graph, through).piece


class _Drawing:
    """One graph while it is drawn."""

    def __init__(self, graph: Graph, through: bool) -> None:
        self.graph = graph
        self.piece = Piece()
        self.places = layout(graph)
        insides = [_content(node) for node in graph.nodes]
        sizes = [_size(n, i) for n, i in zip(graph.nodes, insides, strict=True)]
        self._place(sizes)
        self.ports: list[dict[int, Port]] = []
        for k, node in enumerate(graph.nodes):
            self._draw_node(k, node, insides[k])
        # What is inside comes first, so that the last one drawn is the whole.
        self.piece.drawn.append(Drawn(graph, self.places, tuple(self.boxes)))
        self.around = Boxes(self.piece.nodes)
        self._draw_edges()
        if through:
            for leg in graph.legs:
                if not leg.summed:
                    port = self._port(leg.node, leg.axis)
                    wish = self._wishes(leg.node)[leg.place] if port.wish is None else port.wish
                    self.piece.ports[leg.place] = port._replace(wish=wish)
        self._draw_legs([leg for leg in graph.legs if leg.summed or not through])
        if not through:
            self._write_waiting()

    # -- nodes -----------------------------------------------------------------------------------

    def _place(self, sizes: Sequence[Point]) -> None:
        """Boxes of all nodes: a layout in one unit, in which large nodes push others apart."""
        graph, places = self.graph, self.places
        # In a grid legs and lines share the room between nodes.
        near = graph.legs if "grid" in places.kinds else ()
        letters = max((len(shown(x.label)) for x in (*graph.edges, *near)), default=0)
        usual = max((min(w, _USUAL) for w, _ in sizes), default=0.0)
        numbers = 14.0 if any(n.numbered for n in graph.nodes) else 0.0
        several = Counter((min(e.a, e.b), max(e.a, e.b)) for e in graph.edges)
        if max(several.values(), default=0) > 2:
            numbers += 30.0
        unit = max(usual + max(34.0, SMALL * letters + 12) + numbers, 70.0)
        across = _spread([p[0] for p in places.points], [w - usual for w, _ in sizes], unit)
        down = _spread([p[1] for p in places.points], [h - HEIGHT for _, h in sizes], unit)
        self.boxes: list[Box] = []
        self.ends: list[End] = []
        for node, (w, h), x, y in zip(graph.nodes, sizes, across, down, strict=True):
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            self.boxes.append(box)
            self.ends.append(End(box, _CORNER if node.inside else h / 2))

    def _draw_node(self, k: int, node: Node, inside: Piece | None) -> None:
        piece, box = self.piece, self.boxes[k]
        left, top, right, bottom = box
        self.ports.append({})
        if node.kind == "copy" or inside is None:
            piece.shapes.append(Shape(node.kind, box, node.name, node.chosen))
            piece.nodes.append(box)
            piece.taken.append(box)
            if node.kind != "copy":
                gone = node.kind == "deleted"
                middle = ((left + right) / 2, (top + bottom) / 2)
                piece.texts.append(Text("name", middle, shown(node.name), gone))
            return
        piece.shapes.append(Shape(node.kind, box, node.name, node.chosen))
        piece.nodes.append(box)
        if node.name:
            w = text_width("title", shown(node.name)) / 2
            sides, heights = (left + 10 + w, right - 10 - w), (top + 10, bottom - 10)
            corners = tuple((x, y) for y in heights for x in sides)
            piece.waiting.append(Waiting("title", node.name, corners, False))
        if inside.ports and self._better_mirrored(k, inside):
            again = _content(node, mirrored=True)
            inside = again or inside
        else:
            # What stands in an operation is not in the way of lines to its border.
            inside.nodes = inside.nodes if inside.ports else []
        a, _, c, _ = inside.extent()
        inside = inside.moved((left + right - a - c) / 2, (top + bottom) / 2)
        piece.absorb(inside)
        for axis, port in inside.ports.items():
            end = port.end._replace(frames=(*port.end.frames, box))
            self.ports[k][axis] = port._replace(end=end)
        for p in _outline(box):
            piece.taken.append((p[0] - 1, p[1] - 1, p[0] + 1, p[1] + 1))

    def _better_mirrored(self, k: int, inside: Piece) -> bool:
        """Whether lines from other nodes reach the nodes in a frame better with these mirrored."""
        middle = (inside.extent()[0] + inside.extent()[2]) / 2
        x = self.ends[k].centre[0]
        lean = 0.0
        wishes = {leg.axis: math.cos(self.places.outwards[k]) for leg in self.graph.legs
                  if leg.node == k}  # fmt: skip
        for a, b, _, axes in self.graph.edges:
            for node, other, axis in ((a, b, axes[0]), (b, a, axes[1])):
                if node == k != other:
                    wishes[axis] = self.ends[other].centre[0] - x
        for axis, wish in wishes.items():
            if axis in inside.ports and abs(wish) > 1e-6:
                place = inside.ports[axis].end.centre[0] - middle
                lean += math.copysign(1.0, wish) * place
        return lean < -1e-6

    def _port(self, k: int, axis: int) -> Port:
        """Where a line for an axis of a node starts."""
        known = self.ports[k].get(axis)
        if known is not None:
            return known
        node = self.graph.nodes[k]
        number = str(axis + 1) if node.numbered and axis >= 0 else ""
        return Port(self.ends[k], number)

    def _marked(self, *nodes: int) -> bool:
        return any(self.graph.nodes[k].kind == "deleted" for k in nodes)

    # -- lines -----------------------------------------------------------------------------------

    def _draw_edges(self) -> None:
        used: dict[tuple[int, int], list[float]] = {}
        for a, b, label, axes in sorted(self.graph.edges, key=lambda e: e.a == e.b):
            pair = (min(a, b), max(a, b))
            known = used.setdefault(pair, [])
            start, end = self._port(a, axes[0]), self._port(b, axes[1])
            straight = False
            if a == b:
                curve = self._loop(a, start.end, end.end, len(known))
                known.append(0.0)
            else:
                forward = (a, b) == pair
                ends = (start.end, end.end) if forward else (end.end, start.end)
                bend = self._bend(pair, ends, known)
                known.append(bend)
                straight = not bend
                sign = 1 if forward else -1
                curve = parabola(start.end.centre, end.end.centre, sign * bend)
            curve = trimmed(curve, start.end, end.end)
            marked = self._marked(a, b)
            self._line(curve, "edge", marked, label, straight)
            self._starts(a, start, curve[0], marked)
            self._starts(b, end, curve[-1], marked)
            if label:
                seen = outer(curve, [*start.end.frames, *end.end.frames])
                self.piece.waiting.append(Waiting("label", label, beside(seen, label), marked))
        named = {leg.node for leg in self.graph.legs if leg.label}
        for k, node in enumerate(self.graph.nodes):
            if node.kind == "copy" and node.name and k not in named:
                (x, y), w = self.ends[k].centre, text_width("label", shown(node.name)) / 2 + 8
                near = [(x + w, y - 9), (x - w, y - 9), (x + w, y + 9), (x - w, y + 9)]
                near += [
                    (x, y - 14),
                    (x, y + 14),
                    (x + w, y - 18),
                    (x + w, y + 18),
                    (x - w, y - 18),
                ]
                self.piece.waiting.append(Waiting("label", node.name, tuple(near), False))

    def _bend(self, pair: tuple[int, int], ends: tuple[End, End], known: Sequence[float]) -> float:
        """How far a line between two nodes leaves the straight one: past other nodes and lines."""
        several = sum((min(e.a, e.b), max(e.a, e.b)) == pair for e in self.graph.edges)
        offsets = [0.25, -0.25, 0.6, -0.6, 0.95, -0.95]
        apart = any(self.ports[k] for k in pair)
        if several == 1 or apart:
            offsets = [0.0, 0.12, -0.12, *offsets]
        elif several % 2:
            offsets = [0.0, 0.4, -0.4, 0.8, -0.8]
        free = [o for o in offsets if o not in known or (apart and not o)]
        own = [box for e in ends for box in (e.box, *e.frames)]
        for offset in free:
            curve = parabola(ends[0].centre, ends[1].centre, offset)
            seen = trimmed(curve, *ends)
            if not any(self.around.hold(p, 4, own) for p in seen[1:-1]):
                return offset
        return free[0] if free else 0.5 + 0.2 * len(known)

    def _loop(self, k: int, a: End, b: End, before: int) -> list[Point]:
        """Points of a loop at a node, where there is room; at a frame, below it."""
        if self.graph.nodes[k].inside:
            low = self.boxes[k][3] + 14 + 8 * before
            (x, y), (u, v) = a.centre, b.centre
            if abs(x - u) < 24:
                x, u = (x - 16, u + 16) if x <= u else (x + 16, u - 16)
            return [a.centre, (x, y), (x, low), ((x + u) / 2, low + 6), (u, low), (u, v), b.centre]
        x, y = self.ends[k].centre
        angle = self._free(self.ends[k], UP)
        r = 13.0 + 6 * before
        reach = HEIGHT / 2 + r - 5
        cx, cy = x + reach * math.cos(angle), y + reach * math.sin(angle)
        turns = [angle + math.pi + 2 * math.pi * t / 24 for t in range(25)]
        return [(cx + r * math.cos(t), cy + r * math.sin(t)) for t in turns]

    def _line(
        self, points: Sequence[Point], kind: str, marked: bool, label: str, straight: bool
    ) -> None:
        ends = (points[0], points[-1])
        self.piece.strokes.append(Stroke(kind, ends if straight else tuple(points), marked, label))
        for (x, y), (u, v) in pairwise(ends if straight else points):
            steps = max(3, int(math.hypot(u - x, v - y) / 8))
            for t in range(1, steps):
                p, q = x + t / steps * (u - x), y + t / steps * (v - y)
                self.piece.taken.append((p - 1, q - 1, p + 1, q + 1))

    def _starts(self, k: int, port: Port, point: Point, marked: bool) -> None:
        """A line starts at a point on the border of a node; an open end, if that was taken out."""
        x, y = port.end.centre
        angle = math.atan2(point[1] - y, point[0] - x)
        self.piece.angles.setdefault(port.end.box, []).append(angle)
        if port.number:
            places = at_start(point, angle)
            self.piece.waiting.append(Waiting("axis", port.number, places, marked))
        if self._marked(k):
            self._ring(point)

    def _ring(self, point: Point) -> None:
        x, y = point
        self.piece.shapes.append(Shape("end", (x - 3, y - 3, x + 3, y + 3), ""))

    # -- legs ------------------------------------------------------------------------------------

    def _draw_legs(self, legs: Sequence[Leg]) -> None:
        for k in range(len(self.graph.nodes)):
            wishes = self._wishes(k)
            for leg in sorted((g for g in legs if g.node == k), key=lambda g: g.summed):
                port = self._port(k, leg.axis)
                known = self.piece.angles.get(port.end.box, [])
                wish = wishes.get(leg.place, self.places.outwards[k])
                if leg.summed and known:
                    wish = known[0] + math.pi
                elif port.wish is not None:
                    wish = port.wish
                self._draw_leg(k, leg, port, self._free(port.end, wish))

    def _wishes(self, k: int) -> dict[int, float]:
        """The directions in which the open legs of a node leave best, by their places."""
        places = [leg.place for leg in self.graph.legs if leg.node == k and not leg.summed]
        wish = self.places.outwards[k]
        found = dict.fromkeys(places, wish)
        if len(places) == 2 and abs(math.cos(wish)) < 1e-6:
            found = dict(zip(places, (UP, DOWN), strict=True))
        elif len(places) == 2 and wish == LEFT:
            found = dict(zip(places, (LEFT, RIGHT), strict=True))
        elif len(places) > 2 and not any(k in (e.a, e.b) for e in self.graph.edges):
            # From left to right below the node.
            step = math.pi / (len(places) + 1)
            found = {p: math.pi - step * (n + 1) for n, p in enumerate(places)}
        return found

    def _draw_leg(self, k: int, leg: Leg, port: Port, angle: float) -> None:
        marked = self._marked(k) or leg.derivative
        c, s = math.cos(angle), math.sin(angle)
        x, y = port.end.centre
        out = (x + 2000 * c, y + 2000 * s)
        start = trimmed([(x, y), out], port.end, port.end)[0]
        length = LEG if not leg.summed else 0.6 * LEG
        if port.number:
            length += 8
        away = _exit(port.end, angle) + length
        end = (x + away * c, y + away * s)
        self._line([start, end], "summed" if leg.summed else "leg", marked, leg.label, True)
        self._starts(k, port, start, marked)
        if leg.summed:
            dot = (end[0] - DOT, end[1] - DOT, end[0] + DOT, end[1] + DOT)
            self.piece.shapes.append(Shape("copy", dot, ""))
            self.piece.taken.append(dot)
        elif leg.derivative:
            self._ring(end)
        if leg.label:
            more = (leg.summed + leg.derivative) * DOT
            behind = (end[0] + more * c, end[1] + more * s)
            places = beyond(behind, angle, leg.label)
            self.piece.waiting.append(Waiting("label", leg.label, places, marked))

    def _free(self, end: End, wish: float) -> float:
        """A direction away from the lines at a node, clear of other nodes, near to a wish."""
        x, y = end.centre
        own = (end.box, *end.frames)
        angles = self.piece.angles.get(end.box, ())
        best, most = wish, -math.inf
        for t in range(_TURNS):
            angle = wish + 2 * math.pi * t / _TURNS
            c, s = math.cos(angle), math.sin(angle)
            gap = min((between(angle, other) for other in angles), default=math.pi)
            value = min(gap, math.pi / 4) - 0.12 * between(angle, wish)
            if end.box[3] - end.box[1] > HEIGHT and min(abs(c), abs(s)) > 1e-6:
                value -= 0.1  # from a frame at a right angle
            reach = _exit(end, angle) + LEG
            if end.frames:
                value -= 0.001 * reach
            steps = [reach, reach + 12]
            if end.frames:
                steps += [float(r) for r in range(16, int(reach), 8)]
            value -= sum(1.0 for r in steps if self.around.hold((x + r * c, y + r * s), 6, own))
            if value > most + 1e-9:
                best, most = angle, value
        return best

    # -- texts -----------------------------------------------------------------------------------

    def _write_waiting(self) -> None:
        """Each text at the first of its places that covers least."""
        piece = self.piece
        taken = Boxes(piece.taken)
        order = {"title": 0, "axis": 1}
        for kind, text, options, marked in sorted(
            piece.waiting, key=lambda w: order.get(w.kind, 2)
        ):
            text = shown(text)
            least, k = math.inf, 0
            boxes = [text_box(kind, text, p) for p in options]
            for n, box in enumerate(boxes):
                cost = round(sum(common(box, other) for other in taken.near(box)), 3)
                if cost < least:
                    least, k = cost, n
                if not cost:
                    break
            taken.add(boxes[k])
            piece.add(Text(kind, options[k], text, marked))
        piece.waiting.clear()


def _content(node: Node, *, mirrored: bool = False) -> Piece | None:
    """What stands in a frame."""
    if not node.inside:
        return None
    if len(node.inside) == 1:
        single = node.kind == "map" and len(node.inside[0]) == 1
        return side_by_side(node.inside[0], through=single, mirrored=mirrored)
    whole, right = Piece(), 0.0
    for n, picture in enumerate(node.inside):
        part = side_by_side(picture)
        left, _, far, _ = part.extent()
        if n:
            whole.add(Text("sign", (right + 6, 0.0), ","))
            right += 16
        whole.absorb(part.moved(right - left, 0.0))
        right += far - left
    return whole


def _size(node: Node, inside: Piece | None) -> Point:
    if node.kind == "copy":
        return 2 * DOT, 2 * DOT
    if inside is None:
        return max(HEIGHT, LETTER * len(shown(node.name)) + 12), HEIGHT
    left, top, right, bottom = inside.extent()
    width = max(right - left, text_width("title", shown(node.name)) + 16) + 2 * _PAD
    # The line on which the content stands is in the middle, on that of the nodes outside.
    half = max(_PAD + bottom, _PAD - top + (_TITLE if node.name else 0.0), HEIGHT / 2)
    return width, 2 * half


def _spread(places: Sequence[float], more: Sequence[float], unit: float) -> list[float]:
    """Coordinates in pixels: what is larger than usual pushes the others to both sides."""
    columns: dict[float, float] = {}
    for x, m in zip(places, more, strict=True):
        if m > 0:
            columns[round(x, 3)] = max(m, columns.get(round(x, 3), 0.0))
    return [
        x * unit + sum(math.copysign(m, x - c) / 2 for c, m in columns.items() if abs(x - c) > 2e-3)
        for x in places
    ]


def _exit(end: End, angle: float) -> float:
    """How far from the centre of a node its line leaves it and the frames around it."""
    c, s = math.cos(angle), math.sin(angle)
    x, y = end.centre
    far = 0.0
    for box in end.frames:
        across = ((box[2] if c > 0 else box[0]) - x) / c if abs(c) > 1e-9 else math.inf
        down = ((box[3] if s > 0 else box[1]) - y) / s if abs(s) > 1e-9 else math.inf
        far = max(far, min(across, down))
    if not end.frames:
        low, high = 0.0, 2000.0
        for _ in range(24):
            middle = (low + high) / 2
            inner = covers(end.box, end.radius, (x + middle * c, y + middle * s))
            low, high = (middle, high) if inner else (low, middle)
        far = high
    return far


def _outline(box: Box) -> list[Point]:
    """Points along the border of a box."""
    left, top, right, bottom = box
    across = [left + t * (right - left) / 40 for t in range(41)]
    down = [top + t * (bottom - top) / 20 for t in range(21)]
    return [*((x, y) for x in across for y in (top, bottom)),
            *((x, y) for y in down for x in (left, right))]  # fmt: skip

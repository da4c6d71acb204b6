"""Where nodes stand: chains on a line, rings on a circle, stars, trees, grids as people draw them.

Connected parts are recognised by their graphs alone; names only decide what is a row.  Distances
are in units of one line, y grows downwards.  The same graph gives the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np

from tensorcalculus.diagrams.graph import Graph

Point = tuple[float, float]
Neighbours = dict[int, list[int]]
DOWN, UP, DIAGONAL = math.pi / 2, -math.pi / 2, math.pi / 4
LEFT, RIGHT = math.pi, 0.0
_APART = 1.0
"""Between parts that nothing joins."""
_BESIDE = 0.75
"""More, for legs that leave to a side."""
_CLOSEST = 0.8
"""The least distance of two nodes that are placed by their distances in the graph."""
_ROOM = 1.25
"""What these are stretched by, as lines may go in any direction."""
_ASPECT = (0.5, -0.42)
"""Where a step into the picture goes, of a grid in three dimensions, and its stretch."""
_STRETCH = 1.3
_FILLED = 0.75
"""What part of the places of a grid has a node."""
_CORNERS = 12
"""How many nodes are tried as corners of a grid."""


@dataclass(frozen=True)
class Layout:
    """Points of the nodes, and for each the angle at which open legs leave best."""

    points: tuple[Point, ...]
    outwards: tuple[float, ...]
    kinds: tuple[str, ...]
    """What the connected parts are: chain, ring, star, comb, tree, grid, layers, any."""


@dataclass
class _Part:
    """A connected part while it is placed."""

    kind: str
    points: dict[int, Point]
    outwards: dict[int, float]


def layout(graph: Graph) -> Layout:
    """Places for all nodes; parts that nothing joins stand side by side."""
    neighbours = graph.neighbours
    points: dict[int, Point] = {}
    outwards: dict[int, float] = {}
    kinds: list[str] = []
    right = 0.0
    for members in _parts(neighbours):
        around = {k: neighbours[k] for k in members}
        part = _placed(graph, around)
        if LEFT in part.outwards.values() and points:
            right += _BESIDE
        low = [min(p[c] for p in part.points.values()) for c in (0, 1)]
        for k, (x, y) in part.points.items():
            points[k] = (round(x - low[0] + right, 6), round(y - low[1], 6))
        right = max(points[k][0] for k in members) + _APART
        if RIGHT in part.outwards.values():
            right += _BESIDE
        outwards |= part.outwards
        kinds.append(part.kind)
    count = range(len(graph.nodes))
    return Layout(tuple(points[k] for k in count), tuple(outwards[k] for k in count), tuple(kinds))


def _parts(neighbours: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    seen: set[int] = set()
    for start in range(len(neighbours)):
        if start in seen:
            continue
        part = sorted(_distances(neighbours, start))
        seen.update(part)
        yield part


def _distances(neighbours: Sequence[Sequence[int]] | Neighbours, start: int) -> dict[int, int]:
    """How many lines away each node of a part is."""
    found, wave = {start: 0}, [start]
    for k in wave:
        for j in neighbours[k]:
            if j not in found:
                found[j] = found[k] + 1
                wave.append(j)
    return found


def _placed(graph: Graph, around: Neighbours) -> _Part:
    nodes = list(around)
    lines = sum(map(len, around.values())) // 2
    degrees = {k: len(around[k]) for k in nodes}
    most = max(degrees.values())
    if lines == len(nodes) - 1:
        if most <= 2:
            return _chain(around, graph)
        if sum(d > 1 for d in degrees.values()) == 1:
            return _star(around, next(k for k in nodes if degrees[k] > 1))
        return _comb(around) or _tree(around)
    if most == 2:
        return _ring(around)
    return _grid(graph, around) or _layers(around) or _any(around)


def _walk(around: Neighbours, start: int) -> list[int]:
    """Along a path or a ring, first to the neighbour with the least number."""
    order, last = [start], None
    while True:
        ahead = [k for k in around[order[-1]] if k != last and k not in order[:1]]
        if not ahead:
            return order
        last = order[-1]
        order.append(ahead[0])


def _chain(around: Neighbours, graph: Graph | None = None) -> _Part:
    """On a line; legs of a product of matrices leave at its two ends, the first one on the left."""
    ends = [k for k in around if len(around[k]) < 2]
    start = min(ends)
    legs = [leg for leg in graph.legs if leg.node in around] if graph else []
    first = [leg.node for leg in sorted(legs, key=lambda g: g.place) if not leg.summed]
    inner = [k for k in first if len(around[k]) > 1]
    flat = first and not inner and all(first.count(k) < 3 - len(around[k]) for k in ends)
    if flat and first[0] in ends:
        start = first[0]
    order = _walk(around, start)
    outwards = dict.fromkeys(order, DOWN)
    if flat:
        outwards |= {order[-1]: RIGHT, order[0]: LEFT}
    return _Part("chain", {k: (float(x), 0.0) for x, k in enumerate(order)}, outwards)


def _ring(around: Neighbours) -> _Part:
    order = _walk(around, min(around))
    n = len(order)
    # The first at the top; four in a square that stands on a side.
    start = UP - (math.pi / 4 if n == 4 else 0)
    return _on_circle("ring", order, 0.5 / math.sin(math.pi / n), start)


def _star(around: Neighbours, centre: int) -> _Part:
    n = len(around[centre])
    start = UP - (math.pi / 4 if n == 4 else 0)
    part = _on_circle("star", around[centre], max(1.0, 0.5 / math.sin(math.pi / n)), start)
    part.points[centre] = (0.0, 0.0)
    part.outwards[centre] = DOWN
    return part


def _on_circle(kind: str, order: Sequence[int], radius: float, start: float) -> _Part:
    angles = {k: start + 2 * math.pi * t / len(order) for t, k in enumerate(order)}
    points = {k: (radius * math.cos(a), radius * math.sin(a)) for k, a in angles.items()}
    return _Part(kind, points, angles)


def _comb(around: Neighbours) -> _Part | None:
    """A path with at most one more node at each of its nodes, which hangs below."""
    inner = {k: [j for j in near if len(around[j]) > 1] for k, near in around.items()}
    spine = {k: inner[k] for k in around if len(around[k]) > 1}
    if any(len(s) > 2 or len(around[k]) - len(s) > 1 for k, s in spine.items()):
        return None
    part = _chain(spine)
    for k in spine:
        for j in around[k]:
            if j not in spine:
                part.points[j] = (part.points[k][0], 1.0)
                part.outwards[j] = DOWN
    part.outwards |= dict.fromkeys(spine, UP)
    part.kind = "comb"
    return part


def _tree(around: Neighbours) -> _Part:
    """Layers below the middle of the longest path, each node above the middle of its children."""
    far = {k: max(_distances(around, k).values()) for k in around}
    root = min(around, key=lambda k: (far[k], k))
    depth = _distances(around, root)
    children = {k: [j for j in around[k] if depth[j] > depth[k]] for k in around}
    order = [root]
    for k in order:
        order += children[k]
    width: dict[int, float] = {}
    for k in reversed(order):
        width[k] = max(1.0, sum(width[j] for j in children[k]))
    left, points = {root: 0.0}, {}
    for k in order:
        start = left[k]
        for j in children[k]:
            left[j] = start
            start += width[j]
    for k in reversed(order):
        below = [points[j][0] for j in children[k]]
        x = (below[0] + below[-1]) / 2 if below else left[k]
        points[k] = (x, float(depth[k]))
    return _Part("tree", points, dict.fromkeys(around, DOWN) | {root: UP})


def _grid(graph: Graph, around: Neighbours) -> _Part | None:
    """A grid in two or three dimensions, also with lines left out."""
    found = _coordinates(around)
    if found is None:
        return None
    dimensions = len(next(iter(found.values())))
    axes = _directions(graph, around, found)
    places = {k: [c[a] for a in axes] for k, c in found.items()}
    if dimensions == 3:
        points = {
            k: (_STRETCH * (x + _ASPECT[0] * z), _STRETCH * (y + _ASPECT[1] * z))
            for k, (x, y, z) in places.items()
        }
        return _Part("grid", points, dict.fromkeys(around, DIAGONAL))
    points = {k: (float(x), float(y)) for k, (x, y) in places.items()}
    bottom = max(y for _, y in points.values())
    outwards = dict.fromkeys(around, DIAGONAL)
    if bottom < 3:
        # Rows of a sandwich, with legs to the outside.
        outwards |= {k: UP for k, (_, y) in points.items() if y == 0}
        outwards |= {k: DOWN for k, (_, y) in points.items() if y == bottom}
    return _Part("grid", points, outwards)


def _coordinates(around: Neighbours) -> dict[int, tuple[int, ...]] | None:
    """Whole coordinates, different ones, in which every line is a step along one axis.

    From a corner ``a`` and corners ``b`` at the ends of edges from it, ``x = (d_a - d_b + d_ab)/2``
    with distances ``d`` in the graph; the last coordinate is what is missing to ``d_a``.
    """
    least = min(map(len, around.values()))
    corners = [k for k in around if len(around[k]) == least][:_CORNERS]
    away = {k: _distances(around, k) for k in corners}
    for count in (1, 2):
        for a in corners:
            for others in permutations([k for k in corners if k != a], count):
                made: dict[int, tuple[int, ...]] = {}
                for k in around:
                    twice = [away[a][k] - away[b][k] + away[a][b] for b in others]
                    if any(t % 2 for t in twice):
                        break
                    front = [t // 2 for t in twice]
                    made[k] = (*front, away[a][k] - sum(front))
                else:
                    cells = math.prod(1 + max(c) for c in zip(*made.values(), strict=True))
                    if len(made) < _FILLED * cells or len(set(made.values())) < len(made):
                        continue
                    if all(
                        sum(abs(s - t) for s, t in zip(made[k], made[j], strict=True)) == 1
                        for k in around
                        for j in around[k]
                    ):
                        return made
    return None


def _directions(
    graph: Graph, around: Neighbours, found: dict[int, tuple[int, ...]]
) -> tuple[int, ...]:
    """The axes that go to the right, down, and into the picture.

    Rows are where neighbours have names of the same letters, layers where they have not.  Where
    that does not tell, the next tensor after the first is on its right.
    """
    dimensions = len(next(iter(found.values())))
    alike = [0.0] * dimensions
    count = [1e-9] * dimensions
    first = min(around)
    beside = min(around[first])
    for k, near in around.items():
        for j in near:
            axis = next(a for a in range(dimensions) if found[k][a] != found[j][a])
            if {graph.nodes[k].kind, graph.nodes[j].kind} <= {"tensor", "deleted"}:
                count[axis] += 1
                alike[axis] += _letters(graph.nodes[k].name) == _letters(graph.nodes[j].name)

    def rank(axis: int) -> tuple[float, bool, int]:
        along = found[first][axis] != found[beside][axis]
        length = max(c[axis] for c in found.values())
        return -round(alike[axis] / count[axis], 3), not along, -length

    return tuple(sorted(range(dimensions), key=rank))


def _letters(name: str) -> str:
    return name.rstrip("0123456789_")


def _layers(around: Neighbours) -> _Part | None:
    """Layers between two ends, lines between neighbouring layers only: two trees joined at leaves.

    The widest layer is ordered by a walk down from the first end, deep first, so that trees do
    not cross; the others stand above the middle of what they are joined with.
    """
    far = {k: max(_distances(around, k).values()) for k in around}
    for root in sorted(around, key=lambda k: (-far[k], k)):
        depth = _distances(around, root)
        layers: list[list[int]] = [[] for _ in range(far[root] + 1)]
        for k in _deep_first(around, root, depth):
            layers[depth[k]].append(k)
        if len(layers[-1]) == 1 and all(depth[j] != depth[k] for k in around for j in around[k]):
            break
    else:
        return None
    widest = max(range(len(layers)), key=lambda t: len(layers[t]))
    across = {k: float(x) for x, k in enumerate(layers[widest])}
    for step, last in ((-1, -1), (1, len(layers))):
        for t in range(widest + step, last, step):
            found = {}
            for k in layers[t]:
                near = [across[j] for j in around[k] if depth[j] == t - step]
                found[k] = sum(near) / len(near) if near else 0.0
            order = sorted(layers[t], key=lambda k: (found[k], k))
            for a, b in pairwise(order):
                found[b] = max(found[b], found[a] + 1)
            across |= found
    points = {k: (across[k], float(depth[k])) for k in around}
    return _Part("layers", points, dict.fromkeys(around, DIAGONAL))


def _deep_first(around: Neighbours, root: int, depth: dict[int, int]) -> list[int]:
    order: dict[int, None] = {}
    pending = [root]
    while pending:
        k = pending.pop()
        if k not in order:
            order[k] = None
            pending += (j for j in reversed(around[k]) if depth[j] > depth[k])
    return list(order)


def _any(around: Neighbours) -> _Part:
    """Distances in the plane near those in the graph: stress majorisation from classical scaling.

    E. R. Gansner, Y. Koren and S. North, Graph drawing by stress majorization, GD 2004.
    """
    nodes = list(around)
    n = len(nodes)
    d = np.array([[row[j] for j in nodes] for row in (_distances(around, k) for k in nodes)], float)
    centred = np.eye(n) - 1.0 / n
    values, vectors = np.linalg.eigh(-0.5 * centred @ d**2 @ centred)
    x = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0))
    x *= np.where(x[np.abs(x).argmax(axis=0), range(2)] > 0, -1.0, 1.0)
    # Nodes that scaling puts on one point are told apart by a turn that differs for each.
    turn = np.arange(n)
    x += 1e-3 * np.stack([np.cos(2.4 * turn), np.sin(2.4 * turn)], 1)
    weights = np.zeros((n, n))
    off = d > 0
    weights[off] = d[off] ** -2
    inverse = np.linalg.inv(np.diag(weights.sum(1)) - weights + 1.0 / n)
    for _ in range(200):
        gap = np.hypot(*(x.T[:, :, None] - x.T[:, None]))
        pull = -weights * d / np.maximum(gap, 1e-9)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(1))
        before, x = x, inverse @ (pull @ x)
        if np.abs(x - before).max() < 1e-4:
            break
    for _ in range(100):
        away = x[:, None] - x[None]
        gap = np.hypot(away[..., 0], away[..., 1]) + np.eye(n)
        short = np.maximum(_CLOSEST - gap, 0)
        if short.max() < 1e-3:
            break
        x = x + 0.5 * (away * (short / np.maximum(gap, 1e-9))[..., None]).sum(1)
    x *= _ROOM
    points = {k: (float(p[0]), float(p[1])) for k, p in zip(nodes, x, strict=True)}
    outwards = {}
    for k in nodes:
        near = [points[j] for j in around[k]]
        dx, dy = (points[k][c] - sum(p[c] for p in near) / len(near) for c in (0, 1))
        outwards[k] = math.atan2(dy, dx)
    return _Part("any", points, outwards)

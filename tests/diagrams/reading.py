"""A drawing read as a person does, from names, lines, signs and letters alone, and computed.

Also what makes it legible: valid text, and nothing that covers anything else.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

import tensorcalculus as tc
from tensorcalculus.diagrams import Diagram, Graph, Node, Picture, Row
from tensorcalculus.diagrams.piece import common
from tensorcalculus.expr.node import Expr

Arrays = dict[str, Any]


@cache
def parsed(text: str, shapes: tuple[tuple[str, str], ...]) -> Expr:
    return tc.parse(text, **dict(shapes))


def spelled(text: str, known: Known, args: list[np.ndarray]) -> np.ndarray:
    """The value of what is written in a node, ``inv(A)``, or of a title, ``inv(·)``, of arrays."""
    for k, _ in enumerate(args):
        text = text.replace("·", f"arg_{k}", 1)
    data = known | {f"arg_{k}": a for k, a in enumerate(args)}
    body, _, told = text.partition(" where ")
    words = set(re.findall(r"\w+", told.partition("=")[2] if told else body))
    shapes = {n: " ".join(map(str, np.shape(a))) for n, a in data.items() if n in words}
    f = parsed(text, tuple(shapes.items()))
    sizes = {n: known.sizes[n] for n in re.findall(r"[a-z]+", text) if n in known.sizes}
    sizes = {n: d for n, d in sizes.items() if n not in data}
    values = {n: data.get(n, sizes.get(n)) for n in f.variables}
    return np.asarray(f(**sizes | values))


def node_value(node: Node, known: Known) -> np.ndarray:
    if not node.inside:
        if known.met(node.name):
            return np.asarray(known[node.name])
        return spelled(node.name, known, [])
    if node.kind == "operation":
        return spelled(node.name, known, [known.scope(p) for p in node.inside])
    inside = [picture_value(p, known) for p in node.inside]
    if not node.name:
        return inside[0]
    if "·" in node.name:
        power = node.name.replace("^", ".^").replace("1/", "1./") if inside[0].ndim else node.name
        return spelled(power, known, inside)
    if node.name == "power":
        return inside[0] ** inside[1]
    dots = ",".join("·" for _ in inside)
    return spelled(f"{node.name}({dots})", known, inside)


def graph_value(graph: Graph, known: Known) -> np.ndarray:
    """The contraction that a graph shows; dots are copy tensors."""
    labels: list[dict[int, int]] = [{} for _ in graph.nodes]
    dots: dict[int, int] = {}
    texts: dict[int, str] = {}
    count = 0
    for k, node in enumerate(graph.nodes):
        if node.kind == "copy":
            dots[k], count = count, count + 1
            texts[dots[k]] = node.name
    out: dict[int, int] = {}
    for a, b, text, (s, t) in graph.edges:
        label = dots.get(a, dots.get(b, count))
        count += label == count
        texts[label] = texts.get(label) or text
        for k, axis in ((a, s), (b, t)):
            if k not in dots:
                assert axis not in labels[k]
                labels[k][axis] = label
    for leg in graph.legs:
        label = dots.get(leg.node, count)
        count += label == count
        if leg.node not in dots:
            assert leg.axis not in labels[leg.node]
            labels[leg.node][leg.axis] = label
        texts[label] = texts.get(label) or leg.label.removeprefix("∂").split(":")[-1]
        if not leg.summed:
            assert leg.place not in out
            out[leg.place] = label
    # The ends where a tensor was taken out are axes, behind those of the function.
    behind = len(out)
    for k, node in enumerate(graph.nodes):
        if node.kind == "deleted":
            out |= {behind + axis: label for axis, label in labels[k].items()}
            behind += len(labels[k])
    operands: list[Any] = []
    for k, node in enumerate(graph.nodes):
        if k not in dots and node.kind != "deleted":
            value = node_value(node, known)
            assert sorted(labels[k]) == list(range(value.ndim)), node.name
            operands += [value, [labels[k][t] for t in range(value.ndim)]]
    order = [out[p] for p in range(len(out))]
    first = list(dict.fromkeys(order))
    shown = {i for k in range(1, len(operands), 2) for i in operands[k]}
    for i in [i for i in [*first, *dots.values()] if i not in shown]:
        operands += [np.ones(size_of(texts[i], known)), [i]]
    result = np.einsum(*operands, first) if operands else np.ones(())
    whole = np.zeros([result.shape[first.index(i)] for i in order])
    grid = np.indices(result.shape)
    whole[tuple(grid[first.index(i)] for i in order)] = result
    return whole


def picture_value(picture: Picture, known: Known) -> np.ndarray:
    total: Any = 0.0
    for term in picture:
        number = 1.0
        if term.factor:
            # All names in a number are sizes.
            text = re.sub(
                r"[a-z]+", lambda m: str(known.sizes.get(m[0], m[0])), term.factor
            ).replace("size(", "(")
            number = tc.parse(text)()
        value = number * graph_value(term.graph, known)
        total = total - value if term.sign == "−" else total + value
    return np.asarray(total)


def size_of(text: str, known: Known) -> int:
    return int(eval(known.letters.get(text, text), {"min": min}, dict(known.sizes)))


class Known(dict[str, Any]):
    """Arrays by name, those of letters computed when they are met; sizes, also of index letters."""

    def __init__(self, values: Arrays, sizes: dict[str, int], rows: list[Row]) -> None:
        super().__init__(values)
        self.sizes = sizes
        self.letters: dict[str, str] = {}
        self.rows = {row.heading.split(" ", 1)[1].removesuffix(" ="): row for row in rows}

    def met(self, name: str) -> bool:
        """Whether a name has a value, after what its letter stands for has been computed."""
        for told, row in self.rows.items():
            if name not in self and name in told.split(" = ")[0].strip("()").split(","):
                value = self.value(row)
                if told == name:
                    self[name] = value
                else:
                    text = f"{name} where {told.removesuffix(' of')}(·)"
                    self[name] = spelled(text, self, [value])
        return name in self

    def value(self, row: Row) -> np.ndarray:
        return self.scope(row.picture)

    def scope(self, picture: Picture) -> np.ndarray:
        """The value of a picture with index letters of its own."""
        before, self.letters = self.letters, {}
        pending = list(picture)
        while pending:
            graph = pending.pop().graph
            for text in [x.label for x in (*graph.edges, *graph.legs)]:
                letter, colon, size = text.removeprefix("∂").partition(":")
                if colon:
                    assert self.letters.setdefault(letter, size) == size
            frames = [n for n in graph.nodes if n.kind == "map"]
            pending += [t for n in frames for p in n.inside for t in p]
        try:
            return picture_value(picture, self)
        finally:
            self.letters = before


def legible(d: Diagram) -> None:
    """The text is XML; no two texts, and no text and another node, cover one another."""
    ET.fromstring(d.svg)
    texts = [(t.text, t.box) for t in d.piece.texts]
    for (a, p), (b, q) in combinations(texts, 2):
        assert common(p, q) == 0, f"{a} covers {b}"
    solid = [s for s in d.piece.shapes if s.kind in ("tensor", "copy", "deleted")]
    for text in d.piece.texts:
        if text.kind != "name":
            for s in solid:
                assert common(text.box, s.box) == 0, f"{text.text} covers {s.title}"
    width, height = d.size
    for _, box in texts:
        assert 0 <= box[0] <= box[2] <= width and 0 <= box[1] <= box[3] <= height


def shown_value(d: Diagram, values: Arrays, sizes: dict[str, int]) -> np.ndarray:
    """What a drawing shows, computed from arrays."""
    first, *rows = d.rows
    return Known(values, sizes, list(rows)).value(first)


def declared(case: dict) -> Expr:
    """The function of one of the shared cases."""
    return tc.parse(case["expr"], **{n: " ".join(v["shape"]) for n, v in case["vars"].items()})

"""What is drawn: tensors, copy tensors, lines between them, open legs, sums, frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Kind = Literal["tensor", "copy", "deleted", "map", "operation"]
Label = str | int
"""What tells an index of a network from the others."""


class Node(NamedTuple):
    """A tensor with a name; a copy tensor, which is a dot with the label that it shares out; the
    place of a tensor that a derivative has taken out; or a frame with its title.

    A frame holds pictures, side by side.  That of a ``map`` acts entry by entry, so the legs
    inside are its own; that of an ``operation`` has legs of its own.
    """

    name: str
    kind: Kind
    inside: tuple[Picture, ...] = ()
    numbered: bool = False
    """Whether the axes are told apart by numbers at the ends of the lines."""
    chosen: bool = False
    """Whether it is drawn as the one that is spoken of."""


class Edge(NamedTuple):
    """A line between two nodes, by number; a line from a node to itself is a trace.

    Lines at a copy tensor have no label: the dot has it.  ``axes`` are those of the two nodes,
    counted from 0; -1 where it does not matter.
    """

    a: int
    b: int
    label: str
    axes: tuple[int, int] = (-1, -1)


class Leg(NamedTuple):
    """A line that ends nowhere, or, ``summed``, in a dot: a label of one tensor alone."""

    node: int
    label: str
    summed: bool = False
    axis: int = -1
    place: int = -1
    """Which axis of the whole it is."""
    derivative: bool = False
    """Whether a derivative has opened it."""


@dataclass(frozen=True)
class Graph:
    """A network to be drawn."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    legs: tuple[Leg, ...]

    def ends(self, node: int) -> int:
        """How many ends of lines there are at a node."""
        at = sum((e.a == node) + (e.b == node) for e in self.edges)
        return at + sum(leg.node == node for leg in self.legs)

    @property
    def open_ends(self) -> int:
        """The axes of the whole: open legs, and the ends where a tensor was taken out."""
        gone = [k for k, n in enumerate(self.nodes) if n.kind == "deleted"]
        return sum(not leg.summed for leg in self.legs) + sum(map(self.ends, gone))

    @property
    def neighbours(self) -> list[list[int]]:
        """For each node the others that a line joins with it, in order."""
        found: list[set[int]] = [set() for _ in self.nodes]
        for a, b, *_ in self.edges:
            if a != b:
                found[a].add(b)
                found[b].add(a)
        return [sorted(s) for s in found]


class Term(NamedTuple):
    """A network with the sign and the number in front of it."""

    graph: Graph
    sign: str = ""
    factor: str = ""


Picture = tuple[Term, ...]
"""A sum of networks."""


class Row(NamedTuple):
    """A picture below the others, with the words in front of it or, ending in ``:``, above it."""

    picture: Picture
    heading: str = ""


class Open(NamedTuple):
    """An open leg of a network: label, what is written at it, whether a derivative opened it."""

    label: Label
    text: str
    derivative: bool = False


def joined(
    parts: Sequence[tuple[Node, Sequence[Label]]],
    output: Sequence[Open],
    shown: Mapping[Any, str],
) -> Graph:
    """The graph of nodes joined along equal labels.

    A label on two axes is a line, one on an axis and in the output a leg.  Any other is a copy
    tensor: a dot with a line for every axis and every time that the output has it; a label on one
    axis alone is summed over, which is a leg that ends in a dot.

    Parameters
    ----------
    parts
        Nodes and the labels of their axes.
    output
        Open legs, in the order of the axes of the whole.
    shown
        What is written for a label, on lines and at dots.
    """
    nodes = [node for node, _ in parts]
    holders: dict[Label, list[tuple[int, int]]] = {}
    for k, (_, labels) in enumerate(parts):
        for axis, i in enumerate(labels):
            holders.setdefault(i, []).append((k, axis))
    places: dict[Label, list[int]] = {}
    for place, leg in enumerate(output):
        places.setdefault(leg.label, []).append(place)
        holders.setdefault(leg.label, [])
    edges: list[Edge] = []
    legs: list[Leg] = []
    for label, on in holders.items():
        text, opened = shown.get(label, ""), places.get(label, [])
        if len(on) == 2 and not opened:
            (a, s), (b, t) = on
            edges.append(Edge(a, b, text, (s, t)))
            continue
        if len(on) == 1 and not opened:
            legs.append(Leg(on[0][0], text, summed=True, axis=on[0][1]))
            continue
        node, axis = on[0] if on else (-1, -1)
        if len(on) != 1 or len(opened) != 1:
            nodes.append(Node(text, "copy"))
            node, axis = len(nodes) - 1, -1
            edges += [Edge(k, node, "", (s, -1)) for k, s in on]
        for p in opened:
            legs.append(Leg(node, output[p].text, False, axis, p, output[p].derivative))
    return Graph(tuple(nodes), tuple(edges), tuple(legs))


def graph_of(
    cores: Sequence[tuple[str, Sequence[str], bool]],
    output: Sequence[str],
    sizes: Mapping[str, str] | None = None,
) -> Graph:
    """The graph of a network of names; see :func:`joined`.

    Parameters
    ----------
    cores
        For each its name, the labels of its axes, and whether a derivative has taken it out.
    output
        Labels of the open legs, without those that derivatives have added.
    sizes
        What is written behind labels, for those whose size is known.
    """
    labels = dict.fromkeys(i for _, legs, _ in cores for i in legs)
    shown = {i: f"{i}={sizes[i]}" if sizes and i in sizes else i for i in labels}
    parts = [(Node(name, "deleted" if gone else "tensor"), legs) for name, legs, gone in cores]
    # A dot has the label for all of its legs.
    alone = {
        i for i in output
        if list(output).count(i) == 1 and sum(list(legs).count(i) for _, legs, _ in cores) == 1
    }  # fmt: skip
    return joined(parts, [Open(i, shown[i] if i in alone else "") for i in output], shown)

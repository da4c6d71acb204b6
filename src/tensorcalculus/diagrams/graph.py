"""What is drawn of a network: tensors, copy tensors, the lines between them, and open legs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["tensor", "copy", "deleted"]


class Node(NamedTuple):
    """A tensor with a name; a copy tensor, which is a dot with the label that it shares out; or
    the place of a tensor that a derivative has taken out.
    """

    name: str
    kind: Kind


class Edge(NamedTuple):
    """A line between two nodes, by number; a line from a node to itself is a trace.

    Lines at a copy tensor have no label: the dot has it.
    """

    a: int
    b: int
    label: str


class Leg(NamedTuple):
    """A line that ends nowhere, or, ``summed``, in a dot: a label of one tensor alone."""

    node: int
    label: str
    summed: bool = False


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
        for a, b, _ in self.edges:
            if a != b:
                found[a].add(b)
                found[b].add(a)
        return [sorted(s) for s in found]


def graph_of(
    cores: Sequence[tuple[str, Sequence[str], bool]],
    output: Sequence[str],
    sizes: Mapping[str, str] | None = None,
) -> Graph:
    """The graph of a network.

    A label on two axes is a line, one on an axis and in the output a leg.  Any other is a copy
    tensor: a dot with a line for every axis and every time that the output has it; a label on one
    axis alone is summed over, which is a leg that ends in a dot.

    Parameters
    ----------
    cores
        For each its name, the labels of its axes, and whether a derivative has taken it out.
    output
        Labels of the open legs, without those that derivatives have added.
    sizes
        What is written behind labels, for those whose size is known.
    """
    nodes = [Node(name, "deleted" if gone else "tensor") for name, _, gone in cores]
    holders: dict[str, list[int]] = {}
    for k, (_, labels, _) in enumerate(cores):
        for i in labels:
            holders.setdefault(i, []).append(k)
    edges: list[Edge] = []
    legs: list[Leg] = []
    for label, on in holders.items():
        shown = f"{label}={sizes[label]}" if sizes and label in sizes else label
        times = list(output).count(label)
        if len(on) == 2 and not times:
            edges.append(Edge(on[0], on[1], shown))
        elif len(on) == 1 and times < 2:
            legs.append(Leg(on[0], shown, summed=not times))
        else:
            nodes.append(Node(shown, "copy"))
            dot = len(nodes) - 1
            edges += [Edge(k, dot, "") for k in on]
            legs += [Leg(dot, "")] * times
    return Graph(tuple(nodes), tuple(edges), tuple(legs))

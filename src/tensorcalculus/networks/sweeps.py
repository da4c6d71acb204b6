"""Source of the passes over a contraction tree: values up, environments down, tangents of both.

A node of the tree is ``c = a*b``.  Up, each is computed once.  Down, the environment of a node is
the derivative of the result by it: that of ``a`` is the environment of ``c`` joined with ``b``.
The same labels meet in all three, so each costs what the join itself costs, and value and gradients
by all operands at most three times the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from tensorcalculus.compiler.targets import Target
from tensorcalculus.networks.layouts import arrange
from tensorcalculus.networks.structure import Legs
from tensorcalculus.networks.timing import turn_pays
from tensorcalculus.networks.tree import Tree

SMALL_PRODUCT = 40**3
"""Multiplications up to which the overhead of a matrix product counts."""
_NAME = re.compile(r"\bt\d+\b")


class Array(NamedTuple):
    """An array in the source: entries in the order of ``legs``, in whatever ``shape``."""

    name: str
    legs: Legs
    shape: tuple[int, ...]


class Writer:
    """Lines of source, and what they cost; written for one tree."""

    def __init__(self, tree: Tree, layouts: Sequence[Legs], target: Target) -> None:
        self.tree, self.layouts, self.target = tree, layouts, target
        self.sizes = tree.structure.sizes
        self.lines: list[str] = []
        self.entries: dict[str, int] = {}
        self.multiplications = 0
        self.moved_entries = 0
        self._moved: dict[tuple[str, Legs], Array] = {}

    def count(self, legs: Sequence[int]) -> int:
        return prod(self.sizes[i] for i in legs)

    def given(self, letter: str) -> list[Array]:
        """Arguments, one for each operand."""
        return [
            Array(f"{letter}{k}", legs, self.full(legs))
            for k, legs in enumerate(self.tree.structure.legs)
        ]

    def full(self, legs: Sequence[int]) -> tuple[int, ...]:
        return tuple(self.sizes[i] for i in legs)

    def assigned(self, text: str, legs: Legs, shape: tuple[int, ...]) -> Array:
        name = f"t{len(self.entries)}"
        self.entries[name] = prod(shape)
        self.lines.append(f"{name} = {text}")
        return Array(name, legs, shape)

    def reshaped(self, a: Array, shape: tuple[int, ...]) -> str:
        if a.shape == shape:
            return a.name
        return f"{a.name}.reshape({', '.join(map(str, shape)) or '()'})"

    def moved(self, a: Array, legs: Legs) -> Array:
        """The entries in the order of other labels, copied once however often asked for."""
        if a.legs == legs:
            return a
        if (a.name, legs) not in self._moved:
            axes = [a.legs.index(i) for i in legs]
            text = self.target.transposed(self.reshaped(a, self.full(a.legs)), axes)
            count = self.count(legs)
            self.moved_entries += count
            self._moved[a.name, legs] = self.assigned(f"{text}.reshape({count})", legs, (count,))
        return self._moved[a.name, legs]

    def plus(self, terms: Sequence[Array | None], legs: Legs) -> Array | None:
        """The sum of those that are not zero, in the order of ``legs``."""
        there = [a for a in terms if a is not None]
        if len(there) < 2:
            return there[0] if there else None
        first, *others = (self.moved(a, legs) for a in there)
        texts = [first.name, *(self.reshaped(a, first.shape) for a in others)]
        return self.assigned(" + ".join(texts), legs, first.shape)

    def product(self, x: Array, y: Array, wanted: Legs, *, loose: bool = False) -> Array:
        """The two joined, summed over the labels that ``wanted`` lacks.

        A ``loose`` result stays in the order in which it comes: it is returned, perhaps as a view.
        """
        self.multiplications += self.count(tuple({*x.legs, *y.legs}))
        how = arrange(x.legs, y.legs, wanted, self.sizes, loose)
        x, y = self.moved(x, how.orders[0]), self.moved(y, how.orders[1])
        rows, columns = how.rows, how.columns
        lead = how.outer if how.outer[:1] == how.orders[2][:1] else how.batch
        if how.orders[2] != lead + rows + columns:
            x, y, rows, columns = y, x, columns, rows
        if how.outer:
            result = self.layered(x, y, how.outer, rows, columns, how.summed)
        else:
            result = self.joined(x, y, how.batch, rows, columns, how.summed)
        return result if loose else self.moved(result, wanted)

    def joined(
        self, x: Array, y: Array, batch: Legs, rows: Legs, columns: Legs, summed: Legs
    ) -> Array:
        b, m, n, k = (self.count(g) for g in (batch, rows, columns, summed))
        legs = batch + rows + columns
        lead, row, column = (b,) * bool(batch), (m,) * bool(rows), (n,) * bool(columns)
        shape = lead + row + column
        if not summed:
            first = self.reshaped(x, lead + row + (1,) * (bool(rows) and bool(columns)))
            second = self.reshaped(y, lead + (1,) * bool(batch and rows) + column)
            if batch and columns and not rows:
                first = self.reshaped(x, (*lead, 1))
            return self.assigned(f"{first} * {second}", legs, shape)
        if batch and not rows and not columns:
            first, second = self.reshaped(x, (b, k)), self.reshaped(y, (b, k))
            return self.assigned(f"({first} * {second}).sum(-1)", legs, shape)
        if batch:
            first, second = self.factors(x, y, (batch, batch), rows, columns, summed)
            return self.assigned(self.target.call("matmul", first, second), legs, (b, m, n))
        if not rows or not columns:
            first = self.matrix(x, (), rows, summed, (*row, k))
            second = self.matrix(y, (), summed, columns, (k, *column))
        else:
            first, second = self.factors(x, y, ((), ()), rows, columns, summed)
        if self.target.functional or m * n * k > SMALL_PRODUCT:
            return self.assigned(f"{first} @ {second}", legs, shape)
        return self.assigned(f"{first}.dot({second})", legs, shape)

    def layered(
        self, x: Array, y: Array, outer: Legs, rows: Legs, columns: Legs, summed: Legs
    ) -> Array:
        """A product for each value of labels that two of the three arrays begin with."""
        layers, m, n = (self.count(g) for g in (outer, rows, columns))
        lead = [outer if a.legs[: len(outer)] == outer else () for a in (x, y)]
        first, second = self.factors(x, y, (lead[0], lead[1]), rows, columns, summed)
        text = self.target.call("matmul", first, second)
        made = self.assigned(text, outer + rows + columns, (layers, m, n))
        if all(lead):
            made = self.assigned(f"{made.name}.sum(0)", rows + columns, (m, n))
        return made

    def factors(
        self, x: Array, y: Array, leads: tuple[Legs, Legs], rows: Legs, columns: Legs, summed: Legs
    ) -> tuple[str, str]:
        """Two matrices, or stacks of them, as views; where it pays one is copied transposed."""
        m, n, k = (self.count(g) for g in (rows, columns, summed))
        lead = [(self.count(g),) * bool(g) for g in leads]
        first = self.matrix(x, leads[0], rows, summed, (*lead[0], m, k))
        second = self.matrix(y, leads[1], summed, columns, (*lead[1], k, n))
        turned = (x.legs, y.legs) == (leads[0] + rows + summed, leads[1] + columns + summed)
        if turned and self.target.name == "numpy":
            # An array of its own, so that it counts as memory.
            layers = max(prod(lead[0]), prod(lead[1]))
            entries = prod(lead[0]) * m * k, prod(lead[1]) * n * k
            if turn_pays(m * n * k, layers, min(entries)):
                if entries[1] <= entries[0]:
                    legs, shape = leads[1] + summed + columns, (*lead[1], k, n)
                    second = self.assigned(f"{second}.copy()", legs, shape).name
                else:
                    legs, shape = leads[0] + summed + rows, (*lead[0], k, m)
                    axes = (*range(len(lead[0])), len(lead[0]) + 1, len(lead[0]))
                    copy = f"{self.target.transposed(first, axes)}.copy()"
                    copied = self.assigned(copy, legs, shape).name
                    first = self.target.transposed(copied, axes)
        return first, second

    def matrix(
        self, a: Array, batch: Legs, first: Legs, second: Legs, shape: tuple[int, ...]
    ) -> str:
        """The array with two groups of axes merged, as a view."""
        if a.legs == batch + first + second:
            return self.reshaped(a, shape)
        lead = len(shape) - 2
        swapped = (*shape[:lead], shape[-1], shape[-2])
        axes = (*range(lead), lead + 1, lead)
        return self.target.transposed(self.reshaped(a, swapped), axes)

    # -- passes ----------------------------------------------------------------------------------

    def up(self, leaves: Sequence[Array]) -> list[Array]:
        """All arrays of the tree."""
        nodes = list(leaves)
        for a, b in self.tree.steps:
            nodes.append(self.product(nodes[a], nodes[b], self.layouts[len(nodes)]))
        return nodes

    def up_tangent(
        self, nodes: Sequence[Array], given: Sequence[Array | None]
    ) -> list[Array | None]:
        """Directional derivatives of all arrays; None is zero."""
        found: list[Array | None] = list(given)
        for a, b in self.tree.steps:
            legs = self.layouts[len(found)]
            da, db = found[a], found[b]
            terms = [
                self.product(da, nodes[b], legs) if da else None,
                self.product(nodes[a], db, legs) if db else None,
            ]
            found.append(self.plus(terms, legs))
        return found

    def down(
        self, nodes: Sequence[Array], wanted: Sequence[bool], seed: Array | None
    ) -> dict[int, Array | None]:
        """Environments of nodes above a wanted operand; without a seed that of the root is 1."""
        above = self.needed(wanted)
        found: dict[int, Array | None] = {len(nodes) - 1: seed}
        for c, child, sibling in self.falling(above):
            outer = found[c]
            if outer is None:
                found[child] = nodes[sibling]
            else:
                legs, last = self.layouts[child], child < len(wanted)
                found[child] = self.product(outer, nodes[sibling], legs, loose=last)
        return found

    def down_tangent(
        self,
        nodes: Sequence[Array],
        tangents: Sequence[Array | None],
        environments: Mapping[int, Array | None],
        wanted: Sequence[bool],
    ) -> dict[int, Array | None]:
        """Directional derivatives of the environments of a scalar; None is zero."""
        above = self.needed(wanted)
        found: dict[int, Array | None] = {len(nodes) - 1: None}
        for c, child, sibling in self.falling(above):
            legs, outer, changed = self.layouts[child], environments[c], tangents[sibling]
            change = found[c]
            first = self.product(change, nodes[sibling], legs) if change else None
            second = changed
            if changed is not None and outer is not None:
                second = self.product(outer, changed, legs)
            found[child] = self.plus([first, second], legs)
        return found

    def needed(self, wanted: Sequence[bool]) -> list[bool]:
        above = list(wanted)
        for a, b in self.tree.steps:
            above.append(above[a] or above[b])
        return above

    def falling(self, above: Sequence[bool]) -> list[tuple[int, int, int]]:
        """A node, a child of it that is needed, and the other child, from the root down."""
        leaves = len(self.tree.structure.legs)
        triples = []
        for k in reversed(range(len(self.tree.steps))):
            a, b = self.tree.steps[k]
            triples += [(leaves + k, x, y) for x, y in ((a, b), (b, a)) if above[x]]
        return triples

    # -- the function ----------------------------------------------------------------------------

    def source(self, arguments: Sequence[str], results: Sequence[tuple[Array, Legs]]) -> str:
        """The function; an array is let go behind the line that uses it last."""
        returned = []
        for a, legs in results:
            text = self.reshaped(a, self.full(a.legs))
            if a.legs != legs:
                text = self.target.transposed(text, [a.legs.index(i) for i in legs])
            if a.name not in self.entries:
                text = self.target.copied(text)  # an argument is not given back
            returned.append(text)
        last = self.last_uses(" ".join(returned))
        lines = []
        for k, line in enumerate(self.lines):
            lines.append(f"    {line}")
            if last.get(k):
                lines.append(f"    del {', '.join(last[k])}")
        body = "\n".join(lines)
        return (
            f"def evaluate({', '.join(arguments)}):\n{body}\n    return ({', '.join(returned)},)\n"
        )

    def last_uses(self, returned: str) -> dict[int, list[str]]:
        """The names used for the last time in a line, of those that are not returned."""
        last = {name: k for k, line in enumerate(self.lines) for name in _NAME.findall(line)}
        for name in _NAME.findall(returned):
            last.pop(name, None)
        found: dict[int, list[str]] = {}
        for name, k in last.items():
            found.setdefault(k, []).append(name)
        return found

    def peak(self, results: Sequence[tuple[Array, Legs]]) -> int:
        """The most entries that intermediate arrays and results hold at one time."""
        last = self.last_uses(" ".join(a.name for a, _ in results))
        alive = most = 0
        for k, name in enumerate(self.entries):
            alive += self.entries[name]
            most = max(most, alive)
            alive -= sum(self.entries[gone] for gone in last.get(k, ()))
        return most

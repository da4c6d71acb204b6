"""The orders of axes of all arrays of a contraction tree, for the least estimated time.

First each array in turn takes the best order while the others stay.  Then a few orders of each
array are compared with all of those of its neighbours, exactly: joins form a tree, so that the
least time below an array, for each of its orders, follows from those of the two it is made of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import permutations
from math import inf

from tensorcalculus.networks.layouts import time_of
from tensorcalculus.networks.structure import Legs
from tensorcalculus.networks.timing import floor
from tensorcalculus.networks.tree import Tree

_BLOCKS = 5
"""Blocks of axes up to which all their orders are tried."""
_OPTIONS, _ROUNDS = 4, 2
"""Orders of an array that are compared with all of those around it, and how often."""
_MATTERS = 0.01
"""The part of the time that the joins of an array must take for more than its own best order."""
_NEAR = 1.2
"""Trees are looked at closely whose way up takes at most so many times the least."""

Join = tuple[int, int, int]
"""The numbers of two arrays and of their product."""


def choose(trees: Sequence[Tree], both: bool = False) -> tuple[Tree, list[Legs]]:
    """Of several trees the quickest, with an order of axes for every array.

    The orders are those of the leaves as given, then one for each step.  What counts is the time on
    the way up, or, for ``both``, up and down; estimated, with the entries that have to be moved.
    """
    if len(trees) > 1:
        tried = [Orders(tree, False) for tree in trees]
        for orders in tried:
            orders.descend()
        least = min(map(Orders.total, tried))
        trees = [orders.tree for orders in tried if orders.total() <= _NEAR * least]
    found = [Orders(tree, both) for tree in trees]
    for orders in found:
        orders.settle()
    best = min(found, key=Orders.total)
    return best.tree, best.layouts


class Orders:
    """An order of axes for every array of a tree, and how to better them."""

    def __init__(self, tree: Tree, both: bool) -> None:
        self.tree, self.both, self.sizes = tree, both, tree.structure.sizes
        leaves = tree.structure.legs
        self.leaves = len(leaves)
        self.layouts = list(leaves)
        self.joins: list[Join] = []
        self.floors: dict[int, float] = {}
        """By what it makes: the least time of a join whatever the orders."""
        self.use: dict[int, Join] = {}
        """The join that uses an array."""
        self._known: dict[tuple[Legs, Legs, Legs, bool], float] = {}
        for k, (a, b) in enumerate(tree.steps):
            c = self.leaves + k
            self.joins.append((a, b, c))
            self.use[a] = self.use[b] = (a, b, c)
            self.floors[c] = floor(tree.cost(k)) * (3 if both and tree.labels[c] else 1)
            small, large = sorted((self.layouts[a], self.layouts[b]), key=tree.structure.count)
            self.layouts.append(_in_place(small, large, tree.labels[c]))
        if tree.steps:
            self.layouts[-1] = tree.structure.out
        self.inner = range(self.leaves, len(self.layouts) - 1)
        """Arrays whose order may be chosen."""

    def total(self) -> float:
        """Nanoseconds of all joins, about."""
        return self.time(self.joins)

    def time(self, joins: Sequence[Join], limit: float = inf) -> float:
        """Of some joins, or a number above the limit."""
        total = sum(self.floors[c] for _, _, c in joins) if limit < inf else 0.0
        for a, b, c in joins:
            if limit < inf:
                total -= self.floors[c]
            x, y, z = (self.layouts[k] for k in (a, b, c))
            total += self.price(x, y, z, False)
            if self.both and z:
                # Environments of leaves are given back in whatever order they come.
                if total <= limit:
                    total += self.price(z, y, x, a < self.leaves)
                if total <= limit:
                    total += self.price(z, x, y, b < self.leaves)
            if total > limit:
                break
        return total

    def price(self, x: Legs, y: Legs, z: Legs, free: bool) -> float:
        key = x, y, z, free
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = time_of(x, y, z, self.sizes, free)
        return found

    def descend(self) -> None:
        """Each array in turn takes its best order while the others stay."""
        for node in self.inner:
            self.layouts[node] = self.around(node, 1)[0]

    def settle(self) -> None:
        """A few orders of all arrays that matter, compared in all combinations; repeatedly."""
        last = inf
        for _ in range(_ROUNDS):
            self.descend()
            total = self.total()
            if total > 0.999 * last:
                break
            last = total
            options = [[order] for order in self.layouts]
            for node in self.inner:
                if self.time(self.near(node)) > _MATTERS * total:
                    options[node] = self.around(node, _OPTIONS)
            self.combine(options)

    def near(self, node: int) -> tuple[Join, Join]:
        """The join that makes an array and the one that uses it."""
        return self.joins[node - self.leaves], self.use[node]

    def around(self, node: int, most: int) -> list[Legs]:
        """Orders of one array, at most so many, the quickest first while the others stay."""
        near, now = self.near(node), self.layouts[node]
        (a, b, _), (first, second, parent) = near
        other = second if first == node else first
        found = [(self.time(near), now)]
        limit = found[0][0] if most == 1 else inf
        shapes = (self.layouts[k] for k in (a, b, other, parent))
        for order in _candidates(now, *shapes):
            self.layouts[node] = order
            spent = self.time(near, limit)
            if order != now and spent < limit:
                found.append((spent, order))
                found.sort(key=lambda f: f[0])
                del found[most:]
                if len(found) == most:
                    limit = found[-1][0]
        self.layouts[node] = now
        return [order for _, order in found]

    def combine(self, options: Sequence[Sequence[Legs]]) -> None:
        """The best of all combinations of orders, by dynamic programming from the leaves up."""
        layouts = self.layouts
        # The least time below an array in each of its orders, and the orders it is made of.
        below = [[(0.0, 0, 0)] * len(o) for o in options]
        for a, b, c in self.joins:
            for k, z in enumerate(options[c]):
                best = inf, 0, 0
                for i, x in enumerate(options[a]):
                    for j, y in enumerate(options[b]):
                        spent = below[a][i][0] + below[b][j][0]
                        if spent + self.floors[c] < best[0]:
                            layouts[a], layouts[b], layouts[c] = x, y, z
                            spent += self.time(((a, b, c),), best[0] - spent)
                            if spent < best[0]:
                                best = spent, i, j
                below[c][k] = best
        taken = [0] * len(layouts)
        for a, b, c in reversed(self.joins):
            _, taken[a], taken[b] = below[c][taken[c]]
        for node, orders in enumerate(options):
            layouts[node] = orders[taken[node]]


def _in_place(small: Legs, large: Legs, kept: Collection[int]) -> Legs:
    """The labels that the smaller array brings stand where the larger one has the summed ones.

    So a chain that is applied core by core keeps its order, and products run layer by layer.
    """
    brought = [i for i in small if i in kept and i not in large]
    order: list[int] = []
    for i in large:
        if i in kept:
            order.append(i)
        else:
            order += brought
            brought = []
    return (*order, *brought)


def _candidates(now: Legs, a: Legs, b: Legs, other: Legs, parent: Legs) -> list[Legs]:
    """Orders by blocks that stay together below and above."""

    def kind(i: int) -> tuple[bool, ...]:
        return i in a, i in b, i in other, i in parent

    blocks: dict[tuple[bool, ...], list[int]] = {}
    for i in now:
        blocks.setdefault(kind(i), []).append(i)
    if len(blocks) > _BLOCKS:
        return [tuple(sorted(now, key=lambda i: (kind(i), now.index(i))))]
    found: dict[Legs, None] = {}
    for source in ((*a, *b), (*other, *parent), (*parent, *a, *b)):
        ranks: dict[int, int] = {}
        for i in (*source, *now):
            ranks.setdefault(i, len(ranks))
        ordered = [sorted(block, key=ranks.__getitem__) for block in blocks.values()]
        for order in permutations(ordered):
            found[tuple(i for block in order for i in block)] = None
    return list(found)

"""The order of axes in memory: two arrays joined by one matrix product, with few axes moved.

Three arrays meet at a join, ``z = x*y``, and each in turn is the product of the other two: forward
``z``, backward ``x`` and ``y``.  All three run without moving entries where each array has its two
groups of labels (shared with the one, shared with the other) one after the other, in orders that
agree.  :func:`arrange` says what has to be moved for given orders, :func:`choose` looks for orders
of the intermediate arrays of a tree that move little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import prod

from tensorcalculus.networks.structure import Legs
from tensorcalculus.networks.tree import Tree

_CALL, _ENTRY, _JUMP = 1000.0, 0.4, 1.6
"""Nanoseconds to move axes: of the calls, of an entry, of a jump in memory."""
_LONG = 32
"""Entries that stay together, from which jumps no longer count."""
_BLOCKS = 5
"""Blocks of axes up to which all their orders are tried."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How ``z = x*y`` becomes a matrix product; groups are orders of labels.

    ``batch`` is on all three, ``rows`` on x and z, ``columns`` on y and z, ``summed`` on x and y.
    """

    batch: Legs
    rows: Legs
    columns: Legs
    summed: Legs
    orders: tuple[Legs, Legs, Legs]
    """The orders of x and y that enter the product, and of the z that it gives."""
    cost: float
    """Nanoseconds, about, to move entries into these orders."""


def move_time(given: Legs, wanted: Legs, sizes: Sequence[int]) -> float:
    """Estimated nanoseconds to copy entries in another order; trailing axes that stay run on."""
    if given == wanted:
        return 0.0
    run = 1
    for i, j in zip(reversed(given), reversed(wanted), strict=True):
        if i != j:
            break
        run *= sizes[i]
    return _CALL + prod(sizes[i] for i in given) * (_ENTRY + _JUMP / min(run, _LONG))


@lru_cache(maxsize=100_000)
def _arranged(x: Legs, y: Legs, z: Legs, sizes: tuple[int, ...]) -> Arrangement:
    sx, sy, sz = set(x), set(y), set(z)
    both = sx & sy & sz
    batch, rows = tuple(i for i in x if i in both), tuple(i for i in x if i in sz and i not in both)
    columns = tuple(i for i in y if i in sz and i not in both)
    summed = tuple(i for i in x if i not in sz)
    given = (x, y, z)
    # For each array the groups that it has, as it orders them; None where they are scattered.
    pairs = ((rows, summed), (summed, columns), (rows, columns))
    found = [_grouped(t, len(batch), both, pair) for t, pair in zip(given, pairs, strict=True)]
    best: Arrangement | None = None
    for kept in range(8):
        stay = [k for k in range(3) if kept >> k & 1]
        orders = _agreed([found[k] for k in stay])
        if orders is None:
            continue
        b, m, n, s = [orders.get(frozenset(g), g) for g in (batch, rows, columns, summed)]
        chosen: list[Legs] = []
        cost = 0.0
        for k, (first, second) in enumerate(((m, s), (s, n), (m, n))):
            # The two groups of an array may stand in either order.
            options = {b + first + second: None, b + second + first: None}
            if k in stay:
                chosen.append(given[k])
                continue
            time, order = min((move_time(given[k], order, sizes), order) for order in options)
            cost += time
            chosen.append(order)
        if best is None or cost < best.cost:
            best = Arrangement(b, m, n, s, (chosen[0], chosen[1], chosen[2]), cost)
    assert best is not None  # all three may be moved
    return best


def _agreed(found: Sequence[tuple[Legs, ...] | None]) -> dict[frozenset[int], Legs] | None:
    """One order for each group, where all arrays have theirs together and agree."""
    orders: dict[frozenset[int], Legs] = {}
    for groups in found:
        if groups is None:
            return None
        for group in groups:
            if orders.setdefault(frozenset(group), group) != group:
                return None
    return orders


def _grouped(
    legs: Legs, lead: int, batch: set[int], pair: tuple[Legs, Legs]
) -> tuple[Legs, ...] | None:
    """The batch, and two groups behind it in the order of ``legs``, if they are contiguous."""
    if not all(i in batch for i in legs[:lead]):
        return None
    rest = legs[lead:]
    first, second = pair
    for a, b in ((first, second), (second, first)):
        head, tail = rest[: len(a)], rest[len(a) :]
        if set(head) == set(a) and set(tail) == set(b):
            return legs[:lead], head, tail
    return None


def arrange(x: Legs, y: Legs, z: Legs, sizes: Sequence[int]) -> Arrangement:
    """The matrix product for arrays in these orders that is quickest to prepare.

    Equal patterns are looked up, whatever the numbers of their labels.
    """
    numbers: dict[int, int] = {}
    for i in (*x, *y, *z):
        numbers.setdefault(i, len(numbers))
    plain = [tuple(numbers[i] for i in legs) for legs in (x, y, z)]
    back = tuple(numbers)
    found = _arranged(*plain, tuple(sizes[i] for i in back))

    def named(group: Legs) -> Legs:
        return tuple(back[k] for k in group)

    first, second, third = map(named, found.orders)
    return Arrangement(
        named(found.batch), named(found.rows), named(found.columns), named(found.summed),
        (first, second, third), found.cost,
    )  # fmt: skip


def choose(tree: Tree) -> tuple[list[Legs], float]:
    """An order of axes for every array of a tree: leaves as given, then one for each step.

    Each intermediate array in turn takes the best order for the join that makes it and the one
    that uses it, while the others stay; a few rounds over the tree settle it.  Also returns the
    nanoseconds, about, that moving axes takes on the way up.
    """
    leaves, steps, sizes = tree.structure.legs, tree.steps, tree.structure.sizes
    layouts = list(leaves)
    above: dict[int, tuple[int, int]] = {}
    """The step that uses an array, and the other array in it."""
    for k, (a, b) in enumerate(steps):
        node = len(leaves) + k
        above[a], above[b] = (node, b), (node, a)
        layouts.append(())
    for k, (a, b) in enumerate(steps):
        node = len(leaves) + k
        merged = dict.fromkeys((*layouts[a], *layouts[b]))
        layouts[node] = tuple(i for i in merged if i in tree.labels[node])
    if steps:
        layouts[-1] = tree.structure.out
    for _ in range(3):
        changed = False
        for k, (a, b) in enumerate(steps[:-1]):
            node = len(leaves) + k
            parent, other = above[node]

            def cost(
                order: Legs, a: int = a, b: int = b, parent: int = parent, other: int = other
            ) -> float:
                below = arrange(layouts[a], layouts[b], order, sizes).cost
                return below + arrange(order, layouts[other], layouts[parent], sizes).cost

            best, least = layouts[node], cost(layouts[node])
            if least:
                for order in _candidates(
                    layouts[node], layouts[a], layouts[b], layouts[other], layouts[parent]
                ):
                    price = cost(order)
                    if price < least:
                        best, least = order, price
            changed |= best != layouts[node]
            layouts[node] = best
        if not changed:
            break
    total = 0.0
    for k, (a, b) in enumerate(steps):
        total += arrange(layouts[a], layouts[b], layouts[len(leaves) + k], sizes).cost
    return layouts, total


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

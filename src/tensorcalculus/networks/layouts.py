"""The order of axes in memory: two arrays joined by one matrix product, with few axes moved.

Three arrays meet at a join, ``z = x*y``, and each in turn is the product of the other two: forward
``z``, backward ``x`` and ``y``.  All three run without moving entries where each array has its two
groups of labels (shared with the one, shared with the other) one after the other, in orders that
agree.  :func:`arrange` says what has to be moved for given orders, :func:`choose` looks for orders
of the intermediate arrays of a tree that move little.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations, product
from math import inf, prod

from tensorcalculus.networks.structure import Legs
from tensorcalculus.networks.tree import Tree

_CALL, _ENTRY, _RUN, _JUMP = 1000.0, 0.7, 3.0, 0.6
"""Nanoseconds to move axes: of the calls, of an entry, of each run of entries that stay together,
and of an entry in a run with gaps."""
_EACH = 100.0
"""Nanoseconds of each of many small products."""
_TURN, _TURNED = 0.015, 100**3
"""Nanoseconds a multiplication takes longer where both factors have the summed axes last, and the
multiplications up to which it does: OpenBLAS does not rearrange the factors of small products."""
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
    outer: Legs = ()
    """Labels in front on two of the arrays, for each of whose values there is one product."""


def move_time(given: Legs, wanted: Legs, sizes: Sequence[int]) -> float:
    """Estimated nanoseconds to copy entries in another order.

    The trailing axes that stand together before as well are copied in runs.
    """
    if given == wanted:
        return 0.0
    place, run = given.index(wanted[-1]), 1
    entry = _ENTRY if place == len(given) - 1 else _ENTRY + _JUMP
    for i in reversed(wanted):
        if place < 0 or given[place] != i:
            break
        run *= sizes[i]
        place -= 1
    return _CALL + prod([sizes[i] for i in given]) * (entry + _RUN / max(run, 1))


def turning(x: int, y: int) -> float:
    """Nanoseconds, about, to write the smaller of two factors with the summed axes first."""
    return 0.5 * _CALL + 0.6 * min(x, y)


def turn_pays(multiplications: int, x: int, y: int) -> bool:
    """Whether that is less than a product of such factors loses."""
    return multiplications <= _TURNED and turning(x, y) < _TURN * multiplications


_STAYING = ((0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,), ())
"""Which of the three arrays of a join keep their orders."""


@lru_cache(maxsize=100_000)
def _arranged(x: Legs, y: Legs, z: Legs, sizes: tuple[int, ...], free: bool) -> Arrangement:
    sx, sy, sz = set(x), set(y), set(z)
    both = sx & sy & sz
    batch, rows = tuple(i for i in x if i in both), tuple(i for i in x if i in sz and i not in both)
    columns = tuple(i for i in y if i in sz and i not in both)
    summed = tuple(i for i in x if i not in sz)
    given = (x, y, z)
    # For each array the groups that it has, as it orders them; None where they are scattered.
    pairs = ((rows, summed), (summed, columns), (rows, columns))
    found = [_grouped(t, len(batch), both, pair) for t, pair in zip(given, pairs, strict=True)]
    count = [prod(sizes[i] for i in legs) for legs in (batch, rows, columns, summed)]
    lost = 0.0
    if rows and columns and summed and prod(count) <= _TURNED:
        small = turning(count[1] * count[3], count[2] * count[3])
        lost = count[0] * min(_TURN * prod(count[1:]), small)
    best: Arrangement | None = None
    for stay in _STAYING:
        orders = _agreed([found[k] for k in stay])
        if orders is None:
            continue
        b, m, n, s = [orders.get(frozenset(g), g) for g in (batch, rows, columns, summed)]
        # The two groups of an array may stand in either order.
        options = []
        for k, (first, second) in enumerate(((m, s), (s, n), (m, n))):
            both = [given[k]] if k in stay else [b + first + second, b + second + first]
            costs = not free or k < 2
            options.append([(o, move_time(given[k], o, sizes) if costs else 0.0) for o in both])
        for (first, p), (second, q), (third, r) in product(*options):
            cost = p + q + r
            if lost and first == b + m + s and second == b + n + s:
                cost += lost
            if best is None or cost < best.cost:
                best = Arrangement(b, m, n, s, (first, second, third), cost)
        if best is not None and not best.cost:
            break
    assert best is not None  # all three may be moved
    if best.cost and not batch:
        for lacking in range(3):
            found_outer = _layered(given, sizes, free, lacking)
            if found_outer is not None and found_outer.cost < best.cost:
                best = found_outer
    return best


def _layered(
    given: tuple[Legs, Legs, Legs], sizes: tuple[int, ...], free: bool, lacking: int
) -> Arrangement | None:
    """Two arrays as they are, taken apart along the labels that both begin with.

    For ``y = (o, s, n)`` and ``z = (o, m, n)`` each layer of ``z`` is ``x`` times one of ``y``;
    for ``x = (o, ...)`` and ``y = (o, ...)`` the products are added.
    """
    one, two = (given[k] for k in range(3) if k != lacking)
    shared = 0
    while shared < min(len(one), len(two)) and one[shared] == two[shared]:
        shared += 1
    if not shared:
        return None
    outer = one[:shared]
    x, y, z = (g if k == lacking else g[shared:] for k, g in enumerate(given))
    inner = _arranged(x, y, z, sizes, free)
    stay = all(o == g for k, (o, g) in enumerate(zip(inner.orders, (x, y, z), strict=True))
               if k != lacking and not (free and k == 2))  # fmt: skip
    if inner.outer or not stay or not (inner.rows and inner.columns and inner.summed):
        return None
    m, n, k = (prod(sizes[i] for i in g) for g in (inner.rows, inner.columns, inner.summed))
    each = _EACH
    if m * n * k <= _TURNED and inner.orders[0][-1] == inner.orders[1][-1]:
        each += _TURN * m * n * k
    if lacking == 2:
        each += 2 * _ENTRY * m * n  # written, and read to be summed
    cost = inner.cost + prod(sizes[i] for i in outer) * each
    orders = [o if k == lacking else outer + o for k, o in enumerate(inner.orders)]
    return replace(inner, outer=outer, orders=(orders[0], orders[1], orders[2]), cost=cost)


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


def arrange(x: Legs, y: Legs, z: Legs, sizes: Sequence[int], free: bool = False) -> Arrangement:
    """The matrix product for arrays in these orders that is quickest to prepare.

    A ``free`` z may come in any order.  Equal patterns are looked up, whatever the numbers of their
    labels.
    """
    found, back = _numbered(x, y, z, sizes, free)

    def named(group: Legs) -> Legs:
        return tuple(back[k] for k in group)

    first, second, third = map(named, found.orders)
    return Arrangement(
        named(found.batch), named(found.rows), named(found.columns), named(found.summed),
        (first, second, third), found.cost, named(found.outer),
    )  # fmt: skip


def _numbered(
    x: Legs, y: Legs, z: Legs, sizes: Sequence[int], free: bool
) -> tuple[Arrangement, list[int]]:
    """The arrangement with labels numbered as they appear, and what the numbers stand for."""
    back = list(dict.fromkeys(x + y))
    number = {i: k for k, i in enumerate(back)}.__getitem__
    plain = [tuple(map(number, legs)) for legs in (x, y, z)]
    return _arranged(plain[0], plain[1], plain[2], tuple([sizes[i] for i in back]), free), back


def choose(tree: Tree, both: bool = False) -> tuple[list[Legs], float]:
    """An order of axes for every array of a tree: leaves as given, then one for each step.

    Each intermediate array in turn takes the best order for the join that makes it and the one
    that uses it, while the others stay; a few rounds over the tree settle it.  Also returns the
    nanoseconds, about, that moving axes takes on the way up, or, for ``both``, up and down.
    """
    leaves, steps, sizes = tree.structure.legs, tree.steps, tree.structure.sizes
    layouts = list(leaves)
    above: dict[int, tuple[int, int]] = {}
    """The step that uses an array, and the other array in it."""
    for k, (a, b) in enumerate(steps):
        node = len(leaves) + k
        above[a], above[b] = (node, b), (node, a)
        small, large = sorted((layouts[a], layouts[b]), key=tree.structure.count)
        layouts.append(_in_place(small, large, tree.labels[node]))
    if steps:
        layouts[-1] = tree.structure.out

    def moving(joins: Sequence[tuple[int, int, int]], limit: float) -> float:
        """What moving axes costs in some joins, or a number above the limit."""
        total = 0.0
        for a, b, c in joins:
            x, y, z = layouts[a], layouts[b], layouts[c]
            total += _numbered(x, y, z, sizes, False)[0].cost
            if both and z:
                # Environments of leaves are given back in whatever order they come.
                if total <= limit:
                    total += _numbered(z, y, x, sizes, a < len(leaves))[0].cost
                if total <= limit:
                    total += _numbered(z, x, y, sizes, b < len(leaves))[0].cost
            if total > limit:
                break
        return total

    for _ in range(3):
        changed = False
        for k, (a, b) in enumerate(steps[:-1]):
            node = len(leaves) + k
            parent, other = above[node]
            joins = ((a, b, node), (node, other, parent))
            best, least = layouts[node], moving(joins, inf)
            if least:
                for order in _candidates(
                    layouts[node], layouts[a], layouts[b], layouts[other], layouts[parent]
                ):
                    layouts[node] = order
                    price = moving(joins, least)
                    if price < least:
                        changed, best, least = True, order, price
            layouts[node] = best
        if not changed:
            break
    return layouts, moving([(a, b, len(leaves) + k) for k, (a, b) in enumerate(steps)], inf)


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

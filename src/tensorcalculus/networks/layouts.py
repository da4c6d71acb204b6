"""Two arrays joined by one matrix product, for given orders of their axes in memory.

Three arrays meet at a join, ``z = x*y``, and each in turn is the product of the other two: forward
``z``, backward ``x`` and ``y``.  All three run without moving entries where each array has its two
groups of labels (shared with the one, shared with the other) one after the other, in orders that
agree.  :func:`arrange` says what has to be moved for given orders, and which product is quickest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod

from tensorcalculus.networks.structure import Legs
from tensorcalculus.networks.timing import (
    entrywise,
    move_floor,
    move_time,
    product_time,
    summing,
    turn_pays,
    turning,
)


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
    """Nanoseconds, about, to move entries into these orders and to multiply."""
    outer: Legs = ()
    """Labels in front on two of the arrays, for each of whose values there is one product."""


_STAYING = ((0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,), ())
"""Which of the three arrays of a join keep their orders."""


@lru_cache(maxsize=200_000)
def _arranged(x: Legs, y: Legs, z: Legs, sizes: tuple[int, ...], free: bool) -> Arrangement:
    """Of one product of matrices, and one for each layer, the quickest."""
    best = _at_once(x, y, z, sizes, free)
    assert best is not None  # all three may be moved
    if not best.batch:
        given = x, y, z
        for lacking in range(3):
            one, two = (given[k] for k in range(3) if k != lacking)
            for shared, (i, j) in enumerate(zip(one, two, strict=False), 1):
                if i != j:
                    break
                found = _layered(given, sizes, free, lacking, shared)
                if found is not None and found.cost < best.cost:
                    best = found
    return best


@lru_cache(maxsize=200_000)
def _at_once(
    x: Legs,
    y: Legs,
    z: Legs,
    sizes: tuple[int, ...],
    free: bool,
    copies: tuple[int, int] = (1, 1),
    held: tuple[int, ...] = (),
) -> Arrangement | None:
    """What is moved for a product of matrices, or of batches of them.

    ``copies`` tells how many layers of x and of y are multiplied so; one that is the same for all
    layers is there once.  Arrays that are ``held`` must stay as they are.
    """
    sx, sy, sz = set(x), set(y), set(z)
    every = sx & sy & sz
    batch = tuple(i for i in x if i in every)
    rows = tuple(i for i in x if i in sz and i not in every)
    columns = tuple(i for i in y if i in sz and i not in every)
    summed = tuple(i for i in x if i not in sz)
    given = (x, y, z)
    # For each array the groups that it has, as it orders them; None where they are scattered.
    pairs = ((rows, summed), (summed, columns), (rows, columns))
    found = [_grouped(t, len(batch), every, pair) for t, pair in zip(given, pairs, strict=True)]
    times = _times((batch, rows, columns, summed), sizes, copies)
    # Beyond an arrangement that moves nothing, each moves one array at least.
    enough = min(map(min, times)) + move_floor(min(prod([sizes[i] for i in g]) for g in given))
    moves: tuple[dict[Legs, float], ...] = ({}, {}, {})
    best: Arrangement | None = None
    for stay in _STAYING:
        orders = _agreed([found[k] for k in stay]) if set(held) <= set(stay) else None
        if orders is None:
            continue
        b, m, n, s = [orders.get(frozenset(g), g) for g in (batch, rows, columns, summed)]
        # The two groups of an array may stand in either order.
        options = []
        for k, (first, second) in enumerate(((m, s), (s, n), (m, n))):
            if k in stay:
                options.append([(given[k], 0.0)])
                continue
            pair = []
            for order in (b + first + second, b + second + first):
                cost = 0.0 if free and k == 2 else moves[k].get(order)
                if cost is None:
                    cost = moves[k][order] = move_time(given[k], order, sizes)
                pair.append((order, cost))
            options.append(pair)
        for (first, p), (second, q), (third, r) in product(*options):
            turned = first == b + m + s and second == b + n + s
            cost = p + q + r + times[turned][third != b + m + n]
            if best is None or cost < best.cost:
                best = Arrangement(b, m, n, s, (first, second, third), cost)
        if best is not None and best.cost <= enough:
            break
    return best


def _times(
    groups: tuple[Legs, Legs, Legs, Legs], sizes: Sequence[int], copies: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Nanoseconds of the product alone.

    In the second row both factors have the summed axes last; the first column is ``x*y``, the
    second ``y*x``, the transpose of it.
    """
    lead, m, n, k = (prod([sizes[i] for i in g]) for g in groups)
    layers = lead * max(copies)
    if not all(groups[1:]):
        plain = entrywise(layers * m * n * k)
        return (plain, plain), (plain, plain)
    fast = product_time(m, n, k, False, layers), product_time(n, m, k, False, layers)
    slow = product_time(m, n, k, True, layers), product_time(n, m, k, True, layers)
    least = lead * k * min(m * copies[0], n * copies[1])
    if turn_pays(m * n * k, layers, least):
        slow = fast[0] + turning(least), fast[1] + turning(least)
    return fast, slow


def _layered(
    given: tuple[Legs, Legs, Legs], sizes: tuple[int, ...], free: bool, lacking: int, shared: int
) -> Arrangement | None:
    """Two arrays as they are, taken apart along labels that both begin with.

    For ``y = (o, s, n)`` and ``z = (o, m, n)`` each layer of ``z`` is ``x`` times one of ``y``;
    for ``x = (o, ...)`` and ``y = (o, ...)`` the products are added.
    """
    outer = given[0 if lacking else 1][:shared]
    layers = prod([sizes[i] for i in outer])
    x, y, z = (g if k == lacking else g[shared:] for k, g in enumerate(given))
    copies = 1 if lacking == 0 else layers, 1 if lacking == 1 else layers
    held = tuple(k for k in range(3) if k != lacking and not (free and k == 2))
    inner = _at_once(x, y, z, sizes, free, copies, held)
    if inner is None or not (inner.rows and inner.columns and inner.summed):
        return None
    cost = inner.cost
    if lacking == 2:
        cost += summing(layers, prod([sizes[i] for i in z]))
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
    """The matrix product for arrays in these orders that is quickest, with what is moved for it.

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


def time_of(x: Legs, y: Legs, z: Legs, sizes: Sequence[int], free: bool = False) -> float:
    """Estimated nanoseconds of that."""
    return _numbered(x, y, z, sizes, free)[0].cost


def _numbered(
    x: Legs, y: Legs, z: Legs, sizes: Sequence[int], free: bool
) -> tuple[Arrangement, list[int]]:
    """The arrangement with labels numbered as they appear, and what the numbers stand for."""
    back = list(dict.fromkeys(x + y))
    number = {i: k for k, i in enumerate(back)}.__getitem__
    plain = [tuple(map(number, legs)) for legs in (x, y, z)]
    return _arranged(plain[0], plain[1], plain[2], tuple([sizes[i] for i in back]), free), back

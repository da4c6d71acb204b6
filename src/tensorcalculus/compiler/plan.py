"""In which order the operands of contractions are joined, chosen for all of a program together.

The time of one pairwise step is estimated from the sizes (`step_time`).  First, pairs of operands
that stand in several contractions are joined once for all of them, where that makes the whole no
slower: the back-propagated vector of a network serves the gradients by all its weights, and the
gradients of a CP model by all its factors share a large product.  Then the best order of each
contraction is found by dynamic programming over subsets of up to `SMALL` operands; larger ones are
ordered by cotengra.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

SMALL = 8
"""Operands up to which every order is considered."""

Legs = tuple[int, ...]
Part = tuple[int, Legs]
"""An operand: the number of its array (see `Arrays`), and its labels."""
Key = tuple
"""What identifies the result of joining some operands: equal keys are equal arrays."""

# Nanoseconds: of a call; of a multiplication and addition inside a matrix product; of an entry
# read for a matrix-vector product; of an entry read or written one by one; of a call that
# multiplies arrays of one shape entry by entry.
CALL, PRODUCT, READ, ENTRY = 1000.0, 0.06, 0.3, 0.5
_ALIKE = 400.0
HALVED = 0.6
"""What a symmetric product takes of the time of another, as half of it is computed."""


@dataclass(frozen=True, slots=True)
class Join:
    """Two parts joined; ``legs`` are the labels kept, ``members`` the operands below."""

    first: int | Join
    second: int | Join
    legs: Legs
    members: tuple[int, ...]


def step_time(a: Legs, b: Legs, keep: set[int], sizes: Mapping[int, int]) -> float:
    """Estimated nanoseconds to join two arrays, summing over shared labels not in ``keep``."""
    shared = [i for i in a if i in b]
    summed = prod(sizes[i] for i in shared if i not in keep)
    batch = prod(sizes[i] for i in shared if i in keep)
    left = prod(sizes[i] for i in a if i not in b)
    right = prod(sizes[i] for i in b if i not in a)
    result = batch * left * right
    traffic = batch * summed * (left + right) + result
    if all(i in keep for i in shared):
        return (_ALIKE if left == right == 1 else CALL) + ENTRY * traffic
    if min(left, right) == 1:
        return CALL + (READ if batch == 1 or left * right > 1 else ENTRY) * traffic
    stacked = 100.0 * batch if batch > 1 else 0.0  # a call into BLAS for each matrix of a stack
    return CALL + stacked + PRODUCT * result * summed + 0.5 * ENTRY * traffic


def kept_labels(inside: Sequence[Part], rest: Sequence[Part], out: Sequence[int]) -> Legs:
    """Labels that joined operands keep: those of the output or of operands still to come."""
    needed = {i for _, legs in rest for i in legs} | set(out)
    return tuple(dict.fromkeys(i for _, legs in inside for i in legs if i in needed))


def key_of(inside: Sequence[Part], kept: Sequence[int]) -> tuple[Key, dict[int, int]]:
    """The identity of the result of joining operands, and the labels as numbered in it."""
    names: dict[int, int] = {}
    order = sorted(inside)
    for _, legs in order:
        for i in legs:
            names.setdefault(i, len(names))
    parts = tuple((part, tuple(names[i] for i in legs)) for part, legs in order)
    return (parts, tuple(sorted(names[i] for i in kept))), names


class Arrays:
    """Numbers for arrays, equal for equal descriptions."""

    def __init__(self) -> None:
        self.numbers: dict[Hashable, int] = {}

    def number(self, *description: Hashable) -> int:
        return self.numbers.setdefault(description, len(self.numbers))


@dataclass(frozen=True)
class Network:
    """A contraction as the planner knows it."""

    parts: tuple[Part, ...]
    out: Legs
    sizes: Mapping[int, int]
    arrays: Arrays

    def rest(self, *taken: int) -> list[Part]:
        return [p for k, p in enumerate(self.parts) if k not in taken]

    def pair(self, a: int, b: int) -> tuple[Key, Part]:
        """The identity of two operands joined, and the operand that takes their place."""
        inside = [self.parts[a], self.parts[b]]
        kept = kept_labels(inside, self.rest(a, b), self.out)
        key, names = key_of(inside, kept)
        number = self.arrays.number("joined", key)
        return key, (number, tuple(sorted(kept, key=names.__getitem__)))

    def joined(self, a: int, b: int) -> Network:
        _, part = self.pair(a, b)
        return replace(self, parts=(*self.rest(a, b), part))

    def count(self, legs: Legs) -> int:
        return prod(self.sizes[i] for i in legs)


@dataclass
class Planner:
    """Orders contractions one after the other, remembering what is joined already."""

    arrays: Arrays = field(default_factory=Arrays)
    units: set[Key] = field(default_factory=set)
    """Pairs that are joined wherever they stand."""
    made: set[Key] = field(default_factory=set)
    """What is stored, and costs nothing where it is needed again."""

    def announce(self, networks: Sequence[Network]) -> None:
        """Tell of all contractions of a program, to find the pairs that they share."""
        found = [n for n in networks if len(n.parts) > 2]
        while len(found) > 1 and sum(len(n.parts) ** 2 for n in found) <= _EFFORT:
            places: dict[Key, list[tuple[int, int, int]]] = {}
            for k, network in enumerate(found):
                for a in range(len(network.parts)):
                    for b in range(a):
                        if _modest(network, a, b):
                            key, _ = network.pair(a, b)
                            places.setdefault(key, []).append((k, a, b))
            shared = [(key, at) for key, at in places.items() if len({k for k, *_ in at}) > 1]
            shared = [(key, at) for key, at in shared if key not in self.units]
            shared.sort(key=lambda item: -len(item[1]))
            for key, at in shared[:8]:
                new = self._replaced(found, at)
                if new is not None:
                    self.units.add(key)
                    found = [n for n in new if len(n.parts) > 2]
                    break
            else:
                return

    def _replaced(
        self, networks: list[Network], places: list[tuple[int, int, int]]
    ) -> list[Network] | None:
        """The networks with a pair joined, unless that makes them slower."""
        new, before, after = list(networks), 0.0, 0.0
        unit = 0.0
        for k, a, b in places:
            network = networks[k]
            if new[k] is not network:
                continue  # a second place in one network is joined when it is written
            (_, legs_a), (_, legs_b) = network.parts[a], network.parts[b]
            _, (_, kept) = network.pair(a, b)
            new[k] = network.joined(a, b)
            if set(kept) == set(legs_a) == set(legs_b):
                continue  # entry by entry: no order is lost
            unit = step_time(legs_a, legs_b, set(kept), network.sizes)
            before += self.time(network)
            after += self.time(new[k])
        return new if after + unit <= before else None

    def time(self, network: Network) -> float:
        """About the time of the best order."""
        if len(network.parts) <= EXACT:
            return self._best(network.parts, network.out, network.sizes)[1]
        return _greedy_time(network)

    def order(
        self, parts: Sequence[Part], out: Sequence[int], sizes: Mapping[int, int]
    ) -> tuple[int | Join, float]:
        """The tree of joins of least estimated time, and that time in nanoseconds."""
        if len(parts) > SMALL:
            return _searched(parts, out, sizes)
        return self._best(parts, out, sizes)

    def _best(
        self, parts: Sequence[Part], out: Sequence[int], sizes: Mapping[int, int]
    ) -> tuple[int | Join, float]:
        count = len(parts)
        everything = (1 << count) - 1
        legs: dict[int, Legs] = {1 << k: p[1] for k, p in enumerate(parts)}
        best: dict[int, tuple[float, int | Join]] = {1 << k: (0.0, k) for k in range(count)}
        for subset in sorted(range(1, everything + 1), key=int.bit_count):
            if subset in best:
                continue
            members = tuple(k for k in range(count) if subset >> k & 1)
            inside = [parts[k] for k in members]
            rest = [p for k, p in enumerate(parts) if not subset >> k & 1]
            kept = kept_labels(inside, rest, out)
            legs[subset] = kept if rest else tuple(out)
            known = bool(self.made) and key_of(inside, kept)[0] in self.made
            keep = set(kept)
            options = []
            for half in _halves(subset):
                other = subset ^ half
                time = 0.0
                if not known:
                    time = best[half][0] + best[other][0]
                    time += step_time(legs[half], legs[other], keep, sizes)
                options.append((time, half))
            time, half = min(options)
            join = Join(best[half][1], best[subset ^ half][1], legs[subset], members)
            best[subset] = (time, join)
        time, tree = best[everything]
        return tree, time


_OPTIMAL = 14
"""Operands up to which cotengra searches all orders; nodes seldom have more."""
EXACT = 5
"""Operands up to which the estimate of a time is that of the best order."""
_EFFORT = 20_000
"""Pairs up to which what contractions share is looked for."""


def _modest(network: Network, a: int, b: int) -> bool:
    """Whether two operands have a label in common and their join is no larger than they are."""
    legs_a, legs_b = network.parts[a][1], network.parts[b][1]
    if not set(legs_a) & set(legs_b):
        return False
    kept = kept_labels([network.parts[a], network.parts[b]], network.rest(a, b), network.out)
    return network.count(kept) <= max(network.count(legs_a), network.count(legs_b))


def _greedy_time(network: Network) -> float:
    """The time of an order that always joins the pair which saves most memory, the quickest of
    several such.
    """
    total = 0.0
    while len(network.parts) > 1:
        options = []
        for a in range(len(network.parts)):
            for b in range(a):
                legs_a, legs_b = network.parts[a][1], network.parts[b][1]
                inside = [network.parts[a], network.parts[b]]
                kept = kept_labels(inside, network.rest(a, b), network.out)
                grown = network.count(kept) - network.count(legs_a) - network.count(legs_b)
                time = step_time(legs_a, legs_b, set(kept), network.sizes)
                options.append((grown, time, a, b, kept))
        _, time, a, b, kept = min(options)
        total += time
        part: Part = (-1, kept)
        network = replace(network, parts=(*network.rest(a, b), part))
    return total


def _halves(subset: int) -> list[int]:
    """One half of each split of a set in two."""
    lowest = subset & -subset
    rest = subset ^ lowest
    halves, half = [], rest
    while half:
        halves.append(half)
        half = (half - 1) & rest
    return halves


def _searched(
    parts: Sequence[Part], out: Sequence[int], sizes: Mapping[int, int]
) -> tuple[int | Join, float]:
    """The order that keeps intermediate arrays small, unless a full search finds a far better one.

    The search counts operations only; between orders of like counts small arrays run faster.
    """
    tree, time = _by_cotengra(parts, out, sizes, "greedy")
    if len(parts) <= _OPTIMAL:
        searched, least = _by_cotengra(parts, out, sizes, "optimal")
        if least < 0.5 * time:
            return searched, least
    return tree, time


def _by_cotengra(
    parts: Sequence[Part], out: Sequence[int], sizes: Mapping[int, int], search: str
) -> tuple[int | Join, float]:
    import cotengra

    path = cotengra.array_contract_path(
        [p[1] for p in parts],
        tuple(out),
        size_dict={i: max(int(n), 1) for i, n in sizes.items()},
        optimize=search,
    )
    alive: list[int | Join] = list(range(len(parts)))
    total = 0.0
    for step in path:
        positions = [int(k) for k in step]
        chosen = [alive[k] for k in positions]
        alive = [t for k, t in enumerate(alive) if k not in positions]
        while len(chosen) > 1:
            a, b = chosen.pop(0), chosen.pop(0)
            needed = {i for t in (*alive, *chosen) for i in _legs(t, parts)} | set(out)
            first, second = _legs(a, parts), _legs(b, parts)
            total += step_time(first, second, needed, sizes)
            last = not alive and not chosen
            legs = tuple(i for i in dict.fromkeys((*first, *second)) if i in needed)
            members = tuple(sorted(_members(a) + _members(b)))
            chosen.insert(0, Join(a, b, tuple(out) if last else legs, members))
        alive.append(chosen[0])
    return alive[0], total


def _legs(tree: int | Join, parts: Sequence[Part]) -> Legs:
    return tree.legs if isinstance(tree, Join) else parts[tree][1]


def _members(tree: int | Join) -> tuple[int, ...]:
    return tree.members if isinstance(tree, Join) else (tree,)

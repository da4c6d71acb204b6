"""In which order the operands of contractions are joined, chosen for all of a program together.

The time of one pairwise step is estimated from the sizes (`step_time`).  Up to `SMALL` operands the
best order is found by dynamic programming over subsets; a subset that another contraction has
joined already costs nothing, and one that others could use as well is shared between them.  So the
gradients of a CP model by all its factors make one large product for two of them.  Larger networks
are ordered by cotengra.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

SMALL = 8
"""Operands up to which every order is considered."""

Legs = tuple[int, ...]
Part = tuple[tuple, Legs]
"""An operand: what identifies its array (comparable), and its labels."""
Key = tuple
"""What identifies the result of joining some operands: equal keys are equal arrays."""

# Nanoseconds: of a call; of a multiplication and addition inside a matrix product; of an entry
# read for a matrix-vector product; of an entry read or written one by one.
_CALL, _PRODUCT, _READ, _ENTRY = 1000.0, 0.06, 0.3, 0.5


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
        return _CALL + _ENTRY * traffic
    if min(left, right) == 1:
        return _CALL + (_READ if batch == 1 or left * right > 1 else _ENTRY) * traffic
    stacked = 100.0 * batch if batch > 1 else 0.0  # a call into BLAS for each matrix of a stack
    return _CALL + stacked + _PRODUCT * result * summed + 0.5 * _ENTRY * traffic


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


@dataclass
class Planner:
    """Orders contractions one after the other, remembering what is joined already."""

    wanted: Counter[Key] = field(default_factory=Counter)
    """How many contractions of the program could begin with a pair."""
    made: set[Key] = field(default_factory=set)

    def announce(self, parts: Sequence[Part], out: Sequence[int]) -> None:
        """Tell of a contraction to come: each pair that it could join first."""
        if not 2 < len(parts) <= SMALL:
            return
        for a in range(len(parts)):
            for b in range(a):
                if set(parts[a][1]) & set(parts[b][1]):
                    pair = [parts[a], parts[b]]
                    rest = [p for k, p in enumerate(parts) if k not in (a, b)]
                    self.wanted[key_of(pair, kept_labels(pair, rest, out))[0]] += 1

    def order(
        self, parts: Sequence[Part], out: Sequence[int], sizes: Mapping[int, int]
    ) -> tuple[int | Join, float]:
        """The tree of joins of least estimated time, and that time in nanoseconds."""
        if len(parts) > SMALL:
            return _searched(parts, out, sizes)
        tree, time = self._best(parts, out, sizes)
        self._remember(tree, parts)
        return tree, time

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
            key = key_of(inside, kept)[0]
            known = key in self.made
            share = 1 if len(members) > 2 else max(self.wanted[key], 1)
            options = []
            for half in _halves(subset):
                other = subset ^ half
                joined = bool(set(legs[half]) & set(legs[other]))
                step = step_time(legs[half], legs[other], set(kept), sizes) / share
                time = 0.0 if known else best[half][0] + best[other][0] + step
                options.append((not joined, time, half))
            # Outer products only where nothing is connected.
            _, time, half = min(options)
            join = Join(best[half][1], best[subset ^ half][1], legs[subset], members)
            best[subset] = (time, join)
        time, tree = best[everything]
        return tree, time

    def _remember(self, tree: int | Join, parts: Sequence[Part]) -> None:
        if isinstance(tree, Join):
            self.made.add(key_of([parts[k] for k in tree.members], tree.legs)[0])
            self._remember(tree.first, parts)
            self._remember(tree.second, parts)


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
    import cotengra

    path = cotengra.array_contract_path(
        [p[1] for p in parts],
        tuple(out),
        size_dict={i: max(int(n), 1) for i, n in sizes.items()},
        optimize="greedy",
    )
    alive: list[int | Join] = list(range(len(parts)))
    total = 0.0
    for positions in path:
        chosen = [alive[int(k)] for k in positions]
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

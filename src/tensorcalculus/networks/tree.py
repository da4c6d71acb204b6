"""In which order the cores of a network are joined: a binary tree from cotengra, and its slices."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tensorcalculus.networks.structure import Legs, Structure
from tensorcalculus.networks.timing import product_time

OPTIMAL = 8
"""Operands up to which all orders are searched."""
EFFORT = 4
"""Trees looked for in larger networks, unless the caller says otherwise."""
LARGE = 1000
"""Operands from which one tree is all that is looked for, without annealing."""
KEPT = 3
"""Trees for which orders of axes are compared."""
_SEARCHED = 240
"""Operands of all trees that are looked for, together; one tree is looked for in any case."""
_WEIGHTS = (16, 64)

_FIRST = 0x10000


def _symbol(label: int) -> str:
    """A label as the one letter that cotengra takes, beyond those with a meaning of their own."""
    return chr(_FIRST + label)


@dataclass(frozen=True, slots=True)
class Tree:
    """Joins of pairs: step ``k`` makes array ``n+k`` of two arrays made before."""

    structure: Structure
    """The network without diagonals, and without the labels that are sliced."""
    steps: tuple[tuple[int, int], ...]
    labels: tuple[frozenset[int], ...]
    """The labels of every array, of operands first."""
    sliced: Legs = ()
    """Labels for each of whose values the tree is run once."""

    def cost(self, step: int) -> int:
        """Multiplications of a step: one for each value of all labels that meet there."""
        a, b = self.steps[step]
        return self.structure.count(tuple(self.labels[a] | self.labels[b]))

    @property
    def slices(self) -> int:
        """How often the tree is run."""
        return self.structure.count(self.sliced)

    @property
    def time(self) -> float:
        """Estimated nanoseconds of one slice, where no axes have to be moved."""
        count = self.structure.count
        total = 0.0
        for k, (a, b) in enumerate(self.steps):
            x, y, z = self.labels[a], self.labels[b], self.labels[len(self.structure.legs) + k]
            m, n, s = (
                count(tuple((x & z) - y)),
                count(tuple((y & z) - x)),
                count(tuple((x & y) - z)),
            )
            layers = count(tuple(x & y & z))
            total += min(product_time(m, n, s, layers=layers), product_time(n, m, s, layers=layers))
        return total


@lru_cache(maxsize=512)
def search(structure: Structure, effort: int = EFFORT) -> tuple[Tree, ...]:
    """Trees of least estimated time, the best first; the same ones for the same network.

    Parameters
    ----------
    structure
        A reduced network.
    effort
        How many trees are looked for where there are too many to try all.
    """
    trees = {_as_tree(structure, found): None for found in _found(structure, effort)}
    return tuple(sorted(trees, key=lambda tree: tree.time)[:KEPT])


@lru_cache(maxsize=512)
def sliced(structure: Structure, effort: int, largest: int) -> Tree:
    """A tree whose arrays have at most ``largest`` entries, where slicing can reach that."""
    trees = []
    for found in _found(structure, effort):
        if found is not None:
            found = found.slice(
                target_size=max(largest, 1), seed=0, allow_outer=False, inplace=False
            )
        trees.append(_as_tree(structure, found))
    return min(trees, key=lambda tree: tree.time * tree.slices)


@lru_cache(maxsize=64)
def _found(structure: Structure, effort: int) -> tuple[Any, ...]:
    """Trees of cotengra; None where there is nothing to choose.

    What annealing minimises is multiplications and, weighted, entries written.
    """
    count = len(structure.legs)
    if count < 2:
        return (None,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of partitioners that are not installed
        import cotengra

        inputs = [tuple(map(_symbol, legs)) for legs in structure.legs]
        output = tuple(map(_symbol, structure.out))
        lengths = {_symbol(i): max(n, 1) for i, n in enumerate(structure.sizes)}

        def tree(optimize: Any) -> Any:
            return cotengra.array_contract_tree(
                inputs, output, lengths, optimize=optimize, canonicalize=False
            )

        if count <= OPTIMAL:
            return (tree("optimal"),)
        found = [tree("greedy")]
        for k in range(max(1, min(effort, _SEARCHED // count))):
            weighed = f"combo-{_WEIGHTS[k % len(_WEIGHTS)]}"
            start = tree(cotengra.RandomGreedyOptimizer(max_repeats=8, seed=k))
            if count <= LARGE:
                start.simulated_anneal_(minimize=weighed, seed=k, tsteps=20, numiter=20)
            start.subtree_reconfigure_(subtree_size=8, minimize=weighed, seed=random.Random(k))
            found.append(start)
        return tuple(found)


def _as_tree(structure: Structure, found: Any) -> Tree:
    gone: set[int] = set()
    path: list[tuple[int, ...]] = []
    if found is not None:
        gone = {ord(i) - _FIRST for i in found.sliced_inds}
        path = [tuple(map(int, step)) for step in found.get_ssa_path()]
    kept = Structure(
        tuple(tuple(i for i in legs if i not in gone) for legs in structure.legs),
        tuple(i for i in structure.out if i not in gone),
        structure.sizes,
        structure.arrays,
    )
    holders: dict[int, int] = {}
    for legs in (*kept.legs, kept.out):
        for i in legs:
            holders[i] = holders.get(i, 0) + 1
    labels = [frozenset(legs) for legs in kept.legs]
    # A step of more than two is one after the other.
    steps: list[tuple[int, int]] = []
    numbers = list(range(len(labels)))
    for step in path:
        first, *others = (numbers[k] for k in step)
        for other in others:
            shared = labels[first] & labels[other]
            for i in shared:
                holders[i] -= 1
            union = labels[first] | labels[other]
            labels.append(frozenset(i for i in union if i not in shared or holders[i] > 1))
            steps.append((first, other))
            first = len(labels) - 1
        numbers.append(first)
    return Tree(kept, tuple(steps), tuple(labels), tuple(sorted(gone)))

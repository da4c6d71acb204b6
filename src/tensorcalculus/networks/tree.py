"""In which order the cores of a network are joined: a binary tree from cotengra, and its slices."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tensorcalculus.networks.structure import Legs, Structure

OPTIMAL = 8
"""Operands up to which all orders are searched."""
EFFORT = 32
"""Trees tried for larger networks, unless the caller says otherwise."""

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


@lru_cache(maxsize=512)
def search(structure: Structure, effort: int = EFFORT) -> Tree:
    """A tree of few multiplications; always the same for the same network.

    Parameters
    ----------
    structure
        A reduced network.
    effort
        How many trees are tried where there are too many to try all.
    """
    return _as_tree(structure, _found(structure, effort))


@lru_cache(maxsize=512)
def sliced(structure: Structure, effort: int, largest: int) -> Tree:
    """A tree whose arrays have at most ``largest`` entries, where slicing can reach that."""
    found = _found(structure, effort)
    if found is None:
        return _as_tree(structure, None)
    found = found.slice(target_size=max(largest, 1), seed=0, allow_outer=False, inplace=False)
    return _as_tree(structure, found)


def _found(structure: Structure, effort: int) -> Any:
    """cotengra's tree; None where there is nothing to choose."""
    if len(structure.legs) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of partitioners that are not installed
        import cotengra

        given = {
            "inputs": [tuple(map(_symbol, legs)) for legs in structure.legs],
            "output": tuple(map(_symbol, structure.out)),
            "size_dict": {_symbol(i): max(n, 1) for i, n in enumerate(structure.sizes)},
        }
        if len(structure.legs) <= OPTIMAL:
            return cotengra.array_contract_tree(**given, optimize="optimal", canonicalize=False)
        searches = ["greedy", cotengra.RandomGreedyOptimizer(max_repeats=effort, seed=0)]
        trees = [
            cotengra.array_contract_tree(**given, optimize=s, canonicalize=False) for s in searches
        ]
        for tree in trees:
            tree.subtree_reconfigure_(subtree_size=8, minimize="flops", seed=random.Random(0))
        return min(trees, key=lambda tree: tree.total_flops())


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

"""Dimension trees: pairs of pairs of modes, such as ``((0, 1), (2, 3))``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, cast

from tensorcalculus.errors import InputError

Tree = Any
"""A mode, or a pair of trees."""


class Node(NamedTuple):
    """A part of a tree."""

    modes: tuple[int, ...]
    """Those that it stands for, as they are read from left to right."""
    children: tuple[int, int] | None
    """The numbers of its two halves; None where it is a leaf."""


def balanced(d: int) -> Tree:
    """The tree that halves the modes ``0 … d-1`` again and again."""

    def part(first: int, last: int) -> Tree:
        if last - first == 1:
            return first
        middle = (first + last) // 2
        return part(first, middle), part(middle, last)

    return part(0, d)


@lru_cache(maxsize=256)
def nodes(tree: Tree) -> tuple[Node, ...]:
    """All nodes, the root first, level by level; children have larger numbers than parents."""
    parts, halves, k = [tree], [], 0
    while k < len(parts):
        halves.append(None if isinstance(parts[k], int) else (len(parts), len(parts) + 1))
        parts += () if isinstance(parts[k], int) else parts[k]
        k += 1
    modes: list[tuple[int, ...]] = [()] * len(parts)
    for k in reversed(range(len(parts))):
        pair = halves[k]
        modes[k] = (parts[k],) if pair is None else modes[pair[0]] + modes[pair[1]]
    return tuple(Node(*both) for both in zip(modes, halves, strict=True))


def checked(tree: Any, d: int) -> Tree:
    """A tree that has each of d modes once.

    Raises
    ------
    InputError
        Something else.
    """
    found, pending, well = [], [tree], True
    while pending and well:
        part = pending.pop()
        if isinstance(part, tuple | list):
            well = len(part) == 2
            pending += part
        else:
            well = isinstance(part, int) and not isinstance(part, bool)
            found.append(part)
    if not well or sorted(found) != list(range(d)):
        raise InputError(
            f"tree: pairs of pairs of the modes 0 … {d - 1}, each once, are expected, such as"
            f" {balanced(d)}; not {tree!r}"
        )
    return mapped(tree, lambda k: k)


def mapped(tree: Tree, name: Callable[[int], int]) -> Tree:
    """The tree with other names of modes."""
    if isinstance(tree, int):
        return name(tree)
    left, right = cast(Sequence[Tree], tree)
    return mapped(left, name), mapped(right, name)

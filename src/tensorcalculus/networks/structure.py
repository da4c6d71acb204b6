"""What a contraction is to the planner: legs as numbers, an output, sizes; arrays fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tensorcalculus.compiler.targets import Target

Legs = tuple[int, ...]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Structure:
    """Operands with labelled axes, the labels of the output, and the size of each label."""

    legs: tuple[Legs, ...]
    out: Legs
    sizes: tuple[int, ...]
    arrays: Legs
    """For each operand the number of its array; a core that stands twice is one array."""

    def count(self, legs: Sequence[int]) -> int:
        return prod(self.sizes[i] for i in legs)

    def reduced(self) -> Structure:
        """Each operand without diagonals and without labels that it alone has.

        The output keeps each label that an operand carries once.
        """
        carriers: dict[int, int] = {}
        for legs in self.legs:
            for i in set(legs):
                carriers[i] = carriers.get(i, 0) + 1
        out = tuple(i for i in dict.fromkeys(self.out) if i in carriers)
        legs = tuple(
            tuple(i for i in dict.fromkeys(g) if carriers[i] > 1 or i in out) for g in self.legs
        )
        return Structure(legs, out, self.sizes, self.arrays)


def taken(array: Any, pattern: Legs, legs: Legs, target: Target) -> Any:
    """Diagonals along repeated labels of ``pattern``, summed over labels that ``legs`` lack."""
    if pattern == legs:
        return array
    letters = {i: _LETTERS[k] for k, i in enumerate(dict.fromkeys((*pattern, *legs)))}
    spelled = ["".join(letters[i] for i in g) for g in (pattern, legs)]
    return _module(target).einsum("->".join(spelled), array)


def placed(array: Any, legs: Legs, pattern: Legs, sizes: Sequence[int], target: Target) -> Any:
    """The adjoint of :func:`taken`: along diagonals of zeros, the same for all missing labels."""
    if pattern == legs:
        return array
    xp = _module(target)
    unique = tuple(dict.fromkeys(pattern))
    order = tuple(i for i in unique if i in legs)
    array = xp.asarray(array)
    if order != legs:
        spelled = ["".join(_LETTERS[legs.index(i)] for i in g) for g in (legs, order)]
        array = xp.einsum("->".join(spelled), array)
    array = array.reshape([sizes[i] if i in legs else 1 for i in unique])
    array = xp.broadcast_to(array, tuple(sizes[i] for i in unique))
    if pattern == unique:
        return array.copy() if target.name == "numpy" else array
    # Where all axes of a label agree: a mask of indices, never an identity that is multiplied.
    array = array.reshape([sizes[i] if pattern.index(i) == k else 1 for k, i in enumerate(pattern)])
    agree = None
    for k, i in enumerate(pattern):
        first = pattern.index(i)
        if first < k:
            same = _positions(xp, sizes[i], first, len(pattern), array) == _positions(
                xp, sizes[i], k, len(pattern), array
            )
            agree = same if agree is None else agree & same
    return xp.where(agree, array, xp.zeros_like(array))


def _positions(xp: Any, size: int, axis: int, ndim: int, like: Any) -> Any:
    options = {"device": like.device} if xp.__name__ == "torch" else {}
    return xp.arange(size, **options).reshape([-1 if k == axis else 1 for k in range(ndim)])


def _module(target: Target) -> Any:
    return target.namespace()[target.module]

"""Source of two arrays joined: a BLAS call where one fits, else a product of entries.

An array is a text with a label an axis.  Axes are moved as views; memory is copied only where no
grouping of axes in their order makes a matrix of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from math import prod

from tensorcalculus.compiler.store import LARGE
from tensorcalculus.compiler.targets import Target

Legs = tuple[int, ...]

SPREAD, RUN = 5000, 1000
"""Entries from which a product with more axes than its factors may be left to a kernel,
and the longest innermost loop for which it is."""
SMALL_PRODUCT = 40**3
"""Multiplications up to which the overhead of a matrix product counts."""
THIN = 32
"""Length up to which BLAS' symmetric product, taken where both factors are one array, is slower
than the general one: measured, 1.2 to 1.9 times on either side of a thin matrix."""
NEW = ("kernels.spread_product(", "store.")
"""How the text of an array that nothing else refers to may begin."""
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Piece:
    """An intermediate array in the source: its text, labels, and how tightly the text binds."""

    text: str
    legs: Legs
    level: int = 3
    """3: a name or call, 2: a product, 1: a sum."""
    solver: str | None = None
    """For an inverse matrix: the text of the factorised matrix that solves instead."""
    symmetric: bool = False
    """For a matrix: whether its axes may be exchanged."""

    def wrapped(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


def expanded(piece: Piece, legs: Legs, target: Target) -> Piece:
    """The piece with unit axes for the labels it lacks, ready to broadcast to ``legs``."""
    have = tuple(i for i in legs if i in piece.legs)
    piece = permuted(piece, have, target)
    if have == legs:
        return piece
    # Leading unit axes come by themselves when arrays are broadcast.
    marks = ["None" if i not in have else ":" for i in legs]
    while marks and marks[0] == "None":
        marks.pop(0)
    if all(m == ":" for m in marks):
        return Piece(piece.text, legs, piece.level)
    return Piece(f"{piece.wrapped(3)}[{', '.join(marks)}]", legs)


def permuted(piece: Piece, legs: Legs, target: Target) -> Piece:
    """The piece with its axes in another order, as a view."""
    if piece.legs == legs:
        return piece
    axes = tuple(piece.legs.index(i) for i in legs)
    return Piece(target.transposed(piece.wrapped(3), axes), legs)


@dataclass(frozen=True)
class Joiner:
    """Joins two pieces of one contraction: the target's spelling, its labels' sizes and lengths."""

    target: Target
    dims: Mapping[int, str]
    lengths: Mapping[int, int]
    reuse: bool = False
    """Whether large arrays are those of earlier calls."""

    def join(self, a: Piece, b: Piece, keep: set[int], wanted: Legs) -> Piece:
        """Sum over shared labels not in ``keep``; axes near to ``wanted`` where that is free."""
        shared = [i for i in a.legs if i in b.legs]
        batch = tuple(i for i in shared if i in keep)
        summed = tuple(i for i in shared if i not in keep)
        if not summed:
            return self.product(a, b, wanted)
        left = tuple(i for i in a.legs if i not in b.legs)
        right = tuple(i for i in b.legs if i not in a.legs)
        if batch and not left and not right:
            return self.inner_of_rows(a, b, batch, summed)
        for solver, other in ((a, b), (b, a)):
            if solver.solver and not batch and len(summed) == 1 and len(other.legs) <= 2:
                return self.solved(solver, other, summed[0])
        if not left and not right:
            return self.inner(a, b)
        # The factor whose free axes are wanted first, or that has some, stands on the left.
        first = next((i for i in wanted if i in left or i in right), None)
        if first in right or not left:
            a, b, left, right = b, a, right, left
        if batch:
            return self.stacked(a, b, batch, left, right, summed)
        made = self.matmul(a, b, left, right, summed)
        same = a.text == b.text and len(a.legs) == len(b.legs) == 2
        if same and a.legs.index(summed[0]) == b.legs.index(summed[0]):
            return replace(made, symmetric=True)
        return made

    def product(self, a: Piece, b: Piece, wanted: Legs) -> Piece:
        """The product entry by entry."""
        labels = set(a.legs) | set(b.legs)
        legs = tuple(i for i in wanted if i in labels)
        legs = tuple(dict.fromkeys((*legs, *a.legs, *b.legs)))
        if not self.target.functional and self.runs_short(a.legs, b.legs, legs):
            given = f"{pattern(a.legs, legs)},{pattern(b.legs, legs)}"
            arguments = f'"{given}->{pattern(legs, legs)}", {a.text}, {b.text}'
            owner = "store" if self.stored(legs) else "kernels"
            return Piece(f"{owner}.spread_product({arguments})", legs)
        first, second = expanded(a, legs, self.target), expanded(b, legs, self.target)
        if self.stored(legs) and min(len(a.legs), len(b.legs)) < len(legs):
            return Piece(f"store.times({first.text}, {second.text})", legs)
        return Piece(f"{first.wrapped(2)} * {second.wrapped(3)}", legs, 2)

    def stored(self, legs: Legs) -> bool:
        """Whether a result is large enough to lie where one of an earlier call did."""
        return self.reuse and prod(self.lengths[i] for i in legs) >= LARGE

    def runs_short(self, a: Legs, b: Legs, legs: Legs) -> bool:
        """Whether a broadcast of two large arrays has short innermost loops."""
        if not len(a) < len(legs) > len(b) or len(legs) > len(_LETTERS):
            return False
        if prod(self.lengths[i] for i in legs) < SPREAD:
            return False
        # Trailing axes that the same factors have run in one loop.
        last = legs[-1] in a, legs[-1] in b
        run = takewhile(lambda i: (i in a, i in b) == last, reversed(legs))
        return prod(self.lengths[i] for i in run) <= RUN

    def inner(self, a: Piece, b: Piece) -> Piece:
        if len(a.legs) == 1:
            return self.times(a, b, (), a.legs)
        b = permuted(b, a.legs, self.target)
        x, y = (Piece(f"{p.wrapped(3)}.reshape(-1)", a.legs) for p in (a, b))
        return self.times(x, y, (), a.legs)

    def inner_of_rows(self, a: Piece, b: Piece, batch: Legs, summed: Legs) -> Piece:
        if len(summed) == 1:
            first = permuted(a, batch + summed, self.target)
            second = permuted(b, batch + summed, self.target)
            return Piece(f"kernels.row_dot({first.text}, {second.text})", batch)
        product = self.product(a, b, batch + summed)
        axes = ", ".join(str(-1 - k) for k in range(len(summed)))
        return Piece(f"{product.wrapped(3)}.sum(axis=({axes}))", batch)

    def solved(self, inverse: Piece, other: Piece, label: int) -> Piece:
        """``inv(A) @ b`` by the factors of A; ``inv(A).T @ b`` by the same factors."""
        transposed = inverse.legs[0] == label
        free = inverse.legs[1] if transposed else inverse.legs[0]
        rest = tuple(i for i in other.legs if i != label)
        b = permuted(other, (label, *rest), self.target)
        flag = ", transposed=True" if transposed else ""
        return Piece(f"{inverse.solver}.solve({b.text}{flag})", (free, *rest))

    def matmul(self, a: Piece, b: Piece, left: Legs, right: Legs, summed: Legs) -> Piece:
        """One matrix product; each group of axes is merged to one where it is not one already."""
        if not right and len(summed) == 1 and a.legs[0] == summed[0] and len(a.legs) == 2:
            return self.times(b, a, left, left + summed)  # v @ A, rather than A.T @ v
        if len(summed) == 1:
            inside = self.within(a, b, left, right, summed[0])
            if inside is not None:
                return inside
        # Summed axes in the order of the factor that has them together.
        order = _together(a.legs, summed) or _together(b.legs, summed) or summed
        x = self.as_matrix(a, left, order, True)
        y = self.as_matrix(b, right, order, False)
        legs = x.legs + y.legs
        product = self.times(x, y, legs, legs + summed)
        if len(left) <= 1 and len(right) <= 1:
            return product
        return Piece(f"{product.wrapped(3)}.reshape({self.shape(legs)})", legs)

    def times(self, a: Piece, b: Piece, legs: Legs, touched: Legs) -> Piece:
        """The matrix product of two texts; the method costs a third of a microsecond less."""
        if self.thin_square(a, b, legs, touched):
            copied = f"{b.text.removesuffix('.T')}.copy()"
            b = Piece(f"{copied}.T" if b.text.endswith(".T") else copied, b.legs)
        if self.stored(legs):
            return Piece(f"store.product({a.text}, {b.text})", legs)
        if self.target.functional or prod(self.lengths[i] for i in touched) > SMALL_PRODUCT:
            return Piece(f"{a.wrapped(2)} @ {b.wrapped(3)}", legs, 2)
        return Piece(f"{a.wrapped(3)}.dot({b.text})", legs)

    def thin_square(self, a: Piece, b: Piece, legs: Legs, touched: Legs) -> bool:
        """Whether NumPy would compute ``A.T @ A`` as a symmetric product to no gain."""
        if self.target.functional or len(legs) != 2 or len(touched) != 3:
            return False
        if a.text + ".T" != b.text and a.text != b.text + ".T":
            return False
        n, c = self.lengths[legs[0]], self.lengths[touched[2]]
        return min(n, c) <= THIN and n * c >= 2 * THIN

    def within(self, a: Piece, b: Piece, left: Legs, right: Legs, label: int) -> Piece | None:
        """A matrix applied to the last but one axis of a longer array: a stack, nothing moved."""
        if len(a.legs) > 2 and len(b.legs) == 2 and a.legs[-2] == label:
            matrix = permuted(b, (right[0], label), self.target)
            text = self.target.call("matmul", matrix.text, a.text)
            return Piece(text, (*a.legs[:-2], right[0], a.legs[-1]))
        if len(b.legs) > 2 and len(a.legs) == 2 and b.legs[-2] == label:
            return self.within(b, a, right, left, label)
        return None

    def as_matrix(self, piece: Piece, free: Legs, summed: Legs, free_first: bool) -> Piece:
        """A matrix of the free and the summed axes, each merged to one; a vector without the first.

        Its legs are the free ones, in the order in which they are merged.
        """
        kept = _together(piece.legs, free) or free
        rows, columns = (kept, summed) if free_first else (summed, kept)
        if piece.symmetric and set(piece.legs) == {*rows, *columns}:
            piece = replace(piece, legs=rows + columns)
        turned = piece.legs == columns + rows != rows + columns
        if not turned:
            piece = permuted(piece, rows + columns, self.target)
        groups = [g for g in ((columns, rows) if turned else (rows, columns)) if g]
        text, level = piece.text, piece.level
        if any(len(g) > 1 for g in groups):
            text = f"{piece.wrapped(3)}.reshape({', '.join(self.merged(g) for g in groups)})"
            level = 3
        if turned and len(groups) > 1:
            text = f"{Piece(text, (), level).wrapped(3)}.T"
            level = 3
        return Piece(text, kept, level)

    def stacked(
        self, a: Piece, b: Piece, batch: Legs, left: Legs, right: Legs, summed: Legs
    ) -> Piece:
        """A stack of matrix products: batch axes first, free and summed axes each merged to one."""
        first = permuted(a, batch + left + summed, self.target)
        second = permuted(b, batch + summed + right, self.target)
        x, y = first.wrapped(3), second.wrapped(3)
        lead = ", ".join(self.dims[i] for i in batch)
        simple = len(summed) == 1
        if not simple or len(left) != 1:
            x = f"{x}.reshape({lead}, {self.merged(left)}, {self.merged(summed)})"
        if not simple or len(right) != 1:
            y = f"{y}.reshape({lead}, {self.merged(summed)}, {self.merged(right)})"
        text = self.target.call("matmul", x, y)
        legs = batch + left + right
        if len(left) != 1 or len(right) != 1:
            text = f"{text}.reshape({self.shape(legs)})"
        return Piece(text, legs)

    def merged(self, legs: Legs) -> str:
        return " * ".join(self.dims[i] for i in legs) if legs else "1"

    def shape(self, legs: Legs) -> str:
        return ", ".join(self.dims[i] for i in legs) or "()"


def pattern(legs: Legs, order: Legs) -> str:
    """Labels as the letters that ``einsum`` reads, in alphabetical order in ``order``."""
    return "".join(_LETTERS[order.index(i)] for i in legs)


def _together(legs: Legs, group: Legs) -> Legs | None:
    """The group in the order in which ``legs`` has it, where nothing else stands in between."""
    places = [k for k, i in enumerate(legs) if i in group]
    if places and places[-1] - places[0] == len(places) - 1 and len(places) == len(group):
        return tuple(legs[k] for k in places)
    return None

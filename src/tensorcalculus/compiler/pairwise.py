"""Source of contractions: the order from cotengra, each pair as a BLAS call or a product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """An intermediate array in the source: its text, labels, and how tightly the text binds."""

    text: str
    legs: tuple[int, ...]
    level: int = 3
    """3: a name or call, 2: a product, 1: a sum."""
    solver: str | None = None
    """For an inverse matrix: the text of the factorised matrix that solves instead."""

    def wrapped(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


def order(
    legs: Sequence[tuple[int, ...]], out: tuple[int, ...], sizes: Mapping[int, int]
) -> list[tuple[int, ...]]:
    """Pairs to contract, as positions in a shrinking list, of least cost for the sizes."""
    if len(legs) == 2:
        return [(0, 1)]
    import cotengra

    path = cotengra.array_contract_path(
        [tuple(p) for p in legs],
        tuple(out),
        size_dict={i: max(int(n), 1) for i, n in sizes.items()},
        optimize="optimal" if len(legs) <= 8 else "greedy",
    )
    return [tuple(int(k) for k in step) for step in path]


def permuted(piece: Piece, legs: tuple[int, ...]) -> Piece:
    """The piece with its axes in another order."""
    if piece.legs == legs:
        return piece
    if len(legs) == 2:
        return Piece(f"{piece.wrapped(3)}.T", legs)
    axes = ", ".join(str(piece.legs.index(i)) for i in legs)
    return Piece(f"{piece.wrapped(3)}.transpose({axes})", legs)


def expanded(piece: Piece, legs: tuple[int, ...]) -> Piece:
    """The piece with unit axes for the labels it lacks, ready to broadcast to ``legs``."""
    have = tuple(i for i in legs if i in piece.legs)
    piece = permuted(piece, have)
    if have == legs:
        return piece
    # Leading unit axes come by themselves in NumPy broadcasting.
    marks = ["None" if i not in have else ":" for i in legs]
    while marks and marks[0] == "None":
        marks.pop(0)
    if all(m == ":" for m in marks):
        return Piece(piece.text, legs, piece.level)
    return Piece(f"{piece.wrapped(3)}[{', '.join(marks)}]", legs)


def pair(
    a: Piece, b: Piece, keep: set[int], wanted: tuple[int, ...], dims: Mapping[int, str]
) -> Piece:
    """Contract two pieces over the labels not in ``keep``; axes near to ``wanted`` where free."""
    shared = [i for i in a.legs if i in b.legs]
    batch = tuple(i for i in shared if i in keep)
    summed = tuple(i for i in shared if i not in keep)
    left = tuple(i for i in a.legs if i not in b.legs)
    right = tuple(i for i in b.legs if i not in a.legs)
    if not summed:
        return _product(a, b, wanted)
    if not batch:
        for solver, other in ((a, b), (b, a)):
            if solver.solver and len(summed) == 1 and len(other.legs) <= 2:
                return _solve(solver, other, summed[0], wanted)
        return _matmul(a, b, left, right, summed, wanted)
    if not left and not right:
        product = _product(a, b, batch + summed)
        axes = ", ".join(str(-1 - k) for k in range(len(summed)))
        axis = axes if len(summed) == 1 else f"({axes})"
        return Piece(f"{product.wrapped(3)}.sum(axis={axis})", batch)
    return _batched(a, b, batch, left, right, summed, dims)


def _product(a: Piece, b: Piece, wanted: tuple[int, ...]) -> Piece:
    labels = set(a.legs) | set(b.legs)
    legs = tuple(i for i in wanted if i in labels)
    legs += tuple(i for i in (*a.legs, *b.legs) if i not in legs)
    legs = tuple(dict.fromkeys(legs))
    first, second = expanded(a, legs), expanded(b, legs)
    return Piece(f"{first.wrapped(2)} * {second.wrapped(3)}", legs, 2)


def _solve(inverse: Piece, other: Piece, label: int, wanted: tuple[int, ...]) -> Piece:
    """``inv(A) @ b`` by the factors of A; ``inv(A).T @ b`` by the same factors."""
    transposed = inverse.legs[0] == label
    free = inverse.legs[1] if transposed else inverse.legs[0]
    rest = tuple(i for i in other.legs if i != label)
    b = permuted(other, (label, *rest))
    flag = ", transposed=True" if transposed else ""
    return Piece(f"{inverse.solver}.solve({b.text}{flag})", (free, *rest))


def _matmul(
    a: Piece,
    b: Piece,
    left: tuple[int, ...],
    right: tuple[int, ...],
    summed: tuple[int, ...],
    wanted: tuple[int, ...],
) -> Piece:
    if not left and not right:
        b = permuted(b, a.legs)
        if len(a.legs) == 1:
            return Piece(f"{a.wrapped(2)} @ {b.wrapped(3)}", (), 2)
        return Piece(f"np.dot({a.wrapped(3)}.ravel(), {b.wrapped(3)}.ravel())", ())
    if len(summed) == 1 and len(left) <= 1 and len(right) <= 1:
        # Put the factor whose free axis is wanted first on the left.
        if left and right and (left + right) != wanted and (right + left) == wanted:
            a, b, left, right = b, a, right, left
        if not left and len(right) == 1 and b.legs[0] != summed[0]:
            a, b, left, right = b, a, right, left
        first = permuted(a, (*left, *summed))
        second = permuted(b, (*summed, *right))
        return Piece(f"{first.wrapped(2)} @ {second.wrapped(3)}", (*left, *right), 2)
    if (right + left) == wanted:
        a, b, left, right = b, a, right, left
    axes_a = [a.legs.index(i) for i in summed]
    axes_b = [b.legs.index(i) for i in summed]
    free_a = tuple(i for i in a.legs if i not in summed)
    free_b = tuple(i for i in b.legs if i not in summed)
    text = f"np.tensordot({a.text}, {b.text}, axes=({axes_a}, {axes_b}))"
    return Piece(text, free_a + free_b)


def _batched(
    a: Piece,
    b: Piece,
    batch: tuple[int, ...],
    left: tuple[int, ...],
    right: tuple[int, ...],
    summed: tuple[int, ...],
    dims: Mapping[int, str],
) -> Piece:
    """A stack of matrix products: batch axes first, free and summed axes each merged to one."""
    first = permuted(a, batch + left + summed)
    second = permuted(b, batch + summed + right)
    simple = len(summed) == 1
    x = first.wrapped(3)
    y = second.wrapped(3)
    lead = ", ".join(dims[i] for i in batch)
    if not simple or len(left) != 1:
        x = f"{x}.reshape({lead}, {_merged(left, dims)}, {_merged(summed, dims)})"
    if not simple or len(right) != 1:
        y = f"{y}.reshape({lead}, {_merged(summed, dims)}, {_merged(right, dims)})"
    text = f"np.matmul({x}, {y})"
    legs = batch + left + right
    if len(left) != 1 or len(right) != 1:
        text = f"{text}.reshape({', '.join(dims[i] for i in legs)})"
    return Piece(text, legs)


def _merged(legs: tuple[int, ...], dims: Mapping[int, str]) -> str:
    return " * ".join(dims[i] for i in legs) if legs else "1"

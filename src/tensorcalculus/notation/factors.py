"""A contraction of contractions as one list of factors on common labels, as it is drawn."""

from __future__ import annotations

from collections.abc import Container

from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import Combination, Contraction, Expr, Number, is_map

Labels = tuple[int, ...]
Factor = tuple[Expr, Labels]


class Factors:
    """Factors of nested contractions, with labels that are joined where both are one index.

    Expressions in ``names`` are not opened.
    """

    def __init__(self, names: Container[Expr]) -> None:
        self.names = names
        self.dims: dict[int, Dim] = {}
        self.parent: dict[int, int] = {}
        self.next = 0

    def find(self, i: int) -> int:
        """The label that stands for all those joined with it."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def new(self, d: Dim, label: int | None = None) -> int:
        """One more label."""
        label = self.next if label is None else label
        self.next = max(self.next, label + 1)
        self.dims[label] = d
        self.parent[label] = label
        return label

    def flattened(self, e: Expr, at: Labels, whole: bool = False) -> list[Factor]:
        """Factors of ``e`` with its axes on the labels ``at``."""
        for i, d in zip(at, e.shape, strict=True):
            if i not in self.parent:
                self.new(d, i)
        if e in self.names and not whole:
            return [(e, at)]
        if isinstance(e, Combination) and len(e.terms) == 1 and e.coefficients == (1,):
            return self.flattened(e.terms[0], at)
        if not isinstance(e, Contraction):
            return [(e, at)]
        own = self.labels(e, at)
        found: list[Factor] = []
        squares = squares_in(e)
        for k, (operand, legs) in enumerate(zip(e.operands, e.legs, strict=True)):
            on = tuple(own[i] for i in legs)
            if k in squares and operand not in self.names:
                base = operand.children[0]
                found += [*self.flattened(base, on), *self.flattened(base, on)]
            else:
                found += self.flattened(operand, on)
        return found

    def labels(self, e: Contraction, at: Labels) -> dict[int, int]:
        """Labels of a contraction whose axes are on the labels ``at``."""
        own: dict[int, int] = {}
        for label, i in zip(e.out, at, strict=True):
            if own.setdefault(label, i) != i:
                self.parent[self.find(i)] = self.find(own[label])
        for label, d in enumerate(e.dims):
            if label not in own:
                own[label] = self.new(d)
        return own


def squares_in(e: Expr) -> set[int]:
    """Which factors of a contraction are squares summed over all of their axes."""
    if not isinstance(e, Contraction):
        return set()
    found = set()
    for k, (operand, legs) in enumerate(zip(e.operands, e.legs, strict=True)):
        if is_map(operand, "pow") and operand.ndim and operand.args[1] is Number(2):
            others = {i for j, other in enumerate(e.legs) if j != k for i in other}
            if len(set(legs)) == len(legs) and not others.union(e.out) & set(legs):
                found.add(k)
    return found

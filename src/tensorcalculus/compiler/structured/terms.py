"""One term of a structured matrix: small arrays joined along labels, never multiplied out.

A term maps a tensor over its column axes to one over its row axes.  Axes carry labels as in a
contraction: a label on a row and a column axis is an identity (or, where an array has it, a
diagonal or a block diagonal), one on several row axes writes along a diagonal, and one that no
array carries is a pattern without numbers.  Arrays that share no labels make a Kronecker product,
whose action on a vector is one small product an array (Van Loan, "The ubiquitous Kronecker
product", J. Comput. Appl. Math. 123, 2000).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tensorcalculus.compiler.structured.steps import Array, Labels, Step, diagonal_view, schedule
from tensorcalculus.expr.contraction import connected


@dataclass(slots=True, eq=False)
class Form:
    """What a term is without its numbers: labels of axes and arrays, and their sizes."""

    rows: Labels
    cols: Labels
    arrays: tuple[Labels, ...]
    """The labels of each array; the axes of an array are batch, row and column axes in turn."""
    sizes: Mapping[int, int]
    coefficient: float = 1.0
    _steps: dict[bool, tuple[list[Step], bool]] = field(default_factory=dict)
    _transposed: Form | None = None
    _groups: list[Group] | None = None

    @property
    def transposed(self) -> Form:
        if self._transposed is None:
            turned = Form(self.cols, self.rows, self.arrays, self.sizes, self.coefficient)
            turned._transposed = self
            self._transposed = turned
        return self._transposed

    def size(self, labels: Iterable[int]) -> int:
        return prod(self.sizes[i] for i in labels)

    def shape(self, labels: Iterable[int]) -> tuple[int, ...]:
        return tuple(self.sizes[i] for i in labels)

    def groups(self) -> list[Group]:
        """The Kronecker factors: arrays joined by shared labels, then labels without arrays."""
        if self._groups is None:
            self._groups = _grouped(self)
        return self._groups

    def rank(self) -> int:
        """An upper bound of the rank, from sizes alone."""
        return prod(group.rank(self.sizes) for group in self.groups())

    def steps(self, many: bool) -> tuple[list[Step], bool]:
        """How to apply the term to a tensor; whether the result is a new array."""
        found = self._steps.get(many)
        if found is None:
            found = self._steps[many] = schedule(self, many)
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """A Kronecker factor: positions of its arrays and its labels by the side they stand on."""

    members: tuple[int, ...]
    batch: Labels
    rows: Labels
    cols: Labels
    inner: Labels

    @property
    def pattern(self) -> bool:
        return not self.members

    @property
    def thin(self) -> bool:
        """Whether it is kept as a product of two factors."""
        return len(self.members) > 1

    def rank(self, sizes: Mapping[int, int]) -> int:
        block = min(prod(sizes[i] for i in side) for side in (self.rows, self.cols))
        if self.thin:
            block = min(block, prod(sizes[i] for i in self.inner))
        return block * prod(sizes[i] for i in self.batch)


def _grouped(form: Form) -> list[Group]:
    joined: list[tuple[set[int], list[int]]] = [
        (labels, [k for k, _ in members])
        for labels, members in connected([*enumerate(form.arrays)])
    ]
    rows, cols = dict.fromkeys(form.rows), dict.fromkeys(form.cols)
    carried = {i for labels in form.arrays for i in labels}
    joined += [({i}, []) for i in {**rows, **cols} if i not in carried]
    return [
        Group(
            tuple(members),
            tuple(i for i in rows if i in labels and i in cols),
            tuple(i for i in rows if i in labels and i not in cols),
            tuple(i for i in cols if i in labels and i not in rows),
            tuple(sorted(i for i in labels if i not in rows and i not in cols)),
        )
        for labels, members in joined
    ]


class Term:
    """A form with its arrays."""

    __slots__ = ("arrays", "form")

    def __init__(self, form: Form, arrays: Sequence[Array]) -> None:
        self.form = form
        self.arrays = arrays

    def __repr__(self) -> str:
        from tensorcalculus.compiler.structured.text import describe_term

        return f"<term {describe_term(self.form)}>"

    @property
    def transposed(self) -> Term:
        return Term(self.form.transposed, self.arrays)

    def conjugate(self) -> Term:
        return Term(self.form, [a.conj() for a in self.arrays])

    def apply(self, v: Array, many: bool) -> tuple[Array, bool]:
        """The term times a tensor over the column axes (and one that counts vectors).

        The second part of the result says whether it is a new array, not a view of ``v``.
        """
        steps, new = self.form.steps(many)
        for step in steps:
            v = step(v, self.arrays)
        return v, new

    def add_to(self, target: Array, axes: Sequence[int]) -> None:
        """Add the entries of the term to an array whose axes carry the labels ``axes``.

        Labels of the term that no axis carries are not allowed; an identity is written through a
        view of the diagonal.
        """
        parts = []
        for group in self.form.groups():
            if not group.pattern:
                out = (*group.batch, *group.rows, *group.cols)
                parts.append((_product(self, group, out), out))
        add_product(target, axes, parts, self.form.coefficient)

    def add_diagonal_to(self, target: Array) -> None:
        """Add the diagonal, for rows and columns of one shape, to an array of that shape.

        Each Kronecker factor is reduced on its own: ``diag(kron(A, B)) = kron(diag(A), diag(B))``
        and ``diag(L*R)`` holds the row sums of ``L.*R'``.
        """
        form = self.form
        joined = _merged(zip(form.rows, form.cols, strict=True))
        parts = []
        for group in form.groups():
            if group.pattern:
                continue
            out = tuple(dict.fromkeys(joined[i] for i in (*group.batch, *group.rows, *group.cols)))
            operands: list[Any] = []
            for k in group.members:
                operands += [self.arrays[k], [joined.get(i, i) for i in form.arrays[k]]]
            parts.append((np.einsum(*operands, list(out)), out))
        add_product(target, [joined[i] for i in form.rows], parts, form.coefficient)

    def split(self) -> tuple[Term, Term]:
        """Two terms whose product is this one, with as few labels between them as possible."""
        form = self.form
        middle: list[int] = []
        left: list[int] = []
        right: list[int] = []
        for group in form.groups():
            middle += group.batch
            if group.thin:
                middle += group.inner
                # The array with row labels, and what hangs on it, is the left one.
                for k in group.members:
                    side = left if set(form.arrays[k]) & set(group.rows) else right
                    side.append(k)
                continue
            narrow = form.size(group.rows) <= form.size(group.cols)
            middle += group.rows if narrow else group.cols
            (right if narrow else left).extend(group.members)
        inner = tuple(middle)
        arrays, labels = self.arrays, form.arrays
        return (
            Term(
                Form(
                    form.rows,
                    inner,
                    tuple(labels[k] for k in left),
                    form.sizes,
                    form.coefficient,
                ),
                [arrays[k] for k in left],
            ),
            Term(
                Form(inner, form.cols, tuple(labels[k] for k in right), form.sizes),
                [arrays[k] for k in right],
            ),
        )

    def dense(self, dtype: Any) -> Array:
        """The matrix of the term."""
        form = self.form
        axes = (*form.rows, *form.cols)
        out = np.zeros(form.shape(axes), dtype)
        self.add_to(out, axes)
        return out.reshape(form.size(form.rows), form.size(form.cols))


def _product(term: Term, group: Group, out: Labels) -> Array:
    """The array of one group over its output labels."""
    labels = [term.form.arrays[k] for k in group.members]
    if len(labels) == 1 and labels[0] == out:
        return term.arrays[group.members[0]]
    operands: list[Any] = []
    for k, legs in zip(group.members, labels, strict=True):
        operands += [term.arrays[k], list(legs)]
    return np.einsum(*operands, list(out), optimize=len(labels) > 1)


def add_product(
    target: Array,
    axes: Sequence[int],
    parts: Iterable[tuple[Array, Labels]],
    coefficient: float = 1.0,
) -> None:
    """Add a product of arrays on separate labels to the diagonal of ``target`` that ``axes`` name.

    A label on no part is constant: the value is written all along it.
    """
    distinct = tuple(dict.fromkeys(axes))
    view = target if len(distinct) == len(axes) else diagonal_view(target, axes, distinct)
    value: Any = coefficient
    for array, labels in parts:
        factor = _spread(array, labels, distinct)
        value = factor if value is coefficient and coefficient == 1 else value * factor
    view += value


def _spread(array: Array, labels: Labels, distinct: Sequence[int]) -> Array:
    """``array`` with its axes in the order of ``distinct`` and unit axes for those it lacks."""
    have = [i for i in distinct if i in labels]
    array = np.asarray(array).transpose([labels.index(i) for i in have])
    return array[tuple(slice(None) if i in labels else None for i in distinct)]


def _merged(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """A representative for each label, where those of a pair are one."""
    parent: dict[int, int] = {}

    def find(i: int) -> int:
        parent.setdefault(i, i)
        while parent[i] != i:
            i = parent[i]
        return i

    for i, j in pairs:
        parent[find(i)] = find(j)
    return {i: find(i) for i in list(parent)}

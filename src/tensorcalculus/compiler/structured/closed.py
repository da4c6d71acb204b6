"""Linear systems with a structured matrix that its parts solve: Kronecker, blocks, eigenvectors.

Each function takes terms and gives a function from right-hand sides ``(N, q)`` to solutions, or
None where the structure is another one.

References: G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th edition, sections 4.2
(Cholesky) and 12.3 (Kronecker systems); R. H. Bartels and G. W. Stewart, "Solution of the matrix
equation AX + XB = C", Comm. ACM 15 (1972).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from tensorcalculus.compiler.factors import Factorization, factorize
from tensorcalculus.compiler.structured.terms import Array, Form, Group, Term
from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from tensorcalculus.compiler.structured.operator import StructuredOperator

Solver = Callable[[Array], Array]

BLOCK_LIMIT = 16_000_000
"""Numbers that all blocks of a block diagonal, or the factors of low rank, may hold."""
_EIGEN_LIMIT = 3000
"""Size of the matrices whose eigenvectors are computed."""


class Singular(Exception):
    """A matrix that was to be factorised is singular; the message says which."""


def factorized(a: Array, what: str) -> Factorization:
    """The factors of a matrix, Cholesky's where it is symmetric positive definite, else LU."""
    try:
        found = factorize(a, symmetric=is_hermitian(a))
    except InputError:
        raise Singular(f"as {what} is") from None
    if found.rcond <= np.finfo(found.a.dtype).eps:
        raise Singular(f"to working precision, as {what} is")
    return found


class Batch:
    """A stack of matrices; their inverses, and a step of refinement for each solve."""

    def __init__(self, a: Array, what: str) -> None:
        try:
            self._inverse = np.linalg.inv(a)
        except np.linalg.LinAlgError:
            raise Singular(f"as one of {what} is") from None
        # NumPy keeps no factors of a stack.  The reciprocal condition number in the 1-norm.
        norms = np.abs(a).sum(axis=-2).max(axis=-1)
        inverses = np.abs(self._inverse).sum(axis=-2).max(axis=-1)
        if not (norms * inverses < 8 / np.finfo(a.dtype).eps).all():
            raise Singular(f"to working precision, as one of {what} is")
        self._a = a

    def solve(self, b: Array) -> Array:
        x = self._inverse @ b
        return x + self._inverse @ (b - self._a @ x)


def is_hermitian(a: Array) -> bool:
    """Whether a matrix is Hermitian up to rounding."""
    if np.array_equal(a, a.conj().T):
        return True
    bound = 100 * np.finfo(a.dtype).eps * np.abs(a).max()
    return bool(np.abs(a - a.conj().T).max() <= bound)


# -- one Kronecker product ---------------------------------------------------------------------


def kronecker(term: Term) -> Solver | None:
    """``(A kron B)^-1 = A^-1 kron B^-1``, the axes in any order on both sides."""
    form = term.form
    rows, cols = form.rows, form.cols
    if len(set(rows)) < len(rows) or len(set(cols)) < len(cols):
        return None
    groups = [g for g in form.groups() if g.batch or g.rows or g.cols]
    if any(g.thin or form.size(g.rows) != form.size(g.cols) for g in groups):
        return None
    if any(g.pattern and g.rows for g in groups):
        return None
    scalar = form.coefficient
    for labels, array in zip(form.arrays, term.arrays, strict=True):
        if not labels:
            scalar = scalar * array
    if np.abs(scalar) == 0:
        raise Singular("as it is zero")
    parts = [(g, _inverted(term, g)) for g in groups if not g.pattern]

    def solve(b: Array) -> Array:
        q = b.shape[1]
        state = list(rows)
        x = b.reshape(*form.shape(rows), q)
        for group, part in parts:
            taken = (*group.batch, *group.rows)
            rest = [i for i in state if i not in taken]
            order = [state.index(i) for i in (*taken, *rest)]
            x = x.transpose(*order, len(state))
            shape = (form.size(group.batch), form.size(group.rows), -1)
            x = part(x.reshape(shape if group.batch else shape[1:]))
            state = [*group.batch, *group.cols, *rest]
            x = x.reshape(*form.shape(state), q)
        x = x.transpose(*(state.index(i) for i in cols), len(state)).reshape(-1, q)
        return x if scalar is form.coefficient and scalar == 1 else x / scalar

    return solve


def _inverted(term: Term, group: Group) -> Solver:
    """A solve with one Kronecker factor, for ``(rows, q)`` or, with a batch, ``(b, rows, q)``."""
    (k,) = group.members
    form, a = term.form, term.arrays[k]
    n, c = form.size(group.rows), form.size(group.cols)
    order = [form.arrays[k].index(i) for i in (*group.batch, *group.rows, *group.cols)]
    a = a.transpose(order)
    if group.batch and n == c == 1:
        d = a.reshape(-1, 1, 1)
        return _divided(d)
    if group.batch:
        return Batch(a.reshape(-1, n, c), f"its {n} x {c} blocks").solve
    return factorized(a.reshape(n, c), f"its {n} x {c} factor").solve


def _divided(d: Array) -> Solver:
    if not np.abs(d).min():
        raise Singular("as a diagonal entry is 0")
    return lambda b: b / d


# -- diagonal and block diagonal ---------------------------------------------------------------


def _aligned(term: Term) -> tuple[frozenset[int], frozenset[int]] | None:
    """Axes that the term mixes, and all that its arrays know; None for a permuted term.

    On each other axis a row meets only the column of the same place.
    """
    form = term.form
    if form.shape(form.rows) != form.shape(form.cols):
        return None
    labels = [*form.rows, *form.cols]
    carried = {i for legs in form.arrays for i in legs}
    mixed, known = set(), set()
    for axis, (i, j) in enumerate(zip(form.rows, form.cols, strict=True)):
        if i != j or labels.count(i) > 2:
            mixed.add(axis)
        if i != j or i in carried or labels.count(i) > 2:
            known.add(axis)
    return frozenset(mixed), frozenset(known)


def _written(
    terms: Sequence[Term], h: StructuredOperator, batch: Sequence[int], mixed: Sequence[int]
) -> Array:
    """The blocks of a sum of terms: batch axes, rows and columns of the mixed axes.

    Batch axes along which all blocks are the same have length 1.
    """
    shape = h.row_shape
    labels = [{i for legs in t.form.arrays for i in legs} for t in terms]
    varies = [
        any(t.form.rows[a] in own for t, own in zip(terms, labels, strict=True)) for a in batch
    ]
    lead = [shape[a] if v else 1 for a, v in zip(batch, varies, strict=True)]
    block = [shape[a] for a in mixed]
    out = np.zeros((*lead, *block, *block), h.dtype)
    view = out[tuple(slice(None) if v else 0 for v in varies)]
    for t in terms:
        rows, cols = t.form.rows, t.form.cols
        axes = [rows[a] for a, v in zip(batch, varies, strict=True) if v]
        t.add_to(view, (*axes, *(rows[a] for a in mixed), *(cols[a] for a in mixed)))
    return out.reshape(*lead, prod(block), prod(block))


def blocks(
    terms: list[Term], h: StructuredOperator
) -> tuple[float, Callable[[], Solver | None]] | None:
    """Block diagonal once the axes that any term mixes are taken together."""
    found = [_aligned(t) for t in terms]
    known = [f for f in found if f is not None]
    if len(known) < len(found):
        return None
    mixed = sorted(set().union(*(m for m, _ in known)))
    carried = set().union(*(k for _, k in known))
    batch = [a for a in range(len(h.row_shape)) if a not in mixed]
    n = prod(h.row_shape[a] for a in mixed)
    count = prod(h.row_shape[a] for a in batch if a in carried)
    if n == h.shape[0] > 1 or count * n * n > BLOCK_LIMIT:
        return None
    return count * n**3 / 3, lambda: _block_solver(terms, h, batch, mixed)


def _block_solver(
    terms: list[Term], h: StructuredOperator, batch: list[int], mixed: list[int]
) -> Solver:
    a = _written(terms, h, batch, mixed)
    lead, n = a.shape[:-2], a.shape[-1]
    order = [*batch, *mixed]
    back = [order.index(k) for k in range(len(order))]
    shape = tuple(h.row_shape[k] for k in order)
    single = prod(lead) == 1
    if n == 1:
        part = _divided(a)
    elif single:
        part = factorized(a.reshape(n, n), f"its {n} x {n} block").solve
    else:
        part = Batch(a, f"its {n} x {n} blocks").solve

    def solve(b: Array) -> Array:
        q = b.shape[1]
        x = b.reshape(*h.row_shape, q).transpose(*order, len(order))
        if single and n > 1:
            # One matrix for all blocks: they are its right-hand sides.
            x = np.moveaxis(x.reshape(-1, n, q), 1, 0).reshape(n, -1)
            x = np.moveaxis(part(x).reshape(n, -1, q), 0, 1)
        else:
            x = part(x.reshape(*shape[: len(batch)], n, q))
        return x.reshape(*shape, q).transpose(*back, len(order)).reshape(-1, q)

    return solve


# -- sums of Kronecker products ----------------------------------------------------------------


def eigenvectors(terms: list[Term], h: StructuredOperator) -> Solver | None:
    """Terms that are diagonal in one Kronecker product of orthogonal matrices.

    ``A kron I + I kron B`` is ``(P kron Q)(D kron I + I kron E)(P kron Q)'`` for ``A = P D P'``
    and ``B = Q E Q'``; so is any polynomial in the two.
    """
    if len(terms) < 2:
        return None
    pieces: list[tuple[Term, list[frozenset[int]]]] = []
    for term in terms:
        if _aligned(term) is None:
            return None
        form = term.form
        sets = []
        for g in form.groups():
            own = {*g.batch, *g.rows, *g.cols}
            if not g.pattern and own:
                left = {a for a, i in enumerate(form.rows) if i in own}
                if left != {a for a, i in enumerate(form.cols) if i in own}:
                    return None
                sets.append(frozenset(left))
            elif g.pattern and (g.rows or g.cols or form.rows.count(g.batch[0]) > 1):
                return None
        pieces.append((term, sets))
    axes = _united([s for _, sets in pieces for s in sets])
    sizes = [prod(h.row_shape[a] for a in own) for own in axes]
    if len(axes) < 2 or max(sizes) > _EIGEN_LIMIT:
        return None
    bases: list[Array | None] = [None] * len(axes)
    values = np.zeros(sizes, np.finfo(h.dtype).dtype)
    for term, _ in pieces:
        eigen: list[Array] = []
        for k, own in enumerate(axes):
            a = _factor(term, h, own)
            if a is None:
                eigen.append(np.ones(1, values.dtype))
                continue
            if not is_hermitian(a):
                return None
            basis = bases[k]
            if basis is None:
                d, bases[k] = np.linalg.eigh(a)
            else:
                turned = basis.conj().T @ a @ basis
                d = np.real(np.diagonal(turned))
                rest = np.abs(turned - np.diag(d)).max()
                if rest > 1e3 * np.finfo(d.dtype).eps * np.abs(turned).max():
                    return None  # no common eigenvectors
            eigen.append(d)
        value = np.real(_scalar(term))
        for k, d in enumerate(eigen):
            value = value * d.reshape([-1 if j == k else 1 for j in range(len(axes))])
        values += value
    smallest, largest = np.abs(values).min(), np.abs(values).max()
    if smallest <= len(axes) * max(sizes) * np.finfo(values.dtype).eps * largest:
        raise Singular("to working precision: an eigenvalue of the sum is 0")
    return _turned_solver(h, axes, sizes, bases, values)


def _turned_solver(
    h: StructuredOperator,
    axes: list[list[int]],
    sizes: list[int],
    bases: list[Array | None],
    values: Array,
) -> Solver:
    used = [a for own in axes for a in own]
    order = [*used, *(a for a in range(len(h.row_shape)) if a not in used)]
    back = [order.index(a) for a in range(len(order))]
    shape = [h.row_shape[a] for a in order]
    divisor = values[..., None]

    def turn(x: Array, adjoint: bool) -> Array:
        for k, basis in enumerate(bases):
            if basis is not None:
                q = basis.conj().T if adjoint else basis
                x = np.moveaxis(np.tensordot(q, x, axes=(1, k)), 0, k)
        return x

    def solve(b: Array) -> Array:
        q = b.shape[1]
        x = b.reshape(*h.row_shape, q).transpose(*order, len(order)).reshape(*sizes, -1)
        x = turn(turn(x, True) / divisor, False)
        return x.reshape(*shape, q).transpose(*back, len(order)).reshape(-1, q)

    return solve


def _united(sets: list[frozenset[int]]) -> list[list[int]]:
    """The coarsest partition into unions of the sets."""
    found: list[set[int]] = []
    for own in sets:
        mine, rest = set(own), []
        for other in found:
            if mine.isdisjoint(other):
                rest.append(other)
            else:
                mine |= other
        found = [*rest, mine]
    return sorted(sorted(own) for own in found)


def _factor(term: Term, h: StructuredOperator, axes: list[int]) -> Array | None:
    """The matrix of the Kronecker factors of a term on some axes; None for an identity."""
    form = term.form
    own = {form.rows[a] for a in axes} | {form.cols[a] for a in axes}
    kept = [k for k, legs in enumerate(form.arrays) if legs and own.intersection(legs)]
    if not kept:
        return None
    part = Form(
        tuple(form.rows[a] for a in axes),
        tuple(form.cols[a] for a in axes),
        tuple(form.arrays[k] for k in kept),
        form.sizes,
    )
    return Term(part, [term.arrays[k] for k in kept]).dense(h.dtype)


def _scalar(term: Term) -> Array:
    value = np.asarray(term.form.coefficient)
    for labels, array in zip(term.form.arrays, term.arrays, strict=True):
        if not labels:
            value = value * array
    return value

"""Linear systems with a structured matrix: one method for each structure, tried in turn.

Each method takes an operator and gives a function from right-hand sides ``(N, q)`` to solutions, or
None where the structure is another one.

References: G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th edition, sections 2.1.4
(Woodbury), 4.2 (Cholesky) and 12.3 (Kronecker systems); W. W. Hager, "Updating the inverse of a
matrix", SIAM Review 31 (1989).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tensorcalculus.compiler.structured.closed import (
    BLOCK_LIMIT,
    Singular,
    Solver,
    blocks,
    eigenvectors,
    factorized,
    kronecker,
)
from tensorcalculus.compiler.structured.terms import Array, Term
from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from tensorcalculus.compiler.structured.operator import StructuredOperator

DENSE_LIMIT = 4_000_000
"""Entries up to which a matrix without a closed form is factorised as a dense one."""


def solver(h: StructuredOperator) -> Solver:
    """A function that solves with the square operator ``h``; its factors are computed once."""
    for term in h.terms:
        if not all(np.isfinite(a).all() for a in term.arrays):
            raise InputError(f"{h!r} holds entries that are not finite: it cannot be solved with")
    terms = list(h.terms)
    size = h.shape[0]
    if sum(term.form.rank() for term in terms) < size:
        raise InputError(f"the matrix is singular: {h!r} has less than full rank")
    try:
        found = _structured(terms, h)
    except Singular as error:
        raise InputError(f"the matrix is singular: {h!r}, {error}") from None
    if found is not None:
        return found
    stored = max((a.size for term in terms for a in term.arrays), default=0)
    if size * size <= max(DENSE_LIMIT, stored):
        try:
            return factorized(h.todense(), "the dense matrix").solve
        except Singular as error:
            raise InputError(f"the matrix is singular: {h!r}, {error}") from None
    return _conjugate_gradients(h)


def _structured(terms: list[Term], h: StructuredOperator) -> Solver | None:
    """The closed form with the least work; None where there is none.

    Singular is raised only where the whole matrix is: a part of a sum may well be singular.
    """
    if len(terms) == 1:
        single = kronecker(terms[0])
        if single is not None:
            return single
    options: list[tuple[float, Callable[[], Solver | None]]] = []
    found = blocks(terms, h)
    if found is not None:
        options.append(found)
    update = _low_rank(terms, h)
    if update is not None:
        options.append(update)
    for _, make in sorted(options, key=lambda option: option[0]):
        made = make()
        if made is not None:
            return made
    return eigenvectors(terms, h)


# -- low rank ----------------------------------------------------------------------------------


def _low_rank(
    terms: list[Term], h: StructuredOperator
) -> tuple[float, Callable[[], Solver | None]] | None:
    """Terms of low rank beside others that have a closed form, with the work that it takes."""
    n = h.shape[0]
    low = [t for t in terms if t.form.rank() < n / 2]
    base = [t for t in terms if t.form.rank() >= n / 2]
    rank = sum(t.form.rank() for t in low)
    if not low or not base or rank > n / 2 or rank * n > BLOCK_LIMIT:
        return None
    return float(rank) ** 2 * n, lambda: _woodbury(base, low, h)


def _woodbury(base: list[Term], low: list[Term], h: StructuredOperator) -> Solver | None:
    """``(B + U W)^-1 = B^-1 - B^-1 U (I + W B^-1 U)^-1 W B^-1``."""
    try:
        inner = _structured(base, h)
    except Singular:
        return None  # the sum may be regular
    if inner is None:
        return None
    halves = [t.split() for t in low]
    u = np.concatenate([left.dense(h.dtype) for left, _ in halves], axis=1)
    w = np.concatenate([right.dense(h.dtype) for _, right in halves], axis=0)
    inverse_u = inner(u)
    small = w @ inverse_u
    small[np.diag_indices_from(small)] += 1
    # det(B + U W) = det(B) det(I + W B^-1 U): this one is singular where the sum is.  It is also
    # nearly so where the base is, and then the dense matrix may still be regular.
    hopeless = h.shape[0] ** 2 > DENSE_LIMIT
    try:
        capacitance = factorized(small, "the small matrix of Woodbury's formula")
        smallest = capacitance.rcond * np.abs(small).sum(axis=0).max()
        rounding = 8 * np.finfo(u.dtype).eps * len(u) ** 0.5
        if smallest <= rounding * (1 + (np.abs(w) @ np.abs(inverse_u)).sum(axis=0).max()):
            raise Singular("to working precision, as its parts cancel")
    except Singular:
        if hopeless:
            raise
        return None

    def once(b: Array) -> Array:
        y = inner(b)
        return y - inverse_u @ capacitance.solve(w @ y)

    def solve(b: Array) -> Array:
        # The formula subtracts: one step of refinement brings back what a large base loses.
        x = once(b)
        return x + once(b - h.matmat(x))

    probe = np.random.default_rng(0).standard_normal((h.shape[0], 1)).astype(h.dtype)
    x = solve(probe)
    bound = np.linalg.norm(probe) + np.linalg.norm(x) * np.linalg.norm(h.matmat(probe)) / np.sqrt(
        h.shape[0]
    )
    if np.linalg.norm(probe - h.matmat(x)) <= np.finfo(h.dtype).eps ** 0.5 * bound:
        return solve
    if hopeless:
        raise Singular("to working precision, as its parts cancel")
    return None


# -- without a closed form ---------------------------------------------------------------------


def _conjugate_gradients(h: StructuredOperator) -> Solver:
    """Conjugate gradients with the diagonal as preconditioner, for a definite matrix."""
    from scipy.sparse.linalg import LinearOperator, cg

    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, h.shape[0])).astype(np.finfo(h.dtype).dtype)
    hu, hv = h.matvec(u), h.matvec(v)
    scale = np.linalg.norm(u) * np.linalg.norm(hv)
    advice = (
        "use one of the iterative methods of scipy.sparse.linalg, which take it as it is: "
        "minres(H, b) for a symmetric matrix, gmres(H, b) or lsqr(H, b) for others"
    )
    if abs(np.vdot(hu, v) - np.vdot(u, hv)) > 1e4 * np.finfo(h.dtype).eps * scale:
        raise InputError(
            f"solve has no closed form for {h!r}, which is not symmetric and too large to be made "
            f"dense; {advice}"
        )
    d = h.diagonal()
    positive = bool((np.real(d) > 0).all())
    inverse = 1 / d if positive else np.ones_like(d)
    preconditioner = LinearOperator(h.shape, dtype=h.dtype, matvec=lambda r: inverse * r.ravel())  # type: ignore[call-arg]
    tolerance = max(1e-10, 10 * float(np.finfo(h.dtype).eps))

    def solve(b: Array) -> Array:
        columns = []
        for k in range(b.shape[1]):
            right = b[:, k]
            x, _ = cg(h, right, rtol=tolerance, atol=0, maxiter=2000, M=preconditioner)
            left = np.linalg.norm(right - h.matvec(x))
            if not left <= 100 * tolerance * np.linalg.norm(right):
                raise InputError(
                    f"solve has no closed form for {h!r}, and conjugate gradients did not "
                    f"converge: it may be singular or indefinite; {advice}"
                )
            columns.append(x)
        return np.stack(columns, axis=1)

    return solve

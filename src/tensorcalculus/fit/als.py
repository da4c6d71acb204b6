"""Alternating least squares for CP models."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from tensorcalculus.fit.components import Factors, balanced, component_norms, growth, unit_columns
from tensorcalculus.fit.mttkrp import CPData, gram_product
from tensorcalculus.fit.watch import Watch

PASSES = 10
"""Passes over the columns of a non-negative factor, at most, before the next mode's turn."""

SETTLED = 1e-2
"""A pass that changes less than this part of what the first one did is the last."""


def als(
    data: CPData, start: Factors, watch: Watch, nonnegative: frozenset[int], l2: float
) -> NoReturn:
    """Each factor in turn the best one for the others.

    With ``M_k`` the product by mode k and ``G_k`` the elementwise product of the other Gram
    matrices, ``U_k (G_k + l2*I) = M_k``.  The loss follows from the same two.  J. D. Carroll,
    J.-J. Chang, Psychometrika 35 (1970); R. A. Harshman (1970).

    Non-negative factors are renewed column by column, several times over (HALS: A. Cichocki,
    A.-H. Phan, IEICE Trans. Fundamentals E92-A (2009); N. Gillis, F. Glineur, Neural Computation
    24 (2012)).
    """
    if l2:
        factors, weights = balanced(start), None
    else:
        factors, weights = unit_columns(start)
    data.put_all(factors)
    while True:
        worst = moved = 0.0
        inner = model2 = 0.0
        for k in range(data.order):
            product = data.mttkrp(k)
            gram = gram_product(data.numpy, k)
            old = data.numpy[k] if weights is None else data.numpy[k] * weights
            worst = max(worst, relative_slope(old, gram, product, k in nonnegative, l2))
            ridge = gram + l2 * np.eye(len(gram)) if l2 else gram
            solve = nonnegative_rows if k in nonnegative else solve_normal
            new = solve(ridge, product, old)
            moved += float(np.linalg.norm(new - old)) ** 2
            inner = float(np.vdot(new, product).real)
            model2 = float(np.sum(gram * (new.T @ new.conj())).real)
            if weights is not None:
                # The scale stands with the last factor, so that nothing made of others changes.
                weights = np.linalg.norm(new, axis=0)
                safe = np.where(weights > 0, weights, 1.0)
                # A component of weight 0 keeps its direction, from which it may come back.
                new = np.where(weights > 0, new / safe, data.numpy[k])
            data.put(k, new)
        factors = data.numpy if weights is None else [*data.numpy[:-1], data.numpy[-1] * weights]
        if l2:
            factors = balanced(factors)
            data.put_all(factors)
        loss, cancelled = data.loss(inner, model2)
        if cancelled:
            loss = data.residual(factors)
        penalty = l2 * sum(float(np.linalg.norm(u)) ** 2 for u in factors)
        norms = component_norms(factors)
        watch.note(
            factors, loss + penalty, loss, worst, float(np.sqrt(moved)), growth(norms, model2)
        )


def relative_slope(
    u: np.ndarray, gram: np.ndarray, product: np.ndarray, nonnegative: bool, l2: float
) -> float:
    """``norm(U G - M + l2*U)/norm(M)``; where U may not be negative, of what it could follow."""
    slope = u @ gram - product + l2 * u
    if nonnegative:
        slope = np.where(u > 0, slope, np.minimum(slope, 0.0))
    size = float(np.linalg.norm(slope))
    return size / (float(np.linalg.norm(product)) or 1.0)


def solve_normal(gram: np.ndarray, product: np.ndarray, old: np.ndarray) -> np.ndarray:
    """``U`` of ``U G = M``; where ``G`` is singular, the solution nearest to the old one."""
    from scipy.linalg import get_lapack_funcs

    potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (gram,))
    lower, info = potrf(gram.T, lower=1)
    pivots = np.abs(np.diagonal(lower))
    limit = 100 * len(gram) * np.finfo(float).eps
    if info == 0 and pivots.min() ** 2 > limit * pivots.max() ** 2:
        return potrs(lower, product.T, lower=1)[0].T
    values, vectors = np.linalg.eigh(gram)
    kept = values > limit * max(float(values[-1]), np.finfo(float).tiny)
    q = vectors[:, kept]
    return old + ((product - old @ gram) @ q / values[kept]) @ q.conj().T


def nonnegative_rows(gram: np.ndarray, product: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Columns one after the other: the best non-negative ones for the rest of them."""
    made, target = np.ascontiguousarray(old.T), np.ascontiguousarray(product.T)  # [r, n]
    first = 0.0
    for turn in range(PASSES):
        changed = 0.0
        for r, row in enumerate(gram):
            if row[r] <= 0:
                continue
            new = np.maximum(made[r] + (target[r] - row @ made) / row[r], 0.0)
            changed += float(np.sum((new - made[r]) ** 2))
            made[r] = new
        first = first or changed
        if turn and changed <= SETTLED**2 * first:
            break
    return made.T

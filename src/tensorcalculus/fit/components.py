"""Factors of CP models as plain matrices: norms of components, scales moved between modes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Factors = list[np.ndarray]
"""Matrices ``[n_k, r]``, one for each mode."""


def component_norms(factors: Sequence[np.ndarray]) -> np.ndarray:
    """The norm of each component, ``prod_k norm(U_k[:, r])``."""
    made = np.ones(factors[0].shape[1])
    for u in factors:
        made *= np.linalg.norm(u, axis=0)
    return made


def unit_columns(factors: Sequence[np.ndarray]) -> tuple[Factors, np.ndarray]:
    """Columns of norm 1 (zero columns stay), and the weights of the components."""
    made, weights = [], np.ones(factors[0].shape[1])
    for u in factors:
        sizes = np.linalg.norm(u, axis=0)
        made.append(u / np.where(sizes > 0, sizes, 1.0))
        weights *= sizes
    return made, weights


def balanced(factors: Sequence[np.ndarray]) -> Factors:
    """The same components, the columns of each of one norm in all modes."""
    made, weights = unit_columns(factors)
    share = weights ** (1 / len(made))
    return [u * share for u in made]


def growth(norms: np.ndarray, model2: float) -> float:
    """``sqrt(sum of squared norms of components)/norm``: large where components cancel."""
    return float(np.linalg.norm(norms) / np.sqrt(model2)) if model2 > 0 else float("inf")


def ordered(factors: Factors, nonnegative: frozenset[int]) -> tuple[Factors, np.ndarray]:
    """Unit columns, the heaviest component first, signs in the first mode that may have them."""
    units, weights = unit_columns(factors)
    order = np.argsort(-weights, kind="stable")
    units, weights = [u[:, order] for u in units], weights[order]
    free = [k for k in range(len(units)) if k not in nonnegative]
    if not np.iscomplexobj(units[0]):
        for k in free[1:]:
            top = np.take_along_axis(units[k], np.abs(units[k]).argmax(0)[None], 0)[0]
            signs = np.where(top < 0, -1.0, 1.0)
            units[k], units[free[0]] = units[k] * signs, units[free[0]] * signs
    return units, weights

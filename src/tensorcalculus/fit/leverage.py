"""Rows of a Khatri-Rao product drawn by their leverage scores, the heaviest ones taken for sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """Rows of a Khatri-Rao product that stand for all of them in sums."""

    cells: np.ndarray
    """``[s, d]``: which row of each factor."""
    weights: np.ndarray
    """``[s]``: sums over all rows have the expectation of the weighted sums over these."""
    certain: int
    """How many stand at the beginning by themselves, with weight 1."""


def leverage_probabilities(factor: np.ndarray) -> np.ndarray:
    """Leverage scores of the rows, ``u' (U'U)^+ u``, relative to their sum, which is the rank."""
    values, vectors = np.linalg.eigh(factor.T @ factor)
    kept = values > len(values) * np.finfo(float).eps * max(float(values[-1]), 0.0)
    if not kept.any():
        return np.full(len(factor), 1 / len(factor))
    scores = np.square(factor @ (vectors[:, kept] / np.sqrt(values[kept]))).sum(1)
    return scores / scores.sum()


def draw_rows(probabilities: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> Drawn:
    """Rows of a Khatri-Rao product, of which a leverage score is at most the product of those of
    the factors: each index is drawn by itself, and no row of the product is looked at.

    Rows whose probability is ``1/samples`` or more are taken for sure, once; the others are drawn
    with replacement from what is left.

    Parameters
    ----------
    probabilities
        For each factor those of its rows; each sums to 1.
    samples
        How many rows in all, at most.

    References
    ----------
    B. W. Larsen, T. G. Kolda, Practical leverage-based sampling for low-rank tensor decomposition,
    SIAM J. Matrix Anal. Appl. 43 (2022), Sec. 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> p = [np.array([0.9, 0.1]), np.array([0.8, 0.2])]
    >>> made = draw_rows(p, 4, np.random.default_rng(0))
    >>> made.certain, made.cells[0].tolist(), len(made.weights)
    (1, [0, 0], 4)
    """
    limit = 1.0 / samples
    sure, sizes = _heaviest(probabilities, limit)
    left = max(1.0 - float(sizes.sum()), 0.0)
    count = samples - len(sure)
    cells, chances = [sure], []
    sums = [np.cumsum(p) for p in probabilities]
    missing = count
    # What is refused has the probability 1 - left: so many rounds are as good as without end.
    for _ in range(100):
        if missing <= 0 or left < 1e-12:
            break
        # A little more than needed, so that one round mostly does.
        more = int(1.1 * missing / max(left, 0.05)) + 16
        found = np.stack([_draw(s, more, rng) for s in sums], 1)
        chance = _product(probabilities, found)
        good = np.flatnonzero(chance < limit)[:missing]
        cells.append(found[good])
        chances.append(chance[good])
        missing -= len(good)
    chance = np.concatenate(chances) if chances else np.zeros(0)
    weights = left / (max(len(chance), 1) * chance)
    return Drawn(np.concatenate(cells), np.concatenate([np.ones(len(sure)), weights]), len(sure))


def _draw(sums: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    found = np.searchsorted(sums, rng.random(count) * sums[-1], side="right")
    return np.minimum(found, len(sums) - 1)


def _product(probabilities: Sequence[np.ndarray], cells: np.ndarray) -> np.ndarray:
    made = np.ones(len(cells))
    for p, column in zip(probabilities, cells.T, strict=True):
        made *= p[column]
    return made


def _heaviest(probabilities: Sequence[np.ndarray], limit: float) -> tuple[np.ndarray, np.ndarray]:
    """All rows of the product with a probability of `limit` or more, and these probabilities.

    Factor by factor: the product over the first few must reach the limit already, which at most
    ``1/limit`` do.
    """
    cells, sizes = np.zeros((1, 0), np.int64), np.ones(1)
    for p in probabilities:
        order = np.argsort(-p, kind="stable")
        falling = -p[order]
        # Of each row so far, the first so many of this factor go with it.
        reach = np.searchsorted(falling, -limit / sizes, side="right")
        rows = np.repeat(np.arange(len(sizes)), reach)
        places = np.arange(len(rows)) - np.repeat(np.cumsum(reach) - reach, reach)
        cells = np.concatenate([cells[rows], order[places][:, None]], axis=1)
        sizes = sizes[rows] * p[order[places]]
    # By the same products that drawn rows are judged by.
    sizes = _product(probabilities, cells)
    kept = sizes >= limit
    return cells[kept], sizes[kept]

"""Where generalised fits begin: random factors of the size of the data, or a given model."""

from __future__ import annotations

import math
from typing import Any
from zlib import crc32

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.components import Factors, balanced
from tensorcalculus.fit.generalized.objective import Cells
from tensorcalculus.fit.losses import Loss
from tensorcalculus.fit.start import given_factors

SPREAD = 0.1
"""Size of the random part beside a constant model."""

REACH = 40.0
"""Models of means are looked for between the negative and this; ``exp`` of it is 2e17."""


FLOOR = 1e-3
"""Least size of a row, relative to their mean: zeros would stay."""


def first_factors(
    cells: Cells, rank: int, loss: Loss, modes: frozenset[int], start: Any, seed: int, attempt: int
) -> Factors:
    """Random factors of the size of the data, or those that are given.

    Where all are not negative, uniform ones times the means of the data's slices, so that the
    model has nearly the marginal sums of the data; normal ones that have
    their norm; and where the model is not the mean itself, its logarithm say, a component that
    gives the mean of the data everywhere, beside small normal ones.  Else exponentials of random
    models would be far too large, or far on the wrong side.
    """
    if not isinstance(start, str):
        return given_factors(cells.shape, rank, start, modes)
    if start != "random":
        raise InputError(f"start: 'random', a tn.CP or a list of factors is expected: {start!r}")
    rng = np.random.default_rng([seed, attempt, crc32(b"start of a generalised CP fit")])
    mean, square = cells.moments()
    order = len(cells.shape)
    if loss.nonnegative:
        made = [
            row_sizes(means) * rng.uniform(0.1, 1.9, size=(len(means), rank))
            for means in cells.slice_means()
        ]
        size = float(np.sum(np.prod([u.mean(0) for u in made], axis=0)))
        return [u * ((mean if mean > 0 else 1.0) / size) ** (1 / order) for u in made]
    made = [rng.standard_normal((n, rank)) for n in cells.shape]
    if not loss.identity:
        made = [SPREAD * u for u in made]
        level = model_of(loss, mean)
        for k, u in enumerate(made):
            u[:, 0] = abs(level) ** (1 / order) * (np.sign(level) if k == 0 else 1.0)
    else:
        gram = np.prod([u.T @ u / len(u) for u in made], axis=0)
        size = math.sqrt(float(gram.sum())) or 1.0
        made = balanced([u * ((math.sqrt(square) or 1.0) / size) ** (1 / order) for u in made])
    return [np.abs(u) if k in modes else u for k, u in enumerate(made)]


def row_sizes(values: np.ndarray) -> np.ndarray:
    """Sizes of rows, none of them far below their mean, ``[n, 1]``."""
    middle = float(values.mean())
    return np.maximum(values, FLOOR * middle)[:, None] if middle > 0 else np.ones((len(values), 1))


def model_of(loss: Loss, mean: float) -> float:
    """The value of the model that has this mean, by bisection: means grow with the model."""
    low, high = -REACH, REACH
    for _ in range(60):
        middle = (low + high) / 2
        if float(loss.mean(np.array(middle))) < mean:
            low = middle
        else:
            high = middle
    # Data of one value only have it at infinity.
    return min(max(low, -5.0), max(5.0, math.log(max(mean, 1.0))))

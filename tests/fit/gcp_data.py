"""What the tests of generalised CP share: losses with data, dense oracles, differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import tensorcalculus as tc
from tensorcalculus.fit.losses import TABLE

LOSSES = {row.name: tc.Loss.named(row.name) for row in TABLE} | {
    "own": tc.Loss("(x-m)^2/(1+abs(x-m))"),
    "no zero": tc.Loss("log(1+(x-m)^2)"),
}


def factors_for(loss: tc.Loss, shape: Sequence[int], rank: int, seed: int = 0) -> list[np.ndarray]:
    """Random factors within the bounds of a loss, away from them."""
    rng = np.random.default_rng(seed)
    if loss.nonnegative:
        return [rng.uniform(0.3, 1.3, (n, rank)) for n in shape]
    return [0.8 * rng.standard_normal((n, rank)) for n in shape]


def data_for(loss: tc.Loss, shape: Sequence[int], seed: int = 1) -> np.ndarray:
    """Random data of the domain of a loss."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1.0, shape).astype(float)
    if loss.domain == "binary":
        return np.minimum(counts, 1.0)
    if loss.domain == "nonnegative":
        return counts * rng.uniform(0.5, 2, shape)
    return counts if loss.domain == "counts" else rng.standard_normal(shape)


def dense_model(factors: Sequence[np.ndarray]) -> np.ndarray:
    """All cells of a CP model, by einsum."""
    letters = "abcdefgh"[: len(factors)]
    return np.einsum(",".join(f"{c}r" for c in letters) + "->" + letters, *factors)


def dense_loss(
    loss: tc.Loss, x: np.ndarray, factors: Sequence[np.ndarray], mask: np.ndarray | None = None
) -> float:
    """The sum of losses from the whole model, by the expression itself."""
    run = tc.compile(loss.expression)
    kept = np.ones(x.shape, bool) if mask is None else mask != 0
    pairs = zip(x[kept], dense_model(factors)[kept], strict=True)
    weights = None if mask is None else mask[kept]
    values = np.array([float(run(x=a, m=b)) for a, b in pairs])
    return float(np.sum(values if weights is None else weights * values))


def slope_along(
    value: Callable[[list[np.ndarray]], float],
    factors: Sequence[np.ndarray],
    directions: Sequence[np.ndarray],
    step: float = 1e-5,
) -> float:
    """The derivative along a direction by central differences of fourth order."""

    def at(t: float) -> float:
        return value([u + t * d for u, d in zip(factors, directions, strict=True)])

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)

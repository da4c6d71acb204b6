"""Random indices whose probabilities are the entries of a train, or their squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import Array, numpy_of
from tensorcalculus.networks.trains.rounding import push_left


def sample(
    cores: Sequence[Array], count: int, seed: int, squared: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``[count, d]`` and their probabilities ``[count]``; ``O(count d n r^2)``.

    Mode by mode from the first, each given those before it, by sums over those behind (Dolgov,
    Anaya-Izquierdo, Fox, Scheichl, Approximation and sampling of multivariate probability
    distributions in the tensor train decomposition, Stat. Comput. 30 (2020), algorithm 1); for
    squares the cores behind are orthonormal, so that these sums are norms of rows (Ferris, Vidal,
    Perfect sampling with unitary tensor networks, Phys. Rev. B 85 (2012)).

    Raises
    ------
    InputError
        A count below 0; entries whose sum is not positive; complex entries that are not squared.
    """
    if count < 0:
        raise InputError(f"sample: count must not be negative, not {count!r}")
    held = [numpy_of(core) for core in cores]
    if np.iscomplexobj(held[0]) and not squared:
        raise InputError("sample: complex entries are no density; use squared=True")
    d = len(held)
    behind: list[np.ndarray | None] = [None] * d
    if squared:
        push_left(held, 0, d - 1)
        total = float(np.linalg.norm(held[0])) ** 2
    else:
        last = np.ones(1)
        for k in range(d - 1, -1, -1):
            behind[k] = last
            last = held[k].sum(axis=1) @ last
        total = float(last[0])
    if not (total > 0 and np.isfinite(total)):
        raise InputError(f"sample: the sum of the density must be positive and finite, not {total}")
    rng = np.random.default_rng(seed)
    rows = np.ones((count, 1), held[0].dtype)
    chosen = np.empty((count, d), np.int64)
    probability = np.ones(count)
    for k, core in enumerate(held):
        r, n, s = core.shape
        partial = (rows @ core.reshape(r, n * s)).reshape(count, n, s)
        if squared:
            weights = (np.abs(partial) ** 2).sum(axis=2)
        else:
            # Rounding may leave entries a little below 0; such indices are never chosen.
            weights = np.maximum(partial @ behind[k], 0)
        bounds = np.cumsum(weights, axis=1)
        draw = rng.random(count) * bounds[:, -1]
        picked = np.minimum((bounds <= draw[:, None]).sum(axis=1), n - 1)
        each = np.arange(count)
        share = weights[each, picked] / bounds[:, -1]
        chosen[:, k] = picked
        probability *= share
        # Scaled to the conditional, so that long trains stay in the range of the type.
        rows = partial[each, picked]
        rows = rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300)
    return chosen, probability

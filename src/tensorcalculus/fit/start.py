"""Where fits begin: random factors, singular vectors of unfoldings, or a model that is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.mttkrp import CPData, gram_product
from tensorcalculus.networks.arrays import is_array, numpy_of
from tensorcalculus.networks.formats.cp import CP

NAMES = ("random", "hosvd", "nvecs")


def start_factors(
    data: CPData, rank: int, start: Any, nonnegative: frozenset[int], seed: int, attempt: int
) -> Factors:
    """The factors of one start, scaled to the norm of the array unless they are given."""
    if not isinstance(start, str):
        return given_factors(data.shape, rank, start, nonnegative, data.kind)
    # Seeds [0, 0] and 0 give the same numbers: data drawn with the user's seed must not be met.
    rng = np.random.default_rng([seed, attempt, crc32(b"start of a CP fit")])
    factors = [_drawn(rng, n, rank, data.kind, k in nonnegative) for k, n in enumerate(data.shape)]
    if start != "random" and attempt == 0:
        for k, u in enumerate(factors):
            found = data.leading(k, rank)
            if k in nonnegative:
                found = np.abs(found)
            u /= np.linalg.norm(u, axis=0)
            u[:, : found.shape[1]] = found
    size = np.sqrt(float(np.sum(gram_product(factors)).real))
    scale = (np.sqrt(data.norm2) / size) ** (1 / data.order) if size > 0 else 1.0
    return [u * scale for u in factors]


def _drawn(
    rng: np.random.Generator, n: int, rank: int, kind: np.dtype, nonnegative: bool
) -> np.ndarray:
    if nonnegative:
        return rng.uniform(size=(n, rank))
    made = rng.standard_normal((n, rank))
    return made + 1j * rng.standard_normal((n, rank)) if kind.kind == "c" else made


def given_factors(
    shape: tuple[int, ...],
    rank: int,
    start: Any,
    nonnegative: frozenset[int],
    kind: np.dtype | type = np.float64,
) -> Factors:
    """Copies of the factors of a model or a list, checked."""
    arrays = start.factors if isinstance(start, CP) else start
    if is_array(arrays) or not isinstance(arrays, Sequence):
        raise InputError(
            f"start: {', '.join(map(repr, NAMES))}, a tn.CP or a list of factors is expected, not"
            f" {type(start).__name__}"
        )
    factors = [np.array(numpy_of(u) if is_array(u) else u, dtype=kind) for u in arrays]
    expected = [(n, rank) for n in shape]
    if [u.shape for u in factors] != expected:
        raise ShapeError(
            f"start: factors of shapes {expected} are expected, not {[u.shape for u in factors]}"
        )
    for k, u in enumerate(factors):
        if not np.isfinite(u).all():
            raise InputError(f"start: factor {k} holds NaN or inf")
        if k in nonnegative and u.min() < 0:
            raise InputError(f"start: factor {k} has negative entries, though mode {k} may not")
    return factors

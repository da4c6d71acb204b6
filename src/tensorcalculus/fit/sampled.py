"""Alternating least squares with sampled rows, for CP models of large tensors."""

from __future__ import annotations

import math
from functools import partial
from typing import NoReturn

import numpy as np

from tensorcalculus.fit.als import nonnegative_rows, relative_slope, solve_normal
from tensorcalculus.fit.components import Factors, balanced, component_norms, growth
from tensorcalculus.fit.fibres import DenseFibres, Fibres, SparseFibres
from tensorcalculus.fit.leverage import draw_rows, leverage_probabilities
from tensorcalculus.fit.mttkrp import CPData, DenseData, gram_product
from tensorcalculus.fit.sparse_mttkrp import SparseData
from tensorcalculus.fit.watch import Watch
from tensorcalculus.optimize.monitor import Finished

SAMPLES = 1 << 16
"""Rows that are drawn by default."""

SWEEPS = 5
"""Sweeps of an iteration; loss and gradient are computed after them, from all data."""

PATIENCE = 3
"""Iterations without a lower loss after which only the luck of the draw changes."""


def sampled_als(
    data: CPData,
    start: Factors,
    watch: Watch,
    nonnegative: frozenset[int],
    l2: float,
    samples: int = SAMPLES,
    seed: int = 0,
) -> NoReturn:
    """Each factor in turn the best one for the others, as far as some rows tell.

    The least-squares problem of a mode has a row for each cell of all other modes.  Rows are drawn
    by the leverage scores of the Khatri-Rao product, anew each time; normal equations are those of
    ALS with weighted sums over them.  A mode with no more rows than `samples` is solved as by ALS.

    B. W. Larsen, T. G. Kolda, Practical leverage-based sampling for low-rank tensor decomposition,
    SIAM J. Matrix Anal. Appl. 43 (2022): CP-ARLS-LEV; there, the loss is estimated as well.
    """
    rng = np.random.default_rng([seed, 0xA5])
    fibres = _fibres(data)
    factors = balanced(start)
    data.put_all(factors)
    least, waited = math.inf, 0
    while True:
        before = [u.copy() for u in data.numpy]
        for _ in range(SWEEPS):
            for k in range(data.order):
                gram, product = _equations(data, fibres, k, samples, rng)
                ridge = gram + l2 * np.eye(len(gram)) if l2 else gram
                solve = nonnegative_rows if k in nonnegative else solve_normal
                data.put(k, solve(ridge, product, data.numpy[k]))
            factors = balanced(data.numpy)
            data.put_all(factors)
        loss, worst, model2 = _judged(data, nonnegative, l2)
        penalty = l2 * sum(float(np.linalg.norm(u)) ** 2 for u in factors)
        moved = math.hypot(*(np.linalg.norm(a - b) for a, b in zip(factors, before, strict=True)))
        size = growth(component_norms(factors), model2)
        watch.note(factors, loss + penalty, loss, worst, moved, size)
        least, waited = (loss + penalty, 0) if loss + penalty < least else (least, waited + 1)
        if waited >= PATIENCE:
            raise Finished(
                f"the loss has not fallen for {PATIENCE} iterations of {SWEEPS} sweeps with"
                f" {samples} samples; method='als' goes on from here",
                False,
            )


def _fibres(data: CPData) -> Fibres:
    if isinstance(data, SparseData):
        return SparseFibres(data.tensor)
    assert isinstance(data, DenseData)
    return DenseFibres(data.x)


def _equations(
    data: CPData, fibres: Fibres, k: int, samples: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The Gram matrix and the right side of the normal equations of a mode, estimated."""
    others = [j for j in range(data.order) if j != k]
    if math.prod(data.shape[j] for j in others) <= samples:
        return gram_product(data.numpy, k), data.mttkrp(k)
    factors = [data.numpy[j] for j in others]
    drawn = draw_rows([leverage_probabilities(u) for u in factors], samples, rng)
    rows = np.ones((len(drawn.cells), factors[0].shape[1]))
    for u, column in zip(factors, drawn.cells.T, strict=True):
        rows *= u[column]
    weighed = rows * drawn.weights[:, None]
    return rows.T @ weighed, fibres.product(k, drawn.cells, weighed)


def _judged(data: CPData, nonnegative: frozenset[int], l2: float) -> tuple[float, float, float]:
    """Loss, relative gradient and squared norm of the model, from all data."""
    products = data.mttkrps()
    slopes = partial(relative_slope, l2=l2)
    worst = max(
        slopes(u, gram_product(data.numpy, k), products[k], k in nonnegative)
        for k, u in enumerate(data.numpy)
    )
    model2 = float(np.sum(gram_product(data.numpy)))
    loss, cancelled = data.loss(float(np.vdot(data.numpy[0], products[0])), model2)
    return data.residual(data.numpy) if cancelled else loss, worst, model2

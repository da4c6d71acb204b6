"""Rings of smaller ranks: one bond is cut within its environment, the others in an open chain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import (
    Array,
    checked_tolerance,
    flattened,
    like,
    namespace,
    norm,
    numpy_of,
    zeros,
)
from tensorcalculus.networks.trains.rounding import push_right, truncate_left

_WIDEST_ENVIRONMENT = 32
"""A larger bond is not cut in its environment: least squares of ``r^2`` rows would take minutes."""
_SWEEPS = 20
_STARTS = 2


def closed(cores: Sequence[Array]) -> Array:
    """All entries of a ring, as one axis."""
    first = cores[0].shape[0]
    made = cores[0].reshape(-1, cores[0].shape[2])
    for core in cores[1:]:
        r, n, s = core.shape
        made = (made @ core.reshape(r, n * s)).reshape(-1, s)
    made = made.reshape(first, -1, first)
    total = made[0, :, 0]
    for k in range(1, first):
        total = total + made[k, :, k]
    return total


def opened(cores: Sequence[Array]) -> Array:
    """A core ``[r, q, s]`` in the place of a chain of cores, with the same norms and products.

    The entries of the chain, numbered by all modes, are ``Q`` times it with orthonormal columns;
    q is at most ``r*s``, by triangular factors.
    """
    xp = namespace(cores[0])
    r = cores[0].shape[0]
    w: Array | None = None  # [q, r, s]
    for core in cores:
        s, n, t = core.shape
        if w is None:
            m = xp.permute_dims(core, (1, 0, 2))
        else:
            m = (w.reshape(-1, s) @ core.reshape(s, n * t)).reshape(-1, r, n, t)
            m = xp.permute_dims(m, (0, 2, 1, 3))
        w = flattened(m.reshape(-1, r * t)).reshape(-1, r, t)
    return xp.permute_dims(w, (1, 0, 2))


def rounded(cores: Sequence[Array], tol: float, max_rank: int | None) -> list[Array]:
    """Cores of smaller ranks, the error at most ``tol*norm`` unless `max_rank` cuts it.

    The ring is turned so that its smallest bond, of r, joins the ends.  There ``trace(M[i] W)`` is
    the tensor for ``W = 1``, with M[i] the product of all matrices, and may still be it for a W of
    smaller rank (Evenbly, Gauge fixing, canonical forms and optimal truncations in tensor networks
    with closed loops, Phys. Rev. B 98 (2018), section III; here triangular factors stand in the
    place of the environment's Gram matrix).  W takes half of the tolerance.  Then the chain with
    both ends open is rounded as a train; as the trace of r terms loses at most ``sqrt(r)`` times
    what the chain does, its threshold is smaller by that.

    A small W may make the other bonds large, so three are tried: 1, one that leaves out indices of
    the bond (blocks of a sum), and one of the smallest rank that is found; the smallest ring is
    taken.
    """
    tol = checked_tolerance(tol, max_rank, cores[0])
    d = len(cores)
    if d == 1:
        return [closed(cores).reshape(1, -1, 1)]
    start = min(range(d), key=lambda k: cores[k].shape[0])
    turned = [*cores[start:], *cores[:start]]
    environment = numpy_of(namespace(cores[0]).permute_dims(opened(turned), (1, 0, 2)))
    size = float(np.linalg.norm(_target(environment)))
    if not math.isfinite(size):
        raise InputError("round: the numbers of a tensor must be finite; NaN or inf was met")
    if size == 0:
        return [zeros((1, core.shape[1], 1), core) for core in cores]
    best: list[Array] = []
    for left, right in _cuts(environment, tol * size / 2, max_rank):
        first, *_, last = made = list(turned)
        (r, n, s), (t, m, _) = first.shape, last.shape
        made[0] = (like(right, first) @ first.reshape(r, n * s)).reshape(-1, n, s)
        made[-1] = (made[-1].reshape(-1, r) @ like(left, last)).reshape(t, m, -1)
        made = _chain_rounded(made, tol * size / 2, max_rank)
        if not best or _size(made) < _size(best):
            best = made
    return [*best[d - start :], *best[: d - start]]


def _size(cores: Sequence[Array]) -> int:
    return sum(math.prod(core.shape) for core in cores)


def _chain_rounded(cores: list[Array], budget: float, max_rank: int | None) -> list[Array]:
    """Inner bonds cut by SVDs, the bond of the ends being part of the first and the last mode."""
    d, first = len(cores), cores[0].shape[0]
    head, last = cores[0], cores[-1]
    xp = namespace(head)
    made = [head.reshape(1, -1, head.shape[2]), *cores[1:-1], last.reshape(last.shape[0], -1, 1)]
    push_right(made, 0, d - 1)
    if norm(made[-1]) > 0:
        truncate_left(made, budget / math.sqrt(first * (d - 1)), max_rank)
    made[0] = made[0].reshape(first, head.shape[1], -1)
    made[-1] = xp.reshape(made[-1], (-1, last.shape[1], first))
    return made


Cut = tuple[np.ndarray, np.ndarray]
"""Matrices ``[r, s]`` and ``[s, r]``, whose product is W."""


def _cuts(environment: np.ndarray, budget: float, max_rank: int | None) -> list[Cut]:
    """Cuts of the bond with ``norm(trace(environment (1 - W))) <= budget``.

    `environment` ``[q, a, b]`` is contracted with ``W[b, a]``.  Where `max_rank` is smaller than
    all of them, the best one that is found for it.
    """
    r = environment.shape[1]
    one = np.eye(r), np.eye(r)
    most = r if max_rank is None else min(r, max_rank)
    if r == 1 or (r > _WIDEST_ENVIRONMENT and most == r):
        return [one]
    environment = environment.astype(np.result_type(environment.dtype, np.float64))
    q = environment.shape[0]
    u, s, _ = np.linalg.svd(environment.reshape(q, -1), full_matrices=False)
    known = s > s[0] * np.finfo(np.float64).eps
    environment = (u[:, known].conj().T @ environment.reshape(q, -1)).reshape(-1, r, r)
    found = [one, _subset(environment, budget), _smallest(environment, budget, most)]
    return [cut for cut in found if cut[0].shape[1] <= most]


def _target(environment: np.ndarray) -> np.ndarray:
    return np.trace(environment, axis1=1, axis2=2)


def _solved(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """The least squares solution of least norm, and its residual."""
    x = np.linalg.lstsq(columns, target, rcond=None)[0]
    return x, float(np.linalg.norm(columns @ x - target))


def _subset(environment: np.ndarray, budget: float) -> Cut:
    """Indices of the bond left out, one after the other from the last, while the rest can do."""
    q, r, _ = environment.shape
    target = _target(environment)
    kept, right = list(range(r)), np.eye(r)
    for k in reversed(range(r)):
        if len(kept) == 1:
            break
        trial = [b for b in kept if b != k]
        columns = environment[:, :, trial].swapaxes(1, 2).reshape(q, -1)
        x, error = _solved(columns, target)
        if error <= budget:
            kept, right = trial, x.reshape(len(trial), r)
    return np.eye(r)[:, kept], right


def _smallest(environment: np.ndarray, budget: float, most: int) -> Cut:
    """The smallest rank by bisection; one that no start attains counts as too small."""
    r = environment.shape[1]
    low, high = 1, most
    best = (np.eye(r), np.eye(r)) if most == r else _fitted(environment, most, 0.0)[0]
    while low < high:
        middle = (low + high) // 2
        found, error = _fitted(environment, middle, budget)
        if error <= budget:
            best, high = found, middle
        else:
            low = middle + 1
    return best


def _fitted(environment: np.ndarray, rank: int, enough: float) -> tuple[Cut, float]:
    """The best W of a rank that alternating least squares finds from random starts, and its error.

    It ends where the error is `enough` or falls by less than a hundredth.
    """
    q, r, _ = environment.shape
    rng = np.random.default_rng(rank)
    target = _target(environment)
    found, least = (np.eye(r, rank), np.eye(rank, r)), math.inf
    for _ in range(_STARTS):
        left = np.linalg.qr(rng.standard_normal((r, rank)))[0].astype(environment.dtype)
        before = math.inf
        for _ in range(_SWEEPS):
            columns = (environment @ left).swapaxes(1, 2).reshape(q, rank * r)
            x, error = _solved(columns, target)
            right = x.reshape(rank, r)
            if error < least:
                found, least = (left, right), error
            if error <= enough:
                return found, error
            if error > 0.99 * before:
                break
            before = error
            right = np.linalg.qr(right.conj().T)[0].conj().T
            columns = (right @ environment).swapaxes(1, 2).reshape(q, r * rank)
            left = np.linalg.qr(_solved(columns, target)[0].reshape(r, rank))[0]
    return found, least

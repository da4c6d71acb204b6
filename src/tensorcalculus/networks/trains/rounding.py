"""Rounding: a train of smaller ranks within a tolerance, by sketches and one sweep of SVDs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.networks.arrays import (
    Array,
    H,
    checked_tolerance,
    epsilon,
    is_tracked,
    like,
    namespace,
    norm,
    qr,
    rank_within,
    svd,
    triangular_factor,
    uniform,
)
from tensorcalculus.networks.trains.adjoints import rounded
from tensorcalculus.networks.trains.chains import Chain, Train, formed

_LEAST_RANK_TO_SKETCH = 32
_PROBES = 8
_SAFETY = 10.0
"""How far the estimated residual of a sketch must stay below the threshold of a cut."""


def push_right(cores: list[Array], first: int, last: int) -> None:
    """Make ``cores[first:last]`` left-orthonormal; ``cores[last]`` takes what is left.

    QR by QR: Oseledets (2011), algorithm 2, ``O(n r^3)`` a core.
    """
    for k in range(first, last):
        r, n, s = cores[k].shape
        q, rest = qr(cores[k].reshape(r * n, s))
        cores[k] = q.reshape(r, n, -1)
        s, m, t = cores[k + 1].shape
        cores[k + 1] = (rest @ cores[k + 1].reshape(s, m * t)).reshape(-1, m, t)


def push_left(cores: list[Array], first: int, last: int) -> None:
    """Make ``cores[first+1:last+1]`` right-orthonormal; ``cores[first]`` takes what is left."""
    for k in range(last, first, -1):
        r, n, s = cores[k].shape
        q, rest = qr(H(cores[k].reshape(r, n * s)))
        cores[k] = H(q).reshape(-1, n, s)
        t, m, r = cores[k - 1].shape
        cores[k - 1] = (cores[k - 1].reshape(t * m, r) @ H(rest)).reshape(t, m, -1)


def truncate_left(cores: list[Array], delta: float, max_rank: int | None) -> None:
    """Truncated SVDs from the last cut to the first; all but the last core are left-orthonormal."""
    for k in range(len(cores) - 1, 0, -1):
        r, n, s = cores[k].shape
        m = cores[k].reshape(r, n * s)
        u, sigma, rows = _left_factors(m, delta, max_rank)
        cores[k] = rows.reshape(-1, n, s)
        t, width, r = cores[k - 1].shape
        weighted = u * like(sigma, u)
        cores[k - 1] = (cores[k - 1].reshape(t * width, r) @ weighted).reshape(t, width, -1)


def _left_factors(m: Array, delta: float, max_rank: int | None) -> tuple[Array, np.ndarray, Array]:
    """``m ≈ u diag(sigma) rows``, truncated to an error of `delta`.

    Of a wide matrix only the triangular factor is decomposed, and ``rows = diag(1/sigma) u^H m``.
    They are orthonormal up to ``eps*sigma_1/sigma_i``, which is enough: what multiplies them has
    the weight ``sigma_i``, so that the whole is changed by eps.
    """
    r, columns = m.shape
    if columns > r:
        u, sigma, _ = svd(H(triangular_factor(H(m))))
        rank = rank_within(sigma, delta, max_rank)
        if sigma[rank - 1] > 1e4 * epsilon(m) * sigma[0]:
            u, sigma = u[:, :rank], sigma[:rank]
            return u, sigma, (H(u) @ m) / like(sigma[:, None], u)
    u, sigma, vh = svd(m)
    rank = rank_within(sigma, delta, max_rank)
    return u[:, :rank], sigma[:rank], vh[:rank]


def round_train(
    cores: Sequence[Array], tol: float, max_rank: int | None, seed: int = 0
) -> list[Array]:
    """Cores of smaller ranks with ``norm(x - rounded) <= tol*norm(x)``; ``O(d n r^3)``.

    Oseledets (2011), algorithm 2.  Where ranks are large, the train is first replaced by
    the one of a sketch of about half the ranks (:func:`sketched`), whose orthonormal cores are what
    a QR sweep would give; where the sketch does not do, the QR sweep is made.  What PyTorch or JAX
    differentiates or traces goes by the QR sweep.
    """
    train = Train(cores)
    tol = checked_tolerance(tol, max_rank, train.like)
    if is_tracked(cores):
        return rounded(cores, tol, max_rank)
    largest = max(train.ranks)
    made = None
    if largest >= _LEAST_RANK_TO_SKETCH and tol >= 16 * epsilon(train.like):
        made = sketched(train, tol, largest // 2 + _PROBES + 2, 0.75, seed)
    if made is None:
        made = list(cores)
        push_right(made, 0, len(made) - 1)
    return _truncated(made, tol, max_rank)


def round_chain(
    chain: Chain, tol: float, max_rank: int | None, start: int, seed: int = 0
) -> list[Array]:
    """The same for a product of trains, whose cores are formed only where no sketch does."""
    tol = checked_tolerance(tol, max_rank, chain.like)
    if is_tracked(chain.operands):
        return rounded(formed(chain), tol, max_rank)
    made = None
    if tol >= 16 * epsilon(chain.like) and max(chain.ranks) > start:
        made = sketched(chain, tol, start, 0.75, seed)
    if made is None:
        made = formed(chain)
        push_right(made, 0, len(made) - 1)
    return _truncated(made, tol, max_rank)


def _truncated(cores: list[Array], tol: float, max_rank: int | None) -> list[Array]:
    """The sweep of SVDs over a train whose cores are left-orthonormal but the last."""
    size = norm(cores[-1])
    d = len(cores)
    if size == 0 or d == 1:
        xp = namespace(cores[0])
        if d > 1:
            zero = [xp.zeros_like(core[:1, :, :1]) for core in cores]
            return zero
        return cores
    truncate_left(cores, tol * size / math.sqrt(d - 1), max_rank)
    return cores


def sketched(chain: Chain, tol: float, start: int, most: float, seed: int) -> list[Array] | None:
    """The chain as a train of left-orthonormal cores (but the last), by a random sketch.

    Randomize-then-orthogonalize: Al Daas, Ballard, Cazeaux, Hallman, Miȩdlar, Pasha, Reid,
    Saibaba, Randomized algorithms for rounding in the tensor-train format, SIAM J. Sci. Comput.
    45 (2023), algorithm 3.2.  The sketch is a contraction with a random train.  At each cut the
    triangular factor's last block tells the residual that the columns but the last 8 leave; where
    it is not far below the threshold, the sketch is doubled, and given up (None) beyond `most` of
    the ranks, where it would not be faster than the QR sweep.
    """
    rng = np.random.default_rng(seed)
    limits = _attainable(chain)
    width = start
    while width <= most * max(limits):
        made = _attempt(chain, tol, [min(width, limit) for limit in limits], limits, rng)
        if made is not None:
            return made
        width *= 2
    return None


def _attainable(chain: Chain) -> list[int]:
    """Bounds on the ranks: the bonds, and the sizes of both sides of a cut."""
    limits = list(chain.ranks)
    for k, n in enumerate(chain.shape):
        limits[k + 1] = min(limits[k + 1], limits[k] * n)
    for k in range(len(chain.shape) - 1, -1, -1):
        limits[k] = min(limits[k], limits[k + 1] * chain.shape[k])
    return limits


def _attempt(
    chain: Chain, tol: float, widths: list[int], limits: list[int], rng: np.random.Generator
) -> list[Array] | None:
    """The train from sketches of the given widths, or None where one of them is too small."""
    x, d = chain.like, len(chain.shape)
    xp = namespace(x)
    behind: list[Array] = [x] * (d + 1)
    behind[d] = xp.ones_like(x.reshape(-1)[:1]).reshape(1, 1)
    for k in range(d - 1, 0, -1):
        t = chain.right(k, behind[k + 1])
        r, n, columns = t.shape
        w = t.reshape(r, n * columns)
        if n * columns > widths[k]:  # else nothing is gained, and a square sketch loses digits
            w = w @ uniform((n * columns, widths[k]), x, rng)
        # Scaled, as otherwise the numbers of hundreds of cores leave the range of the type.
        size = norm(w)
        if not math.isfinite(size) or size == 0:
            return None
        behind[k] = w / size
    made: list[Array] = []
    left = behind[d]
    for k in range(d - 1):
        t = chain.left(k, left)  # [l, n, r]
        rows, n, r = t.shape
        t = t.reshape(rows * n, r)
        w = behind[k + 1]
        width = widths[k + 1]
        checked = width < limits[k + 1] and rows * n > width
        q = _basis(t @ w, tol / math.sqrt(d - 1), checked)
        if q is None:
            return None
        left = H(q) @ t
        made.append(q.reshape(rows, n, -1))
    made.append(chain.left(d - 1, left))
    return made


def _basis(y: Array, threshold: float, checked: bool) -> Array | None:
    """Orthonormal columns that span those of a sketch, or None where it is too small.

    The sketch's columns are as large as the tensor, up to one factor, so both the residual that the
    last ones show and what is negligible are told relative to their size.
    """
    rows, width = y.shape
    if rows <= 2 * width:
        q, triangle = qr(y)
    else:
        q, triangle = None, triangular_factor(y)
    size = norm(triangle) / math.sqrt(width)
    if size == 0:
        return None
    if checked:
        residual = norm(triangle[-_PROBES:, -_PROBES:]) / math.sqrt(_PROBES)
        if _SAFETY * residual > threshold * size:
            return None
    if q is not None:
        return q
    # Q by the singular vectors of R, orthonormal up to eps*sigma_1/sigma_i; a Cholesky factor of
    # its Gram matrix, which is near 1, mends that.  Cheaper than Householder's Q.
    _, sigma, vh = svd(triangle)
    floor = max(1e-3 * threshold * size, 256 * epsilon(y) * float(sigma[0]))
    rank = max(1, int(np.count_nonzero(sigma > floor)))
    q = y @ (H(vh[:rank]) / like(sigma[:rank], y))
    xp = namespace(y)
    return q @ H(xp.linalg.inv(xp.linalg.cholesky(H(q) @ q)))

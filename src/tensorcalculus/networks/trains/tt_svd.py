"""Dense arrays into tensor trains: TT-SVD by sketches and TSQR."""

from __future__ import annotations

import math

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import (
    Array,
    H,
    checked_tolerance,
    gaussian,
    is_tracked,
    like,
    namespace,
    norm,
    numpy_of,
    qr,
    rank_within,
    svd,
    triangular_factor,
)
from tensorcalculus.networks.trains.adjoints import decomposed

_WIDEST_FIRST_UNFOLDING = 512
_LEAST_COLUMNS_TO_SKETCH = 48
_PROBES = 10
_SAFETY = 30.0
"""A sketch is trusted where this many times its estimated residual is below the threshold: 3 for
the luck of the probes, 10 so that the residual adds 1/200 of the threshold to the error."""


def decompose(a: Array, tol: float, max_rank: int | None) -> list[Array]:
    """Cores of a tensor train with ``norm(a - train) <= tol*norm(a)``.

    Oseledets, Tensor-train decomposition, SIAM J. Sci. Comput. 33 (2011), algorithm 1, with the
    threshold ``delta = tol*norm(a)/sqrt(d-1)`` at each of the d-1 cuts.  The error is at most
    ``sqrt(d-1)`` times that of the best train of the ranks found.

    The sweep starts at a group of trailing modes, so that the array is read as a tall matrix of up
    to 512 columns: a narrower one would not be compressed.  Each matrix is compressed by a sketch,
    or by the SVD of its triangular factor (TSQR) where its rank is not small; that group is split
    at the end, when all in front of it is orthonormal.
    """
    tol = checked_tolerance(tol, max_rank, a)
    shape = tuple(a.shape)
    if not shape or 0 in shape:
        raise ShapeError(
            f"from_dense: at least one axis and no axis of length 0 expected, not {shape}"
        )
    if is_tracked([a]):
        return decomposed(a, tol, max_rank)
    size = norm(a)
    if not math.isfinite(size):
        raise InputError("from_dense: the array must be finite; it holds NaN or inf")
    d = len(shape)
    if d == 1:
        return [a.reshape(1, shape[0], 1)]
    delta = tol * size / math.sqrt(d - 1)
    rng = np.random.default_rng(0)

    first = d - 1
    rows, columns = math.prod(shape[:-1]), shape[-1]
    while first > 1 and columns * shape[first - 1] <= min(
        _WIDEST_FIRST_UNFOLDING, rows // shape[first - 1]
    ):
        first -= 1
        columns *= shape[first]
        rows //= shape[first]

    rest, basis = compress(a.reshape(rows, columns), delta, max_rank, rng)
    behind: list[Array] = []
    for k in range(first - 1, 0, -1):
        rank = rest.shape[1]
        rest, core = compress(rest.reshape(-1, shape[k] * rank), delta, max_rank, rng)
        behind.append(core.reshape(-1, shape[k], rank))
    cores = [rest.reshape(1, shape[0], -1), *reversed(behind)]
    if first == d - 1:
        return [*cores, basis.reshape(-1, shape[-1], 1)]

    # What is in front becomes orthonormal, so that the group carries the singular values.
    for k in range(len(cores)):
        r, n, _ = cores[k].shape
        q, rest = qr(cores[k].reshape(r * n, -1))
        cores[k] = q.reshape(r, n, -1)
        if k + 1 < len(cores):
            following = cores[k + 1]
            cores[k + 1] = (rest @ following.reshape(following.shape[0], -1)).reshape(
                -1, *following.shape[1:]
            )
    group = rest @ basis
    for k in range(first, d - 1):
        r = group.shape[0]
        u, s, vh = svd(group.reshape(r * shape[k], -1))
        rank = rank_within(s, delta, max_rank)
        cores.append(u[:, :rank].reshape(r, shape[k], rank))
        group = like(s[:rank, None], vh) * vh[:rank]
    return [*cores, group.reshape(-1, shape[-1], 1)]


def compress(
    m: Array, delta: float, max_rank: int | None, rng: np.random.Generator
) -> tuple[Array, Array]:
    """``m ≈ c @ vh`` with orthonormal rows of `vh` ``[r, columns]``, the error at most `delta`.

    The rank is the smallest one for `delta` (within `max_rank`), as from the SVD.
    """
    rows, columns = m.shape
    if rows < columns:
        u, s, vh = svd(m)
        rank = rank_within(s, delta, max_rank)
        return u[:, :rank] * like(s[:rank], u), vh[:rank]
    q = _row_space(m, delta, rng) if columns > _LEAST_COLUMNS_TO_SKETCH else None
    reduced = m if q is None else m @ q
    _, s, vh = svd(triangular_factor(reduced))
    rank = rank_within(s, delta, max_rank)
    v = H(vh[:rank])
    return reduced @ v, vh[:rank] if q is None else vh[:rank] @ H(q)


def _row_space(m: Array, delta: float, rng: np.random.Generator) -> Array | None:
    """Orthonormal columns ``[columns, k]`` that span the rows of `m` up to far below `delta`.

    Halko, Martinsson, Tropp, Finding structure with randomness, SIAM Review 53 (2011), 4.3 and 4.4:
    Gaussian combinations of the rows, their number doubled while the last ones still show a
    residual.  That is the triangular factor's last block, so it costs nothing.  None where the rank
    is no small part of the columns.
    """
    rows, columns = m.shape
    wanted = max(24, columns // 16) + _PROBES
    sketch = None
    while wanted <= columns // 2:
        have = 0 if sketch is None else sketch.shape[1]
        more = H(gaussian((wanted - have, rows), m, rng) @ m)
        sketch = more if sketch is None else namespace(m).concat([sketch, more], axis=1)
        q, r = qr(sketch)
        residual = norm(r[-_PROBES:, -_PROBES:]) / math.sqrt(_PROBES)
        if _SAFETY * residual <= delta:
            return q
        # Where even the known part is far above the threshold, the next size will not do either:
        # singular values would have to fall by more than they did so far.
        fall = np.abs(np.diagonal(numpy_of(r)))
        if wanted * 4 > columns and residual > 1e-2 * float(fall[0]):
            return None
        wanted = 2 * wanted
    return None

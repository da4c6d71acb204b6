"""Trains with modes split, merged and permuted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import ShapeError
from tensorcalculus.networks.arrays import Array, is_tracked, like, norm, rank_within, svd
from tensorcalculus.networks.trains.rounding import push_left, push_right, round_train


def groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int, list[int]]]:
    """Runs of old modes with the run of new ones of the same product: ``(first, last, new)``.

    Raises
    ------
    ShapeError
        The products of all modes differ.
    """
    if math.prod(old) != math.prod(new) or any(n < 1 for n in new):
        raise ShapeError(f"reshape: {tuple(old)} has not as many entries as {tuple(new)}")
    found: list[tuple[int, int, list[int]]] = []
    i = j = 0
    while i < len(old) and j < len(new):
        first, start = i, j
        left, right = old[i], new[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left *= old[i]
                i += 1
            else:
                right *= new[j]
                j += 1
        found.append((first, i, list(new[start:j])))
    # What is left are ones.
    first, _, last = found[-1]
    found[-1] = (first, len(old), [*last, *new[j:]])
    return found


def reshaped(cores: Sequence[Array], new: Sequence[int], tol: float) -> list[Array]:
    """Cores of the array in another shape (row-major), the error at most ``tol*norm``.

    A run of modes is merged into one core and split again by SVDs.  The cores around are
    orthonormal meanwhile, so that what is cut off in a core is an error of the whole.
    """
    old = [core.shape[1] for core in cores]
    runs = groups(old, new)
    cores = list(cores)
    if is_tracked(cores):
        return round_train(_regrouped(cores, runs), tol, None)
    push_left(cores, 0, len(cores) - 1)
    delta = tol * norm(cores[0]) / math.sqrt(max(1, len(new) - 1))
    made: list[Array] = []
    carry: Array | None = None
    for number, (first, last, wanted) in enumerate(runs):
        core = _merged(cores[first:last])
        r, n, s = core.shape
        rest = core.reshape(r, n * s) if carry is None else carry @ core.reshape(r, n * s)
        final = number == len(runs) - 1
        for place, n in enumerate(wanted):
            if final and place == len(wanted) - 1:
                made.append(rest.reshape(-1, n, s))
                break
            left = rest.shape[0]
            u, sigma, vh = svd(rest.reshape(left * n, -1))
            rank = rank_within(sigma, delta)
            made.append(u[:, :rank].reshape(left, n, rank))
            rest = like(sigma[:rank, None], vh) * vh[:rank]
        carry = rest
    return made


def _merged(cores: Sequence[Array]) -> Array:
    """One core for a run of modes."""
    core = cores[0]
    for other in cores[1:]:
        r, n, s = core.shape
        core = (core.reshape(r * n, s) @ other.reshape(s, -1)).reshape(r, -1, other.shape[2])
    return core


def _regrouped(cores: Sequence[Array], runs: list[tuple[int, int, list[int]]]) -> list[Array]:
    """The same without SVDs, so that it can be differentiated; bonds are as large as may be."""
    made: list[Array] = []
    for first, last, wanted in runs:
        rest = _merged(cores[first:last])
        for n in wanted[:-1]:
            r, rows, s = rest.shape
            made.append(like(np.eye(r * n), rest).reshape(r, n, r * n))
            rest = rest.reshape(r * n, rows // n, s)
        made.append(rest)
    return made


def permuted(cores: Sequence[Array], order: Sequence[int], tol: float) -> list[Array]:
    """Cores of the array with axes permuted: neighbours are swapped by SVDs.

    Ranks may grow up to those of the permuted array.  The error is at most ``tol*norm``.
    """
    d = len(cores)
    # Rank of each old axis in the new order: bubble sort swaps each inversion once.
    place = [list(order).index(k) for k in range(d)]
    swaps = sum(place[i] > place[j] for i in range(d) for j in range(i + 1, d))
    cores = list(cores)
    if not swaps:
        return cores
    push_left(cores, 0, d - 1)
    delta = tol * norm(cores[0]) / math.sqrt(swaps)
    center = 0
    while True:
        k = next((k for k in range(d - 1) if place[k] > place[k + 1]), None)
        if k is None:
            return cores
        if center < k:
            push_right(cores, center, k)
        elif center > k:
            push_left(cores, k, center)
        center = k
        (r, n, _), (s, m, t) = cores[k].shape, cores[k + 1].shape
        pair = (cores[k].reshape(r * n, s) @ cores[k + 1].reshape(s, m * t)).reshape(r, n, m, t)
        u, sigma, vh = svd(pair.swapaxes(1, 2).reshape(r * m, n * t))
        rank = rank_within(sigma, delta)
        cores[k] = (u[:, :rank] * like(sigma[:rank], u)).reshape(r, m, rank)
        cores[k + 1] = vh[:rank].reshape(rank, n, t)
        place[k], place[k + 1] = place[k + 1], place[k]

"""A pass over points by several threads, each with outputs of its own."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tensorcalculus.compiler.pointwise import import_numba
from tensorcalculus.fit.kernels.points import Part, Points

NEEDED_BY = "fits of sparse tensors"
"""What needs numba, where it is absent."""

WORTH = 1 << 20
"""Products of entries below which another thread costs more than it saves."""

PRIVATE = 0.5
"""Bytes of arrays of single threads, relative to those of the points: with more, fewer threads."""


class Piece(NamedTuple):
    """The points from `start` to `stop`, and for each output an array and its first row."""

    start: int
    stop: int
    targets: list[tuple[np.ndarray, int]]


def threads_to_use(threads: int | None, work: int) -> int:
    """As many as are wanted, or as numba is set to, but none for less than it costs to start."""
    most = import_numba(NEEDED_BY).get_num_threads() if threads is None else threads
    return max(1, min(most, work // WORTH))


def in_parts(
    points: Points,
    factors: list[np.ndarray],
    outputs: Mapping[int, np.ndarray],
    run: Callable[[Piece], float],
    threads: int | None,
) -> float:
    """`run` on consecutive parts of the points at a time; the sum of what it returns.

    `outputs` are added to, by their modes.  A part whose rows no earlier one has got to itself has
    the output itself, any other part an array of the rows between the least and the largest that
    it meets; these are added afterwards, in the order of the parts.  Along the Z-curve parts share
    few rows.
    """
    if not len(points):
        return 0.0
    work = len(points) * factors[0].shape[1] * points.order
    count = threads_to_use(threads, work)
    while count > 1 and _private_bytes(points.parts(count), outputs) > PRIVATE * points.nbytes:
        count //= 2
    if count == 1:
        return run(Piece(0, len(points), [(a, 0) for a in outputs.values()]))
    pieces, later = _targets(points.parts(count), outputs)
    pool = _pool(count, os.getpid())
    values = list(pool.map(run, pieces))
    # Each row by one thread, so that the order of its terms is always the same.
    blocks = [
        (outputs[k], private, a, b)
        for k, private in later.items()
        for a, b in pairwise(np.linspace(0, len(outputs[k]), count + 1).astype(int).tolist())
    ]
    list(pool.map(_add, blocks))
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def _shared(parts: list[Part], k: int) -> list[bool]:
    """For each part, whether it needs an array of its own for mode k."""
    taken: list[tuple[int, int]] = []
    made = []
    for part in parts:
        low, high = part.rows[k]
        made.append(any(low < b and a < high for a, b in taken))
        if not made[-1]:
            taken.append((low, high))
    return made


def _private_bytes(parts: list[Part], outputs: Mapping[int, np.ndarray]) -> int:
    return sum(
        (part.rows[k][1] - part.rows[k][0]) * whole.strides[0]
        for k, whole in outputs.items()
        for part, shared in zip(parts, _shared(parts, k), strict=True)
        if shared
    )


def _targets(
    parts: list[Part], outputs: Mapping[int, np.ndarray]
) -> tuple[list[Piece], dict[int, list[tuple[int, np.ndarray]]]]:
    """Where each part writes, and the arrays of single parts with their first rows."""
    pieces = [Piece(part.start, part.stop, []) for part in parts]
    later: dict[int, list[tuple[int, np.ndarray]]] = {}
    for k, whole in outputs.items():
        for part, piece, shared in zip(parts, pieces, _shared(parts, k), strict=True):
            low, high = part.rows[k]
            if not shared:
                piece.targets.append((whole, 0))
                continue
            private = np.zeros((high - low, whole.shape[1]), whole.dtype)
            later.setdefault(k, []).append((low, private))
            piece.targets.append((private, low))
    return pieces, later


def _add(block: tuple[np.ndarray, list[tuple[int, np.ndarray]], int, int]) -> None:
    """Rows from a to b of all arrays of single parts."""
    whole, private, a, b = block
    for first, rows in private:
        low, high = max(a, first), min(b, first + len(rows))
        if low < high:
            whole[low:high] += rows[low - first : high - first]


@lru_cache(maxsize=4)
def _pool(count: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of its parent are not there after a fork."""
    return ThreadPoolExecutor(count, thread_name_prefix="tensorcalculus")

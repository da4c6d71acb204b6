"""A pass over points by several threads, each with outputs of its own."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tensorcalculus.compiler.pointwise import import_numba
from tensorcalculus.fit.kernels.points import Part, Points

NEEDED_BY = "fits of sparse tensors"
"""What needs numba, where it is absent."""

WORTH = 1 << 20
"""Products of entries below which another thread costs more than it saves."""


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

    `outputs` are added to, by their modes.  The first part that meets a row of a mode has the
    output itself if no other part wrote there before, any other part an array of the rows between
    the least and the largest that it meets; these are added afterwards, in the order of the parts.
    Along the Z-curve parts share few rows.
    """
    if not len(points):
        return 0.0
    work = len(points) * factors[0].shape[1] * points.order
    count = threads_to_use(threads, work)
    if count == 1:
        return run(Piece(0, len(points), [(a, 0) for a in outputs.values()]))
    parts = points.parts(count)
    pieces, later = _targets(parts, outputs)
    pool = _pool(count, os.getpid())
    values = list(pool.map(run, pieces))
    for mode, first, private in later:
        outputs[mode][first : first + len(private)] += private
    return math.fsum(values) if all(map(math.isfinite, values)) else sum(values)


def _targets(
    parts: list[Part], outputs: Mapping[int, np.ndarray]
) -> tuple[list[Piece], list[tuple[int, int, np.ndarray]]]:
    pieces = [Piece(part.start, part.stop, []) for part in parts]
    later = []
    for k, whole in outputs.items():
        taken: list[tuple[int, int]] = []
        for part, piece in zip(parts, pieces, strict=True):
            low, high = part.rows[k]
            if all(high <= a or b <= low for a, b in taken):
                taken.append((low, high))
                piece.targets.append((whole, 0))
            else:
                private = np.zeros((high - low, whole.shape[1]), whole.dtype)
                later.append((k, low, private))
                piece.targets.append((private, low))
    return pieces, later


@lru_cache(maxsize=4)
def _pool(count: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: those of its parent are not there after a fork."""
    return ThreadPoolExecutor(count, thread_name_prefix="tensorcalculus")

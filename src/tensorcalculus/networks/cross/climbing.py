"""Climbs along fibres to where a function, or what a train misses of it, is large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.networks.cross.black_box import BlackBox


def climb(
    box: BlackBox, cores: Sequence[np.ndarray] | None, points: np.ndarray, rounds: int
) -> np.ndarray:
    """Points moved along each mode in turn to the largest ``|f - train|`` (or ``|f|``).

    A round takes as many steps of the train as it has modes: what stands on the right of a mode is
    multiplied out once, from the end, and what stands on its left goes along.
    """
    points = points.copy()
    every = np.arange(len(points))
    for _ in range(rounds):
        before = points.copy()
        behind = [] if cores is None else _behind(cores, points)
        ahead = np.ones((len(points), 1))
        for k, n in enumerate(box.shape):
            box.reserve(len(points) * n)
            tried = np.repeat(points, n, axis=0)
            tried[:, k] = np.tile(np.arange(n), len(points))
            off = box(tried).reshape(-1, n)
            reached = None
            if cores is not None:
                r, _, s = cores[k].shape
                reached = (ahead @ cores[k].reshape(r, n * s)).reshape(-1, n, s)
                off = off - (reached @ behind[k][:, :, None])[:, :, 0]
            points[:, k] = np.argmax(np.abs(off), axis=1)
            if reached is not None:
                ahead = reached[every, points[:, k]]
        if np.array_equal(points, before):
            break
    return np.unique(points, axis=0)


def _behind(cores: Sequence[np.ndarray], points: np.ndarray) -> list[np.ndarray]:
    """For each mode the product of the cores behind it at the points, ``[count, rank]``."""
    found = [np.ones((len(points), 1))]
    for k in range(len(cores) - 1, 0, -1):
        slices = cores[k].swapaxes(0, 1)[points[:, k]]  # [count, r, s]
        found.append((slices @ found[-1][:, :, None])[:, :, 0])
    return found[::-1]

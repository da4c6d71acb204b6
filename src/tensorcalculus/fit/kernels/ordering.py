"""The order in which points are visited: along a Z-curve, on which neighbours share rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_DIGIT = 11
"""Bits of an index that are looked up at a time."""

_KEY = 64
"""Bits of a key; of longer ones the leading bits, which leave some thousand rows undecided."""

_STEP = 1 << 16
"""Points whose keys are made at a time."""


def morton_order(indices: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The permutation that sorts points along the Z-curve: by the interleaved bits of indices.

    All points whose indices agree but for the lowest b bits of each follow one another, so that at
    each scale few rows of all factors are in use at a time, whatever the sizes of the caches.
    G. M. Morton, A computer oriented geodetic data base (1966); for sparse tensors J. Li, J. Sun,
    R. Vuduc, HiCOO: hierarchical storage of sparse tensors, SC 2018.

    Parameters
    ----------
    indices
        ``[n, d]``, not negative, below `shape`.
    shape
        The sides, of any lengths: where an index has no more bits, those of the others go on.

    Returns
    -------
    numpy.ndarray
        ``[n]``; ``indices[order]`` are in order.

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.array([[i, j] for i in range(2) for j in range(4)])
    >>> cells[morton_order(cells, (2, 4))].tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    """
    tables = _tables(shape)
    keys = np.empty(len(indices), np.uint64)
    for start in range(0, len(keys), _STEP):
        part = np.zeros(min(_STEP, len(keys) - start), np.uint64)
        for k, rows in enumerate(tables):
            column = indices[start : start + _STEP, k]
            for low, table in rows:
                part |= table[(column >> low) & (len(table) - 1)]
        keys[start : start + _STEP] = part
    # Not the stable sort: NumPy's other one is vectorised.
    return np.argsort(keys)


def _tables(shape: Sequence[int]) -> list[list[tuple[int, np.ndarray]]]:
    """For each mode, the first bits of digits and what they give to the key."""
    bits = [(n - 1).bit_length() if n > 1 else 0 for n in shape]
    steps = [(b, k) for b in range(max(bits, default=0)) for k in reversed(range(len(bits)))]
    place = {step: at for at, step in enumerate(s for s in steps if s[0] < bits[s[1]])}
    dropped = max(0, len(place) - _KEY)
    made = []
    for k, count in enumerate(bits):
        rows = []
        for low in range(0, count, _DIGIT):
            width = min(_DIGIT, count - low)
            digit = np.arange(1 << width, dtype=np.uint64)
            table = np.zeros_like(digit)
            for b in range(width):
                at = place[low + b, k] - dropped
                if at >= 0:
                    table |= ((digit >> np.uint64(b)) & np.uint64(1)) << np.uint64(at)
            rows.append((low, table))
        made.append(rows)
    return made

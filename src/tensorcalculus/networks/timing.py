"""Estimated nanoseconds on one core: matrix products by how their factors lie, entries moved.

The numbers are a least-squares fit of NumPy's products (OpenBLAS, AVX-512) of 500 sizes in all four
layouts; half of the estimates are within 10 % of the time measured, four in five within 20 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tensorcalculus.networks.structure import Legs

CALL = 700.0
"""Of one call of NumPy, with the views of what it takes."""
PACKED = 100**3
"""Multiplications beyond which OpenBLAS copies both factors into blocks before it multiplies."""
_LAYER = 130.0
"""Of each of several products that are made in one call."""
_MULTIPLIED = 0.0245, 0.0212
"""Of a multiplication and addition, in packed products and others."""
_LARGE, _SMALL = (0.55, 0.40, 0.29), (0.10, 0.10, 0.13)
"""Of an entry of the first factor, of the second, and of the product."""
_TURNED = 0.016
"""What a multiplication takes longer in small products whose factors end in the summed axes."""
_TURN = 0.6
"""Of an entry that is written in the transposed order."""
_ENTRY, _RUN, _JUMP, _SUM = 0.7, 3.0, 0.6, 0.6
"""To move axes: of an entry, of each run of entries that stay together, of an entry in a run with
gaps; of an entry that is written and then summed."""


def product_time(m: int, n: int, k: int, turned: bool = False, layers: int = 1) -> float:
    """Of products of an m x k and a k x n array, a result as it lies in memory.

    The entries of the first factor cost more than those of the second, so that a small number of
    rows is better than a small number of columns.  ``turned`` says that both factors have the
    summed axis last.
    """
    p = m * n * k
    packed = p > PACKED
    a, b, c = _LARGE if packed else _SMALL
    each = _MULTIPLIED[not packed] * p + a * m * k + b * k * n + c * m * n
    if turned and not packed:
        each += _TURNED * p
    return CALL + layers * (each + _LAYER) - _LAYER


def floor(multiplications: int) -> float:
    """What no product of so many multiplications falls below."""
    return min(_MULTIPLIED) * multiplications


def turn_pays(multiplications: int, layers: int, entries: int) -> bool:
    """Whether to write a factor with the summed axis first, where both have it last."""
    lost = layers * _TURNED * multiplications
    return multiplications <= PACKED and turning(entries) < lost


def turning(entries: int) -> float:
    """To write a factor in the transposed order."""
    return 0.5 * CALL + _TURN * entries


def summing(layers: int, entries: int) -> float:
    """To write arrays of so many entries, one for each layer, and add them up."""
    return CALL + _SUM * layers * entries


def entrywise(entries: int) -> float:
    """Of a product without sum, or a sum over what is read once."""
    return CALL + _SUM * entries


def move_floor(entries: int) -> float:
    """What no copy of so many entries in another order falls below."""
    return CALL + _ENTRY * entries


def move_time(given: Legs, wanted: Legs, sizes: Sequence[int]) -> float:
    """To copy entries in another order.

    The trailing axes that stand together before as well are copied in runs.
    """
    if given == wanted:
        return 0.0
    place, run = given.index(wanted[-1]), 1
    entry = _ENTRY if place == len(given) - 1 else _ENTRY + _JUMP
    for i in reversed(wanted):
        if place < 0 or given[place] != i:
            break
        run *= sizes[i]
        place -= 1
    return CALL + prod([sizes[i] for i in given]) * (entry + _RUN / max(run, 1))

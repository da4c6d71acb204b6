"""Indices, axes and shapes that users give, checked and put in one form."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import Array, is_array, namespace


def normal(index: Any, shape: Sequence[int]) -> list[int | slice]:
    """One integer (not negative) or slice for each axis.

    Raises
    ------
    ShapeError
        More indices than axes, or an index that leaves nothing of an axis.
    InputError
        An integer outside of its axis, or something that is neither integer, slice nor ``...``.
    """
    given = list(index) if isinstance(index, tuple) else [index]
    holes = [k for k, item in enumerate(given) if isinstance(item, EllipsisType)]
    if len(holes) > 1:
        raise InputError("indices: `...` is expected at most once")
    if len(given) - len(holes) > len(shape):
        raise ShapeError(
            f"indices: at most {len(shape)} are expected for shape {tuple(shape)}, not {len(given)}"
        )
    missing = [slice(None)] * (len(shape) - len(given) + len(holes))
    if holes:
        given[holes[0] : holes[0] + 1] = missing
    else:
        given += missing
    return [
        _checked(item, n, axis) for axis, (item, n) in enumerate(zip(given, shape, strict=True))
    ]


def _checked(item: Any, n: int, axis: int) -> int | slice:
    if isinstance(item, slice):
        if not len(range(*item.indices(n))):
            raise ShapeError(f"indices: {item} leaves nothing of axis {axis}, of length {n}")
        return item
    if isinstance(item, bool | np.bool_):
        raise InputError(f"indices: axis {axis}: an integer or a slice is expected, not {item!r}")
    try:
        k = operator.index(item)
    except TypeError:
        raise InputError(
            f"indices: axis {axis}: an integer, a slice or `...` is expected, not"
            f" {type(item).__name__}; for a list of entries, use `at`"
        ) from None
    if not -n <= k < n:
        raise InputError(f"indices: {k} is outside of axis {axis}, of length {n}")
    return k % n


def axes(given: int | Sequence[int] | None, d: int) -> list[int]:
    """Axes as sorted numbers from 0; None is all of them.

    Raises
    ------
    InputError
        An axis that does not exist or stands twice.
    """
    if given is None:
        return list(range(d))
    listed = [given] if isinstance(given, int | np.integer) else list(given)
    for axis in listed:
        if not -d <= operator.index(axis) < d:
            raise InputError(f"axes: {axis} does not exist; the tensor has {d} axes")
    found = sorted(operator.index(axis) % d for axis in listed)
    if len(set(found)) < len(found):
        raise InputError(f"axes: each is expected once, not {tuple(listed)}")
    return found


def permutation(order: Sequence[int], d: int) -> list[int]:
    """An order of all modes.

    Raises
    ------
    InputError
        A mode that is missing or stands twice.
    """
    listed = [operator.index(k) for k in order]
    if sorted(listed) != list(range(d)):
        raise InputError(f"permute: each of 0 … {d - 1} is expected once, not {tuple(order)}")
    return listed


def points(indices: Any, shape: Sequence[int], x: Array, name: str = "at") -> Array:
    """An integer array ``[batch, d]`` of the library of `x`; inside of the shape where it is known.

    Arrays of PyTorch and JAX are taken as they are: to look at them would wait for the device.

    Raises
    ------
    ShapeError, InputError
        Rows of another length, no integers, or an index outside of its mode.
    """
    d = len(shape)
    known = isinstance(indices, np.ndarray) or not is_array(indices)
    chosen = np.asarray(indices) if known else indices
    if chosen.ndim != 2 or chosen.shape[1] != d:
        raise ShapeError(
            f"{name}: an integer array [batch, {d}] is expected, not {tuple(chosen.shape)}"
        )
    if known:
        if chosen.dtype.kind not in "iu":
            raise InputError(f"{name}: integers are expected, not {chosen.dtype}")
        if len(chosen) and ((chosen < 0) | (chosen >= np.array(shape))).any():
            raise InputError(f"{name}: an index is outside of the shape {tuple(shape)}")
        if not isinstance(x, np.ndarray):
            chosen = namespace(x).asarray(chosen)
    return chosen


def checked_shape(shape: Sequence[int], name: str = "shape") -> tuple[int, ...]:
    """Positive integers, at least one."""
    given = tuple(shape)
    try:
        listed = tuple(operator.index(n) for n in given)
    except TypeError:
        listed = ()
    if not listed or any(n < 1 for n in listed):
        raise ShapeError(f"{name}: positive integers are expected, not {given}")
    return listed

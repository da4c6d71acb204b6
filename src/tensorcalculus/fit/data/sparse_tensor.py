"""Sparse tensors in coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError

_WIDE = 2**31
"""Sides from which indices need 64 bits."""


@dataclass(frozen=True, eq=False, repr=False)
class SparseTensor:
    """A tensor that is zero but for some cells, listed by their indices.

    Parameters
    ----------
    indices
        An array of integers ``[n, d]``: a row for each stored cell, from 0.  Kept with 32 bits
        where the shape allows it.
    values
        The numbers in these cells, ``[n]``; real and finite.  Other types than float32 become
        float64.
    shape
        The lengths of the modes; by default the smallest that hold all cells.

    Raises
    ------
    InputError
        For cells that are listed twice or lie outside of the shape, and values that are not finite.
    ShapeError
        For arrays that do not belong together.
    """

    indices: np.ndarray
    values: np.ndarray
    shape: tuple[int, ...]

    def __init__(self, indices: Any, values: Any, shape: Sequence[int] | None = None) -> None:
        cells = np.asarray(indices)
        if cells.ndim != 2 or cells.shape[1] == 0:
            raise ShapeError(f"indices: an array [n, d] is expected, not of shape {cells.shape}")
        if cells.dtype.kind not in "iu" and cells.size:
            raise InputError(f"indices: integers are expected, not {cells.dtype}")
        numbers = np.asarray(values)
        if numbers.dtype != np.float32:
            numbers = numbers.astype(np.float64)
        if numbers.shape != cells.shape[:1]:
            raise ShapeError(
                f"values: {len(cells)} numbers are expected, one for each row of indices, not an"
                f" array of shape {numbers.shape}"
            )
        sides = (
            tuple(int(n) for n in shape)
            if shape is not None
            else tuple(int(n) + 1 for n in cells.max(0, initial=-1))
        )
        if len(sides) != cells.shape[1]:
            raise ShapeError(
                f"shape: {cells.shape[1]} sides are expected, as indices have columns, not {sides}"
            )
        wrong = np.flatnonzero(((cells < 0) | (cells >= np.array(sides))).any(1))
        if len(wrong):
            row = [int(i) for i in cells[wrong[0]]]
            raise InputError(
                f"indices: row {wrong[0]} is {row}, outside of the shape {sides}"
                + (f", one of {len(wrong)} such rows" if len(wrong) > 1 else "")
            )
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            raise InputError(
                f"values: number {wrong[0]} is {numbers[wrong[0]]}"
                + (f", one of {len(wrong)} that are not finite" if len(wrong) > 1 else "")
            )
        kind = np.int64 if max(sides, default=0) >= _WIDE else np.int32
        object.__setattr__(self, "indices", np.ascontiguousarray(cells, dtype=kind))
        object.__setattr__(self, "values", np.ascontiguousarray(numbers))
        object.__setattr__(self, "shape", sides)

    @property
    def nnz(self) -> int:
        """The number of cells that are stored."""
        return len(self.values)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.shape)

    def to_dense(self) -> np.ndarray:
        """The whole array."""
        made = np.zeros(self.shape, self.values.dtype)
        made[tuple(self.indices.T)] = self.values
        return made

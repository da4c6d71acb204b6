"""A matrix from some of its rows and columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tensorcalculus.display.html import result, rows
from tensorcalculus.display.rows import value
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.cross.maxvol import maxvol


class Skeleton(NamedTuple):
    """``a ≈ columns @ core @ rows``; `row_index` and `column_index` say which they are."""

    columns: np.ndarray
    core: np.ndarray
    rows: np.ndarray
    row_index: np.ndarray
    column_index: np.ndarray

    def __repr__(self) -> str:
        sides = f"{len(self.columns)} x {self.rows.shape[1]}"
        return f"Skeleton of a matrix {sides}: rows {self.row_index}, columns {self.column_index}"

    def _repr_html_(self) -> str:
        pairs = [(name.replace("_", " "), value(held)) for name, held in self._asdict().items()]
        return result("Skeleton: columns @ core @ rows", rows(pairs))

    def to_dense(self) -> np.ndarray:
        """The matrix of all entries."""
        return self.columns @ self.core @ self.rows


def skeleton(a: np.ndarray, rank: int, seed: int = 0, sweeps: int = 10) -> Skeleton:
    """The cross of `rank` rows and columns whose intersection has locally the largest volume.

    If no intersection had a larger volume, then no entry would be off by more than ``(rank+1) *
    sigma_{rank+1}`` (Goreinov, Tyrtyshnikov, The maximal-volume concept in approximation by
    low-rank matrices, Contemp. Math. 280 (2001), theorem 2.1).  Alternating between rows
    and columns finds one that no exchange of a single row or column enlarges.

    Parameters
    ----------
    a
        ``[m, n]``.
    rank
        Rows and columns to take, no more than the rank of the matrix.
    seed
        Of the columns to start with.
    sweeps
        Limit on alternations.

    Raises
    ------
    ShapeError, InputError
        Not a matrix; a rank beyond its sides or its numerical rank.
    """
    if a.ndim != 2:
        raise ShapeError(f"skeleton: a matrix is expected, not an array of shape {a.shape}")
    if not 1 <= rank <= min(a.shape):
        raise InputError(f"skeleton: a rank between 1 and {min(a.shape)} is expected, not {rank}")
    rng = np.random.default_rng(seed)
    # A random mixture of all columns is of full rank where the matrix is.
    start, _ = np.linalg.qr(a @ rng.standard_normal((a.shape[1], rank)))
    rows, _ = maxvol(start)
    columns = np.arange(0)
    for _ in range(sweeps):
        across, _ = np.linalg.qr(a[rows].conj().T)
        columns, _ = maxvol(across, 1.0 + 1e-6)
        along, _ = np.linalg.qr(a[:, columns])
        found, _ = maxvol(along, 1.0 + 1e-6)
        if set(found) == set(rows):
            break
        rows = found
    middle = a[np.ix_(rows, columns)]
    u, s, vh = np.linalg.svd(middle)
    if s[-1] <= np.finfo(s.dtype).eps * s[0]:
        raise InputError(f"skeleton: the matrix is of lower numerical rank than {rank}")
    core = (vh.conj().T / s) @ u.conj().T
    return Skeleton(a[:, columns], core, a[rows], rows, columns)

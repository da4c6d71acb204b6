"""Sparse tensors in coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tensorcalculus.display import html
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.data.cells import (
    CellKeys,
    Places,
    checked_cells,
    first_repetition,
    index_type,
    repeated,
)

if TYPE_CHECKING:
    from tensorcalculus.fit.data.labels import Labels

_SHOWN = 8
"""Cells that notebooks list."""


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

    Notes
    -----
    Arrays that have the right types are not copied: do not change them afterwards.

    Raises
    ------
    InputError
        For cells that are listed twice (:meth:`summed` adds their values up) or lie outside of the
        shape, and values that are not finite.
    ShapeError
        For arrays that do not belong together.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> x = tc.SparseTensor([[0, 0, 1], [1, 2, 0]], [3.0, 5.0], (2, 3, 4))
    >>> x
    SparseTensor 2 x 3 x 4: 2 stored cells, density 0.0833, float64
    >>> x[np.array([[1, 2, 0], [1, 1, 1]])].tolist()
    [5.0, 0.0]
    """

    indices: np.ndarray
    values: np.ndarray
    shape: tuple[int, ...]

    def __init__(self, indices: Any, values: Any, shape: Sequence[int] | None = None) -> None:
        cells, numbers, sides = _checked(indices, values, shape)
        keys = CellKeys(cells, sides).keys
        if repeated(keys):
            earlier, later, count = first_repetition(keys)
            raise InputError(
                f"indices: rows {earlier} and {later} both are {cells[later].tolist()}"
                + (f", and {count} rows in all repeat an earlier one" if count > 1 else "")
                + "; SparseTensor.summed(indices, values, shape) adds such values up"
            )
        self._set(cells, numbers, sides)

    def _set(self, cells: np.ndarray, numbers: np.ndarray, sides: tuple[int, ...]) -> Self:
        kind = index_type(sides)
        object.__setattr__(self, "indices", np.ascontiguousarray(cells, dtype=kind))
        object.__setattr__(self, "values", np.ascontiguousarray(numbers))
        object.__setattr__(self, "shape", sides)
        object.__setattr__(self, "_places", None)
        return self

    @classmethod
    def _made(cls, indices: np.ndarray, values: np.ndarray, shape: Sequence[int]) -> Self:
        """A tensor of arrays that are known to fit."""
        return object.__new__(cls)._set(indices, values, tuple(shape))

    # Made from other things

    @classmethod
    def summed(cls, indices: Any, values: Any, shape: Sequence[int] | None = None) -> Self:
        """A tensor of cells that may be listed several times: their values are added up.

        The cells of the result are in lexicographic order.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> tc.SparseTensor.summed([[1, 1], [0, 1], [1, 1]], [2.0, 3.0, 4.0]).values.tolist()
        [3.0, 6.0]
        """
        cells, numbers, sides = _checked(indices, values, shape)
        if not len(cells):
            return cls._made(cells, numbers, sides)
        keys = CellKeys(cells, sides).keys
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        with np.errstate(over="ignore"):
            sums = np.add.reduceat(numbers[order], starts, dtype=np.float64)
            sums = sums.astype(numbers.dtype, copy=False)
        _finite(sums, "values: the sum")
        return cls._made(cells[order[starts]], sums, sides)

    @classmethod
    def from_dense(cls, a: Any) -> Self:
        """The cells of an array that are not 0."""
        array = np.asarray(a)
        if array.ndim == 0:
            raise ShapeError("from_dense: an array of one mode or more is expected, not a number")
        if array.dtype.kind not in "biuf":
            raise InputError(f"from_dense: real numbers are expected, not {array.dtype}")
        cells = np.nonzero(array)
        numbers = _numbers(array[cells])
        _finite(numbers, "from_dense: the entry")
        return cls._made(np.stack(cells, axis=1), numbers, array.shape)

    @classmethod
    def from_scipy(cls, a: Any) -> Self:
        """A sparse matrix or array of SciPy; entries listed twice are added up, as there.

        Examples
        --------
        >>> import scipy.sparse, tensorcalculus as tc
        >>> tc.SparseTensor.from_scipy(scipy.sparse.eye_array(3))
        SparseTensor 3 x 3: 3 stored cells, density 0.333, float64
        """
        if not hasattr(a, "tocoo"):
            raise InputError(f"from_scipy: a scipy.sparse array is expected, not {type(a)}")
        made = a.tocoo()
        axes = made.coords if hasattr(made, "coords") else (made.row, made.col)
        return cls.summed(np.stack(axes, axis=1), made.data, made.shape)

    @classmethod
    def from_sparse(cls, a: Any) -> Self:
        """An array of the package ``sparse``, of any of its formats, whose fill value is 0."""
        if not hasattr(a, "fill_value"):
            raise InputError(f"from_sparse: an array of `sparse` is expected, not {type(a)}")
        if a.fill_value != 0:
            raise InputError(
                f"from_sparse: cells that are not stored must be 0; here they are {a.fill_value}"
            )
        made = a if hasattr(a, "coords") else a.asformat("coo")
        return cls.summed(made.coords.T, made.data, made.shape)

    @classmethod
    def from_pandas(cls, table: Any) -> tuple[Self, Labels]:
        """A table in long form: a row for each stored cell.

        Parameters
        ----------
        table
            A Series whose index levels are the modes; or a DataFrame, whose last column holds the
            values and whose other columns are the modes (behind the levels of its index, where that
            has names).  Labels are sorted; categories keep their order, also those without rows.

        Returns
        -------
        SparseTensor, Labels
            The tensor, and the names of the modes with their labels in order.

        Raises
        ------
        InputError
            For missing labels or values, values that are no numbers, and cells that occur twice.
        """
        from tensorcalculus.fit.data.tables import read_table

        cells, numbers, shape, labels = read_table(table)
        keys = CellKeys(cells, shape).keys
        if repeated(keys):
            earlier, later, count = first_repetition(keys)
            told = [labels.label(k, int(i)) for k, i in enumerate(cells[later])]
            raise InputError(
                f"from_pandas: rows {earlier} and {later} are of one cell, {', '.join(told)}"
                + (f", and {count} rows in all repeat an earlier one" if count > 1 else "")
                + "; table.groupby([…]).sum() adds such values up"
            )
        return cls._made(cells, numbers, shape), labels

    # What it is

    @property
    def nnz(self) -> int:
        """The number of cells that are stored."""
        return len(self.values)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of all cells, stored or not."""
        return math.prod(self.shape)

    @property
    def density(self) -> float:
        """The part of the cells that are stored."""
        return self.nnz / self.size if self.size else 0.0

    @property
    def dtype(self) -> np.dtype:
        """The type of the values."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Memory of indices and values."""
        return self.indices.nbytes + self.values.nbytes

    def __repr__(self) -> str:
        sides = " x ".join(map(str, self.shape))
        cells = "cell" if self.nnz == 1 else "cells"
        return (
            f"SparseTensor {sides}: {self.nnz} stored {cells}, density {self.density:.3g},"
            f" {self.dtype}"
        )

    def _repr_html_(self) -> str:
        about = [
            ("cells", f"{self.size:,}"),
            ("stored", f"{self.nnz:,}, a part of {self.density:.3g}"),
            ("values", f"{self.dtype}, {self.nbytes:,} bytes with their indices"),
        ]
        stored = zip(self.indices[:_SHOWN], self.values[:_SHOWN], strict=True)
        first = [(*map(int, cell), f"{value:.6g}") for cell, value in stored]
        head = [*(f"mode {k}" for k in range(self.ndim)), "value"]
        cells = html.table(head, first, range(self.ndim + 1))
        sides = " x ".join(map(str, self.shape))
        many = f"the first {_SHOWN} of them" if self.nnz > _SHOWN else "all of them"
        return html.result(f"SparseTensor {sides}", html.rows(about), html.folded(many, cells))

    def norm(self) -> float:
        """The Frobenius norm."""
        return float(np.linalg.norm(self.values.astype(np.float64, copy=False)))

    def to_dense(self) -> np.ndarray:
        """The whole array.

        Raises InputError where no memory holds it.
        """
        from tensorcalculus.networks.arrays import check_memory

        check_memory(self.size, self.values, "to_dense: the array", "keep it sparse")
        made = np.zeros(self.shape, self.values.dtype)
        made[tuple(self.indices.T)] = self.values
        return made

    def positions(self, cells: Any) -> np.ndarray:
        """The row of ``indices`` that holds each of the cells ``[m, d]``; -1: it is not stored."""
        checked = checked_cells(cells, self.shape, "cells")
        places: Places | None = self.__dict__["_places"]
        if places is None:
            places = Places(self.indices, self.shape)
            object.__setattr__(self, "_places", places)
        return places.find(checked)

    def __getitem__(self, cells: Any) -> Any:
        """The values of cells ``[m, d]``, 0 where none is stored; of one cell, ``x[i, j, k]``."""
        if isinstance(cells, tuple):
            if len(cells) != self.ndim or not all(isinstance(i, int | np.integer) for i in cells):
                raise InputError(
                    f"x[…]: {self.ndim} integers or an array of cells [m, {self.ndim}] is expected"
                )
            return self[np.array([cells])][0].item()
        rows = self.positions(cells)
        if not self.nnz:
            return np.zeros(len(rows), self.dtype)
        return np.where(rows >= 0, self.values[rows], self.values.dtype.type(0))

    def equals(self, other: SparseTensor) -> bool:
        """Whether the two have one shape, the same stored cells in any order, and in these equal
        values.
        """
        if self.shape != other.shape or self.nnz != other.nnz:
            return False
        rows = other.positions(self.indices)
        return bool((rows >= 0).all() and np.array_equal(self.values, other.values[rows]))

    # Made into others

    def permute(self, order: Sequence[int]) -> SparseTensor:
        """The tensor whose mode k is mode ``order[k]``."""
        modes = [int(k) for k in order]
        if sorted(modes) != list(range(self.ndim)):
            raise InputError(f"order: the modes 0 to {self.ndim - 1} are expected, not {modes}")
        return self._made(self.indices[:, modes], self.values, [self.shape[k] for k in modes])

    def without(self, cells: Any) -> SparseTensor:
        """The tensor with these cells ``[m, d]`` not stored any more, if they were."""
        rows = self.positions(cells)
        kept = np.ones(self.nnz, bool)
        kept[rows[rows >= 0]] = False
        return self._made(self.indices[kept], self.values[kept], self.shape)

    def astype(self, dtype: Any) -> SparseTensor:
        """The same with values of type float32 or float64."""
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise InputError(f"dtype: float32 or float64 is expected, not {kind}")
        made = self.values.astype(kind, copy=False)
        _finite(made, f"values: in {kind}, the number")
        return self._made(self.indices, made, self.shape)

    def save(self, path: str | Path) -> Path:
        """Write to a file ``.npz`` or ``.safetensors``; the path that was written."""
        from tensorcalculus.networks.formats import storage

        return storage.write(path, "SparseTensor", [self.indices, self.values], [self.shape])

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The tensor of a file that :meth:`save` wrote.

        Raises
        ------
        InputError
            The file is damaged, or holds something else.
        """
        from tensorcalculus.networks.formats import storage

        held, fields = storage.read(path, "SparseTensor")
        if len(held) != 2 or len(fields) != 1:
            raise InputError(f"load: {path} is damaged: indices, values and a shape are expected")
        return cls(held[0], held[1], fields[0])


def _checked(
    indices: Any, values: Any, shape: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Cells in bounds, finite numbers for them, the shape."""
    sides = None
    if shape is not None:
        try:
            sides = tuple(int(n) for n in shape)
        except (TypeError, ValueError):
            sides = (0,)
        if not sides or min(sides) < 1 or sides != tuple(shape):
            raise ShapeError(f"shape: positive integers are expected, not {shape!r}")
    cells = checked_cells(indices, sides, "indices")
    if sides is None:
        if not len(cells):
            raise ShapeError("shape: it has to be given where there are no cells")
        sides = tuple(int(cells[:, k].max()) + 1 for k in range(cells.shape[1]))
    numbers = _numbers(values)
    if numbers.shape != cells.shape[:1]:
        raise ShapeError(
            f"values: {len(cells)} numbers are expected, one for each row of indices, not an"
            f" array of shape {numbers.shape}"
        )
    _finite(numbers, "values: number")
    return cells, numbers, sides


def _numbers(values: Any) -> np.ndarray:
    """An array of float32 or float64."""
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "biuf" and numbers.size:
        raise InputError(f"values: real numbers are expected, not {numbers.dtype}")
    return numbers if numbers.dtype == np.float32 else numbers.astype(np.float64, copy=False)


def _finite(numbers: np.ndarray, what: str) -> None:
    finite = np.isfinite(numbers)
    if finite.all():
        return
    wrong = np.flatnonzero(~finite)
    raise InputError(
        f"{what} {wrong[0]} is {numbers[wrong[0]]}"
        + (f", one of {len(wrong)} that are not finite" if len(wrong) > 1 else "")
        + "; only finite values can be stored"
    )

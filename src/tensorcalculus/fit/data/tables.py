"""Tables of pandas in long form, a row for each stored cell, as cells, values and labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.data.cells import index_type
from tensorcalculus.fit.data.labels import Labels


def read_table(table: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, ...], Labels]:
    """Cells ``[n, d]``, values, shape and labels; see ``SparseTensor.from_pandas``."""
    columns, values = _split(table)
    numbers = _numbers(values)
    codes, coordinates = [], []
    for name, column in columns:
        code, labels = _coded(column, name)
        codes.append(code)
        coordinates.append(labels)
    shape = tuple(map(len, coordinates))
    cells = np.stack(codes, axis=1).astype(index_type(shape), copy=False)
    return cells, numbers, shape, Labels([name for name, _ in columns], coordinates)


def _split(table: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Columns of labels with names, and the column of values."""
    if not hasattr(table, "index") or not hasattr(table, "iloc"):
        raise InputError(f"from_pandas: a Series or DataFrame is expected, not {type(table)}")
    index = table.index
    if hasattr(table, "columns"):
        if not len(table.columns):
            raise InputError("from_pandas: the table has no column of values")
        named = index.nlevels > 1 or index.name is not None
        levels = _levels(index) if named else []
        rest = [(str(c), table.iloc[:, k]) for k, c in enumerate(table.columns)]
        columns, values = [*levels, *rest[:-1]], rest[-1][1]
    else:
        columns, values = _levels(index), table
    if not columns:
        raise InputError(
            "from_pandas: a column for each mode, and one of values behind them, are expected; the"
            f" table has the columns {list(map(str, table.columns))} and an index without a name"
        )
    if not len(table):
        raise InputError("from_pandas: the table has no rows")
    return columns, values


def _levels(index: Any) -> list[tuple[str, Any]]:
    return [
        (f"mode {k}" if name is None else str(name), index.get_level_values(k))
        for k, name in enumerate(index.names)
    ]


def _numbers(values: Any) -> np.ndarray:
    kind = values.dtype.kind if hasattr(values.dtype, "kind") else "O"
    if kind not in "biuf":
        raise InputError(
            f"from_pandas: the values in {values.name!r} are of type {values.dtype}; numbers are"
            " expected: a DataFrame has them in its last column"
        )
    missing = np.asarray(values.isna())
    if missing.any():
        row = int(np.flatnonzero(missing)[0])
        raise InputError(
            f"from_pandas: {int(missing.sum())} of {len(missing)} values are missing, the first in"
            f" row {row}; leave out such rows, table.dropna(), and say by mask='stored' that cells"
            " without a row are unknown, if they are no zeros"
        )
    numbers = values.to_numpy(np.float32 if values.dtype == np.float32 else np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError(f"from_pandas: the value in row {row} is {numbers[row]}")
    return numbers


def _coded(column: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """For each row the number of its label, and the labels in order."""
    import pandas

    if isinstance(column.dtype, pandas.CategoricalDtype):
        # All categories are indices of the mode, also those without a row.
        made = column if hasattr(column, "codes") else column.array
        codes, labels = made.codes, made.categories
    else:
        try:
            codes, labels = pandas.factorize(column, sort=True)
        except TypeError:  # labels of types that have no order among each other
            codes, labels = pandas.factorize(column)
    codes = np.asarray(codes)
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0])
        raise InputError(
            f"from_pandas: {int((codes < 0).sum())} labels of {name!r} are missing, the first in"
            f" row {row}"
        )
    return codes, np.asarray(labels)

"""Names of modes and of their indices, which go with a model from the data to its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorcalculus.display.rows import Rows
from tensorcalculus.errors import InputError, ShapeError, nearest

COMPONENT = "component"
_SHOWN = 6
"""Labels of a mode that are named."""


@dataclass(frozen=True, eq=False)
class Labels(Rows):
    """What the modes of an array are called, and what their indices stand for.

    Parameters
    ----------
    names
        One for each mode, all different.
    coordinates
        For each mode a vector of labels (text, numbers, dates), or None where indices are just
        counted.

    Raises
    ------
    ShapeError
        For names and coordinates that do not belong together.
    InputError
        For a name that occurs twice, and labels of another type.

    Examples
    --------
    >>> from tensorcalculus.fit.data.labels import Labels
    >>> labels = Labels(("city", "day"), (["Oslo", "Bergen"], None))
    >>> labels.mode("day"), labels.label(0, 1), labels.label(1, 5)
    (1, 'Bergen', '5')
    """

    names: tuple[str, ...]
    coordinates: tuple[np.ndarray | None, ...]

    def __init__(self, names: Sequence[Any], coordinates: Sequence[Any] | None = None) -> None:
        told = tuple(map(str, names))
        if len(set(told)) < len(told):
            twice = next(name for name in told if told.count(name) > 1)
            raise InputError(f"names: {twice!r} occurs twice; each mode needs a name of its own")
        given = [None] * len(told) if coordinates is None else list(coordinates)
        if len(given) != len(told):
            raise ShapeError(
                f"coordinates: {len(told)} vectors (or None) are expected, one for each of"
                f" {list(told)}, not {len(given)}"
            )
        vectors = tuple(
            None if c is None else _vector(c, name) for c, name in zip(given, told, strict=True)
        )
        object.__setattr__(self, "names", told)
        object.__setattr__(self, "coordinates", vectors)

    @classmethod
    def counted(cls, ndim: int) -> Labels:
        """Modes without names: ``mode 0``, ``mode 1`` …; indices without labels."""
        return cls([f"mode {k}" for k in range(ndim)])

    @property
    def given(self) -> bool:
        """Whether they say more than numbers would."""
        plain = Labels.counted(len(self.names)).names
        return self.names != plain or any(c is not None for c in self.coordinates)

    def check(self, shape: Sequence[int]) -> None:
        """Raise ShapeError unless there are as many labels as indices, in each mode."""
        if len(shape) != len(self.names):
            raise ShapeError(f"labels: {len(shape)} names are expected, not {list(self.names)}")
        for name, vector, n in zip(self.names, self.coordinates, shape, strict=True):
            if vector is not None and len(vector) != n:
                raise ShapeError(f"labels of {name!r}: {n} are expected, not {len(vector)}")

    def mode(self, which: int | str) -> int:
        """The number of a mode that is given by number, from the end where negative, or by name."""
        d = len(self.names)
        if isinstance(which, str):
            if which in self.names:
                return self.names.index(which)
            raise InputError(
                f"mode: {which!r} is none of {list(self.names)}.{nearest(which, self.names)}"
            )
        if not isinstance(which, int | np.integer) or not -d <= which < d:
            raise InputError(
                f"mode: an integer from 0 to {d - 1} or one of {list(self.names)} is expected, not"
                f" {which!r}"
            )
        return int(which) % d

    def label(self, mode: int | str, index: int) -> str:
        """One label as text."""
        vector = self.coordinates[self.mode(mode)]
        return str(index) if vector is None else _told(vector[index])

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {told}" for name, told in self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        """Each mode, and the first of its labels."""
        made = []
        for k, (name, vector) in enumerate(zip(self.names, self.coordinates, strict=True)):
            first = (
                [] if vector is None else [self.label(k, i) for i in range(len(vector[:_SHOWN]))]
            )
            if vector is not None and len(vector) > _SHOWN:
                first.append(f"… {len(vector)} in all")
            made.append((name, ", ".join(first) or "counted"))
        return made

    # In files

    def to_json(self) -> str:
        """Names and labels as text."""
        vectors = [
            None
            if c is None
            else {"type": c.dtype.str if c.dtype.kind in "mM" else c.dtype.kind,
                  "labels": (c.astype(np.int64) if c.dtype.kind in "mM" else c).tolist()}
            for c in self.coordinates
        ]  # fmt: skip
        return json.dumps({"names": self.names, "coordinates": vectors}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Labels:
        """The inverse of :meth:`to_json`; InputError for any other text."""
        try:
            held = json.loads(text)
            vectors = [
                None if c is None else _read_vector(c["type"], c["labels"])
                for c in held["coordinates"]
            ]
            return cls(held["names"], vectors)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"labels cannot be read: {error}") from None

    # Tables

    def factor_table(self, factor: Any, mode: int | str) -> Any:
        """A factor ``[n, r]`` of one mode as a DataFrame of pandas: rows by label, a column for
        each component.
        """
        from tensorcalculus.networks.arrays import numpy_of

        pandas = _library("pandas", "factor_table", ".factors")
        k = self.mode(mode)
        numbers = numpy_of(factor)
        index = pandas.Index(self._row_labels(k, len(numbers)), name=self.names[k])
        columns = pandas.RangeIndex(numbers.shape[1], name=COMPONENT)
        return pandas.DataFrame(numbers, index=index, columns=columns)

    def to_xarray(self, factors: Sequence[Any], weights: Any) -> Any:
        """All factors and the weights as a Dataset of xarray.

        A variable ``factor of NAME`` with the dimensions ``NAME`` and ``component`` for each mode,
        and ``weights``; the tensor is the sum over ``component`` of their product.
        """
        from tensorcalculus.networks.arrays import numpy_of

        xarray = _library("xarray", "to_xarray", ".factors")
        if COMPONENT in self.names:
            raise InputError(
                f"to_xarray: a mode is called {COMPONENT!r}, as the axis of components; rename it"
            )
        held, coordinates = {}, {}
        for k, (name, factor) in enumerate(zip(self.names, factors, strict=True)):
            held[f"factor of {name}"] = ((name, COMPONENT), numpy_of(factor))
            if self.coordinates[k] is not None:
                coordinates[name] = self.coordinates[k]
        held["weights"] = ((COMPONENT,), numpy_of(weights))
        return xarray.Dataset(held, coords=coordinates)

    def _row_labels(self, k: int, n: int) -> Any:
        vector = self.coordinates[k]
        return np.arange(n) if vector is None else vector


class Labelled:
    """Tables of a model that has ``factors``, ``weights`` and ``labels`` (or None for these)."""

    __slots__ = ()

    factors: tuple[Any, ...]
    weights: Any
    labels: Labels | None

    def _labels(self) -> Labels:
        return self.labels or Labels.counted(len(self.factors))

    def factor_table(self, mode: int | str) -> Any:
        """The factor of a mode, by number or name, as a DataFrame of pandas with its labels."""
        labels = self._labels()
        return labels.factor_table(self.factors[labels.mode(mode)], mode)

    def to_xarray(self) -> Any:
        """Factors and weights as a Dataset of xarray with the labels as coordinates."""
        return self._labels().to_xarray(self.factors, self.weights)

    def largest(self, component: int, mode: int | str, count: int = 5) -> list[tuple[str, float]]:
        """The labels of the largest entries, by absolute value, of one component in one mode."""
        from tensorcalculus.networks.arrays import numpy_of

        labels = self._labels()
        k = labels.mode(mode)
        column = numpy_of(self.factors[k])[:, component]
        order = np.argsort(-np.abs(column), kind="stable")[:count]
        return [(labels.label(k, int(i)), column[i].item()) for i in order]


def _vector(labels: Any, name: str) -> np.ndarray:
    """Labels as an array of text, numbers or dates, never of objects."""
    made = np.asarray(labels)
    if made.ndim != 1:
        raise ShapeError(f"labels of {name!r}: a vector is expected, not of shape {made.shape}")
    if made.dtype.kind not in "biufUmM":
        # Intervals, periods, tuples: what they print as is all that is needed of them.
        made = np.array([str(label) for label in labels], dtype=np.str_)
    return made


def _told(label: Any) -> str:
    if isinstance(label, np.datetime64):
        # 2020-01-31T00:00:00.000000000 says no more than 2020-01-31.
        date, _, time = str(label).partition("T")
        if not time.strip("0:."):
            return date
        return f"{date}T{time.rstrip('0').rstrip('.')}" if "." in time else f"{date}T{time}"
    return str(label)


def _read_vector(kind: str, labels: list[Any]) -> np.ndarray:
    if kind and kind[0] in "<>|=" and kind[1] in "mM":
        return np.array(labels, np.int64).astype(np.dtype(kind))
    types = {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64, "U": np.str_}
    return np.array(labels, types[kind])


def _library(name: str, what: str, numbers: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ImportError(
            f"{what} needs {name}, which is not installed: pip install 'tensorcalculus[data]'; the"
            f" numbers are in {numbers}"
        ) from None

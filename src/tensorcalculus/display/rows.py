"""Results as labelled rows, on a terminal and in a notebook."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tensorcalculus.display.html import Html, result, rows, shortened, table

_MOST = 12
"""Entries of an array, along each side, that are shown."""


class Rows:
    """Text and HTML of an object from its rows, each a label and a text."""

    __slots__ = ()

    def _rows(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def _title(self) -> str:
        return type(self).__name__

    def _pictures(self) -> list[tuple[str, Html]]:
        """Rows of notebooks: in the place of those of the same label, else below."""
        return []

    def __repr__(self) -> str:
        return "\n".join(f"{name:<10} {text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        shown = {**dict(self._rows()), **dict(self._pictures())}
        return result(self._title(), rows(shown.items()))


class Fields:
    """HTML of a dataclass: a row for each field.  Its text is the one that dataclasses have."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        pairs = [(f.name.replace("_", " "), value(getattr(self, f.name)))
                 for f in fields(self) if f.repr]  # type: ignore[arg-type]  # fmt: skip
        if type(self).__str__ is not object.__str__:
            pairs.insert(0, ("in words", str(self)))
        return result(type(self).__name__, rows(pairs))


def value(held: Any) -> object:
    """What is shown of a field: a number in short, a small array as a table."""
    if isinstance(held, bool):
        return "yes" if held else "no"
    if held is None or (isinstance(held, tuple) and not held):
        return "none"
    if isinstance(held, float):
        return f"{held:.6g}"
    shape = getattr(held, "shape", None)
    if not isinstance(shape, tuple):
        return shortened(held)
    if len(shape) == 2 and max(shape) <= _MOST:
        body = [[f"{entry:.3g}" for entry in line] for line in held]
        return table(range(shape[1]), body, range(shape[1])) if body else "empty"
    if len(shape) == 1 and shape[0] <= _MOST:
        return ", ".join(f"{entry:.4g}" for entry in held) or "empty"
    return f"an array of shape {shape}"

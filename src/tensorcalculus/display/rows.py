"""Results as labelled rows, on a terminal and in a notebook."""

from __future__ import annotations


class Rows:
    """Text and HTML of an object from its rows, each a label and a text."""

    __slots__ = ()

    def _rows(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(f"{name:<10} {text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self._rows()
        )
        return f"<table>{rows}</table>"

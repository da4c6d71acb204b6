"""Generated source: a text that notebooks show line by line."""

from __future__ import annotations

from typing import Any

from tensorcalculus.display.html import code, result


class SourceText(str):
    """SourceText as any other text; as the value of a notebook's cell it is shown as it is."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return result("", code(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython's text/plain: lines instead of a quoted string with \\n.
        printer.text(str(self))

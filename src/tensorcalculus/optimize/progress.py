"""Showing how a minimisation goes: a line on the terminal, or a function of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorcalculus.display.status_line import StatusLine
from tensorcalculus.optimize.record import Iteration


class Progress:
    """A status line on standard error, or calls; ``None``: on a terminal, after a second."""

    def __init__(self, wanted: bool | Callable[[Any], Any] | None, method: str) -> None:
        self._call = wanted if callable(wanted) else None
        self._line = StatusLine(False if callable(wanted) else wanted)
        self._method = method
        self._interrupted = False

    def interrupt(self) -> None:
        """End work in other threads at its next update, as an interrupt from the keyboard does."""
        self._interrupted = True

    def update(self, entry: Iteration) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        if self._call is not None:
            self._call(entry)
            return
        self._line.show(lambda: f"{self._method}: {entry.told()}")

    def close(self) -> None:
        self._line.close()

"""Showing how a minimisation goes: a line on the terminal, or a function of the caller."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from tensorcalculus.optimize.record import Iteration

PATIENCE = 1.0
"""Seconds before something is shown unasked."""

_PAUSE = 0.1


class Progress:
    """A status line on standard error by rich; ``None``: on a terminal, after a second."""

    def __init__(self, wanted: bool | Callable[[Any], Any] | None, method: str) -> None:
        self._call = wanted if callable(wanted) else None
        shown = wanted is True or (wanted is None and sys.stderr.isatty())
        self._shown = shown and self._call is None
        self._method = method
        self._next = perf_counter() + (0.0 if wanted is True else PATIENCE)
        self._status: Any = None

    def update(self, entry: Iteration) -> None:
        if self._call is not None:
            self._call(entry)
        elif self._shown and perf_counter() >= self._next:
            self._next = perf_counter() + _PAUSE
            text = (
                f"{self._method}: iteration {entry.iteration}, value {entry.value:.8g}, "
                f"gradient {entry.gradient_norm:.1e}"
            )
            if self._status is None:
                from rich.console import Console

                self._status = Console(stderr=True).status(text)
                self._status.start()
            self._status.update(text)

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

"""A line on the terminal that tells how long work goes; silent elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

PATIENCE = 1.0
"""Seconds before something is shown unasked."""

_PAUSE = 0.1


class StatusLine:
    """A line on standard error by rich: from the start (True), never (False), or where standard
    error is a terminal, after a second (None).
    """

    def __init__(self, wanted: bool | None) -> None:
        self._shown = wanted is True or (wanted is None and sys.stderr.isatty())
        self._next = perf_counter() + (0.0 if wanted is True else PATIENCE)
        self._status: Any = None

    def show(self, text: Callable[[], str]) -> None:
        """Replace the line, at most ten times a second; `text` is called only when it is shown."""
        if not self._shown or perf_counter() < self._next:
            return
        self._next = perf_counter() + _PAUSE
        told = text()
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(told)
            self._status.start()
        self._status.update(told)

    def close(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

"""The library's exceptions and the helpers that word their messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

_LINE_WIDTH = 100
_LONGEST_COMPARED_NAME = 64


class TensorCalculusError(Exception):
    """Base class of everything this library raises on purpose.

    `start` and `end` are the offending characters of the formula, where they are known (`placed`).
    """

    start: int | None = None
    end: int | None = None
    _reason: str | None = None

    @property
    def reason(self) -> str:
        """What is wrong, without the lines that show where."""
        return str(self) if self._reason is None else self._reason


class ParseError(TensorCalculusError, ValueError):
    """The text is not a formula."""

    def __init__(self, message: str = "", start: int | None = None, end: int | None = None) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


class ShapeError(TensorCalculusError, ValueError):
    """Shapes or orders of operands do not fit together."""


class UnknownNameError(TensorCalculusError, LookupError):
    """A function, symbol or option of that name does not exist."""


class NotDifferentiableError(TensorCalculusError):
    """No derivative is known for an operation that depends on the variable."""


class NotPrintableError(TensorCalculusError):
    """An expression has no form in the requested output language."""


class CheckError(TensorCalculusError, AssertionError):
    """A numerical check of a derivative failed."""


class InputError(TensorCalculusError, ValueError):
    """Arrays given at call time do not fit what the function was built for."""


class EvaluationError(TensorCalculusError, ValueError):
    """A function given by the user failed, or gave what is no number.

    `points` and `values` are the arguments and results so far, those of the failed call left out.
    """

    def __init__(self, message: str = "", points: Any = None, values: Any = None) -> None:
        super().__init__(message)
        self.points = points
        self.values = values


class GaugeWarning(UserWarning):
    """The derivative depends on a choice that the function itself leaves open."""


class DegeneracyWarning(UserWarning):
    """Components of a model cancel each other and grow: there may be no best one."""


def placed(
    kind: type[TensorCalculusError],
    text: str,
    start: int,
    end: int,
    message: str,
    expected: str = "",
) -> TensorCalculusError:
    """An error that shows and knows its place in `text`; see `caret` for the arguments."""
    error = kind(caret(text, start, end, message, expected))
    error.start, error.end = start, end
    error._reason = _head(message, expected)
    return error


def _head(message: str, expected: str) -> str:
    return f"{message}: expected {expected}" if expected else message


def caret(text: str, start: int, end: int, message: str, expected: str = "") -> str:
    """The message, the line of `text` that holds `start`, and `^^^` under the span.

    Args:
        text: The whole formula.
        start: Offset of the first offending character; `len(text)` points behind the text.
        end: Offset behind the last offending character.
        message: What is wrong.
        expected: What could have stood there, in words.

    Returns:
        Three lines; a line of more than 100 characters is cut to a window around the span.
    """
    start = max(0, min(start, len(text)))
    left = text.rfind("\n", 0, start) + 1
    right = text.find("\n", start)
    right = len(text) if right < 0 else right
    line = text[left:right]
    first, last = start - left, min(end, right) - left
    if len(line) > _LINE_WIDTH:
        room = _LINE_WIDTH - 2
        low = max(0, min(first - room // 2, len(line) - room))
        high = low + room
        before, after = "…" if low else "", "…" if high < len(line) else ""
        first, last = first - low + len(before), min(last, high) - low + len(before)
        line = before + line[low:high] + after
    # Control characters would move the carets away from what they point to.
    shown = "".join(letter if letter.isprintable() else " " for letter in line)
    return f"{_head(message, expected)}\n  {shown}\n  {' ' * first}{'^' * max(1, last - first)}"


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the candidate most like `name`, `""` when none is near."""
    if len(name) > _LONGEST_COMPARED_NAME:
        return ""
    # Sorted, so that the answer does not depend on the order of a set.
    by_lower: dict[str, str] = {}
    for candidate in sorted(candidates):
        by_lower.setdefault(candidate.lower(), candidate)
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1)
    return f" Did you mean '{by_lower[found[0]]}'?" if found else ""

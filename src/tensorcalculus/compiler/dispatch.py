"""The short way into a program: arrays of names, shapes and types that were checked before.

A call of a few microseconds would spend as long again on checking its arguments.  What is checked
depends on names, shapes and types alone, so each combination is checked once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from tensorcalculus.compiler.program import Program

EXPLAINED = (np.linalg.LinAlgError, ZeroDivisionError, MemoryError, ValueError)


def explained(error: Exception) -> InputError:
    """What went wrong in generated code, in the words of the caller."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, np.linalg.LinAlgError):
        return InputError(f"the expression cannot be evaluated here: {error}")
    if isinstance(error, ZeroDivisionError):
        return InputError("the expression divides by a size that is 0")
    if isinstance(error, MemoryError):
        return InputError(f"a result does not fit into memory: {error}")
    if "too big" in str(error) or "Maximum allowed" in str(error):
        return InputError(f"a result is larger than an array can be: {error}")
    return InputError(f"the shapes of the arrays do not fit together: {error}")


READY = 256
"""Combinations of shapes that are remembered for one set of names."""


class Dispatcher:
    """Calls of a program with arrays of these names, in any order."""

    def __init__(
        self,
        program: Program,
        names: Sequence[str],
        otherwise: Callable[[Mapping[str, Any]], Any],
    ) -> None:
        self.names = frozenset(names)
        self.ready: dict[tuple, tuple] = {}
        """By the traits of the arrays: the function and the sizes it takes."""
        places = {name: f"x{k}" for k, name in enumerate(names)}
        sizes = [f"d{k}" for k in range(len(program.symbols))]
        given = ", ".join([*(places[name] for name in program.variables), *sizes])
        key = "".join(program.target.traits(place) for place in places.values())
        read = [f"{place} = values[n{k}]" for k, place in enumerate(places.values())]
        # The last combination is compared first: that takes half the time of a hash.
        lines = [
            "def call(values):",
            "    global last",
            f"    if len(values) != {len(names)}:",
            "        return otherwise(values)",
            "    try:",
            *(f"        {line}" for line in read),
            f"        traits = ({key})",
            "        known, entry = last",
            "        if traits != known:",
            "            entry = ready[traits]",
            "            last = traits, entry",
            "    except (KeyError, AttributeError, TypeError):",
            "        entry = None",
            "    if entry is None:",
            "        return otherwise(values)",
            "    program.last = entry",
            f"    {', '.join(['function', *sizes])}, = entry",
            "    try:",
            f"        return function({given})",
            "    except EXPLAINED as error:",
            "        raise explained(error) from None",
            "def key(values):",
            *(f"    {line}" for line in read),
            f"    return ({key})",
        ]
        namespace: dict[str, Any] = {f"n{k}": name for k, name in enumerate(names)}
        namespace |= {"program": program, "ready": self.ready, "trait": program.target.trait}
        namespace |= {
            "last": (None, None),
            "EXPLAINED": EXPLAINED,
            "explained": explained,
            "otherwise": otherwise,
        }
        exec("\n".join(lines), namespace)
        self.call: Callable[[Mapping[str, Any]], Any] = namespace["call"]
        self._key: Callable[[Mapping[str, Any]], tuple] = namespace["key"]

    def entry(self, arrays: Mapping[str, Any]) -> tuple | None:
        """What is remembered of arrays like these."""
        with suppress(AttributeError):
            return self.ready.get(self._key(arrays))
        return None

    def remember(self, arrays: Mapping[str, Any], entry: tuple) -> None:
        """Arrays like these need not be checked again; what is no array is not remembered."""
        if len(self.ready) < READY:
            with suppress(AttributeError):
                self.ready[self._key(arrays)] = entry

"""What a program costs: operations, memory traffic, peak memory, order of contractions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from tensorcalculus.compiler.plan import CALL, ENTRY, PRODUCT

_NAME = re.compile(r"\bt\d+\b")


@dataclass(repr=False)
class Cost:
    """Estimated from the sizes; a multiplication and an addition count one each.

    ``flops`` counts an elementary function of an entry as one, a decomposition of an n x n matrix
    by the leading term of its textbook algorithm.  ``bytes`` is what is read and written with
    float64 entries, ``peak_bytes`` the most that results and named intermediate arrays hold at
    one time, arguments not counted.
    """

    flops: float = 0.0
    bytes: float = 0.0
    peak_bytes: float = 0.0
    contractions: list[str] = field(default_factory=list)
    """Each pairwise step: the einsum it does and its flops."""

    @property
    def nanoseconds(self) -> float:
        """A rough time, to choose between ways to the same numbers; see ``plan``."""
        return 0.5 * PRODUCT * self.flops + ENTRY * self.bytes / 8 + CALL * len(self.contractions)

    def entrywise(self, arrays: int, size: float) -> None:
        """``arrays`` arrays of ``size`` entries read, one written."""
        self.flops += size * max(arrays, 1)
        self.bytes += 8 * size * (arrays + 1)

    def joined(
        self,
        a: Sequence[int],
        b: Sequence[int],
        out: Sequence[int],
        sizes: Mapping[int, int],
    ) -> None:
        """A pairwise step of a contraction."""
        labels = dict.fromkeys((*a, *b))
        count = prod(sizes[i] for i in labels)
        summed = any(i not in out for i in labels)
        flops = float(count * (2 if summed else 1))
        self.flops += flops
        self.bytes += 8.0 * sum(prod(sizes[i] for i in legs) for legs in (a, b, out))
        letters = {i: chr(97 + k) if k < 26 else f"[{k}]" for k, i in enumerate(labels)}
        spell = ["".join(letters[i] for i in legs) for legs in (a, b, out)]
        self.contractions.append(f"{spell[0]},{spell[1]}->{spell[2]}  {short(flops)}flop")

    def measure_peak(
        self, lines: Sequence[str], entries: Mapping[str, float], results: float
    ) -> None:
        """Peak memory of straight-line code whose named arrays have so many entries."""
        last = {name: k for k, line in enumerate(lines) for name in _NAME.findall(line)}
        alive, peak = 0.0, 0.0
        begun: set[str] = set()
        for k, line in enumerate(lines):
            for name in _NAME.findall(line):
                if name in entries and name not in begun:
                    begun.add(name)
                    alive += entries[name]
            peak = max(peak, alive)
            for name in set(_NAME.findall(line)):
                if last[name] == k and name in begun:
                    alive -= entries[name]
        self.peak_bytes = 8 * max(peak, results)

    def __str__(self) -> str:
        lines = [
            f"{short(self.flops)}flop, {short(self.bytes)}B moved, "
            f"{short(self.peak_bytes)}B at most"
        ]
        return "\n".join([*lines, *(f"  {step}" for step in self.contractions)])

    __repr__ = __str__


def short(value: float) -> str:
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 1000 or unit == "P":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError

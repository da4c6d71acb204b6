"""What a program costs: operations, memory traffic, peak memory, order of contractions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from tensorcalculus.compiler.plan import CALL, ENTRY, PRODUCT
from tensorcalculus.compiler.polynomial import Polynomial
from tensorcalculus.expr.dims import Dim

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
    counted: list[tuple[Fraction | int, tuple[Dim, ...]]] = field(default_factory=list)
    """What ``flops`` consists of: how often the product of which sizes."""

    @property
    def symbolic(self) -> Polynomial:
        """``flops`` as a function of the sizes, for the program and the orders chosen for these.

        >>> import tensorcalculus as tc
        >>> f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
        >>> tc.compile(f.gradient("w")).cost.symbolic
        4*m*n + m + n
        """
        return Polynomial.sum(self.counted)

    @property
    def nanoseconds(self) -> float:
        """A rough time, to choose between ways to the same numbers; see ``plan``."""
        return 0.5 * PRODUCT * self.flops + ENTRY * self.bytes / 8 + CALL * len(self.contractions)

    def count(self, times: float | Fraction, dims: Sequence[Dim], number: float) -> None:
        """``times`` operations for each of ``number`` entries, the product of ``dims``."""
        if times:
            self.flops += float(times * number)
            self.counted.append((Fraction(times).limit_denominator(100), tuple(dims)))

    def entrywise(self, arrays: int, times: int, dims: Sequence[Dim], size: float) -> None:
        """``arrays`` arrays of ``size`` entries read, one written, ``times`` operations each."""
        self.count(times, dims, size)
        self.bytes += 8 * size * (arrays + 1)

    def summed(self, dims: Sequence[Dim], size: float) -> None:
        """An array of ``size`` entries added up."""
        self.count(1, dims, size)
        self.bytes += 8 * size

    def joined(
        self,
        a: Sequence[int],
        b: Sequence[int],
        out: Sequence[int],
        sizes: Mapping[int, int],
        dims: Sequence[Dim],
    ) -> None:
        """A pairwise step of a contraction, whose labels have these sizes and dimensions."""
        labels = dict.fromkeys((*a, *b))
        count = prod(sizes[i] for i in labels)
        times = 2 if any(i not in out for i in labels) else 1
        flops = float(count * times)
        self.count(times, [dims[i] for i in labels], count)
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

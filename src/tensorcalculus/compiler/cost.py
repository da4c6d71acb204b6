"""What a program costs: operations, memory traffic, peak memory, order of contractions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import NamedTuple

from tensorcalculus.compiler.plan import CALL, ENTRY, PRODUCT
from tensorcalculus.compiler.polynomial import Polynomial
from tensorcalculus.display import html
from tensorcalculus.expr.dims import Dim

_NAME = re.compile(r"\bt\d+\b")


_SHOWN = 12
"""Steps that notebooks show unasked."""


class Step(NamedTuple):
    """A pairwise step of a contraction."""

    einsum: str
    flops: float
    bytes: float
    """What is read and written."""

    def __str__(self) -> str:
        return f"{self.einsum}  {short(self.flops)}flop"


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
    contractions: list[Step] = field(default_factory=list)
    """Each pairwise step in order: the einsum it does, its flops and bytes."""
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
        moved = 8.0 * sum(prod(sizes[i] for i in legs) for legs in (a, b, out))
        self.bytes += moved
        letters = {i: chr(97 + k) if k < 26 else f"[{k}]" for k, i in enumerate(labels)}
        spell = ["".join(letters[i] for i in legs) for legs in (a, b, out)]
        self.contractions.append(Step(f"{spell[0]},{spell[1]}->{spell[2]}", flops, moved))

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

    def _repr_html_(self) -> str:
        return html.result("Cost of a call", *self.shown())

    def shown(self) -> list[html.Html]:
        """Totals, and the steps in their order with their parts of the work, as HTML."""
        totals = [
            ("work", f"{short(self.flops)}flop"),
            ("moved", f"{short(self.bytes)}B read and written"),
            ("memory", f"{short(self.peak_bytes)}B at most"),
        ]
        parts = [html.rows(totals)]
        if self.contractions:
            steps = self._steps()
            many = len(self.contractions)
            parts.append(steps if many <= _SHOWN else html.folded(f"{many} contractions", steps))
        return parts

    def _steps(self) -> html.Html:
        whole = self.flops or 1.0
        body: list[tuple[object, ...]] = [
            (k, html.word(step.einsum), f"{short(step.flops)}flop", f"{short(step.bytes)}B",
             html.bar(step.flops / whole), f"{100 * step.flops / whole:.3g} %")
            for k, step in enumerate(self.contractions, 1)
        ]  # fmt: skip
        rest = self.flops - sum(step.flops for step in self.contractions)
        if rest > 0:
            share = (html.bar(rest / whole), f"{100 * rest / whole:.3g} %")
            body.append(("", "all else", f"{short(rest)}flop", "", *share))
        head = ("", "contraction", "work", "moved", "part of the work", "")
        return html.table(head, body, numbers=(0, 2, 3, 5))


def short(value: float) -> str:
    for unit in ("", "k", "M", "G", "T", "P"):
        if value < 1000 or unit == "P":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError

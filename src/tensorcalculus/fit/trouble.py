"""What may be wrong with a fitted CP model, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tensorcalculus.display.rows import Fields
from tensorcalculus.networks.formats.cp import Diagnosis

SLOW, LONG = 1e-2, 50
"""A swamp: LONG iterations or more in a row that each bring the error, as far as it is above the
least one met, down by less than SLOW of it."""

LEFT = 1e-6
"""A loss that is above the least one by less than this part of it has nothing left to fall."""

LARGE, OPPOSITE = 1.5, -0.7
"""Components that are LARGE times the model are suspicious where the cosine of two is below
OPPOSITE: whether they diverge is then looked into."""

RISE = 0.1
"""Components that run after a limit of no such rank grow like a power of the iteration (by
alternating least squares like the fourth root); from this exponent on they do."""

CONSISTENT = 50.0
"""Core consistency below which the rank is probably too large."""

SHOWN = 3
"""Swamps that are told one by one."""

SOUND = "nothing is wrong"


@dataclass(frozen=True)
class FitDiagnosis(Fields):
    """What a fit tells about itself; ``str()`` gives it in words, with what to do."""

    components: Diagnosis
    """Whether components of the model cancel each other (``model.diagnose()``)."""
    degenerate: bool
    """Whether they grow against each other without end: the model runs after a limit that no model
    of its rank attains."""
    swamps: tuple[tuple[int, int], ...]
    """First and last iterations of long stretches of little progress."""
    trapped: bool
    """Whether the last of them was not left."""
    core_consistency: float | None
    """See :meth:`tensorcalculus.networks.CP.core_consistency`; None for large sparse tensors."""
    nonnegative: bool = False
    l2: float = 0.0
    method: str = "als"

    @property
    def opposite(self) -> tuple[tuple[int, int], ...]:
        """Pairs of components that cancel each other."""
        pairs = np.argwhere(np.triu(self.components.cosines < OPPOSITE, 1))
        return tuple((int(i), int(j)) for i, j in pairs)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with the model; swamps that were left only took time."""
        return not (self.degenerate or self.components.cancelling or self.trapped or self._over)

    @property
    def _over(self) -> bool:
        return self.core_consistency is not None and self.core_consistency < CONSISTENT

    def __str__(self) -> str:
        return "; ".join(self._found()) or SOUND

    def _found(self) -> list[str]:
        found, size = [], f"{self.components.growth:.3g} times as large as the model"
        if self.degenerate:
            pairs = ", ".join(f"{i} and {j}" for i, j in self.opposite)
            which = f"components {pairs}" if pairs else "components"
            ways = ["a lower rank"]
            if not self.nonnegative:
                ways.append("nonnegative=True")
            ways.append("a larger l2" if self.l2 else "a ridge (l2=…)")
            found.append(
                f"degenerate: {which} cancel each other, are {size} and grow on. There may be no"
                f" best model of this rank (a border rank below the rank); try {', '.join(ways)} or"
                " a Tucker model"
            )
        elif self.components.cancelling:
            found.append(f"components cancel each other, are {size} and poorly determined")
        if self.swamps:
            first = ", ".join(f"{a} to {b}" for a, b in self.swamps[:SHOWN])
            more = f" and {len(self.swamps) - SHOWN} times more" if self.swamps[SHOWN:] else ""
            found.append(
                f"swamp: iterations {first}{more} each lowered the error by less than"
                f" {100 * SLOW:g} %"
                + (", and it was not left" if self.trapped else "")
                + (
                    ""
                    if self.method == "lm" or self.degenerate
                    else "; tc.cp_opt(…, method='lm') crosses swamps"
                )
            )
        if self._over:
            found.append(
                f"core consistency {self.core_consistency:.0f} of 100: the rank may be too large"
            )
        return found


def suspicious(components: Diagnosis) -> bool:
    """Whether components cancel each other so much that they may diverge."""
    opposite = bool((components.cosines < OPPOSITE).any())
    return components.cancelling or (opposite and components.growth > LARGE)


def growing(sizes: Sequence[float] | np.ndarray) -> bool:
    """Whether components grew like a power of the iteration, relative to their sum, to the end."""
    n = len(sizes)
    if n < LONG:
        return False
    points = np.unique(np.geomspace(n / 2, n, 6).astype(int)) - 1
    values = np.log(np.asarray(sizes)[points])
    exponent = (values[-1] - values[0]) / math.log((points[-1] + 1) / (points[0] + 1))
    return bool(exponent > RISE and (np.diff(values) > 0).all())


def swamps(
    losses: Sequence[float] | np.ndarray, floor: float
) -> tuple[list[tuple[int, int]], bool]:
    """Long stretches of little progress, as numbers of iterations from 1, and whether the last one
    lasted to the end; below the `floor` a loss is rounding errors.
    """
    values = np.asarray(losses, dtype=float)
    if len(values) <= LONG:
        return [], False
    least = float(values.min())
    above = values - least
    done = above <= max(floor, LEFT * least)
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = 1 - np.sqrt(above[1:] / above[:-1])  # falls[t]: from iteration t+1 to t+2
    slow = (np.nan_to_num(falls) < SLOW) & ~done[:-1]
    found, ended = [], False
    edges = np.flatnonzero(np.diff(np.concatenate([[0], slow.astype(int), [0]])))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start >= LONG:
            # Where the last loss is the least, the distance from it halves faster and faster
            # towards the end, however slow the fit is: over the last 1/(2*SLOW) iterations.
            ended = bool(stop + 0.6 / SLOW > len(values))
            found.append((int(start) + 1, len(values) if ended else int(stop) + 1))
    return found, ended

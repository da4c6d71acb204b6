"""Rational functions on fine grids, checked by multiplication with the denominator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorcalculus.errors import EvaluationError, InputError
from tensorcalculus.networks.arrays import Array

if TYPE_CHECKING:
    from tensorcalculus.networks.formats.qtt import QTT

_TRIES = 3


def rational(
    kind: type[QTT],
    numerator: Sequence[float],
    denominator: Sequence[float],
    bits: int,
    interval: tuple[float, float],
    tol: float,
    seed: int,
) -> tuple[Sequence[Array], Any]:
    """Cores and info of :meth:`QTT.rational`."""
    p, q = (np.atleast_1d(np.asarray(c)) for c in (numerator, denominator))
    for name, c in (("numerator", p), ("denominator", q)):
        if c.ndim != 1 or c.dtype.kind not in "biufc" or not np.isfinite(c).all():
            raise InputError(f"rational: {name}: a list of finite coefficients is expected")
    if not q.any():
        raise InputError("rational: the denominator is 0")
    low, high = interval
    poles = np.polynomial.polynomial.polyroots(np.trim_zeros(q, "b") + 0.0)
    inside = (poles.imag == 0) & (poles.real >= low) & (poles.real <= high)
    if inside.any():
        raise InputError(
            f"rational: the denominator is 0 at {poles[inside][0].real:.6g}, inside of {interval}"
        )
    value = np.polynomial.polynomial.polyval

    def f(x: np.ndarray) -> np.ndarray:
        return value(x, p) / value(x, q)

    # A pole x + iy makes a peak of the width y.
    near = [0.5 * (low + high)]
    for z in poles:
        near += [z.real + c * abs(z.imag) for c in (-4, -1, 0, 1, 4)]
    error = np.inf
    for attempt in range(_TRIES):
        made = kind.from_function(f, bits, interval, tol, seed=seed + attempt, start=near)
        if made.info is None:  # from all values
            return made.cores, None
        samples = np.linspace(low, high, 1000)
        largest = float(np.abs(value(samples, q)).max())
        over = kind.polynomial(q, bits, interval) * made - kind.polynomial(p, bits, interval)
        error = float(over.norm()) / (float(made.norm()) * largest or 1.0)
        if error <= tol:
            return made.cores, replace(made.info, error=error, converged=True)
    raise EvaluationError(
        f"rational: denominator*train differs from the numerator by {error:.1e} of its size, more"
        f" than tol={tol:g}; a larger tol may be reached, or poles are too near for {bits} bits",
        made.info.points,
        made.info.values,
    )

"""Tucker models fitted to dense arrays: the formats' algorithms, with a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from tensorcalculus.display.curve import descent
from tensorcalculus.display.html import Html
from tensorcalculus.display.rows import Rows
from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import epsilon, norm
from tensorcalculus.networks.formats.linear import dense_input
from tensorcalculus.networks.formats.tucker import Tucker, improved


@dataclass(frozen=True, repr=False)
class TuckerFit(Rows):
    """The result of :func:`tensorcalculus.tucker`."""

    model: Tucker
    fit: float
    """``1 - norm(X - model)/norm(X)``."""
    loss: float
    """``norm(X - model)^2``."""
    converged: bool
    """Whether the last sweep of HOOI raised the norm of the core by no more than ``tol`` of it;
    the other methods have nothing to converge."""
    message: str
    iterations: int
    method: str
    seconds: float
    loss_history: np.ndarray
    """The loss of the start, then after each sweep."""

    def _rows(self) -> list[tuple[str, str]]:
        shape, core = (" x ".join(map(str, n)) for n in (self.model.shape, self.model.ranks))
        return [
            ("model", f"Tucker, {shape}, core {core}"),
            ("fit", f"{self.fit:.6f} ({100 * (1 - (1 - self.fit) ** 2):.4g} % explained)"),
            ("converged", f"{'yes' if self.converged else 'no'}: {self.message}"),
            ("work", f"{self.iterations} iterations, {self.seconds:.3g} s by {self.method}"),
        ]

    def _pictures(self) -> list[tuple[str, Html]]:
        return [("descent", descent(self.loss_history))]


def fit_tucker(
    x: Any,
    ranks: int | Sequence[int] | None,
    error: float,
    method: str,
    tol: float,
    max_iterations: int,
) -> TuckerFit:
    """See :func:`tensorcalculus.tucker`."""
    began = perf_counter()
    a = dense_input(x, 1, "tucker")
    if ranks is None and not error:
        raise InputError("tucker: give ranks=, or error=, from which ranks follow")
    sides = [int(ranks)] * a.ndim if isinstance(ranks, int | np.integer) else ranks
    if not isinstance(max_iterations, int | np.integer) or max_iterations < 1:
        raise InputError(f"max_iterations: a positive integer is expected, not {max_iterations!r}")
    if not 0 <= tol < math.inf:
        raise InputError(f"tol: a finite number that is not negative is expected, not {tol!r}")
    model = Tucker.from_dense(a, error, sides, "st-hosvd" if method == "hooi" else method)
    whole2 = norm(a) ** 2
    norms, converged, message = [norm(model.core)], True, "a direct method"
    if method == "hooi":
        core, factors, more = improved(a, model.core, model.factors, max_iterations, tol)
        model, norms = Tucker(core, factors), [*norms, *more]
        rise = norms[-1] / norms[-2] - 1 if norms[-2] else 0.0
        converged = rise <= tol
        message = f"the last sweep raised the norm of the core by {max(rise, 0.0):.1e} of it"
        if not converged:
            message += f", max_iterations reached ({max_iterations})"
    # Bases are orthonormal: what is lost is what the core lacks.
    losses = np.maximum(whole2 - np.square(norms), 0.0)
    loss = float(losses[-1])
    if loss < epsilon(a) ** 0.4 * whole2:
        loss = norm(a - model.to_dense()) ** 2
    share = math.sqrt(loss / whole2) if whole2 else 0.0
    return TuckerFit(
        model, 1 - share, loss, converged, message, len(norms) - 1, method,
        perf_counter() - began, losses,
    )  # fmt: skip

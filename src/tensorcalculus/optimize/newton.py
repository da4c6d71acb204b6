"""Newton's method with the full Hessian, and with conjugate gradients on its products."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np

from tensorcalculus.compiler.factors import lapack
from tensorcalculus.optimize.descent import descend
from tensorcalculus.optimize.monitor import EPSILON, Monitor
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.problem import Problem

SAFE = 1e-8
"""Smallest squared ratio of pivots that a shifted factor may have."""

CURVED = 1e-6
"""Ratio to the largest eigenvalue from which a negative one is more than a rounding error, also
where the gradient is as small as ``tol`` only."""

MANY, SPREAD = 100, 100.0
"""Hessian products after which :func:`newton_cg` asks for the diagonal, and ratio of its largest
entry to its smallest from which it is a preconditioner.  Below, it may as well cost products."""

LANCZOS = 12
"""Products by which :func:`newton_cg` looks for negative curvature where it ends."""


def newton(problem: Problem, monitor: Monitor, x: Array) -> None:
    """Newton's method: the Hessian over all variables, factorised (Nocedal and Wright, Sec. 3.4).

    Where it is not positive definite, a multiple of the identity is added (Alg. 3.3, with
    multiples relative to the Hessian).
    """
    method = _Cholesky(problem)
    descend(problem, monitor, x, method.direction, method.downward)


class _Cholesky:
    """Directions by a factorised Hessian."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.shift = 0.0
        self.convex = False
        """Whether the last Hessian was positive definite as it is."""

    def direction(self, x: Array, g: Array, free: Array | None) -> tuple[Array, bool]:
        H = self.hessian(x, free)
        inner = g if free is None else g[free]
        if not np.isfinite(H).all() or not len(inner):
            step, self.convex = -inner, False
        else:
            step, self.shift = solve_shifted(H, -inner, self.shift)
            self.convex = self.shift == 0
        return spread(step, free), False

    def downward(self, x: Array, free: Array | None) -> Array | None:
        # One step before a minimum the Hessian is positive definite already: nothing to look for.
        H = None if self.convex else self.hessian(x, free)
        if H is None or not len(H) or not np.isfinite(H).all():
            return None
        values, vectors = np.linalg.eigh(H)
        if values[0] >= -CURVED * float(np.abs(values).max()):
            return None
        return spread(vectors[:, 0], free)

    def hessian(self, x: Array, free: Array | None) -> Array:
        H = self.problem.hessian(x)
        return H if free is None else H[np.ix_(free, free)]


def solve_shifted(H: Array, b: Array, last: float) -> tuple[Array, float]:
    """``inv(H + s*I)*b`` with ``s = 0`` where that is positive definite; and the relative ``s``."""
    potrf, potrs = lapack(("potrf", "potrs"), H.dtype)
    size = float(np.linalg.norm(H)) / sqrt(len(H)) or 1.0
    shift = 0.0
    while True:
        A = H
        if shift:
            A = H.copy()
            A[np.diag_indices_from(A)] += shift * size
        L, info = potrf(A, lower=1)
        pivots = np.diagonal(L)
        limit = SAFE if shift else len(H) * EPSILON
        if info == 0 and pivots.min() ** 2 > limit * pivots.max() ** 2:
            return potrs(L, b, lower=1)[0], shift
        shift = max(10 * shift, last / 100, 1e-10)


def newton_cg(problem: Problem, monitor: Monitor, x: Array) -> None:
    """Truncated Newton: conjugate gradients on Hessian products (Nocedal and Wright, Alg. 7.1).

    The products are a formula of the direction, so no Hessian is made.
    """

    def downward(x: Array, free: Array | None) -> Array | None:
        product = problem.product(x)
        return curving_down(
            product if free is None else lambda v: np.where(free, product(v), 0.0),
            np.ones(len(x)) if free is None else free.astype(float),
        )

    descend(problem, monitor, x, _ConjugateGradients(problem).direction, downward)


def curving_down(times: Callable[[Array], Array], mask: Array) -> Array | None:
    """A direction of negative curvature of a symmetric matrix by some steps of Lanczos from a
    random vector; None where these show none.
    """
    q = np.random.default_rng(0).standard_normal(len(mask)) * mask
    most = min(int(mask.sum()), LANCZOS)
    basis, images = np.empty((2, most, len(mask)))
    count = 0
    while count < most and (norm := float(np.linalg.norm(q))) > 0:
        basis[count] = q / norm
        images[count] = q = times(basis[count])
        if not np.isfinite(q).all():
            return None
        count += 1
        known, size = basis[:count], float(np.linalg.norm(q))
        for _ in range(2):  # once more, as the first time rounds
            q = q - (known @ q) @ known
        if float(np.linalg.norm(q)) <= 1e-10 * size:
            break
    if count == 0:
        return None
    T = basis[:count] @ images[:count].T
    values, vectors = np.linalg.eigh((T + T.T) / 2)
    if values[0] >= -CURVED * float(np.abs(values).max()):
        return None
    return vectors[:, 0] @ basis[:count]


class _ConjugateGradients:
    """Directions by conjugate gradients on Hessian products.

    Once a run has made many products, variables of different scales may be why: if the diagonal of
    the Hessian is cheap, positive and says so, it preconditions from then on.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.first = 0.0
        self.made = 0
        self.scaled: bool | None = None
        """Whether the diagonal is used where it can be; None before this is asked."""

    def direction(self, x: Array, g: Array, free: Array | None) -> tuple[Array, bool]:
        inner = g if free is None else np.where(free, g, 0.0)
        norm = float(np.linalg.norm(inner))
        self.first = self.first or norm
        product = self.problem.product(x)

        def times(v: Array) -> Array:
            self.made += 1
            return product(v) if free is None else np.where(free, product(v), 0.0)

        accuracy = min(0.5, sqrt(norm / self.first)) if self.first else 0.5
        return conjugate_gradients(times, -inner, accuracy, self.diagonal(x))

    def diagonal(self, x: Array) -> Array | None:
        if self.scaled is None and self.made >= MANY:
            self.scaled = self.problem.compile_diagonal()
        if not self.scaled:
            return None
        d = self.problem.diagonal(x)
        return d if d.min() > 0 and SPREAD * d.min() < d.max() < np.inf else None


def conjugate_gradients(
    times: Callable[[Array], Array], b: Array, accuracy: float, diagonal: Array | None = None
) -> tuple[Array, bool]:
    """Approximately ``inv(A)*b``, and whether the first direction has negative curvature.

    Stops where the residual is ``accuracy`` of what it was or a direction of negative curvature
    appears.  With the diagonal of ``A`` the method of Jacobi preconditions (Nocedal and Wright,
    Alg. 5.3), and the residual is measured by its inverse.
    """
    z = np.zeros_like(b)
    r = b.copy()
    d = first = r if diagonal is None else r / diagonal
    rr = float(r @ d)
    target = accuracy**2 * rr
    for j in range(min(2 * len(b) + 10, 1000)):
        if rr <= target or rr == 0:
            break
        Ad = times(d)
        curvature = float(d @ Ad)
        if not np.isfinite(curvature):
            return (first, True) if j == 0 else (z, False)
        if curvature <= EPSILON * float(np.linalg.norm(d) * np.linalg.norm(Ad)):
            return (first, True) if j == 0 else (z, False)
        alpha = rr / curvature
        z = z + alpha * d
        r = r - alpha * Ad
        y = r if diagonal is None else r / diagonal
        old, rr = rr, float(r @ y)
        d = y + (rr / old) * d
    return z, False


def spread(step: Array, free: Array | None) -> Array:
    """A vector on the free entries as one on all."""
    if free is None:
        return step
    full = np.zeros(len(free))
    full[free] = step
    return full

"""Levenberg-Marquardt for CP models: Gauss-Newton steps from Gram matrices."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from tensorcalculus.fit.components import Factors, balanced, component_norms, growth
from tensorcalculus.fit.mttkrp import CPData, gram_product
from tensorcalculus.fit.watch import Watch
from tensorcalculus.optimize.monitor import EPSILON, Finished

MOST_DENSE = 400
"""Unknowns of the reduced system up to which it is factorised; above, conjugate gradients."""

FIRST_DAMPING = 1e-3

MOST_PRODUCTS, ACCURACY = 300, 1e-4
"""Of conjugate gradients: products at most, and the relative residual to stop at."""


def levenberg_marquardt(data: CPData, start: Factors, watch: Watch, l2: float) -> NoReturn:
    """Steps ``(J'J + (l2 + mu)*I) p = -g`` for ``norm(x - m)^2/2 + l2*norm(U)^2/2``.

    ``J'J`` has ``G_k (x) I`` on its diagonal, and off it a term of rank r^2 for each pair of modes;
    nothing of the size of the data times the unknowns is made.  Damping after Nielsen (1999).

    P. Tichavsky, A. H. Phan, A. Cichocki, IEEE Trans. Signal Process. 61 (2013); N. Vervliet,
    L. De Lathauwer, Numerical optimization-based algorithms for data fusion, 2019.
    """
    factors = balanced(start)
    damping, rise = 0.0, 2.0
    data.put_all(factors)
    value, loss, noise = _value(data, factors, l2)
    system = _System(factors, data.mttkrps(), l2)
    while True:
        damping = damping or FIRST_DAMPING * system.size
        while True:
            step = system.step(damping)
            moved = [u + p for u, p in zip(factors, step, strict=True)]
            length = float(np.sqrt(sum(np.linalg.norm(p) ** 2 for p in step)))
            data.put_all(moved)
            found, rest, blur = _value(data, moved, l2)
            predicted = 2 * system.predicted(step, damping)
            gain = (value - found) / predicted if predicted > 0 else -1.0
            fine = predicted <= noise
            good = found <= value + noise if fine else gain > 1e-4
            if np.isfinite(found) and good:
                scaled = _rescaled(moved, data.mttkrps())
                there = _System(*scaled, l2)
                # Where losses are equal up to rounding, the gradient tells whether a step is good.
                if not fine or there.gradient < 0.99 * system.gradient:
                    break
            if fine or damping > 1e30 * system.size:
                watch.note(factors, value, loss, system.gradient, length, system.growth())
                raise Finished(
                    "what remains to be gained is below rounding errors; the relative gradient is"
                    f" {system.gradient:.1e} (tol={watch.tol:g})",
                    False,
                )
            damping, rise = damping * rise, 2 * rise
        damping *= 1 / 3 if fine else max(1 / 3, 1 - (2 * min(gain, 1.0) - 1) ** 3)
        damping, rise = max(damping, EPSILON * system.size), 2.0
        system, factors, noise = there, scaled[0], blur
        value, loss = rest + _penalty(factors, l2), rest
        watch.note(factors, value, loss, system.gradient, length, system.growth())


def _value(data: CPData, factors: Factors, l2: float) -> tuple[float, float, float]:
    """Loss with and without penalty, its rounding error, from the product by the first mode."""
    inner = float(np.vdot(factors[0], data.mttkrp(0)).real)
    loss, cancelled = data.loss(inner, float(np.sum(gram_product(factors)).real))
    if cancelled:
        loss = data.residual(factors)
    value = loss + _penalty(factors, l2)
    return value, loss, 4 * EPSILON * (value if cancelled else value + data.norm2)


def _penalty(factors: Factors, l2: float) -> float:
    return l2 * sum(float(np.linalg.norm(u)) ** 2 for u in factors)


def _rescaled(factors: Factors, products: Factors) -> tuple[Factors, Factors]:
    """Scales moved between modes, which the products follow without another pass over the data."""
    made = balanced(factors)
    scaled = []
    for u, v, m in zip(factors, made, products, strict=True):
        old, new = np.linalg.norm(u, axis=0), np.linalg.norm(v, axis=0)
        if not (old > 0).all() or not (new > 0).all():
            return factors, products
        scaled.append(m * (old / new))
    return made, scaled


class _System:
    """The damped normal equations at one point.

    A step in mode k splits into a part in the range of ``U_k`` and one orthogonal to it.  Modes
    meet only in the first: the other is ``-g (G_k + mu*I)^-1``.  What is left has ``min(n_k, r)``
    rows in each mode, whatever the size of the data.
    """

    def __init__(self, factors: Factors, products: Factors, l2: float) -> None:
        self.factors, self.l2 = factors, l2
        self.d, self.rank = len(factors), factors[0].shape[1]
        grams = [u.T @ u for u in factors]
        self.model2 = float(np.prod(grams, axis=0).sum())
        self.without = {
            (j, k): np.prod(
                [g for i, g in enumerate(grams) if i not in (j, k)],
                axis=0,
                initial=1.0,
            )
            * np.ones((self.rank, self.rank))
            for j in range(self.d)
            for k in range(j, self.d)
        }
        self.slopes = [
            u @ self.without[k, k] - m + l2 * u
            for k, (u, m) in enumerate(zip(factors, products, strict=True))
        ]
        self.gradient = max(
            float(np.linalg.norm(g)) / (float(np.linalg.norm(m)) or 1.0)
            for g, m in zip(self.slopes, products, strict=True)
        )
        self.size = max(float(np.diagonal(self.without[k, k]).max()) for k in range(self.d)) or 1.0
        self.bases: list[np.ndarray | None] = []
        self.small: Factors = []
        for u in factors:
            q, r = np.linalg.qr(u) if len(u) > self.rank else (None, u)
            self.bases.append(q)
            self.small.append(r)
        self.inner = [
            g if q is None else q.T @ g for q, g in zip(self.bases, self.slopes, strict=True)
        ]
        self.ends = np.cumsum([0, *(len(u) * self.rank for u in self.small)])
        self._matrix: np.ndarray | None = None

    def growth(self) -> float:
        """The size of components, relative to that of the model."""
        return growth(component_norms(self.factors), self.model2)

    def step(self, damping: float) -> Factors:
        shift = damping + self.l2
        if self.ends[-1] <= MOST_DENSE:
            inside = self._factorised(shift)
        else:
            inside = self._by_products(shift)
        made = []
        for k, (q, p, g) in enumerate(zip(self.bases, inside, self.slopes, strict=True)):
            if q is None:
                made.append(p)
                continue
            outside = g - q @ self.inner[k]
            made.append(q @ p - _solved(self.without[k, k], shift, outside))
        return made if self.l2 else self._without_scales(made)

    def _without_scales(self, step: Factors) -> Factors:
        """A step less what only moves scales between modes.

        Along these directions the loss is constant, so the step is orthogonal to them: the parts
        ``p_k' u_k`` of a component are equal in all modes.  What is not is rounding errors,
        divided by nothing but the damping.
        """
        parts = np.stack([np.sum(p * u, axis=0) for p, u in zip(step, self.factors, strict=True)])
        sizes = np.stack([np.sum(u * u, axis=0) for u in self.factors])
        if not sizes.all():
            return step
        common = np.sum(parts / sizes, axis=0) / np.sum(1 / sizes, axis=0)
        moves = (common - parts) / sizes
        return [p + m * u for p, m, u in zip(step, moves, self.factors, strict=True)]

    def predicted(self, step: Factors, damping: float) -> float:
        """By how much half the loss falls in the quadratic model."""
        slope = sum(float(np.vdot(g, p)) for g, p in zip(self.slopes, step, strict=True))
        length2 = sum(float(np.linalg.norm(p)) ** 2 for p in step)
        return -0.5 * slope + 0.5 * damping * length2

    def _factorised(self, shift: float) -> Factors:
        from scipy.linalg import get_lapack_funcs

        if self._matrix is None:
            self._matrix = self._dense()
        shifted = self._matrix.copy()
        shifted[np.diag_indices_from(shifted)] += shift
        right = -np.concatenate([g.reshape(-1) for g in self.inner])
        potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (shifted,))
        while True:
            lower, info = potrf(shifted, lower=1)
            if info == 0:
                return self._parts(potrs(lower, right, lower=1)[0])
            # Damping below the rounding errors of the matrix.
            shifted = self._matrix.copy()
            shift = max(10 * shift, EPSILON * float(np.trace(shifted)))
            shifted[np.diag_indices_from(shifted)] += shift

    def _dense(self) -> np.ndarray:
        """``J'J`` of the reduced model."""
        made = np.empty((self.ends[-1], self.ends[-1]))
        for (j, k), gram in self.without.items():
            a, b = self.small[j], self.small[k]
            if j == k:
                block = np.kron(np.eye(len(a)), gram)
            else:
                block = np.einsum("st,it,ls->islt", gram, a, b).reshape(a.size, b.size)
            rows = slice(self.ends[j], self.ends[j + 1])
            columns = slice(self.ends[k], self.ends[k + 1])
            made[rows, columns] = block
            made[columns, rows] = block.T
        return made

    def _parts(self, flat: np.ndarray) -> Factors:
        return [
            flat[self.ends[k] : self.ends[k + 1]].reshape(u.shape) for k, u in enumerate(self.small)
        ]

    def times(self, parts: Factors) -> Factors:
        """``J'J`` times a step."""
        made = [p @ self.without[k, k] for k, p in enumerate(parts)]
        mixed = [p.T @ u for p, u in zip(parts, self.small, strict=True)]
        for k in range(self.d):
            for j in range(self.d):
                if j != k:
                    gram = self.without[min(j, k), max(j, k)]
                    made[k] = made[k] + self.small[k] @ (gram * mixed[j])
        return made

    def _by_products(self, shift: float) -> Factors:
        """Conjugate gradients, preconditioned by the blocks of the modes."""
        inverses = [
            np.linalg.inv(self.without[k, k] + shift * np.eye(self.rank)) for k in range(self.d)
        ]

        def eased(flat: np.ndarray) -> np.ndarray:
            pairs = zip(self._parts(flat), inverses, strict=True)
            return np.concatenate([(p @ i).reshape(-1) for p, i in pairs])

        z = np.zeros(self.ends[-1])
        r = -np.concatenate([g.reshape(-1) for g in self.inner])
        y = eased(r)
        p, ry = y, float(r @ y)
        target = ACCURACY**2 * ry
        for _ in range(MOST_PRODUCTS):
            if ry <= target or ry == 0:
                break
            image = np.concatenate([a.reshape(-1) for a in self.times(self._parts(p))]) + shift * p
            curvature = float(p @ image)
            if curvature <= 0:
                break
            z = z + (ry / curvature) * p
            r = r - (ry / curvature) * image
            y = eased(r)
            old, ry = ry, float(r @ y)
            p = y + (ry / old) * p
        return self._parts(z)


def _solved(gram: np.ndarray, shift: float, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(gram + shift * np.eye(len(gram)), right.T).T

"""The Gauss-Newton method with damping, for sums of squares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tensorcalculus.calculus.derivative import jacobian, jvp, vjp
from tensorcalculus.errors import InputError
from tensorcalculus.expr.combination import add, scale, zeros
from tensorcalculus.expr.node import Expr, Shape, Variable, variables_of
from tensorcalculus.optimize.bound import Function, prepare
from tensorcalculus.optimize.monitor import EPSILON, Monitor
from tensorcalculus.optimize.newton import conjugate_gradients, solve_shifted, spread
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.problem import Problem, Products
from tensorcalculus.optimize.squares import EXPECTED, Square, squares
from tensorcalculus.simplify.engine import simplify

MOST_DENSE = 300
"""Unknowns up to which the matrix is made and factorised; above it is only multiplied."""

FIRST_DAMPING = 1e-3


def gauss_newton(problem: Problem, monitor: Monitor, x: Array) -> None:
    """Levenberg-Marquardt (Nocedal and Wright, Sec. 10.3; damping by Nielsen 1999).

    For ``f = sum_k w_k r_k^2 + const`` a step solves ``(2 J'*W*J + mu*I) p = -g``.  The matrix
    ``2 J'*W*J`` is a formula: of least squares it is ``2*X'*X``.
    """
    terms = squares(problem.f, set(problem.names))
    _check_weights(problem, terms)
    matrix = _matrices(problem, terms) if problem.packing.size <= MOST_DENSE else None
    products = None if matrix else Products(problem, lambda d: _along(problem, terms, d))
    f, g = problem.value_gradient(x)
    monitor.start(x, f, g)
    damping, growth = 0.0, 2.0
    while True:
        free = problem.free(x, g)
        inner = g if free is None else g[free]
        if matrix:
            A = problem.matrix(*matrix, x)
            product = A.__matmul__
            size = float(np.diagonal(A).max(initial=0.0))
        else:
            assert products is not None
            product, A = products.at(x), None
            size = float(g @ product(g)) / (float(g @ g) or 1.0)
        if not np.isfinite(size):
            monitor.stalled(x, f, g)
        damping = damping or FIRST_DAMPING * (size or 1.0)
        while True:
            if A is not None:
                inside = A if free is None else A[np.ix_(free, free)]
                shifted = inside + damping * np.eye(len(inside))
                step = spread(
                    solve_shifted(shifted, -inner, 0.0)[0] if len(inner) else -inner, free
                )
            else:
                step = _by_products(product, damping, g, free)
            y = problem.clipped(x + step)
            moved = y - x
            predicted = -float(g @ moved) - 0.5 * float(moved @ product(moved))
            fy, gy = problem.value_gradient(y)
            finite = np.isfinite(fy) and np.isfinite(gy).all()
            noise = monitor.rounding(f)
            gain = (f - fy) / predicted if finite and predicted > 0 else -1.0
            if finite and abs(predicted) <= noise:
                if fy <= f + noise and monitor.norm(y, gy) < 0.9 * monitor.norm(x, g):
                    break
                if damping <= size and np.array_equal(y, x + step):
                    monitor.exhausted(x, f, g)
            if gain > 1e-4:
                break
            damping, growth = damping * growth, 2 * growth
            if damping > 1e30 * (size or 1.0) or np.array_equal(x, y):
                monitor.stalled(x, f, g)
        damping *= max(1 / 3, 1 - (2 * min(gain, 1.0) - 1) ** 3)
        damping, growth = max(damping, EPSILON * size), 2.0
        x, f, g = y, fy, gy
        monitor.step(x, f, g)


def _by_products(product, damping: float, g: Array, free: Array | None) -> Array:
    inner = g if free is None else np.where(free, g, 0.0)

    def times(v: Array) -> Array:
        whole = product(v) + damping * v
        return whole if free is None else np.where(free, whole, 0.0)

    return conjugate_gradients(times, -inner, 1e-3)[0]


def _matrices(problem: Problem, terms: list[Square]) -> tuple[Function, list[tuple[int, int]]]:
    """The function that computes the blocks of ``2 J'*W*J`` on and above the diagonal."""
    jacobians = [[_jacobian(t.residual, v) for v in problem.variables] for t in terms]

    def block(a: int, b: int) -> Expr:
        parts = [t.weighted(J[a], J[b]) for t, J in zip(terms, jacobians, strict=True)]
        return simplify(
            scale(2, _sum(parts, problem.variables[a].shape + problem.variables[b].shape))
        )

    pairs, blocks = problem.blocks(block)
    roots, known = prepare(blocks, problem.names, problem.data, problem.sizes)
    return Function(roots, problem.names, known, problem.sizes), pairs


def _along(
    problem: Problem, terms: list[Square], directions: Mapping[Variable, Expr]
) -> list[Expr]:
    """``2 J'*W*J`` times the directions, by variable."""
    results: list[list[Expr]] = [[] for _ in problem.variables]
    for t in terms:
        there = variables_of(t.residual).values()
        tangent = jvp(t.residual, {v: d for v, d in directions.items() if v in there})  # type: ignore[arg-type]
        cotangent = scale(2, t.applied(tangent))
        for parts, v in zip(results, problem.variables, strict=True):
            if v in there:
                pulled = vjp(t.residual, {v: cotangent})  # type: ignore[dict-item]
                assert isinstance(pulled, Expr)
                parts.append(pulled)
    return [
        simplify(_sum(parts, v.shape)) for parts, v in zip(results, problem.variables, strict=True)
    ]


def _jacobian(residual: Expr, v: Variable) -> Expr:
    if v not in variables_of(residual).values():
        return zeros(residual.shape + v.shape)
    return jacobian(residual, v)


def _sum(parts: list[Expr], shape: Shape) -> Expr:
    return add([(1, e) for e in parts]) if parts else zeros(shape)


def _check_weights(problem: Problem, terms: list[Square]) -> None:
    """InputError where a weight is negative."""
    if not terms:
        return
    values = Function([t.weight for t in terms], [], problem.data, problem.sizes)([])
    for t, w in zip(terms, values, strict=True):
        w = np.asarray(w)
        low = np.linalg.eigvalsh((w + w.T) / 2).min() if t.is_matrix else w.min(initial=0.0)
        if not low >= -1e3 * EPSILON * float(np.abs(w).max(initial=0.0)):
            raise InputError(
                f"gauss-newton: the squares of {t.residual} have the weight {t.weight}, which is "
                f"negative ({low:.3g}); {EXPECTED}"
            )

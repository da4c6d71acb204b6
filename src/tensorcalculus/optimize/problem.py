"""The function of one vector that the methods see: value, gradient, Hessian and its products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tensorcalculus.calculus.derivative import gradient, jacobian, jvp, project
from tensorcalculus.errors import TensorCalculusError
from tensorcalculus.expr.combination import add, zeros
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.node import Combination, Expr, Variable, variables_of
from tensorcalculus.optimize.bound import Function, hoisted, prepare
from tensorcalculus.optimize.packing import Array, Packing
from tensorcalculus.simplify.engine import simplify

PRODUCTS = 10
"""Hessian products expected at one point, by which their invariant parts are weighed."""

CHEAP = 10
"""Evaluations of value and gradient that one of the Hessian's diagonal may cost."""

_FAILURES = (ValueError, np.linalg.LinAlgError, ArithmeticError)
"""What evaluation raises where the function has no value; InputError is a ValueError."""


# Derivatives are kept for the next minimisation of the same function with other data.


@lru_cache(maxsize=64)
def gradients(f: Expr, variables: tuple[Variable, ...]) -> list[Expr]:
    """The gradient by each variable."""
    return [gradient(f, v) for v in variables]


@lru_cache(maxsize=256)
def second(g: Expr, variable: Variable) -> Expr:
    """A gradient's derivative."""
    return jacobian(g, variable)


@lru_cache(maxsize=64)
def along(f: Expr, directions: tuple[tuple[Variable, Expr], ...]) -> list[Expr]:
    """The derivative of each gradient along the directions of all variables."""
    variables = tuple(v for v, _ in directions)
    return [
        simplify(project(jvp(g, dict(directions)), 0, v))  # type: ignore[arg-type]
        for g, v in zip(gradients(f, variables), variables, strict=True)
    ]


class Problem:
    """A scalar expression, its data, and the variables that change."""

    def __init__(
        self,
        f: Expr,
        variables: Sequence[Variable],
        data: Mapping[str, Any],
        sizes: Mapping[str, int],
        packing: Packing,
        lower: Array | None,
        upper: Array | None,
    ) -> None:
        self.f = f
        self.variables = list(variables)
        self.names = [v.name for v in variables]
        self.data = dict(data)
        self.sizes = dict(sizes)
        self.packing = packing
        self.lower, self.upper = lower, upper
        self.evaluations = 0
        self.gradients = gradients(f, tuple(variables))
        roots, known = prepare([f, *self.gradients], self.names, self.data, self.sizes)
        self._value_gradient = Function(roots, self.names, known, self.sizes)
        self._hessian: tuple[Function, list[tuple[int, int]]] | None = None
        self._products: Products | None = None
        self._diagonal: Function | None = None

    # -- derivatives -----------------------------------------------------------------------------

    def value_gradient(self, x: Array) -> tuple[float, Array]:
        """Value and gradient; an infinite value where the function has none."""
        self.evaluations += 1
        try:
            value, *parts = self._value_gradient(self.packing.unpack(x))
        except _FAILURES:
            return np.inf, np.full(self.packing.size, np.nan)
        g = self.packing.pack(parts)
        value = float(value)
        # A finite sum has finite terms; one infinity or NaN shows in it.
        if not np.isfinite(value) or not np.isfinite(g.sum()):
            return (np.inf if not np.isfinite(value) or not np.isfinite(g).all() else value), g
        return value, g

    def hessian(self, x: Array) -> Array:
        """The matrix of second derivatives by all free entries."""
        return self.matrix(*self.compile_hessian(), x)

    def compile_hessian(self) -> tuple[Function, list[tuple[int, int]]]:
        """The function that computes the Hessian's blocks, and which they are."""
        if self._hessian is None:
            pairs, blocks = self.blocks(lambda a, b: second(self.gradients[a], self.variables[b]))
            roots, known = prepare(blocks, self.names, self.data, self.sizes)
            self._hessian = Function(roots, self.names, known, self.sizes), pairs
        return self._hessian

    def plain_value(self, x: Array) -> float:
        """The value as the function gives it, infinite or not a number; InputError included."""
        return self.f(**self.data, **self.packing.named(x), **self._told())

    def _told(self) -> dict[str, int]:
        """Sizes that stand on no variable, which a call needs by name."""
        return {s: self.sizes[s] for s in self.f._program().free_symbols}

    def blocks(self, block: Callable[[int, int], Expr]) -> tuple[list[tuple[int, int]], list[Expr]]:
        """The blocks on and above the diagonal of a symmetric matrix."""
        count = len(self.variables)
        pairs = [(a, b) for a in range(count) for b in range(a, count)]
        return pairs, [block(a, b) for a, b in pairs]

    def matrix(self, function: Function, pairs: list[tuple[int, int]], x: Array) -> Array:
        """The symmetric matrix of the blocks that a function computes; NaN where it fails."""
        try:
            blocks = function(self.packing.unpack(x))
        except _FAILURES:
            return np.full((self.packing.size, self.packing.size), np.nan)
        return self.packing.pack_matrix(dict(zip(pairs, blocks, strict=True)))

    def product(self, x: Array) -> Callable[[Array], Array]:
        """The map from a direction to the Hessian at ``x`` times it."""
        if self._products is None:
            self._products = Products(self, lambda d: along(self.f, tuple(d.items())))
        return self._products.at(x)

    def compile_diagonal(self) -> bool:
        """Whether the diagonal of the Hessian is known as a formula that is cheap to evaluate."""
        if not all(layout.plain for layout in self.packing.layouts):
            return False
        try:
            diagonals = [
                _diagonal(second(g, v)) for g, v in zip(self.gradients, self.variables, strict=True)
            ]
        except TensorCalculusError:
            return False
        roots, known = prepare(diagonals, self.names, self.data, self.sizes)
        found = Function(roots, self.names, known, self.sizes)
        if found.flops > CHEAP * self._value_gradient.flops:
            return False
        self._diagonal = found
        return True

    def diagonal(self, x: Array) -> Array:
        """The diagonal of the Hessian, once it is compiled; NaN where it fails."""
        assert self._diagonal is not None
        try:
            return self.packing.pack(self._diagonal(self.packing.unpack(x)))
        except _FAILURES:
            return np.full(self.packing.size, np.nan)

    # -- bounds ----------------------------------------------------------------------------------

    def named(self, x: Array) -> dict[str, Array]:
        """The variables at a point."""
        return self.packing.named(x)

    def clipped(self, x: Array) -> Array:
        """The nearest point within the bounds."""
        if self.lower is None or self.upper is None:
            return x
        return np.minimum(np.maximum(x, self.lower), self.upper)

    def projected_gradient(self, x: Array, g: Array) -> Array:
        """``x - P(x - g)``: zero where the first-order conditions hold."""
        if self.lower is None:
            return g
        return x - self.clipped(x - g)

    def free(self, x: Array, g: Array) -> Array | None:
        """Which entries are not held by a bound that the gradient points out of; None: all.

        Entries within a small distance of the bound are held as well, which keeps a projected
        Newton step from zigzagging (Bertsekas 1982, eq. 32).
        """
        if self.lower is None or self.upper is None:
            return None
        near = min(1e-6, float(np.abs(self.projected_gradient(x, g)).max(initial=0.0)))
        held = ((x <= self.lower + near) & (g > 0)) | ((x >= self.upper - near) & (g < 0))
        return ~held if held.any() else None


def _diagonal(H: Expr) -> Expr:
    """The diagonal of a matrix between two tensors of one shape, term by term: of a product it is
    a smaller product, and the matrix is never made.
    """
    axes = tuple(range(H.ndim // 2))
    terms = zip(H.coefficients, H.terms, strict=True) if isinstance(H, Combination) else [(1, H)]
    parts = [(c, contract([(t, axes * 2)], axes)) for c, t in terms]
    return simplify(add(parts)) if parts else zeros(H.shape[: len(axes)])


class Products:
    """Products of a symmetric matrix that depends on the point with directions.

    What depends on the data alone is computed once, what depends on the point once a point.
    """

    def __init__(
        self, problem: Problem, along: Callable[[Mapping[Variable, Expr]], list[Expr]]
    ) -> None:
        self.packing = problem.packing
        taken = set(variables_of(problem.f)) | set(problem.names)
        directions: dict[Variable, Expr] = {}
        for variable in problem.variables:
            name = f"d{variable.name}"
            while name in taken:
                name += "_"
            taken.add(name)
            directions[variable] = Variable(name, variable.shape)
        moving = [d.name for d in directions.values()]  # type: ignore[attr-defined]
        names = [*problem.names, *moving]
        roots, known = prepare(along(directions), names, problem.data, problem.sizes)
        roots, parts = hoisted(roots, moving, problem.sizes, prefix="p", repetitions=PRODUCTS)
        self._point: Function | None = None
        if parts:
            self._point = Function(list(parts.values()), problem.names, known, problem.sizes)
        names = [*problem.names, *(p.name for p in parts), *moving]
        self._product = Function(roots, names, known, problem.sizes)

    def at(self, x: Array) -> Callable[[Array], Array]:
        """The product with directions at one point; directions that have none give NaN."""
        fixed: list[Any] = self.packing.unpack(x)
        try:
            if self._point is not None:
                fixed += self._point(fixed)
        except _FAILURES:
            return lambda v: np.full(len(v), np.nan)

        def product(v: Array) -> Array:
            try:
                return self.packing.pack(self._product([*fixed, *self.packing.unpack(v)]))
            except _FAILURES:
                return np.full(len(v), np.nan)

        return product

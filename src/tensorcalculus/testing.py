"""Hypothesis strategies for well-typed expressions over the whole table, and data for them.

Test your own code with them::

    from hypothesis import given
    from tensorcalculus.testing import expressions, values_for

    @given(expressions(shape=()))
    def test_my_transformation(f):
        values = values_for(f)
        assert my_transformation(f)(**values) == pytest.approx(f(**values))
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.expr import build
from tensorcalculus.expr.combination import add, scale
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import Dim, dim
from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.maps import apply, power
from tensorcalculus.expr.node import Expr, Number, Shape, Variable, variables_of
from tensorcalculus.expr.operations import matrix_functions, operation, spectral
from tensorcalculus.expr.operations.structural import index
from tensorcalculus.random_data import draw_sizes, draw_values

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

_LENGTHS = ("m", "n", "k", 2)
"""Lengths of axes: symbols, and a number, which contractions multiply out at once."""
_WHOLE = (0, None, 1)

_EVERYWHERE = (
    *("sin", "cos", "tanh", "arctan", "sigmoid", "softplus", "logcosh", "erf", "erfc"),
    *("arcsinh", "relu", "abs", "step", "sign"),
)
_STEEP = ["exp", "expm1", "sinh", "cosh", "tan"]
_POSITIVE = ["log", "log1p", "lgamma", "gamma", "digamma"]
_UNIT = ["arcsin", "arccos", "arctanh"]


def expressions(
    shape: tuple[Any, ...] | None = None,
    *,
    max_nodes: int = 12,
    max_order: int = 4,
    smooth: bool = False,
    decompositions: bool = True,
) -> SearchStrategy[Expr]:
    """Random expressions, finite and differentiable at almost every point.

    Parameters
    ----------
    shape
        Shape of the result, ``()`` for a scalar or ``("m", "n")``; any by default.
    max_nodes
        About how many functions and operations an expression holds.
    max_order
        The highest order of tensors inside, and of the result.
    smooth
        Leave out functions with kinks and jumps (``abs``, ``max``, ...).
    decompositions
        Use matrix functions and decompositions, in ways that do not depend on their gauge.
    """
    from hypothesis import strategies as st

    @st.composite
    def strategy(draw: DrawFn) -> Expr:
        grower = _Grower(draw, max_order, smooth, decompositions)
        if shape is None:
            order = draw(st.integers(0, max_order))
            wanted = tuple(grower.dimension() for _ in range(order))
        else:
            wanted = tuple(dim(d) for d in shape)
        result = grower.grow(wanted, grower.pick([*range(1, max_nodes), *[max_nodes] * max_nodes]))
        if not variables_of(result):
            result = build.times(result, grower.variable(wanted))
        return result

    return strategy()


def values_for(
    expression: Expr, seed: int = 0, sizes: dict[str, int] | None = None
) -> dict[str, Any]:
    """Arrays for all variables, and sizes that stand on none, where the expression is finite."""
    program = expression._program()
    chosen = draw_sizes(expression, sizes or {}, {}, seed)[0]
    free = {s: chosen[s] for s in program.free_symbols if s not in program.variables}
    for attempt in range(24):
        values = draw_values(expression, chosen, None, seed, attempt) | free
        try:
            with np.errstate(all="ignore"):
                if np.all(np.isfinite(program(values))):
                    return values
        except InputError:
            continue
    raise InputError("no point was found where the expression is finite")


class _Grower:
    """Grows an expression of a wanted shape, choosing with hypothesis at every step."""

    def __init__(self, draw: DrawFn, max_order: int, smooth: bool, decompositions: bool) -> None:
        from hypothesis import strategies as st

        self._draw, self._st = draw, st
        self.max_order = max_order
        self.smooth = smooth
        self.decompositions = decompositions
        self.count = 0
        self.pool: dict[Shape, list[Variable]] = {}

    # -- choices ---------------------------------------------------------------------------------

    def pick(self, options: Any) -> Any:
        return self._draw(self._st.sampled_from(list(options)))

    def upto(self, low: int, high: int) -> int:
        return self._draw(self._st.integers(low, high))

    def dimension(self) -> Dim:
        return dim(self.pick(_LENGTHS))

    def number(self) -> Fraction:
        return Fraction(self.pick([1, -1, 2, 3, -2]), self.pick([1, 1, 2, 3]))

    # -- leaves ----------------------------------------------------------------------------------

    def variable(self, shape: Shape) -> Variable:
        known = self.pool.setdefault(shape, [])
        choice = self.upto(0, min(len(known), 2))
        if choice < len(known):
            return known[choice]
        self.count += 1
        properties: list[str] = []
        if len(shape) == 2 and shape[0] is shape[1] and not known:
            properties = self.pick([[], [], ["sym"], ["spd"], ["diag"], ["tri"]])
        made = Variable(f"x{self.count}", shape, frozenset(properties))
        known.append(made)
        return made

    def leaf(self, shape: Shape) -> Expr:
        kind = self.upto(0, 7)
        if kind == 0:
            return build.broadcast(Number(self.number()), shape) if shape else Number(self.number())
        if kind == 1 and len(shape) == 2 and shape[0] is shape[1]:
            return build.eye(shape[0])
        return self.variable(shape)

    # -- growth ----------------------------------------------------------------------------------

    def grow(self, shape: Shape, budget: int) -> Expr:
        if budget <= 1:
            return self.leaf(shape)
        rules: list[Callable[[Shape, int], Expr]] = [
            self.mapped, self.summed, self.product, self.network, self.network, self.reduced,
            self.powered,
        ]  # fmt: skip
        if len(shape) < self.max_order:
            rules.append(self.sliced)
        if shape:
            rules += [self.along_axis, self.shaped, self.formatted]
        else:
            rules += [self.norm, self.scalar_of_matrix]
        if len(shape) == 2 and self.decompositions:
            rules.append(self.decomposed)
            if shape[0] is shape[1]:
                rules += [self.matrix_function, self.matrix_function]
        return self.pick(rules)(shape, budget - 1)

    def parts(self, budget: int, count: int) -> list[int]:
        """A budget split over several operands."""
        return [max(1, budget // count + (j < budget % count)) for j in range(count)]

    def bounded(self, e: Expr) -> Expr:
        """``e`` kept in (-1, 1), so that steep functions of functions stay in range."""
        return apply(self.pick(["sin", "tanh"]), e)

    def positive(self, e: Expr) -> Expr:
        how = self.upto(0, 2)
        if how == 0:
            return build.plus(Number(Fraction(1, 2)), power(e, 2))
        return apply("softplus" if how == 1 else "exp", self.bounded(e))

    def mapped(self, shape: Shape, budget: int) -> Expr:
        kind = self.upto(0, 9)
        if kind <= 4:
            names = [n for n in _EVERYWHERE if FUNCTIONS[n].analytic or not self.smooth]
            return apply(self.pick(names), self.grow(shape, budget))
        if kind == 5:
            return apply(self.pick(_STEEP), self.bounded(self.grow(shape, budget)))
        if kind == 6:
            name, inner = self.pick(_POSITIVE), self.grow(shape, budget)
            return apply(name, self.positive(self.bounded(inner) if "gamma" in name else inner))
        if kind == 7:
            inner = scale(Fraction(4, 5), self.bounded(self.grow(shape, budget)))
            return apply(self.pick(_UNIT), inner)
        if kind == 8:
            above = build.plus(Number(Fraction(5, 4)), power(self.grow(shape, budget), 2))
            return apply("arccosh", above)
        return self.pair(shape, budget)

    def pair(self, shape: Shape, budget: int) -> Expr:
        """A function of two arguments, one of them perhaps a scalar."""
        names = ["xlogy", "arctan2", "pow", *([] if self.smooth else ["maximum", "minimum"])]
        name, (first, second) = self.pick(names), self.parts(budget, 2)
        left = self.grow(() if self.upto(0, 3) == 0 else shape, first)
        right = self.grow(shape if left.shape != shape or self.upto(0, 3) else (), second)
        if name == "arctan2":
            return apply(name, left, self.positive(right))
        if name == "xlogy":
            return apply(name, left, self.positive(right))
        if name == "pow":
            return apply(name, self.positive(left), self.bounded(right))
        return apply(name, left, right)

    def summed(self, shape: Shape, budget: int) -> Expr:
        sizes = self.parts(budget, self.upto(2, 3))
        return add([(self.number(), self.grow(shape, b)) for b in sizes])

    def product(self, shape: Shape, budget: int) -> Expr:
        first, second = self.parts(budget, 2)
        a = self.grow(shape, first)
        b = self.grow(shape if self.upto(0, 2) else (), second)
        if self.upto(0, 3) == 0:
            return build.over(a, self.positive(b))
        return build.times(a, b)

    def powered(self, shape: Shape, budget: int) -> Expr:
        e = self.grow(shape, budget)
        p = self.pick([2, 3, 4, -1, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(3, 2)])
        return power(e if p in (2, 3, 4) else self.positive(e), p)

    def network(self, shape: Shape, budget: int) -> Expr:
        """Operands joined along random labels: repeated, broadcast and hyper indices included."""
        out: list[int] = []
        dims: dict[int, Dim] = {}
        for d in shape:
            same = [i for i in out if dims[i] is d]
            if same and self.upto(0, 4) == 0:
                out.append(self.pick(same))  # along a diagonal
            else:
                dims[len(dims)] = d
                out.append(len(dims) - 1)
        for _ in range(self.upto(0, 2)):
            dims[len(dims)] = self.dimension()
        factors = []
        for b in self.parts(budget, self.upto(1, 3)):
            legs = [self.pick(list(dims)) for _ in range(self.upto(0, min(3, self.max_order)))
                    if dims]  # fmt: skip
            factors.append((self.grow(tuple(dims[i] for i in legs), b), tuple(legs)))
        return contract(factors, tuple(out), dims)

    def reduced(self, shape: Shape, budget: int) -> Expr:
        """The last axis of a larger tensor summed, averaged, or reduced by an operation."""
        if len(shape) >= self.max_order:
            return self.summed(shape, budget)
        inner = self.grow((*shape, self.dimension()), budget)
        kinds = ["sum", "mean", "var", "logsumexp", "prod", *([] if self.smooth else ["max"])]
        kind = self.pick(kinds)
        if kind == "prod":
            return operation("prod", inner, params=(0,))
        if kind in ("logsumexp", "max"):
            return operation(kind, inner)
        rule = {"sum": build.total, "mean": build.mean, "var": build.variance}[kind]
        return rule(inner, -1)

    def along_axis(self, shape: Shape, budget: int) -> Expr:
        kind = self.pick(["softmax", "log_softmax", "cumsum", "reverse"])
        inner = self.grow(shape, budget)
        if kind == "softmax":
            return operation("softmax", inner)
        if kind == "log_softmax":
            return build.log_softmax(inner)
        if kind == "cumsum":
            return operation("cumsum", inner, params=(self.upto(0, 1),))
        return index(inner, (*[_WHOLE] * (len(shape) - 1), (-1, None, -1)))

    def sliced(self, shape: Shape, budget: int) -> Expr:
        """One entry, or a stretch, of a larger axis."""
        place = self.upto(0, len(shape))
        if shape and place < len(shape) and self.upto(0, 1):
            shape_inside = (*shape[:place], shape[place] + 1, *shape[place + 1 :])
            stretch = self.pick([(1, None, 1), (0, dim(-1), 1)])
            return index(self.grow(shape_inside, budget), (*[_WHOLE] * place, stretch))
        d = self.dimension()
        inner = self.grow((*shape[:place], d, *shape[place:]), budget)
        return index(inner, (*[_WHOLE] * place, self.pick([0, 1, -1])))

    def shaped(self, shape: Shape, budget: int) -> Expr:
        """Axes merged and split again, axes exchanged, entries written into zeros."""
        kind = self.pick(["transpose", "split", "embed", "merge"])
        if kind == "transpose":
            order = list(range(len(shape)))
            order = self._draw(self._st.permutations(order))
            inner = self.grow(tuple(shape[order.index(k)] for k in range(len(shape))), budget)
            return build.transpose(inner, order)
        if kind == "embed":
            wide = (*shape[:-1], shape[-1] + 1)
            items = (*[_WHOLE] * (len(shape) - 1), (1, None, 1))
            placed = operation("embed", self.grow(shape, budget), params=(items, wide))
            return index(placed, (*[_WHOLE] * (len(shape) - 1), (0, dim(-1), 1)))
        count = dim(1)
        for d in shape:
            count = count * d
        if kind == "merge" or len(shape) < 2:
            d = self.dimension()
            if len(shape) >= self.max_order:
                return self.summed(shape, budget)
            flat = build.reshape(self.grow((d, *shape), budget), (d * count,))
            return index(build.reshape(flat, (*shape, d)), (*[_WHOLE] * len(shape), 0))
        flat = build.reshape(self.grow(shape[::-1], budget), (count,))
        return build.reshape(flat, shape)

    def formatted(self, shape: Shape, budget: int) -> Expr:
        """Outer, Kronecker and Khatri-Rao products, tensor formats, convolutions."""
        n = len(shape)
        kinds = ["outer", "cp", "conv"] + (["tucker", "tt", "kron", "khatrirao"] if n >= 2 else [])
        kind = self.pick(kinds)
        r = self.dimension()
        if kind == "outer":
            cut = self.upto(0, n)
            first, second = self.parts(budget, 2)
            return build.outer(self.grow(shape[:cut], first), self.grow(shape[cut:], second))
        if kind == "cp":
            sizes = self.parts(budget, n)
            return build.cp(*(self.grow((d, r), b) for d, b in zip(shape, sizes, strict=True)))
        if kind == "tucker":
            ranks = tuple(self.dimension() for _ in shape)
            core, *sizes = self.parts(budget, n + 1)
            factors = [self.grow((d, q), b) for d, q, b in zip(shape, ranks, sizes, strict=True)]
            return build.tucker(self.grow(ranks, core), *factors)
        if kind == "tt":
            ranks = [self.dimension() for _ in range(n - 1)]
            cores = []
            for k, b in enumerate(self.parts(budget, n)):
                left, right = ranks[k - 1 : k] if k else [], ranks[k : k + 1]
                cores.append(self.grow((*left, shape[k], *right), b))
            return build.tt(*cores)
        first, second = self.parts(budget, 2)
        if kind == "conv":
            lead = shape[1:] if n <= 2 else ()
            if lead or n > 2:
                return self.along_axis(shape, budget)
            w = dim(2)
            return build.conv(self.grow((shape[0] + 1,), first), self.grow((w,), second))
        if kind == "kron":
            a, b = self.grow((shape[0], r), first), self.grow((shape[1], r), second)
            joined = build.kron(a, b)  # (p*q, r*r)
            split = build.reshape(joined, (shape[0], shape[1], r, r))
            return self.fitted(contract([(split, "pqrr")], "pq"), shape, budget)
        a, b = self.grow((shape[0], r), first), self.grow((shape[1], r), second)
        joined = build.khatrirao(a, b)
        split = build.reshape(build.total(joined, 1), (shape[0], shape[1]))
        return self.fitted(split, shape, budget)

    def fitted(self, e: Expr, shape: Shape, budget: int) -> Expr:
        """A matrix spread over the axes that a larger shape has behind it."""
        names = tuple(range(len(shape)))
        return contract([(e, names[:2])], names, dict(zip(names, shape, strict=True)))

    def norm(self, shape: Shape, budget: int) -> Expr:
        order = self.upto(1, min(3, self.max_order))
        inner = self.grow(tuple(self.dimension() for _ in range(order)), budget)
        kinds = ["norm2", "square", "softplus", "quadratic", *([] if self.smooth else ["norm1"])]
        kind = self.pick(kinds)
        if kind == "norm1":
            return build.norm1(inner)
        if kind == "norm2":
            return build.norm2(inner)
        if kind == "quadratic":
            return build.inner(inner, self.grow(inner.shape, 1))
        return build.total(power(inner, 2) if kind == "square" else apply(kind, inner))

    # -- matrices --------------------------------------------------------------------------------

    def definite(self, d: Dim, budget: int) -> Expr:
        """``B*B'+I`` for a bounded ``B``."""
        b = self.bounded(self.grow((d, self.dimension()), budget))
        return build.plus(build.matmul(b, b.T), build.eye(d))

    def regular(self, d: Dim, budget: int) -> Expr:
        """A matrix that is far from singular but not symmetric."""
        b = self.bounded(self.grow((d, d), budget))
        return build.plus(scale(Fraction(1, 4), b), scale(2, build.eye(d)))

    def scalar_of_matrix(self, shape: Shape, budget: int) -> Expr:
        d = self.dimension()
        kinds = ["tr", "det", "logdet", "cofactor"]
        if self.decompositions:
            kinds += ["nuclear", "eigenvalues"]
        kind = self.pick(kinds)
        if kind == "tr":
            return build.trace(self.grow((d, d), budget))
        if kind == "nuclear":
            inner = self.grow((d, self.dimension()), budget)
            values = operation("svdvals", self.spread(inner))
            return build.total(apply(self.pick(["tanh", "logcosh", "softplus"]), values))
        if kind == "eigenvalues":
            values = operation("eigvalsh", self.grow((d, d), budget))
            return build.total(apply(self.pick(["tanh", "sin", "softplus"]), values))
        if kind == "cofactor":
            return build.total(operation("cofactor", self.regular(d, budget)))
        return operation(kind, self.regular(d, budget))

    def spread(self, e: Expr) -> Expr:
        """``e`` plus a fresh variable: of full rank, with simple singular values."""
        self.count += 1
        return build.plus(self.bounded(e), Variable(f"x{self.count}", e.shape))

    def matrix_function(self, shape: Shape, budget: int) -> Expr:
        d = shape[0]
        names = ["inv", "cofactor", "chol", "expm", "logm", "sqrtm", "spectral", "solve", "power",
                 "frechet"]  # fmt: skip
        name = self.pick(names)
        if name == "inv" or name == "cofactor":
            return operation(name, self.regular(d, budget))
        if name == "chol":
            return operation("chol", self.definite(d, budget))
        if name == "solve":
            first, second = self.parts(budget, 2)
            inverse = operation("inv", self.regular(d, first))
            return build.matmul(inverse, self.grow(shape, second))
        if name == "power":
            return build.matrix_power(self.regular(d, budget), self.pick([2, 3, 5, -2]))
        if name == "spectral":
            t = matrix_functions.placeholder()
            f = self.pick([apply("tanh", t), power(t, 3), apply("sin", t) + t])
            return matrix_functions.spectral(f, self.grow(shape, budget))
        if name == "expm":
            return operation("expm", self.bounded(self.grow(shape, budget)))
        if name == "frechet":
            first, second = self.parts(budget, 2)
            at, direction = self.definite(d, first), self.grow(shape, second)
            return operation("frechet", at, direction, params=(self.pick(["expm", "sqrtm"]),))
        inner = self.regular(d, budget) if self.upto(0, 1) else self.definite(d, budget)
        return operation(name, inner)

    def decomposed(self, shape: Shape, budget: int) -> Expr:
        """Factors of a decomposition put together again so that their gauge cancels."""
        a = self.spread(self.grow(shape, budget))
        kinds = ["svd", "polar", "qr_Q", "qr_R", "pinv", "projector"]
        if shape[0] is shape[1]:
            kinds += ["eigh", "top"]
        kind = self.pick(kinds)
        if kind in ("eigh", "top"):
            d, v = spectral.eigh(a)
            if kind == "top":
                first = index(v, (_WHOLE, -1))
                return build.outer(first, first)
            return contract([(v, "ia"), (apply("tanh", d), "a"), (v, "ja")], "ij")
        if kind == "pinv":
            return operation("pinv", a.T)
        if kind.startswith("qr"):
            q, r = spectral.qr(a)
            square = contract([(q, "ia"), (q, "ja")], "ij")
            if kind == "qr_Q":
                return build.matmul(square, a)
            return build.matmul(q, apply("sin", r))
        u, s, v = spectral.svd(a)
        if kind == "projector":
            return build.matmul(contract([(u, "ia"), (u, "ja")], "ij"), apply("sin", a))
        middle = apply("tanh", s) if kind == "svd" else build.ones(s.shape[0])
        return contract([(u, "ia"), (middle, "a"), (v, "ja")], "ij")

"""Sums of squares recognised in an expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensorcalculus.errors import InputError
from tensorcalculus.expr.combination import scale
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import power
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Scalar,
    Variable,
    walk,
)
from tensorcalculus.simplify.engine import simplify

EXPECTED = (
    "a sum of squares is expected: norm2(r)^2, sum(r.^2), r'*r, sum(w.*r.^2) or r'*Q*r with "
    "weights w or a matrix Q from the data, such terms times positive numbers, and sums of them"
)


@dataclass(frozen=True, slots=True)
class Square:
    """``sum(weight.*residual.^2)``, or ``residual'*weight*residual`` where it is a matrix."""

    residual: Expr
    weight: Expr
    """A number, a tensor over labels of the residual, or a matrix; without the variables."""
    legs: tuple[int, ...]
    """The axes of the residual that the weight stands on; two more than it has: a matrix."""

    @property
    def is_matrix(self) -> bool:
        return self.residual.ndim == 1 and self.legs == (0, 1)

    def weighted(self, left: Expr, right: Expr) -> Expr:
        """``sum(weight.*left.*right)`` over the axes of the residual, which come first in both."""
        n = self.residual.ndim
        a = [("a", k) for k in range(n)]
        b = [("b", k) for k in range(n)] if self.is_matrix else a
        weight = [a[0], b[0]] if self.is_matrix else [a[k] for k in self.legs]
        u = [("u", k) for k in range(left.ndim - n)]
        v = [("v", k) for k in range(right.ndim - n)]
        return contract([(left, a + u), (self.weight, weight), (right, b + v)], u + v)

    def applied(self, tangent: Expr) -> Expr:
        """``weight.*tangent``, or the matrix times it: the cotangent of a tangent, halved."""
        n = self.residual.ndim
        a = list(range(n))
        if self.is_matrix:
            return contract([(self.weight, (0, 1)), (tangent, (1,))], (0,))
        return contract([(self.weight, self.legs), (tangent, a)], a)


def squares(f: Expr, names: set[str]) -> list[Square]:
    """The terms of ``f`` that depend on ``names``, as squares; InputError where one is none."""
    changing: set[Expr] = set()
    for node in walk(simplify(f)):
        own = isinstance(node, Variable) and node.name in names
        if own or any(c in changing for c in node.children):
            changing.add(node)
    return list(_terms(simplify(f), 1, Number(1), changing))


def _terms(e: Expr, c: Scalar, factor: Expr, changing: set[Expr]) -> Iterator[Square]:
    """Squares in ``c*factor*e``; the factor does not change."""
    if e not in changing:
        return
    if isinstance(e, Combination):
        for d, t in zip(e.coefficients, e.terms, strict=True):
            yield from _terms(t, c * d, factor, changing)
        return
    root = _root(e)
    if root is not None:
        yield _square(root, c, factor, ())
        return
    if isinstance(e, Contraction):
        pairs = list(zip(e.operands, e.legs, strict=True))
        moving = [p for p in pairs if p[0] in changing]
        fixed = [p for p in pairs if p[0] not in changing]
        if len(moving) == 1:
            (inner, legs) = moving[0]
            if not legs:
                whole = contract([(factor, ()), *fixed], ())
                yield from _terms(inner, c, whole, changing)
                return
            root = _root(inner)
            if root is not None and len(set(legs)) == len(legs):
                kept = tuple(dict.fromkeys(i for _, g in fixed for i in g if i in legs))
                weight = contract([(factor, ()), *fixed], kept)
                yield _square(root, c, weight, tuple(legs.index(i) for i in kept))
                return
        elif len(moving) == 2 and moving[0][0] is moving[1][0]:
            (r, (a, *more)), (_, (b, *_)) = moving
            if not more and a != b and {a, b} <= {i for _, g in fixed for i in g}:
                yield _square(r, c, contract([(factor, ()), *fixed], (a, b)), (0, 1))
                return
    raise InputError(f"gauss-newton: the term {e} is no square; {EXPECTED}")


def _square(root: Expr, c: Scalar, weight: Expr, legs: tuple[int, ...]) -> Square:
    return Square(root, scale(c, weight), legs)


def _root(e: Expr) -> Expr | None:
    """``r`` where ``e`` is ``r.^2``, or an even power."""
    if isinstance(e, Map) and e.function.name in ("pow", "pow0"):
        p = e.args[1]
        if isinstance(p, Number) and isinstance(p.value, int) and p.value > 0 and p.value % 2 == 0:
            return e.args[0] if p.value == 2 else power(e.args[0], p.value // 2)
    return None

"""Numerically safe forms, put in before source is written."""

from __future__ import annotations

from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply
from tensorcalculus.expr.node import Combination, Contraction, Expr, Map, Number, Operation
from tensorcalculus.expr.operations import operation
from tensorcalculus.expr.rebuild import transform


def stabilize(roots: list[Expr]) -> list[Expr]:
    """The same functions in forms that lose no digits in tails and at singular points."""
    return transform(roots, _stable)


def _stable(node: Expr) -> Expr:
    if isinstance(node, Combination):
        return _one_minus(node)
    if isinstance(node, Contraction):
        changed = _power_times_log(_cofactor(node))
        return _solve_terms(changed) if isinstance(changed, Contraction) else changed
    return node


def _one_minus(node: Combination) -> Expr:
    """``1-sigmoid(x)`` is ``sigmoid(-x)``: no cancellation for large x."""
    if len(node.terms) == 2 and sorted(node.coefficients) == [-1, 1]:
        minus = node.terms[node.coefficients.index(-1)]
        plus = node.terms[node.coefficients.index(1)]
        ones = isinstance(plus, Number) or (
            isinstance(plus, Contraction) and not plus.operands and len(set(plus.out)) == plus.ndim
        )
        if ones and isinstance(minus, Map) and minus.function.name == "sigmoid":
            return apply("sigmoid", -minus.args[0])
    return node


def _solve_terms(node: Contraction) -> Expr:
    """``(inv(A)+B)*x`` as ``inv(A)*x+B*x``: a solve instead of an explicit inverse."""
    for k, (e, legs) in enumerate(zip(node.operands, node.legs, strict=True)):
        if not (isinstance(e, Combination) and e.ndim == 2 and 1 < len(e.terms) <= 4):
            continue
        bare = any(isinstance(t, Operation) and t.row.name == "inv" for t in e.terms)
        joined = any(
            i in other and i not in node.out
            for j, other in enumerate(node.legs)
            for i in legs
            if j != k and len(other) < 3
        )
        if bare and joined:
            rest = [p for j, p in enumerate(zip(node.operands, node.legs, strict=True)) if j != k]
            carried = {i for _, g in (*rest, (e, legs)) for i in g}
            sizes = {i: node.dims[i] for i in node.out if i not in carried}
            return add(
                [
                    (c, contract([*rest, (t, legs)], node.out, sizes))
                    for c, t in zip(e.coefficients, e.terms, strict=True)
                ]
            )
    return node


def _cofactor(node: Contraction) -> Expr:
    """``det(X)*inv(X)`` is the cofactor matrix, which exists where the inverse does not."""
    for factor in node.operands:
        matrix, power = _determinant(factor)
        if matrix is None:
            continue
        for k, (e, legs) in enumerate(zip(node.operands, node.legs, strict=True)):
            if isinstance(e, Operation) and e.row.name == "inv" and e.args[0] is matrix:
                pairs = list(zip(node.operands, node.legs, strict=True))
                del pairs[k]
                pairs = [(f, g) for f, g in pairs if f is not factor]
                pairs.append((operation("cofactor", matrix), legs[::-1]))
                if power > 1:
                    pairs.append((operation("det", matrix) ** (power - 1), ()))
                return contract(pairs, node.out, dict(enumerate(node.dims)))
    return node


def _determinant(e: Expr) -> tuple[Expr | None, int]:
    """The matrix and exponent, where ``e`` is a positive integer power of a determinant."""
    power = 1
    if isinstance(e, Map) and e.function.name == "pow":
        base, p = e.args
        if isinstance(p, Number) and isinstance(p.value, int) and p.value > 0:
            e, power = base, p.value
    if isinstance(e, Operation) and e.row.name == "det" and e.ndim == 0:
        return e.args[0], power
    return None, 0


def _power_times_log(node: Expr) -> Expr:
    """``x^p*log(x)`` is taken as 0 at x = 0 for p > 0, its limit."""
    if not isinstance(node, Contraction):
        return node
    pairs = list(zip(node.operands, node.legs, strict=True))
    for k, (e, legs) in enumerate(pairs):
        if isinstance(e, Map) and e.function.name == "log":
            x = e.args[0]
            for j, (f, other) in enumerate(pairs):
                power = isinstance(f, Map) and f.function.name in ("pow", "pow0") and f.args[0] is x
                if other == legs and (f is x or power):
                    rest = [p for i, p in enumerate(pairs) if i not in (j, k)]
                    rest.append((apply("xlogy", f, x), legs))
                    return contract(rest, node.out, dict(enumerate(node.dims)))
    return node

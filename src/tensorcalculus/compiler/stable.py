"""Numerically safe forms, put in before source is written."""

from __future__ import annotations

from tensorcalculus.expr.combination import add, scale, split_scale
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply, as_power, power
from tensorcalculus.expr.node import Combination, Contraction, Expr, Map, Number, Operation, is_map
from tensorcalculus.expr.operations import operation
from tensorcalculus.expr.rebuild import transform


def stabilize(roots: list[Expr]) -> list[Expr]:
    """The same functions in forms that lose no digits in tails and at singular points."""
    return transform(roots, _stable)


def _stable(node: Expr) -> Expr:
    if isinstance(node, Combination):
        return _one_minus(node)
    if isinstance(node, Contraction):
        changed = _power_times_log(_quotient_of_exponentials(_cofactor(node)))
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
        if ones and is_map(minus, "sigmoid"):
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
    pairs = list(zip(node.operands, node.legs, strict=True))
    for a, factor in enumerate(node.operands):
        matrix, power = _determinant(factor)
        if matrix is None:
            continue
        for k, (e, legs) in enumerate(pairs):
            replaced = _with_cofactor(e, matrix) if k != a else None
            if replaced is not None:
                rest = [p for i, p in enumerate(pairs) if i not in (a, k)]
                rest.append((replaced, legs))
                if power > 1:
                    rest.append((operation("det", matrix) ** (power - 1), ()))
                carried = {i for _, g in rest for i in g}
                sizes = {i: node.dims[i] for i in node.out if i not in carried}
                return contract(rest, node.out, sizes)
    return node


def _with_cofactor(e: Expr, matrix: Expr) -> Expr | None:
    """``det(matrix)*e`` where ``e`` has one factor ``inv(matrix)``, in each term of a sum."""
    if isinstance(e, Operation) and e.row.name == "inv" and e.args[0] is matrix and e.ndim == 2:
        return contract([(operation("cofactor", matrix), "ij")], "ji")
    if isinstance(e, Contraction):
        pairs = list(zip(e.operands, e.legs, strict=True))
        for k, (o, legs) in enumerate(pairs):
            replaced = _with_cofactor(o, matrix)
            if replaced is not None:
                pairs[k] = (replaced, legs)
                carried = {i for _, g in pairs for i in g}
                sizes = {i: e.dims[i] for i in e.out if i not in carried}
                return contract(pairs, e.out, sizes)
    if isinstance(e, Combination) and e.terms:
        parts = [_with_cofactor(t, matrix) for t in e.terms]
        if all(p is not None for p in parts):
            return add(
                [(c, p) for c, p in zip(e.coefficients, parts, strict=True) if p is not None]
            )
    return None


def _quotient_of_exponentials(node: Expr) -> Expr:
    """``exp(u)/(a+b*exp(v))`` as ``1/(a*exp(-u)+b*exp(v-u))``: no infinity over infinity.

    Where the divisor sums over the entries of the same exponential, both parts are divided by
    ``sum(exp(u))``, which leaves a softmax above and below.
    """
    if not isinstance(node, Contraction):
        return node
    pairs = list(zip(node.operands, node.legs, strict=True))
    for a, (e, legs) in enumerate(pairs):
        if not is_map(e, "exp"):
            continue
        u = e.args[0]
        for b, (f, other) in enumerate(pairs):
            base, p, _ = as_power(f)
            if not isinstance(p, Number) or not isinstance(p.value, int):
                continue
            if p.value >= 0 or base is f:
                continue
            rest = [q for k, q in enumerate(pairs) if k not in (a, b)]
            if p.value != -1:
                rest.append((power(base, p.value + 1), other))
            if other == legs and isinstance(base, Combination) and _holds_exp(base):
                divided = add(
                    [
                        (c, _times_exp(t, -u))
                        for c, t in zip(base.coefficients, base.terms, strict=True)
                    ]
                )
                rest.append((power(divided, -1), legs))
                return contract(rest, node.out, dict(enumerate(node.dims)))
            if not other and len(legs) == 1 and isinstance(base, Contraction):
                inner = [
                    (operation("softmax", u) if o is e else o, g)
                    for o, g in zip(base.operands, base.legs, strict=True)
                ]
                if base.operands.count(e) == 1 and not base.out:
                    rest.append((operation("softmax", u), legs))
                    rest.append((power(contract(inner, ()), -1), ()))
                    return contract(rest, node.out, dict(enumerate(node.dims)))
    return node


def _holds_exp(e: Combination) -> bool:
    return any(is_map(o, "exp") for t in e.terms for o in (t, *t.children))


def _times_exp(t: Expr, u: Expr) -> Expr:
    """``t.*exp(u)`` with the exponentials of ``t`` taken into the new one."""
    c, t = split_scale(t)
    names = tuple(range(t.ndim))
    pairs: list[tuple[Expr, tuple[int, ...]]] = [(t, names)]
    if isinstance(t, Contraction) and t.out == names:
        pairs = list(zip(t.operands, t.legs, strict=True))
    rest = []
    for o, legs in pairs:
        if is_map(o, "exp") and legs == names:
            u = u + o.args[0]
        else:
            rest.append((o, legs))
    sizes = dict(zip(names, t.shape, strict=True))
    return scale(c, contract([*rest, (apply("exp", u), names)], names, sizes))


def _determinant(e: Expr) -> tuple[Expr | None, int]:
    """The matrix and exponent, where ``e`` is a positive integer power of a determinant."""
    power = 1
    if is_map(e, "pow"):
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
        if is_map(e, "log"):
            x = e.args[0]
            for j, (f, other) in enumerate(pairs):
                power = isinstance(f, Map) and f.function.name in ("pow", "pow0") and f.args[0] is x
                if other == legs and (f is x or power):
                    rest = [p for i, p in enumerate(pairs) if i not in (j, k)]
                    rest.append((apply("xlogy", f, x), legs))
                    return contract(rest, node.out, dict(enumerate(node.dims)))
    return node

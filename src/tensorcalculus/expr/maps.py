"""Elementwise maps in normal form: constants folded, powers merged, permutations pulled out."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.combination import common_shape, is_zero, scale, split_scale
from tensorcalculus.expr.contraction import contract, is_permutation
from tensorcalculus.expr.functions import FUNCTIONS, ScalarFunction
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Scalar,
    Size,
    exact,
    is_map,
    walk_new,
)


def apply(function: str | ScalarFunction, *args: Expr | Scalar) -> Expr:
    """The function of the table applied entry by entry; all non-scalar arguments share a shape."""
    row = FUNCTIONS[function] if isinstance(function, str) else function
    given = tuple(a if isinstance(a, Expr) else Number(a) for a in args)
    if len(given) != row.arity:
        raise ShapeError(f"{row.name} takes {row.arity} arguments, {len(given)} are given")
    tensors = [a for a in given if a.shape]
    if len(tensors) > 1:
        common_shape(tensors)
    if row.name in ("pow", "pow0"):
        return power(given[0], given[1], guarded=row.name == "pow0")
    if row.exact and isinstance(given[0], Number) and given[0].value in row.exact:
        return Number(row.exact[int(given[0].value)])
    return _node(row, given)


def _node(row: ScalarFunction, args: tuple[Expr, ...]) -> Expr:
    """A Map; a permutation or a broadcast that all arguments share is applied after it."""
    tensors = [a for a in args if a.shape]
    if tensors and isinstance(tensors[0], Contraction):
        axes = is_permutation(tensors[0])
        if axes is not None and all(is_permutation(t) == axes for t in tensors):
            inner = tuple(a.operands[0] if a.shape else a for a in args)  # type: ignore[attr-defined]
            order = tuple(range(len(axes)))
            return contract([(_node(row, inner), order)], axes)
    if tensors and all(is_filled(t) for t in tensors):
        return fill(apply(row, *(filling(a) for a in args)), tensors[0].shape)
    return Map(row, args)


def fill(value: Expr, shape: tuple) -> Expr:
    """A tensor of the given shape with one value everywhere."""
    names = tuple(range(len(shape)))
    return contract([(value, ())], names, dict(zip(names, shape, strict=True)))


def is_filled(e: Expr) -> bool:
    """Whether ``e`` has one value everywhere, as a scalar has."""
    if not e.shape or is_zero(e):
        return True
    _, e = split_scale(e)
    return (
        isinstance(e, Contraction)
        and not any(e.legs)
        and len(e.dims) == len(e.out) == len(set(e.out))
    )


def filling(e: Expr) -> Expr:
    """The value that stands everywhere in a filled tensor."""
    if not e.shape:
        return e
    if is_zero(e):
        return Number(0)
    c, e = split_scale(e)
    assert isinstance(e, Contraction)
    return scale(c, contract([(o, ()) for o in e.operands], ()))


def as_power(e: Expr) -> tuple[Expr, Expr, bool]:
    """``e`` as base, exponent and whether the power is taken as 0 at 0."""
    if isinstance(e, Map) and e.function.name in ("pow", "pow0"):
        base, exponent = e.args
        if base.shape == e.shape:
            return base, exponent, e.function.name == "pow0"
    return e, Number(1), False


def power(base: Expr, exponent: Expr | Scalar, *, guarded: bool = False) -> Expr:
    """``base.^exponent`` in normal form.

    Integer powers spread over products, nested powers multiply their exponents (an even power
    under a root leaves an absolute value), exact roots of numbers are taken.  ``guarded`` marks
    the power that is read as 0 at base 0.
    """
    if not isinstance(exponent, Expr):
        exponent = Number(exponent)
    if not exponent.shape and isinstance(exponent, Number):
        p = exponent.value
        if p == 1:
            return base
        if p == 0:
            return fill(Number(1), base.shape) if base.shape else Number(1)
        if guarded and p > 0:
            guarded = False
        known = _number_power(base, p)
        if known is not None:
            return known
    if isinstance(base, Number) and base.value == 1:
        return fill(base, exponent.shape)
    inner, q, inner_guarded = as_power(base)
    if inner is not base:
        scalars = not exponent.shape and not q.shape
        product = contract([(q, ()), (exponent, ())], ()) if scalars else None
        if product is not None and isinstance(q, Number):
            integer = isinstance(exponent, Number) and isinstance(exponent.value, int)
            even = isinstance(q.value, int) and q.value % 2 == 0
            if even and not integer and not is_nonnegative(inner):
                inner = apply("abs", inner)
            return power(inner, product, guarded=guarded or inner_guarded)
    if isinstance(base, Map) and isinstance(exponent, Number):
        if base.function.name == "abs" and exponent.value % 2 == 0:
            return power(base.args[0], exponent, guarded=guarded)
        if base.function.name == "exp":
            return apply("exp", scale(exponent.value, base.args[0]))
    row = FUNCTIONS["pow0" if guarded else "pow"]
    return _node(row, (base, exponent))


def _number_power(base: Expr, p: Scalar) -> Expr | None:
    """Rules for a numerical exponent; None where none applies."""
    if isinstance(base, Number):
        value = number_power(base.value, p)
        return None if value is None else Number(value)
    c, rest = split_scale(base)
    if c != 1:
        outer = number_power(c, p)
        if outer is not None and (isinstance(p, int) or c > 0):
            return scale(outer, power(rest, p))
        return None
    if is_zero(base) and p > 0:
        return base
    if isinstance(base, Contraction):
        names = max(base.legs, key=len, default=())
        pointwise = all(legs in ((), names) for legs in base.legs)
        if pointwise and len(set(names)) == len(names) and set(names) <= set(base.out):
            if isinstance(p, int):
                factors = [
                    (power(e, p), legs) for e, legs in zip(base.operands, base.legs, strict=True)
                ]
                return contract(factors, base.out, dict(enumerate(base.dims)))
            # A root spreads over factors that cannot be negative.
            outside = [k for k, e in enumerate(base.operands) if is_nonnegative(e)]
            if outside and len(base.operands) > 1 and set(base.out) <= set(names):
                pairs = list(zip(base.operands, base.legs, strict=True))
                inside = [pairs[k] for k in range(len(pairs)) if k not in outside]
                factors = [(power(pairs[k][0], p), pairs[k][1]) for k in outside]
                if inside:
                    names = max((legs for _, legs in inside), key=len)
                    factors.append((power(contract(inside, names), p), names))
                return contract(factors, base.out)
    return None


def number_power(c: Scalar, p: Scalar) -> Scalar | None:
    """``c**p`` where it is exact and small, else None."""
    if isinstance(p, int) and not isinstance(c, float) and abs(p) <= 64:
        if c == 0:
            return 0 if p > 0 else None
        return exact(Fraction(c) ** p)
    if isinstance(p, Fraction) and p.denominator == 2 and c > 0:
        fraction = Fraction(c)
        roots = isqrt(fraction.numerator), isqrt(fraction.denominator)
        if roots[0] ** 2 == fraction.numerator and roots[1] ** 2 == fraction.denominator:
            return number_power(exact(Fraction(*roots)), p.numerator)
    return None


def is_nonnegative(e: Expr) -> bool:
    """Whether every entry of ``e`` is known to be at least 0."""
    for node in walk_new(e, "nonnegative"):
        node.memo["nonnegative"] = _nonnegative(node)
    return e.memo["nonnegative"]


def _nonnegative(e: Expr) -> bool:
    if isinstance(e, Number):
        return e.value >= 0
    if isinstance(e, Map):
        if e.function.name in ("pow", "pow0"):
            base, p = e.args
            even = isinstance(p, Number) and p.value % 2 == 0
            root = isinstance(p, Number) and not isinstance(p.value, int)
            return even or root or is_nonnegative(base)
        return e.function.nonnegative
    if isinstance(e, Combination):
        return all(c > 0 for c in e.coefficients) and all(is_nonnegative(t) for t in e.terms)
    if isinstance(e, Contraction):
        return all(is_nonnegative(o) for o in e.operands)
    if isinstance(e, Operation):
        return e.row.nonnegative
    return isinstance(e, Size) or "nonneg" in getattr(e, "properties", ())


def vanishes_quadratically(e: Expr) -> bool:
    """Whether ``e`` is a scalar sum of even or absolute powers: 0 only where every base is 0.

    At such a zero the derivative of a root of ``e`` is taken as 0, the subgradient of least norm.
    """
    for node in walk_new(e, "vanishing"):
        node.memo["vanishing"] = _vanishes(node)
    return e.memo["vanishing"]


def _vanishes(e: Expr) -> bool:
    known = [c.memo["vanishing"] for c in e.children]
    if isinstance(e, Combination):
        return bool(known) and all(c > 0 for c in e.coefficients) and all(known)
    if isinstance(e, Contraction):
        signs = [v or is_nonnegative(o) for v, o in zip(known, e.operands, strict=True)]
        return any(known) and all(signs)
    if is_map(e, "pow"):
        base, p = e.args
        even = isinstance(p, Number) and isinstance(p.value, int) and p.value > 0 == p.value % 2
        return even or (is_map(base, "abs"))
    return is_map(e, "abs")


def derivative(e: Map, k: int) -> Expr | None:
    """The partial derivative of a map by argument ``k``, entry by entry; None if none exists."""
    rule = e.function.derivatives[k]
    if rule is None:
        return None
    args = e.args
    if e.function.name in ("pow", "pow0") and k == 0:
        base, p = args
        root = not (isinstance(p, Number) and (isinstance(p.value, int) or p.value > 1))
        if e.function.name == "pow0" or (root and vanishes_quadratically(base)):
            lowered = power(base, p - 1, guarded=True)
            return _times(p, lowered)
    result = rule(*args, e)
    return result if isinstance(result, Expr) else Number(result)


def _times(p: Expr, e: Expr) -> Expr:
    if isinstance(p, Number):
        return scale(p.value, e)
    names = tuple(range(max(len(p.shape), len(e.shape))))
    return contract(
        [(p, names[: len(p.shape)]), (e, names[: len(e.shape)])],
        names,
    )

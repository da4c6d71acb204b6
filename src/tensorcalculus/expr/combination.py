"""Sums and scalar multiples: the one place where linear combinations are built."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.dims import show_shape, unify
from tensorcalculus.expr.node import Combination, Contraction, Expr, Number, Scalar, Shape, exact

FLATTEN_LIMIT = 64
"""A sum inside a sum is merged up to this many terms, so that long accumulations stay linear."""

ONE = Number(1)


def zeros(shape: Shape) -> Expr:
    """The zero tensor of a shape."""
    return Combination((), (), shape) if shape else Number(0)


def is_zero(e: Expr) -> bool:
    return (isinstance(e, Combination) and not e.terms) or (isinstance(e, Number) and e.value == 0)


def split_scale(e: Expr) -> tuple[Scalar, Expr]:
    """Write ``e`` as a number times an expression without numerical factor."""
    if isinstance(e, Number):
        return e.value, ONE
    if isinstance(e, Combination) and len(e.terms) == 1:
        return e.coefficients[0], e.terms[0]
    return 1, e


def scale(c: Scalar, e: Expr) -> Expr:
    """``c*e`` for a number ``c``."""
    inner, base = split_scale(e)
    c = exact(c * inner)
    if c == 0 or is_zero(base):
        return zeros(e.shape)
    if base is ONE:
        return Number(c)
    return base if c == 1 else Combination((c,), (base,), e.shape)


def add(terms: Iterable[tuple[Scalar, Expr]]) -> Expr:
    """``sum(c*e)`` over the pairs: like terms collected, zeros dropped, common factors out.

    Raises ShapeError where two terms have different shapes.
    """
    terms = list(terms)
    if len(terms) == 1:
        return scale(*terms[0])
    shape = common_shape([e for _, e in terms])
    totals: dict[Expr, Scalar] = {}
    stack = terms[::-1]
    while stack:
        c, e = stack.pop()
        if isinstance(e, Number):
            c, e = c * e.value, ONE
        elif isinstance(e, Combination):
            small = len(e.terms) <= FLATTEN_LIMIT
            if len(e.terms) <= 1 or (small and c in (1, -1)):
                stack.extend(
                    (c * d, t) for d, t in zip(e.coefficients[::-1], e.terms[::-1], strict=True)
                )
                continue
        totals[e] = totals.get(e, 0) + c
    for e in [t for t in totals if isinstance(t, Combination)]:
        # A factored sum is opened only where one of its terms meets its like.
        if any(t in totals for t in e.terms):
            c = totals.pop(e)
            for d, t in zip(e.coefficients, e.terms, strict=True):
                totals[t] = totals.get(t, 0) + c * d
    pairs = [(exact(c), e) for e, c in totals.items() if c]
    if not pairs:
        return zeros(shape)
    if len(pairs) == 1:
        return scale(*pairs[0])
    pairs.sort(key=lambda p: (p[0] < 0, p[1].order_key))
    factor = _common_factor([c for c, _ in pairs])
    if factor != 1:
        pairs = [(exact(c / factor if c % factor else c // factor), e) for c, e in pairs]
        pairs.sort(key=lambda p: (p[0] < 0, p[1].order_key))
    permutation = _common_permutation([e for _, e in pairs])
    ties = _common_ties([e for _, e in pairs]) if permutation is None else None
    if ties is not None:
        from tensorcalculus.expr.contraction import contract, without_ties

        kept = sorted(set(ties))
        inner = add([(c, without_ties(e, kept)) for c, e in pairs])  # type: ignore[arg-type]
        result = contract([(inner, kept)], ties)
    elif permutation is not None:
        inner = add([(c, e.operands[0]) for c, e in pairs])  # type: ignore[attr-defined]
        from tensorcalculus.expr.contraction import contract

        result = contract([(inner, tuple(range(inner.ndim)))], permutation)
    else:
        result = Combination(tuple(c for c, _ in pairs), tuple(e for _, e in pairs), shape)
    return scale(factor, result)


def common_shape(terms: list[Expr]) -> Shape:
    """The shape shared by all ``terms``, dimensions unified."""
    first = terms[0]
    shape = first.shape
    for e in terms[1:]:
        if e.shape == shape:
            continue
        if len(e.shape) != len(shape):
            raise ShapeError(
                f"cannot add a tensor of shape {show_shape(e.shape)} "
                f"to one of shape {show_shape(shape)}"
            )
        unified = []
        for a, b in zip(shape, e.shape, strict=True):
            d = unify(a, b)
            if d is None:
                raise ShapeError(
                    f"cannot add a tensor of shape {show_shape(e.shape)} to one of shape "
                    f"{show_shape(shape)}: {b} is not {a}"
                )
            unified.append(d)
        shape = tuple(unified)
    return shape


def _common_factor(coefficients: list[Scalar]) -> Scalar:
    sizes = {abs(c) for c in coefficients}
    sign = -1 if all(c < 0 for c in coefficients) else 1
    if len(sizes) == 1:
        return sign * sizes.pop()
    if all(isinstance(c, int) for c in coefficients):
        return sign * gcd(*coefficients)  # type: ignore[arg-type]
    return sign


def _common_ties(terms: list[Expr]) -> tuple[int, ...] | None:
    """For each axis the first one whose index it equals in all terms; None where all are free.

    A sum of diagonals is the diagonal of the sum.
    """
    if not all(isinstance(e, Contraction) and len(set(e.out)) < len(e.out) for e in terms):
        return None
    labels = list(zip(*(e.out for e in terms), strict=True))  # type: ignore[attr-defined]
    ties = tuple(labels.index(i) for i in labels)
    return ties if len(set(ties)) < len(ties) else None


def _common_permutation(terms: list[Expr]) -> tuple[int, ...] | None:
    """The permutation of axes that all terms are, if they are one and the same."""
    out = None
    for e in terms:
        if not (isinstance(e, Contraction) and len(e.operands) == 1):
            return None
        n = len(e.out)
        # Canonical numbering runs over ``out``: legs hold the permutation.
        if e.out != tuple(range(n)) or sorted(e.legs[0]) != list(e.out):
            return None
        if out is None:
            out = e.legs[0]
        elif out != e.legs[0]:
            return None
    if out is None or len(out) < 2:
        return None
    return tuple(out.index(k) for k in range(len(out)))

"""Rules for linear combinations: common factors are taken out."""

from __future__ import annotations

from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.node import Combination, Contraction, Expr, Scalar
from tensorcalculus.simplify.engine import rule

TERM_LIMIT = 40
"""Longer sums are left as they are: looking for common factors costs terms times operands."""


@rule(Combination, "common factor", "terms that share a factor are joined: A*x+B*x = (A+B)*x")
def common_factor(node: Combination) -> Expr | None:
    """Take the factor out that most terms share in the same place of their networks."""
    if not 2 <= len(node.terms) <= TERM_LIMIT:
        return None
    groups: dict[tuple, list[tuple[int, int]]] = {}
    for t, term in enumerate(node.terms):
        if isinstance(term, Contraction) and len(term.operands) > 1:
            for k, signature in signatures(term):
                places = groups.setdefault(signature, [])
                if not places or places[-1][0] != t:
                    places.append((t, k))
    best = None
    for signature, places in groups.items():
        if len(places) < 2:
            continue
        operand, classes = signature[0], signature[1]
        rank = _remainder_order(node, operand, classes)
        terms = [node.terms[t] for t, _ in places]
        if rank > node.ndim and any(len(t.operands) > 2 for t in terms):  # type: ignore[attr-defined]
            continue  # the remainders would be products of higher order than the result
        key = (-len(places), rank, -operand.size, operand.order_key)
        if best is None or key < best[0]:
            best = (key, places)
    if best is None:
        return None
    return _factored(node, best[1])


def signatures(term: Contraction) -> list[tuple[int, tuple]]:
    """Each operand with the way it hangs in its network: which axes are open, which joined."""
    out = term.out
    plain = len(set(out)) == len(out)
    carried = {i for legs in term.legs for i in legs}
    result = []
    for k, (operand, legs) in enumerate(zip(term.operands, term.legs, strict=True)):
        if not legs:
            result.append((k, (operand, (), len(out))))
            continue
        if not plain or not carried.issuperset(out) or len(set(legs)) != len(legs):
            continue
        others = {i for j, g in enumerate(term.legs) if j != k for i in g}
        classes = [(out.index(i) if i in out else -1, i in others) for i in legs]
        if symmetric(operand):
            classes.sort()
        result.append((k, (operand, tuple(classes), len(out))))
    return result


def _remainder_order(node: Combination, operand: Expr, classes: tuple) -> int:
    open_only = sum(1 for place, shared in classes if place >= 0 and not shared)
    joined = sum(1 for place, shared in classes if place < 0 and shared)
    return node.ndim - open_only + joined


def _factored(node: Combination, places: list[tuple[int, int]]) -> Expr:
    chosen = {t for t, _ in places}
    rest: list[tuple[Scalar, Expr]] = [
        (c, e)
        for t, (c, e) in enumerate(zip(node.coefficients, node.terms, strict=True))
        if t not in chosen
    ]
    remainders = []
    frame = None
    for t, k in places:
        term = node.terms[t]
        assert isinstance(term, Contraction)
        operand, legs = term.operands[k], term.legs[k]
        pairs = [
            (e, g)
            for j, (e, g) in enumerate(zip(term.operands, term.legs, strict=True))
            if j != k
        ]
        carried = {i for _, g in pairs for i in g}
        sizes = {i: d for i, d in enumerate(term.dims) if i in term.out and i not in carried}
        if not legs:
            remainders.append((node.coefficients[t], contract(pairs, term.out, sizes)))
            frame = (operand, (), tuple(range(node.ndim)), tuple(range(node.ndim)))
            continue
        others = carried
        if symmetric(operand):
            key = {i: (term.out.index(i) if i in term.out else -1, i in others) for i in legs}
            legs = tuple(sorted(legs, key=key.__getitem__))
        axes = [i for i in term.out if i not in legs or i in others]
        axes += [i for i in legs if i in others and i not in axes]
        remainders.append((node.coefficients[t], contract(pairs, axes)))
        if frame is None:
            frame = (operand, legs, tuple(axes), term.out)
    assert frame is not None
    operand, legs, axes, out = frame
    joined = contract([(operand, legs), (add(remainders), axes)], out)
    return add([*rest, (1, joined)])

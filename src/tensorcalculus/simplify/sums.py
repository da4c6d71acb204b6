"""Rules for linear combinations: common factors are taken out."""

from __future__ import annotations

from tensorcalculus.expr.combination import add, scale
from tensorcalculus.expr.contraction import contract, is_permutation, symmetric
from tensorcalculus.expr.maps import apply, is_filled
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Operation,
    Scalar,
    Variable,
    is_map,
)
from tensorcalculus.expr.rebuild import substitute
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
        rank = remainder_order(node, classes)
        terms = [node.terms[t] for t, _ in places]
        if rank > node.ndim and any(_tensors(t) > 2 for t in terms):
            continue  # the remainders would be products of higher order than the result
        if any(_leaves_inverse(node.terms[t], k) for t, k in places):
            continue  # inv(A)*x is a solve; a sum of inverses times x is not
        if len(places) < len(node.terms) and not all(_single(node.terms[t], k) for t, k in places):
            continue  # a partial factor of longer products reads worse than the sum
        key = (-len(places), rank, -operand.size, operand.order_key)
        if best is None or key < best[0]:
            best = (key, places)
    if best is None:
        return None
    return factored(node, best[1])[0]


@rule(
    Combination, "same network", "networks that differ in one tensor are joined: N(T)+N(U) = N(T+U)"
)
def same_network(node: Combination) -> Expr | None:
    """Join all terms that are one network around tensors of three axes or more.

    Of matrices a common factor is taken out; here the tensors would be in the way of it.
    """
    if not 2 <= len(node.terms) <= TERM_LIMIT:
        return None
    frames: dict[tuple[Expr, Variable], list[tuple[Scalar, Expr]]] = {}
    for c, term in zip(node.coefficients, node.terms, strict=True):
        large = [k for k, o in enumerate(term.children) if o.ndim > 2]
        if not isinstance(term, Contraction) or len(large) != 1:
            return None
        pairs = list(zip(term.operands, term.legs, strict=True))
        tensor, legs = pairs.pop(large[0])
        if not any(g for _, g in pairs):
            return None
        hole = Variable("?", tensor.shape, frozenset())
        sizes = {i: d for i, d in enumerate(term.dims) if i in term.out}
        frame = contract([*pairs, (hole, legs)], term.out, sizes)
        frames.setdefault((frame, hole), []).append((c, tensor))
    if len(frames) != 1:
        return None
    ((frame, hole), tensors) = frames.popitem()
    return substitute(frame, {hole: add(tensors)})


@rule(Combination, "hyperbolic", "exp(x)+exp(-x) = 2*cosh(x), exp(x)-exp(-x) = 2*sinh(x)")
def hyperbolic(node: Combination) -> Expr | None:
    if len(node.terms) != 2:
        return None
    (a, b), (p, q) = node.terms, node.coefficients
    if not is_map(a, "exp") or not is_map(b, "exp") or abs(p) != abs(q):
        return None
    if a.args[0] is not scale(-1, b.args[0]):
        return None
    return scale(2 * p, apply("cosh" if p == q else "sinh", a.args[0]))


@rule(Combination, "sigmoid complement", "sigmoid(-x) = 1-sigmoid(x), where both stand in a sum")
def sigmoid_complement(node: Combination) -> Expr | None:
    """Write one of a complementary pair by the other and collect, where that is shorter."""
    if not 2 <= len(node.terms) <= 6:
        return None
    found = {f.args[0]: f for t in node.terms for f in (t, *t.children) if is_map(f, "sigmoid")}
    for u, s in found.items():
        opposite = found.get(scale(-1, u))
        if opposite is None or u.order_key > opposite.args[0].order_key:
            continue
        replaced = substitute(node, {opposite: 1 - s})
        opened = expand(replaced)
        if opened.size < node.size:
            return opened
    return None


@rule(Contraction, "centred sum", "sum(x-mean(x)) = 0")
def centred_sum(node: Contraction) -> Expr | None:
    """A sum over all entries of a combination that holds a constant, where it then collapses."""
    if node.out or len(node.operands) != 1 or not isinstance(node.operands[0], Combination):
        return None
    inner, legs = node.operands[0], node.legs[0]
    assert isinstance(inner, Combination)
    if not any(is_filled(t) for t in inner.terms) or len(set(legs)) != len(legs):
        return None
    opened = add(
        [
            (c, contract([(t, legs)], ()))
            for c, t in zip(inner.coefficients, inner.terms, strict=True)
        ]
    )
    return opened if opened.size < node.size else None


@rule(Contraction, "equal terms", "x'*(A+A')*x = 2*x'*A*x")
def equal_terms(node: Contraction) -> Expr | None:
    """A scalar network through a short sum is opened where all its terms are then one."""
    sums = [o for o in node.operands if isinstance(o, Combination)]
    if node.out or len(node.operands) < 2 or len(sums) != 1 or not 2 <= len(sums[0].terms) <= 4:
        return None
    opened = expand(node)
    single = not isinstance(opened, Combination) or len(opened.terms) <= 1
    return opened if single else None


def expand(e: Expr) -> Expr:
    """Products of sums multiplied out, one level, for sums that then collapse."""
    terms: list[tuple[Scalar, Expr]] = []
    pairs = zip(e.coefficients, e.terms, strict=True) if isinstance(e, Combination) else [(1, e)]
    stack: list[tuple[Scalar, Expr]] = list(pairs)
    while stack and len(terms) < TERM_LIMIT:
        c, t = stack.pop()
        if isinstance(t, Combination):
            stack += [(c * d, u) for d, u in zip(t.coefficients, t.terms, strict=True)]
            continue
        sums = [k for k, o in enumerate(t.children) if isinstance(o, Combination)]
        if not isinstance(t, Contraction) or not sums:
            terms.append((c, t))
            continue
        pairs_of_t = list(zip(t.operands, t.legs, strict=True))
        inner, legs = pairs_of_t.pop(sums[0])
        sizes = {i: d for i, d in enumerate(t.dims) if i in t.out}
        assert isinstance(inner, Combination)
        for d, u in zip(inner.coefficients, inner.terms, strict=True):
            stack.append((c * d, contract([*pairs_of_t, (u, legs)], t.out, sizes)))
    return add([*terms, *stack])


@rule(Combination, "transpose of a sum", "(A+B)' = A'+B' where it stands in a sum")
def open_transpose(node: Combination) -> Expr | None:
    """A transposed sum among the terms of a sum is opened, so that its terms meet their like."""
    changed = False
    terms: list[tuple[Scalar, Expr]] = []
    for c, t in zip(node.coefficients, node.terms, strict=True):
        axes = is_permutation(t) if len(node.terms) > 1 else None
        inner = t.operands[0] if axes is not None and isinstance(t, Contraction) else None
        if axes is None or not isinstance(inner, Combination) or len(inner.terms) > 6:
            terms.append((c, t))
            continue
        changed = True
        places = tuple(range(t.ndim))
        for d, u in zip(inner.coefficients, inner.terms, strict=True):
            terms.append((c * d, contract([(u, places)], axes)))
    return add(terms) if changed else None


def _tensors(term: Expr) -> int:
    """How many operands of a network are not scalars."""
    return sum(1 for g in term.legs if g) if isinstance(term, Contraction) else 1


def _leaves_inverse(term: Expr, k: int) -> bool:
    """Whether without operand ``k`` only an inverse is left that operand ``k`` is solved for."""
    assert isinstance(term, Contraction)
    rest = [(o, g) for j, (o, g) in enumerate(zip(term.operands, term.legs, strict=True)) if j != k]
    inverses = [g for o, g in rest if isinstance(o, Operation) and o.row.name == "inv"]
    tensors = [g for _, g in rest if g]
    return len(inverses) == len(tensors) == 1 and any(i in term.legs[k] for i in inverses[0])


def _single(term: Expr, k: int) -> bool:
    """Whether what is left without operand ``k`` is one tensor, up to scalars."""
    assert isinstance(term, Contraction)
    return sum(1 for j, g in enumerate(term.legs) if j != k and g) <= 1


def signatures(term: Contraction) -> list[tuple[int, tuple]]:
    """Each operand with the way it hangs in its network: which axes are open, which joined."""
    out = term.out
    result = []
    for k, (operand, legs) in enumerate(zip(term.operands, term.legs, strict=True)):
        if len(set(legs)) != len(legs) or any(out.count(i) > 1 for i in legs):
            continue
        others = {i for j, g in enumerate(term.legs) if j != k for i in g}
        classes = [_leg_class(i, out, others) for i in legs]
        if symmetric(operand):
            classes.sort()
        result.append((k, (operand, tuple(classes), len(out))))
    return result


def _leg_class(i: int, out: tuple[int, ...], others: set[int]) -> tuple[int, bool]:
    return (out.index(i) if i in out else -1, i in others)


def remainder_order(node: Combination, classes: tuple) -> int:
    open_only = sum(1 for place, shared in classes if place >= 0 and not shared)
    joined = sum(1 for place, shared in classes if place < 0 and shared)
    return node.ndim - open_only + joined


def factored(node: Combination, places: list[tuple[int, int]]) -> tuple[Expr, Expr]:
    """A sum with a factor taken out of some terms, and the sum that the factor then stands before;
    ``places`` holds term and operand of each.
    """
    chosen = {t for t, _ in places}
    rest: list[tuple[Scalar, Expr]] = [
        (c, e)
        for t, (c, e) in enumerate(zip(node.coefficients, node.terms, strict=True))
        if t not in chosen
    ]
    remainders, frame = [], None
    for t, k in places:
        term = node.terms[t]
        assert isinstance(term, Contraction)
        remainder, frame = _without(term, k)
        remainders.append((node.coefficients[t], remainder))
    assert frame is not None
    operand, legs, axes, out = frame
    inner = add(remainders)
    joined = contract([(operand, legs), (inner, axes)], out)
    return add([*rest, (1, joined)]), inner


def _without(term: Contraction, k: int) -> tuple[Expr, tuple]:
    """The network without operand ``k``, and how the two join again (operand, legs, axes, out)."""
    operand, legs, out = term.operands[k], term.legs[k], term.out
    pairs = [p for j, p in enumerate(zip(term.operands, term.legs, strict=True)) if j != k]
    carried = {i for _, g in pairs for i in g}
    if symmetric(operand):
        legs = tuple(sorted(legs, key=lambda i: _leg_class(i, out, carried)))
    # Axes of the remainder: places of the output that it fills, then labels it shares inside.
    filled = [q for q, i in enumerate(out) if i not in legs or i in carried]
    inside = [i for i in legs if i in carried and i not in out]
    sizes = {i: term.dims[i] for i in out if i not in carried and i not in legs}
    remainder = contract(pairs, [*(out[q] for q in filled), *inside], sizes)
    names = {i: ("out", out.index(i)) if i in out else ("in", i) for i in legs}
    # Labels inside are numbered by the operand's axes, so that all terms agree.
    numbered = {i: ("in", p) if name[0] == "in" else name
                for p, (i, name) in enumerate((i, names[i]) for i in legs)}  # fmt: skip
    axes = [*(("out", q) for q in filled), *(numbered[i] for i in inside)]
    frame = (operand, [numbered[i] for i in legs], axes, [("out", q) for q in range(len(out))])
    return remainder, frame

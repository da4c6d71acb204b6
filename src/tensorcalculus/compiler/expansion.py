"""Products of sums multiplied out where that runs faster.

A formula is kept factored for its reader.  ``(U*V'-T)*V`` makes the large matrix ``U*V'`` only to
contract it again: as ``U*(V'*V)-T*V`` the same number costs a fraction.  What is decided here
depends on the sizes; the estimate of time is that of the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from math import prod

from tensorcalculus.compiler.contraction_source import symmetric_halves
from tensorcalculus.compiler.plan import HALVED, Arrays, Network, Part, Planner, step_time
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import Combination, Contraction, Expr, walk
from tensorcalculus.expr.rebuild import with_children

WORTH = 0.7
"""An expanded form is taken where its estimated time is below this part of the factored one."""
LARGEST = 6
"""Terms and operands up to which a product is multiplied out."""

Length = Callable[[Dim], int]


def expand(roots: list[Expr], length: Length) -> list[Expr]:
    """The same functions, sums inside of products multiplied out where it pays.

    A difference of data, whose digits would cancel, stays as it is, unless a term of it is itself a
    product summed over, whose rounding errors are there anyway, or a diagonal, which touches other
    entries.
    """
    uses = uses_of(roots)

    # A sum of which every user multiplies it out need not be made; the users share its terms.
    candidates: dict[Combination, list[Contraction]] = {}
    blocked: set[Expr] = set(roots)
    for node in walk(*roots):
        for child in node.children:
            if isinstance(child, Combination) and _fits(child):
                if isinstance(node, Contraction) and _linear(node, child):
                    candidates.setdefault(child, []).append(node)
                else:
                    blocked.add(child)
    chosen: dict[Contraction, Combination] = {}
    for total, users in candidates.items():
        if total in blocked or any(u in chosen for u in users):
            continue
        making = _time_to_make(total, uses, length)
        factored = making + sum(_time_of(u, length) for u in users)
        there = uses.keys() - {t for t in total.terms if uses[t] <= 1}
        expanded = sum(_time_of(t, length, there) for u in users for _, t in _terms(u, total))
        if expanded < WORTH * factored:
            chosen |= dict.fromkeys(users, total)

    # Nodes are rebuilt bottom-up: what was chosen is found by its place, not by its new identity.
    order = list(walk(*roots))
    done: dict[Expr, Expr] = {}
    for node in order:
        children = tuple(done[c] for c in node.children)
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        new = node if same else with_children(node, children)
        if isinstance(node, Contraction) and node in chosen and isinstance(new, Contraction):
            total = done[chosen[node]]
            if isinstance(total, Combination) and _linear(new, total):
                new = add(list(_terms(new, total)))
        done[node] = new
    return [done[root] for root in roots]


def uses_of(roots: list[Expr]) -> dict[Expr, int]:
    """How often each node is needed; a root once more."""
    uses: dict[Expr, int] = {}
    for node in walk(*roots):
        for child in node.children:
            uses[child] = uses.get(child, 0) + 1
    for root in roots:
        uses[root] = uses.get(root, 0) + 1
    return uses


def _fits(total: Combination) -> bool:
    """Whether a sum may be multiplied out: no difference, or a term is summed over itself."""
    if not 1 < len(total.terms) <= LARGEST or total.ndim < 2:
        return False
    if all(c > 0 for c in total.coefficients) or all(c < 0 for c in total.coefficients):
        return True
    return any(isinstance(t, Contraction) and _is_rounded(t) for t in total.terms)


def _is_rounded(t: Contraction) -> bool:
    """Whether a term is a diagonal, or a sum of products of arrays; a mean of data is neither."""
    if len(set(t.out)) < len(t.out):
        return True
    return any(sum(i in legs for legs in t.legs) > 1 for i in range(len(t.dims)) if i not in t.out)


def _linear(node: Contraction, total: Expr) -> bool:
    """Whether ``total`` stands once in a product with others, or alone and is summed over."""
    places = [k for k, e in enumerate(node.operands) if e is total]
    if len(places) != 1 or len(node.operands) > LARGEST:
        return False
    return len(node.operands) > 1 or not set(node.legs[0]).issubset(node.out)


def _terms(node: Contraction, total: Combination) -> list[tuple]:
    place = next(k for k, e in enumerate(node.operands) if e is total)
    pairs = list(zip(node.operands, node.legs, strict=True))
    carried = {i for _, legs in pairs for i in legs}
    sizes = {i: node.dims[i] for i in node.out if i not in carried}
    result = []
    for c, t in zip(total.coefficients, total.terms, strict=True):
        factors = [*pairs[:place], (t, node.legs[place]), *pairs[place + 1 :]]
        result.append((c, contract(factors, node.out, sizes)))
    return result


def _time_to_make(total: Combination, uses: dict[Expr, int], length: Length) -> float:
    entries = prod(length(d) for d in total.shape)
    time = step_time((0,), (0,), {0}, {0: entries}) * len(total.terms)
    for t in total.terms:
        if uses.get(t, 0) <= 1:
            time += _time_of(t, length)
    return time


def _time_of(e: Expr, length: Length, there: Container[Expr] | None = None) -> float:
    """Estimated nanoseconds of one contraction, its operands given; sums of several added up.

    With a set of what is there, contractions among the operands that are not have to be made.
    """
    if isinstance(e, Combination):
        return sum(_time_of(t, length, there) for t in e.terms)
    if not isinstance(e, Contraction):
        return 0.0
    inner = 0.0
    if there is not None:
        inner = sum(_time_of(o, length, there) for o in e.operands if o not in there)
    arrays = Arrays()
    parts: list[Part] = [
        (arrays.number(o, legs), tuple(dict.fromkeys(legs)))
        for o, legs in zip(e.operands, e.legs, strict=True)
        if legs
    ]
    if not parts:
        return inner
    carried = {i for _, legs in parts for i in legs}
    out = tuple(i for i in dict.fromkeys(e.out) if i in carried)
    sizes = {i: max(1, length(d)) for i, d in enumerate(e.dims)}
    if len(parts) == 1:
        return inner + step_time(parts[0][1], parts[0][1], set(out), sizes)
    time = Planner().time(Network(tuple(parts), out, sizes, arrays))
    return inner + (HALVED * time if symmetric_halves(e) else time)

"""A formula as a sum of networks, and a network as the arrays that one term of a matrix holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from tensorcalculus.compiler.structured.terms import Form
from tensorcalculus.expr.combination import add, scale, split_scale
from tensorcalculus.expr.contraction import connected, contract
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import Combination, Contraction, Expr, Number, Scalar
from tensorcalculus.simplify.engine import simplify

TERM_LIMIT = 32
"""A sum with more terms than this, after products are opened, is kept as one dense array."""
_FREE_LIMIT = 8
"""Operands that may go into either thin factor; beyond it only one way is looked at."""

Factor = tuple[Expr, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Network:
    """One term: a coefficient, tensors with labels, the labels of the output axes."""

    coefficient: Scalar
    factors: tuple[Factor, ...]
    out: tuple[int, ...]
    dims: Mapping[int, Dim]


def networks(e: Expr, rows: int) -> list[Network] | None:
    """``e`` as a sum of networks, products with structured sums opened; None for too many."""
    done: list[Network] = []
    waiting: list[tuple[Scalar, Expr]] = [(1, e)]
    while waiting:
        c, t = waiting.pop()
        inner, t = split_scale(t)
        c = c * inner
        if isinstance(t, Combination):
            waiting += [
                (c * d, u) for d, u in zip(t.coefficients[::-1], t.terms[::-1], strict=True)
            ]
        elif isinstance(t, Contraction) and (opened := _opened(t)) is not None:
            waiting += [(c * d, u) for d, u in reversed(opened)]
        elif isinstance(t, Contraction):
            factors = tuple(zip(t.operands, t.legs, strict=True))
            done.append(Network(c, factors, t.out, dict(enumerate(t.dims))))
        elif isinstance(t, Number):
            done.append(Network(c * t.value, (), (), {}))
        else:
            done.append(unstructured(t, c))
        if len(done) + len(waiting) > TERM_LIMIT:
            return None
    return _diagonals_joined(done, rows)


def _diagonals_joined(found: list[Network], rows: int) -> list[Network]:
    """Diagonals along the same axes added up, so that ``1-tanh(x)^2`` stays one expression."""
    joined: dict[tuple, list[Network]] = {}
    multiples: dict[tuple[int, ...], list[Network]] = {}
    done: list[Network] = []
    for network in found:
        carried = frozenset(i for _, legs in network.factors for i in legs if i in network.out)
        if not carried:
            multiples.setdefault(network.out, []).append(network)
        elif carried.issubset(network.out[:rows]) and carried.issubset(network.out[rows:]):
            joined.setdefault((network.out, carried), []).append(network)
        else:
            done.append(network)
    for out, members in multiples.items():
        # A multiple of an identity goes into a diagonal, if there is one.
        key = next((k for k in joined if k[0] == out), (out, frozenset()))
        joined.setdefault(key, []).extend(members)
    together = []
    for (out, carried), members in joined.items():
        if len(members) == 1:
            together += members
            continue
        labels = tuple(sorted(carried))
        dims = {i: members[0].dims[i] for i in out}
        # Only these labels: one without a factor would be summed over.
        spread = {i: dims[i] for i in labels}
        total = add([(m.coefficient, contract(m.factors, labels, spread)) for m in members])
        c, total = split_scale(total)
        factors = () if isinstance(total, Number) else ((total, labels),)
        if isinstance(total, Number):
            c = c * total.value
        together.append(Network(c, factors, out, dims))
    return together + done


def unstructured(e: Expr, c: Scalar = 1) -> Network:
    names = tuple(range(e.ndim))
    return Network(c, ((e, names),), names, dict(enumerate(e.shape)))


def _opened(t: Contraction) -> list[tuple[Scalar, Expr]] | None:
    """The product multiplied out over one operand, a sum that hides structure; or None."""
    pairs = list(zip(t.operands, t.legs, strict=True))
    for k, (operand, legs) in enumerate(pairs):
        c, total = split_scale(operand)
        if not isinstance(total, Combination) or not set(legs) & set(t.out):
            continue
        if len(total.terms) > TERM_LIMIT or not _hides_structure(total):
            continue
        rest = pairs[:k] + pairs[k + 1 :]
        sizes = dict(enumerate(t.dims))
        return [
            (c * d, contract([*rest, (u, legs)], t.out, sizes))
            for d, u in zip(total.coefficients, total.terms, strict=True)
        ]
    return None


def _hides_structure(total: Combination) -> bool:
    """Whether a term is a diagonal, or several axes of it are not connected."""
    found = []
    for term in total.terms:
        _, t = split_scale(term)
        if not isinstance(t, Contraction):
            found.append(False)
            continue
        if len(set(t.out)) < len(t.out):
            return True
        parts = connected([(o, g) for o, g in zip(t.operands, t.legs, strict=True) if g])
        found.append(len(parts) > 1)
    # A sum of a full matrix and an outer product is no better in two parts.
    return any(found) if total.ndim > 2 else all(found)


# -- arrays: thin factors or one ----------------------------------------------------------------


def laid_out(network: Network, n: int, symbols: Mapping[str, int]) -> tuple[Form, list[Expr]]:
    """The form of one term and the expressions of its arrays."""
    rows, cols = network.out[:n], network.out[n:]
    dims = network.dims
    sizes = {i: d.evaluate(symbols) for i, d in dims.items()}
    scalars = [f for f in network.factors if not f[1]]
    inner_labels = iter(range(len(dims), len(dims) + 64))
    arrays: list[tuple[Expr, tuple[int, ...]]] = []
    for _, members in connected([f for f in network.factors if f[1]]):
        carried = {i for _, legs in members for i in legs}
        if carried.isdisjoint(network.out):
            scalars += [(contract(members, ()), ())]
            continue
        batch = tuple(i for i in dict.fromkeys(rows) if i in cols and i in carried)
        left = tuple(i for i in dict.fromkeys(rows) if i in carried and i not in cols)
        right = tuple(i for i in dict.fromkeys(cols) if i in carried and i not in rows)
        cut = _thin(members, batch, left, right, sizes) if left and right else None
        if cut is None:
            labels = (*batch, *left, *right)
            arrays.append((contract(members, labels), labels))
            continue
        first, second, middle = cut
        # Labels inside the thin factors get numbers of their own, as one label may be summed
        # here and stand on no axis.
        fresh = {i: next(inner_labels) for i in middle}
        sizes |= {j: sizes[i] for i, j in fresh.items()}
        for part, outer in ((first, left), (second, right)):
            mine = {i for _, legs in part for i in legs}
            shared = tuple(i for i in batch if i in mine)
            labels = (*shared, *outer, *middle) if part is first else (*shared, *middle, *outer)
            arrays.append((contract(part, labels), tuple(fresh.get(i, i) for i in labels)))
    coefficient: float = 1.0
    if arrays:
        # The scalars go into the smallest array.
        k = min(range(len(arrays)), key=lambda k: prod(sizes[i] for i in arrays[k][1]))
        e, labels = arrays[k]
        names = tuple(range(e.ndim))
        arrays[k] = (scale(network.coefficient, contract([*scalars, (e, names)], names)), labels)
    elif scalars:
        arrays.append((scale(network.coefficient, contract(scalars, ())), ()))
    else:
        coefficient = float(network.coefficient)
    arrays = [(simplify(e), labels) for e, labels in arrays]
    form = Form(rows, cols, tuple(labels for _, labels in arrays), sizes, coefficient)
    return form, [e for e, _ in arrays]


def _thin(
    members: list[Factor],
    batch: tuple[int, ...],
    rows: tuple[int, ...],
    cols: tuple[int, ...],
    sizes: Mapping[int, int],
) -> tuple[list[Factor], list[Factor], tuple[int, ...]] | None:
    """The narrowest cut of a network between its rows and its columns, where it pays.

    Two factors with ``r`` indices between them hold ``r*(rows+cols)`` numbers, one array
    ``rows*cols``.
    """
    left = [f for f in members if not set(rows).isdisjoint(f[1])]
    right = [f for f in members if not set(cols).isdisjoint(f[1])]
    if any(f in right for f in left):
        return None
    free = [f for f in members if f not in left and f not in right]
    out = {*batch, *rows, *cols}
    best, found = prod(sizes[i] for i in out), None
    ways = product((True, False), repeat=len(free))
    for way in ways if len(free) <= _FREE_LIMIT else [(True,) * len(free)]:
        first = left + [f for f, side in zip(free, way, strict=True) if side]
        second = right + [f for f, side in zip(free, way, strict=True) if not side]
        carried = [{i for _, legs in part for i in legs} for part in (first, second)]
        middle = (carried[0] & carried[1]) - out
        cost = sum(prod(sizes[i] for i in (labels & out) | middle) for labels in carried)
        # Without a label between them the parts are joined by the batch alone: rank one blocks.
        if 0 < cost < best:
            best, found = cost, (first, second, tuple(sorted(middle)))
    return found

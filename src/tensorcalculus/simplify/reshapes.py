"""Rules for reshaped tensors: vec, unfoldings and Kronecker products open where entries are all.

``vec(X)`` and ``kron(A,B)`` are reshaped networks.  A sum over all their entries, a trace or a
determinant does not need the entries in that order.
"""

from __future__ import annotations

from tensorcalculus.expr.build import kron_parts
from tensorcalculus.expr.combination import add, scale, split_scale
from tensorcalculus.expr.contraction import contract, parts
from tensorcalculus.expr.dims import Dim, dim
from tensorcalculus.expr.maps import apply, fill, filling, is_filled, power
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Shape,
    walk_new,
)
from tensorcalculus.expr.operations.structural import reshape
from tensorcalculus.simplify.engine import rule


def _source(e: Expr) -> Expr | None:
    """``x`` where ``e`` is ``x`` with all axes rearranged."""
    if isinstance(e, Operation) and e.row.name == "reshape" and e.params[0] == e.args[0].ndim:
        return e.args[0]
    return None


def _entries(e: Expr) -> Shape | None:
    """The shape of the tensors whose reshaped entries ``e`` is made of, entry by entry.

    For ``exp(vec(X))`` that of ``X'``; empty for one value everywhere, None for all else.
    """
    for node in walk_new(e, "entries"):
        node.memo["entries"] = _entries_of(node)
    return e.memo["entries"]


def _entries_of(node: Expr) -> Shape | None:
    if is_filled(node):
        return ()
    inner = _source(node)
    if inner is not None:
        return inner.shape or None
    if isinstance(node, Contraction):
        plain = len(set(node.out)) == node.ndim
        if not plain or any(legs not in ((), node.out) for legs in node.legs):
            return None
    elif not isinstance(node, Map | Combination):
        return None
    found = {c.memo["entries"] for c in node.children} - {()}
    return found.pop() if len(found) == 1 else None


def arranged(e: Expr, shape: Shape) -> Expr | None:
    """The entries of ``e`` in ``shape``, as ``exp(X')`` for ``exp(vec(X))``; None for others."""
    if _entries(e) not in (shape, ()):
        return None
    done: dict[Expr, Expr] = {}
    stack = [e]
    while stack:
        node = stack[-1]
        inner = _source(node)
        if node in done:
            stack.pop()
        elif is_filled(node):
            done[node] = fill(filling(node), shape) if node.ndim else node
        elif inner is not None:
            done[node] = inner
        else:
            waiting = [c for c in node.children if c not in done]
            stack.extend(waiting)
            if not waiting:
                done[node] = _of_entries(node, [done[c] for c in node.children], shape)
    return done[e]


def _of_entries(node: Expr, made: list[Expr], shape: Shape) -> Expr:
    """A node that works entry by entry, of other children."""
    if isinstance(node, Map):
        return apply(node.function, *made)
    if isinstance(node, Combination):
        return add(list(zip(node.coefficients, made, strict=True)))
    names = tuple(range(len(shape)))
    return contract([(m, names if m.ndim else ()) for m in made], names)


def _opened(e: Expr) -> Expr | None:
    """What ``e`` arranges, if it is made of reshaped tensors of one shape."""
    shape = _entries(e)
    return arranged(e, shape) if shape else None


@rule(Operation, "reshape", "reshape(c*x) = c*reshape(x); a reshape that undoes another goes")
def reshaped(node: Operation) -> Expr | None:
    """Numbers come out, and what has been reshaped before is reshaped once or not at all."""
    if node.row.name != "reshape":
        return None
    c, x = split_scale(node.args[0])
    if c != 1:
        return scale(c, Operation(node.row, (x,), node.params))
    if _source(node) is None:
        return None
    once = reshape(x, node.shape)
    return arranged(x, node.shape) if once is node else once


@rule(Operation, "sum of Kronecker products", "a reshaped sum is the sum of kron(A,B)")
def sum_of_kron(node: Operation) -> Expr | None:
    """A reshaped sum is opened where each of its terms is a Kronecker product."""
    if node.row.name != "reshape" or not isinstance(node.args[0], Combination):
        return None
    inner = node.args[0]
    if not 2 <= len(inner.terms) <= 6:
        return None
    opened = [Operation(node.row, (t,), node.params) for t in inner.terms]
    if any(kron_parts(t) is None for t in opened):
        return None
    return add(list(zip(inner.coefficients, opened, strict=True)))


@rule(Contraction, "joined axis", "a network through reshape(eye(m*n),m*n,m,n) is reshaped itself")
def through_identity(node: Contraction) -> Expr | None:
    """The identity between an axis and the axes that it joins: what it touches is reshaped.

    So the Jacobian of ``vec(A*X*B)`` by the entries of ``X`` in a vector is ``kron(B',A)``.
    """
    for k, (o, legs) in enumerate(zip(node.operands, node.legs, strict=True)):
        if not _splits_identity(o) or len(set(legs)) != len(legs):
            continue
        whole, *ends = legs
        pairs = [p for j, p in enumerate(zip(node.operands, node.legs, strict=True)) if j != k]
        carried = {i for _, g in pairs for i in g}
        if node.out.count(whole) != 1 or whole in carried:
            continue
        if not carried.issuperset(ends) or any(i in node.out for i in ends):
            continue
        place = node.out.index(whole)
        out = (*node.out[:place], *ends, *node.out[place + 1 :])
        sizes = {i: d for i, d in enumerate(node.dims) if i in out}
        return reshape(contract(pairs, out, sizes), node.shape)
    return None


def _splits_identity(e: Expr) -> bool:
    """Whether ``e`` is an identity whose second axis is split."""
    if not isinstance(e, Operation) or e.row.name != "reshape" or e.params[0] != 1:
        return False
    (x,) = e.args
    return isinstance(x, Contraction) and not x.operands and x.out == (0, 0)


@rule(Contraction, "sum of entries", "vec(A)'*vec(B) = tr(A'*B), tr(kron(A,B)) = tr(A)*tr(B)")
def sum_of_reshaped(node: Contraction) -> Expr | None:
    """A scalar network over reshaped tensors is one over the tensors themselves."""
    if node.out or not all(node.legs):
        return None
    opened = [_opened(o) for o in node.operands]
    inner = [o if x is None else x for o, x in zip(node.operands, opened, strict=True)]
    if all(x is None for x in opened):
        return None
    first = node.legs[0]
    if all(legs == first for legs in node.legs) and len(set(first)) == len(first):
        shape = next(x.shape for x in opened if x is not None)
        entries = [arranged(o, shape) for o in node.operands]
        names = tuple(range(len(shape)))
        if all(e is not None for e in entries):
            return contract([(e, names) for e in entries if e is not None], ())
    joined: dict[int, tuple[Dim, ...]] = {}
    factors = []
    for o, x, legs in zip(node.operands, inner, node.legs, strict=True):
        groups = _groups(x.shape, o.shape)
        if groups is None:
            return None
        names = []
        for label, group in zip(legs, groups, strict=True):
            dims = tuple(x.shape[k] for k in group)
            if joined.setdefault(label, dims) != dims:
                return None
            names += [(label, place) for place in range(len(group))]
        factors.append((x, names))
    return contract(factors, ())


@rule(Contraction, "norm of an outer product", "norm2(x*y')^2 = norm2(x)^2*norm2(y)^2")
def sum_of_products(node: Contraction) -> Expr | None:
    """The sum over all entries of a power, or absolute value, of a product without inner sums."""
    if node.out or len(node.operands) != 1:
        return None
    (f,), (legs,) = node.operands, node.legs
    if len(set(legs)) != len(legs) or not isinstance(f, Map):
        return None
    base, *given = f.args
    p = given[0] if given and f.function.name == "pow" else None
    integer = isinstance(p, Number) and isinstance(p.value, int)
    if not (integer or f.function.name == "abs") or not isinstance(base, Contraction):
        return None
    summed = {i for g in base.legs for i in g} - set(base.out)
    if summed or len(set(base.out)) != base.ndim or len(parts(base)) < 2:
        return None
    factors = [
        (power(o, p) if p is not None else apply("abs", o), g)
        for o, g in zip(base.operands, base.legs, strict=True)
    ]
    return contract(factors, (), dict(enumerate(base.dims)))


def _groups(shape: Shape, joined: Shape) -> list[tuple[int, ...]] | None:
    """The neighbouring axes of ``shape`` that make each axis of ``joined``."""
    groups, k = [], 0
    for d in joined:
        begun, count = k, dim(1)
        while count is not d:
            if k == len(shape):
                return None
            count = count * shape[k]
            k += 1
        groups.append(tuple(range(begun, k)))
    return groups if k == len(shape) else None


def kron_factors(e: Expr) -> tuple[Expr, Expr] | None:
    """Square ``A`` and ``B`` where ``e`` is ``kron(A,B)``."""
    found = kron_parts(e)
    if found is None or e.ndim != 2:
        return None
    network = e.children[0]
    assert isinstance(network, Contraction)
    scalars = [(o, g) for o, g in zip(network.operands, network.legs, strict=True) if not g]
    sizes = dict(enumerate(network.dims))
    a, b = (
        contract(
            [*extra, *members],
            [network.out[p] for p in places],
            {i: sizes[i] for i in {network.out[p] for p in places}},
        )
        for extra, (members, places) in zip((scalars, []), found, strict=True)
    )
    square = a.shape[0] is a.shape[1] and b.shape[0] is b.shape[1]
    return (a, b) if square else None

"""The two sweeps: cotangents pulled back from a result, tangents pushed forward to it.

One rule a node kind and direction.  A cotangent has leading axes of its own (those of the function
that is differentiated), a tangent likewise (those of the variable), so a Jacobian is one sweep
whose seed is an identity, and an identity is an index pattern that costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tensorcalculus.errors import NotDifferentiableError
from tensorcalculus.expr.combination import add, is_zero, scale, zeros
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import derivative as map_derivative
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Shape,
    Variable,
    walk,
)


def identity_seed(shape: Shape) -> Expr:
    """The identity of the space of tensors of a shape, axes twice: ``delta_ii' delta_jj'``."""
    if not shape:
        return Number(1)
    names = tuple(range(len(shape)))
    return contract([], names + names, dict(zip(names, shape, strict=True)))


def dependent(root: Expr, targets: Iterable[Expr]) -> tuple[list[Expr], set[Expr]]:
    """All nodes below ``root``, children first, and those that depend on a target."""
    order = list(walk(root))
    marked = set(targets)
    for node in order:
        if node not in marked and any(c in marked for c in node.children):
            marked.add(node)
    return order, marked


def reverse(root: Expr, targets: Sequence[Expr], seed: Expr | None = None) -> list[Expr]:
    """The derivative of ``root`` by each target: axes of ``seed`` before those of ``root`` first.

    With no ``seed`` the result is the Jacobian (the gradient of a scalar); with one of the shape
    of ``root`` the vector-Jacobian product.  Every node is visited once: a DAG of N nodes gives
    O(N) new ones.
    """
    seed = identity_seed(root.shape) if seed is None else seed
    lead = seed.ndim - root.ndim
    order, marked = dependent(root, targets)
    cotangents: dict[Expr, list[Expr]] = {root: [seed]}
    wanted = set(targets)
    for node in reversed(order):
        parts = cotangents.get(node)
        if parts is None or node not in marked:
            continue
        g = add([(1, p) for p in parts])
        cotangents[node] = [g]
        if node in wanted or is_zero(g):
            continue
        for child, part in pull(node, g, lead, marked):
            if not is_zero(part):
                cotangents.setdefault(child, []).append(part)
    head = seed.shape[:lead]
    return [
        cotangents[t][0] if t in cotangents and t in marked else zeros((*head, *t.shape))
        for t in targets
    ]


def pull(node: Expr, g: Expr, lead: int, marked: set[Expr]) -> list[tuple[Expr, Expr]]:
    """What the cotangent ``g`` of ``node`` contributes to each of its marked children."""
    s = tuple(("s", k) for k in range(lead))
    if isinstance(node, Contraction):
        return _pull_contraction(node, g, s, marked)
    if isinstance(node, Combination):
        return [
            (t, scale(c, g))
            for c, t in zip(node.coefficients, node.terms, strict=True)
            if t in marked
        ]
    result = []
    if isinstance(node, Map):
        i = tuple(range(node.ndim))
        for k, a in enumerate(node.args):
            if a in marked:
                d = partial(node, k)
                legs = i[: d.ndim]
                result.append((a, contract([(g, s + i), (d, legs)], s + i[: a.ndim])))
    elif isinstance(node, Operation):
        row = node.row
        for k, a in enumerate(node.args):
            if a not in marked or row.constant:
                continue
            if k in row.linear and row.transpose is not None:
                part = row.transpose(node, k, g)
                # Batch axes that only the other arguments have stand behind those of ``g``.
                kept = (*range(lead), *range(part.ndim - a.ndim, part.ndim))
                result.append((a, contract([(part, range(part.ndim))], kept)))
                continue
            # The adjoint is the transpose of the differential, read off by a sweep of its own.
            direction = Variable(f"\0d{k}", a.shape)
            change = differential(node, {k: direction})
            if change is not None:
                result.append((a, reverse(change, [direction], g)[0]))
    return result


def _pull_contraction(
    node: Contraction, g: Expr, s: tuple, marked: set[Expr]
) -> list[tuple[Expr, Expr]]:
    """Delete the operand, open its legs: the network without it, joined to the cotangent."""
    pairs = list(zip(node.operands, node.legs, strict=True))
    sizes = dict(enumerate(node.dims))
    result = []
    for k, (a, legs) in enumerate(pairs):
        if a in marked:
            rest = [(g, s + node.out), *pairs[:k], *pairs[k + 1 :]]
            result.append((a, contract(rest, s + legs, sizes)))
    return result


def forward(root: Expr, tangents: Mapping[Expr, Expr]) -> Expr:
    """The directional derivative of ``root``; leading axes of the tangents come first.

    All ``tangents`` (variable to tangent) carry the same leading axes.
    """
    lead_shape: Shape = ()
    for variable, t in tangents.items():
        lead_shape = t.shape[: t.ndim - variable.ndim]
    order, marked = dependent(root, tangents)
    pushed: dict[Expr, Expr] = dict(tangents)
    for node in order:
        if node in marked and node not in pushed:
            pushed[node] = push(node, pushed, marked, lead_shape)
    return pushed.get(root, zeros((*lead_shape, *root.shape)))


def push(node: Expr, pushed: Mapping[Expr, Expr], marked: set[Expr], lead: Shape) -> Expr:
    """The tangent of ``node`` from those of its marked children."""
    s = tuple(("s", k) for k in range(len(lead)))
    if isinstance(node, Contraction):
        pairs = list(zip(node.operands, node.legs, strict=True))
        sizes = dict(enumerate(node.dims))
        return add(
            [
                (
                    1,
                    contract(
                        [(pushed[a], s + legs), *pairs[:k], *pairs[k + 1 :]], s + node.out, sizes
                    ),
                )
                for k, (a, legs) in enumerate(pairs)
                if a in marked
            ]
        )
    if isinstance(node, Combination):
        return add(
            [
                (c, pushed[t])
                for c, t in zip(node.coefficients, node.terms, strict=True)
                if t in marked
            ]
        )
    if isinstance(node, Map):
        i = tuple(range(node.ndim))
        sizes = dict(zip(i, node.shape, strict=True))
        parts = []
        for k, a in enumerate(node.args):
            if a in marked:
                d = partial(node, k)
                factors = [(pushed[a], s + i[: a.ndim]), (d, i[: d.ndim])]
                parts.append((1, contract(factors, s + i, sizes)))
        return add(parts)
    assert isinstance(node, Operation)
    found = differential(node, {k: pushed[a] for k, a in enumerate(node.args) if a in marked})
    return zeros((*lead, *node.shape)) if found is None else found


def differential(node: Operation, tangents: Mapping[int, Expr]) -> Expr | None:
    """The differential of an operation; None where it is zero."""
    row = node.row
    parts = []
    for k, t in tangents.items():
        t = _with_batch_of(node, k, t)
        if k in row.linear:
            args = (*node.args[:k], t, *node.args[k + 1 :])
            parts.append((1, Operation(row, args, node.params)))
        elif not row.constant and row.differential is not None:
            part = row.differential(node, {k: t})
            if part is not None:
                parts.append((1, part))
    return add(parts) if parts else None


def _with_batch_of(node: Operation, k: int, t: Expr) -> Expr:
    """The tangent of argument ``k`` with the batch axes that other arguments have and it lacks.

    They stand between the axes of the tangent and those of the argument, which would otherwise
    be taken one for another.
    """
    cores, a = node.row.cores, node.args[k]
    lead = t.ndim - a.ndim
    missing = (node.ndim - cores[-1]) - (a.ndim - cores[k]) if cores else 0
    if not lead or not missing:
        return t
    names = tuple(range(t.ndim + missing))
    sizes = {lead + j: node.shape[j] for j in range(missing)}
    return contract([(t, names[:lead] + names[lead + missing :])], names, sizes)


def partial(node: Map, k: int) -> Expr:
    """The derivative of a map by argument ``k``; NotDifferentiableError where there is none."""
    d = map_derivative(node, k)
    if d is None:
        raise NotDifferentiableError(
            f"{node.function.name} is not differentiable in its argument "
            f"{k + 1} ({node.function.domain}); it stands in {node}"
        )
    return d

"""Hierarchical Tucker tensors as lists of cores on a tree: rounding, entries, trains.

Cores are matrices ``[n, r]`` at leaves and arrays ``[r_left, r_right, r]`` inside, in the order of
:func:`tensorcalculus.networks.formats.trees.nodes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorcalculus.networks.arrays import (
    Array,
    H,
    flattened,
    like,
    namespace,
    norm,
    qr,
    rank_within,
    svd,
    zeros,
)
from tensorcalculus.networks.formats.linear import mode_product
from tensorcalculus.networks.formats.trees import Tree, nodes
from tensorcalculus.networks.trains.rounding import round_train

Cores = Sequence[Array]


def orthonormal(cores: Cores, tree: Tree) -> list[Array]:
    """The same tensor; the columns of all bases but the root's are orthonormal.

    Grasedyck (2010), algorithm 3: QR by QR from the leaves; a factor R goes to the parent.
    """
    made, listed = list(cores), nodes(tree)
    rests: dict[int, Array] = {}
    for k in reversed(range(len(made))):
        core, pair = made[k], listed[k].children
        if pair is not None:
            for axis, child in enumerate(pair):
                core = mode_product(core, rests.pop(child), axis)
        if k:
            q, rests[k] = qr(core.reshape(-1, core.shape[-1]))
            core = q.reshape(*core.shape[:-1], -1)
        made[k] = core
    return made


def size(cores: Cores, tree: Tree) -> Array:
    """The Frobenius norm, by triangular factors from the leaves to the root."""
    listed, rests = nodes(tree), {}
    for k in reversed(range(len(cores))):
        core = cores[k]
        for axis, child in enumerate(listed[k].children or ()):
            core = mode_product(core, rests.pop(child), axis)
        rests[k] = flattened(core.reshape(-1, core.shape[-1]))
    return namespace(cores[0]).linalg.vector_norm(rests[0].reshape(-1))


def weights(cores: Cores, tree: Tree) -> list[Array]:
    """For each node a square matrix whose singular values are those of the node's unfolding.

    Of a tensor of orthonormal bases.  The reduced Gram matrix of a node (Grasedyck 2010, algorithm
    4) is ``C C^H``; here the factor C itself is carried from the root on, as the triangular factor
    of what multiplies the basis, so that small singular values keep their digits.
    """
    made: list[Array] = [cores[0]] * len(cores)
    made[0] = namespace(cores[0]).ones_like(cores[0].reshape(-1)[:1]).reshape(1, 1)
    for k, node in enumerate(nodes(tree)):
        if node.children is None:
            continue
        weighted = mode_product(cores[k], made[k].mT, 2)
        for axis, child in enumerate(node.children):
            m = namespace(weighted).moveaxis(weighted, axis, 0).reshape(weighted.shape[axis], -1)
            made[child] = H(flattened(H(m)))
    return made


def rounded(cores: Cores, tree: Tree, tol: float, max_rank: int | None) -> list[Array]:
    """Cores of smaller ranks, the error at most ``tol*norm`` (see :meth:`HTucker.round`)."""
    listed = nodes(tree)
    d = (len(cores) + 1) // 2
    if d == 1:
        return list(cores)
    made = orthonormal(cores, tree)
    size = norm(made[0])
    if size == 0:
        return [
            zeros((*(1 if n.children else m for m in c.shape[:-1]), 1), c)
            for n, c in zip(listed, cores, strict=True)
        ]
    # The two children of the root have the same singular values, and count once.
    delta = tol * size / math.sqrt(2 * d - 3)
    bases: list[Array | None] = [None]
    for factor in weights(made, tree)[1:]:
        u, s, _ = svd(factor)
        bases.append(u[:, : rank_within(s, delta, max_rank)])
    for k, node in enumerate(listed):
        for axis, child in enumerate(node.children or ()):
            made[k] = mode_product(made[k], H(bases[child]), axis)
        if bases[k] is not None:
            made[k] = made[k] @ bases[k]
    return made


def entries(cores: Cores, tree: Tree, indices: Array) -> Array:
    """Entries at the rows of `indices`, an integer array ``[batch, d]``."""
    rows: dict[int, Array] = {}
    listed = nodes(tree)
    for k in reversed(range(len(listed))):
        core, pair = cores[k], listed[k].children
        if pair is None:
            rows[k] = core[indices[:, listed[k].modes[0]]]
            continue
        left, right = (rows.pop(child) for child in pair)
        p, q, r = core.shape
        part = (left @ core.reshape(p, q * r)).reshape(left.shape[0], q, r)
        rows[k] = (right[:, None, :] @ part)[:, 0, :]
    return rows[0][:, 0]


def without(cores: Cores, tree: Tree, gone: set[int]) -> Any:
    """Cores and tree of what is left when some leaves are vectors ``[r]``; or a number.

    The parent of a vanished node is a matrix, which its other child takes.
    """
    listed = nodes(tree)
    # What has become of a node: an array and, unless it vanished, its tree and its two halves.
    found: dict[int, tuple[Array, Any]] = {}
    for k in reversed(range(len(cores))):
        core, pair = cores[k], listed[k].children
        if pair is None:
            mode = listed[k].modes[0]
            found[k] = core, None if mode in gone else (mode, ())
            continue
        (left, one), (right, two) = (found.pop(child) for child in pair)
        if one and two:
            found[k] = core, ((one[0], two[0]), ((left, one), (right, two)))
            continue
        if not one:
            p, q, r = core.shape
            core = (left @ core.reshape(p, q * r)).reshape(q, r)
            found[k] = (right @ core, two)
        else:
            found[k] = (left @ (right @ core), one)
    top, rest = found[0]
    if rest is None:
        return top[0]
    made, pending = [], [(top, rest)]
    while pending:  # level by level, as in `nodes`
        following = []
        for core, (_, halves) in pending:
            made.append(core)
            following += halves
        pending = following
    return made, rest[0]


def joined(top: Array, a: Any, b: Any) -> list[Array]:
    """The cores of two tensors below a new root, level by level."""
    made: list[Array] = [top]
    pending = [(x, 0) for x in (a, b)]
    while pending:
        following = []
        for x, k in pending:
            made.append(x.cores[k])
            following += [(x, child) for child in nodes(x.tree)[k].children or ()]
        pending = following
    return made


def to_train(cores: Cores, tree: Tree) -> list[Array]:
    """Cores of a train whose modes are in the order in which the tree is read.

    A node is a train with a matrix behind it, ``[last bond, r]``.  Its left half comes first, and
    its bond goes through all cores of the right half, whose ranks are multiplied by it; what is
    not needed is cut at once.  Bases are orthonormal meanwhile, so that a cut within rounding is
    within rounding of the whole.
    """
    listed = nodes(tree)
    cores = orthonormal(cores, tree)
    parts: dict[int, tuple[list[Array], Array]] = {}
    for k in reversed(range(len(cores))):
        core, pair = cores[k], listed[k].children
        if pair is None:
            parts[k] = [core[None]], like(np.eye(core.shape[1]), core)
            continue
        (left, end), (right, rest) = (parts.pop(child) for child in pair)
        r = end.shape[1]
        unit = like(np.eye(r), core).reshape(r, 1, 1, r, 1)
        carried = []
        for other in right:
            s, n, t = other.shape
            carried.append((unit * other[None, :, :, None, :]).reshape(r * s, n, r * t))
        # What stands behind is [(bond of the left half, last bond of the right half), r].
        behind = (rest @ core).reshape(-1, core.shape[2])
        *chain, last = round_train(
            [*left[:-1], left[-1] @ end, *carried, behind[:, :, None]], 0.0, None
        )
        parts[k] = chain, last[:, :, 0]
    made, end = parts[0]
    return [*made[:-1], made[-1] @ end]


def from_train(cores: Cores, tree: Tree) -> list[Array]:
    """Cores with orthonormal bases of a train, on a tree that is read in the order of its modes.

    A node over some modes is what the cores between two bonds span: ``[·, (r, s)] = Q R`` with Q
    the node's basis; R goes to the parent.
    """
    listed = nodes(tree)
    made: list[Array] = [cores[0]] * len(listed)
    rests: dict[int, Array] = {}  # [q, r, s]
    for k in reversed(range(len(listed))):
        xp, pair = namespace(cores[0]), listed[k].children
        if pair is None:
            full = xp.permute_dims(cores[listed[k].modes[0]], (1, 0, 2))
        else:
            left, right = (rests.pop(child) for child in pair)
            (a, r, m), (b, _, s) = left.shape, right.shape
            moved = xp.permute_dims(right, (1, 0, 2)).reshape(m, b * s)
            full = (left.reshape(a * r, m) @ moved).reshape(a, r, b, s)
            full = xp.permute_dims(full, (0, 2, 1, 3))
        *front, r, s = full.shape
        if k == 0:
            made[k] = full.reshape(*front, 1)
            continue
        q, rest = qr(full.reshape(-1, r * s))
        made[k], rests[k] = q.reshape(*front, -1), rest.reshape(-1, r, s)
    return made

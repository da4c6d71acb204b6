"""Truncation of the Tucker format with its adjoint: derivatives at the ranks found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorcalculus.networks.arrays import Array, H, namespace, qr
from tensorcalculus.networks.formats.linear import mode_product, unfolded
from tensorcalculus.networks.trains.adjoints import check_static, size_of
from tensorcalculus.networks.trains.tracking import Work, tracked
from tensorcalculus.networks.trains.truncation import split, split_adjoint


def st_hosvd(tol: float, ranks: Sequence[int] | None) -> Work:
    """One mode after the other, each cut off by the SVD of the core so far."""

    def forward(given: Sequence[Array]) -> tuple[list[Array], Any]:
        (core,) = given
        check_static(given, ranks, "from_dense", "ranks")
        d = core.ndim
        delta = tol * size_of(core) / math.sqrt(d)
        factors, splits = [], []
        for k in range(d):
            most = None if ranks is None else int(ranks[k])
            # The mode to the end, and its basis as the right factor.
            moved = namespace(core).moveaxis(core, k, -1)
            shape = moved.shape
            parts, left, right = split(moved.reshape(-1, shape[-1]), delta, most)
            splits.append(parts)
            factors.append(right.mT)
            core = namespace(core).moveaxis(left.reshape(*shape[:-1], -1), -1, k)
        return [core, *factors], splits

    def backward(splits: Any, cotangents: Sequence[Array]) -> list[Array]:
        core = cotangents[0]
        xp = namespace(core)
        for k in range(core.ndim - 1, -1, -1):
            moved = xp.moveaxis(core, k, -1)
            shape = moved.shape
            left, right = moved.reshape(-1, shape[-1]), cotangents[k + 1].mT
            found = split_adjoint(splits[k], left, right, "from_dense")
            core = xp.moveaxis(found.reshape(*shape[:-1], -1), -1, k)
        return [core]

    return Work(forward, backward)


def tucker_rounding(tol: float, ranks: Sequence[int] | None) -> Work:
    """ST-HOSVD of the core of a Tucker format whose factors were made orthonormal.

    As for trains, the adjoint does not pass through the triangular factors.  The cotangent of a
    factor is known in the span of its orthonormal basis from the core, and beyond it through the
    singular vectors of the core that are kept.
    """
    dense = st_hosvd(tol, ranks)

    def forward(given: Sequence[Array]) -> tuple[list[Array], Any]:
        core, *factors = given
        pairs = [qr(u) for u in factors]
        small = core
        for k, (_, r) in enumerate(pairs):
            small = mode_product(small, r, k)
        (small, *bases), splits = dense.forward([small])
        made = [q @ basis for (q, _), basis in zip(pairs, bases, strict=True)]
        return [small, *made], (core, pairs, bases, splits)

    def backward(residuals: Any, cotangents: Sequence[Array]) -> list[Array]:
        core, pairs, bases, splits = residuals
        small, *slopes = cotangents
        d = len(pairs)
        inner = [H(q) @ g for (q, _), g in zip(pairs, slopes, strict=True)]
        (whole,) = dense.backward(splits, [small, *inner])
        found = []
        for k, ((q, _), g) in enumerate(zip(pairs, slopes, strict=True)):
            inside = outside = core
            for j, (_, r) in enumerate(pairs):
                if j != k:
                    inside = mode_product(inside, r, j)
                    outside = mode_product(outside, H(bases[j]) @ r if j < k else r, j)
            near = unfolded(whole, [k]) @ H(unfolded(inside, [k]))
            parts, width = splits[k], g.shape[1]
            xp = namespace(g)
            positive = parts.sigma > 0
            weights = xp.where(positive, parts.keep / xp.where(positive, parts.sigma, 1.0), 0.0)
            far = (g - q @ (H(q) @ g)) * weights[:width]
            far = far @ (parts.u[:, :width].mT @ H(unfolded(outside, [k])))
            found.append(q @ near + far)
        for k in range(d):
            whole = mode_product(whole, H(pairs[k][1]), k)
        return [whole, *found]

    return Work(forward, backward)


def tucker_rounded(cores: Sequence[Array], tol: float, ranks: Sequence[int] | None) -> list[Array]:
    """The core and factors of smaller ranks, as PyTorch and JAX differentiate and trace them."""
    return tracked(tucker_rounding(tol, ranks), cores)


def tucker_of_dense(a: Array, tol: float, ranks: Sequence[int] | None) -> list[Array]:
    """The core and the factors, as PyTorch and JAX differentiate and trace them."""
    return tracked(st_hosvd(tol, ranks), [a])

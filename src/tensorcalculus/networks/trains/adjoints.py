"""Truncation of trains and of dense arrays with their adjoints: derivatives at the ranks found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import (
    Array,
    H,
    checked_tolerance,
    floating,
    is_abstract,
    namespace,
    norm,
    qr,
)
from tensorcalculus.networks.trains.tracking import Work, tracked
from tensorcalculus.networks.trains.truncation import split, split_adjoint

if TYPE_CHECKING:
    from tensorcalculus.networks.formats.tt import TT


def size_of(x: Array) -> Any:
    """The Frobenius norm: a number, or while JAX traces an array without axes."""
    return namespace(x).linalg.vector_norm(x.reshape(-1)) if is_abstract(x) else norm(x)


def check_static(arrays: Sequence[Array], limit: object, name: str, wanted: str) -> None:
    """Refuse to choose ranks by numbers that JAX does not tell."""
    if limit is None and any(map(is_abstract, arrays)):
        raise InputError(
            f"{name}: under jax.jit and jax.vmap ranks cannot depend on numbers; give {wanted}"
        )


# Trains


def rounding(tol: float, max_rank: int | None) -> Work:
    """A QR sweep to the right, then truncated SVDs to the left (Oseledets 2011, algorithm 2).

    The adjoint does not pass through the triangular factors, which are singular for a train of
    redundant bonds such as ``t + t``.  With the cotangent ``x`` of the whole tensor, that of core k
    is ``g_{<k}^H x g_{>k}^H``.  In front of a cut, ``x`` is known in the span of the orthonormal
    cores from the cut's SVD, and beyond that span only through the right singular vectors that are
    kept, so that products of ``g_{>k}`` with these suffice.
    """

    def forward(cores: Sequence[Array]) -> tuple[list[Array], Any]:
        check_static(cores, max_rank, "round", "max_rank")
        d = len(cores)
        qs, rs = [], []
        center = cores[0]
        for k in range(d - 1):
            r, n, s = center.shape
            q, rest = qr(center.reshape(r * n, s))
            qs.append(q)
            rs.append(rest)
            s, n, t = cores[k + 1].shape
            center = (rest @ cores[k + 1].reshape(s, n * t)).reshape(-1, n, t)
        delta = tol * size_of(center) / math.sqrt(max(1, d - 1))
        made, splits = [], []
        for k in range(d - 1, 0, -1):
            r, n, s = center.shape
            parts, left, right = split(center.reshape(r, n * s), delta, max_rank)
            splits.append(parts)
            made.append(right.reshape(-1, n, s))
            n = cores[k - 1].shape[1]
            center = (qs[k - 1] @ left).reshape(-1, n, left.shape[1])
        rounded = [center, *reversed(made)]
        return rounded, (list(cores), rounded[1:], qs, rs, splits[::-1])

    def backward(residuals: Any, cotangents: Sequence[Array]) -> list[Array]:
        cores, rows, qs, rs, splits = residuals
        d = len(cores)
        if d == 1:
            return [cotangents[0]]
        # The cuts from the first to the last, in the basis of the orthonormal cores.
        centers = []
        center = cotangents[0].reshape(qs[0].shape[0], -1)
        for k in range(1, d):
            parts, q = splits[k - 1], qs[k - 1]
            width, n, s = rows[k - 1].shape
            center = center * parts.keep[:width]
            centers.append(center)
            right = cotangents[k].reshape(width, n * s)
            center = split_adjoint(parts, H(q) @ center, right, "round")
            if k < d - 1:
                center = center.reshape(-1, s)
        # From the last core back, with what lies outside of that basis.
        known = center
        cross = namespace(center).ones_like(center[:1, :1])
        found = []
        for k in range(d - 1, -1, -1):
            r, n, s = cores[k].shape
            wide = known.reshape(-1, n * s)
            found.append((H(rs[k - 1]) @ wide if k else wide).reshape(r, n, s))
            if k == 0:
                break
            width, n, t = rows[k - 1].shape
            cross = (cores[k].reshape(r * n, s) @ cross).reshape(r, n * t)
            cross = cross @ H(rows[k - 1].reshape(width, n * t))  # [r, width]
            q, center = qs[k - 1], centers[k - 1]
            outside = center - q @ (H(q) @ center)
            known = q @ (wide @ H(cores[k].reshape(r, n * s))) + outside @ H(cross)
        return found[::-1]

    return Work(forward, backward)


def train_of_dense(tol: float, max_rank: int | None) -> Work:
    """TT-SVD from the last cut to the first, by SVDs of the unfoldings themselves."""

    def forward(given: Sequence[Array]) -> tuple[list[Array], Any]:
        (a,) = given
        check_static(given, max_rank, "from_dense", "max_rank")
        d, shape = a.ndim, tuple(a.shape)
        delta = tol * size_of(a) / math.sqrt(max(1, d - 1))
        made, splits = [], []
        rest = a.reshape(*shape, 1)
        for k in range(d - 1, 0, -1):
            s = rest.shape[-1]
            parts, left, right = split(rest.reshape(-1, shape[k] * s), delta, max_rank)
            splits.append(parts)
            made.append(right.reshape(-1, shape[k], s))
            rest = left.reshape(*shape[:k], -1)
        cores = [rest.reshape(1, shape[0], -1), *reversed(made)]
        return cores, splits[::-1]

    def backward(splits: Any, cotangents: Sequence[Array]) -> list[Array]:
        shape = tuple(g.shape[1] for g in cotangents)
        rest = cotangents[0]
        for k, parts in enumerate(splits, 1):
            width, n, s = cotangents[k].shape
            right = cotangents[k].reshape(width, n * s)
            rest = split_adjoint(parts, rest.reshape(-1, width), right, "from_dense")
        return [rest.reshape(shape)]

    return Work(forward, backward)


def round_vjp(
    train: TT, tol: float = 1e-8, max_rank: int | None = None
) -> tuple[TT, Callable[[TT | Sequence[Any]], list[Array]]]:
    """The rounded train, and the adjoint of rounding at its ranks, for NumPy and any other arrays.

    The second result takes the derivatives ``g_k`` of a real function by the cores of the rounded
    train, ``df = sum Re <g_k, d core_k>``, and gives those by the cores of `train`.  PyTorch and
    JAX do that by themselves.  Right for functions of the rounded tensor, whatever singular
    values are equal or 0.

    Raises
    ------
    InputError
        A tolerance or a rank that means nothing; entries that are not finite.

    Warns
    -----
    GaugeWarning
        At a cut, a singular value that is kept equals one that is not, and the function notices; or
        it depends on the basis of a bond.

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> t = tn.TT.random((4, 5), 2, seed=0)
    >>> r, pull = tn.round_vjp(t + t)  # bonds 4, rounded to 2
    >>> a, b = r.cores  # the sum of all entries, by both:
    >>> slopes = pull([0 * a + b.sum(axis=(1, 2)), 0 * b + a.sum(axis=(0, 1))[:, None, None]])
    >>> exact = (t + t).cores[1].sum(axis=(1, 2))
    >>> bool(np.allclose(slopes[0], exact))
    True
    """
    tol = checked_tolerance(tol, max_rank, train.cores[0])
    work = rounding(tol, max_rank)
    made, residuals = work.forward(train.cores)

    def pull(cotangents: TT | Sequence[Any]) -> list[Array]:
        listed: Sequence[Any] = getattr(cotangents, "cores", cotangents)  # type: ignore[assignment]
        shapes = [tuple(floating(g).shape) for g in listed]
        expected = [tuple(core.shape) for core in made]
        if shapes != expected:
            raise ShapeError(f"round_vjp: cotangents of shapes {expected} expected, not {shapes}")
        return work.backward(residuals, [floating(g) for g in listed])

    return train._like(made), pull


def rounded(cores: Sequence[Array], tol: float, max_rank: int | None) -> list[Array]:
    """Cores of smaller ranks, as PyTorch and JAX differentiate and trace them."""
    return tracked(rounding(tol, max_rank), cores)


def decomposed(a: Array, tol: float, max_rank: int | None) -> list[Array]:
    """Cores of an array, as PyTorch and JAX differentiate and trace them."""
    return tracked(train_of_dense(tol, max_rank), [a])

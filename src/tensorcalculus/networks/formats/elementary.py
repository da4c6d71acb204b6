"""Tensors that every format can make: outer products, and numbers that are the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import ShapeError
from tensorcalculus.networks.arrays import Array, like, same_type
from tensorcalculus.networks.formats.base import Format
from tensorcalculus.networks.formats.indexing import checked_shape


class Elementary(Format):
    """Constructors on top of ``_rank_one``."""

    __slots__ = ()

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> Self:
        """The outer product of vectors that are known to fit."""
        raise NotImplementedError

    @classmethod
    def outer(cls, vectors: Sequence[Any]) -> Self:
        """The outer product of vectors, of rank 1.

        Raises
        ------
        ShapeError
            Something that is no vector, or one of length 0.
        """
        made = same_type(vectors, "outer")
        if not made:
            raise ShapeError("outer: at least one vector is expected")
        for k, v in enumerate(made):
            if v.ndim != 1 or not v.shape[0]:
                raise ShapeError(f"outer: vector {k} has shape {tuple(v.shape)}")
        return cls._rank_one(made)

    @classmethod
    def constant(cls, shape: Sequence[int], value: complex, like: Array | None = None) -> Self:
        """One number everywhere, of rank 1; `like` gives library and type."""
        x = np.empty(0) if like is None else like
        first, *rest = [ones((n,), x) for n in checked_shape(shape)]
        return cls.outer([first * value, *rest])

    @classmethod
    def ones(cls, shape: Sequence[int], like: Array | None = None) -> Self:
        """The tensor of ones, of rank 1."""
        return cls.constant(shape, 1.0, like)

    @classmethod
    def zeros(cls, shape: Sequence[int], like: Array | None = None) -> Self:
        """The tensor of zeros, of rank 1."""
        return cls.constant(shape, 0.0, like)


def ones(shape: tuple[int, ...], x: Array) -> Array:
    """Ones of the library, type and device of `x`."""
    return like(np.ones(shape), x)


def bonds(rank: int | Sequence[int], count: int) -> list[int]:
    """Ranks that a user gave: one for all, or one for each of `count` bonds.

    Raises
    ------
    ShapeError
        Another number of them, or one that is not positive.
    """
    listed = [rank] * count if isinstance(rank, int | np.integer) else list(rank)
    if len(listed) != count or any(r < 1 for r in listed):
        raise ShapeError(
            f"random: rank must be a positive integer or {count} of them, not {rank!r}"
        )
    return [int(r) for r in listed]

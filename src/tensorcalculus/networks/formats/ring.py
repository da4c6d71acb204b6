"""Tensor rings: trains whose ends are joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import matmul
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    NOT_DENSE,
    Array,
    check_memory,
    checked_tolerance,
    gaussian,
    is_array,
    like,
    namespace,
    norm,
    rank_within,
    same_type,
    svd,
)
from tensorcalculus.networks.formats import conversion, indexing, picture
from tensorcalculus.networks.formats.elementary import bonds
from tensorcalculus.networks.formats.linear import block_diagonal, dense_input
from tensorcalculus.networks.formats.modes import Modes
from tensorcalculus.networks.formats.ring_rounding import closed, opened, rounded
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.trains.algebra import absorb, hadamard


class Ring(Modes):
    """``a[i1, …, id] = trace(G1[:, i1, :] @ … @ Gd[:, id, :])``, cores ``[r_{k-1}, n_k, r_k]``.

    Zhao, Zhou, Xie, Zhang, Cichocki, Tensor ring decomposition, arXiv:1606.05535 (2016).

    Raises
    ------
    ShapeError
        Cores whose bonds do not close to a ring.
    """

    __slots__ = ()

    def __init__(self, cores: Sequence[Any]) -> None:
        if is_array(cores) or not len(cores):
            raise ShapeError("Ring: a list of at least one core [r, n, r'] is expected")
        made = same_type(cores, "Ring")
        for k, core in enumerate(made):
            bond = made[k - 1].shape[-1]
            if core.ndim != 3 or 0 in core.shape or core.shape[0] != bond:
                raise ShapeError(
                    f"Ring: core {k} has shape {tuple(core.shape)}; [{bond}, n, r'] of positive"
                    " lengths is expected"
                )
        self._set(made)

    @classmethod
    def from_dense(cls, a: Any, tol: float = 1e-8, max_rank: int | None = None) -> Ring:
        """``norm(a - ring) <= tol*norm(a)``, by SVDs (Zhao et al. 2016, algorithm 1).

        The rank of the first cut is split between the bonds on both sides of the first core, as
        evenly as its divisors allow.  Rings by SVDs are seldom smaller than trains.
        """
        a = dense_input(a)
        tol = checked_tolerance(tol, max_rank, a)
        shape, d = tuple(a.shape), a.ndim
        if d == 1:
            return cls._made([a.reshape(1, -1, 1)])
        delta = tol * norm(a) / math.sqrt(d - 1)
        u, s, vh = svd(a.reshape(shape[0], -1))
        rank = rank_within(s, delta, None if max_rank is None else max_rank**2)
        first = next(r for r in range(math.isqrt(rank), 0, -1) if rank % r == 0)
        xp = namespace(a)
        cores = [xp.permute_dims(u[:, :rank].reshape(shape[0], first, -1), (1, 0, 2))]
        rest = (like(s[:rank, None], vh) * vh[:rank]).reshape(first, rank // first, -1)
        rest = xp.permute_dims(rest, (1, 2, 0))  # [r1, n2 … nd, r0]
        for n in shape[1:-1]:
            bond = rest.shape[0]
            u, s, vh = svd(rest.reshape(bond * n, -1))
            rank = rank_within(s, delta, max_rank)
            cores.append(u[:, :rank].reshape(bond, n, rank))
            rest = like(s[:rank, None], vh) * vh[:rank]
        cores.append(rest.reshape(-1, shape[-1], first))
        return cls._made(cores)

    @classmethod
    def from_tt(cls, t: TT) -> Ring:
        """A train, which is a ring whose ends are joined by a bond of 1."""
        return cls._made(t.cores)

    @classmethod
    def random(
        cls,
        shape: Sequence[int],
        rank: int | Sequence[int],
        seed: int = 0,
        like: Array | None = None,
    ) -> Ring:
        """Gaussian cores, entries of variance 1; a rank for all bonds, or for the one in front of
        each core."""
        shape = indexing.checked_shape(shape)
        ranks = bonds(rank, len(shape))
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        after = [*ranks[1:], ranks[0]]
        sizes = zip(ranks, shape, after, strict=True)
        return cls._made([gaussian((r, n, s), x, rng) * r**-0.5 for r, n, s in sizes])

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> Ring:
        return cls._made([v.reshape(1, -1, 1) for v in vectors])

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def ranks(self) -> tuple[int, ...]:
        """The bonds in front of each core, and the first one again."""
        return (*(core.shape[0] for core in self.cores), self.cores[0].shape[0])

    def _network(self) -> Network:
        return builders.ring(self.ndim, n=self.shape, ranks=self.ranks[1:])

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.train(structure, closed=True)

    def to_dense(self) -> Array:
        """The array of all entries."""
        check_memory(math.prod(self.shape), self.cores[0], "to_dense: the array", NOT_DENSE)
        return closed(self.cores).reshape(self.shape)

    def to_tt(self) -> TT:
        """The same tensor as a train, exactly: its ranks are ``r_0*r_k``.

        The bond that joins the ends goes through all cores.
        """
        first = self.cores[0].shape[0]
        if self.ndim == 1:
            return TT._made([self.to_dense().reshape(1, -1, 1)])
        xp = namespace(self.cores[0])
        head, *inner, last = self.cores
        unit = like(np.eye(first), head).reshape(first, 1, 1, first, 1)
        made = [xp.permute_dims(head, (1, 0, 2)).reshape(1, head.shape[1], -1)]
        for core in inner:
            r, n, s = core.shape
            made.append((unit * core[None, :, :, None, :]).reshape(first * r, n, first * s))
        made.append(xp.permute_dims(last, (2, 0, 1)).reshape(-1, last.shape[1], 1))
        return TT._made(made)

    def _told_ranks(self) -> str:
        return picture.ranks(self.ranks[:-1])

    def _drawn(self) -> str:
        return picture.chain(self.shape, self.ranks, ring=True)

    # Modes

    def _carriers(self) -> list[tuple[int, int]]:
        return [(k, 1) for k in range(self.ndim)]

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        if len(gone) == self.ndim:
            return namespace(cores[0]).linalg.trace(reduce(matmul, cores))
        return self._made(absorb(cores))

    def _entries(self, indices: Array) -> Array:
        xp = namespace(self.cores[0])
        picked = (c.swapaxes(0, 1)[indices[:, k]] for k, c in enumerate(self.cores))
        return xp.linalg.trace(reduce(matmul, picked))  # of matrices [batch, r_0, r_0]

    def _tensor(self, other: Ring) -> Ring:
        """Each core beside an identity that carries the bond of the other ring."""
        made = []
        r, s = self.cores[0].shape[0], other.cores[0].shape[0]
        for core in self.cores:
            unit = like(np.eye(s), core)[None, :, None, None, :]
            a, n, b = core.shape
            made.append((core[:, None, :, :, None] * unit).reshape(a * s, n, b * s))
        for core in other.cores:
            unit = like(np.eye(r), core)[:, None, None, :, None]
            a, n, b = core.shape
            made.append((core[None, :, :, None, :] * unit).reshape(r * a, n, r * b))
        return self._made(made)

    def permute(self, order: Sequence[int]) -> Ring:
        """Mode k of the result is mode ``order[k]``, for orders that go round the ring.

        Raises
        ------
        InputError
            An order that is no rotation, forwards or backwards: it has no exact ring of these
            cores.
        """
        order = indexing.permutation(order, self.ndim)
        d, start = self.ndim, order[0]
        if order == [(start + k) % d for k in range(d)]:
            return self._made([self.cores[k] for k in order])
        if order == [(start - k) % d for k in range(d)]:
            xp = namespace(self.cores[0])
            return self._made([xp.permute_dims(self.cores[k], (2, 1, 0)) for k in order])
        raise InputError(
            f"permute: a rotation of the ring is expected, forwards or backwards, not"
            f" {tuple(order)}; for others: Ring.from_tt(t.to_tt().permute(order))"
        )

    # Algebra

    def _plus(self, other: Ring) -> Ring:
        pairs = zip(self.cores, other.cores, strict=True)
        return self._made([block_diagonal(x, y, joined=(1,)) for x, y in pairs])

    def _times(self, other: Ring) -> Ring:
        return self._made(hadamard(self.cores, other.cores))

    def _dot(self, other: Ring) -> Array:
        """``O(d n r^5)``, as the bonds that join the ends are carried around the ring."""
        xp = namespace(self.cores[0])
        p, q = self.cores[0].shape[0], other.cores[0].shape[0]
        unit = like(np.eye(p * q), self.cores[0])
        w = xp.permute_dims(unit.reshape(p * q, p, q), (0, 2, 1))  # [start, q, p]
        for x, y in zip(self.cores, other.cores, strict=True):
            (r, n, rr), (s, _, ss) = x.shape, y.shape
            t = xp.permute_dims(w, (0, 2, 1)).reshape(-1, s) @ y.reshape(s, n * ss)
            t = xp.permute_dims(t.reshape(p * q, r * n, ss), (0, 2, 1))
            w = t @ x.reshape(r * n, rr).conj()
        return xp.linalg.trace(xp.permute_dims(w, (0, 2, 1)).reshape(p * q, p * q))

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for small differences; ``O(d n r^6)``."""
        w = opened(self.cores[:-1]) if self.ndim > 1 else None
        x = closed(self.cores) if w is None else closed([w, self.cores[-1]])
        return namespace(x).linalg.vector_norm(x)

    def round(self, tol: float = 1e-8, max_rank: int | None = None) -> Ring:
        """Smaller ranks, ``norm(self - rounded) <= tol*norm(self)`` unless `max_rank` cuts it.

        The smallest bond is cut with all others as its environment, the others then by SVDs of
        the chain that the ring is when that bond is open; see
        :func:`tensorcalculus.networks.formats.ring_rounding.rounded`.  The error is guaranteed;
        the ranks are not: best approximations by rings need not exist, and those found depend on
        where a cut starts.  Sums lose what they have in excess: ``A + A`` has again at most the
        ranks of A, for smallest bonds of at most 32; larger ones are only cut by `max_rank`.
        ``O(d n r^6)``.

        Raises
        ------
        InputError
            A tolerance or a rank that means nothing; entries that are not finite.
        """
        return self._made(rounded(self.cores, tol, max_rank))

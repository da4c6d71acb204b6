"""Tensor rings: trains whose ends are joined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorcalculus.errors import ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    Array,
    is_array,
    like,
    namespace,
    norm,
    rank_within,
    same_type,
    svd,
)
from tensorcalculus.networks.formats import conversion, picture
from tensorcalculus.networks.formats.linear import Linear, block_diagonal, dense_input
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.formats.tt_svd import checked_tolerance
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure


class Ring(Linear):
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
        first = self.cores[0].shape[0]
        made = self.cores[0].reshape(-1, self.cores[0].shape[2])
        for core in self.cores[1:]:
            r, n, s = core.shape
            made = (made @ core.reshape(r, n * s)).reshape(-1, s)
        closed = made.reshape(first, -1, first)
        xp = namespace(made)
        total = closed[0, :, 0]
        for k in range(1, first):
            total = total + closed[k, :, k]
        return xp.reshape(total, self.shape)

    def _plus(self, other: Ring) -> Ring:
        pairs = zip(self.cores, other.cores, strict=True)
        if self.ndim == 1:
            return self._made([block_diagonal(x, y, joined=(1,)) for x, y in pairs])
        return self._made([block_diagonal(x, y, joined=(1,)) for x, y in pairs])

    def _times(self, other: Ring) -> Ring:
        made = []
        for x, y in zip(self.cores, other.cores, strict=True):
            core = x[:, None, :, :, None] * y[None, :, :, None, :]
            (r, n, rr), (s, _, ss) = x.shape, y.shape
            made.append(core.reshape(r * s, n, rr * ss))
        return self._made(made)

    def dot(self, other: Ring) -> Array:
        """``sum(conj(self)*other)``: ``O(d n r^5)``, as the matrix around the ring is carried."""
        a, b = self._common(other, "dot")
        xp = namespace(a.cores[0])
        w: Array | None = None
        for x, y in zip(a.cores, b.cores, strict=True):
            (r, n, rr), (s, _, ss) = x.shape, y.shape
            left = xp.permute_dims(x.conj(), (0, 2, 1)).reshape(r * rr, n)
            right = xp.permute_dims(y, (1, 0, 2)).reshape(n, s * ss)
            step = (left @ right).reshape(r, rr, s, ss)
            step = xp.permute_dims(step, (0, 2, 1, 3)).reshape(r * s, rr * ss)
            w = step if w is None else w @ step
        return xp.linalg.trace(w)

    def __repr__(self) -> str:
        drawn = picture.chain(self.shape, self.ranks, ring=True).replace("\n", "\n  ")
        kind = str(self.dtype).removeprefix("torch.")
        return f"Ring of shape {self.shape}: {self.size} numbers, {kind}\n  {drawn}"

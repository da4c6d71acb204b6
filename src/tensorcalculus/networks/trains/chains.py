"""Chains of tensors as rounding sees them: a train, or a product of trains that is never formed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tensorcalculus.networks.arrays import Array, check_memory, like, namespace


class Chain(Protocol):
    """A tensor given as a product of cores ``[r, n, r']`` that can be applied to matrices."""

    shape: tuple[int, ...]
    ranks: tuple[int, ...]
    """r_0 … r_d, the bonds of the cores as they stand."""
    like: Array
    """An array of the library, type and device."""
    operands: tuple[Array, ...]
    """All arrays that it is made from."""

    def right(self, k: int, w: Array) -> Array:
        """``core_k · w``: ``[r_k, n_k, l]`` for ``w`` ``[r_{k+1}, l]``."""
        ...

    def left(self, k: int, m: Array) -> Array:
        """``m · core_k``: ``[l, n_k, r_{k+1}]`` for ``m`` ``[l, r_k]``."""
        ...


class Train:
    """A tensor train."""

    def __init__(self, cores: Sequence[Array]) -> None:
        self.cores = tuple(cores)
        self.shape = tuple(core.shape[1] for core in cores)
        self.ranks: tuple[int, ...] = (1, *(core.shape[2] for core in cores))
        self.like = cores[0]
        self.operands = self.cores

    def right(self, k: int, w: Array) -> Array:
        r, n, s = self.cores[k].shape
        return (self.cores[k].reshape(r * n, s) @ w).reshape(r, n, -1)

    def left(self, k: int, m: Array) -> Array:
        r, n, s = self.cores[k].shape
        return (m @ self.cores[k].reshape(r, n * s)).reshape(-1, n, s)


class Hadamard:
    """The elementwise product of two trains; bonds are pairs, the first factor's in front.

    A core of it would have ``n ra^2 rb^2`` numbers.  Applied to a matrix of ``l`` columns, the two
    factors are used one after the other, in ``n l ra rb (ra+rb)`` products.
    """

    def __init__(self, a: Sequence[Array], b: Sequence[Array]) -> None:
        # Modes in front: a product for each index is a batch of matrix products.
        self.a = [core.swapaxes(0, 1) for core in a]  # [n, r, r']
        self.b = [core.swapaxes(0, 1) for core in b]  # [n, s, s']
        self.shape = tuple(core.shape[1] for core in a)
        pairs = zip(a, b, strict=True)
        self.ranks: tuple[int, ...] = (1, *(x.shape[2] * y.shape[2] for x, y in pairs))
        self.like = a[0]
        self.operands = (*a, *b)

    def right(self, k: int, w: Array) -> Array:
        a, b = self.a[k], self.b[k]
        (n, r, ra), (_, s, rb) = a.shape, b.shape
        columns = w.shape[1]
        t = a @ w.reshape(1, ra, rb * columns)  # [n, r, s' l]
        t = b.reshape(n, 1, s, rb) @ t.reshape(n, r, rb, columns)  # [n, r, s, l]
        return namespace(t).permute_dims(t, (1, 2, 0, 3)).reshape(r * s, n, columns)

    def left(self, k: int, m: Array) -> Array:
        a, b = self.a[k], self.b[k]
        (n, ra, r), (_, rb, s) = a.shape, b.shape
        rows = m.shape[0]
        t = m.reshape(1, rows * ra, rb) @ b  # [n, l ra, s]
        t = a.swapaxes(1, 2).reshape(n, 1, r, ra) @ t.reshape(n, rows, ra, s)  # [n, l, r, s]
        return t.swapaxes(0, 1).reshape(rows, n, r * s)


class MatrixTimesTrain:
    """A tensor-train matrix, cores ``[r, m, n, r']``, times a train, cores ``[s, n, s']``."""

    def __init__(self, a: Sequence[Array], x: Sequence[Array]) -> None:
        self.a = tuple(a)
        self.x = tuple(x)
        self.shape = tuple(core.shape[1] for core in a)
        pairs = zip(a, x, strict=True)
        self.ranks: tuple[int, ...] = (
            1,
            *(core.shape[3] * other.shape[2] for core, other in pairs),
        )
        self.like = x[0]
        self.operands = (*a, *x)

    def right(self, k: int, w: Array) -> Array:
        a, x = self.a[k], self.x[k]
        (r, m, n, ra), (s, _, sx) = a.shape, x.shape
        columns = w.shape[1]
        xp = namespace(w)
        w = xp.permute_dims(w.reshape(ra, sx, columns), (1, 0, 2)).reshape(sx, ra * columns)
        # The train first, as its bonds are the larger ones: [s, n, ra, l].
        t = (x.reshape(s * n, sx) @ w).reshape(s, n, ra, columns)
        t = xp.permute_dims(t, (1, 2, 0, 3)).reshape(n * ra, s * columns)
        t = (a.reshape(r * m, n * ra) @ t).reshape(r, m, s, columns)
        return xp.permute_dims(t, (0, 2, 1, 3)).reshape(r * s, m, columns)

    def left(self, k: int, m: Array) -> Array:
        a, x = self.a[k], self.x[k]
        (ra, m_a, n, r), (sx, _, s) = a.shape, x.shape
        xp, rows = namespace(m), m.shape[0]
        t = (m.reshape(rows * ra, sx) @ x.reshape(sx, n * s)).reshape(rows, ra, n, s)
        t = xp.permute_dims(t, (0, 3, 1, 2)).reshape(rows * s, ra * n)
        flat = xp.permute_dims(a, (0, 2, 1, 3)).reshape(ra * n, m_a * r)
        t = (t @ flat).reshape(rows, s, m_a, r)
        return xp.permute_dims(t, (0, 2, 3, 1)).reshape(rows, m_a, r * s)


def formed(chain: Chain) -> list[Array]:
    """The cores written out: each applied to an identity."""
    ends = zip(chain.ranks, chain.shape, chain.ranks[1:], strict=False)
    count = sum(r * n * s for r, n, s in ends)
    check_memory(count, chain.like, "the product's cores", "a larger tol may do without them")
    made = []
    for k, rank in enumerate(chain.ranks[1:]):
        made.append(chain.right(k, like(np.eye(rank), chain.like)))
    return made

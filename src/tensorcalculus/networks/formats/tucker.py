"""Tucker format: a small core and a matrix for each mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import (
    Array,
    H,
    namespace,
    norm,
    qr,
    rank_within,
    same_type,
    svd,
    triangular_factor,
)
from tensorcalculus.networks.formats import indexing
from tensorcalculus.networks.formats.linear import (
    Linear,
    block_diagonal,
    dense_input,
    mode_product,
    unfolded,
)
from tensorcalculus.networks.formats.tt_svd import checked_tolerance


class Tucker(Linear):
    """``a[i1, …, id] = sum core[j1, …, jd]*U1[i1, j1]*…*Ud[id, jd]``; `cores` is (core, U1 … Ud).

    De Lathauwer, De Moor, Vandewalle, A multilinear singular value decomposition, SIAM J. Matrix
    Anal. Appl. 21 (2000).

    Raises
    ------
    ShapeError
        Matrices that do not fit the core.

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> x = np.linspace(0, 1, 30)
    >>> tn.Tucker.from_dense(np.sin(x[:, None, None] + x[:, None] + x)).ranks
    (2, 2, 2)
    """

    __slots__ = ()

    def __init__(self, core: Any, factors: Sequence[Any]) -> None:
        made = same_type([core, *factors], "Tucker")
        core, factors = made[0], made[1:]
        if core.ndim != len(factors) or not factors:
            raise ShapeError(f"Tucker: a core of {len(factors)} axes is expected, not {core.ndim}")
        for k, u in enumerate(factors):
            if u.ndim != 2 or u.shape[1] != core.shape[k] or 0 in u.shape:
                raise ShapeError(
                    f"Tucker: factor {k} has shape {tuple(u.shape)}; [n, {core.shape[k]}] is"
                    " expected"
                )
        self._set(made)

    @classmethod
    def from_dense(
        cls,
        a: Any,
        tol: float = 1e-8,
        ranks: Sequence[int] | None = None,
        method: str = "st-hosvd",
        sweeps: int = 20,
    ) -> Tucker:
        """``norm(a - tucker) <= tol*norm(a)``, unless `ranks` bounds the ranks.

        Parameters
        ----------
        tol
            Each mode may lose ``tol/sqrt(d)``; the error is at most ``sqrt(d)`` times the least one
            for the ranks that come out.
        ranks
            Largest ranks.
        method
            ``"hosvd"``: all modes from the array itself (De Lathauwer 2000).  ``"st-hosvd"``: one
            after the other, the array shrinking (Vannieuwenhoven, Vandebril, Meerbergen, A new
            truncation strategy, SIAM J. Sci. Comput. 34 (2012), algorithm 1).  ``"hooi"``: then
            improved at these ranks by alternating least squares (De Lathauwer, On the best rank-1
            and rank-(R1, …, RN) approximation, 2000).
        sweeps
            Limit on sweeps of HOOI.
        """
        a = dense_input(a)
        tol = checked_tolerance(tol, None, a)
        if method not in ("hosvd", "st-hosvd", "hooi"):
            raise InputError(f"method: 'hosvd', 'st-hosvd' or 'hooi' is expected, not {method!r}")
        d = a.ndim
        if ranks is not None and (len(ranks) != d or min(ranks) < 1):
            raise InputError(f"ranks: {d} positive integers are expected, not {tuple(ranks)}")
        delta = tol * norm(a) / math.sqrt(d)
        core, factors = a, []
        for k in range(d):
            source = a if method == "hosvd" else core
            most = None if ranks is None else int(ranks[k])
            factors.append(_basis(source, k, delta, most))
            core = mode_product(core, H(factors[k]), k)
        if method == "hooi":
            core, factors, _ = improved(a, core, factors, sweeps)
        return cls._made([core, *factors])

    @property
    def core(self) -> Array:
        """The core ``[r1, …, rd]``."""
        return self.cores[0]

    @property
    def factors(self) -> tuple[Array, ...]:
        """The matrices ``[n_k, r_k]``."""
        return self.cores[1:]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(u.shape[0] for u in self.factors)

    @property
    def ranks(self) -> tuple[int, ...]:
        """The sides of the core."""
        return tuple(self.core.shape)

    def to_dense(self) -> Array:
        """The array of all entries."""
        made = self.core
        for k, u in enumerate(self.factors):
            made = mode_product(made, u, k)
        return made

    def __getitem__(self, index: Any) -> Any:
        """A tensor of the modes that slices keep, or one entry."""
        chosen = indexing.normal(index, self.shape)
        core, kept = self.core, []
        for k in reversed(range(self.ndim)):
            item, u = chosen[k], self.factors[k]
            if isinstance(item, int):
                core = mode_product(core, u[item : item + 1], k)
                core = core.reshape((*core.shape[:k], *core.shape[k + 1 :]))
            else:
                xp = namespace(u)
                rows = xp.asarray(list(range(u.shape[0]))[item])
                kept.append(xp.take(u, rows, axis=0))
        return self._made([core, *reversed(kept)]) if kept else core

    def _plus(self, other: Tucker) -> Tucker:
        xp = namespace(self.core)
        pairs = zip(self.factors, other.factors, strict=True)
        factors = [xp.concat([u, v], axis=1) for u, v in pairs]
        return self._made([block_diagonal(self.core, other.core), *factors])

    def _times(self, other: Tucker) -> Tucker:
        d = self.ndim
        a = self.core.reshape([n for r in self.ranks for n in (r, 1)])
        b = other.core.reshape([n for r in other.ranks for n in (1, r)])
        sides = [r * s for r, s in zip(self.ranks, other.ranks, strict=True)]
        factors = [
            (u[:, :, None] * v[:, None, :]).reshape(u.shape[0], sides[k])
            for k, u, v in zip(range(d), self.factors, other.factors, strict=True)
        ]
        return self._made([(a * b).reshape(sides), *factors])

    def dot(self, other: Tucker) -> Array:
        """``sum(conj(self)*other)``, by products of the factors."""
        a, b = self._common(other, "dot")
        made = b.core
        for k, (u, v) in enumerate(zip(a.factors, b.factors, strict=True)):
            made = mode_product(made, H(u) @ v, k)
        return namespace(made).sum(a.core.conj() * made)

    def norm(self) -> Array:
        """The Frobenius norm, from orthonormal factors: also of small differences to rounding."""
        core = self._orthonormal().core
        return namespace(core).linalg.vector_norm(core.reshape(-1))

    def _orthonormal(self) -> Tucker:
        core, factors = self.core, []
        for k, u in enumerate(self.factors):
            q, r = qr(u)
            factors.append(q)
            core = mode_product(core, r, k)
        return self._made([core, *factors])

    def round(self, tol: float = 1e-8, ranks: Sequence[int] | None = None) -> Tucker:
        """Smaller ranks, ``norm(self - rounded) <= tol*norm(self)``: ST-HOSVD of the core."""
        made = self._orthonormal()
        small = Tucker.from_dense(made.core, tol, ranks)
        pairs = zip(made.factors, small.factors, strict=True)
        return self._made([small.core, *(q @ u for q, u in pairs)])

    def __repr__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        total = math.prod(self.shape)
        ranks = ", ".join(map(str, self.ranks))
        return (
            f"Tucker of shape {self.shape}, ranks {ranks}: {self.size} of {total} numbers, {kind}"
        )


def _basis(a: Array, k: int, delta: float, most: int | None) -> Array:
    """Orthonormal columns for mode k; what they leave out has a norm of at most `delta`."""
    m = unfolded(a, [k])
    if m.shape[1] > m.shape[0]:
        m = H(triangular_factor(H(m)))
    u, s, _ = svd(m)
    return u[:, : rank_within(s, delta, most)]


def improved(
    a: Array, core: Array, factors: Sequence[Array], sweeps: int, tol: float = 1e-12
) -> tuple[Array, list[Array], list[float]]:
    """HOOI: each basis in turn the best one for the others, while the core's norm grows by more
    than ``tol`` of it; also this norm after each sweep.
    """
    d, before, factors, norms = a.ndim, norm(core), list(factors), []
    for _ in range(sweeps):
        for k in range(d):
            made = a
            for j in range(d):
                if j != k:
                    made = mode_product(made, H(factors[j]), j)
            factors[k] = _basis(made, k, 0.0, factors[k].shape[1])
            core = mode_product(made, H(factors[k]), k)
        norms.append(norm(core))
        if norms[-1] <= before * (1 + tol):
            break
        before = norms[-1]
    return core, factors, norms

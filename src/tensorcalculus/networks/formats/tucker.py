"""Tucker format: a small core and a matrix for each mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    NOT_DENSE,
    Array,
    H,
    check_memory,
    checked_tolerance,
    flattened,
    gaussian,
    is_tracked,
    namespace,
    norm,
    qr,
    rank_within,
    same_type,
    svd,
)
from tensorcalculus.networks.formats import conversion, indexing, picture
from tensorcalculus.networks.formats.elementary import bonds
from tensorcalculus.networks.formats.linear import (
    block_diagonal,
    dense_input,
    mode_product,
    unfolded,
)
from tensorcalculus.networks.formats.modes import Modes
from tensorcalculus.networks.formats.spectra import Spectra
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.formats.tucker_adjoints import tucker_of_dense, tucker_rounded
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.trains.algebra import dense
from tensorcalculus.networks.trains.rounding import push_left, push_right
from tensorcalculus.networks.trains.tt_svd import compress, decompose

_METHODS = ("hosvd", "st-hosvd", "hooi", "randomised")
_OVERSAMPLED = 10


class Tucker(Modes, Spectra):
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
    def _from_parts(cls, cores: Sequence[Array], fields: Sequence[Any]) -> Tucker:
        return cls(cores[0], cores[1:])

    # Constructors

    @classmethod
    def from_dense(
        cls,
        a: Any,
        tol: float = 1e-8,
        ranks: Sequence[int] | None = None,
        method: str = "st-hosvd",
        sweeps: int = 20,
        seed: int = 0,
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
            and rank-(R1, …, RN) approximation, 2000).  ``"randomised"``: ST-HOSVD by sketches
            (Che, Wei, Randomized algorithms for the approximations of Tucker and the tensor train
            decompositions, Adv. Comput. Math. 45 (2019)).  Without `ranks` a sketch is checked
            against `tol` and given up where it does not do; with them it has 10 columns more than
            the rank, and one step of a block Krylov method.
        sweeps
            Limit on sweeps of HOOI.
        seed
            Of the sketches.

        Notes
        -----
        PyTorch and JAX differentiate ``"st-hosvd"`` at the ranks found, right where singular values
        are equal or 0; under ``jax.jit`` the ranks are `ranks`.
        """
        a = dense_input(a)
        tol = checked_tolerance(tol, None, a)
        if method not in _METHODS:
            raise InputError(f"method: one of {', '.join(_METHODS)} is expected, not {method!r}")
        d = a.ndim
        if ranks is not None and (len(ranks) != d or min(ranks) < 1):
            raise InputError(f"ranks: {d} positive integers are expected, not {tuple(ranks)}")
        if is_tracked([a]):
            if method != "st-hosvd":
                raise InputError(
                    f"method: {method!r} has no derivative here, and cannot be traced by JAX;"
                    " 'st-hosvd' has"
                )
            return cls._made(tucker_of_dense(a, tol, ranks))
        delta = tol * norm(a) / math.sqrt(d)
        core, factors = a, []
        rng = np.random.default_rng(seed)
        for k in range(d):
            source = a if method == "hosvd" else core
            most = None if ranks is None else int(ranks[k])
            if method == "randomised":
                factors.append(_sketched_basis(source, k, delta, most, rng))
            else:
                factors.append(_basis(source, k, delta, most))
            core = mode_product(core, H(factors[k]), k)
        if method == "hooi":
            core, factors, _ = improved(a, core, factors, sweeps)
        return cls._made([core, *factors])

    @classmethod
    def from_tt(cls, t: TT, tol: float = 1e-12) -> Tucker:
        """``norm(t - tucker) <= tol*norm(t)``: the HOSVD, from the cores; no dense array is made.

        With orthonormal cores on both sides, core k has the singular values of mode k.  The core of
        the result has ``prod(ranks)`` entries.
        """
        tol = checked_tolerance(tol, None, t.cores[0])
        cores = list(t.cores)
        push_left(cores, 0, t.ndim - 1)
        delta = tol * norm(cores[0]) / math.sqrt(t.ndim)
        factors, small = [], []
        for k in range(t.ndim):
            factors.append(_basis(cores[k], 1, delta, None))
            small.append(mode_product(t.cores[k], H(factors[k]), 1))
            if k + 1 < t.ndim:
                push_right(cores, k, k + 1)
        return cls._made([dense(small), *factors])

    @classmethod
    def random(
        cls,
        shape: Sequence[int],
        rank: int | Sequence[int],
        seed: int = 0,
        like: Array | None = None,
    ) -> Tucker:
        """Gaussian core and factors, entries of variance 1; a rank for all modes, or for each."""
        shape = indexing.checked_shape(shape)
        ranks = bonds(rank, len(shape))
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        core = gaussian(tuple(ranks), x, rng) * math.prod(ranks) ** -0.5
        pairs = zip(shape, ranks, strict=True)
        return cls._made([core, *(gaussian((n, r), x, rng) for n, r in pairs)])

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> Tucker:
        core = namespace(vectors[0]).ones_like(vectors[0][:1]).reshape((1,) * len(vectors))
        return cls._made([core, *(v.reshape(-1, 1) for v in vectors)])

    # What it is

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

    def _network(self) -> Network:
        return builders.tucker(self.ndim, n=self.shape, ranks=self.ranks)

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.star(structure)

    def to_dense(self) -> Array:
        """The array of all entries."""
        check_memory(math.prod(self.shape), self.cores[0], "to_dense: the array", NOT_DENSE)
        made = self.core
        for k, u in enumerate(self.factors):
            made = mode_product(made, u, k)
        return made

    def to_tt(self) -> TT:
        """The same tensor as a train, to rounding: TT-SVD of the core, times the factors."""
        cores = decompose(self.core, 0.0, None)
        pairs = zip(cores, self.factors, strict=True)
        return TT._made([mode_product(g, u, 1) for g, u in pairs])

    def _told_ranks(self) -> str:
        return picture.ranks(self.ranks)

    def _drawn(self) -> str:
        pairs = zip(self.ranks, self.shape, strict=True)
        return picture.tree(("■", [(r, f"● {n}") for r, n in pairs]))

    # Modes

    def _carriers(self) -> list[tuple[int, int]]:
        return [(k + 1, 0) for k in range(self.ndim)]

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        core, *factors = cores
        xp = namespace(core)
        for k in sorted(gone, reverse=True):
            core = xp.tensordot(core, factors.pop(k), axes=([k], [0]))
        return self._made([core, *factors]) if factors else core

    def _entries(self, indices: Array) -> Array:
        rest = self.factors[0][indices[:, 0]] @ self.core.reshape(self.ranks[0], -1)
        for k in range(1, self.ndim):
            rows = self.factors[k][indices[:, k]]  # [batch, r]
            # No -1 in the shape: the batch may be empty.
            rest = rest.reshape(*rows.shape, math.prod(self.ranks[k + 1 :]))
            rest = (rows[:, None, :] @ rest)[:, 0, :]
        return rest[:, 0]

    def _tensor(self, other: Tucker) -> Tucker:
        core = self.core.reshape(-1, 1) * other.core.reshape(1, -1)
        core = core.reshape(*self.ranks, *other.ranks)
        return self._made([core, *self.factors, *other.factors])

    def permute(self, order: Sequence[int]) -> Tucker:
        """Mode k of the result is mode ``order[k]``: axes of the core, and factors."""
        order = indexing.permutation(order, self.ndim)
        core = namespace(self.core).permute_dims(self.core, order)
        return self._made([core, *(self.factors[k] for k in order)])

    # Algebra

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

    def _dot(self, other: Tucker) -> Array:
        made = other.core
        for k, (u, v) in enumerate(zip(self.factors, other.factors, strict=True)):
            made = mode_product(made, H(u) @ v, k)
        return namespace(made).sum(self.core.conj() * made)

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for small differences.

        What PyTorch or JAX differentiates or traces is ``sqrt(dot(self, self))``, as triangular
        factors of redundant bonds have no derivative: half of the digits where terms cancel.
        """
        if is_tracked(self.cores):
            return namespace(self.core).sqrt(abs(self.dot(self)))
        core = self.core
        for k, u in enumerate(self.factors):
            core = mode_product(core, flattened(u), k)
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
        if is_tracked(self.cores):
            tol = checked_tolerance(tol, None, self.core)
            return self._made(tucker_rounded(self.cores, tol, ranks))
        made = self._orthonormal()
        small = Tucker.from_dense(made.core, tol, ranks)
        pairs = zip(made.factors, small.factors, strict=True)
        return self._made([small.core, *(q @ u for q, u in pairs)])

    def singular_values(self) -> list[np.ndarray]:
        """Those of the unfolding of each mode, in NumPy."""
        core = self._orthonormal().core
        return [svd(_reduced(core, k))[1] for k in range(self.ndim)]


def _reduced(a: Array, k: int) -> Array:
    """A matrix with the left singular vectors and singular values of the unfolding of mode k."""
    return H(flattened(H(unfolded(a, [k]))))


def _basis(a: Array, k: int, delta: float, most: int | None) -> Array:
    """Orthonormal columns for mode k; what they leave out has a norm of at most `delta`."""
    u, s, _ = svd(_reduced(a, k))
    return u[:, : rank_within(s, delta, most)]


def _sketched_basis(
    a: Array, k: int, delta: float, most: int | None, rng: np.random.Generator
) -> Array:
    """The same from random combinations of the columns of the unfolding.

    For a tolerance by a sketch that is checked (:func:`compress`); for a rank by two blocks of a
    Krylov space (Musco, Musco, Randomized block Krylov methods for stronger and faster approximate
    singular value decomposition, NIPS 2015).
    """
    m = unfolded(a, [k])
    rows, columns = m.shape
    if most is None or 2 * (most + _OVERSAMPLED) >= min(rows, columns):
        return H(compress(H(m), delta, most, rng)[1])
    first, _ = qr(m @ gaussian((columns, most + _OVERSAMPLED), a, rng))
    # With the first block kept beside the iterated one, small singular values are not squared away.
    q, _ = qr(namespace(a).concat([first, m @ (H(m) @ first)], axis=1))
    u, s, _ = svd(H(flattened(H(m) @ q)))
    return q @ u[:, : rank_within(s, delta, most)]


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

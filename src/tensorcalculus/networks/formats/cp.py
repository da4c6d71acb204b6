"""CP format: sums of outer products, and what may be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import Any

import numpy as np

from tensorcalculus.display.rows import Fields
from tensorcalculus.errors import ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    NOT_DENSE,
    Array,
    H,
    check_memory,
    checked_tolerance,
    flattened,
    gaussian,
    is_array,
    is_jax,
    like,
    namespace,
    norm,
    numpy_of,
    same_type,
)
from tensorcalculus.networks.formats import conversion, indexing, picture
from tensorcalculus.networks.formats.elementary import bonds
from tensorcalculus.networks.formats.linear import mode_product
from tensorcalculus.networks.formats.merging import merged
from tensorcalculus.networks.formats.modes import Modes
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure


@dataclass(frozen=True)
class Diagnosis(Fields):
    """Whether components cancel each other."""

    growth: float
    """``sqrt(sum of squared norms of components)/norm``: 1 where they are orthogonal."""
    cosines: np.ndarray
    """Cosines between components, ``[r, r]``."""
    diverging: tuple[tuple[int, int], ...]
    """Pairs that are nearly opposite and much larger than their sum."""
    cancelling: bool = False
    """Whether components are much larger than their sum, in pairs or more than two together."""

    def __str__(self) -> str:
        size = f"components are {self.growth:.3g} times the tensor"
        if not self.diverging:
            return f"{size}; {'several cancel together' if self.cancelling else 'none diverge'}"
        pairs = ", ".join(f"{i} and {j}" for i, j in self.diverging)
        return (
            f"components {pairs} diverge: nearly opposite, {self.growth:.3g} times as large as the"
            " tensor; it may have no best approximation of this rank (a border rank below its rank)"
        )


@dataclass(frozen=True)
class Match(Fields):
    """Components of one model beside those of another."""

    congruence: float
    """Mean congruence of the pairs, 1 where all components agree up to scale; components without
    a partner count as 0."""
    score: float
    """The same, each pair weighed by ``1 - abs(x - y)/max(x, y)`` of the norms x and y: the factor
    match score."""
    order: np.ndarray
    """``order[r]``: which component of the other model belongs to component r; -1: none."""
    congruences: np.ndarray
    """The congruence of each component with its partner."""


class CP(Modes):
    """``a[i1, …, id] = sum_r U1[i1, r]*…*Ud[id, r]``; `cores` are the factors ``[n_k, r]``.

    Hitchcock, The expression of a tensor or a polyadic as a sum of products, J. Math. Phys. 6
    (1927).

    Raises
    ------
    ShapeError
        Factors of different numbers of columns.

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> t = tn.CP([np.ones((2, 1)), np.ones((3, 1))])
    >>> t.to_dense().shape, float(t.dot(t))
    ((2, 3), 6.0)
    """

    __slots__ = ()

    def __init__(self, factors: Sequence[Any], weights: Any = None) -> None:
        if is_array(factors) or not len(factors):
            raise ShapeError("CP: a list of at least one factor [n, r] is expected")
        made = same_type(factors, "CP")
        for k, u in enumerate(made):
            if u.ndim != 2 or 0 in u.shape or u.shape[1] != made[0].shape[-1]:
                raise ShapeError(
                    f"CP: factor {k} has shape {tuple(u.shape)}; [n, {made[0].shape[-1]}] is"
                    " expected"
                )
        if weights is not None:
            weights = same_type([weights, made[0]], "CP")[0]
            if tuple(weights.shape) != (made[0].shape[1],):
                raise ShapeError(
                    f"CP: weights have shape {tuple(weights.shape)}; ({made[0].shape[1]},) is"
                    " expected"
                )
            made[0] = made[0] * weights
        self._set(made)

    @property
    def factors(self) -> tuple[Array, ...]:
        """The factors ``[n_k, r]``."""
        return self.cores

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(u.shape[0] for u in self.cores)

    @property
    def rank(self) -> int:
        """The number of components."""
        return int(self.cores[0].shape[1])

    @classmethod
    def random(
        cls, shape: Sequence[int], rank: int, seed: int = 0, like: Array | None = None
    ) -> CP:
        """Gaussian factors, entries of variance 1."""
        shape = indexing.checked_shape(shape)
        (r,) = bonds(rank, 1)
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        first, *rest = (gaussian((n, r), x, rng) for n in shape)
        return cls._made([first * r**-0.5, *rest])

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> CP:
        return cls._made([v.reshape(-1, 1) for v in vectors])

    def _network(self) -> Network:
        return builders.cp(self.ndim, n=self.shape, rank=self.rank)

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.hyperedge(structure)

    def to_dense(self) -> Array:
        """The array of all entries."""
        check_memory(math.prod(self.shape), self.cores[0], "to_dense: the array", NOT_DENSE)
        *front, last = self.cores
        if not front:
            return namespace(last).sum(last, axis=1)
        made = reduce(lambda w, u: (w[:, None, :] * u[None]).reshape(-1, self.rank), front)
        return (made @ last.mT).reshape(self.shape)

    def to_tt(self) -> TT:
        """The same tensor as a train of ranks r."""
        if self.ndim == 1:
            return TT._made([self.to_dense().reshape(1, -1, 1)])
        unit = like(np.eye(self.rank), self.cores[0])
        cores = [u.mT[:, :, None] * unit[:, None, :] for u in self.cores]
        cores[0] = self.cores[0][None]
        cores[-1] = self.cores[-1].mT[:, :, None]
        return TT._made(cores)

    def _told_ranks(self) -> str:
        return f"rank {self.rank}"

    def _drawn(self) -> str:
        return picture.tree(("Σ", [(self.rank, f"● {n}") for n in self.shape]))

    # Modes

    def _carriers(self) -> list[tuple[int, int]]:
        return [(k, 0) for k in range(self.ndim)]

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        scale = reduce(mul, (u for k, u in enumerate(cores) if k in gone))
        left = [u for k, u in enumerate(cores) if k not in gone]
        if not left:
            return namespace(scale).sum(scale)
        return self._made([left[0] * scale, *left[1:]])

    def _entries(self, indices: Array) -> Array:
        rows = reduce(mul, (u[indices[:, k]] for k, u in enumerate(self.cores)))
        return namespace(rows).sum(rows, axis=1)

    def _tensor(self, other: CP) -> CP:
        xp, r, s = namespace(self.cores[0]), self.rank, other.rank
        left = [xp.repeat(u, s, axis=1) for u in self.cores]
        return self._made([*left, *(xp.concat([v] * r, axis=1) for v in other.cores)])

    def permute(self, order: Sequence[int]) -> CP:
        """Mode k of the result is mode ``order[k]``: the factors in another order."""
        return self._made([self.cores[k] for k in indexing.permutation(order, self.ndim)])

    # Algebra

    def _plus(self, other: CP) -> CP:
        xp = namespace(self.cores[0])
        pairs = zip(self.cores, other.cores, strict=True)
        return self._made([xp.concat([u, v], axis=1) for u, v in pairs])

    def _times(self, other: CP) -> CP:
        pairs = zip(self.cores, other.cores, strict=True)
        return self._made(
            [(u[:, :, None] * v[:, None, :]).reshape(u.shape[0], -1) for u, v in pairs]
        )

    def _dot(self, other: CP) -> Array:
        """By Gram matrices: ``O(n r^2)`` a mode."""
        gram = reduce(mul, (H(u) @ v for u, v in zip(self.cores, other.cores, strict=True)))
        return namespace(gram).sum(gram)

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also where components cancel.

        ``sqrt(dot(self, self))`` where no digits are lost by that; else, and in JAX, which cannot
        look, by triangular factors of Khatri-Rao products, ``O(d r^4)``.
        """
        xp = namespace(self.cores[0])
        if not is_jax(self.cores[0]):
            gram = reduce(mul, (H(u) @ u for u in self.cores))
            square = abs(xp.sum(gram))
            if float(square) > 1e-3 * float(xp.sum(abs(gram))):
                return xp.sqrt(square)
        w = None
        for u in self.cores:
            u = flattened(u)
            w = u if w is None else (w[:, None, :] * u[None, :, :]).reshape(-1, self.rank)
            w = flattened(w)
        return xp.linalg.vector_norm(xp.sum(w, axis=1))

    def round(self, tol: float = 1e-8) -> CP:
        """Fewer components where some can be merged, ``norm(self - rounded) <= tol*norm(self)``.

        Components that are parallel in all modes but one are one component, whose vector in that
        mode is a sum; negligible ones are left out.  So ``A + A`` becomes as small as ``A``, and
        ``A - A`` zero.  Nothing is said about the least rank, which is NP-hard to find (Hillar,
        Lim, Most tensor problems are NP-hard, J. ACM 60 (2013)).

        Raises
        ------
        InputError
            A tolerance that means nothing; entries that are not finite.
        """
        tol = checked_tolerance(tol, None, self.cores[0])
        made = merged([numpy_of(u) for u in self.cores], tol * norm(self.norm()))
        return self._made([like(u, self.cores[0]) for u in made])

    def diagnose(self, cosine: float = -0.95, growth: float = 10.0) -> Diagnosis:
        """Whether components grow without bound against each other.

        A tensor may be a limit of tensors of lower rank without being one of them: approximations
        then have components that are nearly opposite and grow (De Silva, Lim, Tensor rank and the
        ill-posedness of the best low-rank approximation problem, SIAM J. Matrix Anal. Appl. 30
        (2008)).

        Parameters
        ----------
        cosine
            Pairs with a smaller cosine count as opposite.
        growth
            How many times larger than the tensor a component of such a pair is.
        """
        gram = np.ones((self.rank, self.rank))
        for u in self.cores:
            v = numpy_of(u)
            gram = gram * (v.conj().T @ v)
        sizes = np.sqrt(np.abs(np.diagonal(gram)))
        safe = np.where(sizes > 0, sizes, 1)
        cosines = gram.real / np.outer(safe, safe)
        size = float(np.sqrt(abs(gram.sum())))
        found = [
            (i, j)
            for i in range(self.rank)
            for j in range(i + 1, self.rank)
            if cosines[i, j] < cosine and min(sizes[i], sizes[j]) > growth * size
        ]
        total = float(np.linalg.norm(sizes))
        ratio = total / size if size else float("inf") if total else 1.0
        return Diagnosis(ratio, cosines, tuple(found), ratio > growth)

    def core_consistency(self, a: Any) -> float | None:
        """How far the array asks for interactions between components: 100 where for none.

        The Tucker core that fits ``a`` best with these factors is compared with the one that CP
        assumes, 1 for each component and 0 elsewhere: ``100*(1 - norm(G - I)^2/r)``.  Above 90 a
        trilinear model is appropriate; near 50 or below the rank is too large (R. Bro, H. A. L.
        Kiers, A new efficient method for determining the number of components in PARAFAC models,
        J. Chemometrics 17 (2003)).

        Returns
        -------
        float or None
            None where it says nothing: fewer rows than components in a mode, or a core of more
            than 10 million entries.

        Raises
        ------
        ShapeError
            The array has another shape.
        """
        a, *cores = same_type([a, *self.cores], "core_consistency")
        if tuple(a.shape) != self.shape:
            raise ShapeError(
                f"core_consistency: an array of shape {self.shape} is expected, not"
                f" {tuple(a.shape)}"
            )
        if min(self.shape) < self.rank or self.rank**self.ndim > 10_000_000:
            return None
        # The longest mode first: the array shrinks most.
        for k in sorted(range(self.ndim), key=lambda k: -self.shape[k]):
            inverse = np.linalg.pinv(numpy_of(cores[k]))
            a = mode_product(a, like(inverse, cores[k]), k)
        core = np.array(numpy_of(a))
        core[(np.arange(self.rank),) * self.ndim] -= 1
        return 100 * (1 - float(np.linalg.norm(core)) ** 2 / self.rank)

    def match(self, other: CP) -> Match:
        """How alike two models are, whatever the order, signs and scales of their components.

        The components are paired so that the mean of their congruences is largest.  The congruence
        of two is the product over the modes of the cosines between their columns.

        Raises
        ------
        ShapeError
            Tensors of different shapes.

        References
        ----------
        L. R. Tucker, A method for synthesis of factor analysis studies (1951); E. Acar, D. M.
        Dunlavy, T. G. Kolda, M. Mørup, Scalable tensor factorizations for incomplete data,
        Chemometr. Intell. Lab. Syst. 106 (2011), eq. 18, for the score.
        """
        from scipy.optimize import linear_sum_assignment

        a, b = self._common(other, "match")
        cosines, sizes = np.ones((a.rank, b.rank)), []
        for u, v in zip(a.cores, b.cores, strict=True):
            u, v = numpy_of(u), numpy_of(v)
            lengths = [np.linalg.norm(w, axis=0) for w in (u, v)]
            safe = [np.where(n > 0, n, 1.0) for n in lengths]
            # Signs may differ in an even number of modes, phases may cancel: the product counts.
            cosines = cosines * ((u / safe[0]).conj().T @ (v / safe[1]))
            sizes.append(lengths)
        congruences = cosines.real
        rows, columns = linear_sum_assignment(-congruences)
        x, y = (np.prod([n[i] for n in sizes], axis=0) for i in (0, 1))
        x, y = x[rows], y[columns]
        top = np.maximum(x, y)
        weighed = 1 - np.abs(x - y) / np.where(top > 0, top, 1.0)
        found = congruences[rows, columns]
        order = np.full(a.rank, -1)
        order[rows] = columns
        count = max(a.rank, b.rank)
        full = np.zeros(a.rank)
        full[rows] = found
        return Match(
            float(found.sum() / count), float((weighed * found).sum() / count), order, full
        )

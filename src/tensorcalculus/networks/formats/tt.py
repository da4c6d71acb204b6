"""Tensor trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    Array,
    checked_tolerance,
    floating,
    gaussian,
    is_array,
    like,
    namespace,
    numpy_of,
    same_type,
    svd,
)
from tensorcalculus.networks.formats import conversion, indexing, picture
from tensorcalculus.networks.formats.elementary import bonds
from tensorcalculus.networks.formats.modes import Modes
from tensorcalculus.networks.formats.spectra import Spectra
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.trains import algebra, chains
from tensorcalculus.networks.trains.reshaping import permuted, reshaped
from tensorcalculus.networks.trains.rounding import (
    push_left,
    push_right,
    round_chain,
    round_train,
)
from tensorcalculus.networks.trains.tt_svd import decompose


class TT(Modes, Spectra):
    """A tensor train: ``a[i1, …, id] = G1[:, i1, :] @ G2[:, i2, :] @ … @ Gd[:, id, :]``.

    Cores have shapes ``[r_{k-1}, n_k, r_k]`` with ``r_0 = r_d = 1``; they are arrays of NumPy,
    PyTorch or JAX, and results are of the same library.  Objects do not change.  Tolerances are
    relative, in the Frobenius norm.  In JAX a train is a pytree; inside ``jax.jit``, ``round`` and
    ``from_dense`` take their ranks from `max_rank`.  PyTorch and JAX differentiate through both.

    Oseledets, Tensor-train decomposition, SIAM J. Sci. Comput. 33 (2011) 2295.

    Raises
    ------
    ShapeError
        Cores that do not have three axes, or whose bonds do not fit.
    InputError
        Arrays of several libraries, or not of numbers.

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> x = np.linspace(0, 1, 8)
    >>> t = tn.TT.from_dense(np.sin(x[:, None, None] + x[:, None] + x))
    >>> t
    TT of shape (8, 8, 8), ranks 2, 2: 64 of 512 numbers, float64
      ●─2─●─2─●
      8   8   8
    """

    __slots__ = ("info",)

    info: Any
    """What a constructor tells about its work (``TT.cross``), else None."""

    def __init__(self, cores: Sequence[Any]) -> None:
        if is_array(cores) or not len(cores):
            raise ShapeError("TT: a list of at least one core [r, n, r'] is expected")
        made = same_type(cores, "TT")
        bond = 1
        for k, core in enumerate(made):
            if core.ndim != 3 or 0 in core.shape:
                raise ShapeError(
                    f"TT: core {k} has shape {tuple(core.shape)}; three axes [r, n, r'] of positive"
                    " lengths are expected"
                )
            if core.shape[0] != bond:
                before = f"the bond behind core {k - 1} is {bond}" if k else "the first bond is 1"
                raise ShapeError(f"TT: core {k} has shape {tuple(core.shape)}, but {before}")
            bond = core.shape[2]
        if bond != 1:
            raise ShapeError(
                f"TT: the last core has shape {tuple(made[-1].shape)}; its last axis must be 1"
            )
        self._set(made)

    def _set(self, cores: Sequence[Array], *fields: Any) -> Self:
        object.__setattr__(self, "info", None)
        return super()._set(cores, *fields)

    def _plain(self, cores: Sequence[Array]) -> TT:
        return TT._made(cores)

    # Constructors

    @classmethod
    def from_dense(cls, a: Any, tol: float = 1e-8, max_rank: int | None = None) -> TT:
        """The train of an array, ``norm(a - train) <= tol*norm(a)`` unless `max_rank` cuts it.

        For the ranks that come out, the error is at most ``sqrt(d-1)`` times the least one.
        Oseledets (2011), algorithm 1; unfoldings are compressed by sketches that are checked, or by
        the SVD of their triangular factors, so singular values are accurate to rounding of the
        largest one.

        Raises
        ------
        ShapeError
            No axis, or one of length 0.
        InputError
            NaN or infinite entries; a tolerance or a rank that means nothing.
        """
        return TT._made(decompose(floating(a), tol, max_rank))

    @classmethod
    def cross(
        cls,
        f: Callable[[np.ndarray], Any],
        shape: Sequence[int],
        tol: float = 1e-8,
        max_evaluations: int = 10**6,
        seed: int = 0,
        **options: Any,
    ) -> TT:
        """The train of a function of indices, from few of its values.

        `f` takes an integer array ``[batch, d]`` and gives ``[batch]`` numbers.  See
        :func:`tensorcalculus.networks.cross.tt_cross.cross` for the method, options and errors.
        ``info.evaluations`` and ``info.error`` tell what it took and the error, relative in the
        Frobenius norm, estimated on random points that were not used.

        Examples
        --------
        >>> import tensorcalculus.networks as tn
        >>> t = tn.TT.cross(lambda i: 1 / (1 + i.sum(axis=1)), (20,) * 6, tol=1e-8)
        >>> t.info.error < 1e-7 and t.info.evaluations < 20**4
        True
        """
        from tensorcalculus.networks.cross.tt_cross import cross

        cores, info = cross(f, shape, tol, max_evaluations, seed, **options)
        made = TT._made(cores)
        object.__setattr__(made, "info", info)
        return made

    @classmethod
    def random(
        cls,
        shape: Sequence[int],
        rank: int | Sequence[int],
        seed: int = 0,
        like: Array | None = None,
    ) -> TT:
        """A train of Gaussian cores whose entries have variance 1; `like` gives library and type.

        Ranks larger than the sizes of the two sides of a cut allow are made as asked for.
        """
        shape = indexing.checked_shape(shape)
        d = len(shape)
        if not isinstance(rank, int | np.integer) and len(rank) == d + 1:
            rank = list(rank)[1:-1]
        ranks = [1, *bonds(rank, d - 1), 1]
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        cores = [
            gaussian((ranks[k], n, ranks[k + 1]), x, rng) * ranks[k] ** -0.5
            for k, n in enumerate(shape)
        ]
        return TT._made(cores)

    @classmethod
    def _rank_one(cls, vectors: Sequence[Array]) -> TT:
        return TT._made([v.reshape(1, -1, 1) for v in vectors])

    def _constant(self, value: Any) -> TT:
        return TT.constant(self.shape, value, self.cores[0])

    # What it is

    @property
    def ranks(self) -> tuple[int, ...]:
        """All bonds, with the 1 at both ends."""
        return (1, *(core.shape[2] for core in self.cores))

    def _network(self) -> Network:
        return builders.tt(self.ndim, n=self.shape, ranks=self.ranks, ends=True)

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.train(structure)

    def to_dense(self) -> Array:
        """The array of all entries."""
        return algebra.dense(self.cores)

    def to_tt(self) -> TT:
        """The same as a plain train."""
        return TT._made(self.cores)

    def _told_ranks(self) -> str:
        inner = self.ranks[1:-1]
        return picture.ranks(inner) if inner else ""

    def _drawn(self) -> str:
        return picture.chain(self.shape, self.ranks)

    # Modes

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.cores)

    def _carriers(self) -> list[tuple[int, int]]:
        return [(k, 1) for k in range(self.ndim)]

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        made = algebra.absorb(cores)
        return TT._made(made) if isinstance(made, list) else made

    def _entries(self, indices: Array) -> Array:
        return algebra.entries(self.cores, indices)

    def _tensor(self, other: TT) -> TT:
        return TT._made([*self.cores, *other.cores])

    def permute(self, order: Sequence[int], tol: float = 1e-12) -> TT:
        """Mode k of the result is mode ``order[k]``; neighbours are swapped by SVDs, to `tol`."""
        tol = checked_tolerance(tol, None, self.cores[0])
        return TT._made(permuted(self.cores, indexing.permutation(order, self.ndim), tol))

    def reshape(self, shape: Sequence[int], tol: float = 1e-12) -> TT:
        """The same entries, in row-major order, in another shape; modes are merged and split.

        From and to quantised trains: ``t.reshape((2,) * 20)``.

        Raises
        ------
        ShapeError
            Another number of entries.
        """
        tol = checked_tolerance(tol, None, self.cores[0])
        return TT._made(reshaped(self.cores, indexing.checked_shape(shape), tol))

    # Algebra

    def _is_partner(self, other: object) -> bool:
        return isinstance(other, TT)

    def _plus(self, other: TT) -> TT:
        return self._like(algebra.add(self.cores, other.cores))

    def _times(self, other: TT) -> TT:
        return self._like(algebra.hadamard(self.cores, other.cores))

    def _dot(self, other: TT) -> Array:
        return algebra.dot(self.cores, other.cores)

    def multiply(
        self, other: TT, tol: float = 1e-8, max_rank: int | None = None, seed: int = 0
    ) -> TT:
        """The elementwise product, rounded, without forming its cores of ``ra*rb`` bonds.

        The product of each core with a sketch is made factor by factor, ``O(d n r^3 l)`` for
        products of rank ``l``; the error is at most ``tol*norm`` of the product.  See
        :meth:`round` for the tolerance; `seed` is that of the sketch.
        """
        a, b = self._common(other, "multiply")
        chain = chains.Hadamard(a.cores, b.cores)
        start = 2 * max(*self.ranks, *other.ranks)
        return self._like(round_chain(chain, tol, max_rank, start, seed))

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for differences of nearly equal trains."""
        return algebra.norm(self.cores)

    def round(self, tol: float = 1e-8, max_rank: int | None = None) -> TT:
        """A train of smaller ranks, ``norm(self - rounded) <= tol*norm(self)``; ``O(d n r^3)``.

        `max_rank` may cut below what `tol` asks for.  Oseledets (2011), algorithm 2; large ranks
        are sketched first (Al Daas et al. 2023), and the sketch is checked.

        PyTorch and JAX differentiate it (once, in reverse), at the ranks found, also where singular
        values are equal or 0; for NumPy there is :func:`tensorcalculus.networks.round_vjp`.  Inside
        ``jax.jit`` ranks are `max_rank`, and what `tol` cuts off is 0.

        Raises
        ------
        InputError
            A tolerance or a rank that means nothing; entries that are not finite.

        Warns
        -----
        GaugeWarning
            When a derivative is asked for that does not exist: a singular value that is kept equals
            one that is cut off, or the function depends on more than the tensor.
        """
        return self._like(round_train(self.cores, tol, max_rank))

    def orthogonalize(self, center: int) -> TT:
        """The same tensor: cores before `center` left-orthonormal, those behind right-orthonormal.

        The core at the center then has the norm of the tensor.
        """
        d = self.ndim
        if not -d <= center < d:
            raise InputError(f"orthogonalize: center {center} does not exist; there are {d} cores")
        cores = list(self.cores)
        push_right(cores, 0, center % d)
        push_left(cores, center % d, d - 1)
        return self._like(cores)

    def singular_values(self) -> list[np.ndarray]:
        """Those of the unfoldings, one array for each cut between two modes, in NumPy."""
        cores, found = list(self.cores), []
        push_left(cores, 0, self.ndim - 1)
        for k in range(self.ndim - 1):
            r, n, s = cores[k].shape
            _, values, rest = svd(cores[k].reshape(r * n, s))
            found.append(values)
            rest = like(values[:, None], rest) * rest
            s, m, t = cores[k + 1].shape
            cores[k + 1] = (rest @ cores[k + 1].reshape(s, m * t)).reshape(-1, m, t)
        return found

    def _told_cut(self, name: Any) -> str:
        return f"modes 0 to {name} and the others" if name else "mode 0 and the others"

    def sample(
        self, count: int, seed: int = 0, squared: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random indices ``[count, d]`` and their probabilities, in NumPy.

        The density is that of the entries, which must not be negative (beyond rounding), divided by
        their sum; with `squared` that of their squared absolute values.

        Raises
        ------
        InputError
            The sum is not positive, or entries are complex and not squared.

        Examples
        --------
        >>> import numpy as np, tensorcalculus.networks as tn
        >>> t = tn.TT.outer([np.array([0, 1.0]), np.array([1.0, 0])])
        >>> t.sample(1)
        (array([[1, 0]]), array([1.]))
        """
        from tensorcalculus.networks.trains.sampling import sample

        return sample(self.cores, count, seed, squared)

    def map(
        self, f: Callable[..., Any], *others: TT, tol: float = 1e-8, seed: int = 0, **options: Any
    ) -> TT:
        """An elementwise function of trains, by cross approximation of ``f(self, *others)``.

        `f` takes as many arrays ``[batch]`` of NumPy as there are trains, and gives one.  Options,
        errors and ``info`` are those of :meth:`cross`.

        Examples
        --------
        >>> import numpy as np, tensorcalculus.networks as tn
        >>> t = tn.TT.ones((10,) * 4) * 2
        >>> round(float(t.map(np.sqrt)[0, 0, 0, 0]), 6)
        1.414214
        """
        trains = [self, *others]
        for other in others:
            if other.shape != self.shape:
                raise ShapeError(f"map: shapes {self.shape} and {other.shape} differ")
        # Small matrices are quicker in NumPy, and so is the choice of points.
        held = [[numpy_of(core) for core in t.cores] for t in trains]

        def values(points: np.ndarray) -> Any:
            return f(*(algebra.entries(cores, points) for cores in held))

        made = TT.cross(values, self.shape, tol, seed=seed, **options)
        if not isinstance(self.cores[0], np.ndarray):
            xp = namespace(self.cores[0])
            found = TT._made([xp.asarray(core) for core in made.cores])
            object.__setattr__(found, "info", made.info)
            return found
        return made

"""Tensor trains."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import (
    Array,
    floating,
    gaussian,
    is_array,
    is_complex,
    namespace,
    numpy_of,
    same_type,
)
from tensorcalculus.networks.formats import algebra, chains, conversion, indexing, picture, storage
from tensorcalculus.networks.formats.modes import Modes, checked_shape, ones
from tensorcalculus.networks.formats.rounding import (
    push_left,
    push_right,
    round_chain,
    round_train,
)
from tensorcalculus.networks.formats.tt_svd import decompose
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure


class TT(Modes):
    """A tensor train: ``a[i1, …, id] = G1[:, i1, :] @ G2[:, i2, :] @ … @ Gd[:, id, :]``.

    Cores have shapes ``[r_{k-1}, n_k, r_k]`` with ``r_0 = r_d = 1``; they are arrays of NumPy,
    PyTorch or JAX, and results are of the same library.  Objects do not change.  Tolerances are
    relative, in the Frobenius norm.  In JAX a train is a pytree; what chooses ranks by numbers
    (``round``, ``from_dense``) cannot stand inside ``jax.jit``.

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

    def _train(self, cores: Sequence[Array]) -> TT:
        """A train of new cores."""
        return TT._made(cores)

    def _like(self, cores: Sequence[Array]) -> TT:
        """A train of new cores that keeps what subclasses know, where it still holds."""
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
        shape = checked_shape(shape)
        d = len(shape)
        inner = [int(rank)] * (d - 1) if isinstance(rank, int | np.integer) else list(rank)
        if len(inner) == d + 1:
            inner = inner[1:-1]
        if len(inner) != d - 1 or any(r < 1 for r in inner):
            raise ShapeError(
                f"random: rank must be a positive integer or {d - 1} of them, not {rank!r}"
            )
        ranks = [1, *inner, 1]
        x = np.empty(0) if like is None else like
        rng = np.random.default_rng(seed)
        cores = [
            gaussian((ranks[k], n, ranks[k + 1]), x, rng) * ranks[k] ** -0.5
            for k, n in enumerate(shape)
        ]
        return TT._made(cores)

    @classmethod
    def ones(cls, shape: Sequence[int], like: Array | None = None) -> TT:
        """The train of ones, of rank 1."""
        return cls.constant(shape, 1.0, like)

    @classmethod
    def zeros(cls, shape: Sequence[int], like: Array | None = None) -> TT:
        """The train of zeros, of rank 1."""
        return cls.constant(shape, 0.0, like)

    @classmethod
    def constant(cls, shape: Sequence[int], value: complex, like: Array | None = None) -> TT:
        """The train of one number everywhere, of rank 1."""
        x = np.empty(0) if like is None else like
        cores = [ones((1, n, 1), x) for n in checked_shape(shape)]
        return TT._made(same_type(algebra.scaled(cores, value), "constant"))

    @classmethod
    def outer(cls, vectors: Sequence[Any]) -> TT:
        """The outer product of vectors, of rank 1."""
        made = same_type(vectors, "outer")
        for k, v in enumerate(made):
            if v.ndim != 1 or not v.shape[0]:
                raise ShapeError(f"outer: vector {k} has shape {tuple(v.shape)}")
        return TT._made([v.reshape(1, -1, 1) for v in made])

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

    def at(self, indices: Any) -> Array:
        """Entries at the rows of an integer array ``[batch, d]``.

        Raises
        ------
        ShapeError, InputError
            Rows of another length, or an index outside of its mode.
        """
        known = isinstance(indices, np.ndarray) or not is_array(indices)
        chosen = np.asarray(indices) if known else indices
        if chosen.ndim != 2 or chosen.shape[1] != self.ndim:
            raise ShapeError(
                f"at: an integer array [batch, {self.ndim}] is expected, not {tuple(chosen.shape)}"
            )
        if known:
            if chosen.dtype.kind not in "iu":
                raise InputError(f"at: integers are expected, not {chosen.dtype}")
            if len(chosen) and ((chosen < 0) | (chosen >= np.array(self.shape))).any():
                raise InputError(f"at: an index is outside of the shape {self.shape}")
            if not isinstance(self.cores[0], np.ndarray):
                chosen = namespace(self.cores[0]).asarray(chosen)
        return algebra.entries(self.cores, chosen)

    def __getitem__(self, index: Any) -> Any:
        """A train for the modes that slices keep, or one entry where all indices are integers."""
        chosen = indexing.normal(index, self.shape)
        xp = namespace(self.cores[0])
        cores = []
        for core, item in zip(self.cores, chosen, strict=True):
            if isinstance(item, slice) and (item.step or 1) < 0:
                # PyTorch has no negative steps.
                picked = np.arange(core.shape[1])[item].copy()
                cores.append(xp.take(core, xp.asarray(picked), axis=1))
            else:
                cores.append(core[:, item, :])
        made = algebra.absorb(cores)
        return TT._made(made) if isinstance(made, list) else made

    def __repr__(self) -> str:
        inner = self.ranks[1:-1]
        told = ", ".join(map(str, inner)) if len(inner) <= 8 else f"up to {max(inner)}"
        ranks = f", ranks {told}" if inner else ""
        kind = str(self.dtype).removeprefix("torch.")
        entries = math.prod(self.shape)
        many = f"{entries:.3g}" if entries >= 10**7 else str(entries)
        head = f"{type(self).__name__} of shape {_told(self.shape)}{ranks}"
        drawn = picture.chain(self.shape, self.ranks).replace("\n", "\n  ")
        return f"{head}: {self.size} of {many} numbers, {kind}\n  {drawn}"

    def _repr_html_(self) -> str:
        return picture.html(type(self).__name__, self.shape, self.ranks)

    # Algebra

    def _with(self, other: TT, name: str) -> tuple[Sequence[Array], Sequence[Array]]:
        """Cores of both, of one type; shapes must agree."""
        if self.shape != other.shape:
            raise ShapeError(f"{name}: shapes {self.shape} and {other.shape} differ")
        if self.dtype == other.dtype and type(self.cores[0]) is type(other.cores[0]):
            return self.cores, other.cores
        both = same_type([*self.cores, *other.cores], name)
        return both[: self.ndim], both[self.ndim :]

    def __add__(self, other: Any) -> TT:
        """The sum: ranks add.  A number is added to all entries."""
        if isinstance(other, numbers.Number):
            other = TT.constant(self.shape, other, self.cores[0])  # type: ignore[arg-type]
        if not isinstance(other, TT):
            return NotImplemented
        return self._like(algebra.add(*self._with(other, "+")))

    __radd__ = __add__

    def __neg__(self) -> TT:
        return self * -1

    def __pos__(self) -> TT:
        return self

    def __sub__(self, other: Any) -> TT:
        if not isinstance(other, TT | numbers.Number):
            return NotImplemented
        return self + -1 * other  # type: ignore[operator]

    def __rsub__(self, other: Any) -> TT:
        return -self + other

    def __mul__(self, other: Any) -> TT:
        """By a number, or elementwise by a train: ranks multiply (see :meth:`multiply`)."""
        if isinstance(other, TT):
            return self._like(algebra.hadamard(*self._with(other, "*")))
        if isinstance(other, numbers.Number) or (is_array(other) and other.ndim == 0):
            return self._like(same_type(algebra.scaled(self.cores, other), "*"))
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> TT:
        if isinstance(other, numbers.Number) or (is_array(other) and other.ndim == 0):
            return self._like(
                same_type([self.cores[0] / other, *self.cores[1:]], "/")  # type: ignore[operator]
            )
        return NotImplemented

    def conj(self) -> TT:
        """The complex conjugate."""
        return self._like([core.conj() for core in self.cores])

    def multiply(
        self, other: TT, tol: float = 1e-8, max_rank: int | None = None, seed: int = 0
    ) -> TT:
        """The elementwise product, rounded, without forming its cores of ``ra*rb`` bonds.

        The product of each core with a sketch is made factor by factor, ``O(d n r^3 l)`` for
        products of rank ``l``; the error is at most ``tol*norm`` of the product.  See
        :meth:`round` for the tolerance; `seed` is that of the sketch.
        """
        a, b = self._with(other, "multiply")
        chain = chains.Hadamard(a, b)
        start = 2 * max(*self.ranks, *other.ranks)
        return self._like(round_chain(chain, tol, max_rank, start, seed))

    def dot(self, other: TT) -> Array:
        """``sum(conj(self)*other)``, ``O(d n r^3)``."""
        return algebra.dot(*self._with(other, "dot"))

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for differences of nearly equal trains."""
        return algebra.norm(self.cores)

    def round(self, tol: float = 1e-8, max_rank: int | None = None) -> TT:
        """A train of smaller ranks, ``norm(self - rounded) <= tol*norm(self)``; ``O(d n r^3)``.

        `max_rank` may cut below what `tol` asks for.  Oseledets (2011), algorithm 2; large ranks
        are sketched first (Al Daas et al. 2023), and the sketch is checked.

        Raises
        ------
        InputError
            A tolerance or a rank that means nothing; entries that are not finite.
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
        from tensorcalculus.networks.formats.sampling import sample

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

    @staticmethod
    def concatenate(parts: Sequence[TT], axis: int = 0) -> TT:
        """Trains one behind the other along a mode; ranks add.

        Raises
        ------
        ShapeError
            Other modes than `axis` differ.
        """
        if not parts:
            raise ShapeError("concatenate: at least one train is expected")
        (axis,) = indexing.axes(axis, parts[0].ndim)
        total = sum(part.shape[axis] for part in parts)
        made: TT | None = None
        start = 0
        for part in parts:
            core = part.cores[axis]
            xp = namespace(core)
            r, n, s = core.shape
            device = {"device": core.device} if hasattr(core, "detach") else {}
            before = xp.zeros((r, start, s), dtype=core.dtype, **device)
            behind = xp.zeros((r, total - start - n, s), dtype=core.dtype, **device)
            wide = xp.concat([before, core, behind], axis=1)
            term = TT._made([*part.cores[:axis], wide, *part.cores[axis + 1 :]])
            made = term if made is None else made + term
            start += n
        assert made is not None
        return made

    # Files

    def save(self, path: str | Path) -> Path:
        """Write cores to an `.npz` file, without pickle; the path that was written."""
        return storage.write(path, "TT", self.cores)

    @classmethod
    def load(cls, path: str | Path) -> TT:
        """The train of a file that :meth:`save` wrote, in NumPy."""
        return TT(storage.read(path, "TT"))

    @property
    def is_complex(self) -> bool:
        """Whether the numbers are of a complex type."""
        return is_complex(self.cores[0])


def _told(shape: Sequence[int]) -> str:
    if len(shape) > 8 and len(set(shape)) == 1:
        return f"{shape[0]}^{len(shape)}"
    return str(tuple(shape))

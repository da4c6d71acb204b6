"""Matrices as tensor trains: each core has a row mode and a column mode."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import Array, floating, is_array, like, namespace, same_type
from tensorcalculus.networks.formats import conversion, indexing, picture
from tensorcalculus.networks.formats.base import Format
from tensorcalculus.networks.formats.linear import is_number
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.trains import algebra, chains
from tensorcalculus.networks.trains.rounding import round_chain, round_train
from tensorcalculus.networks.trains.tt_svd import decompose


class TTMatrix(Format):
    """A matrix whose rows and columns are numbered by ``(i1, …, id)`` and ``(j1, …, jd)``.

    ``A[i, j] = G1[:, i1, j1, :] @ … @ Gd[:, id, jd, :]``, cores ``[r, m, n, r']``, both numbers
    row-major.  Tolerances are relative, in the Frobenius norm.

    Oseledets, Approximation of 2^d x 2^d matrices using tensor decomposition, SIAM J. Matrix Anal.
    Appl. 31 (2010).

    Examples
    --------
    >>> import tensorcalculus.networks as tn
    >>> a = tn.laplacian((8, 8, 8))
    >>> a.ranks
    (1, 2, 2, 1)
    >>> x = tn.TT.ones((8, 8, 8))
    >>> float(x.dot(a @ x))
    384.0
    """

    __slots__ = ()

    def __init__(self, cores: Sequence[Any]) -> None:
        if is_array(cores) or not len(cores):
            raise ShapeError("TTMatrix: a list of at least one core [r, m, n, r'] is expected")
        made = same_type(cores, "TTMatrix")
        bond = 1
        for k, core in enumerate(made):
            if core.ndim != 4 or 0 in core.shape or core.shape[0] != bond:
                raise ShapeError(
                    f"TTMatrix: core {k} has shape {tuple(core.shape)}; [{bond}, m, n, r'] of"
                    " positive lengths is expected"
                )
            bond = core.shape[3]
        if bond != 1:
            raise ShapeError(f"TTMatrix: the last bond must be 1, not {bond}")
        self._set(made)

    # Constructors

    @classmethod
    def from_dense(
        cls,
        a: Any,
        row_shape: Sequence[int],
        column_shape: Sequence[int],
        tol: float = 1e-8,
        max_rank: int | None = None,
    ) -> TTMatrix:
        """The train of a matrix, ``norm(a - train) <= tol*norm(a)`` (see :meth:`TT.from_dense`).

        Raises
        ------
        ShapeError
            `a` is no matrix of these shapes, or they have different numbers of modes.
        """
        a = floating(a)
        rows, columns = indexing.checked_shape(row_shape), indexing.checked_shape(column_shape)
        d = len(rows)
        if tuple(a.shape) != (math.prod(rows), math.prod(columns)) or len(columns) != d:
            raise ShapeError(
                f"from_dense: rows {rows} and columns {columns} of as many modes are expected to"
                f" number the entries of a matrix {tuple(a.shape)}"
            )
        order = [axis for k in range(d) for axis in (k, d + k)]
        xp = namespace(a)
        mixed = xp.permute_dims(a.reshape((*rows, *columns)), order)
        pairs = [m * n for m, n in zip(rows, columns, strict=True)]
        return cls._split(decompose(mixed.reshape(pairs), tol, max_rank), rows, columns)

    @classmethod
    def _split(
        cls, cores: Sequence[Array], rows: Sequence[int], columns: Sequence[int]
    ) -> TTMatrix:
        """From the cores of a train whose modes are pairs."""
        return cls._made(
            [
                core.reshape(core.shape[0], m, n, core.shape[2])
                for core, m, n in zip(cores, rows, columns, strict=True)
            ]
        )

    @classmethod
    def eye(cls, shape: Sequence[int], like: Array | None = None) -> TTMatrix:
        """The identity, of rank 1."""
        return cls.kron([np.eye(n) for n in indexing.checked_shape(shape)], like)

    @classmethod
    def kron(cls, matrices: Sequence[Any], like: Array | None = None) -> TTMatrix:
        """The Kronecker product of small matrices, of rank 1."""
        made = same_type(matrices, "kron")
        if like is not None:
            made = [_like(np.asarray(m), like) for m in made]
        return cls([m[None, :, :, None] for m in made])

    @classmethod
    def diag(cls, t: TT) -> TTMatrix:
        """The diagonal matrix of a train's entries, of the same ranks."""
        cores = []
        for core in t.cores:
            unit = _like(np.eye(core.shape[1]), core)
            cores.append(core[:, :, None, :] * unit[None, :, :, None])
        return cls._made(cores)

    # What it is

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Lengths of the modes that number rows."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def column_shape(self) -> tuple[int, ...]:
        """Lengths of the modes that number columns."""
        return tuple(core.shape[2] for core in self.cores)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return math.prod(self.row_shape), math.prod(self.column_shape)

    @property
    def ranks(self) -> tuple[int, ...]:
        """All bonds, with the 1 at both ends."""
        return (1, *(core.shape[3] for core in self.cores))

    def train(self) -> TT:
        """The train whose modes are pairs of row and column modes."""
        return TT._made([core.reshape(core.shape[0], -1, core.shape[3]) for core in self.cores])

    def _network(self) -> Network:
        return builders.tt_matrix(
            len(self.cores), n=self.row_shape, m=self.column_shape, ranks=self.ranks, ends=True
        )

    @classmethod
    def _places(cls, structure: Structure) -> list[conversion.Place]:
        return conversion.train(structure, modes=2)

    def to_dense(self) -> Array:
        """The matrix of all entries."""
        d = len(self.cores)
        modes = [n for pair in zip(self.row_shape, self.column_shape, strict=True) for n in pair]
        full = algebra.dense(self.train().cores).reshape(modes)
        order = [*range(0, 2 * d, 2), *range(1, 2 * d, 2)]
        return namespace(full).permute_dims(full, order).reshape(self.shape)

    def at(self, rows: Any, columns: Any) -> Array:
        """Entries at pairs of a row and a column: integer arrays ``[batch, d]`` of their digits.

        Raises
        ------
        ShapeError, InputError
            Rows of another length, or an index outside of its mode.
        """
        core, modes = self.cores[0], self.column_shape
        i = indexing.points(rows, self.row_shape, core, "at: rows")
        j = indexing.points(columns, modes, core, "at: columns")
        if i.shape[0] != j.shape[0]:
            raise ShapeError(f"at: {i.shape[0]} rows and {j.shape[0]} columns differ in number")
        paired = [i[:, k] * n + j[:, k] for k, n in enumerate(modes)]
        return algebra.entries(self.train().cores, namespace(i).stack(paired, axis=1))

    def __getitem__(self, index: Any) -> Array:
        """The entry of a row and a column, each a number or the tuple of its digits.

        Raises
        ------
        InputError
            Something else, or a number outside of the matrix.
        """
        if not isinstance(index, tuple) or len(index) != 2:
            raise InputError("TTMatrix: A[i, j] takes a row and a column; for many, use `at`")
        sides = zip(index, (self.row_shape, self.column_shape), strict=True)
        row, column = (_digits(number, modes) for number, modes in sides)
        return self.at([row], [column])[0]

    def __repr__(self) -> str:
        cells = [f"{m}×{n}" for m, n in zip(self.row_shape, self.column_shape, strict=True)]
        drawn = picture.chain(cells, self.ranks).replace("\n", "\n  ")
        rows, columns = self.shape
        kind = str(self.dtype).removeprefix("torch.")
        return f"TTMatrix of {rows} rows, {columns} columns: {self.size} numbers, {kind}\n  {drawn}"

    # Algebra

    def _again(self, cores: Sequence[Array]) -> TTMatrix:
        return self._split(cores, self.row_shape, self.column_shape)

    def __add__(self, other: Any) -> TTMatrix:
        """The sum: ranks add."""
        if not isinstance(other, TTMatrix):
            return NotImplemented
        if (self.row_shape, self.column_shape) != (other.row_shape, other.column_shape):
            raise ShapeError(f"+: {self._told()} and {other._told()} differ")
        return self._again((self.train() + other.train()).cores)

    def __neg__(self) -> TTMatrix:
        return self * -1

    def __sub__(self, other: Any) -> TTMatrix:
        return self + -1 * other if isinstance(other, TTMatrix) else NotImplemented

    def __mul__(self, other: Any) -> TTMatrix:
        """By a number."""
        if not is_number(other):
            return NotImplemented
        return self._again((self.train() * other).cores)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> TTMatrix:
        return self._again((self.train() / other).cores) if is_number(other) else NotImplemented

    def _told(self) -> str:
        return f"rows {self.row_shape} and columns {self.column_shape}"

    def __matmul__(self, other: Any) -> Any:
        """Times a train or a matrix, exactly: ranks multiply (see :meth:`apply`)."""
        if not isinstance(other, TT | TTMatrix):
            return NotImplemented
        self._fits(other)
        both = same_type([*self.cores, *other.cores], "@")
        a, b = both[: len(self.cores)], both[len(self.cores) :]
        columns = [core.reshape(*core.shape[:2], -1, core.shape[-1]) for core in b]
        cores = []
        for x, y in zip(a, columns, strict=True):
            (r, m, n, rr), (s, _, p, ss) = x.shape, y.shape
            xp = namespace(x)
            left = xp.permute_dims(x, (0, 1, 3, 2)).reshape(r * m * rr, n)
            right = xp.permute_dims(y, (1, 0, 2, 3)).reshape(n, s * p * ss)
            core = (left @ right).reshape(r, m, rr, s, p, ss)
            core = xp.permute_dims(core, (0, 3, 1, 4, 2, 5))
            cores.append(core.reshape(r * s, m, p, rr * ss))
        if isinstance(other, TT):
            return TT._made([c.reshape(c.shape[0], c.shape[1], c.shape[3]) for c in cores])
        return TTMatrix._made(cores)

    def _fits(self, other: TT | TTMatrix) -> None:
        modes = other.shape if isinstance(other, TT) else other.row_shape
        if self.column_shape != modes:
            raise ShapeError(f"@: columns {self.column_shape} do not fit {modes}")

    def apply(self, other: TT, tol: float = 1e-8, max_rank: int | None = None, seed: int = 0) -> TT:
        """The product with a train, rounded, without its cores of multiplied ranks being formed."""
        self._fits(other)
        both = same_type([*self.cores, *other.cores], "apply")
        chain = chains.MatrixTimesTrain(both[: len(self.cores)], both[len(self.cores) :])
        start = 2 * max(other.ranks) + max(self.ranks)
        return TT._made(round_chain(chain, tol, max_rank, start, seed))

    @property
    def T(self) -> TTMatrix:
        """The transpose."""
        return TTMatrix._made([core.swapaxes(1, 2) for core in self.cores])

    def round(self, tol: float = 1e-8, max_rank: int | None = None) -> TTMatrix:
        """Smaller ranks, ``norm(self - rounded) <= tol*norm(self)`` (see :meth:`TT.round`)."""
        return self._again(round_train(self.train().cores, tol, max_rank))

    def dot(self, other: TTMatrix) -> Array:
        """``sum(conj(self)*other)`` over all entries."""
        return self.train().dot(other.train())

    def norm(self) -> Array:
        """The Frobenius norm."""
        return self.train().norm()

    def trace(self) -> Array:
        """The sum of the diagonal; row and column modes must agree."""
        if self.row_shape != self.column_shape:
            raise ShapeError(f"trace: {self._told()} differ")
        xp = namespace(self.cores[0])
        diagonals = [
            xp.sum(core * _like(np.eye(core.shape[1]), core)[None, :, :, None], axis=(1, 2))
            for core in self.cores
        ]
        value = algebra.absorb(diagonals)
        assert not isinstance(value, list)
        return value


def _digits(number: Any, modes: tuple[int, ...]) -> list[int]:
    """The index of each mode of a row-major number, in Python's integers, as it may be large."""
    if isinstance(number, tuple):
        return [operator.index(k) for k in number]
    try:
        rest, total = operator.index(number), math.prod(modes)
    except TypeError:
        raise InputError(
            f"TTMatrix: a row and a column are integers or tuples of them, not"
            f" {type(number).__name__}; for many, use `at`"
        ) from None
    if not -total <= rest < total:
        raise InputError(f"TTMatrix: {number} is outside of {total} rows or columns")
    rest, digits = rest % total, []
    for n in reversed(modes):
        rest, k = divmod(rest, n)
        digits.append(k)
    return digits[::-1]


def _like(values: np.ndarray, x: Array) -> Array:
    return like(values, x)

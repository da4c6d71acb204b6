"""What trains do mode by mode: sums over modes, products of spaces, permutations, other shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tensorcalculus.errors import ShapeError
from tensorcalculus.networks.arrays import Array, floating, like, same_type
from tensorcalculus.networks.formats import algebra, indexing
from tensorcalculus.networks.formats.base import Format
from tensorcalculus.networks.formats.reshaping import permuted, reshaped

if TYPE_CHECKING:
    from tensorcalculus.networks.formats.tt import TT


class Modes(Format):
    """The part of :class:`TT` that works on modes."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(core.shape[1] for core in self.cores)

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.cores)

    def _train(self, cores: Sequence[Array]) -> TT:
        """A train of new cores."""
        raise NotImplementedError

    # Contraction of modes

    def sum(self, axes: int | Sequence[int] | None = None) -> Any:
        """The sum over some modes, or all: a train of the others, or a number."""
        return self.integrate(dict.fromkeys(indexing.axes(axes, self.ndim)))

    def mean(self, axes: int | Sequence[int] | None = None) -> Any:
        """The mean over some modes, or all."""
        listed = indexing.axes(axes, self.ndim)
        shape = self.shape
        means = {k: ones((shape[k],), self.cores[0]) / shape[k] for k in listed}
        return self.integrate(means)

    def marginal(self, keep: int | Sequence[int]) -> Any:
        """The sum over all modes but `keep`, which stay in their order."""
        kept = indexing.axes(keep, self.ndim)
        return self.sum([k for k in range(self.ndim) if k not in kept])

    def integrate(self, weights: Mapping[int, Any] | Sequence[Any]) -> Any:
        """Modes contracted with vectors of weights: a quadrature rule for each mode.

        Parameters
        ----------
        weights
            One vector for each mode, or a dict from some modes to theirs (None sums).
        """
        d, shape = self.ndim, self.shape
        if not isinstance(weights, Mapping):
            if len(weights) != d:
                raise ShapeError(f"integrate: {d} vectors are expected, not {len(weights)}")
            weights = dict(enumerate(weights))
        vectors: dict[int, Array | None] = {}
        for axis, vector in weights.items():
            (k,) = indexing.axes(axis, d)
            if vector is not None:
                if isinstance(vector, list | tuple | np.ndarray):
                    vector = floating(vector)
                    if isinstance(vector, np.ndarray) and not isinstance(self.cores[0], np.ndarray):
                        vector = like(vector, self.cores[0])
                if tuple(vector.shape) != (shape[k],):
                    raise ShapeError(
                        f"integrate: the vector of mode {k} has shape {tuple(vector.shape)};"
                        f" ({shape[k]},) is expected"
                    )
            vectors[k] = vector
        made = algebra.contract_modes(self.cores, vectors)
        return self._train(made) if isinstance(made, list) else made

    # Shapes

    def kron(self, other: Self) -> TT:
        """The Kronecker product: entry ``[i1*m1 + j1, …]`` is ``self[i1, …]*other[j1, …]``."""
        if self.ndim != other.ndim:
            raise ShapeError(f"kron: {self.ndim} and {other.ndim} modes differ")
        both = same_type([*self.cores, *other.cores], "kron")
        return self._train(algebra.kron(both[: self.ndim], both[self.ndim :]))

    def tensor(self, other: Self) -> TT:
        """The tensor product: the modes of `other` behind those of this train."""
        return self._train(same_type([*self.cores, *other.cores], "tensor"))

    def permute(self, order: Sequence[int], tol: float = 1e-12) -> TT:
        """Mode k of the result is mode ``order[k]``; neighbours are swapped by SVDs, to `tol`."""
        return self._train(permuted(self.cores, order, tol))

    def reshape(self, shape: Sequence[int], tol: float = 1e-12) -> TT:
        """The same entries, in row-major order, in another shape; modes are merged and split.

        From and to quantised trains: ``t.reshape((2,) * 20)``.

        Raises
        ------
        ShapeError
            Another number of entries.
        """
        return self._train(reshaped(self.cores, checked_shape(shape), tol))


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Positive integers, at least one."""
    listed = tuple(int(n) for n in shape)
    if not listed or any(n < 1 for n in listed):
        raise ShapeError(f"shape: positive integers are expected, not {tuple(shape)}")
    return listed


def ones(shape: tuple[int, ...], x: Array) -> Array:
    return like(np.ones(shape), x)

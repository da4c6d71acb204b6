"""What formats do mode by mode: entries, parts, sums over modes, products of spaces.

In every format each mode is an axis of one array.  What is done to a mode is done to that axis
alone, so it is written once, here; a format says where its modes are (``_carriers``) and how arrays
that lost their mode are absorbed by the others (``_without``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import (
    Array,
    floating,
    is_complex,
    like,
    namespace,
    same_type,
    zeros,
)
from tensorcalculus.networks.formats import indexing, picture
from tensorcalculus.networks.formats.elementary import ones
from tensorcalculus.networks.formats.linear import Linear

Change = Callable[[Array, int], Array]
"""What is done to one axis of an array; the axis may go, the others stay."""


class Modes(Linear):
    """The part of a format that works on modes."""

    __slots__ = ()

    # What a format says

    def _carriers(self) -> list[tuple[int, int]]:
        """For each mode the number of the array that has it, and its axis: the last but one."""
        raise NotImplementedError

    def _without(self, cores: list[Array], gone: set[int]) -> Any:
        """The format of arrays of which some lost their modes; a number where none is left."""
        raise NotImplementedError

    def _entries(self, indices: Array) -> Array:
        """Entries at the rows of an integer array ``[batch, d]``."""
        raise NotImplementedError

    def _tensor(self, other: Any) -> Self:
        """The tensor product with a format of the same library and type."""
        raise NotImplementedError

    def to_dense(self) -> Array:
        """The array of all entries."""
        raise NotImplementedError

    def permute(self, order: Sequence[int]) -> Self:
        """Mode k of the result is mode ``order[k]``."""
        raise NotImplementedError

    def _plain(self, cores: Sequence[Array]) -> Self:
        """The format of new arrays, without fields that held for the old modes only."""
        return self._like(cores)

    def _told_ranks(self) -> str:
        """Ranks in words, for ``repr``."""
        raise NotImplementedError

    def _drawn(self) -> str:
        """The picture of ranks, for ``repr``."""
        raise NotImplementedError

    # What follows

    def _changed(self, changes: Mapping[int, Change], gone: Collection[int] = ()) -> Any:
        """Axes of some modes changed; those of the modes `gone` are lost on the way."""
        cores, carriers = list(self.cores), self._carriers()
        for k, change in changes.items():
            number, axis = carriers[k]
            cores[number] = change(cores[number], axis)
        if len({core.dtype for core in cores}) > 1:
            cores = same_type(cores, type(self).__name__)
        return self._without(cores, set(gone)) if gone else self._plain(cores)

    def at(self, indices: Any) -> Array:
        """Entries at the rows of an integer array ``[batch, d]``.

        Raises
        ------
        ShapeError, InputError
            Rows of another length, or an index outside of its mode.
        """
        return self._entries(indexing.points(indices, self.shape, self.cores[0]))

    def __getitem__(self, index: Any) -> Any:
        """The tensor of the modes that slices keep, or one entry where all indices are integers."""
        changes: dict[int, Change] = {}
        gone = []
        for k, item in enumerate(indexing.normal(index, self.shape)):
            if isinstance(item, int):
                gone.append(k)
            if item != slice(None):
                changes[k] = _part(item)
        return self._changed(changes, gone)

    def sum(self, axes: int | Sequence[int] | None = None) -> Any:
        """The sum over some modes, or all: a tensor of the others, or a number."""
        return self.integrate(dict.fromkeys(indexing.axes(axes, self.ndim)))

    def mean(self, axes: int | Sequence[int] | None = None) -> Any:
        """The mean over some modes, or all."""
        listed = indexing.axes(axes, self.ndim)
        shape = self.shape
        return self.integrate({k: ones((shape[k],), self.cores[0]) / shape[k] for k in listed})

    def marginal(self, keep: int | Sequence[int]) -> Any:
        """The sum over all modes but `keep`, which stay in their order."""
        kept = indexing.axes(keep, self.ndim)
        return self.sum([k for k in range(self.ndim) if k not in kept])

    def integrate(self, weights: Mapping[int, Any] | Sequence[Any]) -> Any:
        """Modes contracted with vectors of weights: a quadrature rule for each mode.

        Parameters
        ----------
        weights
            One vector for each mode, or a dict from some modes to theirs (None sums).  Lists and
            NumPy's arrays take the precision of the tensor.

        Raises
        ------
        ShapeError, InputError
            Vectors of other lengths, a mode that does not exist or stands twice.
        """
        d, shape = self.ndim, self.shape
        if not isinstance(weights, Mapping):
            if len(weights) != d:
                raise ShapeError(f"integrate: {d} vectors are expected, not {len(weights)}")
            weights = dict(enumerate(weights))
        changes: dict[int, Change] = {}
        for k, vector in zip(_modes(weights, d), weights.values(), strict=True):
            if vector is not None:
                if isinstance(vector, list | tuple | np.ndarray):
                    vector = _numbers(vector, self.cores[0])
                if tuple(vector.shape) != (shape[k],):
                    raise ShapeError(
                        f"integrate: the vector of mode {k} has shape {tuple(vector.shape)};"
                        f" ({shape[k]},) is expected"
                    )
            changes[k] = _weighted(vector)
        return self._changed(changes, changes)

    def kron(self, other: Self) -> Self:
        """The Kronecker product: entry ``[i1*m1 + j1, …]`` is ``self[i1, …]*other[j1, …]``."""
        a, b = self._common(other, "kron", shapes=False)
        if a.ndim != b.ndim:
            raise ShapeError(f"kron: {a.ndim} and {b.ndim} modes differ")
        # Each index of one against all of the other, and then the elementwise product.
        one = a._changed({k: _repeated(m) for k, m in enumerate(b.shape)})
        two = b._changed({k: _tiled(n) for k, n in enumerate(a.shape)})
        one._agree(two, "kron")
        return one._times(two)

    def tensor(self, other: Self) -> Self:
        """The tensor product: the modes of `other` behind those of this one."""
        a, b = self._common(other, "tensor", shapes=False)
        return a._tensor(b)

    @classmethod
    def concatenate(cls, parts: Sequence[Any], axis: int = 0) -> Self:
        """Tensors one behind the other along a mode; ranks add.

        Raises
        ------
        ShapeError
            Other modes than `axis` differ.
        InputError
            Another format.
        """
        if not parts:
            raise ShapeError("concatenate: at least one tensor is expected")
        first = parts[0]
        if not isinstance(first, cls):
            raise InputError(f"concatenate: a {cls.__name__} is expected, not {type(first)}")
        (axis,) = indexing.axes(axis, first.ndim)
        for part in parts:
            first._common(part, "concatenate", shapes=False)
            if part.ndim != first.ndim or any(
                n != m
                for k, (n, m) in enumerate(zip(part.shape, first.shape, strict=True))
                if k != axis
            ):
                raise ShapeError(
                    f"concatenate: shapes {first.shape} and {part.shape} differ not only in mode"
                    f" {axis}"
                )
        total, start, terms = sum(part.shape[axis] for part in parts), 0, []
        for part in parts:
            end = start + part.shape[axis]
            terms.append(part._changed({axis: _padded(start, total - end)}))
            start = end
        return reduce(add, terms)

    def __repr__(self) -> str:
        ranks = self._told_ranks()
        kind = str(self.dtype).removeprefix("torch.")
        entries = math.prod(self.shape)
        many = f"{entries:.3g}" if entries >= 10**7 else str(entries)
        head = f"{type(self).__name__} of shape {picture.shape(self.shape)}{ranks and ', '}{ranks}"
        drawn = self._drawn().replace("\n", "\n  ")
        return f"{head}: {self.size} of {many} numbers, {kind}\n  {drawn}"


def _modes(weights: Mapping[int, Any], d: int) -> list[int]:
    listed = [indexing.axes(k, d)[0] for k in weights]
    if len(set(listed)) < len(listed):
        raise InputError(f"integrate: each mode is expected once, not {tuple(weights)}")
    return listed


def _numbers(vector: Any, core: Array) -> Array:
    """A vector of the library and precision of a core; complex where it is."""
    held = floating(vector)
    if is_complex(held) and not is_complex(core):
        core = core.reshape(-1)[:1] * 1j
    return like(held, core)


def _part(item: int | slice) -> Change:
    def change(core: Array, axis: int) -> Array:
        if isinstance(item, slice) and (item.step or 1) < 0:
            # PyTorch has no negative steps.
            picked = np.arange(core.shape[axis])[item].copy()
            xp = namespace(core)
            return xp.take(core, xp.asarray(picked), axis=axis)
        return core[(slice(None),) * axis + (item,)]

    return change


def _weighted(vector: Array | None) -> Change:
    def change(core: Array, axis: int) -> Array:
        xp = namespace(core)
        if vector is None:
            return xp.sum(core, axis=axis)
        a, v = same_type([core, vector], "integrate")
        return v @ a  # sums over the last axis but one, as the mode is in every format

    return change


def _repeated(count: int) -> Change:
    """Each index `count` times before the next."""
    return lambda core, axis: namespace(core).repeat(core, count, axis=axis)


def _tiled(count: int) -> Change:
    """All indices again and again."""
    return lambda core, axis: namespace(core).concat([core] * count, axis=axis)


def _padded(before: int, behind: int) -> Change:
    """Zeros on both sides."""

    def change(core: Array, axis: int) -> Array:
        sides = [
            zeros((*core.shape[:axis], n, *core.shape[axis + 1 :]), core) for n in (before, behind)
        ]
        return namespace(core).concat([sides[0], core, sides[1]], axis=axis)

    return change

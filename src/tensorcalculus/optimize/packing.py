"""Several variables as one vector: their free entries, scaled so that inner products are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import sqrt

import numpy as np

from tensorcalculus.expr.node import Variable

Array = np.ndarray


class Layout:
    """The free entries of one variable.

    A symmetric tensor has one number for each class of equal entries, times the square root of
    their count: the inner product of two vectors is then that of the tensors, so gradients and
    Hessians need no other factor.  A diagonal or triangular matrix has its own entries only.
    """

    def __init__(self, variable: Variable, shape: tuple[int, ...]) -> None:
        self.name = variable.name
        self.shape = shape
        self.entries = int(np.prod(shape, dtype=int))
        properties = variable.properties
        self.plain = len(shape) < 2 or properties.isdisjoint({"sym", "diag", "tri"})
        self.take = self.place = np.arange(self.entries)
        self.weight = np.ones(self.entries)
        if not self.plain:
            self._structure(properties)
        self.size = len(self.take)

    def _structure(self, properties: frozenset[str]) -> None:
        index = np.indices(self.shape).reshape(len(self.shape), -1)
        free = np.ones(self.entries, bool)
        if "diag" in properties:
            free = (index == index[0]).all(axis=0)
        elif "tri" in properties:
            free = index[-1] <= index[-2]
        if "sym" in properties:
            index = np.sort(index, axis=0)
        first = np.ravel_multi_index(tuple(index), self.shape)
        self.take, counts = np.unique(first[free], return_counts=True)
        self.weight = np.sqrt(counts)
        # Entries that are fixed at 0 point behind the last free one.
        self.place = np.where(free, np.searchsorted(self.take, first), len(self.take))

    def unpack(self, x: Array) -> Array | np.floating:
        """The tensor that a stretch of the vector stands for; a view where that is possible."""
        if not self.shape:
            return x[0]
        if self.plain:
            return x.reshape(self.shape)
        return np.append(x / self.weight, 0.0)[self.place].reshape(self.shape)

    def pack(self, tensor: Array) -> Array:
        """The stretch of the vector for a tensor within the space of the variable."""
        flat = np.asarray(tensor, dtype=np.float64).reshape(-1)
        return flat if self.plain else flat[self.take] * self.weight

    def pack_matrix(self, block: Array, other: Layout) -> Array:
        """A block of a Hessian, axes of this variable first, as a matrix."""
        flat = np.asarray(block, dtype=np.float64).reshape(self.entries, other.entries)
        if not self.plain:
            flat = flat[self.take] * self.weight[:, None]
        return flat if other.plain else flat[:, other.take] * other.weight


class Packing:
    """All variables that are optimised, one after the other in a vector."""

    def __init__(self, variables: Sequence[Variable], shapes: Mapping[str, tuple[int, ...]]):
        self.variables = list(variables)
        self.layouts = [Layout(v, shapes[v.name]) for v in variables]
        ends = np.cumsum([0, *(layout.size for layout in self.layouts)])
        self.slices = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        self.size = int(ends[-1])

    def unpack(self, x: Array) -> list[Array | np.floating]:
        """The tensors in the order of the variables; they share memory with ``x``."""
        return [
            layout.unpack(x[part]) for layout, part in zip(self.layouts, self.slices, strict=True)
        ]

    def pack(self, tensors: Sequence[Array]) -> Array:
        """A new vector of the tensors' free entries."""
        x = np.empty(self.size)
        for layout, part, tensor in zip(self.layouts, self.slices, tensors, strict=True):
            x[part] = layout.pack(tensor)
        return x

    def pack_matrix(self, blocks: Mapping[tuple[int, int], Array]) -> Array:
        """The symmetric matrix of which the blocks on and above the diagonal are given."""
        H = np.empty((self.size, self.size))
        for (a, b), block in blocks.items():
            part = self.layouts[a].pack_matrix(block, self.layouts[b])
            H[self.slices[a], self.slices[b]] = part
            if a != b:
                H[self.slices[b], self.slices[a]] = part.T
        return H

    def named(self, x: Array) -> dict[str, Array]:
        """Arrays of their own by name."""
        return {
            layout.name: np.array(tensor)
            for layout, tensor in zip(self.layouts, self.unpack(x), strict=True)
        }

    def bound(self, name: str, value: Array) -> Array:
        """Bounds on the entries of a variable as bounds on its stretch of the vector."""
        layout = next(one for one in self.layouts if one.name == name)
        flat = np.broadcast_to(value, layout.shape).reshape(-1)
        return flat if layout.plain else flat[layout.take] * layout.weight

    def where(self, place: int) -> str:
        """The name of an entry of the vector, ``U[0, 2]``."""
        for layout, part in zip(self.layouts, self.slices, strict=True):
            if part.start <= place < part.stop:
                index = np.unravel_index(int(layout.take[place - part.start]), layout.shape)
                return layout.name + (f"[{', '.join(str(i) for i in index)}]" if index else "")
        raise IndexError(place)


def scale_of(shape: tuple[int, ...]) -> float:
    """The size of random start values: rows of a matrix have norm near 1."""
    return 1.0 / sqrt(max(shape[-1], 1)) if len(shape) > 1 else 0.1

"""Operators that formats share: each says how to add, scale and multiply elementwise."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Self

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import Array, floating, is_array, namespace, same_type
from tensorcalculus.networks.formats.base import Format


class Linear(Format):
    """A tensor whose sums and products are of the same format."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of modes."""
        return len(self.shape)

    def _plus(self, other: Any) -> Self:
        raise NotImplementedError

    def _times(self, other: Any) -> Self:
        raise NotImplementedError

    def _scaled(self, c: Any) -> Self:
        """The first array multiplied: in all formats the tensor is linear in it."""
        first, *rest = self.cores
        return self._made(same_type([first * c, *rest], "*"), *self._fields())

    def dot(self, other: Any) -> Array:
        """``sum(conj(self)*other)``."""
        raise NotImplementedError

    def _common(self, other: Any, name: str) -> tuple[Self, Self]:
        """Both of one type; shapes must agree."""
        if self.shape != other.shape:
            raise ShapeError(f"{name}: shapes {self.shape} and {other.shape} differ")
        both = same_type([*self.cores, *other.cores], name)
        count = len(self.cores)
        return (
            self._made(both[:count], *self._fields()),
            other._made(both[count:], *other._fields()),
        )

    def __add__(self, other: Any) -> Any:
        """The sum: ranks add."""
        if not isinstance(other, type(self)):
            return NotImplemented
        a, b = self._common(other, "+")
        return a._plus(b)

    def __neg__(self) -> Self:
        return self._scaled(-1)

    def __sub__(self, other: Any) -> Any:
        return self + -other if isinstance(other, type(self)) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        """By a number, or elementwise: ranks multiply."""
        if isinstance(other, type(self)):
            a, b = self._common(other, "*")
            return a._times(b)
        if isinstance(other, numbers.Number) or (is_array(other) and other.ndim == 0):
            return self._scaled(other)
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return (
            self._scaled(1 / other) if isinstance(other, int | float | complex) else NotImplemented
        )

    def norm(self) -> Array:
        """The Frobenius norm, ``sqrt(dot(self, self))``: half of the digits where terms cancel."""
        value = self.dot(self)
        xp = namespace(value) if is_array(value) else namespace(self.cores[0])
        return xp.sqrt(abs(xp.real(value) if xp.isdtype(self.dtype, "complex floating") else value))


def dense_input(a: Any, least: int = 1, name: str = "from_dense") -> Array:
    """An array to decompose, checked.

    Raises
    ------
    ShapeError, InputError
        Too few axes, one of length 0, or entries that are not finite.
    """
    a = floating(a)
    if a.ndim < least or 0 in a.shape:
        raise ShapeError(
            f"{name}: at least {least} axes, none of length 0, are expected, not shape"
            f" {tuple(a.shape)}"
        )
    if not bool(namespace(a).all(namespace(a).isfinite(a))):
        raise InputError(f"{name}: the array must be finite; it holds NaN or inf")
    return a


def unfolded(a: Array, modes: Sequence[int]) -> Array:
    """The matrix whose rows are numbered by some modes, its columns by the others."""
    rest = [k for k in range(a.ndim) if k not in modes]
    rows = 1
    for k in modes:
        rows *= a.shape[k]
    return namespace(a).permute_dims(a, [*modes, *rest]).reshape(rows, -1)


def mode_product(a: Array, m: Array, k: int) -> Array:
    """Mode k multiplied by a matrix ``[new, n_k]``."""
    xp = namespace(a)
    order = [k, *(j for j in range(a.ndim) if j != k)]
    moved = xp.permute_dims(a, order)
    made = (m @ moved.reshape(moved.shape[0], -1)).reshape(m.shape[0], *moved.shape[1:])
    return xp.permute_dims(made, [order.index(j) for j in range(a.ndim)])


def block_diagonal(a: Array, b: Array, joined: Sequence[int] = ()) -> Array:
    """Two arrays along the diagonal of all axes but `joined`, which they have in common."""
    xp = namespace(a)
    axes = [k for k in range(a.ndim) if k not in joined]
    sides = tuple(a.shape), tuple(b.shape)
    device = {"device": a.device} if hasattr(a, "detach") else {}
    parts = []
    for x, other, first in ((a, sides[1], True), (b, sides[0], False)):
        for k in axes[1:]:
            shape = (*x.shape[:k], other[k], *x.shape[k + 1 :])
            zeros = xp.zeros(shape, dtype=x.dtype, **device)
            x = xp.concat([x, zeros] if first else [zeros, x], axis=k)
        parts.append(x)
    return xp.concat(parts, axis=axes[0])

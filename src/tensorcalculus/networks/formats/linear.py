"""Operators that formats share: each says how to add and multiply elementwise."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Self

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import (
    Array,
    floating,
    is_abstract,
    is_array,
    namespace,
    same_type,
    zeros,
)
from tensorcalculus.networks.formats.elementary import Elementary


class Linear(Elementary):
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

    # What a format says; the other one is of the same shape, library and type.

    def _plus(self, other: Any) -> Self:
        raise NotImplementedError

    def _times(self, other: Any) -> Self:
        raise NotImplementedError

    def _dot(self, other: Any) -> Array:
        raise NotImplementedError

    def _is_partner(self, other: object) -> bool:
        """Whether `other` is of the same format."""
        return isinstance(other, type(self))

    def _agree(self, other: Any, name: str) -> None:
        """Raise an error where what is held besides cores differs."""

    def _common(self, other: Any, name: str, shapes: bool = True) -> tuple[Self, Self]:
        """Both of one library and type; shapes must agree, if asked for."""
        if not self._is_partner(other):
            kind = type(self).__name__
            raise InputError(f"{name}: a {kind} is expected, not {type(other).__name__}")
        if shapes:
            if self.shape != other.shape:
                raise ShapeError(f"{name}: shapes {self.shape} and {other.shape} differ")
            self._agree(other, name)
        if self.dtype == other.dtype and type(self.cores[0]) is type(other.cores[0]):
            return self, other
        both = same_type([*self.cores, *other.cores], name)
        count = len(self.cores)
        return self._like(both[:count]), other._like(both[count:])

    # What all have

    def __add__(self, other: Any) -> Any:
        """The sum: ranks add.  A number is added to all entries."""
        if isinstance(other, numbers.Number):
            other = self._constant(other)
        if not self._is_partner(other):
            return NotImplemented
        a, b = self._common(other, "+")
        return a._plus(b)

    __radd__ = __add__

    def _constant(self, value: Any) -> Any:
        """A number in the place of all entries."""
        return self.constant(self.shape, value, self.cores[0])

    def __neg__(self) -> Self:
        return self * -1

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Any) -> Any:
        if self._is_partner(other) or isinstance(other, numbers.Number):
            return self + -1 * other  # type: ignore[operator]
        return NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        """By a number, or elementwise: ranks multiply."""
        if self._is_partner(other):
            a, b = self._common(other, "*")
            return a._times(b)
        if is_number(other):
            first, *rest = self.cores
            # In all formats the tensor is linear in the first array.
            return self._like(same_type([first * other, *rest], "*"))
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if is_number(other):
            first, *rest = self.cores
            return self._like(same_type([first / other, *rest], "/"))
        return NotImplemented

    def dot(self, other: Any) -> Array:
        """``sum(conj(self)*other)``, without forming either.

        Raises
        ------
        ShapeError, InputError
            Another shape or another format.
        """
        a, b = self._common(other, "dot")
        return a._dot(b)

    def norm(self) -> Array:
        """The Frobenius norm, exact to rounding also for small differences of large terms."""
        raise NotImplementedError


def is_number(x: object) -> bool:
    """A number, or an array without axes."""
    return isinstance(x, numbers.Number) or (is_array(x) and x.ndim == 0)  # type: ignore[attr-defined]


def dense_input(a: Any, least: int = 1, name: str = "from_dense", advice: str = "") -> Array:
    """An array to decompose, checked; `advice` is what to do about NaN.

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
    if not is_abstract(a) and not bool(namespace(a).all(namespace(a).isfinite(a))):
        raise InputError(f"{name}: the array must be finite; it holds NaN or inf{advice}")
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
    parts = []
    for x, other, first in ((a, sides[1], True), (b, sides[0], False)):
        for k in axes[1:]:
            shape = (*x.shape[:k], other[k], *x.shape[k + 1 :])
            none = zeros(shape, x)
            x = xp.concat([x, none] if first else [none, x], axis=k)
        parts.append(x)
    return xp.concat(parts, axis=axes[0])

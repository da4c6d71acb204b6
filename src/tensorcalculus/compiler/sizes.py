"""Binding arrays to variables: shapes checked, symbolic dimensions solved."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np

from tensorcalculus.compiler.targets import TARGETS, Target
from tensorcalculus.errors import InputError, nearest
from tensorcalculus.expr.dims import MAX_DIM, Dim, show_shape
from tensorcalculus.expr.node import Variable


def bind_arrays(
    variables: Mapping[str, Variable],
    values: Mapping[str, Any],
    target: Target = TARGETS["numpy"],
    given: Mapping[str, int] | None = None,
) -> tuple[list[Any], dict[str, int]]:
    """Arrays in the order of ``variables`` and the sizes of all symbols; some may be given.

    Raises
    ------
    InputError
        For a missing or unknown name, a wrong order, a shape that does not fit, entries that are
        not numbers.
    """
    for name in values:
        if name not in variables:
            have = ", ".join(variables) or "none"
            raise InputError(
                f"{name!r} is not a variable of this expression (its variables: {have})."
                + nearest(name, variables)
            )
    missing = [name for name in variables if name not in values]
    if missing:
        shapes = ", ".join(f"{n} {show_shape(variables[n].shape)}" for n in missing)
        raise InputError(f"no value is given for {shapes}")
    arrays = [as_array(name, values[name], variables[name], target) for name in variables]
    arrays = target.together({name: values[name] for name in variables}, arrays)
    shapes = {n: tuple(a.shape) for n, a in zip(variables, arrays, strict=True)}
    sizes, open_axes = _solved(variables, shapes, given or {})
    for axis in open_axes:
        unknown = [s for s in axis.dim.symbols() if s not in sizes]
        what = (
            f"the size {unknown[0]} does not"
            if len(unknown) == 1
            else (f"the sizes {' and '.join(unknown)} do not")
        )
        raise InputError(
            f"{axis.place()}, from which {what} follow; declare a variable with an axis of length "
            f"{unknown[0]}, or a number in its place"
        )
    return arrays, sizes


def as_array(name: str, value: Any, variable: Variable, target: Target = TARGETS["numpy"]) -> Any:
    """A float or complex array of the order of the variable."""
    array = target.array(name, value)
    if array.ndim != variable.ndim:
        raise InputError(
            f"{name} has shape {tuple(array.shape)}; expected {show_shape(variable.shape)}"
            + _shape_hint(array, variable)
        )
    return array


def _shape_hint(array: Any, variable: Variable) -> str:
    if array.ndim == 2 and variable.ndim == 1 and 1 in array.shape:
        return f"; a vector has one axis: {variable.name}.ravel()"
    return ""


def size_given(symbol: str, value: Any) -> int:
    """A size given as a number; InputError for what is not a size."""
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or value < 0:
        raise InputError(f"the size {symbol} is a non-negative integer, not {value!r}")
    if value > MAX_DIM:
        raise InputError(
            f"the size {symbol} = {value} is beyond the largest size accepted ({MAX_DIM})"
        )
    return value.__index__()


class _Axis(NamedTuple):
    """An axis of an array whose declared length is not one bare symbol."""

    name: str
    shape: tuple[int, ...]
    index: int
    dim: Dim

    def place(self) -> str:
        return f"{self.name} has shape {self.shape}; axis {self.index} is expected to be {self.dim}"


def solve_sizes(
    variables: Mapping[str, Variable],
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Sizes of the symbols: those given, and what the shapes of the arrays tell.

    Raises
    ------
    InputError
        Where two axes disagree, or one with a size given, or no size makes an axis as long as it
        is.
    """
    return _solved(variables, shapes, given or {})[0]


def _solved(
    variables: Mapping[str, Variable],
    shapes: Mapping[str, tuple[int, ...]],
    given: Mapping[str, int],
) -> tuple[dict[str, int], list[_Axis]]:
    """The sizes found, and the axes that hold others."""
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    later: list[_Axis] = []
    for name, variable in variables.items():
        for axis, (d, length) in enumerate(zip(variable.shape, shapes[name], strict=True)):
            symbol = d.symbol
            if symbol is None:
                later.append(_Axis(name, shapes[name], axis, d))
            elif sizes.setdefault(symbol, length) != length:
                raise InputError(
                    f"{name} has shape {shapes[name]}; expected {show_shape(variable.shape)} with "
                    f"{symbol} = {sizes[symbol]} as in {origin[symbol]}"
                )
            else:
                origin.setdefault(symbol, name)
    for symbol, size in given.items():
        if sizes.setdefault(symbol, size) != size:
            raise InputError(
                f"the size {symbol} is given as {size}; the arrays say {sizes[symbol]}"
            )
    # Each round may tell a size that another axis waits for.
    for _ in range(len(later) + 1):
        open_axes = []
        for axis in later:
            d, length = axis.dim, axis.shape[axis.index]
            unknown = [s for s in d.symbols() if s not in sizes]
            if not unknown:
                expected = d.evaluate(sizes)
                if expected != length:
                    computed = "" if d.value is not None else f" = {expected}"
                    raise InputError(f"{axis.place()}{computed}")
            elif len(unknown) == 1 and (found := _solve(axis, unknown[0], sizes)) is not None:
                sizes[unknown[0]] = found
            else:
                open_axes.append(axis)
        later = open_axes
    return sizes, later


def _solve(axis: _Axis, symbol: str, sizes: Mapping[str, int]) -> int | None:
    """The size of one symbol that makes an axis come out right; None where several do.

    Raises InputError where none does.
    """
    coefficients = _polynomial(axis.dim, symbol, sizes)
    if coefficients is None:
        return None
    length = axis.shape[axis.index]
    coefficients[-1] -= length
    if not any(coefficients):
        return None
    # Roots in floating point tell where to look, integers decide.
    near = [float(r.real) for r in np.roots(np.array(coefficients, dtype=float))]
    candidates = {max(0, n) for r in near for n in range(floor(r) - 1, ceil(r) + 2)}
    lengths = {n: axis.dim.evaluate({**sizes, symbol: n}) for n in sorted(candidates)}
    fitting = [n for n, reached in lengths.items() if reached == length]
    if fitting:
        return fitting[0] if len(fitting) == 1 else None
    known = [f"{s} = {sizes[s]}" for s in axis.dim.symbols() if s != symbol]
    message = f"{axis.place()}{' with ' if known else ''}{', '.join(known)}"
    message += f", and no size {symbol} makes it {length}"
    below = [n for n, reached in lengths.items() if 0 <= reached < length][-1:]
    above = [n for n, reached in lengths.items() if reached > length][:1]
    told = " or ".join(f"{lengths[n]} ({symbol} = {n})" for n in below + above)
    raise InputError(message + (f"; it may be {told}" if told else ""))


def _polynomial(d: Dim, symbol: str, sizes: Mapping[str, int]) -> list[int] | None:
    """Coefficients of a dimension by powers of a symbol, the highest first; None where the symbol
    stands within a minimum."""
    by_power: dict[int, int] = {}
    for atoms, c in d.terms:
        power = 0
        for atom in atoms:
            if atom == symbol:
                power += 1
            elif isinstance(atom, str):
                c *= sizes[atom]
            elif symbol in atom[1].symbols() + atom[2].symbols():
                return None
            else:
                c *= min(atom[1].evaluate(sizes), atom[2].evaluate(sizes))
        by_power[power] = by_power.get(power, 0) + c
    return [by_power.get(k, 0) for k in range(max(by_power), -1, -1)]

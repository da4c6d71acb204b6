"""Binding arrays to variables: shapes checked, symbolic dimensions solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorcalculus.compiler.targets import TARGETS, Target
from tensorcalculus.errors import InputError, nearest
from tensorcalculus.expr.dims import Dim, show_shape
from tensorcalculus.expr.node import Variable


def bind_arrays(
    variables: Mapping[str, Variable],
    values: Mapping[str, Any],
    target: Target = TARGETS["numpy"],
) -> tuple[list[Any], dict[str, int]]:
    """Arrays in the order of ``variables`` and the sizes of all symbols.

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
    return arrays, solve_sizes(
        variables, {n: tuple(a.shape) for n, a in zip(variables, arrays, strict=True)}
    )


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


def solve_sizes(
    variables: Mapping[str, Variable], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, int]:
    """Sizes of the symbols from the shapes of the arrays."""
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    later: list[tuple[str, int, Dim, int]] = []
    for name, variable in variables.items():
        for axis, (d, length) in enumerate(zip(variable.shape, shapes[name], strict=True)):
            symbol = d.symbol
            if symbol is None:
                later.append((name, axis, d, length))
            elif sizes.setdefault(symbol, length) != length:
                raise InputError(
                    f"{name} has shape {shapes[name]}; expected {show_shape(variable.shape)} with "
                    f"{symbol} = {sizes[symbol]} as in {origin[symbol]}"
                )
            else:
                origin.setdefault(symbol, name)
    for _ in range(len(later) + 1):
        open_left = []
        for name, axis, d, length in later:
            unknown = [s for s in d.symbols() if s not in sizes]
            if not unknown:
                expected = d.evaluate(sizes)
                if expected != length:
                    given = "" if d.value is not None else f" = {expected}"
                    raise InputError(
                        f"{name} has shape {shapes[name]}; axis {axis} is expected to be {d}{given}"
                    )
            elif len(unknown) == 1 and (found := _solve(d, unknown[0], sizes, length)) is not None:
                sizes[unknown[0]] = found
                origin[unknown[0]] = name
            else:
                open_left.append((name, axis, d, length))
        later = open_left
    return sizes


def _solve(d: Dim, symbol: str, sizes: Mapping[str, int], length: int) -> int | None:
    """The size of one symbol that makes a dimension, linear in it, come out right."""
    at_0, at_1 = d.evaluate({**sizes, symbol: 0}), d.evaluate({**sizes, symbol: 1})
    if at_1 == at_0 or (length - at_0) % (at_1 - at_0):
        return None
    return (length - at_0) // (at_1 - at_0)

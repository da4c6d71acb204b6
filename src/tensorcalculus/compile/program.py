"""Compiled expressions: source generated for the sizes at hand, called with arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensorcalculus.compile import divided_differences, factors, kernels, spectral_kernels
from tensorcalculus.compile.numpy_source import Emitter
from tensorcalculus.compile.sizes import bind_arrays
from tensorcalculus.compile.stable import stabilize
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr, Operation, Variable, variables_of, walk
from tensorcalculus.simplify.engine import simplify

TYPICAL_SIZE = 100
"""Size assumed for a symbol when source is shown before any array is given."""


class Program:
    """One or several expressions as one NumPy function; call it with arrays by name."""

    def __init__(
        self,
        roots: list[Expr],
        variables: Mapping[str, Variable] | None = None,
        *,
        simplified: bool = True,
    ) -> None:
        self.variables = dict(variables if variables is not None else variables_of(*roots))
        # Checks evaluate the formula as it was written, to test the simplification as well.
        self.roots = stabilize([simplify(root) for root in roots]) if simplified else roots
        symbols: dict[str, None] = {}
        for variable in self.variables.values():
            for d in variable.shape:
                symbols.update(dict.fromkeys(d.symbols()))
        # Symbols that stand on no variable, as in ones(n): sizes for them are given by name.
        free: dict[str, None] = {}
        for node in walk(*self.roots):
            dims = [*node.shape, *_dims_in(node)]
            free.update(dict.fromkeys(s for d in dims for s in d.symbols() if s not in symbols))
        self.free_symbols = list(free)
        self.symbols = [*symbols, *free]
        self._compiled: dict[tuple, tuple[str, Callable]] = {}

    def source(self, sizes: Mapping[str, int] | None = None) -> str:
        """The generated source, for typical sizes where none are given."""
        return self._for(dict.fromkeys(self.symbols, TYPICAL_SIZE) | dict(sizes or {}))[0]

    def __call__(self, values: Mapping[str, Any]) -> list[Any]:
        values = dict(values)
        given = {s: self._size(s, values) for s in self.free_symbols if s not in self.variables}
        for s in given:
            values.pop(s)
        arrays, sizes = bind_arrays(self.variables, values)
        sizes.update(given)
        unknown = [s for s in self.symbols if s not in sizes]
        if unknown:
            raise InputError(
                f"the size {unknown[0]} does not follow from the shapes of the arrays given"
            )
        _, function = self._for(sizes)
        try:
            result = function(*arrays, *(sizes[s] for s in self.symbols))
        except np.linalg.LinAlgError as error:
            raise InputError(f"the expression cannot be evaluated here: {error}") from None
        except MemoryError as error:
            raise InputError(f"a result does not fit into memory: {error}") from None
        return list(result) if len(self.roots) > 1 else [result]

    def _size(self, symbol: str, values: Mapping[str, Any]) -> int:
        if symbol not in values:
            raise InputError(f"no value is given for the size {symbol}, an integer")
        value = values[symbol]
        if not hasattr(value, "__index__") or value < 0:
            raise InputError(f"the size {symbol} is a non-negative integer, not {value!r}")
        return value.__index__()

    def _for(self, sizes: Mapping[str, int]) -> tuple[str, Callable]:
        # Contraction orders depend on sizes only roughly: one program a power of four.
        key = tuple(int(sizes[s]).bit_length() // 2 for s in self.symbols)
        found = self._compiled.get(key)
        if found is None:
            text = Emitter(self.roots, self.variables, self.symbols, sizes).source()
            found = self._compiled[key] = (text, _load(text))
        return found


def _dims_in(node: Expr) -> list:
    from tensorcalculus.expr.dims import Dim
    from tensorcalculus.expr.node import Contraction, Size

    if isinstance(node, Size):
        return [node.dim]
    if isinstance(node, Contraction):
        return list(node.dims)
    if isinstance(node, Operation):
        return [p for p in node.params if isinstance(p, Dim)]
    return []


def _load(text: str) -> Callable:
    """Turn generated source into a function; the text holds identifiers of our making only."""
    namespace: dict[str, Any] = {
        "np": np,
        "factors": factors,
        "kernels": kernels,
        "spectral_kernels": spectral_kernels,
        "divided_difference": divided_differences.divided_difference,
    }
    exec(compile(text, "<tensorcalculus>", "exec"), namespace)
    return namespace["evaluate"]

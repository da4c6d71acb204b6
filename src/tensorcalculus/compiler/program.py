"""Compiled expressions: source generated for the sizes at hand, called with arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from tensorcalculus.compiler import divided_differences, factors, kernels, spectral_kernels
from tensorcalculus.compiler.numpy_source import Emitter
from tensorcalculus.compiler.sizes import bind_arrays, solve_sizes
from tensorcalculus.compiler.stable import stabilize
from tensorcalculus.errors import InputError
from tensorcalculus.expr.context import remembered
from tensorcalculus.expr.node import Expr, Operation, Variable, variables_of, walk
from tensorcalculus.expr.operations.matrix_functions import write_out
from tensorcalculus.simplify.engine import simplify, written_out

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
        self._sources = list(roots)
        self.variables = dict(variables if variables is not None else variables_of(*roots))
        for name in self.variables:
            # Names stand in a comment of the source: none may end it.
            if not name.isidentifier():
                raise InputError(f"{name!r} is not a name; the expression cannot be evaluated")
        # Checks evaluate the formula as it was written, to test the simplification as well.
        if simplified:
            self.roots = stabilize([written_out(simplify(root)) for root in roots])
        else:
            self.roots = [write_out(root) for root in roots]
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

    @property
    def context(self) -> dict[str, tuple[Variable, ...]]:
        """Variables that the expressions came from; read anew, as shared nodes learn of more."""
        known: dict[str, tuple[Variable, ...]] = {}
        for root in self._sources:
            known.update(remembered(root))
        return known

    def source(self, sizes: Mapping[str, int] | None = None) -> str:
        """The generated source, for typical sizes where none are given."""
        return self._for(dict.fromkeys(self.symbols, TYPICAL_SIZE) | dict(sizes or {}))[0]

    def __call__(self, values: Mapping[str, Any]) -> list[Any]:
        if self.free_symbols or values.keys() != self.variables.keys():
            return self._with_context(values)
        arrays, sizes = bind_arrays(self.variables, values)
        return self._run(arrays, sizes)

    def _with_context(self, values: Mapping[str, Any]) -> list[Any]:
        """Evaluate where some arrays are given only for the sizes that they tell."""
        values = dict(values)
        context = self.context
        gone = {
            name: self._fitting(context[name], values)
            for name in values
            if name in context and name not in self.variables
        }
        told = {s for v in (*gone.values(), *self.variables.values()) for s in _symbols(v)}
        given = {s: self._size(s, values) for s in self.free_symbols if s not in told}
        for s in given:
            values.pop(s)
        arrays, sizes = bind_arrays({**self.variables, **gone}, values)
        arrays = arrays[: len(self.variables)]
        sizes.update(given)
        return self._run(arrays, sizes)

    def _run(self, arrays: list[np.ndarray], sizes: dict[str, int]) -> list[Any]:
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
        except ZeroDivisionError:
            raise InputError("the expression divides by a size that is 0") from None
        except MemoryError as error:
            raise InputError(f"a result does not fit into memory: {error}") from None
        except ValueError as error:
            if "too big" in str(error) or "Maximum allowed" in str(error):
                raise InputError(f"a result is larger than an array can be: {error}") from None
            raise InputError(f"the shapes of the arrays do not fit together: {error}") from None
        results = list(result) if len(self.roots) > 1 else [result]
        return [_own(r, arrays) for r in results]

    def _fitting(self, known: tuple[Variable, ...], values: Mapping[str, Any]) -> Variable:
        """A variable that cancelled from the expression: its array still tells sizes.

        The same expression may come from variables of one name and several shapes: one that
        tells a missing size is preferred, then one that agrees with the arrays given.
        """
        name = known[0].name
        there = {n: v for n, v in self.variables.items() if n in values}
        shapes = {n: np.shape(values[n]) for n in (*there, name)}
        fitting = [v for v in known if v.ndim == len(shapes[name])] or list(known)
        wanted = [v for v in fitting if set(_symbols(v)) & set(self.free_symbols)]
        for variable in wanted or fitting:
            with suppress(InputError, ValueError):
                solve_sizes({**there, name: variable}, shapes)
                return variable
        return (wanted or fitting)[0]

    def _size(self, symbol: str, values: Mapping[str, Any]) -> int:
        if symbol not in values:
            hint = [n for n, v in self.context.items() if any(symbol in _symbols(u) for u in v)]
            arrays = f", or for an array that has it ({', '.join(hint)})" if hint else ""
            raise InputError(f"no value is given for the size {symbol}, an integer{arrays}")
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


def _symbols(variable: Variable) -> list[str]:
    return [s for d in variable.shape for s in d.symbols()]


def _own(result: Any, arrays: list[np.ndarray]) -> Any:
    """A result that does not share memory with an argument, as that of ``X'`` would."""
    if isinstance(result, np.ndarray):
        view = result.base is not None or any(result is a for a in arrays)
        if view and any(np.may_share_memory(result, a) for a in arrays):
            return result.copy()
        if not result.flags.writeable:
            return result.copy()
    return result


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
        "signed_difference": divided_differences.signed_difference,
    }
    exec(compile(text, "<tensorcalculus>", "exec"), namespace)
    return namespace["evaluate"]

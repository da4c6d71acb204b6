"""Compiled expressions: source generated for the sizes at hand, called with arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from tensorcalculus.compiler.cost import Cost
from tensorcalculus.compiler.dispatch import EXPLAINED, Dispatcher, explained
from tensorcalculus.compiler.factoring import written
from tensorcalculus.compiler.sizes import bind_arrays, size_given, solve_sizes
from tensorcalculus.compiler.stable import stabilize
from tensorcalculus.compiler.store import Store
from tensorcalculus.compiler.targets import TARGETS, Target
from tensorcalculus.errors import InputError
from tensorcalculus.expr.context import remembered
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import Expr, Variable, dims_of, variables_of, walk
from tensorcalculus.expr.operations.matrix_functions import write_out
from tensorcalculus.simplify.engine import simplify, written_out

TYPICAL_SIZE = 100
"""Size assumed for a symbol when source is shown before any array is given."""
WIDER = 16
"""Sets of names, beyond its own variables, for which a program remembers what was checked."""


class Loaded(NamedTuple):
    """Source and the function that it defines."""

    source: str
    function: Callable


class Program:
    """One or several expressions as one function; call it with arrays by name."""

    def __init__(
        self,
        roots: list[Expr],
        variables: Mapping[str, Variable] | None = None,
        *,
        simplified: bool = True,
        target: Target = TARGETS["numpy"],
        differentiation: str = "closed",
        reuse: bool = False,
    ) -> None:
        self.target = target
        self.store = Store() if reuse else None
        """Large arrays that lie where those of earlier calls did, where that is asked for."""
        self.differentiation = differentiation
        """How the framework of the target differentiates: by "closed" forms, or as "host"."""
        self.sources = list(roots)
        self.variables = dict(variables if variables is not None else variables_of(*roots))
        for name in self.variables:
            # Names stand in a comment of the source: none may end it.
            if not name.isidentifier():
                raise InputError(f"{name!r} is not a name; the expression cannot be evaluated")
        _check_declared_once(roots)
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
            told = (s for d in dims_of(node) for s in d.symbols())
            free.update(dict.fromkeys(s for s in told if s not in symbols))
        self.free_symbols = list(free)
        self.symbols = [*symbols, *free]
        self._compiled: dict[tuple, Loaded] = {}
        self.last: tuple | None = None
        """The function of the last call and its sizes, in the order of ``symbols``."""
        self.direct = Dispatcher(self, list(self.variables), self.otherwise)
        self._wider: dict[tuple[str, ...], Dispatcher] = {}
        """For calls with arrays of variables that cancelled."""

    @property
    def context(self) -> dict[str, tuple[Variable, ...]]:
        """Variables that the expressions came from; read anew, as shared nodes learn of more."""
        known: dict[str, tuple[Variable, ...]] = {}
        for root in self.sources:
            known.update(remembered(root))
        return known

    def source(self, sizes: Mapping[str, int] | None = None) -> str:
        """The generated source, for typical sizes where none are given."""
        return self._for(self._with_typical(sizes)).source

    def cost(self, sizes: Mapping[str, int] | None = None) -> Cost:
        """What a call costs at these sizes, typical ones where none are given."""
        wanted = self._with_typical(sizes)
        return self._written(wanted)[1]

    def _written(self, sizes: Mapping[str, int]) -> tuple[str, Cost]:
        reuse = self.store is not None
        return written(self.roots, self.variables, self.symbols, sizes, self.target, reuse)

    def at(self, sizes: Mapping[str, int]) -> Callable:
        """The function of arrays, in the order of ``variables``, for known sizes; nothing is
        checked, and a tuple comes back also where there is one result.
        """
        function, lengths = self._for(sizes).function, [sizes[s] for s in self.symbols]
        if len(self.roots) > 1:
            return lambda *arrays: function(*arrays, *lengths)
        return lambda *arrays: (function(*arrays, *lengths),)

    def _with_typical(self, sizes: Mapping[str, int] | None) -> dict[str, int]:
        return dict.fromkeys(self.symbols, TYPICAL_SIZE) | dict(sizes or {})

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value of the one expression, or a tuple of all."""
        return self.direct.call(values)

    def entry(self, values: Mapping[str, Any]) -> tuple | None:
        """The function, with sizes, that a call with arrays like these goes straight to, if any."""
        direct = self._wider.get((*values,), self.direct)
        return direct.entry(values) if values.keys() == direct.names else None

    def otherwise(self, values: Mapping[str, Any]) -> Any:
        """A call with other names than those of the variables, or arrays not seen yet."""
        wider = self._wider.get((*values,))
        return self.checked(values) if wider is None else wider.call(values)

    def checked(self, values: Mapping[str, Any]) -> Any:
        """A call in which everything is checked."""
        if self.free_symbols or values.keys() != self.variables.keys():
            return self._with_context(values)
        arrays, sizes = bind_arrays(self.variables, values, self.target)
        return self._run(arrays, sizes, dict(zip(self.variables, arrays, strict=True)))

    def results(self, values: Mapping[str, Any]) -> tuple:
        """All values, also where there is one."""
        result = self(values)
        return result if len(self.roots) > 1 else (result,)

    def _with_context(self, values: Mapping[str, Any]) -> Any:
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
        arrays, sizes = bind_arrays({**self.variables, **gone}, values, self.target)
        sizes.update(given)
        # Where nothing is left of the arrays given, they still tell the type of the result.
        own = len(self.variables) or (1 if self.target.functional else 0)
        named = None
        if not given and own == len(self.variables):
            bound = dict(zip((*self.variables, *gone), arrays, strict=True))
            named = {name: bound[name] for name in values}
        return self._run(arrays[:own], sizes, named)

    def _run(
        self, arrays: list[Any], sizes: dict[str, int], named: dict[str, Any] | None = None
    ) -> Any:
        unknown = [s for s in self.symbols if s not in sizes]
        if unknown:
            raise InputError(
                f"the size {unknown[0]} does not follow from the shapes of the arrays given"
            )
        if self.target.functional and not arrays:
            arrays = self.target.together({"": 0.0}, [self.target.array("", 0.0)])
        function = self._for(sizes).function
        lengths = [sizes[s] for s in self.symbols]
        entry = self.last = (function, *lengths)
        try:
            result = function(*arrays, *lengths)
        except EXPLAINED as error:
            raise explained(error) from None
        results = result if len(self.roots) > 1 else (result,)
        own = results if self.target.functional else _apart(results, arrays)
        # Straight-line code gives new arrays always or never.
        if named is not None and all(a is b for a, b in zip(own, results, strict=True)):
            self._remember(named, entry)
        return own if len(self.roots) > 1 else own[0]

    def _remember(self, named: dict[str, Any], entry: tuple) -> None:
        """Calls with arrays like these go straight to the function from now on."""
        if named.keys() == self.variables.keys():
            self.direct.remember(named, entry)
        elif len(named) > len(self.variables):
            names = (*named,)
            if names not in self._wider and len(self._wider) < WIDER:
                self._wider[names] = Dispatcher(self, names, self.checked)
            if names in self._wider:
                self._wider[names].remember(named, entry)

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
        return size_given(symbol, values[symbol])

    def _for(self, sizes: Mapping[str, int]) -> Loaded:
        # Plans depend on sizes only roughly: one program a power of two.
        return self._compiled[self.write(*[sizes[s] for s in self.symbols])]

    def write(self, *lengths: int) -> tuple[int, ...]:
        """Write and load the source for these sizes unless there is some; returns its key."""
        key = tuple([int(n).bit_length() for n in lengths])
        if key not in self._compiled:
            sizes = dict(zip(self.symbols, lengths, strict=True))
            text, _ = self._written(sizes)
            function = self.target.finish(self, self.target.load(text, self.store))
            self._compiled[key] = Loaded(text, function)
        return key


def _symbols(variable: Variable) -> list[str]:
    return [s for d in variable.shape for s in d.symbols()]


def _check_declared_once(roots: Sequence[Expr]) -> None:
    """InputError where two variables of one name differ in shape or properties."""
    known: dict[str, Variable] = {}
    for node in walk(*roots):
        if isinstance(node, Variable) and known.setdefault(node.name, node) is not node:
            told = [
                " ".join([show_shape(v.shape), *sorted(v.properties)])
                for v in (known[node.name], node)
            ]
            raise InputError(
                f"{node.name} is declared in two ways, as {told[0]} and as {told[1]}; declare it "
                "alike in all expressions that are run together"
            )


def _apart(results: Sequence[Any], arrays: list[np.ndarray]) -> tuple:
    """Results that share memory with no argument and not with each other."""
    own: list[Any] = []
    for result in results:
        own.append(_own(result, [*arrays, *(r for r in own if isinstance(r, np.ndarray))]))
    return tuple(own)


def _own(result: Any, arrays: list[np.ndarray]) -> Any:
    """A result that does not share memory with an argument, as that of ``X'`` would."""
    if isinstance(result, np.ndarray):
        view = result.base is not None or any(result is a for a in arrays)
        if view and any(np.may_share_memory(result, a) for a in arrays):
            return result.copy()
        if not result.flags.writeable:
            return result.copy()
    return result

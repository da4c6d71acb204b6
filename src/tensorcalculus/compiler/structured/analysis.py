"""What a derivative is as a matrix: identities, Kronecker factors, diagonals, blocks, low rank.

A Hessian or Jacobian is a sum of networks.  The parts of a network that share no summed index are
its Kronecker factors; an index that stands on a row and a column axis is an identity or, where an
array has it, a diagonal; a part that narrows to few indices between its rows and its columns is
of low rank and stays a product of two thin factors.  All of this is read off the formula, once;
the sizes decide only between thin factors and one array, and the arrays give the numbers.

References: C. F. Van Loan, "The ubiquitous Kronecker product", J. Comput. Appl. Math. 123 (2000);
G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th edition, sections 1.3 and 12.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorcalculus.compiler.dispatch import Dispatcher
from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.sizes import bind_arrays, size_given, solve_sizes
from tensorcalculus.compiler.structured.networks import laid_out, networks, unstructured
from tensorcalculus.compiler.structured.terms import Form
from tensorcalculus.errors import InputError
from tensorcalculus.expr.context import remembered
from tensorcalculus.expr.node import Expr, Variable, variables_of
from tensorcalculus.simplify.engine import simplify

if TYPE_CHECKING:
    from tensorcalculus.compiler.structured.operator import StructuredOperator

_KNOWN = 64
"""Size classes that are remembered for one expression."""


def structure_of(e: Expr, rows: int | None = None) -> Structure:
    """The structure of an expression whose first ``rows`` axes are those of the rows."""
    wanted = rows
    if rows is None:
        if e.ndim % 2:
            raise InputError(
                f"the expression has {e.ndim} axes, which do not split in half: say how many of "
                "them are those of the rows, as in operator(..., rows=1)"
            )
        rows = e.ndim // 2
    if isinstance(rows, bool) or not hasattr(rows, "__index__") or not 0 <= rows <= e.ndim:
        raise InputError(
            f"rows is the number of leading axes that are rows, from 0 to {e.ndim}, not {rows!r}"
        )
    known = e.memo.setdefault("structure", {})
    if rows not in known:
        known[rows] = Structure(e, rows)
    return known.setdefault(wanted, known[rows])


class Structure:
    """The structure of one expression as a matrix; ``operator`` puts in the numbers."""

    def __init__(self, e: Expr, rows: int) -> None:
        self.source = e
        self.variables = variables_of(e)
        self.whole = e = simplify(e)
        self.shape = e.shape
        self.rows = rows
        found = networks(e, rows)
        self.networks = found if found is not None else [unstructured(e)]
        dims = [*e.shape, *(d for n in self.networks for d in n.dims.values())]
        self.symbols = list(dict.fromkeys(s for d in dims for s in d.symbols()))
        # Sizes that may be given by name; some stand inside an array only, as in size(k)*X.
        self.sizes = frozenset((*self.symbols, *Program([e], simplified=False).symbols))
        self._bindings: dict[tuple[str, ...], Binding] = {}
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._direct: dict[tuple[str, ...], Dispatcher] = {}
        """By the names of the arrays: calls with arrays like earlier ones."""

    @property
    def context(self) -> dict[str, tuple[Variable, ...]]:
        """Variables that the expression came from; read anew, as shared nodes learn of more."""
        return remembered(self.source)

    def operator(self, values: Mapping[str, Any]) -> StructuredOperator:
        direct = self._direct.get((*values,))
        return self._checked(values) if direct is None else direct.call(values)

    def _checked(self, values: Mapping[str, Any]) -> StructuredOperator:
        from tensorcalculus.compiler.structured.operator import StructuredOperator

        names = tuple(values)
        binding = self._bindings.get(names)
        if binding is None or binding.known != sum(map(len, self.context.values())):
            binding = Binding(self, values)
            if binding.certain:
                self._bindings[names] = binding
        sizes = binding.sizes(values)
        plan = self._plans.get(sizes)
        if plan is None:
            if len(self._plans) >= _KNOWN:
                self._plans.clear()
            plan = self._plans[sizes] = Plan(self, dict(zip(self.symbols, sizes, strict=True)))
        if not plan.roots:
            given = {n: values[n] for n in binding.variables}
            arrays, _ = bind_arrays(binding.variables, given)
            dtype = np.result_type(*arrays) if arrays else np.dtype(float)
            return StructuredOperator.like(plan, dtype).holding(())
        program = binding.program(plan)
        given = binding.given(values, program)
        results = program.results(given)
        bare = StructuredOperator.like(plan, np.result_type(*results))
        entry = program.entry(values) if binding.certain and given is values else None
        if entry is not None:
            if names not in self._direct and len(self._direct) < _KNOWN:
                self._direct[names] = Dispatcher(program, names, self._checked)
            if names in self._direct:
                made = _made(entry[0], bare, len(plan.roots))
                self._direct[names].remember(values, (made, *entry[1:]))
        return bare.holding(results)


def _made(
    function: Callable[..., Any], bare: StructuredOperator, count: int
) -> Callable[..., StructuredOperator]:
    """The operator from the arguments of the function that computes its arrays."""
    if count == 1:
        return lambda *arguments: bare.holding((function(*arguments),))
    return lambda *arguments: bare.holding(function(*arguments))


class Binding:
    """Which variables the given names are, and where each size is read from."""

    def __init__(self, structure: Structure, values: Mapping[str, Any]) -> None:
        self.structure = structure
        own, context, symbols = structure.variables, structure.context, structure.symbols
        self.variables = dict(own)
        self.certain = True
        self.known = sum(map(len, context.values()))
        self._programs: dict[tuple[Expr, ...], Program] = {}
        for name in values:
            if name in context and name not in own:
                candidates = context[name]
                self.certain &= len(candidates) == 1
                self.variables[name] = _fitting(candidates, own, values)
        sizes = [n for n in values if n in structure.sizes and n not in self.variables]
        self._counts = frozenset(sizes)
        if set(values) - self._counts != self.variables.keys():
            # Names that are unknown or missing: the message names them.
            bind_arrays(self.variables, {n: v for n, v in values.items() if n not in sizes})
        self._sources: list[tuple[str, int]] | None = []
        for symbol in symbols:
            source = next(
                (
                    (name, axis)
                    for name, variable in self.variables.items()
                    for axis, d in enumerate(variable.shape)
                    if d.symbol == symbol
                ),
                None,
            )
            if source is None or sizes:
                self._sources = None
                break
            self._sources.append(source)

    def sizes(self, values: Mapping[str, Any]) -> tuple[int, ...]:
        """The size of every symbol, in the order of the structure's symbols."""
        if self._sources is not None:
            try:
                # The arrays are checked later, by the program that they are given to.
                return tuple([values[name].shape[axis] for name, axis in self._sources])
            except (AttributeError, IndexError):
                pass
        arrays = {n: values[n] for n in self.variables}
        counts = {symbol: size_given(symbol, values[symbol]) for symbol in self._counts}
        _, sizes = bind_arrays(self.variables, arrays, given=counts)
        for symbol in self.structure.symbols:
            if symbol not in sizes:
                context = self.structure.context
                hint = [n for n, found in context.items() for v in found if symbol in _symbols(v)]
                arrays = f", or for an array that has it ({', '.join(hint)})" if hint else ""
                raise InputError(f"no value is given for the size {symbol}, an integer{arrays}")
        return tuple(sizes[s] for s in self.structure.symbols)

    def program(self, plan: Plan) -> Program:
        """The program for the arrays of a plan; plans of several sizes may share it."""
        key = tuple(plan.roots)
        if key not in self._programs:
            self._programs[key] = Program(plan.roots, self.variables)
        return self._programs[key]

    def given(self, values: Mapping[str, Any], program: Program) -> Mapping[str, Any]:
        """The values that a program takes: all, but for sizes that it does not need."""
        if not self._counts:
            return values
        unused = self._counts.difference(program.free_symbols)
        return {n: v for n, v in values.items() if n not in unused}


def _symbols(variable: Variable) -> list[str]:
    return [s for d in variable.shape for s in d.symbols()]


def _fitting(
    candidates: tuple[Variable, ...], own: Mapping[str, Variable], values: Mapping[str, Any]
) -> Variable:
    """The variable of several of one name that agrees with the arrays given."""
    if len(candidates) == 1:
        return candidates[0]
    name = candidates[0].name
    there = {n: v for n, v in own.items() if n in values}
    shapes = {n: np.shape(values[n]) for n in (*there, name)}
    for variable in candidates:
        if variable.ndim != len(shapes[name]):
            continue
        try:
            solve_sizes({**there, name: variable}, shapes)
        except (InputError, IndexError, ValueError):
            continue
        return variable
    return candidates[0]


# -- the choice between thin factors and one array ---------------------------------------------


class Plan:
    """The arrays to evaluate for sizes at hand, and the terms that they make."""

    def __init__(self, structure: Structure, symbols: Mapping[str, int]) -> None:
        self.roots: list[Expr] = []
        self.terms: list[tuple[Form, tuple[int, ...]]] = []
        self._places: dict[Expr, int] = {}
        self._text: str | None = None
        n = structure.rows
        shape = tuple(d.evaluate(symbols) for d in structure.shape)
        self.row_shape, self.col_shape = shape[:n], shape[n:]
        stored = 0
        for network in structure.networks:
            form, factors = laid_out(network, n, symbols)
            if form.coefficient == 0:
                continue
            stored += sum(form.size(labels) for labels in form.arrays)
            self.terms.append((form, tuple(self._place(f) for f in factors)))
        # With one dense term there is nothing to gain from the others; many small terms may
        # hold more numbers than the matrix.
        if any(_is_dense(form) for form, _ in self.terms) or stored > 2 * prod(shape):
            self.roots, self._places = [], {}
            form, factors = laid_out(unstructured(structure.whole), n, symbols)
            self.terms = [(form, tuple(self._place(f) for f in factors))]

    def _place(self, e: Expr) -> int:
        if e not in self._places:
            self._places[e] = len(self.roots)
            self.roots.append(e)
        return self._places[e]

    def described(self) -> str:
        if self._text is None:
            from tensorcalculus.compiler.structured.text import describe

            self._text = describe([form for form, _ in self.terms])
        return self._text


def _is_dense(form: Form) -> bool:
    if len(form.arrays) != 1 or len(form.rows) + len(form.cols) < 2:
        return False
    return len(form.arrays[0]) == len(form.rows) + len(form.cols) == len(set(form.arrays[0]))

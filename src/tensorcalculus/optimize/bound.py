"""Programs with some arrays fixed: what depends on these alone is computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tensorcalculus.compiler.hoist import REPETITIONS, hoist
from tensorcalculus.compiler.program import Program
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr, Operation, Variable

WELL_CONDITIONED = 1e6
"""Largest condition number of a fixed matrix whose inverse is stored rather than its equation
solved in each evaluation.  There the two differ by about a digit (rounding of 1e-16 becomes 1e-11
in a solve, 1e-10 with the inverse), and a product is n times cheaper than a factorisation."""


@lru_cache(maxsize=64)
def _program(roots: tuple[Expr, ...]) -> Program:
    """The program of some expressions; kept, as the same ones are often minimised again."""
    return Program(list(roots))


def hoisted(
    roots: Sequence[Expr], names: Sequence[str], sizes: Mapping[str, int], **options: Any
) -> tuple[list[Expr], dict[Variable, Expr]]:
    """:func:`hoist`, with the results of the last calls kept."""
    return _hoisted(
        tuple(roots), tuple(names), tuple(sorted(sizes.items())), tuple(sorted(options.items()))
    )


@lru_cache(maxsize=64)
def _hoisted(roots: tuple, names: tuple, sizes: tuple, options: tuple) -> Any:
    return hoist(roots, names, dict(sizes), **dict(options))


class Function:
    """Expressions of changing arrays, given in the order of their names."""

    def __init__(
        self,
        roots: Sequence[Expr],
        names: Sequence[str],
        fixed: Mapping[str, Any],
        sizes: Mapping[str, int],
    ) -> None:
        self._program = program = _program(tuple(roots))
        self._sizes = sizes
        self.count = len(program.roots)
        self._function: Callable = program._for(sizes)[1]
        position = {name: k for k, name in enumerate(names)}
        self._arguments = [
            *(fixed[n] if n not in position else None for n in program.variables),
            *(sizes[s] for s in program.symbols),
        ]
        self._changing = [
            (k, position[n]) for k, n in enumerate(program.variables) if n in position
        ]

    @property
    def flops(self) -> float:
        """Operations of one call, estimated."""
        return self._program.cost(self._sizes).flops

    def __call__(self, arrays: Sequence[Any]) -> Sequence[Any]:
        """Results, which may share memory with arguments."""
        arguments = list(self._arguments)
        for k, place in self._changing:
            arguments[k] = arrays[place]
        result = self._function(*arguments)
        return result if self.count > 1 else (result,)


def prepare(
    roots: Sequence[Expr],
    names: Sequence[str],
    data: Mapping[str, Any],
    sizes: Mapping[str, int],
    repetitions: float = REPETITIONS,
) -> tuple[list[Expr], dict[str, Any]]:
    """The roots with what depends on the data alone taken out, and the data with its values.

    Raises InputError where such a part cannot be computed.
    """
    for inverses in (True, False):
        new, parts = hoisted(roots, names, sizes, repetitions=repetitions, inverses=inverses)
        matrices = [e.children[0] for e in parts.values() if _is_inverse(e)]
        if not inverses or all(_well_conditioned(e, data, sizes) for e in matrices):
            break
    if not parts:
        return list(new), dict(data)
    try:
        values = Function(list(parts.values()), [], data, sizes)([])
    except np.linalg.LinAlgError as error:
        raise InputError(f"a part that depends on the data alone has no value: {error}") from None
    known = {variable.name: _stored(v) for variable, v in zip(parts, values, strict=True)}
    return list(new), {**data, **known}


def _stored(value: Any) -> Any:
    """A contiguous array; a float where it is a scalar."""
    return np.array(value) if np.ndim(value) else float(value)


def _is_inverse(e: Expr) -> bool:
    return isinstance(e, Operation) and e.row.name == "inv" and e.ndim == 2


def _well_conditioned(matrix: Expr, data: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    (a,) = Function([matrix], [], data, sizes)([])
    try:
        return float(np.linalg.cond(np.asarray(a), 1)) < WELL_CONDITIONED
    except np.linalg.LinAlgError:
        return False

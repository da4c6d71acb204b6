"""Programs of the derivatives of a program, derived when a framework first asks for them."""

from __future__ import annotations

from collections.abc import Callable

from tensorcalculus.calculus.derivative import project
from tensorcalculus.calculus.sweep import forward, reverse
from tensorcalculus.compiler.dispatch import READY
from tensorcalculus.compiler.program import Program
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.node import Expr, Map, Variable, variables_of, walk
from tensorcalculus.simplify.engine import simplify

Flags = tuple[bool, ...]


def differentiable(program: Program) -> bool:
    """Whether a framework is to use formulas, and there are some for the derivatives of all
    outputs by all variables.
    """
    if program.differentiation != "closed" or not program.variables:
        return False
    return not any(
        isinstance(node, Map)
        and any(
            d is None and variables_of(a)
            for a, d in zip(node.args, node.function.derivatives, strict=True)
        )
        for node in walk(*program.roots)
    )


class Derivatives:
    """Directional derivatives of the outputs of a program, and their transposes.

    Both are programs of the same kind, which a framework differentiates again.  A structured
    variable moves in its space only: its tangents, and so its cotangents, are projected on it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._programs: dict[tuple[Flags, Flags | None], Program] = {}
        self._ready: dict[tuple[Flags, Flags | None, tuple[int, ...]], Callable] = {}

    def pulled(self, wanted: Flags, given: Flags, lengths: tuple[int, ...]) -> Callable:
        """Cotangents of the ``wanted`` variables: a function of all arrays and the cotangents of
        the outputs that are ``given``, the others being zero; ``lengths`` are those of the symbols.
        """
        return self._ready.get((wanted, given, lengths)) or self._made(wanted, given, lengths)

    def pushed(self, moving: Flags, lengths: tuple[int, ...]) -> Callable:
        """Tangents of all outputs: a function of all arrays and the tangents of the ``moving``."""
        return self._ready.get((moving, None, lengths)) or self._made(moving, None, lengths)

    def _made(self, flags: Flags, given: Flags | None, lengths: tuple[int, ...]) -> Callable:
        program = self._programs.get((flags, given))
        if program is None:
            program = self._pushed(flags) if given is None else self._pulled(flags, given)
            self._programs[flags, given] = program
        function = program.at(dict(zip(self.program.symbols, lengths, strict=True)))
        if len(self._ready) < READY:
            self._ready[flags, given, lengths] = function
        return function

    def _pulled(self, wanted: Flags, given: Flags) -> Program:
        program = self.program
        targets = [v for v, w in zip(program.variables.values(), wanted, strict=True) if w]
        outputs = [f for f, g in zip(program.sources, given, strict=True) if g]
        seeds = self._fresh("g", [f.shape for f in outputs])
        parts = [
            reverse(simplify(f), list[Expr](targets), seed)
            for f, seed in zip(outputs, seeds, strict=True)
        ]
        roots = [
            project(add([(1, p[k]) for p in parts]), 0, variable)
            for k, variable in enumerate(targets)
        ]
        return self._program(roots, seeds)

    def _pushed(self, moving: Flags) -> Program:
        program = self.program
        moved = [v for v, m in zip(program.variables.values(), moving, strict=True) if m]
        seeds = self._fresh("d", [v.shape for v in moved])
        tangents: dict[Expr, Expr] = {
            v: project(d, 0, v) for v, d in zip(moved, seeds, strict=True)
        }
        return self._program([forward(simplify(f), tangents) for f in program.sources], seeds)

    def _fresh(self, letter: str, shapes: list[tuple]) -> list[Variable]:
        """Variables of names that are not in use."""
        taken = {*self.program.variables, *self.program.symbols}
        names: list[str] = []
        k = 0
        while len(names) < len(shapes):
            if f"{letter}{k}" not in taken:
                names.append(f"{letter}{k}")
            k += 1
        return [Variable(n, shape) for n, shape in zip(names, shapes, strict=True)]

    def _program(self, roots: list[Expr], seeds: list[Variable]) -> Program:
        program = self.program
        variables = {**program.variables, **{v.name: v for v in seeds}}
        return Program(roots, variables, target=program.target)

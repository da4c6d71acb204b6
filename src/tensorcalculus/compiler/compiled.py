"""What ``tc.compile`` gives: several expressions as one function that shares their work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorcalculus.compiler.program import Program
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr


class Compiled:
    """A function of arrays by name; see :func:`tensorcalculus.compile`."""

    def __init__(self, outputs: Expr | Sequence[Expr], backend: str = "numpy") -> None:
        self.outputs: tuple[Expr, ...] = (outputs,) if isinstance(outputs, Expr) else tuple(outputs)
        if not self.outputs:
            raise InputError("compile takes at least one expression; an empty list is given")
        for k, e in enumerate(self.outputs):
            if not isinstance(e, Expr):
                raise TypeError(
                    f"output {k} is {type(e).__name__}, not an expression; read formulas with "
                    "tc.parse and derive with f.gradient"
                )
        self.backend = backend
        self._program = Program(list(self.outputs))
        # A program of one expression gives its value, also where a list of one was asked for.
        self._wrapped = len(self.outputs) == 1 and not isinstance(outputs, Expr)

    def __call__(self, /, **values: Any) -> Any:
        """All outputs, in their order; one output alone comes without a tuple."""
        return self._program.results(values) if self._wrapped else self._program(values)

    @property
    def source(self) -> str:
        """The generated source, for typical sizes or those of the last call."""
        return self._program.source()

    def __repr__(self) -> str:
        names = ", ".join(self._program.variables)
        return f"<compiled for {self.backend}: {len(self.outputs)} outputs of {names}>"

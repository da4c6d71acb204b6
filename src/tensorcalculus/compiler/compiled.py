"""What ``tc.compile`` gives: several expressions as one function that shares their work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorcalculus.compiler.cost import Cost
from tensorcalculus.compiler.hoist import TYPICAL_SIZE
from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.targets import target_named
from tensorcalculus.display import html
from tensorcalculus.display.source_text import SourceText
from tensorcalculus.errors import InputError, nearest
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import Expr

DIFFERENTIATION = ("closed", "host")
_SHOWN = 8
"""Outputs that notebooks name."""


class Compiled:
    """A function of arrays by name; see :func:`tensorcalculus.compile`."""

    def __init__(
        self,
        outputs: Expr | Sequence[Expr],
        backend: str = "numpy",
        differentiation: str = "closed",
    ) -> None:
        # A network stands for its expression.
        outputs = getattr(outputs, "expression", outputs)
        if not isinstance(outputs, (Expr, Sequence)) or isinstance(outputs, str):
            raise TypeError(
                f"compile takes an expression or a list of them, not {type(outputs).__name__}; "
                "read formulas with tc.parse and derive with f.gradient"
            )
        given = (outputs,) if isinstance(outputs, Expr) else outputs
        self.outputs: tuple[Expr, ...] = tuple(getattr(e, "expression", e) for e in given)
        if not self.outputs:
            raise InputError("compile takes at least one expression; an empty list is given")
        for k, e in enumerate(self.outputs):
            if not isinstance(e, Expr):
                raise TypeError(
                    f"output {k} is {type(e).__name__}, not an expression; read formulas with "
                    "tc.parse and derive with f.gradient"
                )
        if differentiation not in DIFFERENTIATION:
            raise InputError(
                f"differentiation is one of {', '.join(DIFFERENTIATION)}, not {differentiation!r}"
            )
        self.backend = backend
        self._program = Program(
            list(self.outputs),
            target=target_named(backend),
            differentiation=differentiation,
            reuse=True,
        )
        # A program of one expression gives its value, also where a list of one was asked for.
        self._wrapped = len(self.outputs) == 1 and not isinstance(outputs, Expr)
        self._call = self._program.results if self._wrapped else self._program.direct.call

    def __call__(self, /, **values: Any) -> Any:
        """All outputs, in their order; one output alone comes without a tuple."""
        return self._call(values)

    def batched(self, *names: str) -> Callable[..., Any]:
        """The function over a batch: the arrays named have one more axis, in front.

        Parameters
        ----------
        names
            Arguments with a leading axis, of one length for all; the others are the same for the
            whole batch.  ``run.batched("w")(X=X, y=y, w=W)`` gives the results for all rows of
            ``W``, stacked.

        Returns
        -------
        function
            To be called like this one.  ``torch.func.vmap`` or ``jax.vmap`` runs it, for NumPy a
            loop.

        Examples
        --------
        >>> import numpy as np, tensorcalculus as tc
        >>> run = tc.compile(tc.parse("x'*x", x="n"))
        >>> run.batched("x")(x=np.array([[1., 2.], [0., 3.]]))
        array([5., 9.])
        """
        known = {**self._program.context, **self._program.variables}
        for name in names:
            if name not in known:
                raise InputError(f"{name!r} is not a variable of this function."
                                 + nearest(name, known))  # fmt: skip
        if not names:
            raise InputError("name the arguments that have a leading axis, as in batched('x')")
        target = self._program.target

        def run(**values: Any) -> Any:
            given = {n: v for n, v in values.items() if n in known}
            arrays = target.together(given, [target.array(n, v) for n, v in given.items()])
            fixed = {**values, **dict(zip(given, arrays, strict=True))}
            _check_batch(names, fixed)
            moving = {n: fixed.pop(n) for n in names}
            return target.mapped(lambda v: self(**fixed, **v), moving)

        return run

    @property
    def source(self) -> str:
        """The generated source for the sizes of the last call, or typical ones before any."""
        return SourceText(self._program.source(self._sizes()))

    @property
    def cost(self) -> Cost:
        """Operations, memory traffic, peak memory and the order of contractions, for the sizes of
        the last call, or typical ones before any.
        """
        return self._program.cost(self._sizes())

    def _sizes(self) -> dict[str, int]:
        program = self._program
        return dict(zip(program.symbols, (program.last or (None,))[1:], strict=False))

    def __repr__(self) -> str:
        program = self._program
        names = ", ".join(f"{n} {show_shape(v.shape)}" for n, v in program.variables.items())
        shapes = ", ".join(show_shape(e.shape) for e in self.outputs)
        what = "output" if len(self.outputs) == 1 else "outputs"
        return f"<compiled for {self.backend}: {what} {shapes} of {names or 'nothing'}>"

    def _repr_html_(self) -> str:
        program, known = self._program, self._sizes()
        outputs = [
            f"{html.shortened(repr(e))}  {show_shape(e.shape) if e.shape else ''}"
            for e in self.outputs[:_SHOWN]
        ]
        if len(self.outputs) > _SHOWN:
            outputs.append(f"and {len(self.outputs) - _SHOWN} more")
        sizes = ", ".join(f"{s} = {known.get(s, TYPICAL_SIZE)}" for s in program.symbols)
        when = "the last call" if known else "typical sizes"
        about = [
            ("for", self.backend),
            ("arguments", ", ".join(f"{n} {show_shape(v.shape)}" if v.shape else n
                                    for n, v in program.variables.items()) or "none"),
            ("outputs", html.code("\n".join(outputs))),
            ("cost at", f"{when}: {sizes}" if sizes else "its sizes"),
        ]  # fmt: skip
        source = html.folded("source", html.code(self.source))
        return html.result("Compiled", html.rows(about), *self.cost.shown(), source)


def _check_batch(names: Sequence[str], arrays: Mapping[str, Any]) -> None:
    """Refuse leading axes that are missing, of different lengths, or empty."""
    length, origin = None, ""
    for name in names:
        if name not in arrays:
            raise InputError(f"no value is given for {name}, which has the axis of the batch")
        shape = tuple(arrays[name].shape)
        if not shape:
            raise InputError(f"{name} is a number; expected an array with a leading axis")
        if length is not None and shape[0] != length:
            raise InputError(
                f"the leading axis of {name} has {shape[0]} entries; expected {length} as in "
                f"{origin}"
            )
        length, origin = shape[0], origin or name
    if not length:
        raise InputError(f"the leading axis of {origin} is empty: there is nothing to evaluate")

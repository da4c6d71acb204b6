"""Scalar functions of scalars, applied to arrays of equal shape or inside compiled loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any

from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.targets import Target
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr, Variable


class LoopTarget(Target):
    """Source for single numbers, which need no copies."""

    def copied(self, text: str) -> str:
        return text


class Pointwise:
    """Several scalar expressions as one function of numbers, parts that they share computed once.

    Called with arrays of NumPy it works entry by entry, as its source has no axes; results that do
    not depend on an argument are numbers.  `compiled` is the same source for loops over points.
    """

    def __init__(self, outputs: Sequence[Expr], arguments: Sequence[Variable]) -> None:
        self._outputs, self._arguments = list(outputs), {v.name: v for v in arguments}
        self._program = Program(self._outputs, self._arguments)
        self._function = self._program.at({})

    def __call__(self, *arrays: Any) -> tuple[Any, ...]:
        return self._function(*arrays)

    def __repr__(self) -> str:
        outputs = ", ".join(map(repr, self._outputs))
        return f"<{', '.join(self._arguments)} -> {outputs}>"

    @property
    def source(self) -> str:
        """The generated source."""
        return self._program.source({})

    @cached_property
    def compiled(self) -> Callable:
        """The function of numbers as numba compiles it; a tuple where there are several results.

        Raises
        ------
        InputError
            A function that has no form for compiled loops, or numba is not installed.
        """
        return _compiled(Program(self._outputs, self._arguments, target=LoopTarget()).source({}))


@lru_cache(maxsize=256)
def _compiled(source: str) -> Callable:
    """One function for one source: what is compiled around it is found again by it."""
    numba = import_numba("compiled loops")
    from tensorcalculus.compiler import numba_kernels

    for name in _called(source):
        if not hasattr(numba_kernels, name):
            raise InputError(f"{name} has no form for compiled loops")
    namespace: dict[str, Any] = {"np": numba_kernels.np, "kernels": numba_kernels}
    exec(compile(source, "<tensorcalculus>", "exec"), namespace)
    return numba.njit(error_model="numpy", forceinline=True)(namespace["evaluate"])


def _called(source: str) -> set[str]:
    """Kernels that generated source calls."""
    return {part[: len(part) - len(part.lstrip(_LETTERS))] for part in source.split("kernels.")[1:]}


_LETTERS = "abcdefghijklmnopqrstuvwxyz_0123456789"


def import_numba(what: str) -> Any:
    """The module, or InputError that says how to get it."""
    try:
        import numba
    except ImportError as error:
        raise InputError(
            f"{what} need numba ({error}); install it with: pip install 'tensorcalculus[fit]'"
        ) from None
    return numba

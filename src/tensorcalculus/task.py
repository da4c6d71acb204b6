"""A formula and its derivative as people ask for them, and the words that say what was understood.

The command line and the web page share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tensorcalculus.api import derivative
from tensorcalculus.calculus.derivative import find_variable
from tensorcalculus.errors import ParseError

if TYPE_CHECKING:
    from tensorcalculus.expr.node import Expr

NOTATIONS = {
    "matrix": "to_matrix",
    "index": "to_index",
    "latex": "to_latex",
    "index-latex": "to_index_latex",
    "numpy": "to_numpy",
    "einsum": "to_einsum",
}
SPACES = {
    "spd": "symmetric matrices",
    "sym": "symmetric matrices",
    "diag": "diagonal matrices",
    "tri": "lower triangular matrices",
}


@dataclass(frozen=True)
class Task:
    """A formula with its derivative, by one or several variables."""

    text: str
    function: Expr
    wrt: tuple[str, ...]
    """A variable for each order."""
    symmetry: str
    unused: tuple[str, ...] = ()
    """Names that were declared and do not occur."""

    @property
    def order(self) -> int:
        return len(self.wrt)

    @cached_property
    def derivative(self) -> Expr:
        """The derivative, made when it is first asked for; of order 0 the function itself."""
        if not self.wrt:
            return self.function
        return derivative(self.function, self.wrt, self.order, symmetry=self.symmetry)


def repeated(wrt: Sequence[str], order: int | None) -> tuple[str, ...]:
    """A variable for each order: one is repeated, several are their own order.

    Raises ParseError where the order is not that of several variables.
    """
    names = tuple(wrt)
    if len(names) == 1:
        return names * (1 if order is None else order)
    if order not in (None, len(names)):
        raise ParseError(
            f"order {order} does not fit the {len(names)} variables derived by; leave it out"
        )
    return names


def unused(f: Expr, declared: Iterable[str]) -> tuple[str, ...]:
    """Names that were declared and are neither variables of ``f`` nor sizes of them."""
    sizes = {s for v in f.variables.values() for d in v.shape for s in d.symbols()}
    return tuple(n for n in declared if n not in f.variables and n not in sizes)


def title(task: Task) -> str:
    """``gradient by w``, ``Hessian by w and v``, ``Jacobian by x``, ``derivative by x, x, x``."""
    scalar, order = not task.function.ndim, task.order
    names = list(dict.fromkeys(task.wrt)) if order == 2 else list(task.wrt)
    word = {(True, 1): "gradient", (False, 1): "Jacobian", (True, 2): "Hessian"}.get(
        (scalar, order), f"derivative of order {order}"
    )
    if order > 2 and len(set(names)) == 1:
        names = names[:1]
    return f"{word} by {' and '.join(names) if len(names) < 3 else ', '.join(names)}"


def layout(task: Task) -> str:
    """The order of the derivative's axes, in words."""
    if not task.function.ndim and task.order == 1:
        return f"the gradient of a scalar has the shape of {task.wrt[0]}"
    names = [f"those of {name}" for name in task.wrt]
    if not task.function.ndim:
        names[0] = f"axes of {task.wrt[0]} first"
        return ", then ".join(names)
    return ", then ".join(["axes of the function first", *names])


def symmetry(task: Task) -> str:
    """The convention for structured variables among those derived by; empty where none is."""
    said = []
    for name in dict.fromkeys(task.wrt):
        variable = find_variable(task.function, name)
        space = next((SPACES[p] for p in SPACES if p in variable.properties), None)
        if space is None or variable.ndim < 2:
            continue
        if variable.ndim > 2:
            space = space.replace("matrices", "tensors")
        if task.symmetry == "projected":
            said.append(f"projected: the derivative by {name} is taken within {space}")
        else:
            said.append(f"full: all entries of {name} count as independent, also beyond {space}")
    return "; ".join(said)


def spell(e: Expr, notation: str) -> str:
    """An expression in one of the notations."""
    return getattr(e, NOTATIONS[notation])().strip("\n")

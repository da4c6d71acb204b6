"""What a row of the table of operations holds, and the table itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import Dim, show_shape, unify
from tensorcalculus.expr.node import Expr, Operation, Shape

Differential = Callable[[Operation, Mapping[int, Expr]], "Expr | None"]


def _never(node: Operation) -> bool:
    return False


def _spell_call(name: str, args: list[str], params: tuple) -> str:
    return f"{name}({','.join([*args, *(str(p) for p in params)])})"


@dataclass(frozen=True, slots=True)
class OperationRow:
    """Everything the library knows of one operation.

    ``differential(node, tangents)`` is the directional derivative in the expression language;
    tangents may carry leading batch axes, aligned at the right as NumPy does.  The adjoint is its
    transpose and is derived from it.  A row that is linear in an argument gives ``transpose(node,
    k, g)`` instead, where the cotangent ``g`` has leading axes of its own.
    ``kernel`` is the NumPy spelling over the arguments; ``part`` picks one of several results.
    """

    name: str
    shape: Callable[[tuple[Expr, ...], tuple], Shape]
    kernel: str
    domain: str
    reference: str
    latex: str
    differential: Differential | None = None
    transpose: Callable[[Operation, int, Expr], Expr] | None = None
    linear: tuple[int, ...] = ()
    cores: tuple[int, ...] = ()
    """For several arguments: how many axes of each, and of the result, are not batch axes."""
    part: int | None = None
    constant: bool = False
    """Piecewise constant: its derivative is 0 wherever it exists."""
    analytic: bool = False
    """Whether the kernel takes complex arguments, as a check by complex steps needs."""
    symmetric: Callable[[Operation], bool] = _never
    """Whether the result is symmetric in its last two axes."""
    nonnegative: bool = False
    transposes: bool = False
    """Whether ``f(A') = f(A)'``."""
    spell: Callable[[str, list[str], tuple], str] = _spell_call
    cubic: float = 0.0
    """Operations of an m x n matrix over ``m*n*min(m,n)``, for the estimate of costs; those of a
    square one by Golub and Van Loan, Matrix Computations.  Of ``inv`` what comes after the factors.
    """
    sample: str = ""
    """How tests draw the argument: "", "spd", "well" (well conditioned), "sym", "small"."""


OPERATIONS: dict[str, OperationRow] = {}


def register(row: OperationRow) -> OperationRow:
    """Add a row; a second one of the same name, or one without any derivative rule, is an error."""
    if row.name in OPERATIONS:
        raise ValueError(f"the operation {row.name!r} is in the table twice")
    if not (row.kernel and row.domain and row.reference and row.latex):
        raise ValueError(f"the row of {row.name!r} leaves a field out")
    if row.differential is None and row.transpose is None and not row.constant:
        raise ValueError(f"the row of {row.name!r} has no derivative")
    OPERATIONS[row.name] = row
    return row


def operation(name: str, *args: Expr, params: tuple[Any, ...] = ()) -> Expr:
    """Apply a row of the table."""
    return Operation(OPERATIONS[name], args, params)


def batched(spec: str, *args: Expr) -> Expr:
    """An einsum over the last axes of each argument; leading axes broadcast from the right."""
    inputs, out = spec.split("->")
    names = inputs.split(",")
    lead = [a.ndim - len(n) for a, n in zip(args, names, strict=True)]
    deepest = max(lead)
    factors = [
        (a, (*range(deepest - extra, deepest), *n))
        for a, n, extra in zip(args, names, lead, strict=True)
    ]
    return contract(factors, (*range(deepest), *out))


def square(name: str) -> Callable[[tuple[Expr, ...], tuple], Shape]:
    """Shape rule of an operation that maps a square matrix (batched) to one of the same shape."""

    def rule(args: tuple[Expr, ...], params: tuple) -> Shape:
        check_square(name, args[0])
        return args[0].shape

    return rule


def check_square(name: str, a: Expr) -> Dim:
    """The common dimension of the last two axes, or a ShapeError that says what was given."""
    if a.ndim < 2:
        raise ShapeError(f"{name} takes a square matrix; a {show_shape(a.shape)} tensor is given")
    d = unify(a.shape[-2], a.shape[-1])
    if d is None:
        raise ShapeError(f"{name} takes a square matrix; the one given is {show_shape(a.shape)}")
    return d


def identity(d: Dim) -> Expr:
    """The identity matrix, an index pattern."""
    return contract([], ("i", "i"), {"i": d})

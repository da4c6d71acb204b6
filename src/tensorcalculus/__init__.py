"""Derivatives of tensor expressions and networks, as formulas that read well and run fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorcalculus.api import (
    codegen,
    compile,
    derivative,
    eigh,
    function,
    functions,
    minimize,
    network,
    parse,
    qr,
    svd,
    variables,
)
from tensorcalculus.errors import (
    CheckError,
    DegeneracyWarning,
    EvaluationError,
    GaugeWarning,
    InputError,
    NotDifferentiableError,
    NotPrintableError,
    ParseError,
    ShapeError,
    TensorCalculusError,
    UnknownNameError,
)
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.data.tns import read_tns, write_tns
from tensorcalculus.fit.decompose import cp_als, cp_opt, tucker

if TYPE_CHECKING:
    from tensorcalculus.expr.node import Expr as Expr
    from tensorcalculus.expr.node import Variable as Variable

__version__ = "0.1.0"

__all__ = [
    "CheckError",
    "DegeneracyWarning",
    "EvaluationError",
    "Expr",
    "GaugeWarning",
    "InputError",
    "NotDifferentiableError",
    "NotPrintableError",
    "ParseError",
    "ShapeError",
    "SparseTensor",
    "TensorCalculusError",
    "UnknownNameError",
    "Variable",
    "codegen",
    "compile",
    "cp_als",
    "cp_opt",
    "derivative",
    "eigh",
    "function",
    "functions",
    "minimize",
    "network",
    "parse",
    "qr",
    "read_tns",
    "svd",
    "tucker",
    "variables",
    "write_tns",
]


def __getattr__(name: str) -> object:
    """Types of expressions, for annotations; imported when first asked for."""
    if name in ("Expr", "Variable"):
        from tensorcalculus.expr import node

        return getattr(node, name)
    raise AttributeError(f"module 'tensorcalculus' has no attribute {name!r}")

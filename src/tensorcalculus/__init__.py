"""Derivatives of tensor expressions and networks, as formulas that read well and run fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorcalculus.api import (
    codegen,
    compile,
    derivative,
    eigh,
    explain,
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
from tensorcalculus.fit.decompose import cp_als, cp_opt, gcp, tucker

if TYPE_CHECKING:
    from tensorcalculus.expr.node import Expr as Expr
    from tensorcalculus.expr.node import Variable as Variable
    from tensorcalculus.fit.data.sparse_tensor import SparseTensor as SparseTensor
    from tensorcalculus.fit.data.tns import read_tns as read_tns
    from tensorcalculus.fit.data.tns import write_tns as write_tns
    from tensorcalculus.fit.estimator import GCP as GCP
    from tensorcalculus.fit.generalized.record import GCPFit as GCPFit
    from tensorcalculus.fit.generalized.stochastic import Adam as Adam
    from tensorcalculus.fit.losses import Loss as Loss

__version__ = "0.1.0"

__all__ = [
    "GCP",
    "Adam",
    "CheckError",
    "DegeneracyWarning",
    "EvaluationError",
    "Expr",
    "GCPFit",
    "GaugeWarning",
    "InputError",
    "Loss",
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
    "explain",
    "function",
    "functions",
    "gcp",
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

_LATER = {
    "Expr": "expr.node",
    "Variable": "expr.node",
    "Adam": "fit.generalized.stochastic",
    "GCP": "fit.estimator",
    "GCPFit": "fit.generalized.record",
    "Loss": "fit.losses",
    "SparseTensor": "fit.data.sparse_tensor",
    "read_tns": "fit.data.tns",
    "write_tns": "fit.data.tns",
}


def __getattr__(name: str) -> object:
    """What is imported when it is first asked for."""
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module(f"tensorcalculus.{_LATER[name]}"), name)
    raise AttributeError(f"module 'tensorcalculus' has no attribute {name!r}")

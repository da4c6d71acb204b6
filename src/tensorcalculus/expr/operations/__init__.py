"""The table of linear-algebra operations: one row each, grouped by kind in the modules here."""

from tensorcalculus.expr.operations import dense, matrix_functions, reductions, spectral, structural
from tensorcalculus.expr.operations.row import OPERATIONS, OperationRow, operation

__all__ = [
    "OPERATIONS",
    "OperationRow",
    "dense",
    "matrix_functions",
    "operation",
    "reductions",
    "spectral",
    "structural",
]

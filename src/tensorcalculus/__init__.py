"""Derivatives of tensor expressions and tensor networks, as formulas that read well and run fast."""

from __future__ import annotations

from tensorcalculus.api import derivative, eigh, function, functions, parse, qr, svd, variables
from tensorcalculus.errors import (
    CheckError,
    GaugeWarning,
    InputError,
    NotDifferentiableError,
    NotPrintableError,
    ParseError,
    ShapeError,
    TensorCalculusError,
    UnknownNameError,
)

__version__ = "0.1.0"

__all__ = [
    "CheckError",
    "GaugeWarning",
    "InputError",
    "NotDifferentiableError",
    "NotPrintableError",
    "ParseError",
    "ShapeError",
    "TensorCalculusError",
    "UnknownNameError",
    "derivative",
    "eigh",
    "function",
    "functions",
    "parse",
    "qr",
    "svd",
    "variables",
]

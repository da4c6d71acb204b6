"""Kinds, shapes and declared properties in words."""

from __future__ import annotations

from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import Expr, Variable

KINDS = ("scalar", "vector", "matrix")
PROPERTY_WORDS = {
    "sym": "symmetric",
    "spd": "symmetric positive definite",
    "diag": "diagonal",
    "orth": "orthogonal",
    "tri": "lower triangular",
    "nonneg": "non-negative",
}


def kind(ndim: int) -> str:
    """``scalar``, ``vector``, ``matrix`` or ``tensor of order 3``."""
    return KINDS[ndim] if ndim < len(KINDS) else f"tensor of order {ndim}"


def with_shape(e: Expr) -> str:
    """The kind and the shape: ``matrix (m, n)``."""
    return f"{kind(e.ndim)} {show_shape(e.shape)}" if e.ndim else "scalar"


def properties(variable: Variable) -> list[str]:
    """Declared properties in words."""
    return [PROPERTY_WORDS[p] for p in PROPERTY_WORDS if p in variable.properties]

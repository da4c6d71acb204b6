"""Tensors in formats that hold few numbers: tensor trains and what can be done with them.

``import tensorcalculus.networks as tn``, then ``tn.TT``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorcalculus.networks.formats.tt import TT as TT

_HOMES = {
    "TT": "formats.tt",
}

__all__ = ["TT"]


def __getattr__(name: str) -> object:
    """Names are imported when first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

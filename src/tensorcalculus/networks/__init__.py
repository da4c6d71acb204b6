"""Tensor networks: as expressions, with all gradients from one contraction tree, and as numbers.

``import tensorcalculus.networks as tn``.  Builders (``tn.tt``, ``tn.peps``) give networks that are
expressions; formats (``tn.TT``, ``tn.QTT``) hold arrays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tensorcalculus.networks.builders import (
    cp,
    from_networkx,
    htucker,
    mps_mpo_sandwich,
    peps,
    ring,
    tt,
    tt_matrix,
    tucker,
)
from tensorcalculus.networks.environments import (
    Environments,
    gauss_newton,
    hvp,
    prepare,
    value_and_gradients,
)
from tensorcalculus.networks.joining import inner
from tensorcalculus.networks.network import Network, NetworkSum

if TYPE_CHECKING:
    from tensorcalculus.networks.cross.maxvol import maxvol as maxvol
    from tensorcalculus.networks.cross.maxvol import rect_maxvol as rect_maxvol
    from tensorcalculus.networks.cross.skeleton import skeleton as skeleton
    from tensorcalculus.networks.formats.conversion import from_network as from_network
    from tensorcalculus.networks.formats.cp import CP as CP
    from tensorcalculus.networks.formats.fourier import qtt_fourier as qtt_fourier
    from tensorcalculus.networks.formats.htucker import HTucker as HTucker
    from tensorcalculus.networks.formats.operators import laplacian as laplacian
    from tensorcalculus.networks.formats.operators import qtt_laplacian as qtt_laplacian
    from tensorcalculus.networks.formats.operators import qtt_shift as qtt_shift
    from tensorcalculus.networks.formats.operators import qtt_toeplitz as qtt_toeplitz
    from tensorcalculus.networks.formats.qtt import QTT as QTT
    from tensorcalculus.networks.formats.ring import Ring as Ring
    from tensorcalculus.networks.formats.tt import TT as TT
    from tensorcalculus.networks.formats.tt_matrix import TTMatrix as TTMatrix
    from tensorcalculus.networks.formats.tucker import Tucker as Tucker
    from tensorcalculus.networks.trains.adjoints import round_vjp as round_vjp

_HOMES = {
    "CP": "formats.cp",
    "HTucker": "formats.htucker",
    "Ring": "formats.ring",
    "Tucker": "formats.tucker",
    "QTT": "formats.qtt",
    "TT": "formats.tt",
    "TTMatrix": "formats.tt_matrix",
    "from_network": "formats.conversion",
    "laplacian": "formats.operators",
    "maxvol": "cross.maxvol",
    "qtt_fourier": "formats.fourier",
    "qtt_laplacian": "formats.operators",
    "qtt_shift": "formats.operators",
    "qtt_toeplitz": "formats.operators",
    "rect_maxvol": "cross.maxvol",
    "round_vjp": "trains.adjoints",
    "skeleton": "cross.skeleton",
}

__all__ = [
    "CP",
    "QTT",
    "TT",
    "Environments",
    "HTucker",
    "Network",
    "NetworkSum",
    "Ring",
    "TTMatrix",
    "Tucker",
    "cp",
    "from_network",
    "from_networkx",
    "gauss_newton",
    "htucker",
    "hvp",
    "inner",
    "laplacian",
    "maxvol",
    "mps_mpo_sandwich",
    "peps",
    "prepare",
    "qtt_fourier",
    "qtt_laplacian",
    "qtt_shift",
    "qtt_toeplitz",
    "rect_maxvol",
    "ring",
    "round_vjp",
    "skeleton",
    "tt",
    "tt_matrix",
    "tucker",
    "value_and_gradients",
]


def __getattr__(name: str) -> object:
    """Names are imported when first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

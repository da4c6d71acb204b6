"""Tensor networks: as expressions, and all their gradients from one contraction tree."""

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
from tensorcalculus.networks.network import Network, NetworkSum, inner

__all__ = [
    "Environments",
    "Network",
    "NetworkSum",
    "cp",
    "from_networkx",
    "gauss_newton",
    "htucker",
    "hvp",
    "inner",
    "mps_mpo_sandwich",
    "peps",
    "prepare",
    "ring",
    "tt",
    "tt_matrix",
    "tucker",
    "value_and_gradients",
]

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
    environments,
    gauss_newton,
    hvp,
    value_and_gradients,
)
from tensorcalculus.networks.network import Network, NetworkSum, inner, network

__all__ = [
    "Environments",
    "Network",
    "NetworkSum",
    "cp",
    "environments",
    "from_networkx",
    "gauss_newton",
    "htucker",
    "hvp",
    "inner",
    "mps_mpo_sandwich",
    "network",
    "peps",
    "ring",
    "tt",
    "tt_matrix",
    "tucker",
    "value_and_gradients",
]

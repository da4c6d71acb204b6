"""Dense einsum for networks, by NumPy and under JAX, and random arrays for their cores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tensorcalculus.networks import Network

Arrays = dict[str, np.ndarray]


def arrays(net: Network, sizes: Mapping[str, int] | int = 2, seed: int = 0) -> Arrays:
    """Normal entries; labels without a number of their own have the size given."""
    rng = np.random.default_rng(seed)

    def length(d: Any) -> int:
        if d.value is not None:
            return d.value
        return sizes if isinstance(sizes, int) else sizes[d.text]

    return {
        name: rng.standard_normal([length(d) for d in net.symbols[name].shape])
        for name in net.names
    }


def dense(net: Network, values: Mapping[str, Any], einsum: Any = np.einsum) -> Any:
    """The network by one einsum, which knows nothing of trees; outputs without repeated labels."""
    numbers = {i: k for k, i in enumerate(net.dims)}
    given: list[Any] = []
    for core in net.present:
        given += [values[core.name], [numbers[i] for i in core.legs]]
    return einsum(*given, [numbers[i] for i in net.output], optimize="greedy")


def differences(net: Network, values: Arrays, name: str, step: float = 1e-5) -> np.ndarray:
    """Central differences of the dense value by one core; axes of the network first."""
    at = values[name]
    columns = []
    for k in range(at.size):
        move = np.zeros(at.size)
        move[k] = step
        move = move.reshape(at.shape)
        plus, minus = (dense(net, {**values, name: at + s * move}) for s in (1, -1))
        columns.append((plus - minus) / (2 * step))
    return np.stack(columns, -1).reshape(np.shape(columns[0]) + at.shape)


def by_torch(net: Network, values: Arrays, moves: Arrays | None = None) -> dict[str, np.ndarray]:
    """Gradients of a scalar network by PyTorch's autograd, or the Hessian times ``moves``."""
    import torch

    given = {k: torch.tensor(v, requires_grad=True) for k, v in values.items()}
    value = dense(net, given, lambda *args, optimize: torch.einsum(*args))
    slopes = torch.autograd.grad(value, list(given.values()), create_graph=moves is not None)
    if moves is None:
        return {k: g.numpy() for k, g in zip(given, slopes, strict=True)}
    along = sum((torch.tensor(moves[k]) * g).sum() for k, g in zip(given, slopes, strict=True))
    if not along.requires_grad:
        return {k: np.zeros_like(v) for k, v in values.items()}
    found = torch.autograd.grad(along, list(given.values()), allow_unused=True)
    zero = {k: np.zeros_like(v) for k, v in values.items()}
    return {k: zero[k] if g is None else g.numpy() for k, g in zip(given, found, strict=True)}

"""What the tests of formats share: libraries, types, and random tensors of low rank."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from tensorcalculus.networks.arrays import numpy_of
from tensorcalculus.networks.formats.tt import TT

try:
    import torch
except ImportError:  # optional, as everywhere
    torch = None

jax.config.update("jax_enable_x64", True)

LIBRARIES = ["numpy", "torch", "jax"] if torch is not None else ["numpy", "jax"]
TYPES = ["float64", "float32", "complex128"]

per_library = pytest.mark.parametrize("library", LIBRARIES)
per_type = pytest.mark.parametrize("kind", TYPES)


def given_to(library: str, a: Any):
    """A NumPy array as one of a library."""
    if library == "torch":
        return torch.from_numpy(np.array(a))
    return jax.numpy.asarray(a) if library == "jax" else a


def numbers(x) -> np.ndarray:
    """Entries of a format, an array, or a number."""
    return numpy_of(x.to_dense() if hasattr(x, "to_dense") else x)


def accuracy(kind: str) -> float:
    """How far results may be off, relative to the largest number on the way."""
    return 2e-5 if kind == "float32" else 1e-12


def close(x, expected: Any, kind: str = "float64", scale: Any = None) -> None:
    """Assert that a format holds an array, up to rounding."""
    found = numbers(x)
    assert found.shape == expected.shape
    size = np.linalg.norm(expected) if scale is None else scale
    assert np.linalg.norm(found - expected) <= accuracy(kind) * max(size, 1e-300) * 10


def drawn(shape, rank: int, kind: str, seed: int) -> list[np.ndarray]:
    """Random cores of a train, in NumPy; they need not be of full rank."""
    rng = np.random.default_rng(seed)
    bonds = [1, *[rank] * (len(shape) - 1), 1]
    cores = []
    for k, n in enumerate(shape):
        core = rng.standard_normal((bonds[k], n, bonds[k + 1]))
        if kind.startswith("complex"):
            core = core + 1j * rng.standard_normal(core.shape)
        cores.append(core.astype(kind))
    return cores


def entries(cores) -> np.ndarray:
    """The array of a train, by one einsum: an oracle that shares no code with the library."""
    operands = []
    for k, core in enumerate(cores):
        operands += [core, [20 + k, k, 21 + k]]
    d = len(cores)
    full = np.einsum(*operands, [20, *range(d), 20 + d], optimize=True)
    return full[0, ..., 0]


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)
"""Also lengths of 1, and lengths below the ranks."""
ranks = st.integers(1, 5)
seeds = st.integers(0, 1000)


def train(shape, rank, kind="float64", seed=0, library="numpy"):
    """A random train and its entries."""
    cores = drawn(shape, rank, kind, seed)
    return TT([given_to(library, core) for core in cores]), entries(cores)

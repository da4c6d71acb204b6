"""What the tests of fits share: known CP tensors, dense oracles, libraries."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
import pytest

from tensorcalculus.networks import CP

jax.config.update("jax_enable_x64", True)

LIBRARIES = ["numpy", *(["torch"] if find_spec("torch") else []), "jax"]

per_library = pytest.mark.parametrize("library", LIBRARIES)


def given_to(library: str, a: np.ndarray) -> Any:
    """A NumPy array as one of a library."""
    if library == "torch":
        import torch

        return torch.from_numpy(np.array(a))
    return jax.numpy.asarray(a) if library == "jax" else a


def drawn(shape: Sequence[int], rank: int, seed: int = 0, kind: str = "float64"):
    """Normal factors."""
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal((n, rank)) for n in shape]
    if kind == "complex128":
        made = [u + 1j * rng.standard_normal(u.shape) for u in made]
    return [u.astype(kind) for u in made]


def dense(factors: Sequence[np.ndarray]) -> np.ndarray:
    """The tensor of CP factors, by one einsum."""
    operands = []
    for k, u in enumerate(factors):
        operands += [u, [k, 20]]
    return np.einsum(*operands, list(range(len(factors))), optimize=True)


def product(x: np.ndarray, factors: Sequence[np.ndarray], k: int) -> np.ndarray:
    """The array contracted with the conjugate factors of all modes but one, by one einsum."""
    operands = [x, list(range(x.ndim))]
    for j, u in enumerate(factors):
        if j != k:
            operands += [u.conj(), [j, 20]]
    return np.einsum(*operands, [k, 20], optimize=True)


def plain_als(x, factors, sweeps, l2=0.0):
    """ALS as textbooks have it, losses from the residual tensor."""
    factors = [u.copy() for u in factors]
    losses = []
    for _ in range(sweeps):
        for k in range(x.ndim):
            others = [u.T @ u.conj() for j, u in enumerate(factors) if j != k]
            gram = np.prod(others, axis=0) + l2 * np.eye(factors[0].shape[1])
            factors[k] = product(x, factors, k) @ np.linalg.inv(gram)
        if l2:
            sizes = [np.linalg.norm(u, axis=0) for u in factors]
            even = np.prod(sizes, axis=0) ** (1 / x.ndim)
            factors = [u * (even / n) for u, n in zip(factors, sizes, strict=True)]
        penalty = l2 * sum(np.linalg.norm(u) ** 2 for u in factors)
        losses.append(np.linalg.norm(x - dense(factors)) ** 2 + penalty)
    return factors, losses


def collinear(n: int, rank: int, cosine: float, seed: int = 0) -> list[np.ndarray]:
    """Factors of three modes whose columns have one cosine with each other: swamps."""
    rng = np.random.default_rng(seed)
    gram = np.full((rank, rank), cosine) + (1 - cosine) * np.eye(rank)
    root = np.linalg.cholesky(gram).T
    return [np.linalg.qr(rng.standard_normal((n, rank)))[0] @ root for _ in range(3)]


def border(n: int = 2, seed: int = 0) -> np.ndarray:
    """``abb + bab + bba``, of rank 3 and border rank 2."""
    rng = np.random.default_rng(seed)
    pairs = [np.eye(2) if n == 2 else rng.standard_normal((2, n)) for _ in range(3)]
    terms = [[pairs[k][0 if k == j else 1] for k in range(3)] for j in range(3)]
    return np.sum([np.einsum("i,j,k", *term) for term in terms], axis=0)


def multiplication(n: int) -> np.ndarray:
    """The tensor of the product of two n x n matrices (Strassen)."""
    t = np.zeros((n * n,) * 3)
    for i, j, k in np.ndindex(n, n, n):
        t[n * i + j, n * j + k, n * k + i] = 1
    return t


def as_cp(factors: Sequence[Any]) -> CP:
    return CP(list(factors))

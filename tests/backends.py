"""PyTorch and JAX in one dress, and arrays to try them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal


class Torch:
    name = "torch"

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from tensorcalculus.compiler import torch_kernels

        self.xp, self.kernels = self.torch, torch_kernels

    def array(self, x: Any, dtype: Any = np.float64) -> Any:
        return self.torch.tensor(np.array(x, dtype))

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        # What is compiled is the graph; machine code would need a compiler.
        self.torch._dynamo.reset()
        return self.torch.compile(f, backend="aot_eager", fullgraph=True, dynamic=False)

    def fast(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """``f`` as it runs quickest once."""
        return f

    def vmap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.torch.func.vmap(f)

    def grad(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.torch.func.grad(f)

    def jacobian(self, f: Callable[..., Any], forward: bool = False) -> Callable[..., Any]:
        return (self.torch.func.jacfwd if forward else self.torch.func.jacrev)(f)


class Jax:
    name = "jax"

    def __init__(self) -> None:
        self.jax = pytest.importorskip("jax", reason="JAX is not installed")
        from tensorcalculus.compiler import jax_kernels

        self.xp, self.kernels = self.jax.numpy, jax_kernels
        self.jit, self.vmap, self.grad = self.jax.jit, self.jax.vmap, self.jax.grad
        self.fast = self.jax.jit

    def array(self, x: Any, dtype: Any = np.float64) -> Any:
        return self.xp.asarray(np.array(x, dtype))

    def jacobian(self, f: Callable[..., Any], forward: bool = False) -> Callable[..., Any]:
        return (self.jax.jacfwd if forward else self.jax.jacrev)(f)


Backend = Torch | Jax


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Equal to within ``tolerance`` of the largest finite entry; inf and NaN at the same places."""
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            close(a, e, tolerance)
        return
    a, e = np.asarray(actual), np.asarray(expected)
    assert a.shape == e.shape
    finite = np.isfinite(e)
    assert_array_equal(np.where(finite, 0, a), np.where(finite, 0, e))
    size = np.abs(e[finite]).max(initial=0.0)
    assert_allclose(a[finite], e[finite], rtol=0, atol=tolerance * size)


def well(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape) / 3 + 2 * np.eye(shape[-2], shape[-1])


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    a = rng.normal(size=shape)
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def rank(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    return rng.normal(size=(n, r)) @ rng.normal(size=(r, n))


def exponentials(xp: Any) -> list[Callable[[Any], Any]]:
    """``exp(2t)`` and its derivatives."""
    return [lambda t, k=k: 2.0**k * xp.exp(2 * t) for k in range(6)]


def sines(xp: Any) -> list[Callable[[Any], Any]]:
    """The sine and its derivatives."""
    return [xp.sin, xp.cos, lambda t: -xp.sin(t), lambda t: -xp.cos(t), xp.sin]

"""The backends besides NumPy, each skipped where it is not installed."""

from collections.abc import Iterator
from typing import Any

import pytest
from backends import Backend, Jax, Torch


@pytest.fixture(params=[Torch, Jax], ids=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = request.param()
    if isinstance(made, Torch):
        yield made
        return
    before = made.jax.config.jax_enable_x64
    made.jax.config.update("jax_enable_x64", True)
    yield made
    made.jax.config.update("jax_enable_x64", before)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def jax() -> Iterator[Any]:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)

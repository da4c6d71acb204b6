"""Work whose derivatives are given, as PyTorch and JAX differentiate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tensorcalculus.networks.arrays import Array, is_abstract, is_jax


class Work(NamedTuple):
    """A function of arrays, and its adjoint.

    Cotangents are such that ``df = Re sum(conj(cotangent)*dx)``, as PyTorch has them.
    """

    forward: Callable[[Sequence[Array]], tuple[list[Array], Any]]
    """Outputs, and what the adjoint needs of them: arrays in lists and tuples."""
    backward: Callable[[Any, Sequence[Array]], list[Array]]
    """The cotangents of the arguments, from those of the outputs."""


def tracked(work: Work, arrays: Sequence[Array]) -> list[Array]:
    """The outputs, differentiable (once) in reverse mode by the framework of the arrays."""
    if is_jax(arrays[0]):
        return _by_jax(work, arrays)
    return _by_torch(work, arrays)


def _by_jax(work: Work, arrays: Sequence[Array]) -> list[Array]:
    import jax

    def forward(given: list[Array]) -> tuple[list[Array], Any]:
        return _without_compiling(work.forward, given)

    @jax.custom_vjp
    def outputs(given: list[Array]) -> list[Array]:
        return forward(given)[0]

    def pulled(residuals: Any, cotangents: list[Array]) -> tuple[list[Array]]:
        # JAX pairs cotangents with tangents without a conjugate.
        given = [c.conj() for c in cotangents]
        found = _without_compiling(work.backward, residuals, given)
        return ([g.conj() for g in found],)

    outputs.defvjp(forward, pulled)
    return outputs(list(arrays))


def _without_compiling(function: Callable[..., Any], *given: Any) -> Any:
    """A function of arrays in lists and tuples: in NumPy where JAX has their numbers on the CPU.

    Outside of `jax.jit`, JAX compiles each operation for each shape that it meets, which takes
    seconds for ranks that vary.
    """
    import jax

    leaves = jax.tree.leaves(given)
    if any(is_abstract(x) or _away(x) for x in leaves):
        return function(*given)
    made = function(*jax.tree.map(np.asarray, given))
    return jax.tree.map(jax.numpy.asarray, made)


def _away(x: Array) -> bool:
    return is_jax(x) and any(device.platform != "cpu" for device in x.devices())


def _by_torch(work: Work, arrays: Sequence[Array]) -> list[Array]:
    import torch
    from torch.autograd.function import once_differentiable

    held: list[Any] = []

    class Tracked(torch.autograd.Function):
        # The context apart, as `torch.func` wants it.
        @staticmethod
        def forward(*given: Any) -> Any:  # type: ignore[override]
            made, residuals = work.forward(given)
            held.append(residuals)
            # An output that is a view of an argument would be taken for the argument.
            return tuple(x.contiguous().clone() for x in made)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.residuals = held[-1]

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *cotangents: Any) -> Any:
            return tuple(work.backward(ctx.residuals, cotangents))

    return list(Tracked.apply(*arrays))

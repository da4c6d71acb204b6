"""Closed-form derivatives for PyTorch: a program as a `torch.autograd.Function`.

Its ``backward`` evaluates the vector-Jacobian products of the outputs as one formula, and its
``jvp`` their differential; both are programs of the same kind, so PyTorch differentiates again, to
any order, in reverse and forward mode and under `torch.func.vmap`.  Formulas are derived when a
derivative is first asked for, only by the tensors that need one.

A backward formula starts from the arguments: it computes anew what it shares with the values, and
keeps nothing but the arguments alive in between.

Under `torch.compile` the compiler differentiates the operations: it cannot look into a function
with a ``jvp``, and its backward pass shares what the forward one computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tensorcalculus.compiler.derivatives import Derivatives, differentiable
from tensorcalculus.compiler.program import Program


@dataclass(frozen=True)
class _Call:
    """A function at known sizes; one leaf of a tree, as a tuple would not be."""

    function: Callable[..., Any]
    lengths: tuple[int, ...]
    derivatives: Derivatives


class _Closed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, *arrays: Tensor) -> Any:
        _keep(ctx, call, arrays)
        return call.function(*arrays, *call.lengths)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        wanted = tuple(ctx.needs_input_grad[1:])
        given = tuple(g is not None for g in cotangents)
        if not any(wanted) or not any(given):
            return (None,) * (len(wanted) + 1)
        function = ctx.call.derivatives.pulled(wanted, given, ctx.call.lengths)
        seeds = [g for g in cotangents if g is not None]
        found = iter(function(*ctx.saved_tensors, *seeds))
        return (None, *(next(found) if w else None for w in wanted))

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Any:
        moving = tuple(t is not None for t in tangents[1:])
        function = ctx.call.derivatives.pushed(moving, ctx.call.lengths)
        seeds = [t for t in tangents[1:] if t is not None]
        found = _whole(function(*ctx.saved_tensors, *seeds))
        return found if len(found) > 1 else found[0]


class _Transformed(_Closed):
    """The same for `torch.func`, which needs the context apart; that takes longer."""

    generate_vmap_rule = True

    @staticmethod
    def forward(call: _Call, *arrays: Tensor) -> Any:  # type: ignore[override]
        return _whole(call.function(*arrays, *call.lengths))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        call, *arrays = inputs
        _keep(ctx, call, arrays)


def _whole(result: Any) -> Any:
    """Tensors that `torch.func` may write to, which one entry spread over an axis is not."""
    if isinstance(result, tuple):
        return tuple(t.contiguous() for t in result)
    return result.contiguous()


def _keep(ctx: Any, call: _Call, arrays: Sequence[Tensor]) -> None:
    ctx.call = call
    ctx.save_for_backward(*arrays)
    ctx.save_for_forward(*arrays)
    # A cotangent that is not there is None, and costs nothing.
    ctx.set_materialize_grads(False)


def closed(program: Program, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of arrays and sizes, differentiated by formulas where there are such."""
    if not differentiable(program):
        return function
    derivatives, count = Derivatives(program), len(program.variables)

    def evaluate(*args: Any) -> Any:
        arrays = args[:count]
        kind = _watched(arrays)
        if kind is None:
            return function(*args)
        return kind.apply(_Call(function, args[count:], derivatives), *arrays)

    return evaluate


def _watched(arrays: Sequence[Tensor]) -> type[_Closed] | None:
    """The function that a derivative by formulas needs, if any; they are of real arrays."""
    if torch.compiler.is_compiling() or any(a.is_complex() for a in arrays):
        return None
    if torch._C._are_functorch_transforms_active():
        return _Transformed
    forward = torch.autograd.forward_ad._current_level >= 0
    if forward or (torch.is_grad_enabled() and any(a.requires_grad for a in arrays)):
        return _Closed
    return None


# A compiler does not trace how source is written: it calls this once and keeps the key.
torch.compiler.assume_constant_result(Program.write)

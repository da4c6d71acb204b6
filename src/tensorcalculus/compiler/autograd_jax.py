"""Closed-form derivatives for JAX: a program under `jax.custom_jvp`, transposed by a formula.

`jax.custom_vjp` would forbid forward mode, and with it `jax.hessian`.  `jax.custom_jvp` alone would
leave reverse mode to JAX, which transposes the differential operation by operation: it cannot where
a kernel is linear in its tangent but not built of linear operations (`frechet`), and else it gives
the adjoint of the differential rather than the formula of the gradient.  So the tangents come from
a primitive of our own, linear in them, that is evaluated by the formula of the differential and
transposed by that of the vector-Jacobian products.  Both are programs of the same kind, which JAX
differentiates again.  Formulas are derived when a derivative is first asked for, only by the
arguments that move.

Values, differential and gradient are separate programs; what they share XLA finds under `jax.jit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from tensorcalculus.compiler.derivatives import Derivatives, Flags, differentiable
from tensorcalculus.compiler.program import Program

Array = jax.Array


def compiled(program: Program, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` of arrays and sizes under `jax.jit`, differentiated by formulas where there
    are such.
    """
    count = max(1, len(program.variables))  # where there is none, an array tells the type
    static = tuple(range(count, count + len(program.symbols)))
    if not differentiable(program):
        return jax.jit(function, static_argnums=static)
    derivatives = Derivatives(program)
    at = lru_cache(maxsize=None)(partial(_closed, function, derivatives))

    def evaluate(*args: Any) -> Any:
        arrays = args[:count]
        if any(jnp.issubdtype(a.dtype, jnp.complexfloating) for a in arrays):
            return function(*args)  # the formulas are those of real functions
        return at(args[count:])(*arrays)

    return jax.jit(evaluate, static_argnums=static)


def _closed(
    function: Callable[..., Any], derivatives: Derivatives, lengths: tuple[int, ...]
) -> Callable[..., Any]:
    """The function at known sizes with its differential."""

    def evaluate(*arrays: Array) -> Any:
        return function(*arrays, *lengths)

    def differential(primals: Sequence[Array], tangents: Sequence[Any]) -> Any:
        moving = tuple(not isinstance(t, SymbolicZero) for t in tangents)
        value = result(*primals)
        single = not isinstance(value, tuple)
        if not any(moving):
            zeros = tuple(map(jnp.zeros_like, (value,) if single else value))
            return value, zeros[0] if single else zeros
        linear = _Differential(derivatives, lengths, moving)
        directions = [t for t, m in zip(tangents, moving, strict=True) if m]
        found = tuple(_bind(primals, directions, linear))
        return value, found[0] if single else found

    result = jax.custom_jvp(evaluate)
    result.defjvp(differential, symbolic_zeros=True)
    return result


class _Linear(Protocol):
    """A map that is linear in the last of its arguments."""

    def forward(self, *args: Array) -> Sequence[Array]: ...

    def transposed(self, given: Flags, *args: Array) -> Sequence[Array]:
        """The adjoint, of the residuals and the cotangents that are given (not zero)."""
        ...


@dataclass(frozen=True)
class _Differential:
    """The outputs' tangents from those of the moving arguments."""

    derivatives: Derivatives
    lengths: tuple[int, ...]
    moving: Flags

    def forward(self, *args: Array) -> Sequence[Array]:
        return self.derivatives.pushed(self.moving, self.lengths)(*args)

    def transposed(self, given: Flags, *args: Array) -> Sequence[Array]:
        return self.derivatives.pulled(self.moving, given, self.lengths)(*args)


@dataclass(frozen=True)
class _Batched:
    """A linear map over a leading axis of its linear arguments, and some of the others."""

    linear: _Linear
    axes: tuple[int | None, ...]
    """Of the residuals."""

    def forward(self, *args: Array) -> Sequence[Array]:
        return self._mapped(self.linear.forward, args)

    def transposed(self, given: Flags, *args: Array) -> Sequence[Array]:
        return self._mapped(partial(self.linear.transposed, given), args)

    def _mapped(self, function: Callable[..., Any], args: Sequence[Array]) -> Sequence[Array]:
        axes = (*self.axes, *(0 for _ in args[len(self.axes) :]))
        return jax.vmap(function, in_axes=axes)(*args)


# -- the primitive -------------------------------------------------------------------------------

_linear_p = Primitive("closed_linear")
_linear_p.multiple_results = True


def _bind(residuals: Sequence[Array], directions: Sequence[Array], linear: _Linear) -> Any:
    return _linear_p.bind(*residuals, *directions, linear=linear, count=len(residuals))


def _evaluate(*args: Array, linear: _Linear, count: int) -> list[Array]:
    return list(linear.forward(*args))


def _abstract(*avals: Any, linear: _Linear, count: int) -> Any:
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals]
    return jax.make_jaxpr(linear.forward)(*shapes).out_avals


def _jvp(
    primals: Sequence[Array], tangents: Sequence[Any], *, linear: _Linear, count: int
) -> tuple[Any, Any]:
    value = _linear_p.bind(*primals, linear=linear, count=count)
    moving = [k for k, t in enumerate(tangents) if not isinstance(t, ad.Zero)]
    directions = [tangents[k] for k in moving]
    if moving == list(range(count, len(primals))):
        return value, _bind(primals[:count], directions, linear)

    def along(*moved: Array) -> Any:
        args = list(primals)
        for k, x in zip(moving, moved, strict=True):
            args[k] = x
        return list(linear.forward(*args))

    return value, jax.jvp(along, [primals[k] for k in moving], directions)[1]


def _transpose(cotangents: Sequence[Any], *args: Any, linear: _Linear, count: int) -> list[Any]:
    given = tuple(not isinstance(g, ad.Zero) for g in cotangents)
    if not any(given):
        return [None] * len(args)
    seeds = [g for g, there in zip(cotangents, given, strict=True) if there]
    found = linear.transposed(given, *args[:count], *seeds)
    return [*[None] * count, *found]


def _batch(
    args: Sequence[Array], dims: Sequence[Any], *, linear: _Linear, count: int
) -> tuple[Any, Any]:
    mapped = [(x, d) for x, d in zip(args, dims, strict=True) if d is not None]
    size = mapped[0][0].shape[mapped[0][1]]
    directions = [
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(args[count:], dims[count:], strict=True)
    ]
    axes = tuple(None if d is None else d for d in dims[:count])
    found = _bind(args[:count], directions, _Batched(linear, axes))
    return found, [0] * len(found)


_linear_p.def_impl(_evaluate)
_linear_p.def_abstract_eval(_abstract)
ad.primitive_jvps[_linear_p] = _jvp
ad.primitive_transposes[_linear_p] = _transpose
batching.primitive_batchers[_linear_p] = _batch
mlir.register_lowering(_linear_p, mlir.lower_fun(_evaluate, multiple_results=True))

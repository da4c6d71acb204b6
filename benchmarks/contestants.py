"""The other frameworks in ``derivatives.py``: the same derivative by each way that they have.

A contestant is a name, a call without arguments that returns when the numbers are there, and a
function that turns its result into NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from work import GRADIENT, HESSIAN, HVP, JACOBIAN, Arrays, Row

MEMORY = 8e9
"""Bytes that a contestant may need."""
COPIES = 4
"""Arrays of the size of the largest one, times the size of the variable, that are alive at once."""
PEERS = ("jax", "torch", "autograd")


@dataclass
class Contestant:
    """One way to the numbers of a row."""

    name: str
    call: Callable[[], Any]
    numbers: Callable[[Any], list[np.ndarray]]
    times: list[float] = field(default_factory=list)
    batch: int = 1
    spent: float = 0.0
    error: float = 0.0

    @property
    def peer(self) -> str:
        return self.name.split()[0]


def plain(result: Any) -> list[np.ndarray]:
    """Arrays of a result, one or several."""
    several = isinstance(result, (list, tuple))
    return [np.asarray(r) for r in (result if several else [result])]


def does_not_fit(row: Row, arrays: Arrays) -> bool:
    """Whether a derivative batched over all entries of the variable needs too much memory."""
    if row.kind in (GRADIENT, HVP):
        return False
    size = int(np.prod([a.size for name, a in arrays.items() if name in row.wrt]))
    rows = size if row.kind == HESSIAN else max(size, 1) / 100
    return rows * row.largest * COPIES > MEMORY


def peers(row: Row, arrays: Arrays, threads: int) -> tuple[list[Contestant], list[str]]:
    """All contestants of all frameworks for a row, and why some are left out."""
    made: list[Contestant] = []
    notes = []
    if row.dense is not None:
        return made, notes
    for peer, build in (("jax", _jax), ("torch", _torch), ("autograd", _autograd)):
        skip = row.skip or {}
        reason = skip.get(peer) or (skip.get(f"{peer} with threads") if threads > 1 else None)
        if find_spec(peer) is None:
            notes.append(f"{peer} is not installed (`pip install {peer}`)")
        elif reason is not None:
            notes.append(f"{row.name}: {peer} left out, {reason}")
        elif peer != "autograd" and does_not_fit(row, arrays):
            notes.append(f"{row.name}: {peer} does not fit into {MEMORY / 1e9:.0f} GB")
        else:
            made += build(row, list(arrays.values()), threads)
    return made, notes


def tensorgrad_note() -> str:
    """Why tensorgrad is not among them."""
    if find_spec("tensorgrad") is None:
        return "tensorgrad is not installed (`pip install tensorgrad`)"
    return (
        "tensorgrad 0.3 evaluates through PyTorch's named tensors, which PyTorch 2.13 no longer "
        "has; benchmarks/derive.py compares derivations with it"
    )


# -- JAX -----------------------------------------------------------------------------------------


def _jax(row: Row, arrays: Sequence[np.ndarray], threads: int) -> list[Contestant]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    words = SimpleNamespace(
        tanh=jnp.tanh,
        softplus=jax.nn.softplus,
        softmax=jax.nn.softmax,
        logsumexp=lambda z: jax.scipy.special.logsumexp(z, axis=1),
        solve=jnp.linalg.solve,
        einsum=jnp.einsum,
    )
    held = [jnp.asarray(a) for a in arrays]

    def f(*args: Any) -> Any:
        return row.peer(words, *args)

    several = tuple(range(len(row.wrt)))
    ways: dict[str, Callable[..., Any]] = {}
    if row.kind == GRADIENT:
        ways["grad"] = jax.grad(f, several if len(several) > 1 else 0)
    elif row.kind == HESSIAN:
        ways["hessian"] = jax.hessian(f)
        ways["revrev"] = jax.jacrev(jax.jacrev(f))
    elif row.kind == JACOBIAN:
        ways["jacrev"] = jax.jacrev(f)
        ways["jacfwd"] = jax.jacfwd(f)
    else:
        ways["forward over reverse"] = lambda x, *rest: jax.jvp(
            lambda u: jax.grad(f)(u, *rest[:-1]), (x,), (rest[-1],)
        )[1]
        ways["reverse over reverse"] = lambda x, *rest: jax.grad(
            lambda u: (jax.grad(f)(u, *rest[:-1]) * rest[-1]).sum()
        )(x)

    def contestant(name: str, way: Callable[..., Any]) -> Contestant:
        run = jax.jit(way)
        return Contestant(f"jax {name}", lambda: jax.block_until_ready(run(*held)), plain)

    return [contestant(name, way) for name, way in ways.items() if _worth(row, arrays, name)]


def _worth(row: Row, arrays: Sequence[np.ndarray], way: str) -> bool:
    """Forward mode by a matrix is no contestant: it takes one pass an entry."""
    if way != "jacfwd":
        return True
    return arrays[0].size <= 2000


# -- PyTorch -------------------------------------------------------------------------------------


def _torch(row: Row, arrays: Sequence[np.ndarray], threads: int) -> list[Contestant]:
    import torch
    from torch import func

    if threads:
        torch.set_num_threads(threads)
    words = SimpleNamespace(
        tanh=torch.tanh,
        # softplus itself is cut off above a threshold, an error of 2e-9
        softplus=lambda z: torch.logaddexp(z, torch.zeros((), dtype=z.dtype)),
        softmax=lambda z: torch.softmax(z, -1),
        logsumexp=lambda z: torch.logsumexp(z, 1),
        solve=torch.linalg.solve,
        einsum=torch.einsum,
    )
    held = [torch.from_numpy(a) for a in arrays]

    def f(*args: Any) -> Any:
        return row.peer(words, *args)

    several = tuple(range(len(row.wrt)))
    ways: dict[str, Callable[..., Any]] = {}
    if row.kind == GRADIENT:
        ways["func.grad"] = func.grad(f, several if len(several) > 1 else 0)
        ways["autograd.grad"] = _torch_backward(f, len(several))
    elif row.kind == HESSIAN:
        ways["hessian"] = func.hessian(f)
        ways["revrev"] = func.jacrev(func.jacrev(f))
    elif row.kind == JACOBIAN:
        ways["jacrev"] = func.jacrev(f)
        ways["jacfwd"] = func.jacfwd(f)
    else:
        ways["forward over reverse"] = lambda x, *rest: func.jvp(
            lambda u: func.grad(f)(u, *rest[:-1]), (x,), (rest[-1],)
        )[1]
        ways["reverse over reverse"] = lambda x, *rest: func.grad(
            lambda u: (func.grad(f)(u, *rest[:-1]) * rest[-1]).sum()
        )(x)

    def contestant(name: str, way: Callable[..., Any]) -> Contestant:
        return Contestant(f"torch {name}", lambda: way(*held), _from_torch)

    return [contestant(name, way) for name, way in ways.items() if _worth(row, arrays, name)]


def _torch_backward(f: Callable[..., Any], count: int) -> Callable[..., Any]:
    """The gradient as training code takes it, without ``torch.func``."""
    import torch

    def gradient(*args: Any) -> Any:
        wrt = [a.detach().requires_grad_() for a in args[:count]]
        return torch.autograd.grad(f(*wrt, *args[count:]), wrt)

    return gradient


def _from_torch(result: Any) -> list[np.ndarray]:
    several = isinstance(result, (list, tuple))
    return [r.detach().numpy() for r in (result if several else [result])]


# -- autograd ------------------------------------------------------------------------------------


def _autograd(row: Row, arrays: Sequence[np.ndarray], threads: int) -> list[Contestant]:
    from autograd import differential_operators
    from autograd.scipy.special import logsumexp

    # Both make their functions at run time, out of a type checker's sight.
    ways: Any = differential_operators
    anp: Any = import_module("autograd.numpy")
    words = SimpleNamespace(
        tanh=anp.tanh,
        softplus=lambda z: anp.logaddexp(z, 0.0),
        softmax=lambda z: anp.exp(z - logsumexp(z)),
        logsumexp=lambda z: logsumexp(z, axis=1),
        solve=anp.linalg.solve,
        einsum=anp.einsum,
    )

    def f(*args: Any) -> Any:
        return row.peer(words, *args)

    if row.kind == GRADIENT:
        several = tuple(range(len(row.wrt)))
        run = ways.grad(f, several if len(several) > 1 else 0)
    elif row.kind == HESSIAN:
        run = ways.hessian(f)
    elif row.kind == JACOBIAN:
        run = ways.jacobian(f)
    else:
        point, direction = arrays[:-1], arrays[-1]
        return [Contestant("autograd hvp", lambda: ways.make_hvp(f)(*point)[0](direction), plain)]
    return [Contestant("autograd", lambda: run(*arrays), plain)]

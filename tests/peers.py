"""The functions of ``robustness.json`` written by hand for JAX, PyTorch and autograd.

Each returns the gradient that the framework computes, as a NumPy array.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np


def installed() -> list[str]:
    """The frameworks that are there."""
    return [name for name in PEERS if importlib.util.find_spec(name) is not None]


def gradient(peer: str, case: str, point: dict[str, np.ndarray], wrt: str) -> np.ndarray | str:
    """The gradient by one framework, or what it raised."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(PEERS[peer](case, point, wrt))
    except Exception as error:
        return f"raises {type(error).__name__}"


def _svd_sum(xp: Any, x: Any) -> Any:
    u, s, vt = xp.linalg.svd(x, full_matrices=False)
    return (u * s @ vt).sum()


def _eigh_square(xp: Any, x: Any) -> Any:
    d, v = xp.linalg.eigh(x)
    return (v * d**2 @ v.T).sum()


def _svdvals(xp: Any, x: Any) -> Any:
    return xp.linalg.svd(x, full_matrices=False)[1].sum()


def _xlogy(xp: Any, x: Any) -> Any:
    return (x * xp.log(x)).sum()


# One formula serves all: the frameworks share NumPy's names.
FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "softplus_large": lambda xp, x: xp.log(1 + xp.exp(x)).sum(),
    "logsumexp_large": lambda xp, x: xp.log(xp.exp(x).sum()),
    "norm_at_zero": lambda xp, x: xp.linalg.norm(x),
    "sqrt_sum_squares_at_zero": lambda xp, x: xp.sqrt((x**2).sum()),
    "power_zero_exponent": lambda xp, x: (x ** (0 * x)).sum(),
    "entropy_at_zero": _xlogy,
    "svd_reconstruction_at_identity": _svd_sum,
    "eigh_square_at_identity": _eigh_square,
    "nuclear_rank_deficient": _svdvals,
    "eigenvalue_sum_at_identity": lambda xp, x: xp.linalg.eigh(x)[0].sum(),
    "logdet_tiny": lambda xp, x: xp.log(xp.linalg.det(x)),
    "log_det_underflow": lambda xp, x: xp.log(xp.linalg.det(x)),
    "sigmoid_product_tail": lambda xp, x: (xp.exp(-x) / (1 + xp.exp(-x)) ** 2).sum(),
    "tanh_saturated_log": lambda xp, x: xp.log(1 - xp.tanh(x) ** 2).sum(),
    "det_singular": lambda xp, x: xp.linalg.det(x),
    "det_singular_diag": lambda xp, x: xp.linalg.det(x),
    "det_rank_deficient_by_two": lambda xp, x: xp.linalg.det(x),
    "product_with_zero": lambda xp, x: xp.prod(x),
}


def _formula(case: str, xp: Any, point: dict[str, Any], wrt: str) -> Callable[[Any], Any]:
    if case == "softmax_large":
        return lambda x: (point["a"] * (xp.exp(x) / xp.exp(x).sum())).sum()
    return lambda x: FORMULAS[case](xp, x)


def _jax(case: str, point: dict[str, np.ndarray], wrt: str) -> np.ndarray:
    import jax

    jax.config.update("jax_enable_x64", True)
    return np.asarray(jax.grad(_formula(case, jax.numpy, point, wrt))(jax.numpy.array(point[wrt])))


def _torch(case: str, point: dict[str, np.ndarray], wrt: str) -> np.ndarray:
    import torch

    held = {k: torch.tensor(v) for k, v in point.items()}
    x = held[wrt].clone().requires_grad_()
    _formula(case, torch, held, wrt)(x).backward()
    assert x.grad is not None
    return x.grad.numpy()


def _autograd(case: str, point: dict[str, np.ndarray], wrt: str) -> np.ndarray:
    import autograd
    import autograd.numpy

    return autograd.grad(_formula(case, autograd.numpy, point, wrt))(point[wrt])


PEERS = {"jax": _jax, "torch": _torch, "autograd": _autograd}

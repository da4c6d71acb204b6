"""Arrays of NumPy, PyTorch and JAX: their namespace, and the factorisations that formats share.

Only what the libraries spell alike is used on arrays directly (``@``, ``reshape``, ``mT``,
``conj()``); everything else goes through the namespace of ``array-api-compat``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError

Array = Any
"""An array of NumPy, PyTorch or JAX."""

NOT_DENSE = "ask for some entries, or sum over modes"
"""What to do with a tensor that no memory holds."""

_NAMESPACES: dict[type, Any] = {}


def namespace(x: Array) -> Any:
    """The array-API namespace of an array, remembered by type: the lookup costs more than a dot."""
    found = _NAMESPACES.get(type(x))
    if found is None:
        from array_api_compat import array_namespace

        try:
            # NumPy 2 is of the standard itself, and its `qr` has a mode without Q.
            found = np if isinstance(x, np.ndarray) else array_namespace(x)
        except TypeError:
            raise InputError(
                f"an array of NumPy, PyTorch or JAX is expected, not {type(x).__name__}"
            ) from None
        _NAMESPACES[type(x)] = found
    return found


def is_array(x: object) -> bool:
    """Whether `x` is an array of one of the libraries (NumPy scalars are not)."""
    return hasattr(x, "shape") and hasattr(x, "reshape") and not isinstance(x, np.generic)


def floating(x: Any) -> Array:
    """An array of float or complex type; lists and numbers become NumPy arrays."""
    if not is_array(x):
        x = np.asarray(x)
    xp = namespace(x)
    if isinstance(x, np.ndarray) and x.dtype.kind not in "biufc":
        raise InputError(f"numbers are expected, not an array of type {x.dtype}")
    if not xp.isdtype(x.dtype, ("real floating", "complex floating")):
        return xp.astype(x, xp.asarray(1.0).dtype)
    return x


def is_jax(x: Array) -> bool:
    """Whether an array is JAX's, so that it may be traced and its entries unknown."""
    return namespace(x).__name__.startswith("jax")


def is_abstract(x: Array) -> bool:
    """Whether JAX traces, or `torch.func` transforms: there are no numbers to be looked at."""
    if hasattr(x, "detach"):
        import torch

        known: Any = torch._C
        return known._functorch.is_functorch_wrapped_tensor(x)
    if not is_jax(x):
        return False
    from jax.core import Tracer

    return isinstance(x, Tracer)


def is_tracked(arrays: Sequence[Array]) -> bool:
    """Whether derivatives by one of the arrays may be asked for, or JAX traces."""
    if any(getattr(x, "requires_grad", False) for x in arrays):
        import torch

        return torch.is_grad_enabled()
    return any(map(is_abstract, arrays))


def is_complex(x: Array) -> bool:
    return bool(namespace(x).isdtype(x.dtype, "complex floating"))


def same_type(arrays: Sequence[Any], name: str) -> list[Array]:
    """Arrays of one library and one type: numbers are promoted, libraries are not mixed."""
    made = [floating(x) for x in arrays]
    libraries = {namespace(x).__name__ for x in made}
    if len(libraries) > 1:
        found = ", ".join(sorted(libraries))
        raise InputError(f"{name}: arrays of one library are expected, not of {found}")
    if len({x.dtype for x in made}) > 1:
        xp = namespace(made[0])
        kind = xp.result_type(*(x.dtype for x in made))
        made = [xp.astype(x, kind) for x in made]
    return made


def like(values: np.ndarray, x: Array) -> Array:
    """NumPy numbers as an array of the library, type and device of `x`."""
    xp = namespace(x)
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype, copy=False)
    return xp.astype(xp.asarray(values, device=_device(x)), x.dtype)


def _device(x: Array) -> Any:
    # Inside `jax.jit` an array has no device yet.
    from array_api_compat import device, is_torch_array

    return device(x) if is_torch_array(x) else None


def zeros(shape: Sequence[int], x: Array) -> Array:
    """Zeros of the library, type and device of `x`."""
    place = {"device": x.device} if hasattr(x, "detach") else {}
    return namespace(x).zeros(tuple(shape), dtype=x.dtype, **place)


def numpy_of(x: Array) -> np.ndarray:
    """The numbers of an array, in NumPy."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "detach"):
        x = x.detach().resolve_conj().cpu()
    return np.asarray(x)


def epsilon(x: Array) -> float:
    """The distance from 1 to the next number of the type of `x`."""
    return float(namespace(x).finfo(x.dtype).eps)


def H(x: Array) -> Array:
    """The conjugate transpose of a matrix."""
    return x.mT.conj()


def norm(x: Array) -> float:
    """The Frobenius norm, as a Python number."""
    flat = x.reshape(-1)
    with np.errstate(over="ignore"):
        value = float(numpy_of(namespace(x).linalg.vector_norm(flat)))
    if math.isinf(value) or (value < 1e-140 and value > 0):
        # Squares left the range of the type: scale first.
        top = float(numpy_of(namespace(x).max(abs(flat))))
        if math.isfinite(top) and top > 0:
            value = top * float(numpy_of(namespace(x).linalg.vector_norm(flat / top)))
    return value


def gaussian(shape: tuple[int, ...], x: Array, rng: np.random.Generator) -> Array:
    """Independent standard normal numbers of the type of `x` (complex: of unit variance)."""
    if is_complex(x):
        values = rng.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * math.sqrt(0.5)
    else:
        values = rng.standard_normal(shape)
    return like(values, x)


def uniform(shape: tuple[int, ...], x: Array, rng: np.random.Generator) -> Array:
    """Independent numbers of mean 0 and variance 1 from an interval, of the type of `x`.

    For sketches they do what normal ones do (bounded, with a density: no two columns agree by
    chance, as signs would), and take a fifth of the time to draw.
    """
    values = rng.random((*shape, 2) if is_complex(x) else shape)
    values -= 0.5
    values *= math.sqrt(6 if is_complex(x) else 12)
    return like(values.view(np.complex128)[..., 0] if is_complex(x) else values, x)


def qr(x: Array) -> tuple[Array, Array]:
    """The thin QR factorisation."""
    q, r = namespace(x).linalg.qr(x)
    return q, r


def svd(x: Array) -> tuple[Array, np.ndarray, Array]:
    """The thin SVD; singular values in NumPy, as they decide on ranks.

    Of a matrix that is far from square, only the triangular factor is decomposed.
    """
    rows, columns = x.shape
    if is_tracked([x]):
        raise InputError(
            "this operation chooses ranks by singular values, and has no derivative here; those of"
            " TT.round, TT.multiply, TT.reshape, TT.from_dense and Tucker.from_dense (st-hosvd)"
            " have. Detach the arrays (PyTorch), or leave jax.grad and jax.jit, to go on"
        )
    if rows > 2 * columns:
        q, r = qr(x)
        u, s, vh = svd(r)
        return q @ u, s, vh
    if columns > 2 * rows:
        u, s, vh = svd(H(x))
        return H(vh), s, H(u)
    try:
        u, s, vh = namespace(x).linalg.svd(x, full_matrices=False)
    except (np.linalg.LinAlgError, RuntimeError):
        if not np.isfinite(numpy_of(x)).all():
            raise InputError("the numbers of a tensor must be finite; NaN or inf was met") from None
        # Divide and conquer may fail to converge where plain QR iteration does not.
        from scipy.linalg import svd as careful

        parts = careful(numpy_of(x), full_matrices=False, lapack_driver="gesvd")
        u, s, vh = like(parts[0], x), parts[1], like(parts[2], x)
    return u, numpy_of(s), vh


def triangular_factor(x: Array) -> Array:
    """R of ``x = Q R`` for a tall matrix, without Q, by blocks that stay in the cache (TSQR).

    Demmel, Grigori, Hoemmen, Langou, Communication-optimal parallel and sequential QR and LU
    factorizations, SIAM J. Sci. Comput. 34 (2012): the R factors of blocks of rows are stacked and
    factored again.  ``R^H R = x^H x``, as accurate as Householder's method on the whole.
    """
    xp = namespace(x)
    while True:
        rows, columns = x.shape
        height = max(4 * columns, 64)
        if rows < 2 * height:
            return _r(x)
        blocks = rows // height
        stacked = _r(x[: blocks * height].reshape(blocks, height, columns))
        rest = x[blocks * height :]
        x = stacked.reshape(-1, columns)
        if rest.shape[0]:
            x = xp.concat([x, rest])


def flattened(x: Array) -> Array:
    """A matrix with at most as many rows as columns, and the same ``x^H x``."""
    return triangular_factor(x) if x.shape[0] > x.shape[1] else x


def _r(x: Array) -> Array:
    if hasattr(x, "detach"):
        import torch

        return torch.linalg.qr(x, mode="r")[1]
    return namespace(x).linalg.qr(x, mode="r")


def rank_within(s: np.ndarray, delta: float, max_rank: int | None = None) -> int:
    """The smallest ``r >= 1`` with ``norm(s[r:]) <= delta``, at most `max_rank`."""
    top = float(s[0]) or 1.0  # squares of what is not scaled may underflow
    tails = np.sqrt(np.cumsum((s[::-1].astype(np.float64) / top) ** 2))[::-1]
    rank = max(1, int(np.count_nonzero(tails > delta / top)))
    return rank if max_rank is None else min(rank, max_rank)


def checked_tolerance(tol: float, max_rank: int | None, x: Array) -> float:
    """The tolerance, at least a few roundings of the type: below that, only noise would be kept.

    Raises
    ------
    InputError
        Unless ``0 <= tol`` is finite and `max_rank` is a positive integer or None.
    """
    if not (isinstance(tol, int | float | np.number) and math.isfinite(tol) and tol >= 0):
        raise InputError(f"tol: a number that is not negative is expected, not {tol!r}")
    if max_rank is not None and (isinstance(max_rank, bool) or int(max_rank) < 1):
        raise InputError(f"max_rank: a positive integer or None is expected, not {max_rank!r}")
    return max(float(tol), 4 * epsilon(x))


def check_memory(count: int, x: Array, what: str, remedy: str) -> None:
    """Refuse an array of `count` numbers of the type of `x` beyond all memory of this machine.

    Systems that promise more memory than there is end a process that uses it.

    Raises
    ------
    InputError
    """
    size, most = min(count * x.dtype.itemsize, 10**300), _memory()
    if size > most:
        raise InputError(
            f"{what} would take {size:.1e} bytes, more than this machine's {most:.1e}; {remedy}"
        )


@cache
def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not told by this system
        return 2**44

"""Small functions that every module written may hold: arguments read, shapes checked."""

from __future__ import annotations

TEMPLATES = {
    "_check": '''\
def {_check}(name: str, array: {Array}, shape: tuple[int, ...], words: str) -> None:
    """Refuse an array of another shape than that expected."""
    if tuple(array.shape) != shape:
        found = tuple(array.shape)
        raise ValueError(f"{{name}} has shape {{found}}; expected {{words}} = {{shape}}")
''',
    "_solve": '''\
def {_solve}(words: str, length: int, factor: int) -> int:
    """A size of which ``length`` is the multiple by ``factor``."""
    if factor == 0 or length % factor or length // factor < 0:
        raise ValueError(f"{{words}} has a length that no size gives")
    return length // factor
''',
    "_size": '''\
def {_size}(name: str, value: int) -> int:
    """A size given as a number."""
    if not hasattr(value, "__index__") or value < 0:
        raise ValueError(f"the size {{name}} is a non-negative integer, not {{value!r}}")
    return value.__index__()
''',
}

ARRAY = {
    "numpy": '''\
def {_array}(name: str, value: ArrayLike, ndim: int, words: str) -> np.ndarray:
    """A value as an array of floating or complex numbers."""
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if array.dtype.kind not in "fc":
        raise ValueError(f"{{name}} holds entries of type {{array.dtype}}, not numbers")
    if array.ndim != ndim:
        raise ValueError(f"{{name}} has shape {{array.shape}}; expected {{words}}")
    return array
''',
    "torch": '''\
def {_array}(
    name: str,
    value: Any,
    ndim: int,
    words: str,
    kind: tuple[torch.dtype, Any],
) -> torch.Tensor:
    """A value as a tensor of the type and on the device of all arguments."""
    dtype, device = kind
    if not isinstance(value, torch.Tensor):
        value = torch.as_tensor(np.asarray(value))
    array = value.to(dtype=dtype, device=device or value.device)
    if array.ndim != ndim:
        raise ValueError(f"{{name}} has shape {{tuple(array.shape)}}; expected {{words}}")
    return array


def {_type}(*values: Any) -> tuple[torch.dtype, Any]:
    """The type and the device of what is made of some values; numbers do not decide."""
    dtype, device = None, None
    for value in values:
        if isinstance(value, (int, float)):
            continue
        if isinstance(value, torch.Tensor):
            device = device or value.device
        else:
            value = torch.as_tensor(np.asarray(value))
        if value.is_floating_point() or value.is_complex():
            dtype = torch.promote_types(dtype or value.dtype, value.dtype)
    return dtype or torch.get_default_dtype(), device
''',
    "jax": '''\
def {_array}(
    name: str,
    value: ArrayLike,
    ndim: int,
    words: str,
    dtype: Any,
) -> jax.Array:
    """A value as an array of the type of all arguments."""
    array = jnp.asarray(value, dtype)
    if array.ndim != ndim:
        raise ValueError(f"{{name}} has shape {{array.shape}}; expected {{words}}")
    return array


def {_type}(*values: ArrayLike) -> Any:
    """The type of what is made of some values; integers and numbers do not decide."""
    arrays = [jnp.asarray(value) for value in values]
    inexact = [a for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
    return jnp.result_type(*inexact) if inexact else jnp.result_type(float)
''',
}

OWN = {
    "one": '''\
def {_own}(result: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
    """A result that may be written to and shares no memory with an argument."""
    if not isinstance(result, np.ndarray):
        return result
    shared = any(np.may_share_memory(result, a) for a in arrays)
    return result.copy() if shared or not result.flags.writeable else result
''',
    "several": '''\
def {_own}(results: tuple, *arrays: np.ndarray) -> tuple:
    """Results that may be written to and share no memory with an argument."""
    owned = []
    for result in results:
        shared = any(np.may_share_memory(result, a) for a in arrays)
        view = isinstance(result, np.ndarray) and (shared or not result.flags.writeable)
        owned.append(result.copy() if view else result)
    return tuple(owned)
''',
}

SELF_TEST = '''\
def {_self_test}() -> None:
    """Compare results with the numbers that were stored when this file was written."""
{prepare}    results = {call}
    worst = 0.0
    pairs = zip(results, {_EXPECTED}, strict=True)
    for k, (result, (shape, step, text)) in enumerate(pairs):
        found, wanted = np.asarray(result), np.array(text.split(), dtype=float)
        if found.shape != shape:
            raise SystemExit(f"result {{k}} has shape {{found.shape}}; expected {{shape}}")
        if not wanted.size:
            continue
        error = np.abs(found.ravel()[::step] - wanted).max()
        error = float(error / max(1.0, np.abs(wanted).max()))
        if not error <= 1e-9:
            raise SystemExit(f"result {{k}} is wrong, by {{error:.1e}}")
        worst = max(worst, error)
    print(f"ok, largest error {{worst:.1e}}")


if __name__ == "__main__":
    {_self_test}()
'''

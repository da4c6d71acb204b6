"""What differs between the backends in generated source: the module, and how arrays are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError

_MODULE = re.compile(r"\bnp\.")
_ARRAY = re.compile(r"\b[tx]\d")


class Target:
    """NumPy; the others say what they spell differently."""

    name = "numpy"
    module = "np"
    functional = False
    """Whether arrays cannot be written into, so that structure is placed by functions."""

    def spell(self, template: str) -> str:
        """A template of the tables in the words of this backend."""
        return _MODULE.sub(f"{self.module}.", template)

    def call(self, name: str, *args: str) -> str:
        return f"{self.module}.{name}({', '.join(args)})"

    def transposed(self, text: str, axes: Sequence[int]) -> str:
        if tuple(axes) == (1, 0):
            return f"{text}.T"
        return f"{text}.transpose({', '.join(map(str, axes))})"

    def zeros(self, shape: str) -> str:
        return f"np.zeros({shape}, dtype)"

    def full(self, shape: str, value: str) -> str:
        return f"np.full({shape}, {value})"

    def placed(self, value: str, pattern: str, shape: str) -> str:
        """``value`` along a diagonal of zeros, where arrays cannot be written into."""
        if not _ARRAY.search(value):
            value = self.constant(value)
        return f'kernels.diagonal({value}, "{pattern}", {shape})'

    def constant(self, text: str) -> str:
        """A Python number as an array."""
        return f"np.float64({text})"

    def argument(self, text: str) -> str:
        """A Python number as an argument of an elementwise function."""
        return text

    def copied(self, text: str) -> str:
        return f"{text}.copy()"

    def load(self, text: str) -> Callable:
        """Turn generated source into a function; it holds identifiers of our making only."""
        namespace = self.namespace()
        exec(compile(text, "<tensorcalculus>", "exec"), namespace)
        return namespace["evaluate"]

    def namespace(self) -> dict[str, Any]:
        """What generated source refers to."""
        from tensorcalculus.compiler import (
            divided_differences,
            factors,
            kernels,
            spectral_kernels,
        )

        return {
            "np": np,
            "factors": factors,
            "kernels": kernels,
            "spectral_kernels": spectral_kernels,
            "divided_difference": divided_differences.divided_difference,
            "signed_difference": divided_differences.signed_difference,
        }

    def key(self, arrays: Sequence[Any]) -> Any:
        """Shapes and types, under which arrays need to be checked once only.

        Raises AttributeError for what is not an array of this backend.
        """
        # The character of a type costs less than the type; those of other kinds are not kept.
        return tuple([(a.shape, a.dtype.char, a.__class__) for a in arrays])

    def array(self, name: str, value: Any) -> Any:
        """A value given by a user as an array of floating or complex numbers."""
        if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
            raise InputError(f"{name} is a sparse matrix; give a dense array: {name}.toarray()")
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise InputError(f"{name} cannot be read as an array: {error}") from None
        if array.dtype.kind in "biu":
            array = array.astype(np.float64)
        if array.dtype.kind not in "fc":
            raise InputError(
                f"{name} holds entries of type {array.dtype}; an array of numbers is expected"
            )
        return array

    def dtype(self, arrays: Sequence[str]) -> list[str]:
        """Lines that name the type of results, where zeros are made."""
        return [f"dtype = np.result_type({', '.join(arrays) or 'float'})"]


class JaxTarget(Target):
    """JAX: no writing into arrays."""

    name = "jax"
    module = "jnp"
    functional = True

    def zeros(self, shape: str) -> str:
        return f"jnp.zeros({shape}, dtype)"

    def full(self, shape: str, value: str) -> str:
        return f"jnp.broadcast_to({value}, {shape})"

    def constant(self, text: str) -> str:
        return f"jnp.asarray({text}, dtype)"

    def dtype(self, arrays: Sequence[str]) -> list[str]:
        return [f"dtype = jnp.result_type({', '.join(arrays) or 'float'})"]


class TorchTarget(Target):
    """PyTorch: results on the device of the arguments."""

    name = "torch"
    module = "torch"
    functional = True

    def transposed(self, text: str, axes: Sequence[int]) -> str:
        if tuple(axes) == (1, 0):
            return f"{text}.T"
        return f"{text}.permute({', '.join(map(str, axes))})"

    def zeros(self, shape: str) -> str:
        return f"torch.zeros({shape}, dtype=dtype, device=device)"

    def full(self, shape: str, value: str) -> str:
        return f"torch.broadcast_to({self.argument(value)}, {shape})"

    def constant(self, text: str) -> str:
        return f"torch.tensor({text}, dtype=dtype, device=device)"

    def argument(self, text: str) -> str:
        return text if _ARRAY.search(text) else self.constant(text)

    def copied(self, text: str) -> str:
        return f"{text}.clone()"

    def dtype(self, arrays: Sequence[str]) -> list[str]:
        if not arrays:
            return ["dtype, device = torch.get_default_dtype(), None"]
        return [f"dtype, device = kernels.common({', '.join(arrays)})"]


TARGETS: dict[str, Target] = {t.name: t for t in (Target(), TorchTarget(), JaxTarget())}

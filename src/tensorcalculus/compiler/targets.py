"""What differs between the backends: how source is spelled, loaded, and given its arrays."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from tensorcalculus.compiler.program import Program
    from tensorcalculus.compiler.store import Store

# Numbers and slices are NumPy's in all modules.
_MODULE = re.compile(r"\bnp\.(?!pi\b|s_)")
_ARRAY = re.compile(r"\b(?:[tx]\d|t\b|kernels\.|factors\.|torch\.|jnp\.)")
"""What stands in a text that is an array; any other is a Python number."""


class Target:
    """NumPy; the others say what they spell differently."""

    name = "numpy"
    module = "np"
    functional = False
    """Whether arrays cannot be written into, so that structure is placed by functions."""
    aliases = False
    """Whether results that are views of arguments are copied in the source."""

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

    def spread(self, text: str, shape: str) -> str:
        """An array or a number along all entries of a shape, perhaps as a view."""
        return self.call("broadcast_to", self.argument(text), shape)

    def number(self, text: str) -> str:
        """A function of numbers and sizes, spelled for NumPy, as a Python number."""
        if self.functional:
            text = text.replace("kernels.", "constants.")
        return f"float({text})"

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

    def load(self, text: str, store: Store | None = None) -> Callable:
        """Turn generated source into a function; it holds identifiers of our making only."""
        namespace = {**self.namespace(), "store": store}
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

    def traits(self, name: str) -> str:
        """Source of what decides whether an array needs to be checked, each part with a comma.

        AttributeError is raised for what is not an array of this backend.
        """
        return f"{name}.shape, {name}.dtype, {name}.__class__,"

    def trait(self, array: Any) -> Any:
        """What the source of :meth:`traits` may call."""
        raise AttributeError

    def finish(self, program: Program, function: Callable) -> Callable:
        """The loaded function as a program calls it: differentiated in closed form, compiled."""
        return function

    def mapped(self, function: Callable, arrays: dict[str, Any]) -> Any:
        """The results of a function of named arrays for all entries of their leading axes."""
        (length, *_) = (len(a) for a in arrays.values())
        found = [function({n: a[k] for n, a in arrays.items()}) for k in range(length)]
        if isinstance(found[0], tuple):
            return tuple(np.stack(parts) for parts in zip(*found, strict=True))
        return np.stack(found)

    def together(self, given: Mapping[str, Any], arrays: list[Any]) -> list[Any]:
        """The arrays of all variables, made from the values given, of one type on one device."""
        return arrays

    def array(self, name: str, value: Any) -> Any:
        """A value given by a user as an array of floating or complex numbers."""
        if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
            raise InputError(f"{name} is a sparse matrix; give a dense array: {name}.toarray()")
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as error:
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


class _FrameworkTarget(Target):
    """What PyTorch and JAX have in common."""

    functional = True
    title: str
    package: str
    """The module that generated source calls."""
    loaded: ModuleType | None = None

    def imported(self) -> ModuleType:
        """The framework; InputError where it is not installed."""
        if self.loaded is not None:
            return self.loaded  # a compiler that traces calls cannot look into imports
        try:
            self.loaded = import_module(self.package)
            return self.loaded
        except ImportError as error:
            raise InputError(
                f"{self.title} is not installed ({error}); "
                f"install it with: pip install 'tensorcalculus[{self.name}]'"
            ) from None

    def argument(self, text: str) -> str:
        return text if _ARRAY.search(text) else self.constant(text)

    def full(self, shape: str, value: str) -> str:
        return self.spread(value, shape)

    def namespace(self) -> dict[str, Any]:
        from tensorcalculus.compiler import kernels as numpy_kernels

        module = self.imported()
        kernels = import_module(f"tensorcalculus.compiler.{self.name}_kernels")
        return {
            "np": np,
            "constants": numpy_kernels,
            self.module: module,
            "factors": kernels,
            "kernels": kernels,
            "spectral_kernels": kernels,
            "divided_difference": kernels.divided_difference,
            "signed_difference": kernels.signed_difference,
        }

    def foreign(self, name: str, value: Any) -> None:
        """Refuse an array of another framework."""
        origin = type(value).__module__.partition(".")[0]
        title = _FRAMEWORKS.get(origin)
        if title is not None and title != self.title:
            hint = {"PyTorch": '; or compile with backend="torch"',
                    "JAX": '; or compile with backend="jax"'}  # fmt: skip
            raise InputError(
                f"{name} is an array of {title}, and the expression is compiled for {self.title}: "
                f"give arrays of {self.title} or NumPy, or numbers{hint.get(title, '')}"
            )


_FRAMEWORKS = {
    **dict.fromkeys(("jax", "jaxlib"), "JAX"),
    "torch": "PyTorch",
    "tensorflow": "TensorFlow",
    "cupy": "CuPy",
}


class JaxTarget(_FrameworkTarget):
    """JAX: no writing into arrays; each function is compiled by ``jax.jit``."""

    name = "jax"
    title = "JAX"
    package = "jax.numpy"
    module = "jnp"

    def zeros(self, shape: str) -> str:
        return f"jnp.zeros({shape}, dtype)"

    def constant(self, text: str) -> str:
        return f"jnp.asarray({text}, dtype)"

    def copied(self, text: str) -> str:
        return text  # nothing can be written into it

    def dtype(self, arrays: Sequence[str]) -> list[str]:
        return [f"dtype = jnp.result_type({', '.join(arrays) or 'float'})"]

    def finish(self, program: Program, function: Callable) -> Callable:
        from tensorcalculus.compiler import autograd_jax

        return autograd_jax.compiled(program, function)

    def mapped(self, function: Callable, arrays: dict[str, Any]) -> Any:
        import jax

        return jax.vmap(function)(arrays)

    def traits(self, name: str) -> str:
        return f"trait({name}),"

    def trait(self, array: Any) -> Any:
        import jax

        if not isinstance(array, jax.Array):
            raise AttributeError
        # Of a tracer nothing but shape and type, and never itself.
        placed = (array.sharding, array.committed) if _is_concrete(array) else ()
        return (array.shape, array.dtype, *placed)

    def array(self, name: str, value: Any) -> Any:
        jnp = self.imported()
        import jax

        self.foreign(name, value)
        if isinstance(value, jax.Array):
            if not jnp.issubdtype(value.dtype, jnp.number) and value.dtype != bool:
                raise InputError(
                    f"{name} holds entries of type {value.dtype}; an array of numbers is expected"
                )
            return value
        if isinstance(value, (int, float, complex)):
            return jnp.asarray(value)  # remembers that it was a number, which changes no type
        array = super().array(name, value)
        integers = np.asarray(value).dtype.kind in "biu"
        return jnp.asarray(np.asarray(value) if integers else array)

    def together(self, given: Mapping[str, Any], arrays: list[Any]) -> list[Any]:
        jnp = self.imported()
        import jax

        first: tuple[str, Any] | None = None
        for name, value in given.items():
            if not isinstance(value, jax.Array) or not _is_concrete(value):
                continue
            devices = value.devices()
            if len(devices) > 1 or not value.committed:
                continue
            if first is not None and first[1] != devices:
                raise InputError(
                    f"{name} is on {next(iter(devices))}; expected {next(iter(first[1]))}, "
                    f"where {first[0]} is"
                )
            first = first or (name, devices)
        inexact = [a for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)]
        dtype = jnp.result_type(*inexact) if inexact else jnp.result_type(float)
        return [a if a.dtype == dtype else a.astype(dtype) for a in arrays]


def _is_concrete(array: Any) -> bool:
    """Whether an array of JAX has entries, rather than standing for one that is traced."""
    from jax.core import Tracer

    return not isinstance(array, Tracer)


class TorchTarget(_FrameworkTarget):
    """PyTorch: results on the device of the arguments."""

    name = "torch"
    title = "PyTorch"
    package = "torch"
    module = "torch"
    aliases = True

    def namespace(self) -> dict[str, Any]:
        names = super().namespace()
        # With this module PyTorch learns what its compiler is not to look into.
        import_module("tensorcalculus.compiler.autograd_torch")
        return names

    def spell(self, template: str) -> str:
        # These two are otherwise: a pair of results, and an error for a singular matrix.
        template = template.replace("np.max(", "np.amax(")
        return super().spell(template.replace("np.linalg.inv(", "kernels.inv("))

    def transposed(self, text: str, axes: Sequence[int]) -> str:
        if tuple(axes) == (1, 0):
            return f"{text}.T"
        return f"{text}.permute({', '.join(map(str, axes))})"

    def zeros(self, shape: str) -> str:
        return f"torch.zeros({shape}, dtype=dtype, device=device)"

    def constant(self, text: str) -> str:
        return f"torch.tensor({text}, dtype=dtype, device=device)"

    def copied(self, text: str) -> str:
        return f"{text}.clone()"

    def dtype(self, arrays: Sequence[str]) -> list[str]:
        if not arrays:
            return ["dtype, device = torch.get_default_dtype(), None"]
        return [f"dtype, device = kernels.common({', '.join(arrays)})"]

    def finish(self, program: Program, function: Callable) -> Callable:
        from tensorcalculus.compiler import autograd_torch

        return autograd_torch.closed(program, function)

    def mapped(self, function: Callable, arrays: dict[str, Any]) -> Any:
        from torch.func import vmap

        return vmap(function)(arrays)

    def traits(self, name: str) -> str:
        # An array of NumPy has all three as well, but never this type.
        return f"{name}.shape, {name}.dtype, {name}.device,"

    def array(self, name: str, value: Any) -> Any:
        torch = self.imported()
        self.foreign(name, value)
        if isinstance(value, torch.Tensor):
            if value.layout is not torch.strided:
                raise InputError(f"{name} is a sparse tensor; give a dense one: {name}.to_dense()")
            return value
        array = np.ascontiguousarray(super().array(name, value)).reshape(np.shape(value))
        try:
            return torch.from_numpy(array if array.flags.writeable else array.copy())
        except TypeError as error:
            raise InputError(f"{name} cannot be read as a tensor: {error}") from None

    def together(self, given: Mapping[str, Any], arrays: list[Any]) -> list[Any]:
        torch = self.imported()
        device, origin, dtype = None, "", None
        for (name, value), array in zip(given.items(), arrays, strict=True):
            if isinstance(value, torch.Tensor):
                if device is not None and value.device != device:
                    raise InputError(
                        f"{name} is on {value.device}; expected {device}, where {origin} is: "
                        f"{name}.to({str(device)!r})"
                    )
                device, origin = value.device, origin or name
            if self._decides(value, array):
                dtype = array.dtype if dtype is None else torch.promote_types(dtype, array.dtype)
        if dtype is None:
            dtype = torch.get_default_dtype()
        if not dtype.is_complex and any(a.is_complex() for a in arrays):
            dtype = dtype.to_complex()
        return [a.to(dtype=dtype, device=device or a.device) for a in arrays]

    def _decides(self, value: Any, array: Any) -> bool:
        """Whether an argument has a say in the type: no number or list, no integers."""
        if value is array:
            return array.is_floating_point() or array.is_complex()
        return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "fc"


TARGETS: dict[str, Target] = {t.name: t for t in (Target(), TorchTarget(), JaxTarget())}


def target_named(backend: str) -> Target:
    """The target of a backend; InputError where there is none or it is not installed."""
    target = TARGETS.get(backend)
    if target is None:
        raise InputError(f"backend is one of {', '.join(TARGETS)}, not {backend!r}")
    if isinstance(target, _FrameworkTarget):
        target.namespace()
    return target

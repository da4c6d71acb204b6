"""Formats in files: NumPy's npz and safetensors, never pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import Array, numpy_of

_ENDINGS = (".npz", ".safetensors")


def write(path: str | Path, kind: str, cores: Sequence[Array], fields: Sequence[Any]) -> Path:
    """Write cores as ``core_0 …`` beside the name of the format and, as JSON, its other fields.

    safetensors has no complex numbers in all of its versions: real and imaginary parts are written
    along a last axis.
    """
    path = Path(path)
    if path.suffix not in _ENDINGS:
        if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".npy"):
            raise InputError(f"save: a path that ends in .npz or .safetensors, not {path.name!r}")
        path = path.with_name(path.name + ".npz")
    # safetensors writes the memory of an array as it lies.
    named = {f"core_{k}": np.ascontiguousarray(numpy_of(core)) for k, core in enumerate(cores)}
    words = {"format": kind, "fields": json.dumps(fields)}
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **{k: np.array(v) for k, v in words.items()}, **named)
        return path
    if np.iscomplexobj(named["core_0"]):
        words["complex"] = "real and imaginary parts on the last axis"
        named = {k: np.stack([np.real(v), np.imag(v)], axis=-1) for k, v in named.items()}
    _safetensors("save").save_file(named, path, metadata=words)
    return path


def read(path: str | Path, kind: str) -> tuple[list[np.ndarray], tuple[Any, ...]]:
    """The cores and fields that :func:`write` wrote.

    Raises
    ------
    InputError
        The file is damaged or holds something else.
    """
    path = Path(path)
    reader = _read_safetensors if path.suffix == ".safetensors" else _read_npz
    if not path.is_file():
        raise FileNotFoundError(f"load: there is no file {path}")
    words, held = reader(path)
    found = words.get("format", "no tensor format")
    if found != kind:
        raise InputError(f"load: {path} holds {_article(found)}; {_article(kind)} is expected")
    names = [f"core_{k}" for k in range(len(held))]
    if not held or set(names) != set(held):
        raise InputError(f"load: {path} is damaged: its cores are {sorted(held)}")
    try:
        fields = _frozen(json.loads(words.get("fields", "[]")))
    except ValueError:
        raise InputError(f"load: {path} is damaged: its fields are no JSON") from None
    cores = [held[name] for name in names]
    if "complex" in words:
        cores = [core[..., 0] + 1j * core[..., 1] for core in cores]
    return cores, fields


def _read_npz(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as held:
            if not isinstance(held, np.lib.npyio.NpzFile):
                raise InputError(f"load: {path} is no .npz file of several arrays")
            names = set(held.files)
            words = {k: str(held[k]) for k in ("format", "fields") if k in names}
            if "format" not in words:
                return {}, {}
            return words, {k: held[k] for k in names - set(words)}
    except (ValueError, BadZipFile, EOFError, OSError) as error:
        raise InputError(f"load: {path} cannot be read as .npz: {error}") from None


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    library = _safetensors("load")
    try:
        with library.safe_open(path, framework="numpy") as held:
            words = held.metadata() or {}
            return words, {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
    except (library.SafetensorError, TypeError) as error:
        raise InputError(f"load: {path} cannot be read as safetensors: {error}") from None


class _Safetensors:
    """What is used of the package."""

    def __init__(self) -> None:
        from safetensors import SafetensorError, safe_open
        from safetensors.numpy import save_file

        self.SafetensorError, self.safe_open, self.save_file = SafetensorError, safe_open, save_file


def _safetensors(name: str) -> _Safetensors:
    try:
        return _Safetensors()
    except ImportError:
        raise ImportError(
            f"{name}: .safetensors files need the package safetensors, which is not installed:"
            " pip install 'tensorcalculus[safetensors]'; .npz files need nothing more"
        ) from None


def _article(kind: str) -> str:
    return kind if " " in kind else f"a {kind}"


def _frozen(x: Any) -> Any:
    """JSON's lists as tuples."""
    return tuple(_frozen(item) for item in x) if isinstance(x, list) else x

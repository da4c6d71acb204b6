"""Formats in files: NumPy's npz, never pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import Array, numpy_of


def write(path: str | Path, kind: str, cores: Sequence[Array]) -> Path:
    """Write cores as ``core_0 …`` beside the name of the format; `.npz` is added if missing."""
    path = Path(path)
    if path.suffix != ".npz":
        path = path.with_name(path.name + ".npz")
    named = {f"core_{k}": numpy_of(core) for k, core in enumerate(cores)}
    np.savez(path, allow_pickle=False, format=np.array(kind), **named)
    return path


def read(path: str | Path, kind: str) -> list[np.ndarray]:
    """The cores that :func:`write` wrote.

    Raises
    ------
    InputError
        The file holds something else.
    """
    with np.load(Path(path), allow_pickle=False) as held:
        found = str(held["format"]) if "format" in held else "no tensor format"
        if found != kind:
            raise InputError(f"load: {path} holds {found}, a {kind} is expected")
        return [held[f"core_{k}"] for k in range(len(held.files) - 1)]

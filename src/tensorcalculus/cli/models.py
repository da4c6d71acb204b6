"""What `tcalc fit` and `tcalc show` compute: data read, a model fitted, one in a file told of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.components import ordered
from tensorcalculus.fit.data.labels import Labelled, Labels
from tensorcalculus.fit.data.observed import STORED
from tensorcalculus.fit.data.reading import read_data
from tensorcalculus.fit.decompose import gcp
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.networks.arrays import numpy_of
from tensorcalculus.networks.formats.cp import CP

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Model(Labelled):
    """A CP model in a file, and the fit that it is from, if it is there."""

    path: str
    factors: tuple[np.ndarray, ...]
    """All columns of norm 1."""
    weights: np.ndarray
    labels: Labels | None
    model: CP
    fit: GCPFit | None

    def rows(self) -> list[tuple[str, str]]:
        """Labels and texts of what is to be told."""
        if self.fit is not None:
            rows = self.fit._rows()
        else:
            shape = " x ".join(map(str, self.model.shape))
            weights = ", ".join(f"{w:.4g}" for w in self.weights[:8])
            more = ", …" if len(self.weights) > 8 else ""
            rows = [
                ("model", f"CP of rank {self.model.rank}, {shape}"),
                ("weights", weights + more),
            ]
        if all(label != "diagnosis" for label, _ in rows):
            rows = [*rows, ("diagnosis", str(self.model.diagnose()))]
        if self.labels is None:
            rows = [*rows, ("indices", "from 0, as the data have no labels")]
        return rows


# -- fitting -------------------------------------------------------------------------------------


def checked_output(path: str, data: str) -> Path:
    """Where the model goes; what would fail after a long fit fails before it."""
    made = Path(path)
    if made.suffix != ".npz":
        raise InputError(f"--out: a file.npz is expected, not {path!r}")
    if not made.parent.is_dir():
        raise InputError(f"--out: there is no folder {made.parent}")
    if made.is_dir() or made.resolve() == Path(data).resolve():
        raise InputError(f"--out: {path} is {'a folder' if made.is_dir() else 'the data'}")
    return made


def read_parameters(given: Sequence[str]) -> dict[str, float]:
    """``["delta=0.5"]`` as ``{"delta": 0.5}``."""
    found: dict[str, float] = {}
    for text in given:
        name, equals, number = (part.strip() for part in text.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = None
        if not equals or value is None or name in found:
            twice = " once" if name in found else ""
            raise InputError(f"--parameter: NAME=NUMBER is expected{twice}, not {text!r}")
        found[name] = value
    return found


def read_tensor(path: str, shape: str | None, duplicates: str) -> Any:
    """The data of a file; shape and duplicates are for text."""
    if shape is None and duplicates == "error":
        return read_data(path)
    from tensorcalculus.fit.data.tns import read_tns

    sides = None
    if shape is not None:
        words = re.split(r"[\s,x]+", shape.strip())
        if not all(word.isascii() and word.isdigit() for word in words):
            raise InputError(f"--shape: sizes such as 200,150,100 are expected, not {shape!r}")
        sides = [int(word) for word in words]
    return read_data(read_tns(path, shape=sides, duplicates=duplicates))


def fit(
    path: str,
    rank: int,
    *,
    loss: str = "gaussian",
    parameters: Sequence[str] = (),
    mask: str | None = None,
    shape: str | None = None,
    duplicates: str = "error",
    start: str | None = None,
    **options: Any,
) -> GCPFit:
    """A model of the data in a file; options are those of :func:`tensorcalculus.gcp`."""
    values = read_parameters(parameters)
    begin: Any = "random" if start is None else read_model(start).model
    data = read_tensor(path, shape, duplicates)
    known: Any = mask
    if mask is not None and mask != STORED:
        known = read_data(mask, "--mask")
    return gcp(data, rank, loss=loss, parameters=values or None, mask=known, start=begin, **options)


# -- models in files -----------------------------------------------------------------------------


def read_model(path: str) -> Model:
    """What ``tcalc fit``, ``GCPFit.save`` or ``CP.save`` wrote."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"there is no file {path}")
    if file.suffix == ".npz":
        try:
            with np.load(file, allow_pickle=False) as held:
                names = set(getattr(held, "files", ()))
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        if "told" in names:
            found = GCPFit.load(file)
            factors = tuple(map(numpy_of, found.factors))
            weights = numpy_of(found.weights)
            return Model(path, factors, weights, found.labels, found.model, found)
    model = CP.load(file)
    if model.is_complex:
        raise InputError(f"{path} holds a model of complex numbers; real ones can be shown")
    units, weights = ordered([numpy_of(u) for u in model.factors], frozenset())
    return Model(path, tuple(units), weights, None, model, None)


def components(model: Model, count: int) -> list[dict[str, Any]]:
    """Weight and largest entries of each component, by mode."""
    names = model._labels().names
    return [
        {
            "component": r,
            "weight": float(model.weights[r]),
            "modes": [
                {
                    "name": name,
                    "largest": [
                        {"label": label, "entry": entry}
                        for label, entry in model.largest(r, k, count)
                    ],
                }
                for k, name in enumerate(names)
            ],
        }
        for r in range(len(model.weights))
    ]


def record(model: Model, count: int) -> dict[str, Any]:
    """All that is told of a model, for JSON."""
    found, diagnosis = model.fit, model.model.diagnose()
    made: dict[str, Any] = {
        "path": model.path,
        "shape": list(model.model.shape),
        "rank": model.model.rank,
        "weights": model.weights.tolist(),
        "diagnosis": {
            "growth": diagnosis.growth if np.isfinite(diagnosis.growth) else None,
            "cancelling": bool(diagnosis.cancelling),
            "diverging": [list(pair) for pair in diagnosis.diverging],
            "text": str(diagnosis),
        },
    }
    if found is not None:
        made["fit"] = {
            "loss": found.loss.name,
            "formula": str(found.loss.expression),
            "value": found.value if np.isfinite(found.value) else None,
            "cells": found.cells,
            "converged": found.converged,
            "message": found.message,
            "iterations": found.iterations,
            "method": found.method,
            "seconds": found.seconds,
        }
    made["components"] = components(model, count)
    return made


def as_model(found: GCPFit, path: Path) -> Model:
    """A fit that was just made and written, as if it were read."""
    factors = tuple(map(numpy_of, found.factors))
    return Model(str(path), factors, numpy_of(found.weights), found.labels, found.model, found)


def draw(model: Model, path: str) -> None:
    """A picture of the loss, if there is one, and of the factor of each mode."""
    if Path(path).suffix not in PICTURES:
        raise InputError(f"--plot: a file {', '.join(PICTURES)} is expected, not {path!r}")
    if not Path(path).parent.is_dir():
        raise InputError(f"--plot: there is no folder {Path(path).parent}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "--plot needs matplotlib, which is not installed: pip install matplotlib"
        ) from None
    names = model._labels().names
    count = len(names) + (model.fit is not None)
    figure = Figure(figsize=(7, 2.6 * count), layout="constrained")
    axes = list(figure.subplots(count, 1, squeeze=False)[:, 0])
    if model.fit is not None:
        model.fit.plot(axes.pop(0))
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        columns = model.factors[k]
        for r in range(columns.shape[1]):
            ax.plot(columns[:, r], label=f"component {r}")
        ax.set_xlabel(name)
        if k == 0 and columns.shape[1] <= 12:
            ax.legend()
    figure.savefig(path)

"""What a generalised CP fit gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tensorcalculus.display.curve import descent
from tensorcalculus.display.html import Html
from tensorcalculus.display.plots import axes
from tensorcalculus.display.rows import Rows
from tensorcalculus.errors import InputError
from tensorcalculus.fit.data.labels import Labelled, Labels
from tensorcalculus.fit.generalized.checkpoint import entries_of, rows_of
from tensorcalculus.fit.losses import Loss
from tensorcalculus.fit.pictures import components
from tensorcalculus.networks.arrays import Array, numpy_of
from tensorcalculus.networks.formats.cp import CP, Diagnosis
from tensorcalculus.optimize.record import Iteration


@dataclass(frozen=True, repr=False)
class GCPFit(Labelled, Rows):
    """The result of :func:`tensorcalculus.gcp`.

    Components are in the order of their weights; of each, the first factor of the model takes the
    weight.
    """

    model: CP
    weights: np.ndarray
    """The norms of the components."""
    factors: tuple[Array, ...]
    """The factors, all columns of norm 1."""
    loss: Loss
    """What was minimised, by cell."""
    value: float
    """The sum of the losses over all observed cells; an estimate where they were sampled."""
    cells: int
    """How many cells are observed."""
    converged: bool
    """Whether the projected gradient is below ``tol``; of sampled methods, whether the estimate of
    the loss no longer falls at the lowest rate."""
    message: str
    """Why it stopped, in words."""
    iterations: int
    method: str
    seconds: float
    """Wall time of all starts."""
    start_values: tuple[float, ...] = field(repr=False)
    """The loss that each start led to, with its penalty."""
    record: tuple[Iteration, ...] = field(repr=False)
    """All iterations (epochs of sampled methods) of the start that is kept."""
    labels: Labels | None = field(default=None, repr=False)
    """Names of the modes and their indices, where the data had them."""

    @property
    def rank(self) -> int:
        """The number of components."""
        return self.model.rank

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return self.model.shape

    @property
    def loss_history(self) -> np.ndarray:
        """The loss, with its penalty, at the start and after each iteration."""
        return np.array([entry.value for entry in self.record])

    @property
    def diagnosis(self) -> Diagnosis:
        """Whether components cancel each other, and their cosines (congruences)."""
        factors = [np.asarray(numpy_of(u), dtype=np.float64) for u in self.factors]
        return CP(factors, self.weights).diagnose()

    def predict(self, indices: Any = None) -> np.ndarray:
        """Expected values of cells, given by their indices ``[n, d]``; by default the whole array.

        They follow from the model by the link of the loss: ``m/(1+m)`` for odds, ``exp(m)`` for the
        logarithm of a mean, and ``m`` itself for losses of one's own.

        Raises
        ------
        InputError, ShapeError
            Indices outside of the shape, or of another number of modes.
        """
        if indices is None:
            return np.asarray(self.loss.mean(numpy_of(self.model.to_dense())))
        cells = checked_cells(indices, self.shape)
        rows = np.ones((len(cells), self.rank))
        for k, u in enumerate(self.model.factors):
            rows *= numpy_of(u)[cells[:, k]]
        return np.asarray(self.loss.mean(rows.sum(axis=1)))

    def score(self, X: Any, mask: Any = None, missing: Any = None) -> float:
        """Minus the mean loss of the known cells of data.

        Arguments are those of :func:`tensorcalculus.gcp`.

        Higher is better, as in scikit-learn; the losses of the table leave constants of the data
        out, so that scores are compared for one set of data only.
        """
        from tensorcalculus.fit.generalized.driver import read_cells

        cells = read_cells(X, self.loss, mask, missing)
        if cells.shape != self.shape:
            raise InputError(f"score: data of shape {self.shape} are expected, not {cells.shape}")
        factors = [np.asarray(numpy_of(u), dtype=np.float64) for u in self.model.factors]
        return -cells.value_gradients(factors)[0] / cells.count

    def _rows(self) -> list[tuple[str, str]]:
        shape = " x ".join(map(str, self.shape))
        starts = len(self.start_values)
        more = f", best of {starts} starts" if starts > 1 else ""
        weights = ", ".join(f"{w:.4g}" for w in self.weights[:8])
        mean = self.value / max(self.cells, 1)
        return [
            ("model", f"CP of rank {self.rank}, {shape}"),
            ("loss", f"{self.loss.name}: {self.loss.expression}"),
            ("value", f"{self.value:.8g} over {self.cells} cells (mean {mean:.4g})"),
            ("converged", f"{'yes' if self.converged else 'no'}: {self.message}"),
            ("work", f"{self.iterations} iterations, {self.seconds:.3g} s by {self.method}{more}"),
            ("diagnosis", str(self.diagnosis)),
            ("weights", weights + (", …" if self.rank > 8 else "")),
        ]

    def _pictures(self) -> list[tuple[str, Html]]:
        return [
            ("weights", components(self.weights, self.factors, self._labels())),
            ("descent", descent(self.loss_history)),
        ]

    def plot(self, ax: Any = None) -> Any:
        """Draw how the loss fell; returns the matplotlib Axes."""
        ax = axes(ax, ".loss_history")
        ax.plot([entry.iteration for entry in self.record], self.loss_history)
        ax.set_xlabel("iteration")
        ax.set_ylabel("loss")
        ax.set_title(f"{self.loss.name}, rank {self.rank}, by {self.method}: {self.value:.6g}")
        return ax

    def plot_mode(self, mode: int | str, ax: Any = None) -> Any:
        """Draw the columns of the factor of one mode, by number or name; returns the Axes."""
        ax = axes(ax, ".factors")
        labels = self._labels()
        columns = numpy_of(self.factors[labels.mode(mode)])
        for r in range(self.rank):
            ax.plot(columns[:, r], label=f"component {r}")
        ax.set_xlabel(f"index of {labels.names[labels.mode(mode)]}")
        ax.legend()
        return ax

    def save(self, path: str | Path) -> Path:
        """Write the model, its loss and the record into a file ``.npz``; see :meth:`load`."""
        path = Path(path)
        if path.suffix != ".npz":
            path = path.with_name(path.name + ".npz")
        told = {
            "format": "GCPFit",
            "loss": self.loss.described(),
            "labels": None if self.labels is None else self.labels.to_json(),
            **{name: getattr(self, name) for name in _PLAIN},
        }
        arrays = {f"factor_{k}": numpy_of(u) for k, u in enumerate(self.factors)}
        np.savez(
            path, allow_pickle=False, told=np.array(json.dumps(told)), weights=self.weights,
            record=rows_of(self.record), **arrays,
        )  # fmt: skip
        return path

    @classmethod
    def load(cls, path: str | Path) -> GCPFit:
        """What :meth:`save` wrote; factors are arrays of NumPy.

        Raises
        ------
        InputError
            The file holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"load: there is no file {path}")
        try:
            with np.load(path, allow_pickle=False) as held:
                told = json.loads(str(held["told"]))
                arrays = {name: held[name] for name in held.files if name != "told"}
            if told.get("format") != "GCPFit":
                raise KeyError("format")
            factors = tuple(arrays[f"factor_{k}"] for k in range(len(arrays) - 2))
            weights, rows = arrays["weights"], arrays["record"]
        except (KeyError, ValueError, OSError, EOFError) as error:
            raise InputError(f"load: {path} holds no fit of tc.gcp ({error})") from None
        plain = {name: told[name] for name in _PLAIN}
        plain["start_values"] = tuple(plain["start_values"])
        labels = told.get("labels") and Labels.from_json(told["labels"])
        record = entries_of(rows)
        return cls(
            CP(factors, weights), weights, factors, Loss.from_description(told["loss"]),
            record=record, labels=labels, **plain,
        )  # fmt: skip


_PLAIN = ("value", "cells", "converged", "message", "iterations", "method", "seconds",
          "start_values")  # fmt: skip


def checked_cells(indices: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Indices of cells ``[n, d]``, within the shape."""
    cells = np.asarray(indices)
    if cells.ndim == 1 and cells.shape == (len(shape),):
        cells = cells[None]
    if cells.ndim != 2 or cells.shape[1] != len(shape) or cells.dtype.kind not in "iu":
        raise InputError(
            f"indices: an array of integers [n, {len(shape)}] is expected, not {cells.dtype} of"
            f" shape {cells.shape}"
        )
    wrong = np.flatnonzero(((cells < 0) | (cells >= np.array(shape))).any(1))
    if wrong.size:
        row = [int(i) for i in cells[wrong[0]]]
        raise InputError(f"indices: row {wrong[0]} is {row}, outside of the shape {shape}")
    return cells

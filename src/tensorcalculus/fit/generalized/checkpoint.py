"""Fits that are taken up again: what is written while they run, and read back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.generalized.stochastic import AdamState, Epoch, EpochMonitor
from tensorcalculus.optimize.monitor import Finished, Monitor
from tensorcalculus.optimize.packing import Array
from tensorcalculus.optimize.record import Iteration

FORMAT = "tensorcalculus checkpoint 1"

EVERY = 50
"""Iterations of L-BFGS between two checkpoints.  At each it begins anew without its memory, which
SciPy does not give away: else no later run could go on as this one does."""

CLOSE = 1e-6
"""Relative difference of a loss from what it was, from which the data are other ones."""


@dataclass(frozen=True)
class Run:
    """What one start led to."""

    value: float
    """The loss with its penalty."""
    factors: Factors
    record: tuple[Iteration, ...]
    message: str
    converged: bool


class Checkpoint:
    """The file that a fit writes, and the state that it goes on from.

    Parameters
    ----------
    path
        Where to write, or None.
    resume
        What to read, or None.
    about
        What the fit is of, by the names of arguments: the same of a fit that goes on.

    Raises
    ------
    InputError
        The file to read is of another fit, or no checkpoint.
    FileNotFoundError
        There is none, or no folder for the one to write.
    """

    def __init__(
        self, path: str | Path | None, resume: str | Path | None, about: Mapping[str, Any]
    ) -> None:
        self._path = None if path is None else Path(path)
        self._about = json.loads(json.dumps(about))
        if self._path is not None and not self._path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint: there is no folder {self._path.parent}")
        self.runs: list[Run] = []
        """Starts that are done."""
        self._state: dict[str, Any] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._source = Path()
        if resume is not None:
            self._read(Path(resume))

    # Reading

    def _read(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"resume: there is no file {path}")
        try:
            with np.load(path, allow_pickle=False) as held:
                told = json.loads(str(held["told"]))
                arrays = {name: held[name] for name in held.files if name != "told"}
            if told["format"] != FORMAT:
                raise KeyError(told["format"])
            about, runs, state = told["about"], told["runs"], told["state"]
        except (KeyError, ValueError, OSError, EOFError, TypeError, BadZipFile) as error:
            raise InputError(f"resume: {path} holds no checkpoint of tc.gcp ({error})") from None
        for name, now in self._about.items():
            if about.get(name) != now:
                raise InputError(
                    f"resume: {path} is of a fit with {name} = {about.get(name)}, this one has"
                    f" {name} = {now}; give the same data and arguments as then"
                )
        order = len(self._about["shape"])
        for k, run in enumerate(runs):
            factors = [arrays[f"run_{k}_factor_{j}"] for j in range(order)]
            record = entries_of(arrays[f"run_{k}_record"])
            self.runs.append(Run(run["value"], factors, record, run["message"], run["converged"]))
        self._state, self._arrays, self._source = state, arrays, path

    def _take(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """The state of the start that was not done; once."""
        if not self._state:
            return None
        state, arrays = self._state, self._arrays
        self._state, self._arrays = {}, {}
        return state, arrays

    def _check(self, expected: float, found: float) -> None:
        if not abs(found - expected) <= CLOSE * max(abs(expected), abs(found)):
            raise InputError(
                f"resume: at the model of {self._source} the loss was {expected:.8g}, now it is"
                f" {found:.8g}; give the same data and the same start as then"
            )

    # Writing

    def _write(
        self,
        state: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        record: Sequence[Iteration],
    ) -> None:
        """All at once: a break leaves the file as it was."""
        assert self._path is not None
        held = {**arrays, "record": rows_of(record)}
        for k, run in enumerate(self.runs):
            held |= {f"run_{k}_factor_{j}": u for j, u in enumerate(run.factors)}
            held[f"run_{k}_record"] = rows_of(run.record)
        runs = [
            {"value": r.value, "message": r.message, "converged": r.converged} for r in self.runs
        ]
        told = {"format": FORMAT, "about": self._about, "runs": runs, "state": state}
        part = self._path.with_name(self._path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, told=np.array(json.dumps(told)), **held)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    # Adam

    def take_up_adam(self, state: AdamState, monitor: EpochMonitor) -> None:
        """Put state and monitor where the file left them."""
        held = self._take()
        if held is not None:
            told, arrays = held
            for name in ("x", "m", "v"):
                getattr(state, name)[:] = arrays[name]
            state.count, state.draws, state.rate = told["count"], told["draws"], told["rate"]
            state.keep()
            value = state.value()
            self._check(told["value"], value)
            monitor.best = value, state.kept[0], np.nan
            monitor.fails = told["fails"]
            monitor.record = list(entries_of(arrays["record"]))
            monitor.began = perf_counter() - monitor.record[-1].seconds
        if self._path is not None:
            monitor.checkpoint = self._write_adam

    def _write_adam(self, state: AdamState, monitor: EpochMonitor) -> None:
        told = {
            "count": state.count, "draws": state.draws, "rate": state.rate,
            "value": monitor.best[0], "fails": monitor.fails,
        }  # fmt: skip
        self._write(told, {"x": state.x, "m": state.m, "v": state.v}, monitor.record)

    # L-BFGS

    def take_up_lbfgs(self, monitor: PausingMonitor, x: Array) -> Array:
        """The point to begin from: that of the file, or the one that is given."""
        held = self._take()
        if self._path is not None:
            monitor.pause = self._write_lbfgs
        if held is None:
            return x
        told, arrays = held
        monitor.first_norm = told["first_norm"]
        monitor.resume(entries_of(arrays["record"]), self._check)
        return arrays["x"]

    def _write_lbfgs(self, x: Array, monitor: PausingMonitor) -> None:
        self._write({"first_norm": monitor.first_norm}, {"x": x}, monitor.record)


class PausingMonitor(Monitor):
    """A monitor that writes checkpoints, at which the method begins anew."""

    pause: Callable[[Array, PausingMonitor], Any] | None = None
    _paused = False
    _check: Callable[[float, float], Any] | None = None

    def resume(self, record: Sequence[Iteration], check: Callable[[float, float], Any]) -> None:
        """Go on behind these iterations; `check` compares the loss then and now."""
        self.record = list(record)
        self.began = perf_counter() - record[-1].seconds
        self._check = check

    def start(self, x: Array, f: float, g: Array) -> None:
        """The first point, or the one to go on from."""
        if self._check is None:
            super().start(x, f, g)
            return
        self._check(self.record[-1].value, f)
        self.x, self.best = x, (f, x, self.record[-1].gradient_norm)
        if len(self.record) > self.max_iterations:
            raise Finished(f"max_iterations reached ({self.max_iterations})", False)

    def step(self, x: Array, f: float, g: Array) -> None:
        """The next point."""
        try:
            super().step(x, f, g)
        except Finished as end:
            if not end.converged:
                self._write(x)
            raise
        self._write(x)

    def _write(self, x: Array) -> None:
        if self.pause is not None and self.record[-1].iteration % EVERY == 0:
            self.pause(x, self)
            self._paused = True

    def pauses(self) -> bool:
        """Whether the method is to begin anew where it is."""
        paused, self._paused = self._paused, False
        return paused


def rows_of(record: Sequence[Iteration]) -> np.ndarray:
    """A record as numbers, a row for each iteration."""
    return np.array([astuple(entry) for entry in record], dtype=np.float64)


def entries_of(rows: np.ndarray) -> tuple[Iteration, ...]:
    """The record that has these rows."""
    kind = Epoch if rows.shape[1:] == (len(fields(Epoch)),) else Iteration
    return tuple(kind(int(row[0]), *map(float, row[1:])) for row in rows)

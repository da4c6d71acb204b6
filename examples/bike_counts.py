"""Counts of bike trips: a Poisson model predicts hidden cells better than least squares.

Trips that ended at 270 stations in Oslo, by year, month, weekday and hour: 1.1 million cells, half
of them 0, the largest 292.  A tenth of the cells is hidden, the rest fitted by three non-negative
components with either loss, and the deviance of the hidden counts is compared,
2*(x*log(x/m) - x + m).  (Least squares predicts negative values where it may, and zeros; those below
0.01 trips are raised to that.)

Found: 1.52 per hidden cell by Poisson, 1.79 by least squares.  The three components of the latter
are those that the documentation of TLViz describes for these data: from work in the afternoon,
towards work in the morning, of which nothing is left on weekends, and trips of leisure about midday,
most on Saturdays.  Poisson, which weighs small counts more, rather tells the two years apart.

Run with ``python examples/bike_counts.py``; needs the package tensorly-viz (for data).
"""

from __future__ import annotations

import numpy as np
import real_data

import tensorcalculus as tc

RANK = 3
LEAST = 0.01
"""Mean counts below this are raised to it."""


def deviance(x: np.ndarray, m: np.ndarray) -> float:
    """The Poisson deviance of counts from their predicted means, per cell."""
    m = np.maximum(m, LEAST)
    logs = np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0) / m), 0.0)
    return float(2 * np.mean(logs - x + m))


def held_out(
    counts: np.ndarray, seed: int, iterations: int = 200
) -> dict[str, tuple[float, tc.GCPFit]]:
    """The deviance of hidden cells by each loss, and the fit."""
    fitted, hidden = real_data.split(np.isfinite(counts), 0.1, seed)
    cells, found = np.argwhere(hidden), {}
    for loss in ("gaussian", "poisson"):
        result = tc.gcp(
            counts, RANK, loss=loss, mask=fitted, nonnegative=True, seed=seed, tol=1e-6,
            max_iterations=iterations, progress=False,
        )  # fmt: skip
        found[loss] = deviance(counts[hidden], result.predict(cells)), result
    return found


def main(splits: int = 2) -> dict[str, list[float]]:
    """Fit, compare, print; the deviances of all splits by loss."""
    data = real_data.bikes()
    print(f"{int(data.values.sum()):,} trips, {data.values.size:,} cells, rank {RANK}")
    runs = [held_out(data.values, seed) for seed in range(splits)]
    found = {loss: [run[loss][0] for run in runs] for loss in runs[0]}
    for loss, values in found.items():
        mean, error = real_data.mean_error(values)
        print(f"  {loss:<10} deviance of a hidden cell {mean:.3f} ± {error:.3f}")
    mean, error = real_data.mean_error(np.subtract(found["gaussian"], found["poisson"]))
    print(f"  Poisson is better by {mean:.3f} ± {error:.3f} ({splits} splits)")
    print("  components of least squares")
    _, _, _, weekday, hour = (np.asarray(u) for u in runs[0]["gaussian"][1].factors)
    for r in range(RANK):
        saturday = weekday[5, r] / weekday[:5, r].mean()
        peak = hour[:, r].argmax()
        print(f"    {r}: most at {peak}:00; a Saturday has {saturday:.2f} of a working day")
    return found


if __name__ == "__main__":
    main()

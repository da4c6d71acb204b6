"""CP models of sparse tensors beside GenTen (pygenten) and pyttb: products, sweeps, losses.

    python benchmarks/gcp.py [--rows REGEX] [--threads N] [--rounds N] [--json FILE]

All run in this process, interleaved, on the same data; numbers are compared before anything is
timed, and the fastest round counts.  With more than one thread ours on one stands beside.  GenTen
has no call for a single product: its figure is what it reports for the products inside of its
alternating least squares, those of all modes divided by their number, and so are ours.  Peers that
are not installed are left out.

The floor of a product is the time to read the data once from memory.
"""

# ruff: noqa: E402  (numbers of threads are read when libraries are loaded)
from __future__ import annotations

import argparse
import os
import sys


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="a regular expression for names of rows")
    parser.add_argument("--threads", type=int, default=1, help="threads for all")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    parser.add_argument("--json", help="a file for the numbers")
    return parser.parse_args()


GIVEN = arguments()
for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = str(GIVEN.threads)

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from time import perf_counter
from typing import Any

import numpy as np
from peers import peer, silent

import tensorcalculus as tc
from tensorcalculus.fit.generalized.sampling import Gradient
from tensorcalculus.fit.generalized.sparse_cells import SparseCells
from tensorcalculus.fit.generalized.stochastic import AdamState
from tensorcalculus.fit.kernels.fused import loss_and_gradients, mttkrp, mttkrps
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.losses import as_loss

AGREE = 1e-9
"""Largest difference from the first contestant, relative to the largest entry."""

SWEEPS = 5
"""Sweeps of alternating least squares that are timed together."""


pyttb, genten = peer("pyttb"), peer("pygenten")


@dataclass
class Contestant:
    """One way to the numbers of a row."""

    name: str
    seconds: Callable[[], float]
    """Runs once; what counts of the time it took."""
    numbers: Callable[[], list[np.ndarray]] | None = None
    rounds: int = 1000
    """At most so often: peers that take seconds are not waited for."""
    times: list[float] = field(default_factory=list)
    error: float = 0.0


@dataclass
class Row:
    """One line of the table."""

    name: str
    contestants: list[Contestant]
    aim: str = ""
    floor: float = 0.0
    """Seconds."""


def timed(call: Callable[[], Any], parts: int = 1) -> Callable[[], float]:
    def seconds() -> float:
        start = perf_counter()
        call()
        return (perf_counter() - start) / parts

    return seconds


def drawn(shape: Sequence[int], count: int, rank: int) -> tuple[tc.SparseTensor, list[np.ndarray]]:
    """Cells at random, counts in them, and factors of uniform entries."""
    rng = np.random.default_rng(0)
    cells = np.stack([rng.integers(0, n, count) for n in shape], 1)
    x = tc.SparseTensor.summed(cells, rng.poisson(2, count) + 1.0, shape)
    return x, [rng.random((n, rank)) for n in shape]


def reading(points: Points) -> float:
    """Seconds to read indices and values once."""
    words = points.indices.reshape(-1).view(np.int32)
    return min(timed(lambda: (words.max(), points.values.max()))() for _ in range(5))


def told_of(shape: Sequence[int], x: tc.SparseTensor, rank: int) -> str:
    return f"{'x'.join(map(str, shape))}, {x.nnz / 1e6:.3g}M, R={rank}"


# -- rows ----------------------------------------------------------------------------------------


def products(shape: tuple[int, ...], count: int, rank: int, aim: str) -> Row:
    """Milliseconds a mode of the products by all modes."""
    (x, factors), d = drawn(shape, count, rank), len(shape)
    points = Points.ordered(x)
    out = [np.zeros_like(u) for u in factors]

    def each(threads: int) -> list[np.ndarray]:
        return [mttkrp(points, factors, k, threads=threads, out=out[k]) for k in range(d)]

    def fused(threads: int) -> list[np.ndarray]:
        return mttkrps(points, factors, threads=threads, out=out)

    def copied(made: list[np.ndarray]) -> list[np.ndarray]:
        return [a.copy() for a in made]

    made = []
    for n in sorted({1, GIVEN.threads}, reverse=True):
        more = "" if n == GIVEN.threads else f", {n} thread"
        made += [
            Contestant(
                f"ours, fused{more}", timed(lambda n=n: fused(n), d), lambda n=n: copied(fused(n))
            ),
            Contestant(
                f"ours, a mode{more}", timed(lambda n=n: each(n), d), lambda n=n: copied(each(n))
            ),
        ]
    if genten is not None:
        made.append(by_genten(x, factors, rank))
    if pyttb is not None and count <= 2_000_000:
        t = pyttb.sptensor(x.indices.astype(np.int64), x.values[:, None], x.shape)

        def by_pyttb() -> list[np.ndarray]:
            return [t.mttkrp(factors, k) for k in range(d)]

        made.append(Contestant("pyttb", timed(by_pyttb, d), by_pyttb, 2))
    return Row(f"MTTKRP a mode, {told_of(shape, x, rank)}", made, aim, reading(points) / d)


def by_genten(x: tc.SparseTensor, factors: list[np.ndarray], rank: int) -> Contestant:
    """What GenTen reports for the products of its alternating least squares."""
    with silent():
        t = genten.Sptensor(x.shape, x.indices.astype(np.int64), x.values)
        start = genten.Ktensor(np.ones(rank), factors)

    def run() -> float:
        with silent():
            found = genten.cp_als(t, init=start, rank=rank, maxiters=SWEEPS, tol=0.0, printitn=0)
        return found[2].lastEntry().cum_mttkrp_time / (SWEEPS * len(factors))

    return Contestant("genten", run)


def sweeps(shape: tuple[int, ...], count: int, rank: int) -> Row:
    """Milliseconds a sweep of alternating least squares, starting costs left out."""
    x, factors = drawn(shape, count, rank)
    rng = np.random.default_rng(1)
    some = tuple(rng.integers(0, n, 1000) for n in shape)

    def at_some(weights: Any, found: Sequence[Any]) -> list[np.ndarray]:
        made = np.asarray(weights) * np.ones((1000, 1))
        for u, i in zip(found, some, strict=True):
            made = made * np.asarray(u)[i]
        return [made.sum(1)]

    def fit(count: int) -> Any:
        return tc.cp_als(x, rank, start=factors, tol=0, max_iterations=count, progress=False)

    def ours() -> float:
        record = fit(SWEEPS + 1).record
        return (record[-1].seconds - record[0].seconds) / SWEEPS

    def our_numbers() -> list[np.ndarray]:
        found = fit(3)
        return at_some(found.weights, found.factors)

    made = [Contestant("ours", ours, our_numbers)]
    if genten is not None:
        with silent():
            t = genten.Sptensor(x.shape, x.indices.astype(np.int64), x.values)
            start = genten.Ktensor(np.ones(rank), factors)

        def run(count: int) -> Any:
            with silent():
                return genten.cp_als(t, init=start, rank=rank, maxiters=count, tol=0.0, printitn=0)

        def by_genten() -> float:
            history = run(SWEEPS)[2]
            # Entry 0 is the start.
            last, first = history.getEntry(SWEEPS), history.getEntry(1)
            return (last.cum_time - first.cum_time) / (SWEEPS - 1)

        def their_numbers() -> list[np.ndarray]:
            found = run(3)[0]
            return at_some(found.weights, found.factor_matrices)

        made.append(Contestant("genten", by_genten, their_numbers))
    if pyttb is not None:
        p = pyttb.sptensor(x.indices.astype(np.int64), x.values[:, None], x.shape)

        def by_pyttb(count: int) -> Any:
            start = pyttb.ktensor([u.copy() for u in factors])
            return pyttb.cp_als(p, rank, maxiters=count, stoptol=0, printitn=0, init=start)[0]

        def pyttb_numbers() -> list[np.ndarray]:
            found = by_pyttb(3)
            return at_some(found.weights, found.factor_matrices)

        made.append(Contestant("pyttb", lambda: timed(lambda: by_pyttb(1))(), pyttb_numbers, 1))
    return Row(f"ALS sweep, {told_of(shape, x, rank)}", made)


def losses(name: str, shape: tuple[int, ...], count: int, rank: int) -> Row:
    """Milliseconds of a loss over the stored cells and its gradients by all factors."""
    x, factors = drawn(shape, count, rank)
    points, pair = Points.ordered(x), as_loss(name).pair
    out = [np.zeros_like(u) for u in factors]

    def fused(threads: int) -> list[np.ndarray]:
        value, made = loss_and_gradients(points, factors, pair.compiled, threads=threads, out=out)
        return [np.array(value), *made]

    def by_numpy() -> list[np.ndarray]:
        rows = [u[i] for u, i in zip(factors, x.indices.T, strict=True)]
        value, slope = pair(x.values, np.prod(rows, axis=0).sum(1))
        made = [np.array(math.fsum(value))]
        for k, u in enumerate(factors):
            others = np.prod([r for j, r in enumerate(rows) if j != k], axis=0)
            made.append(np.zeros_like(u))
            np.add.at(made[-1], x.indices[:, k], slope[:, None] * others)
        return made

    made = [
        Contestant(
            "ours" if n == GIVEN.threads else f"ours, {n} thread",
            timed(lambda n=n: fused(n)), lambda n=n: [a.copy() for a in fused(n)],
        )
        for n in sorted({1, GIVEN.threads}, reverse=True)
    ]  # fmt: skip
    made.append(Contestant("NumPy", timed(by_numpy), by_numpy, 1))
    return Row(f"{name}, stored cells, {told_of(shape, x, rank)}", made, floor=reading(points))


def iterations(sampling: str, aim: str) -> Row:
    """Milliseconds an iteration of Adam for counts, with 10 000 cells that are stored and as many
    zeros; first how far estimates are from the exact loss, and gradients on average.
    """
    shape, count, rank, number = (2_000, 1_500, 1_000), 949_000, 10, 10_000
    x, factors = drawn(shape, count, rank)
    factors = [0.1 * u for u in factors]
    loss = tc.Loss.named("poisson")
    cells, modes = SparseCells(x, loss), frozenset(range(3))
    method = tc.Adam(samples=(number, number), sampling=sampling)
    exact, slopes = cells.value_gradients(factors)
    state = AdamState(cells.samples(), method, factors, modes)
    note = f"the loss is {exact:.5g}, ours estimate {state.value():.5g}"
    sums = [np.zeros_like(u) for u in factors]
    chosen = cells.samples().strata(sampling, (number, number))
    gradient, along = Gradient(chosen, factors, sums, 0), np.empty(300)
    for k in range(len(along)):
        gradient.add(k)
        along[k] = sum(float(np.vdot(a, b)) for a, b in zip(sums, slopes, strict=True))
        for a in sums:
            a[:] = 0
    told = sum(float(np.vdot(g, g)) for g in slopes)
    error = (along.mean() - told) / (along.std(ddof=1) / math.sqrt(len(along)))
    note += f"; {len(along)} gradients are off by {error:.1f} standard errors on average"

    def ours() -> None:
        for _ in range(20):
            state.iterate()

    made = [Contestant("ours", timed(ours, 20))]
    if genten is not None:
        made.append(adam_by_genten(x, factors, sampling, number))
        note += f"; GenTen's estimate is {estimate_by_genten(x, factors):.5g}"
    if pyttb is not None:
        made.append(adam_by_pyttb(x, factors, sampling, number))
    return Row(f"Adam, {sampling}, {told_of(shape, x, rank)}", made, f"<= {aim}; {note}")


def adam_by_genten(
    x: tc.SparseTensor, factors: list[np.ndarray], sampling: str, number: int
) -> Contestant:
    """From the times at which it reports epochs."""
    kind = {"stratified": "Stratified", "semi-stratified": "SemiStratified"}[sampling]
    core, many = import_module("pygenten._pygenten"), 20
    with silent():
        t = genten.Sptensor(x.shape, x.indices.astype(np.int64), x.values)

    def run() -> float:
        with silent():
            start = genten.Ktensor(np.ones(factors[0].shape[1]), [u.copy() for u in factors])
            history = genten.gcp_sgd(
                t, init=start, rank=factors[0].shape[1], sampling_type=getattr(core, kind),
                loss_function_type="poisson", maxiters=2, epoch_iters=many, printitn=0,
                num_samples_nonzeros_grad=number, num_samples_zeros_grad=number,
                num_samples_nonzeros_value=1000, num_samples_zeros_value=1000,
            )[2]  # fmt: skip
        times = [history.getEntry(k).cum_time for k in range(3)]
        return min(times[1] - times[0], times[2] - times[1]) / many

    return Contestant("genten", run)


def estimate_by_genten(x: tc.SparseTensor, factors: list[np.ndarray]) -> float:
    """Its estimate of the loss at the start, of 10^5 stored cells and zeros."""
    with silent():
        t = genten.Sptensor(x.shape, x.indices.astype(np.int64), x.values)
        start = genten.Ktensor(np.ones(factors[0].shape[1]), [u.copy() for u in factors])
        history = genten.gcp_sgd(
            t, init=start, rank=factors[0].shape[1], loss_function_type="poisson", maxiters=1,
            epoch_iters=1, printitn=0, num_samples_nonzeros_grad=10, num_samples_zeros_grad=10,
            num_samples_nonzeros_value=100_000, num_samples_zeros_value=100_000,
        )[2]  # fmt: skip
    return history.getEntry(0).residual


def adam_by_pyttb(
    x: tc.SparseTensor, factors: list[np.ndarray], sampling: str, number: int
) -> Contestant:
    """Its sampler, its estimate of the gradient, its step."""
    from pyttb.gcp.fg_est import estimate
    from pyttb.gcp.fg_setup import setup
    from pyttb.gcp.handles import Objectives
    from pyttb.gcp.optimizers import Adam
    from pyttb.gcp.samplers import GCPSampler, Samplers, StratifiedCount

    t = pyttb.sptensor(x.indices.astype(np.int64), x.values[:, None], x.shape)
    kind = Samplers.STRATIFIED if sampling == "stratified" else Samplers.SEMISTRATIFIED
    size = StratifiedCount(number, number)
    sampler = GCPSampler(t, gradient_sampler=kind, gradient_samples=size)
    model, solver = pyttb.ktensor([u.copy() for u in factors]), Adam()
    slope = setup(Objectives.POISSON, t)[1]

    def iterate() -> None:
        drawn = sampler.gradient_sample(t)
        found = estimate(model, *drawn, None, slope, lambda_check=False, crng=sampler.crng)
        model.factor_matrices = solver.update_step(model, found, 0.0)[0]

    return Contestant("pyttb", timed(iterate), rounds=3)


THREE, FOUR = (10_000, 5_000, 2_000), (2_000, 2_000, 1_000, 500)
MILLION = 1_000_000


def rows() -> list[Callable[[], Row]]:
    least = "a mode <= 0.75 of genten"
    return [
        lambda: products(THREE, MILLION, 16, f"fused <= 6, {least}"),
        lambda: products(THREE, MILLION, 32, f"fused <= 11, {least}"),
        lambda: products(FOUR, MILLION, 16, least),
        lambda: products(FOUR, MILLION, 32, least),
        lambda: products(THREE, 10 * MILLION, 16, f"fused <= 60, {least}"),
        lambda: sweeps(THREE, MILLION, 16),
        lambda: losses("poisson", (2_000, 1_500, 1_000), 949_000, 10),
        lambda: losses("bernoulli-logit", (2_000, 1_500, 1_000), 949_000, 10),
        lambda: iterations("stratified", "1.6"),
        lambda: iterations("semi-stratified", "0.95"),
    ]


# -- measuring -----------------------------------------------------------------------------------


def compare(row: Row) -> bool:
    """Differences from the first contestant; whether all agree."""
    if row.contestants[0].numbers is None:
        return True
    expected = row.contestants[0].numbers()
    for c in row.contestants[1:]:
        if c.numbers is not None:
            c.error = max(
                float(np.abs(a - e).max()) / (float(np.abs(e).max()) or 1.0)
                for a, e in zip(c.numbers(), expected, strict=True)
            )
    return all(c.error <= AGREE for c in row.contestants)


def measure(row: Row) -> None:
    for k in range(GIVEN.rounds):
        for c in row.contestants:
            if k < c.rounds:
                c.times.append(c.seconds())


def main() -> int:
    found, wrong = [], False
    print(f"milliseconds; threads: {GIVEN.threads}")
    for build in rows():
        # Names are known only of rows that are made; their data are drawn in little time.
        row = build()
        if not re.search(GIVEN.rows, row.name):
            continue
        wrong |= not compare(row)
        measure(row)
        print(f"{row.name}  (load {os.getloadavg()[0]:.1f})")
        for c in row.contestants:
            flag = "" if c.error <= AGREE else f"   DISAGREES by {c.error:.1e}"
            print(f"    {c.name:24} {1e3 * min(c.times):9.2f}{flag}")
        if row.floor:
            print(f"    {'data read once':24} {1e3 * row.floor:9.2f}")
        if row.aim:
            print(f"    aim: {row.aim}")
        sys.stdout.flush()
        times = {c.name: 1e3 * min(c.times) for c in row.contestants}
        found.append({"row": row.name, "milliseconds": times})
    if GIVEN.json:
        with open(GIVEN.json, "w") as file:
            json.dump(found, file, indent=1)
    if wrong:
        print("results disagree")
    return int(wrong)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Kokkos aborts when the interpreter takes GenTen's objects down in another order than it.
    os._exit(status)

"""CP models of dense arrays beside pyttb and TensorLy: products, sweeps, whole fits.

    python benchmarks/fit.py [--rows REGEX] [--quick] [--least] [--json FILE]

All run in this process on one thread, interleaved, from the same start; numbers are compared before
anything is timed.  The floor is the two matrix products with the whole array that all gradients at
one point need (4*N*r operations for N entries and r components); a sweep of alternating least
squares can do with one and a half.  Peers that are not installed are left out.
"""

# ruff: noqa: E402  (numbers of threads are read when libraries are loaded)
from __future__ import annotations

import os

for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")

import argparse
import json
import math
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from contest import FULL, QUICK, Budget, difference, rounds
from contestants import Contestant, plain
from peers import peer

import tensorcalculus as tc
from tensorcalculus.fit.mttkrp import DenseData
from tensorcalculus.networks import CP

AGREE = 1e-8
"""Largest difference from the first contestant, relative to the largest entry."""

SWEEPS = 10
"""Sweeps of a timed fit; what is done once, such as the norm of the array, is shared among them."""

TARGET = 1e-4
"""Relative error at which a whole fit ends."""

warnings.simplefilter("ignore")


pyttb, tensorly = peer("pyttb"), peer("tensorly")


@dataclass
class Row:
    """One line of the table: the first contestant is ours, `floor` is no contestant."""

    name: str
    contestants: list[Contestant]
    floor: Contestant | None = None
    operations: float = 0.0
    """Of the floor."""
    each: int = 1
    """What a time is divided by."""
    aim: str = ""


def drawn(shape: Sequence[int], rank: int) -> tuple[np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape), [rng.standard_normal((n, rank)) for n in shape]


def halves(x: np.ndarray, rank: int) -> Contestant:
    """The two matrix products that are the floor: the array from the left and from the right."""
    d, rng = x.ndim, np.random.default_rng(0)
    cut = 1 if d == 3 else d // 2
    rows, columns = math.prod(x.shape[:cut]), math.prod(x.shape[d - cut :])
    left, right = rng.standard_normal((rank, rows)), rng.standard_normal((rank, columns))
    a, b = x.reshape(rows, -1), x.reshape(-1, columns)
    return Contestant("two GEMMs", lambda: (left @ a, right @ b.T), plain)


def products(shape: tuple[int, ...], rank: int) -> Row:
    """The products by all modes at one point."""
    x, factors = drawn(shape, rank)
    data = DenseData(x)

    def ours() -> list[np.ndarray]:
        data.put_all(factors)
        return data.mttkrps()

    made = [Contestant("ours", ours, plain)]
    if pyttb is not None:
        t = pyttb.tensor(x)
        made.append(Contestant("pyttb", lambda: t.mttkrps(factors), plain))
    if tensorly is not None:
        from tensorly.cp_tensor import unfolding_dot_khatri_rao

        weighed = (None, factors)
        made.append(
            Contestant(
                "tensorly",
                lambda: [unfolding_dot_khatri_rao(x, weighed, k) for k in range(x.ndim)],
                plain,
            )
        )
    letters = "abcdef"[: x.ndim]
    formulas = [
        ",".join([letters, *(c + "r" for c in letters if c != out)]) + f"->{out}r"
        for out in letters
    ]

    def by_einsum() -> list[np.ndarray]:
        return [
            np.einsum(f, x, *(u for j, u in enumerate(factors) if j != k), optimize=True)
            for k, f in enumerate(formulas)
        ]

    made.append(Contestant("einsum", by_einsum, plain))
    aim = "<= 0.55 of the best peer, <= 1.3 of the floor"
    return Row(
        f"MTTKRP, all modes, {told(shape, rank)}", made, halves(x, rank), 4 * x.size * rank, 1, aim
    )


def sweeps(shape: tuple[int, ...], rank: int) -> Row:
    """A sweep of alternating least squares."""
    x, factors = drawn(shape, rank)

    def entries(weights: Any, found: Sequence[Any]) -> list[np.ndarray]:
        rows = [np.asarray(u)[:8] for u in found]
        return [np.asarray(CP(rows, np.asarray(weights)).to_dense())]

    def ours() -> Any:
        return tc.cp_als(x, rank, start=factors, max_iterations=SWEEPS, tol=0, progress=False)

    made = [Contestant("ours", ours, lambda m: entries(m.weights, m.factors))]
    if pyttb is not None:
        t = pyttb.tensor(x)

        def by_pyttb() -> Any:
            start = pyttb.ktensor([u.copy() for u in factors])
            return pyttb.cp_als(t, rank, maxiters=SWEEPS, stoptol=0, printitn=0, init=start)[0]

        made.append(Contestant("pyttb", by_pyttb, lambda m: entries(m.weights, m.factor_matrices)))
    if tensorly is not None:
        from tensorly.cp_tensor import CPTensor
        from tensorly.decomposition import parafac

        def by_tensorly() -> Any:
            start = CPTensor((np.ones(rank), [u.copy() for u in factors]))
            return parafac(x, rank, n_iter_max=SWEEPS, init=start, tol=0)

        made.append(Contestant("tensorly", by_tensorly, lambda m: entries(m[0], m[1])))
    floor = halves(x, rank)
    return Row(
        f"CP-ALS, a sweep, {told(shape, rank)}", made, floor, 4 * x.size * rank, SWEEPS,
        "half of the best peer",
    )  # fmt: skip


def collinear(n: int, rank: int, cosine: float) -> np.ndarray:
    """A tensor whose components have one cosine in all modes."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(np.full((rank, rank), cosine) + (1 - cosine) * np.eye(rank)).T
    return np.asarray(
        CP([np.linalg.qr(rng.standard_normal((n, rank)))[0] @ root for _ in range(3)]).to_dense()
    )


def sweeps_needed(x: np.ndarray, factors: list[np.ndarray]) -> int:
    """How many sweeps lead to the error of `swamp`; those of pyttb are the same."""
    losses = tc.cp_als(
        x, factors[0].shape[1], start=factors, tol=0, max_iterations=2000, progress=False
    ).loss_history
    return 1 + int(np.argmax(losses < (TARGET * np.linalg.norm(x)) ** 2))


def swamp(n: int, rank: int, cosine: float) -> Row:
    """A whole fit, to an error of 1e-4 relative to the array, of nearly collinear components."""
    x = collinear(n, rank, cosine)
    factors = drawn(x.shape, rank)[1]
    size = float(np.linalg.norm(x))

    def until(run: Callable[..., Any], **options: Any) -> Callable[[], list[np.ndarray]]:
        def told_of(entry: Any) -> None:
            if entry.value < (TARGET * size) ** 2:
                raise KeyboardInterrupt

        def call() -> list[np.ndarray]:
            made = run(
                x, rank, start=factors, tol=0, progress=told_of, max_iterations=20_000, **options
            )
            return [np.array(made.fit > 0.9998, dtype=float)]

        return call

    als = until(tc.cp_als)
    made = [
        Contestant("ours, lm", until(tc.cp_opt), plain),
        Contestant("ours, lbfgs", until(tc.cp_opt, method="lbfgs"), plain),
        Contestant("ours, als", als, plain),
    ]
    if pyttb is not None:
        t = pyttb.tensor(x)
        count = sweeps_needed(x, factors)

        def by_pyttb() -> list[np.ndarray]:
            start = pyttb.ktensor([u.copy() for u in factors])
            _, _, told = pyttb.cp_als(t, rank, maxiters=count, stoptol=0, printitn=0, init=start)
            return [np.array(told["fit"] > 0.9998, dtype=float)]

        made.append(Contestant("pyttb, als", by_pyttb, plain))
    return Row(f"fit to 1e-4, {n}^3 R={rank}, cosine {cosine}", made)


def told(shape: tuple[int, ...], rank: int) -> str:
    return f"{shape[0]}^{len(shape)} R={rank}"


def rows() -> list[Callable[[], Row]]:
    sizes = [((200,) * 3, 16), ((200,) * 3, 32), ((100,) * 3, 32), ((64,) * 4, 16)]
    return [
        *(lambda s=s, r=r: products(s, r) for s, r in sizes),
        *(lambda s=s, r=r: sweeps(s, r) for s, r in sizes),
        lambda: swamp(40, 4, 0.9),
    ]


def measured(row: Row, budget: Budget) -> tuple[dict[str, float], bool]:
    """Milliseconds by contestant; whether all agree."""
    expected = row.contestants[0].numbers(row.contestants[0].call())
    for c in row.contestants[1:]:
        c.error = difference(c.numbers(c.call()), expected)
    every = [*row.contestants, *([row.floor] if row.floor else [])]
    rounds(every, budget)
    times = {c.name: budget.milliseconds(c) / row.each for c in row.contestants}
    if row.floor:
        times[row.floor.name] = budget.milliseconds(row.floor)
    return times, all(c.error <= AGREE for c in row.contestants)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="a regular expression for names of rows")
    parser.add_argument("--quick", action="store_true", help="a short run")
    parser.add_argument("--least", action="store_true", help="the fastest round, not the median")
    parser.add_argument("--json", help="a file for the numbers")
    given = parser.parse_args()
    budget = replace(QUICK if given.quick else FULL, least=given.least)
    found, wrong = [], False
    for build in rows():
        row = build()
        if not re.search(given.rows, row.name):
            continue
        times, agree = measured(row, budget)
        wrong |= not agree
        print(f"{row.name}  (load {os.getloadavg()[0]:.1f})")
        for c in row.contestants:
            flag = "" if c.error <= AGREE else f"   DISAGREES by {c.error:.1e}"
            print(f"    {c.name:12} {times[c.name]:9.2f} ms{flag}")
        ours = times[row.contestants[0].name]
        others = [t for n, t in times.items() if not n.startswith("ours") and n != "two GEMMs"]
        line = f"    {ours / min(others):.2f} of the best peer" if others else "    "
        if row.floor:
            floor = times[row.floor.name]
            rate = row.operations / floor / 1e6
            line += f", {ours / floor:.2f} of two GEMMs ({floor:.2f} ms, {rate:.0f} GFLOP/s)"
        print(line + (f"; aim: {row.aim}" if row.aim else ""), flush=True)
        found.append({"row": row.name, "milliseconds": times})
    if given.json:
        with open(given.json, "w") as file:
            json.dump(found, file, indent=1)
    if wrong:
        sys.exit("results disagree")


if __name__ == "__main__":
    main()

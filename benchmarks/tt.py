"""Tensor trains beside tntorch, torchTT and quimb: time, error, evaluations.

    python benchmarks/tt.py [--quick] [--json FILE] [--rows REGEX]

All run in this process on one thread, interleaved, each with its own arrays and the same tolerance.
What is reported is the least process CPU time of the rounds, in seconds, and the error: relative,
in the Frobenius norm, or on 20 000 random points for cross approximation, where a peer may miss the
tolerance that it is given.  Peers that are not installed are left out.  In brackets stands the
limit that is aimed for, and what was measured elsewhere for peers that are hard to install (ttpy,
xfac).

``--rows growth`` measures our own rounding, scalar product and cross approximation over d, n and r,
and prints the exponents of each, fitted to the logarithms of time and number of points.
"""

# ruff: noqa: E402

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

import tensorcalculus.networks as tn

warnings.simplefilter("ignore")


def peer(name: str) -> Any:
    """A peer's module, or None."""
    try:
        return import_module(name)
    except ImportError:
        return None


torch, tntorch, torchtt = peer("torch"), peer("tntorch"), peer("torchtt")
quimb = peer("quimb.tensor")
if torch is not None:
    torch.set_num_threads(1)


@dataclass
class Contestant:
    """`run` is timed; `judge` takes its result to the error, and evaluations or ranks as a note."""

    name: str
    run: Callable[[], Any]
    judge: Callable[[Any], tuple[float, str]]


@dataclass
class Row:
    """One line of the table."""

    name: str
    contestants: list[Contestant] = field(default_factory=list)
    told: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: dict[str, tuple[float, str]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Of rows that show growth: d, n and r of each."""


def train_of(cores: list[Any]) -> tn.TT:
    """A peer's cores, in any of the usual layouts of the ends, as a train."""
    made = [np.asarray(getattr(c, "numpy", lambda c=c: c)()) for c in cores]
    made[0] = made[0].reshape(1, *made[0].shape[-2:])
    return tn.TT([c.reshape(c.shape[0], c.shape[1], -1) for c in made])


def quimb_train(cores: tuple[np.ndarray, ...]) -> Any:
    """A matrix product state of cores [r, n, r']."""
    d = len(cores)
    arrays = [c[0] if k == 0 else c[:, :, 0] if k == d - 1 else c for k, c in enumerate(cores)]
    order = "lpr"
    return quimb.MatrixProductState(arrays, shape=order)


def quimb_cores(state: Any) -> list[np.ndarray]:
    state.permute_arrays("lpr")
    arrays = [t.data for t in state.tensors]
    arrays[0] = arrays[0][None]
    arrays[-1] = arrays[-1][..., None]
    return arrays


def grid(shape: tuple[int, ...]) -> np.ndarray:
    axes = [
        np.linspace(0, 1, n).reshape([-1 if j == k else 1 for j in range(len(shape))])
        for k, n in enumerate(shape)
    ]
    return 1 / (1 + sum(axes))


def decomposition(name: str, a: np.ndarray, told: str) -> Row:
    row, tol, shape = Row(name, told=told), 1e-8, a.shape
    size = np.linalg.norm(a)

    def judge(cores: list[Any]) -> tuple[float, str]:
        t = train_of(cores)
        return float(np.linalg.norm(t.to_dense() - a) / size), f"rank {max(t.ranks)}"

    add = row.contestants.append
    add(Contestant("ours", lambda: tn.TT.from_dense(a, tol), lambda t: judge(list(t.cores))))
    if torch is not None:
        b = torch.from_numpy(a)
        add(Contestant("ours, torch", lambda: tn.TT.from_dense(b, tol), lambda t: judge(t.cores)))
        if torchtt is not None:
            add(Contestant("torchTT", lambda: torchtt.TT(b, eps=tol), lambda t: judge(t.cores)))
        if tntorch is not None:

            def run() -> Any:
                return tntorch.Tensor(b, eps=tol)

            def judge_tntorch(t: Any) -> tuple[float, str]:
                # Its trains may have factor matrices beside their cores.
                error = float(np.linalg.norm(t.numpy() - a) / size)
                return error, f"rank {int(max(t.ranks_tt))}"

            add(Contestant("tntorch", run, judge_tntorch))
    if quimb is not None:
        per_cut = tol / np.sqrt(len(shape) - 1)

        def run_quimb() -> Any:
            return quimb.MatrixProductState.from_dense(
                a.reshape(-1), dims=shape, cutoff=per_cut**2, cutoff_mode="rsum2"
            )

        add(Contestant("quimb", run_quimb, lambda t: judge(quimb_cores(t))))
    return row


def rounding(rank: int, told: str) -> Row:
    d, n, tol = 20, 20, 1e-10
    row = Row(f"rounding A+A, d=20, n=20, {2 * rank} to {rank}", told=told)
    a = tn.TT.random((n,) * d, rank, seed=1)
    x, size = a + a, float(a.norm())

    def judge(cores: Any) -> tuple[float, str]:
        t = train_of(list(cores))
        return float((t - 2 * a).norm()) / (2 * size), f"rank {max(t.ranks)}"

    add = row.contestants.append
    add(Contestant("ours", lambda: x.round(tol), lambda t: judge(t.cores)))
    if torch is not None:
        cores = [torch.from_numpy(c) for c in x.cores]
        ours = tn.TT(cores)
        add(Contestant("ours, torch", lambda: ours.round(tol), lambda t: judge(t.cores)))
        if torchtt is not None:
            peer_x = torchtt.TT(cores)
            add(Contestant("torchTT", lambda: peer_x.round(tol), lambda t: judge(t.cores)))
        if tntorch is not None:
            other = tntorch.Tensor(cores)

            def run_tntorch() -> Any:
                t = other.clone()
                t.round_tt(eps=tol)
                return t

            add(Contestant("tntorch", run_tntorch, lambda t: judge(t.cores)))
    if quimb is not None:
        state = quimb_train(x.cores)

        def run_quimb() -> Any:
            made = state.copy()
            made.compress(cutoff=(tol / np.sqrt(d - 1)) ** 2, cutoff_mode="rsum2")
            return made

        add(Contestant("quimb", run_quimb, lambda t: judge(quimb_cores(t))))
    return row


def padded(t: tn.TT, rank: int) -> tn.TT:
    """The same tensor with bonds of `rank`, the true ones hidden by rotations."""
    rng = np.random.default_rng(0)
    bonds = [1, *[rank] * (t.ndim - 1), 1]
    cores = []
    for k, core in enumerate(t.cores):
        wide = np.zeros((bonds[k], core.shape[1], bonds[k + 1]))
        wide[: core.shape[0], :, : core.shape[2]] = core
        cores.append(wide)
    for k in range(t.ndim - 1):
        q = np.linalg.qr(rng.standard_normal((rank, rank)))[0]
        cores[k] = cores[k] @ q
        cores[k + 1] = np.einsum("ba,bnc->anc", q, cores[k + 1])
    return tn.TT(cores)


def hadamard(rank: int, told: str, formed: bool) -> Row:
    d, n, tol = 50, 10, 1e-8
    row = Row(f"Hadamard and rounding, d=50, n=10, r={rank}, to 25", told=told)
    u, v = (tn.TT.random((n,) * d, 5, seed=k) for k in (1, 2))
    a, b, exact = padded(u, rank), padded(v, rank), u * v
    size = float(exact.norm())

    def judge(t: tn.TT) -> tuple[float, str]:
        return float((t - exact).norm()) / size, f"rank {max(t.ranks)}"

    row.contestants.append(Contestant("ours", lambda: a.multiply(b, tol), judge))
    if formed:
        row.contestants.append(Contestant("cores formed", lambda: (a * b).round(tol), judge))
    return row


def scalar_product(told: str) -> Row:
    row = Row("scalar product, d=50, n=10, r=30", told=told)
    a, b = (tn.TT.random((10,) * 50, 30, seed=k) for k in (1, 2))
    exact = float(a.dot(b))

    def judge(value: Any) -> tuple[float, str]:
        return abs(float(value) - exact) / abs(exact), ""

    add = row.contestants.append
    add(Contestant("ours", lambda: a.dot(b), judge))
    if torch is not None:
        x, y = ([torch.from_numpy(c) for c in t.cores] for t in (a, b))
        if torchtt is not None:
            p, q = torchtt.TT(x), torchtt.TT(y)
            add(Contestant("torchTT", lambda: torchtt.dot(p, q), judge))
        if tntorch is not None:
            r, s = tntorch.Tensor(x), tntorch.Tensor(y)
            add(Contestant("tntorch", lambda: tntorch.dot(r, s), judge))
    return row


def growth(what: str, told: str, at: tuple[int, int, int]) -> Row:
    """Our own cost where d, n and r are one, two and four times what they are at first."""
    row = Row(f"growth of {what}", told=told)
    d, n, r = at
    sizes = [at, *((d * k, n, r) for k in (2, 4)), *((d, n * k, r) for k in (2, 4))]
    for size in [*sizes, (d, n, r * 2), (d, n, r * 4)]:
        name = "d{} n{} r{}".format(*size)
        row.sizes[name] = size
        row.contestants.append(Contestant(name, *GROWING[what](*size)))
    return row


Measured = tuple[Callable[[], Any], Callable[[Any], tuple[float, str]]]


def growing_rounding(d: int, n: int, r: int) -> Measured:
    t = tn.TT.random((n,) * d, r, seed=1)
    twice = t + t
    size = twice.norm()
    return lambda: twice.round(1e-10), lambda t: (float((t - twice).norm() / size), "")


def growing_dot(d: int, n: int, r: int) -> Measured:
    t = tn.TT.random((n,) * d, r, seed=1)
    size = float(t.norm()) ** 2
    return lambda: t.dot(t), lambda value: (abs(float(value) / size - 1), "")


def growing_cross(d: int, n: int, r: int) -> Measured:
    """Of a sum of r/2 waves of the sum of all variables, which has rank r."""
    waves = np.arange(1, r // 2 + 1)
    points = np.random.default_rng(99).integers(0, n, (20_000, d))

    def f(i: np.ndarray) -> np.ndarray:
        turned = np.exp(2j * np.pi * i.sum(axis=1) / (n + 1))
        # Horner's rule, so that a value costs little whatever the rank.
        total = np.zeros(len(i), complex)
        for k in waves[::-1]:
            total = (total + 1 / k) * turned
        return total.imag

    truth = f(points)

    def judge(t: tn.TT) -> tuple[float, str]:
        off = float(np.linalg.norm(t.at(points) - truth) / np.linalg.norm(truth))
        return off, f"{t.info.evaluations} points, rank {max(t.ranks)}"

    return lambda: tn.TT.cross(f, (n,) * d, tol=1e-8, max_evaluations=10**8), judge


GROWING = {"rounding": growing_rounding, "a scalar product": growing_dot, "cross": growing_cross}


def exponents(row: Row, measured: dict[str, float]) -> list[float]:
    """Of d, n and r in what was measured, each from the sizes that differ from the first in it."""
    first = next(iter(row.sizes.values()))
    found = []
    for k in range(3):
        others = first[:k] + first[k + 1 :]
        chosen = [name for name, x in row.sizes.items() if x[:k] + x[k + 1 :] == others]
        logs = np.log([row.sizes[name][k] for name in chosen])
        found.append(float(np.polyfit(logs, np.log([measured[name] for name in chosen]), 1)[0]))
    return found


def tell_growth(row: Row) -> list[list[Any]]:
    """Print how time grows, and for cross approximation the number of points."""
    measured = {"time": {name: min(times) for name, times in row.seconds.items()}}
    points = {name: re.match(r"(\d+) points", note) for name, (_, note) in row.errors.items()}
    if all(points.values()):
        measured["points"] = {name: float(found[1]) for name, found in points.items() if found}
    kept = []
    for what, values in measured.items():
        fitted = exponents(row, values)
        print("  {} like d^{:.2f} n^{:.2f} r^{:.2f}".format(what, *fitted), flush=True)
        kept.append([row.name, what, *fitted])
    return kept


D, N = 10, 32
UNIT, WIDE, HIGH = np.linspace(0, 1, N), np.linspace(-2, 2, N), np.linspace(-3, 3, N)
SLOPES = np.arange(1, 11) / 11


def inverse(i: np.ndarray) -> np.ndarray:
    return 1 / (1 + UNIT[i].sum(axis=1))


def ackley(i: np.ndarray) -> np.ndarray:
    z = WIDE[i]
    far = -20 * np.exp(-0.2 * np.sqrt((z * z).mean(axis=1)))
    return far - np.exp(np.cos(2 * np.pi * z).mean(axis=1)) + 20 + np.e


def corner(i: np.ndarray) -> np.ndarray:
    return (1 + UNIT[i] @ SLOPES) ** -11.0


def path(i: np.ndarray) -> np.ndarray:
    z = HIGH[i]
    return np.exp(-0.5 * (np.diff(z, axis=1) ** 2).sum(axis=1) - 0.5 * (z * z).sum(axis=1))


def crossing(f: Callable[[np.ndarray], np.ndarray], told: str) -> Row:
    row = Row(f"cross of {f.__name__}, d=10, n=32", told=told)
    points = np.random.default_rng(99).integers(0, N, (20_000, D))
    truth = f(points)
    size = np.linalg.norm(truth)

    def judge(t: tn.TT) -> tuple[float, str]:
        return float(np.linalg.norm(t.at(points) - truth) / size), f"{t.info.evaluations} points"

    def run() -> tn.TT:
        return tn.TT.cross(f, (N,) * D, tol=1e-8)

    row.contestants.append(Contestant("ours", run, judge))
    if tntorch is not None:
        domain = [torch.arange(N, dtype=torch.float64)] * D

        def run_tntorch() -> Any:
            seen = [0]

            def asked(x: Any) -> Any:
                seen[0] += len(x)
                return torch.from_numpy(f(x.numpy().astype(int)))

            torch.manual_seed(0)
            t = tntorch.cross(asked, domain, function_arg="matrix", eps=1e-8, verbose=False)
            return t, seen[0]

        def judge_tntorch(made: Any) -> tuple[float, str]:
            t = train_of(made[0].cores)
            error = float(np.linalg.norm(t.at(points) - truth) / size)
            return error, f"{made[1]} points"

        row.contestants.append(Contestant("tntorch", run_tntorch, judge_tntorch))
    return row


def rows() -> list[tuple[str, Callable[[], Row]]]:
    def random() -> np.ndarray:
        return tn.TT.random((20,) * 5, 20, seed=1).to_dense()

    cubic = "at most linear in d and n, cubic in r"
    half, four = "0.5 of the best peer (ttpy 0.74)", "0.4 of the best peer"
    return [
        ("svd random", lambda: decomposition("TT-SVD, 20^5, random of rank 20", random(), half)),
        ("svd inverse 20", lambda: decomposition("TT-SVD, 20^5, 1/(1+x)", grid((20,) * 5), four)),
        ("svd inverse 4", lambda: decomposition("TT-SVD, 4^11, 1/(1+x)", grid((4,) * 11), four)),
        ("round 50", lambda: rounding(50, "0.8 of the best peer (ttpy 0.27)")),
        ("round 100", lambda: rounding(100, "0.45 of the best peer (ttpy 1.87)")),
        ("hadamard 20", lambda: hadamard(20, "0.15; 5.4 with the cores formed", False)),
        ("hadamard 30", lambda: hadamard(30, "below 1 GiB", False)),
        ("dot", lambda: scalar_product("the best peer")),
        ("growth round", lambda: growth("rounding", cubic, (20, 16, 40))),
        ("growth dot", lambda: growth("a scalar product", cubic, (20, 16, 64))),
        ("growth cross", lambda: growth("cross", f"{cubic}; d indices a point", (24, 48, 6))),
        ("cross inverse", lambda: crossing(inverse, "0.15 s, 88k; ttpy 0.09, 395k; xfac 0.23")),
        ("cross ackley", lambda: crossing(ackley, "ttpy 0.21, 922k; tntorch 176k")),
        ("cross corner", lambda: crossing(corner, "ttpy 0.07, 396k; tntorch 176k")),
        ("cross path", lambda: crossing(path, "ttpy 0.20, 855k; tntorch 308k")),
    ]


def measure(row: Row, rounds: int) -> None:
    """Interleaved rounds after one to warm up, in which results are judged."""
    for contestant in list(row.contestants):
        try:
            row.errors[contestant.name] = contestant.judge(contestant.run())
            row.seconds[contestant.name] = []
        except Exception as fault:
            print(f"  {contestant.name} is left out: {type(fault).__name__}: {fault}")
            row.contestants.remove(contestant)
    for _ in range(rounds):
        for contestant in row.contestants:
            # Short ones are repeated, as the clock of the process is coarse.
            count, start = 0, time.process_time()
            while count == 0 or (time.process_time() - start < 0.05 and count < 100):
                contestant.run()
                count += 1
            row.seconds[contestant.name].append((time.process_time() - start) / count)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two rounds instead of seven")
    parser.add_argument("--json", metavar="FILE", help="keep the numbers")
    parser.add_argument("--rows", default="", metavar="REGEX", help="only rows with such a name")
    chosen = parser.parse_args()
    kept = []
    print(f"load {os.getloadavg()[0]:.1f}; least CPU seconds of the rounds")
    for short, build in rows():
        if not re.search(chosen.rows, short):
            continue
        row = build()
        print(f"\n{row.name}   (aim or elsewhere: {row.told})")
        measure(row, 2 if chosen.quick else 7)
        for contestant in row.contestants:
            least = min(row.seconds[contestant.name])
            error, note = row.errors[contestant.name]
            print(f"  {contestant.name:14} {least:9.5f} s   error {error:.2e}   {note}", flush=True)
            kept.append([row.name, contestant.name, least, error, note])
        if row.sizes:
            kept += tell_growth(row)
    if chosen.json:
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Gradients of tensor networks by all cores, beside JAX under jit and PyTorch.

All contract the same tree of pairs, the one that this library finds: the peers differentiate it by
reverse mode.  Results are compared before anything is timed; rounds are interleaved, on one core.

    python benchmarks/networks.py [--rows REGEX] [--quick] [--least] [--json FILE]
"""

# ruff: noqa: E402  (numbers of threads are read when libraries are loaded)
from __future__ import annotations

import os

for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from contest import FULL, QUICK, difference, rounds
from contestants import Contestant

from tensorcalculus.networks import (
    Environments,
    Network,
    inner,
    mps_mpo_sandwich,
    peps,
    prepare,
    tt,
    value_and_gradients,
)

AGREE = 1e-9
"""Largest difference of a gradient, relative to its largest entry."""


def networks() -> dict[str, tuple[Network, float]]:
    """Networks by name, and what part of the best peer's time is aimed at."""
    train = {"n": 10, "ranks": 32}
    grid = peps(5, 5, n=2, bond=3)
    return {
        "MPS-MPO-MPS, length 50, bonds 32 and 5": (
            mps_mpo_sandwich(50, n=2, bond=32, operator_bond=5), 0.75),
        "TT scalar product, d=30, n=10, r=32": (
            inner(tt(30, **train), tt(30, name="H", **train)), 0.6),
        "PEPS norm 5x5, bond 3, dimension 2": (
            inner(grid, grid.renamed(lambda name: f"S{name}")), 0.5),
    }  # fmt: skip


def arrays(net: Network) -> dict[str, np.ndarray]:
    """Normal entries, scaled so that the value is near 1 in size."""
    rng = np.random.default_rng(0)
    drawn = {k: rng.standard_normal([d.value for d in v.shape]) for k, v in net.symbols.items()}
    cores = {k: a / np.linalg.norm(a) for k, a in drawn.items()}
    value, _ = value_and_gradients(net, cores)
    factor = abs(value) ** (-1 / len(cores)) if value else 1.0
    return {k: factor * a for k, a in cores.items()}


def contracted(plan: Environments, cores: Sequence[Any], einsum: Callable[..., Any]) -> Any:
    """The value along the tree, by pairwise einsums."""
    found = list(cores)
    labels: list[tuple[int, ...]] = list(plan.tree.structure.legs)
    for k, (a, b) in enumerate(plan.tree.steps):
        kept = plan.tree.labels[len(cores) + k]
        legs = tuple(i for i in dict.fromkeys((*labels[a], *labels[b])) if i in kept)
        # Letters, few a step: networks have more labels than an einsum has letters.
        letters = {i: chr(97 + n) for n, i in enumerate({*labels[a], *labels[b]})}
        spec = ["".join(letters[i] for i in g) for g in (labels[a], labels[b], legs)]
        found.append(einsum(f"{spec[0]},{spec[1]}->{spec[2]}", found[a], found[b]))
        labels.append(legs)
    return found[-1]


def contestants(net: Network, cores: dict[str, np.ndarray]) -> tuple[list[Contestant], list[str]]:
    """Ours first, then the value alone, then the peers; and what each took to prepare."""
    plan = prepare(net, cores)
    notes = [f"ours: {plan.cost}"]

    def numbers(result: Any) -> list[np.ndarray]:
        return [np.asarray(result[0]), *(np.asarray(g) for g in result[1])]

    made = [
        Contestant("ours", lambda: value_and_gradients(net, cores),
                   lambda r: numbers((r[0], list(r[1].values())))),
        Contestant("ours, value alone", lambda: net(**cores), lambda r: [np.asarray(r)]),
    ]  # fmt: skip
    names = [c.name for c in net.present]
    if find_spec("jax") is None:
        notes.append("jax is not installed (`pip install jax`)")
    else:
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        run = jax.jit(jax.value_and_grad(lambda given: contracted(plan, given, jnp.einsum)))
        held = [jnp.asarray(cores[n]) for n in names]
        start = time.perf_counter()
        jax.block_until_ready(run(held))
        notes.append(f"jax: {time.perf_counter() - start:.2f} s to compile")
        made.append(Contestant("jax", lambda: jax.block_until_ready(run(held)), numbers))
    if find_spec("torch") is None:
        notes.append("torch is not installed (`pip install torch`)")
    else:
        import torch

        torch.set_num_threads(1)
        leaves = [torch.tensor(cores[n], requires_grad=True) for n in names]

        def by_torch() -> tuple[Any, Any]:
            value = contracted(plan, leaves, torch.einsum)
            return value.detach(), torch.autograd.grad(value, leaves)

        made.append(Contestant("torch", by_torch, numbers))
    return made, notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="a regular expression for names of rows")
    parser.add_argument("--quick", action="store_true", help="a short run")
    parser.add_argument("--least", action="store_true", help="the fastest round, not the median")
    parser.add_argument("--json", help="a file for the numbers")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # JAX runs independent steps on threads of its own, whatever it is told.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    # The allocator keeps what is freed once it has seen a large block, as in an older process.
    np.ones(4_000_000)
    budget = replace(QUICK if given.quick else FULL, least=given.least)
    found: list[dict[str, Any]] = []
    wrong = False
    for name, (net, aim) in networks().items():
        if not re.search(given.rows, name):
            continue
        start = time.perf_counter()
        cores = arrays(net)
        first = time.perf_counter() - start
        entered, notes = contestants(net, cores)
        ours = entered[0]
        expected = ours.numbers(ours.call())
        for c in entered[1:]:
            got = c.numbers(c.call())
            c.error = difference(got, expected[: len(got)])
            wrong |= not c.error <= AGREE
        print(f"{name}  (load {os.getloadavg()[0]:.1f})")
        for note in (f"ours: {first:.2f} s for the first call", *notes):
            print(f"    {note}")
        rounds(entered, budget)
        times = {c.name: budget.milliseconds(c) for c in entered}
        for c in entered:
            flag = "" if c.error <= AGREE else f"   DISAGREES by {c.error:.1e}"
            print(f"    {c.name:20} {times[c.name]:8.3f} ms{flag}")
        peers = [t for n, t in times.items() if not n.startswith("ours")]
        line = f"    {times['ours'] / times['ours, value alone']:.2f} times its value"
        if peers:
            line += f", {times['ours'] / min(peers):.2f} times the best peer (aim {aim})"
        print(line)
        found.append({"row": name, "milliseconds": times, "notes": notes})
    if given.json:
        with open(given.json, "w") as file:
            json.dump(found, file, indent=1)
    if wrong:
        sys.exit("results disagree")


if __name__ == "__main__":
    main()

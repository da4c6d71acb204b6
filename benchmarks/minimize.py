"""How long a minimisation takes beside SciPy's L-BFGS-B driven by JAX.

    python benchmarks/minimize.py [--quick] [--json FILE]

The peer is ``scipy.optimize.minimize(method="L-BFGS-B")`` on ``jax.jit(jax.value_and_grad(f))`` in
float64, the usual way to minimise without this package.  Its compilation is not in its time, ours
(deriving aside, which is found the second time) is in ours.  Each task is run by both until the
largest entry of the projected gradient is 1e-6 of that at the start; it is checked first that they
reach the same value.  Runs are interleaved in one process, medians are reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# One thread for everyone: two slow small products down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import numpy as np

import tensorcalculus as tc

TOLERANCE = 1e-6
AGREEMENT = 1e-7
"""Largest relative difference of values reached."""


@dataclass
class Task:
    """A function here and in JAX, its data and start."""

    name: str
    text: str
    declarations: dict[str, str]
    data: dict[str, Any]
    start: dict[str, np.ndarray]
    peer: Callable[..., Any]
    """From a dictionary of JAX arrays, all variables, to the value."""
    methods: tuple[str, ...] = ("lbfgs", "newton-cg")
    bounds: dict[str, tuple] = field(default_factory=dict)


def tasks(quick: bool) -> list[Task]:
    """Typical problems; smaller ones for a quick run."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal

    def softplus(t: Any) -> Any:
        import jax

        return jax.nn.softplus(t)

    found = []
    for m, n in [(200, 10)] if quick else [(569, 31), (5000, 200)]:
        X = normal((m, n))
        y = np.sign(X @ normal(n) / np.sqrt(n) + 0.5 * normal(m))
        found.append(
            Task(
                f"logistic regression, {m} x {n}",
                "sum(log(1+exp(-y.*(X*w))))+c*norm2(w)^2/2",
                {"X": "m n", "y": "m", "w": "n", "c": ""},
                {"X": X, "y": y, "c": 1.0},
                {"w": np.zeros(n)},
                lambda v: (
                    softplus(-v["y"] * (v["X"] @ v["w"])).sum() + v["c"] * (v["w"] @ v["w"]) / 2
                ),
                ("newton", "newton-cg", "lbfgs"),
            )
        )
    m, n, k = (40, 30, 3) if quick else (400, 300, 10)
    T = normal((m, k)) @ normal((k, n)) + 0.1 * normal((m, n))
    W = (rng.random((m, n)) < 0.5).astype(float)
    factors = {"U": normal((m, k)) / np.sqrt(k), "V": normal((n, k)) / np.sqrt(k)}

    def completion(v: Any) -> Any:
        r = v["W"] * (v["T"] - v["U"] @ v["V"].T)
        return (r * r).sum() + v["c"] * ((v["U"] ** 2).sum() + (v["V"] ** 2).sum())

    found.append(
        Task(
            f"matrix completion, {m} x {n}, rank {k}",
            "norm2(W.*(T-U*V'))^2+c*(norm2(U)^2+norm2(V)^2)",
            {"T": "m n", "W": "m n", "U": "m k", "V": "n k", "c": ""},
            {"T": W * T, "W": W, "c": 1.0}, factors, completion,
        )
    )  # fmt: skip
    left, right = rng.random((m, k)), rng.random((n, k))

    def squares(v: Any) -> Any:
        r = v["T"] - v["U"] @ v["V"].T
        return (r * r).sum()

    found.append(
        Task(
            f"non-negative factors, {m} x {n}, rank {k}",
            "norm2(T-U*V')^2",
            {"T": "m n", "U": "m k", "V": "n k"},
            {"T": rng.random((m, k)) @ rng.random((k, n)) + 0.01 * rng.random((m, n))},
            {"U": left, "V": right}, squares, bounds={"U": (0, None), "V": (0, None)},
        )
    )  # fmt: skip
    n = 40 if quick else 300
    x = np.sort(rng.uniform(0, 10, n))
    D = (x[:, None] - x) ** 2

    def gaussian_process(v: Any) -> Any:
        import jax.numpy as jnp

        kernel = jnp.exp(v["a"] - v["D"] / 2 * jnp.exp(-2 * v["l"]))
        K = kernel + jnp.exp(v["s"]) * jnp.eye(n)
        return (jnp.linalg.slogdet(K)[1] + v["y"] @ jnp.linalg.solve(K, v["y"])) / 2

    zero = np.array(0.0)
    found.append(
        Task(
            f"Gaussian process, {n} points",
            "(logdet(K)+y'*solve(K,y))/2 where K = exp(a-D/2*exp(-2*l))+exp(s)*eye",
            {"D": "m m sym", "y": "m", "a": "", "l": "", "s": ""},
            {"D": D, "y": np.sin(x) + 0.3 * normal(n)},
            {"a": zero, "l": zero, "s": zero}, gaussian_process, ("newton", "lbfgs"),
        )
    )  # fmt: skip
    return found


def peer(task: Task) -> Callable[[], tuple[float, int]]:
    """The task for SciPy and JAX: a function that gives the value and counts evaluations."""
    import jax
    from scipy.optimize import minimize

    jax.config.update("jax_enable_x64", True)
    names = list(task.start)
    shapes = [task.start[n].shape for n in names]
    ends = np.cumsum([task.start[n].size for n in names])[:-1]
    data = {name: jax.numpy.asarray(a) for name, a in task.data.items()}

    @jax.jit
    @jax.value_and_grad
    def value_and_gradient(x: Any) -> Any:
        parts = [p.reshape(s) for p, s in zip(jax.numpy.split(x, ends), shapes, strict=True)]
        return task.peer({**data, **dict(zip(names, parts, strict=True))})

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, g = value_and_gradient(x)
        return float(value), np.asarray(g)

    x0 = np.concatenate([task.start[n].ravel() for n in names])
    bounds = [(0, None)] * len(x0) if task.bounds else None
    g0 = function(x0)[1]
    first = np.abs(x0 - np.maximum(x0 - g0, 0) if bounds else g0).max()
    options = {"ftol": 0, "gtol": TOLERANCE * first, "maxiter": 10**5, "maxfun": 10**6}

    def run() -> tuple[float, int]:
        found = minimize(function, x0, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        return float(found.fun), int(found.nfev)

    return run


def compare(task: Task, repetitions: int) -> dict[str, Any]:
    """Medians of seconds by contestant, after the values were found to agree."""
    f = tc.parse(task.text, task.declarations)

    def ours(method: str) -> Callable[[], tuple[float, int]]:
        def run() -> tuple[float, int]:
            r = tc.minimize(
                f, list(task.start), task.data, task.start, method, task.bounds, TOLERANCE
            )
            if not r.converged:
                print(f"{task.name}: {method} says {r.message}", file=sys.stderr)
            return r.value, r.evaluations

        return run

    runs = {method: ours(method) for method in task.methods}
    if find_spec("jax") is not None:
        runs["SciPy and JAX"] = peer(task)
    first = {name: run() for name, run in runs.items()}
    lowest = min(value for value, _ in first.values())
    notes = []
    for name, (value, _) in first.items():
        if abs(value - lowest) > AGREEMENT * abs(lowest):
            notes.append(f"{task.name}: {name} ends at {value:.8g}, the lowest is {lowest:.8g}")
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {
        "task": task.name,
        "value": lowest,
        "seconds": {name: statistics.median(t) for name, t in times.items()},
        "evaluations": {name: count for name, (_, count) in first.items()},
        "notes": notes,
    }


def report(found: dict[str, Any]) -> str:
    """All results in Markdown."""
    lines = [f"# Minimising, on {found['machine']}", ""]
    lines += ["Milliseconds, medians; evaluations of value and gradient in brackets.", ""]
    lines += [
        "| task | method | ms | SciPy and JAX, ms | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in found["tasks"]:
        theirs = row["seconds"].get("SciPy and JAX")
        for name, seconds in row["seconds"].items():
            if name == "SciPy and JAX":
                continue
            cells = [row["task"], name, f"{1e3 * seconds:.2f} ({row['evaluations'][name]})"]
            if theirs is None:
                cells += ["-", "-"]
            else:
                count = row["evaluations"]["SciPy and JAX"]
                cells += [f"{1e3 * theirs:.2f} ({count})", f"{theirs / seconds:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    notes = [note for row in found["tasks"] for note in row["notes"]]
    if find_spec("jax") is None:
        notes.append("left out: JAX is not installed (`pip install jax`)")
    return "\n".join([*lines, "", *(f"- {note}." for note in notes)]) + "\n"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run everything, print Markdown, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repetition of small problems")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    given = parser.parse_args(arguments)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}",
        "tasks": [compare(task, 1 if given.quick else 7) for task in tasks(given.quick)],
    }
    print(report(found))
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()

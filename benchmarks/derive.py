"""How long it takes to derive and simplify, how large derivatives get, how long the import takes.

    python benchmarks/derive.py [--quick] [--json FILE]

Every repetition derives anew: variables and sizes are renamed each time, the results of the last
repetition are dropped, and it is checked that they are gone (nodes are interned in a weak table,
so a result that is still alive would be found instead of derived).  Medians are reported.  Peers
run in the same process, interleaved, after their result was compared with ours on numbers; one
that is not installed or cannot do a task is left out with a message.  That the derivatives of the
cases are right is what ``tests/test_cases.py`` checks.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr, walk

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TENSORCALCULUS_SHARED", REPOSITORY.parent / "shared"))
NAME = re.compile(r"'[^']*->[^']*'|\"[^\"]*\"|(?<![\w.])[^\W\d]\w*")
LIMIT_CASE, LIMIT_NETWORK, LIMIT_IMPORT = 5.0, 50.0, 200.0
"""What is aimed for, in milliseconds."""
PASSES = 300
"""Garbage collections after which a result counts as kept."""


# -- cold derivations ----------------------------------------------------------------------------


@dataclass
class Formula:
    """A formula with the derivative that is asked for."""

    name: str
    text: str
    declarations: dict[str, str]
    wrt: list[str]

    def renamed(self, k: int) -> Formula:
        """The same with ``k`` after every name and size, so that no node is known yet."""
        shapes = {s for spec in self.declarations.values() for s in spec.split()}
        known = set(self.declarations) | {s for s in shapes if not s.isdecimal()}

        def new(match: re.Match) -> str:
            return f"{match[0]}_{k}" if match[0] in known else match[0]

        declarations = {
            f"{name}_{k}": " ".join(s if s.isdecimal() else f"{s}_{k}" for s in spec.split())
            for name, spec in self.declarations.items()
        }
        wrt = [f"{name}_{k}" for name in self.wrt]
        return Formula(self.name, NAME.sub(new, self.text), declarations, wrt)


@dataclass
class Timing:
    """Milliseconds of each repetition."""

    parse: list[float] = field(default_factory=list)
    derive: list[float] = field(default_factory=list)
    spell: list[float] = field(default_factory=list)

    @property
    def from_expression(self) -> float:
        return statistics.median(self.derive)

    @property
    def from_text(self) -> float:
        return statistics.median(a + b for a, b in zip(self.parse, self.derive, strict=True))

    @property
    def printing(self) -> float:
        return statistics.median(self.spell)


_fresh = iter(range(1, 10**9))


def measure(formula: Formula, repetitions: int) -> Timing:
    """Time parsing, deriving (which simplifies) and printing, each from nothing."""
    timing = Timing()
    for _ in range(repetitions):
        one = formula.renamed(next(_fresh))
        gc.collect()
        gc.disable()
        start = time.perf_counter()
        f = tc.parse(one.text, one.declarations)
        parsed = time.perf_counter()
        d = tc.derivative(f, one.wrt, len(one.wrt))
        derived = time.perf_counter()
        str(d)
        printed = time.perf_counter()
        gc.enable()
        timing.parse.append(1e3 * (parsed - start))
        timing.derive.append(1e3 * (derived - parsed))
        timing.spell.append(1e3 * (printed - derived))
        alive = [weakref.ref(e) for e in (f, d) if e.names and e not in f.variables.values()]
        del f, d
        _forget(formula.name, alive)
    return timing


def _forget(name: str, results: list[weakref.ref]) -> None:
    """Collect garbage until the results are gone.

    A node that remembers itself as its own simplified form dies only in a collection, and its
    entry in the table of nodes keeps its children until then: one pass a level.
    """
    for _ in range(PASSES):
        if all(result() is None for result in results):
            return
        gc.collect()
    raise RuntimeError(f"{name}: a result outlives its repetition")


# -- (a) the cases -------------------------------------------------------------------------------


def cases(quick: bool) -> list[Formula]:
    """The cases of ``derivatives.json``; a few of them for a quick run."""
    path = SHARED / "cases" / "derivatives.json"
    if not path.is_file():
        print(f"left out: {path} is missing", file=sys.stderr)
        return []
    found = []
    for case in json.loads(path.read_text())["cases"]:
        wrt = case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"]
        declarations = {name: " ".join(v["shape"]) for name, v in case["vars"].items()}
        found.append(Formula(case["id"], case["expr"], declarations, wrt))
    return found[::12] if quick else found


# -- (b), (d) networks ---------------------------------------------------------------------------


def network(depth: int, columns: bool = False) -> Formula:
    """``norm2(tanh(W_k*...tanh(W_1*x))-y)^2`` for one sample, or for one sample a column."""
    inside = "X" if columns else "x"
    target = "Y" if columns else "y"
    declarations = {inside: "n0 b" if columns else "n0"}
    text = inside
    for k in range(1, depth + 1):
        text = f"tanh(W{k}*{text})"
        declarations[f"W{k}"] = f"n{k} n{k - 1}"
    declarations[target] = f"n{depth} b" if columns else f"n{depth}"
    name = f"{depth} layers, {'a batch' if columns else 'one sample'}"
    return Formula(name, f"norm2({text}-{target})^2", declarations, ["W1", "W1"])


def sizes(depths: Sequence[int]) -> list[dict[str, Any]]:
    """Number of nodes of function, gradient and Hessian by depth."""
    rows = []
    for depth in depths:
        one = network(depth)
        f = tc.parse(one.text, one.declarations)
        row: dict[str, Any] = {"depth": depth, "function": count(f)}
        row["gradient"] = count(f.gradient("W1"))
        row["hessian"] = count(f.hessian("W1"))
        rows.append(row)
    return rows


def count(e: Expr) -> int:
    """The number of different nodes."""
    return sum(1 for _ in walk(e))


# -- (c) peers -----------------------------------------------------------------------------------

LEAST_SQUARES = Formula(
    "gradient of least squares", "norm2(X*w-y)^2", {"X": "m n", "w": "n", "y": "m"}, ["w"]
)
LOGISTIC = Formula(
    "Hessian of logistic regression",
    "sum(log(1+exp(-y.*(X*w))))",
    {"X": "m n", "w": "n", "y": "m"},
    ["w", "w"],
)
TASKS = (LEAST_SQUARES, LOGISTIC)


def tensorgrad_tasks() -> dict[str, Callable[[int], Any]]:
    """tensorgrad: derive and simplify fully; returns the tensor and its variables."""
    import tensorgrad as tg
    from tensorgrad import functions as F

    def variables(k: int) -> tuple[Any, Any, Any]:
        m, n = tg.symbols(f"m_{k} n_{k}")
        return (
            tg.Variable(f"X_{k}", i=m, j=n), tg.Variable(f"w_{k}", j=n), tg.Variable(f"y_{k}", i=m)
        )  # fmt: skip

    def least_squares(k: int) -> Any:
        X, w, y = variables(k)
        r = X @ w - y
        return tg.Derivative(F.sum(r * r), w).full_simplify(), (X, w, y)

    def logistic(k: int) -> Any:
        X, w, y = variables(k)
        f = F.sum(F.log(1 + F.exp(-(X @ w) * y)))
        return tg.Derivative(tg.Derivative(f, w), w).full_simplify(), (X, w, y)

    return {LEAST_SQUARES.name: least_squares, LOGISTIC.name: logistic}


def tensorgrad_value(result: Any, data: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers of a tensorgrad tensor; its own evaluator needs torch's named tensors.

    Covers the nodes that occur in the two tasks.
    """
    import tensorgrad as tg
    from tensorgrad.tensor import Rename

    tensor, (X, w, y) = result
    values = {X.name: data["X"], w.name: data["w"], y.name: data["y"]}
    lengths = {X.shape[edge]: length for edge, length in zip(X.edges, data["X"].shape, strict=True)}

    def aligned(t: Any, edges: Sequence[str]) -> np.ndarray:
        array, have = value(t)
        return np.einsum(array, [have.index(e) for e in have], [have.index(e) for e in edges])

    def value(t: Any) -> tuple[np.ndarray, list[str]]:
        if isinstance(t, tg.Variable):
            return values[t.name], list(t.edges)
        if isinstance(t, Rename):
            array, edges = value(t.tensor)
            return array, [t.mapping.get(e, e) for e in edges]
        if isinstance(t, tg.Sum):
            edges = list(t.edges)
            terms = zip(t.weights, t.terms, strict=True)
            return sum(float(c) * aligned(u, edges) for c, u in terms), edges
        if isinstance(t, tg.Delta):
            n, edges = lengths[t.size], list(t.edges)
            array = np.zeros((n,) * len(edges))
            array[(np.arange(n),) * len(edges)] = 1
            return array, edges
        if isinstance(t, tg.Product):
            parts = [value(u) for u in t.factors]
            names = sorted({e for _, edges in parts for e in edges})
            operands = [o for a, edges in parts for o in (a, [names.index(e) for e in edges])]
            edges = list(t.edges)
            return np.einsum(*operands, [names.index(e) for e in edges]), edges
        if isinstance(t, tg.Function) and len(t.inputs) == 1:
            array, edges = value(t.inputs[0])
            name = t.signature.name
            power = re.fullmatch(r"pow\(k=(-?\d+)\)", name)
            function = (lambda a: a ** float(power[1])) if power else getattr(np, name)
            return function(array), edges
        raise TypeError(f"tensorgrad gave a {type(t).__name__}, which is not evaluated here")

    return aligned(tensor, list(tensor.edges))


def sympy_tasks() -> dict[str, Callable[[int], Any]]:
    """SymPy's matrix expressions."""
    import sympy

    def variables(k: int) -> tuple[Any, Any, Any]:
        m, n = sympy.symbols(f"m_{k} n_{k}", integer=True, positive=True)
        return (
            sympy.MatrixSymbol(f"X_{k}", m, n),
            sympy.MatrixSymbol(f"w_{k}", n, 1),
            sympy.MatrixSymbol(f"y_{k}", m, 1),
        )

    def least_squares(k: int) -> Any:
        X, w, y = variables(k)
        r = X * w - y
        return sympy.simplify((r.T * r).diff(w)), (X, w, y)

    def logistic(k: int) -> Any:
        X, w, y = variables(k)
        t = sympy.Symbol("t")
        loss = sympy.Lambda(t, sympy.log(1 + sympy.exp(-t)))
        terms = sympy.HadamardProduct(y, X * w).applyfunc(loss)
        f = sympy.OneMatrix(1, y.shape[0]) * terms
        return f.diff(w).diff(w), (X, w, y)

    return {LEAST_SQUARES.name: least_squares, LOGISTIC.name: logistic}


def sympy_value(result: Any, data: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers of a SymPy matrix expression."""
    import sympy

    e, variables = result
    columns = [a if a.ndim == 2 else a[:, None] for a in (data["X"], data["w"], data["y"])]
    e = e.subs(dict(zip(variables[0].shape, data["X"].shape, strict=True)))
    for v, a in zip(variables, columns, strict=True):
        e = e.subs(sympy.MatrixSymbol(v.name, *a.shape), sympy.Matrix(a))
    return np.array(e.doit().tolist(), dtype=float).squeeze()


PEERS = {"tensorgrad": (tensorgrad_tasks, tensorgrad_value), "sympy": (sympy_tasks, sympy_value)}


def compare(repetitions: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Our time and that of each peer for each task, and why a peer was left out."""
    rng = np.random.default_rng(0)
    data = {"X": rng.standard_normal((5, 3)), "w": rng.standard_normal(3)}
    data["y"] = np.sign(rng.standard_normal(5))
    notes, able = [], {}
    for peer, (tasks, _) in PEERS.items():
        if find_spec(peer) is None:
            notes.append(f"{peer} is not installed (`pip install {peer}`)")
            continue
        able[peer] = tasks()
    rows = []
    for task in TASKS:
        f = tc.parse(task.text, task.declarations)
        d = tc.derivative(f, task.wrt, len(task.wrt))
        ours = d(**{name: data[name] for name in d.variables})
        runs: dict[str, Callable[[int], Any]] = {}
        for peer, tasks in able.items():
            try:
                theirs = PEERS[peer][1](tasks[task.name](0), data)
            except Exception as error:
                notes.append(f"{peer} does not do the {task.name}: {type(error).__name__} {error}")
                continue
            if not np.allclose(np.asarray(theirs), ours, rtol=1e-10):
                notes.append(f"{peer} gives another value for the {task.name}; not timed")
                continue
            runs[peer] = tasks[task.name]
        del f, d
        times: dict[str, list[float]] = {"tensorcalculus": [], **{peer: [] for peer in runs}}
        for k in range(1, repetitions + 1):
            timing = measure(task, 1)
            times["tensorcalculus"].append(timing.from_text)
            for peer, run in runs.items():
                gc.collect()
                start = time.perf_counter()
                run(k)
                times[peer].append(1e3 * (time.perf_counter() - start))
        medians = {name: statistics.median(t) for name, t in times.items()}
        rows.append({"task": task.name, "milliseconds": medians})
    return rows, notes


# -- (e) import ----------------------------------------------------------------------------------


def import_times(repetitions: int, modules: Sequence[str]) -> dict[str, float]:
    """Milliseconds that ``import module`` takes in a fresh interpreter, interleaved, by module."""
    times: dict[str, list[float]] = {m: [] for m in modules if find_spec(m) is not None}
    source = str(REPOSITORY / "src")
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    for k in range(repetitions + 1):
        for module in times:
            program = (
                f"import time; t = time.perf_counter(); import {module}; "
                "print(time.perf_counter() - t)"
            )
            done = subprocess.run(
                [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            if k:  # the first one may compile and fill the disk cache
                times[module].append(1e3 * float(done.stdout.split()[-1]))
    return {module: statistics.median(t) for module, t in times.items()}


# -- report --------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers at the right."""
    cells = [[f"{c:.2f}" if isinstance(c, float) else str(c) for c in row] for row in rows]
    rule = ["---"] + ["---:"] * (len(head) - 1)
    lines = [list(head), rule, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(found: dict[str, Any]) -> str:
    """All results in Markdown."""
    out = [f"# Deriving, on {found['machine']}", "", "Times in milliseconds, medians.", ""]
    if found["cases"]:
        rows = found["cases"]
        out += ["## Cases of `derivatives.json`, derived and simplified", ""]
        columns = ("from_expression", "from_text", "printing")
        summary = [
            [what, *[pick([r[c] for r in rows]) for c in columns]]
            for what, pick in (
                ("median", statistics.median), ("largest", max),
                (f"number above {LIMIT_CASE:g} ms", lambda t: sum(x > LIMIT_CASE for x in t)),
            )
        ]  # fmt: skip
        head = [f"{len(rows)} cases", "from an expression", "from text", "printing"]
        out += [table(head, summary), "", "The slowest:", ""]
        slowest = sorted(rows, key=lambda r: -r["from_text"])[:8]
        out += [
            table(["case", *head[1:]], [[r["name"], *[r[c] for c in columns]] for r in slowest])
        ]
    out += ["", f"## Hessian by the first weights (aim: {LIMIT_NETWORK:g} ms)", ""]
    rows = [
        [r["name"], r["from_expression"], r["from_text"], r["printing"]] for r in found["network"]
    ]
    out += [table(["network", "from an expression", "from text", "printing"], rows)]
    out += ["", "## Nodes of the result by depth", ""]
    keys = ("depth", "function", "gradient", "hessian")
    out += [table(keys, [[r[k] for k in keys] for r in found["sizes"]])]
    if found["peers"]:
        out += ["", "## Beside peers, from text or symbols to the simplified derivative", ""]
        names = list(dict.fromkeys(n for r in found["peers"] for n in r["milliseconds"]))
        rows = []
        for r in found["peers"]:
            ours = r["milliseconds"]["tensorcalculus"]
            row = [r["task"], f"{ours:.2f}"]
            for name in names[1:]:
                theirs = r["milliseconds"].get(name)
                row.append("-" if theirs is None else f"{theirs:.2f} ({theirs / ours:.1f} times)")
            rows.append(row)
        out += [table(["task", *names], rows)]
    out += ["", *[f"- Left out: {note}." for note in found["notes"]]]
    out += ["", f"## Import in a fresh interpreter (aim: {LIMIT_IMPORT:g} ms)", ""]
    out += [table(["module", "milliseconds"], list(found["import"].items()))]
    return "\n".join(out) + "\n"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run everything, print Markdown, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repetition, few cases, no peers")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    given = parser.parse_args(arguments)
    repetitions = 1 if given.quick else 7
    depth = 10

    measure(LEAST_SQUARES, 1)  # loads what is loaded on first use
    measure(LOGISTIC, 1)

    def timed(formula: Formula) -> dict[str, Any]:
        t = measure(formula, repetitions)
        return {
            "name": formula.name, "from_expression": t.from_expression,
            "from_text": t.from_text, "printing": t.printing,
        }  # fmt: skip

    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}",
        "cases": [timed(case) for case in cases(given.quick)],
        "network": [timed(network(depth)), timed(network(depth, columns=True))],
        "sizes": sizes((2, 4) if given.quick else (5, 10, 20, 40, 80)),
    }
    peers, notes = ([], []) if given.quick else compare(repetitions)
    found |= {"peers": peers, "notes": notes}
    modules = ("tensorcalculus",) if given.quick else ("tensorcalculus", "numpy", *PEERS)
    found["import"] = import_times(1 if given.quick else 7, modules)
    print(report(found))
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()

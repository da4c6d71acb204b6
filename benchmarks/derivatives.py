"""How fast derivatives run: ours, NumPy written by hand, JAX, PyTorch, autograd, side by side.

    python benchmarks/derivatives.py [--threads N] [--quick] [--rows REGEX] [--sweep]
                                     [--least] [--json FILE] [--markdown]

Float64.  The rows are in ``work.py``, the hand-written forms in ``closed_forms.py``, the other
frameworks in ``contestants.py``; ``contest.py`` checks that all numbers agree with the hand-written
ones to 1e-9, then lets everyone run in turn, in one process, in rounds of rotating order, and takes
medians.  Arrays are handed over before the clock starts; JAX runs under ``jit``, compiled before.
Ours is the call of ``tc.compile(...)`` with all arrays of the formula by name.

On a machine that others use, medians say little (the load is printed): ``--least`` counts the
fastest round instead.

Numbers of threads take effect only when libraries are loaded: each runs in a process of its own
(``--threads 0`` stays in this one, as it is).  The exit code is 1 if numbers disagree.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MARK = "TENSORCALCULUS_BENCHMARK_THREADS"


def environment(threads: int) -> dict[str, str]:
    """Variables that hold every library to a number of threads."""
    env = dict(os.environ)
    for name in ("OMP", "OPENBLAS", "MKL"):
        env[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} {flags}".strip()
    env["JAX_PLATFORMS"] = "cpu"
    env[MARK] = str(threads)
    path = os.pathsep.join([str(HERE.parent / "src"), env.get("PYTHONPATH", "")])
    env["PYTHONPATH"] = path.rstrip(os.pathsep)
    return env


def machine() -> str:
    """Where this was measured."""
    names = []
    for package in ("numpy", "jax", "torch", "autograd"):
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, " + (
        ", ".join(names)
    )


# -- measuring -----------------------------------------------------------------------------------


def measure(given: argparse.Namespace, threads: int) -> dict[str, Any]:
    """All rows asked for, in this process."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    from contest import FULL, QUICK, contest, sweep
    from contestants import tensorgrad_note
    from work import families, rows

    budget = replace(QUICK if given.quick else FULL, least=given.least)
    wanted = re.compile(given.rows)
    found: dict[str, Any] = {"threads": threads, "rows": [], "sweep": []}
    if given.sweep:
        for family in families():
            if wanted.search(family.name):
                sizes = family.sizes[:2] if given.quick else family.sizes
                print(f"sweep {family.name} ...", file=sys.stderr, flush=True)
                found["sweep"] += sweep(family, budget, sizes)
        return found | {"notes": [], "wrong": False}
    for row in rows():
        if wanted.search(row.name):
            print(f"{row.name} ...", file=sys.stderr, flush=True)
            found["rows"].append(contest(row, budget, threads))
    notes = [note for r in found["rows"] for note in r.pop("notes")]
    found["notes"] = list(dict.fromkeys([*notes, tensorgrad_note()]))
    found["wrong"] = any(r["wrong"] for r in found["rows"])
    return found


def elsewhere(given: argparse.Namespace, threads: int) -> dict[str, Any]:
    """The same in a process with that many threads."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, str(Path(__file__).resolve()), "--threads", str(threads)]
        command += ["--rows", given.rows, "--json", str(file)]
        command += ["--quick"] * given.quick + ["--sweep"] * given.sweep
        command += ["--least"] * given.least
        done = subprocess.run(command, env=environment(threads), stdout=subprocess.DEVNULL)
        if not file.exists():
            raise SystemExit(f"the run with {threads} threads ended with code {done.returncode}")
        return json.loads(file.read_text())["runs"][0]


# -- report --------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Three significant digits; a dash for nothing."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}" if value >= 1e-3 else f"{value:.2g}"


def table(head: Sequence[str], lines: Sequence[Sequence[str]], aligned: bool) -> str:
    """A Markdown table; with columns of equal width where it is to be read as it is."""
    cells = [list(head), *map(list, lines)]
    widths = [max(len(row[k]) for row in cells) if aligned else 0 for k in range(len(head))]
    padded = [
        [
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(r, widths, strict=True))
        ]
        for r in cells
    ]
    rule = ["---".ljust(w, "-") if k == 0 else "--:".rjust(w, "-") for k, w in enumerate(widths)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [padded[0], rule, *padded[1:]])


def times(rows: Sequence[dict[str, Any]], aligned: bool) -> str:
    """The main table."""
    head = ["ms a call", "hand", "ours", "JAX", "PyTorch", "autograd", "JAX/ours", "ours/hand"]
    head += ["target", "reached", "<= 1.3 hand"]
    lines = []
    for r in rows:
        ms = r["ms"]
        if not ms:
            lines.append([r["name"], *["-"] * 7, "", "no", "no"])
            continue
        jax = r["best"]["jax"] if not r["dense"] else ms.get("dense")
        target = f">= {number(r['target'])}" if r["target"] else "runs"
        lines.append([
            r["name"], number(ms.get("hand")), number(ms.get("ours")),
            f"{number(jax)} dense" if r["dense"] else number(jax),
            number(r["best"]["torch"]), number(r["best"]["autograd"]),
            number(r["gain"]), number(r["ratio"]), target,
            "yes" if r["reached"] else "no", "yes" if r["near"] else "no",
        ])  # fmt: skip
    return table(head, lines, aligned)


def memory(rows: Sequence[dict[str, Any]], aligned: bool) -> str:
    """Bytes that a call allocates at its peak."""
    head = ["peak of a call, MB", "result", "hand", "ours", "<= hand + result"]
    lines = []
    for r in rows:
        peaks = r.get("memory") or {}
        if "ours" in peaks:
            (top, size), (hand, _) = peaks["ours"], peaks["hand"]
            mb = [number(b / 1e6) for b in (size, hand, top)]
            lines.append([r["name"], *mb, "yes" if r["within_memory"] else "no"])
    return table(head, lines, aligned)


def scaling(rows: Sequence[dict[str, Any]], aligned: bool) -> str:
    """Ratios to the value over sizes."""
    head = ["function", "n", "value, ms", "gradient / value", "limit", "HVP / value", "limit", "ok"]
    lines = []
    for r in rows:
        good = r["gradient_ratio"] < r["gradient_limit"] and r["hvp_ratio"] < r["hvp_limit"]
        lines.append([
            r["name"], str(r["n"]), number(r["ms"]["value"]), number(r["gradient_ratio"]),
            f"< {r['gradient_limit']:g}", number(r["hvp_ratio"]), f"< {r['hvp_limit']:g}",
            "yes" if good else "no",
        ])  # fmt: skip
    return table(head, lines, aligned)


def report(found: dict[str, Any], aligned: bool) -> str:
    """All tables."""
    what = "fastest rounds" if found["least"] else "medians of rounds"
    out = [f"Derivatives, on {found['machine']}, {what}, load {found['load']:.1f}", ""]
    for run in found["runs"]:
        threads = f"{run['threads']} thread{'s' * (run['threads'] != 1)}"
        out += [f"## {threads if run['threads'] else 'Threads as they are'}", ""]
        if run["rows"]:
            out += [times(run["rows"], aligned), "", memory(run["rows"], aligned), ""]
        if run["sweep"]:
            out += [scaling(run["sweep"], aligned), ""]
        out += [f"- {note}" for note in run["notes"]]
    return "\n".join(out).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--threads", type=int, choices=(0, 1, 2), help="1 and 2 by default")
    parser.add_argument("--quick", action="store_true", help="a small budget")
    parser.add_argument("--rows", metavar="REGEX", default="", help="only rows whose name matches")
    parser.add_argument("--sweep", action="store_true", help="gradient and HVP against the value")
    parser.add_argument("--least", action="store_true", help="the fastest round, not the median")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    parser.add_argument("--markdown", action="store_true", help="tables as in the README")
    given = parser.parse_args(arguments)
    try:
        re.compile(given.rows)
    except re.error as error:
        parser.error(f"--rows {given.rows!r} is not a regular expression: {error}")

    here = os.environ.get(MARK)
    if given.threads is None:
        runs = [elsewhere(given, n) for n in (1, 2)]
    elif given.threads == 0 or here == str(given.threads):
        runs = [measure(given, given.threads)]
    else:
        runs = [elsewhere(given, given.threads)]
    found = {"machine": machine(), "load": os.getloadavg()[1], "least": given.least, "runs": runs}
    print(report(found, not given.markdown))
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1) + "\n")
    return 1 if any(run["wrong"] for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())

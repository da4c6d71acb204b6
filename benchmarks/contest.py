"""Contestants of a row side by side: agreement first, then interleaved rounds, then memory."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from contestants import PEERS, Contestant, peers, plain
from work import HVP, Family, Row

import tensorcalculus as tc

AGREE = 1e-9
"""Largest difference from the hand-written result, relative to its largest entry."""
HEAVY = 5.0
"""Seconds above which a call is not repeated."""
SHORT, CALIBRATED = 1e-3, 1e-2
"""Seconds that a timed batch takes about; calls below the second one are calibrated on several."""
WARMED = 0.1
"""Seconds up to which a call is timed right after one that is not: as in a loop, what it reads and
the memory it is given may lie in a cache still."""
SLACK = 20_000
"""Bytes of Python's own objects that do not count as memory of a call."""
FLOOR = 1.3
"""How many times slower than hand-written NumPy ours may be."""


@dataclass(frozen=True)
class Budget:
    """How long to measure."""

    seconds: float
    rounds: int
    least: bool = False
    """Whether the fastest round counts instead of the median, for a machine that others use."""

    def milliseconds(self, c: Contestant) -> float:
        return 1e3 * (min(c.times) if self.least else statistics.median(c.times))


QUICK, FULL = Budget(0.4, 9), Budget(3.0, 41)


# -- timing --------------------------------------------------------------------------------------


def timed(call: Callable[[], Any], times: int = 1) -> float:
    """Seconds a call, of several in a row."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def rounds(contestants: Sequence[Contestant], budget: Budget) -> None:
    """Each runs once a round, in rotating order, until its time is spent."""
    for c in contestants:
        if c.times:
            continue
        once = timed(c.call)
        if once > HEAVY:
            c.times.append(once)
            continue
        if once < CALIBRATED:
            # The fastest of several: one call may have met another program on this core.
            once = min(once, *(timed(c.call) for _ in range(9)))
        c.batch = max(1, round(SHORT / max(once, 1e-6)))
        c.warm = once < WARMED
    gc.collect()
    gc.disable()
    try:
        for k in range(budget.rounds):
            active = [c for c in contestants if _goes_on(c, k, budget)]
            for j in range(len(active)):
                c = active[(j + k) % len(active)]
                if c.warm:
                    c.call()  # brings its data back into the cache
                start = time.perf_counter()
                c.times.append(timed(c.call, c.batch))
                c.spent += time.perf_counter() - start
            gc.collect()
    finally:
        gc.enable()


def _goes_on(c: Contestant, k: int, budget: Budget) -> bool:
    if len(c.times) > k or (c.times and c.times[0] > HEAVY):
        return False
    return len(c.times) == k and (k < 3 or c.spent < budget.seconds)


# -- agreement -----------------------------------------------------------------------------------


def difference(got: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference of entries, relative to the largest entry."""
    if [a.shape for a in got] != [e.shape for e in expected]:
        return float("inf")
    worst = 0.0
    for a, e in zip(got, expected, strict=True):
        scale = float(np.abs(e).max()) or 1.0
        # In slices: the difference of two large results need not fit beside them.
        parts = zip(a, e, strict=True) if e.ndim > 2 else ((a, e),)
        part = max(float(np.abs(x - y).max()) for x, y in parts) / scale
        worst = max(worst, part if np.isfinite(part) else float("inf"))
    return worst


def agreeing(
    row: Row, contestants: Sequence[Contestant], expected: list[np.ndarray]
) -> tuple[list[Contestant], list[str], bool]:
    """Those whose numbers are right; a message for each other one; whether one was wrong."""
    good, notes, wrong = [], [], False
    for c in contestants:
        try:
            start = time.perf_counter()
            result = c.call()
            first = time.perf_counter() - start
            c.error = difference(c.numbers(result), expected)
            del result
        except Exception as error:
            text = str(error).strip().split("\n")[0][:160]
            notes.append(f"{row.name}: {c.name} fails, {type(error).__name__}: {text}")
            wrong |= c.name.startswith("ours")
            continue
        if not c.error <= AGREE:
            notes.append(f"{row.name}: DISAGREEMENT, {c.name} is off by {c.error:.1e}; not timed")
            wrong = True
            continue
        if first > HEAVY and c.peer != "jax":  # a first call of JAX compiles
            c.times.append(first)
        good.append(c)
    return good, notes, wrong


# -- contestants of ours and by hand -------------------------------------------------------------


def own(row: Row, arrays: dict[str, np.ndarray]) -> tuple[list[Contestant], list[str]]:
    """The hand-written form first, then ours."""
    values = list(arrays.values())
    if row.operator:
        return _operators(row, arrays)
    by_hand = Contestant("hand", lambda: row.hand(*values), plain)
    run = tc.compile(row.ours())
    ours = Contestant("ours", lambda: run(**arrays), plain)
    return [by_hand, ours], []


def _operators(row: Row, arrays: dict[str, np.ndarray]) -> tuple[list[Contestant], list[str]]:
    """A Hessian that is not written out; compared through a product with a direction."""
    values = list(arrays.values())
    direction = np.random.default_rng(1).standard_normal(values[0].shape)
    f = row.function()
    expr = f.hessian(row.wrt[0])
    solving = row.operator == "solve"

    def product(core: np.ndarray) -> list[np.ndarray]:
        return plain(core if solving else direction @ core)

    made = [Contestant("hand", lambda: row.hand(*values), product)]
    if row.dense is not None:
        dense = row.dense
        made.append(Contestant("dense", lambda: dense(*values), plain))
    operator = getattr(expr, "operator", None)
    if operator is None:
        return made, [f"{row.name}: expressions have no operators here; ours left out"]
    given = {name: arrays[name] for name in f.variables}
    if not solving:
        ours = Contestant("ours", lambda: operator(**given), lambda op: plain(op @ direction))
    elif hasattr(operator(**given), "solve"):
        ours = Contestant("ours", lambda: operator(**given).solve(arrays["D"]), plain)
    else:
        return made, [f"{row.name}: operators do not solve; ours left out"]
    return [made[0], ours, *made[1:]], []


def _contracted(c: Contestant, shape: tuple[int, ...]) -> Contestant:
    """A peer's dense Hessian, compared with an operator through the same product."""
    direction = np.random.default_rng(1).standard_normal(shape)
    numbers = c.numbers

    def product(result: Any) -> list[np.ndarray]:
        return [np.tensordot(numbers(result)[0], direction, axes=len(shape))]

    c.numbers = product
    return c


# -- a row ---------------------------------------------------------------------------------------


def peak(call: Callable[[], Any]) -> tuple[int, int]:
    """Bytes at the peak of a call, and of its result."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    result = call()
    _, top = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    try:
        size = sum(a.nbytes for a in plain(result))
    except (TypeError, ValueError):
        size = 0
    return max(top - before, 0), size


def contest(row: Row, budget: Budget, threads: int) -> dict[str, Any]:
    """One row measured: milliseconds by contestant, memory, messages, whether numbers agreed."""
    arrays = row.data(np.random.default_rng(0))
    try:
        mine, notes = own(row, arrays)
    except Exception as error:
        return {"name": row.name, "ms": {}, "notes": [f"{row.name}: {error!r}"], "wrong": True}
    theirs, more = peers(row, arrays, threads)
    if row.operator:
        theirs = [_contracted(c, next(iter(arrays.values())).shape) for c in theirs]
    expected = mine[0].numbers(mine[0].call())
    good, faults, wrong = agreeing(row, [*mine, *theirs], expected)
    del expected
    rounds(good, budget)
    by_name = {c.name: c for c in good}
    ms = {c.name: budget.milliseconds(c) for c in good}
    memory = {name: peak(by_name[name].call) for name in ("hand", "ours") if name in by_name}
    return {
        "name": row.name,
        "ms": ms,
        "least": {c.name: 1e3 * min(c.times) for c in good},
        "rounds": {c.name: len(c.times) for c in good},
        "errors": {c.name: c.error for c in good},
        "memory": memory,
        "target": row.target,
        "dense": row.dense is not None,
        "notes": [*notes, *more, *faults],
        "wrong": wrong,
    } | _verdict(row, ms, memory)


def _verdict(row: Row, ms: dict[str, float], memory: dict[str, tuple[int, int]]) -> dict[str, Any]:
    best = {
        peer: min((t for name, t in ms.items() if name.split()[0] == peer), default=None)
        for peer in PEERS
    }
    against = ms.get("dense") if row.dense is not None else best["jax"]
    ours, floor = ms.get("ours"), ms["hand"]
    gain = against / ours if against is not None and ours else None
    ratio = ours / floor if ours else None
    reached = bool(ours) and (gain is None or gain >= max(row.target, 1.0))
    within = None
    if "ours" in memory:
        (top, size), (hand, _) = memory["ours"], memory["hand"]
        within = top <= hand + size + SLACK
    return {
        "best": best, "gain": gain, "ratio": ratio, "reached": reached,
        "near": ratio is not None and ratio <= FLOOR, "within_memory": within,
    }  # fmt: skip


# -- sweep ---------------------------------------------------------------------------------------


def sweep(family: Family, budget: Budget, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Gradient and HVP against the value over sizes, all three interleaved."""
    f = family.function()
    gradients = [f.gradient(name) for name in family.wrt]
    run = {
        "value": tc.compile(f),
        "gradient": tc.compile(gradients if len(gradients) > 1 else gradients[0]),
        "hvp": tc.compile(f.hvp(family.wrt[0], "D")),
    }
    # The allocator keeps what is freed once it has seen a large block, as in an older process.
    np.ones(4_000_000)
    out = []
    for n in sizes:
        rng = np.random.default_rng(0)
        arrays = {name: a for name, a in family.data(n)(rng).items() if name in f.variables}
        moved = arrays | {"D": rng.standard_normal(arrays[family.wrt[0]].shape)}

        def caller(what: str, given: dict[str, np.ndarray]) -> Callable[[], Any]:
            return lambda: run[what](**given)

        made = [Contestant(w, caller(w, moved if w == HVP else arrays), plain) for w in run]
        for c in made:
            c.call()
        rounds(made, budget)
        ms = {c.name: budget.milliseconds(c) for c in made}
        out.append(
            {
                "name": family.name, "n": n, "ms": ms,
                "gradient_ratio": ms["gradient"] / ms["value"],
                "hvp_ratio": ms["hvp"] / ms["value"],
                "gradient_limit": family.gradient_limit, "hvp_limit": family.hvp_limit,
            }
        )  # fmt: skip
    return out

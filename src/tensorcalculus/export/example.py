"""Small arguments that a module draws for its self-test, and the results they are to give."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.source import Emitter
from tensorcalculus.compiler.targets import TARGETS
from tensorcalculus.errors import InputError
from tensorcalculus.export.layout import call, filled, quoted
from tensorcalculus.expr.node import Expr, Variable
from tensorcalculus.random_data import draw_sizes, wanted_kinds

STORED = 60
"""Numbers stored of one result; of larger ones every second, third ... entry."""

# The raw numbers of PCG64 are the same in all versions of NumPy, those of a Generator need not be.
_DRAW = '''\
def {draw}({parameters}) -> np.ndarray:
    """Numbers between ``low`` and ``high``{of_kind}, the same everywhere."""
    raw = bits.random_raw(math.prod(shape)) >> 11
    x = low + (high - low) * (raw * 2.0**-53).reshape(shape)
{kinds}    return x
'''
_KINDS = {
    "symmetric": (
        "orders = list(permutations(range(x.ndim)))",
        "return sum(x.transpose(order) for order in orders) / len(orders)",
    ),
    "symmetric matrices": ("return (x + np.swapaxes(x, -1, -2)) / 2",),
    "positive definite": ("return x @ np.swapaxes(x, -1, -2) + x.shape[-1] * np.eye(x.shape[-1])",),
    "near the identity": ("return x + 3 * np.eye(*x.shape[-2:])",),
    "diagonal": ("return x * np.eye(*x.shape)",),
    "triangular": ("return np.tril(x) + 2 * np.eye(*x.shape)",),
    "orthonormal columns": ("return np.linalg.qr(x)[0]",),
}


class Draw(NamedTuple):
    """How one array is drawn."""

    kind: str
    shape: tuple[int, ...]
    low: float
    high: float


class Example(NamedTuple):
    """Text that draws arguments, the sizes given with them, and the results as text."""

    text: str
    sizes: dict[str, int]
    expected: str
    sorts: bool
    """Whether permutations are needed."""


def find(
    outputs: Sequence[Expr],
    program: Program,
    arguments: Mapping[str, str],
    given: Sequence[str],
    helpers: Mapping[str, str],
) -> Example | None:
    """Data at which all outputs are finite; None where none are found."""
    sizes = _sizes(outputs, program.symbols)
    if sizes is None:
        return None
    lengths = [sizes[symbol] for symbol in program.symbols]
    target = TARGETS["numpy"]
    emitter = Emitter(program.roots, program.variables, program.symbols, sizes, target)
    evaluate = target.load(emitter.source())
    hints = {v: hint for e in outputs for v, hint in wanted_kinds(e).items()}
    for attempt in range(6):
        draws = {
            arguments[name]: _kind(
                v, tuple(d.evaluate(sizes) for d in v.shape), hints.get(v), attempt
            )
            for name, v in program.variables.items()
        }
        text = _text(draws, helpers)
        namespace: dict[str, Any] = {"np": np, "math": math, "permutations": permutations}
        # Text of our making: numbers, and names that were checked to be identifiers.
        exec(compile(text, "<example>", "exec"), namespace)
        drawn = namespace[helpers["_example"]]()
        arrays = [drawn[arguments[name]] for name in program.variables]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results = evaluate(*arrays, *lengths)
        except (ValueError, Warning, ArithmeticError, np.linalg.LinAlgError):
            continue
        results = results if len(outputs) > 1 else (results,)
        if all(np.isfinite(r).all() for r in results):
            needed = {arguments[s]: sizes[s] for s in given}
            sorts = any(d.kind == "symmetric" for d in draws.values())
            return Example(text, needed, _expected(results, helpers), sorts)
    return None


def _sizes(outputs: Sequence[Expr], symbols: Sequence[str]) -> dict[str, int] | None:
    for seed in range(5):
        known: dict[str, int] = {}
        try:
            for e in outputs:
                known = draw_sizes(e, known, {}, seed)[0]
        except InputError:
            continue
        return {**dict.fromkeys(symbols, 3), **known}
    return None


def _kind(
    variable: Variable,
    shape: tuple[int, ...],
    hint: tuple[float, float] | str | None,
    attempt: int,
) -> Draw:
    """As the functions applied to a variable ask for, then other kinds in turn."""
    intervals = [(-1.5, 1.5), (-1.5, 1.5), (0.4, 1.6), (0.1, 0.9), (-0.4, 0.4), (1.2, 2.0)]
    low, high = intervals[attempt]
    if isinstance(hint, tuple) and attempt < 2:
        low, high = (float(end) for end in hint)
    elif hint == "small":
        low, high = -0.4, 0.4
    elif "nonneg" in variable.properties and low < 0:
        low, high = 0.4, 1.6
    kind, properties = "", variable.properties
    square = len(shape) >= 2 and shape[-1] == shape[-2]
    if len(shape) >= 2:
        by_property = {
            "orth": "orthonormal columns",
            "spd": "positive definite",
            "diag": "diagonal",
            "tri": "triangular",
            "sym": "symmetric",
        }
        by_hint = {
            "spd": "positive definite",
            "well": "near the identity",
            "sym": "symmetric matrices",
        }
        kind = next((word for p, word in by_property.items() if p in properties), "")
        if not kind and isinstance(hint, str) and square:
            kind = by_hint.get(hint, "")
        if not kind and square and attempt == 1:
            kind = "near the identity"
        if kind == "diagonal" and isinstance(hint, str):
            low, high = 0.4, 1.6
    return Draw(kind, shape, low, high)


def _text(draws: Mapping[str, Draw], helpers: Mapping[str, str]) -> str:
    """The functions that draw the arguments."""
    draw, example = helpers["_draw"], helpers["_example"]
    kinds = [kind for kind in _KINDS if any(d.kind == kind for d in draws.values())]
    lines = []
    for kind in kinds:
        lines.append(f"    if kind == {quoted(kind)}:")
        lines += [f"        {line}" for line in _KINDS[kind]]
    parameters = ["bits: np.random.PCG64", "shape: tuple", "low: float", "high: float"]
    if kinds:
        parameters.append('kind: str = ""')
    head = _DRAW.format(
        draw=draw,
        parameters="PARAMETERS",
        of_kind=", as a matrix of a kind" if kinds else "",
        kinds="".join(f"{line}\n" for line in lines),
    )
    signature = call(f"def {draw}", parameters, " -> np.ndarray:")
    head = head.replace(f"def {draw}(PARAMETERS) -> np.ndarray:", signature, 1)
    body = [f"def {example}() -> dict[str, np.ndarray]:", '    """Arguments for the self-test."""']
    if not draws:
        return "\n".join([*body, "    return {}", ""])
    body += ["    bits = np.random.PCG64(0)", "    return {"]
    for name, d in draws.items():
        items = ["bits", repr(d.shape), repr(d.low), repr(d.high)]
        if d.kind:
            items.append(quoted(d.kind))
        body += [f"{call(f'{quoted(name)}: {draw}', items, '', '        ')},"]
    return head + "\n\n" + "\n".join([*body, "    }", ""])


def _expected(results: Sequence[Any], helpers: Mapping[str, str]) -> str:
    """A table: shape, step between stored entries, and these entries as text."""
    rows = ["# fmt: off", f"{helpers['_EXPECTED']} = ("]
    for result in results:
        array = np.asarray(result)
        step = max(1, -(-array.size // STORED))
        numbers = [repr(float(x)) for x in array.ravel()[::step]]
        lines = filled(numbers, "", "")
        rows.append(f'    ({array.shape!r}, {step}, """')
        rows += [f"        {line}" for line in lines]
        rows.append('    """),')
    return "\n".join([*rows, ")", "# fmt: on", ""])

"""A derivative by back-propagation: the computation graph with values and adjoints.

The adjoint of a part, ``Z_bar``, is the derivative of the function by it: the sum of what the
parts that use it give back.  (Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008, ch. 3.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tensorcalculus.calculus.derivative import STRUCTURE, project
from tensorcalculus.check import call
from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.sizes import solve_sizes
from tensorcalculus.explanation.blocks import Block, Cell, Note, Table
from tensorcalculus.explanation.differentials import independent, projection
from tensorcalculus.explanation.formulas import (
    Formula,
    derivative_name,
    named,
)
from tensorcalculus.explanation.stages import Stage, Stages
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.node import Expr, Variable, variables_of
from tensorcalculus.expr.rebuild import substitute
from tensorcalculus.simplify.engine import simplify

_FORWARD = (
    "Forward, from top to bottom: the value of each part, and its derivative by what stands in it."
)
_BACKWARD = (
    "Backward, from top to bottom: the adjoint of each part is what the parts that use it give "
    "back, each its own adjoint times its derivative."
)


def by_backpropagation(
    stages: Stages, data: Mapping[str, Any] | None, *, projected: bool = True
) -> tuple[Block, ...]:
    """The tables of the two sweeps; with ``data`` the numbers stand in them.

    Adjoints of structured variables are ``projected`` on their space, or by all entries.
    """
    numbers = None if data is None else _Numbers(stages, data)
    adjoints = _adjoints(stages)
    if projected:
        adjoints |= {
            v: simplify(project(adjoints[v], 0, v)) for v in stages.targets if v in adjoints
        }
    return (
        Note(_FORWARD),
        Table(_head("part", "formula", "value", "local derivative", numbers=numbers),
              tuple(_forward(stages, numbers))),
        Note(_BACKWARD),
        Table(_head("adjoint", "formula", "value", numbers=numbers),
              tuple(_backward(stages, adjoints, numbers))),
        *_notes(stages, projected),
    )  # fmt: skip


def _notes(stages: Stages, projected: bool) -> Iterator[Note]:
    last = stages[-1].letter
    for v in stages.targets:
        bar = stages.adjoint(v).name
        if last.ndim:
            given = stages.adjoint(last).name
            yield Note(
                f"{given} is given: {bar} is the derivative of {given}:{last.name} by {v.name}, a "
                "vector-Jacobian product, for which no Jacobian is made."
            )
        if v.properties & STRUCTURE and v.ndim > 1:
            told = Note(f"For {bar}: {projection(v, v.ndim).name}.")
            yield told if projected else independent(v)


def _head(*titles: str, numbers: object) -> tuple[str, ...]:
    return tuple(t for t in titles if numbers is not None or t != "value")


def _forward(stages: Stages, numbers: _Numbers | None) -> Iterator[tuple[Cell, ...]]:
    used = {v for s in stages for v in variables_of(s.value).values()}
    letters = {s.letter for s in stages}
    if numbers is not None:
        for v in sorted(used - letters, key=lambda v: (v not in stages.targets, v.name)):
            yield (named(v.name), "given", numbers.shown(v.name), "")
    for stage in stages:
        row: list[Cell] = [named(stage.letter.name), stages.formula(stage.value)]
        if numbers is not None:
            row.append(numbers.shown(stage.letter.name))
        yield (*row, _local(stages, stage))


def _local(stages: Stages, stage: Stage) -> Cell:
    """Partial derivatives for numbers; for tensors the differential, which is no longer."""
    if stage.letter.ndim or any(v.ndim for v in stage.inner):
        left = stages.differential(stage.letter)
        if stage.letter.ndim:
            right = stages.formula(_short(stage, stages.change(stage)))
        else:
            right = stages.shown_change(stage)
        return Formula(f"{left.text} = {right.text}", f"{left.latex} = {right.latex}")
    slopes = stages.pulled(stage, None)
    texts, tex = [], []
    for v, slope in slopes.items():
        right = stages.formula(_short(stage, slope))
        left = derivative_name(stage.letter, v, local=True)
        texts.append(f"{left.text} = {right.text}")
        tex.append(f"{left.latex} = {right.latex}")
    return Formula(", ".join(texts), r",\;".join(tex))


def _short(stage: Stage, e: Expr) -> Expr:
    """With the letter of a part where its whole value stands: ``y*(1-y)`` for a sigmoid."""
    return simplify(substitute(e, {stage.value: stage.letter}))


def _adjoints(stages: Stages) -> dict[Variable, Expr]:
    """The adjoint of every letter and variable in those of the parts that use it."""
    found: dict[Variable, list[Expr]] = {}
    for stage in reversed(stages):
        for v, part in stages.pulled(stage, stages.adjoint(stage.letter)).items():
            found.setdefault(v, []).append(_short(stage, part))
    order = [*(s.letter for s in reversed(stages)), *stages.targets]
    return {v: simplify(add([(1, p) for p in found[v]])) for v in order if v in found}


def _shown(stages: Stages, v: Variable, e: Expr) -> Formula:
    """An adjoint; for numbers each term as an adjoint times a derivative, in this order."""
    users = [s for s in reversed(stages) if v in s.inner]
    if any(x.ndim for s in users for x in (s.letter, *s.inner)):
        return stages.formula(e)
    slopes = [(stages.adjoint(s.letter), _short(s, stages.pulled(s, None)[v])) for s in users]
    return stages.pairings(slopes)


def _backward(
    stages: Stages, adjoints: Mapping[Variable, Expr], numbers: _Numbers | None
) -> Iterator[tuple[Cell, ...]]:
    last = stages[-1].letter
    rows: list[tuple[Variable, Cell, Expr | None]] = [
        (last, named("1") if not last.ndim else "given", None)
    ]
    for v, e in adjoints.items():
        rows.append((v, _shown(stages, v, e), e))
    for v, shown, e in rows:
        row: list[Cell] = [named(stages.adjoint(v).name), shown]
        if numbers is not None:
            numbers.back(stages.adjoint(v), e)
            row.append(numbers.shown(stages.adjoint(v).name))
        yield tuple(row)


class _Numbers:
    """Values of all parts and their adjoints at given data, each from those before."""

    def __init__(self, stages: Stages, data: Mapping[str, Any]) -> None:
        whole = stages[-1].whole
        variables = variables_of(whole, *stages.targets)
        values = Program([whole], variables)
        values(data)  # which says what is wrong with the data, if anything is
        self.values: dict[str, np.ndarray] = {
            name: np.asarray(data[name], dtype=np.float64) for name in variables
        }
        self.sizes = solve_sizes(variables, {n: x.shape for n, x in self.values.items()}, {})
        for stage in stages:
            self.values[stage.letter.name] = self.at(stage.value)

    def at(self, e: Expr) -> np.ndarray:
        program = Program([e])
        sizes = {s: self.sizes[s] for s in program.symbols}
        names = variables_of(e)
        return call(program, {n: self.values[n] for n in names}, sizes)

    def back(self, bar: Variable, e: Expr | None) -> None:
        shape = tuple(d.evaluate(self.sizes) for d in bar.shape)
        self.values[bar.name] = np.ones(shape) if e is None else self.at(e)

    def shown(self, name: str) -> str:
        """A number with six digits, a small array, or the shape and norm of a large one."""
        x = self.values[name]
        if x.size <= 12:
            return (
                np.array2string(
                    x, precision=4, suppress_small=True, separator=", ", max_line_width=10_000
                ).replace("\n", " ")
                if x.ndim
                else f"{float(x):.6g}"
            )
        shape = " x ".join(map(str, x.shape))
        return f"{shape}, norm {np.linalg.norm(x):.4g}"

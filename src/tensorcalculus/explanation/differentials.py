"""A derivative by differentials: what a small change of the variables does, put in by parts.

For a scalar the change is kept as a sum of Frobenius products ``G:dZ``, and the parts ``Z`` are
put in from the outside to the inside until only ``dX`` is left; what stands with it is the
gradient.  The differential of any other function is collected from the inside to the outside.
(Magnus and Neudecker, Matrix Differential Calculus, 3rd ed., 2019, ch. 5 and 9.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorcalculus.calculus.derivative import STRUCTURE, project
from tensorcalculus.explanation import rules
from tensorcalculus.explanation.blocks import Block, Line, Note
from tensorcalculus.explanation.formulas import (
    Formula,
    derivative_name,
    is_letter,
    named,
)
from tensorcalculus.explanation.stages import Stage, Stages
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.node import Expr, Variable
from tensorcalculus.simplify.engine import simplify

Rules = tuple[rules.Rule, ...]
_LONG = 48
"""Characters from which on a cotangent gets a name."""


def by_differentials(stages: Stages, derivatives: Sequence[Expr]) -> tuple[Block, ...]:
    """The steps to the derivatives of the last stage by the variables of the stages."""
    scalar = not stages[-1].value.ndim
    steps = _scalar if scalar else _any
    return tuple(steps(stages, derivatives))


def definitions(stages: Stages) -> Iterator[Block]:
    """The parts by name, those without parts of their own first."""
    for stage in stages:
        rule = (rules.NAMED,) if stage is stages[0] and len(stages) > 1 else ()
        yield Line(named(stage.letter.name), stages.formula(stage.value), rule)


def _scalar(stages: Stages, derivatives: Sequence[Expr]) -> Iterator[Block]:
    yield from definitions(stages)
    last = stages[-1]
    left = stages.differential(last.letter)
    found = stages.pulled(last, None)
    carried: dict[Variable, Expr] = dict(found)
    yield from _one_side(
        left,
        stages.formula(stages.change(last)),
        _pairs(stages, carried),
        rules.differentials(last.value, last.inner),
        rules.moves(last.value, last.inner),
    )
    known: dict[Expr, Expr] = {}
    for stage in reversed(stages[:-1]):
        g = carried.pop(stage.letter, None)
        if g is None:
            continue
        if not is_letter(g) and len(stages.formula(g).text) > _LONG:
            name = stages.cotangent(stage.letter)
            yield Line(named(name.name), stages.formula(g), ())
            known[name] = stages.whole(g, known)
            g = name
        put_in = [
            (g, stages.change(stage)),
            *((h, stages.direction(v)) for v, h in carried.items()),
        ]
        inserted = stages.pairings(put_in)
        how = (_put_in(stages, stage), *rules.differentials(stage.value, stage.inner))
        for v, part in stages.pulled(stage, g).items():
            old = carried.get(v)
            carried[v] = part if old is None else simplify(add([(1, old), (1, part)]))
        after = _pairs(stages, carried)
        moved = rules.moves(stage.value, stage.inner)
        yield from _one_side(left, inserted, after, how, moved if _has_axes(stage) else ())
    for v, d in zip(stages.targets, derivatives, strict=True):
        yield from _result(stages, v, carried, known, d)


def _has_axes(stage: Stage) -> bool:
    return bool(stage.letter.ndim or any(v.ndim for v in stage.inner))


def _one_side(
    left: Formula, before: Formula, after: Formula, how: Rules, moved: Rules
) -> Iterator[Block]:
    """A change as it comes, then with everything but differentials on one side."""
    if before.text != after.text and not set(moved) <= {rules.SCALED}:
        yield Line(left, before, how)
        how = moved
    yield Line(left, after, how)


def _put_in(stages: Stages, stage: Stage) -> rules.Rule:
    left, right = stages.differential(stage.letter), stages.shown_change(stage)
    return rules.Rule(
        f"put in d{stage.letter.name}",
        f"{left.text} = {right.text}",
        f"{left.latex} = {right.latex}",
    )


def _pairs(stages: Stages, carried: dict[Variable, Expr]) -> Formula:
    order = [s.letter for s in reversed(stages)] + list(stages.targets)
    pairs = [(carried[v], stages.direction(v)) for v in order if v in carried]
    return stages.pairings(pairs) if pairs else Formula("0", "0")


def _result(
    stages: Stages,
    v: Variable,
    carried: dict[Variable, Expr],
    known: dict[Expr, Expr],
    derivative: Expr,
) -> Iterator[Block]:
    """What stands with ``dX``, projected where X has structure, with the names filled in."""
    left = derivative_name(stages[-1].letter, v)
    g = carried.get(v)
    if g is None:
        yield Line(left, stages.formula(derivative), (rules.Rule(f"{v.name} does not occur"),))
        return
    whole = stages.whole(g, known)
    first = stages.formula(g)
    yield Line(left, first, (rules.read_off(v),))
    filled = stages.formula(whole)
    if filled.text != first.text:
        yield Line(left, filled, (rules.FILLED_IN,))
    yield from structured(stages, left, v, whole, derivative, filled)


def structured(
    stages: Stages, left: Formula, v: Variable, whole: Expr, derivative: Expr, shown: Formula
) -> Iterator[Block]:
    """The last lines: the part in the space of a structured variable, and the usual form."""
    projected = simplify(project(whole, whole.ndim - v.ndim, v))
    final = stages.formula(derivative)
    if projected is not whole and stages.formula(projected).text != shown.text:
        if derivative is whole:
            yield independent(v)
            return
        yield Line(left, stages.formula(projected), (projection(v, whole.ndim),))
        shown = stages.formula(projected)
    if final.text != shown.text:
        yield Line(left, final, (rules.Rule("in simplest form"),))


def independent(v: Variable) -> Note:
    """What ``symmetry="full"`` means."""
    return Note(f"All entries of {v.name} are taken as independent.")


def projection(v: Variable, order: int) -> rules.Rule:
    """What is done to a derivative of that order by a variable with structure."""
    if "diag" in v.properties:
        return rules.Rule(f"{v.name} is diagonal: the diagonal part")
    if "tri" in v.properties:
        return rules.Rule(f"{v.name} is lower triangular: the lower part")
    if order > v.ndim or v.ndim > 2:
        return rules.Rule(f"{v.name} is symmetric: the part symmetric in its axes")
    return rules.Rule(
        f"{v.name} is symmetric: the symmetric part", "(G+G')/2", r"\tfrac12(G+G^{\top})"
    )


def _any(stages: Stages, derivatives: Sequence[Expr]) -> Iterator[Block]:
    yield from definitions(stages)
    changes: dict[Expr, Expr] = {}
    for stage in stages:
        left = stages.differential(stage.letter)
        change = stages.change(stage)
        shown = stages.formula(change)
        yield Line(left, shown, rules.differentials(stage.value, stage.inner))
        put_in = stages.whole(change, changes)
        changes[stages.direction(stage.letter)] = put_in
    total = changes[stages.direction(stages[-1].letter)]
    left = stages.differential(stages[-1].letter)
    if stages.formula(total).text != shown.text:
        yield Line(left, stages.formula(total), (rules.FILLED_IN,))
    for v, d in zip(stages.targets, derivatives, strict=True):
        how = [rules.linear_in(v, stages[-1].letter)]
        if simplify(project(d, d.ndim - v.ndim, v)) is d and v.properties & STRUCTURE:
            how.append(projection(v, d.ndim))
        yield Line(derivative_name(stages[-1].letter, v), stages.formula(d), tuple(how))

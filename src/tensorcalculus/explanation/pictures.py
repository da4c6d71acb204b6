"""A derivative by the network as blocks: each deletion as a diagram, then their sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorcalculus.errors import InputError
from tensorcalculus.explanation import rules
from tensorcalculus.explanation.blocks import Block, Line, Note, Picture
from tensorcalculus.explanation.deletion import Deletion, deletions
from tensorcalculus.explanation.differentials import independent
from tensorcalculus.explanation.formulas import derivative_name, named
from tensorcalculus.explanation.stages import Stages
from tensorcalculus.expr.node import Expr, Number, Variable
from tensorcalculus.notation.graphs import to_diagram

DELETED = rules.Rule("delete the node, once for every occurrence, and add up")


def by_network(stages: Stages, f: Expr, derivatives: Sequence[Expr]) -> tuple[Block, ...]:
    """The pictures for every variable; a sentence where they would be too many or too large."""
    found: list[Block] = [Line(named(stages[-1].letter.name), stages.formula(f))]
    for v, derivative in zip(stages.targets, derivatives, strict=True):
        try:
            made = deletions(f, v)
        except InputError as error:
            found.append(Note(f"Not drawn: {error}"))
            continue
        found += _blocks(stages, v, made, derivative)
    return tuple(found)


def _blocks(stages: Stages, v: Variable, made: Deletion, derivative: Expr) -> Iterator[Block]:
    left = derivative_name(stages[-1].letter, v)
    yield Picture(made.whole, f"the function, {v.name} marked")
    for occurrence in made.occurrences:
        yield Picture(occurrence.diagram, occurrence.caption)
    terms = stages.pairings([(Number(1), o.expression) for o in made.occurrences])
    final = stages.formula(derivative)
    full = derivative is not made.result
    if full:
        yield independent(v)
    elif made.note:
        yield Note(f"{made.note[0].upper()}{made.note[1:]}.")
    if full or not made.note:
        yield Line(left, terms, (DELETED,))
    if final.text != terms.text:
        yield Line(left, final, (rules.Rule("in simplest form"),))
    drawn = to_diagram(derivative, v.ndim) if full else made.simplified
    yield Picture(drawn, "the derivative, its legs marked")

"""From what a user asks to an explanation: the function read, its parts named, the ways taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tensorcalculus.calculus.derivative import derivative, find_variable
from tensorcalculus.errors import InputError
from tensorcalculus.explanation.backpropagation import by_backpropagation
from tensorcalculus.explanation.blocks import Block, Line, Note, Way
from tensorcalculus.explanation.differentials import by_differentials
from tensorcalculus.explanation.formulas import formula
from tensorcalculus.explanation.indices import by_indices
from tensorcalculus.explanation.pictures import by_network
from tensorcalculus.explanation.record import Explanation
from tensorcalculus.explanation.rules import Rule
from tensorcalculus.explanation.stages import Stages
from tensorcalculus.expr.node import Expr, Variable, walk
from tensorcalculus.notation.elaborate import parse_parts
from tensorcalculus.simplify.engine import rewritings

TITLES = {
    "differentials": "By differentials",
    "network": "By the network",
    "indices": "By indices",
    "backpropagation": "By back-propagation",
}
WAYS = tuple(TITLES)
MOST_NODES = 2000
"""The largest expression that is explained; steps of a larger one would not be read."""


def explained(
    f: Expr | str,
    wrt: str | Variable | Sequence[str | Variable],
    order: int,
    ways: str | Sequence[str],
    data: Mapping[str, Any] | None,
    declarations: Mapping[str, str],
    symmetry: str,
) -> Explanation:
    """See :func:`tensorcalculus.explain`."""
    ways = [ways] if isinstance(ways, str) else ways
    for way in ways:
        if way not in WAYS:
            raise InputError(f"there is no way {way!r} to explain; the ways are {', '.join(WAYS)}")
    if isinstance(order, bool) or order not in (1, 2):
        raise InputError(f"order is 1 or 2, not {order!r}; explain derivatives one after another")
    given: list[tuple[str, Expr]] = []
    if isinstance(f, str):
        f, given, body = parse_parts(f, declarations)
    elif declarations:
        raise InputError("shapes are declared for a formula in text; this is an expression")
    else:
        body = f
    if sum(1 for _ in walk(f)) > MOST_NODES:
        raise InputError(f"the expression has more than {MOST_NODES} nodes; explain parts of it")
    names = [wrt] if isinstance(wrt, (str, Variable)) else list(wrt)
    targets = [find_variable(f, name) for name in names]
    if not targets or len(set(targets)) < len(targets) or len(targets) > (1 if order == 2 else 20):
        raise InputError(
            "wrt is a variable, or for first derivatives several different ones; "
            f"{', '.join(v.name for v in targets) or 'none'} is given"
        )
    first = _Task(f, body, given, targets, symmetry)
    tasks = [first]
    if order == 2:
        (gradient,) = first.derivatives
        tasks.append(_Task(gradient, gradient, [], targets, symmetry, name="g"))
    return Explanation(
        f,
        tuple(v.name for v in targets),
        tasks[-1].derivatives,
        tuple(_way(name, tasks, data) for name in ways),
    )


class _Task:
    """One derivative to explain, and its function in parts."""

    def __init__(
        self,
        f: Expr,
        body: Expr,
        given: list[tuple[str, Expr]],
        targets: list[Variable],
        symmetry: str,
        name: str = "",
    ) -> None:
        self.f = f
        self.projected = symmetry == "projected"
        self.derivatives = tuple(derivative(f, v, symmetry=symmetry) for v in targets)
        self.coarse = Stages(body, targets, given=given, name=name)
        self.fine = self.coarse if given else Stages(body, targets, fine=True, name=name)

    def blocks(self, way: str, data: Mapping[str, Any] | None) -> tuple[Block, ...]:
        if way == "differentials":
            return (*self._simplified(), *by_differentials(self.coarse, self.derivatives))
        if way == "indices":
            return by_indices(self.coarse, self.derivatives)
        if way == "network":
            return by_network(self.coarse, self.f, self.derivatives)
        return by_backpropagation(self.fine, data, projected=self.projected)

    def _simplified(self) -> Iterator[Block]:
        """The function as it was given, where rules have made another form of it."""
        for rule, before, after in rewritings(self.f):
            why = Rule(rule.name, rule.reason)
            yield Line(formula(before), formula(after), (why,))


def _way(name: str, tasks: Sequence[_Task], data: Mapping[str, Any] | None) -> Way:
    blocks = list(tasks[0].blocks(name, data))
    for task in tasks[1:]:
        blocks += [Note("The gradient is derived once more."), *task.blocks(name, data)]
    return Way(name, TITLES[name], tuple(blocks))

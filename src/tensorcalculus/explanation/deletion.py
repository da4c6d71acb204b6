"""A derivative by the network: delete the variable, open its legs, once for every occurrence.

A function that is no network in the variable is one up to the nearest function of entries or
operation around it.  What stands outside enters as the derivative by that network, one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tensorcalculus.calculus.derivative import STRUCTURE, find_variable, jacobian
from tensorcalculus.calculus.sweep import (
    dependent,
    differential,
    identity_seed,
    partial,
    reverse,
)
from tensorcalculus.diagrams import Diagram, Node, Open, Row, Term, sheet
from tensorcalculus.errors import InputError
from tensorcalculus.expr.combination import is_zero, scale, split_scale
from tensorcalculus.expr.context import remember
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Scalar,
    Variable,
    variables_of,
)
from tensorcalculus.notation.factors import Factor, Factors, squares_in
from tensorcalculus.notation.graphs import (
    Pictures,
    ambiguous,
    drawn_form,
    heading,
    to_diagram,
    within_limit,
)
from tensorcalculus.notation.text import number, to_text
from tensorcalculus.simplify.engine import simplify

MOST_OCCURRENCES = 40
"""More occurrences than this are refused: nobody would look at so many pictures."""
_SHORT = 60
"""Letters of a formula that stands within a sentence."""


@dataclass(frozen=True)
class Occurrence:
    """One place where the variable stands, and what is left when it is deleted there."""

    caption: str
    diagram: Diagram
    """The network without the variable; the legs that it leaves are open and marked."""
    expression: Expr
    """This term of the derivative: axes of the function, then of the variable."""


@dataclass(frozen=True)
class Deletion:
    """A derivative by the network, in pictures.

    Attributes
    ----------
    whole
        The function, the variable marked wherever it stands.
    occurrences
        Every occurrence deleted; their expressions add up to the derivative by all entries.
    result
        The derivative, simplified, and within the space of a structured variable.
    simplified
        The diagram of ``result``; its legs of the variable are marked.
    note
        What is done to the sum beside simplification, in words; mostly nothing.
    """

    whole: Diagram
    occurrences: tuple[Occurrence, ...]
    result: Expr
    simplified: Diagram
    note: str = ""


def deletions(f: Expr, variable: str | Variable) -> Deletion:
    """How the derivative of ``f`` comes about by deleting the variable from its networks.

    Parameters
    ----------
    f
        An expression of any order.
    variable
        A variable of it, or its name.

    Raises
    ------
    UnknownNameError
        Where the variable does not occur.
    InputError
        Where a diagram would be too large (see :meth:`Expr.draw`), or for more than 40 occurrences.
    NotDifferentiableError

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> d = deletions(tc.parse("x'*A*x"), "x")
    >>> [o.caption for o in d.occurrences]
    ['occurrence 1 of x: delete it, open its leg m', 'occurrence 2 of x: delete it, open its leg m']
    >>> [o.expression for o in d.occurrences], d.result
    ([A*x, A'*x], (A+A')*x)
    """
    variable = find_variable(f, variable)
    within_limit(f)
    result = jacobian(f, variable)
    note = ""
    kinds = [k for k in sorted(STRUCTURE) if k in variable.properties]
    if kinds:
        note = (
            f"{variable.name} is declared {kinds[0]}: of the sum, the part in the space of such "
            "matrices is taken"
        )
    found: list[Occurrence] = []
    for step in _steps(f, variable):
        if len(found) == MOST_OCCURRENCES:
            raise InputError(
                f"{variable.name} occurs more than {MOST_OCCURRENCES} times; its deletions are "
                "too many to be looked at one by one"
            )
        remember(step.expression, f)
        found.append(_deleted(f, variable, step, len(found) + 1))
    return Deletion(
        _marked(f, variable), tuple(found), result, to_diagram(result, variable.ndim), note
    )


class _Step(NamedTuple):
    """An occurrence in a network that is linear in it: ``c`` times the contraction of factors."""

    holder: Expr
    cotangent: Expr
    """The derivative of the function by the holder: axes of the function, then of the holder."""
    c: Scalar
    factors: tuple[Factor, ...]
    out: tuple[int, ...]
    place: int
    """Which factor is deleted; -1 where the holder is not linear in a way that can be drawn."""
    words: str
    expression: Expr


def _steps(f: Expr, variable: Variable) -> Iterator[_Step]:
    order, marked = dependent(f, [variable])
    squares = _squares_of(order, variable)
    for node in reversed(order):
        holds = any(c is variable or c in squares for c in node.children)
        if node is variable or node in squares or not holds or node not in marked:
            continue
        g = identity_seed(f.shape) if node is f else simplify(reverse(f, [node])[0])
        if isinstance(node, Contraction):
            yield from _in_network(f, variable, node, g, squares)
        elif isinstance(node, Combination):
            for c, t in zip(node.coefficients, node.terms, strict=True):
                if t is variable:
                    out = tuple(range(node.ndim))
                    yield _Step(node, g, c, ((t, out),), out, 0, "delete it", scale(c, g))
        else:
            yield from _in_function(f, variable, node, g)
    if f is variable:
        out = tuple(range(f.ndim))
        one = identity_seed(f.shape)
        yield _Step(f, one, 1, ((f, out),), out, 0, "delete it", one)


def _squares_of(order: list[Expr], variable: Variable) -> set[Expr]:
    """Squares of the variable that stand as two factors wherever they stand."""
    inside: set[Expr] = set()
    outside: set[Expr] = set()
    for node in order:
        found = squares_in(node)
        for k, child in enumerate(node.children):
            if child.children and child.children[0] is variable:
                (inside if k in found else outside).add(child)
    return inside - outside


def _in_network(
    f: Expr, variable: Variable, node: Contraction, g: Expr, squares: set[Expr]
) -> Iterator[_Step]:
    pairs: list[Factor] = []
    for operand, legs in zip(node.operands, node.legs, strict=True):
        pairs += [(variable, legs)] * 2 if operand in squares else [(operand, legs)]
    lead = tuple(("s", k) for k in range(f.ndim))
    sizes = dict(enumerate(node.dims))
    for k, (operand, legs) in enumerate(pairs):
        if operand is variable:
            rest = [(g, lead + node.out), *pairs[:k], *pairs[k + 1 :]]
            term = contract(rest, lead + legs, sizes)
            yield _Step(node, g, 1, tuple(pairs), node.out, k, "delete it", term)


def _in_function(f: Expr, variable: Variable, node: Expr, g: Expr) -> Iterator[_Step]:
    """The differential of a function of entries or of an operation, as networks."""
    for k, a in enumerate(node.children):
        if a is not variable:
            continue
        out = tuple(range(node.ndim))
        d = _direction(f, variable)
        if isinstance(node, Map):
            legs = out[: a.ndim]
            slope = simplify(partial(node, k))
            factors = ((slope, out[: slope.ndim]), (variable, legs))
            change = contract([factors[0], (d, legs)], out, dict(enumerate(node.shape)))
            words = f"the differential is {_brief(change)}; delete {d.name}"
            lead = tuple(("s", t) for t in range(f.ndim))
            term = contract([(g, lead + out), factors[0]], lead + legs, dict(enumerate(node.shape)))
            yield _Step(node, g, 1, factors, out, 1, words, term)
            continue
        assert isinstance(node, Operation)
        change = None if node.row.constant else differential(node, {k: d})
        if change is None:
            continue
        change = simplify(change)
        words = f"the differential is {_brief(change)}; delete {d.name}"
        several = change.terms if isinstance(change, Combination) else (change,)
        numbers = change.coefficients if isinstance(change, Combination) else (1,)
        steps = [_linear(t, c, d, variable) for c, t in zip(numbers, several, strict=True)]
        if any(s is None for s in steps):
            term = reverse(change, [d], g)[0]
            words = "the adjoint of the operation takes its place"
            yield _Step(node, g, 1, (), out, -1, words, term)
            continue
        for factors, legs, place, c in filter(None, steps):
            lead = tuple(("s", t) for t in range(f.ndim))
            rest = [p for t, p in enumerate(factors) if t != place]
            whole = contract(
                [(g, (*lead, *legs)), *rest], (*lead, *factors[place][1]), _sizes(factors)
            )
            yield _Step(node, g, c, factors, legs, place, words, scale(c, whole))


def _direction(f: Expr, variable: Variable) -> Variable:
    """``dW`` for ``W``, or a longer name where ``f`` has that one."""
    name, known = f"d{variable.name}", variables_of(f)
    while name in known:
        name = f"d{name}"
    return Variable(name, variable.shape)


def _linear(
    term: Expr, c: Scalar, d: Variable, variable: Variable
) -> tuple[tuple[Factor, ...], tuple[int, ...], int, Scalar] | None:
    """Factors of a term with the direction among them once, the variable in its place."""
    if term is d:
        out = tuple(range(d.ndim))
        return ((variable, out),), out, 0, c
    if not isinstance(term, Contraction) or term.operands.count(d) != 1:
        return None
    k = term.operands.index(d)
    pairs = list(zip(term.operands, term.legs, strict=True))
    pairs[k] = (variable, term.legs[k])
    return tuple(pairs), term.out, k, c


def _sizes(factors: tuple[Factor, ...]) -> dict:
    return {i: d for e, legs in factors for i, d in zip(legs, e.shape, strict=True)}


# -- pictures ------------------------------------------------------------------------------------


def _marked(f: Expr, variable: Variable) -> Diagram:
    shown = drawn_form(f)
    pictures = Pictures(shown, chosen=variable)
    whole = pictures.picture(shown, pictures.opened(shown.shape))
    return sheet([Row(whole), *pictures.definitions()], heading(f))


def _deleted(f: Expr, variable: Variable, step: _Step, count: int) -> Occurrence:
    """The picture and the words of one step."""
    legs = [str(d) for d in variable.shape]
    if ambiguous(variable):
        legs = [str(k + 1) for k in range(variable.ndim)]
    inside = "" if step.holder in (f, variable) else f", in {_brief(step.holder)}"
    opening = f", open its leg{'s' * (len(legs) > 1)} {_listed(legs)}" if legs else ""
    caption = f"occurrence {count} of {variable.name}{inside}: {step.words}{opening}"
    g = drawn_form(step.cotangent)
    factor, pattern = (g.value, Number(1)) if isinstance(g, Number) else split_scale(g)
    plain = pattern is identity_seed(step.holder.shape) and step.holder.shape == f.shape
    if is_zero(step.cotangent):
        caption += f"; the derivative by {_brief(step.holder)} is 0"
    if step.place < 0 or is_zero(step.cotangent):
        diagram = to_diagram(step.expression, variable.ndim)
        return Occurrence(caption, diagram, step.expression)
    factors = [(drawn_form(e), labels) for e, labels in step.factors]
    pictures = Pictures(*(e for e, _ in factors), *(() if plain else (g,)), beside=f)
    network = Factors(pictures.names)
    for label, d in _sizes(step.factors).items():
        network.new(d, label)
    for label, d in zip(step.out, step.holder.shape, strict=True):
        if label not in network.parent:
            network.new(d, label)
    lead = tuple(network.new(d) for d in (() if plain else f.shape))
    pairs: list[Factor] = []
    place = 0
    for k, (e, labels) in enumerate(factors):
        if k == step.place:
            place = len(pairs)
            pairs.append((e, labels))
        else:
            pairs += network.flattened(e, labels)
    open_labels = step.out if plain else lead
    texts = pictures.axis_texts(f.shape)
    opens = [Open(i, t) for i, t in zip(open_labels, texts, strict=True)]
    if not plain:
        if not pictures.is_leaf(g):
            pictures.names[g] = pictures.fresh_name(g, "G" if g.ndim > 1 else "g")
        pairs.append((g, (*lead, *step.out)))
        name = pictures.names.get(g)
        formula = f"{name} = {_brief(g)}" if name else _brief(g)
        caption += f"; join what is left with {formula}, the derivative by {_brief(step.holder)}"
        factor = 1
    ghost = Node(variable.name, "deleted", numbered=ambiguous(variable))
    graph, constants = pictures.graph(pairs, opens, network, deleted={place: ghost})
    c = step.c * factor
    text = number(abs(c)) if abs(c) != 1 else ""
    if constants:
        text = to_text(scale(abs(c), contract([(k, ()) for k in constants], ())))
    row = Row((Term(graph, "−" if c < 0 else "", text),))
    diagram = sheet([row, *pictures.definitions()], caption)
    return Occurrence(caption, diagram, step.expression)


def _brief(e: Expr) -> str:
    return heading(e, _SHORT)


def _listed(words: list[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])

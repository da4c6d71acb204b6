"""The rules that a step uses, each a name and a formula."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tensorcalculus.calculus.sweep import dependent, differential, reverse
from tensorcalculus.explanation.formulas import direction, formula, pairings
from tensorcalculus.expr.contraction import is_permutation, symmetric
from tensorcalculus.expr.maps import apply
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Variable,
    is_map,
)
from tensorcalculus.simplify.engine import simplify

_LONGEST = 60
"""Characters of a differential beyond which only its source is named."""


class Rule(NamedTuple):
    """A rule: its name, its formula as text and as LaTeX (empty where it is words alone)."""

    name: str
    text: str = ""
    latex: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.text else self.name


SUM = Rule("sum", "d(A+B) = dA+dB", r"\mathrm{d}(A+B)=\mathrm{d}A+\mathrm{d}B")
CONSTANT = Rule("constants drop out", "d(A+C) = dA", r"\mathrm{d}(A+C)=\mathrm{d}A")
PRODUCT = Rule("product", "d(A*B) = dA*B+A*dB", r"\mathrm{d}(AB)=\mathrm{d}A\,B+A\,\mathrm{d}B")
LINEAR = Rule("constant factors stay", "d(C*A) = C*dA", r"\mathrm{d}(CA)=C\,\mathrm{d}A")
SUMMED = Rule("a sum of entries is linear", "d sum(A) = sum(dA)",
              r"\mathrm{d}\sum A=\sum\mathrm{d}A")  # fmt: skip
TRACE = Rule("the trace is linear", "d tr(A) = tr(dA)",
             r"\mathrm{d}\operatorname{tr}A=\operatorname{tr}\mathrm{d}A")  # fmt: skip
SQUARES = Rule(
    "squared norm",
    "d norm2(A)^2 = 2*A:dA",
    r"\mathrm{d}\lVert A\rVert^{2}=2\langle A,\mathrm{d}A\rangle",
)
MOVED = Rule(
    "factors change sides",
    "G:(A*B) = (A'*G):B = (G*B'):A",
    r"\langle G,AB\rangle=\langle A^{\top}G,B\rangle=\langle GB^{\top},A\rangle",
)
SCALED = Rule(
    "entrywise factors change sides",
    "G:(A.*B) = (A.*G):B",
    r"\langle G,A\odot B\rangle=\langle A\odot G,B\rangle",
)
CONTRACTED = Rule(
    "the rest of a network changes sides: it is contracted with G over the legs of the network",
)
ADJOINT = Rule(
    "adjoint of a linear map",
    "<G,L(A)> = <L*(G),A>",
    r"\langle G,L(A)\rangle=\langle L^{*}(G),A\rangle",
)
OBVIOUS = (SUM, CONSTANT, LINEAR, SUMMED, TRACE)
"""What needs no word where entries are numbers."""
NAMED = Rule("names for parts")
FILLED_IN = Rule("the names are filled in")


def read_off(v: Variable) -> Rule:
    """What stands with a differential is the derivative."""
    return Rule(f"what stands with d{v.name} is the derivative by {v.name}")


def linear_in(v: Variable, f: Variable) -> Rule:
    """The derivative of what is no scalar."""
    return Rule(f"the derivative is the linear map that takes d{v.name} to d{f.name}")


def differentials(value: Expr, inner: Collection[Variable]) -> tuple[Rule, ...]:
    """The rules by which the differential of ``value`` comes about."""
    return tuple(dict.fromkeys(_differentials(value, inner)))


def _differentials(value: Expr, inner: Collection[Variable]) -> Iterator[Rule]:
    order, marked = dependent(value, inner)
    done: set[Expr] = set()
    for node in reversed(order):
        if node not in marked or node in inner or node in done:
            continue
        if is_square(node):
            done.add(node.children[0])
            yield SQUARES
            continue
        live = sum(c in marked for c in node.children)
        if isinstance(node, Combination):
            if live > 1:
                yield SUM
            if live < len(node.terms):
                yield CONSTANT
        elif isinstance(node, Contraction):
            yield from _of_network(node, live)
        elif isinstance(node, Map):
            yield _of_map(node)
        elif isinstance(node, Operation):
            yield _of_operation(node)


def _of_network(node: Contraction, live: int) -> Iterator[Rule]:
    if live > 1:
        yield PRODUCT
    elif len(node.operands) > 1:
        yield LINEAR
    elif is_permutation(node) is None and len(set(node.out)) < len(set(node.legs[0])):
        yield TRACE if len(set(node.legs[0])) < len(node.legs[0]) else SUMMED


def _of_map(node: Map) -> Rule:
    """The derivative of a function of the table, for a number ``x``."""
    names = ("x", "y", "z")
    args = [
        a if isinstance(a, Number) else Variable(n, ())
        for a, n in zip(node.args, names, strict=False)
    ]
    made = apply(node.function, *args)
    moving = [a for a in args if isinstance(a, Variable)]
    slopes = reverse(made, moving)
    change = pairings([(simplify(g), direction(a)) for g, a in zip(slopes, moving, strict=True)])
    left = formula(made)
    return Rule(
        "power" if is_map(node, "pow") else node.function.name,
        f"d {left.text} = {change.text}",
        rf"\mathrm{{d}}\,{left.latex}={change.latex}",
    )


def _of_operation(node: Operation) -> Rule:
    row = node.row
    if row.linear:
        return Rule(f"{row.name} is linear")
    letters = ("x", "X", "X")
    args = [
        Variable(letters[min(a.ndim, 3) - 1] + str(k or ""), a.shape, _space(a)) if a.ndim else a
        for k, a in enumerate(node.args)
    ]
    made = Operation(row, tuple(args), node.params)
    moving = {k: direction(a) for k, a in enumerate(args) if isinstance(a, Variable)}
    change = differential(made, moving)
    if change is not None:
        left, right = formula(made), formula(simplify(change))
        if len(right.text) <= _LONGEST:
            return Rule(
                row.name,
                f"d {left.text} = {right.text}",
                rf"\mathrm{{d}}\,{left.latex}={right.latex}",
            )
    statement, _, source = row.reference.partition(";")
    return Rule(row.name, f"{statement} [{source.strip()}]" if source else statement)


def is_square(node: Expr) -> bool:
    """Whether this is the sum of all squares of one tensor."""
    if not isinstance(node, Contraction) or node.out or len(node.operands) != 1:
        return False
    (inner,) = node.operands
    return is_map(inner, "pow") and inner.args[1] is Number(2)


def _space(a: Expr) -> frozenset[str]:
    return frozenset({"sym"}) if a.ndim == 2 and symmetric(a) else frozenset()


def moves(value: Expr, inner: Collection[Variable]) -> tuple[Rule, ...]:
    """The rules by which a cotangent passes through ``value``."""
    order, marked = dependent(value, inner)
    found: dict[Rule, None] = {}
    for node in reversed(order):
        if node not in marked or node in inner:
            continue
        if isinstance(node, Contraction) and len(node.operands) > 1:
            small = all(o.ndim < 3 for o in node.operands) and node.ndim < 3
            found[_kind_of_move(node) if small else CONTRACTED] = None
        elif isinstance(node, Map) and node.ndim:
            found[SCALED] = None
        elif isinstance(node, Operation):
            found[ADJOINT] = None
    return tuple(found)


def _kind_of_move(node: Contraction) -> Rule:
    summed = {i for legs in node.legs for i in legs} - set(node.out)
    return MOVED if summed else SCALED

"""A function in stages: its parts by name, each a short formula in variables and earlier parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tensorcalculus.calculus.sweep import dependent, forward, reverse
from tensorcalculus.explanation.formulas import (
    Formula,
    differential_name,
    direction,
    formula,
    named,
    pairings,
)
from tensorcalculus.explanation.rules import is_square
from tensorcalculus.expr.contraction import symmetric
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Variable,
    is_map,
    variables_of,
    walk,
)
from tensorcalculus.expr.rebuild import substitute, with_children
from tensorcalculus.notation.matrix import Writer
from tensorcalculus.notation.naming import letter_for
from tensorcalculus.notation.text import names_in
from tensorcalculus.simplify.engine import simplify

_FUNCTION = {True: ("f", "g", "h", "phi"), False: ("F", "G", "H", "Phi")}
"""What a function is called, scalar or not."""


@dataclass(frozen=True)
class Stage:
    """A part with its letter; ``value`` has letters for earlier parts, ``whole`` has none."""

    letter: Variable
    value: Expr
    whole: Expr
    inner: tuple[Variable, ...]
    """The letters and variables in ``value`` that the derivative goes through."""


class Stages(Sequence[Stage]):
    """The parts of a function that depend on the variables; the last is the function.

    Parameters
    ----------
    f
        The function.
    targets
        The variables that it is derived by.
    fine
        Whether every function that is applied is a part, as in a computation graph, rather than
        what a person would name.
    given
        Parts as a user has named them, each in terms of those before.  ``f`` is then in terms of
        their names; nothing else is named.
    name
        What the function is called, if that name is free.
    """

    def __init__(
        self,
        f: Expr,
        targets: Sequence[Variable],
        *,
        fine: bool = False,
        given: Sequence[tuple[str, Expr]] = (),
        name: str = "",
    ) -> None:
        self.targets = tuple(targets)
        self.taken = names_in(f, *targets, *(value for _, value in given))
        self._users = frozenset(self.taken)
        """Names that are the user's, which differentials and adjoints must not have."""
        self.taken |= {"d", *(name for name, _ in given)}
        self.stages: list[Stage] = []
        self._letters: dict[Expr, Expr] = {}
        """Whole expressions by letter."""
        if given:
            f = self._named(given, f)
            if self.stages and f is self.stages[-1].letter:
                return
        else:
            f = self._split(simplify(f), fine)
        letters = (name, *_FUNCTION[not f.ndim])
        name = next((n for n in letters if n and n not in self.taken), "value")
        self._append(name, f)

    def __len__(self) -> int:
        return len(self.stages)

    def __getitem__(self, k):
        return self.stages[k]

    # -- names -----------------------------------------------------------------------------------

    def _append(self, name: str, value: Expr) -> Variable:
        properties = frozenset({"sym"}) if value.ndim == 2 and symmetric(value) else frozenset()
        letter = Variable(name, value.shape, properties)
        own = set(variables_of(value).values())
        known = [*self.targets, *(s.letter for s in self.stages)]
        inner = tuple(v for v in known if v in own)
        whole = substitute(value, self._letters)
        self.stages.append(Stage(letter, value, whole, inner))
        self._letters[letter] = whole
        self.taken |= {name, f"d{name}", f"{name}_bar", f"G_{name}"}
        return letter

    def _named(self, given: Sequence[tuple[str, Expr]], f: Expr) -> Expr:
        letters: dict[str, Expr] = {}
        constant: dict[str, Expr] = {}
        for name, value in given:
            value = simplify(substitute(value, _by_name(value, letters | constant)))
            if set(variables_of(value).values()) & {*self.targets, *self._letters}:
                letters[name] = self._append(name, value)
            else:  # it does not depend on the variables: written out where it stands
                constant[name] = value
        return simplify(substitute(f, _by_name(f, letters | constant)))

    def _split(self, f: Expr, fine: bool) -> Expr:
        """``f`` in terms of letters for its parts, which are appended before it."""
        order, marked = dependent(f, self.targets)
        uses: dict[Expr, int] = {}
        inside: set[Expr] = set()
        for node in order:
            if node in marked:
                for child in node.children:
                    uses[child] = uses.get(child, 0) + 1
                    if isinstance(node, (Map, Operation)) and not _is_norm(node):
                        inside.add(child)
        done: dict[Expr, Expr] = {}
        for node in order:
            children = tuple(done[c] for c in node.children)
            same = all(a is b for a, b in zip(children, node.children, strict=True))
            value = done[node] = node if same else with_children(node, children)
            if node not in marked or node in self.targets or node is f or _is_plain(value):
                continue
            called = fine and isinstance(node, (Map, Operation)) and not _is_power(node)
            if called or node in inside or uses.get(node, 0) > 1:
                form = Writer(value).form(value)
                done[node] = self._append(letter_for(form, self.taken), value)
        return done[f]

    # -- what is done with them ------------------------------------------------------------------

    def change(self, stage: Stage) -> Expr:
        """The differential of a part in the differentials of what stands in it."""
        return simplify(forward(stage.value, {v: self.direction(v) for v in stage.inner}))

    def shown_change(self, stage: Stage) -> Formula:
        """The differential as a formula; that of a number as a sum of Frobenius products."""
        if stage.letter.ndim:
            return self.formula(self.change(stage))
        slopes = self.pulled(stage, None)
        return self.pairings([(g, self.direction(v)) for v, g in slopes.items()])

    def pulled(self, stage: Stage, cotangent: Expr | None) -> dict[Variable, Expr]:
        """What the cotangent of a part gives to each of those that stand in it."""
        found = reverse(stage.value, list(stage.inner), cotangent)
        return {v: simplify(g) for v, g in zip(stage.inner, found, strict=True)}

    def direction(self, v: Variable) -> Variable:
        """``dX``."""
        return direction(v, self._free(f"d{v.name}"))

    def differential(self, v: Variable) -> Formula:
        """``dX`` as it is written."""
        name = self.direction(v).name
        return differential_name(v) if name == f"d{v.name}" else named(name)

    def adjoint(self, v: Variable) -> Variable:
        """``X_bar``: the derivative of the function by a part, as back-propagation names it."""
        return Variable(self._free(f"{v.name}_bar"), v.shape)

    def cotangent(self, v: Variable) -> Variable:
        """``G_X``: the same where it stands with ``dX``."""
        return Variable(self._free(f"G_{v.name}"), v.shape)

    def _free(self, name: str) -> str:
        found, k = name, 2
        while found in self._users:
            found, k = f"{name}_{k}", k + 1
        return found

    @property
    def delta(self) -> str:
        """What a Kronecker delta is called."""
        return "kronecker" if "delta" in self.taken else "delta"

    def formula(self, e: Expr) -> Formula:
        """An expression as a formula that uses no letter of a part for anything else."""
        return formula(e, self.taken)

    def pairings(self, pairs: Sequence[tuple[Expr, Expr]]) -> Formula:
        """A sum of Frobenius products, likewise."""
        return pairings(pairs, self.taken)

    def whole(self, e: Expr, more: Mapping[Expr, Expr] | None = None) -> Expr:
        """``e`` with all letters replaced by what they stand for."""
        return simplify(substitute(e, {**self._letters, **(more or {})}))


def _by_name(e: Expr, values: Mapping[str, Expr]) -> dict[Expr, Expr]:
    return {v: values[name] for name, v in variables_of(e).items() if name in values}


def _is_power(node: Expr) -> bool:
    return is_map(node, "pow") and isinstance(node.args[1], Number)


def _is_norm(node: Expr) -> bool:
    """Whether this is the root of a sum of squares, which is read as one function."""
    if not (isinstance(node, Map) and node.function.name in ("pow", "pow0")):
        return False
    base, exponent = node.args
    half = isinstance(exponent, Number) and Fraction(exponent.value).denominator == 2
    return half and is_square(base)


def _is_plain(value: Expr) -> bool:
    """Whether a part is no more than a letter: scaled, broadcast, transposed."""
    while isinstance(value, (Combination, Contraction)) and len(value.children) == 1:
        if isinstance(value, Contraction) and len(value.legs[0]) > len(set(value.out)):
            return False
        value = value.children[0]
    return isinstance(value, (Variable, Number)) or not any(
        isinstance(v, Variable) for v in walk(value)
    )

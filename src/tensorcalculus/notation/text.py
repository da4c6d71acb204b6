"""Forms as text in the input language; what is printed parses back to the same function."""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.expr.node import Expr, Scalar, variables_of, walk
from tensorcalculus.notation.forms import (
    Applied,
    Call,
    Chain,
    Form,
    MatrixPower,
    Name,
    Num,
    Pointwise,
    Power,
    Product,
    Sum,
    Transposed,
)
from tensorcalculus.notation.matrix import Writer
from tensorcalculus.notation.naming import forms_below, repeated
from tensorcalculus.simplify.engine import written_out

# How tightly a text binds: a sum least, a name or call most.
SUM, FROBENIUS, PRODUCT, POSTFIX, ATOM = 0, 1, 2, 3, 4


def to_text(e: Expr, contractions: str = "matrix") -> str:
    """The expression in the input language, with repeated parts named after ``where``."""
    e = written_out(e)
    return form_text(Writer(e, einsum_only=contractions == "einsum").form(e), names_in(e))


def names_in(*roots: Expr) -> set[str]:
    """The names of variables and sizes, which names for parts must differ from."""
    sizes = {s for node in walk(*roots) for d in node.shape for s in d.symbols()}
    return set(variables_of(*roots)) | sizes


def form_text(form: Form, taken: set[str]) -> str:
    """A form in the input language; names for its parts are none of those ``taken``."""
    texts = Texts()
    clauses, names = repeated(form, taken, texts.spell)
    body = texts.spell(form, names)
    if clauses:
        told = ", ".join(f"{name} = {texts.definition(f, names)}" for name, f in clauses)
        body = f"{body} where {told}"
    return body


class Texts:
    """Spelling of forms; texts of parts are kept until a name for a part changes them."""

    def __init__(self) -> None:
        self.done: dict[int, tuple[str, int]] = {}

    def spell(self, form: Form, names: dict[int, str]) -> str:
        for f in forms_below(form) if id(form) not in self.done else ():
            if id(f) not in self.done:
                self.done[id(f)] = self.write(f, names)
        if id(form) in names:
            return names[id(form)]
        return self.done[id(form)][0]

    def definition(self, form: Form, names: dict[int, str]) -> str:
        return self.write(form, names)[0]

    def at(self, form: Form, level: int, names: dict[int, str]) -> str:
        """The text of a part, in parentheses where it binds less tightly than ``level``."""
        if id(form) in names:
            return names[id(form)]
        found = self.done.get(id(form))
        if found is None:
            found = self.done[id(form)] = self.write(form, names)
        text, own = found
        return text if own >= level else f"({text})"

    def write(self, form: Form, names: dict[int, str]) -> tuple[str, int]:
        if isinstance(form, Name):
            return form.name, ATOM
        if isinstance(form, Num):
            text = number(form.value)
            return text, ATOM if text.isdecimal() or _is_decimal(text) else SUM
        if isinstance(form, Sum):
            return self.sum(form, names), SUM
        if isinstance(form, Product):
            return self.product(form, names)
        if isinstance(form, Chain):
            factors = [self.at(f, POSTFIX, names) for f in form.factors]
            return "*".join(factors), PRODUCT
        if isinstance(form, Pointwise):
            return self.pointwise(form, names), PRODUCT
        if isinstance(form, (Power, MatrixPower)):
            sign = ".^" if form.order and isinstance(form, Power) else "^"
            base = self.at(form.base, POSTFIX, names)
            return f"{base}{sign}{self.at(form.exponent, ATOM, names)}", POSTFIX
        if isinstance(form, Transposed):
            level = ATOM if isinstance(form.arg, Power) else POSTFIX
            return f"{self.at(form.arg, level, names)}'", POSTFIX
        if isinstance(form, Applied):
            args = [self.at(a, SUM, names) for a in form.args]
            if form.row.name == "slice":
                args = [self.at(form.args[0], POSTFIX, names)]
            return form.row.spell(form.row.name, args, form.params), ATOM
        assert isinstance(form, Call)
        if form.name == "frobenius":
            return ":".join(self.at(a, POSTFIX, names) for a in form.args), FROBENIUS
        args = [self.at(a, SUM, names) for a in form.args]
        leading = [f'"{form.leading}"'] if form.leading else []
        return f"{form.name}({','.join([*leading, *args, *form.literals])})", ATOM

    def sum(self, form: Sum, names: dict[int, str]) -> str:
        parts: list[str] = []
        for c, t in zip(form.coefficients, form.terms, strict=True):
            negative = c < 0
            size = -c if negative else c
            if isinstance(t, Num):
                text = number(size * t.value)
            elif size == 1:
                text = self.at(t, FROBENIUS, names)
            else:
                text = self.scaled(size, t, names)
            sign = "-" if negative else "+" if parts else ""
            parts.append(f"{sign}{text}")
        return "".join(parts)

    def scaled(self, c: Scalar, t: Form, names: dict[int, str]) -> str:
        """A positive number times a form; a unit fraction as a quotient."""
        if isinstance(t, Product) and id(t) not in names:
            made = Product(c * t.coefficient, t.scalars, t.core, t.divisors, order=t.order)
            return self.product(made, names)[0]
        made = (
            Product(c, (), t, (), order=t.order) if t.order else Product(c, (t,), None, (), order=0)
        )
        return self.product(made, names)[0]

    def product(self, form: Product, names: dict[int, str]) -> tuple[str, int]:
        c = form.coefficient
        sign = "-" if c < 0 else ""
        top, bottom = abs(Fraction(c)).as_integer_ratio()
        decimal = _decimal(abs(Fraction(c)))
        front: list[str] = []
        below = [self.at(d, POSTFIX, names) for d in form.divisors]
        if bottom == 1:
            if top != 1:
                front.append(str(top))
        elif decimal is not None and bottom > 20:
            front.append(decimal)
        else:
            if top != 1:
                front.append(str(top))
            below.insert(0, str(bottom))
        alone = form.core is None and len(form.scalars) == 1
        lowest = FROBENIUS if not below else PRODUCT
        for s in form.scalars:
            # A product of vectors in front of others reads better in parentheses.
            front.append(self.at(s, lowest if alone else POSTFIX, names))
        if form.core is not None:
            core = form.core
            inside = isinstance(core, (Chain, Pointwise)) and id(core) not in names
            quotient = isinstance(core, Pointwise) and core.divisors
            unit = quotient and core.factors == (core.factors[0],) and _is_one(core.factors[0])  # type: ignore[union-attr]
            if unit and inside and front and not below:
                # c./x rather than c*(1./x)
                divisors = [self.at(d, POSTFIX, names) for d in core.divisors]  # type: ignore[union-attr]
                return f"{sign}{'./'.join(['*'.join(front), *divisors])}", SUM if sign else PRODUCT
            tight = POSTFIX if (front and quotient) else PRODUCT
            text = self.at(core, tight if inside else POSTFIX, names)
            if below and inside and isinstance(core, Pointwise):
                text = f"({text})" if not text.startswith("(") else text
            front.append(text)
        text = "*".join(front) or "1"
        if len(below) == 1:
            text = f"{text}/{below[0]}"
        elif below:
            text = f"{text}/({'*'.join(below)})"
        loose = alone and not below and ":" in text
        return f"{sign}{text}", SUM if sign else FROBENIUS if loose else PRODUCT

    def pointwise(self, form: Pointwise, names: dict[int, str]) -> str:
        above = [self.at(f, POSTFIX, names) for f in form.factors]
        text = ".*".join(above)
        for d in form.divisors:
            text = f"{text}./{self.at(d, POSTFIX, names)}"
        return text


def _is_one(form: Form) -> bool:
    return isinstance(form, Num) and form.value == 1


def number(c: Scalar) -> str:
    """A constant as text: an integer, a short decimal, or a quotient."""
    if isinstance(c, float):
        return repr(c)
    c = Fraction(c)
    if c.denominator == 1:
        return str(c.numerator)
    decimal = _decimal(c)
    if (decimal is not None and len(decimal) <= 6) or (
        decimal is not None and c.denominator > 1000
    ):
        return decimal
    return f"{c.numerator}/{c.denominator}"


def _decimal(c: Fraction) -> str | None:
    """The exact decimal form, where there is one of moderate length."""
    rest = c.denominator
    for p in (2, 5):
        while rest % p == 0:
            rest //= p
    if rest != 1:
        return None
    text = repr(float(c))
    return text if Fraction(text) == c else None


def _is_decimal(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()

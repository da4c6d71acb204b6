r"""Forms as LaTeX: the same formula as the text, set as a textbook sets it.

Signs: juxtaposition is the matrix product or a scalar factor, ``\odot`` and ``\oslash`` act entry
by entry, ``x^{\odot p}`` is a power entry by entry, ``\otimes`` is the Kronecker product, ``\circ``
the outer product, ``\ast`` the Khatri-Rao product, ``[\![A,B,C]\!]`` a CP and ``[\![G;A,B,C]\!]`` a
Tucker tensor (Kolda and Bader, 2009), ``T_{(k)}`` the mode-k unfolding, ``\mathbf{1}`` a tensor of
ones, ``\langle A,B\rangle`` the sum of all products of entries, ``[\ldots]_{ij}`` the tensor with
these entries, ``x_{[1:3]}`` a slice.  Slices count from 0, as in the text.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tensorcalculus.expr.node import Expr, Scalar
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
from tensorcalculus.notation.latex_parts import (
    ATOM,
    FACTOR,
    PRODUCT,
    SCRIPT,
    SPECIAL,
    SUM,
    Tex,
    all_axes,
    called,
    fill,
    indexed,
    join,
    operator,
    subscript,
    tex_name,
    tex_names,
    tex_number,
    tex_size,
    tex_sizes,
    tex_slice,
)
from tensorcalculus.notation.matrix import LETTERS, Writer
from tensorcalculus.notation.naming import forms_below, repeated
from tensorcalculus.notation.text import Texts, names_in
from tensorcalculus.simplify.engine import written_out

OPENED = 12
"""How deep sums over indices are opened into each other before a part is kept in brackets."""


def to_latex(e: Expr) -> str:
    """The expression in LaTeX without dollar signs; parts that repeat are named after ``where``."""
    e = written_out(e)
    return form_latex(Writer(e).form(e), names_in(e))


def form_latex(form: Form, taken: set[str]) -> str:
    """A form in LaTeX; names for its parts are none of those ``taken``."""
    body, told = _named(form, taken)
    return rf"{body} \quad\text{{where }} " + r",\; ".join(told) if told else body


def formula_and_names(e: Expr) -> tuple[str, list[str]]:
    """The formula in LaTeX, and ``name = part`` for the parts that repeat in it."""
    e = written_out(e)
    return _named(Writer(e).form(e), names_in(e))


def _named(form: Form, taken: set[str]) -> tuple[str, list[str]]:
    clauses, names = repeated(form, taken, Texts().spell)
    printer = Latex(form, names)
    body = printer.told(form)
    return body, [f"{tex_names(name)} = {printer.told(f)}" for name, f in clauses]


class Latex:
    """Pieces of LaTeX by form; each form is written once, parts before wholes."""

    def __init__(self, root: Form, names: dict[int, str]) -> None:
        self.names = names
        self.done: dict[int, Tex] = {}
        order = forms_below(root)
        uses: dict[int, int] = {}
        for form in order:
            for part in form.parts:
                uses[id(part)] = uses.get(id(part), 0) + 1
        kept = set(names) | _opened(order)
        for form in order:
            self.done[id(form)] = self.write(form)
            # What stands in one place is inside its whole now: deep nesting takes little memory.
            for part in form.parts:
                if uses[id(part)] == 1 and id(part) not in kept:
                    self.done.pop(id(part), None)

    def told(self, form: Form) -> str:
        """The formula of a form, also where it has a name."""
        found = self.done.get(id(form))
        return (self.write(form) if found is None else found).text

    def tex(self, form: Form) -> Tex:
        if id(form) in self.names:
            return Tex(tex_name(self.names[id(form)]))
        found = self.done.get(id(form))
        return self.write(form) if found is None else found

    def at(self, form: Form, level: int) -> str:
        return self.tex(form).at(level)

    def tall(self, *forms: Form) -> bool:
        return any(self.tex(f).tall for f in forms)

    def write(self, form: Form) -> Tex:
        if isinstance(form, Name):
            return Tex(tex_name(form.name))
        if isinstance(form, Num):
            return tex_number(form.value)
        if isinstance(form, Sum):
            return Tex(self.sum(form), SUM, self.tall(*form.terms))
        if isinstance(form, Product):
            return self.product(form)
        if isinstance(form, Chain):
            factors = [self.at(f, FACTOR) for f in form.factors]
            return Tex(join(*factors), PRODUCT, self.tall(*form.factors))
        if isinstance(form, Pointwise):
            return self.pointwise(form)
        if isinstance(form, (Power, MatrixPower)):
            return self.power(form)
        if isinstance(form, Transposed):
            return self.transposed(form)
        if isinstance(form, Applied):
            return self.applied(form)
        assert isinstance(form, Call)
        return self.call(form)

    def sum(self, form: Sum) -> str:
        parts: list[str] = []
        for c, t in zip(form.coefficients, form.terms, strict=True):
            size = abs(c)
            fill_in = form.order > 0 and t.order == 0  # a scalar added to every entry
            if isinstance(t, Num):
                value = tex_number(size * t.value)
                if fill_in:
                    front = "" if value.text == "1" else value.text
                    value = Tex(join(front, r"\mathbf{1}"), PRODUCT)
                text = value.at(PRODUCT)
            else:
                text = self.at(t, PRODUCT) if size == 1 else self.scaled(size, t)
                if fill_in:
                    text = join(self.at(t, FACTOR) if size == 1 else text, r"\mathbf{1}")
            parts.append(("-" if c < 0 else "+" if parts else "") + text)
        return "".join(parts)

    def scaled(self, c: Scalar, t: Form) -> str:
        """A positive number times a form."""
        if isinstance(t, Product) and id(t) not in self.names:
            made = Product(c * t.coefficient, t.scalars, t.core, t.divisors, order=t.order)
        elif t.order:
            made = Product(c, (), t, (), order=t.order)
        else:
            made = Product(c, (t,), None, (), order=0)
        return self.product(made).at(PRODUCT)

    def product(self, form: Product) -> Tex:
        c = Fraction(form.coefficient)
        sign = "-" if c < 0 else ""
        value = tex_number(abs(c))
        top, bottom = abs(c).as_integer_ratio()
        core = form.core
        alone = core is None and len(form.scalars) == 1
        if form.divisors:
            number_above, number_below = (
                (str(top), [str(bottom)]) if value.tall else (value.text, [])
            )
            single = len(form.scalars) + (core is not None) + (number_above != "1") == 1
            above = self.beside(form, "" if number_above == "1" else number_above, single)
            factors = number_below
            only = not factors and len(form.divisors) == 1
            below = [self.at(d, SUM if only else FACTOR) for d in form.divisors]
            text = rf"\frac{{{above or '1'}}}{{{join(*factors, *below)}}}"
            return Tex(sign + text, SUM if sign else FACTOR, True)
        if value.tall and alone and isinstance(form.scalars[0], (Name, Power)):
            above = self.beside(form, str(top) if top != 1 else "", top == 1)
            text = rf"\frac{{{above}}}{{{bottom}}}"
            return Tex(sign + text, SUM if sign else FACTOR, True)
        front = "" if value.text == "1" else value.at(FACTOR)
        text = self.beside(form, front, not front and not sign and alone) or "1"
        return Tex(sign + text, SUM if sign else PRODUCT, value.tall or self.tall(*form.parts))

    def beside(self, form: Product, front: str, single: bool) -> str:
        """Number, scalars and core side by side; without parentheses where there is only one."""
        core = form.core
        alone = core is None and len(form.scalars) == 1
        level = SUM if single else PRODUCT if alone else FACTOR
        texts = [front, *(self.at(s, level) for s in form.scalars)]
        if core is not None:
            own = SUM if single else FACTOR
            if isinstance(core, Chain) or (isinstance(core, Pointwise) and not form.scalars):
                own = min(own, PRODUCT)
            texts.append(self.at(core, own))
        return join(*texts)

    def pointwise(self, form: Pointwise) -> Tex:
        above = [
            r"\mathbf{1}" if isinstance(f, Num) and f.value == 1 else self.at(f, FACTOR)
            for f in form.factors
        ]
        text = r" \odot ".join(above)
        for d in form.divisors:
            text = rf"{text} \oslash {self.at(d, FACTOR)}"
        return Tex(text, PRODUCT, self.tall(*form.parts))

    def power(self, form: Power | MatrixPower) -> Tex:
        base, exponent = form.base, self.tex(form.exponent)
        if isinstance(form, MatrixPower) and id(base) not in self.names:
            inverse = self.inverse(base)
            if inverse is not None:
                return Tex(f"{inverse.at(ATOM)}^{{-{exponent.at(ATOM)}}}", SCRIPT, inverse.tall)
        up = exponent.text
        if isinstance(form, Power) and form.order:
            up = rf"\odot {exponent.at(ATOM)}"
        flat_fraction = re.fullmatch(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", exponent.text)
        if flat_fraction:
            up = up.replace(exponent.text, "{}{}/{}".format(*flat_fraction.groups()))
        return Tex(f"{self.at(base, ATOM)}^{{{up}}}", SCRIPT, self.tall(base))

    def inverse(self, form: Form) -> Tex | None:
        """What ``form`` is the inverse of, where it is one."""
        if isinstance(form, Applied) and form.row.name == "inv" and id(form) not in self.names:
            return self.tex(form.args[0])
        return None

    def transposed(self, form: Transposed) -> Tex:
        inverse = self.inverse(form.arg)
        if inverse is not None:
            return Tex(rf"{inverse.at(ATOM)}^{{-\top}}", SCRIPT, inverse.tall)
        arg = self.tex(form.arg)
        return Tex(rf"{arg.at(ATOM)}^\top", SCRIPT, arg.tall)

    def applied(self, form: Applied) -> Tex:
        args = [self.tex(a) for a in form.args]
        special = SPECIAL.get(form.row.name)
        if special is not None:
            params = form.params
            if form.row.name in ("slice", "embed"):
                whole = form.args[0] if form.row.name == "slice" else form
                params = (all_axes(params[0], whole.order),)
            return special(args, params)
        return fill(form.row.latex, args, form.params)

    # -- calls -----------------------------------------------------------------------------------

    def call(self, form: Call) -> Tex:
        args = [self.tex(a) for a in form.args]
        if form.latex:
            return fill(form.latex, args)
        rule = getattr(self, f"call_{form.name}", None)
        if rule is not None:
            return rule(form, args)
        below = "" if not form.literals else r"\mathrm{last}" if form.order else r"\mathrm{rows}"
        if form.literals and form.args[0].order == 2:
            below = r"\mathrm{rows}"
        return called(_CALLS.get(form.name, operator(form.name.replace("_", r"\_"))), args, below)

    def call_log_softmax(self, form: Call, args: list[Tex]) -> Tex:
        call = called(operator("softmax"), args)
        return Tex(rf"\log{call.text}", FACTOR, call.tall)

    def call_frobenius(self, form: Call, args: list[Tex]) -> Tex:
        inner = Tex(",".join(a.text for a in args), SUM, any(a.tall for a in args))
        return Tex(inner.inside(r"\langle ", r"\rangle"), ATOM, inner.tall)

    def call_sqrt(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\sqrt{{{args[0].text}}}", ATOM, True)

    def call_norm2(self, form: Call, args: list[Tex]) -> Tex:
        (x,) = args
        text = rf"\left\lVert {x.text}\right\rVert" if x.tall else rf"\lVert {x.text}\rVert"
        return Tex(f"{text}_{'2' if form.args[0].order < 2 else 'F'}", ATOM, x.tall)

    def call_ones(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\mathbf{{1}}_{{{tex_sizes(form.literals)}}}")

    def call_zeros(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\mathbf{{0}}_{{{tex_sizes(form.literals)}}}" if form.literals else "0")

    def call_eye(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(f"I_{{{tex_sizes(form.literals)}}}")

    def call_size(self, form: Call, args: list[Tex]) -> Tex:
        (text,) = form.literals
        if text.isidentifier():  # a variable has the same name
            return Tex(rf"\operatorname{{size}}({tex_size(text)})")
        return Tex(tex_size(text), SUM if re.search("[-+]", text) else PRODUCT)

    def call_reshape(self, form: Call, args: list[Tex]) -> Tex:
        return called(operator("reshape"), args, tex_sizes(form.literals))

    def call_unfold(self, form: Call, args: list[Tex]) -> Tex:
        return subscript(args[0], f"({form.literals[0]})")

    def call_slice(self, form: Call, args: list[Tex]) -> Tex:
        return subscript(args[0], f"[{tex_slice(form.literals[0].strip(chr(34)))}]")

    def call_kron(self, form: Call, args: list[Tex]) -> Tex:
        return self.infix(r" \otimes ", args)

    def call_outer(self, form: Call, args: list[Tex]) -> Tex:
        return self.infix(r" \circ ", args)

    def call_khatrirao(self, form: Call, args: list[Tex]) -> Tex:
        return self.infix(r" \ast ", args)

    def infix(self, sign: str, args: list[Tex]) -> Tex:
        return Tex(sign.join(a.at(FACTOR) for a in args), PRODUCT, any(a.tall for a in args))

    def call_cp(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"[\![{','.join(a.text for a in args)}]\!]", ATOM)

    def call_tucker(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"[\![{args[0].text};{','.join(a.text for a in args[1:])}]\!]", ATOM)

    def call_einsum(self, form: Call, args: list[Tex]) -> Tex:
        inputs, _, out = form.leading.partition("->")
        taken = {k for k in inputs if k != ","} | set(out)
        at = []
        for k in out:
            # An index that the result has twice: a delta between two of its own.
            at.append(k if k not in at else next(f for f in LETTERS if f not in taken | set(at)))
        text, tall = self.summed(form, at, set(), OPENED)
        if not out:
            return Tex(text, PRODUCT, tall)
        return Tex(Tex(text, SUM, tall).inside("[", "]") + f"_{{{''.join(at)}}}", ATOM, tall)

    def summed(self, form: Call, at: list[str], outer: set[str], depth: int) -> tuple[str, bool]:
        """An entry of an einsum: a sum over the indices that the result does not have.

        ``outer`` are the letters that sums around this one use.
        """
        inputs, _, out = form.leading.partition("->")
        letters: dict[str, str] = {}
        deltas = []
        for k, i in zip(out, at, strict=True):
            if letters.setdefault(k, i) != i:
                deltas.append(rf"\delta_{{{letters[k]}{i}}}")
        taken = outer | set(at)
        gone = [k for k in dict.fromkeys(inputs) if k != "," and k not in letters]
        for k in gone:
            letters[k] = k if k not in taken else next(f for f in LETTERS if f not in taken)
            taken.add(letters[k])
        factors = [
            self.entry(arg, [letters[k] for k in legs], taken, depth - 1)
            for arg, legs in zip(form.args, inputs.split(","), strict=True)
        ]
        body = join(*(text for text, _ in factors), *deltas) or "1"
        tall = bool(gone) or any(t for _, t in factors)
        over = "".join(letters[k] for k in gone)
        return (rf"\sum_{{{over}}} {body}" if gone else body), tall

    def entry(
        self, form: Form, at: list[str], taken: set[str], depth: int, level: int = FACTOR
    ) -> tuple[str, bool]:
        """One entry of a form; indices go down to its parts as far as that stays readable."""
        below = "".join(at)
        if not at or id(form) in self.names or depth <= 0 or isinstance(form, Name):
            return self.subscripted(form, below, level)
        if isinstance(form, Transposed) and form.order == 2:
            return self.entry(form.arg, at[::-1], taken, depth, level)
        if isinstance(form, Call) and form.name == "ones":
            return ("" if level == FACTOR else "1"), False
        if isinstance(form, Call) and form.name == "eye":
            return rf"\delta_{{{below}}}", False
        if isinstance(form, Sum):
            return self.entry_of_sum(form, at, taken, depth)
        if isinstance(form, Call) and form.latex and form.order == len(at):
            args = []
            for a in form.args:
                text, tall = self.entry(a, at if a.order else [], taken, depth - 1, SUM)
                args.append(Tex(text, SUM, tall))
            filled = fill(form.latex, args)
            return filled.at(level), filled.tall
        spare = len(LETTERS) - len(taken) - len(form.leading) if isinstance(form, Call) else 0
        if isinstance(form, Call) and form.name == "einsum" and spare >= 0:
            text, tall = self.summed(form, at, taken, depth)
            summed = text.startswith(r"\sum")
            return Tex(text, PRODUCT if summed else FACTOR, tall).at(level), tall
        return self.subscripted(form, below, level)

    def entry_of_sum(
        self, form: Sum, at: list[str], taken: set[str], depth: int
    ) -> tuple[str, bool]:
        parts, tall = [], False
        for c, t in zip(form.coefficients, form.terms, strict=True):
            text, grown = self.entry(t, at if t.order else [], taken, depth - 1, PRODUCT)
            value = tex_number(abs(c))
            if isinstance(t, Num):
                value = tex_number(abs(c) * t.value)
                text, grown = value.at(PRODUCT), value.tall
            elif value.text != "1":
                text = join(value.at(FACTOR), text)
            tall = tall or grown or value.tall
            parts.append(("-" if c < 0 else "+" if parts else "") + text)
        return Tex("".join(parts), SUM, tall).inside("(", ")"), tall

    def subscripted(self, form: Form, below: str, level: int) -> tuple[str, bool]:
        piece = self.tex(form)
        if not below:
            return piece.at(level), piece.tall
        if isinstance(form, Name) or id(form) in self.names:
            return indexed(piece.text, below), False
        return f"{piece.inside('(', ')')}_{{{below}}}", piece.tall


def _opened(order: list[Form]) -> set[int]:
    """Forms whose parts a sum over indices may still need on their own."""
    depth: dict[int, int] = {}
    for form in reversed(order):
        own = OPENED if isinstance(form, Call) and form.name == "einsum" else 0
        own = max(own, depth.get(id(form), 0))
        if own:
            for part in form.parts:
                depth[id(part)] = max(depth.get(id(part), 0), own - 1)
    return set(depth)


_CALLS = {"max": r"\max", "min": r"\min"}

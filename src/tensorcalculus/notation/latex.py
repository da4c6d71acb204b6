r"""Forms as LaTeX: the same formula as the text, set as a textbook sets it.

Signs: juxtaposition is the matrix product or a scalar factor, ``\odot`` and ``\oslash`` act entry by
entry, ``x^{\odot p}`` is a power entry by entry, ``\otimes`` is the Kronecker product, ``\circ`` the
outer product, ``\ast`` the Khatri-Rao product, ``[\![A,B,C]\!]`` a CP and ``[\![G;A,B,C]\!]`` a Tucker
tensor (Kolda and Bader, 2009), ``T_{(k)}`` the mode-k unfolding, ``\mathbf{1}`` a tensor of ones,
``[\ldots]_{ij}`` the tensor with these entries.  Indices and slices count from 0, as in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from string import Formatter

from tensorcalculus.expr.dims import Dim
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
from tensorcalculus.notation.matrix import LETTERS, Writer
from tensorcalculus.notation.naming import forms_below, repeated
from tensorcalculus.notation.text import Texts, number

# How tightly a piece binds: a sum least; SCRIPT carries a superscript and takes no second one.
SUM, PRODUCT, FACTOR, SCRIPT, ATOM = range(5)

OPENED = 12
"""How deep sums over indices are opened into each other before a part is kept in brackets."""


@dataclass(frozen=True, slots=True)
class Tex:
    """A piece of LaTeX, how tightly it binds, and whether parentheses around it must grow."""

    text: str
    level: int = ATOM
    tall: bool = False

    def at(self, level: int) -> str:
        """The text, in parentheses where it binds less tightly than ``level``."""
        return self.text if self.level >= level else self.inside("(", ")")

    def inside(self, left: str, right: str) -> str:
        if self.tall:
            return rf"\left{left}{self.text}\right{right}"
        return f"{left}{self.text}{right}"


def to_latex(e: Expr) -> str:
    """The expression in LaTeX without dollar signs; parts that repeat are named after ``where``."""
    form = Writer(e).form(e)
    taken = set(variables_of(e)) | {s for node in walk(e) for d in node.shape for s in d.symbols()}
    clauses, names = repeated(form, taken, Texts().spell)
    printer = Latex(form, names)
    body = printer.told(form)
    if not clauses:
        return body
    told = [rf"{tex_name(name)} = {printer.told(f)}" for name, f in clauses]
    return rf"{body} \quad\text{{where }} " + r",\; ".join(told)


# -- names, sizes, numbers -----------------------------------------------------------------------

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
).split()
GREEK = {name: f"\\{name}" for name in _GREEK} | dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩϵϑϕϱς",
        [f"\\{name}" for name in _GREEK] + [r"\epsilon", r"\vartheta", r"\phi", r"\varrho", r"\varsigma"],
        strict=True,
    )
) | {"ε": r"\varepsilon", "φ": r"\varphi", "ο": "o"}  # fmt: skip
"""Greek letters, by name and as they are."""


def tex_name(name: str) -> str:
    """A name: Greek letters as commands, digits and what follows ``_`` as a subscript."""
    head, *below = name.split("_")
    if not head or not all(below):
        return rf"\mathrm{{{name}}}".replace("_", r"\_")
    numbered = re.fullmatch(r"(.*\D)(\d+)", head)
    if numbered:
        head = numbered.group(1)
        below.insert(0, numbered.group(2))
    if len(head) > 1 and head[0] == "d" and (len(head) == 2 or head[1:] in GREEK):
        base = join(r"\mathrm{d}", _word(head[1:]))  # a differential
    else:
        base = _word(head)
    return f"{base}_{{{','.join(_word(b) for b in below)}}}" if below else base


def _word(text: str) -> str:
    if text in GREEK:
        return GREEK[text]
    return text if len(text) == 1 or text.isdecimal() else rf"\mathrm{{{text}}}"


def tex_size(text: str) -> str:
    """A dimension such as ``n*k-1`` or ``min(m,n)``."""
    words = {"*": "", "min": r"\min"}
    return join(*(words.get(t, t if not t[0].isalpha() else tex_name(t))
                  for t in re.findall(r"\d+|\w+|[-+*(),:?]", text)))  # fmt: skip


def _sizes(literals: tuple[str, ...]) -> str:
    return r" \times ".join(map(tex_size, literals))


def tex_number(c: Scalar) -> Tex:
    text = number(c)
    if "/" in text:
        top, bottom = Fraction(c).as_integer_ratio()
        sign = "-" if top < 0 else ""
        return Tex(rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}", SUM if sign else FACTOR, True)
    digits, _, exponent = text.partition("e")
    if exponent:
        tens = rf"10^{{{int(exponent)}}}"
        text = tens if digits == "1" else rf"{digits}\cdot {tens}"
        return Tex(text, SUM if text.startswith("-") else PRODUCT)
    return Tex(text, SUM if text.startswith("-") else ATOM)


def join(*texts: str) -> str:
    """Texts side by side, kept apart where LaTeX or a reader would run them together."""
    result = ""
    for text in texts:
        if result and text:
            command = re.search(r"\\[a-zA-Z]+$", result)
            if text[0].isdecimal() or (text.startswith(r"\frac{") and result[-1].isdecimal()):
                result += r" \cdot " if result[-1] not in "+-(,=: " else ""
            elif command and (text[0].isalpha() or text[0] in "(["):
                # No space after a command that a parenthesis follows, but none is lost either.
                result += " " if text[0].isalpha() else ""
            elif result.endswith("}") and text.startswith(r"\mathrm{") and r"\mathrm{" in result:
                result += r"\,"
        result += text
    return result


# -- templates of the tables ---------------------------------------------------------------------


def fill(template: str, args: list[Tex], params: tuple = ()) -> Tex:
    """A template of the tables with its arguments, in parentheses only where they are needed."""
    if template == "{}":
        return args[0]
    pieces = _pieces(template)
    fields = [p for p in pieces if isinstance(p, tuple)]
    tall = any(a.tall for a in args)
    shown: list[str] = []
    place = 0
    for k, piece in enumerate(pieces):
        if isinstance(piece, str):
            shown.append(_grown(piece) if tall else _plain(piece))
            continue
        (name,) = piece
        if name.startswith("p"):
            shown.append(tex_size(str(params[int(name[1:])])))
            continue
        left = pieces[k - 1] if k and isinstance(pieces[k - 1], str) else ""
        right = pieces[k + 1] if k + 1 < len(pieces) else ""
        assert isinstance(left, str) and isinstance(right, str)
        inside = left.endswith(("(", "{", "[", "|", ", ", "lfloor", "lceil")) and right != ""
        first = int(name) if name else place
        last = len(args) if inside and piece is fields[-1] and not name else first + 1
        place = last
        if inside:
            shown.append(", ".join(a.text for a in args[first:last]))
        elif not left:
            shown.append(args[first].at(ATOM if right[:1] in ("^", "_") else FACTOR))
        else:
            shown.append(args[first].at(PRODUCT))
    return Tex(join(*shown), _level(pieces), tall)


def _pieces(template: str) -> list[str | tuple[str]]:
    pieces: list[str | tuple[str]] = []
    for literal, name, _, _ in Formatter().parse(template):
        if literal and pieces and isinstance(pieces[-1], str):
            pieces[-1] += literal
        elif literal:
            pieces.append(literal)
        if name is not None:
            pieces.append((name,))
    return pieces


def _grown(literal: str) -> str:
    """Parentheses that grow with what they hold."""
    literal = re.sub(r"(?<!\\left)\(", r"\\left(", literal)
    literal = re.sub(r"(?<!\\right)\)", r"\\right)", literal)
    return re.sub(r"\\([lr])(floor|ceil)", lambda m: rf"\{_SIDE[m[1]]}\{m[1]}{m[2]}", literal)


def _plain(literal: str) -> str:
    return literal.replace(r"\left|", r"\lvert ").replace(r"\right|", r"\rvert ").rstrip(" ") + (
        " " if literal.endswith(r"\left|") else literal[len(literal.rstrip(" ")) :]
    )


_SIDE = {"l": "left", "r": "right"}
_ONE_CALL = re.compile(r"(\\operatorname\{\w+\}|\\[a-zA-Z]+|\w)(_\{.*\})?(\(|\[|\||$)")


def _level(pieces: list[str | tuple[str]]) -> int:
    first, last = pieces[0], pieces[-1]
    if isinstance(first, tuple):
        return SCRIPT if isinstance(last, str) and last.startswith("^") or last == "}" else PRODUCT
    if re.match(r"\w\^\{$", first):
        return SCRIPT
    return ATOM if _ONE_CALL.match(first.replace(r"\left", "")) or first == r"\left|" else FACTOR


def _items(items: tuple) -> str:
    """The bracket of a slice."""
    from tensorcalculus.expr.operations.structural import spell_items

    parts = (re.sub(r"[^\W\d]\w*", lambda m: tex_name(m[0]), p) for p in spell_items(items).split(", "))
    return rf"[{', '.join(parts)}]".replace("*", " ")


def _function_of(e: Expr) -> Tex:
    return Tex(to_latex(e), SUM, True)


def _sliced(args: list[Tex], params: tuple) -> Tex:
    return Tex(f"{args[0].at(SCRIPT)}_{{{_items(params[0])}}}", args[0].level, args[0].tall)


def _spectral(args: list[Tex], params: tuple) -> Tex:
    # A function of t applied to the eigenvalues.
    return Tex(rf"\left.{_function_of(params[0]).text}\right|_{{t={args[0].text}}}", FACTOR, True)


def _divided(args: list[Tex], params: tuple) -> Tex:
    repeated_args = ", ".join([args[0].text] * (params[1] + 1))
    return Tex(rf"{_function_of(params[0]).inside('(', ')')}\left[{repeated_args}\right]", ATOM, True)


def _called(name: str, args: list[Tex], sub: str = "") -> Tex:
    inner = Tex(", ".join(a.text for a in args), SUM, any(a.tall for a in args))
    below = f"_{{{sub}}}" if sub else ""
    return Tex(f"{name}{below}{inner.inside('(', ')')}", ATOM, inner.tall)


def _named(word: str) -> str:
    return rf"\operatorname{{{word}}}"


SPECIAL: dict[str, Callable[[list[Tex], tuple], Tex]] = {
    "slice": _sliced,
    "embed": lambda args, params: _called(_named("embed"), args, _items(params[0])),
    "spectral": _spectral,
    "divided_difference": _divided,
    "frechet": lambda args, params: _called("L", args, rf"\mathrm{{{params[0]}}}"),
    "cumsum": lambda args, params: _called(_named("revcumsum" if params[0] else "cumsum"), args),
    "prod": lambda args, params: _called(
        _named("prod"), args, rf"\setminus {params[0]}" if params[0] else ""
    ),
    "gap_multiply": lambda args, params: _called(
        _named("gap"), args, rf"{params[0]}" if params[0] else ""
    ),
}
"""Operations whose literal parameters a template does not show."""


# -- forms ---------------------------------------------------------------------------------------


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
        kept = set(names)
        for form in order:
            self.done[id(form)] = self.write(form)
            # What stands in one place is inside its whole now: deep nesting takes little memory.
            for part in form.parts:
                if uses[id(part)] == 1 and id(part) not in kept:
                    self.done.pop(id(part), None)

    def told(self, form: Form) -> str:
        """The formula of a form, also where it has a name."""
        return self.done[id(form)].text

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
                    value = Tex(join("" if value.text == "1" else value.text, r"\mathbf{1}"), PRODUCT)
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
            number_above, number_below = (str(top), str(bottom)) if value.tall else (value.text, "1")
            single = len(form.scalars) + (core is not None) + (number_above != "1") == 1
            above = self.beside(form, "" if number_above == "1" else number_above, single)
            factors = [] if number_below == "1" else [number_below]
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
        level = SUM if single else PRODUCT if not front and core is None and len(form.scalars) == 1 else FACTOR  # fmt: skip
        texts = [front, *(self.at(s, level) for s in form.scalars)]
        if core is not None:
            own = SUM if single else FACTOR
            if isinstance(core, Chain) or (isinstance(core, Pointwise) and not form.scalars):
                own = min(own, PRODUCT)
            texts.append(self.at(core, own))
        return join(*texts)

    def pointwise(self, form: Pointwise) -> Tex:
        above = [
            r"\mathbf{1}" if isinstance(f, Num) and f.value == 1 and form.order else self.at(f, FACTOR)
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
            return special(args, form.params)
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
        return _called(_CALLS.get(form.name, _named(form.name.replace("_", r"\_"))), args, below)

    def call_sqrt(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\sqrt{{{args[0].text}}}", ATOM, True)

    def call_norm2(self, form: Call, args: list[Tex]) -> Tex:
        (x,) = args
        text = rf"\left\lVert {x.text}\right\rVert" if x.tall else rf"\lVert {x.text}\rVert"
        return Tex(f"{text}_{'2' if form.args[0].order < 2 else 'F'}", ATOM, x.tall)

    def call_ones(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\mathbf{{1}}_{{{_sizes(form.literals)}}}")

    def call_zeros(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(rf"\mathbf{{0}}_{{{_sizes(form.literals)}}}" if form.literals else "0")

    def call_eye(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(f"I_{{{_sizes(form.literals)}}}")

    def call_size(self, form: Call, args: list[Tex]) -> Tex:
        (text,) = form.literals
        if text.isidentifier():  # a variable has the same name
            return Tex(rf"\operatorname{{size}}({tex_size(text)})")
        return Tex(tex_size(text), SUM if re.search("[-+]", text) else PRODUCT)

    def call_reshape(self, form: Call, args: list[Tex]) -> Tex:
        return _called(_named("reshape"), args, _sizes(form.literals))

    def call_unfold(self, form: Call, args: list[Tex]) -> Tex:
        return Tex(f"{args[0].at(SCRIPT)}_{{({form.literals[0]})}}", args[0].level, args[0].tall)

    def call_slice(self, form: Call, args: list[Tex]) -> Tex:
        parts = re.sub(r"[^\W\d]\w*", lambda m: tex_name(m[0]), form.literals[0].strip('"'))
        return Tex(f"{args[0].at(SCRIPT)}_{{[{parts.replace('*', ' ')}]}}", args[0].level, args[0].tall)

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
        letters = {k: k for k in (*inputs, *out) if k != ","}
        text, tall = self.summed(form, letters, OPENED)
        if not out:
            return Tex(text, PRODUCT, tall)
        return Tex(Tex(text, SUM, tall).inside("[", "]") + f"_{{{out}}}", ATOM, tall)

    def summed(self, form: Call, letters: dict[str, str], depth: int) -> tuple[str, bool]:
        """The entry of an einsum: a sum over the indices that the result does not have."""
        inputs, _, out = form.leading.partition("->")
        gone = "".join(dict.fromkeys(letters[k] for k in inputs if k not in out and k != ","))
        taken = set(letters.values())
        factors = []
        for arg, legs in zip(form.args, inputs.split(","), strict=True):
            factors.append(self.entry(arg, [letters[k] for k in legs], taken, depth - 1))
        body = join(*(t for t, _ in factors)) or "1"
        tall = bool(gone) or any(t for _, t in factors)
        return (rf"\sum_{{{gone}}} {body}" if gone else body), tall

    def entry(self, form: Form, at: list[str], taken: set[str], depth: int) -> tuple[str, bool]:
        """One entry of a form as a factor."""
        below = "".join(at)
        plain = id(form) not in self.names and depth > 0
        if plain and isinstance(form, Transposed) and form.order == 2:
            return self.entry(form.arg, at[::-1], taken, depth)
        if plain and isinstance(form, Call) and form.name == "ones":
            return "", False
        if plain and isinstance(form, Call) and form.name == "eye":
            return rf"\delta_{{{below}}}", False
        if plain and isinstance(form, Call) and form.name == "einsum":
            inputs, _, out = form.leading.partition("->")
            if len(set(out)) == len(out):
                letters = dict(zip(out, at, strict=True))
                free = (k for k in LETTERS if k not in taken)
                inner = [k for k in dict.fromkeys(inputs) if k != "," and k not in letters]
                if len(taken) + len(inner) <= len(LETTERS):
                    letters |= {k: next(free) for k in inner}
                    text, tall = self.summed(form, letters, depth)
                    return (Tex(text, SUM, tall).inside("(", ")") if inner else text), tall
        piece = self.tex(form)
        if not at:
            return piece.at(FACTOR), piece.tall
        named = re.fullmatch(r"(.*)_\{([^{}]*)\}", piece.text) if isinstance(form, Name) else None
        if named:
            return f"{named[1]}_{{{named[2]},{below}}}", False
        bare = isinstance(form, Name) or id(form) in self.names
        text = piece.text if bare else piece.inside("(", ")")
        if text.startswith("([") and text.endswith(")") and piece.level == ATOM:
            text = piece.inside("(", ")")
        return f"{text}_{{{below}}}", piece.tall


_CALLS = {"tr": r"\operatorname{tr}", "max": r"\max", "min": r"\min"}

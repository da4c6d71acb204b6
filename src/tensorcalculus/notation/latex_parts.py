"""Pieces of LaTeX: names, sizes, numbers, and the templates of the tables filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from string import Formatter

from tensorcalculus.expr.node import Expr, Scalar
from tensorcalculus.expr.operations.structural import spell_items
from tensorcalculus.notation.text import number

# How tightly a piece binds: a sum least; SCRIPT carries a superscript and takes no second one.
SUM, PRODUCT, FACTOR, SCRIPT, ATOM = range(5)


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


# -- names, sizes, numbers -----------------------------------------------------------------------

_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
"""
_SIGNS = """
α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu
ξ xi π pi ρ rho σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta
Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega ϵ epsilon ϑ vartheta ϕ phi ϱ varrho
ς varsigma
"""
_WORDS = _SIGNS.split()
GREEK = {name: f"\\{name}" for name in _NAMES.split()} | {
    sign: f"\\{name}" for sign, name in zip(_WORDS[::2], _WORDS[1::2], strict=True)
}
"""Greek letters, by name and as they are."""


_ACCENTS = {
    "bar": (r"\bar", r"\overline"),
    "hat": (r"\hat", r"\widehat"),
    "tilde": (r"\tilde", r"\widetilde"),
    "dot": (r"\dot", r"\dot"),
}
"""Endings that become accents: on a letter, on a word."""


def tex_name(name: str) -> str:
    """A name: Greek letters as commands, digits and what follows ``_`` as a subscript.

    ``_bar``, ``_hat``, ``_tilde`` and ``_dot`` at its end are accents: ``z1_bar`` is
    ``\\bar{z}_{1}``.
    """
    head, *below = name.split("_")
    if not head or not all(below):
        return rf"\mathrm{{{name}}}".replace("_", r"\_")
    accents = []
    while below and below[-1] in _ACCENTS:
        accents.append(_ACCENTS[below.pop()])
    numbered = re.fullmatch(r"(.*\D)(\d+)", head)
    if numbered:
        head = numbered.group(1)
        below.insert(0, numbered.group(2))
    if len(head) > 1 and head[0] == "d" and (len(head) == 2 or head[1:] in GREEK):
        base = join(r"\mathrm{d}", _word(head[1:]))  # a differential
    else:
        base = _word(head)
    wide = len(head) > 1 and head not in GREEK
    for accent in reversed(accents):
        base = f"{accent[wide]}{{{base}}}"
    return f"{base}_{{{','.join(_word(b) for b in below)}}}" if below else base


def tex_indices(letters: Iterable[str]) -> str:
    """Indices side by side, with commas where one has more than a letter: ``ij``, ``i,i_{1}``."""
    letters = tuple(letters)
    return ("" if all(len(i) == 1 for i in letters) else ",").join(map(tex_name, letters))


def tex_names(text: str) -> str:
    """One name, or several as in ``(U,s,V)``."""
    return re.sub(r"[^\W\d]\w*", lambda m: tex_name(m[0]), text)


def _word(text: str) -> str:
    if text in GREEK:
        return GREEK[text]
    return text if len(text) == 1 or text.isdecimal() else rf"\mathrm{{{text}}}"


def tex_size(text: str) -> str:
    """A dimension such as ``n*k-1`` or ``min(m,n)``."""
    words = {"*": "", "min": r"\min"}
    return join(*(words.get(t, tex_name(t) if re.match(r"[^\W\d]", t) else t)
                  for t in re.findall(r"\d+|\w+|[-+*(),:?]", text)))  # fmt: skip


def tex_sizes(literals: tuple[str, ...]) -> str:
    return r" \times ".join(map(tex_size, literals))


def tex_number(c: Scalar) -> Tex:
    text = number(c)
    top, bottom = Fraction(c).as_integer_ratio()
    if "/" in text or 1 < bottom <= 20:
        sign = "-" if top < 0 else ""
        return Tex(rf"{sign}\frac{{{abs(top)}}}{{{bottom}}}", SUM if sign else FACTOR, True)
    digits, _, exponent = text.partition("e")
    if exponent:
        tens = rf"10^{{{int(exponent)}}}"
        text = tens if digits == "1" else rf"{digits}\cdot {tens}"
        return Tex(text, SUM if text.startswith("-") else PRODUCT)
    return Tex(text, SUM if text.startswith("-") else ATOM)


_LONGEST_COMMAND = 20
"""Letters from the end of a text within which a command at its end begins."""


def join(*texts: str) -> str:
    """Texts side by side, kept apart where LaTeX or a reader would run them together."""
    result = ""
    for text in texts:
        if result and text:
            command = re.search(r"\\[a-zA-Z]+$", result[-_LONGEST_COMMAND:])
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
            param = params[int(name[1:])]
            constant = isinstance(param, (int, float, Fraction))
            shown.append(tex_number(param).text if constant else tex_size(str(param)))
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
    return literal.replace(r"\left|", r"\lvert").replace(r"\right|", r"\rvert")


_SIDE = {"l": "left", "r": "right"}
_ONE_CALL = re.compile(r"(\\operatorname\{\w+\}|\\[a-zA-Z]+|\w)(_\{.*\})?(\(|\[|\||$)")


def _level(pieces: list[str | tuple[str]]) -> int:
    first, last = pieces[0], pieces[-1]
    if isinstance(first, tuple):
        return SCRIPT if last == "}" or str(last).startswith("^") else PRODUCT
    if re.match(r"\w\^\{$", first):
        return SCRIPT
    return ATOM if _ONE_CALL.match(first.replace(r"\left", "")) or first == r"\left|" else FACTOR


def _items(items: tuple) -> str:
    """The bracket of a slice."""
    return f"[{tex_slice(spell_items(items))}]"


def tex_slice(text: str) -> str:
    return ",".join(map(tex_size, text.split(", ")))


def _function_of(e: Expr) -> Tex:
    from tensorcalculus.notation.latex import to_latex

    return Tex(to_latex(e), SUM, True)


def all_axes(items: tuple, order: int) -> tuple:
    """A slice of the last axes as one of all axes."""
    return (*[(0, None, 1)] * (order - len(items)), *items)


def subscript(arg: Tex, sub: str) -> Tex:
    """A subscript on a tensor; in parentheses where it has one already."""
    if arg.level < SCRIPT or _index_place(arg.text) is not None:
        return Tex(f"{arg.inside('(', ')')}_{{{sub}}}", ATOM, arg.tall)
    return Tex(f"{arg.text}_{{{sub}}}", arg.level, arg.tall)


def indexed(name: str, sub: str) -> str:
    """A subscript on a name; behind the one that it has already."""
    place = _index_place(name)
    if place is None:
        return f"{name}_{{{sub}}}"
    return f"{name[:place]},{sub}{name[place:]}"


def _index_place(text: str) -> int | None:
    """Where the last subscript of a text ends, if one stands at its end or before superscripts."""
    end = len(text)
    while end:
        if text.endswith(r"^\top", 0, end):
            end -= len(r"^\top")
            continue
        if text[end - 1] != "}":
            return end if text[max(0, end - 2)] == "_" and end > 1 else None
        depth, start = 0, end
        while start and (depth or start == end):
            start -= 1
            depth += (text[start] == "}") - (text[start] == "{")
        if not start or text[start - 1] not in "_^":
            return None
        if text[start - 1] == "_":
            return end - 1
        end = start - 1
    return None


def _spectral(args: list[Tex], params: tuple) -> Tex:
    # A function of t applied to the eigenvalues.
    return Tex(rf"\left.{_function_of(params[0]).text}\right|_{{t={args[0].text}}}", FACTOR, True)


def _divided(args: list[Tex], params: tuple) -> Tex:
    repeated = ", ".join([args[0].text] * (params[1] + 1))
    function = _function_of(params[0]).inside("(", ")")
    return Tex(rf"{function}\left[{repeated}\right]", ATOM, True)


def _signed(args: list[Tex], params: tuple) -> Tex:
    f, parity, signs = params
    points = ", ".join(("" if sign == "+" else "-") + args[0].text for sign in signs)
    function = _function_of(f).inside("(", ")")
    return Tex(rf"{function}_{{\mathrm{{{parity}}}}}\left[{points}\right]", ATOM, True)


def called(name: str, args: list[Tex], sub: str = "") -> Tex:
    inner = Tex(", ".join(a.text for a in args), SUM, any(a.tall for a in args))
    below = f"_{{{sub}}}" if sub else ""
    return Tex(f"{name}{below}{inner.inside('(', ')')}", ATOM, inner.tall)


def operator(word: str) -> str:
    return rf"\operatorname{{{word}}}"


SPECIAL: dict[str, Callable[[list[Tex], tuple], Tex]] = {
    "slice": lambda args, params: subscript(args[0], _items(params[0])),
    "embed": lambda args, params: called(operator("embed"), args, _items(params[0])),
    "spectral": _spectral,
    "divided_difference": _divided,
    "signed_difference": _signed,
    "frechet": lambda args, params: called("L", args, rf"\mathrm{{{params[0]}}}"),
    "cumsum": lambda args, params: called(operator("revcumsum" if params[0] else "cumsum"), args),
    "prod": lambda args, params: called(
        operator("prod"), args, rf"\setminus {params[0]}" if params[0] else ""
    ),
    "gap_multiply": lambda args, params: called(
        operator("gap"), args, rf"{params[0]}" if params[0] else ""
    ),
}
"""Operations whose literal parameters a template does not show."""

r"""What index notation is made of, in LaTeX: factors, terms, fractions, sums, entries, calls.

Juxtaposition is the product of numbers.  A sum reaches over all factors to its right, up to the
next ``+`` or ``-``, so it stands last among them, or in parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.operations import OPERATIONS
from tensorcalculus.notation.elaborate import parse
from tensorcalculus.notation.latex import to_latex
from tensorcalculus.notation.latex_parts import (
    ATOM,
    FACTOR,
    PRODUCT,
    SCRIPT,
    SPECIAL,
    SUM,
    Tex,
    called,
    fill,
    indexed,
    join,
    operator,
    subscript,
    tex_name,
    tex_size,
    tex_slice,
)

_FLAT = re.compile(r"(^|(?<=[-+]))\\frac\{(\w+)\}\{(\w|[0-9]+)\}(?=[-+]|$)")
"""A small fraction that is a term, as exponents have it on one line: ``1/p``."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a formula: its LaTeX, and what it is where that decides how others stand by it."""

    tex: Tex
    kind: str = ""
    """``number``, ``name``, ``sum``, ``quoted`` or ``axis``."""
    text: str = ""
    """The text of what is quoted."""


def total(terms: list[tuple[str, Piece]]) -> Piece:
    """The sum of terms with their signs; a single one stays what it is."""
    sign, first = terms[0]
    if len(terms) == 1 and sign in ("", "+"):
        return first
    text = "".join(sign + piece.tex.at(PRODUCT) for sign, piece in terms)
    return Piece(Tex(text.removeprefix("+"), SUM, any(p.tex.tall for _, p in terms)))


def product(over: list[Piece], under: list[Piece]) -> Piece:
    """Factors above and below a bar; a single one stays what it is."""
    if len(over) == 1 and not under:
        return over[0]
    if not under:
        return Piece(_beside(over))
    has_sum = any(p.kind == "sum" for p in over)
    terms = any(p.tex.level == SUM for p in over)
    before = {"number", "name"} if has_sum else {"number"} if terms else set()
    if all(p.kind in before for p in under):
        # Halves and the like stand before a sum.
        above = [p for p in over if p.kind == "number"] or [Piece(Tex("1"))]
        front = Piece(Tex(_fraction(above, under), FACTOR, True), "number")
        return Piece(_beside([front, *(p for p in over if p.kind != "number")]))
    return Piece(Tex(_fraction(over, under), FACTOR, True))


def _fraction(over: list[Piece], under: list[Piece]) -> str:
    return rf"\frac{{{_beside(over).text}}}{{{_beside(under).text}}}"


def _beside(pieces: list[Piece]) -> Tex:
    """Factors side by side; a sum reaches to the end, so a single one stands there."""
    if len(pieces) == 1:
        return pieces[0].tex
    last = [p for p in pieces if p.kind == "sum"]
    level = PRODUCT if len(last) == 1 else FACTOR
    texts = [p.tex.at(FACTOR) for p in pieces if p.kind != "sum"]
    texts += [p.tex.at(level) for p in last]
    return Tex(join(*texts), PRODUCT, any(p.tex.tall for p in pieces))


def power(base: Piece, exponent: Piece) -> Piece:
    """A base with its exponent, which needs no parentheses of its own."""
    up = _FLAT.sub(r"\2/\3", exponent.tex.text)
    return Piece(Tex(f"{base.tex.at(ATOM)}^{{{up}}}", SCRIPT, base.tex.tall))


def sums(letters: Iterable[tuple[str, str]]) -> str:
    """The signs for sums over indices with their sizes, where those are told."""
    letters = list(letters)
    free = ",".join(tex_name(i) for i, size in letters if not size)
    signs = [rf"\sum_{{{free}}}"] if free else []
    for i, size in letters:
        if size:
            signs.append(rf"\sum_{{{tex_name(i)}=0}}^{{{_last(size)}}}")
    return " ".join(signs)


def _last(size: str) -> str:
    """The last index of a range, ``n-1`` for ``n``."""
    found = re.fullmatch(r"(.*?)([-+]?[0-9]+)?", size)
    assert found
    front, constant = found[1], int(found[2] or 0)
    if front and found[2] and found[2][0] not in "+-":
        front, constant = size, 0  # the digits belong to a name or a product
    last = constant - 1
    return tex_size(front) + (f"{last:+d}" if last else "") if front else str(last)


def part(piece: Piece, below: str) -> Piece:
    """An entry of a tensor; an operation that is not written as a call stands in brackets."""
    tex = piece.tex
    if piece.kind == "name":
        return Piece(Tex(indexed(tex.text, below)))
    call = tex.level == ATOM and tex.text.endswith(")")
    text = tex.text if call else tex.inside("[", "]")
    return Piece(Tex(f"{text}_{{{below}}}", ATOM, tex.tall))


# -- functions and operations --------------------------------------------------------------------


def call(name: str, args: list[Piece]) -> Piece:
    """A function of numbers, or an operation on whole tensors."""
    texs = [a.tex for a in args if a.kind not in ("quoted", "axis")]
    quoted = [a.text for a in args if a.kind == "quoted"]
    if name == "sqrt" and len(texs) == len(args) == 1:
        return Piece(Tex(rf"\sqrt{{{texs[0].text}}}", ATOM, True))
    row = FUNCTIONS.get(f"{name}imum" if name in ("max", "min") else name)
    if row is not None and row.arity == len(texs) == len(args):
        return Piece(fill(row.latex, texs))
    if quoted and texs:
        return Piece(_with_text(name, texs, quoted))
    return Piece(_operation(name, texs, any(a.kind == "axis" for a in args)))


def _operation(name: str, texs: list[Tex], along_last: bool) -> Tex:
    """An operation on whole tensors."""
    if along_last:
        return called(rf"\{name}" if name == "max" else _word(name), texs, r"\mathrm{last}")
    if name == "reshape":
        return called(operator(name), texs[:1], r" \times ".join(t.text for t in texs[1:]))
    if name == "prod_except" and len(texs) == 2:
        return SPECIAL["prod"](texs[:1], (texs[1].text,))
    if name.startswith("frechet_"):
        return SPECIAL["frechet"](texs, (name.removeprefix("frechet_"),))
    row = OPERATIONS.get(name)
    if row is None or "{}" not in row.latex or name in SPECIAL or not texs:
        return called(_word(name), texs)
    return fill(row.latex, texs)


def _with_text(name: str, texs: list[Tex], quoted: list[str]) -> Tex:
    """An operation with a bracket for entries, or with a function of ``t``, in quotes."""
    if name == "slice":
        return subscript(texs[0], f"[{tex_slice(quoted[0])}]")
    if name == "embed":
        return called(_word(name), texs[:1], f"[{tex_slice(quoted[0])}]")
    f = parse(quoted[0], {"t": ""})
    if name == "spectral":
        return SPECIAL[name](texs, (f,))
    if name == "divided_difference" and len(texs) == 2 and texs[1].text.isdecimal():
        return SPECIAL[name](texs[:1], (f, int(texs[1].text)))
    if name == "signed_difference" and len(quoted) == 3:
        return SPECIAL[name](texs, (f, *quoted[1:]))
    return called(_word(name), texs, to_latex(f))


def _word(name: str) -> str:
    return operator(name.replace("_", r"\_"))

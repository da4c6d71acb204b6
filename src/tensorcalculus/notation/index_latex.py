r"""Index notation as LaTeX: the text of ``indices.py``, set as a textbook sets it.

``[i] = 2*sum(j: X[j,i]*r[j]) where r[i] = sum(j: X[i,j]*w[j])-y[i]`` becomes
``[\,\cdot\,]_{i} = 2\sum_{j} X_{ji}r_{j} \quad\text{where } r_{i} = \sum_{j} X_{ij}w_{j}-y_{i}``.

- Juxtaposition is the product of numbers.  A sum reaches over all factors to its right, up to the
  next ``+`` or ``-``, so it stands last among them, or in parentheses.
- ``k<n`` below a sum is ``\sum_{k=0}^{n-1}``; a quotient is a fraction; parentheses are those that
  LaTeX needs, not those of the text.
- ``inv(A)[i,j]`` is ``[A^{-1}]_{ij}``; the tables give the LaTeX of functions and operations.
- ``delta[i,j]`` is ``\delta_{ij}``, or ``[i=j]`` where a variable is called ``delta``.

What is read is the documented text and nothing of an expression, so formulas that are put together
elsewhere are written alike.  Brackets that are open are kept on a stack: depth is no limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tensorcalculus.errors import ParseError, caret
from tensorcalculus.expr.node import Expr
from tensorcalculus.notation.index_pieces import Piece, call, part, power, product, sums, total
from tensorcalculus.notation.indices import entry
from tensorcalculus.notation.latex_parts import (
    PRODUCT,
    Tex,
    indexed,
    subscript,
    tex_indices,
    tex_name,
    tex_number,
    tex_size,
    tex_slice,
)

_TOKEN = re.compile(
    r"""\s*("[^"]*" | [0-9]+\.?[0-9]*(?:e[-+]?[0-9]+)? | [^\W\d]\w* | \? | [-+*/^()\[\],:<=])\s*""",
    re.VERBOSE,
)
_NAME = re.compile(r"[^\W\d]\w*|\?")


def to_index_latex(e: Expr) -> str:
    r"""The formula of one entry of ``e``; that of a tensor begins with ``[\,\cdot\,]_{ij} =``."""
    letters, body, told = entry_latex(e)
    left = rf"[\,\cdot\,]_{{{tex_indices(letters)}}} = " if letters else ""
    return _with_parts(left + body, told)


def entry_latex(e: Expr) -> tuple[tuple[str, ...], str, list[str]]:
    """The formula of one entry in pieces: its indices as text, body and definitions in LaTeX.

    For callers with a left-hand side of their own; ``tex_indices`` sets the indices below a name.
    """
    letters, body, told = entry(e)
    names = set().union(*(_names(text) for text in (body, *told)))
    return letters, _Reader(body, names).formula(), [_Reader(t, names).formula() for t in told]


def index_latex(text: str) -> str:
    r"""Index notation in LaTeX; the grammar is that of ``indices.py``.

    Parameters
    ----------
    text
        A formula, with or without a left-hand side, and with or without ``where``.

    Raises
    ------
    ParseError
        Where the text is no formula in index notation; ``start`` and ``end`` tell the place.

    Examples
    --------
    >>> from tensorcalculus.notation.index_latex import index_latex
    >>> print(index_latex("R[i,j] = sum(k: X[i,k]*W[k,j])/2"))
    R_{ij} = \frac{1}{2}\sum_{k} X_{ik}W_{kj}
    """
    return _Reader(text, _names(text)).formula()


def _with_parts(body: str, told: Sequence[str]) -> str:
    return rf"{body} \quad\text{{where }} " + r",\; ".join(told) if told else body


def _names(text: str) -> set[str]:
    return set(_NAME.findall(text))


@dataclass(slots=True)
class _Open:
    """The whole, or a bracket that is not closed yet, with what has been read in it."""

    kind: str
    """``whole``, ``group``, ``call`` or ``sum``."""
    head: str = ""
    """The name of what is called, or the LaTeX of the signs for sums."""
    args: list[Piece] = field(default_factory=list)
    terms: list[tuple[str, Piece]] = field(default_factory=list)
    sign: str = ""
    over: list[Piece] = field(default_factory=list)
    under: list[Piece] = field(default_factory=list)
    divides: bool = False
    raises: bool = False
    """Whether the next operand is an exponent."""

    def operand(self, piece: Piece) -> None:
        factors = self.under if self.divides else self.over
        if self.raises:
            factors.append(power(factors.pop(), piece))
            self.raises = False
        else:
            factors.append(piece)

    def end_term(self) -> None:
        self.terms.append((self.sign, product(self.over, self.under)))
        self.sign, self.over, self.under, self.divides = "", [], [], False

    def end(self) -> Piece:
        """The sum of the terms so far."""
        self.end_term()
        piece = total(self.terms)
        self.terms = []
        return piece


class _Reader:
    """The tokens of a text, and where reading stands."""

    def __init__(self, text: str, names: set[str]) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.place = 0
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                self.place = len(self.spans)
                self.spans.append((place, place + 1))
                raise self.error("a formula in index notation")
            self.tokens.append(match[1])
            self.spans.append(match.span(1))
            place = match.end()
        self.tokens.append("")
        self.spans.append((len(text), len(text)))
        # Where a variable is called delta, its sign cannot be Kronecker's as well.
        self.delta = "kronecker" if {"kronecker", "delta"} <= names else "delta"
        self.iverson = self.delta == "kronecker" or "δ" in names

    @property
    def next(self) -> str:
        return self.tokens[self.place]

    def error(self, expected: str) -> ParseError:
        start, end = self.spans[self.place]
        given = repr(self.text[start:end]) if end > start else "the end"
        said = caret(self.text, start, end, f"unexpected {given}", expected)
        return ParseError(said, start, end)

    def advance(self) -> str:
        token = self.next
        self.place += 1
        return token

    def take(self, token: str) -> None:
        if self.next != token:
            raise self.error(repr(token))
        self.advance()

    # -- formulas --------------------------------------------------------------------------------

    def formula(self) -> str:
        body = self.equation()
        told = []
        if self.next == "where":
            self.advance()
            told.append(self.equation())
            while self.next == ",":
                self.advance()
                told.append(self.equation())
        if self.next:
            raise self.error("the end")
        return _with_parts(body, told)

    def equation(self) -> str:
        """A formula with or without a left-hand side; ranges that it tells stand behind it."""
        begin = self.place
        name = tex_name(self.advance()) if _NAME.fullmatch(self.next) else ""
        indices: list[tuple[str, str]] = []
        if self.next == "[":
            self.advance()
            indices = self.indices("]")
        left, ranges = "", ""
        if self.next == "=" and self.place > begin:
            self.advance()
            below = tex_indices(i for i, _ in indices)
            left = indexed(name or r"[\,\cdot\,]", below) if below else name
            told = [rf"0 \leq {tex_name(i)} < {tex_size(size)}" for i, size in indices if size]
            ranges = rf"\;({', '.join(told)})" if told else ""
        else:
            self.place = begin
        body = self.expression().tex.text
        return f"{left} = {body}{ranges}" if left else body

    def indices(self, last: str) -> list[tuple[str, str]]:
        """Indices up to a token, with what is written as their sizes."""
        found: list[tuple[str, str]] = []
        while True:
            if not _NAME.fullmatch(self.next):
                if last == "]":
                    return []  # a slice: no left-hand side
                raise self.error("an index")
            name, size = self.advance(), ""
            if self.next == "<":
                self.advance()
                size = self.size()
            found.append((name, size))
            if self.next == last:
                self.advance()
                return found
            if last == "]" and self.next != ",":
                return []
            self.take(",")

    def size(self) -> str:
        """The text of a size, up to a comma or a closing sign."""
        begin, depth = self.place, 0
        while self.next and (depth or self.next not in (",", ":", "]")):
            depth += (self.next == "(") - (self.next == ")")
            self.advance()
        return "".join(self.tokens[begin : self.place])

    def expression(self) -> Piece:
        """Terms up to what cannot go on."""
        stack = [_Open("whole")]
        while True:
            piece = self.operand(stack)
            while piece is not None:
                piece = self.behind(stack, piece)
                if not stack:
                    assert piece is not None
                    return piece

    def operand(self, stack: list[_Open]) -> Piece | None:
        """Read an operand, or open the bracket that one begins with."""
        top, token = stack[-1], self.next
        if token in ("+", "-") and not (top.over or top.under or top.sign):
            top.sign = self.advance()
        elif token == "(":
            self.advance()
            stack.append(_Open("group"))
        elif token[:1] == '"' and top.kind == "call" and not (top.over or top.sign):
            self.advance()
            if self.next not in (",", ")"):
                raise self.error("',' or ')'")
            return Piece(Tex(""), "quoted", token[1:-1])
        elif token[:1].isdecimal():
            self.advance()
            return Piece(tex_number(Fraction(token)), "number")
        elif _NAME.fullmatch(token):
            return self.named(stack)
        else:
            raise self.error("a number, a name or '('")
        return None

    def named(self, stack: list[_Open]) -> Piece | None:
        name = self.advance()
        if self.next == "(":
            self.advance()
            if name == "sum":
                stack.append(_Open("sum", sums(self.indices(":"))))
            else:
                stack.append(_Open("call", name))
            return None
        if self.next == "=" and name == "axis" and stack[-1].kind == "call":
            self.advance()
            self.take("-")
            self.take("1")
            return Piece(Tex(""), "axis")
        return self.subscripts(Piece(Tex(tex_name(name)), "name"), name)

    def behind(self, stack: list[_Open], piece: Piece) -> Piece | None:
        """Put an operand in its place; what a bracket holds where it closes one."""
        top = stack[-1]
        top.operand(piece)
        token = self.next
        if token == "^":
            top.raises = True
        elif token in ("*", "/"):
            top.divides = token == "/"
        elif token in ("+", "-"):
            top.end_term()
            top.sign = token
        elif token == "," and top.kind == "call":
            top.args.append(top.end())
        elif len(stack) == 1:
            stack.pop()
            return top.end()
        else:
            self.take(")")
            stack.pop()
            return self.subscripts(self.closed(top))
        self.advance()
        return None

    def closed(self, top: _Open) -> Piece:
        piece = top.end()
        if top.kind == "group":
            return piece
        if top.kind == "sum":
            return Piece(Tex(f"{top.head} {piece.tex.at(PRODUCT)}", PRODUCT, True), "sum")
        return call(top.head, [*top.args, piece])

    def subscripts(self, piece: Piece, name: str = "") -> Piece:
        """What stands in brackets behind a tensor: slices, then indices."""
        while self.next == "[":
            self.advance()
            begin = self.place
            while self.next not in ("]", ""):
                self.advance()
            inside = self.tokens[begin : self.place]
            last = self.spans[self.place][0]
            self.take("]")
            letters = inside[::2]
            if not all(map(_NAME.fullmatch, letters)) or set(inside[1::2]) - {","}:
                text = self.text[self.spans[begin][0] : last]
                piece = Piece(subscript(piece.tex, f"[{tex_slice(text)}]"))
            elif name == self.delta and self.iverson and len(letters) == 2:
                piece = Piece(Tex(rf"[{'='.join(map(tex_name, letters))}]"))
            else:
                piece = part(piece, tex_indices(letters))
        return piece

"""The syntax tree of the formula language, and the parser from text to it."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, NoReturn

from tensorcalculus.errors import ParseError, placed

MAX_CHARACTERS = 100_000
MAX_TERMS = 20_000  # tokens: numbers, names, operators, brackets
MAX_DEPTH = 200  # brackets open at the same time
MAX_TREE_DEPTH = 400  # operations nested in each other, with or without brackets
MAX_DIGITS = 400
MAX_EXPONENT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Characters `start` to `end` of the text; two nodes are equal wherever they stand."""

    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)
    depth: int = field(default=1, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Num(Node):
    value: Fraction  # exactly the decimal literal


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str  # in NFKC, as Python spells identifiers


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str  # a string without its quotes; only as argument or option of a call


@dataclass(frozen=True, slots=True)
class Sum(Node):
    terms: tuple[tuple[int, Node], ...]  # each with its sign, 1 or -1


@dataclass(frozen=True, slots=True)
class Product(Node):
    factors: tuple[tuple[str, Node], ...]  # each with the operator before it, "" for the first


@dataclass(frozen=True, slots=True)
class Frobenius(Node):
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Negative(Node):
    arg: Node


@dataclass(frozen=True, slots=True)
class Transpose(Node):
    arg: Node


@dataclass(frozen=True, slots=True)
class Power(Node):
    op: str  # "^" (also for **) or ".^"
    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class SliceItem:
    """`start:stop:step` as Python means it; not a node, so these are no offsets in the text."""

    start: int | None
    stop: int | None
    step: int | None


@dataclass(frozen=True, slots=True)
class Index(Node):
    arg: Node
    items: tuple[int | SliceItem, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    args: tuple[Node, ...]
    options: tuple[tuple[str, Node], ...] = ()


@dataclass(frozen=True, slots=True)
class Binding(Node):
    names: tuple[str, ...]  # several for (U, s, V) = value
    value: Node


@dataclass(frozen=True, slots=True)
class Where(Node):
    """Only the root of a tree."""

    body: Node
    bindings: tuple[Binding, ...]


def parse_syntax(text: str) -> Node:
    """The syntax tree of a formula such as `"x'*A*x + norm2(r) where r = X*w-y"`.

    Raises:
        ParseError: The text is not a formula, or larger than the limits of this module.
        TypeError: `text` is not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"a formula must be a string, not {type(text).__name__}")
    try:
        return _parse(text, _scan(text))
    except _Stop as stop:
        raise placed(ParseError, text, *stop.args) from None


def walk_names(node: Node) -> list[str]:
    """The symbols of a tree in order of first appearance, without those a where-clause defines."""
    seen: dict[str, None] = {}
    bound: set[str] = set()
    stack: list[Any] = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, Name):
            seen.setdefault(here.name)
        elif isinstance(here, tuple):
            stack.extend(reversed(here))
        elif isinstance(here, Node):
            if isinstance(here, Binding):
                bound.update(here.names)
            stack.extend(getattr(here, part) for part in reversed(here.__match_args__))
    return [name for name in seen if name not in bound]


class _Stop(Exception):
    """A fault: start, end, message and what was expected; the text for `caret` is added later."""


# --- The scan: brackets, characters and sizes, before any grammar ---------------------------


class _Token(NamedTuple):
    kind: str  # "number", "name", "where", "text", or the operator itself
    start: int
    end: int


_LETTERS = "A-Za-z_Α-ΡΣ-Ωα-ωϐϑϕϖϰϱϵµ"
_SCAN = re.compile(
    r"(?P<space>\s+)"
    rf"|(?P<name>[{_LETTERS}][0-9{_LETTERS}]*)"
    r"|(?P<number>(?:[0-9]+(?:\.(?![*/^'])[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<compare>[=!~<>]=|[<>≤≥≠])"
    r"|(?P<op>\*\*|\.[*/^']|[-+*/@^:,=()\[\]'])"
)
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_HINTS = {
    "\\": "for A\\b write solve(A, b)",
    ";": "only one formula can be given",
    **dict.fromkeys("{}", "use parentheses"),
    **dict.fromkeys("#%", "comments cannot be written here"),
    **dict.fromkeys("&~!", "there is no logic and no factorial"),
    "|": "write abs(x), norm2(x) or det(X)",
    ".": "a '.' belongs to a number or to one of .* ./ .^ .'; write x' for x.T",
    **dict.fromkeys("×·⋅∙∗", "write *"),
    **dict.fromkeys("−–", "write -"),
    **dict.fromkeys("⊙∘", "write .*"),
    **dict.fromkeys("’‘′´`ᵀ⊤", "write '"),
    **{"÷": "write /", "²": "write ^2", "³": "write ^3", "“": 'write "', "”": 'write "'},
}


def _scan(text: str) -> list[_Token]:
    """The tokens of the text, with every bracket matched; linear in its length."""
    if len(text) > MAX_CHARACTERS:
        message = f"the formula has more than {MAX_CHARACTERS} characters"
        raise _Stop(MAX_CHARACTERS, MAX_CHARACTERS + 1, message)
    tokens: list[_Token] = []
    opened: list[tuple[_Token, bool]] = []
    position, before = 0, ""
    while position < len(text):
        found = _SCAN.match(text, position)
        kind = found.lastgroup if found else ""
        start, position = position, found.end() if found else position + 1
        if kind == "space":
            continue
        if kind == "compare":
            raise _Stop(start, position, "comparisons are not part of the language")
        letter = text[start]
        in_call = bool(opened) and opened[-1][1]
        if letter == '"' or (letter == "'" and in_call and before in ("(", ",", "=")):
            string = _STRING.match(text, start)
            if string is None:
                raise _Stop(start, start + 1, "the string is never closed")
            kind, position = "text", string.end()
        elif not kind:
            shown = f"'{letter}'" if letter.isprintable() else f"U+{ord(letter):04X}"
            hint = f"; {_HINTS[letter]}" if letter in _HINTS else ""
            raise _Stop(start, position, f"{shown} is not part of the language{hint}")
        elif kind == "op":
            kind = text[start:position]
        elif kind == "name" and text[start:position] in ("where", "with"):
            kind = "where"
        tokens.append(_Token(kind, start, position))
        if kind in ("(", "["):
            opened.append((tokens[-1], kind == "(" and before == "name"))
            if len(opened) > MAX_DEPTH:
                raise _Stop(start, position, f"more than {MAX_DEPTH} brackets are open here")
        elif kind in (")", "]"):
            if not opened:
                raise _Stop(start, position, f"'{kind}' closes no bracket")
            (left, *span), _ = opened.pop()
            right = ")" if left == "(" else "]"
            if kind != right:
                raise _Stop(*span, f"'{left}' is closed by '{kind}'", f"'{right}'")
        before = kind
        if len(tokens) > MAX_TERMS:
            raise _Stop(start, position, f"the formula has more than {MAX_TERMS} tokens")
    if not tokens:
        raise _Stop(0, 0, "the formula is empty", "an expression")
    if opened:
        left, *span = opened[-1][0]
        raise _Stop(*span, f"'{left}' is never closed")
    return tokens


# --- Building the tree: called by the parser at each reduction, so nothing recurses ----------


class _Group(NamedTuple):
    """A node with the span of its parentheses or plus sign, for the spans around it."""

    node: Node
    start: int
    end: int


def _bare(part: Any) -> Any:
    return part.node if type(part) is _Group else part


def _spelled(name: str) -> str:
    # Python reads keyword arguments in NFKC, so ϵ=1 and µ=1 must meet their symbols.
    return str(name) if name.isascii() else unicodedata.normalize("NFKC", name)


def _deeper(start: int, end: int, depth: int) -> dict[str, int]:
    """The span and depth of a node above nodes of that depth."""
    if depth >= MAX_TREE_DEPTH:
        raise _Stop(start, end, f"more than {MAX_TREE_DEPTH} operations are nested here")
    return {"start": start, "end": end, "depth": depth + 1}


def _exact(token: Any) -> Fraction:
    mantissa, _, exponent = token.lower().partition("e")
    size = exponent.lstrip("+-").lstrip("0") or "0"
    fault = ""
    if len(size) > 3 or int(size) > MAX_EXPONENT:
        fault = f"the exponent of a number must lie between -{MAX_EXPONENT} and {MAX_EXPONENT}"
    elif len(mantissa) > MAX_DIGITS:
        fault = f"a number may have at most {MAX_DIGITS} digits"
    if fault:
        raise _Stop(token.start_pos, token.end_pos, fault)
    # Not the token as it is: an exponent of many zeros would exceed Python's limit for int().
    return Fraction(f"{mantissa}e{'-' if exponent.startswith('-') else ''}{size}")


class _Builder:
    """One method for each rule or alias of the grammar; it has no state, so threads share it."""

    def start(self, parts: list[Any]) -> Node:
        body = _bare(parts[0])
        if len(parts) == 1:
            return body
        depth = max(body.depth, *(binding.depth for binding in parts[1]))
        span = _deeper(parts[0].start, parts[1][-1].end, depth)
        return Where(body, tuple(parts[1]), **span)

    def clause(self, parts: list[Any]) -> list[Binding]:
        seen: set[str] = set()
        for binding in parts:
            for name in binding.names:
                if name in seen:
                    raise _Stop(binding.start, binding.end, f"'{name}' is defined twice")
                seen.add(name)
        return parts

    def binding(self, parts: list[Any]) -> Binding:
        (names, start), value = parts
        return Binding(names, _bare(value), **_deeper(start, value.end, _bare(value).depth))

    def names(self, parts: list[Any]) -> tuple[tuple[str, ...], int]:
        names = tuple(_spelled(part) for part in parts if part.type == "NAME")
        return names, parts[0].start_pos

    def sum(self, parts: list[Any]) -> Node:
        return self._chain(Sum, [1, *(1 if sign == "+" else -1 for sign in parts[1::2])], parts)

    def product(self, parts: list[Any]) -> Node:
        return self._chain(Product, ["", *map(str, parts[1::2])], parts)

    def _chain(self, kind: Any, tags: list[Any], parts: list[Any]) -> Node:
        nodes = [_bare(part) for part in parts[::2]]
        span = _deeper(parts[0].start, parts[-1].end, max(node.depth for node in nodes))
        return kind(tuple(zip(tags, nodes, strict=True)), **span)

    def inner(self, parts: list[Any]) -> Node:
        left, right = _bare(parts[0]), _bare(parts[1])
        span = _deeper(parts[0].start, parts[1].end, max(left.depth, right.depth))
        return Frobenius(left, right, **span)

    def signed(self, parts: list[Any]) -> Any:
        sign, part = parts
        if str(sign) == "+":
            return _Group(_bare(part), sign.start_pos, part.end)
        arg = _bare(part)
        return Negative(arg, **_deeper(sign.start_pos, part.end, arg.depth))

    def transpose(self, parts: list[Any]) -> Node:
        arg = _bare(parts[0])
        return Transpose(arg, **_deeper(parts[0].start, parts[1].end_pos, arg.depth))

    def power(self, parts: list[Any]) -> Node:
        base, exponent = _bare(parts[0]), _bare(parts[2])
        span = _deeper(parts[0].start, parts[2].end, max(base.depth, exponent.depth))
        return Power(".^" if parts[1] == ".^" else "^", base, exponent, **span)

    def index(self, parts: list[Any]) -> Node:
        arg, bracket = _bare(parts[0]), parts[-1]
        span = _deeper(parts[0].start, bracket.end_pos, arg.depth)
        if any(isinstance(item, SliceItem) and item.step == 0 for item in parts[1:-1]):
            raise _Stop(arg.end, bracket.end_pos, "the step of a slice cannot be 0")
        return Index(arg, tuple(parts[1:-1]), **span)

    def slice(self, parts: list[Any]) -> SliceItem:
        return SliceItem(*parts)

    def integer(self, parts: list[Any]) -> int:
        literal = parts[-1]
        if not literal.isdigit():
            raise _Stop(literal.start_pos, literal.end_pos, "an index must be an integer")
        value = _exact(literal).numerator
        return -value if parts[0] == "-" else value

    def number(self, parts: list[Any]) -> Node:
        token = parts[0]
        return Num(_exact(token), start=token.start_pos, end=token.end_pos)

    def name(self, parts: list[Any]) -> Node:
        token = parts[0]
        return Name(_spelled(token), start=token.start_pos, end=token.end_pos)

    def text(self, parts: list[Any]) -> Node:
        token = parts[0]
        return Text(str(token[1:-1]), start=token.start_pos, end=token.end_pos)

    def option(self, parts: list[Any]) -> Binding:
        name, value = parts[0], _bare(parts[1])
        return Binding((_spelled(name),), value, start=name.start_pos, end=parts[1].end)

    def call(self, parts: list[Any]) -> Node:
        args: list[Node] = []
        options: dict[str, Node] = {}
        for part in parts[1:-1]:
            if type(part) is not Binding:
                if options:
                    raise _Stop(part.start, part.end, "an argument stands after an option")
                args.append(_bare(part))
            elif part.names[0] in options:
                raise _Stop(part.start, part.end, f"option '{part.names[0]}' is given twice")
            else:
                options[part.names[0]] = part.value
        depth = max((node.depth for node in (*args, *options.values())), default=0)
        span = _deeper(parts[0].start_pos, parts[-1].end_pos, depth)
        return Call(_spelled(parts[0]), tuple(args), tuple(options.items()), **span)

    def group(self, parts: list[Any]) -> _Group:
        return _Group(_bare(parts[1]), parts[0].start_pos, parts[2].end_pos)


# --- Parsing, and wording what the parser cannot go on with ----------------------------------


@cache
def _parser() -> Any:
    from importlib.resources import files

    from lark import Lark

    grammar = files("tensorcalculus.notation").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", transformer=_Builder())


def _parse(text: str, tokens: list[_Token]) -> Node:
    from lark.exceptions import UnexpectedInput

    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        ended = getattr(getattr(error, "token", None), "type", "") == "$END"
        place = len(text) if ended else error.pos_in_stream or 0
    at = bisect_left(tokens, place, key=lambda token: token.start)
    _explain(text, tokens, at)


_OPERAND_ENDS = ("name", "number", ")", "]", "'", ".'", "text")
_OPERAND_STARTS = ("name", "number", "(", "text")


def _explain(text: str, tokens: list[_Token], at: int) -> NoReturn:
    """Say why the token at that place cannot follow those before it."""
    place, defining, colons = _context(tokens, at)
    before = tokens[at - 1].kind if at else ""
    expected = _expected(before, place, defining, colons)
    if at == len(tokens):
        message = f"the formula ends after {_shown(text, tokens[-1])}"
        raise _Stop(*tokens[-1][1:], message, expected)
    token = tokens[at]
    kind, after_operand, hint = token.kind, before in _OPERAND_ENDS, ""
    if kind == "where" and place == "value":
        hint = "there is one where-clause; definitions are separated by ','"
    elif kind == "where" and place:
        hint = "a where-clause stands at the end of the whole formula"
    elif kind == "=" and place in ("", "group", "call"):
        hint = "'=' stands in a where-clause (s*x where s = x'*x) or before an option's value"
    elif kind == "text" and before != "text":
        hint = "a string stands only as an argument of a call"
    elif place == "index":
        hint = "an index is an integer literal" if kind == "name" and not after_operand else ""
    elif after_operand and kind in _OPERAND_STARTS and before != "text" and not defining:
        hint = "products are written with '*'"
    elif kind == "[" and not after_operand and not defining:
        hint = "matrices are given by name"
    elif kind in ("'", ".'") and not after_operand:
        hint = "nothing stands before it to transpose; strings stand only in calls"
    elif kind == ")" and before == "(":
        hint = "the parentheses are empty"
    hint = f" ({hint})" if hint else ""
    raise _Stop(token.start, token.end, f"unexpected {_shown(text, token)}{hint}", expected)


def _shown(text: str, token: _Token) -> str:
    written = text[token.start : token.end]
    written = written if len(written) <= 30 else written[:29] + "…"
    return f'"{written}"' if "'" in written else f"'{written}'"


def _context(tokens: list[_Token], at: int) -> tuple[str, bool, int]:
    """What is open before that token, whether a definition's left side is, colons of an index."""
    opened: list[str] = []
    defining, clause, colons, before = False, False, 0, ""
    for kind, _, _ in tokens[:at]:
        if kind in ("(", "["):
            call = before == "name" and not defining
            opened.append("index" if kind == "[" else "call" if call else "group")
        elif kind in (")", "]"):
            opened.pop()
        elif kind == "where":
            defining = clause = True
        elif not opened and clause and kind in ("=", ","):
            defining = kind == ","
        colons = colons + 1 if kind == ":" else 0 if kind in ("[", ",") else colons
        before = kind
    return (opened[-1] if opened else "value" if clause else ""), defining, colons


def _expected(before: str, place: str, defining: bool, colons: int) -> str:
    """What may follow a token of kind `before`, in words."""
    if defining and place == "group":
        return "',' or ')'" if before == "name" else "a name"
    if defining:
        left = "a definition such as s = x'*x or (U, s, V) = svd(X)"
        return "'='" if before in ("name", ")") else left
    if place == "index":
        after = "',' or ']'" if colons > 1 else "':', ',' or ']'"
        if before in ("+", "-", ":"):
            return f"an integer, {after}" if before == ":" else "an integer"
        return after if before == "number" else "an integer or a slice such as 0:2"
    if before not in _OPERAND_ENDS:
        argument = place == "call" and before in ("(", ",")
        return "an argument" if argument else "an operand" if before else "an expression"
    if place == "call":
        return "',' or ')'" if before == "text" else "',', ')' or an operator"
    return {"group": "')' or an operator", "value": "',' or an operator"}.get(place, "an operator")

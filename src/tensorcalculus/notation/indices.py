"""Index notation: one entry of an expression, with sums and Kronecker deltas written out.

``[i,j] = 2*sum(k: X[k,i]*R[k,j])-c*delta[i,j] where R[i,j] = sum(k: X[i,k]*W[k,j])-Y[i,j]``

- ``[i,j] =`` names the indices of the result; a scalar has no left-hand side.
- ``A[i,j]`` is an entry of a tensor, ``delta[i,j]`` is 1 where ``i = j`` and 0 elsewhere
  (``kronecker[i,j]`` where a variable is called ``delta``); ones are not written.
- ``sum(k,l: t)`` adds ``t`` over all values of ``k`` and ``l``; their ranges are those of the
  tensor axes where they stand (``delta`` joins two ranges), or written, as in ``k<n``.
- ``+ - * / ^`` and functions such as ``exp(...)`` act on numbers.
- An operation takes whole tensors and gives one, as in ``inv(A)[i,j]`` and ``x[1:3][i]``; where its
  argument is not a variable or another operation, ``where`` names it.
- ``where`` also names the parts that occur more than once, earlier ones first.

Indices count from 0 and are ``i, j, k, l, ...`` without the letters that variables and sizes have.
The text is written from a stack, so the depth of an expression is no limit, and its length is
linear in the number of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from functools import partial
from itertools import count

from tensorcalculus.expr.contraction import connected
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Scalar,
    Size,
    Variable,
    dims_of,
    is_map,
    walk,
)
from tensorcalculus.expr.operations.structural import spell_items
from tensorcalculus.notation.naming import SHORTEST
from tensorcalculus.notation.text import number
from tensorcalculus.simplify.engine import written_out

SUM, PRODUCT, POWER, ATOM = range(4)
"""How tightly a text binds."""

Factor = Callable[[int], list]
"""A factor, written so that it binds as tightly as asked for."""
Indices = tuple[str, ...]

LETTERS = "ijklmnpqrstuvwxyzabcdefgho"


def to_index(e: Expr) -> str:
    """The formula of one entry of ``e``; see the top of this module for its grammar."""
    letters, body, told = entry(e)
    left = f"[{','.join(letters)}] = " if letters else ""
    return f"{left}{body} where {', '.join(told)}" if told else left + body


def entry(e: Expr, taken: Collection[str] = ()) -> tuple[Indices, str, list[str]]:
    """The formula of one entry in pieces: its indices, the body, and what ``where`` names.

    For callers with a left-hand side of their own: ``(("i", "j"), "2*X[i,j]", [])``.  Indices and
    parts get none of the names ``taken``.
    """
    return Entries(written_out(e), taken).pieces()


class Entries:
    """Entries of the nodes of one expression."""

    def __init__(self, root: Expr, taken: Collection[str] = ()) -> None:
        self.root = root
        self.nodes = list(walk(root))
        self.variables = {n.name for n in self.nodes if isinstance(n, Variable)}
        sizes = {s for n in self.nodes for d in dims_of(n) for s in d.symbols()}
        self.taken = self.variables | sizes | set(taken)
        self.names: dict[Expr, str] = {}
        self.name_parts()
        self.known: dict[Expr, tuple[bool, ...]] = {}
        """For each axis of a node, whether a tensor in its entry shows its range."""
        for node in self.nodes:
            self.known[node] = self.ground(node)
        self.letters = [c for c in LETTERS if c not in self.taken]
        self.delta = "delta" if "delta" not in self.variables else "kronecker"

    def pieces(self) -> tuple[Indices, str, list[str]]:
        at, body = self.formula(self.root)
        return at, body, [self.definition(node, name) for node, name in self.names.items()]

    def formula(self, node: Expr) -> tuple[Indices, str]:
        at = self.fresh(node.ndim, ())
        return at, _written(self.spelled(node, at, at, SUM))

    def definition(self, node: Expr, name: str) -> str:
        at, body = self.formula(node)
        shown = (
            i if known else f"{i}<{d}"
            for i, d, known in zip(at, node.shape, self.known[node], strict=True)
        )
        return f"{_subscripted(name, tuple(shown))} = {body}"

    def fresh(self, n: int, scope: Indices) -> Indices:
        """``n`` index letters that are not in use."""
        found = [c for c in self.letters if c not in scope][:n]
        numbered = (f"i{k}" for k in count(1))
        while len(found) < n:
            letter = next(numbered)
            if letter not in scope and letter not in self.taken:
                found.append(letter)
        return tuple(found)

    # -- names of parts --------------------------------------------------------------------------

    def name_parts(self) -> None:
        """Name what occurs more than once, and what an operation takes as a whole."""
        uses: dict[Expr, int] = {}
        whole: set[Expr] = set()
        for node in reversed(self.nodes):
            # A reciprocal goes under the bar of each product, and its base with it.
            each = uses.get(node, 1) if _reciprocal(node) else 1
            for child in node.children:
                uses[child] = uses.get(child, 0) + each
            if isinstance(node, Operation):
                whole |= {a for a in node.args if not isinstance(a, _INLINE)}
        length: dict[Expr, int] = {}
        for node in self.nodes:
            length[node] = _length(node, length)
            fixed = isinstance(node, (Variable, Number, Size)) or node is self.root
            pattern = isinstance(node, Contraction) and not node.operands
            long = uses.get(node, 0) > 1 and length[node] >= SHORTEST
            wanted = long and not pattern and not _reciprocal(node)
            if not fixed and (wanted or node in whole):
                name = self.names[node] = fresh_name(node, self.taken)
                self.taken.add(name)
                length[node] = len(name) + 2 * node.ndim

    def ground(self, node: Expr) -> tuple[bool, ...]:
        if isinstance(node, (Map, Combination)):
            parts = [self.shown(c) for c in node.children if c.ndim]
            return tuple(any(p[k] for p in parts) for k in range(node.ndim))
        if isinstance(node, Contraction):
            found = {
                i
                for e, legs in zip(node.operands, node.legs, strict=True)
                for i, known in zip(legs, self.shown(e), strict=True)
                if known
            }
            return tuple(i in found for i in node.out)
        return (True,) * node.ndim

    # -- entries ---------------------------------------------------------------------------------

    def entry(self, node: Expr, at: Indices, scope: Indices, level: int) -> list:
        """The entry of ``node`` at the indices ``at``; ``scope`` are all indices in use."""
        if node in self.names:
            return [_subscripted(self.names[node], at)]
        return self.spelled(node, at, scope, level)

    def spelled(self, node: Expr, at: Indices, scope: Indices, level: int) -> list:
        if isinstance(node, Variable):
            return [_subscripted(node.name, at)]
        if isinstance(node, Number):
            text = number(node.value)
            own = SUM if node.value < 0 else PRODUCT if "/" in text else ATOM
            return _wrapped([text], own, level)
        if isinstance(node, Size):
            return self.size(node.dim, level)
        if isinstance(node, Operation):
            return [*self.operation(node), _subscripted("", at)]
        if isinstance(node, Combination):
            return self.combination(node, at, scope, level)
        if isinstance(node, Map):
            return self.map(node, at, scope, level)
        over, under = self.factors(node, at, scope)
        return _quotient(1, over, under, level)

    def size(self, d: Dim, level: int) -> list:
        if any(s in self.variables for s in d.symbols()):
            return [f"size({d})"]
        own = SUM if len(d.terms) > 1 else ATOM if d.symbol else PRODUCT
        return _wrapped([d.text], own, level)

    def operation(self, node: Operation) -> list:
        """An operation on whole tensors, without indices."""
        marks = [f"\0{k}\0" for k in range(len(node.args))]
        pieces = spelled_operation(node, marks).split("\0")
        items: list = []
        for k, piece in enumerate(pieces):
            if k % 2 == 0:
                items.append(piece)
                continue
            arg = node.args[int(piece)]
            if arg in self.names:
                items.append(self.names[arg])
            elif isinstance(arg, Operation):
                items.append(partial(self.operation, arg))
            else:
                items.append(partial(self.spelled, arg, (), (), SUM))
        return items

    def combination(self, node: Combination, at: Indices, scope: Indices, level: int) -> list:
        if not node.terms:
            return ["0"]
        if len(node.terms) == 1:
            return self.product(node.coefficients[0], node.terms[0], at, scope, level)
        items: list = []
        for c, t in zip(node.coefficients, node.terms, strict=True):
            items.append("-" if c < 0 else "+" if items else "")
            items.append(partial(self.product, abs(c), t, at if t.ndim else (), scope, PRODUCT))
        return _wrapped(items, SUM, level)

    def map(self, node: Map, at: Indices, scope: Indices, level: int) -> list:
        name = node.function.name
        if name in ("pow", "pow0"):
            base, exponent = node.args
            if _reciprocal(node):
                return _quotient(1, *self.factors(node, at, scope), level)
            return self.power(base, exponent, at, scope, level)
        if name in ("maximum", "minimum"):
            name = name[:3]
        items: list = [name]
        for k, a in enumerate(node.args):
            items.append("," if k else "(")
            items.append(partial(self.entry, a, at if a.ndim else (), scope, SUM))
        return [*items, ")"]

    def power(self, base: Expr, exponent: Expr, at: Indices, scope: Indices, level: int) -> list:
        inside = at if base.ndim else ()
        if isinstance(exponent, Number) and exponent.value == 1:
            return self.entry(base, inside, scope, level)
        if isinstance(exponent, Number) and exponent.value == Fraction(1, 2):
            return ["sqrt(", partial(self.entry, base, inside, scope, SUM), ")"]
        items = [
            partial(self.entry, base, inside, scope, ATOM),
            "^",
            partial(self.entry, exponent, at if exponent.ndim else (), scope, ATOM),
        ]
        return _wrapped(items, POWER, level)

    # -- products --------------------------------------------------------------------------------

    def product(self, c: Scalar, node: Expr, at: Indices, scope: Indices, level: int) -> list:
        """The entry of ``c*node`` as a product with one bar."""
        if isinstance(node, Number):
            return self.spelled(Number(c * node.value), at, scope, level)
        if node in self.names:
            over, under = [partial(self.entry, node, at, scope)], []
        else:
            over, under = self.factors(node, at, scope)
        return _quotient(c, over, under, level)

    def factors(self, node: Expr, at: Indices, scope: Indices) -> tuple[list[Factor], list[Factor]]:
        """The factors of an entry above and below the bar, simple ones first."""
        if isinstance(node, Contraction):
            return self.network(node, at, scope)
        if _reciprocal(node):
            base, p = node.children
            assert isinstance(p, Number)
            return [], [partial(self.power, base, Number(-p.value), at, scope)]
        return [partial(self.entry, node, at, scope)], []

    def entries(
        self,
        operands: Sequence[tuple[Expr, tuple[int, ...]]],
        letters: dict[int, str],
        scope: Indices,
    ) -> tuple[list[Factor], list[Factor]]:
        """The entries of operands side by side, simple ones first."""
        over: list[Factor] = []
        under: list[Factor] = []
        for e, legs in sorted(operands, key=lambda o: self.rank(o[0])):
            at = tuple(letters[i] for i in legs)
            if e in self.names:
                over.append(partial(self.entry, e, at, scope))
                continue
            above, below = self.factors(e, at, scope)
            over += above
            under += below
        return over, under

    def rank(self, e: Expr) -> int:
        """The place of a factor in a product: numbers, entries, calls, then sums."""
        while is_map(e, "pow") and e not in self.names:
            e = e.args[0]
        if e in self.names or isinstance(e, (Variable, Size)):
            return 1 if e.ndim else 0
        return 2 if isinstance(e, (Map, Operation)) else 3

    def network(
        self, node: Contraction, at: Indices, scope: Indices
    ) -> tuple[list[Factor], list[Factor]]:
        """A contraction: entries, sums over the labels that ``out`` lacks, deltas."""
        letters: dict[int, str] = {}
        deltas: list[str] = []
        for label, i in zip(node.out, at, strict=True):
            if letters.setdefault(label, i) != i:
                deltas.append(f"{self.delta}[{letters[label]},{i}]")
        plain, summed = _groups(list(zip(node.operands, node.legs, strict=True)), set(letters))
        over, under = self.entries(plain, letters, scope)
        for labels, members in summed:
            new = self.fresh(len(labels), scope)
            named = letters | dict(zip(labels, new, strict=True))
            known = {
                i for e, legs in members for i, k in zip(legs, self.shown(e), strict=True) if k
            }
            shown = [named[i] if i in known else f"{named[i]}<{node.dims[i]}" for i in labels]
            above, below = self.entries(members, named, (*scope, *new))
            body = partial(_quotient, 1, above, below, SUM)
            over.append(partial(_literal, [f"sum({','.join(shown)}: ", body, ")"]))
        over.extend(partial(_literal, [d]) for d in deltas)
        return over, under

    def shown(self, e: Expr) -> tuple[bool, ...]:
        return (True,) * e.ndim if e in self.names else self.known[e]


def _written(items: list) -> str:
    """The text of items, those not written yet taken from a stack."""
    texts: list[str] = []
    stack = items[::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            texts.append(item)
        else:
            stack.extend(reversed(item()))
    return "".join(texts)


def _literal(items: list, level: int) -> list:
    return items


def _wrapped(items: list, own: int, level: int) -> list:
    return items if own >= level else ["(", *items, ")"]


def _quotient(c: Scalar, over: list[Factor], under: list[Factor], level: int) -> list:
    """``c`` times factors over factors."""
    if c == 1 and len(over) == 1 and not under:
        return over[0](level)
    text = number(abs(c))
    top, bottom = (text, "") if "/" not in text and abs(Fraction(c)).denominator > 20 else (
        str(abs(Fraction(c)).numerator), str(abs(Fraction(c)).denominator)
    )  # fmt: skip
    above: list[list] = [] if top == "1" else [[top]]
    below: list[list] = [] if bottom in ("", "1") else [[bottom]]
    above += [[partial(f, POWER)] for f in over]
    below += [[partial(f, POWER)] for f in under]
    items = _joined(above) or ["1"]
    if len(below) == 1:
        items += ["/", *below[0]]
    elif below:
        items += ["/(", *_joined(below), ")"]
    if c < 0:
        return _wrapped(["-", *items], SUM, level)
    return _wrapped(items, PRODUCT if len(above) + 2 * len(below) > 1 else ATOM, level)


def _joined(factors: list[list]) -> list:
    items: list = []
    for k, factor in enumerate(factors):
        items += ["*", *factor] if k else factor
    return items


def _subscripted(name: str, at: Indices) -> str:
    return f"{name}[{','.join(at)}]" if at else name


Operands = list[tuple[Expr, tuple[int, ...]]]


def _groups(
    operands: Operands, open_labels: set[int]
) -> tuple[Operands, list[tuple[list[int], Operands]]]:
    """Operands without summed labels, and groups that share such labels; in order of appearance."""
    plain = [(e, legs) for e, legs in operands if open_labels.issuperset(legs)]
    places = [(k, legs) for k, (_, legs) in enumerate(operands) if not open_labels.issuperset(legs)]
    groups = [
        (sorted(labels), sorted(k for k, _ in members))
        for labels, members in connected(places, apart=open_labels)
    ]
    groups.sort(key=lambda g: g[1])
    return plain, [(labels, [operands[k] for k in ks]) for labels, ks in groups]


def _reciprocal(node: Expr) -> bool:
    """Whether the node is a power with a negative number as exponent."""
    if not isinstance(node, Map) or node.function.name not in ("pow", "pow0"):
        return False
    p = node.args[1]
    return isinstance(p, Number) and p.value < 0


def spelled_operation(node: Operation, args: list[str]) -> str:
    """An operation in the input language, which counts axes from the first."""
    name, params = node.row.name, node.params
    if name == "slice":
        items = (*[(0, None, 1)] * (node.args[0].ndim - len(params[0])), *params[0])
        bounds = [b for item in items if not isinstance(item, int) for b in item[:2]]
        if any(isinstance(b, Dim) and b.value is None for b in bounds):
            return f'slice({args[0]},"{spell_items(items)}")'
        params = (items,)
    elif name == "reshape":
        params = (node.args[0].ndim, node.shape)
    elif name in ("max", "logsumexp", "prod") and node.args[0].ndim > 1 and params in ((), (0,)):
        return f"{name}({args[0]},axis=-1)"
    return node.row.spell(name, args, params)


_INLINE = (Variable, Operation, Number, Size)
"""What an operation takes without a name."""


def _length(node: Expr, length: dict[Expr, int]) -> int:
    """About how long the entry of a node is."""
    inner = sum(length[c] for c in node.children)
    if isinstance(node, Variable):
        return len(node.name) + 2 * node.ndim + (node.ndim > 0)
    if isinstance(node, Number):
        return len(number(node.value))
    if isinstance(node, Size):
        return len(node.dim.text)
    if isinstance(node, Contraction):
        deltas = len(node.out) - len(set(node.out))
        return inner + len(node.operands) + 10 * deltas + 6 * (len(set(node.dims)) > len(node.out))
    if isinstance(node, Combination):
        return inner + len(node.terms)
    if isinstance(node, Map):
        return inner + len(node.function.name) + 2
    return inner + 2 * node.ndim + 6


def fresh_name(node: Expr, taken: set[str]) -> str:
    """A letter by kind and order: r, R for sums, z, Z for contractions, s, S for functions."""
    if node.ndim == 0:
        letters = "cdabh"
    else:
        letters = "rqpuv" if isinstance(node, Combination) else "stuvp"
        letters = "zuvpq" if isinstance(node, Contraction) else letters
        letters = letters if node.ndim == 1 else letters.upper()
    for letter in letters:
        if letter not in taken:
            return letter
    return next(n for n in (f"{letters[0]}{k}" for k in count(1)) if n not in taken)

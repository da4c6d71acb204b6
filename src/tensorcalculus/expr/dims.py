"""Dimensions: integers, symbols such as ``n``, and polynomials of them such as ``n-k+1``.

A dimension is a polynomial with integer coefficients over atoms; an atom is a symbol or the
minimum of two dimensions (thin factorisations).  Dimensions are interned, so equality is identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Union

from tensorcalculus.errors import ShapeError

Atom = str | tuple[str, "Dim", "Dim"]
DimLike = Union["Dim", int, str]

MAX_DIM = 2**36
"""Largest literal size accepted: beyond it no array of that length fits a machine."""


class Dim:
    """A dimension; build with ``dim``, combine with ``+ - *``."""

    __slots__ = ("digest", "symbol", "terms", "text")
    terms: tuple[tuple[tuple[Atom, ...], int], ...]
    text: str
    digest: int
    symbol: str | None
    """The name, where the dimension is one bare symbol."""

    def __repr__(self) -> str:
        return self.text

    def __add__(self, other: DimLike) -> Dim:
        return _collect([*self.terms, *dim(other).terms])

    def __sub__(self, other: DimLike) -> Dim:
        return _collect([*self.terms, *((atoms, -c) for atoms, c in dim(other).terms)])

    def __mul__(self, other: DimLike) -> Dim:
        return _collect(
            [
                (tuple(sorted(a + b, key=str)), c * d)
                for a, c in self.terms
                for b, d in dim(other).terms
            ]
        )

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def value(self) -> int | None:
        """The integer this dimension is, or None where it is symbolic."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    def _bare(self) -> str | None:
        if len(self.terms) == 1:
            atoms, c = self.terms[0]
            if c == 1 and len(atoms) == 1 and isinstance(atoms[0], str):
                return atoms[0]
        return None

    def symbols(self) -> list[str]:
        """All symbols in it, in order of appearance."""
        found: dict[str, None] = {}
        for atoms, _ in self.terms:
            for atom in atoms:
                inner = [atom] if isinstance(atom, str) else atom[1].symbols() + atom[2].symbols()
                found.update(dict.fromkeys(inner))
        return list(found)

    def substitute(self, values: Mapping[str, Dim]) -> Dim:
        """Replace symbols by dimensions."""
        if not any(s in values for s in self.symbols()):
            return self
        total = dim(0)
        for atoms, c in self.terms:
            product = dim(c)
            for atom in atoms:
                if isinstance(atom, str):
                    product = product * values.get(atom, dim(atom))
                else:
                    product = product * minimum(
                        atom[1].substitute(values), atom[2].substitute(values)
                    )
            total = total + product
        return total

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The integer for given sizes of the symbols."""
        total = 0
        for atoms, c in self.terms:
            for atom in atoms:
                c *= (
                    sizes[atom]
                    if isinstance(atom, str)
                    else min(atom[1].evaluate(sizes), atom[2].evaluate(sizes))
                )
            total += c
        return total


_table: dict[tuple, Dim] = {}
_ATOM = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>[^\W\d]\w*)|(?P<op>[-+*(),]))")


def _collect(terms: Iterable[tuple[tuple[Atom, ...], int]]) -> Dim:
    totals: dict[tuple[Atom, ...], int] = {}
    for atoms, c in terms:
        totals[atoms] = totals.get(atoms, 0) + c
    # Higher degrees first, constants last: n*k, n-k+1.
    order = sorted(
        ((a, c) for a, c in totals.items() if c), key=lambda t: (-len(t[0]), t[1] < 0, str(t[0]))
    )
    key = tuple(order)
    found = _table.get(key)
    if found is None:
        found = object.__new__(Dim)
        found.terms = key
        found.text = _spell(key)
        from zlib import crc32

        found.digest = crc32(found.text.encode())
        found.symbol = found._bare()
        _table[key] = found
    return found


def _spell(terms: tuple) -> str:
    if not terms:
        return "0"
    parts = []
    for atoms, c in terms:
        names = [a if isinstance(a, str) else f"min({a[1]},{a[2]})" for a in atoms]
        if not names or abs(c) != 1:
            names.insert(0, str(abs(c)))
        parts.append(("-" if c < 0 else "+" if parts else "") + "*".join(names))
    return "".join(parts)


def dim(value: DimLike) -> Dim:
    """Convert an integer or a text such as ``"n"``, ``"2*n"``, ``"n-k+1"`` to a dimension."""
    if isinstance(value, Dim):
        return value
    if isinstance(value, str):
        if value.isidentifier() or re.fullmatch(r"\?[\w:]*", value):
            return _collect([((value,), 1)])
        return _parse(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ShapeError(f"a dimension is an integer or a symbol, not {value!r}")
    value = value.__index__()
    if abs(value) > MAX_DIM:
        raise ShapeError(f"dimension {value} is beyond the largest size accepted ({MAX_DIM})")
    return _collect([((), value)])


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two dimensions, symbolic where neither is known to be."""
    if a is b:
        return a
    gap = a - b
    if all(c <= 0 for _, c in gap.terms):  # sizes are not negative
        return a
    if all(c >= 0 for _, c in gap.terms):
        return b
    if b.text < a.text:
        a, b = b, a
    return _collect([((("min", a, b),), 1)])


def _parse(text: str) -> Dim:
    """Sums of products of integers, symbols and ``min(a,b)``; parentheses allowed."""
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _ATOM.match(text, position)
        if match is None or len(text) > 200:
            raise ShapeError(f"cannot read the dimension {text[:40]!r}; write 3, n, 2*n or n-k+1")
        tokens.append(match.group().strip())
        position = match.end()
    tokens.append("")

    def fail() -> ShapeError:
        return ShapeError(f"cannot read the dimension {text!r}; write 3, n, 2*n or n-k+1")

    def take(expected: str | None = None) -> str:
        if expected is not None and tokens[0] != expected:
            raise fail()
        return tokens.pop(0)

    def atom() -> Dim:
        token = take()
        if token == "(":
            inner = total()
            take(")")
            return inner
        if token == "min" and tokens[0] == "(":
            take()
            a = total()
            take(",")
            b = total()
            take(")")
            return minimum(a, b)
        if token.isdecimal():
            return dim(int(token))
        if token.isidentifier():
            return dim(token)
        raise fail()

    def product() -> Dim:
        result = atom()
        while tokens[0] == "*":
            take()
            result = result * atom()
        return result

    def total() -> Dim:
        result = dim(0) - (take() and product()) if tokens[0] == "-" else product()
        while tokens[0] in ("+", "-") and tokens[0]:
            result = result + product() if take() == "+" else result - product()
        return result

    result = total()
    take("")
    return result


class Unifier:
    """Equations between dimensions met while a formula is read, solved as they come."""

    def __init__(self) -> None:
        self.bindings: dict[str, Dim] = {}

    def resolve(self, d: Dim) -> Dim:
        """``d`` with everything known so far put in."""
        first, steps = d, 0
        while (resolved := d.substitute(self.bindings)) is not d:
            d, steps = resolved, steps + 1
            if steps > len(self.bindings):
                raise ShapeError(f"the dimension {first} is defined by itself")
        if steps > 1 and first.symbol is not None:
            self.bindings[first.symbol] = d  # the next look-up is one step
        return d

    def unify(self, a: Dim, b: Dim) -> Dim | None:
        """Make ``a`` and ``b`` equal; None where they cannot be."""
        a, b = self.resolve(a), self.resolve(b)
        if a is b:
            return a
        # Unknown sizes give way first, then declared symbols to numbers and products.
        for x, y in ((b, a), (a, b)):
            if x.symbol and x.symbol.startswith("?") and x.symbol not in y.symbols():
                self.bindings[x.symbol] = y
                return y
        for x, y in ((a, b), (b, a)):
            if x.symbol and not y.symbol and x.symbol not in y.symbols():
                self.bindings[x.symbol] = y
                return y
        rest = _without_common_factors(a, b)
        if rest is not None:
            return a if self.unify(*rest) is not None else None
        return _assumed(a, b)


def _without_common_factors(a: Dim, b: Dim) -> tuple[Dim, Dim] | None:
    """Two products with what they share left out; None where nothing is shared."""
    if len(a.terms) != 1 or len(b.terms) != 1:
        return None
    (left, c), (right, d) = a.terms[0], b.terms[0]
    kept_left, kept_right = list(left), list(right)
    for atom in left:
        if atom in kept_right:
            kept_left.remove(atom)
            kept_right.remove(atom)
    same = bool(left) and len(kept_left) == len(left) and set(left) == {left[0]}
    if same and len(right) % len(left) == 0:
        # n*n against k*k*m*m: n is the root of the other.
        p = len(left)
        counts = {atom: right.count(atom) for atom in right}
        if p > 1 and c == d == 1 and all(count % p == 0 for count in counts.values()):
            root = tuple(atom for atom, count in counts.items() for _ in range(count // p))
            return _collect([((left[0],), 1)]), _collect([(tuple(sorted(root, key=str)), 1)])
    if len(kept_left) == len(left) or not (kept_left or kept_right):
        return None
    return _collect([(tuple(kept_left), c)]), _collect([(tuple(kept_right), d)])


def _assumed(a: Dim, b: Dim) -> Dim | None:
    """Sizes that may well be equal and that only the arrays can tell: ``m*n`` and 12,
    ``min(m,n)`` and ``n``.  The plainer one stands for both."""
    for x, y in ((a, b), (b, a)):
        if x.value is not None and y.value is None and y.symbol is None:
            return x
        atom = y.terms[0][0][0] if len(y.terms) == 1 and len(y.terms[0][0]) == 1 else None
        if isinstance(atom, tuple) and y.terms[0][1] == 1 and x in atom[1:]:
            return x
    return None


_active: ContextVar[Unifier | None] = ContextVar("unifier", default=None)


@contextmanager
def unifying(unifier: Unifier):
    """Within the block, :func:`unify` solves for unknown dimensions instead of failing."""
    token = _active.set(unifier)
    try:
        yield unifier
    finally:
        _active.reset(token)


def unify(a: Dim, b: Dim) -> Dim | None:
    """The common dimension of ``a`` and ``b``, or None where they clash."""
    if a is b:
        return a
    unifier = _active.get()
    return unifier.unify(a, b) if unifier is not None else _assumed(a, b)


def resolve(d: Dim) -> Dim:
    """``d`` as far as it is known in the formula being read."""
    unifier = _active.get()
    return d if unifier is None else unifier.resolve(d)


def show_shape(shape: Iterable[Dim]) -> str:
    """A shape for people: ``scalar``, ``(n)``, ``(m, n)``; unknown sizes as ``?``."""
    names = ["?" if d.text.startswith("?") else d.text for d in shape]
    return f"({', '.join(names)})" if names else "scalar"

"""Polynomials in sizes, with rational coefficients: how often something is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from tensorcalculus.expr.dims import Atom, Dim

Monomial = tuple[Atom, ...]


class Polynomial:
    """A sum of products of sizes; a size may be the minimum of two, as in dimensions.

    Examples
    --------
    >>> from tensorcalculus.expr.dims import dim
    >>> p = Polynomial.sum([(2, [dim("m"), dim("n")]), (1, [dim("n-1")])])
    >>> p
    2*m*n + n - 1
    >>> p.evaluate({"m": 3, "n": 5})
    Fraction(34, 1)
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Monomial, Fraction]) -> None:
        order = sorted(terms.items(), key=lambda t: (-len(t[0]), t[1] < 0, [*map(str, t[0])]))
        self.terms: dict[Monomial, Fraction] = {atoms: c for atoms, c in order if c}

    @classmethod
    def sum(cls, counts: Iterable[tuple[Fraction | int, Iterable[Dim]]]) -> Polynomial:
        """The sum of products of dimensions, each with its coefficient."""
        total: dict[Monomial, Fraction] = {}
        for times, dims in counts:
            product: dict[Monomial, Fraction] = {(): Fraction(times)}
            for d in dims:
                larger: dict[Monomial, Fraction] = {}
                for atoms, c in product.items():
                    for more, k in d.terms:
                        merged = tuple(sorted((*atoms, *more), key=str))
                        larger[merged] = larger.get(merged, Fraction()) + c * k
                product = larger
            for atoms, c in product.items():
                total[atoms] = total.get(atoms, Fraction()) + c
        return cls(total)

    def evaluate(self, sizes: Mapping[str, int]) -> Fraction:
        """The value for given sizes of the symbols."""
        total = Fraction()
        for atoms, c in self.terms.items():
            for atom in atoms:
                c *= sizes[atom] if isinstance(atom, str) else _least(atom, sizes)
            total += c
        return total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and self.terms == other.terms

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        text = ""
        for atoms, c in self.terms.items():
            joint = (" - " if c < 0 else " + ") if text else "-" if c < 0 else ""
            text += joint + _spell(atoms, abs(c))
        return text or "0"

    __repr__ = __str__


def _least(atom: Atom, sizes: Mapping[str, int]) -> int:
    assert not isinstance(atom, str)
    return min(atom[1].evaluate(sizes), atom[2].evaluate(sizes))


def _spell(atoms: Monomial, coefficient: Fraction) -> str:
    factors = []
    for atom in dict.fromkeys(atoms):
        name = atom if isinstance(atom, str) else f"min({atom[1]},{atom[2]})"
        power = atoms.count(atom)
        factors.append(name if power == 1 else f"{name}^{power}")
    if coefficient.numerator != 1 or not factors:
        factors.insert(0, str(coefficient.numerator))
    divisor = "" if coefficient.denominator == 1 else f"/{coefficient.denominator}"
    return "*".join(factors) + divisor

"""Matrix notation as a small tree: what the text and the LaTeX printers share.

A form is what a person would write: products in order, entry-by-entry products, transposes,
quotients, function calls.  Vectors are columns; a row is a transposed form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tensorcalculus.expr.node import Scalar
from tensorcalculus.expr.operations.row import OperationRow


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Base of all forms; ``order`` is that of the tensor, ``flat`` whether ' does nothing.

    Forms are interned by :func:`make`, so a part that repeats is one object.
    """

    order: int = field(kw_only=True, default=0)
    flat: bool = field(kw_only=True, default=False)

    @property
    def parts(self) -> tuple[Form, ...]:
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class Name(Form):
    """A variable or a dimension."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Num(Form):
    """A constant."""

    value: Scalar


@dataclass(frozen=True, slots=True, eq=False)
class Sum(Form):
    """Terms with their coefficients."""

    coefficients: tuple[Scalar, ...]
    terms: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.terms


@dataclass(frozen=True, slots=True, eq=False)
class Product(Form):
    """``c*s1*s2*core/(d1*d2)``: a number, scalars, one tensor (or none), scalar divisors."""

    coefficient: Scalar
    scalars: tuple[Form, ...]
    core: Form | None
    divisors: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        core = () if self.core is None else (self.core,)
        return (*self.scalars, *core, *self.divisors)


@dataclass(frozen=True, slots=True, eq=False)
class Chain(Form):
    """A matrix product of two or more factors."""

    factors: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.factors


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise(Form):
    """Factors multiplied entry by entry, over divisors."""

    factors: tuple[Form, ...]
    divisors: tuple[Form, ...]

    @property
    def parts(self) -> tuple[Form, ...]:
        return (*self.factors, *self.divisors)


@dataclass(frozen=True, slots=True, eq=False)
class Power(Form):
    """``base^exponent``, entry by entry where the order is positive."""

    base: Form
    exponent: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.base, self.exponent)


@dataclass(frozen=True, slots=True, eq=False)
class MatrixPower(Form):
    """A square matrix times itself."""

    base: Form
    exponent: Num

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.base, self.exponent)


@dataclass(frozen=True, slots=True, eq=False)
class Transposed(Form):
    """The transpose of a vector or matrix."""

    arg: Form

    @property
    def parts(self) -> tuple[Form, ...]:
        return (self.arg,)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Form):
    """A function of the language; ``literals`` are sizes and texts after the arguments."""

    name: str
    args: tuple[Form, ...]
    literals: tuple[str, ...] = ()
    leading: str = ""
    """A text argument before the others (einsum, spectral)."""
    latex: str = ""

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.args


@dataclass(frozen=True, slots=True, eq=False)
class Applied(Form):
    """A row of the table of operations applied to its arguments."""

    row: OperationRow
    args: tuple[Form, ...]
    params: tuple

    @property
    def parts(self) -> tuple[Form, ...]:
        return self.args


def _base_and_power(f: Form) -> tuple[Form, Scalar]:
    return (f.base, f.exponent.value) if isinstance(f, MatrixPower) else (f, 1)


def simplicity(f: Form) -> int:
    """Rank in a commutative product: numbers, names, calls, then products and sums."""
    if isinstance(f, Power) or (isinstance(f, Transposed) and isinstance(f.arg, Name)):
        inner = f.base if isinstance(f, Power) else f.arg  # type: ignore[attr-defined]
        return max(1, simplicity(inner))
    if isinstance(f, (Name, Num)):
        return 0
    if isinstance(f, (Call, Applied)):
        return 2
    return 4 if isinstance(f, Sum) else 3


class Forms:
    """Interned construction: equal forms are one object within one printing."""

    def __init__(self) -> None:
        self.table: dict[tuple, Form] = {}

    def make(self, cls: type, *fields: object, order: int = 0, flat: bool = False) -> Form:
        key = (cls, *(getattr(f, "name", f) if isinstance(f, OperationRow) else f for f in fields),
               order, flat, tuple(type(f) for f in fields))  # fmt: skip
        found = self.table.get(key)
        if found is None:
            found = self.table[key] = cls(*fields, order=order, flat=flat)
        return found

    def num(self, value: Scalar) -> Form:
        return self.make(Num, value, flat=True)

    def name(self, name: str, order: int = 0, flat: bool = False) -> Form:
        return self.make(Name, name, order=order, flat=flat)

    def call(
        self,
        name: str,
        *args: Form,
        order: int,
        literals: tuple[str, ...] = (),
        leading: str = "",
        latex: str = "",
        flat: bool = False,
    ) -> Form:
        return self.make(Call, name, args, literals, leading, latex, order=order, flat=flat)

    def transposed(self, a: Form) -> Form:
        """``a'``, distributed over products, cancelled where it does nothing."""
        if a.flat or a.order == 0:
            return a
        if isinstance(a, Transposed):
            return a.arg
        if isinstance(a, Chain):
            return self.chain(*(self.transposed(f) for f in reversed(a.factors)))
        if isinstance(a, Pointwise) and a.order == 2:
            factors = tuple(self.transposed(f) for f in a.factors)
            divisors = tuple(self.transposed(f) for f in a.divisors)
            return self.make(Pointwise, factors, divisors, order=2)
        if isinstance(a, Product) and a.core is not None:
            core = self.transposed(a.core)
            return self.make(Product, a.coefficient, a.scalars, core, a.divisors, order=a.order)
        if isinstance(a, MatrixPower):
            return self.make(MatrixPower, self.transposed(a.base), a.exponent, order=2)
        if isinstance(a, Power) and a.order == 2 and a.exponent.order == 0:
            base = self.transposed(a.base)
            return self.make(Power, base, a.exponent, order=2)
        return self.make(Transposed, a, order=a.order)

    def chain(self, *factors: Form) -> Form:
        """A matrix product; nested ones are opened, scalars taken to the front."""
        flat: list[Form] = []
        scalars: list[Form] = []
        divisors: list[Form] = []
        coefficient: Scalar = 1
        for f in factors:
            if isinstance(f, Product) and f.core is not None:
                coefficient *= f.coefficient
                scalars += f.scalars
                divisors += f.divisors
                f = f.core
            flat += f.factors if isinstance(f, Chain) else [f]
        rows = isinstance(flat[0], Transposed) and flat[0].order == 1
        columns = flat[-1].order == 1 and not isinstance(flat[-1], Transposed)
        order = 2 - rows - columns
        symmetric = order == 2 and all(
            self.transposed(f) is g for f, g in zip(flat, reversed(flat), strict=True)
        )
        flat = self.collect_powers(flat)
        core = (
            flat[0]
            if len(flat) == 1
            else self.make(Chain, tuple(flat), order=order, flat=symmetric)
        )
        return self.product(coefficient, scalars, core, divisors)

    def collect_powers(self, factors: list[Form]) -> list[Form]:
        """Equal square matrices side by side as a power: ``X'*X'`` is ``X'^2``."""
        result: list[Form] = []
        for f in factors:
            base, p = _base_and_power(f)
            if result and base.order == 2:
                old, q = _base_and_power(result[-1])
                if old is base:
                    power = self.num(p + q)
                    result[-1] = self.make(MatrixPower, base, power, order=2, flat=base.flat)
                    continue
            result.append(f)
        return result

    def product(
        self,
        coefficient: Scalar,
        scalars: list[Form],
        core: Form | None,
        divisors: list[Form],
    ) -> Form:
        """A scaled tensor, or a product of scalars; trivial factors dropped."""
        if isinstance(core, Product):
            coefficient *= core.coefficient
            scalars = [*scalars, *core.scalars]
            divisors = [*divisors, *core.divisors]
            core = core.core
        if core is None and len(scalars) == 1 and coefficient == 1 and not divisors:
            return scalars[0]
        if core is None and not scalars and not divisors:
            return self.num(coefficient)
        if core is not None and not scalars and not divisors and coefficient == 1:
            return core
        order = 0 if core is None else core.order
        flat = core is None or core.flat
        scalars = sorted(scalars, key=simplicity)
        return self.make(
            Product, coefficient, tuple(scalars), core, tuple(divisors), order=order, flat=flat
        )

    def pointwise(self, factors: list[Form], divisors: list[Form]) -> Form:
        """Factors entry by entry; nested ones opened, scalars taken to the front."""
        coefficient: Scalar = 1
        scalars: list[Form] = []
        below: list[Form] = []
        over: list[Form] = []
        under = list(divisors)
        for f in factors:
            if isinstance(f, Product) and f.core is not None:
                coefficient *= f.coefficient
                scalars += f.scalars
                below += f.divisors
                f = f.core
            if isinstance(f, Pointwise):
                over += f.factors
                under += f.divisors
            else:
                over.append(f)
        over = [f for f in over if not (isinstance(f, Num) and f.value == 1)] or over[:1]
        over.sort(key=simplicity)
        order = max(f.order for f in (*over, *under))
        flat = all(f.flat for f in (*over, *under))
        if len(over) == 1 and not under:
            core = over[0]
        else:
            core = self.make(Pointwise, tuple(over), tuple(under), order=order, flat=flat)
        return self.product(coefficient, scalars, core, below)

    def power(self, base: Form, exponent: Form | Scalar) -> Form:
        e = exponent if isinstance(exponent, Form) else self.num(exponent)
        if isinstance(e, Num):
            if e.value == 1:
                return base
            if e.value == Fraction(1, 2):
                return self.call("sqrt", base, order=base.order, flat=base.flat)
        order = max(base.order, e.order)
        return self.make(Power, base, e, order=order, flat=base.flat and e.flat)

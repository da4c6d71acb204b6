"""Formulas as text and LaTeX, composed as they are written: nothing is multiplied out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tensorcalculus.expr.contraction import is_permutation
from tensorcalculus.expr.maps import filling, is_filled
from tensorcalculus.expr.node import Contraction, Expr, Number, Scalar, Variable
from tensorcalculus.notation.forms import Form, Num, Product, Sum
from tensorcalculus.notation.latex import form_latex
from tensorcalculus.notation.latex_parts import tex_name
from tensorcalculus.notation.matrix import Writer
from tensorcalculus.notation.text import form_text, names_in
from tensorcalculus.simplify.engine import written_out


class Formula(NamedTuple):
    """A formula as text of the input language and as LaTeX."""

    text: str
    latex: str


def direction(v: Variable, name: str = "") -> Variable:
    """``dX`` for a variable or a letter ``X``, or another name."""
    return Variable(name or f"d{v.name}", v.shape, v.properties & {"sym", "diag", "tri"})


def formula(e: Expr, taken: Collection[str] = ()) -> Formula:
    """An expression as a formula; ``where`` uses none of the names ``taken``."""
    return pairings([(Number(1), e)], taken)


def named(name: str) -> Formula:
    """A name as a formula."""
    return Formula(name, tex_name(name))


def differential_name(v: Variable) -> Formula:
    """``dX``."""
    plain = tex_name(f"d{v.name}")
    short = plain.startswith(r"\mathrm{d}") or len(v.name) == 1
    return Formula(f"d{v.name}", plain if short else rf"\mathrm{{d}}{tex_name(v.name)}")


def derivative_name(f: Variable, v: Variable, *, local: bool = False) -> Formula:
    """``df/dX``; see :func:`slope_name`."""
    return slope_name(named(f.name), named(v.name), local=local)


def slope_name(top: Formula, below: Formula, *, local: bool) -> Formula:
    """A derivative as a quotient: with ``∂`` that of a part by what stands in it, all else fixed;
    with ``d`` that of the function, in whichever ways it depends on the variable.
    """
    sign, tex = ("∂", r"\partial ") if local else ("d", r"\mathrm{d}")
    return Formula(
        f"{sign}{top.text}/{sign}{below.text}",
        rf"\frac{{{tex}{top.latex}}}{{{tex}{below.latex}}}",
    )


def pairings(pairs: Sequence[tuple[Expr, Expr]], taken: Collection[str] = ()) -> Formula:
    """A sum of Frobenius products ``G1:D1+G2:D2`` as it is written, not multiplied out."""
    written = [(written_out(g), written_out(d)) for g, d in pairs]
    roots = [e for pair in written for e in pair]
    writer = Writer(*roots)
    forms = [_pairing(writer, g, d) for g, d in written]
    if len(forms) == 1:
        form = forms[0]
    else:
        scaled = [_without_number(f, writer) for f in forms]
        form = writer.forms.make(
            Sum, tuple(c for c, _ in scaled), tuple(f for _, f in scaled), flat=True
        )
    used = names_in(*roots) | set(taken)
    return Formula(form_text(form, used), form_latex(form, used))


def _without_number(form: Form, writer: Writer) -> tuple:
    """A term as its number and the rest, so that a sum has minus signs rather than ``+-``."""
    if isinstance(form, Product) and form.coefficient != 1:
        rest = writer.forms.product(1, list(form.scalars), form.core, list(form.divisors))
        return form.coefficient, rest
    return 1, form


def _pairing(writer: Writer, g: Expr, d: Expr) -> Form:
    """``G:D``, numbers and scalar factors in front; ``sum(D)`` and ``tr(D)`` where G is a one."""
    forms = writer.forms
    right = writer.form(d)
    if not g.ndim:
        left = writer.form(g)
        if isinstance(left, Num) and left.value == 1:
            return right
        if isinstance(left, Num):
            return _scaled(writer, left.value, [right], [])
        if isinstance(left, Product) and left.core is None:
            scalars = [*left.scalars, right]
            return _scaled(writer, left.coefficient, scalars, list(left.divisors))
        return _scaled(writer, 1, [left, right], [])
    if is_filled(g):
        total = forms.call("sum", right, order=0, flat=True)
        return _scaled(writer, 1, [writer.form(filling(g)), total], [])
    if _is_identity(g):
        return forms.call("tr", right, order=0, flat=True)
    left = writer.form(g)
    if isinstance(left, Product) and left.core is not None:
        inner = forms.call("frobenius", left.core, right, order=0, flat=True)
        scalars = [*left.scalars, inner]
        return _scaled(writer, left.coefficient, scalars, list(left.divisors))
    return forms.call("frobenius", left, right, order=0, flat=True)


def _scaled(writer: Writer, c: Scalar, scalars: list[Form], divisors: list[Form]) -> Form:
    kept: list[Form] = []
    for s in scalars:
        if isinstance(s, Num):
            c = c * s.value
        elif isinstance(s, Product) and s.core is None:
            c = c * s.coefficient
            kept += s.scalars
            divisors = [*divisors, *s.divisors]
        else:
            kept.append(s)
    if len(kept) == 1 and c == 1 and not divisors:
        return kept[0]
    if not kept and not divisors:
        return writer.forms.num(c)
    # Made as it is, since a product in normal form would put the differential in front.
    return writer.forms.make(Product, c, tuple(kept), None, tuple(divisors), flat=True)


def _is_identity(g: Expr) -> bool:
    return isinstance(g, Contraction) and not g.operands and len(set(g.out)) == 1 and g.ndim == 2


def is_letter(e: Expr) -> bool:
    """Whether an expression is a name, transposed or not."""
    return isinstance(e, Variable) or (
        isinstance(e, Contraction)
        and is_permutation(e) is not None
        and isinstance(e.operands[0], Variable)
    )

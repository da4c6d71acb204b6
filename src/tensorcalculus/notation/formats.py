"""Networks that have a name of their own: CP, Tucker, tensor train, MTTKRP, Kronecker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorcalculus.expr.build import kron_parts
from tensorcalculus.expr.node import Contraction, Expr, Operation
from tensorcalculus.notation.forms import Form

if TYPE_CHECKING:
    from tensorcalculus.notation.matrix import Writer

Tensors = list[tuple[Expr, tuple[int, ...]]]


def known(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    """The form of a network that the language has a word for, else None."""
    if len(set(node.out)) != len(node.out) or any(len(set(g)) != len(g) for _, g in tensors):
        return None
    carried = {i for _, legs in tensors for i in legs}
    if not carried.issuperset(node.out) or len(tensors) < 2:
        return None
    if any(isinstance(e, Operation) and e.row.name == "shift" for e, _ in tensors):
        return _convolution(writer, node, tensors)
    for rule in (_cp, _tucker, _train, _mttkrp, _tucker_factor):
        found = rule(writer, node, tensors)
        if found is not None:
            return found
    return None


def _cp(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    if len(node.out) < 3 or len(tensors) != len(node.out):
        return None
    shared = set(tensors[0][1]).intersection(*(set(legs) for _, legs in tensors))
    if len(shared) != 1 or any(e.ndim != 2 for e, _ in tensors):
        return None
    (r,) = shared
    if r in node.out:
        return None
    by_label = {next(i for i in legs if i != r): (e, legs) for e, legs in tensors}
    if set(by_label) != set(node.out):
        return None
    factors = []
    for i in node.out:
        e, legs = by_label[i]
        factors.append(_oriented(writer, e, legs, (i, r)))
    return writer.forms.call("cp", *factors, order=len(factors))


def _oriented(writer: Writer, e: Expr, legs: tuple[int, ...], wanted: tuple[int, ...]) -> Form:
    form = writer.form(e)
    return form if legs == wanted else writer.forms.transposed(form)


def _tucker(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    d = len(node.out)
    if d < 3 or len(tensors) != d + 1:
        return None
    cores = [(e, legs) for e, legs in tensors if e.ndim == d]
    if len(cores) != 1 or any(e.ndim != 2 for e, _ in tensors if e is not cores[0][0]):
        return None
    (core, core_legs) = cores[0]
    if set(core_legs) & set(node.out):
        return None
    factors: dict[int, Form] = {}
    order = []
    for e, legs in tensors:
        if e is core:
            continue
        inside = [i for i in legs if i in core_legs]
        outside = [i for i in legs if i in node.out]
        if len(inside) != 1 or len(outside) != 1:
            return None
        factors[inside[0]] = _oriented(writer, e, legs, (outside[0], inside[0]))
        order.append((inside[0], outside[0]))
    target = dict(order)
    if len(factors) != d or tuple(target.get(i) for i in core_legs) != node.out:
        return None
    return writer.forms.call("tucker", writer.form(core), *(factors[i] for i in core_legs), order=d)


def _train(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    if len(node.out) < 3 or len(tensors) != len(node.out):
        return None
    by_label: dict[int, tuple[Expr, tuple[int, ...]]] = {}
    for e, legs in tensors:
        mine = [i for i in legs if i in node.out]
        if len(mine) != 1:
            return None
        by_label[mine[0]] = (e, legs)
    cores = []
    bond = None
    for k, i in enumerate(node.out):
        if i not in by_label:
            return None
        e, legs = by_label[i]
        last = k == len(node.out) - 1
        expected = (() if bond is None else (bond,)) + (i,)
        following = [j for j in legs if j not in expected]
        if len(following) != (0 if last else 1) or len(legs) != len(expected) + len(following):
            return None
        wanted = (*expected, *following)
        if legs != wanted:
            if e.ndim != 2:
                return None
            cores.append(_oriented(writer, e, legs, wanted))
        else:
            cores.append(writer.form(e))
        bond = following[0] if following else None
    return writer.forms.call("tt", *cores, order=len(cores))


def _mttkrp(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    """A tensor times all factors but one: ``unfold(T,k)*khatrirao(C,B)``; Kolda and Bader (3.4)."""
    if len(node.out) != 2:
        return None
    big = [(e, legs) for e, legs in tensors if e.ndim >= 3]
    if len(big) != 1 or len(tensors) != big[0][0].ndim:
        return None
    (t, legs) = big[0]
    open_legs = [i for i in legs if i in node.out]
    if len(open_legs) != 1:
        return None
    (i,) = open_legs
    (r,) = (j for j in node.out if j != i)
    factors: dict[int, Form] = {}
    for e, g in tensors:
        if e is t:
            continue
        if e.ndim != 2 or r not in g:
            return None
        (other,) = (j for j in g if j != r)
        if other not in legs or other == i:
            return None
        factors[other] = _oriented(writer, e, g, (other, r))
    rest = [j for j in legs if j != i]
    if len(factors) != len(rest):
        return None
    forms = writer.forms
    product = factors[rest[0]]
    for j in rest[1:]:
        product = forms.call("khatrirao", factors[j], product, order=2)
    mode = str(legs.index(i) + 1)
    unfolded = forms.call("unfold", writer.form(t), order=2, literals=(mode,))
    result = forms.chain(unfolded, product)
    return result if node.out == (i, r) else forms.transposed(result)


def _tucker_factor(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    """``unfold(T,k)*kron(C,B)*unfold(G,k)'``; Kolda and Bader (2009), section 4.1."""
    if len(node.out) != 2:
        return None
    big = [(e, legs) for e, legs in tensors if e.ndim >= 3]
    if len(big) != 2 or big[0][0].ndim != big[1][0].ndim or len(tensors) != big[0][0].ndim + 1:
        return None
    big.sort(key=lambda p: node.out[0] not in p[1])
    (t, legs), (g, inner) = big
    if len(set(legs) & set(node.out)) != 1 or len(set(inner) & set(node.out)) != 1:
        return None
    place = legs.index(node.out[0]) if node.out[0] in legs else -1
    if place < 0 or inner[place] != node.out[1]:
        return None
    factors: dict[int, Form] = {}
    for e, ends in tensors:
        if e is t or e is g:
            continue
        outer_end = [i for i in ends if i in legs]
        inner_end = [i for i in ends if i in inner]
        if e.ndim != 2 or len(outer_end) != 1 or len(inner_end) != 1:
            return None
        k = legs.index(outer_end[0])
        if inner.index(inner_end[0]) != k:
            return None
        factors[k] = _oriented(writer, e, ends, (outer_end[0], inner_end[0]))
    order = sorted(factors)
    if len(order) != len(legs) - 1:
        return None
    forms = writer.forms
    product = factors[order[0]]
    for k in order[1:]:
        product = forms.call("kron", factors[k], product, order=2)
    mode = (str(place + 1),)
    left = forms.call("unfold", writer.form(t), order=2, literals=mode)
    right = forms.call("unfold", writer.form(g), order=2, literals=mode)
    return forms.chain(left, product, forms.transposed(right))


def _convolution(writer: Writer, node: Contraction, tensors: Tensors) -> Form | None:
    """``conv(x,k)``; the gradient by the kernel is one as well, with the cotangent for kernel."""
    shifts = [g for e, g in tensors if isinstance(e, Operation) and e.row.name == "shift"]
    rest = [(e, g) for e, g in tensors if not (isinstance(e, Operation) and e.row.name == "shift")]
    if not 1 <= len(shifts) <= 3 or len(rest) != 2:
        return None
    for (x, data), (k, kernel) in (rest, rest[::-1]):
        along = [next((s for s in shifts if s[0] == i), None) for i in data]
        channels = sum(s is None for s in along)
        spatial = [s for s in along if s is not None]
        if len(spatial) != len(shifts) or channels > 1 or (channels and along[0] is not None):
            continue
        lead_kernel = (*(i for i in kernel[: 2 * channels]),)
        if channels and (len(lead_kernel) != 2 or lead_kernel[1] != data[0]):
            continue
        ends = kernel[2 * channels :]
        if len(ends) != len(spatial) or any(
            i not in s[1:] for i, s in zip(ends, spatial, strict=True)
        ):
            continue
        outs = tuple(s[1] if i == s[2] else s[2] for i, s in zip(ends, spatial, strict=True))
        if node.out == (*lead_kernel[:channels], *outs):
            forms = writer.forms
            return forms.call("conv", writer.form(x), writer.form(k), order=len(node.out))
    return None


def kronecker(writer: Writer, node: Operation, x: Contraction) -> Form | None:
    """``kron`` and ``khatrirao``, which are reshaped contractions."""
    forms = writer.forms
    tensors = [(e, legs) for e, legs in zip(x.operands, x.legs, strict=True) if legs]
    if any(not legs for legs in x.legs):
        return None
    parts = kron_parts(node)
    if parts is not None:
        written = []
        for members, where in parts:
            labels = tuple(x.out[p] for p in where)
            core, scalars, worked = writer.reduce(x, members, labels)
            if not worked or core is None:
                return None
            written.append(forms.product(1, scalars, core, []))
        return forms.call("kron", *written, order=node.ndim)
    if x.ndim == 3 and node.ndim == 2 and len(tensors) == 2 and node.shape[1] is x.shape[2]:
        i, j, r = x.out
        legs = {g: e for e, g in tensors}
        if len({i, j, r}) == 3 and set(legs) == {(i, r), (j, r)}:
            a, b = writer.form(legs[(i, r)]), writer.form(legs[(j, r)])
            return forms.call("khatrirao", a, b, order=2)
    return None

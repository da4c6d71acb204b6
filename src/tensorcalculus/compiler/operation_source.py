"""Source of table operations and their parameters."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from tensorcalculus.calculus.sweep import reverse
from tensorcalculus.compiler.contraction_source import factorized
from tensorcalculus.compiler.pairwise import Piece
from tensorcalculus.expr.dims import Dim, minimum
from tensorcalculus.expr.node import Expr, Operation, Scalar, Shape, Variable, walk
from tensorcalculus.expr.operations.matrix_functions import placeholder
from tensorcalculus.expr.operations.structural import Item, is_literal, room, spell_items

if TYPE_CHECKING:
    from tensorcalculus.compiler.source import Emitter

_SHOWN = 60
"""Longest text of an indexing that a message shows."""


def operation(w: Emitter, node: Operation) -> str:
    """The text of an operation applied to the texts of its arguments."""
    count_cost(w, node)
    special = _SPECIAL.get(node.row.name)
    if special is not None:
        return special(w, node)
    if node.row.name == "inv" and node.ndim == 2:
        return f"{factorized(w, node.args[0])}.inverse()"
    if node.row.name in ("logdet", "det") and node.args[0] in w.inverted:
        return f"{factorized(w, node.args[0])}.{node.row.name}()"
    args = [w.emit(a).text for a in node.args]
    params = {f"p{k}": parameter(w, p) for k, p in enumerate(node.params)}
    template = w.target.spell(node.row.kernel.replace("!r}", "}"))
    text = template.format(*args, **params)
    if node.row.part is not None:
        text = f"{w.name(text)}[{node.row.part}]"
    return text


def count_cost(w: Emitter, node: Operation) -> None:
    """About one operation an entry, or those of a decomposition as its row tells."""
    largest = max((node, *node.args), key=w.entries_of)
    arrays = len(node.args)
    w.cost.entrywise(arrays, max(arrays, 1), largest.shape, w.entries_of(largest))
    # Parts of one decomposition are computed together; some need factors that are there anyway.
    task = (node.row.kernel, node.args)
    known = task in w.decomposed or (
        node.row.name in ("logdet", "det") and node.args[0] in w.inverted
    )
    if node.row.cubic and node.args[0].ndim >= 2 and not known:
        w.decomposed.add(task)
        (*_, m, n) = node.args[0].shape
        dims = (*node.args[0].shape, minimum(m, n))
        w.cost.count(node.row.cubic, dims, prod(w.size(d) for d in dims))


def parameter(w: Emitter, p: object) -> str:
    if isinstance(p, Dim):
        return w.dim(p)
    if isinstance(p, (int, Fraction, float)):
        return number(p) if not isinstance(p, int) else str(p)
    if isinstance(p, str):
        return repr(p)
    raise TypeError(f"an operation has a parameter of type {type(p).__name__}")


def number(c: Scalar) -> str:
    """A constant as a float literal."""
    return repr(float(c))


# -- operations that a template cannot spell -----------------------------------------------------


def _reshape(w: Emitter, node: Operation) -> str:
    text = w.emit(node.args[0]).wrapped(3)
    return f"{text}.reshape({', '.join(w.dim(d) for d in node.shape) or '()'})"


def _slice(w: Emitter, node: Operation) -> str:
    text, items = w.emit(node.args[0]).wrapped(3), node.params[0]
    _check_room(w, node, node.args[0].shape, items)
    backwards = any(isinstance(i, tuple) and i[2] < 0 for i in items)
    if w.target.functional and backwards:
        return f"kernels.select({text}, np.s_[{_items(w, items)}{',' if len(items) == 1 else ''}])"
    return f"{text}[..., {_items(w, items)}]"


def _embed(w: Emitter, node: Operation) -> str:
    value, items = w.emit(node.args[0]).text, node.params[0]
    _check_room(w, node, node.shape, items)
    if w.target.functional:
        index = f"np.s_[{_items(w, items)}{',' if len(items) == 1 else ''}]"
        return f"kernels.embed({value}, {w.shape(node.shape)}, {index})"
    target = w.fresh(w.target.zeros(w.shape(node.shape)), w.entries_of(node))
    w.lines.append(f"{target}[..., {_items(w, items)}] = {value}")
    return target


def _check_room(w: Emitter, node: Operation, shape: Shape, items: tuple[Item, ...]) -> None:
    """Lines that refuse an axis too short for the numbers in an index.

    Frameworks would not: slices are cut, and JAX takes the last entry.  One source serves all sizes
    up to a power of two; where the smallest of them is long enough, nothing is written, so a call
    compares a length only if the index lies near the end of the axis or beyond it.
    """
    least = {s: 1 << n.bit_length() - 1 if n else 0 for s, n in w.sizes.items()}
    for d, item in zip(shape[len(shape) - len(items) :], items, strict=True):
        short = [
            left
            for left in (room(d, item) if is_literal(item) else ())
            if left.evaluate(least) < 0 or any(c < 0 for atoms, c in left.terms if atoms)
        ]
        # The ends of an item are numbers or lie numbers away from the end of the axis.
        low = max((n for left in short if (n := (d - left).value) is not None), default=None)
        high = min((n for left in short if (n := (d + left).value) is not None), default=None)
        for sign, bound, words in (("<", low, "at least"), (">", high, "at most")):
            test = f"if {w.dim(d)} {sign} {bound}:"
            if bound is not None and test not in w.lines:
                told = _shown(node).replace("{", "{{").replace("}", "}}")
                told += f" is outside of an axis of length {{{w.dim(d)}}}; expected {words} {bound}"
                w.lines += [test, f"    raise ValueError(f{told!r})"]


def _shown(node: Operation) -> str:
    """An indexing for people; a name of theirs stands in the source as a text only."""
    base, items = node.args[0], node.params[0]
    if node.row.name == "slice" and isinstance(base, Variable):
        return f"{base.name}[{spell_items(items)}]"
    text = str(node)
    return text if len(text) <= _SHOWN else f"[{spell_items(items)}]"


def _items(w: Emitter, items: tuple) -> str:
    parts = []
    for item in items:
        if isinstance(item, int):
            parts.append(str(item))
            continue
        start, stop, step = item
        first = w.dim(start) if isinstance(start, Dim) else str(start)
        last = "" if stop is None else w.dim(stop)
        parts.append(f"{first}:{last}:{step}" if step != 1 else f"{first}:{last}")
    return ", ".join(parts)


def _pattern(w: Emitter, node: Operation) -> str:
    """A fixed index tensor, of the type and on the device of the arguments."""
    params = ", ".join(parameter(w, p) for p in node.params)
    if w.target.functional:
        like = f", {w.arrays[0]}" if w.arrays else ""
        return f"kernels.{node.row.name}({params}{like})"
    return f"kernels.{node.row.name}({params}).astype(dtype, copy=False)"


def _spectral(w: Emitter, node: Operation) -> str:
    basis = w.name(f"spectral_kernels.eigh({w.emit(node.args[0]).text})")
    return f"factors.spectral({_function(w, node.params[0])}, *{basis})"


def _singular(w: Emitter, node: Operation) -> str:
    basis = w.name(f"spectral_kernels.svd({w.emit(node.args[0]).text})")
    f = _function(w, node.params[0])
    if node.row.name == "singular":
        return f"factors.singular({f}, *{basis})"
    return f"factors.singular({f}, {basis}[0], {basis}[1], {basis}[0])"


def _divided_difference(w: Emitter, node: Operation) -> str:
    f, count = node.params
    d = w.emit(node.args[0]).text
    return f"divided_difference({_functions(w, f, count + 2)}, {d}, {count})"


def _signed_difference(w: Emitter, node: Operation) -> str:
    f, parity, signs = node.params
    s = w.emit(node.args[0]).text
    return f"signed_difference({_functions(w, f, len(signs) + 1)}, {s}, {parity!r}, {signs!r})"


def _function(w: Emitter, f: Expr) -> str:
    """A scalar function of ``t`` as the name of a function defined in the source."""
    found = w.functions.get(f)
    if found is None:
        inner = type(w)([f], {}, list(w.dim_names), w.sizes, w.target)
        inner.arrays = ["t"]
        inner.values |= {n: Piece("t", ()) for n in walk(f) if isinstance(n, Variable)}
        body = inner.source().splitlines()[1:]
        if placeholder() not in inner.values:
            body[-1] = body[-1].replace("return ", "return 0 * t + ")
        found = w.functions[f] = f"f{len(w.functions)}"
        w.lines += [f"def {found}(t):", *(line for line in body if not line.startswith("    #"))]
    return found


def _functions(w: Emitter, f: Expr, count: int) -> str:
    """A function and its derivatives."""
    names = []
    for _ in range(count + 1):
        names.append(_function(w, f))
        (f,) = reverse(f, [placeholder()])
    return f"({', '.join(names)},)"


_SPECIAL: dict[str, Callable[[Emitter, Operation], str]] = {
    "reshape": _reshape,
    "slice": _slice,
    "embed": _embed,
    "lower": _pattern,
    "shift": _pattern,
    "spectral": _spectral,
    "singular": _singular,
    "singular_left": _singular,
    "divided_difference": _divided_difference,
    "signed_difference": _signed_difference,
}

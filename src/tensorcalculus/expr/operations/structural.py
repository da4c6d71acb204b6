"""Operations that move entries: reshape, slice and its adjoint, cumulative sums, fixed patterns."""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.dims import Dim, dim, show_shape, unify
from tensorcalculus.expr.node import Expr, Operation, Shape
from tensorcalculus.expr.operations.row import OperationRow, operation, register

Item = int | tuple["int | Dim", "Dim | None", int]
"""One axis of a slice: a position, or start, stop (None: the end) and step."""


def _count(shape: Shape) -> Dim:
    total = dim(1)
    for d in shape:
        total = total * d
    return total


def _reshape_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    (x,) = args
    lead = len(x.shape) - params[0]
    if unify(_count(x.shape[lead:]), _count(params[1])) is None:
        raise ShapeError(
            f"reshape: a tensor of shape {show_shape(x.shape[lead:])} has no "
            f"{show_shape(params[1])} arrangement; the number of entries differs"
        )
    return (*x.shape[:lead], *params[1])


def _reshape_transpose(node: Operation, k: int, g: Expr) -> Expr:
    count, shape = node.params
    old = node.args[0].shape
    return reshape(g, old[len(old) - count :], len(shape))


register(
    OperationRow(
        "reshape",
        _reshape_shape,
        "reshape",
        "row-major order, as NumPy",
        "linear",
        r"\operatorname{{reshape}}({})",
        transpose=_reshape_transpose,
        linear=(0,),
        spell=lambda name, args, params: f"reshape({','.join([*args, *map(str, params[1])])})",
        analytic=True,
    )
)


def reshape(x: Expr, shape: Shape, count: int | None = None) -> Expr:
    """The last ``count`` axes (all by default) of ``x`` rearranged, row-major, to ``shape``."""
    count = x.ndim if count is None else count
    lead = x.ndim - count
    if x.shape[lead:] == tuple(shape):
        return x
    if isinstance(x, Operation) and x.row.name == "reshape":
        inner = x.args[0]
        if len(x.params[1]) == count:
            return reshape(inner, shape, x.params[0])
    if count == 1 and len(shape) == 1:
        return x
    return operation("reshape", x, params=(count, tuple(shape)))


def _sizes(shape: Shape, items: tuple[Item, ...]) -> Shape:
    result = []
    for d, item in zip(shape, items, strict=True):
        if isinstance(item, int):
            known = d.value
            if known is not None and not -known <= item < known:
                raise ShapeError(f"index {item} is out of range for an axis of length {known}")
            continue
        start, stop, step = item
        if isinstance(start, Dim):
            result.append((d if stop is None else stop) - start)
        elif d.value is not None and (stop is None or stop.value is not None):
            end = None if stop is None else stop.value
            result.append(dim(len(range(*slice(start, end, step).indices(d.value)))))
        elif step == -1 and stop is None and start == -1:
            result.append(d)
        elif step == 1:
            first = dim(start) if start >= 0 else d + start
            last = d if stop is None else stop
            if last.value is not None and last.value < 0:
                last = d + last
            length = last - first
            result.append(dim(0) if (length.value or 0) < 0 else length)
        else:
            raise ShapeError(
                f"a slice with step {step} needs an axis of known length: declare it as a number"
            )
    return tuple(result)


def room(d: Dim, item: Item) -> list[Dim]:
    """What an axis of length ``d`` leaves at the ends of an item: negative where it does not fit.

    A slice of an axis of known length is cut to fit, as in Python.
    """
    if isinstance(item, int):
        return [d - item - 1 if item >= 0 else d + item]
    start, stop, step = item
    if step != 1 or (d.value is not None and is_literal(item)):
        return []
    first = start if isinstance(start, Dim) else dim(start) if start >= 0 else d + start
    last = d if stop is None else d + stop if (stop.value or 0) < 0 else stop
    whole = last - first
    return [d - last, first, d - first, *([whole] if whole.value is None else [])]


def is_literal(item: Item) -> bool:
    """Whether an item holds numbers only, no symbols."""
    return isinstance(item, int) or not (
        isinstance(item[0], Dim) or (item[1] is not None and item[1].value is None)
    )


def _slice_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    (x,) = args
    lead = len(x.shape) - len(params[0])
    return (*x.shape[:lead], *_sizes(x.shape[lead:], params[0]))


def _slice_transpose(node: Operation, k: int, g: Expr) -> Expr:
    (items,) = node.params
    shape = node.args[0].shape
    return operation("embed", g, params=(items, shape[len(shape) - len(items) :]))


def _embed_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    items, shape = params
    kept = sum(not isinstance(item, int) for item in items)
    return (*args[0].shape[: args[0].ndim - kept], *shape)


def _embed_transpose(node: Operation, k: int, g: Expr) -> Expr:
    return operation("slice", g, params=(node.params[0],))


def spell_items(items: tuple[Item, ...]) -> str:
    """The bracket of an indexing, ``0, 1:3, :``."""
    parts = []
    for item in items:
        if isinstance(item, int):
            parts.append(str(item))
            continue
        start, stop, step = item
        first = "" if start in (0 if step > 0 else -1,) else str(start)
        parts.append(f"{first}:{'' if stop is None else stop}" + (f":{step}" if step != 1 else ""))
    return ", ".join(parts)


register(
    OperationRow(
        "slice",
        _slice_shape,
        "slice",
        "positions inside the axis; 0-based, half-open, as Python",
        "linear",
        "{}",
        transpose=_slice_transpose,
        linear=(0,),
        spell=lambda name, args, params: f"{args[0]}[{spell_items(params[0])}]",
        analytic=True,
    )
)
register(
    OperationRow(
        "embed",
        _embed_shape,
        "embed",
        "the adjoint of indexing: zeros with the argument written into the slice",
        "linear",
        r"\operatorname{{embed}}({})",
        transpose=_embed_transpose,
        linear=(0,),
        spell=lambda name, args, params: (
            f'embed({args[0]},"{spell_items(params[0])}",{",".join(map(str, params[1]))})'
        ),
        analytic=True,
    )
)


def index(x: Expr, items: tuple[Item, ...]) -> Expr:
    """``x[items]`` over the first axes; the axes not named are kept whole."""
    if len(items) > x.ndim:
        raise ShapeError(f"{len(items)} indices are given for a {show_shape(x.shape)} tensor")
    full = (0, None, 1)
    items = (*items, *[full] * (x.ndim - len(items)))
    if all(item == full for item in items):
        return x
    return operation("slice", x, params=(items,))


def _same(args: tuple[Expr, ...], params: tuple) -> Shape:
    if not args[0].shape:
        raise ShapeError("cumsum takes a vector or a tensor, not a scalar")
    return args[0].shape


register(
    OperationRow(
        "cumsum",
        _same,
        "kernels.cumsum({0}, {p0})",
        "any tensor, along the last axis",
        "linear",
        r"\operatorname{{cumsum}}({})",
        transpose=lambda node, k, g: operation("cumsum", g, params=(1 - node.params[0],)),
        linear=(0,),
        spell=lambda name, args, params: f"{'rev' if params[0] else ''}cumsum({args[0]})",
        analytic=True,
    )
)
register(
    OperationRow(
        # lower(n, c): ones strictly below the diagonal, c on it.
        "lower",
        lambda args, params: (params[0], params[0]),
        "kernels.lower({p0}, {p1})",
        "a fixed matrix",
        "constant",
        r"\operatorname{{lower}}({p0}, {p1})",
        constant=True,
        spell=lambda name, args, params: f"lower({params[0]},{float(params[1]):g})",
    )
)
register(
    OperationRow(
        # P[i, o, j] = 1 where i = o + j: the index tensor of a valid convolution.
        "shift",
        lambda args, params: (params[0], params[0] - params[1] + 1, params[1]),
        "kernels.shift({p0}, {p1})",
        "a fixed sparse tensor",
        "constant",
        r"\operatorname{{shift}}({p0}, {p1})",
        constant=True,
    )
)
register(
    OperationRow(
        "pi",
        lambda args, params: (),
        "np.pi",
        "a number",
        "constant",
        r"\pi",
        constant=True,
        nonnegative=True,
        spell=lambda name, args, params: "pi",
    )
)


def lower(n: Dim, diagonal: Fraction | int) -> Expr:
    """The matrix with ones strictly below the diagonal and ``diagonal`` on it."""
    return operation("lower", params=(n, Fraction(diagonal)))

"""Builders for what people write: products, reductions, norms, patterns and tensor formats.

Everything here is a combination of nodes; the language, the Python operators and the NumPy
functions on symbols all end in these.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr import operations
from tensorcalculus.expr.combination import add, scale, zeros
from tensorcalculus.expr.contraction import contract, parts
from tensorcalculus.expr.dims import Dim, DimLike, dim, show_shape, unify
from tensorcalculus.expr.maps import apply, fill, power
from tensorcalculus.expr.node import Contraction, Expr, Number, Operation, Scalar, Shape, Size
from tensorcalculus.expr.operations import operation
from tensorcalculus.expr.operations.reductions import over_last_axis
from tensorcalculus.expr.operations.structural import reshape

__all__ = ["operations", "reshape", "zeros"]


def as_expr(value: Expr | Scalar) -> Expr:
    """A number as a node; a node as it is."""
    return value if isinstance(value, Expr) else Number(value)


def broadcast(e: Expr, shape: Shape) -> Expr:
    """``e`` repeated to ``shape``, axes aligned at the right as NumPy does."""
    if e.shape == shape:
        return e
    names = tuple(range(len(shape)))
    lead = len(shape) - e.ndim
    ones = [k for k in range(e.ndim) if e.shape[k].value == 1 and shape[lead + k].value != 1]
    if ones:
        items = tuple(0 if k in ones else (0, None, 1) for k in range(e.ndim))
        e = operation("slice", e, params=(items,))
    legs = [names[lead + k] for k in range(len(shape) - lead) if k not in ones]
    return contract([(e, legs)], names, dict(zip(names, shape, strict=True)))


def common_broadcast(what: str, a: Expr, b: Expr) -> Shape:
    """The shape two operands broadcast to; ShapeError names both shapes and the clash."""
    long, short = (a.shape, b.shape) if a.ndim >= b.ndim else (b.shape, a.shape)
    lead = len(long) - len(short)
    result = list(long[:lead])
    for p, q in zip(long[lead:], short, strict=True):
        d = p if q.value == 1 else q if p.value == 1 else unify(p, q)
        if d is None:
            raise ShapeError(
                f"{what}: operands have shapes {show_shape(a.shape)} and {show_shape(b.shape)}; "
                f"{p} and {q} clash"
            )
        result.append(d)
    return tuple(result)


def plus(a: Expr | Scalar, b: Expr | Scalar, sign: int = 1) -> Expr:
    """``a + sign*b`` with NumPy broadcasting."""
    a, b = as_expr(a), as_expr(b)
    if a.shape != b.shape:
        shape = common_broadcast("+" if sign > 0 else "-", a, b)
        a, b = broadcast(a, shape), broadcast(b, shape)
    return add([(1, a), (sign, b)])


def times(a: Expr | Scalar, b: Expr | Scalar) -> Expr:
    """The elementwise product with NumPy broadcasting."""
    a, b = as_expr(a), as_expr(b)
    if isinstance(a, Number):
        return scale(a.value, b)
    if isinstance(b, Number):
        return scale(b.value, a)
    if a.shape and b.shape:
        shape = common_broadcast("elementwise product", a, b)
        if any(d.value == 1 for d in (*a.shape, *b.shape)):
            a, b = broadcast(a, shape), broadcast(b, shape)
        n = len(shape)
        names = tuple(range(n))
        return contract([(a, names[n - a.ndim :]), (b, names[n - b.ndim :])], names)
    names = tuple(range(max(a.ndim, b.ndim)))
    return contract([(a, names[: a.ndim]), (b, names[: b.ndim])], names)


def over(a: Expr | Scalar, b: Expr | Scalar) -> Expr:
    """``a./b`` with NumPy broadcasting."""
    return times(a, power(as_expr(b), -1))


def raised(a: Expr | Scalar, b: Expr | Scalar) -> Expr:
    """``a.^b``, elementwise, with NumPy broadcasting."""
    a, b = as_expr(a), as_expr(b)
    if a.shape and b.shape:
        shape = common_broadcast("power", a, b)
        a, b = broadcast(a, shape), broadcast(b, shape)
    return power(a, b)


def matmul(a: Expr, b: Expr) -> Expr:
    """The matrix product of NumPy's ``@``: vectors are vectors, leading axes broadcast."""
    if not a.ndim or not b.ndim:
        raise ShapeError("@ joins vectors, matrices and tensors; for a scalar write *")
    inner, other = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[-1]
    if unify(inner, other) is None:
        raise ShapeError(
            f"matrix product: operands have shapes {show_shape(a.shape)} and "
            f"{show_shape(b.shape)}; the inner dimensions {inner} and {other} clash"
        )
    rows, columns = a.ndim > 1, b.ndim > 1
    lead_a, lead_b = max(a.ndim - 2, 0), max(b.ndim - 2, 0)
    lead = tuple(range(max(lead_a, lead_b)))
    first = (*lead[len(lead) - lead_a :], *(["i"] if rows else []), "k")
    second = (*lead[len(lead) - lead_b :], "k", *(["j"] if columns else []))
    out = (*lead, *(["i"] if rows else []), *(["j"] if columns else []))
    return contract([(a, first), (b, second)], out)


def transpose(a: Expr, axes: Sequence[int] | None = None) -> Expr:
    """Axes permuted; all reversed where ``axes`` is not given."""
    order = tuple(range(a.ndim))
    if axes is None:
        axes = order[::-1]
    axes = tuple(k + a.ndim if k < 0 else k for k in axes)
    if sorted(axes) != list(order):
        raise ShapeError(f"axes {list(axes)} do not permute a {show_shape(a.shape)} tensor")
    return contract([(a, order)], axes)


def matrix_power(a: Expr, exponent: int) -> Expr:
    """``A^k`` for an integer ``k``, by repeated squaring where ``k`` is large."""
    if a.ndim != 2 or unify(*a.shape) is None:
        raise ShapeError(f"a matrix power takes a square matrix, not {show_shape(a.shape)}")
    if exponent < 0:
        return matrix_power(operation("inv", a), -exponent)
    if exponent == 0:
        return eye(a.shape[0])
    if exponent > 10**6:
        raise ShapeError(f"the matrix power {exponent} is beyond the largest accepted, 1000000")
    if exponent <= 8:
        return contract([(a, (k, k + 1)) for k in range(exponent)], (0, exponent))
    result, base = None, a
    while exponent:
        if exponent & 1:
            result = base if result is None else matmul(result, base)
        exponent >>= 1
        if exponent:
            base = matmul(base, base)
    assert result is not None
    return result


def total(a: Expr, axis: int | Sequence[int] | None = None) -> Expr:
    """The sum over all entries, or over the given axes."""
    names = tuple(range(a.ndim))
    gone = _axes(a, axis)
    return contract([(a, names)], [k for k in names if k not in gone])


def _axes(a: Expr, axis: int | Sequence[int] | None) -> set[int]:
    if axis is None:
        return set(range(a.ndim))
    given = [axis] if isinstance(axis, int) else list(axis)
    for k in given:
        if not -a.ndim <= k < a.ndim:
            raise ShapeError(f"axis {k} does not exist in a {show_shape(a.shape)} tensor")
    return {k % a.ndim for k in given}


def mean(a: Expr, axis: int | Sequence[int] | None = None) -> Expr:
    """The arithmetic mean over all entries, or over the given axes."""
    result = total(a, axis)
    for k in sorted(_axes(a, axis)):
        d = a.shape[k]
        result = scale(Fraction(1, d.value), result) if d.value else over(result, Size(d))
    return result


def variance(a: Expr, axis: int | Sequence[int] | None = None) -> Expr:
    """The population variance ``mean((x-mean(x))^2)``, as NumPy's ``var``."""
    centre = mean(a, axis)
    kept = [k for k in range(a.ndim) if k not in _axes(a, axis)]
    names = tuple(range(a.ndim))
    spread = contract([(centre, kept)], names, dict(zip(names, a.shape, strict=True)))
    return mean(power(plus(a, spread, -1), 2), axis)


def trace(a: Expr) -> Expr:
    """The sum of the diagonal of a square matrix."""
    if a.ndim != 2 or unify(*a.shape) is None:
        raise ShapeError(f"tr takes a square matrix; the one given is {show_shape(a.shape)}")
    return contract([(a, "ii")], "")


def diag(a: Expr) -> Expr:
    """The diagonal matrix of a vector, or the diagonal of a square matrix."""
    if a.ndim == 1:
        return contract([(a, "i")], "ii")
    if a.ndim != 2 or unify(*a.shape) is None:
        raise ShapeError(f"diag takes a vector or a square matrix, not {show_shape(a.shape)}")
    return contract([(a, "ii")], "i")


def outer(*factors: Expr) -> Expr:
    """The tensor product: the axes of the factors one after another."""
    names, parts = 0, []
    for a in factors:
        parts.append((a, tuple(range(names, names + a.ndim))))
        names += a.ndim
    return contract(parts, tuple(range(names)))


def inner(a: Expr, b: Expr) -> Expr:
    """The Frobenius product ``A:B``, the sum of products of entries."""
    if a.ndim != b.ndim or any(unify(p, q) is None for p, q in zip(a.shape, b.shape, strict=True)):
        raise ShapeError(
            f"the Frobenius product A:B joins tensors of one shape; given are "
            f"{show_shape(a.shape)} and {show_shape(b.shape)}"
        )
    names = tuple(range(a.ndim))
    return contract([(a, names), (b, names)], ())


def kron(a: Expr, b: Expr) -> Expr:
    """The Kronecker product of two matrices, or of two vectors."""
    if a.ndim != b.ndim or a.ndim not in (1, 2):
        raise ShapeError(
            f"kron takes two matrices or two vectors, not {show_shape(a.shape)} "
            f"and {show_shape(b.shape)}"
        )
    shape = tuple(p * q for p, q in zip(a.shape, b.shape, strict=True))
    if a.ndim == 1:
        return reshape(contract([(a, "i"), (b, "k")], "ik"), shape)
    return reshape(contract([(a, "ij"), (b, "kl")], "ikjl"), shape)


def kron_parts(e: Expr) -> list[tuple[list, tuple[int, ...]]] | None:
    """The parts of the network that ``e`` reshapes, and their places, where it is a ``kron``."""
    if not isinstance(e, Operation) or e.row.name != "reshape" or e.ndim not in (1, 2):
        return None
    x, n = e.args[0], e.ndim
    if not isinstance(x, Contraction) or x.ndim != 2 * n or e.params[0] != 2 * n:
        return None
    found = sorted(parts(x), key=lambda p: p[1])
    expected = [(0, 2), (1, 3)] if n == 2 else [(0,), (1,)]
    joined = e.shape[0] is x.shape[0] * x.shape[1]
    return found if joined and [places for _, places in found] == expected else None


def khatrirao(a: Expr, b: Expr) -> Expr:
    """The column-wise Kronecker product, ``(m, r)`` and ``(n, r)`` to ``(m*n, r)``."""
    if a.ndim != 2 or b.ndim != 2 or unify(a.shape[1], b.shape[1]) is None:
        raise ShapeError(
            "khatrirao takes two matrices with equally many columns, not "
            f"{show_shape(a.shape)} and {show_shape(b.shape)}"
        )
    joined = contract([(a, "ir"), (b, "jr")], "ijr")
    return reshape(joined, (a.shape[0] * b.shape[0], a.shape[1]))


def vec(a: Expr) -> Expr:
    """The columns of a matrix one below another: ``vec(A*X*B) = kron(B',A)*vec(X)``."""
    flat = transpose(a) if a.ndim > 1 else a
    count = dim(1)
    for d in a.shape:
        count = count * d
    return reshape(flat, (count,))


def unfold(a: Expr, mode: int) -> Expr:
    """The mode-``n`` unfolding ``T_(n)`` of Kolda and Bader (2009), section 2.4; modes from 1.

    Columns run through the other modes with the first of them fastest.
    """
    if not 1 <= mode <= a.ndim:
        raise ShapeError(f"unfold: mode {mode} does not exist in a {show_shape(a.shape)} tensor")
    rest = [k for k in range(a.ndim) if k != mode - 1][::-1]
    count = dim(1)
    for k in rest:
        count = count * a.shape[k]
    return reshape(transpose(a, [mode - 1, *rest]), (a.shape[mode - 1], count))


def eye(n: DimLike, m: DimLike | None = None) -> Expr:
    """The identity matrix."""
    n = dim(n)
    if m is not None and unify(n, dim(m)) is None:
        raise ShapeError(f"eye is square; {n} and {m} are given")
    return contract([], ("i", "i"), {"i": n})


def ones(*shape: DimLike) -> Expr:
    """The tensor of ones."""
    return fill(Number(1), tuple(dim(d) for d in shape))


def einsum(spec: str, *operands: Expr) -> Expr:
    """Einstein summation with NumPy's subscripts; output labels may repeat (a diagonal)."""
    text = spec.replace(" ", "")
    if text.count("->") != 1 and "->" in text:
        raise ShapeError(f"einsum: one '->' is expected in {spec!r}")
    inputs, arrow, out = text.partition("->")
    names = inputs.split(",") if inputs or operands else []
    if len(names) != len(operands):
        raise ShapeError(f"einsum: {spec!r} names {len(names)} operands, {len(operands)} are given")
    if not all(c.isalpha() for c in "".join(names) + out):
        raise ShapeError(f"einsum: {spec!r} may hold letters, ',' and '->' only")
    if not arrow:
        joined = "".join(names)
        out = "".join(sorted(c for c in set(joined) if joined.count(c) == 1))
    known: dict[str, tuple[Dim, int]] = {}
    for k, (a, labels) in enumerate(zip(operands, names, strict=True)):
        if len(labels) != a.ndim:
            raise ShapeError(
                f"einsum: operand {k + 1} of shape {show_shape(a.shape)} has {a.ndim} axes, "
                f"{labels!r} names {len(labels)}"
            )
        for c, d in zip(labels, a.shape, strict=True):
            if c in known and unify(known[c][0], d) is None:
                raise ShapeError(
                    f"einsum: index {c!r} is {known[c][0]} in operand {known[c][1]} and {d} in "
                    f"operand {k + 1}"
                )
            known.setdefault(c, (d, k + 1))
    missing = [c for c in out if c not in known]
    if missing:
        raise ShapeError(f"einsum: output index {missing[0]!r} stands on no operand")
    return contract(list(zip(operands, names, strict=True)), out)


def cp(*factors: Expr) -> Expr:
    """The CP tensor ``[[A, B, C]]``: sum over r of the outer products of columns."""
    for a in factors:
        if a.ndim != 2 or unify(a.shape[1], factors[0].shape[1]) is None:
            shapes = ", ".join(show_shape(a.shape) for a in factors)
            raise ShapeError(f"cp takes matrices with equally many columns, not {shapes}")
    return contract([(a, (k, "r")) for k, a in enumerate(factors)], tuple(range(len(factors))))


def tucker(core: Expr, *factors: Expr) -> Expr:
    """The Tucker tensor: every mode of the core multiplied by a matrix."""
    if core.ndim != len(factors) or any(
        a.ndim != 2 or unify(a.shape[1], d) is None
        for a, d in zip(factors, core.shape, strict=False)
    ):
        shapes = ", ".join(show_shape(a.shape) for a in factors)
        raise ShapeError(
            f"tucker takes a core of shape {show_shape(core.shape)} and one matrix a mode with as "
            f"many columns, not {shapes}"
        )
    legs = [("r", k) for k in range(core.ndim)]
    factors_with_legs = [(a, (k, ("r", k))) for k, a in enumerate(factors)]
    return contract([(core, legs), *factors_with_legs], tuple(range(core.ndim)))


def tt(*cores: Expr) -> Expr:
    """The tensor train: each core joined to the next along its last axis."""
    parts, out = [], []
    for k, core in enumerate(cores):
        ends = (k > 0) + (k < len(cores) - 1)
        if core.ndim != 1 + ends:
            raise ShapeError(
                f"tt: core {k + 1} of {len(cores)} has shape {show_shape(core.shape)}; "
                f"{1 + ends} axes are expected"
            )
        if k and unify(cores[k - 1].shape[-1], core.shape[0]) is None:
            raise ShapeError(
                f"tt: ranks {cores[k - 1].shape[-1]} and {core.shape[0]} of cores {k} and {k + 1} "
                "clash"
            )
        legs: list = [k]
        if k > 0:
            legs.insert(0, ("r", k))
        if k < len(cores) - 1:
            legs.append(("r", k + 1))
        parts.append((core, legs))
        out.append(k)
    return contract(parts, out)


def conv(x: Expr, kernel: Expr) -> Expr:
    """The valid convolution of layers (no flip): ``y[o] = sum_j x[o+j]*k[j]``.

    ``x`` has 1 to 3 spatial axes; with channels ``x`` is ``(c, ...)`` and the kernel
    ``(out, c, ...)``, the result ``(out, ...)``.  It is a network: ``x`` and the kernel joined by
    the sparse index tensor ``P[i,o,j] = [i = o+j]``, one for each spatial axis.
    """
    channels = kernel.ndim == x.ndim + 1
    spatial = x.ndim - channels
    if not 1 <= spatial <= 3 or kernel.ndim != x.ndim + channels:
        raise ShapeError(
            "conv takes x of 1 to 3 axes and a kernel of as many, or x with a channel axis first "
            f"and a kernel (out, in, ...); given are {show_shape(x.shape)} and "
            f"{show_shape(kernel.shape)}"
        )
    if channels and unify(x.shape[0], kernel.shape[1]) is None:
        raise ShapeError(f"conv: {x.shape[0]} channels in x, {kernel.shape[1]} in the kernel")
    axes = range(spatial)
    lead = ["c"] if channels else []
    parts = [
        (x, [*lead, *(("i", a) for a in axes)]),
        (kernel, [*(["f"] if channels else []), *lead, *(("j", a) for a in axes)]),
    ]
    for a in axes:
        n, w = x.shape[channels + a], kernel.shape[2 * channels + a]
        if n.value is not None and w.value is not None and w.value > n.value:
            raise ShapeError(f"conv: the kernel ({w}) is longer than the data ({n})")
        parts.append((operation("shift", params=(n, w)), [("i", a), ("o", a), ("j", a)]))
    return contract(parts, [*(["f"] if channels else []), *(("o", a) for a in axes)])


def norm1(a: Expr) -> Expr:
    """The sum of absolute values."""
    return total(apply("abs", a))


def norm2(a: Expr) -> Expr:
    """The Euclidean norm of a vector, the Frobenius norm of a matrix or tensor."""
    return power(total(power(a, 2)), Fraction(1, 2))


def log_softmax(a: Expr) -> Expr:
    """``x - logsumexp(x)`` along the last axis."""
    names = tuple(range(a.ndim))
    shift = contract(
        [(operation("logsumexp", a), names[:-1])], names, dict(zip(names, a.shape, strict=True))
    )
    return plus(a, shift, -1)


def maximum_of(a: Expr, axis: int | None = None) -> Expr:
    """The largest entry, over all axes or one."""
    return over_last_axis("max", a, axis) if a.ndim else a


def minimum_of(a: Expr, axis: int | None = None) -> Expr:
    """The smallest entry, over all axes or one."""
    return scale(-1, maximum_of(scale(-1, a), axis))


def product_of(a: Expr, axis: int | None = None) -> Expr:
    """The product of the entries, over all axes or one."""
    return over_last_axis("prod", a, axis, (0,)) if a.ndim else a

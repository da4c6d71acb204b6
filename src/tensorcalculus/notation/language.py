"""The functions of the input language: names, signatures, and what they build."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tensorcalculus.errors import ParseError, ShapeError, UnknownNameError, nearest
from tensorcalculus.expr import build
from tensorcalculus.expr.arithmetic import normal_items
from tensorcalculus.expr.dims import dim, resolve, show_shape, unify
from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.maps import apply, fill, power
from tensorcalculus.expr.node import Expr, Number, variables_of
from tensorcalculus.expr.operations import OPERATIONS, matrix_functions, operation, spectral
from tensorcalculus.notation import syntax

if TYPE_CHECKING:
    from tensorcalculus.notation.elaborate import Reading, Value


@dataclass(frozen=True, slots=True)
class Word:
    """A function of the language that is built from others."""

    name: str
    arguments: str
    meaning: str
    build: Callable[..., Expr]
    least: int
    most: int | None
    pointwise: bool = False
    """Keeps a row a row."""
    axis: bool = False
    """Takes ``axis=k``."""


WORDS: dict[str, Word] = {}


def _word(
    name: str,
    arguments: str,
    meaning: str,
    rule: Callable[..., Expr],
    **more: Any,
) -> None:
    names = [a for a in arguments.split(", ") if a and not a.startswith("[")]
    open_ended = "..." in arguments
    WORDS[name] = Word(
        name,
        arguments,
        meaning,
        rule,
        len(names) - 2 * open_ended if open_ended else len(names),
        None if open_ended else len(arguments.split(", ")) if arguments else 0,
        **more,
    )


def _hadamard(*factors: Expr) -> Expr:
    result = factors[0]
    for f in factors[1:]:
        if f.shape != result.shape and f.ndim and result.ndim and f.ndim != result.ndim:
            raise ShapeError("hadamard takes tensors of one shape")
        result = build.times(result, f)
    return result


def _one_shape(name: str, args: Sequence[Expr]) -> None:
    """Refuse tensors of different shapes; scalars go with all."""
    tensors = [a for a in args if a.ndim]
    for a in tensors[1:]:
        shapes = zip(a.shape, tensors[0].shape, strict=False)
        if a.ndim != tensors[0].ndim or any(unify(p, q) is None for p, q in shapes):
            raise ShapeError(f"{name} takes tensors of one shape, and scalars")


def _of_two(name: str, a: Expr, b: Expr, axis: int | None) -> Expr:
    if axis is not None:
        raise ParseError(f"{name} of two arguments goes entry by entry, without axis")
    _one_shape(name, (a, b))
    return apply(name, a, b)


def _maximum(a: Expr, b: Expr | None = None, axis: int | None = None) -> Expr:
    if b is Number(0) and axis is None:
        return apply("relu", a)
    return build.maximum_of(a, axis) if b is None else _of_two("maximum", a, b, axis)


def _minimum(a: Expr, b: Expr | None = None, axis: int | None = None) -> Expr:
    if b is Number(0) and axis is None:
        return build.scale(-1, apply("relu", build.scale(-1, a)))
    return build.minimum_of(a, axis) if b is None else _of_two("minimum", a, b, axis)


def _logsumexp(a: Expr, axis: int | None = None) -> Expr:
    from tensorcalculus.expr.operations.reductions import over_last_axis

    return over_last_axis("logsumexp", a, axis)


def _ratio(function: str, base: int) -> Callable[[Expr], Expr]:
    return lambda a: build.over(apply(function, a), apply(function, base))


_word("sqrt", "x", "square root", lambda a: power(a, Fraction(1, 2)), pointwise=True)
_word("square", "x", "square", lambda a: power(a, 2), pointwise=True)
_word("cbrt", "x", "cube root (x >= 0)", lambda a: power(a, Fraction(1, 3)), pointwise=True)
_word("exp2", "x", "2 to the power x", lambda a: power(Number(2), a), pointwise=True)
_word("log2", "x", "logarithm to base 2", _ratio("log", 2), pointwise=True)
_word("log10", "x", "logarithm to base 10", _ratio("log", 10), pointwise=True)
_word(
    "logsigmoid", "x", "log(sigmoid(x)) = -softplus(-x)",
    lambda a: build.scale(-1, apply("softplus", build.scale(-1, a))), pointwise=True,
)  # fmt: skip
_word("hadamard", "A, B, ...", "product entry by entry", _hadamard, pointwise=True)
_word("sum", "x", "sum of all entries, or along axis=k", build.total, axis=True)
_word("mean", "x", "mean of all entries, or along axis=k", build.mean, axis=True)
_word("var", "x", "population variance, or along axis=k", build.variance, axis=True)
_word("max", "x, [y]", "largest entry (along axis=k); of two, entry by entry", _maximum, axis=True)
_word("min", "x, [y]", "smallest entry (along axis=k); of two, entry by entry", _minimum, axis=True)
_word("prod", "x", "product of all entries, or along axis=k", build.product_of, axis=True)
_word("logsumexp", "x", "log(sum(exp(x))) over all entries, or along axis=k", _logsumexp, axis=True)
_word("norm1", "x", "sum of absolute values", build.norm1)
_word("norm2", "x", "Euclidean norm; Frobenius norm of a matrix or tensor", build.norm2)
_word("tr", "A", "trace", build.trace)
_word("diag", "x", "diagonal matrix of a vector; diagonal of a matrix", build.diag)
_word("vec", "A", "columns one below another", build.vec)
_word("outer", "x, y, ...", "tensor product", build.outer)
_word("kron", "A, B", "Kronecker product", build.kron)
_word("khatrirao", "A, B", "column-wise Kronecker product", build.khatrirao)
_word("cp", "A, B, ...", "CP tensor [[A, B, ...]]", build.cp)
_word("tucker", "G, A, ...", "Tucker tensor with core G", build.tucker)
_word("tt", "A, B, ...", "tensor train of cores", build.tt)
_word("conv", "x, k", "valid convolution of layers, 1 to 3 axes, channels first", build.conv)
_word("solve", "A, b", "inv(A)*b", lambda a, b: build.matmul(operation("inv", a), b))
_word("log_softmax", "x", "x-logsumexp(x) along the last axis", build.log_softmax, pointwise=True)
_word("transpose", "T", "all axes reversed", build.transpose)
_word(
    "softmax", "x", "softmax along the last axis", lambda a: operation("softmax", a), pointwise=True
)
_word("cumsum", "x", "running sum, last axis", lambda a: operation("cumsum", a, params=(0,)),
      pointwise=True)  # fmt: skip
_word("revcumsum", "x", "running sum from the end", lambda a: operation("cumsum", a, params=(1,)),
      pointwise=True)  # fmt: skip

for _name in [
    "inv",
    "det",
    "logdet",
    "pinv",
    "chol",
    "expm",
    "logm",
    "sqrtm",
    "cofactor",
    "eigvalsh",
    "eigh_V",
    "svdvals",
    "svd_U",
    "svd_V",
    "qr_Q",
    "qr_R",
    "reciprocal0",
    "sign0",
    "argmax_share",
]:
    _row = OPERATIONS[_name]
    _word(_name, "A", _row.domain, lambda a, name=_name: operation(name, a))
_word("degenerate_check", "g, d", OPERATIONS["degenerate_check"].domain,
      lambda g, d: operation("degenerate_check", g, d))  # fmt: skip
for _name in ("expm", "logm", "sqrtm"):
    _word(f"frechet_{_name}", "A, E", f"derivative of {_name} at A in direction E",
          lambda a, e, name=_name: operation("frechet", a, e, params=(name,)))  # fmt: skip


# -- words whose arguments are not all expressions ------------------------------------------------


def _sizes(reading: Reading, node: syntax.Call, least: int, most: int) -> list:
    if node.options or not least <= len(node.args) <= most:
        raise ParseError(f"{node.name} takes {least} to {most} sizes, as in {node.name}(m, n)")
    return [reading.dimension(a) for a in node.args]


def _read_eye(reading: Reading, node: syntax.Call) -> Expr:
    return build.eye(*_sizes(reading, node, 1, 2))


def _read_ones(reading: Reading, node: syntax.Call) -> Expr:
    return build.ones(*_sizes(reading, node, 1, 12))


def _read_zeros(reading: Reading, node: syntax.Call) -> Expr:
    return build.zeros(tuple(_sizes(reading, node, 1, 12)))


def _read_filled(reading: Reading, node: syntax.Call) -> Expr:
    """``vector(c)`` and ``matrix(c)``: a constant of the size that the formula needs."""
    (value,) = _expressions(reading, node, 1)
    if value.ndim:
        raise ParseError(f"{node.name} takes a number, as in {node.name}(1)")
    names = ["r"] if node.name == "vector" else ["r", "c"]
    return fill(value, tuple(reading.fresh(node, mark) for mark in names))


def _expressions(reading: Reading, node: syntax.Call, count: int | None = None) -> list[Expr]:
    if count is not None and len(node.args) != count:
        raise ParseError(f"{node.name} takes {count} argument(s), {len(node.args)} are given")
    return [reading.value(a).expr for a in node.args]


def _literal(node: syntax.Node, what: str) -> int:
    sign = 1
    if isinstance(node, syntax.Negative):
        node, sign = node.arg, -1
    if not isinstance(node, syntax.Num) or node.value.denominator != 1:
        raise ParseError(f"{what} is an integer")
    return sign * int(node.value)


def _text(node: syntax.Call, position: int) -> str:
    given = node.args[position] if position < len(node.args) else None
    if not isinstance(given, syntax.Text):
        raise ParseError(f'argument {position + 1} of {node.name} is a text in quotes, "..."')
    return given.value


def _read_einsum(reading: Reading, node: syntax.Call) -> Expr:
    spec = _text(node, 0)
    if len(spec) > 300:
        raise ParseError("the subscripts of einsum are longer than 300 characters")
    return build.einsum(spec, *[reading.value(a).expr for a in node.args[1:]])


def _read_reshape(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) < 2:
        raise ParseError("reshape takes a tensor and its new sizes, as in reshape(x, m, n)")
    x = reading.value(node.args[0]).expr
    return build.reshape(x, tuple(reading.dimension(a) for a in node.args[1:]))


def _read_unfold(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 2:
        raise ParseError("unfold takes a tensor and a mode from 1, as in unfold(T, 1)")
    return build.unfold(reading.value(node.args[0]).expr, _literal(node.args[1], "the mode"))


def _read_prod_except(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 2:
        raise ParseError("prod_except takes a vector and the number of entries left out")
    order = _literal(node.args[1], "the number of entries left out")
    if not 0 <= order <= 8:
        raise ParseError("prod_except leaves out 0 to 8 entries")
    return operation("prod", reading.value(node.args[0]).expr, params=(order,))


def _read_lower(reading: Reading, node: syntax.Call) -> Expr:
    from tensorcalculus.expr.operations.structural import lower

    if len(node.args) != 2 or not isinstance(node.args[1], syntax.Num):
        raise ParseError("lower takes a size and the number on the diagonal, as in lower(n, 0.5)")
    return lower(reading.dimension(node.args[0]), node.args[1].value)


def _read_shift(reading: Reading, node: syntax.Call) -> Expr:
    return operation("shift", params=tuple(_sizes(reading, node, 2, 2)))


def _read_size(reading: Reading, node: syntax.Call) -> Expr:
    from tensorcalculus.expr.node import Size

    (d,) = _sizes(reading, node, 1, 1)
    return Size(d) if d.value is None else Number(d.value)


def _read_gap(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 3:
        raise ParseError("gap_multiply takes M, d and 0 or 1")
    m, d = (reading.value(a).expr for a in node.args[:2])
    return operation("gap_multiply", m, d, params=(_literal(node.args[2], "the last argument"),))


def _read_embed(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) < 3:
        raise ParseError('embed takes a tensor, a slice and sizes, as in embed(g, "0:2", n)')
    shape = tuple(reading.dimension(a) for a in node.args[2:])
    items: list[Any] = []
    for part in _parts(_text(node, 1)):
        pieces = [_bound(p.strip()) for p in part.split(":")]
        if len(pieces) == 1 and isinstance(pieces[0], int):
            items.append(pieces[0])
        elif len(pieces) in (2, 3):
            step = pieces[2] if len(pieces) == 3 and pieces[2] is not None else 1
            start = pieces[0] if pieces[0] is not None else (0 if step > 0 else -1)
            items.append((start, None if pieces[1] is None else dim(pieces[1]), step))
        else:
            raise ParseError(f"{part.strip()!r} is not a position or a slice")
    return operation("embed", reading.value(node.args[0]).expr, params=(tuple(items), shape))


def _parts(text: str) -> list[str]:
    """A text split at its commas, those inside parentheses left alone."""
    parts, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _bound(text: str) -> Any:
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else dim(text)


def _read_slice(reading: Reading, node: syntax.Call) -> Expr:
    """``slice(x, "0:n, :")``: an index whose bounds are symbolic sizes."""
    x = reading.value(node.args[0]).expr
    inner = syntax.Call("embed", (node.args[0], *node.args[1:]), (), start=node.start, end=node.end)
    items: list[Any] = []
    for part in _parts(_text(inner, 1)):
        pieces = [_bound(p.strip()) for p in part.split(":")]
        if len(pieces) == 1:
            items.append(pieces[0])
        else:
            if len(pieces) != 2:
                raise ParseError("slice takes start and end of each axis, without a step")
            items.append((pieces[0] or 0, None if pieces[1] is None else dim(pieces[1]), 1))
    return operation("slice", x, params=(tuple(items),))


def _function_of_t(reading: Reading, node: syntax.Call) -> Expr:
    from tensorcalculus.notation.elaborate import parse

    f = parse(_text(node, 0), {"t": matrix_functions.placeholder()})  # type: ignore[dict-item]
    if f.ndim or set(variables_of(f)) - {"t"}:
        raise ParseError(f"{node.name} takes a function of the scalar t alone, as in exp(2*t)")
    return f


def _read_spectral(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 2:
        raise ParseError('spectral takes a function of t and a matrix: spectral("exp(t)", A)')
    return matrix_functions.spectral(
        _function_of_t(reading, node), reading.value(node.args[1]).expr
    )


def _read_divided(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 3:
        raise ParseError("divided_difference takes a function of t, a vector and an order")
    params = (_function_of_t(reading, node), _literal(node.args[2], "the order"))
    return operation("divided_difference", reading.value(node.args[1]).expr, params=params)


def _read_singular(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 2:
        raise ParseError(f'{node.name} takes a function of t and a matrix: {node.name}("t^3", A)')
    a = reading.value(node.args[1]).expr
    return operation(node.name, a, params=(_function_of_t(reading, node),))


def _read_signed(reading: Reading, node: syntax.Call) -> Expr:
    if len(node.args) != 4:
        raise ParseError("signed_difference takes a function of t, a vector, a parity and signs")
    parity, signs = _text(node, 2), _text(node, 3)
    if parity not in ("odd", "even") or not 0 < len(signs) <= 8 or set(signs) - set("+-"):
        raise ParseError('signed_difference is called as signed_difference("tanh(t)",s,"odd","+-")')
    params = (_function_of_t(reading, node), parity, signs)
    return operation("signed_difference", reading.value(node.args[1]).expr, params=params)


SPECIAL: dict[str, tuple[str, str, Callable[[Any, syntax.Call], Expr]]] = {
    "einsum": ('"ij,j->i", A, x', "Einstein summation with NumPy's subscripts", _read_einsum),
    "reshape": ("x, m, n", "the same entries in another shape, row-major", _read_reshape),
    "unfold": ("T, k", "mode-k unfolding T_(k) (Kolda and Bader), modes from 1", _read_unfold),
    "eye": ("n", "identity matrix; without a size it takes the one it needs", _read_eye),
    "ones": ("m, n", "tensor of ones", _read_ones),
    "zeros": ("m, n", "tensor of zeros", _read_zeros),
    "vector": ("1", "constant vector of the size it needs", _read_filled),
    "matrix": ("1", "constant matrix of the size it needs", _read_filled),
    "size": ("n", "a dimension as a number", _read_size),
    "prod_except": ("x, k", "products over all entries but k distinct ones", _read_prod_except),
    "lower": ("n, c", "ones below the diagonal, c on it", _read_lower),
    "shift": ("n, w", "index tensor of a convolution, [i = o+j]", _read_shift),
    "gap_multiply": ("M, d, 0", OPERATIONS["gap_multiply"].domain, _read_gap),
    "embed": ('g, "0:2", n', OPERATIONS["embed"].domain, _read_embed),
    "slice": ('x, "0:n"', "an index whose bounds are sizes", _read_slice),
    "spectral": ('"exp(t)", A', OPERATIONS["spectral"].domain, _read_spectral),
    "divided_difference": (
        '"exp(t)", d, 1', OPERATIONS["divided_difference"].domain, _read_divided),
    "singular": ('"tanh(t)", A', OPERATIONS["singular"].domain, _read_singular),
    "singular_left": ('"t^4", A', OPERATIONS["singular_left"].domain, _read_singular),
    "signed_difference": (
        '"tanh(t)", s, "odd", "+-"', OPERATIONS["signed_difference"].domain, _read_signed),
}  # fmt: skip

DECOMPOSITIONS = {
    "svd": {"U": "svd_U", "s": "svdvals", "V": "svd_V"},
    "eigh": {"d": "eigvalsh", "V": "eigh_V"},
    "qr": {"Q": "qr_Q", "R": "qr_R"},
}
"""Words with several results: the letters that people give these, and the rows of the table."""

_ELSEWHERE = {
    "trace": "tr", "norm": "norm2", "fro": "norm2", "inverse": "inv", "identity": "eye",
    "determinant": "det", "slogdet": "logdet", "cholesky": "chol", "eig": "eigvalsh",
    "eigvals": "eigvalsh", "std": "sqrt(var(x))", "dot": "x'*y", "matmul": "A*B", 
    "nuclear": "sum(svdvals(A))", "lse": "logsumexp", "flatten": "vec",
}  # fmt: skip
"""What functions of other programs are called here."""


def names() -> list[str]:
    """All function names of the language."""
    scalar = [n for n, row in FUNCTIONS.items() if row.spoken and n not in ("pow",)]
    return sorted({*scalar, *WORDS, *SPECIAL, *DECOMPOSITIONS})


def call(reading: Reading, node: syntax.Call) -> Value:
    """The value of a function call in a formula."""
    from tensorcalculus.notation.elaborate import Value

    name = node.name
    if name in SPECIAL:
        return Value(SPECIAL[name][2](reading, node))
    if name in DECOMPOSITIONS:
        raise ParseError(
            f"{name} gives {len(DECOMPOSITIONS[name])} results; name them, as in "
            "U*diag(s)*V' with (U,s,V) = svd(X)"
        )
    values = None
    word = WORDS.get(name)
    row = FUNCTIONS.get(name)
    if word is None and row is None:
        known = name in reading.met or name in reading.declared or name in reading.bound
        hint = f"; {name} is a variable: write {name}*(...)" if known else ""
        meant = _ELSEWHERE.get(name.lower())
        near = f" Did you mean '{meant}'?" if meant else nearest(name, names())
        raise UnknownNameError(f"there is no function {name!r}{hint}.{near}")
    values = [reading.value(a) for a in node.args]
    args = [v.expr for v in values]
    options = {}
    for key, given in node.options:
        if key != "axis" or word is None or not word.axis:
            raise ParseError(f"{name} has no option {key!r}")
        options["axis"] = _literal(given, "axis")
    least, most = (word.least, word.most) if word else (row.arity, row.arity)  # type: ignore[union-attr]
    if len(args) < least or (most is not None and len(args) > most):
        wanted = word.arguments if word else ", ".join("xyz"[: row.arity])  # type: ignore[union-attr]
        raise ParseError(f"{name} is called as {name}({wanted}); {len(args)} arguments are given")
    try:
        if word:
            result = word.build(*args, **options)
        else:
            _one_shape(name, args)
            result = apply(name, *args)
    except ShapeError as error:
        shapes = ", ".join(
            f"`{reading.text[a.start : a.end][:40]}` {show_shape(resolve(d) for d in e.shape)}"
            for a, e in zip(node.args, args, strict=True)
        )
        raise ShapeError(f"{error} (in {name}: {shapes})") from None
    keeps = result.ndim == 1 and (row is not None or (word is not None and word.pointwise))
    return Value(result, keeps and any(v.row for v in values))


def decompose(reading: Reading, binding: syntax.Binding) -> tuple[Expr, ...]:
    """The parts of a decomposition that a where clause names."""
    node = binding.value
    if not isinstance(node, syntax.Call) or node.name not in DECOMPOSITIONS:
        raise ParseError(
            f"several names on the left need {', '.join(DECOMPOSITIONS)} on the right, as in "
            "(U,s,V) = svd(X)"
        )
    count = len(DECOMPOSITIONS[node.name])
    if len(binding.names) != count:
        raise ParseError(f"{node.name} gives {count} results, {len(binding.names)} are named")
    usual = list(DECOMPOSITIONS[node.name])
    if sorted(binding.names) == sorted(usual) and list(binding.names) != usual:
        raise ParseError(f"{node.name} gives ({','.join(usual)}), in this order")
    (a,) = _expressions(reading, node, 1)
    return getattr(spectral, node.name)(a)


__all__ = ["DECOMPOSITIONS", "SPECIAL", "WORDS", "call", "decompose", "names", "normal_items"]

"""Python operators and NumPy functions on expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorcalculus.expr.node import Expr


def _other(value: Any) -> Any:
    """An operand of an operator: an expression or a number; arrays are refused in words.

    What stands for an expression, as a network does, is replaced by it.
    """
    from tensorcalculus.expr.node import Expr, Number

    if isinstance(value, Expr):
        return value
    if isinstance(getattr(value, "expression", None), Expr):
        return value.expression
    if hasattr(value, "ndim") and getattr(value, "ndim", 0) > 0:
        raise TypeError(
            f"an array of shape {value.shape} stands in an expression; declare a variable for it "
            "and give the array when the expression is evaluated"
        )
    return Number(value)


class Arithmetic:
    """``+ - * / ** @``, indexing and NumPy's functions, with NumPy's meaning on arrays."""

    __slots__ = ()
    __array_priority__ = 1000

    def __add__(self, other: Any) -> Expr:
        return _build().plus(self, _other(other))

    def __radd__(self, other: Any) -> Expr:
        return _build().plus(_other(other), self)

    def __sub__(self, other: Any) -> Expr:
        return _build().plus(self, _other(other), -1)

    def __rsub__(self, other: Any) -> Expr:
        return _build().plus(_other(other), self, -1)

    def __mul__(self, other: Any) -> Expr:
        return _build().times(self, _other(other))

    def __rmul__(self, other: Any) -> Expr:
        return _build().times(_other(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return _build().over(self, _other(other))

    def __rtruediv__(self, other: Any) -> Expr:
        return _build().over(_other(other), self)

    def __pow__(self, other: Any) -> Expr:
        return _build().raised(self, _other(other))

    def __rpow__(self, other: Any) -> Expr:
        return _build().raised(_other(other), self)

    def __matmul__(self, other: Any) -> Expr:
        return _build().matmul(self, _other(other))

    def __rmatmul__(self, other: Any) -> Expr:
        return _build().matmul(_other(other), self)

    def __neg__(self) -> Expr:
        return _build().scale(-1, self)

    def __pos__(self) -> Expr:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Expr:
        return _build().apply("abs", self)

    def __getitem__(self, items: Any) -> Expr:
        from tensorcalculus.expr.operations.structural import index

        return index(self, normal_items(items))  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        raise TypeError("a symbolic tensor has no entries to iterate over; index it: x[0]")

    def __bool__(self) -> bool:
        raise TypeError("a symbolic expression has no truth value; compare numbers instead")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a symbolic expression is not an array; evaluate it with f(X=...), or use an "
            "operation of the language"
        )

    @property
    def T(self) -> Expr:
        """Axes reversed, as NumPy: a vector stays a vector."""
        return _build().transpose(self)

    def transpose(self, *axes: int) -> Expr:
        return _build().transpose(self, axes or None)

    def reshape(self, *shape: Any) -> Expr:
        from tensorcalculus.expr.dims import dim

        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return _build().reshape(self, tuple(dim(d) for d in given))

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Expr:
        return _build().total(self, axis)

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Expr:
        return _build().mean(self, axis)

    def var(self, axis: int | tuple[int, ...] | None = None) -> Expr:
        return _build().variance(self, axis)

    def prod(self, axis: int | None = None) -> Expr:
        return _build().product_of(self, axis)

    def max(self, axis: int | None = None) -> Expr:
        return _build().maximum_of(self, axis)

    def min(self, axis: int | None = None) -> Expr:
        return _build().minimum_of(self, axis)

    def trace(self) -> Expr:
        return _build().trace(self)

    def dot(self, other: Any) -> Expr:
        return _build().matmul(self, _other(other))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        rule = UFUNCS.get(ufunc.__name__) if method == "__call__" and not options else None
        if rule is None:
            from tensorcalculus.expr.functions import FUNCTIONS

            row = FUNCTIONS.get(ufunc.__name__)
            if row is None or method != "__call__" or options:
                raise TypeError(
                    f"np.{ufunc.__name__} is not defined for symbolic expressions; "
                    "see `tcalc functions` for the functions that are"
                )
            return _build().apply(row, *(_other(a) for a in inputs))
        return rule(*(_other(a) for a in inputs))

    def __array_function__(self, function: Any, types: Any, args: tuple, kwargs: dict) -> Any:
        name = function.__name__
        if function.__module__ == "numpy.linalg":
            name = f"linalg.{name}"
        rule = ARRAY_FUNCTIONS.get(name)
        if rule is None:
            raise TypeError(
                f"np.{name} is not defined for symbolic expressions; "
                "see `tcalc functions` for the functions that are"
            )
        return rule(*args, **kwargs)


def normal_items(items: Any) -> tuple:
    """A Python index as positions and (start, stop, step) triples; literals only."""
    from tensorcalculus.expr.dims import dim

    result = []
    for item in items if isinstance(items, tuple) else (items,):
        if isinstance(item, slice):
            step = 1 if item.step is None else item.step
            if step == 0:
                raise ValueError("the step of a slice cannot be 0")
            start = item.start if item.start is not None else (0 if step > 0 else -1)
            result.append((start, None if item.stop is None else dim(item.stop), step))
        elif hasattr(item, "__index__") and not isinstance(item, bool):
            result.append(item.__index__())
        else:
            raise TypeError(f"indices are integers and slices, not {item!r}")
    return tuple(result)


def _build() -> Any:
    # Imported late: the builders are made of nodes, and nodes carry these operators.
    from tensorcalculus.expr import build

    return build


def _rule(name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: getattr(_build(), name)(*args, **kwargs)


def _row(name: str) -> Callable[..., Any]:
    return lambda a: _build().operation(name, a)


UFUNCS: dict[str, Callable[..., Any]] = {
    "add": _rule("plus"),
    "subtract": lambda a, b: a - b,
    "multiply": _rule("times"),
    "divide": _rule("over"),
    "true_divide": _rule("over"),
    "power": _rule("raised"),
    "float_power": _rule("raised"),
    "matmul": _rule("matmul"),
    "negative": lambda a: -a,
    "positive": lambda a: a,
    "square": lambda a: a**2,
    "sqrt": lambda a: a**0.5,
    "cbrt": lambda a: _build().raised(a, _third()),
    "reciprocal": lambda a: 1 / a,
    "absolute": abs,
    "fabs": abs,
    "exp2": lambda a: _build().apply("exp", a * _build().apply("log", 2)),
    "log2": lambda a: _build().apply("log", a) / _build().apply("log", 2),
    "log10": lambda a: _build().apply("log", a) / _build().apply("log", 10),
    "logaddexp": lambda a, b: b + _build().apply("softplus", a - b),
}


def _third() -> Any:
    from fractions import Fraction

    return Fraction(1, 3)


ARRAY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": _rule("total"),
    "mean": _rule("mean"),
    "var": _rule("variance"),
    "prod": _rule("product_of"),
    "max": _rule("maximum_of"),
    "amax": _rule("maximum_of"),
    "min": _rule("minimum_of"),
    "amin": _rule("minimum_of"),
    "trace": _rule("trace"),
    "diag": _rule("diag"),
    "outer": lambda a, b: _vectors("outer", a, b),
    "kron": _rule("kron"),
    "dot": lambda a, b: _vectors("dot", a, b, 2),
    "vdot": _rule("inner"),
    "inner": lambda a, b: _vectors("inner", a, b),
    "einsum": _rule("einsum"),
    "transpose": _rule("transpose"),
    "reshape": lambda a, shape: a.reshape(shape),
    "cumsum": lambda a, axis=None: _cumsum(a, axis),
    "linalg.inv": _row("inv"),
    "linalg.det": _row("det"),
    "linalg.pinv": _row("pinv"),
    "linalg.cholesky": _row("chol"),
    "linalg.solve": lambda a, b: _build().matmul(_build().operation("inv", a), b),
    "linalg.norm": lambda a, ord=None: _norm(a, ord),
    "linalg.trace": _rule("trace"),
    "linalg.matrix_power": _rule("matrix_power"),
    "linalg.eigvalsh": _row("eigvalsh"),
    "linalg.eigh": lambda a: _build().operations.spectral.eigh(a),
    "linalg.qr": lambda a: _build().operations.spectral.qr(a),
    "linalg.svd": lambda a, full_matrices=True, **more: _svd(a, full_matrices, **more),
    "linalg.svdvals": _row("svdvals"),
    "linalg.slogdet": lambda a: _slogdet(a),
    "linalg.matmul": _rule("matmul"),
    "linalg.outer": _rule("outer"),
}


def _vectors(name: str, a: Any, b: Any, order: int = 1) -> Any:
    """NumPy's products where they mean the same as here: vectors, for dot also matrices."""
    a, b = _other(a), _other(b)
    if max(a.ndim, b.ndim) > order:
        raise TypeError(f"np.{name} of higher order is not defined here; write np.einsum")
    build = _build()
    if name == "outer":
        return build.outer(a, b)
    return build.matmul(a, b) if a.ndim and b.ndim else build.times(a, b)


def _cumsum(a: Any, axis: int | None) -> Any:
    last = a.ndim == 1 if axis is None else axis in (-1, a.ndim - 1)
    if not last:
        raise TypeError("np.cumsum is defined here along the last axis: axis=-1")
    return _build().operation("cumsum", a, params=(0,))


def _norm(a: Any, ord: Any) -> Any:
    if ord in (None, "fro") or (ord == 2 and a.ndim == 1):
        return _build().norm2(a)
    if ord == 1 and a.ndim == 1:
        return _build().norm1(a)
    if ord == "nuc":
        return _build().total(_build().operation("svdvals", a))
    raise TypeError(f"np.linalg.norm with ord={ord!r} is not defined for symbolic expressions")


def _svd(a: Any, full_matrices: bool, compute_uv: bool = True) -> Any:
    """NumPy's signature: ``U, s, Vh``; only the thin factorisation exists here."""
    if not compute_uv:
        return _build().operation("svdvals", a)
    if full_matrices:
        raise TypeError("write np.linalg.svd(X, full_matrices=False), or tc.svd(X) for U, s, V")
    u, s, v = _build().operations.spectral.svd(a)
    return u, s, v.T


def _slogdet(a: Any) -> tuple:
    build = _build()
    return build.apply("sign", build.operation("det", a)), build.operation("logdet", a)

"""The closed set of expression nodes: immutable, interned, ordered the same way in every run.

Two equal expressions are the same object, so equality is identity and common subexpressions are
shared without being looked for.  Nodes hold no simplification: build them through
:mod:`contraction`, :mod:`combination`, :mod:`maps` and :mod:`operations`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeGuard
from zlib import crc32

from tensorcalculus.expr.arithmetic import Arithmetic
from tensorcalculus.expr.dims import Dim
from tensorcalculus.face import Face

if TYPE_CHECKING:
    from tensorcalculus.expr.functions import ScalarFunction
    from tensorcalculus.expr.operations.row import OperationRow

Scalar = int | Fraction | float
Shape = tuple[Dim, ...]
_table: weakref.WeakValueDictionary[tuple, Expr] = weakref.WeakValueDictionary()
_lock = Lock()
_HUGE = 10**9
_LARGEST = 10**300


class Expr(Arithmetic, Face):
    """A tensor-valued expression of a given shape.

    ``order_key`` sorts expressions for printing: by kind, by the variables they contain, by
    size; it does not depend on the process, so the same input always prints the same.
    """

    __slots__ = ("__weakref__", "digest", "memo", "names", "order_key", "shape", "size")
    kind = 0
    shape: Shape
    names: tuple[str, ...]
    size: int
    digest: int
    order_key: tuple
    memo: dict[str, Any]

    @property
    def children(self) -> tuple[Expr, ...]:
        return ()

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: Any) -> Expr:
        # Nodes are immutable and interned: a copy would break that equality is identity.
        return self

    @property
    def ndim(self) -> int:
        """The order of the tensor: 0 for a scalar, 1 for a vector, 2 for a matrix."""
        return len(self.shape)


def _intern(cls: type, key: tuple, shape: Shape, identity: tuple, fields: dict) -> Any:
    """Return the node with this key, made if it does not exist; ``identity`` are plain integers."""
    found = _table.get(key)
    if found is not None:
        return found
    with _lock:
        return _table.get(key) or _make(cls, key, shape, identity, fields)


def _make(cls: type, key: tuple, shape: Shape, identity: tuple, fields: dict) -> Any:
    node = object.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(node, name, value)
    children = node.children
    names = {name for child in children for name in child.names}
    if cls is Variable:
        names = {fields["name"]}
    node.shape = shape
    node.names = tuple(sorted(names))[:8]
    node.size = min(_HUGE, 1 + sum(child.size for child in children))
    node.digest = hash((*identity, *[child.digest for child in children]))
    node.order_key = (not names, node.names, node.size, cls.kind, node.digest)
    node.memo = {}
    _table[key] = node
    return node


class Variable(Expr):
    """A named tensor with declared properties (``sym spd diag orth tri nonneg``)."""

    __slots__ = ("name", "properties")
    kind = 0
    name: str
    properties: frozenset[str]

    def __new__(cls, name: str, shape: Shape, properties: frozenset[str] = frozenset()) -> Variable:
        identity = (
            1,
            crc32(name.encode()),
            *(d.digest for d in shape),
            *(crc32(p.encode()) for p in sorted(properties)),
        )
        return _intern(
            cls,
            (cls, name, shape, properties),
            shape,
            identity,
            {"name": name, "properties": properties},
        )


class Number(Expr):
    """A scalar constant; integers and fractions stay exact."""

    __slots__ = ("value",)
    kind = 8
    value: Scalar

    def __new__(cls, value: Scalar) -> Number:
        value = exact(value)
        return _intern(cls, (cls, type(value), value), (), (2, hash(value)), {"value": value})


class Size(Expr):
    """A dimension as a number: the copy tensor with no legs, ``sum(ones(n))``."""

    __slots__ = ("dim",)
    kind = 7
    dim: Dim

    def __new__(cls, dim: Dim) -> Size:
        return _intern(cls, (cls, dim), (), (3, dim.digest), {"dim": dim})


class Contraction(Expr):
    """An einsum: operands joined along labels, summed over the labels absent from ``out``.

    ``legs[k]`` are the labels of operand ``k``; ``dims[label]`` its dimension.  A label that
    ``out`` repeats or that no operand carries is a copy tensor: with no operands at all,
    ``out=(0, 0)`` is the identity and ``out=(0,)`` a vector of ones.  They are never stored.
    """

    __slots__ = ("dims", "legs", "operands", "out")
    kind = 1
    operands: tuple[Expr, ...]
    legs: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]
    dims: tuple[Dim, ...]

    def __new__(
        cls,
        operands: tuple[Expr, ...],
        legs: tuple[tuple[int, ...], ...],
        out: tuple[int, ...],
        dims: tuple[Dim, ...],
    ) -> Contraction:
        identity = (4, hash(legs), hash(out), *(d.digest for d in dims))
        return _intern(
            cls,
            (cls, operands, legs, out, dims),
            tuple(dims[i] for i in out),
            identity,
            {"operands": operands, "legs": legs, "out": out, "dims": dims},
        )

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.operands


class Combination(Expr):
    """A linear combination of expressions of one shape; without terms it is zero."""

    __slots__ = ("coefficients", "terms")
    kind = 4
    coefficients: tuple[Scalar, ...]
    terms: tuple[Expr, ...]

    def __new__(
        cls, coefficients: tuple[Scalar, ...], terms: tuple[Expr, ...], shape: Shape
    ) -> Combination:
        identity = (5, *(hash(c) for c in coefficients), *(d.digest for d in shape))
        key = (cls, coefficients, tuple(map(type, coefficients)), terms, shape)
        return _intern(cls, key, shape, identity, {"coefficients": coefficients, "terms": terms})

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.terms


class Map(Expr):
    """A scalar function applied entry by entry; scalar arguments are broadcast."""

    __slots__ = ("args", "function")
    kind = 2
    function: ScalarFunction
    args: tuple[Expr, ...]

    def __new__(cls, function: ScalarFunction, args: tuple[Expr, ...]) -> Map:
        shape: Shape = next((a.shape for a in args if a.shape), ())
        identity = (6, crc32(function.name.encode()))
        return _intern(
            cls,
            (cls, function.name, args),
            shape,
            identity,
            {"function": function, "args": args},
        )

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args


def is_map(e: Expr, name: str) -> TypeGuard[Map]:
    """Whether an expression is this function of the table, applied entry by entry."""
    return isinstance(e, Map) and e.function.name == name


class Operation(Expr):
    """One row of the table of operations applied to arguments and literal parameters."""

    __slots__ = ("args", "params", "row")
    kind = 3
    row: OperationRow
    args: tuple[Expr, ...]
    params: tuple

    def __new__(cls, row: OperationRow, args: tuple[Expr, ...], params: tuple = ()) -> Operation:
        shape = row.shape(args, params)
        identity = (7, crc32(row.name.encode()), crc32(repr(params).encode()))
        return _intern(
            cls,
            (cls, row.name, args, params),
            shape,
            identity,
            {"row": row, "args": args, "params": params},
        )

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args


def exact(value: Any) -> Scalar:
    """A Python or NumPy number as integer or fraction where its decimal form is short."""
    if isinstance(value, (bool, complex)) or not hasattr(value, "__float__"):
        raise TypeError(f"a real number is expected, not {value!r}")
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"a finite number is expected in an expression, not {value}")
        value = Fraction(repr(value))
    if abs(value) > _LARGEST:
        raise ValueError("a number in the expression is beyond 1e300, the largest accepted")
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else value
    return int(value)


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every node below ``roots`` once, children first (iterative: deep graphs are fine)."""
    seen: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children) if child not in seen)


def walk_new(root: Expr, mark: str) -> Iterator[Expr]:
    """The nodes below ``root`` without ``mark`` in their memo, children first.

    Marked nodes are not entered, so a property of every node costs one visit a node in all.
    """
    stack = [root]
    while stack:
        node = stack[-1]
        if mark in node.memo:
            stack.pop()
            continue
        waiting = [child for child in node.children if mark not in child.memo]
        if waiting:
            stack.extend(reversed(waiting))
        else:
            yield node
            stack.pop()
            if mark not in node.memo:
                raise RuntimeError(f"a walk that marks {mark!r} left a node unmarked")


def variables_of(*roots: Expr) -> dict[str, Variable]:
    """The variables that occur, by name, in order of first appearance."""
    return {node.name: node for node in walk(*roots) if isinstance(node, Variable)}


def dims_of(node: Expr) -> Iterator[Dim]:
    """All dimensions that a node holds: of its axes, of axes summed over, in its parameters."""
    if isinstance(node, Size):
        yield node.dim
    yield from node.dims if isinstance(node, Contraction) else node.shape
    pending = list(node.params) if isinstance(node, Operation) else []
    while pending:
        part = pending.pop()
        if isinstance(part, Dim):
            yield part
        elif isinstance(part, tuple):
            pending.extend(part)

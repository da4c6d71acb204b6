"""From syntax to expressions: kinds and orders of names, shapes unified, rows told from columns.

Reading is repeated until no dimension is learnt any more: the first pass solves for unknown
sizes, the next one builds with them, so the builders need no second version that only infers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tensorcalculus.errors import ParseError, ShapeError, UnknownNameError, nearest, placed
from tensorcalculus.expr import build
from tensorcalculus.expr.arithmetic import normal_items
from tensorcalculus.expr.context import remember
from tensorcalculus.expr.dims import Dim, Unifier, dim, resolve, show_shape, unify, unifying
from tensorcalculus.expr.maps import power
from tensorcalculus.expr.node import Expr, Number, Size, Variable, dims_of, walk
from tensorcalculus.expr.operations.structural import index
from tensorcalculus.notation import syntax
from tensorcalculus.notation.declare import declare, natural_order


@dataclass(frozen=True, slots=True)
class Value:
    """An expression as it stands in a formula; a row is a transposed vector."""

    expr: Expr
    row: bool = False


def parse(text: str, declarations: Mapping[str, str | Variable] | None = None) -> Expr:
    """The expression that a formula means.

    Parameters
    ----------
    text
        The formula.
    declarations
        Shapes and properties by name, as ``{"X": "m n", "S": "n n spd", "c": ""}``; a name that is
        not declared is a matrix (capital letter), a vector (small letter) or a scalar (Greek), and
        its dimensions are inferred.

    Raises
    ------
    ParseError, ShapeError, UnknownNameError
        With the place in the text marked.
    """
    return _read(text, declarations)[0]


def parse_parts(
    text: str, declarations: Mapping[str, str | Variable] | None = None
) -> tuple[Expr, list[tuple[str, Expr]], Expr]:
    """A formula, and what its ``where`` defines, with the names standing for what they name.

    Returns the whole as :func:`parse` does; the definitions in order, each in terms of the names
    before it; and the body in terms of the names.  Raises the same errors.
    """
    whole, reading = _read(text, declarations)
    with unifying(reading.unifier):
        body = reading.once(opened=False)
    return whole, reading.definitions, body


def _read(text: str, declarations: Mapping[str, str | Variable] | None) -> tuple[Expr, Reading]:
    tree = syntax.parse_syntax(text)
    declared: dict[str, Variable] = {}
    for name, spec in (declarations or {}).items():
        declared[name] = spec if isinstance(spec, Variable) else declare(name, spec)
    reading = Reading(text, tree, declared)
    try:
        result = reading.run()
    except RecursionError:
        raise ParseError("the formula is nested too deeply; name parts of it with where") from None
    return remember(result, declared=[*reading.met.values(), *declared.values()]), reading


class Reading:
    """One formula being read."""

    def __init__(self, text: str, tree: syntax.Node, declared: Mapping[str, Variable]) -> None:
        self.text = text
        self.tree = tree
        self.declared = declared
        self.unifier = Unifier()
        self.symbols = {s for v in declared.values() for d in v.shape for s in d.symbols()}
        self.scalars, self.orders, sizes = _hints(tree)
        self.symbols |= sizes - set(declared)
        self.bound: dict[str, Value] = {}
        self.met: dict[str, Variable] = {}
        self.opened = True
        """Whether a name that ``where`` defines is replaced by what it stands for."""
        self.definitions: list[tuple[str, Expr]] = []
        self.used: set[str] = set()
        """Names that ``where`` defines and the formula has."""

    def run(self) -> Expr:
        with unifying(self.unifier):
            for _ in range(20):
                known = len(self.unifier.bindings)
                result = self.once()
                settled = len(self.unifier.bindings) == known
                if settled and not self.name_unknown(result):
                    return result
            raise ParseError("the dimensions of this formula do not settle; declare them")

    def once(self, opened: bool = True) -> Expr:
        self.opened = opened
        self.bound = {}
        self.definitions = []
        self.met = {}
        return self.value(self.tree).expr

    def name_unknown(self, result: Expr) -> bool:
        """Give undeclared sizes readable names; whether there was one."""
        taken = {s for v in self.met.values() for d in v.shape for s in d.symbols()}
        taken |= self.symbols | set(self.met)
        free = (s for s in _size_names() if s not in taken)
        changed = False
        for variable in self.met.values():
            for d in variable.shape:
                for s in self.unifier.resolve(d).symbols():
                    if s.startswith("?") and s not in self.unifier.bindings:
                        self.unifier.bindings[s] = dim(next(free))
                        changed = True
        if not changed:
            for d in (d for node in walk(result) for d in dims_of(node)):
                unknown = [s for s in d.symbols() if s.startswith("?")]
                if unknown:
                    start, _, end = unknown[0][1:].partition(":")
                    first = int(start.split("_")[-1])
                    message = "the size does not follow from the formula; write it, as in eye(n)"
                    raise placed(ShapeError, self.text, first, int(end or first), message)
        return changed

    # -- values ----------------------------------------------------------------------------------

    def value(self, node: syntax.Node) -> Value:
        """The value of a syntax node; errors mark its place in the text."""
        try:
            return getattr(self, f"read_{type(node).__name__.lower()}")(node)
        except (ShapeError, UnknownNameError, ParseError) as error:
            if error.start is not None:
                raise
            raise placed(type(error), self.text, node.start, node.end, str(error)) from None
        except (ValueError, TypeError, ZeroDivisionError) as error:
            raise placed(ParseError, self.text, node.start, node.end, str(error)) from None

    def spelled(self, node: syntax.Node, value: Value) -> str:
        """An operand with its shape, for messages."""
        text = self.text[node.start : node.end]
        if len(text) > 40:
            text = f"{text[:37]}..."
        shape = show_shape(resolve(d) for d in value.expr.shape)
        guessed = text in self.met and text not in self.declared
        hint = f' (not declared; by its letter; say {text}="...")' if guessed else ""
        return f"`{text}` is {'a row ' if value.row else ''}{shape}{hint}"

    def read_num(self, node: syntax.Num) -> Value:
        return Value(Number(node.value))

    def read_text(self, node: syntax.Text) -> Value:
        raise ParseError("a text can only be an argument of einsum and its kin")

    def read_name(self, node: syntax.Name) -> Value:
        name = node.name
        if name in self.bound:
            self.used.add(name)
            return self.bound[name]
        if name == "eye" and name not in self.declared:
            return Value(build.eye(self.fresh(node)))
        if name == "pi" and name not in self.declared:
            return Value(build.operation("pi"))
        if name in self.symbols and name not in self.declared:
            return Value(Size(dim(name)))
        variable = self.declared.get(name)
        if variable is None:
            order = 0 if name in self.scalars else self.orders.get(name, natural_order(name))
            variable = Variable(name, tuple(dim(f"?{name}_{k}") for k in range(order)))
        shape = tuple(self.unifier.resolve(d) for d in variable.shape)
        self.met[name] = Variable(name, shape, variable.properties)
        return Value(self.met[name])

    def fresh(self, node: syntax.Node, mark: str = "") -> Dim:
        """An unknown size, the same in every pass."""
        return self.unifier.resolve(dim(f"?{mark}_{node.start}:{node.end}"))

    def read_sum(self, node: syntax.Sum) -> Value:
        values = [self.value(t) for _, t in node.terms]
        first, anchor = None, node.terms[0][1]
        for (_, t), v in zip(node.terms, values, strict=True):
            if not v.expr.ndim:
                continue
            if first is None:
                first, anchor = v, t
            elif not self.fits(first, v):
                raise ShapeError(
                    f"cannot add: {self.spelled(anchor, first)}, {self.spelled(t, v)}"
                    + _why(first, v)
                )
        shape = first.expr.shape if first is not None else ()
        signed = [
            (sign, build.broadcast(v.expr, shape) if not v.expr.ndim else v.expr)
            for (sign, _), v in zip(node.terms, values, strict=True)
        ]
        return Value(build.add(signed), first is not None and first.row)

    def fits(self, a: Value, b: Value) -> bool:
        """Whether two operands have one shape (and one direction, for vectors)."""
        if a.expr.ndim != b.expr.ndim or a.row != b.row:
            return False
        return all(unify(p, q) is not None for p, q in zip(a.expr.shape, b.expr.shape, strict=True))

    def read_product(self, node: syntax.Product) -> Value:
        (_, first), *rest = node.factors
        result, start = self.value(first), first
        for operator, factor in rest:
            right = self.value(factor)
            left_node = syntax.Name("", start=node.start, end=start.end)
            result = self.binary(operator, result, right, left_node, factor)
            start = factor
        return result

    def binary(
        self, operator: str, a: Value, b: Value, left: syntax.Node, right: syntax.Node
    ) -> Value:
        x, y = a.expr, b.expr
        if operator in (".*", "./"):
            if x.ndim and y.ndim and not self.fits(a, b):
                raise ShapeError(
                    f"{operator} joins operands of one shape: {self.spelled(left, a)}, "
                    f"{self.spelled(right, b)}" + _why(a, b)
                )
            rule = build.times if operator == ".*" else build.over
            return Value(rule(x, y), a.row if x.ndim else b.row)
        if operator == "/":
            if y.ndim:
                raise ShapeError(
                    f"/ divides by a scalar; {self.spelled(right, b)}: write ./ for entry by "
                    "entry, or *inv(...)"
                )
            if isinstance(y, Number) and y.value == 0:
                raise ParseError("division by zero")
            return Value(build.over(x, y), a.row)
        if not x.ndim or not y.ndim:
            if operator == "@":
                raise ShapeError("@ joins vectors, matrices and tensors; write * for a scalar")
            return Value(build.times(x, y), a.row if x.ndim else b.row)
        return self.matrix_product(operator, a, b, left, right)

    def matrix_product(
        self, operator: str, a: Value, b: Value, left: syntax.Node, right: syntax.Node
    ) -> Value:
        x, y = a.expr, b.expr
        spelled = f"{self.spelled(left, a)}, {self.spelled(right, b)}"
        plain = operator == "@" and not a.row and not b.row
        if max(x.ndim, y.ndim) > 2 and not plain:
            raise ShapeError(f"* joins vectors and matrices: {spelled}; for tensors use einsum")
        if x.ndim == 1 and y.ndim == 1:
            if not a.row and b.row:
                return Value(build.outer(x, y))
            if not a.row and not plain:
                raise ShapeError(
                    f"two vectors side by side: {spelled}; write x'*y (a scalar), x*y' (a matrix) "
                    "or x.*y (entry by entry)"
                )
            if a.row and b.row:
                raise ShapeError(f"two rows side by side: {spelled}")
        elif y.ndim == 1 and b.row:
            raise ShapeError(f"a matrix times a row: {spelled}; leave out the '")
        elif x.ndim == 1 and not a.row and not plain:
            raise ShapeError(f"a column times a matrix: {spelled}; write x'*A")
        inner, other = x.shape[-1], y.shape[-2] if y.ndim > 1 else y.shape[0]
        if unify(inner, other) is None:
            raise ShapeError(
                f"cannot multiply: {spelled}; the inner dimensions {_shown(inner)} and "
                f"{_shown(other)} clash"
            )
        row = x.ndim == 1 and y.ndim == 2 and a.row
        return Value(build.matmul(x, y), row)

    def read_frobenius(self, node: syntax.Frobenius) -> Value:
        a, b = self.value(node.left), self.value(node.right)
        if not self.fits(Value(a.expr), Value(b.expr)):
            raise ShapeError(
                f"the Frobenius product A:B joins tensors of one shape: "
                f"{self.spelled(node.left, a)}, {self.spelled(node.right, b)}" + _why(a, b)
            )
        return Value(build.inner(a.expr, b.expr))

    def read_negative(self, node: syntax.Negative) -> Value:
        a = self.value(node.arg)
        return Value(build.scale(-1, a.expr), a.row)

    def read_transpose(self, node: syntax.Transpose) -> Value:
        a = self.value(node.arg)
        if a.expr.ndim == 1:
            return Value(a.expr, not a.row)
        if a.expr.ndim > 2:
            raise ShapeError(
                f"' transposes vectors and matrices; {self.spelled(node.arg, a)}: use einsum"
            )
        return Value(build.transpose(a.expr))

    def read_power(self, node: syntax.Power) -> Value:
        a, p = self.value(node.base), self.value(node.exponent)
        x, q = a.expr, p.expr
        if node.op == ".^" or (not x.ndim and not q.ndim):
            if x.ndim and q.ndim and not self.fits(a, p):
                raise ShapeError(
                    f".^ joins operands of one shape: {self.spelled(node.base, a)}, "
                    f"{self.spelled(node.exponent, p)}" + _why(a, p)
                )
            if isinstance(x, Number) and x.value == 0 and isinstance(q, Number) and q.value < 0:
                raise ParseError("division by zero")
            return Value(power(x, q), a.row if x.ndim else p.row)
        if x.ndim == 2 and isinstance(q, Number):
            if isinstance(q.value, int):
                return Value(build.matrix_power(x, q.value))
            if q.value == Fraction(1, 2):
                raise ShapeError("A^(1/2) of a matrix is sqrtm(A); entry by entry it is A.^(1/2)")
        if isinstance(node.exponent, syntax.Name) and node.exponent.name == "T":
            base = self.text[node.base.start : node.base.end]
            raise ShapeError(f"^ is a power; a transpose is written {base}'")
        raise ShapeError(
            f"^ is the power of a scalar, or of a square matrix with an integer exponent; "
            f"{self.spelled(node.base, a)}: write .^ for entry by entry"
        )

    def read_index(self, node: syntax.Index) -> Value:
        a = self.value(node.arg)
        items: list[Any] = [
            slice(i.start, i.stop, i.step) if isinstance(i, syntax.SliceItem) else i
            for i in node.items
        ]
        result = index(a.expr, normal_items(tuple(items)))
        return Value(result, a.row and result.ndim == 1)

    def read_call(self, node: syntax.Call) -> Value:
        from tensorcalculus.notation.language import call

        return call(self, node)

    def read_where(self, node: syntax.Where) -> Value:
        from tensorcalculus.notation.language import decompose

        for binding in node.bindings:
            for name in binding.names:
                if name in self.declared:
                    raise ParseError(f"{name} is declared a variable and also defined by where")
                if name in self.met:
                    raise ParseError(
                        f"{name} is used before where defines it; put its definition first"
                    )
            if len(binding.names) == 1:
                parts = [self.value(binding.value)]
            else:
                parts = [Value(part) for part in decompose(self, binding)]
            for name, part in zip(binding.names, parts, strict=True):
                self.definitions.append((name, part.expr))
                letter = part.expr if self.opened else Variable(name, part.expr.shape)
                self.bound[name] = Value(letter, part.row)
        result = self.value(node.body)
        for binding in node.bindings:
            if self.used.isdisjoint(binding.names):
                told = " and ".join(binding.names)
                hint = nearest(binding.names[0], self.met)
                message = f"{told} is defined by where and does not occur.{hint}"
                raise placed(ParseError, self.text, binding.start, binding.end, message)
        return result

    def is_value(self, name: str) -> bool:
        """Whether a name is known as a variable or from a where clause."""
        return name in self.declared or name in self.met or name in self.bound

    def dimension(self, node: syntax.Node) -> Dim:
        """A syntax node read as a dimension: integers, size symbols, sums, products, min."""
        if isinstance(node, syntax.Num) and isinstance(Number(node.value).value, int):
            return dim(int(node.value))
        if isinstance(node, syntax.Name):
            if node.name not in self.symbols and self.is_value(node.name):
                shape = show_shape(self.value(node).expr.shape)
                raise ParseError(f"{node.name} is {shape}; a size is expected, such as 3, n or 2*n")
            return self.unifier.resolve(dim(node.name))
        if isinstance(node, syntax.Sum):
            result = dim(0)
            for sign, t in node.terms:
                result = result + self.dimension(t) * sign
            return result
        if isinstance(node, syntax.Negative):
            return self.dimension(node.arg) * -1
        if isinstance(node, syntax.Product) and all(o in ("", "*") for o, _ in node.factors):
            result = dim(1)
            for _, f in node.factors:
                result = result * self.dimension(f)
            return result
        if isinstance(node, syntax.Call) and node.name == "min" and len(node.args) == 2:
            from tensorcalculus.expr.dims import minimum

            return minimum(self.dimension(node.args[0]), self.dimension(node.args[1]))
        message = "a size is expected, such as 3, n or 2*n"
        raise placed(ParseError, self.text, node.start, node.end, message)


def _why(a: Value, b: Value) -> str:
    """The reason two operands do not have one shape."""
    if a.expr.ndim != b.expr.ndim:
        return "; the orders differ"
    if a.row != b.row:
        return "; one is a row, the other a column"
    clash = [
        f"{_shown(p)} and {_shown(q)}"
        for p, q in zip(a.expr.shape, b.expr.shape, strict=True)
        if unify(p, q) is None
    ]
    unknown = "; declare their shapes" if any("?" in c for c in clash) else ""
    return f"; {', '.join(clash)} clash{unknown}"


def _shown(d: Dim) -> str:
    """A dimension for a message; a size that is not known yet as ``?``."""
    return re.sub(r"\?\w+(:\w+)?", "?", str(resolve(d)))


_SIZED = {"eye": 0, "ones": 0, "zeros": 0, "size": 0, "shift": 0, "reshape": 1, "embed": 2}
"""Functions whose arguments from a position on are sizes."""


def _hints(tree: syntax.Node) -> tuple[set[str], dict[str, int], set[str]]:
    """What the formula itself tells of undeclared names.

    A name alone in the exponent of ``^`` is a scalar, whatever its letter; an operand of einsum
    has as many axes as its subscripts say; what stands for a size in ``eye(n)`` is one elsewhere.
    """
    scalars: set[str] = set()
    orders: dict[str, int] = {}
    sizes: set[str] = set()
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, syntax.Call) and node.name in _SIZED:
            for argument in node.args[_SIZED[node.name] :]:
                sizes.update(syntax.walk_names(argument))
        if isinstance(node, syntax.Power) and node.op == "^":
            if isinstance(node.exponent, syntax.Name):
                scalars.add(node.exponent.name)
        elif isinstance(node, syntax.Call) and node.name == "einsum" and node.args:
            spec = node.args[0]
            if isinstance(spec, syntax.Text):
                subscripts = spec.value.replace(" ", "").partition("->")[0].split(",")
                for labels, operand in zip(subscripts, node.args[1:], strict=False):
                    if isinstance(operand, syntax.Name):
                        orders.setdefault(operand.name, len(labels))
        if isinstance(node, (tuple, list)):
            stack.extend(node)
        elif isinstance(node, (syntax.Node, syntax.Binding)):
            stack.extend(getattr(node, f, ()) for f in type(node).__dataclass_fields__)
    return scalars, orders, sizes


def _size_names():
    yield from "mnkpqrstuvabcdefghijlowxyz"
    k = 0
    while True:
        yield f"n{k}"
        k += 1

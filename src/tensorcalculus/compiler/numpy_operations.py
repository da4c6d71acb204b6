"""The part of the NumPy source that spells operations, their parameters and dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tensorcalculus.compiler.pairwise import Piece
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import Expr, Operation, Scalar, Variable, walk


class OperationSource:
    """Spelling of table operations; :class:`numpy_source.Emitter` gives the rest."""

    dim_names: dict[str, str]
    sizes: Mapping[str, int]
    values: dict[Expr, Piece]
    lines: list[str]

    def emit(self, node: Expr) -> Piece:
        raise NotImplementedError

    def name(self, text: str) -> str:
        raise NotImplementedError

    def fresh(self, text: str) -> str:
        raise NotImplementedError

    def factor(self, a: Expr) -> str:
        raise NotImplementedError

    def operation(self, node: Operation) -> Piece:
        axes = tuple(range(node.ndim))
        special = getattr(self, f"op_{node.row.kernel}", None)
        if special is not None:
            return Piece(special(node), axes)
        args = [self.emit(a).text for a in node.args]
        params = {f"p{k}": self.param(p) for k, p in enumerate(node.params)}
        text = node.row.kernel.replace("!r}", "}").format(*args, **params)
        if node.row.part is not None:
            text = f"{self.name(text)}[{node.row.part}]"
        elif node.row.name in ("inv",) and node.ndim == 2:
            text = f"{self.factor(node.args[0])}.inverse()"
        return Piece(text, axes)

    def param(self, p: object) -> str:
        if isinstance(p, Dim):
            return self.dim(p)
        if isinstance(p, (int, Fraction, float)):
            return number(p) if not isinstance(p, int) else str(p)
        if isinstance(p, str):
            return repr(p)
        raise TypeError(f"an operation has a parameter of type {type(p).__name__}")

    def op_reshape(self, node: Operation) -> str:
        text = self.emit(node.args[0]).wrapped(3)
        return f"{text}.reshape({', '.join(self.dim(d) for d in node.shape) or '()'})"

    def op_slice(self, node: Operation) -> str:
        return f"{self.emit(node.args[0]).wrapped(3)}[..., {self.items(node.params[0])}]"

    def op_embed(self, node: Operation) -> str:
        target = self.fresh(f"np.zeros({self.shape(node.shape)}, dtype)")
        value = self.emit(node.args[0]).text
        self.lines.append(f"{target}[..., {self.items(node.params[0])}] = {value}")
        return target

    def items(self, items: tuple) -> str:
        parts = []
        for item in items:
            if isinstance(item, int):
                parts.append(str(item))
                continue
            start, stop, step = item
            first = self.dim(start) if isinstance(start, Dim) else str(start)
            last = "" if stop is None else self.dim(stop)
            parts.append(f"{first}:{last}:{step}" if step != 1 else f"{first}:{last}")
        return ", ".join(parts)

    def function(self, f: Expr) -> str:
        """A scalar function of ``t`` as a lambda."""
        from tensorcalculus.compiler.numpy_source import Emitter

        inner = Emitter([f], {}, list(self.dim_names), self.sizes)
        placeholder = next((n for n in walk(f) if isinstance(n, Variable)), None)
        if placeholder is not None:
            inner.values[placeholder] = Piece("t", ())
        inner.count = 10**6
        text = inner.source().splitlines()
        body = text[-1].removeprefix("    return ")
        if len(text) == 2 + bool(inner.comment) - 0 and placeholder is None:
            return f"lambda t: np.full_like(t, {body})"
        for line in reversed(text[1:-1]):
            name, _, value = line.strip().partition(" = ")
            if not name.startswith("#"):
                body = body.replace(name, f"({value})")
        return f"lambda t: {body}"

    def functions(self, f: Expr, count: int) -> str:
        from tensorcalculus.calculus.sweep import reverse
        from tensorcalculus.expr.operations.matrix_functions import placeholder

        texts = []
        for _ in range(count + 1):
            texts.append(self.function(f))
            (f,) = reverse(f, [placeholder()])
        return f"({', '.join(texts)},)"

    def op_spectral(self, node: Operation) -> str:
        a = self.emit(node.args[0]).text
        basis = self.name(f"spectral_kernels.eigh({a})")
        return f"factors.spectral({self.function(node.params[0])}, *{basis})"

    def op_divided_difference(self, node: Operation) -> str:
        f, count = node.params
        d = self.emit(node.args[0]).text
        return f"divided_difference({self.functions(f, count + 2)}, {d}, {count})"

    def op_singular(self, node: Operation) -> str:
        basis = self.name(f"spectral_kernels.svd({self.emit(node.args[0]).text})")
        return f"factors.singular({self.function(node.params[0])}, *{basis})"

    def op_singular_left(self, node: Operation) -> str:
        basis = self.name(f"spectral_kernels.svd({self.emit(node.args[0]).text})")
        f = self.function(node.params[0])
        return f"factors.singular({f}, {basis}[0], {basis}[1], {basis}[0])"

    def op_signed_difference(self, node: Operation) -> str:
        f, parity, signs = node.params
        s = self.emit(node.args[0]).text
        return f"signed_difference({self.functions(f, len(signs) + 1)}, {s}, {parity!r}, {signs!r})"

    # -- dimensions ------------------------------------------------------------------------------

    def dim(self, d: Dim) -> str:
        """A dimension as source over the size arguments."""
        if d.value is not None:
            return str(d.value)
        parts = []
        for atoms, c in d.terms:
            names = [
                self.dim_names[a]
                if isinstance(a, str)
                else f"min({self.dim(a[1])}, {self.dim(a[2])})"
                for a in atoms
            ]
            if c != 1 or not names:
                names.insert(0, str(c))
            parts.append(" * ".join(names))
        text = " + ".join(parts)
        return text if len(d.terms) == 1 and len(d.terms[0][0]) <= 1 else f"({text})"

    def size(self, d: Dim) -> int:
        return max(1, d.evaluate(self.sizes))

    def shape(self, shape: tuple[Dim, ...]) -> str:
        return f"({', '.join(self.dim(d) for d in shape)}{',' if len(shape) == 1 else ''})"


def number(c: Scalar) -> str:
    """A constant as a float literal."""
    return repr(float(c))

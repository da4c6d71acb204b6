"""Expressions as readable, straight-line NumPy source.

Shared parts are computed once and named, the rest is written inline.  Copy tensors are never
stored: a broadcast is a unit axis, a diagonal is written into a view.  All identifiers are made
here; nothing that a user typed enters the source except as a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from tensorcalculus.compiler.numpy_operations import OperationSource, number
from tensorcalculus.compiler.pairwise import Piece, expanded, order, pair, permuted
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Size,
    Variable,
    walk,
)

INLINE = 60
"""Longest text that is written into its user rather than named."""

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Emitter(OperationSource):
    """Writes one function that returns the values of ``roots``."""

    def __init__(
        self,
        roots: list[Expr],
        variables: Mapping[str, Variable],
        symbols: list[str],
        sizes: Mapping[str, int],
    ) -> None:
        self.roots = roots
        self.sizes = sizes
        self.dim_names = {s: f"d{k}" for k, s in enumerate(symbols)}
        self.lines: list[str] = []
        self.values: dict[Expr, Piece] = {}
        self.factors: dict[Expr, str] = {}
        self.shared: dict[str, str] = {}
        self.uses: dict[Expr, int] = {}
        self.count = 0
        for node in walk(*roots):
            for child in node.children:
                self.uses[child] = self.uses.get(child, 0) + 1
        for root in roots:
            self.uses[root] = self.uses.get(root, 0) + 1
        for k, variable in enumerate(variables.values()):
            self.values[variable] = Piece(f"x{k}", tuple(range(variable.ndim)))
        self.arrays = [f"x{k}" for k in range(len(variables))]
        self.header = f"def evaluate({', '.join([*self.arrays, *self.dim_names.values()])}):"
        told = [f"x{k} = {v.name}" for k, v in enumerate(variables.values())]
        told += [f"{name} = {symbol}" for symbol, name in self.dim_names.items()]
        self.comment = f"    # {', '.join(told)}" if told else ""

    def source(self) -> str:
        """The text of the function."""
        for node in walk(*self.roots):
            # Index tensors and inverses may never be needed as arrays.
            lazy = isinstance(node, Operation) and node.row.name in ("shift", "inv")
            if self.uses.get(node, 0) > 1 and not lazy:
                self.emit(node)
        results = []
        for root in self.roots:
            piece = self.emit(root)
            if isinstance(root, Variable) or any(piece.text == other for other in results):
                piece = Piece(f"{piece.wrapped(3)}.copy()", piece.legs)
            results.append(piece.text)
        body = [f"    {line}" for line in self.lines]
        body.append(f"    return {', '.join(results)}")
        if any("dtype)" in line for line in body):
            body.insert(0, f"    dtype = np.result_type({', '.join(self.arrays) or 'float'})")
        lines = [self.header, self.comment, *body]
        return "\n".join(line for line in lines if line) + "\n"

    # -- pieces ----------------------------------------------------------------------------------

    def name(self, text: str) -> str:
        """Store a text under a new name; the same text is stored once."""
        found = self.shared.get(text)
        if found is None:
            found = self.shared[text] = f"t{self.count}"
            self.count += 1
            self.lines.append(f"{found} = {text}")
        return found

    def fresh(self, text: str) -> str:
        """A new name for an array that the next lines write into."""
        self.count += 1
        self.lines.append(f"t{self.count - 1} = {text}")
        return f"t{self.count - 1}"

    def short(self, piece: Piece) -> Piece:
        if len(piece.text) <= INLINE:
            return piece
        return Piece(self.name(piece.text), piece.legs)

    def emit(self, node: Expr) -> Piece:
        """The array of ``node`` with all its axes."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.values:
                stack.pop()
                continue
            # Deep chains are written from the inside out, without recursion.
            waiting = [
                c for c in top.children if c not in self.values and not isinstance(c, Number)
            ]
            deep = [c for c in waiting if c.size > 40]
            if deep:
                stack.extend(deep)
                continue
            stack.pop()
            piece = self.write(top)
            if self.uses.get(top, 0) > 1 and not piece.text.isidentifier():
                piece = Piece(self.name(piece.text), piece.legs)
            self.values[top] = self.short(piece)
        return self.values[node]

    def loose(self, node: Expr) -> Piece:
        """``node`` up to broadcasting: axes along which it is constant may be missing or unit."""
        if not self.is_loose(node):
            return self.emit(node)
        assert isinstance(node, Contraction)
        carried = {i for legs in node.legs for i in legs}
        value = self.contraction(node, tuple(i for i in node.out if i in carried))
        piece = expanded(value, node.out)
        return Piece(piece.text, tuple(range(node.ndim)), piece.level)

    def is_loose(self, node: Expr) -> bool:
        """Whether :meth:`loose` leaves axes of ``node`` out."""
        if not isinstance(node, Contraction) or node in self.values:
            return False
        carried = {i for legs in node.legs for i in legs}
        return len(set(node.out)) == len(node.out) and not carried.issuperset(node.out)

    def write(self, node: Expr) -> Piece:
        axes = tuple(range(node.ndim))
        if isinstance(node, Number):
            return Piece(number(node.value), (), 3 if node.value >= 0 else 1)
        if isinstance(node, Size):
            return Piece(self.dim(node.dim), (), 3)
        if isinstance(node, Combination):
            return self.combination(node)
        if isinstance(node, Map):
            spread = node.ndim and all(not a.ndim or self.is_loose(a) for a in node.args)
            args = [self.loose(a) for a in node.args]
            piece = None
            if node.function.name in ("pow", "pow0"):
                piece = self.power(node, args)
            if piece is None:
                piece = Piece(node.function.numpy.format(*(a.text for a in args)), axes)
            if spread:
                return Piece(f"np.broadcast_to({piece.text}, {self.shape(node.shape)})", axes)
            return Piece(piece.text, axes, piece.level)
        if isinstance(node, Operation):
            return self.operation(node)
        assert isinstance(node, Contraction)
        carried = {i for legs in node.legs for i in legs}
        kept = tuple(dict.fromkeys(i for i in node.out if i in carried))
        value = self.contraction(node, kept)
        if kept == node.out:
            return Piece(value.text, axes, value.level)
        return self.patterned(node, value)

    def patterned(self, node: Contraction, value: Piece) -> Piece:
        """Write a value along the diagonal, or over the whole, of a new array."""
        unique = tuple(dict.fromkeys(node.out))
        spread = expanded(value, unique)
        shape = self.shape(node.shape)
        if unique == node.out:
            filled = f"np.full({shape}, {spread.text})"
            return Piece(filled, tuple(range(node.ndim)))
        target = self.fresh(f"np.zeros({shape}, dtype)")
        self.lines.append(f"{_view(target, node.out, unique)}[...] = {spread.text}")
        return Piece(target, tuple(range(node.ndim)))

    def power(self, node: Map, args: list[Piece]) -> Piece | None:
        base, _ = args
        squares = _summed_squares(node.args[0])
        half = node.args[1].value if isinstance(node.args[1], Number) else None
        if squares is not None and isinstance(half, Fraction) and half.denominator == 2:
            size = self.named(Piece(f"kernels.norm({self.emit(squares).text})", ()))
            power = int(2 * half)
            if power == 1:
                return size
            guard = "guarded_power" if node.function.name == "pow0" else "power"
            return Piece(f"kernels.{guard}({size.text}, {float(power)!r})", ())
        p = node.args[1].value if isinstance(node.args[1], Number) else None
        if node.function.name == "pow0" or p is None:
            return None
        if p == 2:
            inner = self.named(base)
            return Piece(f"{inner.wrapped(3)} * {inner.wrapped(3)}", (), 2)
        if p == -1:
            return Piece(f"1.0 / {base.wrapped(3)}", (), 2)
        if p == Fraction(1, 2):
            return Piece(f"np.sqrt({base.text})", ())
        if p == Fraction(-1, 2):
            return Piece(f"1.0 / np.sqrt({base.text})", (), 2)
        return None

    def named(self, piece: Piece) -> Piece:
        """A piece that may be repeated in the text without being computed again."""
        if piece.text.isidentifier():
            return piece
        return Piece(self.name(piece.text), piece.legs)

    # -- sums ------------------------------------------------------------------------------------

    def combination(self, node: Combination) -> Piece:
        axes = tuple(range(node.ndim))
        if not node.terms:
            return Piece(f"np.zeros({self.shape(node.shape)}, dtype)", axes)
        dense, diagonal = [], []
        for c, t in zip(node.coefficients, node.terms, strict=True):
            repeated = isinstance(t, Contraction) and len(set(t.out)) < len(t.out)
            (diagonal if repeated and t not in self.values else dense).append((c, t))
        text, level = "", 3
        whole = False
        for c, t in dense:
            spread = self.is_loose(t)
            piece = self.loose(t)
            whole |= not spread
            if t.ndim == 0 and isinstance(t, Number):
                term = Piece(number(abs(c) * t.value), ())
            elif abs(c) == 1:
                term = piece
            else:
                term = Piece(f"{number(abs(c))} * {piece.wrapped(3)}", piece.legs, 2)
            if not text:
                text = f"-{term.wrapped(2)}" if c < 0 else term.text
                level = 1 if c < 0 else term.level
            else:
                text = f"{text} {'-' if c < 0 else '+'} {term.wrapped(2)}"
                level = 1
        if not diagonal:
            piece = Piece(text, axes, level)
            if node.ndim and not whole:
                piece = Piece(f"np.broadcast_to({text}, {self.shape(node.shape)})", axes)
            return piece
        shape = self.shape(node.shape)
        if not text:
            target = self.fresh(f"np.zeros({shape}, dtype)")
        elif whole and level < 3:  # arithmetic gives a new array, anything else may be a view
            target = self.fresh(f"np.asarray({text}, dtype)")
        else:
            target = self.fresh(f"np.array(np.broadcast_to({text}, {shape}), dtype)")
        for c, t in diagonal:
            assert isinstance(t, Contraction)
            carried = {i for legs in t.legs for i in legs}
            unique = tuple(dict.fromkeys(t.out))
            value = self.contraction(t, tuple(i for i in unique if i in carried))
            spread = expanded(value, unique)
            factor = "" if abs(c) == 1 else f"{number(abs(c))} * "
            body = spread.wrapped(2 if not factor else 3)
            sign = "-" if c < 0 else "+"
            self.lines.append(f"{_view(target, t.out, unique)}[...] {sign}= {factor}{body}")
        return Piece(target, axes)

    # -- contractions ----------------------------------------------------------------------------

    def contraction(self, node: Contraction, out: tuple[int, ...]) -> Piece:
        """The operands of ``node`` joined, summed to the labels ``out``."""
        dims = {i: self.dim(d) for i, d in enumerate(node.dims)}
        sizes = {i: self.size(d) for i, d in enumerate(node.dims)}
        scalars = [e for e, legs in zip(node.operands, node.legs, strict=True) if not legs]
        pairs = [(e, legs) for e, legs in zip(node.operands, node.legs, strict=True) if legs]
        pieces = [self.operand(e, legs) for e, legs in pairs if not _is_shift(e, legs)]
        pieces, scatters = self.correlate(
            pieces, [(e, legs) for e, legs in pairs if _is_shift(e, legs)], out
        )
        final_out = out
        for (i, o, j), _ in scatters:
            out = (*(k for k in out if k != i), o, j)
        for k, piece in enumerate(pieces):
            others = {i for j, p in enumerate(pieces) if j != k for i in p.legs} | set(out)
            pieces[k] = self.sum_out(piece, others)
        if len(pieces) > 1:
            for step in order([p.legs for p in pieces], out, sizes):
                picked = [pieces[k] for k in step]
                rest = [p for k, p in enumerate(pieces) if k not in step]
                keep = {i for p in rest for i in p.legs} | set(out)
                merged = picked[0]
                for other in picked[1:]:
                    final = out if not rest else tuple(sorted(keep))
                    merged = self.short(pair(merged, other, keep, final, dims))
                    if ".solve(" in merged.text:
                        # Solves are worth sharing: the same text is stored once.
                        merged = Piece(self.name(merged.text), merged.legs)
                pieces = [*rest, merged]
        result = pieces[0] if pieces else None
        for (i, o, j), width in scatters:
            assert result is not None
            rest = tuple(k for k in result.legs if k not in (o, j))
            moved = permuted(result, (*rest, o, j))
            result = Piece(f"kernels.overlap_add({moved.text}, {width})", (*rest, i))
        if result is not None:
            result = permuted(result, final_out)
        for e in scalars:
            reciprocal = _denominator(e)
            if reciprocal is not None and result is not None and self.uses.get(e, 0) <= 1:
                divisor = self.emit(reciprocal)
                result = Piece(f"{result.wrapped(2)} / {divisor.wrapped(3)}", result.legs, 2)
                continue
            factor = self.emit(e)
            if result is None:
                result = Piece(factor.text, (), factor.level)
            else:
                text = f"{factor.wrapped(2)} * {result.wrapped(3)}"
                result = Piece(text, result.legs, 2)
        return result if result is not None else Piece("1.0", ())

    def operand(self, e: Expr, legs: tuple[int, ...]) -> Piece:
        """An operand of a contraction; a repeated label takes the diagonal."""
        if isinstance(e, Operation) and e.row.name == "inv" and e.ndim == 2 and legs[0] != legs[1]:
            dense = self.values.get(e)
            factor = self.factor(e.args[0])
            text = dense.text if dense is not None else f"{factor}.inverse()"
            return Piece(text, legs, 3, factor)
        piece = self.emit(e)
        unique = tuple(dict.fromkeys(legs))
        if unique != legs:
            return Piece(_view(piece.wrapped(3), legs, unique), unique)
        return Piece(piece.text, legs, piece.level)

    def factor(self, a: Expr) -> str:
        """The LU factors of a matrix, computed once for every solve with it."""
        found = self.factors.get(a)
        if found is None:
            text = self.emit(a).text
            found = self.factors[a] = self.name(f"factors.factorize({text})")
        return found

    def sum_out(self, piece: Piece, keep: set[int]) -> Piece:
        gone = [k for k, i in enumerate(piece.legs) if i not in keep]
        if not gone:
            return piece
        legs = tuple(i for i in piece.legs if i in keep)
        if not legs:
            return Piece(f"{piece.wrapped(3)}.sum()", ())
        axis = str(gone[0]) if len(gone) == 1 else str(tuple(gone))
        return Piece(f"{piece.wrapped(3)}.sum(axis={axis})", legs)

    def correlate(
        self,
        pieces: list[Piece],
        shifts: list[tuple[Expr, tuple[int, ...]]],
        out: tuple[int, ...],
    ) -> tuple[list[Piece], list[tuple[tuple[int, ...], str]]]:
        """Index tensors of convolutions as strided windows of the data, never as numbers.

        The second part of the result are those that scatter instead: their long axis is in the
        output, the short ones are summed once everything else is contracted.
        """
        scatters = []
        for place, (e, legs) in enumerate(shifts):
            i, o, j = legs
            others = {x for k, (_, g) in enumerate(shifts) if k != place for x in g}
            width = self.dim(e.params[1])  # type: ignore[attr-defined]
            users = [p for p in pieces if i in p.legs]
            long = i not in out and i not in others
            if len(users) == 1 and long and not {o, j} & set(users[0].legs):
                (data,) = users
                text = f"kernels.windows({data.text}, {data.legs.index(i)}, {width})"
                pieces = [p for p in pieces if p is not data]
                pieces.append(Piece(text, (*(o if x == i else x for x in data.legs), j)))
            elif not users and i in out and not {o, j} & set(out) and others.isdisjoint(legs):
                scatters.append((legs, width))
            else:
                pieces.append(self.operand(e, legs))
        carried = {i for p in pieces for i in p.legs}
        for legs, width in list(scatters):
            if not carried.issuperset(legs[1:]):
                scatters.remove((legs, width))
                e = next(e for e, g in shifts if g == legs)
                pieces.append(self.operand(e, legs))
        return pieces, scatters


def _summed_squares(e: Expr) -> Expr | None:
    """``x`` where ``e`` is the sum of the squares of all its entries."""
    if isinstance(e, Contraction) and not e.out and len(e.operands) == 1:
        inner = e.operands[0]
        plain = len(set(e.legs[0])) == len(e.legs[0])
        if plain and isinstance(inner, Map) and inner.function.name == "pow":
            return inner.args[0] if inner.args[1] is Number(2) else None
    return None


def _is_shift(e: Expr, legs: tuple[int, ...]) -> bool:
    return isinstance(e, Operation) and e.row.name == "shift" and len(set(legs)) == 3


def _view(text: str, legs: tuple[int, ...], unique: tuple[int, ...]) -> str:
    """The diagonal of an array as a view that can be written to."""
    letters = {i: _LETTERS[k] for k, i in enumerate(unique)}
    spec = "".join(letters[i] for i in legs) + "->" + "".join(letters[i] for i in unique)
    return f'np.einsum("{spec}", {text})'


def _denominator(e: Expr) -> Expr | None:
    """What a scalar factor divides by, where it is a plain reciprocal."""
    if isinstance(e, Map) and e.function.name == "pow":
        base, p = e.args
        if isinstance(p, Number) and p.value == -1:
            return base
    return None

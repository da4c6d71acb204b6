"""Expressions as readable, straight-line source for one of the backends.

Shared parts are computed once and named, the rest is written inline.  Copy tensors are never
stored: a broadcast is a unit axis, a diagonal is written into a view.  All identifiers are made
here; nothing that a user typed enters the source except as a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import prod

from tensorcalculus.compiler import contraction_source, operation_source
from tensorcalculus.compiler.cost import Cost
from tensorcalculus.compiler.expansion import expand
from tensorcalculus.compiler.operation_source import number
from tensorcalculus.compiler.pairwise import (
    NEW,
    Joiner,
    Piece,
    expanded,
    pattern,
    permuted,
)
from tensorcalculus.compiler.plan import Planner
from tensorcalculus.compiler.targets import TARGETS, Target
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Scalar,
    Size,
    Variable,
    is_map,
    walk,
)

INLINE = 60
"""Longest text that is written into its user rather than named."""
LARGE = 1000
"""Entries of an array that is given back as soon as it is not needed: the next one then lies where
it lay, in the cache, and the heap does not grow and shrink from call to call."""

_NAME = re.compile(r"\bt\d+\b")


class Emitter:
    """Writes one function that returns the values of ``roots``."""

    def __init__(
        self,
        roots: list[Expr],
        variables: Mapping[str, Variable],
        symbols: list[str],
        sizes: Mapping[str, int],
        target: Target = TARGETS["numpy"],
        reuse: bool = False,
    ) -> None:
        self.sizes = sizes
        self.roots = roots = expand(roots, self.size)
        self.target = target
        self.reuse = reuse and not target.functional
        self.dim_names = {s: f"d{k}" for k, s in enumerate(symbols)}
        self.lines: list[str] = []
        self.entries: dict[str, float] = {}
        """Size of each named array."""
        self.values: dict[Expr, Piece] = {}
        self.constants: set[Expr] = set()
        """Scalars of numbers and sizes alone, which are Python numbers in the source."""
        self.factors: dict[Expr, str] = {}
        self.functions: dict[Expr, str] = {}
        """Scalar functions that a matrix function applies, by their expression in ``t``."""
        self.inverted: set[Expr] = set()
        """Matrices whose factors are needed anyway."""
        self.decomposed: set[tuple[str, tuple[Expr, ...]]] = set()
        """Kernels, with their arguments, whose operations are counted."""
        self.shared: dict[str, str] = {}
        self.merged: dict[tuple, Piece] = {}
        """Joined operands by their key (see ``plan``), labelled with the numbers in it."""
        self.uses: dict[Expr, int] = {}
        self.count = 0
        self.cost = Cost()
        self.planner = Planner()
        for node in walk(*roots):
            if _is_plain(node) and self.constants.issuperset(node.children):
                self.constants.add(node)
            if isinstance(node, Operation) and node.row.name == "inv" and node.ndim == 2:
                self.inverted.add(node.args[0])
            for child in node.children:
                self.uses[child] = self.uses.get(child, 0) + 1
        for root in roots:
            self.uses[root] = self.uses.get(root, 0) + 1
        for k, variable in enumerate(variables.values()):
            self.values[variable] = Piece(f"x{k}", tuple(range(variable.ndim)))
        self.arrays = [f"x{k}" for k in range(len(variables))]
        if target.functional and not variables:
            self.arrays = ["x0"]  # tells the type and the device of results
        self.header = f"def evaluate({', '.join([*self.arrays, *self.dim_names.values()])}):"
        told = [f"x{k} = {v.name}" for k, v in enumerate(variables.values())]
        told += [f"{name} = {symbol}" for symbol, name in self.dim_names.items()]
        self.comment = f"    # {', '.join(told)}" if told else ""
        contraction_source.announce(self)

    def source(self) -> str:
        """The text of the function."""
        for node in walk(*self.roots):
            # Index tensors and inverses may never be needed as arrays.
            lazy = isinstance(node, Operation) and node.row.name in ("shift", "inv")
            lazy |= isinstance(node, Contraction) and not node.operands
            if self.uses.get(node, 0) > 1 and not lazy:
                self.emit(node)
        results = []
        for root in self.roots:
            piece = self.emit(root)
            if root in self.constants:
                piece = Piece(self.target.constant(piece.text), ())
            elif self.shares(root, piece) or any(piece.text == other for other in results):
                piece = Piece(self.target.copied(piece.wrapped(3)), piece.legs)
            results.append(piece.text)
        lines = self.released([*self.lines, f"return {', '.join(results)}"])
        if any(re.search(r"\bdtype\b", line) for line in lines):
            lines = [*self.target.dtype(self.arrays), *lines]
        whole = sum(prod(self.size(d) for d in root.shape) for root in self.roots)
        self.cost.measure_peak(lines, self.entries, whole)
        body = [f"    {line}" for line in lines]
        return "\n".join(line for line in (self.header, self.comment, *body) if line) + "\n"

    def shares(self, root: Expr, piece: Piece) -> bool:
        """Whether a result may share memory with an argument, or entries with each other."""
        if isinstance(root, Variable):
            return True
        if not self.target.aliases:
            return False
        if isinstance(root, Operation):
            return root.row.name in ("reshape", "slice", "degenerate_check")
        if isinstance(root, Contraction):
            arrays = [e for e in root.operands if not _is_pattern(e)]
            carried = {i for legs in root.legs for i in legs}
            return len(arrays) <= 1 and carried.issubset(root.out)
        text = next((x for x, name in self.shared.items() if name == piece.text), piece.text)
        return text.startswith(self.target.call("broadcast_to").removesuffix(")"))

    def released(self, lines: list[str]) -> list[str]:
        """The lines with large arrays deleted after their last use."""
        last = {name: k for k, line in enumerate(lines) for name in _NAME.findall(line)}
        result = []
        for k, line in enumerate(lines):
            result.append(line)
            over = sorted(
                name
                for name in set(_NAME.findall(line))
                if last[name] == k < len(lines) - 1 and self.entries.get(name, 0) >= LARGE
            )
            if over and not self.target.functional:
                result.append(f"del {', '.join(over)}")
        return result

    # -- names and numbers -----------------------------------------------------------------------

    def name(self, text: str, entries: float = 0.0, letter: str = "t") -> str:
        """Store a text under a new name; the same text is stored once."""
        found = self.shared.get(text)
        if found is None:
            found = self.shared[text] = self.fresh(text, entries, letter)
        return found

    def fresh(self, text: str, entries: float = 0.0, letter: str = "t") -> str:
        """A new name for an array that the next lines may write into, or ``c0`` for a number."""
        name = f"{letter}{self.count}"
        self.count += 1
        self.lines.append(f"{name} = {text}")
        self.entries[name] = entries
        return name

    def named(self, piece: Piece) -> Piece:
        """A piece that may be repeated in the text without being computed again."""
        if piece.text.isidentifier():
            return piece
        return Piece(self.name(piece.text), piece.legs)

    def size(self, d: Dim) -> int:
        """The length of an axis for the sizes at hand."""
        return max(1, d.evaluate(self.sizes))

    def entries_of(self, node: Expr) -> float:
        return float(prod(self.size(d) for d in node.shape))

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

    def shape(self, shape: tuple[Dim, ...]) -> str:
        return f"({', '.join(self.dim(d) for d in shape)}{',' if len(shape) == 1 else ''})"

    # -- pieces ----------------------------------------------------------------------------------

    def emit(self, node: Expr) -> Piece:
        """The array of ``node`` with all its axes."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.values:
                stack.pop()
                continue
            # Deep chains are written from the inside out, without recursion.
            waiting = [c for c in self.needed(top) if c not in self.values]
            waiting = [c for c in waiting if not isinstance(c, Number)]
            deep = [c for c in waiting if c.size > 40]
            if deep:
                stack.extend(deep)
                continue
            stack.pop()
            piece = self.write(top)
            entries = self.entries_of(top)
            wanted = self.uses.get(top, 0) > 1 or len(piece.text) > INLINE
            if wanted and not (piece.text.isidentifier() or isinstance(top, (Number, Size))):
                letter = "c" if top in self.constants else "t"
                piece = Piece(self.name(piece.text, entries, letter), piece.legs)
            self.values[top] = piece
        return self.values[node]

    def needed(self, node: Expr) -> Iterable[Expr]:
        """What is to be written before a node: its children, or theirs where it writes them."""
        if not isinstance(node, Combination):
            return node.children
        return (d for c in node.children for d in (c.children if self.alone(c) else (c,)))

    def loose(self, node: Expr) -> Piece:
        """``node`` up to broadcasting: axes along which it is constant may be missing or unit."""
        if not self.is_loose(node):
            return self.emit(node)
        assert isinstance(node, Contraction)
        carried = {i for legs in node.legs for i in legs}
        value = contraction_source.contraction(
            self, node, tuple(i for i in node.out if i in carried)
        )
        piece = expanded(value, node.out, self.target)
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
            return self.map(node)
        if isinstance(node, Operation):
            return Piece(operation_source.operation(self, node), axes)
        assert isinstance(node, Contraction)
        carried = {i for legs in node.legs for i in legs}
        kept = tuple(dict.fromkeys(i for i in node.out if i in carried))
        value = contraction_source.contraction(self, node, kept)
        if kept == node.out:
            return Piece(value.text, axes, value.level)
        return self.patterned(node, value)

    # -- elementwise -----------------------------------------------------------------------------

    def map(self, node: Map) -> Piece:
        axes = tuple(range(node.ndim))
        spread = node.ndim and all(not a.ndim or self.is_loose(a) for a in node.args)
        args = [self.loose(a) for a in node.args]
        fixed, piece = node in self.constants, None
        if not fixed:
            arrays = sum(not isinstance(a, Number) for a in node.args)
            self.cost.entrywise(arrays, 1, node.shape, self.entries_of(node))
        if node.function.name in ("pow", "pow0") and not (fixed and self.target.functional):
            piece = self.power(node, args)
            if piece is not None and fixed and piece.level == 3:
                piece = Piece(self.target.number(piece.text), ())
        if piece is None and fixed:
            text = self.target.number(node.function.numpy.format(*(a.text for a in args)))
            return Piece(text, ())
        if piece is None:
            texts = [p.text for p in args]
            if node.function.numpy.startswith("np."):
                texts = [self.target.argument(t) for t in texts]
            piece = Piece(self.target.spell(node.function.numpy).format(*texts), axes)
        if spread:
            return Piece(self.target.spread(piece.text, self.shape(node.shape)), axes)
        return Piece(piece.text, axes, piece.level)

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
        if node.function.name == "pow0" or half is None:
            return None
        if half == 2:
            inner = self.named(base)
            return Piece(f"{inner.wrapped(3)} * {inner.wrapped(3)}", (), 2)
        if half == -1:
            return Piece(f"1.0 / {base.wrapped(3)}", (), 2)
        if half == Fraction(1, 2):
            return Piece(self.target.call("sqrt", self.target.argument(base.text)), ())
        if half == Fraction(-1, 2):
            root = self.target.call("sqrt", self.target.argument(base.text))
            root = self.target.number(root) if node in self.constants else root
            return Piece(f"1.0 / {root}", (), 2)
        return None

    def combination(self, node: Combination) -> Piece:
        axes = tuple(range(node.ndim))
        if not node.terms:
            return Piece(self.target.zeros(self.shape(node.shape)), axes)
        dense, diagonal = [], []
        for c, t in zip(node.coefficients, node.terms, strict=True):
            repeated = isinstance(t, Contraction) and len(set(t.out)) < len(t.out)
            (diagonal if repeated and t not in self.values else dense).append((c, t))
        text, level, whole = "", 3, False
        for c, t in dense:
            whole |= not self.is_loose(t)
            if node not in self.constants:
                self.count_term(node, c, t, bool(text))
            if self.alone(t):
                # The number goes to the smallest array inside, and the sign where nothing precedes.
                assert isinstance(t, Contraction)
                inside = float(abs(c) if text else c)
                term = contraction_source.contraction(self, t, t.out, inside)
                if not text:
                    text, level = term.text, term.level
                    continue
            elif isinstance(t, Number):
                term = Piece(number(abs(c) * t.value), ())
            else:
                term = self.loose(t)
                if abs(c) != 1:
                    term = Piece(f"{number(abs(c))} * {term.wrapped(3)}", term.legs, 2)
            if not text:
                text = f"-{term.wrapped(2)}" if c < 0 else term.text
                level = 1 if c < 0 else term.level
            else:
                text = f"{text} {'-' if c < 0 else '+'} {term.wrapped(2)}"
                level = 1
        shape = self.shape(node.shape)
        if diagonal:
            # Arithmetic gives a new array, the rest may be a view.
            fresh = whole and (level < 3 or text.startswith(NEW))
            return self.with_diagonals(node, Piece(text, axes, level), fresh, diagonal)
        if node.ndim and not whole:
            return Piece(self.target.spread(text, shape), axes)
        return Piece(text, axes, level)

    def count_term(self, node: Combination, c: Scalar, t: Expr, further: bool) -> None:
        """The addition of a term to others before it, and the product with its coefficient."""
        entries = self.entries_of(node)
        self.cost.entrywise(1, int(further), node.shape, entries)
        if abs(c) != 1 and not (self.alone(t) or isinstance(t, Number)):
            shape = t.shape
            if isinstance(t, Contraction) and self.is_loose(t):
                carried = {i for legs in t.legs for i in legs}
                shape = tuple(t.dims[i] for i in t.out if i in carried)
            self.cost.count(1, shape, prod(self.size(d) for d in shape))

    def alone(self, node: Expr) -> bool:
        """Whether a contraction is written for one user, who may multiply inside of it."""
        if not isinstance(node, Contraction) or node in self.values or not any(node.legs):
            return False
        carried = {i for legs in node.legs for i in legs}
        plain = len(set(node.out)) == node.ndim and carried.issuperset(node.out)
        return plain and self.uses.get(node, 0) <= 1

    def with_diagonals(
        self, node: Combination, dense: Piece, fresh: bool, diagonal: list[tuple]
    ) -> Piece:
        """Terms along diagonals, added to the others in place."""
        shape, entries = self.shape(node.shape), self.entries_of(node)
        axes = tuple(range(node.ndim))
        if self.target.functional:
            text = dense.text
            for c, t in diagonal:
                unique, body = self.along_diagonal(c, t)
                placed = self.target.placed(body, pattern(t.out, unique), shape)
                sign = "-" if c < 0 else "+"
                lead = f"{text} {sign} " if text else sign.strip("+")
                text = f"{lead}{placed}"
            return Piece(self.name(text, entries), axes)
        # The others first: what they need can go before the terms take memory.
        if not dense.text:
            target = self.fresh(self.target.zeros(shape), entries)
        elif fresh:
            target = self.fresh(f"np.asarray({dense.text}, dtype)", entries)
        else:
            target = self.fresh(f"np.array(np.broadcast_to({dense.text}, {shape}), dtype)", entries)
        for k, (c, t) in enumerate(diagonal):
            unique, body = self.along_diagonal(c, t)
            view = f"{_view(target, t.out, unique)}[...]"
            if k == 0 and not dense.text:
                # The first diagonal of an array of zeros is written, not added.
                self.lines.append(f"{view} = {body}" if c > 0 else f"{view} = -({body})")
            else:
                self.lines.append(f"{view} {'-' if c < 0 else '+'}= {body}")
        return Piece(target, axes)

    def along_diagonal(self, c: Scalar, t: Contraction) -> tuple[tuple[int, ...], str]:
        """The labels of a term with equal axes, and the text of ``abs(c)`` times its values."""
        carried = {i for legs in t.legs for i in legs}
        unique = tuple(dict.fromkeys(t.out))
        value = contraction_source.contraction(self, t, tuple(i for i in unique if i in carried))
        dims = [t.dims[i] for i in unique]
        self.cost.count(1 + (abs(c) != 1), dims, prod(self.size(d) for d in dims))
        spread = expanded(value, unique, self.target)
        if abs(c) == 1:
            return unique, spread.wrapped(2)
        return unique, f"{number(abs(c))} * {spread.wrapped(3)}"

    def patterned(self, node: Contraction, value: Piece) -> Piece:
        """Write a value along the diagonal, or over the whole, of a new array."""
        unique = tuple(dict.fromkeys(node.out))
        axes = tuple(range(node.ndim))
        spread = expanded(value, unique, self.target)
        shape = self.shape(node.shape)
        self.cost.bytes += 8 * self.entries_of(node)
        if unique == node.out:
            return Piece(self.target.full(shape, spread.text), axes)
        if self.target.functional:
            text = self.target.placed(spread.text, pattern(node.out, unique), shape)
            return Piece(text, axes)
        target = self.fresh(self.target.zeros(shape), self.entries_of(node))
        self.lines.append(f"{_view(target, node.out, unique)}[...] = {spread.text}")
        return Piece(target, axes)

    def view_of_diagonal(self, text: str, legs: tuple[int, ...], unique: tuple[int, ...]) -> str:
        return self.target.spell(_view(text, legs, unique))

    def sizes_of(self, node: Contraction) -> dict[int, int]:
        return {i: self.size(d) for i, d in enumerate(node.dims)}

    def joiner(self, node: Contraction) -> Joiner:
        dims = {i: self.dim(d) for i, d in enumerate(node.dims)}
        return Joiner(self.target, dims, self.sizes_of(node), self.reuse)

    def permuted(self, piece: Piece, legs: tuple[int, ...]) -> Piece:
        return permuted(piece, legs, self.target)


def _summed_squares(e: Expr) -> Expr | None:
    """``x`` where ``e`` is the sum of the squares of all its entries."""
    if isinstance(e, Contraction) and not e.out and len(e.operands) == 1:
        inner = e.operands[0]
        plain = len(set(e.legs[0])) == len(e.legs[0])
        if plain and is_map(inner, "pow"):
            return inner.args[0] if inner.args[1] is Number(2) else None
    return None


def _is_plain(node: Expr) -> bool:
    """Whether a scalar is a Python number in the source if all that it is made of are."""
    if isinstance(node, Operation):
        return node.row.name == "pi"
    empty = isinstance(node, Combination) and not node.terms
    return not (node.ndim or empty or isinstance(node, Variable))


def _is_pattern(e: Expr) -> bool:
    return isinstance(e, Operation) and e.row.name == "shift"


def _view(text: str, legs: tuple[int, ...], unique: tuple[int, ...]) -> str:
    """The diagonal of an array as a view that can be written to."""
    return f'np.einsum("{pattern(legs, unique)}->{pattern(unique, unique)}", {text})'

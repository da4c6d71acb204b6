"""Source of contractions: operands joined pair by pair in the planned order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

from tensorcalculus.compiler.pairwise import THIN, Joiner, Legs, Piece
from tensorcalculus.compiler.plan import HALVED, Join, Key, Network, Part, key_of, step_time
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.maps import is_nonnegative
from tensorcalculus.expr.node import Contraction, Expr, Number, Operation, is_map, walk

if TYPE_CHECKING:
    from tensorcalculus.compiler.source import Emitter

SYMMETRIC = 256
"""Length of the sides from which half of a symmetric product is computed and mirrored."""

SHARED = 4096
"""Entries from which an array on the way is named, for others that need the same."""

Pairs = list[tuple[Expr, Legs]]


def announce(w: Emitter) -> None:
    """Tell the planner of all contractions, so that it sees what they could share."""
    networks = []
    for node in walk(*w.roots):
        if isinstance(node, Contraction) and len(node.operands) > 2:
            factors = [
                (e, g) for e, g in zip(node.operands, node.legs, strict=True)
                if g and not _is_shift(e, g)
            ]  # fmt: skip
            carried = {i for _, g in factors for i in g}
            parts = tuple(_part(w, e, g) for e, g in factors)
            out = tuple(i for i in node.out if i in carried)
            networks.append(Network(parts, out, w.sizes_of(node), w.planner.arrays))
    w.planner.announce(networks)


def _part(w: Emitter, e: Expr, legs: Legs) -> Part:
    """An operand as the planner knows it; a repeated label is part of what the array is."""
    unique = tuple(dict.fromkeys(legs))
    return w.planner.arrays.number(e, tuple(unique.index(i) for i in legs)), unique


def contraction(w: Emitter, node: Contraction, out: Legs, factor: float = 1.0) -> Piece:
    """The operands of ``node`` joined, summed to the labels ``out``, times a number."""
    sizes = w.sizes_of(node)
    scalars = [e for e, legs in zip(node.operands, node.legs, strict=True) if not legs]
    pairs = [(e, legs) for e, legs in zip(node.operands, node.legs, strict=True) if legs]
    shifts = [(e, g) for e, g in pairs if isinstance(e, Operation) and _is_shift(e, g)]
    plain = [(e, legs) for e, legs in pairs if not _is_shift(e, legs)]
    scatters: list[tuple[Legs, str]] = []
    wide = out
    if shifts:
        pieces, scatters = correlate(w, plain, shifts, out)
        # Windows of data are not known by their node; the text says what they are.
        parts: list[Part] = [(w.planner.arrays.number(p.text), p.legs) for p in pieces]
        for (i, o, j), _ in scatters:
            wide = (*(k for k in wide if k != i), o, j)
    else:
        pieces = [operand(w, e, legs) for e, legs in plain]
        parts = [_part(w, e, legs) for e, legs in plain]
    for k, piece in enumerate(pieces):
        others = {i for j, p in enumerate(pieces) if j != k for i in p.legs} | set(wide)
        if not others.issuperset(piece.legs):
            w.cost.summed([node.dims[i] for i in piece.legs], prod(sizes[i] for i in piece.legs))
            pieces[k] = summed_out(w, piece, others)
            kept = tuple(place for place, i in enumerate(piece.legs) if i in others)
            parts[k] = (w.planner.arrays.number("sum", parts[k][0], kept), pieces[k].legs)
    result = None
    multiplier = _multiplier(w, scalars, factor) if pieces else None
    if pieces:
        halves = 0 if scatters or node.out != out else symmetric_halves(node)
        gram = (
            weighted_gram(w, node, plain, out, sizes)
            if halves == 1 and multiplier is None
            else None
        )
        if gram is not None:
            return gram
        joined = _Joined(w, node, pieces, parts, wide, sizes, halves, multiplier)
        result = joined.result()
    for (i, o, j), width in scatters:
        assert result is not None
        rest = tuple(k for k in result.legs if k not in (o, j))
        moved = w.permuted(result, (*rest, o, j))
        result = Piece(f"kernels.overlap_add({moved.text}, {width})", (*rest, i))
    if result is not None:
        return w.permuted(result, out)
    text = _multiplier(w, scalars, factor)
    return text.onto(None) if text else Piece("1.0", ())


def symmetric_halves(node: Contraction) -> int:
    """Half the number of axes, where exchanging the first half with the second changes nothing."""
    half, odd = divmod(node.ndim, 2)
    if odd or not half or len(set(node.out)) < node.ndim:
        return 0
    if half == 1:
        return int(symmetric(node))
    axes = tuple(range(node.ndim))
    return half if contract([(node, axes)], axes[half:] + axes[:half]) is node else 0


def weighted_gram(
    w: Emitter, node: Contraction, plain: Pairs, out: Legs, sizes: dict[int, int]
) -> Piece | None:
    """``X'*diag(v)*X`` with ``v >= 0`` as ``B.T @ B``, which BLAS halves; B = sqrt(v)*X."""
    matrices = [(e, g) for e, g in plain if set(g) & set(out)]
    weights = [(e, g) for e, g in plain if not set(g) & set(out)]
    # A host that differentiates what it traces would divide by the root of a weight of 0.
    small = min(sizes[i] for i in out) < SYMMETRIC
    if w.target.functional or small or len(matrices) != 2 or not weights:
        return None
    (x, a), (y, b) = matrices
    common = set(a) & set(b)
    if x is not y or len(a) != 2 or len(common) != 1 or a.index(*common) != b.index(*common):
        return None
    (label,) = common
    if any(g != (label,) or not is_nonnegative(e) for e, g in weights):
        return None
    texts = [w.emit(e).wrapped(3) for e, _ in weights]
    root = Piece(w.name(w.target.call("sqrt", " * ".join(texts))), (label,))
    matrix = Piece(w.emit(x).text, (label, out[0]) if a.index(label) == 0 else (out[0], label))
    scaled = Joiner(w.target, {}, sizes).product(matrix, root, matrix.legs)
    entries = float(sizes[label] * sizes[out[0]])
    name = w.name(scaled.text, entries)
    dims = node.dims
    w.cost.joined(matrix.legs, root.legs, matrix.legs, sizes, dims)
    w.cost.joined((label, out[0]), (label, out[1]), out, sizes, dims)
    turned = a.index(label) == 0
    return Piece(f"{name}.T @ {name}" if turned else f"{name} @ {name}.T", out, 2)


@dataclass(frozen=True)
class _Multiplier:
    """Scalar factors and divisors of a contraction, put on its smallest array."""

    factors: tuple[Piece, ...]
    divisors: tuple[Piece, ...]
    negative: bool

    def onto(self, piece: Piece | None) -> Piece:
        texts = [f.wrapped(2) for f in self.factors]
        text = " * ".join(texts)
        if piece is not None:
            text = f"{text} * {piece.wrapped(3)}" if text else piece.wrapped(2)
        text = text or "1.0"
        for d in self.divisors:
            text = f"{text} / {d.wrapped(3)}"
        if self.negative:
            text = f"-{text}"
        plain = not (self.factors or self.divisors or self.negative)
        if piece is None:
            return Piece(text, (), 2)
        return Piece(text, piece.legs, piece.level if plain else 2, symmetric=piece.symmetric)


def _multiplier(w: Emitter, scalars: list[Expr], factor: float) -> _Multiplier | None:
    factors, divisors = [], []
    if abs(factor) != 1:
        factors.append(Piece(repr(abs(factor)), ()))
    for e in scalars:
        reciprocal = _denominator(e)
        if reciprocal is not None and w.uses.get(e, 0) <= 1:
            divisors.append(w.emit(reciprocal))
        else:
            factors.append(w.emit(e))
    if not factors and not divisors and factor == 1:
        return None
    return _Multiplier(tuple(factors), tuple(divisors), factor < 0)


class _Joined:
    """Writes the joins of one contraction."""

    def __init__(
        self,
        w: Emitter,
        node: Contraction,
        pieces: list[Piece],
        parts: list[Part],
        out: Legs,
        sizes: dict[int, int],
        halves: int,
        multiplier: _Multiplier | None,
    ) -> None:
        self.w, self.joiner, self.out, self.sizes = w, w.joiner(node), out, sizes
        self.node, self.dims = node, node.dims
        self.pieces, self.parts = list(pieces), list(parts)
        self.halves, self.multiplier = halves, multiplier
        self.scaled: frozenset[int] | None = None
        """The operands below the array that takes the multiplier: the smallest on the way."""

    def result(self) -> Piece:
        halves = self.by_halves() if self.halves else None
        if halves is not None:
            return self.multiplied(halves) if self.multiplier else halves
        self.join_units()
        tree, _ = self.w.planner.order(self.parts, self.out, self.sizes)
        if self.multiplier is not None:
            self.scaled = _below(self.smallest(tree))
        return self.write(tree, self.out, True)

    def join_units(self) -> None:
        """Join the pairs that several contractions of the program share."""
        units = self.w.planner.units
        found = bool(units)
        while found and len(self.parts) > 2:
            found = False
            arrays = self.w.planner.arrays
            network = Network(tuple(self.parts), self.out, self.sizes, arrays)
            for a, b in combinations(range(len(self.parts)), 2):
                key, part = network.pair(a, b)
                if key in units:
                    piece = self.unit(key, network, a, b, part)
                    for k in (b, a):
                        del self.parts[k], self.pieces[k]
                    self.parts.append(part)
                    self.pieces.append(piece)
                    found = True
                    break

    def unit(self, key: Key, network: Network, a: int, b: int, part: Part) -> Piece:
        made = self.w.merged.get(key)
        _, names = key_of([network.parts[a], network.parts[b]], part[1])
        if made is not None:
            return _relabelled(made, names)
        rest = [legs for _, legs in network.rest(a, b)]
        others = {i for legs in rest for i in legs}
        # In the order of an array that it is multiplied with entry by entry, if there is one.
        alike = [legs for legs in rest if set(legs) == set(part[1])]
        hint = (*alike, sorted(part[1], key=lambda i: i not in others or i not in self.out))[0]
        piece = self.joiner.join(self.pieces[a], self.pieces[b], set(part[1]), tuple(hint))
        self.w.cost.joined(
            self.pieces[a].legs, self.pieces[b].legs, piece.legs, self.sizes, self.dims
        )
        piece = Piece(self.named(piece), piece.legs)
        self.store(key, names, piece)
        return piece

    def store(self, key: Key, names: dict[int, int], piece: Piece) -> None:
        """Let others find a named array."""
        self.w.merged[key] = Piece(piece.text, tuple(names[i] for i in piece.legs))
        self.w.planner.made.add(key)

    def named(self, piece: Piece) -> str:
        return self.w.name(piece.text, self.count(piece.legs))

    def count(self, legs: Legs) -> float:
        return float(prod(self.sizes[i] for i in legs))

    def smallest(self, tree: int | Join) -> int | Join:
        """The array that takes the multiplier: one of the least entries, the last such."""
        best, least = tree, self.entries(tree)
        stack: list[int | Join] = [tree]
        while stack:
            t = stack.pop()
            solves = not isinstance(t, Join) and self.pieces[t].solver
            if 2 * self.entries(t) <= least and not solves:
                best, least = t, self.entries(t)
            if isinstance(t, Join):
                stack += [t.first, t.second]
        return best

    def entries(self, tree: int | Join) -> float:
        return self.count(tree.legs if isinstance(tree, Join) else self.pieces[tree].legs)

    def write(self, tree: int | Join, wanted: Legs, last: bool) -> Piece:
        piece = self.plain(tree, wanted, last)
        if self.multiplier is not None and self.scaled == _below(tree):
            return self.multiplied(piece)
        return piece

    def multiplied(self, piece: Piece) -> Piece:
        """An array with the scalar factors of the contraction."""
        assert self.multiplier is not None
        times = len(self.multiplier.factors) + len(self.multiplier.divisors)
        self.w.cost.count(times, [self.dims[i] for i in piece.legs], self.count(piece.legs))
        return self.multiplier.onto(piece)

    def plain(self, tree: int | Join, wanted: Legs, last: bool) -> Piece:
        if not isinstance(tree, Join):
            return self.pieces[tree]
        key, names = key_of([self.parts[k] for k in tree.members], tree.legs)
        # What holds a multiplied array is of no use to others.
        clean = self.scaled is None or not self.scaled < _below(tree)
        found = self.w.merged.get(key) if clean else None
        if found is not None:
            return _relabelled(found, names)
        hint = self.hint(tree, wanted)
        a, b = self.write(tree.first, hint, False), self.write(tree.second, hint, False)
        keep = set(tree.legs)
        piece = self.joiner.join(a, b, keep, wanted)
        self.w.cost.joined(a.legs, b.legs, piece.legs, self.sizes, self.dims)
        shared = len(piece.text) > 60 or self.count(piece.legs) >= SHARED
        if not last and (shared or ".solve(" in piece.text):
            piece = Piece(self.named(piece), piece.legs)
            if clean:
                self.store(key, names, piece)
        elif ".solve(" in piece.text:
            piece = Piece(self.named(piece), piece.legs)  # the same solve may stand elsewhere
        return piece

    def by_halves(self) -> Piece | None:
        """A large matrix product that is known to be symmetric: half of it is computed."""
        rows, columns = self.out[: self.halves], self.out[self.halves :]
        if self.w.target.functional or prod(self.sizes[i] for i in rows) < SYMMETRIC:
            return None
        first = [k for k, p in enumerate(self.pieces) if set(rows) & set(p.legs)]
        second = [k for k in range(len(self.pieces)) if k not in first]
        if any(set(columns) & set(self.pieces[k].legs) for k in first):
            return None
        inside = [{i for k in group for i in self.pieces[k].legs} for group in (first, second)]
        summed = tuple(sorted(inside[0] & inside[1]))
        if not summed or not second or not inside[0].issuperset(rows):
            return None
        if prod(self.sizes[i] for i in summed) <= THIN:
            return None
        if self.time_by_halves(first, second, rows, columns, summed) > self.time(self.parts):
            return None
        a = self.group(first, rows + summed)
        b = self.group(second, columns + summed)
        x = self.joiner.as_matrix(a, rows, summed, True)
        like_rows = tuple(columns[rows.index(i)] for i in x.legs)
        if b.legs != like_rows + summed and b.legs != summed + like_rows:
            b = self.w.permuted(b, like_rows + summed)
        y = self.joiner.as_matrix(b, like_rows, summed, False)
        self.w.cost.joined(a.legs, b.legs, self.out, self.sizes, self.dims)
        if x.text.removesuffix(".T") == y.text.removesuffix(".T"):
            text = f"{x.wrapped(2)} @ {y.wrapped(3)}"  # NumPy halves these itself
        else:
            text = f"kernels.symmetric_product({x.text}, {y.text})"
        legs = x.legs + like_rows
        if len(legs) == 2:
            return Piece(text, legs, 2)
        return Piece(f"({text}).reshape({self.joiner.shape(legs)})", legs)

    def time(self, parts: list[Part], out: Legs | None = None) -> float:
        out = self.out if out is None else out
        return self.w.planner.time(Network(tuple(parts), out, self.sizes, self.w.planner.arrays))

    def time_by_halves(
        self, first: list[int], second: list[int], rows: Legs, columns: Legs, summed: Legs
    ) -> float:
        """Two groups of operands joined, and half of the product of the two."""
        groups = [(first, rows + summed), (second, columns + summed)]
        time = sum(self.time([self.parts[k] for k in g], out) for g, out in groups if len(g) > 1)
        return time + HALVED * step_time(rows + summed, columns + summed, set(self.out), self.sizes)

    def group(self, members: list[int], out: Legs) -> Piece:
        """Some of the operands joined, and stored if there are several."""
        if len(members) == 1:
            return self.pieces[members[0]]
        pieces, parts = [self.pieces[k] for k in members], [self.parts[k] for k in members]
        joined = _Joined(self.w, self.node, pieces, parts, out, self.sizes, 0, None)
        piece = joined.result()
        return Piece(joined.named(piece), piece.legs)

    def hint(self, tree: Join, wanted: Legs) -> Legs:
        """The order of axes that the halves should come in: labels that stay common first."""
        # An array that is there already decides on the order before one that is still to be made.
        halves = sorted((tree.first, tree.second), key=lambda t: isinstance(t, Join))
        first, second = (t.legs if isinstance(t, Join) else self.pieces[t].legs for t in halves)
        batch = tuple(i for i in first if i in second and i in tree.legs)
        if not batch:
            return wanted
        free = tuple(i for i in (*first, *second) if i not in batch and i in tree.legs)
        summed = tuple(i for i in first if i in second and i not in tree.legs)
        return batch + tuple(dict.fromkeys(free)) + summed


def _below(tree: int | Join) -> frozenset[int]:
    """The operands that a join, or one operand, is made of."""
    return frozenset(tree.members if isinstance(tree, Join) else (tree,))


def _relabelled(stored: Piece, names: dict[int, int]) -> Piece:
    """A joined array whose labels are numbered as in its key, with those of a contraction."""
    labels = {number: i for i, number in names.items()}
    return Piece(stored.text, tuple(labels[n] for n in stored.legs))


def operand(w: Emitter, e: Expr, legs: Legs) -> Piece:
    """An operand of a contraction; a repeated label takes the diagonal."""
    if isinstance(e, Operation) and e.row.name == "inv" and e.ndim == 2 and legs[0] != legs[1]:
        dense = w.values.get(e)
        factor = factorized(w, e.args[0])
        text = dense.text if dense is not None else f"{factor}.inverse()"
        return Piece(text, legs, 3, factor)
    piece = w.emit(e)
    unique = tuple(dict.fromkeys(legs))
    if unique != legs:
        return Piece(w.view_of_diagonal(piece.wrapped(3), legs, unique), unique)
    return Piece(piece.text, legs, piece.level)


def factorized(w: Emitter, a: Expr) -> str:
    """The factors of a matrix, computed once for every solve with it."""
    found = w.factors.get(a)
    if found is None:
        n = w.size(a.shape[-1])
        alike = symmetric(a) and not w.target.functional
        w.cost.count(Fraction(1 if alike else 2, 3), (a.shape[-1],) * 3, n**3)
        flag = ", symmetric=True" if alike else ""
        found = w.factors[a] = w.name(f"factors.factorize({w.emit(a).text}{flag})")
    return found


def summed_out(w: Emitter, piece: Piece, keep: set[int]) -> Piece:
    gone = [k for k, i in enumerate(piece.legs) if i not in keep]
    legs = tuple(i for i in piece.legs if i in keep)
    if not legs:
        return Piece(f"{piece.wrapped(3)}.sum()", ())
    axis = str(gone[0]) if len(gone) == 1 else str(tuple(gone))
    return Piece(f"{piece.wrapped(3)}.sum(axis={axis})", legs)


def correlate(
    w: Emitter, plain: Pairs, shifts: list[tuple[Operation, Legs]], out: Legs
) -> tuple[list[Piece], list[tuple[Legs, str]]]:
    """Index tensors of convolutions as strided windows of the data, never as numbers.

    The second part of the result are those that scatter instead: their long axis is in the
    output, the short ones are summed once everything else is contracted.
    """
    pieces = [operand(w, e, legs) for e, legs in plain]
    scatters = []
    for place, (e, legs) in enumerate(shifts):
        i, o, j = legs
        others = {x for k, (_, g) in enumerate(shifts) if k != place for x in g}
        width = w.dim(e.params[1])
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
            pieces.append(operand(w, e, legs))
    carried = {i for p in pieces for i in p.legs}
    for legs, width in list(scatters):
        if not carried.issuperset(legs[1:]):
            scatters.remove((legs, width))
            e = next(e for e, g in shifts if g == legs)
            pieces.append(operand(w, e, legs))
    return pieces, scatters


def _is_shift(e: Expr, legs: Legs) -> bool:
    return isinstance(e, Operation) and e.row.name == "shift" and len(set(legs)) == 3


def _denominator(e: Expr) -> Expr | None:
    """What a scalar factor divides by, where it is a plain reciprocal."""
    if is_map(e, "pow"):
        base, p = e.args
        if isinstance(p, Number) and p.value == -1:
            return base
    return None

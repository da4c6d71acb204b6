"""Source of contractions: operands joined pair by pair in the planned order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorcalculus.compiler.pairwise import Joiner, Legs, Piece
from tensorcalculus.compiler.plan import Join, Part, key_of
from tensorcalculus.expr.contraction import symmetric
from tensorcalculus.expr.node import Contraction, Expr, Map, Number, Operation, walk

if TYPE_CHECKING:
    from tensorcalculus.compiler.source import Emitter

SYMMETRIC = 256
"""Length of the sides from which half of a symmetric product is computed and mirrored."""

Pairs = list[tuple[Expr, Legs]]


def announce(w: Emitter) -> None:
    """Tell the planner of all contractions, so that it sees what they could share."""
    for node in walk(*w.roots):
        if isinstance(node, Contraction) and len(node.operands) > 2:
            factors = [
                (e, g) for e, g in zip(node.operands, node.legs, strict=True)
                if g and not _is_shift(e, g)
            ]  # fmt: skip
            carried = {i for _, g in factors for i in g}
            parts = [_part(w, e, g) for e, g in factors]
            w.planner.announce(parts, tuple(i for i in node.out if i in carried))


def _part(w: Emitter, e: Expr, legs: Legs) -> Part:
    """An operand as the planner knows it; a repeated label is part of what the array is."""
    unique = tuple(dict.fromkeys(legs))
    return (w.serial(e), tuple(unique.index(i) for i in legs)), unique


def contraction(w: Emitter, node: Contraction, out: Legs) -> Piece:
    """The operands of ``node`` joined, summed to the labels ``out``."""
    sizes = {i: w.size(d) for i, d in enumerate(node.dims)}
    scalars = [e for e, legs in zip(node.operands, node.legs, strict=True) if not legs]
    pairs = [(e, legs) for e, legs in zip(node.operands, node.legs, strict=True) if legs]
    shifts = [(e, legs) for e, legs in pairs if _is_shift(e, legs)]
    plain = [(e, legs) for e, legs in pairs if not _is_shift(e, legs)]
    joiner = w.joiner(node)
    scatters: list[tuple[Legs, str]] = []
    wide = out
    if shifts:
        pieces, scatters = correlate(w, plain, shifts, out)
        parts: list[Part] = [((-1, w.count, k), p.legs) for k, p in enumerate(pieces)]
        for (i, o, j), _ in scatters:
            wide = (*(k for k in wide if k != i), o, j)
    else:
        pieces = [operand(w, e, legs) for e, legs in plain]
        parts = [_part(w, e, legs) for e, legs in plain]
    for k, piece in enumerate(pieces):
        others = {i for j, p in enumerate(pieces) if j != k for i in p.legs} | set(wide)
        if not others.issuperset(piece.legs):
            pieces[k] = summed_out(w, piece, others)
            parts[k] = ((*parts[k][0], "sum", pieces[k].legs), pieces[k].legs)
    result = None
    if pieces:
        halves = not scatters and len(out) == 2 and symmetric(node) and node.out == out
        result = _joined(w, joiner, pieces, parts, wide, sizes, halves)
    for (i, o, j), width in scatters:
        assert result is not None
        rest = tuple(k for k in result.legs if k not in (o, j))
        moved = w.permuted(result, (*rest, o, j))
        result = Piece(f"kernels.overlap_add({moved.text}, {width})", (*rest, i))
    if result is not None:
        result = w.permuted(result, out)
    return scaled(w, result, scalars)


def scaled(w: Emitter, result: Piece | None, scalars: list[Expr]) -> Piece:
    """The result times scalar factors; a reciprocal divides."""
    for e in scalars:
        reciprocal = _denominator(e)
        if reciprocal is not None and result is not None and w.uses.get(e, 0) <= 1:
            divisor = w.emit(reciprocal)
            result = Piece(f"{result.wrapped(2)} / {divisor.wrapped(3)}", result.legs, 2)
            continue
        factor = w.emit(e)
        if result is None:
            result = Piece(factor.text, (), factor.level)
        else:
            result = Piece(f"{factor.wrapped(2)} * {result.wrapped(3)}", result.legs, 2)
    return result if result is not None else Piece("1.0", ())


def _joined(
    w: Emitter,
    joiner: Joiner,
    pieces: list[Piece],
    parts: list[Part],
    out: Legs,
    sizes: dict[int, int],
    halves: bool,
) -> Piece:
    tree, _ = w.planner.order(parts, out, sizes)

    def write(tree: int | Join, wanted: Legs, last: bool) -> Piece:
        if not isinstance(tree, Join):
            return pieces[tree]
        key, names = key_of([parts[k] for k in tree.members], tree.legs)
        found = w.merged.get(key)
        if found is not None:
            labels = {number: i for i, number in names.items()}
            return Piece(found.text, tuple(labels[n] for n in found.legs), found.level)
        hint = _hint(tree, pieces, wanted)
        a, b = write(tree.first, hint, False), write(tree.second, hint, False)
        keep = set(tree.legs)
        if halves and last and _is_large_product(a, b, keep, sizes) and not w.target.functional:
            piece = _symmetric_product(w, a, b, wanted)
        else:
            piece = joiner.join(a, b, keep, wanted)
        w.cost.joined(a.legs, b.legs, piece.legs, sizes)
        shared = w.planner.wanted[key] > 1
        if not last and (shared or len(piece.text) > 60 or ".solve(" in piece.text):
            entries = 1.0
            for i in piece.legs:
                entries *= sizes[i]
            piece = Piece(w.name(piece.text, entries), piece.legs)
            w.merged[key] = Piece(piece.text, tuple(names[i] for i in piece.legs))
        elif ".solve(" in piece.text:
            piece = Piece(w.name(piece.text), piece.legs)  # the same solve may stand elsewhere
        return piece

    return write(tree, out, True)


def _hint(tree: Join, pieces: list[Piece], wanted: Legs) -> Legs:
    """The order of axes that the two halves should come in: labels that stay common first."""

    def legs(t: int | Join) -> Legs:
        return t.legs if isinstance(t, Join) else pieces[t].legs

    first, second = legs(tree.first), legs(tree.second)
    batch = tuple(i for i in first if i in second and i in tree.legs)
    if not batch:
        return wanted
    free = tuple(i for i in (*first, *second) if i not in batch and i in tree.legs)
    summed = tuple(i for i in first if i in second and i not in tree.legs)
    return batch + tuple(dict.fromkeys(free)) + summed


def _is_large_product(a: Piece, b: Piece, keep: set[int], sizes: dict[int, int]) -> bool:
    shared = [i for i in a.legs if i in b.legs]
    if len(a.legs) != 2 or len(b.legs) != 2 or len(shared) != 1 or shared[0] in keep:
        return False
    return all(sizes[i] >= SYMMETRIC for i in (*a.legs, *b.legs) if i not in shared)


def _symmetric_product(w: Emitter, a: Piece, b: Piece, wanted: Legs) -> Piece:
    (label,) = (i for i in a.legs if i in b.legs)
    if wanted[0] in b.legs:
        a, b = b, a
    first = w.permuted(a, (wanted[0], label))
    second = w.permuted(b, (label, wanted[1]))
    if first.text.removesuffix(".T") == second.text.removesuffix(".T"):
        return Piece(f"{first.wrapped(2)} @ {second.wrapped(3)}", wanted, 2)  # NumPy halves these
    return Piece(f"kernels.symmetric_product({first.text}, {second.text})", wanted)


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
    """The LU factors of a matrix, computed once for every solve with it."""
    found = w.factors.get(a)
    if found is None:
        n = w.size(a.shape[-1])
        w.cost.flops += 2 * n**3 / 3
        found = w.factors[a] = w.name(f"factors.factorize({w.emit(a).text})")
    return found


def summed_out(w: Emitter, piece: Piece, keep: set[int]) -> Piece:
    gone = [k for k, i in enumerate(piece.legs) if i not in keep]
    legs = tuple(i for i in piece.legs if i in keep)
    if not legs:
        return Piece(f"{piece.wrapped(3)}.sum()", ())
    axis = str(gone[0]) if len(gone) == 1 else str(tuple(gone))
    return Piece(f"{piece.wrapped(3)}.sum(axis={axis})", legs)


def correlate(
    w: Emitter, plain: Pairs, shifts: Pairs, out: Legs
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
        width = w.dim(e.params[1])  # type: ignore[attr-defined]
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
    if isinstance(e, Map) and e.function.name == "pow":
        base, p = e.args
        if isinstance(p, Number) and p.value == -1:
            return base
    return None

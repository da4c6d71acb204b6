"""Products of rows of factors at one point, as vector instructions of one rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tensorcalculus.compiler.pointwise import import_numba

VECTOR = 32
"""Bytes of a vector.  Twice as many were no faster, and of these 16 registers hold a point."""

UNROLLED = 64
"""Columns that are written out; of more there is a loop over blocks of so many."""


@dataclass(frozen=True)
class RowProducts:
    """Functions for compiled code that take rows of factors ``U_k[i_k]`` at one point ``i``.

    Arrays are passed as tuples of addresses, the point as the address of its indices: what is read
    and written in between is up to these functions alone, and nothing has to be proved about
    aliasing before it can be vectorised.
    """

    model: Any
    """``model(U, i)``, the number ``sum_r prod_k U_k[i_k, r]``."""
    add_all: Any
    """``add_all(G, U, i, s)``: ``G_k[i_k, r] += s*prod_{j != k} U_j[i_j, r]`` for all k."""
    add_one: Any
    """``add_one(G, U, i, s)``: the same for one mode; `G` is a single address."""


def pieces(columns: int, width: int) -> list[tuple[int, int]]:
    """Columns in vectors: first columns and widths, which halve at the end."""
    made, at = [], 0
    while at < columns:
        while width > columns - at:
            width //= 2
        made.append((at, width))
        at += width
    return made


@lru_cache(maxsize=64)
def row_products(
    order: int, rank: int, single: bool, wide: bool, mode: int | None = None
) -> RowProducts:
    """The functions for factors of `rank` columns, of float32 where `single` is true, and indices
    of 64 bits where `wide` is; `mode` is that of ``add_one``.
    """
    numba = import_numba("fits of sparse tensors")
    from llvmlite import ir
    from numba.core import cgutils
    from numba.extending import intrinsic

    types = numba.types
    number = ir.FloatType() if single else ir.DoubleType()
    size = 4 if single else 8
    int32, int64 = ir.IntType(32), ir.IntType(64)
    fused = ("contract",)

    def constant(value: int) -> Any:
        return ir.Constant(int64, value)

    def row(b: Any, base: Any, point: Any, k: int) -> Any:
        """The address of the row of mode k."""
        kind = int64 if wide else int32
        index = b.load(b.gep(b.inttoptr(point, kind.as_pointer()), [constant(k)]))
        if not wide:
            index = b.zext(index, int64)
        return b.add(base, b.mul(index, constant(rank * size)))

    def place(b: Any, address: Any, at: int, width: int) -> Any:
        kind = ir.VectorType(number, width) if width > 1 else number
        return b.inttoptr(b.add(address, constant(at * size)), kind.as_pointer())

    def read(b: Any, address: Any, at: int, width: int) -> Any:
        return b.load(place(b, address, at, width), align=size)

    def increase(b: Any, address: Any, at: int, width: int, change: Any) -> None:
        target = place(b, address, at, width)
        b.store(b.fadd(b.load(target, align=size), change, flags=fused), target, align=size)

    def spread(b: Any, scalar: Any, width: int) -> Any:
        if width == 1:
            return scalar
        kind = ir.VectorType(number, width)
        first = b.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(int32, 0))
        return b.shuffle_vector(first, first, ir.Constant(ir.VectorType(int32, width), [0] * width))

    def total(b: Any, vector: Any, width: int) -> Any:
        while width > 1:
            width //= 2
            kind = ir.VectorType(int32, width)
            low = ir.Constant(kind, list(range(width)))
            high = ir.Constant(kind, list(range(width, 2 * width)))
            vector = b.fadd(
                b.shuffle_vector(vector, vector, low), b.shuffle_vector(vector, vector, high)
            )
            if width == 1:
                return b.extract_element(vector, ir.Constant(int32, 0))
        return vector

    def blocks(b: Any, addresses: Sequence[Any], emit: Callable[[Any, int], None]) -> None:
        """`emit` for all columns: for a loop's blocks of them, and for the rest."""
        addresses, rest = list(addresses), rank
        if rank > 2 * UNROLLED:
            with cgutils.for_range(b, constant(rank // UNROLLED)) as loop:
                offset = b.mul(loop.index, constant(UNROLLED * size))
                emit([b.add(a, offset) for a in addresses], UNROLLED)
            done = rank - rank % UNROLLED
            addresses = [b.add(a, constant(done * size)) for a in addresses]
            rest = rank - done
        if rest:
            emit(addresses, rest)

    def rows(b: Any, bases: Any, point: Any) -> list[Any]:
        return [row(b, b.extract_value(bases, k), point, k) for k in range(order)]

    @intrinsic
    def model(typing: Any, bases: Any, point: Any) -> Any:
        def made(context: Any, b: Any, signature: Any, args: Any) -> Any:
            result = cgutils.alloca_once_value(b, ir.Constant(number, 0.0))

            def emit(addresses: Any, columns: int) -> None:
                sums: dict[int, Any] = {}
                for at, width in pieces(columns, VECTOR // size):
                    product = read(b, addresses[0], at, width)
                    for address in addresses[1:]:
                        product = b.fmul(product, read(b, address, at, width), flags=fused)
                    before = sums.get(width)
                    sums[width] = (
                        product if before is None else b.fadd(before, product, flags=fused)
                    )
                for width, vector in sums.items():
                    b.store(b.fadd(b.load(result), total(b, vector, width)), result)

            blocks(b, rows(b, *args), emit)
            value = b.load(result)
            return b.fpext(value, ir.DoubleType()) if single else value

        return types.float64(bases, point), made

    @intrinsic
    def add_all(typing: Any, sums: Any, bases: Any, point: Any, slope: Any) -> Any:
        def made(context: Any, b: Any, signature: Any, args: Any) -> Any:
            into, given, at_point, s = args
            scale = b.fptrunc(s, number) if single else s

            def emit(addresses: Any, columns: int) -> None:
                for at, width in pieces(columns, VECTOR // size):
                    u = [read(b, address, at, width) for address in addresses[:order]]
                    # before[k] = s*u_0*…*u_(k-1); behind, u_(k+1)*… is gathered on the way back.
                    before = [spread(b, scale, width)]
                    for k in range(order - 1):
                        before.append(b.fmul(before[-1], u[k], flags=fused))
                    behind = None
                    for k in reversed(range(order)):
                        change = before[k]
                        if behind is not None:
                            change = b.fmul(change, behind, flags=fused)
                        increase(b, addresses[order + k], at, width, change)
                        behind = u[k] if behind is None else b.fmul(behind, u[k], flags=fused)

            blocks(b, [*rows(b, given, at_point), *rows(b, into, at_point)], emit)
            return context.get_dummy_value()

        return types.void(sums, bases, point, slope), made

    @intrinsic
    def add_one(typing: Any, sums: Any, bases: Any, point: Any, slope: Any) -> Any:
        def made(context: Any, b: Any, signature: Any, args: Any) -> Any:
            into, given, at_point, s = args
            scale = b.fptrunc(s, number) if single else s
            others = [a for k, a in enumerate(rows(b, given, at_point)) if k != mode]

            def emit(addresses: Any, columns: int) -> None:
                for at, width in pieces(columns, VECTOR // size):
                    product = spread(b, scale, width)
                    for address in addresses[:-1]:
                        product = b.fmul(product, read(b, address, at, width), flags=fused)
                    increase(b, addresses[-1], at, width, product)

            blocks(b, [*others, row(b, into, at_point, mode or 0)], emit)
            return context.get_dummy_value()

        return types.void(sums, bases, point, slope), made

    return RowProducts(model, add_all, add_one)

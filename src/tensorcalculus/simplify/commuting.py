"""Rules for derivatives of matrix functions in directions that commute with the matrix.

If ``A`` and ``E`` commute, the Fréchet derivative of ``f`` at ``A`` in direction ``E`` is
``f'(A)*E``, as for numbers; Higham (2008), Functions of Matrices, theorem 3.8 with X = A + t*E.
"""

from __future__ import annotations

from tensorcalculus.expr.combination import split_scale
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.node import Contraction, Expr, Operation
from tensorcalculus.expr.operations import operation
from tensorcalculus.simplify.engine import rule
from tensorcalculus.simplify.operations import is_identity, swap, without_scalars


def _matrix_of(e: Expr) -> Expr:
    """``e`` without its scalar factors."""
    _, e = split_scale(e)
    return without_scalars(e) if isinstance(e, Contraction) else e


def _commute(a: Expr, e: Expr) -> bool:
    """Whether ``e`` is a multiple of ``a`` or of the identity."""
    matrix = _matrix_of(e)
    return is_identity(matrix) or matrix is _matrix_of(a)


def _slope(name: str, a: Expr) -> Expr:
    """``f'(A)`` for the function of a row with this name."""
    if name == "expm":
        return operation("expm", a)
    return operation("inv", a) if name == "logm" else operation("inv", operation("sqrtm", a)) / 2


@rule(Operation, "commuting direction", "the derivative of f(A) in direction c*A is c*A*f'(A)")
def frechet_of_multiple(node: Operation) -> Expr | None:
    if node.row.name != "frechet" or node.ndim != 2 or not _commute(*node.args):
        return None
    a, e = node.args
    return contract([(e, "ij"), (_slope(node.params[0], a), "jk")], "ik")


@rule(Contraction, "commuting direction", "the sum of A.*L(A',G) is that of G.*(A*f'(A))")
def adjoint_of_multiple(node: Contraction) -> Expr | None:
    """The adjoint of a Fréchet derivative moves to the direction that commutes.

    The sum of ``E.*L(B,G)`` is that of ``L(B',E).*G``; Higham (2008), section 3.4.
    """
    pairs = list(zip(node.operands, node.legs, strict=True))
    for k, (o, legs) in enumerate(pairs):
        if not (isinstance(o, Operation) and o.row.name == "frechet") or o.ndim != 2:
            continue
        i, j = legs
        others = [p for m, p in enumerate(pairs) if m != k and not {i, j}.isdisjoint(p[1])]
        if i == j or i in node.out or j in node.out or len(others) != 1:
            continue
        e, e_legs = others[0]
        if e_legs not in ((i, j), (j, i)):
            continue
        b, g = o.args
        direction = e if e_legs == (i, j) else swap(e)
        if not _commute(swap(b), direction):
            continue
        moved = [(g, legs), (direction, (i, "inner")), (_slope(o.params[0], swap(b)), ("inner", j))]
        rest = [p for m, p in enumerate(pairs) if m != k and p is not others[0]]
        sizes = {i: node.dims[i] for i in node.out}
        return contract([*rest, *moved], node.out, sizes)
    return None

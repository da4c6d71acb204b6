"""Functions of the eigenvalues or singular values of a matrix, right where these coincide.

``V*diag(f(d))*V'`` and ``U*diag(f(s))*V'`` do not depend on the choice of a basis in the space of
a repeated value, though the factors do.  As one operation they have differentials made of divided
differences of ``f``, which have a limit where two values meet, to any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply, fill
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Shape,
    Variable,
    walk,
)
from tensorcalculus.expr.operations.dense import product, transpose
from tensorcalculus.expr.operations.row import OperationRow, batched, operation, register, square
from tensorcalculus.expr.operations.spectral import eigenbasis, svd
from tensorcalculus.expr.rebuild import transform

_HIGHAM = "Higham (2008), Functions of Matrices, theorem 3.11 (Daleckii and Krein)"
_GENERALIZED = (
    "Noferini (2017), A formula for the Frechet derivative of a generalized matrix function"
)


def placeholder() -> Expr:
    """The scalar variable in which the function of a ``spectral`` operation is written."""
    # The property keeps it apart from a variable that a user calls t.
    return Variable("t", (), frozenset(("placeholder",)))


def _derivative_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    lead = max((a.shape[:-2] for a in args), key=len)
    return (*lead, *args[0].shape[-2:])


def _derivative_again(node: Operation, tangents) -> Expr:
    # Only the matrix itself comes here: the row is linear in its directions.
    return operation(node.row.name, *node.args, tangents[0], params=node.params)


def _derivative_transpose(node: Operation, k: int, g: Expr) -> Expr:
    # <G, D^k f(A)[E_1, ..]> is a derivative of tr F(A), F' = f, so symmetric in G and all E.
    args = (*node.args[:k], g, *node.args[k + 1 :])
    return operation(node.row.name, *args, params=node.params)


_ORDERS = 9
"""Directions that a derivative row can hold."""

register(
    OperationRow(
        "spectral",
        square("spectral"),
        "spectral",
        "a symmetric matrix with its eigenvalues in the domain of f; V*diag(f(d))*V'",
        _HIGHAM,
        r"f({})",
        differential=lambda node, tangents: operation(
            "spectral_derivative", node.args[0], tangents[0], params=(*node.params, "")
        ),
        symmetric=lambda node: True,
        spell=lambda name, args, params: f'spectral("{params[0]}",{args[0]})',
        sample="sym",
    )
)
register(
    OperationRow(
        # D^k f(A)[E_1, .., E_k]; the second parameter continues f to negative eigenvalues.
        "spectral_derivative",
        _derivative_shape,
        "spectral_derivative",
        "symmetric matrices A, E, ...: the derivative of spectral at A in the directions E, ...",
        _HIGHAM,
        r"f'({})",
        differential=_derivative_again,
        transpose=_derivative_transpose,
        linear=tuple(range(1, _ORDERS)),
        cores=(2,) * (_ORDERS + 1),
        symmetric=lambda node: True,
    )
)


def _expanded_spectral(node: Operation) -> Expr:
    # Daleckii and Krein, to order k: V (sum over the orders of the directions of
    # f[d_i0, .., d_ik] E_1[i0,i1] .. E_k[i(k-1),ik]) V', with E in the basis V.
    a, *directions = node.args
    (f, parity), k = node.params, len(directions)
    d, v, _ = eigenbasis(a, a)
    if parity:
        differences = operation("signed_difference", d, params=(f, parity, "+" * (k + 1)))
    else:
        differences = operation("divided_difference", d, params=(f, k))
    turned = [eigenbasis(a, e)[2] for e in directions]
    names = "abcdefghij"[: k + 1]
    steps = ",".join(names[j : j + 2] for j in range(k))
    spec = f"{names},{steps}->{names[0]}{names[-1]}"
    terms = [batched(spec, differences, *order) for order in permutations(turned)]
    return product(v, add([(1, t) for t in terms]), transpose(v))


def _divided_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    shape = args[0].shape
    return (*shape[:-1], *[shape[-1]] * (params[1] + 1))


def _divided_differential(node: Operation, tangents) -> Expr:
    # The derivative of f[d_i0,..,d_ik] by d_ij repeats that argument: f[d_i0,..,d_ij,d_ij,..,d_ik].
    d, dd = node.args[0], tangents[0]
    f, order = node.params
    wider = operation("divided_difference", d, params=(f, order + 1))
    names = "abcdefgh"[: order + 1]
    total = batched(f"{names}{names[0]},{names[0]}->{names}", wider, dd)
    for name in names[1:]:
        total = total + batched(f"{names}{name},{name}->{names}", wider, dd)
    return total


register(
    OperationRow(
        "divided_difference",
        _divided_shape,
        "divided_difference",
        "f[d_i, d_j, ...], with the derivative of f where arguments coincide",
        "Higham (2008), Functions of Matrices, appendix B.16",
        r"f[{}]",
        differential=_divided_differential,
        symmetric=lambda node: True,
        spell=lambda name, args, params: f'divided_difference("{params[0]}",{args[0]},{params[1]})',
    )
)


# -- functions of singular values ----------------------------------------------------------------


def _left_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    shape = args[0].shape
    return (*shape[:-1], shape[-2])


def _doubled(a: Expr) -> Expr:
    """The symmetric matrix ``H(A) = [0 A; A' 0]``, whose eigenvalues are the +-s and zeros.

    An odd function of it holds ``U*diag(f(s))*V'`` as its upper right block, an even one that
    is 0 at 0 ``U*diag(f(s))*U'`` as its upper left one.
    """
    m, n = a.shape[-2:]
    first, second, shape = (0, m, 1), (m, m + n, 1), (m + n, m + n)
    upper = operation("embed", a, params=((first, second), shape))
    return upper + operation("embed", transpose(a), params=((second, first), shape))


def _block(node: Expr, a: Expr, right: bool) -> Expr:
    m, n = a.shape[-2:]
    columns = (m, m + n, 1) if right else (0, m, 1)
    return operation("slice", node, params=(((0, m, 1), columns),))


def _through_doubled(f: Expr, parity: str, a: Expr, directions: Sequence[Expr]) -> Expr:
    doubled = [_doubled(x) for x in (a, *directions)]
    whole = operation("spectral_derivative", *doubled, params=(f, parity))
    return _block(whole, a, parity == "odd")


register(
    OperationRow(
        "singular",
        lambda args, params: args[0].shape,
        "singular",
        "any matrix; U*diag(f(s))*V', differentiable where s > 0 or f is odd",
        _GENERALIZED,
        r"f({})",
        differential=lambda node, tangents: operation(
            "singular_derivative", node.args[0], tangents[0], params=node.params
        ),
        spell=lambda name, args, params: f'singular("{params[0]}",{args[0]})',
    )
)
register(
    OperationRow(
        "singular_derivative",
        _derivative_shape,
        "singular_derivative",
        "matrices A, E, ...: the derivative of singular at A in the directions E, ...",
        _GENERALIZED,
        r"f'({})",
        differential=_derivative_again,
        transpose=_derivative_transpose,
        linear=tuple(range(1, _ORDERS)),
        cores=(2,) * (_ORDERS + 1),
    )
)
register(
    OperationRow(
        "singular_left",
        _left_shape,
        "singular_left",
        "any matrix; U*diag(f(s))*U', differentiable where s > 0 or f is even with f(0) = 0",
        _GENERALIZED,
        r"f({})",
        differential=lambda node, tangents: _through_doubled(
            node.params[0], "even", node.args[0], [tangents[0]]
        ),
        symmetric=lambda node: True,
        spell=lambda name, args, params: f'singular_left("{params[0]}",{args[0]})',
    )
)


def _expanded_singular(node: Operation) -> Expr:
    # To first order, with P, Q the symmetric and skew part of U'EV and f continued as odd:
    # U (P o f[s_i, s_j] + Q o f[s_i, -s_j]) V' + (I-UU') E V g V' + U g U' E (I-VV'),
    # g_i = f(s_i)/s_i = f[s_i, -s_i], which has a limit at s_i = 0.
    a, *directions = node.args
    (f,) = node.params
    if len(directions) > 1:
        return _through_doubled(f, "odd", a, directions)
    (e,) = directions
    u, s, v = svd(a)
    inside = product(transpose(u), e, v)
    even, skew = (inside + transpose(inside)) / 2, (inside - transpose(inside)) / 2
    across = operation("signed_difference", s, params=(f, "odd", "+-"))
    near = operation("signed_difference", s, params=(f, "odd", "++"))
    turned = batched("ij,ij->ij", even, near) + batched("ij,ij->ij", skew, across)
    result = product(u, turned, transpose(v))
    g = batched("ii->i", across)
    if u.shape[-2] is not u.shape[-1]:
        beyond = batched("ij,ja,a,ka->ik", e, v, g, v)
        result = result + beyond - product(u, product(transpose(u), beyond))
    if v.shape[-2] is not v.shape[-1]:
        beyond = batched("ia,a,ja,jk->ik", u, g, u, e)
        result = result + beyond - product(product(beyond, v), transpose(v))
    return result


def _signed_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    shape = args[0].shape
    return (*shape[:-1], *[shape[-1]] * len(params[2]))


def _signed_differential(node: Operation, tangents) -> Expr:
    # As for divided differences; the argument -s_i brings a minus.
    s, ds = node.args[0], tangents[0]
    f, parity, signs = node.params
    names = "abcdefgh"[: len(signs)]
    terms = []
    for name, sign in zip(names, signs, strict=True):
        wider = operation("signed_difference", s, params=(f, parity, signs + sign))
        term = batched(f"{names}{name},{name}->{names}", wider, ds)
        terms.append((1 if sign == "+" else -1, term))
    return add(terms)


register(
    OperationRow(
        "signed_difference",
        _signed_shape,
        "signed_difference",
        "f[s_i, -s_j, ...], f continued from s >= 0 as an odd or even function; warns where "
        "that jumps at s = 0",
        _GENERALIZED,
        r"f[{}]",
        differential=_signed_differential,
        symmetric=lambda node: (
            node.params[2][-1] == node.params[2][-2] or node.params[1:] == ("odd", "+-")
        ),
        spell=lambda name, args, params: (
            f'signed_difference("{params[0]}",{args[0]},"{params[1]}","{params[2]}")'
        ),
    )
)


def singular(function: Expr, a: Expr) -> Expr:
    """``U*diag(f(s))*V'`` of the thin decomposition ``a = U*diag(s)*V'``."""
    return operation("singular", a, params=(function,))


def spectral(function: Expr, a: Expr) -> Expr:
    """``V*diag(f(d))*V'`` for the eigenvalues of ``a``; ``f`` is written in :func:`placeholder`."""
    return operation("spectral", a, params=(function,))


def write_out(e: Expr) -> Expr:
    """``e`` with derivative rows as decompositions and products: how it is printed and run.

    Not before: the factors have no derivative where eigenvalues coincide, the rows have.
    """
    rows = ("spectral_derivative", "singular_derivative")
    while any(isinstance(n, Operation) and n.row.name in rows for n in walk(e)):
        # Once more for the rows that second derivatives of `singular` are made of.
        (e,) = transform([e], _expanded)
    return e


def _expanded(node: Expr) -> Expr:
    if isinstance(node, Operation) and node.row.name == "spectral_derivative":
        return _expanded_spectral(node)
    if isinstance(node, Operation) and node.row.name == "singular_derivative":
        return _expanded_singular(node)
    return node


def expanded_singular(node: Operation) -> Expr | None:
    """The factors that ``singular`` and ``singular_left`` stand for, as they are printed."""
    if node.row.name not in ("singular", "singular_left") or node.ndim != 2:
        return None
    u, s, v = svd(node.args[0])
    values = _entrywise(node.params[0], s)
    factors = [(u, "ia"), (v if node.row.name == "singular" else u, "ja")]
    return contract([*factors, (values, "a" if values.ndim else "")], "ij")


def _entrywise(f: Expr, s: Expr) -> Expr:
    """The function ``f`` of the placeholder, of each entry of a vector of singular values."""
    # The sign of a singular value is judged against the largest one.
    done: dict[Expr, Expr] = {
        apply("sign", placeholder()): operation("sign0", s),
        placeholder(): s,
    }
    for node in walk(f):
        if node in done:
            continue
        parts = [done[c] for c in node.children]
        vector = any(p.ndim for p in parts)
        if isinstance(node, Contraction) and vector:
            done[node] = contract([(p, "a" if p.ndim else "") for p in parts], "a")
        elif isinstance(node, Combination) and vector:
            whole = [p if p.ndim else fill(p, s.shape) for p in parts]
            done[node] = add(list(zip(node.coefficients, whole, strict=True)))
        elif isinstance(node, Map) and vector:
            done[node] = apply(node.function, *parts)
        else:
            done[node] = node
    return done[f]


def spectral_pattern(e: Expr, d: Operation) -> Expr | None:
    """The function of ``t`` that the vector ``e`` is of each eigenvalue in ``d``, or None."""
    done: dict[Expr, Expr] = {d: placeholder()}
    below = set(walk(d))
    for node in walk(e):
        if node in below:
            continue
        children = [done.get(c) for c in node.children]
        if any(c is None for c in children):
            return None
        parts = [c for c in children if c is not None]
        if isinstance(node, Operation) and node.row.name == "sign0" and node.args[0] is d:
            done[node] = apply("sign", placeholder())  # singular values are not negative
        elif isinstance(node, Number):
            done[node] = node
        elif isinstance(node, Map):
            done[node] = apply(node.function, *parts)
        elif isinstance(node, Combination):
            done[node] = add(list(zip(node.coefficients, parts, strict=True)))
        elif isinstance(node, Contraction) and node.ndim == len(set(node.out)) <= 1:
            # A product entry by entry, or one value everywhere.
            if any(legs not in ((), node.out) for legs in node.legs):
                return None
            done[node] = contract([(p, ()) for p in parts], ())
        else:
            return None  # variables have no place in the parameter of an operation
    return done[e]

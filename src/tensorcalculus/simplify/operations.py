"""Rules for linear-algebra operations: inverses cancel, determinants split, transposes come out."""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.expr.build import eye, matrix_power, total, trace
from tensorcalculus.expr.combination import add, is_zero, scale, split_scale
from tensorcalculus.expr.contraction import contract, is_permutation, symmetric
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.maps import apply, filling, is_filled, power
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Size,
    Variable,
)
from tensorcalculus.expr.operations import operation
from tensorcalculus.simplify.engine import rule
from tensorcalculus.simplify.reshapes import kron_factors


def swap(a: Expr) -> Expr:
    return contract([(a, "ij")], "ji")


def is_identity(e: Expr) -> bool:
    return isinstance(e, Contraction) and not e.operands and e.out == (0, 0)


def diagonal_of(e: Expr) -> Expr | None:
    """``x`` where ``e`` is ``diag(x)``; a declared diagonal matrix is not opened."""
    if isinstance(e, Contraction) and e.out == (0, 0) and e.operands:
        return contract(list(zip(e.operands, e.legs, strict=True)), (0,), dict(enumerate(e.dims)))
    return None


def square_factors(e: Expr) -> list[Expr] | None:
    """The square factors of a matrix product of square matrices, in order; None for others."""
    if not (isinstance(e, Contraction) and e.ndim == 2 and len(e.operands) > 1):
        return None
    d = e.shape[0]
    matrices = [(o, g) for o, g in zip(e.operands, e.legs, strict=True) if g]
    if any(o.ndim != 2 or o.shape[0] is not d or o.shape[1] is not d for o, _ in matrices):
        return None
    first, last = e.out
    if first == last:
        return None
    chain, here = [], first
    rest = list(matrices)
    while rest:
        found = [p for p in rest if here in p[1]]
        if len(found) != 1 or found[0][1][0] == found[0][1][1]:
            return None
        rest = [p for p in rest if p is not found[0]]
        o, g = found[0]
        chain.append(o if g[0] == here else swap(o))
        here = g[1] if g[0] == here else g[0]
    return chain if here == last else None


def scalars_of(e: Expr) -> list[Expr]:
    return [o for o, g in zip(e.operands, e.legs, strict=True) if not g]  # type: ignore[attr-defined]


@rule(Operation, "transpose comes out", "inv(X') = inv(X)', expm(X') = expm(X)'")
def transpose_out(node: Operation) -> Expr | None:
    if node.row.transposes and is_transposed(node.args[0]):
        return swap(operation(node.row.name, swap(node.args[0])))
    return None


def is_transposed(e: Expr) -> bool:
    """Whether ``e`` is the transpose of a matrix, up to scalar factors."""
    _, e = split_scale(e)
    if not isinstance(e, Contraction) or e.ndim != 2 or e.out != (0, 1):
        return False
    matrices = [g for g in e.legs if g]
    return matrices == [(1, 0)]


@rule(Operation, "inverse", "inv(inv(A)) = A, inv(c*A) = inv(A)/c, inv(A*B) = inv(B)*inv(A)")
def inverse(node: Operation) -> Expr | None:
    if node.row.name != "inv" or node.ndim != 2:
        return None
    a = node.args[0]
    if isinstance(a, Operation) and a.row.name == "inv":
        return a.args[0]
    if isinstance(a, Operation) and a.row.name == "expm":
        return operation("expm", -a.args[0])
    if is_identity(a):
        return a
    if isinstance(a, Variable) and "orth" in a.properties:
        return swap(a)
    if isinstance(a, Operation) and a.row.name == "eigh_V":
        return swap(a)
    c, base = split_scale(a)
    if c != 1:
        return scale(Fraction(1) / Fraction(c), operation("inv", base))
    x = diagonal_of(a)
    if x is not None:
        return contract([(power(x, -1), "i")], "ii")
    factors = square_factors(a)
    if factors is not None:
        result: list[tuple[Expr, tuple[int, ...]]] = [(power(s, -1), ()) for s in scalars_of(a)]
        for k, f in enumerate(reversed(factors)):
            result.append((operation("inv", f), (k, k + 1)))
        return contract(result, (0, len(factors)))
    scalars = scalars_of(a) if isinstance(a, Contraction) else []
    if scalars:
        inverted = operation("inv", without_scalars(a))
        return contract([*((power(s, -1), ()) for s in scalars), (inverted, "ij")], "ij")
    return None


def without_scalars(a: Expr) -> Expr:
    """The network without its scalar factors."""
    assert isinstance(a, Contraction)
    pairs = [(o, g) for o, g in zip(a.operands, a.legs, strict=True) if g]
    return contract(pairs, a.out, dict(enumerate(a.dims)))


def size(d: Dim) -> Expr:
    return Number(d.value) if d.value is not None else Size(d)


Powers = list[tuple[Expr, Expr]]


@rule(Operation, "determinant", "det(c*A) = c^n*det(A), det(A*B) = det(A)*det(B), det(A') = det(A)")
def determinant(node: Operation) -> Expr | None:
    if node.row.name != "det" or node.ndim:
        return None
    found = _determinant_factors(node.args[0])
    if found is None:
        return None
    entries, matrices = found
    if not all(isinstance(p, Number) for _, p in matrices):
        return None  # the slope of det(X)^m at a singular X is found for numbers m only
    products = [(operation("prod", x, params=(0,)) if x.ndim else x, p) for x, p in entries]
    factors = [power(x, p) for x, p in products]
    factors += [power(operation("det", b), p) for b, p in matrices]
    return contract([(f, ()) for f in factors], ())


@rule(Operation, "log-determinant", "logdet splits over products; logdet(inv(A)) = -logdet(A)")
def log_determinant(node: Operation) -> Expr | None:
    if node.row.name != "logdet" or node.ndim:
        return None
    found = _determinant_factors(node.args[0])
    if found is None:
        return None
    entries, matrices = found
    terms = [p * total(apply("log", absolute(x))) for x, p in entries]
    terms += [p * operation("logdet", b) for b, p in matrices]
    return add([(1, t) for t in terms])


def _determinant_factors(a: Expr) -> tuple[Powers, Powers] | None:
    """Scalars and vectors whose entries, and matrices whose determinants, make ``det(a)``.

    Each comes with its power; None where ``a`` does not come apart.
    """
    one, n = Number(1), size(a.shape[0])
    if is_permutation(a) == (1, 0):
        return [], [(swap(a), one)]
    if is_identity(a):
        return [(one, n)], []
    c, base = split_scale(a)
    if c != 1:
        return [(Number(c), n)], [(base, one)]
    if isinstance(a, Operation):
        if a.row.name == "inv":
            return [], [(a.args[0], Number(-1))]
        if a.row.name == "expm":
            return [(apply("exp", trace(a.args[0])), one)], []
        if a.row.name == "chol" and symmetric(a.args[0]):
            return [], [(a.args[0], Number(Fraction(1, 2)))]
    x = diagonal_of(a)
    if x is not None:
        return [(filling(x), n) if is_filled(x) else (x, one)], []
    product = kron_factors(a)
    if product is not None:
        p, q = product
        powers = [(p, size(q.shape[0])), (q, size(p.shape[0]))]
        return [], [(b, k) for b, k in powers if not is_identity(b)]
    if not isinstance(a, Contraction):
        return None
    factors, scalars = square_factors(a), scalars_of(a)
    if factors is None and scalars:
        factors = [without_scalars(a)]
    if factors is None:
        return None
    return [(s, n) for s in scalars], [(b, one) for b in factors]


def absolute(x: Expr) -> Expr:
    return Number(abs(x.value)) if isinstance(x, Number) else apply("abs", x)


@rule(Operation, "matrix function", "expm(0) = I; expm and logm cancel; sqrtm(A)*sqrtm(A) = A")
def matrix_functions(node: Operation) -> Expr | None:
    name = node.row.name
    if node.ndim != 2 or name not in ("expm", "logm", "sqrtm"):
        return None
    a = node.args[0]
    if isinstance(a, Operation) and {name, a.row.name} == {"expm", "logm"}:
        return a.args[0] if name == "expm" else None
    from tensorcalculus.expr.combination import is_zero

    if name == "expm" and is_zero(a):
        return eye(a.shape[0])
    if name != "expm" and is_identity(a):
        return a if name == "sqrtm" else None
    x = diagonal_of(a)
    if x is None:
        return None
    scalar = {"expm": "exp", "logm": "log"}.get(name)
    value = apply(scalar, x) if scalar else power(x, Fraction(1, 2))
    return contract([(value, "i")], "ii")


@rule(Operation, "spectral function", "the function of a matrix by its own name: exp is expm")
def named_spectral(node: Operation) -> Expr | None:
    """``spectral`` of a function that the language has a word for."""
    if node.row.name != "spectral" or node.ndim != 2:
        return None
    a, f = node.args[0], node.params[0]
    if not symmetric(a):
        a = (a + swap(a)) / 2  # which the operation takes of itself, the words below do not
    if isinstance(f, Map) and isinstance(f.args[0], Variable):
        if f.function.name in ("exp", "log"):
            return operation(f"{f.function.name}m", a)
        p = f.args[1] if f.function.name == "pow" else None
        if isinstance(p, Number) and isinstance(p.value, int) and -1 <= p.value <= 8:
            return matrix_power(a, p.value)
        if isinstance(p, Number) and p.value == Fraction(1, 2):
            return operation("sqrtm", a)
    return None


@rule(Operation, "degenerate check", "what is constant over equal eigenvalues needs no check")
def checked(node: Operation) -> Expr | None:
    if node.row.name != "degenerate_check":
        return None
    g, d = node.args
    return g if _function_of(g, d) else None


def _function_of(g: Expr, d: Expr) -> bool:
    """Whether entry i of ``g`` depends on entry i of ``d`` only (and on scalars)."""
    if g is d:
        return True
    if isinstance(g, Map):
        return all(not a.shape or _function_of(a, d) for a in g.args)
    if isinstance(g, Contraction):
        return g.ndim == 1 and all(
            not legs or (legs == g.out and _function_of(o, d))
            for o, legs in zip(g.operands, g.legs, strict=True)
        )
    if isinstance(g, Operation):
        return g.row.name in ("sign0", "reciprocal0", "argmax_share") and g.args[0] is d
    terms = getattr(g, "terms", None)
    return terms is not None and all(_function_of(t, d) for t in terms)


@rule(Operation, "index of a multiple", "(c*x)[i] = c*x[i]")
def slice_inside(node: Operation) -> Expr | None:
    """A number comes out of an index."""
    if node.row.name != "slice":
        return None
    a = node.args[0]
    c, base = split_scale(a)
    if c != 1:
        return scale(c, Operation(node.row, (base,), node.params))
    return None


@rule(Operation, "eigenvalues multiply", "prod(eigvalsh(X)) = det(X)")
def eigenvalue_product(node: Operation) -> Expr | None:
    if node.row.name != "prod" or node.params != (0,) or node.ndim:
        return None
    d = node.args[0]
    if not (isinstance(d, Operation) and d.row.name == "eigvalsh"):
        return None
    x = d.args[0]
    return operation("det", x if symmetric(x) else (x + swap(x)) / 2)


@rule(Operation, "shift", "softmax(x+c) = softmax(x), logsumexp(log_softmax(x)) = 0")
def shift(node: Operation) -> Expr | None:
    """What is constant along the last axis does not change a softmax."""
    if node.row.name not in ("softmax", "logsumexp") or not isinstance(node.args[0], Combination):
        return None
    total = node.args[0]
    terms = list(zip(total.coefficients, total.terms, strict=True))
    constant = [(c, t) for c, t in terms if _constant_along_last(t)]
    moving = [(c, t) for c, t in terms if not _constant_along_last(t)]
    if not constant or not moving:
        return None
    inner = operation(node.row.name, add(moving))
    if node.row.name == "softmax":
        return inner
    # A logsumexp shifted by anything but itself is left: log_softmax(x+c) would fall apart.
    shifted = add([(1, inner), *((c, _without_last(t)) for c, t in constant)])
    return shifted if is_zero(shifted) else None


def _constant_along_last(e: Expr) -> bool:
    if not isinstance(e, Contraction):
        return False
    carried = {i for legs in e.legs for i in legs}
    return e.out[-1] not in carried and e.out.count(e.out[-1]) == 1


def _without_last(e: Expr) -> Expr:
    """One of the equal slices along the last axis."""
    assert isinstance(e, Contraction)
    out = e.out[:-1]
    pairs = list(zip(e.operands, e.legs, strict=True))
    return contract(pairs, out, {i: e.dims[i] for i in out})

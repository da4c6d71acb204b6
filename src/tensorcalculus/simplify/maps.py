"""Rules for elementwise maps: inverse functions cancel, stable functions are folded in."""

from __future__ import annotations

from tensorcalculus.expr.build import broadcast, log_softmax
from tensorcalculus.expr.combination import add, scale, split_scale
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply, as_power, filling, is_filled, is_nonnegative, power
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    is_map,
    variables_of,
)
from tensorcalculus.expr.operations import operation
from tensorcalculus.simplify.engine import rule


def is_ones(e: Expr) -> bool:
    """The number 1, or a tensor of ones."""
    return is_filled(e) and filling(e) is Number(1)


def one_plus(e: Expr) -> Expr | None:
    """``u``, where ``e`` is ``1+u``."""
    if isinstance(e, Combination) and len(e.terms) >= 2:
        for c, t in zip(e.coefficients, e.terms, strict=True):
            if c == 1 and is_ones(t):
                return add(
                    [(d, u) for d, u in zip(e.coefficients, e.terms, strict=True) if u is not t]
                )
    return None


@rule(Map, "logarithm", "log and exp cancel; log of det, sum of exp, softmax and sigmoid fold")
def logarithm(node: Map) -> Expr | None:
    """Everything that a logarithm meets."""
    if node.function.name == "log1p":
        (u,) = node.args
        return apply("softplus", u.args[0]) if is_map(u, "exp") else None
    if node.function.name != "log":
        return None
    (a,) = node.args
    if isinstance(a, Map):
        return _log_of_map(a)
    u = one_plus(a)
    if u is not None:
        return _log_one_plus(u)
    c, inner = split_scale(a)
    if c > 0 and c != 1 and isinstance(inner, (Map, Operation)):
        # log(2*cosh(x)): the number comes out where the rest has a form of its own.
        opened = logarithm(Map(node.function, (inner,)))
        if opened is not None:
            return add([(1, broadcast(apply("log", c), a.shape)), (1, opened)])
    if isinstance(a, Operation):
        if a.row.name == "det":
            return operation("logdet", a.args[0])
        if a.row.name == "softmax":
            return log_softmax(a.args[0])
    if isinstance(a, Contraction):
        found = _log_sum_exp(a)
        return found if found is not None else _log_of_product(a)
    return None


def _log_of_map(a: Map) -> Expr | None:
    name = a.function.name
    if name == "exp":
        return a.args[0]
    if name == "sigmoid":
        return -apply("softplus", -a.args[0])
    if name == "cosh":
        return apply("logcosh", a.args[0])
    if name in ("abs",) and isinstance(a.args[0], Operation) and a.args[0].row.name == "det":
        return operation("logdet", a.args[0].args[0])
    if name == "pow" and isinstance(a.args[1], Number):
        base, p = a.args[0], a.args[1].value
        even = isinstance(p, int) and p % 2 == 0
        if even and not is_nonnegative(base):
            base = apply("abs", base)
        return scale(p, apply("log", base))
    return None


def _log_one_plus(u: Expr) -> Expr | None:
    if is_map(u, "exp"):
        return apply("softplus", u.args[0])
    c, square = split_scale(u)
    if c == -1 and is_map(square, "pow"):
        base, p = square.args
        if p is Number(2) and is_map(base, "tanh"):
            return scale(-2, apply("logcosh", base.args[0]))
    if c == -1 and is_map(square, "sigmoid"):
        return -apply("softplus", square.args[0])
    return None


def exp_sum(e: Expr) -> Expr | None:
    """``u`` where ``e`` sums ``exp(u)`` over all its axes, or over the last."""
    if not (isinstance(e, Contraction) and len(e.operands) == 1):
        return None
    (inner,), (legs,) = e.operands, e.legs
    if not is_map(inner, "exp") or len(set(legs)) != len(legs):
        return None
    if e.out in ((), legs[:-1]):
        return inner.args[0]
    return None


def _log_sum_exp(a: Contraction) -> Expr | None:
    u = exp_sum(a)
    if u is None:
        return None
    if a.out or u.ndim == 1:
        return operation("logsumexp", u)
    from tensorcalculus.expr.operations.reductions import over_last_axis

    return over_last_axis("logsumexp", u, None)


def _log_of_product(a: Contraction) -> Expr | None:
    """``log(exp(u)*b)`` is ``u+log(b)``: the exponential never overflows."""
    plain = all(legs in ((), a.out) for legs in a.legs) and len(set(a.out)) == len(a.out)
    special = [e for e in a.operands if is_map(e, "exp") or is_map(e, "sigmoid")
               or (isinstance(e, Operation) and e.row.name in ("det", "softmax"))]  # fmt: skip
    if not plain or not special or len(a.operands) < 2:
        return None
    signed = [e for e in a.operands if not is_nonnegative(e)]
    if len(signed) > 1 and any(isinstance(e, Operation) and e.row.name == "det" for e in signed):
        return None  # two negative factors have a positive product
    parts = [apply("log", e) for e in a.operands]
    return add([(1, broadcast(p, a.shape)) for p in parts])


@rule(Map, "sigmoid", "1/(1+exp(-x)) = sigmoid(x)")
def reciprocal_sigmoid(node: Map) -> Expr | None:
    """A negative power of ``1+exp(u)``."""
    if node.function.name in ("pow", "pow0") and isinstance(node.args[1], Number):
        base, p = node.args[0], node.args[1].value
        u = one_plus(base) if p < 0 else None
        if u is not None and is_map(u, "exp"):
            return power(apply("sigmoid", -u.args[0]), -p)
    return None


@rule(Map, "exponential", "exp(log(x)) = x, exp(c*log(x)) = x^c, exp(-softplus(x)) = sigmoid(-x)")
def exponential(node: Map) -> Expr | None:
    if node.function.name != "exp":
        return None
    c, u = split_scale(node.args[0])
    if is_map(u, "log"):
        return power(u.args[0], c)
    if is_map(u, "softplus") and c == -1:
        return apply("sigmoid", -u.args[0])
    if isinstance(u, Operation) and u.row.name == "logdet" and isinstance(c, int):
        return power(apply("abs", operation("det", u.args[0])), c)
    return None


@rule(Map, "even and odd", "f(-x) by the symmetry of f; abs of what is not negative")
def parity(node: Map) -> Expr | None:
    name, sign = node.function.name, node.function.parity
    if not sign:
        return None
    (a,) = node.args
    if name == "abs" and is_nonnegative(a):
        return a
    c, u = split_scale(a)
    if name == "abs" and c not in (1, -1) and not isinstance(a, Number):
        return scale(abs(c), apply("abs", u))
    if name == "sign" and c not in (1, -1) and not isinstance(a, Number):
        return scale(1 if c > 0 else -1, apply("sign", u))
    if c >= 0 or isinstance(a, Number):
        return None
    return scale(sign, apply(name, -a))


@rule(Map, "root", "sqrt(exp(x)) = exp(x/2)")
def root_of_exp(node: Map) -> Expr | None:
    if node.function.name == "pow" and is_map(node.args[0], "exp"):
        inner = node.args[0].args[0]
        p = node.args[1]
        if isinstance(p, Number):
            return apply("exp", scale(p.value, inner))
        if not p.shape:
            names = tuple(range(inner.ndim))
            return apply("exp", contract([(p, ()), (inner, names)], names))
    return None


@rule(Contraction, "roots of constants", "sqrt(2)*sqrt(pi) = sqrt(2*pi)")
def join_roots(node: Contraction) -> Expr | None:
    """A root of a number joins the same root of another constant."""
    pairs = list(zip(node.operands, node.legs, strict=True))
    roots = [(k, as_power(o)) for k, (o, _) in enumerate(pairs) if not o.shape]
    for k, (c, p, _) in roots:
        if not isinstance(c, Number) or not isinstance(p, Number) or isinstance(p.value, int):
            continue
        for m, (b, q, guarded) in roots:
            if m != k and q is p and not guarded and not variables_of(b):
                rest = [pair for j, pair in enumerate(pairs) if j not in (k, m)]
                sizes = {i: node.dims[i] for i in node.out}
                return contract([*rest, (power(scale(c.value, b), p), ())], node.out, sizes)
    return None

"""Rules for contractions: inverses cancel, decompositions close, softmax and sigmoid fold."""

from __future__ import annotations

from tensorcalculus.expr.combination import add, is_zero, scale, split_scale
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.maps import apply, as_power, power
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Number,
    Operation,
    Variable,
    is_map,
)
from tensorcalculus.expr.operations import matrix_functions, operation
from tensorcalculus.expr.rebuild import substitute
from tensorcalculus.simplify.engine import rule
from tensorcalculus.simplify.maps import exp_sum

Pairs = list[tuple[Expr, tuple[int, ...]]]


def _pairs(node: Contraction) -> Pairs:
    return list(zip(node.operands, node.legs, strict=True))


def _without(node: Contraction, gone: tuple[int, ...], extra: Pairs, same: tuple = ()) -> Expr:
    """The network with operands removed, others added and two labels made one."""
    pairs = [p for k, p in enumerate(_pairs(node)) if k not in gone] + extra
    sizes = dict(enumerate(node.dims))
    out = node.out
    if same:
        keep, drop = same

        def merge(legs: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(keep if i == drop else i for i in legs)

        pairs = [(e, merge(legs)) for e, legs in pairs]
        out = merge(out)
        sizes.pop(drop)
    return contract(pairs, out, {i: d for i, d in sizes.items() if _used(i, pairs, out, node)})


def _used(i: int, pairs: Pairs, out: tuple[int, ...], node: Contraction) -> bool:
    """Labels whose last holder went away must not turn into a factor of their size."""
    return i in out or any(i in legs for _, legs in pairs)


def _joins(node: Contraction, a: int, b: int) -> list[int]:
    """Labels summed over between operands ``a`` and ``b`` and nobody else."""
    others = {i for k, legs in enumerate(node.legs) if k not in (a, b) for i in legs}
    return [
        i
        for i in node.legs[a]
        if i in node.legs[b] and i not in node.out and i not in others
        and node.legs[a].count(i) == node.legs[b].count(i) == 1
    ]  # fmt: skip


@rule(Contraction, "inverse cancels", "A*inv(A) = I")
def cancel_inverse(node: Contraction) -> Expr | None:
    for a, e in enumerate(node.operands):
        if not (isinstance(e, Operation) and e.row.name == "inv" and e.ndim == 2):
            continue
        for b, f in enumerate(node.operands):
            if f is e.args[0] and b != a:
                found = _cancel(node, a, b, symmetric(f))
                if found is not None:
                    return found
        found = _cancel_product(node, a, e)
        if found is not None:
            return found
    return None


def _cancel(node: Contraction, a: int, b: int, either: bool) -> Expr | None:
    for i in _joins(node, a, b):
        p, q = node.legs[a].index(i), node.legs[b].index(i)
        # inv(A)[i,j] A[j,k], or A[i,j] inv(A)[j,k]; inv(A)' A needs a symmetric A.
        if p != q or either:
            return _without(node, (a, b), [], (node.legs[a][1 - p], node.legs[b][1 - q]))
    return None


def _cancel_product(node: Contraction, a: int, e: Operation) -> Expr | None:
    """``inv(X'*C*X)*X'*C*X``: the factors of the inverted product stand beside the inverse."""
    inner = e.args[0]
    if not (isinstance(inner, Contraction) and len(inner.operands) > 1 and any(inner.legs)):
        return None
    if any(not g for g in inner.legs) or len(set(inner.out)) != 2:
        return None
    for side in (0, 1):
        match = _embed(inner, node, a, node.legs[a][side], 1 - side)
        if match is None and symmetric(inner):
            match = _embed(inner, node, a, node.legs[a][side], side)
        if match is not None:
            used, far = match
            return _without(node, (a, *used), [], (node.legs[a][1 - side], far))
    return None


def _embed(
    inner: Contraction, node: Contraction, a: int, start: int, place: int
) -> tuple[list[int], int] | None:
    """Match the chain ``inner`` in ``node`` from label ``start`` at its end ``place``."""
    here, mine = start, inner.out[1 - place]
    used: list[int] = []
    left = list(range(len(inner.operands)))
    while left:
        step = [k for k in left if mine in inner.legs[k]]
        if len(step) != 1 or inner.operands[step[0]].ndim != 2:
            return None
        (k,) = step
        p = inner.legs[k].index(mine)
        found = None
        for b, (f, legs) in enumerate(_pairs(node)):
            if b == a or b in used or f is not inner.operands[k] or here not in legs:
                continue
            if symmetric(f) or legs.index(here) == p:
                found = b
                break
        if found is None:
            return None
        holders = [c for c, legs in enumerate(node.legs) if here in legs]
        if here in node.out or len(holders) != 2 or node.legs[found].count(here) != 1:
            return None
        used.append(found)
        left.remove(k)
        mine = inner.legs[k][1 - p]
        q = node.legs[found].index(here)
        here = node.legs[found][1 - q]
    return (used, here) if mine == inner.out[place] else None


@rule(Contraction, "orthonormal columns", "Q'*Q = I")
def orthonormal(node: Contraction) -> Expr | None:
    for a, e in enumerate(node.operands):
        kind = _orthonormal(e)
        if not kind:
            continue
        for b in range(a + 1, len(node.operands)):
            if node.operands[b] is not e:
                continue
            for i in _joins(node, a, b):
                p, q = node.legs[a].index(i), node.legs[b].index(i)
                if p == q and (p == 0 or kind == "square"):
                    return _without(node, (a, b), [], (node.legs[a][1 - p], node.legs[b][1 - q]))
    return None


def _orthonormal(e: Expr) -> str:
    """ "columns", "square" or nothing."""
    if e.ndim != 2:
        return ""
    if isinstance(e, Operation) and e.row.name in ("eigh_V", "svd_U", "svd_V", "qr_Q"):
        return "square" if e.shape[0] is e.shape[1] else "columns"
    if isinstance(e, Variable) and "orth" in e.properties:
        return "square" if e.shape[0] is e.shape[1] else "columns"
    return ""


@rule(Contraction, "decomposition closes", "U*diag(s)*V' = X, V*diag(f(d))*V' = f(X), Q*R = X")
def recompose(node: Contraction) -> Expr | None:
    """Factors of one decomposition that stand together; what they make has no choice of basis."""
    for a, e in enumerate(node.operands):
        if not isinstance(e, Operation) or e.ndim != 2:
            continue
        if e.row.name == "eigh_V":
            found = _spectral(node, a, e.args[0])
        elif e.row.name in ("svd_U", "svd_V"):
            found = _svd(node, a, e.args[0])
        elif e.row.name in ("qr_Q", "chol"):
            found = _two_factors(node, a, e)
        elif e.row.name == "sqrtm":
            found = _root_squared(node, a, e)
        else:
            continue
        if found is not None:
            return found
    return None


def _spectral(node: Contraction, a: int, x: Expr) -> Expr | None:
    found = _function_between(node, a, ("eigh_V",), "eigvalsh", x)
    if found is None:
        return _spectral_terms(node, a, "eigvalsh", x)
    b, on_label, f = found
    if not on_label:
        return None
    c, f = split_scale(f)
    even = x if symmetric(x) else (x + contract([(x, "ij")], "ji")) / 2
    whole = even if f is matrix_functions.placeholder() else matrix_functions.spectral(f, even)
    legs = (node.legs[a][0], node.legs[b][0])
    return scale(c, _without(node, (a, b, *on_label), [(whole, legs)]))


def _spectral_terms(node: Contraction, a: int, values: str, x: Expr) -> Expr | None:
    """``V*diag(d-mean(d))*V'`` term by term: each is a scalar times a function of d."""
    label = node.legs[a][1]
    sums = [
        (k, e)
        for k, (e, legs) in enumerate(_pairs(node))
        if legs == (label,) and isinstance(e, Combination)
    ]
    d = operation(values, x)
    assert isinstance(d, Operation)
    if len(sums) != 1:
        return None
    ((place, total),) = sums
    for t in total.terms:
        vectors = [(e, g) for e, g in _pairs(t) if g] if isinstance(t, Contraction) else [(t, (0,))]
        if not all(g == (0,) for _, g in vectors):
            return None
        vector = contract([(e, "a") for e, _ in vectors], "a", {"a": d.shape[0]})
        if matrix_functions.spectral_pattern(vector, d) is None:
            return None
    rest = [p for k, p in enumerate(_pairs(node)) if k != place]
    sizes = _broadcast_sizes(node)
    return add(
        [
            (c, contract([*rest, (t, (label,))], node.out, sizes))
            for c, t in zip(total.coefficients, total.terms, strict=True)
        ]
    )


def _svd(node: Contraction, a: int, x: Expr) -> Expr | None:
    """``U*diag(f(s))*V'``, ``U*diag(f(s))*U'`` and ``V*diag(f(s))*V'``."""
    found = _function_between(node, a, ("svd_U", "svd_V"), "svdvals", x)
    if found is None:
        return _spectral_terms(node, a, "svdvals", x)
    b, on_label, f = found
    c, f = split_scale(_without_sign(f))
    t = matrix_functions.placeholder()
    u, v = node.operands[a], node.operands[b]
    assert isinstance(u, Operation) and isinstance(v, Operation)
    first = u.row.name
    if first != v.row.name:
        if first == "svd_V":
            a, b = b, a
        whole = x if f is t else matrix_functions.singular(f, x)
    else:
        if isinstance(f, Number):
            # U*U' depends on the basis where a singular value is 0; it has to be the one beside it.
            return None
        base = x if first == "svd_U" else contract([(x, "ij")], "ji")
        if f is power(t, 2):
            whole = contract([(base, "ik"), (base, "jk")], "ij")
        else:
            whole = operation("singular_left", base, params=(f,))
    legs = (node.legs[a][0], node.legs[b][0])
    return scale(c, _without(node, (a, b, *on_label), [(whole, legs)]))


def _without_sign(f: Expr) -> Expr:
    """``f`` of singular values without the factor that makes it 0 at 0, where it is so anyway."""
    t = matrix_functions.placeholder()
    plain = substitute(f, {apply("sign", t): Number(1)})
    if plain is f:
        return f
    try:
        at_zero = substitute(plain, {t: Number(0)})
    except ZeroDivisionError:
        return f
    return plain if is_zero(at_zero) or at_zero is Number(0) else f


def _function_between(
    node: Contraction, a: int, vectors: tuple[str, ...], values: str, x: Expr
) -> tuple[int, list[int], Expr] | None:
    """Of ``V*diag(f(d))*W'``: the place of W, those of the factors of f(d), and f."""
    label = node.legs[a][1]
    if label in node.out:
        return None
    partners, on_label = [], []
    for k, (e, legs) in enumerate(_pairs(node)):
        if k == a or label not in legs:
            continue
        if legs == (label,):
            on_label.append(k)
            continue
        vector = isinstance(e, Operation) and e.row.name in vectors and e.args[0] is x
        if not vector or legs[1] != label or legs[0] == label:
            return None
        partners.append(k)
    if len(partners) != 1 or node.legs[a][0] == label:
        return None
    d = operation(values, x)
    product = contract([(node.operands[k], "a") for k in on_label], "a", {"a": d.shape[0]})
    assert isinstance(d, Operation)
    f = matrix_functions.spectral_pattern(product, d)
    return None if f is None else (partners[0], on_label, f)


def _two_factors(node: Contraction, a: int, e: Operation) -> Expr | None:
    for b, f in enumerate(node.operands):
        if b == a or not isinstance(f, Operation) or f.args[:1] != e.args:
            continue
        for i in _joins(node, a, b):
            p, q = node.legs[a].index(i), node.legs[b].index(i)
            legs = (node.legs[a][1 - p], node.legs[b][1 - q])
            x = e.args[0]
            if e.row.name == "qr_Q" and f.row.name == "qr_R" and (p, q) == (1, 0):
                return _without(node, (a, b), [(x, legs)])
            if e.row.name == f.row.name == "chol" and (p, q) == (1, 1):
                whole = x if symmetric(x) else (x + contract([(x, "ij")], "ji")) / 2
                return _without(node, (a, b), [(whole, legs)])
    return None


def _root_squared(node: Contraction, a: int, e: Operation) -> Expr | None:
    for b in range(a + 1, len(node.operands)):
        if node.operands[b] is e:
            for i in _joins(node, a, b):
                p, q = node.legs[a].index(i), node.legs[b].index(i)
                if p != q or symmetric(e):
                    first, second = (a, b) if p == 1 else (b, a)
                    i0 = node.legs[first][0] if node.legs[first][1] == i else node.legs[first][1]
                    i1 = node.legs[second][1] if node.legs[second][0] == i else node.legs[second][0]
                    return _without(node, (a, b), [(e.args[0], (i0, i1))])
    return None


@rule(Contraction, "eigenvalues add up", "sum(eigvalsh(X)) = tr(X)")
def eigenvalue_sum(node: Contraction) -> Expr | None:
    if len(node.operands) == 1 and not node.out:
        (e,) = node.operands
        if isinstance(e, Operation) and e.row.name == "eigvalsh" and e.ndim == 1:
            return contract([(e.args[0], "ii")], "")
        if isinstance(e, Operation) and e.row.name == "logm" and node.legs[0] == (0, 0):
            return operation("logdet", e.args[0])
    return None


@rule(Contraction, "singular values", "sum(svdvals(X).^2) = norm2(X)^2, s.*sign0(s) = s")
def singular_values(node: Contraction) -> Expr | None:
    pairs = _pairs(node)
    for e, legs in pairs:
        base, p, _ = as_power(e)
        if not (isinstance(base, Operation) and base.row.name == "svdvals" and base.ndim == 1):
            continue
        if len(pairs) == 1 and not node.out and p is Number(2):
            return contract([(power(base.args[0], 2), "ij")], "")
        for b, (f, other) in enumerate(pairs):
            sign = isinstance(f, Operation) and f.row.name == "sign0" and f.args[0] is base
            if sign and other == legs and isinstance(p, Number) and p.value > 0:
                return _without(node, (b,), [])
    return None


@rule(Contraction, "softmax", "exp(x)/sum(exp(x)) = softmax(x)")
def fold_softmax(node: Contraction) -> Expr | None:
    pairs = _pairs(node)
    for a, (e, legs) in enumerate(pairs):
        if not is_map(e, "exp"):
            continue
        for b, (f, other) in enumerate(pairs):
            base, p, _ = as_power(f)
            if f is base or not (
                isinstance(p, Number) and isinstance(p.value, int) and p.value < 0
            ):
                continue
            u = exp_sum(base)
            if u is None or u is not e.args[0] or other not in (legs[:-1],):
                continue
            rest: Pairs = [(operation("softmax", u), legs)]
            if p.value != -1:
                rest.append((power(base, p.value + 1), other))
            return _without(node, (a, b), rest)
    return _softmax_in_scalar(node)


def _softmax_in_scalar(node: Contraction) -> Expr | None:
    """``(a'*exp(x))/sum(exp(x))``: the exponential stands inside a scalar factor."""
    for b, f in enumerate(node.operands):
        base, p, _ = as_power(f)
        if f is base or f.shape or not isinstance(p, Number) or not isinstance(p.value, int):
            continue
        u = exp_sum(base) if p.value < 0 else None
        if u is None or u.ndim != 1:
            continue
        for a, e in enumerate(node.operands):
            if e.shape or not isinstance(e, Contraction):
                continue
            inner = [
                (operation("softmax", u) if _is_exp_of(o, u) else o, legs) for o, legs in _pairs(e)
            ]
            if sum(_is_exp_of(o, u) for o in e.operands) == 1:
                rest: Pairs = [(contract(inner, e.out, _broadcast_sizes(e)), ())]
                if p.value != -1:
                    rest.append((power(base, p.value + 1), ()))
                return _without(node, (a, b), rest)
    return None


def _is_exp_of(e: Expr, u: Expr) -> bool:
    return is_map(e, "exp") and e.args[0] is u


def _broadcast_sizes(node: Contraction) -> dict:
    """Dimensions of the labels that stand in the output alone."""
    carried = {i for legs in node.legs for i in legs}
    return {i: node.dims[i] for i in node.out if i not in carried}


@rule(Contraction, "sigmoid", "exp(x)*sigmoid(-x) = sigmoid(x)")
def fold_sigmoid(node: Contraction) -> Expr | None:
    pairs = _pairs(node)
    for a, (e, legs) in enumerate(pairs):
        if not is_map(e, "exp"):
            continue
        for b, (f, other) in enumerate(pairs):
            base, p, _ = as_power(f)
            if other != legs or not is_map(base, "sigmoid"):
                continue
            if not (isinstance(p, Number) and isinstance(p.value, int) and p.value > 0):
                continue
            if base.args[0] is scale(-1, e.args[0]):
                rest: Pairs = [(apply("sigmoid", e.args[0]), legs)]
                if p.value > 1:
                    rest.append((power(base, p.value - 1), legs))
                return _without(node, (a, b), rest)
    return None


@rule(Contraction, "tanh", "sinh(x)/cosh(x) = tanh(x)")
def fold_tanh(node: Contraction) -> Expr | None:
    pairs = _pairs(node)
    for a, (e, legs) in enumerate(pairs):
        if not is_map(e, "sinh"):
            continue
        for b, (f, other) in enumerate(pairs):
            base, p, _ = as_power(f)
            if not is_map(base, "cosh") or other != legs or base.args[0] is not e.args[0]:
                continue
            if isinstance(p, Number) and isinstance(p.value, int) and p.value < 0:
                rest: Pairs = [(apply("tanh", e.args[0]), legs)]
                if p.value != -1:
                    rest.append((power(base, p.value + 1), legs))
                return _without(node, (a, b), rest)
    return None


@rule(Contraction, "exponentials multiply", "exp(x)*exp(y) = exp(x+y)")
def merge_exponentials(node: Contraction) -> Expr | None:
    groups: dict[tuple[int, ...], dict[int, Expr]] = {}
    for k, (e, legs) in enumerate(_pairs(node)):
        if is_map(e, "exp"):
            groups.setdefault(legs, {})[k] = e.args[0]
    for legs, found in groups.items():
        if len(found) > 1:
            merged = apply("exp", add([(1, u) for u in found.values()]))
            return _without(node, tuple(found), [(merged, legs)])
    return None


@rule(Contraction, "sign", "abs(x).*sign(x) = x")
def absolute_times_sign(node: Contraction) -> Expr | None:
    pairs = _pairs(node)
    for a, (e, legs) in enumerate(pairs):
        if is_map(e, "sign"):
            for b, (f, other) in enumerate(pairs):
                if is_map(f, "abs") and other == legs and f.args[0] is e.args[0]:
                    return _without(node, (a, b), [(e.args[0], legs)])
    return None

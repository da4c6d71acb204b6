"""Rules for functions with a jump: powers and products of step and sign.

All hold at 0 too, where ``step``, ``sign``, ``relu`` and ``abs`` are 0; ``sign(x)^2`` is not 1.
"""

from __future__ import annotations

from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.maps import apply, as_power, power
from tensorcalculus.expr.node import Contraction, Expr, Map, Number
from tensorcalculus.simplify.engine import rule


@rule(Map, "power of a jump", "step(x)^p = step(x), sign(x)^3 = sign(x), for what is 0 or 1 or -1")
def power_of_jump(node: Map) -> Expr | None:
    base, p, _ = as_power(node)
    if base is node or not isinstance(base, Map) or not isinstance(p, Number) or p.value <= 0:
        return None
    if base.function.name == "step":
        return base
    if base.function.name == "sign" and isinstance(p.value, int) and p.value > 2:
        return base if p.value % 2 else power(base, 2)
    return None


@rule(Contraction, "product with a jump", "x*step(x) = relu(x), x*sign(x) = abs(x)")
def product_with_jump(node: Contraction) -> Expr | None:
    """A jump is swallowed by a factor that tells on which side of it the argument is."""
    pairs = list(zip(node.operands, node.legs, strict=True))
    for k, (jump, legs) in enumerate(pairs):
        if not (isinstance(jump, Map) and jump.function.name in ("step", "sign")):
            continue
        for m, (other, other_legs) in enumerate(pairs):
            if m == k or other_legs != legs:
                continue
            swallowed = _swallowed(jump, other)
            if swallowed is not None:
                rest = [p for q, p in enumerate(pairs) if q not in (k, m)]
                sizes = {i: node.dims[i] for i in node.out}
                return contract([*rest, (swallowed, legs)], node.out, sizes)
    return None


def _swallowed(jump: Map, other: Expr) -> Expr | None:
    """The product of a jump and another factor, where it has no jump."""
    (x,) = jump.args
    base, p, _ = as_power(other)
    if not isinstance(p, Number) or p.value <= 0:
        return None
    if isinstance(base, Map) and base.function.arity == 1 and base.args[0] is x:
        one_sided = ("relu", "step") if jump.function.name == "sign" else ("relu",)
        return other if base.function.name in one_sided else None
    if base is not x or not isinstance(p.value, int):
        return None
    if jump.function.name == "step":
        return power(apply("relu", x), p)
    size = apply("abs", x)
    if p.value % 2:
        return power(size, p)
    names = tuple(range(x.ndim))
    return contract([(power(x, p.value - 1), names), (size, names)], names)

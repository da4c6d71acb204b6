"""The derivatives people ask for, in the layout: axes of the function, then of the variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tensorcalculus.calculus.cut import linear_inner, narrowest
from tensorcalculus.calculus.sweep import forward, identity_seed, reverse
from tensorcalculus.errors import ShapeError, UnknownNameError, nearest
from tensorcalculus.expr.combination import scale, split_scale
from tensorcalculus.expr.context import remember, remembered
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import show_shape, unify
from tensorcalculus.expr.node import Contraction, Expr, Operation, Variable, variables_of
from tensorcalculus.expr.operations.structural import lower, reshape
from tensorcalculus.expr.rebuild import substitute
from tensorcalculus.simplify.engine import simplify

MODES = ("auto", "reverse", "forward", "mixed")
SYMMETRY = ("projected", "full")
STRUCTURE = frozenset(("sym", "spd", "diag", "tri"))
"""Declared properties that make the space of a variable smaller than that of all tensors."""


def find_variable(f: Expr, name: str | Variable) -> Variable:
    """The variable of that name in ``f``; UnknownNameError where it does not occur."""
    if isinstance(name, Variable):
        known = variables_of(f)
        # A constant has a derivative by everything, and it is visibly zero.
        if not known or known.get(name.name) is name or name in remembered(f).get(name.name, ()):
            return name
        raise UnknownNameError(
            f"the variable {name.name} of shape {show_shape(name.shape)} does not occur in the "
            f"expression (its variables: {', '.join(known)})"
        )
    if not isinstance(name, str):
        raise TypeError(f"a variable or its name is expected, not {name!r}")
    known = variables_of(f)
    if name not in known and name in remembered(f):
        # It cancelled on the way here: the derivative is zero, and not by mistake.
        return remembered(f)[name][0]
    if name not in known:
        have = ", ".join(known) or "none"
        raise UnknownNameError(
            f"{name!r} does not occur in the expression (its variables: {have})."
            + nearest(name, known)
        )
    return known[name]


def jacobian(
    f: Expr, wrt: str | Variable, *, mode: str = "auto", symmetry: str = "projected"
) -> Expr:
    """The derivative of ``f`` by ``wrt``; shape ``f.shape + wrt.shape``.

    Parameters
    ----------
    mode
        ``"reverse"`` pulls cotangents back, ``"forward"`` pushes tangents, ``"mixed"`` pulls back
        to the narrowest node that all paths pass and pushes forward to it; the result is the same.
        ``"auto"`` takes the cheaper one.
    symmetry
        For a variable declared ``sym``, ``spd``, ``diag`` or ``tri``: ``"projected"`` (default)
        gives the derivative inside that space (the symmetric part for a symmetric matrix),
        ``"full"`` the derivative by all entries as if they were independent.

    Raises
    ------
    UnknownNameError, NotDifferentiableError, ValueError
    """
    _check_options(mode, symmetry)
    variable = find_variable(f, wrt)
    if symmetry == "full":
        return _by_all_entries(f, [variable], lambda g: jacobian(g, variable.name, mode=mode))
    return _jacobian(f, variable, mode)


def _check_options(mode: str, symmetry: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    if symmetry not in SYMMETRY:
        raise ValueError(f"symmetry is one of {', '.join(SYMMETRY)}, not {symmetry!r}")


def _jacobian(f: Expr, variable: Variable, mode: str) -> Expr:
    """The derivative in the space of the variable; zero where the variable does not occur."""
    source, f = f, simplify(f)
    scale_of_f, peeled = split_scale(f)
    if mode == "auto" and isinstance(peeled, Operation) and peeled.row.name == "reshape":
        # A reshape of the function is a reshape of its derivative.
        inner = _jacobian(scale(scale_of_f, peeled.args[0]), variable, mode)
        reshaped = simplify(reshape(inner, f.shape + variable.shape))
        return remember(reshaped, source, declared=[variable])
    if mode == "auto":
        mode = "reverse" if f.ndim <= variable.ndim else "forward"
    if mode == "mixed":
        result = _mixed(f, variable)
    elif mode == "reverse":
        (result,) = reverse(f, [variable])
    else:
        result = _forward_jacobian(f, variable)
    result = project(result, f.ndim, variable)
    return remember(simplify(result), source, declared=[variable])


def _by_all_entries(f: Expr, variables: list[Variable], compute: Callable[[Expr], Expr]) -> Expr:
    """A derivative with the variables' structure forgotten while it is taken."""
    known = variables_of(f).values()
    free: dict[Expr, Expr] = {
        v: Variable(v.name, v.shape, v.properties - STRUCTURE) for v in variables if v in known
    }
    result = compute(remember(substitute(f, free), declared=variables))
    back = {variable: v for v, variable in free.items()}
    return remember(simplify(substitute(result, back)), f, declared=variables)


def _forward_jacobian(f: Expr, variable: Expr) -> Expr:
    pushed = forward(f, {variable: identity_seed(variable.shape)})
    n, k = f.ndim, variable.ndim
    return contract([(pushed, tuple(range(k + n)))], (*range(k, k + n), *range(k)))


def _mixed(f: Expr, variable: Variable) -> Expr:
    middle = narrowest(f, variable)
    if middle is None:
        (result,) = reverse(f, [variable])
        return result
    (above,) = reverse(f, [middle])
    below = _forward_jacobian(middle, variable)
    a, b, c = f.ndim, middle.ndim, variable.ndim
    names = tuple(range(a + b + c))
    return contract([(above, names[: a + b]), (below, names[a:])], names[:a] + names[a + b :])


def project(derivative: Expr, lead: int, variable: Variable) -> Expr:
    """The part of a derivative inside the space of a structured variable (last axes)."""
    properties = variable.properties
    if derivative.ndim != lead + variable.ndim or variable.ndim < 2:
        return derivative
    names = tuple(range(derivative.ndim))
    head, axes = names[:lead], names[lead:]
    if "diag" in properties:
        repeated = (axes[0],) * len(axes)
        return contract([(derivative, head + repeated)], head + repeated)
    if "tri" in properties:
        mask = lower(variable.shape[-1], 1)
        return contract([(derivative, names), (mask, axes)], names)
    if properties.isdisjoint(("sym", "spd")):
        return derivative
    from itertools import permutations

    orders = list(permutations(axes))
    swapped = [contract([(derivative, names)], head + order) for order in orders]
    if all(e is derivative for e in swapped):
        return derivative
    result = swapped[0]
    for e in swapped[1:]:
        result = result + e
    return result / len(orders)


def gradient(f: Expr, wrt: str | Variable, *, symmetry: str = "projected") -> Expr:
    """The gradient of a scalar, of the shape of the variable; ShapeError for other functions."""
    if f.ndim:
        raise ShapeError(
            f"the gradient is that of a scalar; this expression has shape {show_shape(f.shape)}: "
            'use jacobian, or declare as scalars what is meant so (c="")'
        )
    return jacobian(f, wrt, mode="reverse", symmetry=symmetry)


def hessian(
    f: Expr,
    wrt: str | Variable,
    other: str | Variable | None = None,
    *,
    mode: str = "auto",
    symmetry: str = "projected",
) -> Expr:
    """Second derivatives of a scalar: axes of ``wrt``, then of ``other`` (default: the same)."""
    _check_options(mode, symmetry)
    if symmetry == "full":
        given = [wrt] if other is None else [wrt, other]
        found = [find_variable(f, v) for v in given]
        names = [v.name for v in found]
        return _by_all_entries(f, found, lambda g: hessian(g, *names, mode=mode))
    first = find_variable(f, wrt)
    second = first if other is None else find_variable(f, other)
    if first is second and mode == "auto":
        inner = linear_inner(simplify(f), first)
        if inner is not None:
            return _hessian_through(f, first, inner)
    return _jacobian(gradient(f, first), second, mode)


def _hessian_through(f: Expr, variable: Variable, inner: Contraction) -> Expr:
    """``J' H J`` for ``f = g(z)`` and ``z = J*w`` linear in the variable.

    A layer of a network depends on its weights through ``X*W`` only; the second derivatives by
    that are block diagonal in the batch, while a sweep that starts at W carries X along.
    """
    z = Variable("\0z", inner.shape)
    g = substitute(simplify(f), {inner: z})
    core = simplify(substitute(_jacobian(gradient(g, z), z, "auto"), {z: inner}))
    place = inner.operands.index(variable)
    factors: list = [(core, [(side, i) for side in (0, 1) for i in inner.out])]
    sizes = {}
    for side in (0, 1):
        factors += [
            (e, [(side, i) for i in legs])
            for k, (e, legs) in enumerate(zip(inner.operands, inner.legs, strict=True))
            if k != place
        ]
        sizes |= {(side, i): d for i, d in enumerate(inner.dims)}
    out = [(side, i) for side in (0, 1) for i in inner.legs[place]]
    result, n = contract(factors, out, sizes), variable.ndim
    for _ in range(2):  # in the space of a structured variable on both sides
        axes = tuple(range(2 * n))
        result = contract([(project(result, n, variable), axes)], axes[n:] + axes[:n])
    return remember(simplify(result), f, declared=[variable])


def derivative(
    f: Expr,
    wrt: str | Variable | Sequence[str | Variable],
    order: int = 1,
    *,
    mode: str = "auto",
    symmetry: str = "projected",
) -> Expr:
    """The ``order``-th derivative by ``wrt``, or the mixed one by a sequence of variables."""
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= 8:
        raise ValueError(f"order is an integer from 0 to 8, not {order!r}")
    _check_options(mode, symmetry)
    if isinstance(wrt, (str, Variable)):
        names = [find_variable(f, wrt)] * order
    else:
        names = [find_variable(f, name) for name in wrt]
        if order not in (1, len(names)):
            raise ValueError(f"order {order} does not fit the {len(names)} variables given")
    if symmetry == "full":
        labels = [v.name for v in names]
        return _by_all_entries(f, names, lambda g: derivative(g, labels, len(labels), mode=mode))
    for variable in names:
        f = _jacobian(f, variable, mode)
    return f


def _directions(f: Expr, directions: Mapping[str, object]) -> dict[Expr, Expr]:
    """Variables with their directions; a name stands for a new variable of the same shape."""
    if not directions:
        raise ValueError("give a direction for at least one variable, as in jvp(w='dw')")
    found: dict[Expr, Expr] = {}
    for name, direction in directions.items():
        variable = find_variable(f, name)
        found[variable] = _direction(f, direction, variable.shape, name)
    return found


def _direction(f: Expr, direction: object, shape: tuple, role: str) -> Expr:
    if isinstance(direction, str):
        known = variables_of(f).get(direction)
        if known is None and not direction.isidentifier():
            raise ValueError(f"the direction for {role} is named {direction!r}, which is no name")
        direction = known if known is not None else Variable(direction, shape)
    if not isinstance(direction, Expr):
        raise TypeError(f"the direction for {role} is a name or an expression, not {direction!r}")
    same = len(direction.shape) == len(shape) and all(
        unify(a, b) for a, b in zip(direction.shape, shape, strict=True)
    )
    if not same:
        raise ShapeError(
            f"the direction for {role} has shape {show_shape(direction.shape)}, "
            f"expected {show_shape(shape)}"
        )
    return direction


def jvp(f: Expr, directions: Mapping[str, object]) -> Expr:
    """The directional derivative ``sum_w J_w dw``, without a Jacobian."""
    pushed = forward(simplify(f), _directions(f, directions))
    return remember(simplify(pushed), f)


def vjp(f: Expr, cotangents: Mapping[str, object]) -> Expr | dict[str, Expr]:
    """Cotangents of ``f`` pulled back to the named variables, without a Jacobian.

    ``vjp(f, {"w": "g"})`` is the derivative of ``f:g`` by ``w``; one expression for one variable,
    a dictionary for several.
    """
    if not cotangents:
        raise ValueError("name at least one variable and its cotangent, as in vjp(w='g')")
    result = {}
    for name, cotangent in cotangents.items():
        variable = find_variable(f, name)
        seed = _direction(f, cotangent, f.shape, name)
        (pulled,) = reverse(simplify(f), [variable], seed)
        result[name] = remember(simplify(project(pulled, 0, variable)), f, seed)
    return next(iter(result.values())) if len(result) == 1 else result


def hvp(f: Expr, wrt: str | Variable, direction: str | Expr) -> Expr:
    """The Hessian of a scalar applied to a direction, by forward over reverse."""
    variable = find_variable(f, wrt)
    return jvp_of(gradient(f, variable), variable, direction)


def jvp_of(g: Expr, variable: Variable, direction: str | Expr) -> Expr:
    d = _direction(g, direction, variable.shape, variable.name)
    return remember(simplify(project(forward(g, {variable: d}), 0, variable)), g, d)


def differential(f: Expr, names: Sequence[str | Variable]) -> Expr:
    """The total differential in the named variables (all by default), in ``dW``, ``dX``, ..."""
    chosen = [find_variable(f, n) for n in names] if names else list(variables_of(f).values())
    tangents: dict[Expr, Expr] = {
        v: Variable(_fresh(f"d{v.name}", f), v.shape, _tangent_properties(v)) for v in chosen
    }
    return remember(simplify(forward(simplify(f), tangents)), f)


def _fresh(name: str, f: Expr) -> str:
    """``name``, or with a number where ``f`` has a variable of that name."""
    taken, k, found = variables_of(f), 2, name
    while found in taken:
        found, k = f"{name}_{k}", k + 1
    return found


def _tangent_properties(v: Variable) -> frozenset[str]:
    """Structure that a small change of ``v`` has as well."""
    symmetric = {"sym"} if v.properties & {"sym", "spd"} else set()
    return frozenset(symmetric | (v.properties & {"diag", "tri"}))

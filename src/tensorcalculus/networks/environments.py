"""A network with arrays: its value, gradients by all cores, curvature, from one tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from tensorcalculus.compiler.compiled import Compiled
from tensorcalculus.compiler.sizes import bind_arrays
from tensorcalculus.compiler.targets import Target, target_named
from tensorcalculus.errors import InputError, nearest
from tensorcalculus.expr.combination import split_scale
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.maps import as_power
from tensorcalculus.expr.node import Contraction, Expr, Number, Scalar, Variable, variables_of
from tensorcalculus.networks.network import Core, Network, NetworkSum
from tensorcalculus.networks.passes import Environments
from tensorcalculus.networks.structure import Structure, placed
from tensorcalculus.networks.tree import EFFORT

MOST = 4096
"""Cores up to which an expression is taken apart into the network that it is."""


class Bound:
    """A network whose sizes are known, and what is made for them."""

    def __init__(self, net: Network, names: tuple[str, ...], sizes: Mapping[str, int]) -> None:
        self.names = names
        self.plans: dict[tuple, Environments] = {}
        labels = {i: k for k, i in enumerate(net.dims)}
        places = {name: k for k, name in enumerate(names)}
        self.structure = Structure(
            tuple(tuple(labels[i] for i in c.legs) for c in net.present),
            tuple(labels[i] for i in net.output),
            tuple(sizes[i] for i in net.dims),
            tuple(places[c.name] for c in net.present),
        )


def prepare(
    net: Network,
    cores: Mapping[str, Any],
    *,
    wrt: Sequence[str] | None = None,
    memory_limit: float | None = None,
    effort: int = EFFORT,
) -> Environments:
    """The passes over the contraction tree of a network, prepared for arrays like these.

    Parameters
    ----------
    net, cores, wrt, memory_limit, effort
        As in :func:`value_and_gradients`.

    Returns
    -------
    Environments
        With ``cost``, ``source``, and the tree.

    Examples
    --------
    >>> import numpy as np
    >>> from tensorcalculus.networks import inner, prepare, tt
    >>> net = inner(tt(3), tt(3, name="H"))
    >>> cores = {name: np.ones([2] * v.ndim) for name, v in net.symbols.items()}
    >>> prepare(net, cores).cost
    forward 104 flop, with gradients by 6 cores 296 flop (2.85 times), 296 B at most
    """
    plan, _, _ = _prepared(net, cores, wrt, memory_limit, effort)
    return plan


def value_and_gradients(
    net: Network | NetworkSum | Expr,
    cores: Mapping[str, Any],
    *,
    wrt: Sequence[str] | None = None,
    memory_limit: float | None = None,
    effort: int = EFFORT,
) -> tuple[Any, dict[str, Any]]:
    """The value of a scalar network and its gradients by all cores, from one contraction tree.

    The arrays of a binary tree of joins ``c = a b`` are computed upwards, then the environments
    (derivatives of the value by each array) downwards, ``E_a = E_c b``.  Each of these costs what
    the join does, so all gradients and the value together take at most three times the operations
    of the value.  A core that stands several times gets the sum over its places.

    Parameters
    ----------
    net
        A network without open legs, a sum of such, or any scalar expression.  An expression that
        is not a network runs through :func:`tensorcalculus.compile`, without the bound above.
    cores
        Arrays by name, of NumPy, PyTorch or JAX.  Results are of the same kind.
    wrt
        The cores to differentiate by, all by default.
    memory_limit
        Bytes that intermediate arrays and results may hold.  The tree is run for each value of some
        labels where it would need more.
    effort
        How many contraction trees are tried, fewer for many cores.  Trees are remembered by
        structure and sizes.

    Returns
    -------
    value, gradients
        A float (NumPy) or an array without axes, and a dictionary by name.  Nothing is conjugated:
        for complex arrays the gradients are those of the holomorphic function.

    Raises
    ------
    InputError
        For open legs, missing arrays and shapes that do not fit, with the names, and for a limit
        that no slicing reaches, with the least memory that it does reach.

    References
    ----------
    R. N. C. Pfeifer, G. Evenbly, S. Singh and G. Vidal, arXiv:1402.0939 (2014), on environments.
    J. Gray and S. Kourtis, Quantum 5 (2021), for trees and slices.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> from tensorcalculus.networks import value_and_gradients
    >>> net = tc.network({"x": "i", "A": "i j", "y": "j"})
    >>> value, grads = value_and_gradients(
    ...     net, {"x": np.array([1., 2.]), "A": np.eye(2), "y": np.array([3., 4.])})
    >>> value, grads["x"]
    (11.0, array([3., 4.]))
    """
    coefficient: Scalar = 1
    if isinstance(net, NetworkSum):
        return _of_sum(net, cores, wrt, memory_limit, effort)
    if isinstance(net, Expr):
        if net.shape:
            raise InputError(f"the expression has shape {show_shape(net.shape)}; expected a scalar")
        if "network" not in net.memo:
            net.memo["network"] = network_of(net)
        found: Network | None
        coefficient, found = net.memo["network"]
        if found is None:
            return _of_expression(net, cores, wrt)
        net = found
    elif not isinstance(net, Network):
        raise TypeError(f"a network or an expression is expected, not {net!r}")
    if net.output:
        raise InputError(
            f"the network has the open legs {' '.join(net.output)}; expected a scalar: join them, "
            "as inner(net, other) does, or see net.derivative"
        )
    plan, arrays, names = _prepared(net, cores, wrt, memory_limit, effort)
    value, found_gradients = plan.value_and_gradients(arrays)
    factor = float(coefficient)
    if factor != 1:
        value, found_gradients = factor * value, [factor * g for g in found_gradients]
    return _number(value, plan.target), dict(zip(names, found_gradients, strict=True))


def hvp(
    net: Network,
    cores: Mapping[str, Any],
    directions: Mapping[str, Any],
    *,
    wrt: Sequence[str] | None = None,
    memory_limit: float | None = None,
    effort: int = EFFORT,
) -> dict[str, Any]:
    """The Hessian of a scalar network by all cores together, times a direction.

    .. math:: (Hv)_a = Σ_b ∂^2 f / ∂a ∂b \\; v_b

    Tangents of all arrays of the tree go up, tangents of the environments down: at most nine times
    the operations of the value.

    Parameters
    ----------
    directions
        An array of the shape of the core for each name; 0 for names left out.
    wrt
        The cores ``a`` for which the product is wanted, all by default.

    Returns
    -------
    dict
        The product by name.
    """
    if net.output:
        raise InputError(
            f"the network has the open legs {' '.join(net.output)}; expected a scalar, or take "
            "gauss_newton"
        )
    plan, arrays, names = _prepared(net, cores, wrt, memory_limit, effort)
    moves = _directions(net, cores, directions, plan.target)
    return dict(zip(names, plan.hvp(arrays, moves), strict=True))


def gauss_newton(
    net: Network,
    cores: Mapping[str, Any],
    directions: Mapping[str, Any],
    *,
    wrt: Sequence[str] | None = None,
    memory_limit: float | None = None,
    effort: int = EFFORT,
) -> dict[str, Any]:
    """``J'*J*v`` with the Jacobian ``J`` of a network by all its cores, which is never formed.

    The matrix is the Gauss-Newton approximation of the Hessian of ``norm2(net-T)^2/2`` by the
    cores.  At most five times the operations of the value.

    Parameters, returns and errors are those of :func:`hvp`; the network may have open legs.
    """
    plan, arrays, names = _prepared(net, cores, wrt, memory_limit, effort)
    moves = _directions(net, cores, directions, plan.target)
    return dict(zip(names, plan.gauss_newton(arrays, moves), strict=True))


def evaluate(net: Network, values: Mapping[str, Any]) -> Any:
    """The value of a network; ``net(A=..., ...)``."""
    bound, arrays, target = bind(net, values)
    structure = bound.structure
    if not structure.legs:
        one = target.together({"": 1.0}, [target.array("", 1.0)])[0]
        value = placed(one, (), structure.out, structure.sizes, target)
    else:
        plan = _planned(bound, target, (), None, EFFORT)
        result = plan.value(arrays)
        value = placed(result, plan.reduced.out, structure.out, structure.sizes, target)
    return value if net.output else _number(value, target)


def network_of(e: Expr) -> tuple[Scalar, Network | None]:
    """An expression as a number times a network of its variables, None where it is not one."""
    coefficient, e = split_scale(e)
    pending: list[tuple[Expr, tuple[str, ...]]] = [(e, tuple(f"o{k}" for k in range(e.ndim)))]
    output, dims, cores, fresh = pending[0][1], {}, [], 0
    dims.update(zip(output, e.shape, strict=True))
    names: dict[str, Variable] = {}
    while pending:
        node, legs = pending.pop()
        base, exponent, guarded = as_power(node)
        value, inner = split_scale(node)
        if isinstance(node, Variable):
            if names.setdefault(node.name, node) is not node:
                return coefficient, None
            cores.append(Core(node.name, legs))
        elif isinstance(node, Number):
            coefficient *= node.value
        elif isinstance(node, Contraction) and len(set(node.out)) == len(node.out):
            inside = dict(zip(node.out, legs, strict=True))
            for i, d in enumerate(node.dims):
                if i not in inside:
                    inside[i] = f"s{fresh}"
                    dims[inside[i]] = d
                    fresh += 1
            carried = {i for g in node.legs for i in g}
            if not carried.issuperset(node.out):
                return coefficient, None
            parts = zip(reversed(node.operands), reversed(node.legs), strict=True)
            pending += [(o, tuple(inside[i] for i in g)) for o, g in parts]
        elif base is not node and not guarded and _whole(exponent):
            pending += [(base, legs)] * _whole(exponent)
        elif inner is not node:
            coefficient *= value
            pending.append((inner, legs))
        else:
            return coefficient, None
        if len(cores) + len(pending) > MOST:
            return coefficient, None
    if not cores:
        return coefficient, None
    return coefficient, Network(tuple(cores), output, dims)


def _whole(exponent: Expr) -> int:
    """An exponent that is worth so many copies, else 0."""
    value = exponent.value if isinstance(exponent, Number) else 0
    return value if isinstance(value, int) and 1 < value <= 4 else 0


def _of_sum(
    net: NetworkSum,
    cores: Mapping[str, Any],
    wrt: Sequence[str] | None,
    memory_limit: float | None,
    effort: int,
) -> tuple[Any, dict[str, Any]]:
    if not net.terms:
        raise InputError("the sum has no terms: it is zero, and so are its gradients")
    value: Any = 0
    gradients: dict[str, Any] = {}
    for term in net.terms:
        own = {name: cores[name] for name in term.names if name in cores}
        asked = None if wrt is None else [name for name in wrt if name in term.names]
        part, found = value_and_gradients(
            term, own, wrt=asked, memory_limit=memory_limit, effort=effort
        )
        value = value + part
        for name, g in found.items():
            gradients[name] = gradients[name] + g if name in gradients else g
    return value, gradients


def _of_expression(
    f: Expr, values: Mapping[str, Any], wrt: Sequence[str] | None
) -> tuple[Any, dict[str, Any]]:
    """Value and gradients of a scalar that is not one network, planned as one program."""
    names = list(wrt if wrt is not None else variables_of(f))
    backend = _backend(values)
    key = f"value_and_gradients {backend} {' '.join(names)}"
    if key not in f.memo:
        f.memo[key] = Compiled([f, *(f.gradient(name) for name in names)], backend)
    value, *gradients = f.memo[key](**values)
    return _number(value, target_named(backend)), dict(zip(names, gradients, strict=True))


def _backend(values: Mapping[str, Any]) -> str:
    """The library of the arrays; NumPy where there is no other."""
    found = {_library(kind) for kind in set(map(type, values.values()))}
    return next((name for name in ("torch", "jax") if name in found), "numpy")


@lru_cache(maxsize=64)
def _library(kind: type) -> str:
    origin = kind.__module__.partition(".")[0]
    return {"torch": "torch", "jax": "jax", "jaxlib": "jax"}.get(origin, "numpy")


def bind(net: Network, values: Mapping[str, Any]) -> tuple[Bound, list[Any], Target]:
    """The network with sizes, and its arrays checked; what was checked once is looked up."""
    target = target_named(_backend(values))
    names = net.names
    known: dict[Any, Bound] = net.__dict__.setdefault("_bound", {})
    key = None
    if len(values) == len(names):
        key = _key(values, names, target)
        if key in known:
            return known[key], [values[name] for name in names], target
    arrays, sizes = _checked(net, values, target)
    bound = Bound(net, names, sizes)
    if key is not None and all(a is values[n] for a, n in zip(arrays, names, strict=True)):
        known[key] = bound
    return bound, arrays, target


def _key(values: Mapping[str, Any], names: Sequence[str], target: Target) -> tuple | None:
    try:
        given = [values[name] for name in names]
        if target.name == "torch":
            return ("torch", *((a.shape, a.dtype, a.device) for a in given))
        return (target.name, *((a.shape, a.dtype) for a in given))
    except (AttributeError, KeyError):
        return None


def _checked(
    net: Network, values: Mapping[str, Any], target: Target
) -> tuple[list[Any], dict[str, int]]:
    """Arrays of the cores in order, and the size of every label."""
    names = net.names
    symbols = {s for d in net.dims.values() for s in d.symbols()}
    # Arrays of cores that were taken out, and sizes by name, tell lengths of open legs.
    given = {s: int(values[s]) for s in symbols if s in values and s not in net.symbols}
    rest = {n: v for n, v in values.items() if n not in given}
    variables = {n: v for n, v in net.symbols.items() if n in names or n in rest}
    arrays, found = bind_arrays(variables, rest, target, given)
    by_name = dict(zip(variables, arrays, strict=True))
    sizes: dict[str, int] = {}
    for c in net.cores:
        if c.name in by_name:
            sizes.update(zip(c.legs, map(int, by_name[c.name].shape), strict=True))
    for label, d in net.dims.items():
        if label in sizes:
            continue
        length = d.value if d.value is not None else {**found, **given}.get(d.text)
        if length is None:
            gone = [c.name for c in net.cores if c.deleted and label in c.legs]
            raise InputError(
                f"the size of the open leg {label} follows from no array given; give {d.text} as a "
                f"number, or an array for {' or '.join(gone) or 'a core that has it'}"
            )
        sizes[label] = int(length)
    return [by_name[name] for name in names], sizes


def _prepared(
    net: Network,
    cores: Mapping[str, Any],
    wrt: Sequence[str] | None,
    memory_limit: float | None,
    effort: int,
) -> tuple[Environments, list[Any], list[str]]:
    if not isinstance(net, Network):
        raise TypeError(f"a network is expected, not {net!r}; see tensorcalculus.network")
    bound, arrays, target = bind(net, cores)
    names = list(bound.names if wrt is None else [wrt] if isinstance(wrt, str) else wrt)
    known = set(bound.names)
    for name in names:
        if name not in known:
            raise InputError(
                f"wrt names {name!r}, which is no core of the network (its cores: "
                f"{', '.join(bound.names)}).{nearest(name, bound.names)}"
            )
    if not bound.names:
        raise InputError("the network has no cores left to differentiate by")
    return _planned(bound, target, tuple(names), memory_limit, effort), arrays, names


def _planned(
    bound: Bound, target: Target, names: tuple[str, ...], memory_limit: float | None, effort: int
) -> Environments:
    key = target.name, names, memory_limit, effort
    if key not in bound.plans:
        wanted = tuple(bound.names.index(name) for name in names)
        bound.plans[key] = Environments.of(bound.structure, target, wanted, memory_limit, effort)
    return bound.plans[key]


def _directions(
    net: Network, cores: Mapping[str, Any], directions: Mapping[str, Any], target: Target
) -> list[Any]:
    """Directions in the order of the cores, None for zero."""
    for name, direction in directions.items():
        if name not in net.names:
            raise InputError(
                f"a direction is given for {name!r}, which is no core of the network (its cores: "
                f"{', '.join(net.names)}).{nearest(name, net.names)}"
            )
        shape, expected = (tuple(target.array(name, a).shape) for a in (direction, cores[name]))
        if shape != expected:
            raise InputError(
                f"the direction for {name} has shape {shape}; expected {expected}, as {name} has"
            )
    if not directions:
        raise InputError("no direction is given; name at least one core")
    found = [target.array(n, directions[n]) if n in directions else None for n in net.names]
    there = {n: directions[n] for n in net.names if n in directions}
    given = target.together(there, [a for a in found if a is not None])
    rest = iter(given)
    return [None if a is None else next(rest) for a in found]


def _number(value: Any, target: Target) -> Any:
    """A scalar of NumPy as a Python number."""
    if target.name == "numpy":
        return value.item() if hasattr(value, "item") else float(value)
    return value


__all__ = [
    "Environments",
    "evaluate",
    "gauss_newton",
    "hvp",
    "network_of",
    "prepare",
    "value_and_gradients",
]

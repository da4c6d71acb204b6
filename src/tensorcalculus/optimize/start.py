"""Data, bounds and start values, checked and brought into shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from tensorcalculus.compiler.sizes import as_array, size_given, solve_sizes
from tensorcalculus.errors import InputError, ShapeError, UnknownNameError, nearest
from tensorcalculus.expr.context import remembered
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import Expr, Variable, variables_of, walk
from tensorcalculus.optimize.packing import Array, Packing, scale_of
from tensorcalculus.random_data import draw_values

DRAWS = 24
"""Random starts tried until the function is finite."""

_REFUSED = {
    "spd": "write it as L*L' with L declared 'n n tri'",
    "orth": "write it as the Q of qr(X), or as expm(A-A')",
}


def check_function(f: Any) -> Expr:
    """The expression, if it is a scalar."""
    if not isinstance(f, Expr):
        raise TypeError(
            f"minimize takes an expression, not {type(f).__name__}; read a formula with tc.parse"
        )
    if f.ndim:
        raise ShapeError(
            f"only a scalar can be minimised; this expression has shape {show_shape(f.shape)}: "
            "take sum(...), norm2(...)^2 or another scalar function of it"
        )
    return f


def find_variables(f: Expr, over: str | Variable | Sequence[str | Variable]) -> list[Variable]:
    """The variables to optimise, in the order given."""
    names = [over] if isinstance(over, (str, Variable)) else list(over)
    if not names:
        raise InputError("over= names no variable; name at least one, as in over=['w']")
    known = variables_of(f)
    found: list[Variable] = []
    for given in names:
        name = given.name if isinstance(given, Variable) else given
        if not isinstance(name, str):
            raise TypeError(f"over= holds {name!r}; names of variables are expected")
        if name not in known:
            have = ", ".join(known) or "none"
            raise UnknownNameError(
                f"over= names {name!r}, which does not occur in the expression (its variables: "
                f"{have})." + nearest(name, known)
            )
        if known[name] in found:
            raise InputError(f"over= names {name} twice")
        for word, advice in _REFUSED.items():
            if word in known[name].properties:
                raise InputError(
                    f"{name} is declared {word}, a set that steps along a gradient leave: {advice}"
                )
        found.append(known[name])
    return found


def read_arrays(
    f: Expr,
    variables: Sequence[Variable],
    data: Mapping[str, Any] | None,
    start: Mapping[str, Any] | None,
) -> tuple[dict[str, Array], dict[str, Array], dict[str, int]]:
    """Arrays of the data, those of the start values given, and the sizes of all symbols."""
    known = variables_of(f)
    over = {v.name: v for v in variables}
    data, start = dict(data or {}), dict(start or {})
    symbols = dict.fromkeys(s for node in walk(f) for d in node.shape for s in d.symbols())
    for name in start:
        if name not in over:
            raise InputError(
                f"start= holds {name!r}, which is not optimised (over={list(over)})."
                + nearest(str(name), over)
            )
    both = [name for name in data if name in over]
    if both:
        raise InputError(
            f"{both[0]} is in over= and in data=: give start={{{both[0]!r}: ...}} to begin there, "
            "or leave it out of over= to keep it fixed"
        )
    sizes = {s: size_given(s, data.pop(s)) for s in list(data) if s in symbols and s not in known}
    for name in data:
        if name not in known and name not in remembered(f):
            fixed = [n for n in known if n not in over]
            raise InputError(
                f"data= holds {name!r}, which is no variable of this expression (variables to "
                f"give: {', '.join(fixed) or 'none'})." + nearest(str(name), fixed)
            )
    missing = [n for n in known if n not in over and n not in data]
    if missing:
        shapes = ", ".join(f"{n} {show_shape(known[n].shape)}" for n in missing)
        raise InputError(f"data= holds no value for {shapes}; give it, or optimise over it")
    arrays = {n: _real(n, data[n], known[n]) for n in known if n in data}
    begun = {n: _real(n, start[n], over[n]) for n in over if n in start}
    given = {**arrays, **begun}
    shapes = {n: a.shape for n, a in given.items()}
    sizes = solve_sizes({n: known[n] for n in given}, shapes, sizes)
    for v in variables:
        unknown = [s for d in v.shape for s in d.symbols() if s not in sizes]
        if unknown:
            s = unknown[0]
            raise InputError(
                f"the size {s} of {v.name} {show_shape(v.shape)} does not follow from the data: "
                f"give data={{..., {s!r}: 5}}, or start={{{v.name!r}: array}}"
            )
    for s in symbols:
        if s not in sizes:
            raise InputError(f"the size {s} does not follow from the data: give it in data=")
    return arrays, begun, sizes


def _real(name: str, value: Any, variable: Variable) -> Array:
    array = as_array(name, value, variable)
    if array.dtype.kind == "c":
        raise InputError(f"{name} holds complex numbers; minimize works with real ones")
    return np.asarray(array, dtype=np.float64)


def read_bounds(
    packing: Packing, bounds: Mapping[str, Any] | None
) -> tuple[Array | None, Array | None]:
    """Lower and upper bounds of the vector; None where there are none at all."""
    over = {v.name: v for v in packing.variables}
    lower, upper = np.full(packing.size, -np.inf), np.full(packing.size, np.inf)
    for name in bounds or {}:
        if name not in over:
            raise InputError(
                f"bounds= holds {name!r}, which is not optimised (over={list(over)})."
                + nearest(str(name), over)
            )
    for (name, v), part in zip(over.items(), packing.slices, strict=True):
        if "nonneg" in v.properties:
            lower[part] = 0.0
        pair = (bounds or {}).get(name)
        if pair is None:
            continue
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(
                f"the bounds of {name} are a pair (low, high), None for no bound, not {pair!r}"
            )
        low, high = (_one_bound(packing, name, b, s) for b, s in zip(pair, (-1, 1), strict=True))
        lower[part], upper[part] = np.maximum(lower[part], low), high
        wrong = np.flatnonzero(~(lower[part] <= upper[part]))
        if len(wrong):
            k = int(wrong[0])
            raise InputError(
                f"the bounds of {packing.where(part.start + k)} leave no value: low "
                f"{lower[part][k]:g} is not below high {upper[part][k]:g}"
            )
    if np.isneginf(lower).all() and np.isposinf(upper).all():
        return None, None
    return lower, upper


def _one_bound(packing: Packing, name: str, value: Any, sign: int) -> Array:
    if value is None:
        value = sign * np.inf
    try:
        return packing.bound(name, np.asarray(value, dtype=np.float64))
    except (ValueError, TypeError):
        raise InputError(
            f"a bound of {name} is a number or an array that fits it, not {value!r}"
        ) from None


def start_vector(
    packing: Packing,
    begun: Mapping[str, Array],
    lower: Array | None,
    upper: Array | None,
    seed: int,
    attempt: int,
    f: Expr,
    sizes: Mapping[str, int],
) -> Array:
    """The vector to begin with, moved inside the bounds; what is not given is drawn."""
    tensors: list[Array] = []
    drawn: dict[str, Array] = {}
    if attempt % 2 and len(begun) < len(packing.variables):
        # Kinds of arrays that the functions applied to a variable ask for: positive, definite.
        drawn = draw_values(f, sizes, None, seed, attempt // 2)
    for layout, v in zip(packing.layouts, packing.variables, strict=True):
        if v.name in begun:
            tensors.append(_inside(begun[v.name], layout, v))
            continue
        rng = np.random.default_rng([seed, attempt, crc32(v.name.encode())])
        x = scale_of(layout.shape) * rng.standard_normal(layout.shape)
        tensors.append(np.asarray(drawn.get(v.name, x)))
    x = packing.pack(tensors)
    if lower is None or upper is None:
        return x
    for layout, part in zip(packing.layouts, packing.slices, strict=True):
        if layout.name in begun:
            continue
        low, high = lower[part], upper[part]
        both = np.isfinite(low) & np.isfinite(high)
        rng = np.random.default_rng([seed, attempt, crc32(layout.name.encode()), 1])
        inside = low + (high - low) * rng.uniform(0.1, 0.9, len(low))
        y = np.where(np.isfinite(low), low + np.abs(x[part]), x[part])
        y = np.where(np.isfinite(high), high - np.abs(x[part]), y)
        x[part] = np.where(both, inside, y)
    return np.minimum(np.maximum(x, lower), upper)


def _inside(array: Array, layout: Any, v: Variable) -> Array:
    """A start value, if it lies in the space of its variable."""
    if not layout.plain:
        again = layout.unpack(layout.pack(array))
        if not np.allclose(again, array, rtol=1e-10, atol=1e-12):
            raise InputError(
                f"the start value of {v.name} is not {', '.join(sorted(v.properties))}, as declared"
            )
    return array

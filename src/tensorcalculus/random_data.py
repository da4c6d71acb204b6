"""Random data for an expression: sizes, arrays with declared properties, directions to move in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement, permutations, product
from typing import Any
from zlib import crc32

import numpy as np

from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.sizes import size_given, solve_sizes
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr, Map, Number, Operation, Variable, variables_of, walk
from tensorcalculus.expr.operations.structural import room

SIZES = (3, 2, 4, 5)
_MANY = 20_000
"""Entries of an intermediate tensor above which smaller sizes are drawn."""


def draw_sizes(
    f: Expr, sizes: Mapping[str, int], values: Mapping[str, Any], seed: int = 0
) -> list[dict[str, int]]:
    """Small sizes for all symbols of ``f``, two sets of them where the smaller of two matters."""
    variables = variables_of(f)
    given = {n: v for n, v in variables.items() if n in values}
    shapes = {n: np.shape(values[n]) for n in given}
    known = solve_sizes(given, shapes, {s: size_given(s, n) for s, n in sizes.items()})
    symbols = [s for s in Program([f], simplified=False).symbols if s not in known]
    nodes = list(walk(f))
    rng = np.random.default_rng(seed)
    for attempt in range(200):
        top = 0 if attempt < 20 else attempt // 10
        pool = [n + top for n in SIZES]
        if seed or attempt:
            rng.shuffle(pool)
        if attempt in (1, 2, 3):
            pool = [2, 3]
        found = {s: pool[k % len(pool)] for k, s in enumerate(symbols)} | known
        if _fits(nodes, found, attempt):
            turned = {s: sum((min(pool), max(pool))) - found[s] for s in symbols} | known
            either = any("min(" in d.text for node in nodes for d in node.shape)
            both = either and turned != found and _fits(nodes, turned, attempt)
            return [found, turned] if both else [found]
    raise InputError("no small sizes of the dimensions were found that fit; give them: sizes={...}")


def _fits(nodes: list[Expr], sizes: Mapping[str, int], attempt: int) -> bool:
    for node in nodes:
        lengths = [d.evaluate(sizes) for d in node.shape]
        if min(lengths, default=1) < 1 or (attempt < 3 and np.prod(lengths) > _MANY):
            return False
        if isinstance(node, Variable) and "orth" in node.properties and lengths[0] < lengths[-1]:
            return False  # the columns are orthonormal
        if isinstance(node, Operation) and node.row.name == "slice":
            (items,) = node.params
            axes = node.args[0].shape[len(node.args[0].shape) - len(items) :]
            for item, d in zip(items, axes, strict=True):
                if any(left.evaluate(sizes) < 0 for left in room(d, item)):
                    return False
    return True


def draw_values(
    f: Expr,
    sizes: Mapping[str, int],
    values: Mapping[str, Any] | None = None,
    seed: int = 0,
    attempt: int = 0,
) -> dict[str, Any]:
    """Arrays for all variables of ``f``; every ``attempt`` draws others, of several kinds."""
    hints = wanted_kinds(f)
    point: dict[str, Any] = {}
    for name, variable in variables_of(f).items():
        if values is not None and name in values:
            point[name] = np.asarray(values[name], dtype=np.float64)
            continue
        rng = np.random.default_rng([seed, attempt, crc32(name.encode())])
        shape = tuple(d.evaluate(sizes) for d in variable.shape)
        point[name] = _draw(rng, shape, variable.properties, hints.get(variable), attempt)
    return point


def wanted_kinds(f: Expr) -> dict[Variable, tuple[float, float] | str]:
    """Intervals, or kinds of matrices, that the functions applied to a variable ask for."""
    found: dict[Variable, tuple[float, float] | str] = {}
    for node in walk(f):
        if isinstance(node, Map) and not node.function.domain.startswith("all real"):
            for a, (low, high) in zip(node.args, node.function.sample, strict=True):
                whole = node.function.name == "pow" and isinstance(node.args[1], Number)
                if not isinstance(a, Variable) or (whole and _natural(node.args[1])):
                    continue
                old = found.get(a, (low, high))
                if isinstance(old, tuple) and max(low, old[0]) < min(high, old[1]):
                    found[a] = (max(low, old[0]), min(high, old[1]))
        elif isinstance(node, Operation) and node.row.sample:
            for a in node.args[:1]:
                if isinstance(a, Variable):
                    found[a] = node.row.sample
    return found


def _natural(p: Expr) -> bool:
    return isinstance(p, Number) and isinstance(p.value, int) and p.value >= 0


def _draw(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    properties: frozenset[str],
    hint: tuple[float, float] | str | None,
    attempt: int,
) -> np.ndarray:
    kind = attempt % 6
    x = rng.standard_normal(shape)
    if isinstance(hint, tuple):
        x = rng.uniform(*hint, shape)
    elif kind in (2, 4) or "nonneg" in properties:
        x = rng.uniform(0.4, 1.6, shape)
    elif kind == 3:
        x = 0.3 * x
    if len(shape) < 2:
        return x
    square = shape[-1] == shape[-2]
    eye = np.eye(shape[-2], shape[-1])
    if "orth" in properties:
        return np.linalg.qr(x)[0]
    if "spd" in properties:
        return x @ x.T + shape[0] * eye
    if "diag" in properties:
        return eye * x if not isinstance(hint, str) else eye * (1 + np.abs(x))
    if "tri" in properties:
        return np.tril(x) + (2 * eye if isinstance(hint, str) else 0)
    if hint == "spd" or (kind == 5 and square):
        x = x @ np.swapaxes(x, -1, -2) + shape[-1] * eye
    elif hint == "well" or (kind in (3, 4) and square):
        x = x + 3 * eye
    elif hint == "small":
        x = 0.3 * x
    if hint == "sym" or not properties.isdisjoint({"sym"}):
        # A declared symmetric tensor is so in all axes, a stack of matrices in the last two.
        moved = range(x.ndim) if "sym" in properties else (x.ndim - 2, x.ndim - 1)
        fixed = tuple(range(x.ndim - len(moved)))
        orders = list(permutations(moved))
        x = np.mean([np.transpose(x, fixed + order) for order in orders], axis=0)
    return x


def stays_inside(variable: Variable) -> bool:
    """Whether the directions of a variable span the space that its derivative lives in."""
    return "orth" not in variable.properties


def basis(variable: Variable, x: np.ndarray, most: int) -> list[np.ndarray]:
    """Orthonormal directions in which a variable may move at ``x``, at most ``most`` of them."""
    properties, shape = variable.properties, x.shape
    if x.ndim >= 2 and "orth" in properties:
        found = _tangents(x)
    elif x.ndim >= 2 and not properties.isdisjoint({"sym", "spd"}):
        tuples = combinations_with_replacement(range(shape[0]), x.ndim)
        found = [_symmetric_unit(shape, index) for index in tuples]
    else:
        indices = list(product(*map(range, shape)))
        if x.ndim >= 2 and "diag" in properties:
            indices = [i for i in indices if len(set(i)) == 1]
        elif x.ndim >= 2 and "tri" in properties:
            indices = [i for i in indices if i[-1] <= i[-2]]
        if len(indices) > most:
            chosen = np.random.default_rng(0).choice(len(indices), most, replace=False)
            indices = [indices[k] for k in sorted(chosen)]
        found = [_unit(shape, index) for index in indices]
    return found[:most]


def _unit(shape: tuple[int, ...], index: tuple[int, ...]) -> np.ndarray:
    e = np.zeros(shape)
    e[index] = 1.0
    return e


def _symmetric_unit(shape: tuple[int, ...], index: tuple[int, ...]) -> np.ndarray:
    e = np.zeros(shape)
    for order in set(permutations(index)):
        e[order] = 1.0
    return e / np.linalg.norm(e)


def _tangents(x: np.ndarray) -> list[np.ndarray]:
    """Directions along the matrices with orthonormal columns."""
    n, k = x.shape
    found = []
    for i in range(k):
        for j in range(i):
            turn = np.zeros((k, k))
            turn[i, j], turn[j, i] = 1.0, -1.0
            found.append(x @ turn / np.sqrt(2))
    outside = np.linalg.qr(x, mode="complete")[0][:, k:]
    for i in range(n - k):
        for j in range(k):
            found.append(np.outer(outside[:, i], _unit((k,), (j,))))
    return found

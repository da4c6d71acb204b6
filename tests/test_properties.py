"""Random expressions: derivatives agree with each other and with numbers, values with plain ones.

The default run draws a few hundred expressions; ``pytest -m slow`` draws thousands.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import HealthCheck, given, settings

import tensorcalculus as tc
from tensorcalculus.check import check
from tensorcalculus.compiler.sizes import solve_sizes
from tensorcalculus.errors import CheckError, InputError
from tensorcalculus.expr.node import Expr, Variable, walk
from tensorcalculus.random_data import draw_sizes, draw_values
from tensorcalculus.testing import expressions, values_for

WELL = 1e-8
EPSILON = 1e-20
"""Values and gradients below this are what saturated functions leave: 1 - 1e-25 is 1."""
LARGEST = 40_000
"""Entries of the largest derivative that is compared."""


def draw(judge: Callable[[Expr], bool], count: int, least: float, **options: Any) -> None:
    """Judge ``count`` random expressions; at least the share ``least`` of them must be compared.

    A judge returns False where there is nothing to compare: no data in the domain, a result that
    is not finite or too large, a value that rounding of the data alone moves.
    """
    compared = []

    def each(f: Expr) -> None:
        compared.append(judge(f))

    each.__name__ = judge.__name__  # hypothesis draws others for another name
    relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=count)
    relaxed(given(expressions(**options))(each))()
    share = sum(compared) / len(compared)
    assert share >= least, f"only {share:.0%} of {len(compared)} expressions were compared"


def often(quick: int) -> Any:
    """``quick`` draws in the default run, 3000 in the slow one."""
    slow = pytest.param(3000, marks=pytest.mark.slow)
    return pytest.mark.parametrize("count", [quick, slow])


def near(found: Any, right: Any, size: float = 1.0) -> bool:
    found, right = np.asarray(found), np.asarray(right)
    assert found.shape == right.shape
    if not right.size:
        return True
    scale = max(float(np.abs(right).max()), size * 1e-3, 1e-300)
    return float(np.abs(found - right).max()) <= WELL * scale


Point = tuple[dict[str, Any], dict[str, int]]
"""Arrays by name, and the sizes of all symbols."""


def point(f: Expr) -> Point | None:
    """Data for ``f``, or None where none of the draws is in its domain."""
    try:
        values = values_for(f)
    except InputError:
        return None
    arrays = {k: v for k, v in values.items() if k in f.variables}
    sizes = {k: v for k, v in values.items() if k not in f.variables}
    shapes = {name: array.shape for name, array in arrays.items()}
    known = sizes | solve_sizes(f.variables, shapes)
    # Symbols of parts that simplification drops: any length will do.
    gone = {s: 3 for node in walk(f) for d in node.shape for s in d.symbols() if s not in known}
    return arrays, known | gone


def at(f: Expr, where: Point, **more: Any) -> np.ndarray:
    """The value; variables and sizes that dropped out of ``f`` are left out."""
    arrays, sizes = where
    program = f._program()
    given = {k: v for k, v in {**arrays, **more}.items() if k in program.variables}
    given |= {s: sizes[s] for s in program.free_symbols}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Forward mode warns where eigenvalues coincide, also of functions that do not mind.
        warnings.simplefilter("ignore", tc.GaugeWarning)
        return np.asarray(f(**given))


Value = Callable[[Point], np.ndarray]


def of(f: Expr, **more: Any) -> Value:
    """The value of an expression as a function of the data."""
    return lambda where: at(f, where, **more)


def agree(
    left: Value,
    right: Value,
    where: Point,
    size: float = 1.0,
) -> bool:
    """Whether two ways to a value agree, as far as the data determine it.

    Where they do not, numbers of more digits are taken, and data that differ in the last digits:
    the difference to a wrong value stays, that of cancelled digits, as in p*(1-p) for p near 1,
    becomes another one.
    """
    found, expected = left(where), right(where)
    if near(found, expected, size):
        return True
    error = found - expected
    rng = np.random.default_rng(0)
    others = [{k: np.asarray(a, np.longdouble) for k, a in where[0].items()}]
    for step in np.repeat([1e-15, 1e-14, 1e-13], 3):
        moved = {k: a * (1 + step * rng.choice([-1, 1], a.shape)) for k, a in where[0].items()}
        others.append(moved)
    for data in others:
        try:
            change = left((data, where[1])) - right((data, where[1])) - error
        except TypeError:
            continue  # LAPACK and some special functions have no longer numbers
        if not np.abs(change).max() <= 0.1 * np.abs(error).max():
            return True
    return False


def entries(f: Expr, where: Point, variable: Variable) -> int:
    return int(np.size(at(f, where)) * np.size(where[0][variable.name]))


# -- values --------------------------------------------------------------------------------------


def value_is_kept(f: Expr) -> bool:
    where = point(f)
    if where is None:
        return False
    short = f.simplify()
    with np.errstate(all="ignore"):
        plain = reference.evaluate(f, *where)
        if not np.all(np.isfinite(plain)) or np.abs(plain).max(initial=0) > 1e12:
            return False
        assert agree(of(f), lambda p: reference.evaluate(f, *p), where)
        assert agree(of(f), lambda p: reference.evaluate(short, *p), where)
    return True


@often(150)
def test_compiled_and_simplified_values_equal_plain_ones(count: int) -> None:
    draw(value_is_kept, count, least=0.85)


def small_sizes(f: Expr) -> bool:
    """Sizes 1, and 0 where the plain evaluator has a value there, are sizes like others."""
    compared = False
    for length in (1, 0):
        sizes = dict.fromkeys(("m", "n", "k"), length)
        try:
            values = draw_values(f, sizes)
            with np.errstate(all="ignore"):
                plain = reference.evaluate(f, values, sizes)
        except (ValueError, IndexError, AssertionError, ZeroDivisionError):
            continue  # an index out of range, or a maximum over nothing
        if np.all(np.isfinite(plain)) and np.abs(plain).max(initial=0) < 1e12:
            compared = True
            try:
                assert near(at(f, (values, sizes)), plain)
            except InputError as error:
                assert "size that is 0" in str(error)
    return compared


@often(60)
def test_axes_of_length_one_and_none(count: int) -> None:
    draw(small_sizes, count, least=0.5, decompositions=False)


# -- first derivatives ---------------------------------------------------------------------------


def modes_agree(f: Expr) -> bool:
    where = point(f)
    if where is None:
        return False
    compared = [
        modes_agree_by(f, variable, where)
        for variable in list(f.variables.values())[:2]
        if entries(f, where, variable) <= LARGEST
    ]
    return any(compared) or not f.variables


def modes_agree_by(f: Expr, variable: Variable, where: Point) -> bool:
    value = at(f, where)
    size = float(np.abs(value).max(initial=0))
    reverse, forward, mixed = (
        of(f.jacobian(variable, mode=mode)) for mode in ("reverse", "forward", "mixed")
    )
    if not all(np.all(np.isfinite(j(where))) for j in (reverse, forward, mixed)):
        return False
    assert agree(reverse, forward, where, size)
    assert agree(mixed, forward, where, size)

    # JVP and VJP are the Jacobian applied from the right and from the left.
    v = a_direction(variable, where)
    g = np.random.default_rng(0).standard_normal(value.shape)
    pushed = of(f.jvp(**{variable.name: Variable("direction", variable.shape)}), direction=v)
    pulled = of(f.vjp(**{variable.name: Variable("cotangent", f.shape)}), cotangent=g)
    assert agree(pushed, lambda p: np.tensordot(reverse(p), v, variable.ndim), where, size)
    assert agree(pulled, lambda p: np.tensordot(g, reverse(p), f.ndim), where, size)
    return True


def a_direction(variable: Variable, where: Point) -> np.ndarray:
    """The data themselves where only some directions are possible, else a random one."""
    x = where[0][variable.name]
    inside = {"sym", "spd", "diag", "tri"} & variable.properties
    return x if inside else np.random.default_rng(0).standard_normal(x.shape)


@often(120)
def test_modes_agree(count: int) -> None:
    draw(modes_agree, count, least=0.8)


def equals_numbers(f: Expr, order: int) -> bool:
    where = point(f)
    if where is None:
        return False
    total = sum(np.size(where[0][v]) for v in f.variables)
    if np.size(at(f, where)) * total**order > LARGEST:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tc.GaugeWarning)
            check(f, order=order)
    except CheckError as error:
        # A function that oscillates wildly, or of huge arguments, has no trustworthy numerical
        # derivative.
        if "no point to check at" not in str(error):
            raise
        return False
    return True


def jacobian_equals_numbers(f: Expr) -> bool:
    return equals_numbers(f, order=1)


@often(150)
def test_jacobian_equals_numbers(count: int) -> None:
    draw(jacobian_equals_numbers, count, least=0.8)


# -- second derivatives --------------------------------------------------------------------------


def second_equals_numbers(f: Expr) -> bool:
    return equals_numbers(f, order=2)


@often(50)
def test_second_derivatives_equal_numbers(count: int) -> None:
    draw(second_equals_numbers, count, least=0.8, shape=(), max_nodes=8)


def hessians_agree(f: Expr) -> bool:
    where = point(f)
    if where is None:
        return False
    compared = [
        hessians_agree_by(f, variable, where)
        for variable in list(f.variables.values())[:2]
        if np.size(where[0][variable.name]) ** 2 <= LARGEST
    ]
    return any(compared) or not f.variables


def hessians_agree_by(f: Expr, variable: Variable, where: Point) -> bool:
    hessian, gradient = of(f.hessian(variable)), at(f.gradient(variable), where)
    size = max(float(np.abs(at(f, where)).max()), float(np.abs(gradient).max(initial=0)))
    if not np.all(np.isfinite(hessian(where))) or 0 < size < EPSILON:
        return False
    v = a_direction(variable, where)
    product = of(f.hvp(variable, Variable("direction", variable.shape)), direction=v)
    assert agree(product, lambda p: np.tensordot(hessian(p), v, variable.ndim), where, size)
    for mode in ("reverse", "forward", "mixed"):
        assert agree(of(f.hessian(variable, mode=mode)), hessian, where, size)
    if not variable.properties & {"sym", "spd", "diag", "tri"}:
        axes = range(variable.ndim), range(-variable.ndim, 0)
        assert agree(hessian, lambda p: np.moveaxis(hessian(p), *axes), where, size)
    return True


@often(60)
def test_hessian_products_and_modes_agree(count: int) -> None:
    draw(hessians_agree, count, least=0.8, shape=())


# -- the strategy itself -------------------------------------------------------------------------


def test_the_strategy_reaches_the_whole_table() -> None:
    from tensorcalculus.expr.functions import FUNCTIONS
    from tensorcalculus.expr.node import Contraction, Map, Operation
    from tensorcalculus.expr.operations import OPERATIONS

    functions, operations, repeated, orders = set(), set(), set(), set()

    @settings(
        deadline=None,
        suppress_health_check=list(HealthCheck),
        max_examples=1500,
        database=None,
    )
    @given(expressions(max_nodes=24))
    def collect(f: Expr) -> None:
        orders.add(f.ndim)
        for node in walk(f):
            if isinstance(node, Map):
                functions.add(node.function.name)
            elif isinstance(node, Operation):
                operations.add(node.row.name)
            elif isinstance(node, Contraction):
                carried = [i for legs in node.legs for i in legs]
                repeated.add("diagonal" * (len(set(node.out)) < len(node.out)))
                repeated.add("broadcast" * (not set(carried).issuperset(node.out)))
                repeated.add("hyper" * any(carried.count(i) > 2 for i in carried))

    collect()
    undone = {"floor", "ceil", "round", "polygamma", "pow0"}
    assert {row.name for row in FUNCTIONS.values()} - functions <= undone
    inner = {"argmax_share", "reciprocal0", "sign0", "gap_multiply", "degenerate_check",
             "divided_difference", "signed_difference", "lower", "pi", "singular", "singular_left",
             "singular_derivative", "spectral_derivative"}  # fmt: skip
    assert set(OPERATIONS) - operations <= inner
    assert repeated == {"", "diagonal", "broadcast", "hyper"}
    assert orders == {0, 1, 2, 3, 4}


def test_sizes_are_drawn_both_ways_where_the_smaller_counts() -> None:
    f = tc.parse("sum(svdvals(X))", X="m n")
    tall, wide = draw_sizes(f, {}, {})
    assert (tall["m"] > tall["n"]) != (wide["m"] > wide["n"])

"""Building normalises: nested contractions, sums, powers and maps keep their value."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcalculus as tc
from tensorcalculus.expr import build
from tensorcalculus.expr.combination import add, scale
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.dims import dim, minimum
from tensorcalculus.expr.maps import apply, is_nonnegative, power
from tensorcalculus.expr.node import Expr, Number, Variable

SIZES = {"m": 2, "n": 3}
LETTERS = "abcdefgh"


@dataclass
class Both:
    """An expression and its value, computed step by step in NumPy beside it."""

    e: Expr
    value: np.ndarray


def spread_einsum(labels: list[str], arrays: list[np.ndarray], out: str, dims: dict) -> np.ndarray:
    """An einsum whose output may repeat labels or name some that no operand carries."""
    ones = [np.ones(SIZES[d.text]) for d in dims.values()]
    unique = "".join(dict.fromkeys(out))
    spec = ",".join([*labels, *dims]) + "->" + unique
    value = np.einsum(spec, *arrays, *ones) if arrays or ones else np.ones(())
    result = np.zeros([SIZES[dims[c].text] for c in out])
    view = np.einsum(f"{out}->{unique}", result) if out else result
    view[...] = value
    return result


@st.composite
def both(draw: st.DrawFn, depth: int = 3) -> Both:
    """A random expression of order 0 to 3."""
    shape = draw(st.lists(st.sampled_from("mn"), max_size=3))
    return grow(draw, tuple(shape), depth)


def leaf(draw: st.DrawFn, shape: tuple[str, ...]) -> Both:
    kind = draw(st.integers(0, 5))
    lengths = [SIZES[s] for s in shape]
    if kind == 0:
        c = draw(st.sampled_from([1, 2, -1, Fraction(1, 2), 4]))
        filled = build.broadcast(Number(c), tuple(map(dim, shape))) if shape else Number(c)
        return Both(filled, np.full(lengths, float(c)))
    if kind == 1 and len(shape) == 2 and shape[0] == shape[1]:
        return Both(build.eye(shape[0]), np.eye(lengths[0]))
    name = draw(st.sampled_from("xy"))
    properties = frozenset(
        {"sym"} if name == "y" and len(shape) == 2 and shape[0] == shape[1] else ()
    )
    rng = np.random.default_rng([ord(name), *lengths])
    value = rng.standard_normal(lengths)
    if properties:
        value = value + value.T
    return Both(Variable(f"{name}_{'_'.join(shape)}", tuple(map(dim, shape)), properties), value)


def grow(draw: st.DrawFn, shape: tuple[str, ...], depth: int) -> Both:
    if depth == 0:
        return leaf(draw, shape)
    kind = draw(
        st.sampled_from(["contract", "contract", "contract", "add", "power", "map", "leaf"])
    )
    if kind == "leaf":
        return leaf(draw, shape)
    if kind == "add":
        parts = [grow(draw, shape, depth - 1) for _ in range(draw(st.integers(1, 3)))]
        numbers = [draw(st.sampled_from([1, -1, 2, Fraction(-2, 3)])) for _ in parts]
        total = sum(float(c) * p.value for c, p in zip(numbers, parts, strict=True))
        pairs = [(c, p.e) for c, p in zip(numbers, parts, strict=True)]
        return Both(add(pairs), np.asarray(total))
    if kind == "map":
        inner = grow(draw, shape, depth - 1)
        name = draw(st.sampled_from(["tanh", "abs", "exp", "sin"]))
        small = np.tanh(inner.value)
        return Both(apply(name, apply("tanh", inner.e)), getattr(np, name)(small))
    if kind == "power":
        inner = grow(draw, shape, depth - 1)
        p = draw(st.sampled_from([0, 1, 2, 3, 4, -1, -2, Fraction(1, 2), Fraction(3, 2)]))
        if p in (0, 1, 2, 3, 4):
            return Both(power(inner.e, p), inner.value ** int(p))
        if draw(st.booleans()):
            square = power(inner.e, 2)
            safe, number = add([(1, square), (1, ones_like(square))]), inner.value**2 + 1
        else:
            safe = apply("exp", apply("tanh", inner.e))
            number = np.exp(np.tanh(inner.value))
        return Both(power(power(safe, 2), p), number ** (2 * float(p)))
    return network(draw, shape, depth)


def ones_like(e: Expr) -> Expr:
    return build.broadcast(Number(1), e.shape) if e.shape else Number(1)


def network(draw: st.DrawFn, shape: tuple[str, ...], depth: int) -> Both:
    dims: dict[str, object] = {}
    out = ""
    for s in shape:
        same = [c for c in out if dims[c] is dim(s)]
        if same and draw(st.integers(0, 3)) == 0:
            out += draw(st.sampled_from(same))
        else:
            letter = LETTERS[len(dims)]
            dims[letter] = dim(s)
            out += letter
    for _ in range(draw(st.integers(0, 2))):
        dims[LETTERS[len(dims)]] = dim(draw(st.sampled_from("mn")))
    factors, labels, arrays = [], [], []
    for _ in range(draw(st.integers(0, 3))):
        legs = "".join(draw(st.lists(st.sampled_from(sorted(dims)), max_size=3))) if dims else ""
        part = grow(draw, tuple(dims[c].text for c in legs), depth - 1)  # type: ignore[attr-defined]
        factors.append((part.e, legs))
        labels.append(legs)
        arrays.append(part.value)
    value = spread_einsum(labels, arrays, out, dims)
    return Both(contract(factors, out, dims), value)  # type: ignore[arg-type]


def values_of(e: Expr) -> dict[str, np.ndarray]:
    found = {}
    for name, variable in e.variables.items():
        lengths = [SIZES[d.text] for d in variable.shape]
        value = np.random.default_rng([ord(name[0]), *lengths]).standard_normal(lengths)
        found[name] = value + value.T if variable.properties else value
    return found


def keeps_value(pair: Both) -> None:
    values = values_of(pair.e)
    size = np.abs(pair.value).max(initial=0)
    if not np.all(np.isfinite(pair.value)) or size > 1e8:
        return
    found = reference.evaluate(pair.e, values, SIZES)
    np.testing.assert_allclose(found, pair.value, rtol=1e-9, atol=1e-11 * max(size, 1))
    if len(pair.e.shape) >= 2 and symmetric(pair.e):
        for axis in range(pair.value.ndim - 1):
            turned = np.swapaxes(pair.value, axis, axis + 1)
            np.testing.assert_allclose(turned, pair.value, atol=1e-9 * max(size, 1))
    if is_nonnegative(pair.e):
        assert pair.value.min(initial=0) >= -1e-12 * max(size, 1)


@settings(deadline=None, max_examples=400)
@given(both())
def test_building_keeps_the_value(pair: Both) -> None:
    keeps_value(pair)


@pytest.mark.slow
@settings(deadline=None, max_examples=10_000)
@given(both())
def test_building_keeps_the_value_often(pair: Both) -> None:
    keeps_value(pair)


# -- equal expressions are one object ------------------------------------------------------------


def test_equal_expressions_are_the_same_object() -> None:
    A, B, x = tc.variables(A="m n", B="n k", x="n")
    assert (A @ B).T is B.T @ A.T
    assert A @ x + A @ x is 2 * (A @ x)
    assert (x * x) is x**2
    assert (A.T).T is A
    assert scale(2, x) - x - x is x * 0
    assert np.exp(A.T) is np.exp(A).T
    assert build.eye("n") @ x is x
    assert build.trace(A @ B @ (A @ B).T) is build.trace((A @ B).T @ (A @ B))
    assert build.inner(A, A) is (A**2).sum()


def test_a_root_of_a_square_is_the_absolute_value() -> None:
    (x,) = (tc.variables(x="n"),)
    f = np.sqrt(x**2)
    assert f is abs(x)
    np.testing.assert_array_equal(f(x=np.array([-2.0, 3.0])), [2.0, 3.0])


def test_repeated_squaring_stays_small() -> None:
    from tensorcalculus.expr.node import walk

    A = tc.variables(A="n n")
    for _ in range(40):
        A = A @ A
    assert len(list(walk(A))) < 200


def test_the_order_of_terms_does_not_depend_on_the_order_of_writing() -> None:
    a, b, c = tc.variables(a="n", b="n", c="n")
    assert a + b + c is c + (b + a)
    assert a * b * c is c * (a * b)


def test_a_sum_over_a_length_that_is_a_number_counts_it() -> None:
    x, c = tc.variables(x="4", c="")
    assert str(tc.parse("sum(sum(x)*ones(4))", x="4")) == "4*sum(x)"
    assert str(tc.parse("sum(x-c)", x="4", c="").simplify()) == "sum(x)-4*c"
    assert tc.parse("sum(x-mean(x))", x="4")(x=np.arange(4.0)) == 0
    assert contract([(c, "")], "", {"a": dim(4)}) is 4 * c
    assert contract([(x, "i"), (c, "")], "i", {"a": dim(3), "b": dim(5)}) is 15 * c * x


@pytest.mark.parametrize(
    "formula", ["var(x)", "var(X*w)", "norm2(X*w-mean(X*w))^2", "sum((x-c)^2)"]
)
def test_derivatives_at_lengths_that_are_numbers(formula: str) -> None:
    text = formula.replace("(x-c)^2", "(x-c).^2")
    shapes = {"x": "4", "X": "4 n", "w": "n", "c": ""}
    f = tc.parse(text, {k: v for k, v in shapes.items() if k in text})
    for name in f.variables:
        f.check(name, order=2)


def test_the_smaller_of_two_sizes_is_told_where_their_difference_has_a_sign() -> None:
    n, p = dim("n"), dim("p")
    assert minimum(n, n + p) is n and minimum(n + p + dim(1), n) is n
    assert minimum(dim(3), n + dim(3)) == dim(3)
    assert minimum(n, p).symbol is None and minimum(n - p, p).text == "min(n-p,p)"

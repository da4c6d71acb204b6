"""Loop-invariant parts: what is taken out, and that the values stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus as tc
from tensorcalculus.compiler.hoist import hoist
from tensorcalculus.compiler.program import Program
from tensorcalculus.compiler.sizes import bind_arrays
from tensorcalculus.expr.node import Expr, variables_of
from tensorcalculus.testing import expressions, values_for

TALL = {"m": 1000, "n": 20}


def taken(text: str, moving: str, sizes: dict[str, int] = TALL, **shapes: str) -> tuple[str, list]:
    """What is left of a formula, and what was taken out, as text."""
    e = tc.parse(text, **shapes)
    (left,), parts = hoist([e], moving.split(), sizes)
    return str(left), [str(p) for p in parts.values()]


@pytest.mark.parametrize(
    ("text", "moving", "shapes", "left", "parts"),
    [
        ("X'*X*w", "w", {"X": "m n"}, "h0*w", ["X'*X"]),
        ("X'*diag(y)*X*w", "w", {"X": "m n"}, "h0*w", ["X'*diag(y)*X"]),
        ("norm2(exp(X)*w-y)^2", "w", {"X": "m n"}, "norm2(h0*w-y)^2", ["exp(X)"]),
        ("w'*inv(A)*b", "w", {"A": "n n"}, "h0'*w", ["inv(A)*b"]),
        ("A*(w.*(X'*y))", "w", {"X": "m n", "A": "n n"}, "A*(h0.*w)", ["X'*y"]),
    ],
)
def test_what_is_taken_out(text: str, moving: str, shapes: dict, left: str, parts: list):
    assert taken(text, moving, **shapes) == (left, parts)


def test_terms_that_do_not_change_become_one():
    a, x = tc.variables(a="n", x="n")
    (left,), parts = hoist([x + np.sin(a) + 2 * np.cos(a)], ["x"])
    assert list(parts.values()) == [np.sin(a) + 2 * np.cos(a)]
    assert left is x + next(iter(parts))


def test_products_are_merged_by_the_sizes_at_hand():
    wide = {"m": 20, "n": 1000}
    assert taken("X'*X*w", "w", wide, X="m n") == ("X'*X*w", [])


def test_variables_numbers_and_transposes_stay():
    assert taken("2*X'*w", "w", X="m n")[1] == []
    assert taken("norm2(X*w-y)^2", "w", X="m n")[1] == []


def test_structure_is_not_stored():
    left, parts = taken("exp(diag(X'*y)+w*w')", "w", X="m n", y="m", w="n")
    assert (left, parts) == ("exp(diag(h0)+w*w')", ["X'*y"])
    assert taken("A+c*eye", "A", A="n n", c="")[1] == []


def test_an_inverse_stays_a_solve_unless_asked_for():
    e = tc.parse("inv(exp(A))*w", A="n n", w="n")
    (left,), parts = hoist([e], ["w"], TALL)
    assert (str(left), [str(p) for p in parts.values()]) == ("inv(h0)*w", ["exp(A)"])
    (left,), parts = hoist([e], ["w"], TALL, inverses=True)
    assert (str(left), [str(p) for p in parts.values()]) == ("h0*w", ["inv(exp(A))"])


def test_new_names_are_free():
    h0, x = tc.variables(h0="n", x="n")
    (left,), parts = hoist([np.exp(h0) * x], ["x"])
    assert [v.name for v in parts] == ["h1"]
    assert set(left.variables) == {"h1", "x"}


def test_a_root_without_the_variables_is_a_part():
    hessian = tc.parse("norm2(X*w-y)^2", X="m n").hessian("w")
    (left,), parts = hoist([hessian], ["w"], TALL)
    assert list(parts.values()) == [hessian]
    assert left is next(iter(parts))


def run(roots: list[Expr], arrays: dict, sizes: dict[str, int]) -> list:
    program = Program(roots)
    free = {s: sizes[s] for s in program.free_symbols}
    return program.results({**{n: arrays[n] for n in program.variables}, **free})


@given(st.data())
def test_random_expressions_keep_their_values(data: st.DataObject):
    f = data.draw(expressions())
    moving = [name for name in f.variables if data.draw(st.booleans())]
    values = values_for(f)
    arrays = {name: np.asarray(values[name]) for name in f.variables}
    sizes = {s: n for s, n in values.items() if s not in f.variables}
    sizes |= bind_arrays(f.variables, arrays)[1]
    (left,), parts = hoist([f], moving, sizes, inverses=data.draw(st.booleans()))
    for e in parts.values():
        assert not set(variables_of(e)) & set(moving)
    with np.errstate(all="ignore"):
        (expected,) = run([f], arrays, sizes)
        if parts:
            numbers = run(list(parts.values()), arrays, sizes)
            arrays |= {v.name: np.asarray(a) for v, a in zip(parts, numbers, strict=True)}
        (found,) = run([left], arrays, sizes)
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * scale)

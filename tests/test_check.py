"""The check itself: what it reports, what it refuses, structured variables, chosen data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.check import COMPLEX_STEP, DIFFERENCES, CheckReport
from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.maps import apply
from tensorcalculus.random_data import basis, draw_values
from tensorcalculus.testing import values_for


def test_report() -> None:
    f = tc.parse("sum(log(1+exp(-y.*(X*w))))", X="m n", y="m", w="n")
    report = f.check("w", "X", order=2)
    assert isinstance(report, CheckReport)
    assert [e.variables for e in report.entries] == [
        ("w",), ("X",), ("w", "w"), ("w", "X"), ("X", "w"), ("X", "X"),
    ]  # fmt: skip
    assert [e.order for e in report.entries] == [1, 1, 2, 2, 2, 2]
    assert report.largest_error < 1e-12
    assert {e.method for e in report.entries} == {COMPLEX_STEP}
    assert repr(report).splitlines()[2].startswith("by w, w")
    assert report._repr_html_().count("<tr>") == 7


def test_all_variables_by_default() -> None:
    f = tc.parse("x'*A*x", A="n n", x="n")
    assert {e.variables for e in f.check().entries} == {("A",), ("x",)}


def test_method_follows_what_the_operations_can_do() -> None:
    assert tc.parse("sum(chol(X))", X="n n spd").check().entries[0].method == DIFFERENCES
    assert tc.parse("logdet(X)", X="n n spd").check().entries[0].method == COMPLEX_STEP


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        ("logdet(X)+tr(A*X)", "n n spd"),
        ("tr(A*X*X)+sum(sin(X))", "n n sym"),
        ("sum((A*X).^3)", "n n diag"),
        ("sum((A*X).^3)", "n n tri"),
        ("sum((A*X).^3)", "n n orth"),
        ("sum(exp(A*X))", "n n nonneg"),
        ("sum(inv(X)*A)", "n n orth"),
        ("tr(A*X'*X)", "n k orth"),
        ("sum(sin(X*A))", "n k orth"),
        ("sum(chol(X)*A)", "n n"),
        ("tr(logm(X)*A)", "n n"),
    ],
)
def test_structured_variables(formula: str, shape: str) -> None:
    f = tc.parse(formula, X=shape)
    assert f.check("X", order=2).largest_error < 1e-6


def test_directions_of_structured_variables_are_orthonormal() -> None:
    for shape, count in (("n n sym", 6), ("n n diag", 3), ("n n tri", 6), ("n n orth", 3)):
        x = tc.variables(X=shape)
        f = (x * x).sum()
        value = draw_values(f, {"n": 3})["X"]
        found = np.array([d.ravel() for d in basis(x, value, 100)])
        assert len(found) == count
        np.testing.assert_allclose(found @ found.T, np.eye(count), atol=1e-12)


def test_domains_are_respected() -> None:
    assert tc.parse("sum(log(x))+sum(arcsin(y))", x="n", y="n").check().largest_error < 1e-9
    assert tc.parse("sum(log(x-3))", x="n").check(values={"x": [4.0, 5.0]}).largest_error < 1e-9
    with pytest.raises(tc.CheckError, match="no point to check at"):
        tc.parse("sum(log(-x.^2-1))", x="n").check()


def test_a_scale_far_from_one() -> None:
    tiny, huge = np.array([1e-8, 3e-8]), np.array([1e8, 3e8])
    for values in (tiny, huge):
        assert tc.parse("sum(x.^3)", x="n").check(values={"x": values}).largest_error < 1e-9
        assert tc.parse("sum(abs(x).^3)", x="n").check(values={"x": values}).largest_error < 1e-6


def test_wrong_derivatives_of_scaled_functions_are_found() -> None:
    wrong = replace(FUNCTIONS["sin"], name="sin_wrong", derivatives=(lambda x, y: 1 - x * x / 2,))
    x = tc.variables(x="n")
    for scale in (1e-12, 1.0, 1e12):
        with pytest.raises(tc.CheckError, match="derivative by x"):
            (scale * apply(wrong, x)).sum().check()


def test_sizes_and_values_may_be_given() -> None:
    f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
    f.check(sizes={"m": 6, "n": 1})
    f.check(values={"X": np.ones((7, 3))})
    f.check(values={"w": np.zeros(4)}, order=2)
    values = values_for(f, seed=2)
    assert values["X"].shape == (values["y"].size, values["w"].size)


def test_wrong_use() -> None:
    f = tc.parse("x'*x")
    with pytest.raises(tc.UnknownNameError):
        f.check("z")
    for order in (0, True, 1.0):
        with pytest.raises(ValueError, match="order"):
            f.check(order=order)  # type: ignore[arg-type]


def test_literal_positions_make_the_axis_long_enough() -> None:
    assert tc.parse("x[7]^3+sum(x[2:9].^2)", x="n").check(order=2).largest_error < 1e-9


def test_sizes_that_stand_on_no_variable() -> None:
    f = tc.parse("sum(ones(n))*c^2*sum(eye(k))", c="")
    assert f.check(order=2).largest_error < 1e-9


def test_a_variable_that_cancelled_is_checked() -> None:
    report = tc.parse("sum(x)-sum(x)+norm2(y)^2").check("x", "y")
    assert {e.variables for e in report.entries} == {("x",), ("y",)}
    assert report.largest_error < 1e-12

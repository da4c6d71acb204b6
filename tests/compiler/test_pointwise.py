"""Scalar functions on arrays and in compiled loops, against the evaluation of expressions."""

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.compiler import kernels
from tensorcalculus.compiler.pointwise import Pointwise
from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.node import Variable

X, M = Variable("x", ()), Variable("m", ())

TEXTS = [
    "(x-m)^2/(1+abs(x-m))",
    "m-x*log(m+1e-10)",
    "log(1+exp(m))-x*m",
    "2*log(m)+pi/4*(x/m)^2",
    "logcosh(x-m)",
    "lgamma(m)+erf(x*m)",
    "max(x, m)^3*tanh(m)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_values_and_derivatives_are_those_of_the_expression(text: str) -> None:
    f = tc.parse(text, {"x": X, "m": M})
    g = f.gradient("m")
    rng = np.random.default_rng(0)
    x, m = rng.uniform(0.1, 3, size=(2, 40))
    expected = [[float(e(x=a, m=b)) for a, b in zip(x, m, strict=True)] for e in (f, g)]
    np.testing.assert_allclose(Pointwise([f, g], [X, M])(x, m), expected, rtol=1e-13)


def test_arguments_that_do_not_matter_are_kept_in_order() -> None:
    np.testing.assert_allclose(Pointwise([tc.parse("2*m", {"m": M})], [X, M])(5.0, 3.0), [6.0])


@pytest.mark.parametrize("text", TEXTS)
def test_compiled_loops_do_the_same(text: str) -> None:
    pytest.importorskip("numba")
    f = tc.parse(text, {"x": X, "m": M})
    both = Pointwise([f, f.gradient("m")], [X, M])
    rng = np.random.default_rng(1)
    x, m = rng.uniform(0.1, 3, size=(2, 20))
    found = [both.compiled(a, b) for a, b in zip(x, m, strict=True)]
    np.testing.assert_allclose(np.transpose(found), both(x, m), rtol=1e-13)


SPOKEN = ["sigmoid", "softplus", "logcosh", "sech2", "relu", "step", "erf", "erfc", "lgamma",
          "gamma", "digamma"]  # fmt: skip
POINTS = np.array([-800.0, -20.0, -3.3, -0.7, -1e-9, 0.0, 1e-9, 0.4, 1.0, 2.5, 9.9, 30.0, 800.0])


@pytest.mark.parametrize("name", SPOKEN)
def test_kernels_of_loops_are_those_of_arrays(name: str) -> None:
    pytest.importorskip("numba")
    from tensorcalculus.compiler import numba_kernels

    points = POINTS
    if name in ("lgamma", "gamma", "digamma"):
        points = np.array([0.1, 0.9, 1.0, 2.5, 7.3, 60.0, 150.5])
    found = [getattr(numba_kernels, name)(float(t)) for t in points]
    expected = getattr(kernels, name)(points)
    np.testing.assert_allclose(found, expected, rtol=3e-14, atol=1e-15 if name == "digamma" else 0)


def test_powers_and_logarithms_of_zero() -> None:
    pytest.importorskip("numba")
    from tensorcalculus.compiler import numba_kernels

    assert numba_kernels.xlogy(0.0, 0.0) == 0
    assert np.isnan(numba_kernels.xlogy(0.0, np.nan))
    assert numba_kernels.guarded_power(0.0, -0.5) == 0
    for p in (3.0, 4.0, -1.0, -2.0, -3.0, 0.5, -0.5, 1.7):
        np.testing.assert_allclose(numba_kernels.power(1.3, p), 1.3**p, rtol=1e-15)


def test_every_function_that_people_write_has_a_form_for_loops() -> None:
    """All but `polygamma`, whose order is an argument, and the derivative of `digamma`."""
    pytest.importorskip("numba")
    missing = []
    for row in {r.name: r for r in FUNCTIONS.values() if r.spoken}.values():
        arguments = [Variable(f"a{k}", ()) for k in range(row.arity)]
        from tensorcalculus.expr.maps import apply

        points = [low + 0.3 * (high - low) for low, high in row.sample]
        try:
            run = Pointwise([apply(row, *arguments)], arguments).compiled
        except tc.InputError:
            missing.append(row.name)
            continue
        expected = float(np.asarray(Pointwise([apply(row, *arguments)], arguments)(*points)[0]))
        np.testing.assert_allclose(run(*points), expected, rtol=1e-13)
    assert missing == ["polygamma"]

"""Why a minimisation ends, told truthfully: converged only where the gradient says so."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc

SADDLE = tc.parse("a^2-b^2+b^4", a="", b="")
SECOND_ORDER = ["newton", "newton-cg"]


@pytest.mark.parametrize("a", [0.0, 1.0])
@pytest.mark.parametrize("method", SECOND_ORDER)
def test_saddle_points_are_left(method: str, a: float):
    # From (1, 0) every gradient leads to the saddle point at the origin.
    result = tc.minimize(SADDLE, ["a", "b"], start={"a": a, "b": 0.0}, method=method)
    assert result.converged
    assert result.value == pytest.approx(-0.25)
    assert abs(result["b"]) == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_a_maximum_and_a_saddle_of_many_unknowns_are_left(method: str):
    double_well = tc.parse("sum((x.^2-1).^2)", x="n")
    result = tc.minimize(double_well, "x", start={"x": np.zeros(30)}, method=method)
    assert result.converged
    np.testing.assert_allclose(np.abs(result["x"]), 1, rtol=1e-6)
    T = np.random.default_rng(0).standard_normal((12, 8))
    zero = {"U": np.zeros((12, 2)), "V": np.zeros((8, 2))}
    factors = tc.parse("norm2(T-U*V')^2", T="m n")
    result = tc.minimize(factors, ["U", "V"], {"T": T}, zero, method=method)
    assert result.converged
    assert result.value == pytest.approx((np.linalg.svd(T, compute_uv=False)[2:] ** 2).sum())


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_saddle_points_are_left_within_bounds(method: str):
    start, bounds = {"a": 0.0, "b": 0.0}, {"b": (0, 0.5)}
    result = tc.minimize(SADDLE, ["a", "b"], start=start, bounds=bounds, method=method)
    assert result.converged
    assert result["b"] == 0.5
    assert result["a"] == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_a_saddle_point_is_told_where_no_step_is_left(method: str):
    start = {"a": 0.0, "b": 0.0}
    result = tc.minimize(SADDLE, ["a", "b"], start=start, method=method, max_iterations=0)
    assert not result.converged
    assert result.message.startswith("a saddle point: ")
    assert result.message.endswith("max_iterations reached (0)")
    assert result.iterations == 0


@pytest.mark.parametrize("method", ["newton", "newton-cg", "lbfgs", "adam", "gauss-newton"])
def test_a_gradient_of_zero_at_the_start_is_told(method: str):
    # A flat minimum: the Hessian, which is zero, says nothing against it.
    f = tc.parse("(x^2)^2", x="")
    result = tc.minimize(f, "x", start={"x": 0.0}, method=method)
    assert result.converged
    assert result.message == "the gradient is zero at the start"


@pytest.mark.parametrize("method", ["newton", "newton-cg", "lbfgs", "adam"])
def test_a_search_that_stalls_has_not_converged(method: str):
    # At the kink no gradient is small.
    f = tc.parse("abs(x-1)+0.1*x^2", x="")
    result = tc.minimize(f, "x", start={"x": 0.3}, method=method)
    assert not result.converged
    assert result.message.startswith("no lower value is found")


@pytest.mark.parametrize("method", ["newton", "newton-cg", "lbfgs", "gauss-newton"])
@pytest.mark.parametrize("bounded", [False, True])
def test_converged_means_that_the_gradient_is_below_tol(method: str, bounded: bool):
    # Values of 1e6 round at 1e-10: no method gets to tol by comparing them.
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((30, 4)), 1e3 * rng.standard_normal(30)
    f = tc.parse("norm2(X*w-y)^2", X="m n", w="n")
    bounds = {"w": (-10, 10)} if bounded else None
    seen = set()
    for tol in (1e-6, 1e-13, 0.0):
        data, start = {"X": X, "y": y}, {"w": np.ones(4)}
        result = tc.minimize(f, "w", data, start, method, bounds, tol, max_iterations=200)
        scale = max(
            result.record[0].gradient_norm, result.value / max(1, np.abs(result["w"]).max())
        )
        assert result.converged == (result.gradient_norm <= tol * scale), result.message
        assert result.converged == result.message.startswith("the gradient is"), result.message
        seen.add(result.converged)
    assert True in seen

"""Vectorised functions against NumPy in extended precision."""

import math

import numpy as np
import pytest
from numba import njit

from tensorcalculus.compiler import numba_numpy


def over(name, x):
    function = getattr(numba_numpy, name)

    @njit(error_model="numpy")
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    out = np.empty_like(x)
    run(x, out)
    return out


def roundings(got, x, exact):
    true = exact(x.astype(np.longdouble))
    return np.abs(got - true) / np.spacing(np.abs(true).astype(float))


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision here")
def test_within_two_roundings():
    rng = np.random.default_rng(0)
    wide = np.exp(rng.uniform(-744, 709, 50_000))
    x = np.concatenate([rng.random(50_000), 1 + 1e-3 * rng.standard_normal(50_000), wide])
    assert roundings(over("log", x), x, np.log).max() < 2
    y = np.concatenate([rng.uniform(-1, 1, 50_000), rng.uniform(-745, 709.7, 50_000)])
    assert roundings(over("exp", y), y, np.exp).max() < 2


def test_ends_of_the_range():
    x = np.array([0.0, -0.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, 1e-310, 1.0, 1.7e308])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(over("log", x), np.log(x), rtol=1e-15)
        y = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 709.78, 710.0, 1e300, -745.0])
        y = np.append(y, [-746.0, -1e300])
        np.testing.assert_allclose(over("exp", y), np.exp(y), rtol=1e-15, atol=0)


def test_log1p():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 1, 10_000), 10.0 ** rng.uniform(-300, 300, 10_000)])
    np.testing.assert_allclose(over("log1p", x), np.log1p(x), rtol=5e-16)
    x = np.array([0.0, -1.0, -2.0, math.inf, -math.inf, math.nan])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(over("log1p", x), np.log1p(x))


def test_other_functions_are_those_of_numpy():
    assert numba_numpy.sqrt is np.sqrt
    with pytest.raises(AttributeError):
        numba_numpy.no_such_function  # noqa: B018

"""Derivatives that are known to be wrong, so that mending them is noticed (strict xfail)."""

import warnings

import numpy as np
import pytest

import tensorcalculus as tc

FAULT = "functions of singular vectors at vanishing or equal singular values"


def gradient(text: str, **values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tc.GaugeWarning)
        return tc.parse(text, X="n n", A="n n").gradient("X")(**values)


@pytest.mark.xfail(reason=FAULT, strict=True)
def test_polar_factor_at_the_identity() -> None:
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = gradient("sum(A.*(U*V')) where (U,s,V) = svd(X)", X=np.eye(2), A=a)
    assert np.allclose(found, (a - a.T) / 2)


@pytest.mark.xfail(reason=FAULT, strict=True)
def test_odd_function_of_singular_values_at_lower_rank() -> None:
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = gradient("sum(A.*(U*diag(tanh(s))*V')) where (U,s,V) = svd(X)", X=np.zeros((2, 2)), A=a)
    assert np.allclose(found, a)  # tanh'(0) = 1: near zero the function is X itself

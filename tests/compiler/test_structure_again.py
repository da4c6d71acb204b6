"""Operators of one expression for several arrays: the analysis is kept, the numbers are not."""

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.errors import InputError

RNG = np.random.default_rng(11)
HESSIAN = tc.parse("norm2(T-U*V')^2").hessian("U")


def arrays(m=4, n=3, k=2):
    shapes = {"T": (m, n), "U": (m, k), "V": (n, k)}
    return {name: RNG.standard_normal(shape) for name, shape in shapes.items()}


def test_analysis_is_kept():
    values = arrays()
    first = HESSIAN.operator(values)
    assert HESSIAN.operator(values).terms[0].form is first.terms[0].form
    assert HESSIAN.operator(arrays(9, 6, 3)).terms[0].form is not first.terms[0].form
    # The arrays are read at once: a later change does not reach the operator.
    before = first.todense()
    values["V"][:] = 0
    np.testing.assert_array_equal(first.todense(), before)


def test_operators_keep_their_numbers():
    made = []
    for k in range(4):
        T, U, V = arrays().values()
        if k == 3:
            T, U, V = (a.astype(np.float32) for a in (T, U, V))
        made.append((HESSIAN.operator(T=T, U=U, V=V), V))
    for h, V in made:
        assert h.dtype == V.dtype
        np.testing.assert_array_equal(h.todense(), np.kron(np.eye(4), 2 * V.T @ V))
    b = RNG.standard_normal(8)
    x = made[0][0].solve(b)
    assert not np.allclose(made[1][0].solve(b), x)
    with pytest.raises(InputError, match="V"):
        HESSIAN.operator(T=T, U=U)
    with pytest.raises(InputError, match="V"):
        HESSIAN.operator(T=T, U=U, V=V[:2])
    with pytest.raises(InputError, match="number"):
        made[0][0] @ 2.0
    np.testing.assert_allclose((made[0][0] * 2.0) @ b, 2 * (made[0][0] @ b))

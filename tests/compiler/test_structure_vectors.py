"""What a structured operator takes: flat vectors, tensors, blocks of vectors; what is refused."""

import numpy as np
import pytest
import scipy.sparse.linalg as sla

import tensorcalculus as tc
from tensorcalculus.errors import InputError

RNG = np.random.default_rng(3)


def reshaped(rows: str, columns: str):
    """A square matrix whose rows and columns are those of tensors of these shapes."""
    f = tc.parse(f"reshape(A*reshape(X,6),{rows.replace(' ', ',')})", A="6 6", X=columns)
    a = RNG.standard_normal((6, 6)) + 6 * np.eye(6)
    h = f.jacobian("X").operator(A=a, rows=len(rows.split()))
    return a, h


def test_a_matrix_of_the_column_shape_is_one_tensor():
    a, h = reshaped("3 2", "2 3")
    assert (h.row_shape, h.col_shape) == ((3, 2), (2, 3))
    x = RNG.standard_normal((2, 3))
    np.testing.assert_allclose(h @ x, (a @ x.ravel()).reshape(3, 2))
    np.testing.assert_allclose(h @ x.ravel(), a @ x.ravel())
    np.testing.assert_allclose(h.solve(h @ x), x)
    block = RNG.standard_normal((6, 3))
    for product in (h @ block, h.matmat(block)):
        np.testing.assert_allclose(product, a @ block)
    np.testing.assert_allclose(h.solve(h @ block), block)


def test_a_square_column_shape_is_no_block_of_flat_vectors():
    f = tc.parse("norm2(A*X)^2", A="m n", X="n k")
    values = {"A": RNG.standard_normal((5, 4)), "X": RNG.standard_normal((4, 4))}
    h = f.hessian("X").operator(values)
    assert (h @ values["X"]).shape == (4, 4)
    with pytest.raises(InputError, match=r"columns of shape \(4, 4\) do not fit.*\(16, q\)"):
        h.matmat(values["X"])
    stack = RNG.standard_normal((3, 4, 4))
    with pytest.raises(InputError, match=r"\(3, 4, 4\).*expected \(16,\) or \(4, 4\).*\(16, q\)"):
        h @ stack
    block = h @ stack.reshape(3, -1).T
    np.testing.assert_allclose(block[:, 1], (h @ stack[1]).ravel())


@pytest.mark.parametrize(("rows", "columns"), [("2 3", "6 1"), ("6", "6 1")])
def test_one_column_that_is_a_tensor_of_another_shape_is_refused(rows: str, columns: str):
    a, h = reshaped(rows, columns)
    x = RNG.standard_normal((6, 1))
    for product in (h.dot, h.matvec, h.T.rmatvec, h.T.solve):
        with pytest.raises(InputError, match=r"one tensor or a block.*give a flat vector.*\(6,\)"):
            product(x)
    np.testing.assert_allclose(h @ x.ravel(), a @ x.ravel())
    np.testing.assert_allclose(h.matmat(x), a @ x)
    np.testing.assert_allclose(h.T.solve(x.ravel()), np.linalg.solve(a.T, x.ravel()))


def test_one_column_is_taken_where_both_readings_agree():
    a, h = reshaped("6 1", "6 1")
    x = RNG.standard_normal((6, 1))
    np.testing.assert_allclose(h @ x, a @ x, strict=True)
    np.testing.assert_allclose(h.solve(x), np.linalg.solve(a, x), strict=True)


def test_a_vector_for_one_axis_is_flat():
    a, h = reshaped("6", "2 3")
    b = RNG.standard_normal(6)
    np.testing.assert_allclose(h.solve(b), np.linalg.solve(a, b), strict=True)
    np.testing.assert_allclose(h.T @ b, a.T @ b, strict=True)
    x, info = sla.gmres(h, b, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(x, h.solve(b), rtol=1e-8)

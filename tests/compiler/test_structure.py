"""Structured operators against dense matrices: products, entries, solves, memory, messages."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse.linalg as sla
from hypothesis import HealthCheck, given, settings
from scipy.linalg import block_diag

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import dim
from tensorcalculus.expr.node import Variable
from tensorcalculus.testing import expressions, values_for

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.standard_normal(shape)


def spd(n):
    b = normal(n, n)
    return b @ b.T + n * np.eye(n)


def matrix(e, values, rows=None):
    """The dense matrix, from the value with all its axes."""
    value = np.asarray(e(**values))
    rows = value.ndim // 2 if rows is None else rows
    m = int(np.prod(value.shape[:rows]))
    return value.reshape(m, -1)


def compared(e, values, structure=None, rows=None, rtol=1e-11):
    """The operator of ``e``, after all its products and entries agree with the dense matrix."""
    checked = e.operator(values, rows=rows)
    h = e.operator(values, rows=rows)  # arrays like these are not checked again
    assert isinstance(h, sla.LinearOperator)
    dense = matrix(e, values, rows)
    assert h.shape == dense.shape
    if structure is not None:
        assert h.structure == structure, h.structure
    assert repr(h) == f"{h.structure} ({dense.shape[0]} x {dense.shape[1]})"
    m, n = dense.shape
    # Terms may cancel: what is left is as accurate as they are.
    terms = [np.abs(t.dense(h.dtype)).max(initial=0) for t in h.terms]
    scale = max(*terms, np.abs(dense).max(initial=0), 1e-300)
    near = dict(rtol=rtol, atol=rtol * scale * max(m, n))
    close = np.testing.assert_allclose
    close(checked.todense(), dense, **near)
    close(h.todense(), dense, **near)
    v, w, many = normal(n), normal(m), normal(n, 3)
    close(h @ v, dense @ v, **near)
    close(h.matvec(v[:, None]), dense @ v[:, None], **near)
    # A vector for one column axis is flat, and so is the result.
    wanted = (m,) if h.col_shape == (n,) else h.row_shape
    close(h @ v.reshape(h.col_shape), (dense @ v).reshape(wanted), strict=True, **near)
    close(h @ many, dense @ many, **near)
    close(h.rmatvec(w), dense.conj().T @ w, **near)
    close(h.T @ w, dense.T @ w, **near)
    close(h.T.todense(), dense.T, **near)
    close(h.rmatmat(np.outer(w, [1, 2])), np.outer(dense.conj().T @ w, [1, 2]), **near)
    if m == n:
        close(h.diagonal(), np.diag(dense), **near)
        close(h.trace(), np.trace(dense), **near)
    return h


def solved(h, dense=None, rtol=1e-9):
    """Solutions for a vector, a tensor and several columns have small residuals."""
    dense = h.todense() if dense is None else dense
    n = h.shape[0]
    for b in (normal(n), normal(*h.row_shape), normal(n, 3)):
        x = h.solve(b)
        flat, found = b.reshape(n, -1), x.reshape(n, -1)
        expected = np.linalg.solve(dense, flat)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
        tensor = b.shape == h.row_shape
        assert x.shape == (h.col_shape if tensor else b.shape)


# -- known structures --------------------------------------------------------------------------

FACTORISATION = tc.parse("norm2(T-U*V')^2")


def factorisation(n=7, m=6, k=3):
    return dict(T=normal(n, m), U=normal(n, k), V=normal(m, k))


def test_matrix_factorisation():
    values = factorisation()
    h = compared(FACTORISATION.hessian("U"), values, "kron(I_7, 3x3)")
    solved(h)
    assert h.row_shape == h.col_shape == (7, 3)


def test_cross_hessian_is_permuted_and_sums():
    e = FACTORISATION.hessian("U", "V")
    h = compared(e, factorisation())
    assert "permuted kron(" in h.structure
    assert h.shape == (21, 18)
    solved(compared(e, factorisation(6, 6, 2)))


def test_second_factor_of_low_rank():
    # The gram matrix V'V of a wide V has few rows in between.
    h = compared(FACTORISATION.hessian("U"), factorisation(4, 2, 9), "kron(I_4, 9x9 of rank 2)")
    with pytest.raises(InputError, match="singular"):
        h.solve(np.ones(36))


LOGISTIC = tc.parse("sum(log(1+exp(X*w)))", X="m n", w="n")
RIDGE = tc.parse("sum(log(1+exp(X*w)))+c*norm2(w)^2", X="m n", w="n", c="")


@pytest.mark.parametrize(
    ("m", "n", "structure"), [(40, 6, "6x6"), (4, 30, "30x30 of rank 4"), (6, 6, "6x6")]
)
def test_logistic_regression(m, n, structure):
    compared(LOGISTIC.hessian("w"), dict(X=normal(m, n), w=normal(n)), structure)


@pytest.mark.parametrize(
    ("m", "n", "structure"), [(40, 6, "6x6"), (4, 30, "I_30 + 30x30 of rank 4")]
)
def test_ridge(m, n, structure):
    # 2*c*I carries the number c: still an identity, scaled.
    h = compared(RIDGE.hessian("w"), dict(X=normal(m, n), w=normal(n), c=0.1), structure)
    solved(h)


def test_least_squares_with_ridge_on_several_targets():
    f = tc.parse("norm2(X*W-Y)^2+c*norm2(W)^2", X="m n", W="n k", Y="m k", c="")
    values = dict(X=normal(5, 40), W=normal(40, 2), Y=normal(5, 2), c=2.0)
    h = compared(f.hessian("W"), values, "I_80 + kron(40x40 of rank 5, I_2)")
    solved(h)
    solved(compared(f.hessian("W"), values | dict(X=normal(50, 40), Y=normal(50, 2))))


SOFTMAX = tc.parse("sum(logsumexp(X*W',axis=1))", X="m n", W="k n")


@pytest.mark.parametrize(("m", "n", "k"), [(40, 3, 4), (3, 20, 4)])
def test_softmax_regression(m, n, k):
    compared(SOFTMAX.hessian("W"), dict(X=normal(m, n), W=normal(k, n)))


def test_softmax_regression_is_blocks_minus_low_rank():
    f = SOFTMAX + tc.parse("norm2(W)^2", W="k n")
    h = compared(f.hessian("W"), dict(X=normal(2, 20), W=normal(4, 20)))
    assert h.structure == "I_80 + blockdiag(4 of 20x20 of rank 2) + 80x80 of rank 2"
    solved(h)


def test_quadratic_form():
    a = normal(5, 5)
    h = compared(tc.parse("x'*A*x").hessian("x"), dict(A=a, x=normal(5)), "5x5")
    np.testing.assert_allclose(h.todense(), a + a.T)
    solved(h)


def test_kronecker_of_two():
    f = tc.parse("norm2(A*X*B)^2")
    h = compared(
        f.hessian("X"), dict(A=normal(9, 4), X=normal(4, 3), B=normal(3, 8)), "kron(4x4, 3x3)"
    )
    solved(h, rtol=1e-7)


def test_sum_of_kroneckers():
    f = tc.parse("norm2(A*X*B)^2+norm2(C*X*D)^2", X="n k")
    values = dict(A=normal(9, 4), X=normal(4, 3), B=normal(3, 8), C=normal(7, 4), D=normal(3, 6))
    h = compared(f.hessian("X"), values, "kron(4x4, 3x3)")
    assert len(h.terms) == 2
    solved(h, rtol=1e-7)


def test_sylvester():
    f = tc.parse("norm2(A*X+X*B)^2", X="n k")
    a, b = spd(6), spd(5)
    e = f.hessian("X")
    h = compared(e, dict(A=a, B=b, X=normal(6, 5)))
    assert len(h.terms) == 4
    assert "30x30" not in h.structure
    solved(h)
    # Factors that are not symmetric have no common eigenvectors: dense.
    solved(e.operator(A=normal(6, 6) + 6 * np.eye(6), B=normal(5, 5), X=normal(6, 5)), rtol=1e-6)


def test_sylvester_uses_eigenvectors(monkeypatch):
    e = tc.parse("tr(X'*A*X)+tr(X*B*X')", X="n k", A="n n sym", B="k k sym").hessian("X")
    h = e.operator(A=spd(12), B=spd(8), X=normal(12, 8))
    monkeypatch.setattr(type(h), "todense", None)
    b = normal(12, 8)
    np.testing.assert_allclose(h @ h.solve(b), b, atol=1e-10)


def test_cp_factor():
    f = tc.parse("norm2(T-cp(A,B,C))^2", T="i j k", A="i r", B="j r", C="k r")
    values = dict(T=normal(5, 4, 3), A=normal(5, 2), B=normal(4, 2), C=normal(3, 2))
    h = compared(f.hessian("A"), values, "kron(I_5, 2x2)")
    solved(h, rtol=1e-7)
    compared(f.hessian("A", "B"), values)


def test_diagonal_jacobian_and_rows():
    f = tc.parse("tanh(A*x)", A="m n", x="n")
    values = dict(A=normal(6, 4), x=normal(4))
    assert f.jacobian("x").operator(values).shape == (6, 4)
    compared(f.jacobian("x"), values, rows=1)
    compared(tc.parse("tanh(x)").jacobian("x"), dict(x=normal(5)), "diag(5)")
    solved(tc.parse("tanh(x)").jacobian("x").operator(x=normal(5)))
    e = tc.parse("softmax(W*x)", W="m n", x="n").jacobian("W")
    values = dict(W=normal(4, 3), x=normal(3))
    h = compared(e, values, "kron(diag(4), 1x3) + rank 1", rows=1)
    assert h.shape == (4, 12)
    compared(e, values, rows=2)


def test_log_sum_exp_is_diagonal_minus_rank_one():
    f = tc.parse("log(sum(exp(x)))+norm2(x)^2")
    h = compared(f.hessian("x"), dict(x=normal(30)), "diag(30) + rank 1")
    solved(h)
    singular = tc.parse("log(sum(exp(x)))").hessian("x").operator(x=normal(30))
    with pytest.raises(InputError, match="singular"):
        singular.solve(np.ones(30))


def test_diagonals_are_one():
    f = tc.parse("tr(X'*diag(a)*X)+norm2(X)^2", X="m n", a="m")
    h = compared(f.hessian("X"), dict(X=normal(4, 3), a=normal(4)), "diag(12)")
    solved(h)
    compared(tc.parse("sum(logcosh(x))").hessian("x"), dict(x=3 * normal(5)), "diag(5)")


def test_gaussian_process():
    f = tc.parse("y'*inv(K+s*eye(n))*y+logdet(K+s*eye(n))", K="n n", s="", y="n")
    values = dict(K=spd(5), s=0.1, y=normal(5))
    h = compared(f.hessian("K"), values)
    assert "25x25" not in h.structure
    solved(h, rtol=1e-7)
    g = tc.parse("logdet(K)", K="n n").hessian("K")
    solved(compared(g, dict(K=values["K"]), "permuted kron(5x5, 5x5)"))


def test_block_diagonal():
    f = tc.parse('sum(exp(einsum("bij,bj->bi",A,X)))', A="b i j", X="b j")
    values = dict(A=normal(4, 5, 3), X=normal(4, 3))
    h = compared(f.hessian("X"), values, "blockdiag(4 of 3x3)")
    solved(h, rtol=1e-7)
    blocks = h.todense().reshape(4, 3, 4, 3)
    np.testing.assert_allclose(h.todense(), block_diag(*[blocks[k, :, k] for k in range(4)]))


def test_patterns_alone():
    h = compared(tc.parse("norm2(X)^2", X="m n").hessian("X"), dict(X=normal(3, 4)), "I_12")
    np.testing.assert_array_equal(h.solve(np.arange(12)), np.arange(12) / 2)
    # tr(X)^2 gives ones along the diagonal, the outer product of the identity with itself
    compared(tc.parse("tr(X)^2", X="n n").hessian("X"), dict(X=normal(3, 3)))
    compared(tc.parse("sum(X)^2", X="m n").hessian("X"), dict(X=normal(3, 4)), "rank 1")
    compared(tc.parse("X'").jacobian("X"), dict(X=normal(3, 4)), "permuted kron(I_4, I_3)")
    zero = tc.parse("sum(X)", X="m n").hessian("X").operator(X=normal(3, 4))
    assert zero.structure == "zero"
    assert not (zero @ np.ones(12)).any()
    with pytest.raises(InputError, match="singular"):
        zero.solve(np.ones(12))


def test_scalar_and_vector_rows():
    e = tc.parse("x'*y")
    values = dict(x=normal(3), y=normal(3))
    assert e.operator(values).shape == (1, 1)
    compared(e, values)
    compared(tc.parse("x.*y"), values, rows=1)
    compared(tc.parse("x.*y"), values, rows=0)


def test_elementwise_functions_are_dense():
    compared(tc.parse("exp(A)", A="n n"), dict(A=normal(4, 4)), "4x4")
    compared(tc.parse("exp(A)+eye(n)", A="n n"), dict(A=normal(4, 4)), "4x4")


# -- random expressions ------------------------------------------------------------------------


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
@given(expressions(("m", "n", "m", "n"), max_nodes=8))
def test_random_expressions(e):
    try:
        values = values_for(e)
    except InputError:
        return
    compared(e, values, rtol=1e-8)


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(expressions(("m", "n"), max_nodes=8))
def test_random_matrices(e):
    try:
        values = values_for(e)
    except InputError:
        return
    compared(e, values, rtol=1e-8, rows=1)
    compared(e, values, rtol=1e-8, rows=2)


def random_networks(rng):
    """A sum of random networks over labelled axes, with wide and narrow inner indices."""
    half = [("m",), ("m", "n"), ("m", "n", "m")][rng.integers(3)]
    shape = half * 2
    sizes = {"m": 3, "n": 2, "r": int(rng.integers(1, 3)), "s": 7}
    values, terms = {}, []
    for _ in range(rng.integers(1, 4)):
        labels = {}
        out = []
        for d in shape:
            same = [i for i in labels if labels[i] == d]
            if same and rng.random() < 0.4:
                out.append(int(rng.choice(same)))
            else:
                labels[len(labels)] = d
                out.append(len(labels) - 1)
        for d in "rs"[: rng.integers(3)]:
            labels[len(labels)] = d
        factors = []
        for _ in range(rng.integers(4)):
            legs = rng.choice(len(labels), rng.integers(4))
            legs = tuple(int(i) for i in legs)
            x = Variable(f"x{len(values)}", tuple(dim(labels[i]) for i in legs))
            values[x.name] = rng.standard_normal([sizes[labels[i]] for i in legs])
            factors.append((x, legs))
        dims = {i: dim(d) for i, d in labels.items()}
        terms.append((int(rng.integers(1, 4)), contract(factors, tuple(out), dims)))
    return add(terms), values, sizes


@pytest.mark.parametrize("seed", range(80))
def test_random_networks(seed):
    e, values, sizes = random_networks(np.random.default_rng(seed))
    symbols = {s for v in e.variables.values() for d in v.shape for s in d.symbols()}
    given = {n: x for n, x in values.items() if n in e.variables}
    given |= {s: sizes[s] for s in e._program().free_symbols if s not in symbols}
    compared(e, given)
    for rows in range(1, e.ndim):
        compared(e, given, rows=rows)
    names = tuple(range(e.ndim // 2))
    shift = contract([], names * 2, dict(enumerate(e.shape[: len(names)])))
    f = add([(1, e), (50, shift)])
    given |= {s: sizes[s] for s in f._program().free_symbols if s not in symbols}
    h = f.operator(given)
    if np.linalg.cond(h.todense()) < 1e6:
        solved(h, rtol=1e-7)


# -- sizes that no dense matrix has --------------------------------------------------------------


def test_no_dense_intermediate():
    n, k = 20_000, 4
    values = dict(T=normal(n, 3), U=normal(n, k), V=normal(3, k))
    e = tc.parse("norm2(T-U*V')^2+norm2(U)^2").hessian("U")
    x = normal(30, n)
    f = RIDGE.hessian("w")
    tracemalloc.start()
    h = e.operator(values)
    b = normal(n, k)
    assert h.diagonal().shape == (n * k,)
    np.testing.assert_allclose(h @ h.solve(b), b, atol=1e-9)
    g = f.operator(X=x, w=np.zeros(n), c=0.5)
    assert g.structure == f"I_{n} + {n}x{n} of rank 30"
    c = normal(n)
    np.testing.assert_allclose(g @ g.solve(c), c, atol=1e-8)
    np.testing.assert_allclose(g.trace(), (x**2).sum() / 4 + n)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * x.nbytes


def test_conjugate_gradients_where_nothing_is_closed():
    f = tc.parse("norm2(A*X*B)^2+norm2(C*X*D)^2+norm2(X)^2", X="n k")
    n = 60
    values = {name: normal(n, n) / 8 for name in "ABCDX"}
    h = f.hessian("X").operator(values)
    assert h.shape == (3600, 3600)
    b = normal(n, n)
    np.testing.assert_allclose(h @ h.solve(b), b, atol=1e-6)
    e = tc.parse("A*X*B+C*X*D", X="n k").jacobian("X")
    with pytest.raises(InputError, match=r"scipy\.sparse\.linalg"):
        e.operator(values).solve(b)


# -- types, forms, messages ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_types_follow(dtype):
    values = {name: a.astype(dtype) for name, a in factorisation().items()}
    if dtype is np.complex128:
        values["V"] = values["V"] + 1j * normal(6, 3)
    h = FACTORISATION.hessian("U").operator(values)
    v = np.ones(21, dtype)
    dense = matrix(FACTORISATION.hessian("U"), values)
    tol = 1e-4 if dtype is np.float32 else 1e-10
    assert h.dtype == (h @ v).dtype == h.todense().dtype == h.diagonal().dtype == dtype
    assert h.solve(v).dtype == dtype
    np.testing.assert_allclose(h.solve(v), np.linalg.solve(dense, v), rtol=tol)
    np.testing.assert_allclose(h.rmatvec(v), dense.conj().T @ v, rtol=tol)
    np.testing.assert_allclose(h.solve(1j * np.ones(21)), np.linalg.solve(dense, 1j * v), rtol=tol)
    ones = tc.parse("norm2(X)^2", X="m n").hessian("X").operator(X=np.ones((2, 2), np.float32))
    assert ones.dtype == (ones @ np.ones(4, np.float32)).dtype == np.float32


def test_complex_arrays():
    for n, m, k in ((4, 6, 3), (4, 2, 9)):
        values = {name: a + 1j * a[::-1] for name, a in factorisation(n, m, k).items()}
        compared(FACTORISATION.hessian("U"), values)
        compared(FACTORISATION.hessian("U", "V"), values)


def test_low_rank_on_a_singular_diagonal():
    f = tc.parse("sum(d.*x.*x)+norm2(X*x)^2", X="m n", x="n", d="n").hessian("x")
    d = np.ones(40)
    for d[3] in (1e-18, 0):
        h = f.operator(X=normal(5, 40), x=d, d=d)
        assert h.structure == "diag(40) + 40x40 of rank 5"
        solved(h)


def test_scipy_methods_take_it():
    values = dict(X=normal(40, 6), w=normal(6), c=1.0)
    h = RIDGE.hessian("w").operator(values)
    b = normal(6)
    x, info = sla.cg(h, b, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(x, h.solve(b), rtol=1e-8)
    assert isinstance(h + h, sla.LinearOperator)
    np.testing.assert_allclose((2 * h) @ b, 2 * (h @ b))
    np.testing.assert_allclose(b @ h, h.T @ b)
    np.testing.assert_allclose(h.H @ b, h.T @ b)


def test_sizes_by_name_and_context():
    e = FACTORISATION.hessian("U")
    v = normal(6, 3)
    assert e.operator(V=v, m=5).shape == (15, 15)
    assert e.operator(V=v, T=normal(5, 6)).shape == (15, 15)
    with pytest.raises(InputError, match=r"size m.*T"):
        e.operator(V=v)


def test_messages():
    e = FACTORISATION.hessian("U")
    values = factorisation()
    with pytest.raises(InputError, match="rows="):
        tc.parse("x").operator(x=normal(3))
    with pytest.raises(InputError, match="rows is the number"):
        e.operator(values, rows=5)
    with pytest.raises(InputError, match="no value is given for V"):
        e.operator(U=values["U"])
    with pytest.raises(InputError, match="'Q' is not a variable"):
        e.operator(values, Q=normal(2))
    with pytest.raises(InputError, match="expected"):
        e.operator(values | dict(V=normal(6)))
    with pytest.raises(InputError, match="expected"):
        e.operator(values | dict(V=normal(5, 3)))
    h = e.operator(values)
    with pytest.raises(InputError, match=r"expected \(21,\) or \(7, 3\)"):
        h @ normal(20)
    with pytest.raises(InputError, match="do not fit"):
        h @ normal(20, 2)
    with pytest.raises(InputError, match="right-hand side"):
        h.solve(normal(20))
    g = FACTORISATION.hessian("U", "V").operator(values)
    for call in (g.solve, lambda b: g.diagonal()):
        with pytest.raises(InputError, match="square"):
            call(normal(21))
    values["V"][0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        e.operator(values).solve(normal(21))
    singular = dict(values, V=np.ones((6, 3)))
    with pytest.raises(InputError, match="singular"):
        e.operator(singular).solve(normal(21))

"""The generated source: types of arrays, broadcast patterns, index tensors of convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import reference

import tensorcalculus as tc
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import dim
from tensorcalculus.expr.node import Expr
from tensorcalculus.expr.operations import operation

RNG = np.random.default_rng(3)
VALUES = {
    "X": RNG.standard_normal((4, 3)),
    "S": RNG.standard_normal((4, 4)),
    "x": RNG.standard_normal(3),
    "y": RNG.standard_normal(4),
}
SIZES = {"m": 4, "n": 3}


def agree(f: Expr) -> None:
    values = {k: v for k, v in VALUES.items() if k in f.variables}
    free = {s: SIZES[s] for s in f._program().free_symbols}
    found, plain = f(**values, **free), reference.evaluate(f, values, SIZES)
    assert np.shape(found) == plain.shape
    np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "formula",
    [
        "(y*ones(n)').^2",
        "(ones(m)*x').^3+1",
        "sqrt(exp(y*ones(n)'))",
        "1./(exp(y*ones(n)')+ones(m)*exp(x'))",
        "(y*ones(n)')[:, 0]",
        "diag(y)+eye(m)+y*ones(m)'",
        "diag(diag(S))*2-eye(m)",
        "diag(y).^2",
        "tanh(diag(y))+1",
        "softmax(y*ones(n)')",
        "einsum('ij,jk,k->ijk', S, X, x)",
        "einsum('ii,ij->i', S, X)",
        "einsum('ij,ij,ij->', X, X, X)",
        "max(y*ones(n)', axis=1)",
        "kron(X, S)",
        "cumsum(ones(m)*x')",
    ],
)
def test_patterns(formula: str) -> None:
    f = tc.parse(formula.replace("'ij,jk,k->ijk'", '"ij,jk,k->ijk"')
                 .replace("'ii,ij->i'", '"ii,ij->i"').replace("'ij,ij,ij->'", '"ij,ij,ij->"'),
                 X="m n", S="m m", x="n", y="m")  # fmt: skip
    agree(f)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("formula", ["diag(y)+eye(m)", "S*diag(y)", "diag(y)+S", "diag(S[0])"])
def test_the_type_of_the_arrays_is_kept(formula: str, dtype: type) -> None:
    f = tc.parse(formula, S="m m", y="m")
    values = {k: VALUES[k].astype(dtype) for k in f.variables}
    if dtype is np.complex128:
        values = {k: v * (1 + 2j) for k, v in values.items()}
    found = f(**values)
    assert found.dtype == dtype
    plain = f(**{k: v.astype(np.complex128) for k, v in values.items()})
    np.testing.assert_allclose(found, plain, rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_single_precision_stays_single() -> None:
    A, x = np.eye(3, dtype=np.float32) + 1, np.ones(3, np.float32)
    chol = tc.parse("chol(A)", A="n n").jacobian("A")
    conv = tc.parse("conv(x,k)", x="n", k="m").jacobian("x")
    assert chol(A=A).dtype == conv(x=x, k=x[:2]).dtype == np.float32


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e-25, 1e-10, 1.0, 1e25])
def test_norms_of_single_precision_keep_their_range(size: float) -> None:
    f = tc.parse("norm2(x)", x="n")
    found = f(x=np.array([3, 4], np.float32) * np.float32(size))
    np.testing.assert_allclose(found, 5 * size, rtol=1e-6)


def shifts(*places: str) -> list:
    return [(operation("shift", params=(dim("m"), dim("n"))), legs) for legs in places]


@pytest.mark.parametrize(
    ("factors", "out", "places"),
    [
        ([("y", "i")], "oj", ["ioj"]),
        ([("y", "i"), ("x", "j")], "o", ["ioj"]),
        ([("x", "j")], "i", ["ioj"]),
        ([("x", "j")], "io", ["ioj"]),
        ([], "i", ["ioj"]),
        ([("x", "j"), ("x", "k")], "il", ["ioj", "lok"]),
        ([("x", "j"), ("x", "k")], "o", ["ioj", "ipk"]),
        ([("y", "i"), ("x", "j")], "p", ["ioj", "ipj"]),
        ([("y", "i"), ("x", "j")], "i", ["ioj", "ipj"]),
        ([("x", "j")], "ii", ["ioj"]),
        ([("y", "i"), ("y", "i")], "o", ["ioj"]),
    ],
)
def test_index_tensors_of_convolutions(factors: list, out: str, places: list[str]) -> None:
    x, y = tc.variables(x="n", y="m")
    named = [({"x": x, "y": y}[name], legs) for name, legs in factors]
    agree(contract([*named, *shifts(*places)], out))


def test_a_valid_convolution_may_be_empty() -> None:
    f = tc.parse("conv(x,k)", x="n+1", k="2")
    assert f(x=np.ones(1), k=np.ones(2)).shape == (0,)


def test_a_size_of_zero_is_not_divided_by() -> None:
    f = tc.parse("sin(1/sum(ones(n)))*x", x="n")
    with pytest.raises(tc.InputError, match="size that is 0"):
        f(x=np.zeros(0))


def test_results_share_no_memory() -> None:
    outputs = [tc.parse(text, A="n n") for text in ("exp(A)", "exp(A)'", "A", "A'")]
    values = np.ones((2, 2))
    results = tc.compile(outputs)(A=values)
    arrays = [*results, values]
    for k, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:k])


def test_variables_of_one_name_are_declared_alike() -> None:
    outputs = [tc.parse("tr(S)", S="n n sym"), tc.parse("sum(S)", S="n n")]
    with pytest.raises(tc.InputError, match="S is declared in two ways"):
        tc.compile(outputs)


@pytest.mark.parametrize("text", ["x/sqrt(n)", "x*sqrt(n)", "x*n^0.3", "x*2^0.5", "x*exp(-n)"])
def test_functions_of_sizes_have_no_type(text: str) -> None:
    f = tc.parse(text, x="n")
    single = f(x=np.ones(3, np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, f(x=np.ones(3)), rtol=1e-6)


@pytest.mark.parametrize("shape", [(300, 5), (5, 300), (40, 40), (3, 2)])
@pytest.mark.parametrize("formula", ["X'*X", "X*X'"])
def test_thin_matrix_times_itself(formula: str, shape: tuple[int, int]) -> None:
    """NumPy computes ``X'*X`` as a symmetric product, which is slower for thin matrices."""
    X = RNG.standard_normal(shape)
    run = tc.compile(tc.parse(formula))
    want = X.T @ X.copy() if formula == "X'*X" else X @ X.copy().T
    np.testing.assert_allclose(run(X=X), want, rtol=1e-12)
    copied = min(shape) == 5
    assert (".copy()" in run.source) == copied
    assert "copy" not in tc.compile(tc.parse(formula), backend="torch").source

"""Rules that open reshapes, jumps and commuting directions: what is printed, and every value.

Values are compared with NumPy at regular and at singular points, gradients with closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr, Operation, walk

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((2, 2)), RNG.standard_normal((2, 2))
X, Y = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
WIDE, TALL = RNG.standard_normal((2, 3)), RNG.standard_normal((3, 2))
RANK_ONE = np.outer([1.0, 2.0, 3.0], [1.0, 0.0, -1.0])
SINGULAR = [X, RANK_ONE, np.zeros((3, 3))]
KINKS = np.array([-1.5, -0.0, 0.0, 2.0])

SHAPES = {
    **{"A": "m m", "B": "m m", "X": "n n", "Y": "n n", "M": "m n", "N": "n m", "S": "n n sym"},
    **{"t": "", "c": "", "b": "n", "u": "n", "x": "n", "y": "m"},
}


def parsed(text: str) -> Any:
    return tc.parse(text, **{k: s for k, s in SHAPES.items() if k in text})


def vec(a: np.ndarray) -> np.ndarray:
    return a.reshape(-1, order="F")


def reshapes(e: Expr) -> list[Expr]:
    return [n for n in walk(e) if isinstance(n, Operation) and n.row.name == "reshape"]


# -- reshapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "function"),
    [
        ("tr(kron(X,X))", "tr(X)^2", lambda v: np.trace(np.kron(v["X"], v["X"]))),
        ("tr(kron(A,X))", "tr(A)*tr(X)", lambda v: np.trace(np.kron(v["A"], v["X"]))),
        ("tr(kron(c*A,X))", "c*tr(A)*tr(X)", lambda v: v["c"] * np.trace(np.kron(v["A"], v["X"]))),
        (
            "tr(kron(A,X)*kron(B,Y))",
            "tr(A*B)*tr(X*Y)",
            lambda v: np.trace(np.kron(v["A"], v["X"]) @ np.kron(v["B"], v["Y"])),
        ),
        # The slope of det(X)^m at a singular X is known for numbers m only.
        ("det(kron(A,X))", "det(kron(A,X))", lambda v: np.linalg.det(np.kron(v["A"], v["X"]))),
        ("det(kron(eye(2),X))", "det(X)^2", lambda v: np.linalg.det(v["X"]) ** 2),
        ("sum(kron(A,X))", "sum(A)*sum(X)", lambda v: np.kron(v["A"], v["X"]).sum()),
        ("sum(kron(x,y))", "sum(x)*sum(y)", lambda v: np.kron(v["x"], v["y"]).sum()),
        (
            "norm2(kron(A,X))^2",
            "norm2(A)^2*norm2(X)^2",
            lambda v: np.linalg.norm(np.kron(v["A"], v["X"])) ** 2,
        ),
        (
            "norm2(kron(M,X))",
            "norm2(M)*norm2(X)",
            lambda v: np.linalg.norm(np.kron(v["M"], v["X"])),
        ),
        ("norm2(x*y')", "norm2(x)*norm2(y)", lambda v: np.linalg.norm(np.outer(v["x"], v["y"]))),
        (
            "norm1(kron(A,X))",
            "sum(abs(A))*sum(abs(X))",
            lambda v: np.abs(np.kron(v["A"], v["X"])).sum(),
        ),
        ("vec(X)'*vec(X)", "norm2(X)^2", lambda v: vec(v["X"]) @ vec(v["X"])),
        ("vec(X)'*vec(Y)", "tr(X'*Y)", lambda v: vec(v["X"]) @ vec(v["Y"])),
        (
            "vec(X)'*kron(Y,X)*vec(X)",
            "tr(X'^2*X*Y)",
            lambda v: vec(v["X"]) @ np.kron(v["Y"], v["X"]) @ vec(v["X"]),
        ),
        ("sum(exp(vec(M)))", "sum(exp(M))", lambda v: np.exp(v["M"]).sum()),
        ("norm2(2*vec(M)+1)^2", "norm2(1+2*M')^2", lambda v: ((2 * v["M"] + 1) ** 2).sum()),
        ("sum(reshape(x,1,n))", "sum(x)", lambda v: v["x"].sum()),
        ("reshape(3*vec(M),n,m)", "3*M'", lambda v: 3 * v["M"].T),
        ("reshape(sin(vec(M)),n,m)", "sin(M)'", lambda v: np.sin(v["M"]).T),
        # What does not fit stays: the sizes of the blocks differ.
        ("tr(kron(M,N))", "tr(kron(M,N))", lambda v: np.trace(np.kron(v["M"], v["N"]))),
    ],
)
def test_reshapes_open(text: str, expected: str, function: Callable) -> None:
    f = parsed(text)
    simple = f.simplify()
    assert str(simple) == expected
    for singular in SINGULAR:
        values = {
            **{"A": A, "B": B, "X": singular, "Y": Y, "M": WIDE, "N": TALL, "c": 0.7},
            **{"x": X[0], "y": A[0]},
        }
        known = {k: v for k, v in values.items() if k in f.variables}
        assert_allclose(simple(**known), function(values), rtol=1e-10, atol=1e-12)
        for name in known:
            assert np.all(np.isfinite(f.jacobian(name)(**known)))
    f.check(order=2)


@pytest.mark.parametrize(
    ("text", "wrt", "expected"),
    [
        ("tr(kron(X,X))", "X", "2*tr(X)*eye(n)"),
        ("norm2(kron(A,X))^2", "X", "2*norm2(A)^2*X"),
        ("norm2(kron(A,X))", "X", "norm2(A)*X/norm2(X)"),
        ("vec(X)'*vec(X)", "X", "2*X"),
        ("sum(exp(vec(X)))", "X", "exp(X)"),
        ("vec(X)'*kron(A,B)*vec(X)", "X", "B*X*A'+B'*X*A"),
    ],
)
def test_derivatives_have_no_reshape(text: str, wrt: str, expected: str) -> None:
    f = tc.parse(text, X="m m" if "B)" in text else "n n", A="m m", B="m m")
    g = f.gradient(wrt)
    assert str(g) == expected
    assert not reshapes(g)


def test_log_determinant_of_kron() -> None:
    f = parsed("logdet(kron(A,-2*X))")
    assert "kron" not in str(f.simplify())
    assert_allclose(f.simplify()(A=A, X=X), np.linalg.slogdet(np.kron(A, -2 * X))[1])
    assert_allclose(f.gradient("X")(A=A, X=X), 2 * np.linalg.inv(X).T, rtol=1e-9)


def test_a_deep_chain_over_a_reshape_is_opened() -> None:
    e = tc.parse("vec(X)", X="m n")
    for _ in range(2000):
        e = np.sin(e) + 1
    assert not reshapes(e.sum().simplify())


# -- determinants --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("det(c*eye(n))*x", "c^n*x"),
        ("logdet(c*eye(n))+sum(x)", "n*log(abs(c))+sum(x)"),
        ("det(-2*X)", "(-2)^n*det(X)"),
        ("logdet(-2*X)", "logdet(X)+n*log(2)"),
        ("logdet(c*X*Y)", "logdet(X)+logdet(Y)+n*log(abs(c))"),
        ("logdet(diag(x))", "sum(log(abs(x)))"),
        ("det(diag(x))", "prod(x)"),
        ("logdet(eye(n))+sum(x)", "sum(x)"),
        ("det(expm(X))", "exp(tr(X))"),
        ("det(chol(X*X'+eye(n)))", "sqrt(det(X*X'+eye(n)))"),
    ],
)
def test_determinants(text: str, expected: str) -> None:
    assert str(parsed(text).simplify()) == expected
    parsed(text).check()


# -- jumps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "function", "slope"),
    [
        ("step(x).^2", "step(x)", lambda x: (x > 0) * 1.0, lambda x: 0 * x),
        ("sqrt(step(x))", "step(x)", lambda x: (x > 0) * 1.0, lambda x: 0 * x),
        ("sign(x).^2", "sign(x).^2", lambda x: np.sign(x) ** 2, lambda x: 0 * x),
        ("sign(x).^3", "sign(x)", np.sign, lambda x: 0 * x),
        ("sign(x).^6", "sign(x).^2", lambda x: np.sign(x) ** 2, lambda x: 0 * x),
        ("relu(x).*step(x)", "relu(x)", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
        (
            "relu(x).^2.*step(x)",
            "relu(x).^2",
            lambda x: np.maximum(x, 0) ** 2,
            lambda x: 2 * np.maximum(x, 0),
        ),
        ("x.*step(x)", "relu(x)", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
        (
            "x.^3.*step(x)",
            "relu(x).^3",
            lambda x: np.maximum(x, 0) ** 3,
            lambda x: 3 * np.maximum(x, 0) ** 2,
        ),
        ("x.*sign(x)", "abs(x)", np.abs, np.sign),
        ("x.^2.*sign(x)", "x.*abs(x)", lambda x: x * np.abs(x), lambda x: 2 * np.abs(x)),
        ("x.^3.*sign(x)", "abs(x).^3", lambda x: np.abs(x) ** 3, lambda x: 3 * x * np.abs(x)),
        ("relu(x).*sign(x)", "relu(x)", lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
        ("step(x).*sign(x)", "step(x)", lambda x: (x > 0) * 1.0, lambda x: 0 * x),
        ("step(x)./x", "step(x)./x", None, None),
    ],
)
def test_jumps(text: str, expected: str, function: Any, slope: Any) -> None:
    f = parsed(text)
    assert str(f.simplify()) == expected
    if function is not None:
        assert_allclose(f.simplify()(x=KINKS), function(KINKS), atol=0)
        assert_allclose(f.sum().gradient("x")(x=KINKS), slope(KINKS), atol=0)


def test_gradients_of_hinges_have_no_step() -> None:
    assert str(parsed("sum(relu(x).^2)").gradient("x")) == "2*relu(x)"
    assert str(parsed("sum(abs(x).^3)").gradient("x")) == "3*x.*abs(x)"


# -- roots of constants --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "value"),
    [
        ("sqrt(2)*sqrt(pi)*x", "sqrt(2*pi)*x", np.sqrt(2 * np.pi)),
        ("x/(sqrt(2)*sqrt(pi))", "x/sqrt(2*pi)", 1 / np.sqrt(2 * np.pi)),
        ("sqrt(2)*sqrt(3)*x", "sqrt(6)*x", np.sqrt(6)),
        ("sqrt(2)*sqrt(8)*x", "4*x", 4.0),
        ("sqrt(2)*pi^(1/3)*x", "sqrt(2)*pi^(1/3)*x", np.sqrt(2) * np.pi ** (1 / 3)),
    ],
)
def test_roots_of_constants(text: str, expected: str, value: float) -> None:
    f = parsed(text).simplify()
    assert str(f) == expected
    assert_allclose(f(x=KINKS), value * KINKS, rtol=1e-14)


def test_powers_of_scalar_multiples_spread() -> None:
    f = tc.parse("exp(-(x/sqrt(2)).^2)", x="n").simplify()
    assert str(f) == "exp(-x.^2/2)"
    g = tc.parse("sqrt(c*x.*exp(x))", x="n", c="").simplify()
    values = {"x": np.array([-1.0, -2.0]), "c": -0.5}
    expected = np.sqrt(0.5 * np.abs(values["x"]) * np.exp(values["x"]))
    assert_allclose(g(**values), expected, rtol=1e-14)


# -- commuting directions ------------------------------------------------------------------------

STABLE = -X @ X.T - np.eye(3)
NILPOTENT = np.triu(np.ones((3, 3)), 1)


@pytest.mark.parametrize(
    ("text", "expected", "function"),
    [
        ("expm(t*X)*b", "X*expm(t*X)*b", lambda x, t: x @ scipy.linalg.expm(t * x)),
        ("expm(-t*X)*b", "-X*expm(-t*X)*b", lambda x, t: -x @ scipy.linalg.expm(-t * x)),
        ("expm(t*X')*b", "expm(t*X)'*X'*b", lambda x, t: x.T @ scipy.linalg.expm(t * x.T)),
        ("expm(t*eye(n))*b", "exp(t)*b", lambda x, t: np.exp(t) * np.eye(3)),
    ],
)
@pytest.mark.parametrize("t", [0.0, 0.6])
@pytest.mark.parametrize("x", [X, STABLE, NILPOTENT, RANK_ONE, np.zeros((3, 3))])
def test_solutions_of_linear_equations(
    text: str, expected: str, function: Callable, t: float, x: np.ndarray
) -> None:
    f = parsed(text)
    g = f.jacobian("t")
    assert str(g) == expected
    values = {k: v for k, v in {"X": x, "b": Y[0]}.items() if k in f.variables}
    assert_allclose(g(t=t, **values), function(x, t) @ Y[0], rtol=1e-11, atol=1e-12)


def test_commuting_directions_in_scalars() -> None:
    f = parsed("u'*expm(t^2*X)*b")
    g = f.jacobian("t")
    assert "frechet" not in str(g)
    u, b, t = Y[1], Y[0], 0.6
    expected = 2 * t * u @ X @ scipy.linalg.expm(t**2 * X) @ b
    assert_allclose(g(X=X, b=b, u=u, t=t), expected, rtol=1e-11)
    f.check("t", order=2)


@pytest.mark.parametrize("name", ["logm", "sqrtm", "expm"])
def test_matrix_functions_of_a_multiple(name: str) -> None:
    positive = X @ X.T + np.eye(3)
    f = tc.parse(f"{name}(t*X)", X="n n", t="")
    assert "frechet" not in str(f.jacobian("t"))
    f.check("t", values={"X": positive, "t": np.asarray(0.7)})
    g = tc.parse(f"tr(Y*{name}(t*X))", X="n n", Y="n n", t="")
    assert "frechet" not in str(g.jacobian("t"))
    g.check("t", order=2, values={"X": positive, "Y": Y, "t": np.asarray(0.7)})


def test_other_directions_stay() -> None:
    assert "frechet_expm" in str(tc.parse("expm(t*X+Y)", X="n n", Y="n n", t="").jacobian("t"))

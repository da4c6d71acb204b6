"""The methods on small problems: one answer, bounds kept, structure kept, the same by seed."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.optimize.driver import METHODS
from tensorcalculus.optimize.record import Minimum

RNG = np.random.default_rng(5)
X = RNG.standard_normal((40, 4))
Y = X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.1 * RNG.standard_normal(40)
RIDGE = tc.parse("norm2(X*w-y)^2/2+c*norm2(w)^2/2", X="m n", y="m", w="n", c="")
SOLUTION = np.linalg.solve(X.T @ X + 0.3 * np.eye(4), X.T @ Y)
DATA = {"X": X, "y": Y, "c": 0.3}
ROSENBROCK = tc.parse("(1-a)^2+100*(b-a^2)^2", a="", b="")


@pytest.mark.parametrize("method", [None, *METHODS])
def test_each_method_finds_the_same_minimum(method: str | None):
    # L-BFGS compares values, whose rounding errors end it at a gradient of some 1e-10 of its scale.
    result = tc.minimize(RIDGE, over="w", data=DATA, method=method, tol=1e-9)
    assert result.converged, result.message
    assert result.method == (method or "newton")
    np.testing.assert_allclose(result["w"], SOLUTION, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_keeps_bounds(method: str):
    from scipy.optimize import lsq_linear

    low, high = np.array([-1.0, -1.0, -1.0, 0.1]), 0.4
    stacked = np.vstack([X, np.sqrt(0.3) * np.eye(4)])
    expected = lsq_linear(stacked, np.append(Y, np.zeros(4)), (low, np.full(4, high)), tol=1e-14)
    seen = []
    result = tc.minimize(
        RIDGE, "w", DATA, method=method, bounds={"w": (low, high)}, tol=1e-9,
        callback=lambda values, entry: seen.append(values["w"]),
    )  # fmt: skip
    assert result.converged, result.message
    np.testing.assert_allclose(result["w"], expected.x, rtol=0, atol=1e-7)
    assert all((w >= low).all() and (w <= high).all() for w in seen)
    assert (result["w"] == low).any()
    assert (result["w"] == high).any()


@pytest.mark.parametrize("method", ["newton", "newton-cg", "gauss-newton", "lbfgs"])
def test_rosenbrock(method: str):
    start = {"a": -1.2, "b": 1.0}
    result = tc.minimize(ROSENBROCK, ["a", "b"], start=start, method=method, tol=1e-11)
    assert result.converged, result.message
    assert result["a"] == pytest.approx(1, abs=1e-6)
    assert result["a"].shape == ()


def test_an_indefinite_hessian_is_shifted():
    # The origin is a saddle point of the double well; Newton's method alone would stay near it.
    f = tc.parse("sum((x.^2-1).^2)+(x'*x)/10", x="n")
    result = tc.minimize(f, "x", start={"x": np.array([1e-3, -1e-2, 2e-3])}, method="newton")
    assert result.converged
    np.testing.assert_allclose(np.abs(result["x"]), np.sqrt(0.95), rtol=1e-8)


@pytest.mark.parametrize("method", ["newton", "newton-cg", "lbfgs"])
def test_triangular_variables_stay_triangular(method: str):
    S = X.T @ X / 40
    f = tc.parse("tr(S*L*L')-logdet(L*L')", S="n n sym", L="n n tri")
    result = tc.minimize(f, "L", {"S": S}, {"L": np.eye(4)}, method=method, tol=1e-9)
    L = result["L"]
    assert result.converged, result.message
    assert (np.triu(L, 1) == 0).all()
    np.testing.assert_allclose(L @ L.T @ S, np.eye(4), atol=1e-6)


@pytest.mark.parametrize(("word", "part"), [("sym", lambda A: (A + A.T) / 2),
                                            ("diag", lambda A: np.diag(np.diag(A)))])  # fmt: skip
@pytest.mark.parametrize("method", ["newton", "newton-cg", "lbfgs", "gauss-newton"])
def test_the_nearest_matrix_of_a_kind(word: str, part, method: str):
    A = RNG.standard_normal((5, 5))
    f = tc.parse("norm2(A-P)^2", A="n n", P=f"n n {word}")
    result = tc.minimize(f, "P", {"A": A}, method=method, tol=1e-12)
    np.testing.assert_allclose(result["P"], part(A), rtol=0, atol=1e-9)
    assert (result["P"] == result["P"].T).all()


def test_packing_keeps_inner_products():
    from tensorcalculus.optimize.packing import Packing

    variables = list(tc.variables(S="n n n sym", D="n n diag", L="n n tri", x="n"))
    shapes = {"S": (3, 3, 3), "D": (3, 3), "L": (3, 3), "x": (3,)}
    packing = Packing(variables, shapes)
    assert packing.size == 10 + 3 + 6 + 3
    u, v = RNG.standard_normal((2, packing.size))
    a, b = packing.unpack(u), packing.unpack(v)
    assert sum(np.sum(p * q) for p, q in zip(a, b, strict=True)) == pytest.approx(u @ v)
    np.testing.assert_allclose(packing.pack(a), u)
    assert (a[0] == a[0].transpose(2, 0, 1)).all()


def test_nonneg_is_a_bound():
    f = tc.parse("norm2(X*w-y)^2", X="m n", y="m", w="n nonneg")
    from scipy.optimize import nnls

    for method in (None, "newton-cg", "lbfgs", "gauss-newton"):
        result = tc.minimize(f, "w", {"X": X, "y": Y}, method=method, tol=1e-10)
        np.testing.assert_allclose(result["w"], nnls(X, Y)[0], atol=1e-8)


def test_weights_and_quadratic_forms_are_sums_of_squares():
    Q = np.cov(RNG.standard_normal((40, 80)))
    f = tc.parse("(y-X*w)'*solve(Q,y-X*w)/2+sum(a.*(w-1).^2)", X="m n", y="m", w="n",
                 Q="m m spd", a="n")  # fmt: skip
    a = np.array([0.1, 0.2, 0.3, 0.4])
    result = tc.minimize(f, "w", {"X": X, "y": Y, "Q": Q, "a": a}, method="gauss-newton", tol=1e-11)
    inner = X.T @ np.linalg.solve(Q, X) + 2 * np.diag(a)
    expected = np.linalg.solve(inner, X.T @ np.linalg.solve(Q, Y) + 2 * a)
    np.testing.assert_allclose(result["w"], expected, atol=1e-8)


def test_large_gauss_newton_uses_products():
    x = np.linspace(0, 1, 400)
    f = tc.parse("norm2(exp(u)-y)^2+c*norm2(u)^2", u="n", y="n", c="")
    result = tc.minimize(f, "u", {"y": 1 + x, "c": 1e-6}, method="gauss-newton")
    assert result.converged
    np.testing.assert_allclose(result["u"], np.log(1 + x), atol=1e-5)


def test_a_search_backs_off_from_where_there_is_no_value():
    f = tc.parse("x-3*log(x-1)", x="")
    for method in ("newton", "newton-cg", "lbfgs", "adam"):
        result = tc.minimize(f, "x", start={"x": 1.01}, method=method)
        assert result["x"] == pytest.approx(4, abs=1e-5), method


def test_the_same_seed_gives_the_same_result():
    f = tc.parse("norm2(T-U*V')^2", T="m n")
    data = {"T": X, "k": 2}
    for method in ("lbfgs", "newton-cg", "newton"):
        one, two = (tc.minimize(f, ["U", "V"], data, method=method, seed=3) for _ in range(2))
        assert one.value == two.value
        assert (one["U"] == two["U"]).all()
        assert one["U"].shape == (40, 2)
    other = tc.minimize(f, ["U", "V"], data, method="lbfgs", seed=4)
    assert (other["U"] != one["U"]).any()
    s = np.linalg.svd(X, compute_uv=False)
    assert other.value == pytest.approx((s[2:] ** 2).sum(), rel=1e-8)


def test_gradient_and_products_agree_with_differences():
    from tensorcalculus.optimize.driver import read_arrays
    from tensorcalculus.optimize.packing import Packing
    from tensorcalculus.optimize.problem import Problem

    f = tc.parse("sum(exp(A*P*B))+norm2(P*x)^2", A="m n", B="n m", P="n n sym", x="n")
    P, x = (f.variables[name] for name in "Px")
    given = {"A": 0.3 * RNG.standard_normal((3, 4)), "B": 0.3 * RNG.standard_normal((4, 3))}
    arrays, _, sizes = read_arrays(f, [P, x], given, {})
    packing = Packing([P, x], {"P": (4, 4), "x": (4,)})
    problem = Problem(f, [P, x], arrays, sizes, packing, None, None)
    z, v = RNG.standard_normal((2, packing.size))
    step = 1e-5
    up, down = problem.value_gradient(z + step * v), problem.value_gradient(z - step * v)
    slope, product = (up[0] - down[0]) / (2 * step), (up[1] - down[1]) / (2 * step)
    assert problem.value_gradient(z)[1] @ v == pytest.approx(slope, rel=1e-6)
    np.testing.assert_allclose(problem.product(z)(v), product, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(problem.hessian(z) @ v, product, rtol=1e-5, atol=1e-6)


LOGISTIC = tc.parse("sum(log(1+exp(-y.*(X*w))))+c*norm2(w)^2", X="m n", w="n", y="m", c="")


def _products(monkeypatch: pytest.MonkeyPatch, scales: np.ndarray) -> tuple[int, Minimum]:
    """Hessian products of a logistic regression with columns of these scales."""
    from tensorcalculus.optimize.problem import Problem

    rng = np.random.default_rng(0)
    design = rng.standard_normal((200, len(scales)))
    y = np.sign(design @ rng.standard_normal(len(scales)) + rng.standard_normal(200))
    data, count = {"X": design * scales, "y": y, "c": 1e-3}, 0
    whole = Problem.product

    def counted(self, x):
        product = whole(self, x)

        def one(v):
            nonlocal count
            count += 1
            return product(v)

        return one

    with monkeypatch.context() as patch:
        patch.setattr(Problem, "product", counted)
        start = {"w": np.zeros(len(scales))}
        result = tc.minimize(LOGISTIC, "w", data, start, method="newton-cg")
    return count, result


def test_the_diagonal_preconditions_badly_scaled_variables(monkeypatch: pytest.MonkeyPatch):
    from tensorcalculus.optimize import newton

    scales = np.logspace(0, 3, 30)
    count, result = _products(monkeypatch, scales)
    monkeypatch.setattr(newton, "MANY", 10**9)
    plain, same = _products(monkeypatch, scales)
    assert result.converged
    assert result.value == pytest.approx(same.value, rel=1e-7)
    assert count < plain / 2


def test_well_scaled_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    from tensorcalculus.optimize import newton

    count, result = _products(monkeypatch, np.ones(30))
    monkeypatch.setattr(newton, "MANY", 0)
    asked, same = _products(monkeypatch, np.ones(30))
    assert result.converged
    assert (count, result.value) == (asked, same.value)


@pytest.mark.parametrize(
    ("text", "over", "known"),
    [
        ("sum(exp(A*P*B))+norm2(P*x)^2", "Px", True),
        ("norm2(A-outer(x,y))^2", "xy", True),
        ("sum(A)*c+sum(x)", "x", True),
        ("norm2(P*x)^2", "S", False),
    ],
)
def test_diagonals_of_hessians(text: str, over: str, known: bool):
    from tensorcalculus.optimize.packing import Packing
    from tensorcalculus.optimize.problem import Problem

    f = tc.parse(text.replace("P", "S") if over == "S" else text,
                 A="m n", B="n m", P="n n", S="n n sym", x="n" if "P" in text else "m",
                 y="n", c="")  # fmt: skip
    sizes, rng = {"m": 3, "n": 4}, np.random.default_rng(2)
    shapes = {n: tuple(sizes[str(d)] for d in v.shape) for n, v in f.variables.items()}
    data = {n: 0.3 * rng.standard_normal(s) for n, s in shapes.items() if n not in over}
    variables = [f.variables[n] for n in over]
    packing = Packing(variables, shapes)
    problem = Problem(f, variables, data, sizes, packing, None, None)
    assert problem.compile_diagonal() == known
    if known:
        z = rng.standard_normal(packing.size)
        np.testing.assert_allclose(problem.diagonal(z), np.diag(problem.hessian(z)), atol=1e-12)

"""Orders of contractions, shared pairs, sums multiplied out, symmetric products, and their cost."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.compiler.kernels import row_dot, symmetric_product
from tensorcalculus.compiler.program import Program

RNG = np.random.default_rng(0)


def flops(outputs: list, **sizes: int) -> float:
    return Program(outputs).cost(sizes).flops


def test_a_chain_is_joined_from_its_short_end() -> None:
    f = tc.parse("A*(B*x)", A="n n", B="n n", x="n")
    assert flops([f], n=1000) < 5e6  # the product A*B alone would take 2e9
    assert flops([tc.parse("tr(A*B)", A="n n", B="n n")], n=1000) < 3e6


def test_gradients_of_a_cp_model_share_a_large_product() -> None:
    f = tc.parse("norm2(T-cp(A,B,C))^2", T="i j k", A="i r", B="j r", C="k r")
    sizes = {"i": 100, "j": 100, "k": 100, "r": 32}
    alone = flops([f.gradient("A")], **sizes)
    together = flops([f.gradient(v) for v in "ABC"], **sizes)
    assert alone >= 2 * 100**3 * 32
    assert together < 2.2 * alone  # two products with T, not three, and no model tensor


def test_gradients_by_all_weights_cost_three_times_the_value() -> None:
    shapes = {"X": "b n", "Y": "b n"} | {f"W{k}": "n n" for k in range(1, 7)}
    symbols = dict(zip(shapes, tc.variables(shapes), strict=True))
    h = symbols["X"]
    for k in range(1, 7):
        h = np.tanh(h @ symbols[f"W{k}"])
    f = ((h - symbols["Y"]) ** 2).sum()
    value = flops([f], b=64, n=64)
    assert flops([f, *(f.gradient(f"W{k}") for k in range(1, 7))], b=64, n=64) < 3.2 * value


def test_a_residual_that_is_only_contracted_is_not_made() -> None:
    f = tc.parse("norm2(T-U*V')^2", T="n n", U="n k", V="n k")
    assert flops([f.gradient("U")], n=300, k=5) < 0.7 * flops([f, f.gradient("U")], n=300, k=5)
    # Near a fit the expanded form is as exact as the factored one.
    u, v = RNG.standard_normal((2, 300, 5))
    noise = 1e-7 * RNG.standard_normal((300, 300))
    found = tc.compile(f.gradient("U"))(T=u @ v.T + noise, U=u, V=v)
    np.testing.assert_allclose(found, -2 * noise @ v, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("formula", ["X'*diag(v)*X", "X'*diag(v.^2)*X", "2*X'*X", "X*diag(w)*X'"])
def test_large_symmetric_products(formula: str, dtype: type) -> None:
    f = tc.parse(formula, X="m n", v="m", w="n")
    values = {"X": RNG.standard_normal((290, 270)), "v": RNG.standard_normal(290)}
    values["w"] = RNG.standard_normal(270)
    values = {k: a.astype(dtype) for k, a in values.items()}
    if dtype is np.complex128:
        values = {k: a * (1 + 0.5j) for k, a in values.items()}
    x, v, w = values["X"], values["v"], values["w"]
    right = {
        "X'*diag(v)*X": (x.T * v) @ x,
        "X'*diag(v.^2)*X": (x.T * v**2) @ x,
        "2*X'*X": 2 * x.T @ x,
        "X*diag(w)*X'": (x * w) @ x.T,
    }[formula]
    found = f(**{k: values[k] for k in f.variables})
    assert found.dtype == dtype
    precision = 1e-4 if dtype is np.float32 else 1e-11
    np.testing.assert_allclose(found, right, atol=precision * abs(right).max())


def test_a_symmetric_product_of_four_axes() -> None:
    f = tc.parse('einsum("mi,ma,m,mj,mb->iajb",X,S,v,X,S)', X="m n", S="m k", v="m")
    sizes = {"m": 40, "n": 90, "k": 3}
    assert "symmetric_product" in Program([f]).source(sizes)
    x, s, v = RNG.standard_normal((40, 90)), RNG.standard_normal((40, 3)), RNG.standard_normal(40)
    right = np.einsum("mi,ma,m,mj,mb->iajb", x, s, v, x, s, optimize=True)
    np.testing.assert_allclose(f(X=x, S=s, v=v), right, atol=1e-12)


@pytest.mark.parametrize("n", [1, 100, 300])
def test_symmetric_product_kernel(n: int) -> None:
    a, w = RNG.standard_normal((n, 7)), RNG.standard_normal(7)
    np.testing.assert_allclose(symmetric_product(a * w, a.T), (a * w) @ a.T, atol=1e-13)


def test_row_dot_does_not_conjugate() -> None:
    a, b = RNG.standard_normal((2, 3, 4)) + 1j * RNG.standard_normal((2, 3, 4))
    np.testing.assert_allclose(row_dot(a, b), (a * b).sum(-1))


def test_cost_of_a_product() -> None:
    cost = Program([tc.parse("A*B", A="m k", B="k n")]).cost({"m": 10, "k": 20, "n": 30})
    assert cost.flops == 2 * 10 * 20 * 30
    assert cost.bytes == 8 * (10 * 20 + 20 * 30 + 10 * 30)
    assert cost.peak_bytes == 8 * 10 * 30
    assert len(cost.contractions) == 1 and "12 kflop" in str(cost)


def test_hundreds_of_factors_are_ordered() -> None:
    names = {f"M{k}": "n n" for k in range(60)} | {"x": "n"}
    symbols = tc.variables(names)
    product = symbols[-1]
    for m in reversed(symbols[:-1]):
        product = m @ product
    assert flops([product], n=100) < 60 * 3e4


def test_differences_of_data_are_not_multiplied_out() -> None:
    f = tc.parse("(X-ones(m)*mean(X,axis=0)')'*(Y*A)", X="m n", Y="m k", A="k l")
    values = {"X": RNG.standard_normal((400, 300)), "Y": RNG.standard_normal((400, 3))}
    values |= {"A": RNG.standard_normal((3, 2))}
    right = (values["X"] - values["X"].mean(0)).T @ (values["Y"] @ values["A"])
    values["X"] = values["X"] + 1e8  # what is left of X has eight digits, and keeps them
    found = tc.compile(f)(**values)
    np.testing.assert_allclose(found, right, atol=1e-5)


def test_weights_are_not_rooted_for_hosts_that_differentiate() -> None:
    pytest.importorskip("torch")
    f = tc.parse("X'*diag(v.^2)*X", X="m n", v="m")
    run = tc.compile(f, backend="torch")
    sizes = {"m": 300, "n": 300}
    assert "sqrt" not in run._program.source(sizes)
    assert "sqrt" in Program([f]).source(sizes)


def test_products_of_two_sides_are_not_taken_where_a_vector_is_in_between() -> None:
    f = tc.parse("inv(K)*y*y'*inv(K)", K="n n spd", y="n")
    assert flops([f], n=400) < 400**3  # a factor, a solve, an outer product


def test_sums_of_differences_take_the_shorter_way() -> None:
    n, k = 500, 3
    f = tc.parse("sum(T-U*V')", T="n n", U="n k", V="n k")
    assert flops([f], n=n, k=k) < 2 * n * n
    values = {"T": RNG.standard_normal((n, n))}
    values |= {name: RNG.standard_normal((n, k)) for name in "UV"}
    right = (values["T"] - values["U"] @ values["V"].T).sum()
    np.testing.assert_allclose(f(**values), right, rtol=1e-9)


@pytest.mark.parametrize("text", ["outer(x,y)", "outer(y,x,x)", "outer(x,y,x)"])
def test_broadcast_products_of_any_length(text: str) -> None:
    f = tc.parse(text, x="n", y="m")
    pattern = {"outer(x,y)": "i,j->ij", "outer(y,x,x)": "j,i,k->jik", "outer(x,y,x)": "i,j,k->ijk"}
    for n, m in ((4, 3), (90, 80), (3, 4000)):
        x, y = RNG.standard_normal(n), RNG.standard_normal(m)
        given = [x if name == "x" else y for name in text[6:-1].split(",")]
        right = np.einsum(pattern[text], *given)
        np.testing.assert_allclose(tc.compile(f)(x=x, y=y), right, rtol=1e-15)


def test_a_hessian_product_of_a_deep_network_costs_four_values() -> None:
    layers = 8
    shapes = {"X": "b n", "Y": "b n"} | {f"W{k}": "n n" for k in range(layers)}
    symbols = dict(zip(shapes, tc.variables(shapes), strict=True))
    h = symbols["X"]
    for k in range(layers):
        h = np.tanh(h @ symbols[f"W{k}"])
    f = ((h - symbols["Y"]) ** 2).sum()
    sizes = {"b": 32, "n": 64}
    # Back-propagation with tangents; as a sum over the layers it would grow with their square.
    assert flops([f.hvp("W0", "D")], **sizes) < 4.2 * flops([f], **sizes)


def test_factors_at_the_ends_of_the_terms_of_a_sum_are_taken_out() -> None:
    f = tc.parse("A*(B*x+C*(D*x))+A*(E*x)", **dict.fromkeys("ABCDE", "n n"), x="n")
    spread = tc.parse("A*B*x+A*C*(D*x)+A*(E*x)", **dict.fromkeys("ABCDE", "n n"), x="n")
    values = {n: RNG.standard_normal((5, 5)) for n in "ABCDE"} | {"x": RNG.standard_normal(5)}
    for way in (f, spread):
        assert flops([way], n=100) <= 5 * 2 * 100**2 + 300
        np.testing.assert_allclose(way(**values), f(**values))

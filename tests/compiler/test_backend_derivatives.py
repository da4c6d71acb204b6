"""What PyTorch and JAX make of compiled functions: derivatives, batches, compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends import Backend, Jax, close

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr

RNG = np.random.default_rng(5)
LOSS = tc.parse("sum(log(1+exp(-y.*(X*w))))+logdet(X'*X+eye(n))", X="m n", y="m", w="n")
DATA = {
    "X": RNG.standard_normal((7, 3)),
    "y": np.sign(RNG.standard_normal(7)),
    "w": RNG.standard_normal(3),
}
ON_WAY: list[tuple[Expr, dict[str, Any], str]] = [
    (LOSS, DATA, "w"),
    (LOSS, DATA, "X"),
    (
        tc.parse("norm2(T-cp(A,B,C))^2+logdet(A'*A+eye(r))", T="i j k", A="i r", B="j r", C="k r"),
        {n: RNG.standard_normal(s) for n, s in
         {"T": (3, 2, 4), "A": (3, 2), "B": (2, 2), "C": (4, 2)}.items()},
        "A",
    ),
    (
        tc.parse("sum(expm(X))+tr(X*inv(X+3*eye(n)))+sum(svdvals(X))", X="n n"),
        {"X": 0.3 * RNG.standard_normal((3, 3)) + np.eye(3)},
        "X",
    ),
    (
        tc.parse("tr(inv(S)^2)+logdet(S)+norm2(S)", S="n n spd"),
        {"S": np.diag([1.0, 2.0, 2.0]) + 0.1},
        "S",
    ),
]  # fmt: skip
WAYS = pytest.mark.parametrize(
    ("f", "values", "name"), ON_WAY, ids=["logistic-w", "logistic-X", "cp", "matrix", "spd"]
)


def one_argument(
    run: Callable[..., Any], backend: Backend, values: dict[str, Any], name: str
) -> tuple[Callable[[Any], Any], Any]:
    fixed = {n: backend.array(v) for n, v in values.items() if n != name}
    return (lambda x: run(**fixed, **{name: x})), backend.array(values[name])


@WAYS
def test_host_derivatives_are_ours(
    backend: Backend, f: Expr, values: dict[str, Any], name: str
) -> None:
    run = tc.compile(f, backend=backend.name)
    g, x = one_argument(run, backend, values, name)
    gradient, hessian = f.gradient(name)(**values), f.hessian(name)(**values)
    if isinstance(backend, Jax):
        jax = backend.jax
        close(jax.jit(jax.grad(g))(x), gradient)
        close(jax.jit(jax.hessian(g))(x), hessian, 1e-11)
        close(jax.jit(jax.jacrev(jax.grad(g)))(x), hessian, 1e-11)
    else:
        func = backend.torch.func
        close(func.grad(g)(x), gradient)
        close(func.hessian(g)(x), hessian, 1e-11)
        close(func.jacrev(func.jacrev(g))(x), hessian, 1e-11)
        close(backend.torch.autograd.functional.hessian(g, x), hessian, 1e-11)


@WAYS
def test_batches(backend: Backend, f: Expr, values: dict[str, Any], name: str) -> None:
    run = tc.compile([f, f.gradient(name)], backend=backend.name)
    stack = np.stack([values[name], 1.1 * values[name], 0.9 * values[name]])
    expected = tc.compile([f, f.gradient(name)]).batched(name)(**{**values, name: stack})
    close(run.batched(name)(**{**values, name: stack}), expected, 1e-11)
    g, _ = one_argument(tc.compile(f, backend=backend.name), backend, values, name)
    close(backend.vmap(backend.grad(g))(backend.array(stack)), expected[1], 1e-11)
    total = backend.grad(lambda s: backend.vmap(g)(s).sum())
    close(total(backend.array(stack)), expected[1], 1e-11)


def test_batches_of_several_arguments() -> None:
    run = tc.compile(tc.parse("x'*y", x="n", y="n")).batched("x", "y")
    assert_equal(run(x=np.eye(2), y=[[1, 2], [3, 4]]), [1, 4])
    for values, message in [
        ({"x": np.eye(2), "y": np.ones((3, 2))}, "the leading axis of y has 3 entries; expected 2"),
        ({"x": np.eye(2), "y": 1.0}, "y is a number"),
        ({"x": np.eye(2)}, "no value is given for y"),
        ({"x": np.ones((0, 2)), "y": np.ones((0, 2))}, "is empty"),
    ]:
        with pytest.raises(tc.InputError, match=message):
            run(**values)
    with pytest.raises(tc.InputError, match="'z' is not a variable"):
        tc.compile(LOSS).batched("z")


def assert_equal(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("formula", ["tanh(X*w).^2", "softmax(X*w)", "inv(X'*X+eye(n))*w"])
def test_torch_checks_its_derivatives(torch: Any, formula: str) -> None:
    run = tc.compile(tc.parse(formula, X="m n", w="n"), backend="torch")
    X, w = (torch.tensor(DATA[n], requires_grad=True) for n in "Xw")
    assert torch.autograd.gradcheck(lambda X, w: run(X=X, w=w), (X, w), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda X, w: run(X=X, w=w), (X, w))


def test_jax_checks_its_derivatives(jax: Any) -> None:
    from jax.test_util import check_grads

    run = tc.compile(tc.parse("inv(X'*X+eye(n))*tanh(w)", X="m n", w="n"), backend="jax")
    check_grads(jax.jit(lambda X, w: run(X=X, w=w)), (DATA["X"], DATA["w"]), order=2)


def test_several_outputs_are_differentiated_as_far_as_they_are_used(torch: Any, jax: Any) -> None:
    outputs = [LOSS, LOSS.gradient("w")]
    expected = 3 * LOSS.gradient("w")(**DATA)
    w = torch.tensor(DATA["w"], requires_grad=True)
    value, gradient = tc.compile(outputs, backend="torch")(**{**DATA, "w": w})
    close(torch.autograd.grad(3 * value, w, retain_graph=True)[0], expected)
    (product,) = torch.autograd.grad((gradient * gradient).sum(), w)
    hessian = LOSS.hessian("w")(**DATA)
    close(product, 2 * hessian @ (expected / 3))
    run = tc.compile(outputs, backend="jax")
    close(jax.grad(lambda w: 3 * run(**{**DATA, "w": w})[0])(DATA["w"]), expected)
    close(jax.jacfwd(lambda w: run(**{**DATA, "w": w})[1])(DATA["w"]), hessian)


def test_closed_forms_are_used(torch: Any, jax: Any) -> None:
    # At repeated singular values the frameworks have no derivative, the formula has.
    f = tc.parse("sum(svdvals(X).^2)", X="n n")
    x = torch.eye(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(tc.compile(f, backend="torch")(X=x), x)
    close(gradient, 2 * np.eye(3))
    g = tc.parse("tr(logm(S))", S="n n spd")
    close(jax.grad(lambda S: tc.compile(g, backend="jax")(S=S))(np.eye(3)), np.eye(3))
    # Linear in the direction, and yet not made of linear operations.
    e = tc.parse("sum(expm(X).^2)", X="n n")
    X = DATA["X"][:3] / 3
    close(jax.grad(lambda X: tc.compile(e, backend="jax")(X=X))(X), e.gradient("X")(X=X))


def test_where_there_is_no_formula_the_framework_differentiates(backend: Backend) -> None:
    run = tc.compile(tc.parse("sum(x.^2)+sum(floor(x))", x="n"), backend=backend.name)
    x = backend.array([0.5, 1.5])
    close(backend.grad(lambda x: run(x=x))(x), np.array([1.0, 3.0]))


def test_host_differentiation(backend: Backend) -> None:
    run = tc.compile(LOSS, backend=backend.name, differentiation="host")
    g, w = one_argument(run, backend, DATA, "w")
    close(backend.grad(g)(w), LOSS.gradient("w")(**DATA))


def test_structured_variables_move_in_their_space(backend: Backend) -> None:
    f = tc.parse("x'*S*y", S="n n sym", x="n", y="n")
    values = {"S": np.eye(2), "x": np.array([1.0, 2.0]), "y": np.array([3.0, 5.0])}
    g, S = one_argument(tc.compile(f, backend=backend.name), backend, values, "S")
    expected = f.gradient("S")(**values)
    close(backend.grad(g)(S), expected)
    close(backend.jacobian(g, forward=True)(S), expected)


def test_complex_arrays(torch: Any, jax: Any) -> None:
    f = tc.parse("sum(z.^2.*exp(z))", z="n")
    z = np.array([1 + 2j, 0.5 - 1j])
    expected = 2 * z * np.exp(z) + z * z * np.exp(z)
    for name in ("numpy", "torch", "jax"):
        close(np.asarray(tc.compile(f.gradient("z"), backend=name)(z=z)), expected)
    run = tc.compile(f, backend="jax")
    close(jax.grad(lambda z: run(z=z), holomorphic=True)(z), expected)
    t = torch.tensor(z, requires_grad=True)
    (gradient,) = torch.autograd.grad(tc.compile(f, backend="torch")(z=t).real, t)
    close(gradient, expected.conj())


@pytest.mark.parametrize("backend_of_compiler", ["eager", "aot_eager"])
def test_torch_compile(torch: Any, backend_of_compiler: str) -> None:
    torch._dynamo.reset()
    run = tc.compile([LOSS, LOSS.gradient("w")], backend="torch")
    compiled = torch.compile(
        lambda **v: run(**v)[0] * 2, backend=backend_of_compiler, fullgraph=True
    )
    for rows in (7, 5, 4):
        given = {n: v[:rows] if n != "w" else v for n, v in DATA.items()}
        tensors = {n: torch.tensor(v) for n, v in given.items()}
        tensors["w"].requires_grad_()
        value = compiled(**tensors)
        close(value.detach(), 2 * np.asarray(LOSS(**given)))
        close(torch.autograd.grad(value, tensors["w"])[0], 2 * LOSS.gradient("w")(**given))


def test_a_tracer_is_not_kept(jax: Any) -> None:
    run = tc.compile(LOSS, backend="jax")
    with jax.checking_leaks():
        jax.jit(lambda w: run(**{**DATA, "w": w}))(DATA["w"])
    close(run(**DATA), np.asarray(LOSS(**DATA)))

"""Value, gradients by all cores and curvature from one tree, against dense einsum under JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import arrays, by_torch, dense, differences

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.networks import (
    Network,
    cp,
    gauss_newton,
    htucker,
    hvp,
    inner,
    mps_mpo_sandwich,
    peps,
    prepare,
    ring,
    tt,
    tt_matrix,
    tucker,
    value_and_gradients,
)


def norm(net: Network) -> Network:
    return inner(net, net)


def overlap(net: Network) -> Network:
    return inner(net, net.renamed(lambda name: f"S{name}"))


def petersen() -> Network:
    around = [(k, (k + 1) % 5) for k in range(5)]
    edges = [
        *around,
        *((k, k + 5) for k in range(5)),
        *((k + 5, (k + 2) % 5 + 5) for k in range(5)),
    ]
    legs: dict[str, list[str]] = {f"T{k}": [] for k in range(10)}
    for number, edge in enumerate(edges):
        for k in edge:
            legs[f"T{k}"].append(f"b{number}")
    return tc.network(legs, sizes={f"b{k}": 2 for k in range(15)})


SCALARS: dict[str, Network] = {
    "cp": overlap(cp(3, n=[2, 3, 4], rank=3)),
    "cp, repeated cores": norm(cp(4, n=2, rank=3)),
    "tucker": overlap(tucker(3, n=[2, 3, 4], ranks=[2, 2, 3])),
    "train": overlap(tt(5, n=3, ranks=[2, 3, 4, 2])),
    "train with ends": norm(tt(4, n=2, ranks=2, ends=True)),
    "train matrix": overlap(tt_matrix(3, n=2, m=3, ranks=2)),
    "ring": norm(ring(4, n=2, ranks=[2, 3, 2, 3])),
    "tree": overlap(htucker(5, n=2, rank=3)),
    "sandwich": mps_mpo_sandwich(5, n=2, bond=3, operator_bond=2),
    "grid": overlap(peps(3, 3, n=2, bond=2)),
    "graph": petersen(),
    "cube of one core": tc.network([("A", "i j"), ("A", "j k"), ("A", "k i")], sizes={"i": 3}),
    "hyperedge": tc.network({"x": "i", "y": "i", "z": "i", "w": "i"}, sizes={"i": 3}),
    "diagonal": tc.network({"A": "i i j", "B": "j k k l"}, sizes={"i": 2, "j": 3, "k": 2, "l": 3}),
    "outer": tc.network({"a": "i", "b": "j", "c": "i", "s": ""}, sizes={"i": 2, "j": 3}),
    "one core": tc.network({"A": "i j"}, sizes={"i": 2, "j": 3}),
    "one core, trace": tc.network({"A": "i i"}, sizes={"i": 3}),
    "a number": tc.network({"s": ""}),
    "one core twice": tc.network([("A", "i j"), ("A", "i j")], sizes={"i": 2, "j": 3}),
    "copies unlike": tc.network([("A", "i i"), ("A", "i j"), ("x", "j")], sizes={"i": 3}),
}


@pytest.fixture(params=SCALARS)
def net(request: pytest.FixtureRequest) -> Network:
    return SCALARS[request.param]


def by_jax(jnp: Any, net: Network, values: dict[str, np.ndarray]) -> tuple[Any, dict[str, Any]]:
    import jax

    given = {name: jnp.asarray(v) for name, v in values.items()}
    return jax.value_and_grad(lambda v: dense(net, v, jnp.einsum))(given)


def agree(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    scale = max(float(abs(np.asarray(v)).max()) for v in expected.values()) or 1.0
    for name, v in expected.items():
        assert np.shape(found[name]) == np.shape(v), name
        assert_allclose(np.asarray(found[name]) / scale, np.asarray(v) / scale, atol=1e-12)


def test_gradients_equal_those_of_dense_einsum(net: Network, jnp):
    values = arrays(net, seed=2)
    value, gradients = value_and_gradients(net, values)
    expected, slopes = by_jax(jnp, net, values)
    assert isinstance(value, float)
    assert_allclose(value, expected, rtol=1e-10)
    agree(gradients, slopes)
    for name, g in gradients.items():
        assert isinstance(g, np.ndarray) or not g.shape
        assert not any(np.shares_memory(g, v) for v in values.values()), name


def test_at_most_three_times_the_operations(net: Network):
    plan = prepare(net, arrays(net))
    cost = plan.cost
    assert cost.flops <= 3 * cost.flops_forward
    assert plan.flops("hvp") <= 9 * cost.flops_forward
    assert plan.flops("gauss_newton") <= 5 * cost.flops_forward
    assert repr(cost) in repr(plan)


QUICK = [name for name, net in SCALARS.items() if len(net.cores) <= 8]
"""Networks that JAX compiles in little time."""


@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "torch") for name in SCALARS), *((name, "jax") for name in QUICK)],
)
def test_backends_agree(name: str, backend: str, jnp):
    net = SCALARS[name]
    values = arrays(net, seed=3)
    if backend == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        given = {name: torch.from_numpy(np.array(v)) for name, v in values.items()}
    else:
        given = {name: jnp.asarray(v) for name, v in values.items()}
    value, gradients = value_and_gradients(net, given)
    expected, slopes = value_and_gradients(net, values)
    assert type(value) is type(net(**given))
    assert type(value).__module__.startswith(("torch", "jax"))
    assert_allclose(float(value), expected, rtol=1e-10)
    agree(gradients, slopes)


def test_curvature_equals_that_of_pytorch(net: Network):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    values, moves = arrays(net, seed=4), arrays(net, seed=5)
    agree(hvp(net, values, moves), by_torch(net, values, moves))
    first = net.names[0]
    one = {k: moves[k] if k == first else np.zeros_like(v) for k, v in values.items()}
    expected = by_torch(net, values, one)
    agree(hvp(net, values, {first: moves[first]}), expected)
    agree(hvp(net, values, {first: moves[first]}, wrt=[first]), {first: expected[first]})


@pytest.mark.parametrize(
    "net",
    [
        cp(3, n=[2, 3, 4], rank=3),
        tt(4, n=3, ranks=2),
        ring(3, n=2, ranks=2),
        htucker(4, n=2, rank=2),
        tc.network([("A", "i r"), ("A", "j r")], "i j", sizes={"i": 3, "r": 2}),
        tc.network({"A": "i r"}, "i i", sizes={"i": 2, "r": 3}),
        tc.network({"A": "i j"}, "j i", sizes={"i": 2, "j": 3}),
    ],
    ids=lambda net: str(net)[:20],
)
def test_gauss_newton_equals_that_of_jax(net: Network, jnp):
    import jax

    values, moves = arrays(net, seed=6), arrays(net, seed=7)
    at, along = ({k: jnp.asarray(v) for k, v in d.items()} for d in (values, moves))

    def f(v: Any) -> Any:
        if len(set(net.output)) == len(net.output):
            return dense(net, v, jnp.einsum)
        return jnp.diag(v["A"].sum(1))  # the one diagonal above

    assert_allclose(net(**values), f(at), atol=1e-12)
    push = jax.jvp(f, (at,), (along,))[1]
    (expected,) = jax.vjp(f, at)[1](push)
    agree(gauss_newton(net, values, moves), expected)


def test_only_some_cores():
    net = SCALARS["sandwich"]
    values = arrays(net)
    _, everything = value_and_gradients(net, values)
    _, some = value_and_gradients(net, values, wrt=["W2", "A1"])
    assert list(some) == ["W2", "A1"]
    agree(some, {name: everything[name] for name in some})
    assert prepare(net, values, wrt=["W2"]).cost.flops < prepare(net, values).cost.flops


@pytest.mark.parametrize(
    ("name", "backend"),
    [("grid", "numpy"), ("grid", "torch"), *(("graph", b) for b in ("numpy", "torch", "jax"))],
)
def test_slices_keep_memory_below_the_limit(name: str, backend: str, jnp):
    net = SCALARS[name]
    values = arrays(net, seed=8)
    expected, slopes = value_and_gradients(net, values)
    whole = prepare(net, values).cost
    limit = 0.8 * whole.peak_bytes
    if backend == "torch":
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        values = {k: torch.from_numpy(v) for k, v in values.items()}
    if backend == "jax":
        values = {k: jnp.asarray(v) for k, v in values.items()}
    cost = prepare(net, values, memory_limit=limit).cost
    assert cost.slices > 1 and cost.peak_bytes <= limit
    assert cost.flops <= 3 * cost.flops_forward
    assert "slices" in repr(cost)
    value, gradients = value_and_gradients(net, values, memory_limit=limit)
    assert_allclose(float(value), expected, rtol=1e-10)
    agree(gradients, slopes)
    moves = arrays(net, seed=9)
    agree(
        hvp(net, values, moves, memory_limit=limit),
        hvp(net, {k: np.asarray(v) for k, v in values.items()}, moves),
    )


def test_a_limit_out_of_reach_is_told():
    net = SCALARS["train"]
    with pytest.raises(InputError, match=r"memory_limit is 10 B, .* needs less than"):
        value_and_gradients(net, arrays(net), memory_limit=10)


def test_a_chain_of_two_hundred_cores(jnp):
    net = overlap(tt(100, n=2, ranks=4))
    values = {k: v / np.linalg.norm(v) * 2 for k, v in arrays(net).items()}
    cost = prepare(net, values).cost
    assert cost.cores == 200 and cost.flops <= 3 * cost.flops_forward
    value, gradients = value_and_gradients(net, values)
    # The value is linear in each core.
    for name, g in gradients.items():
        assert_allclose((g * values[name]).sum(), value, rtol=1e-9, err_msg=name)
    moved = {**values, "G50": values["G50"] + 1e-4 * np.ones_like(values["G50"])}
    change = net(**moved) - value
    assert_allclose(change, 1e-4 * gradients["G50"].sum(), rtol=1e-6, atol=1e-14 * abs(value))


def test_expressions_that_are_networks_and_others(jnp):
    import jax

    f = tc.parse("3*tr(A*B*A*C)+0*sum(A)", A="n n", B="n n", C="n n")
    values = {k: np.random.default_rng(3).standard_normal((3, 3)) for k in "ABC"}
    value, gradients = value_and_gradients(f, values)
    given = {k: jnp.asarray(v) for k, v in values.items()}
    expected, slopes = jax.value_and_grad(
        lambda v: 3 * jnp.trace(v["A"] @ v["B"] @ v["A"] @ v["C"])
    )(given)
    assert_allclose(value, expected)
    agree(gradients, slopes)
    f = tc.parse("norm2(A*B)^2", A="n n", B="n n")
    value, gradients = value_and_gradients(f, {k: values[k] for k in "AB"})
    expected, slopes = jax.value_and_grad(lambda v: ((v["A"] @ v["B"]) ** 2).sum())(
        {k: given[k] for k in "AB"}
    )
    assert_allclose(value, expected)
    agree(gradients, slopes)
    f = tc.parse("sum(exp(A*B))+tr(C)", A="n n", B="n n", C="n n")
    value, gradients = value_and_gradients(f, given)
    expected, slopes = jax.value_and_grad(
        lambda v: jnp.exp(v["A"] @ v["B"]).sum() + jnp.trace(v["C"])
    )(given)
    assert_allclose(value, expected)
    agree(gradients, slopes)
    with pytest.raises(InputError, match=r"has shape .* expected a scalar"):
        value_and_gradients(tc.parse("A*B"), values)


def test_sums_of_networks():
    both = tc.network([("A", "i j"), ("A", "j i"), ("x", "i"), ("x", "j")])
    by_x = both.derivative("x")
    with pytest.raises(InputError, match=r"open legs"):
        value_and_gradients(by_x, {"A": np.eye(2), "x": np.ones(2)})


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.complex64])
def test_types_are_kept(dtype):
    net = SCALARS["ring"]
    values = {k: v.astype(dtype) for k, v in arrays(net, seed=10).items()}
    if np.issubdtype(dtype, np.complexfloating):
        values = {k: (v * (1 + 0.5j)).astype(dtype) for k, v in values.items()}
    _, gradients = value_and_gradients(net, values)
    assert {g.dtype for g in gradients.values()} == {np.dtype(dtype)}
    # Each core stands twice: the value is quadratic in it.
    value = dense(net, {k: v.astype(complex) for k, v in values.items()})
    for name, g in gradients.items():
        assert_allclose((g * values[name]).sum(), 2 * value, rtol=1e-3 if g.itemsize < 9 else 1e-9)


def test_under_transformations(jnp):
    import jax

    net = SCALARS["ring"]
    values = {k: jnp.asarray(v) for k, v in arrays(net).items()}
    inside = jax.jit(lambda v: value_and_gradients(net, v))(values)
    expected, slopes = by_jax(jnp, net, {k: np.asarray(v) for k, v in values.items()})
    assert_allclose(inside[0], expected)
    agree(inside[1], slopes)
    agree(jax.grad(lambda v: net(**v))(values), slopes)


def test_axes_of_length_zero():
    net = tc.network({"A": "i j", "B": "j k", "C": "k i"})
    values = {"A": np.ones((0, 2)), "B": np.ones((2, 3)), "C": np.ones((3, 0))}
    value, gradients = value_and_gradients(net, values)
    assert value == 0 and gradients["A"].shape == (0, 2)
    assert_allclose(gradients["B"], np.zeros((2, 3)))


def test_lists_and_integers_are_arrays():
    net = tc.network({"A": "i j", "B": "i j"})
    value, gradients = value_and_gradients(net, {"A": [[1, 2]], "B": np.array([[3, 4]])})
    assert value == 11.0
    assert_allclose(gradients["A"], [[3.0, 4.0]])
    product = hvp(net, {"A": [[1, 2]], "B": [[3, 4]]}, {"B": [[1, 0]]})
    assert_allclose(product["A"], [[1.0, 0.0]])


def test_errors():
    net = SCALARS["train"]
    values = arrays(net)
    with pytest.raises(InputError, match=r"open legs i1 i2; expected a scalar"):
        value_and_gradients(tt(2), {"G1": np.ones((2, 2)), "G2": np.ones((2, 2))})
    with pytest.raises(InputError, match=r"open legs .* take gauss_newton"):
        hvp(tt(2), values, {})
    with pytest.raises(InputError, match=r"wrt names 'G9'"):
        value_and_gradients(net, values, wrt=["G9"])
    with pytest.raises(InputError, match=r"direction is given for 'g1'.* Did you mean 'G1'"):
        hvp(net, values, {"g1": values["G1"]})
    with pytest.raises(InputError, match=r"direction for G1 has shape \(2,\); expected \(3, 2\)"):
        hvp(net, values, {"G1": np.ones(2)})
    with pytest.raises(InputError, match=r"no direction is given"):
        hvp(net, values, {})
    with pytest.raises(InputError, match=r"no value is given for G1"):
        value_and_gradients(net, {k: v for k, v in values.items() if k != "G1"})
    with pytest.raises(InputError, match=r"G1 has shape"):
        value_and_gradients(net, {**values, "G1": np.ones((5, 2))})
    with pytest.raises(TypeError, match=r"a network or an expression is expected"):
        value_and_gradients("A", values)  # type: ignore[arg-type]


# -- random networks -----------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn, scalar: bool = True) -> tuple[Network, int]:
    """Cores with labels drawn at random: hyperedges, diagonals, sums, outer products, copies."""
    labels = [f"l{k}" for k in range(draw(st.integers(1, 5)))]
    count = draw(st.integers(1, 6))
    cores: list[tuple[str, list[str]]] = []
    for k in range(count):
        legs = draw(st.lists(st.sampled_from(labels), max_size=4))
        again = [name for name, other in cores if len(other) == len(legs)]
        copied = bool(again) and draw(st.booleans())
        cores.append((draw(st.sampled_from(again)) if copied else f"X{k}", legs))
    used = sorted({i for _, legs in cores for i in legs})
    output = [] if scalar or not used else draw(st.lists(st.sampled_from(used), unique=True))
    # Copies tie sizes of labels together: they are drawn for the symbols that remain.
    return tc.network(cores, output), draw(st.integers(0, 99))


@given(networks())
def test_random_networks(drawn: tuple[Network, int]):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    net, seed = drawn
    values, moves = sized(net, seed), sized(net, seed + 100, seed)
    value, gradients = value_and_gradients(net, values)
    assert_allclose(value, dense(net, values), rtol=1e-9, atol=1e-9)
    agree(gradients, by_torch(net, values))
    agree(hvp(net, values, moves), by_torch(net, values, moves))
    cost = prepare(net, values).cost
    assert cost.flops <= 3 * cost.flops_forward


@given(networks(scalar=False))
def test_random_networks_with_open_legs(drawn: tuple[Network, int]):
    net, seed = drawn
    values = sized(net, seed)
    expected = dense(net, values)
    assert_allclose(net(**values), expected, rtol=1e-9, atol=1e-9)
    assert_allclose(net.expression(**values), expected, rtol=1e-9, atol=1e-9)
    name = net.names[seed % len(net.names)]
    by_core = net.derivative(name)(**values)
    slopes = differences(net, values, name)
    assert np.shape(by_core) == slopes.shape
    assert_allclose(by_core, slopes, atol=1e-6 * max(1.0, abs(slopes).max(initial=0)))


def sized(net: Network, seed: int, of_sizes: int | None = None) -> dict[str, np.ndarray]:
    symbols = sorted({s for d in net.dims.values() for s in d.symbols()})
    rng = np.random.default_rng(seed if of_sizes is None else of_sizes)
    return arrays(net, {s: int(rng.integers(1, 4)) for s in symbols}, seed)


@pytest.mark.parametrize("sizes", [(128, 16, 64), (16, 128, 64), (24, 24, 512)])
def test_factors_that_both_end_in_what_is_summed(sizes):
    """The smaller one is turned, which is quicker, where it is small; not where it is large."""
    i, j, s = sizes
    net = tc.network({"A": "i s", "B": "j s", "C": "i j"})
    values = arrays(net, {"i": i, "j": j, "s": s})
    value, slopes = value_and_gradients(net, values)
    a, b, c = values.values()
    assert_allclose(value, (a @ b.T * c).sum())
    for name, expected in (("A", c @ b), ("B", c.T @ a), ("C", a @ b.T)):
        assert_allclose(slopes[name], expected, atol=1e-12)
    product = net.derivative("C")
    assert_allclose(product(A=a, B=b), a @ b.T, atol=1e-12)
    plan = prepare(product, {"A": a, "B": b}, wrt=["A"])
    assert (".copy()" in plan._pass("value").source) == (min(i, j) == 16)


@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("sizes", [(4, 30, 20, 25), (3, 2, 5, 4)])
def test_products_layer_by_layer(backend: str, sizes, jnp):
    """A matrix applied to a middle axis, and its environment, which is a sum over layers."""
    layers, m, k, n = sizes
    net = tc.network({"A": "m k", "Y": "o k n", "Z": "o m n"})
    values = arrays(net, {"o": layers, "m": m, "k": k, "n": n})
    given_ = values
    if backend == "torch":
        given_ = {c: pytest.importorskip("torch").tensor(a) for c, a in values.items()}
    elif backend == "jax":
        given_ = {c: jnp.asarray(a) for c, a in values.items()}
    a, y, z = values.values()
    value, slopes = value_and_gradients(net, given_)
    assert_allclose(float(value), np.einsum("mk,okn,omn->", a, y, z))
    for name, spec, parts in (
        ("A", "okn,omn->mk", (y, z)), ("Y", "mk,omn->okn", (a, z)), ("Z", "mk,okn->omn", (a, y))
    ):  # fmt: skip
        assert_allclose(np.asarray(slopes[name]), np.einsum(spec, *parts), atol=1e-11)
    source = prepare(net, given_).source
    assert "matmul" in source and "transpose(1, 0, 2)" not in source
    if layers == 4:
        assert ".sum(0)" in source


def test_a_sandwich_runs_with_few_entries_moved():
    """Cores are applied in the middle of the state, so that it keeps its order."""
    net = mps_mpo_sandwich(12, n=2, bond=16, operator_bond=3)
    values = arrays(net)
    plan = prepare(net, values)
    held = sum(16 * 16 * 3 for _ in range(11))
    assert plan.cost.moved < held


def test_an_open_network_tells_its_cost() -> None:
    net = tc.network({"A": "i r", "B": "j r"}, output="i j")
    plan = prepare(net, {"A": np.ones((3, 2)), "B": np.ones((4, 2))})
    # The value, then S*B and S'*A for an array S of its shape.
    assert plan.cost.flops_forward == 2 * 3 * 4 * 2
    assert plan.cost.flops == 3 * plan.cost.flops_forward
    assert "def " in plan.source and "48 flop" in repr(plan)

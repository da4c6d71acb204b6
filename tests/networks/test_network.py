"""Networks as expressions: values, derivatives with open legs, printing, the chain rule."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracle import arrays, dense, differences

import tensorcalculus as tc
from tensorcalculus.compiler.program import Program
from tensorcalculus.errors import InputError, ShapeError, UnknownNameError
from tensorcalculus.expr.contraction import contract
from tensorcalculus.networks import (
    Network,
    NetworkSum,
    cp,
    inner,
    tt,
    tt_matrix,
    value_and_gradients,
)

CP = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")
SIZES = {"i": 2, "j": 3, "k": 4, "r": 2, "a": 2, "b": 3}


@pytest.mark.parametrize(
    ("cores", "output"),
    [
        ({"A": "i r", "B": "j r", "C": "k r"}, "i j k"),
        ({"A": "i r", "B": "j r", "C": "k r"}, "k i r"),
        ({"A": "i j", "B": "k"}, "k j i"),
        ({"A": "i i j"}, "i j"),
        ({"A": "i i j"}, "j"),
        ({"A": "i j k"}, "k"),
        ([("A", "i r"), ("A", "j r")], "i j"),
        ([("A", "i r"), ("A", "j r"), ("A", "k r"), ("A", "i r")], "k j"),
        ({"A": "a b", "B": "b a"}, ""),
    ],
)
def test_value_and_derivatives_equal_dense_ones(cores, output):
    net = tc.network(cores, output)
    values = arrays(net, SIZES, seed=1)
    expected = dense(net, values)
    assert_allclose(net(**values), expected, atol=1e-12)
    assert_allclose(net.expression(**values), expected, atol=1e-12)
    for name in net.names:
        by_core = net.derivative(name)
        slopes = differences(net, values, name)
        assert by_core.ndim == slopes.ndim
        assert_allclose(by_core(**values), slopes, atol=1e-8)
        assert_allclose(net.jacobian(name)(**values), slopes, atol=1e-8)


def test_derivative_is_a_network_with_the_core_deleted():
    by_core = CP.derivative("B")
    assert isinstance(by_core, Network)
    assert repr(by_core) == "A(i r) [B(j r)] C(k r) -> i j k | j r"
    assert by_core.names == ("A", "C")
    assert by_core.shape == CP.jacobian("B").shape
    # The same expression as the rules of the library give.
    assert by_core.expression is CP.jacobian("B")


def test_copies_give_a_sum():
    net = tc.network([("A", "i r"), ("A", "j r")], "i j")
    by_core = net.derivative("A")
    assert isinstance(by_core, NetworkSum)
    assert len(by_core.terms) == 2
    assert str(by_core) == "[A(i r)] A(j r) -> i j | i r\n+ A(i r) [A(j r)] -> i j | j r"


def test_second_derivatives():
    net = tc.network([("A", "i j"), ("A", "j k"), ("A", "k i")])
    values = arrays(net, 3)
    hessian = net.derivative("A", order=2)
    assert len(hessian.terms) == 6
    expected = net.expression.hessian("A")(**values)
    assert_allclose(hessian(**values), expected, atol=1e-12)
    # By a core that is gone: zero, of the right shape.
    once = tc.network({"x": "i", "y": "i"}).derivative("x")
    assert once.derivative("x").shape == (*once.shape, *once.shape)
    assert str(once.derivative("x")) == "zero of shape (i, i)"


def test_labels_on_the_same_axis_have_one_size():
    net = tc.network([("A", "i r"), ("A", "j r")], "i j", sizes={"j": 4})
    assert [d.value for d in net.shape] == [4, 4]


def test_sizes_are_numbers_or_symbols():
    net = tc.network({"A": "i r", "B": "r j"}, "i j", sizes={"i": 3, "r": "k"})
    assert str(net.symbols["A"].shape[1]) == "k"
    with pytest.raises(InputError, match=r"A has shape"):
        net(A=np.ones((2, 2)), B=np.ones((2, 2)))


def test_open_legs_without_core_take_their_length_from_what_is_given():
    by_core = CP.derivative("B")
    values = arrays(CP, SIZES)
    a, c = values["A"], values["C"]
    with pytest.raises(InputError, match=r"open leg j follows from no array given; give j as a nu"):
        by_core(A=a, C=c)
    expected = differences(CP, values, "B")
    assert_allclose(by_core(A=a, C=c, j=3), expected, atol=1e-8)
    assert_allclose(by_core(**values), expected, atol=1e-8)


def test_it_acts_as_its_expression():
    net = tc.network({"A": "i r", "B": "r j"}, "i j")
    x = tc.variables(x="j")
    assert net @ x is net.expression @ x
    assert x @ net.T is x @ net.expression.T
    assert net - net is net.expression - net.expression
    assert np.exp(net) is np.exp(net.expression)
    assert net[0] is net.expression[0]
    assert str(net.expression) == "A*B"
    assert net.to_latex() == net.expression.to_latex()
    assert net.variables.keys() == {"A", "B"}
    a, b = np.ones((2, 3)), np.ones((3, 4))
    value, slope = tc.compile([net, net.sum().gradient("A")])(A=a, B=b)
    assert_allclose(value, a @ b)
    assert_allclose(slope, np.full((2, 3), 4.0))
    assert_allclose(tc.compile(net)(A=a, B=b), a @ b)


def flops(e: tc.Expr, sizes: dict[str, int]) -> float:
    return Program([e]).cost(sizes).flops


def test_chain_rule_through_a_layer_does_not_form_the_weights():
    """L(y(W(G1, ..., Gd), x)): the gradient by a core contracts cores, vectors and the loss."""
    n, r, d = 12, 3, 4
    i, j = ([f"{c}{k}" for k in range(1, d + 1)] for c in "ij")
    weights = tt_matrix(d)
    x = tc.variables(x=" ".join(j))
    t = tc.variables(t=" ".join(i))
    y = contract([(weights.expression, (*i, *j)), (x, j)], i)
    loss = ((np.tanh(y) - t) ** 2).sum()
    sizes = {c: n for c in (*i, *j)} | {f"r{k}": r for k in range(1, d)}
    assert flops(loss, sizes) < n ** (2 * d) / 10
    for core in weights.names:
        assert flops(loss.gradient(core), sizes) < n ** (2 * d) / 10
    loss.check("G2", "G1", seed=3)


@pytest.mark.parametrize("batch", [(), (3,)])
def test_gradients_of_a_layer_by_all_cores_hold_no_array_of_its_weights(batch):
    """A train-matrix layer in a loss with tanh: as PyTorch has it, in less memory than W."""
    torch = pytest.importorskip("torch")
    n, r, d = 6, 3, 4
    i, j = ([f"{c}{k}" for k in range(1, d + 1)] for c in "ij")
    lead = ["b"] * len(batch)
    weights = tt_matrix(d, n=n, m=n, ranks=r)
    shape = " ".join(map(str, (*batch, *[n] * d)))
    given = tc.variables(x=shape, t=shape)
    y = contract([(weights.expression, (*i, *j)), (given[0], (*lead, *j))], (*lead, *i))
    loss = ((np.tanh(y) - given[1]) ** 2).sum()
    rng = np.random.default_rng(2)
    values = {
        k: 0.7 * rng.standard_normal([s.value for s in v.shape]) for k, v in loss.variables.items()
    }
    value, slopes = value_and_gradients(loss, values, wrt=weights.names)

    known = {k: torch.tensor(v, requires_grad=k in weights.names) for k, v in values.items()}
    full = torch.einsum("aeu,ubfv,vcgw,wdh->abcdefgh", *(known[k] for k in weights.names))
    made = torch.tensordot(known["x"], full, dims=(list(range(-d, 0)), list(range(d, 2 * d))))
    expected = ((torch.tanh(made) - known["t"]) ** 2).sum()
    expected.backward()
    assert_allclose(value, expected.item(), rtol=1e-12)
    for k in weights.names:
        assert_allclose(slopes[k], known[k].grad.numpy(), rtol=1e-9, atol=1e-9)

    whole = 8 * n ** (2 * d)
    run = tc.compile([loss, *(loss.gradient(k) for k in weights.names)])
    run(**values)
    assert run.cost.peak_bytes < whole / 10
    tracemalloc.start()
    run(**values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < whole / 10


def test_hundreds_of_cores():
    net = inner(tt(120, n=2, ranks=3), tt(120, n=2, ranks=3, name="H"))
    values = {k: v / np.linalg.norm(v) * 2 for k, v in arrays(net).items()}
    state = np.ones((1, 1))
    for k in range(1, 121):
        g, h = (values[f"{c}{k}"] for c in "GH")
        g = g[None] if k == 1 else g[..., None] if k == 120 else g
        h = h[None] if k == 1 else h[..., None] if k == 120 else h
        state = np.einsum("ab,aic,bid->cd", state, g, h)
    assert_allclose(net(**values), state.item(), rtol=1e-10)
    by_core = net.derivative("G7")
    assert by_core(**values).shape == values["G7"].shape
    assert_allclose((by_core(**values) * values["G7"]).sum(), state.item(), rtol=1e-10)
    assert "... 229 more ..." in repr(net) and len(str(net)) > len(repr(net))


def test_renaming_and_inner():
    a = cp(3, n=2, rank=2)
    b = a.renamed(lambda name: f"S{name}")
    values = arrays(inner(a, b), 2)
    expected = (dense(a, values) * dense(b, values)).sum()
    assert_allclose(inner(a, b)(**values), expected)
    own = {name: values[name] for name in a.names}
    assert_allclose(inner(a, a)(**own), (dense(a, values) ** 2).sum())
    with pytest.raises(ShapeError, match=r"3 and 2 open legs"):
        inner(a, cp(2))
    with pytest.raises(ShapeError, match=r"sizes 2 and 3"):
        inner(a, cp(3, n=3, name="B"))
    with pytest.raises(InputError, match=r"labels are not all different"):
        a.renamed(labels=lambda i: "x")


@pytest.mark.parametrize(
    ("cores", "output", "message"),
    [
        ({}, "", "at least one core"),
        ({"A": "i r"}, "j", "output has the label 'j', which is on no core"),
        ({"A": "row r"}, "rov", "Did you mean 'row'"),
        ({"A b": "i"}, "i", "expected an identifier"),
        ({"A": "i 2"}, "i", "core A has the label '2'"),
        ({"A": "i j", "B": 5}, "i", "core B has the labels 5; expected a text"),
        ([("A", "i"), ("A", "i j")], "i", "stands with 1 labels and with 2"),
        (["Ai"], "i", "not a pair of a name and labels"),
    ],
)
def test_declarations_are_checked(cores, output, message):
    with pytest.raises(InputError, match=message):
        tc.network(cores, output)


def test_errors_of_sizes_and_names():
    with pytest.raises(InputError, match=r"sizes has i=-3; expected a length"):
        tc.network({"A": "i j"}, sizes={"i": -3})
    with pytest.raises(InputError, match=r"sizes has the label 'q'"):
        tc.network({"A": "i"}, "i", sizes={"q": 2})
    with pytest.raises(ShapeError, match=r"label i has size 3, and 2|label j has size 3, and 2"):
        tc.network([("A", "i"), ("A", "j")], "i j", sizes={"i": 2, "j": 3})
    with pytest.raises(UnknownNameError, match=r"no core 'a' .its cores: A, B, C.. Did you mean"):
        CP.derivative("a")
    values = arrays(CP, SIZES)
    with pytest.raises(InputError, match=r"no value is given for C"):
        CP(A=values["A"], B=values["B"])
    with pytest.raises(InputError, match=r"A has shape"):
        CP(**{**values, "A": values["A"][0]})
    with pytest.raises(InputError, match=r"r"):
        CP(**{**values, "A": np.ones((2, 5))})

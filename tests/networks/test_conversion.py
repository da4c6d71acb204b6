"""Formats as networks and back: values, gradients, round trips, structures that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from formats_data import LIBRARIES, numbers, seeds, shapes, train
from formats_made import FORMATS
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle import arrays, by_torch, dense

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError
from tensorcalculus.networks import builders
from tensorcalculus.networks.arrays import namespace

KINDS = {name: make for name, make in FORMATS.items() if name not in ("TT", "QTT")}
NAMES = ["TT", "QTT", "TTMatrix", *KINDS]


def drawn(name: str, shape, rank: int = 3, seed: int = 0, kind="float64", library="numpy"):
    """A random format, and its entries with an axis for each mode."""
    if name in KINDS:
        # Even seeds: the balanced tree.
        return KINDS[name](shape, rank, kind, 2 * seed, library)[:2]
    if name == "TT":
        return train(shape, rank, kind, seed, library)
    if name == "QTT":
        t, full = train((2,) * len(shape), rank, kind, seed, library)
        return tn.QTT(t.cores, (0.0, 2.0)), full
    columns = [n % 3 + 1 for n in shape]
    t, full = train([m * n for m, n in zip(shape, columns, strict=True)], rank, kind, seed, library)
    made = tn.TTMatrix._split(t.cores, shape, columns)
    d = len(shape)
    full = full.reshape([n for pair in zip(shape, columns, strict=True) for n in pair])
    return made, full.transpose(*range(0, 2 * d, 2), *range(1, 2 * d, 2))


per_format = pytest.mark.parametrize("name", NAMES)


def same(a, b) -> None:
    """The same format with the same arrays, bit by bit."""
    assert type(a) is type(b) and a._fields() == b._fields() and len(a.cores) == len(b.cores)
    for x, y in zip(a.cores, b.cores, strict=True):
        assert_array_equal(numbers(x), numbers(y), strict=True)


@per_format
@given(shape=shapes, rank=st.integers(1, 3), seed=seeds)
def test_network_has_the_entries(name, shape, rank, seed):
    t, full = drawn(name, shape, rank, seed)
    net, cores = t.network()
    assert [cores[c] for c in net.names] == list(t.cores)
    value = net(**cores)
    scale = np.abs(full).max() + 1
    assert_allclose(value, full, atol=1e-12 * scale)
    assert_allclose(np.reshape(value, t.to_dense().shape), t.to_dense(), atol=1e-12 * scale)
    assert_allclose(dense(net, cores), full, atol=1e-12 * scale)


@per_format
@given(shape=shapes, rank=st.integers(1, 3), seed=seeds)
def test_round_trip(name, shape, rank, seed):
    t, _ = drawn(name, shape, rank, seed)
    net, cores = t.network("_")
    same(type(t).from_network(net, cores, *t._fields()), t)
    if len(shape) > 1:
        found = tn.from_network(net, cores)
        same(found, tn.TT(t.cores) if name == "QTT" else t)
        # Neither names, nor the order of cores and of axes count.
        rng = np.random.default_rng(seed)
        moved, given_ = [], {}
        for k in rng.permutation(len(net.cores)):
            c = net.cores[k]
            order = rng.permutation(len(c.legs))
            moved.append((f"X{k}", [c.legs[i] for i in order]))
            given_[f"X{k}"] = np.transpose(cores[c.name], order)
        again = tn.from_network(tc.network(moved, net.output), given_)
        assert type(again) is type(found)
        assert_allclose(again.to_dense(), t.to_dense(), atol=1e-10)


@per_format
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["float32", "complex128"])
def test_libraries_and_types(name, library, kind):
    t, full = drawn(name, (2, 3, 2), 2, 1, kind, library)
    net, cores = t.network()
    value = net(**cores)
    assert namespace(value) is namespace(t.cores[0]) and value.dtype == t.dtype
    assert_allclose(numbers(value), full, rtol=1e-4, atol=1e-4)
    same(type(t).from_network(net, cores, *t._fields()), t)


@per_format
def test_gradients_by_all_cores(name):
    t, full = drawn(name, (2, 3, 2, 3), 2, 3)
    s, other = drawn(name, (2, 3, 2, 3), 3, 4)
    (net, cores), (second, given_) = t.network(), s.network("_")
    values = {**cores, **given_}
    joined = tn.inner(net, second)
    value, slopes = tn.value_and_gradients(joined, values)
    assert_allclose(value, (full * other).sum())
    expected = by_torch(joined, values)
    for c, x in values.items():
        assert slopes[c].shape == x.shape
        assert_allclose(slopes[c], expected[c], atol=1e-9)


@per_format
def test_expressions_are_formats(name):
    t, full = drawn(name, (2, 3, 2), 2, 5)
    net, cores = t.network()
    made = type(t).from_network(2 * net.expression, cores, *t._fields())
    assert type(made) is type(t)
    assert_allclose(made.to_dense(), np.reshape(2 * full, t.to_dense().shape))


def test_from_an_expression():
    net = tc.parse("cp(A,B,C)", A="i r", B="j r", C="k r")
    values = {k: np.ones((n, 2)) for k, n in zip("ABC", (2, 3, 4), strict=True)}
    made = tn.from_network(net, values)
    assert isinstance(made, tn.CP) and made.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("kind", "net"),
    [
        ("TT", builders.tt(4, n=3, ranks=2)),
        ("TTMatrix", builders.tt_matrix(3, n=2, m=3, ranks=2)),
        ("HTucker", builders.htucker(5, n=2, rank=3)),
        ("Ring", builders.tt(3, n=2, ranks=2)),
        ("Ring", builders.ring(2, n=2, ranks=[2, 3])),
        ("TT", tc.network({"A": "i r", "B": "j", "C": "k r"}, "i k j")),
        ("TT", tc.network([("A", "i r"), ("A", "j r")], "i j")),
    ],
)
def test_bonds_that_are_missing_or_alone(kind, net):
    values = arrays(net)
    made = getattr(tn, kind).from_network(net, values)
    assert type(made).__name__ == kind
    expected = dense(net, values)
    assert_allclose(made.to_dense(), expected.reshape(made.to_dense().shape))


@pytest.mark.parametrize(
    ("kind", "cores", "output", "message"),
    [
        ("TT", {"A": "i r", "B": "j s", "C": "k r s"}, "i j k", "A and C share a label"),
        ("TT", {"A": "i r s", "B": "j r s"}, "i j", "A and B share several labels"),
        ("TT", {"A": "i r", "B": "r s", "C": "s j"}, "i j", "cores without open legs"),
        ("TT", {"A": "i j"}, "i j", "does not have the open legs of one mode"),
        ("TT", {"A": "i s s r", "B": "r j"}, "i j", "A share a label"),
        ("TT", {"A": "i i"}, "i", "open leg i is not on one axis"),
        ("TT", {"A": "i j"}, "", "has 0 open legs"),
        ("Ring", {"A": "i r s t", "B": "j r s t"}, "i j", "A and B share several labels"),
        ("TTMatrix", {"A": "i r", "B": "r j", "C": "k"}, "i j k", "a multiple of 2"),
        ("CP", {"A": "i r", "B": "j s"}, "i j", "do not all share one label"),
        ("CP", {"A": "i r", "B": "j r", "w": "r"}, "i j", "do not all share one label"),
        ("CP", {"A": "i r s", "B": "j r s"}, "i j", "A has 3 axes; 2 are expected"),
        ("Tucker", {"G": "r s", "A": "i r", "B": "j r"}, "i j", "a label of G does not join"),
        ("Tucker", {"G": "r s t", "A": "i r", "B": "j s"}, "i j", "no core that one label joins"),
        ("HTucker", {"B": "r t", "U": "i r", "V": "j s", "W": "k t"}, "i j k", "no core joins V"),
        ("QTT", {"A": "i r", "B": "j r"}, "i j", "modes of length 2"),
    ],
)
def test_structures_that_are_refused(kind, cores, output, message):
    net = tc.network(cores, output)
    with pytest.raises(InputError, match=f"{kind}: .*{message}"):
        getattr(tn, kind).from_network(net, arrays(net, 3))


@given(shape=shapes, seed=seeds)
def test_other_trees(shape, seed):
    t, full, size = KINDS["HTucker"](shape, 2, "float64", 2 * seed + 1, "numpy")
    net, cores = t.network()
    assert_allclose(net(**cores), full, atol=1e-12 * size)
    same(tn.HTucker.from_network(net, cores, t.tree), t)


def test_none_of_the_formats():
    net = builders.peps(2, 2, n=2, bond=2)
    with pytest.raises(
        InputError, match=r"none of the formats(.|\n)*CP: T1_1 has 3 (.|\n)*Tucker:"
    ):
        tn.from_network(net, arrays(net))
    with pytest.raises(InputError, match=r"A1 has shape \(2, 2\)"):
        tn.from_network(builders.cp(2, n=3), {"A1": np.eye(2), "A2": np.eye(2)})
    with pytest.raises(InputError, match=r"TT: the expression is not a network"):
        tn.TT.from_network(tc.parse("exp(x)"), {"x": np.ones(2)})

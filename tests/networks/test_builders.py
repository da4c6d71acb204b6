"""Named networks: their declarations, and values against formulas written with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracle import arrays, dense

from tensorcalculus.errors import InputError
from tensorcalculus.networks import (
    cp,
    from_networkx,
    htucker,
    mps_mpo_sandwich,
    peps,
    ring,
    tt,
    tt_matrix,
    tucker,
)

networkx = pytest.importorskip("networkx", reason="networkx is not installed")


def test_cp_and_tucker():
    net = cp(3, n=[2, 3, 4], rank=5)
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("ir,jr,kr->ijk", v["A1"], v["A2"], v["A3"]))
    net = tucker(3, n=4, ranks=[2, 3, 2])
    v = arrays(net)
    expected = np.einsum("abc,ia,jb,kc->ijk", v["G"], v["U1"], v["U2"], v["U3"])
    assert_allclose(net(**v), expected)


def test_trains():
    net = tt(3, n=[2, 3, 4], ranks=[3, 2])
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("ia,ajb,bk->ijk", v["G1"], v["G2"], v["G3"]))
    closed = tt(3, n=[2, 3, 4], ranks=2, ends=True)
    assert [tuple(d.value for d in x.shape) for x in closed.symbols.values()] == [
        (1, 2, 2), (2, 3, 2), (2, 4, 1)
    ]  # fmt: skip
    v = arrays(closed)
    assert_allclose(closed(**v), np.einsum("xia,ajb,bky->ijk", v["G1"], v["G2"], v["G3"]))
    symbols = tt(2, ends=True)
    assert str(symbols.symbols["G1"].shape) == "(1, i1, r1)"
    net = tt_matrix(2, n=2, m=3, ranks=2)
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("ija,akl->ikjl", v["G1"], v["G2"]))


def test_ring_and_tree():
    net = ring(3, n=2, ranks=[2, 3, 4])
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("cia,ajb,bkc->ijk", v["G1"], v["G2"], v["G3"]))
    assert_allclose(ring(1, n=3, ranks=2)(G1=np.ones((2, 3, 2))), [2, 2, 2])
    net = htucker(4, n=2, rank=3)
    v = arrays(net)
    left = np.einsum("ia,jb,abx->ijx", v["U1"], v["U2"], v["B1_2"])
    right = np.einsum("ia,jb,abx->ijx", v["U3"], v["U4"], v["B3_4"])
    assert_allclose(net(**v), np.einsum("ijx,kly,xy->ijkl", left, right, v["B1_4"]))
    assert str(htucker(1)) == "U1(i1) -> i1"


def test_sandwich_is_a_matrix_element():
    net = mps_mpo_sandwich(3, n=2, bond=3, operator_bond=2)
    v = arrays(net)

    def train(name: str) -> np.ndarray:
        parts = (v[f"{name}{k}"] for k in (1, 2, 3))
        return np.einsum("pa,aqb,br->pqr", *parts).ravel()

    operator = np.einsum("piw,wqjx,xrk->pqrijk", v["W1"], v["W2"], v["W3"]).reshape(8, 8)
    assert_allclose(net(**v), train("A") @ operator @ train("B"))


def test_grid():
    net = peps(2, 2, n=2, bond=3)
    v = arrays(net)
    parts = (v[f"T{x}_{y}"] for x in (1, 2) for y in (1, 2))
    assert_allclose(net(**v), np.einsum("pvh,hqw,vrg,wgs->pqrs", *parts))
    assert len(peps(5, 5).cores) == 25


def test_graphs():
    graph = networkx.path_graph(3)
    net = from_networkx(graph, open_legs=[0, 2], n=2, bond=3)
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("ap,ab,bq->pq", v["T0"], v["T1"], v["T2"]))
    graph = networkx.MultiGraph()
    graph.add_edge("a", "b", size=2)
    graph.add_edge("a", "b", size=3)
    graph.add_edge("b", "b", size=2)
    net = from_networkx(graph, name=str.upper)
    v = arrays(net)
    assert_allclose(net(**v), np.einsum("ij,ijkk->", v["A"], v["B"]))
    net = from_networkx(networkx.petersen_graph(), bond=2)
    v = arrays(net)
    assert_allclose(net(**v), dense(net, v), rtol=1e-9)
    # A long chain, and a random graph with a value known: all entries 1.
    net = from_networkx(networkx.path_graph(200), bond=2)
    v = {name: np.full([2] * d.ndim, 0.5) for name, d in net.symbols.items()}
    assert_allclose(net(**v), 0.5)
    net = from_networkx(networkx.random_regular_graph(3, 20, seed=1), bond=2)
    v = {name: np.full([2] * d.ndim, 0.5) for name, d in net.symbols.items()}
    assert_allclose(net(**v), 2.0**30 * 0.5**20)


def test_errors():
    with pytest.raises(InputError, match=r"number of axes is 0"):
        cp(0)
    with pytest.raises(InputError, match=r"2 sizes are given for the labels i1 to i3; expected 3"):
        tucker(3, n=[2, 2])
    with pytest.raises(InputError, match=r"directed"):
        from_networkx(networkx.DiGraph([(0, 1)]))
    with pytest.raises(InputError, match=r"no node of the graph"):
        from_networkx(networkx.path_graph(2), open_legs=[5])

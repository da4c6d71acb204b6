"""Drawings of networks: what is in them, where it stands, and that they are valid and stay so."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import combinations

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.diagrams import Diagram, graph_of
from tensorcalculus.errors import InputError

GRID = tn.peps(4, 5, n=2, bond=3)
TREE = tn.htucker(8)


def twice(net: tn.Network) -> tn.Network:
    """The scalar product with a network of the same structure."""
    return tn.inner(net, net.renamed(lambda name: f"S{name}"))


NETWORKS: dict[str, tuple[tn.Network, str]] = {
    "one": (tn.tt(1), "chain"),
    "chain": (tn.tt(7, n=4, ranks=3), "chain"),
    "format": (tn.TT.random((4,) * 5, 3).network()[0], "chain"),
    "matrix": (tn.tt_matrix(5, n=2, m=3, ranks=4), "chain"),
    "ring": (tn.ring(7), "ring"),
    "ring of 2": (tn.ring(2), "chain"),
    "ring of 1": (tn.ring(1), "chain"),
    "cp": (tn.cp(5, n=10, rank=4), "star"),
    "tucker": (tn.tucker(4), "star"),
    "tree": (TREE, "tree"),
    "odd tree": (tn.htucker(5, n=3, rank=2, ends=True), "tree"),
    "sandwich": (tn.mps_mpo_sandwich(8, n=2, bond=32, operator_bond=5), "grid"),
    "product": (twice(tn.tt(6)), "grid"),
    "grid": (GRID, "grid"),
    "two layers": (twice(tn.peps(5, 5)), "grid"),
    "two trees": (twice(tn.htucker(4)), "layers"),
    "two stars": (twice(tn.cp(4)), "layers"),
    "petersen": (tn.from_networkx(networkx.petersen_graph(), bond=2), "any"),
    "random": (tn.from_networkx(networkx.random_regular_graph(3, 50, seed=1), bond=2), "any"),
    "hyperedges": (
        tc.network(
            {"A": "i i j", "B": "j k k l", "C": "l m", "D": "m q q", "E": "z y"}, "i k k z j"
        ),
        "",
    ),
}  # fmt: skip
per_network = pytest.mark.parametrize("name", NETWORKS)


def parsed(d: Diagram) -> ET.Element:
    return ET.fromstring(d.svg)


def of_class(d: Diagram, kind: str) -> list[ET.Element]:
    return [e for e in parsed(d).iter() if kind in e.get("class", "").split()]


def apart(d: Diagram) -> None:
    for boxes in d.boxes:
        for a, b in combinations(boxes, 2):
            assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])


@per_network
def test_parts_and_places(name):
    net, kind = NETWORKS[name]
    d = net.draw()
    (graph,), (places,) = d.graphs, d.layouts
    if kind:
        assert places.kinds == (kind,)
    assert [n.name for n in graph.nodes if n.kind == "tensor"] == [c.name for c in net.cores]
    assert graph.open_ends == len(net.output) == len(of_class(d, "leg"))
    # Every axis of every core is an end of a line.
    for k, core in enumerate(net.cores):
        assert graph.ends(k) == len(core.legs)
    assert len(of_class(d, "tensor")) == len(net.cores)
    assert len(of_class(d, "edge")) == len(graph.edges)
    # Whatever is drawn lies within the picture.
    width, height = (float(parsed(d).get(side, "0")) for side in ("width", "height"))
    apart(d)
    for box in d.boxes[0]:
        assert 0 <= box[0] <= box[2] <= width and 0 <= box[1] <= box[3] <= height


@per_network
def test_the_same_network_gives_the_same_text(name):
    net, _ = NETWORKS[name]
    again = tc.network([(c.name, c.legs) for c in net.cores], net.output)
    first, second = again.draw(), tc.network([(c.name, c.legs) for c in net.cores], net.output)
    assert first.svg == second.draw().svg
    assert net.draw().layouts == again.draw().layouts


def points(net: tn.Network) -> np.ndarray:
    (places,) = net.draw().layouts
    return np.array(places.points)


def test_chain_on_a_line():
    p = points(tn.tt(9))
    np.testing.assert_allclose(p, np.stack([np.arange(9.0), np.zeros(9)], 1))


def test_ring_on_a_circle():
    p = points(tn.ring(9))
    z = (p - p.mean(0)) @ [1, 1j]
    np.testing.assert_allclose(abs(z), abs(z[0]), rtol=1e-5)
    np.testing.assert_allclose(np.exp(2j * math.pi * np.arange(9) / 9), z / z[0], atol=1e-5)
    assert z[0].imag == min(z.imag)


def test_star_around_its_middle():
    for net, middle in ((tn.tucker(5), 0), (tn.cp(5), 5)):
        p = points(net)
        z = np.delete(p - p[middle], middle, 0) @ [1, 1j]
        np.testing.assert_allclose(abs(z), abs(z[0]), rtol=1e-5)


def test_grid_on_a_grid():
    p = points(GRID)
    expected = [(float(y), float(x)) for x in range(4) for y in range(5)]
    np.testing.assert_allclose(p, expected)
    # Rows are where names have the same letters, also in few and long columns.
    sandwich = tn.mps_mpo_sandwich(2)
    rows = dict(zip((c.name for c in sandwich.cores), points(sandwich).tolist(), strict=True))
    assert rows == {
        "A1": [0, 0], "W1": [0, 1], "B1": [0, 2], "A2": [1, 0], "W2": [1, 1], "B2": [1, 2]
    }  # fmt: skip
    tall = points(tn.peps(5, 2))
    assert tall[:, 0].max() == 1 and tall[:, 1].max() == 4


def test_tree_in_layers():
    p = dict(zip((c.name for c in TREE.cores), points(TREE).tolist(), strict=True))
    assert p["B1_8"] == [3.5, 0] and p["B1_4"] == [1.5, 1]
    assert [p[f"U{k}"] for k in range(1, 9)] == [[k - 1, 3] for k in range(1, 9)]


def test_trees_that_share_leaves_do_not_cross():
    net = twice(tn.htucker(8))
    (graph,), (places,) = net.draw().graphs, net.draw().layouts

    def turn(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    for e, f in combinations(graph.edges, 2):
        if len({e.a, e.b, f.a, f.b}) == 4:
            a, b, c, d = (places.points[k] for k in (e.a, e.b, f.a, f.b))
            assert turn(a, b, c) * turn(a, b, d) > 0 or turn(c, d, a) * turn(c, d, b) > 0


@pytest.mark.parametrize("name", ["chain", "cp", "tucker", "tree", "ring", "grid", "two layers"])
def test_derivative_marks_the_legs_of_what_is_gone(name):
    net = NETWORKS[name][0]
    whole = net.draw()
    core = net.cores[2]
    slope = net.derivative(core.name)
    d = slope.draw()
    assert d.layouts == whole.layouts
    assert len(of_class(d, "end")) == len(core.legs)
    assert len(of_class(d, "leg")) == len(net.output)
    assert d.graphs[0].open_ends == slope.ndim
    assert len(of_class(d, "deleted")) == 1
    assert len(of_class(d, "tensor")) == len(net.cores) - 1
    second = slope.derivative(net.cores[3].name)
    assert second.draw().graphs[0].open_ends == second.ndim


def test_sums_are_drawn_term_by_term():
    net = tc.network([("A", "i j"), ("A", "j k"), ("A", "k i")])
    d = net.derivative("A").draw()
    assert len(d.graphs) == 3 and len(of_class(d, "deleted")) == 3
    assert [e.text for e in parsed(d).iter() if e.text == "+"] == ["+", "+"]
    assert all(a[2] <= b[0] for a in d.boxes[0] for b in d.boxes[1])  # side by side
    gone = tc.network({"x": "i", "y": "i"}).derivative("x")
    with pytest.raises(InputError, match="nothing to draw"):
        gone.derivative("x").draw()


def test_labels_and_sizes():
    net = tc.network({"A": "i r", "B": "r j"}, "i j", sizes={"r": 7, "j": "n"})
    texts = {e.text for e in parsed(net.draw()).iter() if e.tag.endswith("text")}
    assert texts == {"A", "B", "i", "r=7", "j=n"}
    copies = tn.cp(3)
    texts = [e.text for e in parsed(copies.draw()).iter() if e.tag.endswith("text")]
    assert texts.count("r") == 1 and len(of_class(copies.draw(), "copy")) == 1
    title = parsed(net.draw())[0]
    assert title.text == str(net)


def test_names_are_escaped_and_long_ones_cut():
    graph = graph_of([("<a&b>", ['"x"', "y"], False), ("B" * 40, ["y"], False)], ['"x"'])
    from tensorcalculus.diagrams import diagram

    d = diagram([graph], '<title> & "quotes"')
    texts = [e.text for e in parsed(d).iter() if e.tag.endswith("text")]
    assert "<a&b>" in texts and '"x"' in texts and "B" * 21 + "…" in texts
    assert "B" * 40 in [e.text for e in parsed(d).iter() if e.tag.endswith("title")]
    apart(d)


def test_colours_are_those_of_the_text_around():
    text = tn.tt(3).draw().svg
    assert "currentColor" in text and "black" not in text and "white" not in text


def test_what_is_given_back(tmp_path):
    d = tn.tt(3).draw()
    assert d._repr_svg_() == d._repr_html_() == d.svg
    assert d.save(tmp_path / "train.svg").read_text(encoding="utf-8") == d.svg
    with pytest.raises(
        InputError, match=r"'train.png' is given; a name that ends in '.svg' or '.tex'"
    ):
        d.save(tmp_path / "train.png")
    assert repr(d) == "<diagram of 3 tensors: chain; .svg, .save(path)>"


@st.composite
def declarations(draw):
    """Networks of any kind: traces, hyperedges, labels alone, several parts."""
    labels = [f"i{k}" for k in range(draw(st.integers(1, 8)))]
    legs = st.lists(st.sampled_from(labels), max_size=4)
    cores = [(f"T{k}", draw(legs)) for k in range(draw(st.integers(1, 9)))]
    known = sorted({i for _, g in cores for i in g})
    output = draw(st.lists(st.sampled_from(known), max_size=4)) if known else []
    return tc.network(cores, output)


@settings(max_examples=60)
@given(net=declarations(), data=st.data())
def test_any_network(net, data):
    d = net.draw()
    (graph,) = d.graphs
    assert graph.open_ends == len(net.output) == len(of_class(d, "leg"))
    assert all(graph.ends(k) == len(c.legs) for k, c in enumerate(net.cores))
    apart(d)
    slope = net.derivative(data.draw(st.sampled_from(net.names)))
    assert slope.draw().graphs[0].open_ends == slope.ndim
    assert len(of_class(slope.draw(), "end")) == sum(slope.groups)


def test_hundreds_of_tensors_are_drawn():
    d = twice(tn.tt(150)).draw()
    assert d.layouts[0].kinds == ("grid",)
    apart(d)

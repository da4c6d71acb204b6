"""Drawings of expressions: they have the value of the expression, nothing overlaps, limits hold."""

from __future__ import annotations

import time

import networkx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from reading import declared, legible, shown_value
from test_cases import CASES, SIZES, draw

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.diagrams import Graph
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr
from tensorcalculus.notation.graphs import MOST
from tensorcalculus.random_data import draw_sizes
from tensorcalculus.testing import expressions, values_for


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases_are_drawn_as_they_are(case: dict) -> None:
    f = declared(case)
    rng = np.random.default_rng(0)
    values = {n: draw(v, rng) for n, v in case["vars"].items()}
    values |= {"k": 3.0} if case["id"] == "det_pow" else {}
    d = tc.derivative(f, case["wrt"], order=case["order"])
    for e, k in ((f, 0), (d, d.ndim - f.ndim)):
        drawn = e.draw(k)
        legible(drawn)
        assert drawn.svg == e.draw(k).svg
        shown = shown_value(drawn, values, SIZES)
        np.testing.assert_allclose(shown, e(**values), rtol=1e-8, atol=1e-8)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(max_nodes=8))
def test_random_expressions_are_drawn_as_they_are(f: Expr) -> None:
    try:
        values = values_for(f)
    except InputError:
        reject()
    arrays = {n: values[n] for n in f.variables}
    drawn = f.draw()
    assert drawn.svg == f.draw().svg
    with np.errstate(all="ignore"):
        shown = shown_value(drawn, arrays, draw_sizes(f, {}, {}, 0)[0])
        np.testing.assert_allclose(shown, f(**values), rtol=1e-6, atol=1e-6)


CP = {"T": "i j k", "A": "i r", "B": "j r", "C": "k r"}


def kinds(text: str, **shapes: str) -> tuple[str, ...]:
    return tc.parse(text, **shapes).draw().layouts[-1].kinds


def test_formats_stand_as_people_draw_them() -> None:
    assert kinds("tt(A,B,C,D)", A="i r", B="r j s", C="s k t", D="t l") == ("chain",)
    assert kinds("cp(A,B,C)", **CP) == kinds("tucker(G,A,B,C)", G="p q r") == ("star",)
    assert kinds("tr(A*B*C*D)") == ("ring",)
    overlap = tn.mps_mpo_sandwich(17, n=2, bond=32, operator_bond=5).expression.draw()
    assert overlap.layouts[0].kinds == ("grid",)
    legible(overlap)
    assert sum(n.kind == "tensor" for n in overlap.graphs[0].nodes) == 51


def test_legs_of_a_derivative_are_marked() -> None:
    g = tc.parse("norm2(T-cp(A,B,C))^2", **CP).gradient("A")
    drawn = g.draw(derivative_axes=2)
    marked = [leg.label for d in drawn.rows[0].picture for leg in d.graph.legs if leg.derivative]
    assert sorted(marked) == ["∂i", "∂r"]
    assert sum(s.kind == "end" for s in drawn.piece.shapes) == 2
    assert sum(s.marked for s in drawn.piece.strokes) == 2
    assert not any(s.marked for s in g.draw().piece.strokes)
    # A network from which a core was deleted has lines and rings of the same kinds.
    net = tc.network({"A": "i r", "B": "j r"}, "i j").derivative("B").draw()
    assert {s.kind for s in net.piece.shapes} >= {"end"} and any(
        s.marked for s in net.piece.strokes
    )
    for k in (-1, 3, 1.0):
        with pytest.raises(InputError, match=f"derivative_axes is {k}; the expression has 2 axes"):
            g.draw(k)


def test_letters_are_those_of_the_text() -> None:
    h = tc.parse("sum(log(1+exp(-y.*(X*w))))").hessian("w")
    assert str(h).endswith("where s = sigmoid(-y.*(X*w))")
    assert [row.heading for row in h.draw(2).rows] == ["", "where s ="]


def test_parts_of_a_decomposition_share_a_row() -> None:
    f = tc.parse("V.^2*tanh(d) where R = tanh(X)+Y, (d,V) = eigh(R)", X="n n sym", Y="n n sym")
    headings = [row.heading.split(" ", 1)[-1] for row in f.draw().rows]
    assert sum(h.endswith("= eigh of") for h in headings) == 1


def test_terms_have_signs_and_numbers() -> None:
    picture = tc.parse("2*x-y/3+A*x", A="n n").draw().rows[0].picture
    assert {(t.sign or "+", t.factor) for t in picture} == {("+", "2"), ("−", "1/3"), ("+", "")}
    assert [t.sign for t in picture].count("") == 1
    assert tc.parse("x-x").draw().rows[0].picture[0].factor == "0"
    assert tc.parse("3").draw().rows[0].picture[0].factor == "3"


def test_what_stands_deep_or_twice_is_drawn_below() -> None:
    f = tc.parse("sin(cos(sin(cos(sin(cos(A*x))))))")
    assert len(f.draw().rows) > 1
    assert max(_depth(g) for row in f.draw().rows for g in [t.graph for t in row.picture]) <= 3


def _depth(graph: Graph) -> int:
    inner = [t.graph for n in graph.nodes for p in n.inside for t in p]
    return (1 + max(map(_depth, inner))) if inner else 0


def test_names_of_users_are_escaped() -> None:
    a, b = tc.variables(**{"a_1": "n", "λ": ""})
    drawn = (a * b).draw()
    legible(drawn)
    assert r"a\_1" in drawn.to_tikz() and r"$\lambda$" in drawn.to_tikz()


LARGEST = {
    "sum": lambda: tc.parse("+".join(f"A{k}" for k in range(MOST))),
    "chain": lambda: tc.parse(
        "*".join(f"A{k}" for k in range(MOST)), **{f"A{k}": "n n" for k in range(MOST)}
    ),
    "star": lambda: tc.parse(".*".join(f"x{k}" for k in range(MOST))),
    "no order": lambda: (
        tn.from_networkx(networkx.random_regular_graph(8, 100, seed=1), bond=2).expression
    ),
    "depth": lambda: tc.parse("sin(" * 190 + "x" + ")" * 190),
}


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_are_drawn_within_a_second(name: str) -> None:
    e = LARGEST[name]()
    tc.parse("A*x").draw()
    start = time.process_time()
    drawn = e.draw()
    assert drawn.svg and drawn.to_tikz()
    assert time.process_time() - start < 1.0


def test_what_is_larger_is_refused_at_once() -> None:
    many = tc.parse("+".join(f"A{k}" for k in range(MOST + 1)))
    with pytest.raises(InputError, match="more than 200 tensors, too many to be read"):
        many.draw()
    dense = tn.from_networkx(networkx.complete_graph(40), bond=2).expression
    with pytest.raises(InputError, match="more than 400 lines"):
        dense.draw()
    parts = tc.parse("+".join(f"sin({k}*x)" for k in range(2, 1600)))
    start = time.process_time()
    with pytest.raises(InputError, match="more than 3000 parts"):
        parts.draw()
    assert time.process_time() - start < 0.5

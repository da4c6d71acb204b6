"""Derivatives by deleting: terms add up to the derivative, and every picture shows its term."""

from __future__ import annotations

import numpy as np
import pytest
from reading import declared, legible, shown_value
from test_cases import CASES, SIZES, draw

import tensorcalculus as tc
from tensorcalculus.errors import InputError, UnknownNameError
from tensorcalculus.explanation.deletion import deletions
from tensorcalculus.expr.node import Expr


def check_deletions(f: Expr, name: str, values: dict) -> None:
    """Terms add up to the derivative by all entries, and each picture shows its term."""
    made = deletions(f, name)
    total = f.jacobian(name, symmetry="full")(**values)
    terms = [np.broadcast_to(o.expression(**values), np.shape(total)) for o in made.occurrences]
    np.testing.assert_allclose(sum(terms), total, rtol=1e-8, atol=1e-8)
    legible(made.whole)
    legible(made.simplified)
    exact = f.jacobian(name)(**values)
    shown = shown_value(made.simplified, values, SIZES)
    np.testing.assert_allclose(shown, exact, rtol=1e-8, atol=1e-8)
    assert made.result is f.jacobian(name)
    for term, o in zip(terms, made.occurrences, strict=True):
        legible(o.diagram)
        shown = shown_value(o.diagram, values, SIZES)
        np.testing.assert_allclose(shown, term, rtol=1e-8, atol=1e-8, err_msg=o.caption)


ONE = [case for case in CASES if isinstance(case["wrt"], str)]


@pytest.mark.parametrize("case", ONE, ids=lambda case: case["id"])
def test_deletions_of_cases(case: dict) -> None:
    rng = np.random.default_rng(0)
    values = {n: draw(v, rng) for n, v in case["vars"].items()}
    values |= {"k": 3.0} if case["id"] == "det_pow" else {}
    check_deletions(declared(case), case["wrt"], values)


def test_words_and_marks():
    made = deletions(tc.parse("norm2(X*W-Y)^2"), "W")
    (one,) = made.occurrences
    assert one.caption == (
        "occurrence 1 of W, in X*W: delete it, open its legs n and k; "
        "join what is left with G = 2*(X*W-Y), the derivative by X*W"
    )
    assert [n.name for g in made.whole.graphs for n in g.nodes if n.chosen] == ["W"]
    first = one.diagram.rows[0].picture[0].graph
    found = {(n.name, n.kind) for n in first.nodes}
    assert found == {("X", "tensor"), ("W", "deleted"), ("G", "tensor")}
    assert one.diagram.rows[1].heading == "where G ="


def test_a_variable_that_stands_twice_is_deleted_twice():
    made = deletions(tc.parse("tr(A*B*A)"), "A")
    assert [str(o.expression) for o in made.occurrences] == ["A'*B'", "B'*A'"]
    assert sum(n.chosen for g in made.whole.graphs for n in g.nodes) == 2
    assert len(deletions(tc.parse("norm2(x)^2"), "x").occurrences) == 2


def test_structured_variables_are_spoken_of():
    made = deletions(tc.parse("x'*S*x", S="n n sym"), "S")
    assert made.note.startswith("S is declared sym: of the sum, the part in the space")
    assert not deletions(tc.parse("x'*A*x"), "A").note


def test_a_direction_has_a_name_of_its_own():
    made = deletions(tc.parse("tr(inv(X)*dX)", dX="n n"), "X")
    assert "delete ddX" in made.occurrences[0].caption


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(UnknownNameError, match="'B' does not occur"):
        deletions(tc.parse("tr(A)"), "B")
    many = "+".join(f"x'*A{k}*x" for k in range(21))
    with pytest.raises(InputError, match="x occurs more than 40 times"):
        deletions(tc.parse(many), "x")

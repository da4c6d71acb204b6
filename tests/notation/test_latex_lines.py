"""Formulas in lines for notebooks: nothing is lost, lines have room, each is whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from test_latex import all_cases, well_formed

import tensorcalculus as tc
from tensorcalculus import networks as tn
from tensorcalculus.expr.node import Expr
from tensorcalculus.notation.latex import formula_and_names
from tensorcalculus.notation.latex_lines import LONGEST, broken, for_notebooks, glyphs, to_lines
from tensorcalculus.testing import expressions


def joined(lines: list[str]) -> str:
    """The formula that lines were made of."""
    return "".join(line.removeprefix(r"\quad {}") for line in lines)


def whole(line: str) -> None:
    """Braces and brackets of fixed size are closed in their line, or the line cannot be set."""
    assert line.count(r"\left") == line.count(r"\right")
    plain = re.sub(r"\\[{}]", "", line)
    assert plain.count("{") == plain.count("}")


def test_cases_in_lines() -> None:
    several = 0
    for e in all_cases():
        body, names = formula_and_names(e)
        for part in (body, *names):
            for width in (84, 30, 8):
                lines = broken(part, width)
                assert joined(lines) == part
                assert width < 84 or all(glyphs(line) <= width for line in lines)
                for line in lines:
                    whole(line)
                several += len(lines) > 1
        well_formed(for_notebooks(e) or "")
    assert several > 50


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
@given(expressions(max_nodes=8))
def test_random_expressions_in_lines(f: Expr) -> None:
    body, _ = formula_and_names(f)
    for line in broken(body, 12):
        whole(line)
    assert joined(broken(body, 12)) == body


@pytest.mark.parametrize(
    ("latex", "width", "lines"),
    [
        ("a+b", 9, ["a+b"]),
        ("a+b-c+d", 4, ["a+b", r"\quad {}-c", r"\quad {}+d"]),
        (r"\frac{a+b}{c-d}+e", 6, [r"\frac{a+b}{c-d}", r"\quad {}+e"]),
        (r"x\left(a+b\right)", 3, [r"x\left(a+b\right)"]),
        ("x(aaaa+bbbb)", 7, ["x(aaaa", r"\quad {}+bbbb)"]),
        ("-a", 1, ["-a"]),
    ],
)
def test_where_lines_end(latex: str, width: int, lines: list[str]) -> None:
    assert broken(latex, width) == lines


def test_names_have_lines_where_one_line_is_too_short() -> None:
    assert to_lines("s", ["s = x"]) == [r"s \quad\text{where } s = x"]
    lines = to_lines("s+t", ["s = x", "t = y"], width=5)
    assert lines == ["s+t", r"\text{where } s = x,", r"\qquad\quad {}t = y"]


def test_short_formulas_stand_in_a_line() -> None:
    x = tc.variables(x="n")
    assert (2 * x)._repr_latex_() == r"$\displaystyle 2x$"


def test_long_formulas_stand_in_lines() -> None:
    terms = tc.variables({f"x{k}": "n" for k in range(60)})
    latex = sum(terms[1:], terms[0])._repr_latex_()
    assert latex is not None and r"\begin{array}{l}" in latex and latex.count(r"\\") >= 1
    assert all(rf"x_{{{k}}}" in latex for k in range(60))


def test_what_cannot_be_read_is_left_to_the_text() -> None:
    network = tn.peps(6, 6).expression
    assert network._repr_latex_() is None
    assert repr(network).startswith("<expression with 36 axes: ")
    x = tc.variables(x="n")
    for k in range(LONGEST // 8):
        x = np.sin(x) + k
    assert x._repr_latex_() is None

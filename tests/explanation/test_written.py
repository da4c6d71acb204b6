"""How explanations read: published derivations line by line, the forms of output, errors."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import tensorcalculus as tc
from tensorcalculus.cli import app
from tensorcalculus.explanation.blocks import Line, Table

LOGISTIC = "E where z = w*x+b, y = sigmoid(z), L = (y-t)^2/2, R = w^2/2, E = L+c*R"
SCALARS = {name: "" for name in "wxbtc"}


def lines(text: str, wrt: str | list[str], way: str, **options) -> list[tuple[str, str]]:
    (found,) = tc.explain(text, wrt, ways=[way], **options).ways
    return [(b.left.text, b.right.text) for b in found.blocks if isinstance(b, Line)]


def test_logistic_least_squares_line_by_line() -> None:
    """R. Grosse's univariate example (CSC321, lecture 6): every line of the backward pass."""
    numbers = {"w": 1.5, "x": 2.0, "b": -1.0, "t": 1.0, "c": 0.1}
    told = tc.explain(LOGISTIC, ["w", "b"], ways=["backpropagation"], data=numbers, **SCALARS)
    forward, backward = (b for b in told.ways[0].blocks if isinstance(b, Table))
    texts = [[c if isinstance(c, str) else c.text for c in row] for row in forward.rows]
    assert [row[:2] for row in texts[5:]] == [
        ["z", "b+w*x"],
        ["y", "sigmoid(z)"],
        ["L", "(y-t)^2/2"],
        ["R", "w^2/2"],
        ["E", "L+R*c"],
    ]
    rows = [[c if isinstance(c, str) else c.text for c in row] for row in backward.rows]
    assert [row[:2] for row in rows] == [
        ["E_bar", "1"],
        ["R_bar", "E_bar*c"],
        ["L_bar", "E_bar"],
        ["y_bar", "L_bar*(y-t)"],
        ["z_bar", "y_bar*y*(1-y)"],
        ["w_bar", "R_bar*w+z_bar*x"],
        ["b_bar", "z_bar"],
    ]
    y = 1 / (1 + np.exp(-2.0))
    z_bar = (y - 1) * y * (1 - y)
    expected = [1, 0.1, 1, y - 1, z_bar, 0.1 * 1.5 + z_bar * 2, z_bar]
    assert np.allclose([float(row[2]) for row in rows], expected, rtol=1e-5)


def test_both_factors_of_a_product() -> None:
    found = lines("norm2(Y)^2 where Y = W*X", ["W", "X"], "differentials")
    assert ("df", "2*Y:dY") in found
    assert ("df", "2*Y:(W*dX+dW*X)") in found
    assert ("df", "2*(Y*X'):dW+2*(W'*Y):dX") in found
    assert ("df/dW", "2*W*X*X'") in found


def test_indices_of_least_squares() -> None:
    assert lines("norm2(X*w-y)^2", "w", "indices") == [
        ("r[i]", "sum(j: X[i,j]*w[j])-y[i]"),
        ("f", "sum(i: r[i]^2)"),
        ("df/dr[i]", "2*sum(j: delta[j,i]*r[j])"),
        ("df/dr[i]", "2*r[i]"),
        ("∂r[i]/∂w[j]", "sum(k: X[i,k]*delta[k,j])"),
        ("∂r[i]/∂w[j]", "X[i,j]"),
        ("df/dw[i]", "2*sum(j: X[j,i]*r[j])"),
        ("df/dw[i]", "2*sum(j: X[j,i]*(sum(k: X[j,k]*w[k])-y[j]))"),
        ("df/dw", "2*X'*(X*w-y)"),
    ]


def test_projection_is_a_step() -> None:
    found = tc.explain("x'*S*y", "S", ways=["differentials"], S="n n sym")
    assert "S is symmetric: the symmetric part: (G+G')/2" in found.to_text()
    free = tc.explain("x'*S*y", "S", ways=["differentials"], S="n n sym", symmetry="full")
    assert str(free.derivatives[0]) == "x*y'"
    assert "(x*y'+y*x')/2" not in free.to_text()


def test_second_derivative_goes_on_from_the_first() -> None:
    found = tc.explain("norm2(X*w-y)^2", "w", order=2, ways=["differentials"])
    assert str(found.derivatives[0]) == "2*X'*X"
    text = found.to_text()
    assert text.index("df/dw") < text.index("The gradient is derived once more.")
    assert "dg = 2*X'*X*dw" in text


def deep() -> str:
    formula = "x"
    for k in range(12):
        formula = f"tanh(W{k}*{formula})"
    return f"norm2({formula}-y)^2"


def test_long_derivations_fold() -> None:
    told = tc.explain(deep(), "W0", ways=["differentials"])
    short, whole = told.to_text(), told.to_text(fold=False)
    assert len(short.splitlines()) < 40 < len(whole.splitlines())
    assert "fold=False" in short and "fold=False" not in whole
    page = told.to_html()
    assert re.search(r"<summary>\d+ more steps</summary>", page)


def test_no_way_grows_faster_than_the_function() -> None:
    told = tc.explain(deep(), "W0")
    assert max(len(line) for line in told.to_text(fold=False).splitlines()) < 1500


@pytest.mark.parametrize("text", ["norm2(X*W-Y)^2", "logdet(W)+tr(W*Y)", deep()])
def test_html_is_well_formed_and_latex_balances(text: str) -> None:
    name = "W0" if "W0" in text else "W"
    told = tc.explain(text, name)
    ElementTree.fromstring(told.to_html())
    assert told.to_html().count("<svg") >= 3
    latex = told.to_latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin{") == latex.count(r"\end{")
    markdown = told.to_markdown()
    assert markdown.count("### ") == 4
    assert markdown.count("$") % 2 == 0


def test_markup_in_names_is_escaped() -> None:
    word = tc.variables({"x": "n"})
    told = tc.explain((word * word).sum(), "x", ways=["differentials"])
    assert told.to_html(lambda latex, display: "<m/>").count("<m/>") > 3
    assert "<x>" not in told.to_html()
    # Rules have angle brackets in text; they are no tags.
    adjoint = tc.explain("tr(inv(X)*B)", "X", ways=["differentials"])
    ElementTree.fromstring(adjoint.to_html())


def test_one_way_alone() -> None:
    told = tc.explain("x'*x", "x")
    assert [w.name for w in told["indices"].ways] == ["indices"]
    with pytest.raises(KeyError, match="the ways are differentials, network"):
        told["nonsense"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ways": ["index"]}, "no way 'index' to explain; the ways are differentials"),
        ({"order": 3}, "order is 1 or 2, not 3"),
        ({"wrt": []}, "none is given"),
        ({"wrt": ["x", "x"]}, "x, x is given"),
    ],
)
def test_errors_say_what_to_do(options: dict, message: str) -> None:
    wrt = options.pop("wrt", "x")
    with pytest.raises(tc.InputError, match=message):
        tc.explain("x'*A*x", wrt, **options)


def test_a_name_that_does_not_occur() -> None:
    with pytest.raises(tc.UnknownNameError, match="'z' does not occur"):
        tc.explain("x'*A*x", "z")


def test_huge_expressions_are_refused() -> None:
    x = tc.variables(x="n")
    f = sum(np.log((x * k).sum() ** 2 + k) for k in range(1, 900))
    with pytest.raises(tc.InputError, match="more than 2000 nodes"):
        tc.explain(f, "x")


def run(*args: str) -> str:
    result = CliRunner().invoke(app, ["explain", *args])
    assert result.exit_code == 0, result.output
    return result.output


def test_command_line() -> None:
    plain = run("x'*A*x", "--wrt", "x", "--by", "differentials")
    assert "df = x'*A*dx+dx'*A*x" in plain and "By indices" not in plain
    numbers = run("w*x", "w=2", "x=3", "--wrt", "w", "--vars", "w:, x:", "--by", "backpropagation")
    assert re.search(r"w_bar\s+f_bar\*x\s+3", numbers)
    assert r"\begin{align*}" in run("x'*A*x", "--wrt", "x", "--as", "latex")
    assert "### By indices" in run("x'*A*x", "--wrt", "x", "--as", "markdown")


def test_page_of_the_command_line() -> None:
    pytest.importorskip("latex2mathml")
    page = run("x'*A*x", "--wrt", "x", "--as", "html")
    assert page.startswith("<!doctype html>") and "<math" in page and "<script" not in page


def test_names_of_the_user_are_not_taken() -> None:
    told = tc.explain("dx'*x+x_bar", "x", x="3", dx="3", x_bar="")
    text = told.to_text()
    assert "df = dx:dx_2" in text  # the first is the user's
    assert re.search(r"x_bar_2\s+f_bar\*dx", text)


def test_what_is_done_for_a_symmetric_variable_is_said_in_every_way() -> None:
    told = tc.explain("x'*S*y", "S", S="n n sym")
    for way in ("differentials", "network", "indices", "backpropagation"):
        assert re.search(r"symmetric|declared sym", told[way].to_text()), way
    second = tc.explain("logdet(S)", "S", S="n n spd", order=2, ways="differentials")
    assert "the part symmetric in its axes" in second.to_text()


def test_a_vector_jacobian_product_is_called_so() -> None:
    told = tc.explain("tanh(A*x)", "x", ways="backpropagation")
    assert "x_bar is the derivative of F_bar:F by x" in told.to_text()


@pytest.mark.parametrize("way", ["differentials", "network", "indices", "backpropagation"])
def test_all_entries_independent_in_every_way(way: str) -> None:
    told = tc.explain("x'*S*y", "S", S="n n sym", symmetry="full", ways=way)
    text = told.to_text()
    assert "All entries of S are taken as independent." in text
    assert "/2" not in text and "x*y'" in text

"""Index notation as LaTeX: pinned formulas, well-formed text, an independent reader's numbers."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_latex_reader import LatexEvaluator, Unknown
from index_values import sizes_of, whole
from support import shared_path
from test_latex import mathtext, well_formed

import tensorcalculus as tc
from tensorcalculus.errors import InputError, ParseError, TensorCalculusError
from tensorcalculus.expr.node import Expr, Variable, variables_of, walk
from tensorcalculus.notation.index_latex import entry_latex, index_latex
from tensorcalculus.notation.indices import entry
from tensorcalculus.notation.latex_parts import tex_indices
from tensorcalculus.testing import expressions, values_for

# A formula, declarations, the variables to differentiate by, the LaTeX behind `[.]_{..} =`.
TABLE = [
    ("a'*x", {}, "", r"\sum_{i} a_{i}x_{i}"),
    ("norm2(X*w-y)^2", {}, "", r"\sum_{i} \left(\sum_{j} X_{ij}w_{j}-y_{i}\right)^{2}"),
    ("norm2(X*w-y)^2", {}, "w", r"2\sum_{j} X_{ji}\left(\sum_{k} X_{jk}w_{k}-y_{j}\right)"),
    ("norm2(X*w-y)^2", {}, "ww", r"2\sum_{k} X_{ki}X_{kj}"),
    ("X*Y", {"X": "m n", "Y": "n p"}, "X", r"Y_{lj}\delta_{ik}"),
    ("tr(X'*A*X)", {"X": "m p"}, "XX", r"(A_{ik}+A_{ki})\delta_{jl}"),
    ("tr(X)^2", {}, "X", r"2\delta_{ij}\sum_{k} X_{kk}"),
    ("x'*A*x/2", {}, "", r"\frac{1}{2}\sum_{i,j} A_{ij}x_{i}x_{j}"),
    ("x/2", {}, "", r"\frac{x_{i}}{2}"),
    ("mean(x)", {}, "", r"\frac{1}{m}\sum_{i} x_{i}"),
    ("x/norm2(x)", {}, "", r"\frac{x_{i}}{\sqrt{\sum_{j} x_{j}^{2}}}"),
    ("(x'*A*x)/(x'*x)", {}, "", r"\frac{\sum_{i,j} A_{ij}x_{i}x_{j}}{\sum_{i} x_{i}^{2}}"),
    ("sum(log(1+exp(-y.*(X*w))))", {}, "w",
     r"-\sum_{j} X_{ji}y_{j}\sigma\left(-y_{j}\sum_{k} X_{jk}w_{k}\right)"),
    ("log(sum(exp(x)))", {}, "xx",
     r"s_{i}\delta_{ij}-s_{i}s_{j} \quad\text{where } s_{i} = \operatorname{softmax}(x)_{i}"),
    ("exp(-c^2/(2*s^2))", {"c": "", "s": ""}, "",
     r"\exp\left(-\frac{c^{2}}{2s^{2}}\right)"),
    ("sum(abs(x).^p)^(1/p)", {"p": ""}, "",
     r"\left(\sum_{i} \lvert x_{i}\rvert^{p}\right)^{1/p}"),
    ("a^(b/2)+a^1.5", {"a": "", "b": ""}, "", r"a^{3/2}+a^{b/2}"),
    ("(a'*x)*(b'*y)", {}, "",
     r"\left(\sum_{i} a_{i}x_{i}\right)\left(\sum_{i} b_{i}y_{i}\right)"),
    ("inv(A)", {}, "", r"[A^{-1}]_{ij}"),
    ("inv(X)", {}, "X", r"-S_{ik}S_{lj} \quad\text{where } S_{ij} = [X^{-1}]_{ij}"),
    ("logdet(X)", {}, "", r"\log\lvert\det(X)\rvert"),
    ("expm(X)", {}, "", r"[e^{X}]_{ij}"),
    ("inv(sqrtm(X))", {}, "", r"[(X^{1/2})^{-1}]_{ij}"),
    ("logsumexp(X, axis=-1)", {}, "", r"\operatorname{logsumexp}_{\mathrm{last}}(X)_{i}"),
    ("max(X, axis=1)", {}, "", r"\max_{\mathrm{last}}(X)_{i}"),
    ("max(x,y)", {}, "", r"\max(x_{i}, y_{i})"),
    ("x[1:3]", {"x": "5"}, "", r"[x_{[1:3]}]_{i}"),
    ("x[1:3]", {"x": "5"}, "x",
     r"\operatorname{embed}_{[1:3]}(Z)_{ij} \quad\text{where } "
     r"Z_{ij} = \delta_{ij}\;(0 \leq i < 2, 0 \leq j < 2)"),
    ("prod(x)", {}, "x", r"\operatorname{prod}_{\setminus 1}(x)_{i}"),
    ("spectral(\"exp(t)\",A)", {"A": "n n sym"}, "", 
     r"\left[\left.\exp(t)\right|_{t=A}\right]_{ij}"),
    ("sum(svdvals(X))", {}, "X", r"\operatorname{singular}_{\operatorname{sign}(t)}(X)_{ij}"),
    ("frechet_expm(A,B)", {"A": "n n", "B": "n n"}, "", r"L_{\mathrm{expm}}(A, B)_{ij}"),
    ("lambda_1*W_2*x_ab+z1_bar", {"lambda_1": "", "W_2": "m n", "x_ab": "n", "z1_bar": "m"}, "",
     r"\lambda_{1}\sum_{j} W_{2,ij}x_{\mathrm{ab},j}+\bar{z}_{1,i}"),
]  # fmt: skip


def derived(text: str, shapes: dict, wrt: str) -> Expr:
    f = tc.parse(text, shapes)
    return tc.derivative(f, list(wrt)) if wrt else f


@pytest.mark.parametrize(("text", "shapes", "wrt", "expected"), TABLE)
def test_pinned(text: str, shapes: dict, wrt: str, expected: str) -> None:
    e = derived(text, shapes, wrt)
    left = rf"[\,\cdot\,]_{{{'ijkl'[: e.ndim]}}} = " if e.ndim else ""
    assert e.to_index_latex() == left + expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(k<n: x[k])", r"\sum_{k=0}^{n-1} x_{k}"),
        ("sum(k<5,l: X[k,l])", r"\sum_{l} \sum_{k=0}^{4} X_{kl}"),
        ("sum(k<n+1: 1)", r"\sum_{k=0}^{n} 1"),
        ("sum(k<2*n-1: 1)", r"\sum_{k=0}^{2n-2} 1"),
        ("sum(k<min(m,n1): 1)", r"\sum_{k=0}^{\min(m,n_{1})-1} 1"),
        ("R[i,j] = delta[i,j]/n", r"R_{ij} = \frac{\delta_{ij}}{n}"),
        ("c = 2*x[i1]*T[i,i1]", r"c = 2x_{i_{1}}T_{i,i_{1}}"),
        ("delta*kronecker[i,j]", r"\delta[i=j]"),
        ("δ*delta[i,j]", r"\delta[i=j]"),
        ("delta[i,j]+kronecker[j]", r"\delta_{ij}+\mathrm{kronecker}_{j}"),
        ("a*(b+c)*(d*e)", "a(b+c)(de)"),
        ("(a*sum(i: x[i]))*b", r"\left(a\sum_{i} x_{i}\right)b"),
        ("((x))^((2))", "x^{2}"),
        ("2*3^x", r"2 \cdot 3^{x}"),
        ("(-1)^k*(a^2)^b", "(-1)^{k}(a^{2})^{b}"),
        ("a^(b/2*(c+d))", r"a^{\frac{1}{2}b(c+d)}"),
        ("a-(b-c)", "a-(b-c)"),
        ("+a", "a"),
        ("size(n)*polygamma(1,x)", r"\operatorname{size}(n)\psi^{(1)}(x)"),
        (
            'divided_difference("exp(t)",d,1)[i,j]',
            r"\left[\left(\exp(t)\right)\left[d, d\right]\right]_{ij}",
        ),
        ('slice(X,"0, k:n")[i]', r"[X_{[0,k:n]}]_{i}"),
        ("my_f(x)", r"\operatorname{my\_f}(x)"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert index_latex(text) == expected


def test_pieces_make_the_whole() -> None:
    e = derived("inv(X)", {}, "X")
    letters, body, told = entry(e)
    assert (letters, body, told) == (
        ("i", "j", "k", "l"), "-S[i,k]*S[l,j]", ["S[i,j] = inv(X)[i,j]"],
    )  # fmt: skip
    assert e.to_index() == f"[i,j,k,l] = {body} where {told[0]}"
    found, latex, clauses = entry_latex(e)
    assert found == letters
    assert latex == "-S_{ik}S_{lj}"
    assert clauses == ["S_{ij} = [X^{-1}]_{ij}"]
    assert index_latex(e.to_index()) == e.to_index_latex()
    assert entry(derived("a'*x", {}, ""))[0] == ()


def test_kronecker_where_delta_is_a_variable() -> None:
    e = Variable("delta", ()) * derived("tr(X)", {}, "X")
    assert entry_latex(e)[1] == r"\delta[i=j]"


def test_indices_below_a_name() -> None:
    assert tex_indices("ij") == "ij"
    assert tex_indices(["i", "i1"]) == "i,i_{1}"


@pytest.mark.parametrize(
    ("text", "place"),
    [("", 0), ("a+", 2), ("a*/b", 2), ("(a", 2), ("a)", 1), ("sum(k x[k])", 6), ("a b", 2),
     ("x[i", 3), ("a$b", 1), ('"f"', 0), ('f("f"+1)', 5), ("sum(1: x)", 4), ("f()", 2),
     ("max(x,axis=0)", 11), ("a where", 7)],
)  # fmt: skip
def test_what_is_no_formula_is_refused(text: str, place: int) -> None:
    with pytest.raises(ParseError) as caught:
        index_latex(text)
    assert caught.value.start == place


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
@given(
    st.lists(st.sampled_from([*"ab2[](),:+-*/^<=?", "sum(", "x[i]", "f(", '"t"', " where ", "inv(",
                              "embed(", "slice(", "spectral(", "reshape(", "lower(", "axis=-1"]))
)  # fmt: skip
def test_any_text_is_set_or_refused(parts: list[str]) -> None:
    try:
        latex = index_latex("".join(parts))
    except TensorCalculusError:
        return
    balanced(latex)


# -- well-formed output --------------------------------------------------------------------------

DATA = json.loads(shared_path("cases", "derivatives.json").read_text())


def pair(case: dict) -> tuple[Expr, Expr]:
    """The function of a case and its derivative."""
    f = tc.parse(case["expr"], {k: " ".join(v["shape"]) for k, v in case["vars"].items()})
    wrt = case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"]
    return f, tc.derivative(f, wrt)


def balanced(latex: str) -> None:
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    assert len(re.findall(r"\\left[^a-z]", latex)) == len(re.findall(r"\\right[^a-z]", latex))


def test_cases_are_well_formed() -> None:
    for case in DATA["cases"]:
        for e in pair(case):
            latex = e.to_index_latex()
            balanced(latex)
            well_formed(latex)


@pytest.mark.parametrize("latex", [row[3] for row in TABLE])
def test_mathtext_reads_the_table(latex: str) -> None:
    mathtext(latex)


def test_mathml_knows_every_command() -> None:
    convert = pytest.importorskip("latex2mathml.converter").convert
    latex = [row[3] for row in TABLE] + [e.to_index_latex() for c in DATA["cases"] for e in pair(c)]
    for text in latex:
        assert "\\" not in convert(text), text


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
@given(expressions(max_nodes=8))
def test_random_expressions_are_well_formed(f: Expr) -> None:
    well_formed(f.to_index_latex())
    if f.ndim <= 1 and variables_of(f):
        well_formed(f.jacobian(min(variables_of(f))).to_index_latex())


# -- the same numbers ----------------------------------------------------------------------------


def same_numbers(e: Expr, values: dict[str, Any], sizes: dict[str, int]) -> bool:
    """Compare what a mathematician reads with the expression; False where that is not possible."""
    told = {k: v for k, v in values.items() if k in variables_of(e)}
    shown = {s for v in variables_of(e).values() for d in v.shape for s in d.symbols()}
    free = {s: sizes[s] for s in e._program().free_symbols if s not in shown}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        right = np.asarray(e(**told, **free))
        if right.size > 100 or not np.isfinite(right).all():
            return False
        text = e.to_index_latex()
        try:
            found = LatexEvaluator(told, sizes, whole(sizes)).run(text, right.shape)
        except Unknown:
            return False
    scale = max(1.0, float(np.abs(right).max(initial=0.0)))
    assert np.allclose(found, right, rtol=1e-7, atol=1e-8 * scale), text
    return True


def test_cases_have_the_same_numbers() -> None:
    compared = 0
    for case in DATA["cases"]:
        f, g = pair(case)
        values = values_for(f, sizes={s: 2 + k % 2 for k, s in enumerate(DATA["dims"])})
        sizes = sizes_of(f, values)
        for e in (f, g):
            if sum(1 for _ in walk(e)) < 60:
                compared += same_numbers(e, values, sizes)
    assert compared >= 230


def test_the_table_has_the_same_numbers() -> None:
    compared = 0
    for row in TABLE:
        e = derived(*row[:3])
        values = values_for(e, sizes={"m": 2, "n": 3, "p": 2})
        compared += same_numbers(e, values, sizes_of(e, values))
    assert compared == 23, "the others have signs that the reader does not know"


def test_a_wrong_bracket_is_found() -> None:
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    run = LatexEvaluator({"x": x, "y": y}, {}, whole({})).run
    assert run(r"\left(\sum_{i} x_{i}\right)^{2}", ()) == 9
    assert run(r"\sum_{i} x_{i}^{2}", ()) == 5
    assert run(r"\sum_{i} (x_{i}-y_{i})", ()) == -5
    assert run(r"\frac{1}{2}\sum_{i} x_{i}y_{i}", ()) == 6.5


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=30)
@given(expressions(max_nodes=6))
def test_random_expressions_have_the_same_numbers(f: Expr) -> None:
    try:
        values = values_for(f, sizes={"m": 2, "n": 3, "k": 2})
    except InputError:
        return
    sizes = {"m": 2, "n": 3, "k": 2} | sizes_of(f, values)
    same_numbers(f, values, sizes)
    if f.ndim <= 1 and variables_of(f):
        g = f.jacobian(min(variables_of(f)))
        if sum(1 for _ in walk(g)) < 60:
            same_numbers(g, values, sizes)


# -- length and depth ----------------------------------------------------------------------------


def test_repeated_parts_keep_it_short() -> None:
    x = tc.variables(x="n n")
    for _ in range(30):
        x = np.tanh(x) @ x
    assert len(x.to_index_latex()) < 5000


def test_depth_is_no_limit() -> None:
    x = tc.variables(x="n")
    for _ in range(2000):
        x = np.sin(x) + 1
    assert x.to_index_latex().count(r"\sin(") == 2000
    assert index_latex("(" * 5000 + "a" + ")" * 5000) == "a"

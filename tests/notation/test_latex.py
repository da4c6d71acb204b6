"""LaTeX: pinned forms, well-formed output for random expressions, depth and length."""

from __future__ import annotations

import json
import re
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support import shared_path

import tensorcalculus as tc
from tensorcalculus.expr import build
from tensorcalculus.expr.node import Expr, variables_of
from tensorcalculus.expr.operations import OPERATIONS
from tensorcalculus.notation.latex_parts import tex_name
from tensorcalculus.testing import expressions

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)

# A formula, declarations, the variables to differentiate by, the LaTeX.
TABLE = [
    ("norm2(X*w-y)^2", {}, "w", r"2X^\top(Xw-y)"),
    ("norm2(X*w-y)", {}, "w", r"\frac{X^\top(Xw-y)}{\lVert Xw-y\rVert_2}"),
    ("x'*A*x", {}, "x", r"(A+A^\top)x"),
    ("(x'*A*x)/(x'*x)", {}, "", r"\frac{x^\top Ax}{x^\top x}"),
    ("sum(log(1+exp(-y.*(X*w))))", {}, "w", r"-X^\top(y \odot \sigma(-y \odot (Xw)))"),
    ("log(sum(exp(x)))", {}, "xx",
     r"\operatorname{diag}(s)-ss^\top \quad\text{where } s = \operatorname{softmax}(x)"),
    ("log(det(X))", {}, "", r"\log(\det(X))"),
    ("logdet(X)", {}, "X", r"X^{-\top}"),
    ("tr(inv(X)*A)", {}, "X", r"-X^{-\top}A^\top X^{-\top}"),
    ("norm2(X)", {}, "X", r"\frac{X}{\lVert X\rVert_F}"),
    ("inv(X)'^2", {}, "", r"(X^{-\top})^{2}"),
    ("inv(X)^3", {}, "", r"X^{-3}"),
    ("X'^2", {}, "", r"(X^\top)^{2}"),
    ("pinv(A)'", {}, "", r"(A^{+})^\top"),
    ("x./y", {}, "", r"x \oslash y"),
    ("1./x", {}, "", r"\mathbf{1} \oslash x"),
    ("x.^2", {}, "", r"x^{\odot 2}"),
    ("x.^y", {}, "", r"x^{\odot y}"),
    ("X.^(c+1)", {"c": ""}, "", r"X^{\odot (c+1)}"),
    ("abs(x).*sign(x)", {}, "", r"\lvert x\rvert \odot \operatorname{sign}(x)"),
    ("abs(c/d)", {"c": "", "d": ""}, "", r"\left|\frac{c}{d}\right|"),
    ("floor(c/d)", {"c": "", "d": ""}, "", r"\left\lfloor\frac{c}{d}\right\rfloor"),
    ("sqrt(x)", {}, "", r"\sqrt{x}"),
    ("exp(-c^2/(2*s^2))", {"c": "", "s": ""}, "c",
     r"-\frac{c\exp\left(-\frac{c^{2}}{2s^{2}}\right)}{s^{2}}"),
    ("a^(1/3)+a^-1/2", {"a": ""}, "", r"\frac{1}{2a}+a^{1/3}"),
    ("0.1*c+c/3+1e-7", {"c": ""}, "", r"\frac{13c}{30}+10^{-7}"),
    ("kron(A,B)", {"A": "m n", "B": "p q"}, "", r"A \otimes B"),
    ("outer(x,y)", {}, "", r"xy^\top"),
    ("outer(x,y,x)", {}, "", r"x \circ y \circ x"),
    ("khatrirao(A,B)", {}, "", r"A \ast B"),
    ("hadamard(A,B)", {}, "", r"A \odot B"),
    ("cp(A,B,C)", {}, "", r"[\![A,B,C]\!]"),
    ("tucker(G,A,B,C)", {"G": "p q r"}, "", r"[\![G;A,B,C]\!]"),
    ("tt(A,B,C)", {"B": "p n q"}, "", r"\operatorname{tt}(A, B, C)"),
    ("unfold(T,2)*X", {"T": "m n p"}, "", r"T_{(2)}X"),
    ("norm2(T-cp(A,B,C))^2", {"T": "m n p"}, "A", r"-2(T-[\![A,B,C]\!])_{(1)}(C \ast B)"),
    ("einsum(\"ijk,kl,jl->i\",T,A,B)", {"T": "m n p"}, "",
     r"\left[\sum_{jkl} A_{jk}B_{lk}T_{ilj}\right]_{i}"),
    ("einsum(\"ij,jk->ijk\",A,B)", {}, "", r"[A_{ij}B_{jk}]_{ijk}"),
    ("A*diag(x)*B", {}, "x", r"[A_{ik}B_{kj}]_{ijk}"),
    ("X'", {}, "X", r"[\delta_{il}\delta_{jk}]_{ijkl}"),
    ("exp(X)", {}, "X", r"[\exp(X_{ij})\delta_{ik}\delta_{jl}]_{ijkl}"),
    ("tr(X'*A*X)", {}, "XX",
     r"\operatorname{reshape}_{m \times n \times m \times n}((A+A^\top) \otimes I_{n})"),
    ("A*x", {}, "A", r"I_{m} \circ x"),
    ("diag(x)*A", {}, "", r"\operatorname{diag}(x)A"),
    ("eye(3)+ones(3,3)", {}, "", r"\mathbf{1}+I_{3}"),
    ("x-mean(x)", {}, "", r"x-\operatorname{mean}(x)\mathbf{1}"),
    ("x+c", {"c": ""}, "", r"c\mathbf{1}+x"),
    ("cumsum(x)", {}, "", r"\operatorname{cumsum}(x)"),
    ("revcumsum(x)", {}, "", r"\operatorname{revcumsum}(x)"),
    ("prod(x)", {}, "x", r"\operatorname{prod}_{\setminus 1}(x)"),
    ("x[1:3]+x[::-1][0:2]", {"x": "5"}, "", r"x_{[1:3]}+(x_{[::-1]})_{[:2]}"),
    ("A[0,:]", {}, "", r"A_{[0,:]}"),
    ("vec(A)", {}, "", r"\operatorname{vec}(A)"),
    ("softmax(X*W)", {}, "", r"\operatorname{softmax}(XW)"),
    ("log_softmax(x)", {}, "", r"\log\operatorname{softmax}(x)"),
    ("max(X,axis=1)", {}, "", r"\max_{\mathrm{rows}}(X)"),
    ("max(x,y)", {}, "", r"\max(x, y)"),
    ("logsumexp(x)", {}, "", r"\operatorname{logsumexp}(x)"),
    ("erf(x)", {}, "x", r"\frac{2\operatorname{diag}(\exp(-x^{\odot 2}))}{\sqrt{\pi}}"),
    ("polygamma(1,x)", {}, "", r"\psi^{(1)}(x)"),
    ("xlogy(x,y)", {}, "", r"x\log(y)"),
    ("lgamma(c)^2", {"c": ""}, "", r"(\log\Gamma(c))^{2}"),
    ("arctan2(x,y)", {}, "", r"\operatorname{atan2}(x, y)"),
    ("expm(X)'", {}, "", r"(e^{X})^\top"),
    ("sqrtm(X)", {}, "", r"X^{1/2}"),
    ("logm(X)", {}, "", r"\operatorname{logm}(X)"),
    ("chol(A)*x", {}, "", r"\operatorname{chol}(A)x"),
    ("lower(n,0.5)*x", {}, "", r"\operatorname{lower}(n, \frac{1}{2})x"),
    ("ones(_n,2)", {}, "", r"\mathbf{1}_{\mathrm{\_n} \times 2}"),
    ("sum(svdvals(X))", {}, "X",
     r"U\operatorname{diag}(\operatorname{sign}(s))V^\top "
     r"\quad\text{where } (U,s,V) = \operatorname{svd}(X)"),
    ("eigvalsh(A)", {"A": "n n sym"}, "", r"\lambda(A)"),
    ("spectral(\"exp(t)\",A)", {"A": "n n sym"}, "", r"\left.\exp(t)\right|_{t=A}"),
    ("lambda_1*x1+W_2*x_ab", {"lambda_1": "", "x1": "m", "W_2": "m n", "x_ab": "n"}, "",
     r"W_{2}x_{\mathrm{ab}}+\lambda_{1}x_{1}"),
    ("θ*mu", {"θ": "", "mu": ""}, "", r"\mu\theta"),
    ("alpha*beta*x", {"alpha": "", "beta": ""}, "", r"\alpha\beta x"),
    ("dX*w", {"dX": "m n"}, "", r"\mathrm{d}Xw"),
    ("rate*time", {"rate": "", "time": ""}, "", r"\mathrm{rate}\,\mathrm{time}"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shapes", "wrt", "expected"), TABLE)
def test_pinned(text: str, shapes: dict, wrt: str, expected: str) -> None:
    f = tc.parse(text, shapes)
    e = tc.derivative(f, list(wrt)) if wrt else f
    assert e.to_latex() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x", "x"), ("x1", "x_{1}"), ("W_2", "W_{2}"), ("x_ab", r"x_{\mathrm{ab}}"),
        ("a_1_2", "a_{1,2}"), ("lambda", r"\lambda"), ("λ", r"\lambda"), ("Sigma2", r"\Sigma_{2}"),
        ("rate", r"\mathrm{rate}"), ("dx", r"\mathrm{d}x"), ("dX_1", r"\mathrm{d}X_{1}"),
        ("dtheta", r"\mathrm{d}\theta"), ("z_bar", r"\bar{z}"), ("z1_bar", r"\bar{z}_{1}"),
        ("W_2_hat", r"\hat{W}_{2}"), ("theta_tilde", r"\tilde{\theta}"), ("x_dot", r"\dot{x}"),
        ("z_bar_dot", r"\dot{\bar{z}}"), ("rate_bar", r"\overline{\mathrm{rate}}"),
        ("x_ab_hat", r"\hat{x}_{\mathrm{ab}}"), ("bar", r"\mathrm{bar}"),
        ("_bar", r"\mathrm{\_bar}"),
        ("dX_bar", r"\overline{\mathrm{d}X}"), ("x_bar_1", r"x_{\mathrm{bar},1}"),
        ("_x", r"\mathrm{\_x}"), ("x__y", r"\mathrm{x\_\_y}"),
    ],
)  # fmt: skip
def test_names(name: str, expected: str) -> None:
    assert tex_name(name) == expected


# -- well-formed output --------------------------------------------------------------------------

PIECE = re.compile(r"\\left.|\\right.|\\[a-zA-Z]+|\\.|[^\\]")


def well_formed(latex: str) -> None:
    """Braces and sized delimiters match; nothing has two subscripts or two superscripts."""
    stack: list[tuple[str, set[str]]] = []
    scripts: set[str] = set()  # of the symbol that stands before
    held = ""
    for piece in PIECE.findall(latex):
        if piece in ("_", "^"):
            assert piece not in scripts, f"two {piece} on one symbol: {latex}"
            scripts = scripts | {piece}
            held = piece
        elif piece == "{" or piece.startswith(r"\left"):
            stack.append((piece[:5], scripts if held else set()))
            scripts, held = set(), ""
        elif piece == "}" or piece.startswith(r"\right"):
            assert stack, f"{piece} without a beginning: {latex}"
            opened, scripts = stack.pop()
            assert (opened == "{") == (piece == "}"), f"{opened} ends with {piece}: {latex}"
        elif held:
            held = ""  # a script of one symbol
        elif not piece.isspace():
            scripts = set()
    assert not stack, f"{stack[-1][0]} has no end: {latex}"


def test_the_check_itself() -> None:
    well_formed(r"\left(x_{1}^{2}\right)_{ij}^\top A^\top_{k}")
    for wrong in (r"x_{1}_{2}", r"x_1^2_3", r"{x", r"\left(x)", r"x}", r"X^\top^2"):
        with pytest.raises(AssertionError):
            well_formed(wrong)


def all_cases() -> list[Expr]:
    data = json.loads(shared_path("cases", "derivatives.json").read_text())
    found = []
    for case in data["cases"]:
        f = tc.parse(case["expr"], {k: " ".join(v["shape"]) for k, v in case["vars"].items()})
        wrt = case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"]
        found += [f, tc.derivative(f, wrt)]
    return found


def test_cases_are_well_formed() -> None:
    for e in all_cases():
        well_formed(e.to_latex())


@RELAXED
@given(expressions(max_nodes=8))
def test_random_expressions_are_well_formed(f: Expr) -> None:
    well_formed(f.to_latex())
    if f.ndim <= 1 and variables_of(f):
        well_formed(f.jacobian(min(variables_of(f))).to_latex())


def mathtext(latex: str) -> None:
    """Parse with matplotlib's mathtext, which knows all but a few of the signs."""
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib.mathtext import MathTextParser

    known = re.sub(r"\\[lr]([vV])ert", lambda m: r"\|" if m[1] == "V" else "|", latex)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MathTextParser("agg").parse(f"${known}$")


@pytest.mark.parametrize("latex", [row[3] for row in TABLE])
def test_mathtext_reads_the_table(latex: str) -> None:
    mathtext(latex)


def test_mathtext_reads_the_cases() -> None:
    for e in all_cases():
        mathtext(e.to_latex())


def test_every_operation_has_a_template() -> None:
    for row in OPERATIONS.values():
        well_formed(row.latex.replace("{{", "{").replace("}}", "}").replace("{}", "{x}"))


# -- length and depth ----------------------------------------------------------------------------


def test_repeated_parts_keep_it_short() -> None:
    x = tc.variables(x="n n")
    for _ in range(30):
        x = np.tanh(x) @ x
    assert len(x.to_latex()) < 3000


def test_depth_is_no_limit() -> None:
    x = tc.variables(x="n")
    for _ in range(3000):
        x = np.sin(x) + 1
    assert x.to_latex().count(r"\sin(") == 3000


def test_nested_sums_over_indices() -> None:
    T, x, V = tc.variables(T="n n n", x="n", V="n n")
    e = T
    for _ in range(200):
        e = build.einsum("ijk,k,jl->ijl", np.exp(e), x, np.sin(V))
    latex = e.to_latex()
    well_formed(latex)
    assert len(latex) < 20_000


def test_jupyter_shows_it() -> None:
    x = tc.variables(x="n")
    assert (2 * x)._repr_latex_() == r"$\displaystyle 2x$"

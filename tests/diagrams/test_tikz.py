"""TikZ of drawings: the same places as in the SVG, nothing left out, names that LaTeX can read."""

from __future__ import annotations

import re

import pytest

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.diagrams import Diagram, diagram, graph_of

DRAWN = {
    "network": lambda: tn.mps_mpo_sandwich(4).draw(),
    "derivative": lambda: tn.tt(4).derivative("G2").draw(),
    "frames": lambda: tc.parse("W2*tanh(W1*x+b)+inv(A+B)*x").draw(),
    "letters": lambda: tc.parse("sum(log(1+exp(-y.*(X*w))))").hessian("w").draw(2),
}


def balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def numbers(text: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("name", DRAWN)
def test_all_is_there_at_its_place(name: str) -> None:
    d: Diagram = DRAWN[name]()
    lines = d.to_tikz().splitlines()
    assert lines[0].startswith(r"\begin{tikzpicture}") and lines[-1] == r"\end{tikzpicture}"
    assert all(balanced(line) and line.isascii() for line in lines)
    strokes = [x for x in lines if " -- " in x]
    for line, stroke in zip(strokes, d.piece.strokes, strict=True):
        path = numbers(line.split(" ", 1)[1].replace(" -- ", " "))
        flat = [c for p in stroke.points for c in p]
        assert path == pytest.approx(flat, abs=0.006, rel=1e-4)
        assert ("tcmark" in line) == stroke.marked
    assert sum("circle[" in x or "rectangle" in x for x in lines) == len(d.piece.shapes)
    texts = [x for x in lines if x.startswith(r"\node")]
    for line, text in zip(texts, d.piece.texts, strict=True):
        assert numbers(line.split(" at ")[1])[:2] == pytest.approx(text.at, abs=0.006, rel=1e-4)
    # Plain TikZ: no styles or nodes of a library.
    assert not re.search(r"\\usetikzlibrary|\\graph|label=|pic\b", d.to_tikz())


def test_names_are_escaped() -> None:
    names = ["a_b", "50%", "x^2", "{y}", "c&d", "#1", "$", "~", "\\input", "<z>", "λ", 'q"']
    cores = [(n, [f"i{k}", f"i{k + 1}"], False) for k, n in enumerate(names)]
    text = diagram([graph_of(cores, ["i0"])], "title").to_tikz()
    assert balanced(text) and text.isascii()
    for shown in (r"{a\_b}", r"{50\%}", r"\{y\}", r"{c\&d}", r"{\#1}", r"{\$}", r"$\lambda$",
                  r"\textbackslash{}input", "$<$z$>$", r"x\textasciicircum{}2"):  # fmt: skip
        assert shown in text
    assert "\\input" not in text


def test_a_document_of_its_own(tmp_path) -> None:
    d = tc.parse("A*x").draw()
    path = d.save(tmp_path / "product.tex")
    text = path.read_text(encoding="utf-8")
    assert text == d.to_tikz(standalone=True)
    assert text.startswith(r"\documentclass[tikz") and d.to_tikz() in text
    assert text.rstrip().endswith(r"\end{document}")

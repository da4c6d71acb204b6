"""LaTeX as MathML: nothing is lost, nothing is left over, and MathML Core is enough to show it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("latex2mathml")

from test_latex import TABLE, all_cases

import tensorcalculus as tc
from tensorcalculus.notation.mathml import to_mathml

SPACE = "{http://www.w3.org/1998/Math/MathML}"
CORE = {"math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "msub", "msup",
        "msubsup", "munder"}  # fmt: skip


def parsed(latex: str) -> ElementTree.Element:
    return ElementTree.fromstring(to_mathml(latex))


def texts(latex: str) -> list[tuple[str, str]]:
    """Names and texts of all elements that hold text."""
    return [(e.tag.removeprefix(SPACE), e.text or "") for e in parsed(latex).iter() if not len(e)]


def letters(latex: str) -> str:
    """What a formula shows, but for signs: its letters and digits in order."""
    plain = re.sub(r"\\(operatorname|mathrm|mathbf|text|frac|left|right|sqrt|quad)\b", "", latex)
    plain = plain.replace(r"\log\Gamma", "log")
    signs = r"top|odot|oslash|otimes|circ|ast|times|lVert|rVert|lvert|rvert|setminus|sum|[lr]floor"
    plain = re.sub(rf"\\({signs})(?![a-z])", "", plain)
    plain = re.sub(r"\\[a-zA-Z]+", lambda m: m[0][1:] if m[0] in _FUNCTIONS else "", plain)
    return re.sub(r"[^a-zA-Z0-9]", "", plain)


_FUNCTIONS = {rf"\{f}" for f in ["log", "exp", "det", "max", "min", "tanh", "sin", "cos"]}


def shown(latex: str) -> str:
    text = "".join(text for _, text in texts(latex))
    text = "".join(chr(ord("0") + ord(c) - 0x1D7CE) if 0x1D7CE <= ord(c) < 0x1D7D8 else c
                   for c in text)  # fmt: skip
    return re.sub(r"[^a-zA-Z0-9]", "", text)


def all_formulas() -> list[str]:
    return list(dict.fromkeys([row[3] for row in TABLE] + [e.to_latex() for e in all_cases()]))


def test_all_formulas_are_shown_whole() -> None:
    for latex in all_formulas():
        assert shown(latex) == letters(latex), latex


def test_all_formulas_need_core_only() -> None:
    for latex in all_formulas():
        for element in parsed(latex).iter():
            tag = element.tag.removeprefix(SPACE)
            assert tag in CORE, (tag, latex)
            assert element.get("mathvariant") in (None, "normal"), latex
            text = element.text or ""
            assert "\\" not in text and "&" not in text, latex
            assert tag != "mo" or not text.isalpha(), latex  # space would stand around it
            if text in ("|", "‖"):
                assert element.get("form") in ("prefix", "postfix"), latex


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"c\mathbf{1}+x", [("mi", "c"), ("mn", "𝟏"), ("mo", "+"), ("mi", "x")]),
        (r"\mathrm{d}X", [("mi", "d"), ("mi", "X")]),
        (r"\mathrm{rate}\,d", [("mi", "rate"), ("mspace", ""), ("mi", "d")]),
        (r"\operatorname{atan2}(x)", [("mi", "atan2"), ("mo", "("), ("mi", "x"), ("mo", ")")]),
        (r"x\log(y)", [("mi", "x"), ("mspace", ""), ("mi", "log"), ("mo", "("), ("mi", "y"),
                       ("mo", ")")]),
        (r"\log(\det(X))", [("mi", "log"), ("mo", "("), ("mi", "det"), ("mo", "("), ("mi", "X"),
                            ("mo", ")"), ("mo", ")")]),
        (r"\mathrm{\_x}", [("mi", "_x")]),
    ],
)  # fmt: skip
def test_pieces(latex: str, expected: list[tuple[str, str]]) -> None:
    assert texts(latex) == expected


def test_upright_letters_are_told_from_names() -> None:
    differential, name = parsed(r"\mathrm{d}d").iter(f"{SPACE}mi")
    assert differential.get("mathvariant") == "normal" and name.get("mathvariant") is None


def test_signs_of_terms_have_no_space_behind() -> None:
    inside = [e for e in parsed(r"\exp(-x-y)").iter(f"{SPACE}mo") if e.text == "−"]
    assert [e.get("form") for e in inside] == ["prefix", None]


def test_what_is_no_formula_is_text() -> None:
    made = to_mathml(r"\text{<script>alert(1)</script>}")
    assert "<script" not in made and "&lt;script&gt;" in made
    assert 'display="block"' in to_mathml("x", display=True)


def test_expressions_have_it() -> None:
    f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
    assert f.to_mathml(display=True) == to_mathml(f.to_latex(), display=True)


def test_formulas_in_lines() -> None:
    table = parsed(r"\begin{array}{l} \displaystyle a+b \\ \displaystyle \quad {}-c \end{array}")
    cells = list(table.iter(f"{SPACE}mtd"))
    assert ["".join(c.itertext()) for c in cells] == ["a+b", "−c"]
    assert all(c.get("style") == "text-align:left" for c in cells)
    for e in all_cases():
        latex = (e._repr_latex_() or "$x$").strip("$")
        made = parsed(latex)
        assert "\\" not in "".join(made.itertext()) and "&" not in "".join(made.itertext())

"""LaTeX of formulas as MathML, which browsers show without a program; by latex2mathml, mended."""

from __future__ import annotations

import re
from html import unescape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_THIN = "0.167em"
_SIZED = re.compile(r"(?<!\\left)\\l([vV])ert|(?<!\\right)\\r([vV])ert")
_WORD = re.compile(r"\\(?:operatorname|mathrm)\{((?:[^{}\\]|\\_){2,})\}")
_UPRIGHT = re.compile(r"&#x000([46][1-9A-F]|[57][0-9A]);")
"""How latex2mathml writes a single upright letter."""
_SIGNS = {"\u29f5": "\u2216"}
"""Signs that few fonts have, and the same ones that many have."""
_TERM_SIGNS = ("\u2212", "-", "+")
_BEGINNINGS = ("(", "[", ",", ";", "=", "\u27e8")


def is_available() -> bool:
    """Whether latex2mathml is installed."""
    return find_spec("latex2mathml") is not None


def to_mathml(latex: str, display: bool = False) -> str:
    """What :meth:`Expr.to_latex` gives, as one ``math`` element.

    Browsers show MathML Core, which has no bold letters by attribute, takes bars for signs between
    two terms, and sets space around names of functions.  latex2mathml writes these in the ways of
    older MathML; here they are spelled so that all browsers set them as TeX does.

    Parameters
    ----------
    latex
        LaTeX of this library, without dollar signs.
    display
        Whether the formula stands in a line of its own.

    Raises
    ------
    ImportError
        latex2mathml is not installed.

    Examples
    --------
    >>> from tensorcalculus.notation.mathml import to_mathml
    >>> to_mathml(r"2\\operatorname{diag}(x)").count("<mi>diag</mi>")
    1
    """
    try:
        from latex2mathml.converter import convert_to_element
    except ImportError:
        raise ImportError(
            "MathML needs latex2mathml, which is not installed: pip install latex2mathml; "
            "to_latex() needs nothing"
        ) from None
    root: Any = convert_to_element(_prepared(latex), display="block" if display else "inline")
    for element in root.iter():
        _mend(element)
    for element in list(root.iter()):
        _row(element)
    return ElementTree.tostring(root, encoding="unicode")


def _prepared(latex: str) -> str:
    """Bars that know their side; words as words, which may hold digits."""
    sized = _SIZED.sub(lambda m: (r"\left" if m[1] else r"\right") + m[0], latex)
    return _WORD.sub(lambda m: rf"\text{{{m[1].replace(chr(92), '')}}}", sized)


def _mend(element: Element) -> None:
    text = element.text or ""
    upright = _UPRIGHT.fullmatch(text)
    element.text = text = unescape(text)
    if upright and element.tag == "mi":
        element.set("mathvariant", "normal")
    if element.tag == "mtext" and re.fullmatch(r"[\w]+", text):
        element.tag = "mi"
    if element.tag == "mo" and text.isalpha() and len(text) > 1:
        element.tag = "mi"
        element.attrib.clear()
    if element.tag == "mtd" and "columnalign" in element.attrib:
        element.set("style", f"text-align:{element.attrib.pop('columnalign')}")
    if element.get("mathvariant") == "bold":
        element.text = "".join(map(_bold, text))
        del element.attrib["mathvariant"]
    if element.tag == "mi" and len(text) == 1 and "Α" <= text <= "Ω":
        element.set("mathvariant", "normal")  # capital Greek letters are upright in TeX
    element.text = _SIGNS.get(text, element.text)
    if element.tag == "msub" and element[0].text in ("\u2211", "&#x02211;"):
        element.tag = "munder"  # beside the sign within a line, below it in a line of its own
    if element.tag in ("msub", "msup", "msubsup"):
        for script in list(element)[1:]:
            # A sign alone in a script has nothing between which it stands.
            for sign in script.iter("mo"):
                sign.set("lspace", "0em")
                sign.set("rspace", "0em")


def _bold(letter: str) -> str:
    """The bold letter or digit of Unicode; MathML Core knows no other."""
    for first, last, bold in (("0", "9", 0x1D7CE), ("A", "Z", 0x1D400), ("a", "z", 0x1D41A)):
        if first <= letter <= last:
            return chr(bold + ord(letter) - ord(first))
    return letter


def _row(row: Element) -> None:
    """Thin spaces between a word and what stands beside it, and none behind a sign of a term."""
    if row.tag not in ("mrow", "math", "mtd", "mstyle", "msqrt"):
        return
    for part in list(row):
        if part.tag == "mo" and not part.text and part.get("fence"):
            row.remove(part)  # the invisible side of a pair
    parts, before = list(row), None
    place = 0
    for part in parts:
        if part.tag == "mo" and part.text in _TERM_SIGNS and _begins(before):
            part.set("form", "prefix")
            part.set("rspace", "0em")
        elif before is not None and _apart(before, part):
            row.insert(place, ElementTree.Element("mspace", {"width": _THIN}))
            place += 1
        before = part
        place += 1


def _begins(before: Element | None) -> bool:
    """Whether a term begins here, so that a minus is its sign."""
    return before is None or (before.tag == "mo" and before.text in _BEGINNINGS)


def _apart(left: Element, right: Element) -> bool:
    if _is_word(left):
        return right.tag not in ("mspace", "mo") and not _opens(right)
    closes = left.tag == "mo" and left.text in (")", "]")
    return _is_word(right) and (closes or left.tag not in ("mspace", "mo", "mtext"))


def _is_word(element: Element) -> bool:
    head = element
    while head.tag in ("msub", "msup", "msubsup", "munder") and len(head):
        head = head[0]
    return head.tag == "mi" and len(head.text or "") > 1 and (head.text or "").isalnum()


def _opens(element: Element) -> bool:
    head = element
    while len(head) and head.tag in ("mrow", "msub", "msup", "msubsup"):
        head = head[0]
    return (head.text or "") in ("(", "[")

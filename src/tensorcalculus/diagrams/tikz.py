"""Drawings as plain TikZ, at the places and sizes of the SVG."""

from __future__ import annotations

from tensorcalculus.diagrams.piece import Piece, Shape, Stroke, Text

_POINTS = 0.75
"""Points of TeX's ``bp`` size in a pixel."""
_SIZES = {"name": 9.75, "sign": 9.75, "axis": 6.0}
_LABEL = 8.25
_STYLES = {
    "tensor": "fill=.!10",
    "deleted": "draw=tcmark,dashed",
    "map": "draw=.!60,line width=0.6pt,fill=.!4",
    "operation": "line width=0.6pt,fill=.!4",
    "copy": "fill",
    "end": "draw=tcmark",
}
_SPECIAL = {
    **{c: f"\\{c}" for c in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': r"{\char34}",
    "−": "$-$",
    "∂": r"$\partial$",
    "·": r"$\cdot$",
    "…": r"\dots{}",
    "²": "$^2$",
    "⁻": "$^-$",
}
_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma
sigma tau upsilon phi chi psi omega
"""
_GREEK = _NAMES.split()
"""In the order of Unicode, from α on."""


def to_tikz(piece: Piece, *, standalone: bool = False) -> str:
    """A ``tikzpicture`` of a piece; names are escaped."""
    frames = [s for s in piece.shapes if s.kind in ("map", "operation")]
    others = [s for s in piece.shapes if s.kind not in ("map", "operation")]
    lines = [
        r"\begin{tikzpicture}[x=0.75pt,y=-0.75pt,line width=0.8pt]",
        r"\definecolor{tcmark}{HTML}{E8590C}",
        *map(_shape, frames),
        *map(_stroke, piece.strokes),
        *map(_shape, others),
        *map(_text, piece.texts),
        r"\end{tikzpicture}",
    ]
    text = "\n".join(lines) + "\n"
    if standalone:
        head = "\\documentclass[tikz,border=4pt]{standalone}\n"
        text = f"{head}\\begin{{document}}\n{text}\\end{{document}}\n"
    return text


def _stroke(line: Stroke) -> str:
    style = "[tcmark]" if line.marked else ""
    return f"\\draw{style} {' -- '.join(_at(*p) for p in line.points)};"


def _shape(shape: Shape) -> str:
    left, top, right, bottom = shape.box
    style = _STYLES[shape.kind]
    if shape.chosen:
        style = "draw=tcmark,line width=1.6pt,fill=tcmark!20"
    if shape.kind in ("copy", "end"):
        middle = _at((left + right) / 2, (top + bottom) / 2)
        radius = _number((right - left) / 2 * _POINTS)
        return f"\\draw[{style}] {middle} circle[radius={radius}pt];"
    corner = {"map": 10.0, "operation": 2.0}.get(shape.kind, (bottom - top) / 2 - 0.1)
    rounded = f"rounded corners={_number(corner * _POINTS)}pt"
    return f"\\draw[{style},{rounded}] {_at(left, top)} rectangle {_at(right, bottom)};"


def _text(text: Text) -> str:
    size = _number(_SIZES.get(text.kind, _LABEL))
    colour = ",tcmark" if text.marked else ""
    font = f"\\fontsize{{{size}}}{{{size}}}\\selectfont"
    slanted = "\\itshape" if text.kind == "title" else ""
    options = f"inner sep=0pt{colour},font={font}{slanted}"
    return f"\\node[{options}] at {_at(*text.at)} {{{escaped(text.text)}}};"


def escaped(text: str) -> str:
    """A text that LaTeX sets as it is."""
    return "".join(_letter(c) for c in text)


def _letter(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if "α" <= c <= "ω":
        name = _GREEK[ord(c) - ord("α")]
        return "o" if name == "omicron" else f"$\\{name}$"
    return c if c.isprintable() else " "


def _at(x: float, y: float) -> str:
    return f"({_number(x)},{_number(y)})"


def _number(x: float) -> str:
    return f"{round(x, 2) + 0.0:g}"

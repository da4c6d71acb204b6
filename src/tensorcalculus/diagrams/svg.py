"""Drawings as SVG text, in the colour of the text around them."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from tensorcalculus.diagrams.piece import Piece, Shape, Stroke, Text

_MARK = "#e8590c"
"""The colour of what a derivative has taken out or opened, which is told from black and white."""
_STYLE = (
    "text{fill:currentColor;font:11px sans-serif;text-anchor:middle;dominant-baseline:central}"
    ".name,.sign{font-size:13px}.axis{font-size:8px;opacity:.75}.title{font-style:italic}"
    "path,rect,circle{stroke:currentColor;stroke-width:1.4;fill:none}"
    ".tensor{fill:currentColor;fill-opacity:.1}.copy{fill:currentColor}"
    ".map{stroke-width:1;stroke-opacity:.6;fill:currentColor;fill-opacity:.04}"
    ".operation{stroke-width:1;fill:currentColor;fill-opacity:.04}"
    f".deleted{{stroke:{_MARK};stroke-dasharray:4 3}}.marked,.end{{stroke:{_MARK}}}"
    f".chosen{{stroke:{_MARK};stroke-width:2.4;fill:{_MARK};fill-opacity:.2}}"
    ".gone{fill:" + _MARK + "}"
    # As a page of its own there is no text around it.
    "@media (prefers-color-scheme:dark){svg:root{color:#e6e6e6}}"
)


def to_svg(piece: Piece, size: tuple[float, float], title: str) -> str:
    """The SVG text of a piece; all that a user named is escaped."""
    width, height = map(_number, size)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" class="tensorcalculus">'
        f"<title>{_escaped(title)}</title><style>{style()}</style>"
    )
    body = [
        *(_frame(s) for s in piece.shapes if s.kind in ("map", "operation")),
        *map(_stroke, piece.strokes),
        *(_shape(s) for s in piece.shapes if s.kind not in ("map", "operation")),
        *map(_text, piece.texts),
    ]
    return head + "\n".join(body) + "</svg>\n"


def _escaped(text: str) -> str:
    # Control characters are no XML at all.
    return escape("".join(c if c >= " " else " " for c in text))


def _stroke(line: Stroke) -> str:
    spelled = " ".join(f"{_number(x)},{_number(y)}" for x, y in line.points)
    kind = line.kind + (" marked" if line.marked else "")
    title = f"<title>{_escaped(line.title)}</title>" if line.title else ""
    return f'<path class={quoteattr(kind)} d="M{spelled}">{title}</path>'


def _shape(shape: Shape) -> str:
    left, top, right, bottom = shape.box
    title = f"<title>{_escaped(shape.title)}</title>" if shape.title else ""
    kind = shape.kind + (" chosen" if shape.chosen else "")
    if shape.kind in ("copy", "end"):
        at = f'cx="{_number((left + right) / 2)}" cy="{_number((top + bottom) / 2)}"'
        return f'<circle class="{kind}" {at} r="{_number((right - left) / 2)}">{title}</circle>'
    return _rectangle(kind, shape, (bottom - top) / 2, title)


def _frame(shape: Shape) -> str:
    title = f"<title>{_escaped(shape.title)}</title>" if shape.title else ""
    return _rectangle(shape.kind, shape, 10 if shape.kind == "map" else 2, title)


def _rectangle(kind: str, shape: Shape, radius: float, title: str) -> str:
    left, top, right, bottom = shape.box
    size = f'width="{_number(right - left)}" height="{_number(bottom - top)}"'
    at = f'x="{_number(left)}" y="{_number(top)}"'
    return f'<rect class="{kind}" {at} {size} rx="{_number(radius)}">{title}</rect>'


def _text(text: Text) -> str:
    x, y = text.at
    kind = text.kind + (" gone" if text.marked else "")
    return f'<text class="{kind}" x="{_number(x)}" y="{_number(y)}">{_escaped(text.text)}</text>'


def style() -> str:
    """The style that every drawing carries, for this kind of drawing alone wherever it stands."""
    rules = _STYLE.split("}")
    made = []
    for rule in rules:
        selectors, brace, body = rule.partition("{")
        if not brace or selectors.startswith("@"):
            made.append(rule)
            continue
        named = ",".join(f".tensorcalculus {s}" for s in selectors.split(","))
        made.append(f"{named}{brace}{body}")
    return "}".join(made)


def _number(x: float) -> str:
    return f"{x:.1f}".removesuffix(".0").replace("-0.0", "0")

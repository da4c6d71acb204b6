"""Pictures one below the other, and the diagram that comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tensorcalculus.diagrams.drawing import side_by_side
from tensorcalculus.diagrams.graph import Graph, Row, Term
from tensorcalculus.diagrams.layout import Layout
from tensorcalculus.diagrams.piece import Box, Piece, Text, text_width
from tensorcalculus.errors import InputError

_MARGIN, _BETWEEN = 8.0, 18.0


@dataclass(frozen=True)
class Diagram:
    """A drawing: its SVG text, and what was drawn where.

    Lines have the colour of the text around them.  Notebooks show it; :meth:`save` writes a file,
    :meth:`to_tikz` gives it to LaTeX.
    """

    title: str
    rows: tuple[Row, ...]
    graphs: tuple[Graph, ...]
    layouts: tuple[Layout, ...]
    boxes: tuple[tuple[Box, ...], ...]
    """For each graph the boxes of its nodes, in pixels."""
    size: tuple[float, float]
    """Width and height, in pixels."""
    piece: Piece
    """Boxes, lines and texts."""

    @cached_property
    def svg(self) -> str:
        """The SVG text; it refers to nothing outside of it."""
        from tensorcalculus.diagrams.svg import to_svg

        return to_svg(self.piece, self.size, self.title)

    def to_tikz(self, *, standalone: bool = False) -> str:
        """A ``tikzpicture`` with the same places, for LaTeX.

        It needs the package ``tikz`` and none of its libraries, and takes the colour of the text.

        Parameters
        ----------
        standalone
            Give a whole document, to be run by ``pdflatex``, ``lualatex`` or ``xelatex``.
            Letters that are not ASCII need one of the last two.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> text = tc.parse("A*x").draw().to_tikz()
        >>> print(text.splitlines()[0])
        \\begin{tikzpicture}[x=0.75pt,y=-0.75pt,line width=0.8pt]
        """
        from tensorcalculus.diagrams.tikz import to_tikz

        return to_tikz(self.piece, standalone=standalone)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # As part of the page, not as an image, it has the colours of the page.
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write the drawing to a file: SVG to ``.svg``, a LaTeX document to ``.tex``.

        Raises InputError for a name with any other ending.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in (".svg", ".tex"):
            raise InputError(
                f"save: {path.name!r} is given; a name that ends in '.svg' or '.tex' is expected"
            )
        text = self.svg if kind == ".svg" else self.to_tikz(standalone=True)
        path.write_text(text, encoding="utf-8")
        return path

    def __repr__(self) -> str:
        tensors = sum(n.kind == "tensor" for g in self.graphs for n in g.nodes)
        kinds = ", ".join(dict.fromkeys(k for made in self.layouts for k in made.kinds))
        return f"<diagram of {tensors} tensors: {kinds or 'a number'}; .svg, .save(path)>"


def diagram(graphs: Sequence[Graph], title: str = "") -> Diagram:
    """A drawing of the terms of a sum, side by side where they are short."""
    terms = tuple(Term(g, "+" if k else "") for k, g in enumerate(graphs))
    return sheet([Row(terms)], title)


def sheet(rows: Sequence[Row], title: str = "") -> Diagram:
    """A drawing of rows, one below the other."""
    whole = Piece()
    top = _MARGIN
    for row in rows:
        piece = side_by_side(row.picture)
        left, above, _, below = piece.extent()
        indent = _MARGIN
        if row.heading:
            width = text_width("heading", row.heading)
            if row.heading.endswith(":"):
                whole.add(Text("heading", (_MARGIN + width / 2, top + 7), row.heading))
                top += 22
            else:
                middle = top - above
                whole.add(Text("heading", (_MARGIN + width / 2, middle), row.heading))
                indent += width + 10
        whole.absorb(piece.moved(indent - left, top - above))
        top += below - above + _BETWEEN
    extent = whole.extent()
    size = (round(extent[2] + _MARGIN, 1), round(extent[3] + _MARGIN, 1))
    parts = whole.drawn
    return Diagram(
        title,
        tuple(rows),
        tuple(d.graph for d in parts),
        tuple(d.layout for d in parts),
        tuple(d.boxes for d in parts),
        size,
        whole,
    )

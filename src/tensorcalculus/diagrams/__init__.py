"""Diagrams of tensor networks as SVG and TikZ, made without any other program.

What is drawn (``graph``), where it stands (``layout``), boxes, lines and labels (``drawing`` and
``sheet``, made of a ``piece``) and how they are written (``svg``, ``tikz``) are apart, so that
another source of graphs or another way of writing them is one more module.
"""

from __future__ import annotations

from tensorcalculus.diagrams.graph import (
    Edge,
    Graph,
    Label,
    Leg,
    Node,
    Open,
    Picture,
    Row,
    Term,
    graph_of,
    joined,
)
from tensorcalculus.diagrams.layout import Layout, layout
from tensorcalculus.diagrams.sheet import Diagram, diagram, sheet

__all__ = [
    "Diagram",
    "Edge",
    "Graph",
    "Label",
    "Layout",
    "Leg",
    "Node",
    "Open",
    "Picture",
    "Row",
    "Term",
    "diagram",
    "graph_of",
    "joined",
    "layout",
    "sheet",
]

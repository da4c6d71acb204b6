"""Diagrams of tensor networks as SVG, made without any other program.

What is drawn (``graph``), where it stands (``layout``) and how it is written (``svg``) are apart,
so that another source of graphs or another way of writing them is one more module.
"""

from __future__ import annotations

from tensorcalculus.diagrams.graph import Graph, graph_of
from tensorcalculus.diagrams.layout import Layout, layout
from tensorcalculus.diagrams.svg import Diagram, diagram

__all__ = ["Diagram", "Graph", "Layout", "diagram", "graph_of", "layout"]

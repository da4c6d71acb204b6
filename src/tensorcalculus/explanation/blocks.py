"""What an explanation is made of: formulas, lines with their rules, tables, pictures, words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorcalculus.explanation.formulas import Formula
from tensorcalculus.explanation.rules import Rule

if TYPE_CHECKING:
    from tensorcalculus.diagrams import Diagram


@dataclass(frozen=True)
class Line:
    """``left = right``, and the rules that lead to it."""

    left: Formula
    right: Formula
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Note:
    """A sentence."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head; a cell is a formula, or a text such as a number."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A diagram with what is to be seen in it."""

    diagram: Diagram
    caption: str


Cell = Formula | str
Block = Line | Note | Table | Picture


@dataclass(frozen=True)
class Way:
    """One way to the derivative: its name, a title and the blocks in order."""

    name: str
    title: str
    blocks: tuple[Block, ...]

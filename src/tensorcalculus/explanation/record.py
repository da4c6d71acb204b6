"""An explanation: the ways to a derivative, shown as text, LaTeX, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorcalculus.explanation.blocks import Way
from tensorcalculus.expr.node import Expr


@dataclass(frozen=True, repr=False)
class Explanation:
    """How a derivative comes about, step by step, in several ways.

    Attributes
    ----------
    function
        The function.
    wrt
        The names of the variables that it is derived by.
    derivatives
        The derivatives, one for each name; for a second derivative that one alone.
    ways
        By name: ``differentials``, ``network``, ``indices``, ``backpropagation``.
    """

    function: Expr
    wrt: tuple[str, ...]
    derivatives: tuple[Expr, ...]
    ways: tuple[Way, ...]

    def __getitem__(self, name: str) -> Explanation:
        """One way alone: ``explanation["indices"]``."""
        found = tuple(w for w in self.ways if w.name == name)
        if not found:
            known = ", ".join(w.name for w in self.ways)
            raise KeyError(f"there is no way {name!r} here; the ways are {known}")
        return Explanation(self.function, self.wrt, self.derivatives, found)

    def to_text(self, *, fold: bool = True) -> str:
        """Plain text; ``fold`` leaves the middle of long derivations out, and says so."""
        from tensorcalculus.explanation.text import text

        return text(self, fold)

    def to_markdown(self) -> str:
        """Markdown with formulas between dollar signs; pictures are inline SVG."""
        from tensorcalculus.explanation.markdown import markdown

        return markdown(self)

    def to_latex(self) -> str:
        """The body of a LaTeX document (amsmath, booktabs; TikZ for pictures)."""
        from tensorcalculus.explanation.tex import tex

        return tex(self)

    def to_html(self, math: Callable[[str, bool], str] | None = None) -> str:
        r"""An HTML fragment, long derivations folded.

        Parameters
        ----------
        math
            From a formula in LaTeX, and whether it stands in a line of its own, to HTML, as a
            converter to MathML does.  By default it is left to MathJax, as ``\(…\)``.
        """
        from tensorcalculus.explanation.page import page

        return page(self, math)

    def to_page(self) -> str:
        """A whole page of HTML that needs no other file; formulas are MathML.

        Raises ImportError, saying what to install, where latex2mathml is missing.
        """
        from tensorcalculus.explanation.page import whole_page

        return whole_page(self)

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def _repr_html_(self) -> str:
        from tensorcalculus.display.html import Html, result
        from tensorcalculus.notation.mathml import is_available, to_mathml

        # Not all notebooks look for formulas between signs in HTML; all browsers know MathML.
        return result("", Html(self.to_html(to_mathml if is_available() else None)))

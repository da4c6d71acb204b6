"""Formulas of the pages as MathML, by the library's own: no script, nothing from elsewhere.

Chosen by ``html_math_renderer = "mathml"``.  What has no MathML becomes a warning, which fails a
build with ``-W``.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

_LOG = logging.getLogger(__name__)
# The converter takes the environments of display mathematics only.
_INNER = re.compile(r"\\(begin|end)\{(?:aligned|split|gathered|align)\}")


def _mathml(latex: str, display: bool) -> str:
    """A formula as a ``<math>`` element; ValueError says what is not understood."""
    from tensorcalculus.notation.mathml import to_mathml

    latex = _INNER.sub(r"\\\1{align*}", latex.strip())
    if re.search(r"(?<!\\)&", latex) and r"\begin" not in latex:
        latex = rf"\begin{{align*}}{latex}\end{{align*}}"
    try:
        made = to_mathml(latex, display)
    except Exception as error:  # of the converter, which has no common class of errors
        raise ValueError(f"{type(error).__name__} {error}") from error
    left = re.search(r">\s*(\\[A-Za-z]+|&amp;)", made)
    if left:
        raise ValueError(f"{left.group(1)} has no MathML")
    return made


def _written(self: Any, node: nodes.Element, display: bool) -> str:
    try:
        return _mathml(node.astext(), display)
    except ValueError as error:
        _LOG.warning("formula %r: %s", node.astext(), error, location=node, type="mathml")
        return f"<code>{self.encode(node.astext())}</code>"


def _inline(self: Any, node: nodes.Element) -> None:
    # Notebooks ask by `\displaystyle` for a line of its own; it is the only thing in its paragraph.
    self.body.append(_written(self, node, node.astext().lstrip().startswith(r"\displaystyle")))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_written(self, node, True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

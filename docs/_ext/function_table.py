"""``.. function-table::``: the functions of the language, from the tables of the library.

What is shown of a row is made when the pages are built: its formula and its derivative by the
library itself, the words of its domain and its source by the table.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def _cell(*parts: nodes.Node) -> nodes.entry:
    return nodes.entry("", nodes.paragraph("", "", *parts))


def _code(text: str) -> nodes.literal:
    return nodes.literal(text, text)


def _table(head: list[str], rows: list[list[nodes.entry]], widths: list[int]) -> nodes.table:
    group = nodes.tgroup("", cols=len(head))
    group += [nodes.colspec("", colwidth=width) for width in widths]
    group += nodes.thead("", nodes.row("", *(_cell(nodes.Text(word)) for word in head)))
    group += nodes.tbody("", *(nodes.row("", *cells) for cells in rows))
    return nodes.table("", group, classes=["function-table"])


def _derivatives(name: str, arity: int) -> list[nodes.Node]:
    """The partial derivatives that exist, as formulas."""
    import tensorcalculus as tc

    letters = "xyz"[:arity]
    formula = f"{name}({','.join(letters)})"
    try:
        f = tc.parse(formula, dict.fromkeys(letters, ""))
    except tc.ShapeError:  # of vectors, as softmax is
        f = tc.parse(formula, dict.fromkeys(letters, "n"))
    shown: list[nodes.Node] = []
    for letter in letters:
        try:
            slope = f.jacobian(letter)
        except tc.NotDifferentiableError:
            continue
        lead = rf"\partial_{letter}\colon\ " if arity > 1 else ""
        shown += [nodes.math("", lead + slope.to_latex()), nodes.Text("; ")]
    return shown[:-1] or [nodes.Text("none")]


class FunctionTable(SphinxDirective):
    """One table for each group of functions."""

    def run(self) -> list[nodes.Node]:
        from tensorcalculus.notation.catalogue import GROUPS, entries

        made: list[nodes.Node] = []
        for group in GROUPS:
            rows, scalar = [], group == GROUPS[0]
            for entry in entries():
                if entry.group != group:
                    continue
                call = nodes.paragraph("", "", _code(entry.call))
                call["ids"] = [f"function-{name}" for name in (entry.name, *entry.aliases)]
                for alias in entry.aliases:
                    call += [nodes.Text(", "), _code(alias)]
                meaning = [nodes.Text(entry.meaning)]
                if entry.reference:
                    meaning += [nodes.Text(" "), nodes.emphasis("", f"[{entry.reference}]")]
                cells = [nodes.entry("", call), _cell(*meaning)]
                if scalar:
                    arguments = len(entry.arguments.split(", "))
                    cells.append(_cell(*_derivatives(entry.name, arguments)))
                rows.append(cells)
            section = nodes.section(ids=[nodes.make_id(group)])
            section += nodes.title("", group[0].upper() + group[1:])
            head = ["write", "domain, meaning" if scalar else "meaning, domain, source"]
            section += _table(
                head + ["derivative"] * scalar, rows, [30, 35, 35] if scalar else [35, 65]
            )
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("function-table", FunctionTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

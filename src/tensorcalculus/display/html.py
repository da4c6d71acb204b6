"""HTML of results: tables, bars and folded parts, in the colours of the page around them.

Text becomes :class:`Html` here and nowhere else, escaped; so what a user typed never is markup.
There are no scripts.  Colours are that of the text and greys that are half transparent: notebooks
and pages tell their theme each in a way of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CLASS = "tensorcalculus-result"
_LINE = "rgba(128,128,128,.35)"
# The class twice: what themes say about tables is less specific than that.
_STYLE = "".join(
    f".{_CLASS}.{_CLASS} {selector}{{{rules}}}"
    for selector, rules in {
        "table": "border-collapse:collapse;margin:.2em 0;width:auto;font-size:inherit;border:0;"
        "color:inherit;background:transparent;display:table;box-shadow:none",
        "tr:nth-child(n)": "background:transparent;border:0",
        ":is(th,td)": f"border:0;border-bottom:1px solid {_LINE};padding:.2em .9em .2em 0;"
        "text-align:left;vertical-align:middle;color:inherit;max-width:60em;"
        "white-space:normal;overflow-wrap:anywhere",
        "tr:last-child :is(th,td)": "border-bottom:0",
        "th": "font-weight:normal;opacity:.75;white-space:nowrap;overflow-wrap:normal",
        "thead :is(th,td)": f"border-bottom:1px solid {_LINE}",
        ":is(th,td).number": "text-align:right;white-space:nowrap;"
        "font-variant-numeric:tabular-nums",
        ".title": "font-weight:bold;margin:.2em 0",
        ".bar": "display:inline-block;height:.7em;background:currentColor;opacity:.55;"
        "vertical-align:baseline;min-width:1px",
        "svg": "vertical-align:middle;color:inherit",
        "pre": "margin:.3em 0;padding:0;background:transparent;border:0;color:inherit;"
        "font-size:.92em;line-height:1.35;overflow-x:auto",
        "code": "background:transparent;color:inherit;padding:0;border:0;font-size:.95em",
        "summary": "cursor:pointer;opacity:.75",
        "math[display=block]": "text-align:left;margin:0;width:max-content",
        ".tc-why": "opacity:.75",
        ".yes": "color:#2f9e44",
        ".no": "color:#e8590c",
    }.items()
)


class Html(str):
    """Markup that was made here; any other text is escaped where it is put in."""

    __slots__ = ()


def text(value: object) -> Html:
    """A text escaped, or markup as it is."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def result(title: object, *parts: Html) -> Html:
    """A whole result: its title and its parts, with the style that they need."""
    head = f"<div class='title'>{text(title)}</div>" if title else ""
    style = f"<style>{_STYLE}</style>"
    return Html(
        f"<div class='{_CLASS}' style='overflow-x:auto;line-height:1.45'>{style}{head}"
        f"{''.join(parts)}</div>"
    )


def rows(pairs: Iterable[tuple[object, object]]) -> Html:
    """A table of labels and what they stand for."""
    lines = (f"<tr><th scope='row'>{text(k)}</th><td>{text(v)}</td></tr>" for k, v in pairs)
    return Html(f"<table><tbody>{''.join(lines)}</tbody></table>")


def table(
    head: Sequence[object], body: Iterable[Sequence[object]], numbers: Sequence[int] = ()
) -> Html:
    """A table with a head; columns of ``numbers`` stand flush right."""
    kinds = [" class='number'" if k in numbers else "" for k in range(len(head))]
    first = "".join(
        f"<th scope='col'{kind}>{text(cell)}</th>" for kind, cell in zip(kinds, head, strict=True)
    )
    lines = (
        "<tr>"
        + "".join(f"<td{k}>{text(cell)}</td>" for k, cell in zip(kinds, line, strict=True))
        + "</tr>"
        for line in body
    )
    return Html(f"<table><thead><tr>{first}</tr></thead><tbody>{''.join(lines)}</tbody></table>")


def bar(part: float, width: float = 8.0) -> Html:
    """A bar that is a part, from 0 to 1, of ``width`` letters long."""
    part = min(max(part, 0.0), 1.0) if part == part else 0.0
    return Html(f"<span class='bar' style='width:{width * part:.2f}em'></span>")


def mark(good: bool) -> Html:
    """A tick, or a cross."""
    return Html("<span class='yes'>✓</span>" if good else "<span class='no'>✗</span>")


def word(value: object) -> Html:
    """A piece of source within a line."""
    return Html(f"<code>{text(value)}</code>")


def code(source: object) -> Html:
    """Source or a drawing of letters, line by line as it is."""
    return Html(f"<pre><code>{text(source)}</code></pre>")


def folded(summary: object, *parts: Html) -> Html:
    """Parts that are shown when they are asked for."""
    return Html(f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>")


def shortened(value: object, most: int = 200) -> str:
    """A text, cut where it is long."""
    told = str(value)
    return told if len(told) <= most else f"{told[: most - 2]} …"

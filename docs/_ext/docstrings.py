"""What the docstrings of this package mean to Sphinx, and a check of what they claim.

- Annotations say ``Expr``, whichever module they stand in: the page that describes it is found if
  exactly one object of the reference ends so.
- The first line of a property is a sentence; it may hold a colon.
- Classes whose objects the library makes, results and the like, are shown without arguments.
- A parameter that is described but does not exist is a warning; so is prose behind a list of
  parameters, which would be shown as one.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

_LOG = logging.getLogger(__name__)
_MADE = {"Expr", "Variable", "GCPFit", "Network", "NetworkSum", "Environments"}
"""Classes that are exported to be recognised, not to be called."""
_PARAMETER = re.compile(r":param (.+?):(?:\s|$)")


def _find(app: Sphinx, env: Any, node: nodes.Element, child: nodes.Node) -> nodes.Node | None:
    if node.get("refdomain") != "py":
        return None
    objects = env.domains["py"].objects
    found = [name for name in objects if name.endswith(f".{node['reftarget']}")]
    if node["reftype"] == "class":
        found = [n for n in found if objects[n].objtype in ("class", "exception", "data")]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, child, found[0])


def _check(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what not in ("function", "method", "class"):
        return
    described = [m for line in lines if (m := _PARAMETER.match(line.strip()))]
    try:
        known = {parameter.lstrip("*") for parameter in inspect.signature(obj).parameters}
    except (TypeError, ValueError):
        return
    for match in described:
        for word in match.group(1).replace("\\*", "").split(","):
            if word.strip() not in known:
                _LOG.warning("%s describes a parameter %r, which it has not", name, word.strip())


def _signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, None] | None:
    if what != "class":
        return None
    import tensorcalculus
    import tensorcalculus.networks

    exported = {*tensorcalculus.__all__, *tensorcalculus.networks.__all__}
    made = obj.__name__ in _MADE or obj.__name__ not in exported
    return ("", None) if made else None


def _as_a_method(self: Any) -> list[str]:
    """Else "The order: 0 for a scalar" is read as a type and what it means."""
    self._what = "method"
    self._parse()
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    GoogleDocstring._parse_attribute_docstring = _as_a_method  # type: ignore[method-assign]
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-process-docstring", _check, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

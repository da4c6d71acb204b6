"""The structure of a matrix in words: ``kron(I_300, 5x5)``, ``diag(10) + rank 1``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tensorcalculus.compiler.structured.terms import Form, Group
from tensorcalculus.display.html import Html, text

_SHOWN = 4
"""Terms that are spelled out."""


def describe(forms: Sequence[Form]) -> str:
    """The sum of the terms, each as its Kronecker factors."""
    if not forms:
        return "zero"
    parts = list(dict.fromkeys(describe_term(form) for form in forms[:_SHOWN]))
    more = [f"... ({len(forms)} terms)"] if len(forms) > _SHOWN else []
    return " + ".join([*parts, *more])


def describe_term(form: Form) -> str:
    """One term: its Kronecker factors in the order of their axes."""
    groups = [g for g in form.groups() if g.batch or g.rows or g.cols]
    if not groups:
        return "scalar"
    if all(g.pattern and g.batch for g in groups) and form.rows == form.cols:
        return f"I_{form.size(form.rows)}"
    if all(not g.batch and not (g.rows and g.cols) for g in groups):
        return "rank 1"
    order = sorted(groups, key=lambda g: _places(form, g))
    texts = [_describe_group(form, g) for g in order]
    if len(texts) == 1:
        return texts[0]
    permuted = "" if _in_order(form, order) else "permuted "
    return f"{permuted}kron({', '.join(texts)})"


def _describe_group(form: Form, group: Group) -> str:
    batch, rows, cols = (form.size(side) for side in (group.batch, group.rows, group.cols))
    block = f"{rows}x{cols}"
    if group.pattern:
        if not group.batch:
            return f"ones({block})"
        sides = (form.rows.count(group.batch[0]), form.cols.count(group.batch[0]))
        return f"I_{batch}" if sides == (1, 1) else f"delta_{batch}"
    if not group.rows and not group.cols:
        return f"diag({batch})"
    if group.thin:
        block = f"{block} of rank {form.size(group.inner)}"
    return f"blockdiag({batch} of {block})" if group.batch else block


def _places(form: Form, group: Group) -> tuple[int, int]:
    labels = {*group.batch, *group.rows, *group.cols}
    end = len(form.rows) + len(form.cols)
    first = min((k for k, i in enumerate(form.rows) if i in labels), default=end)
    return first, min((k for k, i in enumerate(form.cols) if i in labels), default=end)


def _in_order(form: Form, groups: Sequence[Group]) -> bool:
    """Whether the factors have consecutive axes, in one order on both sides."""
    for side in (form.rows, form.cols):
        owners = [
            k
            for i in side
            for k, g in enumerate(groups)
            if i in g.batch or i in g.rows or i in g.cols
        ]
        if owners != sorted(owners):
            return False
    return True


def as_html(structure: str) -> Html:
    """The text of :func:`describe` with signs: ``I<sub>300</sub> ⊗ [5×5]``."""
    told = _with_signs(str(text(structure)))
    return Html(re.sub(r"(\d+)x(\d+)", r"[\1×\2]", told))


def _with_signs(told: str) -> str:
    """Products in the place of calls of kron, sizes of identities below."""
    told = re.sub(r"\bI_(\d+)", r"I<sub>\1</sub>", told.replace("delta_", "δ_"))
    told = re.sub(r"δ_(\d+)", r"δ<sub>\1</sub>", told)
    start = told.find("kron(")
    if start < 0:
        return told
    depth, factors, begun = 0, [], start + len("kron(")
    for place in range(begun, len(told)):
        if told[place] == "(":
            depth += 1
        elif told[place] == ")" and depth:
            depth -= 1
        elif told[place] in ",)" and not depth:
            factors.append(told[begun:place].strip())
            begun = place + 1
            if told[place] == ")":
                break
    product = " ⊗ ".join(factors)
    return f"{told[:start]}{product}{_with_signs(told[begun:])}"

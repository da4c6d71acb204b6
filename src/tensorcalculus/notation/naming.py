"""Names for the parts of a form that repeat: the where clause."""

from __future__ import annotations

from collections.abc import Callable

from tensorcalculus.notation.forms import (
    Applied,
    Call,
    Chain,
    Form,
    Name,
    Num,
    Pointwise,
    Product,
    Sum,
    Transposed,
)
from tensorcalculus.notation.language import DECOMPOSITIONS

SHORTEST = 8
"""Parts shorter than this are repeated rather than named."""


def forms_below(root: Form) -> list[Form]:
    """Every form below ``root`` once, parts before wholes (iterative)."""
    order: list[Form] = []
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        form, ready = stack.pop()
        if ready:
            order.append(form)
        elif id(form) not in seen:
            seen.add(id(form))
            stack.append((form, True))
            stack.extend((p, False) for p in reversed(form.parts))
    return order


def repeated(
    root: Form, taken: set[str], spell: Callable[[Form, dict[int, str]], str]
) -> tuple[list[tuple[str, Form]], dict[int, str]]:
    """Names for repeated parts in the order of their definitions, and the name of each form."""
    order = forms_below(root)
    uses: dict[int, int] = {}
    for form in order:
        for part in form.parts:
            uses[id(part)] = uses.get(id(part), 0) + 1
    names: dict[int, str] = {}
    clauses: list[tuple[str, Form]] = []
    used = set(taken)
    groups = _decompositions(order)
    for form in order:
        group = groups.get(id(form))
        if group is not None and id(form) not in names:
            family, members, arg = group
            told = []
            for letter, member in zip(DECOMPOSITIONS[family], members, strict=True):
                name = letter if letter not in used else _numbered(letter, used)
                used.add(name)
                told.append(name)
                if member is not None:
                    names[id(member)] = name
            clauses.append((f"({','.join(told)})", Call(family, (arg,), order=2)))
        if group is not None:
            continue
        if (
            isinstance(form, (Name, Num, Transposed))
            or not form.parts
            or form is root
            or uses.get(id(form), 0) < 2
        ):
            continue
        if len(spell(form, names)) >= SHORTEST:
            name = letter_for(form, used)
            used.add(name)
            names[id(form)] = name
            clauses.append((name, form))
    return clauses, names


def _decompositions(order: list[Form]) -> dict[int, tuple[str, list[Form | None], Form]]:
    """Parts of one decomposition that occur together, for each of its forms."""
    found: dict[tuple[str, int], dict[str, Form]] = {}
    for form in order:
        if isinstance(form, Applied):
            for family, rows in DECOMPOSITIONS.items():
                if form.row.name in rows.values():
                    found.setdefault((family, id(form.args[0])), {})[form.row.name] = form
    result = {}
    for (family, _), parts in found.items():
        if len(parts) > 1:
            members = [parts.get(row) for row in DECOMPOSITIONS[family].values()]
            arg = next(iter(parts.values())).parts[0]
            result.update({id(m): (family, members, arg) for m in parts.values()})
    return result


def _numbered(letter: str, used: set[str]) -> str:
    k = 1
    while f"{letter}{k}" in used:
        k += 1
    return f"{letter}{k}"


def letter_for(form: Form, used: set[str]) -> str:
    """A letter by kind: r and R for residuals, s for functions, upper case for matrices."""
    if isinstance(form, Sum):
        letters = "r" if form.order == 1 else "R" if form.order else "c"
    elif isinstance(form, (Call, Applied)):
        letters = "s" if form.order == 1 else "S" if form.order else "c"
    elif isinstance(form, (Chain, Product, Pointwise)):
        letters = "z" if form.order == 1 else "Z" if form.order else "c"
    else:
        letters = "u" if form.order == 1 else "U" if form.order else "c"
    alphabet = {"r": "rqpuv", "R": "RQPUV", "s": "stuvp", "S": "SPQUV", "c": "cdabh"}
    for letter in alphabet.get(letters, letters + ("zuvpq" if letters.islower() else "ZUVPQ")):
        if letter not in used:
            return letter
    return _numbered(letters, used)

"""The table of functions that `tcalc functions` prints, read from the tables of the library."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from tensorcalculus.errors import UnknownNameError, nearest

GROUPS = ("entry by entry", "whole tensors", "decompositions", "found in derivatives")
_IN_DERIVATIVES = {
    *("argmax_share", "cofactor", "degenerate_check", "divided_difference", "eigh_V", "embed"),
    *("frechet_expm", "frechet_logm", "frechet_sqrtm", "gap_multiply", "lower", "prod_except"),
    *("qr_Q", "qr_R", "reciprocal0", "revcumsum", "shift", "sign0", "svd_U", "svd_V"),
    *("signed_difference", "singular", "singular_left"),
}
"""Words that people seldom type and derivatives are printed with."""


@dataclass(frozen=True)
class Entry:
    """One function of the language."""

    name: str
    arguments: str
    group: str
    meaning: str
    """What it does, or where it is defined and differentiable."""
    reference: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        return f"{self.name}({self.arguments})"

    def as_record(self) -> dict[str, Any]:
        return {**asdict(self), "aliases": list(self.aliases)}


def entries(pattern: str = "") -> list[Entry]:
    """The functions whose name, alias or meaning matches, in groups and by name.

    Raises UnknownNameError where none does.
    """
    found = [entry for entry in _all() if _matches(entry, pattern.strip().lower())]
    if not found:
        known = [name for entry in _all() for name in (entry.name, *entry.aliases)]
        raise UnknownNameError(f"no function matches {pattern!r}." + nearest(pattern, known))
    return found


def _matches(entry: Entry, pattern: str) -> bool:
    names = [name.lower() for name in (entry.name, *entry.aliases)]
    if any(letter in pattern for letter in "*?"):
        return any(fnmatchcase(name, pattern) for name in names)
    return not pattern or any(pattern in text for text in (*names, entry.meaning.lower()))


def _all() -> list[Entry]:
    from tensorcalculus.expr.functions import FUNCTIONS
    from tensorcalculus.expr.operations import OPERATIONS
    from tensorcalculus.notation.language import DECOMPOSITIONS, SPECIAL, WORDS

    found: list[Entry] = []
    for name, row in FUNCTIONS.items():
        if row.spoken and name == row.name and name not in WORDS:
            # Powers are written with an operator; only the alias is a word.
            spoken = row.aliases[0] if name == "pow" else name
            aliases = tuple(a for a in row.aliases if a != spoken)
            arguments = ", ".join("xyz"[: row.arity])
            found.append(Entry(spoken, arguments, GROUPS[0], row.domain, "", aliases))
    for name, word in WORDS.items():
        reference = OPERATIONS[name].reference if name in OPERATIONS else ""
        axis = ", [axis=k]" if word.axis else ""
        group = GROUPS[0] if word.pointwise and word.most == 1 and not reference else GROUPS[1]
        group = GROUPS[3] if name in _IN_DERIVATIVES else group
        found.append(Entry(name, word.arguments + axis, group, word.meaning, reference))
    for name, (arguments, meaning, _) in SPECIAL.items():
        reference = OPERATIONS[name].reference if name in OPERATIONS else ""
        group = GROUPS[3] if name in _IN_DERIVATIVES else GROUPS[1]
        found.append(Entry(name, arguments, group, meaning, reference))
    for name, parts in DECOMPOSITIONS.items():
        row = OPERATIONS[[*parts.values()][-1]]
        meaning = f"written ... where ({', '.join(parts)}) = {name}(A); {row.domain}"
        found.append(Entry(name, "A", GROUPS[2], meaning, row.reference))
    return sorted(found, key=lambda e: (GROUPS.index(e.group), e.name.lower(), e.name))

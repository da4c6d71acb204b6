"""What the page asks: the fields of a request, read from JSON and checked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

PARTS = ("derivative", "steps", "diagram", "code", "check", "cost")
SYMMETRY = ("projected", "full")
MAX_ORDER = 8
"""As `tcalc derive --order`."""
MAX_DECLARATIONS = 64
_FIELDS = ("formula", "declarations", "wrt", "order", "symmetry", "parts")


class QueryError(Exception):
    """A request that cannot be read; `field` is the part of it that is wrong."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def limit_record(message: str, kind: str = "LimitError") -> dict[str, Any]:
    """An error that has no place in the formula, as the page reads it."""
    return {
        **{"kind": kind, "message": message},
        **dict.fromkeys(("start", "end", "hint", "field")),
    }


@dataclass(frozen=True)
class Query:
    """A formula, and what is wanted of it."""

    formula: str
    declarations: dict[str, str]
    wrt: tuple[str, ...]
    """Empty: by the first variable of the formula."""
    order: int
    symmetry: str
    parts: tuple[str, ...]

    def as_json(self) -> bytes:
        """The query in one spelling, whatever that of the request was."""
        record = {**asdict(self), "wrt": self.wrt or None}
        return json.dumps(record, separators=(",", ":")).encode("ascii")


def read_query(data: bytes) -> Query:
    """The query in the body of a request; QueryError says what is wrong with it."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        raise QueryError("the body of the request is not JSON") from None
    if not isinstance(record, dict):
        raise QueryError('the body of the request is a JSON object such as {"formula": "x\'*x"}')
    for name in record:
        if name not in _FIELDS:
            raise QueryError(f"a request has the fields {', '.join(_FIELDS)} only", "request")
    return Query(
        formula=_text(record.get("formula"), "formula"),
        declarations=_declarations(record.get("declarations", {})),
        wrt=_names(record.get("wrt")),
        order=_order(record.get("order", 1)),
        symmetry=_one_of(SYMMETRY, record.get("symmetry", SYMMETRY[0]), "symmetry"),
        parts=_parts(record.get("parts", ["derivative"])),
    )


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise QueryError(f"{field} is a text", field)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise QueryError(f"{field} holds half of a surrogate pair", field) from None
    return value


def _declarations(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise QueryError('declarations are texts by name, such as {"X": "m n"}', "declarations")
    if len(value) > MAX_DECLARATIONS:
        raise QueryError(f"at most {MAX_DECLARATIONS} names are declared", "declarations")
    return {_text(n, "declarations"): _text(v, "declarations") for n, v in value.items()}


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or len(names) > MAX_ORDER:
        raise QueryError(f"wrt is a name or a list of 1 to {MAX_ORDER} names", "wrt")
    return tuple(_text(name, "wrt") for name in names)


def _order(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_ORDER:
        raise QueryError(f"order is a whole number from 0 to {MAX_ORDER}", "order")
    return value


def _one_of(known: tuple[str, ...], value: Any, field: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise QueryError(f"{field} is one of {', '.join(known)}", field)
    return value


def _parts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise QueryError(f"parts is a list of {', '.join(PARTS)}", "parts")
    asked = {_one_of(PARTS, part, "parts") for part in value}
    # What people wait for comes first: what is done when time is up is shown.
    return tuple(part for part in PARTS if part in asked)

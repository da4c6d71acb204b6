"""Text of Python as people lay it out: docstrings that nothing breaks out of, long lines broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

WIDTH = 88
"""Ruff's own; what fits here is laid out the same where 100 columns are allowed."""
LONG = 100
# Behind a comma, or before a sign that is not part of a number or of an operator of two letters.
_BREAK = re.compile(r",|(?<![.*^(,])(?<!\de)(?=[-+*](?![.\s]))")
_OPEN, _CLOSE = "([{", ")]}"


def docstring(text: str, indent: str = "") -> str:
    """A docstring of any text; quotes and backslashes in it stay quotes and backslashes."""
    safe = []
    for line in text.split("\n"):
        line = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode()
            for letter in line.replace("\\", "\\\\").rstrip()
        )
        safe.append(f"{indent}{line}" if line else "")
    body = "\n".join(safe).strip().replace('"""', r"\"\"\"")
    closing = '"""' if "\n" not in body and not body.endswith('"') else f'\n{indent}"""'
    return f'{indent}"""{body}{closing}'


def quoted(text: str) -> str:
    """A string literal with double quotes."""
    return '"' + repr(str(text))[1:-1].replace('"', '\\"') + '"'


def call(head: str, items: Sequence[str], tail: str, indent: str = "") -> str:
    """``head(items)tail`` in one line, or with one item a line."""
    line = f"{indent}{head}({', '.join(items)}){tail}"
    if len(line) <= WIDTH:
        return line
    lines = [f"{indent}{head}(", *(f"{indent}    {item}," for item in items), f"{indent}){tail}"]
    return "\n".join(lines)


def filled(words: Iterable[str], first: str, rest: str, width: int = WIDTH) -> list[str]:
    """Lines of words, each begun by ``rest``, the first by ``first``."""
    lines, line, empty = [], first, True
    for word in words:
        if not empty and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line]


def folded(formula: str, indent: str) -> list[str]:
    """A formula in lines that end before an operator or behind a comma, where there is one."""
    lines = []
    for line in formula.split("\n"):
        while len(indent) + len(line) > WIDTH:
            room = WIDTH - len(indent)
            places = [m.end() for m in _BREAK.finditer(line, 0, room) if m.end() > room // 3]
            if not places:
                break
            lines.append(f"{indent}{line[: places[-1]].rstrip()}")
            line = line[places[-1] :].lstrip()
        lines.append(f"{indent}{line}")
    return lines


def broken(line: str) -> list[str]:
    """A line of source; one that is too long in several, within brackets."""
    text = line.strip()
    if len(line) <= LONG or text.startswith(("#", "def ", "if ", "for ", "del ")):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    level = _levels(text)
    start = len("return ") if text.startswith("return ") else 0
    for k in range(len(text)):
        if not start and level[k] == 0 and text.startswith(" = ", k):
            start = k + 3
        elif not start and level[k] == 0 and text[k : k + 4] in (" += ", " -= "):
            start = k + 4
    if not start:
        return [line]
    inner, head, value = f"{indent}    ", f"{indent}{text[:start]}", text[start:]
    parts, comma = _parts(value)
    if len(parts) == 1:
        return _opened(value, head, "", indent)
    lines = [line for part in parts for line in _broken(part, inner, "," if comma else "")]
    return [f"{head}(", *lines, f"{indent})"]


def _broken(text: str, indent: str, tail: str = "") -> list[str]:
    """An expression, or a part that an operator begins, where brackets are open around it."""
    if len(indent) + len(text) + len(tail) <= LONG:
        return [f"{indent}{text}{tail}"]
    parts, comma = _parts(text)
    if len(parts) == 1:
        return _opened(text, indent, tail, indent)
    lines = []
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        lines += _broken(part, indent, tail if last else "," if comma else "")
    return lines


def _opened(text: str, head: str, tail: str, indent: str) -> list[str]:
    """One factor: the pair of brackets that holds most goes over several lines."""
    start, stop = max(_pairs(text), key=lambda pair: pair[1] - pair[0], default=(0, 0))
    if stop - start < 2:
        return [f"{head}{text}{tail}"]
    inside = _broken(text[start + 1 : stop].removesuffix(","), f"{indent}    ")
    if text[stop - 1] == ",":
        inside[-1] += ","
    return [f"{head}{text[: start + 1]}", *inside, f"{indent}{text[stop:]}{tail}"]


def _parts(text: str) -> tuple[list[str], bool]:
    """What commas separate, or else operators of the lowest rank, outside of all brackets.

    Operators begin a part, the first excepted; commas are left out.
    """
    level = _levels(text)
    for marks in ((", ",), (" + ", " - "), (" * ", " @ ", " / ")):
        places = [k for k in range(1, len(text)) if level[k] == 0 and text.startswith(marks, k)]
        if places:
            skip = 2 if marks == (", ",) else 1
            starts = [0, *(k + skip for k in places)]
            return [text[a:b] for a, b in zip(starts, [*places, len(text)], strict=True)], skip == 2
    return [text], False


def _pairs(text: str) -> list[tuple[int, int]]:
    """The outermost pairs of brackets."""
    level, found, start = _levels(text), [], 0
    for k, letter in enumerate(text):
        if level[k] == 1 and letter in _OPEN:
            start = k
        elif level[k] == 1 and letter in _CLOSE:
            found.append((start, k))
    return found


def _levels(text: str) -> list[int]:
    """How many brackets are open at each letter, those that it opens or closes included.

    What stands in a string lies inside of all.
    """
    level, depth, quote = [], 0, ""
    for letter in text:
        depth += not quote and letter in _OPEN
        level.append(99 if quote else depth)
        depth -= not quote and letter in _CLOSE
        if letter in "\"'":
            # Strings in generated source hold letters, signs and arrows; no quotes, no backslash.
            quote = "" if letter == quote else quote or letter
    return level

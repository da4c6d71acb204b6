"""The formulas of the classical notes (``docs/classical``) equal numbers and what we derive."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from support import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "docs" / "classical"))

from classical import Formula, formulas

TOPICS = formulas()
ROWS = [
    pytest.param(row, id=f"{topic}-{k}")
    for topic, rows in TOPICS.items()
    for k, row in enumerate(rows, 1)
]


@pytest.mark.parametrize("row", ROWS)
def test_the_literature_and_the_library_agree(row: Formula) -> None:
    row.error()


@pytest.mark.parametrize("row", [r for r in ROWS if r.values[0].kind == "derivative"])
def test_the_derivative_equals_differences(row: pytest.ParameterSet) -> None:
    """What is derived is compared with numbers, so that both cannot be wrong alike."""
    f, by = row.function, row.by.split()
    for name in by[:-1]:
        f = f.jacobian(name)
    f.check(by[-1], sizes=row.sizes)


def test_a_wrong_formula_is_refused() -> None:
    row = TOPICS["traces"][2]
    assert row.f == "tr(A*X*B)"
    with pytest.raises(AssertionError, match="differs by"):
        replace(row, expected="A'*B'*2").error()
    with pytest.raises(AssertionError, match="differs by"):
        replace(TOPICS["traces"][7], expected="2*X").error()


def test_no_formula_stands_twice() -> None:
    seen = [(r.f, r.by, r.kind, tuple(r.vars.items())) for rows in TOPICS.values() for r in rows]
    assert len(seen) == len(set(seen))


def test_every_topic_stands_on_a_page() -> None:
    pages = "".join(p.read_text() for p in (REPOSITORY / "docs" / "classical").glob("*.md"))
    assert [topic for topic in TOPICS if f'table("{topic}")' not in pages] == []

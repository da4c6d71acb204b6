"""What a person does with the page in a browser, for the tests of the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = api.expect
expect.set_options(timeout=15_000)

Visits = Callable[..., Any]


def link(formula: str, **fields: object) -> str:
    return "#f=" + quote(formula) + "".join(f"&{k}={quote(str(v))}" for k, v in fields.items())


def write(page: Any, formula: str) -> None:
    page.locator("#formula").press("Control+a")
    page.keyboard.type(formula)


def settled(page: Any) -> None:
    """Answer, open panel and check are there."""
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#answer")).not_to_have_class(re.compile("stale"))
    done = ("[hidden]", ":has-text('error')", ":has-text('failed')", ":has-text('not checked')")
    expect(page.locator(", ".join(f"#badge{state}" for state in done))).to_have_count(1)
    expect(page.locator("#panel")).not_to_have_attribute("aria-busy", "true")


def choose(page: Any, group: str, value: str) -> None:
    page.locator(f"#{group} input[value='{value}']").check()


def clipboard(page: Any) -> str:
    return page.evaluate("navigator.clipboard.readText()")

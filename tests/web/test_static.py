"""What the page consists of: small, with nothing inline, and nothing from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support import PACKAGE

STATIC = PACKAGE / "web" / "static"
FILES = sorted(STATIC.iterdir())
MAX_BYTES = 60_000
# The name of a language, not an address that is asked.
NAMES = ("http://www.w3.org/2000/svg",)


class Elements(HTMLParser):
    """The elements of a page, and the text of scripts and styles in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.inline += data.strip()


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in FILES if path.suffix != ".svg") < MAX_BYTES


def test_nothing_is_inline_and_all_that_is_named_is_there() -> None:
    elements = Elements((STATIC / "index.html").read_text())
    assert elements.inline == ""
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in elements.found:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            if address := attributes.get(name):
                assert address.startswith("static/") and (STATIC / address[7:]).is_file()
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text()
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", text))
    assert addresses <= set(NAMES)
    if path.suffix == ".js":
        for name in re.findall(r"from \"\./([^\"]+)\"", text):
            assert (STATIC / name).is_file()
        # What would make text into code or markup.
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text
        )
        assert text.count("\n") < 500


def test_ids_that_scripts_ask_for_are_in_the_page() -> None:
    elements = Elements((STATIC / "index.html").read_text())
    ids = {attributes.get("id") for _, attributes in elements.found}
    asked = {
        name for path in FILES if path.suffix == ".js"
        for name in re.findall(r"byId\(\"([\w-]+)\"\)", path.read_text())
    }  # fmt: skip
    made = {"tab-check"}
    assert asked - made <= ids

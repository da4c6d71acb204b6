"""The documentation site: it builds without a warning, leads nowhere wrong, leaves nothing out."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from support import REPOSITORY

import tensorcalculus as tc

DOCS = REPOSITORY / "docs"
NEEDED = ("sphinx", "furo", "myst_nb", "sphinx_copybutton", "latex2mathml", "ipykernel")
LOADED = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("object", "data"),
}
"""What a browser fetches by itself; an address elsewhere would need the network."""


class Page(HTMLParser):
    """What one page links to, loads, and can be linked at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.tracebacks = 0
        self.formulas = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.formulas += tag == "math"
        for name, value in attrs:
            if name == "id" and value:
                assert value not in self.anchors, f"{self.path}: two elements have the id {value}"
                self.anchors.add(value)
            if name == "class" and value and "traceback" in value.split():
                self.tracebacks += 1
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            if (tag, name) in LOADED and value and not value.startswith("data:"):
                self.loaded.append(value)


def silent_errors(page: str) -> list[str]:
    """Cells that catch an error and show nothing: what they claim to be refused was not."""
    cells = page.split('<div class="cell docutils container')[1:]
    texts = [re.sub(r"<[^>]+>", "", cell) for cell in cells if "cell_output" not in cell]
    return [text.strip()[:100] for text in texts if re.search(r"^except .*:$", text, re.MULTILINE)]


def build(out: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"),
            *("-d", str(out.parent / "doctrees"), str(DOCS), str(out)),
        ],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    told = [line for line in done.stderr.splitlines() if line and "IPKernelApp" not in line]
    assert done.returncode == 0, "\n".join(line for line in told if "traitlets" not in line)


def faults(pages: dict[Path, Page]) -> list[str]:
    """Links that lead nowhere, and what is loaded from elsewhere."""
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    found.append(f"{path.name} loads {link}")
                elif parts.scheme not in ("http", "https") or "." not in parts.netloc:
                    found.append(f"{path.name}: {link} is no address")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{path.name}: there is no {link}")
            elif parts.fragment and target in pages:
                anchors = pages[target].anchors
                found += [f"{path.name}: {link} has no such place"] * (
                    unquote(parts.fragment) not in anchors
                )
        if page.tracebacks:
            found.append(f"{path.name}: a cell shows an error")
    return found


def public_names() -> set[str]:
    """All that the reference has to describe."""
    names = {"tensorcalculus.testing.expressions", "tensorcalculus.testing.values_for"}
    for module in ("tensorcalculus", "tensorcalculus.networks"):
        names |= {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    methods = [name for name in dir(tc.Expr) if not name.startswith("_")]
    documented = {name for name in methods if getattr(tc.Expr, name).__doc__}
    documented.discard("kind")  # a number that orders nodes
    return names | {f"tensorcalculus.Expr.{name}" for name in documented}


def described(out: Path) -> set[str]:
    """The names of Python that the site describes, from its inventory: four lines, then zlib."""
    body = zlib.decompress((out / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    return {line.split()[0] for line in body.splitlines() if line.split()[1].startswith("py:")}


def test_every_public_name_has_a_place() -> None:
    """What the site is asked for, without building it."""
    named = set()
    for page in (DOCS / "reference").glob("*.md"):
        module = ""
        for word, name in re.findall(
            r"^\.\. (\w+):: (\S+)$", page.read_text("utf-8"), re.MULTILINE
        ):
            module = name if word == "currentmodule" else module
            named.add(f"{module}.{name}" if word.startswith("auto") else "")
    missing = {n for n in public_names() if not n.startswith("tensorcalculus.Expr.")} - named
    assert sorted(missing) == []


@pytest.mark.slow
def test_the_site(tmp_path: Path) -> None:
    for package in NEEDED:
        pytest.importorskip(package, reason=f"{package} is missing: pip install -e '.[docs]'")
    out = tmp_path / "html"
    build(out)

    files = [path.resolve() for path in out.rglob("*.html")]
    pages = {path: Page(path) for path in files}
    assert len(pages) > 20
    found = faults(pages)
    for sheet in out.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        found += [
            f"{sheet.name} loads {url}" for url in re.findall(r"url\(['\"]?(https?:.*?)\)", text)
        ]
    for path in files:
        found += [f"{path.name}: {c}" for c in silent_errors(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)

    assert sorted(public_names() - described(out)) == []
    table = pages[(out / "reference" / "functions.html").resolve()]
    assert sorted({f"function-{name}" for name in tc.functions()} - table.anchors) == []
    assert table.formulas > 40
    scripted = re.compile(r"<script[^>]*mathjax|class=\"math notranslate", re.IGNORECASE)
    assert not [p.name for p in files if scripted.search(p.read_text(encoding="utf-8"))]


def test_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="#here"></a><a href="#gone"></a><a href="b.html"></a>'
        '<a href="https://example.org"></a><a href="htp:x"></a>'
        '<script src="https://example.org/x.js"></script><div class="output traceback"></div>'
    )
    path = (tmp_path / "a.html").resolve()
    assert faults({path: Page(path)}) == [
        "a.html: #gone has no such place",
        "a.html: there is no b.html",
        "a.html: htp:x is no address",
        "a.html loads https://example.org/x.js",
        "a.html: a cell shows an error",
    ]


def test_cells_that_catch_nothing_are_found() -> None:
    cell = '<div class="cell docutils container"><pre>try:\n    f()\n<span>except</span> E:\n</pre>'
    assert silent_errors(cell + "</div>")
    assert not silent_errors(cell + '<div class="cell_output">told</div></div>')

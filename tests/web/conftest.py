"""A browser and a served page for the tests of what people see; they skip where there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Reports what the policy of the page refuses, and whether markup that was typed has run.
WATCH = """
  window.refused = [];
  document.addEventListener("securitypolicyviolation",
    (event) => window.refused.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


class Serving:
    """A process of ``tcalc serve``."""

    def __init__(self, port: int = 0, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorcalculus.cli", "serve", "--port", str(port), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
        )
        said = ""
        assert self.process.stdout
        for line in self.process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.address = found[0]
                return
        pytest.fail(f"tcalc serve did not say where it serves:\n{said}")

    @property
    def port(self) -> int:
        found = urlsplit(self.address).port
        assert found
        return found

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            assert self.process.stdout
            self.process.stdout.close()


@dataclass
class Visit:
    """A page that is looked at, and what went wrong on it."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        # Chromium reports every answer of 400 and more; a wrong formula is answered so.
        if message.type in ("error", "warning") and not re.search(
            r"status of (422|429|504)|ERR_CONNECTION_REFUSED", message.text
        ):
            self.problems.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            self.problems.append(f"asked elsewhere: {request.url}")

    def check(self) -> None:
        """Nothing was refused by the policy, logged, thrown or asked of others."""
        self.problems += self.page.evaluate("window.refused")
        assert self.problems == []


@pytest.fixture(scope="module")
def served() -> Iterator[Serving]:
    pytest.importorskip("uvicorn", reason="the extra `web` is not installed")
    pytest.importorskip("starlette", reason="the extra `web` is not installed")
    server = Serving()
    yield server
    server.stop()


# For a module: what drives the browser holds an event loop, which other tests may want to start.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"there is no Chromium (none of {', '.join(CHROMIUM)})")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(served: Serving, chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page: ``visit("#f=…", width=390)``; at the end nothing may have gone wrong."""
    visits: list[Visit] = []

    def open_page(
        fragment: str = "", width: int = 1280, height: int = 900, server: Any = None, **more: Any
    ) -> Any:
        address = (server or served).address
        size = {"width": width, "height": height}
        context = chromium.new_context(viewport=size, base_url=address, **more)
        context.set_default_timeout(15_000)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(WATCH)
        page = context.new_page()
        visits.append(Visit(page))
        page.goto("/" + fragment)
        return page

    yield open_page
    for one in visits:
        one.check()
        one.page.context.close()

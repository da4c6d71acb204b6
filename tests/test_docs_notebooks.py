"""The notebooks of the documentation run in a kernel, and all that they show is shown richly."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support import PACKAGE, REPOSITORY

FOLDER = REPOSITORY / "docs" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.md"))
RICH = {"text/html", "text/latex", "text/markdown", "image/svg+xml"}
PLAIN = {"[8, 18]"}
"""Values that are no more than a list of numbers."""

pytestmark = pytest.mark.slow


def read(path: Path) -> Any:
    """A page as a notebook; its cells of code alone."""
    nbformat = pytest.importorskip("nbformat")
    cells: list[Any] = []
    lines: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```{code-cell}"):
            lines = []
        elif line == "```" and lines is not None:
            cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
            lines = None
        elif lines is not None:
            lines.append(line)
    return nbformat.v4.new_notebook(cells=cells)


def executed(name: str, folder: Path, environment: pytest.MonkeyPatch) -> Any:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: extra 'docs'")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed: extra 'docs'")
    environment.setenv("PYTHONPATH", os.pathsep.join([str(PACKAGE.parent), *sys.path]))
    environment.setenv("OMP_NUM_THREADS", "1")
    environment.setenv("IPYTHONDIR", str(folder / "ipython"))
    made = read(FOLDER / f"{name}.md")
    assert len(made.cells) > 8
    options = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(made, timeout=120, kernel_name="python3", resources=options).execute()
    return made


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = 0
    for cell in executed(name, tmp_path, monkeypatch).cells:
        for output in cell.outputs:
            assert output.output_type == "execute_result", f"{cell.source}\n{output}"
            told = output.data["text/plain"]
            assert RICH & output.data.keys() or told in PLAIN, f"{cell.source}\n{told}"
            assert " object at 0x" not in told
            shown += 1
    assert shown > 8


def test_notebooks_are_found() -> None:
    assert {"derivatives", "models"} <= set(NOTEBOOKS)

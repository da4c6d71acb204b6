"""The examples in docstrings, module by module."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import tensorcalculus

ROOT = Path(tensorcalculus.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8") and path.name != "__init__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    result = doctest.testmod(module)
    assert not result.failed
    # What doctest does not find, as it is wrapped in something else, would never run.
    written = len(re.findall(r"^\s*>>> ", inspect.getsource(module), re.MULTILINE))
    assert result.attempted == written, f"{written - result.attempted} examples were not found"

"""Imports flow one way: expr, simplify, calculus, then notation and compile, then the faces.

The sources are read, not run, so imports inside functions count as well.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support import PACKAGE

ROOT = "tensorcalculus"
MAX_LINES = 500
# Loaded when first needed, so that `import tensorcalculus` stays quick.
LAZY = {
    *("scipy", "lark", "cotengra", "rich", "typer", "torch", "jax", "array_api_compat"),
    *("numba", "pandas", "xarray", "zarr", "sparse", "dask", "matplotlib"),
    *("starlette", "uvicorn", "latex2mathml"),
}

# A unit is a package or a module directly below the root; the root's own __init__ is ROOT.
UNITS = {
    *("errors", "expr", "simplify", "calculus", "notation", "compiler", "optimize", "export"),
    *("networks", "diagrams", "fit", "face", "api", "random_data", "display", "check"),
    *("task", "testing", "explanation", "cli", "web", ROOT),
}

# What each unit may import, besides itself.
ALLOWED = {
    "errors": set(),
    "expr": {"errors"},
    "simplify": {"expr", "errors"},
    "calculus": {"expr", "simplify", "errors"},
    "notation": {"expr", "simplify", "errors", "diagrams"},
    "compiler": {"expr", "simplify", "errors", "calculus", "display"},
    "face": UNITS,
    "api": UNITS - {"cli", "web"},
    # Random data for expressions, which checks and the published strategies share.
    "random_data": {"expr", "simplify", "errors", "compiler"},
    "display": set(),
    "optimize": {
        *("expr", "simplify", "calculus", "compiler", "errors", "random_data", "display"),
    },
    # Plain data, places and text: whoever has something to draw says what is drawn.
    "diagrams": {"errors"},
    # A network has the methods of an expression, which `face` gives.
    "networks": {
        *("expr", "simplify", "calculus", "compiler", "errors", "face", "display", "diagrams"),
    },
    "fit": {
        *("expr", "simplify", "calculus", "notation", "compiler", "optimize", "networks"),
        *("errors", "display"),
    },
    # The version of the package stands in what is written.
    "export": {"expr", "compiler", "errors", "random_data", "display", ROOT},
    "check": UNITS - {"cli", "web"},
    # Steps are made from the sweeps, and compared with nothing: tests do that.
    "explanation": {
        *("expr", "simplify", "calculus", "notation", "compiler", "diagrams", "errors", "check"),
        "display",
    },
    "testing": UNITS - {"cli", "web"},
    # A formula with its derivative as the two faces for people read and word it.
    "task": {"api", "calculus", "errors", "expr"},
    "web": {
        *("api", "calculus", "compiler", "diagrams", "errors", "explanation", "expr"),
        *("notation", "task"),
    },
    "cli": UNITS,
    ROOT: UNITS,
}

# The one step against the flow: nodes inherit the methods that users call from a mixin in `face`,
# which in turn imports nothing of the package before one of them is called.
EXCEPTIONS = {("expr/node.py", "face")}
LAZY_UNITS = {"face"}

SOURCES = sorted(PACKAGE.rglob("*.py"))


class Import(NamedTuple):
    """One import of a part of the package."""

    unit: str
    line: int
    deferred: bool  # runs when a function is called (or never: under TYPE_CHECKING)


def unit_of(path: str) -> str:
    """The unit that a source file belongs to, given its path below the package."""
    first = path.split("/")[0].removesuffix(".py")
    return ROOT if first == "__init__" else first


def imported_modules(node: ast.AST, path: str) -> list[str]:
    """Absolute names of all that one statement or call imports, relative imports resolved.

    ``from a import b`` may name a module or a thing within one: ``a.b`` is listed for both, as
    either way its first part below the root tells the unit.
    """
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            # Level 1 is the folder of the file, for a package's __init__ as for a module.
            folders = [ROOT, *path.split("/")[:-1]]
            kept = folders[: len(folders) - node.level + 1]
            base = ".".join([*kept, base] if base else kept)
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        first = node.args[0] if node.args else None
        if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
            return [str(first.value)]
    return []


def imports(source: str, path: str) -> Iterator[Import]:
    """All imports of parts of the package in one file."""
    known = UNITS | {unit_of(file.relative_to(PACKAGE).as_posix()) for file in SOURCES}
    pending: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while pending:
        node, deferred = pending.pop()
        for name in imported_modules(node, path):
            first, *rest = name.split(".")
            if first == ROOT:
                # `from tensorcalculus import gradient` is an import of the root itself.
                unit = rest[0] if rest and rest[0] in known else ROOT
                yield Import(unit, getattr(node, "lineno", 0), deferred)
        inside = deferred
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = True
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending.extend((child, True) for child in node.body)
            pending.extend((child, deferred) for child in node.orelse)
        else:
            pending.extend((child, inside) for child in ast.iter_child_nodes(node))


def faults(source: str, path: str) -> list[str]:
    """What in one file is against the flow, in words."""
    unit = unit_of(path)
    if unit not in ALLOWED:
        return [f"{path}: `{unit}` has no row in ALLOWED: say there what it may import"]
    found = []
    for target, line, deferred in imports(source, path):
        allowed = target == unit or target in ALLOWED[unit] or (path, target) in EXCEPTIONS
        if not allowed:
            found.append(f"{path}:{line}: `{unit}` must not import `{target}`")
        elif unit in LAZY_UNITS and not deferred:
            found.append(f"{path}:{line}: `{unit}` must import `{target}` inside a function")
    return found


def per_source(function):
    """Run a test once for each source file."""
    names = [file.relative_to(PACKAGE).as_posix() for file in SOURCES]
    return pytest.mark.parametrize("file", SOURCES, ids=names)(function)


def test_sources_are_found():
    assert PACKAGE / "__init__.py" in SOURCES


@per_source
def test_imports_follow_the_flow(file: Path):
    found = faults(file.read_text(encoding="utf-8"), file.relative_to(PACKAGE).as_posix())
    assert not found, "\n".join(found)


@per_source
def test_module_has_a_docstring(file: Path):
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), f"{file} says nothing"


@per_source
def test_file_is_short(file: Path):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{file} has {lines} lines; at most {MAX_LINES} are allowed"


def test_import_is_light():
    program = (
        "import sys; before = set(sys.modules); import tensorcalculus, json;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    # The child finds the package where this process does, installed or not.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert ROOT in loaded
    assert not loaded & LAZY, f"`import tensorcalculus` loads {sorted(loaded & LAZY)}"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("expr/dims.py", "from tensorcalculus.errors import ShapeError"),
        ("expr/dims.py", "from ..errors import ShapeError"),
        ("expr/dims.py", "from . import node"),
        ("expr/__init__.py", "from .node import Node"),
        ("expr/operations/__init__.py", "from ..node import Node"),
        ("expr/node.py", "from ..face import Face"),
        ("expr/dims.py", "import numpy as np"),
        ("compiler/plan.py", "from tensorcalculus import calculus"),
        ("compiler/plan.py", "import tensorcalculus.simplify.rules"),
        ("face.py", "import numpy\ndef f():\n    from . import compile"),
        ("face.py", "class F:\n    def f(self):\n        from .calculus import gradient"),
        ("face.py", "if TYPE_CHECKING:\n    from .expr.node import Node"),
        ("cli.py", "from tensorcalculus import gradient"),
        ("__init__.py", "from .cli import main"),
    ],
)
def test_scan_accepts(path: str, source: str):
    assert faults(source, path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("errors.py", "from .expr import Node"),
        ("expr/dims.py", "from ..face import Face"),
        ("expr/dims.py", "from tensorcalculus import Variable"),
        ("expr/operations/inverse.py", "from ...calculus import gradient"),
        ("expr/dims.py", "def f():\n    from tensorcalculus import simplify"),
        ("simplify/rules.py", "import tensorcalculus.calculus"),
        (
            "simplify/rules.py",
            "import importlib\nimportlib.import_module('tensorcalculus.compiler')",
        ),
        ("calculus/__init__.py", "from ..notation import show"),
        ("notation/latex.py", "from .. import compile"),
        ("notation/latex.py", "from .. import calculus"),
        ("compiler/plan.py", "from ..notation.latex import latex"),
        ("face.py", "from .expr import node"),
        ("face.py", "class F:\n    from .expr import node"),
        ("face.py", "if TYPE_CHECKING:\n    pass\nelse:\n    from .expr import node"),
        ("check.py", "from .cli import main"),
        ("testing.py", "def f():\n    import tensorcalculus.cli"),
        ("elsewhere.py", ""),
    ],
)
def test_scan_rejects(path: str, source: str):
    assert len(faults(source, path)) == 1

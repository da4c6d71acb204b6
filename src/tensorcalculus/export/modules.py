"""Modules of kernels as text and syntax tree: what they define and what they import."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

PACKAGE = "tensorcalculus"


@dataclass(frozen=True)
class Import:
    """An import statement of one name: ``from module import name as bound``."""

    module: str
    name: str | None
    """None where the module itself is bound."""
    bound: str

    @property
    def text(self) -> str:
        if self.name is None:
            renamed = f" as {self.bound}" if self.bound != self.module.split(".")[0] else ""
            return f"import {self.module}{renamed}"
        return f"from {self.module} import {self.name}" + (
            f" as {self.bound}" if self.bound != self.name else ""
        )


@dataclass(frozen=True, eq=False)
class Definition:
    """A function, a class or a constant of a module."""

    module: str
    names: tuple[str, ...]
    node: ast.stmt
    first: int
    last: int
    """Lines of the text, a comment above and a docstring below included."""


@dataclass
class Source:
    """A module that is read, not run: neither PyTorch nor JAX need be there."""

    name: str
    lines: list[str]
    definitions: dict[str, Definition] = field(default_factory=dict)
    imports: dict[str, list[Import]] = field(default_factory=dict)


@cache
def source_of(name: str) -> Source:
    """The module of this name."""
    spec = find_spec(name)
    assert isinstance(spec, ModuleSpec) and isinstance(spec.loader, InspectLoader)
    text = spec.loader.get_source(name)
    assert text is not None
    return read(name, text)


def read(name: str, text: str) -> Source:
    """The definitions and imports at the top level of a text."""
    source = Source(name, text.splitlines())
    body = ast.parse(text).body
    for k, node in enumerate(body):
        match node:
            case ast.Import(names=aliases):
                for a in aliases:
                    # `import a.b` binds `a`, `import a.b as c` binds `c` to `a.b`.
                    bound = a.asname or a.name.split(".")[0]
                    source.imports.setdefault(bound, []).append(Import(a.name, None, bound))
            case ast.ImportFrom(module=str(module), names=aliases) if module != "__future__":
                for a in aliases:
                    bound = a.asname or a.name
                    source.imports.setdefault(bound, []).append(Import(module, a.name, bound))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                _define(source, (node.name,), node, body[k + 1 : k + 2])
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                _define(source, tuple(names), node, body[k + 1 : k + 2])
    return source


def _define(
    source: Source, names: tuple[str, ...], node: ast.stmt, following: list[ast.stmt]
) -> None:
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)])
    last = node.end_lineno or node.lineno
    while first > 1 and source.lines[first - 2].startswith("#"):
        first -= 1
    match following:
        case [ast.Expr(value=ast.Constant(value=str()))]:
            last = following[0].end_lineno or last
    definition = Definition(source.name, names, node, first, last)
    source.definitions.update(dict.fromkeys(names, definition))

"""The kernels that a piece of source calls, with all that they need themselves, as text.

Definitions are copied word for word.  Only references change: in one module there is no
``kernels.`` before a name, and where two modules used the same name one of them gets another.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection
from typing import NamedTuple, TypeVar

from tensorcalculus.export.modules import PACKAGE, Definition, Import, Source, read, source_of
from tensorcalculus.export.scopes import local_names, references

_COMPILER = f"{PACKAGE}.compiler"
_NUMPY = ("kernels", "factors", "spectral_kernels", "divided_differences")
# Where generated source finds its kernels, by the name under which it does so.
_HOMES = {
    "numpy": {name: f"{_COMPILER}.{name}" for name in _NUMPY},
    **{
        language: {
            **dict.fromkeys(_NUMPY, f"{_COMPILER}.{language}_kernels"),
            "constants": f"{_COMPILER}.kernels",
        }
        for language in ("torch", "jax")
    },
}
_FRAMEWORKS = {
    "np": Import("numpy", None, "np"),
    "torch": Import("torch", None, "torch"),
    "jax": Import("jax", None, "jax"),
    "jnp": Import("jax.numpy", None, "jnp"),
}
# Errors of this package by the built-in ones that stand for them.
_ERRORS = {"InputError": "ValueError"}
# Names of types that stand in annotations only: where modules differ, one meaning serves for all.
_TYPES = {"Array", "ArrayLike"}
_BUILTINS = frozenset(dir(builtins))


_Meaning = TypeVar("_Meaning", Definition, Import)


class Target(NamedTuple):
    """What a reference means: a definition, or a name given as it is, and the parts it covers."""

    definition: Definition | None
    name: str
    length: int


class Kernels(NamedTuple):
    """Generated source in a module of its own, and what it takes along."""

    source: str
    definitions: str
    imports: list[Import]


def collect(text: str, language: str, reserved: Collection[str]) -> Kernels:
    """Find and copy what ``text`` refers to; no definition gets a name that is ``reserved``."""
    return _Closure(text, language, reserved).result()


class _Closure:
    def __init__(self, text: str, language: str, reserved: Collection[str]) -> None:
        self.root = read("", text)
        self.root.imports = {
            **{name: [Import(home, None, name)] for name, home in _HOMES[language].items()},
            **{name: [found] for name, found in _FRAMEWORKS.items()},
            **{
                name: [Import(_HOMES[language]["divided_differences"], name, name)]
                for name in ("divided_difference", "signed_difference")
            },
        }
        self.home = source_of(_HOMES[language]["kernels"])
        self.types: dict[str, Definition | Import] = {}
        self.reserved = set(reserved)
        self.imports: dict[Import, None] = {}
        self.order: list[str] = []
        """Modules, those that others import first."""
        self.used: dict[Definition, None] = {}
        self.clashing: dict[Definition, set[str]] = {}
        """Names that are local where a definition is referred to."""
        self.names: dict[tuple[str, str], str] = {}

    def result(self) -> Kernels:
        pending = list(dict.fromkeys(self.root.definitions.values()))
        roots = set(pending)
        while pending:
            definition = pending.pop(0)
            source = self.source(definition.module)
            inner = local_names(definition.node)
            for _, parts in references(definition.node):
                target = self.resolve(source, parts, keep=True)
                if target is None or target.definition is None or target.definition in roots:
                    continue
                self.clashing.setdefault(target.definition, set()).update(inner)
                if target.definition not in self.used:
                    self.used[target.definition] = None
                    pending.append(target.definition)
        bound = [i.bound for i in self.imports if i.name or i.bound != i.module.split(".")[0]]
        assert len(set(bound)) == len(bound), f"two imports of one name: {sorted(bound)}"
        self.choose_names()
        self.sort(self.root)
        copied = []
        for module in self.order:
            found = [d for d in self.used if d.module == module]
            copied += sorted(found, key=lambda d: d.first)
        text = "\n".join(self.copied(d) for d in dict.fromkeys(self.root.definitions.values()))
        return Kernels(text, self.joined(copied), list(self.imports))

    def source(self, name: str) -> Source:
        return source_of(name) if name else self.root

    def resolve(self, source: Source, parts: tuple[str, ...], keep: bool = False) -> Target | None:
        """What the first parts of a dotted name mean, followed through imports of this package.

        None for built-in names and other packages; imports of these are kept where asked for.
        """
        head = parts[0]
        if head in source.definitions:
            return Target(self.meant(head, source.definitions[head]), head, 1)
        for found in source.imports.get(head, []):
            inside = found.module.split(".")[0] == PACKAGE
            if not inside:
                dotted = found.module.split(".")
                plain = found.name is None and found.bound == dotted[0]
                if keep and (not plain or tuple(dotted) == parts[: len(dotted)]):
                    self.imports[self.meant(head, found)] = None
                continue
            if found.name is None:
                return self.within(found.module, parts[1:], 1)
            if found.module == f"{PACKAGE}.errors" and found.name in _ERRORS:
                return Target(None, _ERRORS[found.name], 1)
            if found.module == _COMPILER:
                return self.within(f"{found.module}.{found.name}", parts[1:], 1)
            return self.within(found.module, (found.name,), 0)
        return None

    def meant(self, name: str, found: _Meaning) -> _Meaning:
        """What a name is taken for: a type for annotations is that of the language."""
        if name not in _TYPES:
            return found
        if name not in self.types:
            own = self.home.definitions.get(name), *self.home.imports.get(name, [])
            self.types[name] = next((o for o in own if isinstance(o, type(found))), found)
        meaning = self.types[name]
        return meaning if isinstance(meaning, type(found)) else found

    def within(self, module: str, parts: tuple[str, ...], skipped: int) -> Target:
        target = self.resolve(source_of(module), parts)
        assert target is not None, f"{module} has no {parts[0]}"
        return target._replace(length=target.length + skipped)

    def choose_names(self) -> None:
        """A name for each definition: its own, or one with the last word of its module."""
        taken = self.reserved | _BUILTINS | {i.bound for i in self.imports}
        taken |= self.root.definitions.keys()
        for definition in self.used:
            for name in definition.names:
                chosen, word = name, definition.module.split(".")[-1].split("_")[0]
                while chosen in taken or chosen in self.clashing[definition]:
                    bare = chosen.lstrip("_")
                    chosen = f"{'_' * (len(chosen) - len(bare))}{word}_{bare}"
                taken.add(chosen)
                self.names[definition.module, name] = chosen

    def sort(self, source: Source) -> None:
        for found in (i for imports in source.imports.values() for i in imports):
            module = found.module
            if module == _COMPILER:
                module = f"{module}.{found.name}"
            if module.startswith(f"{PACKAGE}.") and module not in self.order:
                self.sort(source_of(module))
                if module not in self.order:
                    self.order.append(module)

    def copied(self, definition: Definition) -> str:
        """The text of a definition with the names that were chosen."""
        source = self.source(definition.module)
        edits: dict[int, list[tuple[int, int, str]]] = {}
        for node, parts in references(definition.node):
            target = self.resolve(source, parts)
            if target is None:
                continue
            new = target.name
            if target.definition is not None:
                new = self.names.get((target.definition.module, target.name), target.name)
            end = node
            for _ in range(len(parts) - target.length):
                assert isinstance(end, ast.Attribute)
                end = end.value
            if new != ".".join(parts[: target.length]):
                assert end.end_lineno == node.lineno and end.end_col_offset is not None
                edits.setdefault(node.lineno, []).append((node.col_offset, end.end_col_offset, new))
        lines = source.lines[definition.first - 1 : definition.last]
        for number, changes in edits.items():
            # Columns of the syntax tree count bytes.
            line = lines[number - definition.first].encode()
            for start, stop, new in sorted(changes, reverse=True):
                line = line[:start] + new.encode() + line[stop:]
            lines[number - definition.first] = line.decode()
        for name in definition.names:
            new = self.names.get((definition.module, name), name)
            if new != name:
                k = definition.node.lineno - definition.first
                lines[k] = lines[k].replace(name, new, 1)
        return "\n".join(lines)

    def joined(self, definitions: list[Definition]) -> str:
        """Definitions one below the other, constants of one module close together."""
        text = ""
        for k, definition in enumerate(definitions):
            small = isinstance(definition.node, (ast.Assign, ast.AnnAssign))
            before = definitions[max(k - 1, 0)]
            close = small and isinstance(before.node, (ast.Assign, ast.AnnAssign))
            close = close and before.module == definition.module
            text += ("\n" if close else "\n\n\n") if text else ""
            text += self.copied(definition)
        return text

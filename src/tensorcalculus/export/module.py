"""A module of its own from compiled expressions: the function, its kernels, a self-test."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorcalculus.compiler.compiled import Compiled
from tensorcalculus.compiler.factoring import written
from tensorcalculus.compiler.program import TYPICAL_SIZE, Program
from tensorcalculus.compiler.sizes import size_given
from tensorcalculus.compiler.targets import TARGETS
from tensorcalculus.display.source_text import SourceText
from tensorcalculus.errors import InputError, nearest
from tensorcalculus.export import example, helpers
from tensorcalculus.export.closure import Kernels, collect
from tensorcalculus.export.interface import HELPERS, Interface, fresh
from tensorcalculus.export.layout import broken, call, docstring, filled, folded
from tensorcalculus.expr.node import Expr, walk
from tensorcalculus.expr.words import properties, with_shape

_OTHERS = ("_draw", "_example", "_EXPECTED", "_self_test")
_IMPORTED = ("np", "jnp", "jax", "torch", "math", "permutations", "annotations")
_TITLES = {"numpy": "NumPy arrays", "torch": "PyTorch tensors", "jax": "JAX arrays"}
# How arguments and results are annotated, and what these annotations import.
_TYPES = {
    "numpy": ("ArrayLike", "np.ndarray", "np.floating", "from numpy.typing import ArrayLike"),
    "torch": ("torch.Tensor", "torch.Tensor", "torch.Tensor", "from typing import Any"),
    "jax": ("ArrayLike", "jax.Array", "jax.Array", "from jax.typing import ArrayLike"),
}
_FRAMEWORK = {
    "numpy": ("import numpy as np",),
    "torch": ("import numpy as np", "import torch"),
    "jax": ("import jax", "import jax.numpy as jnp", "import numpy as np"),
}
_NO_ARGUMENT = {"torch": "torch.zeros((), dtype=torch.float64)", "jax": "jnp.zeros(())"}
# What straight-line code stores, and the lines that do.
_STORED = re.compile(r"\bt\d+\b")
_STORE = re.compile(r" {4}(t\d+|dtype)(?:, device)? = ")


def write(
    run: Compiled | Expr | Sequence[Expr],
    language: str = "numpy",
    path: str | Path | None = None,
    name: str = "evaluate",
    sizes: Mapping[str, int] | None = None,
) -> str | Path:
    """What :func:`tensorcalculus.codegen` does."""
    if language not in TARGETS:
        words = ", ".join(repr(t) for t in TARGETS)
        raise InputError(
            f"code is written for {words}, not for {language!r}.{nearest(str(language), TARGETS)}"
        )
    compiled = run if isinstance(run, Compiled) else Compiled(run)
    text = _Module(compiled, language, name, sizes or {}).text()
    if path is None:
        return SourceText(text)
    path = Path(path)
    path.write_text(text, encoding="utf-8")
    return path


class _Module:
    def __init__(
        self,
        compiled: Compiled,
        language: str,
        name: str,
        sizes: Mapping[str, int],
    ) -> None:
        self.language = language
        self.outputs = compiled.outputs
        self.program = Program(list(compiled.outputs))
        self.single = len(self.outputs) == 1 and not compiled._wrapped
        self.interface = Interface(self.program.variables, self.program.symbols)
        self.name = _function_name(name)
        self.sizes = self._sizes(sizes)
        taken = {self.name, *self.interface.arguments.values(), *self.interface.sizes.values()}
        self.helpers = {h: fresh(h, taken) for h in (*HELPERS, *_OTHERS)}

    def _sizes(self, sizes: Mapping[str, int]) -> dict[str, int]:
        for symbol in sizes:
            if symbol not in self.program.symbols:
                have = ", ".join(self.program.symbols) or "none"
                raise InputError(
                    f"{symbol!r} is no size of these expressions (their sizes: {have})"
                    + nearest(str(symbol), self.program.symbols)
                )
        given = {symbol: size_given(symbol, size) for symbol, size in sizes.items()}
        every = {**dict.fromkeys(self.program.symbols, TYPICAL_SIZE), **given}
        for d in dict.fromkeys(d for node in walk(*self.program.roots) for d in node.shape):
            told = [s for s in d.symbols() if s in given]
            if told and (length := d.evaluate(every)) < 0:
                words = [
                    f"{s} = {every[s]}{'' if s in given else ' (default)'}" for s in d.symbols()
                ]
                raise InputError(
                    f"with the sizes {' and '.join(words)} the axis {d} has the length {length}; "
                    "a length of 0 or more is expected: give sizes that fit together"
                )
        return every

    def text(self) -> str:
        """The whole module."""
        kernels = self.kernels()
        function = self.function()
        found = example.find(
            self.outputs,
            self.program,
            self.interface.arguments,
            self.interface.given,
            self.helpers,
        )
        parts = [
            self.title(),
            self.imports(kernels, found),
            function,
            *self.own_helpers(),
            self.generated(kernels),
            *self.self_test(found),
        ]
        text = "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
        # The docstring is followed by one empty line only.
        text = text.replace(f"{parts[0]}\n\n\n", f"{parts[0]}\n\n", 1)
        # Names were checked one by one; this is the last bar to a module that does not load.
        ast.parse(text)
        return text

    # -- parts -----------------------------------------------------------------------------------

    def title(self) -> str:
        """The docstring of the module."""
        from tensorcalculus import __version__

        count = "one formula" if len(self.outputs) == 1 else f"{len(self.outputs)} formulas"
        lines = [f"The function ``{self.name}``: {count}, on {_TITLES[self.language]}.", ""]
        for k, e in enumerate(self.outputs):
            mark = "" if self.single else f"{k}: "
            lines += [f"{mark}{with_shape(e)}", *folded(str(e), "    ")]
        if self.program.variables:
            lines += ["", "of"]
        for v in self.program.variables.values():
            words = "".join(f", {word}" for word in properties(v))
            lines.append(f"    {v.name}: {with_shape(v)}{words}")
        lines += ["", f"Written by tensorcalculus {__version__}."]
        return docstring("\n".join(lines))

    def imports(self, kernels: Kernels, found: example.Example | None) -> str:
        """Import statements, the standard library first."""
        needed = {i.text for i in kernels.imports} | set(_FRAMEWORK[self.language])
        argument, *_, annotation = _TYPES[self.language]
        array = "_array" in self.interface.used
        if array or (argument == "ArrayLike" and self.program.variables):
            needed.add(annotation)
        if array and self.language != "numpy":
            needed.add("from typing import Any")
        if found is not None and self.program.variables:
            needed.add("import math")
        if found is not None and found.sorts:
            needed.add("from itertools import permutations")
        standard = sorted(filter(_is_standard, needed), key=_import_order)
        others = sorted(needed.difference(standard), key=_import_order)
        blocks = [["from __future__ import annotations"], _merged(standard), _merged(others)]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def function(self) -> str:
        """The function that users call."""
        face, (argument, array, scalar, _) = self.interface, _TYPES[self.language]
        parameters = [f"{x}: {argument}" for x in face.names]
        if face.given:
            parameters += ["*", *(f"{face.arguments[s]}: int" for s in face.given)]
        results = [array if e.ndim else scalar for e in self.outputs]
        several = results[0] if self.single else f"tuple[{', '.join(results)}]"
        if len(several) > 60:
            several = "tuple"
        lines = [call(f"def {self.name}", parameters, f" -> {several}:")]
        lines.append(docstring("\n".join(self.sections()), "    "))
        plain = self.language == "numpy"
        lines += face.body(self.helpers, typed=not plain, own=plain)
        return "\n".join(lines)

    def sections(self) -> list[str]:
        """The docstring of the function."""
        count = "The value" if self.single else "The values"
        lines = [f"{count} of the formulas above, all parts that they share computed once."]
        if len(self.outputs) == 1:
            lines = ["The value of the formula above."]
        face = self.interface
        if self.program.variables or face.given:
            lines += ["", "Parameters", "----------"]
        for name, v in self.program.variables.items():
            lines.append(f"{face.arguments[name]} : {with_shape(v)}")
            said = properties(v)
            if said:
                lines.append(f"    {', '.join(said)}; not checked")
        for symbol in face.given:
            lines += [f"{face.arguments[symbol]} : int", "    A size that no shape tells."]
        lines += ["", "Returns", "-------"]
        if self.single:
            return [*lines, with_shape(self.outputs[0])]
        return [*lines, *(f"{k} : {with_shape(e)}" for k, e in enumerate(self.outputs))]

    def own_helpers(self) -> list[str]:
        """Functions that read arguments and check shapes."""
        used, array = self.interface.used, _TYPES[self.language][1]
        names = {**self.helpers, "Array": array}
        parts = []
        if "_array" in used:
            parts.append(helpers.ARRAY[self.language].format(**names))
        parts += [text.format(**names) for name, text in helpers.TEMPLATES.items() if name in used]
        if "_own" in used:
            # Formulas give a tuple where there are several of them.
            parts.append(helpers.OWN["one" if self.single else "several"].format(**names))
        return parts

    def kernels(self) -> Kernels:
        """Generated source with the kernels that it calls."""
        program = self.program
        source, _ = written(
            program.roots, program.variables, program.symbols, self.sizes, TARGETS[self.language]
        )
        function = ast.parse(source).body[0]
        assert isinstance(function, ast.FunctionDef)
        names = [a.arg for a in function.args.args]
        body = _without_unused(source.splitlines()[function.body[0].lineno - 1 :])
        if len(self.outputs) == 1 and not self.single:
            assert body[-1].startswith("    return ")
            body[-1] = f"    return ({body[-1].removeprefix('    return ')},)"
        if len(names) > len(self.interface.names) + len(self.interface.sizes):
            # Without an argument none tells the type of the results.
            body.insert(0, f"    {names.pop(0)} = {_NO_ARGUMENT[self.language]}")
        told = zip(names, [*self.interface.names, *self.interface.sizes.values()], strict=True)
        words = [f"{short} = {long}," for short, long in told]
        lines = [call(f"def {self.helpers['_formulas']}", names, ":")]
        if words:
            lines += filled([*words[:-1], words[-1][:-1]], "    # ", "    # ")
        text = "\n".join([*lines, *(line for long in body for line in broken(long)), ""])
        reserved = {self.name, *self.helpers.values(), *_IMPORTED, "ArrayLike", "Any"}
        return collect(text, self.language, reserved)

    def generated(self, kernels: Kernels) -> str:
        """The straight-line code and what it calls, kept as they are by formatters."""
        said = "# Straight-line code for the formulas, and the functions that it calls."
        parts = ["# fmt: off", said, kernels.source.rstrip()]
        copied = f"\n\n\n{kernels.definitions}" if kernels.definitions else ""
        return "\n".join(parts) + f"{copied}\n\n\n# fmt: on"

    def self_test(self, found: example.Example | None) -> list[str]:
        """What ``python module.py`` does."""
        if found is None:
            return ['if __name__ == "__main__":\n    print("no self-test: no data were found")']
        arguments = [f"**{self.helpers['_example']}()"] if self.program.variables else []
        arguments += [f"{n}={size}" for n, size in found.sizes.items()]
        called = f"{self.name}({', '.join(arguments)})"
        if self.single:
            called = f"({called},)"
        prepare = ""
        if self.language == "jax":
            prepare = '    jax.config.update("jax_enable_x64", True)\n'
        text = helpers.SELF_TEST.format(**self.helpers, call=called, prepare=prepare)
        return [found.text, found.expected, text] if self.program.variables else [
            found.expected, text
        ]  # fmt: skip


def _without_unused(lines: list[str]) -> list[str]:
    """Lines without those that store what no other reads."""
    while True:
        outer = [line for line in lines if not line.startswith("     ")]
        counts = Counter(_STORED.findall("\n".join(lines)))
        # Functions within the source have a type of their own.
        counts["dtype"] = len(re.findall(r"\bdtype\b(?!=)", "\n".join(outer)))
        kept = [
            line
            for line in lines
            if not (found := _STORE.match(line)) or counts[found.group(1)] > 1
        ]
        if len(kept) == len(lines):
            return lines
        lines = kept


# -- names and imports -----------------------------------------------------------------------------


def _function_name(name: str) -> str:
    """The name of the function, if it can be one."""
    if not isinstance(name, str) or not (name.isidentifier() and name.isascii()):
        raise InputError(f"the function cannot be called {name!r}; a name of Python is expected")
    hidden = keyword.iskeyword(name) or name in _IMPORTED or hasattr(builtins, name)
    if hidden or name.startswith("__") or name in ("ArrayLike", "Any"):
        raise InputError(f"the function cannot be called {name}, a name that the module needs")
    return name


def _is_standard(statement: str) -> bool:
    return statement.split()[1].split(".")[0] not in ("numpy", "torch", "jax", "scipy")


def _import_order(statement: str) -> tuple:
    return statement.startswith("from"), statement.split()[1].lower(), statement


def _merged(statements: list[str]) -> list[str]:
    """Imports from one module in one statement."""
    found: dict[str, list[str]] = {}
    for statement in statements:
        head, _, name = statement.partition(" import ")
        found.setdefault(head, []).extend([name] if name else [])
    return [f"{head} import {', '.join(sorted(names))}" if names else head
            for head, names in found.items()]  # fmt: skip

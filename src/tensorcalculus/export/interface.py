"""The function that users call: its arguments, their shapes, and the sizes that these tell."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from tensorcalculus.errors import InputError
from tensorcalculus.export.layout import call, quoted
from tensorcalculus.expr.dims import Dim, dim, show_shape
from tensorcalculus.expr.node import Variable

HELPERS = ("_array", "_type", "_check", "_solve", "_size", "_own", "_formulas")


class Interface:
    """Names of arguments and sizes in a module, and the steps that get sizes from shapes."""

    def __init__(self, variables: Mapping[str, Variable], symbols: Sequence[str]) -> None:
        self.variables = dict(variables)
        self.symbols = list(symbols)
        self.arguments: dict[str, str] = {}
        for name in variables:
            _claim(name, self.arguments, "variable")
        self.steps: list[tuple[str, ...]] = []
        self.used: set[str] = set()
        self.whole: set[str] = set()
        """Variables whose shape is read and needs no check."""
        known, self.given = self._solve()
        for symbol in self.given:
            if symbol in variables:
                raise InputError(
                    f"{symbol} names a variable and a size that no shape tells; "
                    "a function cannot take both: rename one"
                )
            _claim(symbol, self.arguments, "size")
        taken = {*self.arguments.values(), *HELPERS}
        self.sizes: dict[str, str] = {}
        for k, symbol in enumerate(symbols):
            if symbol in self.given:
                self.sizes[symbol] = self.arguments[symbol]
                continue
            usable = symbol.isidentifier() and symbol.isascii() and not keyword.iskeyword(symbol)
            self.sizes[symbol] = fresh(symbol if usable else f"d{k}", taken)
            taken.add(self.sizes[symbol])
        self._known = known

    @property
    def names(self) -> list[str]:
        """The arguments that are arrays, as they are called in the module."""
        return [self.arguments[v] for v in self.variables]

    def _solve(self) -> tuple[dict[str, tuple], list[str]]:
        """Where each size comes from, and the symbols that no shape tells."""
        known: dict[str, tuple] = {}
        for name, variable in self.variables.items():
            whole = True
            for axis, d in enumerate(variable.shape):
                if d.symbol is not None and d.symbol not in known:
                    known[d.symbol] = ("axis", name, axis)
                else:
                    whole = False
            if whole:
                self.whole.add(name)
        given: list[str] = []
        while True:
            found = self._linear({*known, *given})
            if found is not None:
                known[found[0]] = ("linear", *found[1:])
                continue
            left = [s for s in self.symbols if s not in known and s not in given]
            if not left:
                return known, given
            given.append(left[0])

    def _linear(self, known: Collection[str]) -> tuple | None:
        """A symbol that one axis tells, by a linear equation, where all others are known."""
        for name, variable in self.variables.items():
            for axis, d in enumerate(variable.shape):
                unknown = [s for s in d.symbols() if s not in known]
                if len(unknown) == 1 and all(
                    _degree(atoms, unknown[0]) < 2 for atoms, _ in d.terms
                ):
                    symbol = unknown[0]
                    rest = d.substitute({symbol: dim(0)})
                    return symbol, name, axis, d, rest, d.substitute({symbol: dim(1)}) - rest
        return None

    def spelled(self, d: Dim) -> str:
        """A dimension in terms of the names of sizes."""
        terms = []
        for atoms, c in d.terms:
            names = [
                self.sizes[a]
                if isinstance(a, str)
                else f"min({self.spelled(a[1])}, {self.spelled(a[2])})"
                for a in atoms
            ]
            if abs(c) != 1 or not names:
                names.insert(0, str(abs(c)))
            sign = "-" if c < 0 else ""
            spaced = f" {sign or '+'} " if terms else sign
            terms.append(spaced + " * ".join(names))
        if any("min(" in t for t in terms) and "min" in self.arguments.values():
            raise InputError("a variable called min hides the function that a shape here needs")
        return "".join(terms) or "0"

    def body(self, helpers: Mapping[str, str], typed: bool, own: bool) -> list[str]:
        """Arrays made, sizes solved, shapes checked, the formulas called.

        ``typed``: the arrays get one type; ``own``: results are kept from sharing memory.
        """
        lines, indent = [], "    "

        def helper(name: str) -> str:
            self.used.add(name)
            return helpers[name]

        kind = fresh("kind", {*self.arguments.values(), *self.sizes.values()})
        if typed and self.variables:
            lines.append(call(f"{kind} = {helper('_type')}", self.names, "", indent))
        for name, variable in self.variables.items():
            x = self.arguments[name]
            words = quoted(show_shape(variable.shape))
            parts = [quoted(x), x, str(variable.ndim), words]
            parts += [kind] if typed else []
            lines.append(call(f"{x} = {helper('_array')}", parts, "", indent))
        for symbol in self.given:
            n = self.arguments[symbol]
            lines.append(f"{indent}{n} = {helper('_size')}({quoted(n)}, {n})")
        for name, variable in self.variables.items():
            x = self.arguments[name]
            if name in self.whole and variable.ndim:
                sizes = [self.sizes[d.symbol or ""] for d in variable.shape]
                target = f"({sizes[0]},)" if len(sizes) == 1 else ", ".join(sizes)
                lines.append(f"{indent}{target} = {x}.shape")
        for symbol, origin in self._known.items():
            name, axis = origin[1:3]
            x = self.arguments[name]
            if origin[0] == "axis" and name not in self.whole:
                lines.append(f"{indent}{self.sizes[symbol]} = {x}.shape[{axis}]")
            elif origin[0] == "linear":
                d, rest, factor = origin[3:]
                length = f"{x}.shape[{axis}]"
                if rest.value != 0:
                    minus = self.spelled(rest)
                    length += f" - ({minus})" if len(rest.terms) > 1 else f" - {minus}"
                words = quoted(f"axis {axis} of {x}, {d.text},")
                parts = [words, length, self.spelled(factor)]
                lines.append(call(f"{self.sizes[symbol]} = {helper('_solve')}", parts, "", indent))
        for name, variable in self.variables.items():
            if name in self.whole:
                continue
            x = self.arguments[name]
            comma = "," if variable.ndim == 1 else ""
            shape = f"({', '.join(self.spelled(d) for d in variable.shape)}{comma})"
            parts = [quoted(x), x, shape, quoted(show_shape(variable.shape))]
            lines.append(call(helper("_check"), parts, "", indent))
        arguments = [*self.names, *self.sizes.values()]
        called = f"{helpers['_formulas']}({', '.join(arguments)})"
        if own and self.variables:
            lines.append(call(f"return {helper('_own')}", [called, *self.names], "", indent))
        else:
            lines.append(call(f"return {helpers['_formulas']}", arguments, "", indent))
        return lines


def fresh(name: str, taken: Collection[str]) -> str:
    """The name, with as many underscores behind as keep it from those taken."""
    while name in taken or keyword.iskeyword(name):
        name += "_"
    return name


def _claim(name: str, claimed: dict[str, str], what: str) -> None:
    """Note how Python spells a name; refuse what cannot be a parameter."""
    # Python reads identifiers in this normal form, so two may be one.  A name may come as a
    # token of the parser: a plain string is kept.
    spelled = unicodedata.normalize("NFKC", str(name))
    if not name.isidentifier() or not spelled.isidentifier():
        raise InputError(f"the {what} {name!r} is no name that a function can take")
    if keyword.iskeyword(spelled) or spelled == "__debug__":
        raise InputError(
            f"the {what} {name!r} is a word of Python's own; rename it to write a module"
        )
    if spelled in claimed.values():
        raise InputError(f"the {what} {name!r} is the same to Python as another one; rename it")
    claimed[name] = spelled


def _degree(atoms: tuple, symbol: str) -> int:
    """How often a symbol is a factor; 2 where it stands within a minimum."""
    inner = any(not isinstance(a, str) and symbol in a[1].symbols() + a[2].symbols() for a in atoms)
    return 2 if inner else sum(a == symbol for a in atoms)

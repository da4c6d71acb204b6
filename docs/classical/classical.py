"""Formulas of the literature: derived by the library, compared on random data, laid out as tables.

The formulas are data, in ``formulas/*.toml``; a table there is a topic, its rows are formulas:

- ``latex``: what the literature writes; ``source``: where, by the codes of ``sources.toml``;
- ``f``, ``by``, ``vars``: what one types; ``by`` names two variables for a second derivative;
- ``kind``: ``derivative``, ``full`` (all entries of a structured variable count as independent),
  ``differential``, ``jvp``, ``vjp`` or ``hvp``; ``along`` names the direction of the last three;
- ``is``: the literature's formula in our language, written down from the literature;
- ``sizes``: numbers for sizes, where not all will do;
- ``note``: why the printed form is another one, where it is.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tensorcalculus as tc
from tensorcalculus.random_data import draw_sizes, draw_values

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-9
ONE_LINE = 75
_MACROS = {
    "tr": r"\operatorname{tr}",
    "diag": r"\operatorname{diag}",
    "vect": r"\operatorname{vec}",
    "unfold": r"\operatorname{unfold}",
    "half": r"\tfrac12",
    "T": r"^\top",
    "inv": "^{-1}",
    "invT": r"^{-\top}",
    "had": r"\odot",
    "kr": r"\mathbin{\circledast}",
}


@dataclass(frozen=True)
class Formula:
    """One row: the literature's derivative of a function, and what one types to get it."""

    latex: str
    f: str
    by: str
    expected: str
    source: str = ""
    vars: dict[str, str] = field(default_factory=dict)
    kind: str = "derivative"
    along: str = ""
    sizes: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def function(self) -> Any:
        return tc.parse(self.f, self.vars)

    def derived(self) -> Any:
        """What the library makes of it."""
        f, by = self.function, self.by.split()
        if self.kind == "differential":
            return f.differential(*by)
        if self.kind == "jvp":
            return f.jvp(**dict(zip(by, self.along.split(), strict=True)))
        if self.kind == "vjp":
            return f.vjp(**{by[0]: self.along})
        if self.kind == "hvp":
            return f.hvp(by[0], self.along)
        if self.kind == "full":
            return f.jacobian(by[0], symmetry="full")
        if self.kind != "derivative":
            raise ValueError(f"{self.f}: there is no kind {self.kind!r}")
        return tc.derivative(f, by)

    def error(self) -> float:
        """The largest difference from the literature's formula, relative to its largest entry.

        Raises AssertionError where the two differ, at any of three random points.
        """
        f, derived = self.function, self.derived()
        variables = {**derived.variables, **f.variables}
        expected = tc.parse(self.expected, variables)
        if len(expected.shape) != len(derived.shape):
            raise AssertionError(f"{self.f} by {self.by} is {derived}, not {self.expected}")
        worst, tried = 0.0, 0
        for attempt in range(24):
            point = self._point(f, derived, attempt)
            try:
                with np.errstate(all="ignore"):
                    found, right = np.asarray(derived(**point)), np.asarray(expected(**point))
            except tc.InputError:  # a singular matrix, say
                continue
            if not np.isfinite(right).all():
                continue
            error = np.abs(found - right).max() / max(np.abs(right).max(), 1e-300)
            if not error < TOLERANCE:
                raise AssertionError(
                    f"{self.f} by {self.by} is {derived}; {self.expected} differs by {error:.1e}"
                )
            worst, tried = max(worst, float(error)), tried + 1
            if tried == 3:
                return worst
        raise AssertionError(f"{self.expected} is finite at fewer than three points")

    def _point(self, f: Any, derived: Any, attempt: int) -> dict[str, Any]:
        """Random data for the function and for directions, and sizes that no array tells."""
        sizes = draw_sizes(f, self.sizes, {})[0]
        point = draw_values(f, sizes, attempt=attempt)
        rng = np.random.default_rng(attempt)
        for name, variable in derived.variables.items():
            if name not in point:
                shape = [d.evaluate(sizes) for d in variable.shape]
                point[name] = rng.standard_normal(shape)
        return point


def formulas() -> dict[str, list[Formula]]:
    """All formulas by topic, in the order of the files."""
    found: dict[str, list[Formula]] = {}
    for path in sorted((HERE / "formulas").glob("*.toml")):
        for topic, rows in tomllib.loads(path.read_text()).items():
            found.setdefault(topic, [])
            for row in rows:
                found[topic].append(Formula(expected=row.pop("is"), **row))
    return found


def table(topic: str) -> Any:
    """The formulas of a topic as Markdown; fails where one is not what the library finds."""
    from IPython.display import Markdown

    lines = ["| | the literature; what one types → what the library prints |", "| --- | --- |"]
    for row in formulas()[topic]:
        error, typed, printed = row.error(), _typed(row), str(row.derived())
        source = row.source.replace(" (", "\u00a0(")
        near = len(typed) + len(printed) < ONE_LINE
        note = f"<br><small>{row.note}</small>" if row.note else ""
        lines.append(
            f"| <span title='largest difference {error:.0e}'>✓</span> <small>{source}</small> "
            f"| ${_math(row.latex)}$<br>{typed}{' ' if near else '<br>'}→ `{printed}`{note} |"
        )
    return Markdown("\n".join(lines))


def _math(latex: str) -> str:
    """LaTeX without our abbreviations; ``\\by{X}`` is the operator of differentiation."""
    import re

    latex = latex.replace(r"[\![", "⟦").replace(r"]\!]", "⟧")
    latex = re.sub(r"\\by\{([^{}]*)\}", r"\\frac{\\partial}{\\partial \1}", latex)
    return re.sub(r"\\([A-Za-z]+)", lambda m: _MACROS.get(m[1], m[0]), latex)


def _typed(row: Formula) -> str:
    """The function, its variable, and what was declared."""
    by = row.by.split()
    times = ["", "twice ", "three times "][len(by) - 1] if len(set(by)) == 1 else ""
    names = " and ".join(f"`{name}`" for name in dict.fromkeys(by))
    how = {
        "derivative": f"{times}by {names}",
        "full": f'by {names}, `symmetry="full"`',
        "differential": "differential",
        "jvp": f"by {names} along `{row.along}`",
        "vjp": f"`{row.along}` times the Jacobian by {names}",
        "hvp": f"Hessian by {names} times `{row.along}`",
    }[row.kind]
    declared = ", ".join(f"{name}: {spec or 'scalar'}" for name, spec in row.vars.items())
    return f"`{row.f}` {how}" + (f", <small>{declared}</small>" if declared else "")

"""What the lines of an explanation are compared with: their text, read and evaluated anew.

Values of parts come from the definitions as they are shown, derivatives from differences of these
values, so nothing that made a line is used to judge it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from notation.index_reader import Evaluator

import tensorcalculus as tc
from tensorcalculus.explanation.blocks import Line, Table, Way
from tensorcalculus.explanation.formulas import Formula
from tensorcalculus.explanation.record import Explanation

_STEP = 1e-4
_NAME = re.compile(r"[^\W\d]\w*")
_PARTIAL = re.compile(r"([d∂])(\w+)(?:\[([^\]]*)\])?/\1(\w+)(?:\[([^\]]*)\])?")


class Witness:
    """A function with its parts, at a point and along a direction."""

    def __init__(self, told: Explanation, values: Mapping[str, Any], seed: int = 0) -> None:
        self.told = told
        self.rng = np.random.default_rng(seed)
        self.values = {k: np.asarray(v, float) for k, v in values.items()}
        self.along = {name: self.rng.standard_normal(self.values[name].shape) for name in told.wrt}
        self.definitions: list[tuple[str, str]] = []
        self.seen = 0

    def define(self, name: str, text: str) -> None:
        self.definitions.append((name, text))

    @property
    def function(self) -> str:
        return self.definitions[-1][0]

    # -- values --------------------------------------------------------------------------------

    def all(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Values of all parts; ``given`` may replace any of them."""
        found = {**self.values, **given}
        for name, text in self.definitions:
            if name not in given:
                found[name] = evaluate(text, found)
        return found

    def slope(self, of: str, by: str) -> np.ndarray:
        """The derivative of a part by another (or a variable), axes of the part first."""
        here = self.all({})
        x = here[by]
        columns = []
        for place in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[place] = 1.0

            def at(t: float, step: np.ndarray = step) -> np.ndarray:
                return self.all({by: x + t * step})[of]

            columns.append(difference(at))
        flat = np.stack(columns, -1) if columns else np.zeros((*here[of].shape, 0))
        return flat.reshape(here[of].shape + x.shape)

    def local(self, of: str, by: str) -> np.ndarray:
        """The derivative of the formula of a part by what stands in it, all else fixed."""
        here, text = self.all({}), dict(self.definitions)[of]
        columns = []
        for place in np.ndindex(here[by].shape):
            step = np.zeros(here[by].shape)
            step[place] = 1.0

            def at(t: float, step: np.ndarray = step) -> np.ndarray:
                return evaluate(text, {**here, by: here[by] + t * step})

            columns.append(difference(at))
        return np.stack(columns, -1).reshape(here[of].shape + here[by].shape)

    def changes(self) -> dict[str, np.ndarray]:
        """``dZ`` for all parts along the direction."""

        def at(t: float) -> np.ndarray:
            moved = {n: self.values[n] + t * d for n, d in self.along.items()}
            found = self.all(moved)
            return np.concatenate([found[n].ravel() for n, _ in self.definitions])

        here = self.all({})
        flat, found, start = difference(at), {}, 0
        for name, _ in self.definitions:
            size = here[name].size
            found[f"d{name}"] = flat[start : start + size].reshape(here[name].shape)
            start += size
        return found | {f"d{n}": d for n, d in self.along.items()}

    # -- the claims ----------------------------------------------------------------------------

    def differentials(self, way: Way) -> None:
        lines = [b for b in way.blocks if isinstance(b, Line)]
        for line in lines:
            if _NAME.fullmatch(line.left.text) and not self._is_claim(line.left.text):
                self.define(line.left.text, line.right.text)
        known, changes = self.all({}), self.changes()
        for line in lines:
            left = line.left.text
            partial = _PARTIAL.fullmatch(left)
            if partial:
                right = self.slope(partial[2], partial[4])
            elif left in changes:
                right = changes[left]
            elif left.startswith("G_"):
                right = known[left] = self.slope(self.function, left[2:])
            elif left in known:
                continue
            else:  # a rule of the simplifier: both sides are formulas
                right = evaluate(left, known)
            found = evaluate(line.right.text, {**known, **changes})
            self.compare(found, right, f"{left} = {line.right.text}")

    def _is_claim(self, name: str) -> bool:
        known = {n for n, _ in self.definitions} | set(self.values)
        return name.startswith("G_") or (name[0] == "d" and name[1:] in known)

    def backpropagation(self, way: Way, given: np.ndarray | None = None) -> None:
        tables = [b for b in way.blocks if isinstance(b, Table)]
        assert len(tables) == 2
        for row in tables[0].rows:
            name, text = row[0], row[1]
            assert isinstance(name, Formula)
            if isinstance(text, Formula):
                self.define(name.text, text.text)
        known, changes = self.all({}), self.changes()
        for row in tables[0].rows:
            cell = row[-1]
            if not isinstance(cell, Formula):
                continue
            for claim in cell.text.split(", ") if "∂" in cell.text else [cell.text]:
                left, right = claim.split(" = ", 1)
                partial = _PARTIAL.fullmatch(left)
                at = {**known, **changes}
                if partial:
                    self.compare(evaluate(right, at), self.local(partial[2], partial[4]), claim)
                else:
                    self.compare(evaluate(right, at), changes[left], claim)
        bars: dict[str, np.ndarray] = {}
        for row in tables[1].rows:
            name, text = row[0], row[1]
            assert isinstance(name, Formula)
            of = name.text.removesuffix("_bar")
            if not bars:
                first = np.ones(known[of].shape) if given is None else given
                bars[name.text] = first
                continue
            assert isinstance(text, Formula)
            found = evaluate(text.text, {**known, **bars})
            slope = self.slope(self.function, of)
            axes = known[self.function].ndim
            right = np.tensordot(bars[f"{self.function}_bar"], slope, axes)
            self.compare(found, right, f"{name.text} = {text.text}")
            bars[name.text] = right

    def indices(self, way: Way) -> None:
        lines = [b for b in way.blocks if isinstance(b, Line)]
        for line in lines:
            head = re.fullmatch(r"(\w+)(?:\[([^\]]*)\])?", line.left.text)
            if head and head[1] not in dict(self.definitions):
                self.define(head[1], f"\0{head[2] or ''}\0{line.right.text}")
        known = self.all({})
        for line in lines:
            partial = _PARTIAL.fullmatch(line.left.text)
            if not partial:
                continue
            sign, of, at, by, below = partial.groups()
            right = self.local(of, by) if sign == "∂" else self.slope(of, by)
            if at is None and below is None and right.ndim:  # matrix notation
                found = evaluate(line.right.text, known)
            else:
                names = ",".join(x for x in (at, below) if x)
                found = entries(line.right.text, names, known, right.shape)
            self.compare(found, right, f"{line.left.text} = {line.right.text}")

    def compare(self, found: np.ndarray, right: np.ndarray, claim: str) -> None:
        scale = max(float(np.abs(right).max(initial=0.0)), 1e-3)
        assert np.shape(found) == np.shape(right), claim
        error = float(np.abs(found - right).max(initial=0.0)) / scale
        assert error < 1e-6, f"{claim}: relative error {error:.1e}"
        self.seen += 1


def difference(at) -> np.ndarray:
    """A central difference, extrapolated twice."""
    one, two, four = (
        (np.asarray(at(h)) - np.asarray(at(-h))) / (2 * h) for h in (_STEP, 2 * _STEP, 4 * _STEP)
    )
    first, second = (4 * one - two) / 3, (4 * two - four) / 3
    return (16 * first - second) / 15


def evaluate(text: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a formula of the input language, or of an entry after its indices."""
    if text.startswith("\0"):
        _, at, body = text.split("\0", 2)
        return entries(body, at, values, None)
    names = set(_NAME.findall(text)) & set(values)
    declared = {n: " ".join(map(str, values[n].shape)) for n in sorted(names)}
    f = read(text, tuple(declared.items()))
    return np.asarray(f(**{n: values[n] for n in f.variables}))


@cache
def read(text: str, declared: tuple[tuple[str, str], ...]) -> Any:
    return tc.parse(text, dict(declared))


def entries(
    body: str, at: str, values: Mapping[str, np.ndarray], shape: tuple[int, ...] | None
) -> np.ndarray:
    """All entries of a formula in index notation."""

    def whole(text: str, tensors: dict[str, np.ndarray]) -> np.ndarray:
        return evaluate(text, tensors)

    reader = Evaluator(values, {}, whole)
    text = f"[{at}] = {body}" if at else body
    return reader.run(text, shape)

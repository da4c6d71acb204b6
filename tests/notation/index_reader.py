"""A reader of index notation for the tests, written apart from the printer: loops over indices.

It knows the grammar that the top of ``notation/indices.py`` describes and nothing else of the
package; only operations on whole tensors (``inv(A)``, ``x[1:3]``) are left to a callback.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

Env = dict[str, int]
Node = tuple

_NUMPY = """exp expm1 log log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh
arctanh sqrt abs sign floor ceil round arctan2"""
_SCIPY = "erf erfc gamma digamma xlogy polygamma"
FUNCTIONS: dict[str, Callable[..., float]] = {
    **{name: getattr(np, name) for name in _NUMPY.split()},
    **{name: getattr(special, name) for name in _SCIPY.split()},
    "max": max,
    "min": min,
    "lgamma": special.gammaln,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "logcosh": lambda x: np.logaddexp(x, -x) - math.log(2),
    "relu": lambda x: max(x, 0.0),
    "step": lambda x: float(x > 0),
}

TOKEN = re.compile(r'\s*("[^"]*"|\d+\.?\d*(?:e[-+]?\d+)?|[^\W\d]\w*|[-+*/^()\[\],:<=])')


def split(text: str, separator: str) -> list[str]:
    """``text`` cut at separators outside brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for k, c in enumerate(text):
        quoted ^= c == '"'
        depth += (c in "([") - (c in ")]") if not quoted else 0
        if depth == 0 and not quoted and text.startswith(separator, k):
            parts.append(text[start:k])
            start = k + len(separator)
    return [*parts, text[start:]]


class Reader:
    """The syntax of one formula; texts in quotes keep operations whole."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.next = ""
        self.start = 0
        self.advance()

    def advance(self) -> str:
        token, self.start = self.next, self.place
        if self.place >= len(self.text.rstrip()):
            self.next = ""
            return token
        match = TOKEN.match(self.text, self.place)
        assert match, f"cannot read {self.text[self.place :]!r}"
        self.next, self.place = match.group(1), match.end()
        return token

    def take(self, token: str) -> None:
        assert self.next == token, f"{token!r} expected before {self.text[self.start :]!r}"
        self.advance()

    def whole(self) -> Node:
        node = self.sum()
        assert not self.next, f"{self.text[self.start :]!r} is left over"
        return node

    def sum(self) -> Node:
        terms = []
        while self.next in ("+", "-") or not terms:
            sign = -1 if self.next == "-" else 1
            if self.next in ("+", "-"):
                self.advance()
            terms.append((sign, self.product()))
        return ("sum", terms)

    def product(self) -> Node:
        factors = [("*", self.power())]
        while self.next in ("*", "/"):
            factors.append((self.advance(), self.power()))
        return ("product", factors)

    def power(self) -> Node:
        base = self.atom()
        if self.next == "^":
            self.advance()
            return ("power", base, self.atom())
        return base

    def atom(self) -> Node:
        if self.next == "(":
            self.advance()
            inner = self.sum()
            self.take(")")
            return inner
        if self.next[0].isdigit():
            return ("number", float(self.advance()))
        begin = self.place - len(self.next)
        name = self.advance()
        if name == "sum":
            return self.summation()
        if self.next == "(":
            inside = self.text[self.place : self.close(self.place - 1)]
            # max(a,b) is a number; max(S) and max(S,axis=-1) are operations on the whole of S.
            whole = len([a for a in split(inside, ",") if not a.startswith("axis=")]) == 1
            if name in FUNCTIONS and not (name in ("max", "min") and whole):
                self.advance()
                args = [self.sum()]
                while self.next == ",":
                    self.advance()
                    args.append(self.sum())
                self.take(")")
                return ("call", name, args)
            self.skip()
        return self.tensor(begin)

    def close(self, place: int) -> int:
        depth = 0
        for k in range(place, len(self.text)):
            depth += (self.text[k] in "([") - (self.text[k] in ")]")
            if depth == 0:
                return k
        raise AssertionError("a bracket is open")

    def skip(self) -> None:
        """Go behind the bracket that ``next`` opens."""
        self.place = self.close(self.place - 1) + 1
        self.advance()

    def tensor(self, begin: int) -> Node:
        """What stands before the last bracket, and the indices within it."""
        end = self.place - len(self.next) if self.next else len(self.text.rstrip())
        indices: list[str] = []
        whole = self.text[begin:end].strip()
        while self.next == "[":
            inside = self.text[self.place : self.close(self.place - 1)]
            self.skip()
            if re.fullmatch(r"[^\W\d]\w*(,[^\W\d]\w*)*", inside):
                return ("entry", whole, inside.split(","))
            whole = f"{whole}[{inside}]"
        return ("entry", whole, indices)

    def summation(self) -> Node:
        self.take("(")
        names, ranges = [], {}
        while True:
            name = self.advance()
            names.append(name)
            if self.next == "<":
                self.advance()
                begin = self.place - len(self.next)
                while self.next not in (",", ":"):
                    if self.next == "(":
                        self.skip()
                    else:
                        self.advance()
                ranges[name] = self.text[begin : self.place - 1]
            if self.next == ":":
                break
            self.take(",")
        self.take(":")
        body = self.sum()
        self.take(")")
        return ("over", names, ranges, body)


class Evaluator:
    """Values of formulas: ``tensors`` by name, ``sizes`` by symbol."""

    def __init__(
        self,
        tensors: Mapping[str, Any],
        sizes: Mapping[str, int],
        operation: Callable[[str, dict[str, np.ndarray]], np.ndarray],
    ) -> None:
        self.tensors = {name: np.asarray(value, float) for name, value in tensors.items()}
        self.sizes = dict(sizes)
        self.operation = operation
        self.whole: dict[str, np.ndarray] = {}
        self.known: dict[int, list[range]] = {}
        self.free: dict[str, int] = {}
        """Ranges of the indices that no sum binds, which a delta may hand to a sum's."""
        self.kept: list[Node] = []

    def read(self, formula: str) -> Node:
        return Reader(formula).whole()

    def run(self, text: str, shape: tuple[int, ...] | None) -> np.ndarray:
        """All entries; without a shape the ranges are those that the formula shows."""
        body, *told = split(text, " where ")
        assert len(told) <= 1
        for definition in split(told[0], ", ") if told else []:
            head, formula = split(definition, " = ")
            match = re.fullmatch(r"([^\W\d]\w*)(?:\[(.*)\])?", head)
            assert match, head
            indices, ranges = [], {}
            for part in split(match[2], ",") if match[2] else []:
                name, _, size = part.partition("<")
                indices.append(name)
                if size:
                    ranges[name] = self.size(size)
            self.tensors[match[1]] = self.table(formula, indices, ranges)
        head, _, formula = body.rpartition(" = ")
        indices = head.strip("[]").split(",") if head else []
        assert shape is None or len(indices) == len(shape), text
        return self.table(formula, indices, dict(zip(indices, shape or (), strict=False)))

    def size(self, text: str) -> int:
        sizes = {**self.sizes, "min": min}
        assert re.fullmatch(r"[\w+*\-(), ]+", text)
        return int(eval(text, {"__builtins__": {}}, sizes))

    def table(self, formula: str, indices: list[str], ranges: Mapping[str, int]) -> np.ndarray:
        node = self.read(formula)
        found = self.ranges(node, dict(ranges))
        self.free = {i: found[i] for i in indices}
        shape = tuple(found[i] for i in indices)
        result = np.empty(shape)
        for place in itertools.product(*map(range, shape)):
            result[place] = self.value(node, dict(zip(indices, place, strict=True)))
        return result

    def ranges(self, node: Node, known: Mapping[str, int]) -> dict[str, int]:
        """The ranges of the indices of a formula, each from a tensor axis where it stands.

        A delta gives its two indices one range.
        """
        stack, found = [node], dict(known)
        deltas = []
        while stack:
            n = stack.pop()
            kind = n[0]
            if kind in ("sum", "product"):
                stack += [part for _, part in n[1]]
            elif kind == "power":
                stack += n[1:]
            elif kind == "call":
                stack += n[2]
            elif kind == "over":
                stack.append(n[3])
            elif kind == "entry" and self.is_delta(n):
                deltas.append(n[2])
            elif kind == "entry" and n[2]:
                for i, size in zip(n[2], self.array(n[1]).shape, strict=True):
                    found.setdefault(i, size)
        for i, j in deltas * len(deltas):
            if i in found or j in found:
                found.setdefault(i, found.get(j, 0))
                found.setdefault(j, found[i])
        return found

    def is_delta(self, node: Node) -> bool:
        kronecker = "kronecker" if "delta" in self.tensors else "delta"
        return node[1] == kronecker and len(node[2]) == 2

    def array(self, text: str) -> np.ndarray:
        if text in self.tensors:
            return self.tensors[text]
        if text not in self.whole:
            self.whole[text] = np.asarray(self.operation(text, self.tensors))
        return self.whole[text]

    def value(self, node: Node, env: Env) -> float:
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "sum":
            return sum(sign * self.value(part, env) for sign, part in node[1])
        if kind == "product":
            result = 1.0
            for operator, part in node[1]:
                factor = self.value(part, env)
                result = result * factor if operator == "*" else np.divide(result, factor)
            return result
        if kind == "power":
            base, exponent = self.value(node[1], env), self.value(node[2], env)
            return float(np.power(float(base), exponent))
        if kind == "call":
            return float(FUNCTIONS[node[1]](*(self.value(a, env) for a in node[2])))
        if kind == "over":
            return self.total(node, env)
        return self.entry(node, env)

    def total(self, node: Node, env: Env) -> float:
        _, names, told, body = node
        if id(node) not in self.known:
            shown = {i: self.size(text) for i, text in told.items()}
            found = self.ranges(body, {**self.free, **shown})
            self.known[id(node)] = [range(found[i]) for i in names]
            self.kept.append(node)
        for i in names:
            assert i not in env, f"{i} is summed within a sum over {i}"
        result = 0.0
        for place in itertools.product(*self.known[id(node)]):
            result += self.value(body, env | dict(zip(names, place, strict=True)))
        return result

    def entry(self, node: Node, env: Env) -> float:
        _, text, indices = node
        if self.is_delta(node):
            return float(env[indices[0]] == env[indices[1]])
        if not indices and text not in self.tensors:
            match = re.fullmatch(r"size\((.*)\)|(\w+)", text)
            if match and (match[1] or match[2] in self.sizes):
                return float(self.size(match[1] or match[2]))
        array = self.array(text)
        assert array.ndim == len(indices), f"{text} has {array.ndim} axes, not {indices}"
        return float(array[tuple(env[i] for i in indices)])

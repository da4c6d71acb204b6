r"""A reader of index notation in LaTeX, as a mathematician reads it, for the tests.

Written apart from the printer.  It makes the same syntax as :mod:`index_reader`, whose evaluator
then takes loops over the indices.  Conventions: factors stand side by side; ``\sum`` reaches over
all factors to its right, up to the next ``+`` or ``-``; ``\log`` without parentheses takes the
next factor.  ``Unknown`` is raised for signs that are not in the lists below.
"""

from __future__ import annotations

import re
from typing import NoReturn

import numpy as np
from index_reader import FUNCTIONS, Evaluator, Node

SIGN = re.compile(
    r"\\left[.(\[|]|\\right[)\]|]|\\operatorname\{\w+\}|\\mathrm\{\w+\}|\\[a-zA-Z]+|\\[,;]"
    r"|\d+\.?\d*|[A-Za-z]|[-+/=^_{}()\[\],<]"
)
SPACE = {r"\,", r"\;", r"\cdot"}
SAME = {
    r"\left(": "(", r"\right)": ")", r"\left[": "[", r"\right]": "]",
    r"\left|": r"\lvert", r"\right|": r"\rvert",
}  # fmt: skip
_NAMED = "exp log sin cos tan arcsin arccos arctan sinh cosh tanh"
_WORDS = "expm1 erf erfc softplus relu step sign round"
_GREEK = "alpha beta gamma delta epsilon theta kappa lambda mu nu xi rho tau phi"
CALLS = {
    **{f"\\{f}": f for f in _NAMED.split()},
    r"\Gamma": "gamma", r"\psi": "digamma", r"\sigma": "sigmoid",
    r"\operatorname{arsinh}": "arcsinh", r"\operatorname{arcosh}": "arccosh",
    r"\operatorname{artanh}": "arctanh", r"\operatorname{atan2}": "arctan2",
    **{rf"\operatorname{{{f}}}": f for f in _WORDS.split()},
}  # fmt: skip
WHOLE = {
    r"\det": "det", r"\lambda": "eigvalsh",
    r"\operatorname{softmax}": "softmax", r"\operatorname{logsumexp}": "logsumexp",
    r"\operatorname{logm}": "logm", r"\operatorname{chol}": "chol",
    r"\operatorname{cumsum}": "cumsum", r"\operatorname{revcumsum}": "revcumsum",
    r"\operatorname{prod}": "prod", r"\operatorname{cof}": "cofactor",
    r"\operatorname{reshape}": "reshape",
}  # fmt: skip
PARTS = {
    r"\operatorname{U}_\mathrm{svd}": "svd_U", r"\operatorname{V}_\mathrm{svd}": "svd_V",
    r"\sigma_\mathrm{svd}": "svdvals", r"\operatorname{V}_\mathrm{eigh}": "eigh_V",
}  # fmt: skip
POWERS = {"-1": "inv", "+": "pinv", "1/2": "sqrtm"}
ENDS = {"", "+", "-", ")", "]", "}", ",", r"\rvert", "="}
GREEK = {rf"\{name}": name for name in _GREEK.split()}


class Unknown(Exception):
    """A sign that this reader does not know."""


class Reader:
    """The syntax of one formula."""

    def __init__(self, latex: str) -> None:
        self.signs = [SAME.get(s, s) for s in SIGN.findall(latex) if s not in SPACE]
        if left := SIGN.sub("", latex).replace(" ", ""):
            raise Unknown(left)
        self.place = 0

    @property
    def next(self) -> str:
        return self.signs[self.place] if self.place < len(self.signs) else ""

    def advance(self) -> str:
        self.place += 1
        return self.signs[self.place - 1]

    def take(self, sign: str) -> None:
        assert self.next == sign, f"{sign!r} expected before {self.signs[self.place :]}"
        self.advance()

    def unknown(self) -> NoReturn:
        raise Unknown(" ".join(self.signs[self.place : self.place + 3]))

    def formula(self) -> Node:
        node = self.sum()
        assert not self.next, f"{self.signs[self.place :]} is left over"
        return node

    # -- numbers ---------------------------------------------------------------------------------

    def sum(self) -> Node:
        terms = []
        while self.next in ("+", "-") or not terms:
            sign = -1 if self.next == "-" else 1
            if self.next in ("+", "-"):
                self.advance()
            terms.append((sign, self.term()))
        return ("sum", terms)

    def term(self) -> Node:
        factors: list[tuple[str, Node]] = []
        while self.next not in ENDS:
            sign = "*"
            if self.next == "/":
                sign = self.advance()
            factors.append((sign, self.total() if self.next == r"\sum" else self.factor()))
        assert factors, f"a factor expected before {self.signs[self.place :]}"
        return ("product", factors)

    def total(self) -> Node:
        self.take(r"\sum")
        self.take("_")
        names, ranges = [], {}
        for part in "".join(self.braces()).split(","):
            name, _, first = part.partition("=")
            assert first in ("", "0")
            names.append(name)
        if self.next == "^":
            self.advance()
            ranges[names[0]] = "*".join(re.findall(r"[a-z]+|.", "".join(self.braces()))) + "+1"
            ranges[names[0]] = re.sub(r"\*?([-+])\*?", r"\1", ranges[names[0]])
        return ("over", names, ranges, self.term())

    def braces(self) -> list[str]:
        """The signs within braces."""
        self.take("{")
        begin, depth = self.place, 1
        while depth:
            sign = self.advance()
            depth += (sign == "{") - (sign == "}")
        return self.signs[begin : self.place - 1]

    def group(self, first: str, last: str) -> Node:
        self.take(first)
        node = self.sum()
        self.take(last)
        return node

    def factor(self) -> Node:
        node = self.atom()
        if self.next == "^":
            self.advance()
            node = ("power", node, self.group("{", "}"))
            assert self.next != "^"
        return node

    def atom(self) -> Node:
        sign = self.next
        if sign == "(":
            return self.group("(", ")")
        if sign == r"\lvert":
            return ("call", "abs", [self.group(r"\lvert", r"\rvert")])
        if sign[0].isdigit():
            return ("number", float(self.advance()))
        if sign == r"\frac":
            self.advance()
            over = self.group("{", "}")
            return ("product", [("*", over), ("/", self.group("{", "}"))])
        if sign == r"\sqrt":
            self.advance()
            return ("call", "sqrt", [self.group("{", "}")])
        if sign == "[":
            return self.bracket()
        if sign == r"\max" or sign == r"\min":
            return self.extreme()
        after = self.signs[self.place + 1] if self.place + 1 < len(self.signs) else ""
        if sign in WHOLE or (after == "_" and any(p.startswith(f"{sign}_\\") for p in PARTS)):
            begin = self.place
            try:
                return ("entry", self.whole(), self.below())
            except Unknown:
                self.place = begin
        if sign in CALLS and after not in ("_", "^"):
            self.advance()
            if after != "(":
                return ("call", CALLS[sign], [self.factor()])
            return ("call", CALLS[sign], self.args())
        return ("entry", self.name(), self.below())

    def args(self) -> list[Node]:
        self.take("(")
        found = [self.sum()]
        while self.next == ",":
            self.advance()
            found.append(self.sum())
        self.take(")")
        return found

    def extreme(self) -> Node:
        """The larger of two numbers, or the largest entry of a whole tensor."""
        begin = self.place
        name = self.advance()[1:]
        if self.next == "(":
            args = self.args()
            if len(args) == 2:
                return ("call", name, args)
        self.place = begin + 1
        if self.next != "(":
            self.unknown()
        self.advance()
        text = f"{name}({self.whole()})"
        self.take(")")
        return ("entry", text, self.below())

    def name(self) -> str:
        sign = self.next
        if re.fullmatch(r"[A-Za-z]", sign):
            return self.advance()
        if sign in GREEK:
            return GREEK[self.advance()]
        word = re.fullmatch(r"\\mathrm\{(\w+)\}", sign)
        if not word:
            self.unknown()
        self.advance()
        return word[1]

    def below(self) -> list[str]:
        """Indices, each one letter."""
        if self.next != "_":
            return []
        self.advance()
        signs = self.braces()
        if not all(re.fullmatch("[a-z]", s) for s in signs):
            raise Unknown(" ".join(signs))
        return signs

    # -- whole tensors ---------------------------------------------------------------------------

    def bracket(self) -> Node:
        """An entry of an operation, or ``[i=j]``."""
        self.take("[")
        if self.signs[self.place + 1] == "=":
            i, _, j = self.advance(), self.advance(), self.advance()
            self.take("]")
            return ("entry", "kronecker", [i, j])
        text = self.whole()
        self.take("]")
        return ("entry", text, self.below())

    def whole(self) -> str:
        """A tensor without indices, in the language of formulas."""
        sign = self.next
        if sign == "e" and self.signs[self.place + 1] == "^":
            self.place += 2
            self.take("{")
            text = f"expm({self.whole()})"
            self.take("}")
        elif sign == "(":
            self.advance()
            text = self.whole()
            self.take(")")
        elif sign in WHOLE or sign == r"\sigma" or sign.startswith(r"\operatorname"):
            text = self.operation()
        else:
            text = self.name()
        while self.next == "^":
            self.advance()
            power = "".join(self.braces())
            if power not in POWERS:
                raise Unknown(power)
            text = f"{POWERS[power]}({text})"
        if self.next == "_":  # a slice
            self.unknown()
        return text

    def operation(self) -> str:
        name, sizes = self.advance(), []
        if self.next == "_":
            self.advance()
            signs = self.braces()
            if name == r"\operatorname{reshape}":
                sizes = ["*".join(s.split()) for s in " ".join(signs).split(r"\times")]
            elif f"{name}_{''.join(signs)}" in PARTS:
                name = f"{name}_{''.join(signs)}"
            else:
                raise Unknown(name)
        if name not in WHOLE and name not in PARTS:
            raise Unknown(name)
        if self.next != "(":
            self.unknown()
        self.advance()
        inner = self.whole()
        if self.next != ")":
            self.unknown()
        self.advance()
        return f"{PARTS.get(name) or WHOLE[name]}({','.join([inner, *sizes])})"


class LatexEvaluator(Evaluator):
    """Values of formulas in LaTeX."""

    def read(self, formula: str) -> Node:
        return Reader(formula).formula()

    def run(self, text: str, shape: tuple[int, ...]) -> np.ndarray:
        body, *told = text.split(r" \quad\text{where } ")
        for definition in told[0].split(r",\; ") if told else []:
            head, formula = definition.split(" = ", 1)
            formula, _, ranges = formula.partition(r"\;(")
            left = Reader(head)
            name, below = left.name(), left.below()
            self.tensors[name] = self.table(
                formula,
                below,
                {i: self.size(n) for i, n in re.findall(r"0 \\leq (\w) < ([\w+-]+)", ranges)},
            )
        match = re.fullmatch(r"\[\\,\\cdot\\,\]_\{(\w+)\} = (.*)", body)
        indices, formula = (list(match[1]), match[2]) if match else ([], body)
        assert len(indices) == len(shape), text
        return self.table(formula, indices, dict(zip(indices, shape, strict=True)))


assert set(CALLS.values()) <= set(FUNCTIONS)

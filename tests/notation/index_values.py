"""What readers of index notation in the tests need from the package: sizes, whole operations."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr, variables_of

NAME = re.compile(r"[^\W\d]\w*")


def sizes_of(e: Expr, values: dict[str, Any]) -> dict[str, int]:
    """The sizes of symbols that the arrays (or numbers among the values) show."""
    found = {name: v for name, v in values.items() if name not in variables_of(e)}
    for name, variable in variables_of(e).items():
        for d, n in zip(variable.shape, np.shape(values[name]), strict=True):
            if d.symbol is not None:
                found[d.symbol] = n
    return found


def whole(sizes: dict[str, int]):
    """Operations on whole arrays through the package, sizes written as numbers."""

    def run(text: str, tensors: dict[str, np.ndarray]) -> np.ndarray:
        names = {n for n in NAME.findall(text) if n in tensors}
        spelled = NAME.sub(
            lambda m: str(sizes[m[0]]) if m[0] in sizes and m[0] not in names else m[0], text
        )
        declared = {n: " ".join(map(str, tensors[n].shape)) for n in sorted(names)}
        f = tc.parse(spelled, declared)
        return np.asarray(f(**{n: tensors[n] for n in variables_of(f)}))

    return run

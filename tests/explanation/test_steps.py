"""Every line of every way is compared with numbers: a wrong step cannot be shown."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from explanation.witness import Witness
from support import shared_path
from test_cases import NUMBERS, draw

import tensorcalculus as tc
from tensorcalculus.explanation.blocks import Picture

CASES: dict[str, tuple[str, str | list[str], dict[str, str]]] = {
    "least squares": ("norm2(X*W-Y)^2", "W", {"X": "4 3", "W": "3 2", "Y": "4 2"}),
    "two factors": ("norm2(W*X)^2", ["W", "X"], {"W": "2 3", "X": "3 4"}),
    "logistic": ("sum(log(1+exp(-y.*(X*w))))", "w", {"X": "4 3", "y": "4", "w": "3"}),
    "quadratic form": ("x'*A*x", "x", {"x": "3", "A": "3 3"}),
    "norm": ("norm2(X*w-y)", "w", {"X": "4 3", "w": "3", "y": "4"}),
    "trace": ("tr(A*X*B)", "X", {"A": "2 3", "X": "3 4", "B": "4 2"}),
    "network": (
        "norm2(y-W2*tanh(W1*x))^2",
        ["W1", "W2"],
        {"y": "2", "W2": "2 3", "W1": "3 4", "x": "4"},
    ),
    "cp": ("norm2(T-cp(A,B,C))^2", "A", {"T": "2 3 4", "A": "2 2", "B": "3 2", "C": "4 2"}),
    "softmax": ("norm2(softmax(W*x)-y)^2", "W", {"W": "3 2", "x": "2", "y": "3"}),
    "vector": ("tanh(A*x)", "x", {"A": "3 2", "x": "2"}),
    "matrix": ("X'*X", "X", {"X": "3 2"}),
    "product rule": ("sum(exp(-x).*x)", "x", {"x": "3"}),
    "determinant": ("logdet(A*X)+tr(inv(X)*B)", "X", {"A": "3 3", "X": "3 3", "B": "3 3"}),
    "shared part": ("sum(exp(A*x))*norm2(A*x)^2", "x", {"A": "3 2", "x": "2"}),
    "regularised": (
        "(sigmoid(w'*x+b)-t)^2/2+c*norm2(w)^2/2",
        ["w", "b"],
        {"w": "3", "x": "3", "b": "", "t": "", "c": ""},
    ),
    "named": (
        "E where z = w*x+b, y = sigmoid(z), L = (y-t)^2/2, R = w^2/2, E = L+c*R",
        ["w", "b"],
        {"w": "", "x": "", "b": "", "t": "", "c": ""},
    ),
    "named tensors": (
        "norm2(E)^2/2 where Z = X*W, H = tanh(Z), E = H*V-Y",
        ["W", "V"],
        {"X": "3 2", "W": "2 4", "V": "4 2", "Y": "3 2"},
    ),
    "log-sum-exp": ("log(sum(exp(X*w)))", "w", {"X": "4 3", "w": "3"}),
    "convolution": ("norm2(conv(x,k)-y)^2", "k", {"x": "6", "k": "3", "y": "4"}),
    "gaussian": ("exp(-norm2(x-y)^2/2)", "x", {"x": "3", "y": "3"}),
    "scalar": ("sin(a*b)/b", ["a", "b"], {"a": "", "b": ""}),
    "deep": (
        "norm2(y-A*tanh(B*tanh(C*tanh(D*x))))^2",
        "D",
        {"y": "2", "A": "2 3", "B": "3 2", "C": "2 3", "D": "3 2", "x": "2"},
    ),
}
CASE = pytest.mark.parametrize("case", CASES)


def drawn(shapes: dict[str, str], seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    found = {n: rng.standard_normal([int(k) for k in s.split()]) for n, s in shapes.items()}
    # Square matrices here are inverted: far from singular.
    square = {n: x for n, x in found.items() if x.ndim == 2 and x.shape[0] == x.shape[1]}
    return found | {n: x + 3 * np.eye(len(x)) for n, x in square.items()}


def witness(case: str) -> tuple[Witness, Any]:
    text, wrt, shapes = CASES[case]
    told = tc.explain(text, wrt, **shapes)
    return Witness(told, drawn(shapes)), told


@CASE
def test_differentials(case: str) -> None:
    judge, told = witness(case)
    (way,) = told["differentials"].ways
    judge.differentials(way)
    text, _, shapes = CASES[case]
    value = np.asarray(tc.parse(text, shapes)(**judge.values))
    assert np.allclose(judge.all({})[judge.function], value)
    assert judge.seen >= 1 + len(told.wrt)


@CASE
def test_network(case: str) -> None:
    judge, told = witness(case)
    (way,) = told["network"].ways
    judge.differentials(way)
    assert judge.seen >= len(told.wrt)
    pictures = [b for b in way.blocks if isinstance(b, Picture)]
    assert len(pictures) >= 3 * len(told.wrt)


@CASE
def test_indices(case: str) -> None:
    judge, told = witness(case)
    (way,) = told["indices"].ways
    judge.indices(way)
    assert judge.seen >= len(told.wrt)


@CASE
def test_backpropagation(case: str) -> None:
    judge, told = witness(case)
    (way,) = told["backpropagation"].ways
    text, _, shapes = CASES[case]
    shape = tc.parse(text, shapes).shape
    given = judge.rng.standard_normal([d.value for d in shape]) if shape else None
    judge.backpropagation(way, given)
    assert judge.seen >= 2 * len(told.wrt)


SHARED = json.loads(shared_path("cases", "derivatives.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("case", SHARED["cases"], ids=lambda case: case["id"])
def test_shared_cases(case: dict) -> None:
    """All ways to all derivatives of the shared cases, at the cases' data."""
    sizes = SHARED["dims"]
    rng = np.random.default_rng(5)
    values = {k: draw(v, rng) for k, v in case["vars"].items()}
    shapes = {k: " ".join(str(sizes[s]) for s in v["shape"]) for k, v in case["vars"].items()}
    wrt = case["wrt"][0] if isinstance(case["wrt"], list) else case["wrt"]
    text = re.sub(r"\b[a-z]\b", lambda m: str(NUMBERS.get(case["id"], {}).get(m[0], m[0])),
                  case["expr"])  # fmt: skip
    told = tc.explain(text, wrt, **shapes)
    for way in told.ways:
        judge = Witness(told, values)
        if way.name in ("differentials", "network"):
            judge.differentials(way)
        elif way.name == "indices":
            judge.indices(way)
        else:
            shape = tc.parse(text, shapes).shape
            given = judge.rng.standard_normal([d.value for d in shape]) if shape else None
            judge.backpropagation(way, given)
        assert judge.seen

"""All derivatives of ``derivatives.json`` against their closed forms, through the public API."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from support import shared_path

import tensorcalculus as tc

DATA = json.loads(shared_path("cases", "derivatives.json").read_text())
CASES = DATA["cases"]
SIZES: dict[str, int] = DATA["dims"]
NUMBERS = {"det_pow": {"k": 3}}
"""Values of symbols that stand in a formula as numbers."""


def draw(spec: dict, rng: np.random.Generator) -> np.ndarray:
    """Data of a case as its ``props`` describe."""
    shape = [SIZES[s] for s in spec["shape"]]
    x, n = rng.standard_normal(shape), shape[0] if shape else 1
    for prop in spec["props"]:
        if prop == "pos":
            x = np.abs(x) + 0.5
        elif prop == "small":
            x = 0.3 * x
        elif prop == "big":
            x = np.abs(x) + 5
        elif prop == "sym":
            x = (x + x.T) / 2
        elif prop == "spd":
            x = x @ x.T + n * np.eye(n)
        elif prop == "inv":
            x = x + 3 * np.eye(n)
        elif prop == "sign":
            x = np.sign(x)
        elif prop == "simplex":
            x = np.abs(x) + 0.1
            x = x / x.sum(-1, keepdims=True)
        elif prop == "symt":
            orders = list(permutations(range(x.ndim)))
            x = sum(np.transpose(x, order) for order in orders) / len(orders)
        else:
            raise ValueError(f"unknown property {prop!r}")
    return np.asarray(x)


def expected(case: dict, values: dict[str, Any]) -> np.ndarray:
    names = {"np": np, "sl": scipy.linalg, "jsl": scipy.linalg, **SIZES, **values}
    return np.asarray(eval(case["expected"], names))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_derivative(case: dict, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {k: draw(v, rng) for k, v in case["vars"].items()}
    values |= NUMBERS.get(case["id"], {})
    f = tc.parse(case["expr"], **{k: " ".join(v["shape"]) for k, v in case["vars"].items()})
    if isinstance(case["wrt"], list):
        g = tc.derivative(f, case["wrt"])
    else:
        g = tc.derivative(f, case["wrt"], order=case["order"])
    found, right = g(**values), expected(case, values)
    assert np.shape(found) == np.shape(right)
    error = np.abs(found - right).max() / max(np.abs(right).max(), 1e-300)
    assert error < 1e-9, str(g)


def test_all_cases_are_there() -> None:
    assert len(CASES) >= 125
    assert len({case["id"] for case in CASES}) == len(CASES)

"""Drawings of expressions: they have the value of the expression, nothing overlaps, limits hold."""

from __future__ import annotations

import numpy as np
import pytest
from reading import declared, legible, shown_value
from test_cases import CASES, SIZES, draw

import tensorcalculus as tc


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_cases_are_drawn_as_they_are(case: dict) -> None:
    f = declared(case)
    rng = np.random.default_rng(0)
    values = {n: draw(v, rng) for n, v in case["vars"].items()}
    values |= {"k": 3.0} if case["id"] == "det_pow" else {}
    d = tc.derivative(f, case["wrt"], order=case["order"])
    for e, k in ((f, 0), (d, d.ndim - f.ndim)):
        drawn = e.draw(k)
        legible(drawn)
        assert drawn.svg == e.draw(k).svg
        shown = shown_value(drawn, values, SIZES)
        np.testing.assert_allclose(shown, e(**values), rtol=1e-8, atol=1e-8)

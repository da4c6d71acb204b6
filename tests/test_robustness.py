"""The 19 points of ``robustness.json``: right here, and what other frameworks return there."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import numpy as np
import peers
import pytest
from support import shared_path

import tensorcalculus as tc

CASES = json.loads(shared_path("cases", "robustness.json").read_text())["cases"]
DECLARED = {"X": "n n"}
WANTED = 1e-9


def point_of(case: dict) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in case["at"].items()}


def expected_of(case: dict) -> np.ndarray:
    return np.asarray(eval(case["expected"], {"np": np}))


def is_right(found: object, right: np.ndarray) -> bool:
    return (
        isinstance(found, np.ndarray)
        and found.shape == right.shape
        and bool(np.all(np.isfinite(found)))
        and float(np.abs(found - right).max()) <= WANTED * max(np.abs(right).max(), 1.0)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_point(case: dict, record_property: Callable[[str, object], None]) -> None:
    point, right = point_of(case), expected_of(case)
    declared = {name: DECLARED[name] for name in point if name in DECLARED}
    f = tc.parse(case["expr"], **declared)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # neither overflow nor a matter of gauge
        value = f(**point)
        found = np.asarray(f.gradient(case["wrt"])(**point))
    assert np.isfinite(value) or case["id"] in INFINITE, value
    assert is_right(found, right), f"{f.gradient(case['wrt'])} gives {found}"
    verdicts = {}
    for peer in peers.installed():
        theirs = peers.gradient(peer, case["id"], point, case["wrt"])
        verdicts[peer] = "right" if is_right(theirs, right) else str(theirs).replace("\n", "")
        record_property(peer, verdicts[peer])
    if verdicts and not case["peers"].startswith("fine"):
        assert any(verdict != "right" for verdict in verdicts.values()), verdicts


INFINITE = frozenset[str]()
"""Points where the value itself is infinite: none."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_second_derivatives_are_finite(case: dict) -> None:
    """Where the Hessian is a limit or a subgradient as well, it is not NaN."""
    point = point_of(case)
    declared = {name: DECLARED[name] for name in point if name in DECLARED}
    h = tc.parse(case["expr"], **declared).hessian(case["wrt"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = h(**point)
        except tc.InputError as error:
            assert "singular" in str(error)  # the Hessian of a determinant needs full rank
            return
    assert not np.any(np.isnan(value))


def test_value_of_the_entropy_at_zero() -> None:
    assert tc.parse("sum(xlogy(x, x))")(x=np.array([0.0, 1.0])) == 0.0


def test_all_points_are_there() -> None:
    assert len(CASES) == 19
    assert {case["id"] for case in CASES} == {*peers.FORMULAS, "softmax_large"}

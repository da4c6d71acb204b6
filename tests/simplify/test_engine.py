"""The engine: rules that undo each other come to an end, and change no value."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr, Operation
from tensorcalculus.expr.operations import operation
from tensorcalculus.simplify.engine import RULES, Rule

REGULAR = np.array([[2.0, 1.0], [0.5, 3.0]])
ROTATION = np.diag([1.0, -1.0, -1.0])
"""Its own inverse, pseudoinverse and cofactor matrix."""


def use_circle(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Operations are under one rule only, which turns each name into the next, round and round."""
    following = dict(zip(names, names[1:] + names[:1], strict=True))

    def turn(node: Operation) -> Expr | None:
        name = following.get(node.row.name)
        return operation(name, *node.args) if name else None

    monkeypatch.setitem(RULES, Operation, [Rule("circle", "for the test", turn)])


@pytest.mark.parametrize(
    ("names", "text", "value", "expected"),
    [
        (("inv", "pinv"), "inv(Loop)", REGULAR, np.linalg.inv(REGULAR)),
        (("inv", "pinv"), "pinv(Loop)", REGULAR, np.linalg.inv(REGULAR)),
        (
            ("inv", "pinv"),
            "inv(Loop+pinv(Loop))",
            REGULAR,
            np.linalg.inv(REGULAR + np.linalg.inv(REGULAR)),
        ),
        (("inv", "pinv", "cofactor"), "pinv(Loop)", ROTATION, ROTATION),
    ],
)
def test_rules_that_undo_each_other_end(
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    text: str,
    value: np.ndarray,
    expected: np.ndarray,
) -> None:
    tc.parse("x").simplify()  # the first call fills the table of rules
    use_circle(monkeypatch, *names)
    f = tc.parse(text, Loop="n n")
    simple = f.simplify()
    assert simple.simplify() is simple
    np.testing.assert_allclose(simple(Loop=value), expected, rtol=1e-12)

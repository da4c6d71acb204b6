"""Arrays for one-letter names, and the value of a formula for them."""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorcalculus as tc

RNG = np.random.default_rng(7)


def _draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


_R = _draw(4, 4)
DATA: dict[str, np.ndarray] = {
    "x": _draw(4),
    "y": _draw(4),
    "p": RNG.uniform(0.3, 3.0, 4),
    "q": RNG.uniform(0.3, 3.0, 4),
    "u": RNG.uniform(-0.8, 0.8, 4),
    "v": RNG.uniform(1.3, 4.0, 4),
    "z": np.array([1.5, 0.2, 3.0, 1.5]),
    "A": _draw(4, 4) + 3 * np.eye(4),
    "E": _draw(4, 4),
    "S": _R @ _R.T + 4 * np.eye(4),
    "B": _draw(4, 3),
    "C": _draw(5, 3),
    "D": _draw(2, 3),
    "T": _draw(2, 3, 4),
    "G": _draw(2, 2, 2),
    "K": _draw(3, 2),
    "L": _draw(2, 3, 2),
    "M": _draw(2, 4),
    "N": _draw(2, 7),
    "k": _draw(2),
    "Q": _draw(3, 2, 3),
    "c": np.asarray(0.7),
}
SHAPES = {name: " ".join(map(str, a.shape)) for name, a in DATA.items()}


def evaluate(text: str, **more: Any) -> np.ndarray:
    """The value of a formula for ``DATA``, all sizes known."""
    f = tc.parse(text, **SHAPES)
    return np.asarray(f(**{name: DATA[name] for name in f.variables}, **more))

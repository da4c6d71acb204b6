"""What notebooks show of a fitted model: its components, each with its weight and its curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.display.curve import curve
from tensorcalculus.display.html import Html, bar, table, text
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.networks.arrays import Array, numpy_of

_COMPONENTS, _MODES = 12, 4
"""How many are shown."""


def components(weights: np.ndarray, factors: Sequence[Array], labels: Labels) -> Html:
    """A row for each component: its weight, and its column of each factor as a curve.

    Curves of one mode have one scale each; the line is 0.
    """
    sizes = np.abs(np.asarray(weights, dtype=float))
    largest = float(sizes.max()) if sizes.size else 0.0
    shown = list(zip(labels.names, factors, strict=True))[:_MODES]
    columns = [np.real(numpy_of(u)) for _, u in shown]
    body = []
    for r, size in enumerate(sizes[:_COMPONENTS]):
        length = bar(size / largest if largest else 0.0, 5)
        curves = [
            curve(u[:, r], f"component {r}, {name}", width=110, height=28, zero=True)
            for (name, _), u in zip(shown, columns, strict=True)
        ]
        body.append([r, f"{size:.4g}", length, *curves])
    made = table(["", "weight", "", *(name for name, _ in shown)], body, numbers=(0, 1))
    left = len(sizes) - _COMPONENTS
    return Html(made + text(f"and {left} components more")) if left > 0 else made

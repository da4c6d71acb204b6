"""Logistic regression by Newton's method; gradient and Hessian come from the formula alone.

Run with ``python examples/logistic_newton.py``; needs scikit-learn (for data and comparison).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr

# Labels are +1 and -1.  The penalty has a weight per coefficient: the intercept, coefficient 0,
# has weight 0, as in scikit-learn.
LOSS = "sum(log(1+exp(-y.*(X*w)))) + sum(c.*w.^2)/2"
PENALTY = 1.0


@dataclass(frozen=True)
class Fit:
    """A logistic regression: what was derived, and where Newton's method ended."""

    gradient: Expr
    hessian: Expr
    coefficients: np.ndarray
    losses: list[float]
    gradient_norms: list[float]


def fit(X: np.ndarray, y: np.ndarray, c: np.ndarray, steps: int = 50) -> Fit:
    """Minimise the penalised loss from w = 0 until the gradient vanishes to rounding."""
    loss = tc.parse(LOSS, X="m n", y="m", w="n", c="n")
    gradient, hessian = loss.gradient("w"), loss.hessian("w")

    data = {"X": X, "y": y, "c": c}
    w = np.zeros(X.shape[1])
    losses, norms = [], []
    for _ in range(steps):
        value, g = loss(w=w, **data), gradient(w=w, **data)
        losses.append(value)
        norms.append(float(np.abs(g).max()))
        if norms[-1] < 1e-11 * len(y):
            break
        H = hessian(w=w, **{name: data[name] for name in hessian.variables if name != "w"})
        step = np.linalg.solve(H, g)
        # Halve the step until the loss falls; near the minimum differences are rounding.
        length = 1.0
        while length > 1e-4 and loss(w=w - length * step, **data) > value * (1 + 1e-14):
            length /= 2
        w = w - length * step
    return Fit(gradient, hessian, w, losses, norms)


def breast_cancer() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Standardised features after a column of ones, labels +1 and -1, names of the columns."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    features = (bunch.data - bunch.data.mean(axis=0)) / bunch.data.std(axis=0)
    X = np.column_stack([np.ones(len(features)), features])
    return X, np.where(bunch.target == 1, 1.0, -1.0), ["intercept", *bunch.feature_names]


def scikit_learn(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The coefficients that scikit-learn finds, intercept first."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    model.fit(X[:, 1:], y)
    return np.concatenate([model.intercept_, model.coef_[0]])


def main() -> float:
    """Fit, compare, print; the largest relative difference to scikit-learn's coefficients."""
    X, y, names = breast_cancer()
    c = np.full(X.shape[1], PENALTY)
    c[0] = 0.0

    result = fit(X, y, c)
    print(f"loss      {LOSS}")
    print(f"gradient  {result.gradient}")
    print(f"Hessian   {result.hessian}")
    print(f"\n{X.shape[0]} samples, {X.shape[1]} coefficients\n")
    print("step      loss             largest entry of the gradient")
    for k, (value, norm) in enumerate(zip(result.losses, result.gradient_norms, strict=True)):
        print(f"{k:4d}  {value:16.10f}  {norm:.2e}")

    reference = scikit_learn(X, y)
    print(f"\n{'coefficient':<26}{'Newton':>16}{'scikit-learn':>16}")
    for name, ours, theirs in zip(names, result.coefficients, reference, strict=True):
        print(f"{name:<26}{ours:16.10f}{theirs:16.10f}")
    difference = np.abs(result.coefficients - reference).max() / np.abs(reference).max()
    print(f"\nlargest difference, relative to the largest coefficient: {difference:.1e}")
    return float(difference)


if __name__ == "__main__":
    main()

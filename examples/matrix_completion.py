"""Hidden pixels of handwritten digits, found by factorising the table of those that are seen.

A fifth of the entries of a table of images is hidden.  The rest is fitted by ``U*V'`` of low rank,
first with factors of any sign, then with bounds that keep them nonnegative; what ``U*V'`` says of
the hidden entries is compared with the truth.  The minimisation needs formula and data only.

Run with ``python examples/matrix_completion.py``; needs scikit-learn (for data).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tensorcalculus as tc

# M is 1 where an entry of the table T is seen, else 0.
LOSS = "norm2(M.*(T-U*V'))^2 + c*(norm2(U)^2+norm2(V)^2)"
PENALTY = 1.0
RANK = 8


def loss() -> tc.Expr:
    """The penalised squares of what is seen."""
    return tc.parse(LOSS, T="m n", M="m n", U="m r", V="n r", c="")


def digits(images: int = 600) -> np.ndarray:
    """Images of 8 x 8 pixels between 0 and 1, one a row."""
    from sklearn.datasets import load_digits

    return load_digits().data[:images] / 16


def complete(T: np.ndarray, M: np.ndarray, rank: int, **options: Any) -> Any:
    """Fit the entries of ``T`` where ``M`` is 1; ``options`` are those of ``tc.minimize``."""
    data = {"T": M * T, "M": M, "c": PENALTY, "r": rank}
    return tc.minimize(loss(), over=["U", "V"], data=data, tol=1e-6, **options)


def column_means(T: np.ndarray, M: np.ndarray) -> np.ndarray:
    """The simplest guess: of each pixel the mean over the images in which it is seen."""
    return np.broadcast_to((M * T).sum(axis=0) / M.sum(axis=0), T.shape)


def main() -> dict[str, float]:
    """Hide, fit, compare, print; root mean square errors on the hidden entries by method."""
    T = digits()
    M = (np.random.default_rng(0).random(T.shape) > 0.2).astype(float)

    print(f"loss          {LOSS}")
    for name in ("U", "V"):
        print(f"gradient by {name} {loss().gradient(name)}")
    print(f"\n{T.shape[0]} images of {T.shape[1]} pixels, {M.mean():.0%} seen, rank {RANK}\n")

    plain = complete(T, M, RANK)
    bounded = complete(T, M, RANK, bounds={"U": (0, None), "V": (0, None)})
    guesses = {"mean of each pixel": column_means(T, M)}
    for name, found in (("U*V'", plain), ("U*V' with U, V >= 0", bounded)):
        guesses[name] = found["U"] @ found["V"].T
        print(f"{name}\n{found}\n")

    hidden = M == 0
    errors = {name: float(np.sqrt(np.mean((g - T)[hidden] ** 2))) for name, g in guesses.items()}
    print("root mean square error on hidden pixels (black is 1)")
    for name, error in errors.items():
        print(f"  {name:<22}{error:.4f}")
    return errors


if __name__ == "__main__":
    main()

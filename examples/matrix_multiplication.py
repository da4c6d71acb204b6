"""Fast matrix multiplication, found by fitting a tensor: Strassen's 7 products, Laderman's 23.

The product of two n x n matrices is bilinear, so it is a tensor of n^2 x n^2 x n^2 zeros and ones.
A CP model of rank r that equals it is an algorithm with r multiplications instead of n^3: column r
of the first two factors says which entries of A and B are added up before product r is taken, that
of the third which entries of the result it goes to.  V. Strassen (1969) found 7 products for n=2,
J. Laderman (1976) 23 for n=3.

For n=2 Levenberg-Marquardt (``tc.cp_opt``) finds an exact model from almost any start: 196 of the
starts 0 to 199.  For n=3 a plain run mostly ends where components grow against each other without
end, as models of border rank come as near as one likes.  The recipe that helps is a ridge that is
let go, l2 = 0.01, 0.001, 0, each fit starting from the one before (compare A. Smirnov, The bilinear
complexity and practical algorithms for matrix multiplication, 2013, and P. Tichavsky, A. H. Phan,
A. Cichocki, Numerical CP decomposition of some difficult tensors, 2017, who bound the components):
of the starts 0 to 213, 149 (70 %) lead to an exact model, in ten minutes of one core.  Steps with a
ridge need not converge; what fails has a loss above 0.01 at l2 = 0.001 already.

Run with ``python examples/matrix_multiplication.py``, or with ``--minutes 10`` for the success
rate at n=3.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np

import tensorcalculus as tc
import tensorcalculus.networks as tn

RIDGES = ((1e-2, 60), (1e-3, 60), (0.0, 100))
"""Weights of the ridge for 3 x 3 matrices, and how many iterations each fit may make."""

EXACT = 1e-10
"""Largest error of an entry of an exact model."""


def multiplication(n: int) -> np.ndarray:
    """The tensor ``T[ij, jk, ki] = 1`` of the product of two n x n matrices, its result
    transposed.
    """
    t = np.zeros((n * n,) * 3)
    for i, j, k in np.ndindex(n, n, n):
        t[n * i + j, n * j + k, n * k + i] = 1
    return t


def strassen(seed: int) -> tn.CP:
    """Seven components for the 2 x 2 product, from a random start."""
    return tc.cp_opt(multiplication(2), 7, seed=seed, tol=1e-13).model


def laderman(seed: int) -> tn.CP:
    """Twenty-three components for the 3 x 3 product, from a random start."""
    x, start = multiplication(3), "random"
    for l2, iterations in RIDGES:
        # What is fitted with a ridge is a start only; how accurately does not matter.
        tol = 1e-4 if l2 else 1e-12
        result = tc.cp_opt(
            x, 23, start=start, seed=seed, l2=l2, tol=tol, max_iterations=iterations, progress=False
        )
        start = result.model
    return result.model


def error(model: tn.CP) -> float:
    """The largest error of an entry of the multiplication tensor."""
    made = model.to_dense()
    return float(np.abs(made - multiplication(round(len(made) ** 0.5))).max())


def multiply(a: np.ndarray, b: np.ndarray, model: tn.CP) -> np.ndarray:
    """The product of two matrices by as many multiplications of numbers as the model has
    components.
    """
    u, v, w = model.factors
    products = (a.reshape(-1) @ u) * (b.reshape(-1) @ v)
    return (w @ products).reshape(a.shape).T


def success(
    find: Callable[[int], tn.CP], starts: int, seconds: float = float("inf")
) -> tuple[int, int, tn.CP | None]:
    """How many of the seeds from 0 on lead to an exact model, how many were tried, the first."""
    good, tried, first = 0, 0, None
    began = perf_counter()
    with warnings.catch_warnings():
        # Starts that fail end in components that diverge, and are counted.
        warnings.simplefilter("ignore", tc.DegeneracyWarning)
        while tried < starts and perf_counter() - began < seconds:
            model = find(tried)
            tried += 1
            if error(model) < EXACT:
                good, first = good + 1, first or model
    return good, tried, first


def main(starts: tuple[int, int] = (100, 3), minutes: float | None = None) -> dict[int, float]:
    """Find, count, use, print; for each size the largest error of a product by the first model."""
    errors = {}
    rng = np.random.default_rng(0)
    for n, find, count in ((2, strassen, starts[0]), (3, laderman, starts[1])):
        began = perf_counter()
        long = minutes is not None and n == 3
        good, tried, model = success(find, 10**6 if long else count, 60 * (minutes or 1e9))
        seconds = (perf_counter() - began) / tried
        print(
            f"{n} x {n} matrices: {good} of {tried} random starts are exact, {seconds:.3g} s each"
        )
        if model is None:
            continue
        a, b = rng.standard_normal((2, n, n))
        errors[n] = float(np.abs(multiply(a, b, model) - a @ b).max())
        print(f"  {model.rank} products instead of {n**3}; largest error of an entry of the tensor")
        print(f"  {error(model):.1e}, of a product of two random matrices {errors[n]:.1e}")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fast matrix multiplication by CP models")
    parser.add_argument("--minutes", type=float, help="how long to try 3 x 3 matrices")
    main(minutes=parser.parse_args().minutes)

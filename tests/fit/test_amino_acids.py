"""Fluorescence of amino acids: what is published about R. Bro's five samples is found."""

import numpy as np
import pytest
from support import shared_path

import tensorcalculus as tc


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Samples x emission (250 to 450 nm) x excitation (240 to 300 nm)."""
    return np.load(shared_path("data", "aminoacids.npz"))["X"]


@pytest.fixture(scope="module")
def three(x):
    return tc.cp_als(x, 3, starts=3)


def test_three_components_explain_nearly_all(x, three):
    assert three.converged and three.diagnosis.sound
    assert 100 * three.explained == pytest.approx(99.94, abs=0.005)
    assert three.diagnosis.core_consistency > 95
    error = np.linalg.norm(x - three.model.to_dense()) ** 2
    assert 1 - error / np.linalg.norm(x) ** 2 == pytest.approx(three.explained)


def test_two_are_too_few_and_four_too_many(x):
    two = tc.cp_als(x, 2, starts=3)
    assert 100 * two.explained == pytest.approx(86.8, abs=0.05)
    # Published figures for four, 99.944 %, are what a swamp lets one see: more can be had.
    four = tc.cp_opt(x, 4, starts=2)
    assert 100 * four.explained > 99.944
    assert "the rank may be too large" in str(four.diagnosis)
    slow = tc.cp_als(x, 4, starts=2, max_iterations=300)
    assert slow.loss > four.loss and slow.diagnosis.trapped


@pytest.mark.parametrize("method", ["lm", "lbfgs", "non-negative", "hosvd"])
def test_all_methods_find_the_same_components(x, three, method):
    if method == "non-negative":
        made = tc.cp_als(x, 3, nonnegative=True)
    elif method == "hosvd":
        made = tc.cp_als(x, 3, start="hosvd")
    else:
        made = tc.cp_opt(x, 3, method=method)
    assert made.converged
    assert made.model.match(three.model).congruence > (
        0.995 if method == "non-negative" else 1 - 1e-6
    )


def test_loadings_peak_where_the_pure_amino_acids_do(x, three):
    # The first three samples hold one amino acid each.
    pure = x[:3].max(axis=2).argmax(axis=1)  # place of the largest emission
    loadings = three.model.factors[1]
    peaks = loadings.argmax(axis=0)
    assert np.abs(np.sort(pure) - np.sort(peaks)).max() <= 4
    phenylalanine, tyrosine, tryptophan = 250 + np.sort(peaks)
    assert 280 <= phenylalanine <= 290 and 300 <= tyrosine <= 308 and 345 <= tryptophan <= 360
    # Each of the three samples has its own component and next to nothing of the others.
    shares = np.abs(three.factors[0][:3])
    shares = np.sort(shares / shares.max(axis=0), axis=0)
    assert shares[1].max() < 0.05

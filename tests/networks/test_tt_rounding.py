"""Tensor trains from dense arrays, and their rounding: accuracy, ranks, orthogonality."""

import numpy as np
import pytest
from formats_data import (
    LIBRARIES,
    TYPES,
    accuracy,
    close,
    drawn,
    given_to,
    numbers,
    seeds,
    shapes,
    train,
)
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.networks.trains import rounding, tt_svd


def tails(a: np.ndarray, rank) -> list[float]:
    """What the SVD of each unfolding cuts off at these ranks."""
    found = [0.0]
    for k in range(1, a.ndim):
        s = np.linalg.svd(a.reshape(np.prod(a.shape[:k]), -1), compute_uv=False)
        found.append(np.linalg.norm(s[rank[k] :]))
    return found


@given(shapes, seeds, st.sampled_from([0.0, 1e-12, 1e-4, 1e-2, 0.3, 0.9]))
def test_error_within_tolerance(shape, seed, tol):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    # Singular values that fall, so that there is something to cut.
    for k, n in enumerate(shape):
        a *= (10.0 ** -np.arange(n)).reshape([-1 if j == k else 1 for j in range(len(shape))])
    size = np.linalg.norm(a)
    t = tn.TT.from_dense(a, tol)
    assert np.linalg.norm(t.to_dense() - a) <= (tol + 1e-13) * size
    full = tn.TT.from_dense(a, 0.0)
    r = (full + full).round(tol)
    assert np.linalg.norm(r.to_dense() - 2 * a) <= (tol + 1e-13) * 2 * size


@given(shapes, seeds, st.integers(1, 4))
def test_quasi_optimal(shape, seed, rank):
    # Oseledets (2011), theorem 2.2 and corollary 2.4: no train of these ranks is nearer than the
    # largest tail, and TT-SVD is as near as the root of the sum of their squares, at most sqrt(d-1)
    # times that.
    a = np.random.default_rng(seed).standard_normal(shape)
    for t in (
        tn.TT.from_dense(a, 0.0, max_rank=rank),
        tn.TT.from_dense(a, 0.0).round(0.0, max_rank=rank),
    ):
        assert max(t.ranks) <= rank
        error = np.linalg.norm(t.to_dense() - a)
        slack = 1e-12 * np.linalg.norm(a)
        assert error <= np.linalg.norm(tails(a, t.ranks)) + slack
        assert error >= max(tails(a, t.ranks)) - slack


@pytest.mark.parametrize(
    ("library", "shape"),
    [
        ("numpy", (6, 5, 7, 6)),
        ("numpy", (12, 12, 12)),
        ("numpy", (20, 20, 20, 3)),
        ("numpy", (2,) * 12),
        (LIBRARIES[1], (20, 20, 20, 3)),
        pytest.param("jax", (12, 12, 12), marks=pytest.mark.slow),
    ],
)
def test_accuracy_at_high_condition(library, shape):
    # Singular values over ten decades, and a tolerance below them: the last ones must be kept,
    # which a Gram matrix would have lost.
    rng = np.random.default_rng(3)
    terms = []
    for j in range(11):
        vectors = [rng.standard_normal(n) for n in shape]
        term = vectors[0]
        for v in vectors[1:]:
            term = np.multiply.outer(term, v)
        terms.append(10.0**-j * term / np.linalg.norm(term))
    a = sum(terms)
    t = tn.TT.from_dense(given_to(library, a), 1e-12)
    assert np.linalg.norm(numbers(t) - a) <= 1.1e-12 * np.linalg.norm(a)
    # Doubled ranks, then rounded back: the smallest term survives to two digits.
    r = (t + t).round(1e-12)
    assert np.linalg.norm(numbers(r) - 2 * a) <= 4.4e-12 * np.linalg.norm(a)
    assert max(r.ranks) <= max(t.ranks)
    without = sum(terms[:-1])
    close(t - tn.TT.from_dense(given_to(library, without), 1e-13), terms[-1], scale=1.0)


def padded(t: tn.TT, rank: int, seed: int = 0) -> tn.TT:
    """The same tensor with bonds of `rank`, the true ones hidden by rotations."""
    rng = np.random.default_rng(seed)
    d = t.ndim
    bonds = [1, *[rank] * (d - 1), 1]
    cores = []
    for k, core in enumerate(t.cores):
        wide = np.zeros((bonds[k], core.shape[1], bonds[k + 1]), dtype=core.dtype)
        wide[: core.shape[0], :, : core.shape[2]] = core
        cores.append(wide)
    for k in range(d - 1):
        q = np.linalg.qr(rng.standard_normal((rank, rank)))[0]
        cores[k] = cores[k] @ q
        cores[k + 1] = np.einsum("ba,bnc->anc", q, cores[k + 1])
    return tn.TT(cores)


@pytest.mark.parametrize("rank", [3, 20, 45, 60])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_large_ranks_are_found(rank, kind):
    # Sketches of half the ranks suffice for the first two, the last ones need the QR sweep.
    t = tn.TT(drawn((8, 9, 8, 9, 8), rank, kind, 5))
    t = t / t.norm()
    wide = padded(t, 64)
    r = wide.round(1e-10)
    assert r.ranks == t.round(1e-10).ranks
    assert float((r - t).norm()) < 1e-10


def test_sketch_keeps_small_parts():
    # A part of 1e-9 of the norm is kept at 1e-10 and dropped at 1e-8.
    a = padded(tn.TT.random((10,) * 8, 4, seed=1), 40)
    b = padded(tn.TT.random((10,) * 8, 4, seed=2), 40, 1)
    x = a + (1e-9 * float(a.norm()) / float(b.norm())) * b
    assert max(x.round(1e-10).ranks) == 8
    assert max(x.round(1e-8).ranks) == 4
    error = float((x.round(1e-10) - x).norm() / x.norm())
    assert error < 1e-10


def falling(d: int, n: int, r: int) -> tn.TT:
    """Every unfolding has singular values over ten decades."""
    rng = np.random.default_rng(0)
    cores = [np.linalg.qr(rng.standard_normal((n, r)))[0] for _ in range(d)]
    weights = np.logspace(0, -10, r)
    made = [(cores[0] * weights)[None]]
    for u in cores[1:-1]:
        core = np.zeros((r, n, r))
        core[np.arange(r), :, np.arange(r)] = u.T
        made.append(core)
    made.append(cores[-1].T[:, :, None])
    return tn.TT(made)


def least_rank(r: int, per_cut: float) -> int:
    """The smallest rank for a tolerance at a cut of such a train."""
    s = np.logspace(0, -10, r)
    tail = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1] / np.linalg.norm(s)
    return int(np.count_nonzero(tail > per_cut))


@pytest.fixture
def sketches(monkeypatch):
    """Whether each sketch so far was trusted."""
    made, work = [], rounding.sketched

    def seen(*args):
        result = work(*args)
        made.append(result is not None)
        return result

    monkeypatch.setattr(rounding, "sketched", seen)
    return made


ACCURACIES = (1e-12, 1e-9, 1e-6, 1e-3)


def check_falling(made: tn.TT, exact: tn.TT, tol: float, r: int) -> None:
    assert float((made - exact).norm() / exact.norm()) <= tol * 1.01
    assert max(made.ranks) <= least_rank(r, tol / np.sqrt(exact.ndim - 1) * 0.9)


def test_rounding_of_falling_singular_values(sketches):
    # Condition 1e10 in every cut, ranks large enough for sketches.
    t = falling(6, 30, 30)
    x = padded(t, 70)
    for tol in ACCURACIES:
        check_falling(x.round(tol), t, tol, 30)
    assert sketches == [True] * 4


def test_products_of_falling_singular_values(sketches):
    # By signs, and by a permutation of each mode, which leave singular values as they are; both of
    # rank 1, which larger bonds hide.
    d, n, r = 5, 16, 16
    rng = np.random.default_rng(1)
    t = falling(d, n, r)
    signs = [rng.choice([-1.0, 1.0], n) for _ in range(d)]
    moves = [rng.permutation(n) for _ in range(d)]
    pairs = zip(t.cores, signs, strict=True)
    signed = tn.TT([core * v[:, None] for core, v in pairs])
    moved = tn.TT([core[:, p] for core, p in zip(t.cores, moves, strict=True)])
    factor = padded(tn.TT.outer(signs), 6)
    matrix = tn.TTMatrix.kron([np.eye(n)[p] for p in moves])
    thirds = (matrix + matrix + matrix) * (1 / 3)
    for tol in ACCURACIES:
        check_falling(padded(t, 20).multiply(factor, tol), signed, tol, r)
        check_falling((padded(t, 20) * factor).round(tol), signed, tol, r)
        check_falling(thirds.apply(padded(t, 40), tol), moved, tol, r)
    assert sum(sketches) >= 10  # of 12


def test_dense_arrays_of_falling_singular_values(monkeypatch):
    made, work = [], tt_svd._row_space

    def seen(*args):
        q = work(*args)
        made.append(q is not None)
        return q

    monkeypatch.setattr(tt_svd, "_row_space", seen)
    t = falling(4, 18, 12)
    for tol in ACCURACIES:
        check_falling(tn.TT.from_dense(t.to_dense(), tol), t, tol, 12)
    assert made == [True] * 4


@pytest.mark.parametrize("library", LIBRARIES[1:2])
def test_products_of_falling_singular_values_elsewhere(library):
    d, n, r = 4, 12, 12
    t, ones = falling(d, n, r), padded(tn.TT.ones((n,) * d), 5)
    x, y = (tn.TT([given_to(library, core) for core in z.cores]) for z in (padded(t, 15), ones))
    exact = tn.TT([given_to(library, core) for core in t.cores])
    check_falling(x.multiply(y, 1e-12), exact, 1e-12, r)


def test_no_digits_are_lost_where_a_sketch_has_all_columns():
    """Near the last mode a sketch is as wide as what it sketches: taken as it is, for any seed."""
    t, ones = falling(4, 12, 12), padded(tn.TT.ones((12,) * 4), 5)
    x = padded(t, 15)
    for seed in range(50):
        made = x.multiply(ones, 1e-12, seed=seed)
        assert float((made - t).norm() / t.norm()) < 2e-14


@pytest.mark.parametrize("rank", [6, 12])
def test_product_without_its_cores(rank):
    t, s = (padded(tn.TT.random((6,) * 7, 3, seed=k), rank, k) for k in (1, 2))
    made = t.multiply(s, 1e-10)
    assert max(made.ranks) == 9
    assert float((made - t * s).norm() / (t * s).norm()) < 1e-10
    assert made.multiply(made, 1e-10, max_rank=5).ranks[1:-1] == (5,) * 6


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((x, k) for x in LIBRARIES[:-1] for k in TYPES),
        pytest.param("jax", "float32", marks=pytest.mark.slow),
    ],
)
def test_zero_and_rank_deficient(library, kind):
    shape = (3, 4, 2)
    zero = tn.TT.from_dense(given_to(library, np.zeros(shape, kind)))
    assert zero.ranks == (1, 1, 1, 1)
    t, a = train(shape, 3, kind, 1, library)
    for made in (
        zero,
        zero.round(),
        (t - t).round(accuracy(kind)),
        0 * t,
        zero.multiply(t),
        zero + zero,
        (0 * t).round(),
        tn.TT.zeros(shape, like=t.cores[0]),
    ):
        close(made, np.zeros(shape, kind), kind, scale=np.linalg.norm(a))
    assert float(zero.norm()) == 0
    assert (0 * t).round().ranks == (1, 1, 1, 1)
    one = np.ones(shape, kind)
    assert tn.TT.from_dense(given_to(library, one)).ranks == (1, 1, 1, 1)
    close(tn.TT.ones(shape, like=t.cores[0]), one, kind)
    four = tn.TT.ones(shape) + tn.TT.ones(shape) + tn.TT.ones(shape) + tn.TT.ones(shape)
    assert four.round().ranks == (1, 1, 1, 1)


def test_extreme_numbers():
    a = np.random.default_rng(0).standard_normal((4, 5, 6))
    for scale in (1e-200, 1e200):
        t = tn.TT.from_dense(a * scale, 1e-8)
        np.testing.assert_allclose(t.to_dense(), a * scale, rtol=1e-7)
    # Hundreds of cores: sketches are scaled on their way.
    long = tn.TT.random((2,) * 300, 40, seed=1)
    np.testing.assert_allclose(float(((long + long).round(1e-8) - 2 * long).norm()), 0, atol=1e100)
    rounded = (long + long).round(1e-8)
    assert rounded.ranks == long.round(1e-8).ranks


def test_norm_of_a_small_difference():
    t = tn.TT.random((5,) * 6, 4, seed=0)
    s = t + (1e-11 * float(t.norm())) * tn.TT.outer([np.eye(5)[0]] * 6)
    np.testing.assert_allclose(float((s - t).norm()), 1e-11 * float(t.norm()), rtol=1e-3)

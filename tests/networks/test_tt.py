"""Every operation of tensor trains against the dense array, in three libraries."""

import doctest
import importlib
import time

import jax
import numpy as np
import pytest
from formats_data import (
    LIBRARIES,
    TYPES,
    accuracy,
    close,
    drawn,
    entries,
    given_to,
    numbers,
    ranks,
    seeds,
    shapes,
)
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import namespace, numpy_of


def train(shape, rank, kind="float64", seed=0, library="numpy"):
    """A random train and its entries."""
    cores = drawn(shape, rank, kind, seed)
    return tn.TT([given_to(library, core) for core in cores]), entries(cores)


# Every operation, in every library and type


# JAX compiles each operation for each shape, so one shape and type stand for all there.
@pytest.mark.parametrize(
    ("library", "kind", "shape", "rank"),
    [
        *(
            (library, kind, shape, rank)
            for library in LIBRARIES[:-1]
            for kind in TYPES
            for shape, rank in [((3, 4, 2, 3), 3), ((2, 1, 3), 5), ((4,), 1)]
        ),
        pytest.param("jax", "complex128", (2, 1, 3), 5, marks=pytest.mark.slow),
        ("jax", "float32", (4,), 1),
    ],
)
def test_operations(library, kind, shape, rank):
    t, a = train(shape, rank, kind, 1, library)
    s, b = train(shape, rank, kind, 2, library)
    top = np.linalg.norm(a) * np.linalg.norm(b)
    for made, expected, scale in [
        (t, a, None),
        (t + s, a + b, None),
        (t - s, a - b, None),
        (-t, -a, None),
        (2.5 * t, 2.5 * a, None),
        (t / 4, a / 4, None),
        (t + 1.5, a + 1.5, None),
        (2 - t, 2 - a, None),
        (t * s, a * b, None),
        (t.multiply(s, accuracy(kind)), a * b, None),
        (t.conj(), a.conj(), None),
        (t.dot(s), np.vdot(a, b), top),
        (t.norm(), np.linalg.norm(a), None),
        (t.sum(), a.sum(), np.linalg.norm(a) * a.size**0.5),
        (t.mean(), a.mean(), np.linalg.norm(a)),
        (t.sum(0), a.sum(0), np.linalg.norm(a) * a.size**0.5),
        (t.mean(-1), a.mean(-1), np.linalg.norm(a)),
        (t.kron(s), np.kron(a, b), None),
        (t.tensor(s), np.multiply.outer(a, b), None),
        (tn.TT.concatenate([t, s, t]), np.concatenate([a, b, a]), None),
        (tn.TT.concatenate([t, s], axis=-1), np.concatenate([a, b], axis=-1), None),
        (t.permute(range(len(shape))[::-1]), a.transpose(), None),
        (t.reshape((1, a.size)), a.reshape(1, -1), None),
        (t.round(accuracy(kind)), a, None),
        ((t + t).round(accuracy(kind)), 2 * a, None),
        (t.orthogonalize(len(shape) // 2), a, None),
        (t[0], a[0], np.linalg.norm(a)),
        (t[-1, ...], a[-1, ...], np.linalg.norm(a)),
        (t[..., 0], a[..., 0], np.linalg.norm(a)),
        (t[::-1], a[::-1], None),
        (t[(0,) * len(shape)], a[(0,) * len(shape)], np.linalg.norm(a)),
        (tn.TT.from_dense(given_to(library, a), accuracy(kind)), a, None),
    ]:
        close(made, expected, kind, scale)
        if isinstance(made, tn.TT):
            assert namespace(made.cores[0]) is namespace(t.cores[0])
            assert made.dtype == t.dtype


@given(shapes, ranks, ranks, seeds)
def test_sums_and_products(shape, rank, other, seed):
    t, a = train(shape, rank, seed=seed)
    s, b = train(shape, other, seed=seed + 1)
    close(t + 2 * s, a + 2 * b, scale=np.linalg.norm(a) + np.linalg.norm(b))
    close(t * s, a * b, scale=np.linalg.norm(a) * np.linalg.norm(b))
    top = np.linalg.norm(a) * np.linalg.norm(b)
    close(t.dot(s), np.vdot(a, b), scale=top)


@given(shapes, ranks, seeds, st.data())
def test_indexing(shape, rank, seed, data):
    t, a = train(shape, rank, seed=seed)
    index = []
    for n in shape:
        integer = st.integers(-n, n - 1)
        parts = st.slices(n).filter(lambda s, n=n: len(range(*s.indices(n))) > 0)
        index.append(data.draw(st.one_of(integer, parts)))
    close(t[tuple(index)], np.asarray(a[tuple(index)]), scale=np.linalg.norm(a))


@given(shapes, ranks, seeds, st.data())
def test_contractions_of_modes(shape, rank, seed, data):
    t, a = train(shape, rank, seed=seed)
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True))
    scale = np.linalg.norm(a) * a.size**0.5
    close(t.sum(axes), a.sum(tuple(axes)), scale=scale)
    close(t.mean(axes), a.mean(tuple(axes)) if axes else a, scale=scale)
    rest = tuple(k for k in range(len(shape)) if k not in axes)
    close(t.marginal(axes), a.sum(rest), scale=scale)
    weights = [np.cos(np.arange(n) + k) for k, n in enumerate(shape)]
    expected = a
    for w in weights:
        expected = np.tensordot(w, expected, 1)
    close(t.integrate(weights), expected, scale=scale)


@given(shapes, ranks, seeds, st.data())
def test_shapes(shape, rank, seed, data):
    t, a = train(shape, rank, seed=seed)
    order = data.draw(st.permutations(range(len(shape))))
    close(t.permute(order), a.transpose(order))
    factors = [p for n in shape for p in ((2, 2) if n == 4 else (n,))]
    close(t.reshape(factors), a.reshape(factors))
    close(t.reshape(factors).reshape(shape), a)
    close(t.reshape((a.size,)), a.reshape(-1))
    close(t.reshape((*shape, 1, 1)), a.reshape((*shape, 1, 1)))


@given(shapes, ranks, seeds)
def test_entries(shape, rank, seed):
    t, a = train(shape, rank, seed=seed)
    rng = np.random.default_rng(seed)
    for batch in (0, 1, 3, 50):
        index = np.stack([rng.integers(0, n, batch) for n in shape], axis=1)
        close(t.at(index), a[tuple(index.T)], scale=np.linalg.norm(a))


@given(shapes, ranks, seeds, st.integers(0, 10))
def test_orthogonalize(shape, rank, seed, center):
    t, a = train(shape, rank, seed=seed)
    center %= len(shape)
    made = t.orthogonalize(center)
    close(made, a)
    for k, core in enumerate(made.cores):
        r, n, s = core.shape
        if k < center:
            m = core.reshape(r * n, s)
            np.testing.assert_allclose(m.T @ m, np.eye(s), atol=1e-13)
        if k > center:
            m = core.reshape(r, n * s)
            np.testing.assert_allclose(m @ m.T, np.eye(r), atol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(made.cores[center]), np.linalg.norm(a), rtol=1e-12)


# From dense arrays, and rounding


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


def test_rounding_of_falling_singular_values():
    # Condition 1e10 in every cut, ranks large enough for sketches.
    rng = np.random.default_rng(0)
    d, n, r = 6, 30, 30
    cores = [np.linalg.qr(rng.standard_normal((n, r)))[0] for _ in range(d)]
    weights = np.logspace(0, -10, r)
    train_cores = [(cores[0] * weights)[None]]
    for u in cores[1:-1]:
        core = np.zeros((r, n, r))
        core[np.arange(r), :, np.arange(r)] = u.T
        train_cores.append(core)
    train_cores.append(cores[-1].T[:, :, None])
    t = tn.TT(train_cores)
    x = padded(t, 70)
    for tol in (1e-12, 1e-9, 1e-6, 1e-3):
        rounded = x.round(tol)
        error = float((rounded - t).norm() / t.norm())
        assert error <= tol * 1.01
        # The smallest rank that the tolerance allows at a cut, from the known singular values.
        s = weights
        tail = np.sqrt(np.cumsum(s[::-1] ** 2))[::-1] / np.linalg.norm(s)
        assert max(rounded.ranks) <= np.count_nonzero(tail > tol / np.sqrt(d - 1) * 0.9)


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


# Sampling, elementwise functions


def test_sampling():
    t = tn.TT([np.abs(core) for core in drawn((3, 4, 2), 2, "float64", 1)])
    a = t.to_dense() / t.to_dense().sum()
    for made, density in [
        (t.sample(200_000, seed=1), a),
        (t.sample(200_000, seed=1, squared=True), a**2 / (a**2).sum()),
    ]:
        index, probability = made
        np.testing.assert_allclose(probability, density[tuple(index.T)], rtol=1e-10)
        count = np.zeros(a.shape)
        np.add.at(count, tuple(index.T), 1)
        # Five standard deviations of the counts.
        spread = np.sqrt(200_000 * density * (1 - density))
        assert (np.abs(count - 200_000 * density) < 5 * spread).all()
    z, b = train((3, 4), 2, "complex128")
    index, probability = z.sample(10, squared=True)
    np.testing.assert_allclose(probability, (abs(b) ** 2 / (abs(b) ** 2).sum())[tuple(index.T)])
    assert t.sample(0)[0].shape == (0, 3)
    long = tn.TT.outer([np.array([3.0, 1.0])] * 500)
    index, _ = long.sample(500)
    assert abs(index.mean() - 0.25) < 0.01
    with pytest.raises(InputError, match="must be positive"):
        (-t).sample(1)
    with pytest.raises(InputError, match="squared=True"):
        z.sample(1)


@pytest.mark.parametrize("library", LIBRARIES)
def test_elementwise_functions(library):
    shape = (4,) * 4
    a = grid(shape, lambda s: 1 + s)
    t = tn.TT.from_dense(given_to(library, a), 1e-12)
    made = t.map(np.log, tol=1e-9)
    np.testing.assert_allclose(numbers(made), np.log(a), atol=1e-7)
    assert made.info.converged and namespace(made.cores[0]) is namespace(t.cores[0])
    made = t.map(lambda x, y: x / y, t * t, tol=1e-9)
    np.testing.assert_allclose(numbers(made), 1 / a, atol=1e-7)
    with pytest.raises(ShapeError, match="map"):
        t.map(np.add, tn.TT.ones((2,)))


# JAX, files, faces, errors


def test_pytree():
    t, a = train((3, 4, 2), 3, library="jax")
    s, b = train((3, 4, 2), 2, seed=4, library="jax")
    value = jax.jit(lambda x, y: (x * y + x).dot(y))(t, s)
    np.testing.assert_allclose(value, np.vdot(a * b + a, b), rtol=1e-12)
    slope = jax.grad(lambda x: x.norm() ** 2)(t)
    assert isinstance(slope, tn.TT)
    # <core, dF/dcore> = 2*norm^2 for each core, by Euler's theorem.
    for core, change in zip(t.cores, slope.cores, strict=True):
        np.testing.assert_allclose((core * change).sum(), 2 * np.linalg.norm(a) ** 2, rtol=1e-11)
    doubled = jax.tree.map(lambda x: 2 * x, t)
    close(doubled, 8 * a)


def test_files(tmp_path):
    t, a = train((3, 4, 2), 3, "complex128")
    path = t.save(tmp_path / "train")
    assert path.name == "train.npz"
    close(tn.TT.load(path), a)
    np.savez(tmp_path / "other.npz", x=a)
    with pytest.raises(InputError, match="no tensor format"):
        tn.TT.load(tmp_path / "other.npz")


def test_types_are_promoted():
    t, a = train((3, 2), 2, "float32")
    s, b = train((3, 2), 2, "complex128")
    assert (t + s).dtype == np.complex128
    close(t + s, a + b, "float32")
    assert (t * 2).dtype == np.float32
    assert (1j * t).dtype == np.complex64
    assert t.astype(np.float64).dtype == np.float64
    assert tn.TT([np.ones((1, 2, 1), int)]).dtype == np.float64
    assert tn.TT.random((2, 3), 2, like=numpy_of(t.cores[0])).dtype == np.float32


def test_random_has_unit_variance():
    a = tn.TT.random((30, 30, 30), 5, seed=1).to_dense()
    assert 0.5 < np.mean(a**2) < 2
    same = tn.TT.random((30, 30, 30), (5, 5), seed=1).to_dense()
    assert np.array_equal(a, same)


def test_repr():
    assert repr(tn.TT.ones((2, 30, 4))) == (
        "TT of shape (2, 30, 4), ranks 1, 1: 36 of 240 numbers, float64\n  ●─1─●─1─●\n  2   30  4"
    )
    long = repr(tn.TT.random((2,) * 40, 3))
    assert "┄" in long and "2^40" in long and "up to 3" in long
    assert "<table>" in tn.TT.ones((2, 3))._repr_html_()
    assert repr(tn.TT.ones((3,))).startswith("TT of shape (3,): 3 of 3 numbers")


def test_objects_do_not_change():
    t = tn.TT.ones((2, 3))
    with pytest.raises(AttributeError, match="make a new one"):
        t.cores = ()
    with pytest.raises(TypeError):
        iter(t)


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (lambda: tn.TT([]), ShapeError, "at least one core"),
        (lambda: tn.TT([np.ones((1, 2))]), ShapeError, r"core 0 has shape \(1, 2\)"),
        (lambda: tn.TT([np.ones((2, 2, 1))]), ShapeError, "first bond is 1"),
        (lambda: tn.TT([np.ones((1, 2, 3))]), ShapeError, "last axis must be 1"),
        (
            lambda: tn.TT([np.ones((1, 2, 3)), np.ones((2, 2, 1))]),
            ShapeError,
            "bond behind core 0 is 3",
        ),
        (lambda: tn.TT([np.array([[["a"]]])]), InputError, "numbers are expected"),
        (lambda: tn.TT([np.ones((1, 0, 1))]), ShapeError, "positive"),
        (lambda: tn.TT.ones((2, 3)) + tn.TT.ones((3, 2)), ShapeError, r"\(2, 3\) and \(3, 2\)"),
        (lambda: tn.TT.ones((2, 3))[2], InputError, "outside of axis 0, of length 2"),
        (lambda: tn.TT.ones((2, 3))[0, 0, 0], ShapeError, "at most 2"),
        (lambda: tn.TT.ones((2, 3))[2:], ShapeError, "leaves nothing"),
        (lambda: tn.TT.ones((2, 3))[[0, 1]], InputError, "use `at`"),
        (lambda: tn.TT.ones((2, 3))[..., ...], InputError, "at most once"),
        (lambda: tn.TT.ones((2, 3)).sum(2), InputError, "2 does not exist"),
        (lambda: tn.TT.ones((2, 3)).sum((0, 0)), InputError, "once"),
        (lambda: tn.TT.ones((2, 3)).round(-1), InputError, "tol"),
        (lambda: tn.TT.ones((2, 3)).round(max_rank=0), InputError, "max_rank"),
        (lambda: tn.TT.ones((2, 3)).orthogonalize(2), InputError, "center 2"),
        (lambda: tn.TT.ones((2, 3)).permute((0, 0)), InputError, "permute"),
        (lambda: tn.TT.ones((2, 3)).reshape((5,)), ShapeError, "as many entries"),
        (lambda: tn.TT.ones((2, 3)).at([[0, 3]]), InputError, "outside"),
        (lambda: tn.TT.ones((2, 3)).at([0, 1]), ShapeError, "batch, 2"),
        (lambda: tn.TT.ones((2, 3)).integrate([np.ones(2)]), ShapeError, "2 vectors"),
        (lambda: tn.TT.ones((2, 3)).integrate({0: np.ones(3)}), ShapeError, r"\(2,\) is expected"),
        (lambda: tn.TT.ones(()), ShapeError, "positive integers"),
        (lambda: tn.TT.random((2, 3), (1, 2)), ShapeError, "rank"),
        (lambda: tn.TT.from_dense(np.array([1.0, np.nan])), InputError, "NaN or inf"),
        (lambda: tn.TT.from_dense(np.ones((2, 0))), ShapeError, "length 0"),
        (lambda: tn.TT.from_dense(3.0), ShapeError, "at least one axis"),
        (lambda: tn.TT.ones((2, 3)) + "x", TypeError, "unsupported"),
    ],
)
def test_errors(work, error, words):
    with pytest.raises(error, match=words):
        work()


def test_libraries_are_not_mixed():
    with pytest.raises(InputError, match="one library"):
        tn.TT.ones((2,)) + tn.TT.ones((2,), like=given_to("jax", np.ones(1)))


# Known ranks and numbers: shared/references/tensor_train.md, by item


def grid(shape, f, low=0.0, high=1.0):
    """f of the sum of coordinates on an equidistant grid."""
    axes = [
        np.linspace(low, high, n).reshape([-1 if j == k else 1 for j in range(len(shape))])
        for k, n in enumerate(shape)
    ]
    return f(sum(axes))


@pytest.mark.parametrize(
    ("f", "rank"), [(np.sin, 2), (lambda s: s, 2), (lambda s: s**2, 3), (lambda s: s**3, 4)]
)
def test_functions_of_sums(f, rank):  # item 5
    t = tn.TT.from_dense(grid((6,) * 5, f), 1e-11)
    assert t.ranks == (1, rank, rank, rank, rank, 1)


@pytest.mark.parametrize(
    ("d", "n", "tol", "expected"),
    [
        (4, 8, 1e-4, (5, 5, 5)),
        (4, 8, 1e-8, (7, 8, 7)),
        (4, 8, 1e-12, (8, 10, 8)),
        (5, 10, 1e-4, (5, 5, 5, 5)),
        (5, 10, 1e-8, (8, 9, 9, 8)),
        (5, 10, 1e-12, (10, 12, 12, 10)),
    ],
)
def test_hilbert_tensor(d, n, tol, expected):  # item 6
    a = 1 / (sum(np.ix_(*[np.arange(1, n + 1)] * d)) - d + 1.0)
    # Ranks for a tolerance at each cut, not shared among cuts.
    assert tn.TT.from_dense(a, tol * np.sqrt(d - 1)).ranks[1:-1] == expected


@pytest.mark.parametrize(
    ("shape", "rank", "error"), [((20,) * 5, 6, 5.653e-9), ((4,) * 11, 8, 3.497e-9)]
)
def test_inverse_of_sum(shape, rank, error):  # item 10
    a = grid(shape, lambda s: 1 / (1 + s))
    t = tn.TT.from_dense(a, 1e-8)
    assert max(t.ranks) == rank
    found = np.linalg.norm(t.to_dense() - a) / np.linalg.norm(a)
    assert abs(found - error) < 1e-3 * error


def test_numbers_of_the_reference(shared_path):
    text = shared_path("references", "tensor_train.md").read_text(encoding="utf-8")
    for number in ("5.653e-9", "3.497e-9", "8,9,9,8", "10,12,12,10"):
        assert number in text


@pytest.mark.parametrize("name", ["tt", "qtt", "tt_matrix", "tucker", "cp"])
def test_examples_of_docstrings(name):
    module = importlib.import_module(f"tensorcalculus.networks.formats.{name}")
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


@pytest.mark.slow
def test_cost_of_rounding_and_dot():
    # Linear in d and n, cubic in r; with room for caches and a busy machine.
    def seconds(work):
        work()
        found = []
        for _ in range(5):
            start = time.process_time()
            work()
            found.append(time.process_time() - start)
        return min(found)

    def costs(d, n, r):
        t = tn.TT.random((n,) * d, r, seed=1)
        doubled = t + t
        return seconds(lambda: doubled.round(1e-10)), seconds(lambda: doubled.dot(doubled))

    base = costs(10, 16, 40)
    for other, most in [(costs(40, 16, 40), 4), (costs(10, 64, 40), 4), (costs(10, 16, 80), 8)]:
        for now, before in zip(other, base, strict=True):
            assert now < 2 * most * before

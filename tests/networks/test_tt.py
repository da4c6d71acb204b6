"""Every operation of tensor trains against the dense array, in three libraries."""

import jax
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
    ranks,
    seeds,
    shapes,
    train,
)
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import namespace, numpy_of

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
    assert "<svg" in tn.TT.ones((2, 3))._repr_html_()
    many = tn.TT.random((2,) * 40, 3)._repr_html_()
    assert "<svg" not in many and "┄" in many
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
        (lambda: tn.TT.random((2.5, 3), 1), ShapeError, "positive integers"),
        (lambda: tn.TT.cross(lambda i: i[:, 0], (2.5, 3)), ShapeError, "cross: shape: positive"),
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

"""Tucker, CP, ring and hierarchical Tucker formats against dense arrays."""

import jax
import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, accuracy, close, given_to, numbers, ranks, seeds, shapes
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import namespace
from tensorcalculus.networks.formats import trees


def normal(rng, shape, kind):
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if kind == "complex128" else a).astype(kind)


def tucker(shape, rank, kind, seed, library):
    rng = np.random.default_rng(seed)
    d = len(shape)
    core = normal(rng, (rank,) * d, kind)
    factors = [normal(rng, (n, rank), kind) for n in shape]
    operands = [core, list(range(10, 10 + d))]
    for k, u in enumerate(factors):
        operands += [u, [k, 10 + k]]
    full = np.einsum(*operands, list(range(d)))
    return tn.Tucker(given_to(library, core), [given_to(library, u) for u in factors]), full


def cp(shape, rank, kind, seed, library):
    rng = np.random.default_rng(seed)
    factors = [normal(rng, (n, rank), kind) for n in shape]
    operands = []
    for k, u in enumerate(factors):
        operands += [u, [k, 20]]
    full = np.einsum(*operands, list(range(len(shape))))
    return tn.CP([given_to(library, u) for u in factors]), full


def ring(shape, rank, kind, seed, library):
    rng = np.random.default_rng(seed)
    d = len(shape)
    cores = [normal(rng, (rank, n, rank), kind) for n in shape]
    operands = []
    for k, core in enumerate(cores):
        operands += [core, [20 + k, k, 20 + (k + 1) % d]]
    full = np.einsum(*operands, list(range(d)), optimize=True)
    return tn.Ring([given_to(library, core) for core in cores]), full


def htucker(shape, rank, kind, seed, library):
    rng = np.random.default_rng(seed)
    d = len(shape)
    nodes = trees.nodes(trees.balanced(d))
    cores, operands = [], []
    for number, node in enumerate(nodes):
        top = rank if number else 1
        if node.children is None:
            core = normal(rng, (shape[node.modes[0]], top), kind)
            operands += [core, [node.modes[0], 20 + number]]
        else:
            core = normal(rng, (rank, rank, top), kind)
            operands += [core, [*(20 + child for child in node.children), 20 + number]]
        cores.append(core)
    full = np.einsum(*operands, [*range(d), 20], optimize=True)[..., 0]
    return tn.HTucker([given_to(library, core) for core in cores]), full


KINDS = {"Tucker": tucker, "CP": cp, "Ring": ring, "HTucker": htucker}
kinds = pytest.mark.parametrize("name", KINDS)


@kinds
@pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((x, k) for x in LIBRARIES[:-1] for k in TYPES),
        pytest.param("jax", "float32", marks=pytest.mark.slow),
    ],
)
def test_operations(name, library, kind):
    shape = (3, 1, 4, 2)
    t, a = KINDS[name](shape, 3, kind, 1, library)
    s, b = KINDS[name](shape, 2, kind, 2, library)
    top = np.linalg.norm(a) * np.linalg.norm(b)
    for made, expected, scale in [
        (t, a, None),
        (t + s, a + b, np.linalg.norm(a) + np.linalg.norm(b)),
        (t - s, a - b, np.linalg.norm(a) + np.linalg.norm(b)),
        (-t, -a, None),
        (3 * t, 3 * a, None),
        (t / 2, a / 2, None),
        (t * s, a * b, top),
        (t.dot(s), np.vdot(a, b), top),
        (t.norm(), np.linalg.norm(a), None),
    ]:
        close(made, np.asarray(expected), kind, scale)
        if hasattr(made, "cores"):
            assert namespace(made.cores[0]) is namespace(t.cores[0]) and made.dtype == t.dtype
    assert t.shape == shape and name in repr(t)


@kinds
@given(shape=shapes, rank=ranks, seed=seeds)
def test_sums_and_products(name, shape, rank, seed):
    t, a = KINDS[name](shape, min(rank, 3), "float64", seed, "numpy")
    s, b = KINDS[name](shape, 2, "float64", seed + 1, "numpy")
    scale = (1 + np.linalg.norm(a)) * (1 + np.linalg.norm(b))
    close(t + 2 * s, a + 2 * b, scale=scale)
    close(t * s, a * b, scale=scale)
    close(t.dot(s), np.vdot(a, b), scale=scale)


@pytest.mark.parametrize("name", ["Tucker", "Ring", "HTucker"])
@given(shape=shapes, seed=seeds, tol=st.sampled_from([0.0, 1e-10, 1e-3, 0.2, 0.8]))
def test_from_dense(name, shape, seed, tol):
    a = np.random.default_rng(seed).standard_normal(shape)
    for k, n in enumerate(shape):
        a *= (10.0 ** -np.arange(n)).reshape([-1 if j == k else 1 for j in range(len(shape))])
    made = getattr(tn, name).from_dense(a, tol)
    assert np.linalg.norm(made.to_dense() - a) <= (tol + 1e-13) * np.linalg.norm(a)


@pytest.mark.parametrize("name", ["Tucker", "Ring", "HTucker"])
@pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((x, k) for x in LIBRARIES[:-1] for k in TYPES),
        pytest.param("jax", "float32", marks=pytest.mark.slow),
    ],
)
def test_from_dense_in_each_library(name, library, kind):
    _, a = tucker((4, 3, 5), 2, kind, 0, "numpy")
    made = getattr(tn, name).from_dense(given_to(library, a), accuracy(kind))
    close(made, a, kind)
    zero = getattr(tn, name).from_dense(given_to(library, 0 * a))
    assert not numbers(zero).any() and zero.size < made.size
    assert namespace(made.cores[0]) is namespace(given_to(library, a))


@pytest.mark.parametrize("method", ["hosvd", "st-hosvd", "hooi"])
def test_tucker_methods(method):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 7, 8))
    made = tn.Tucker.from_dense(a, 0, (3, 4, 5), method)
    assert made.ranks == (3, 4, 5)
    error = np.linalg.norm(made.to_dense() - a)
    tails = [
        np.linalg.norm(np.linalg.svd(np.moveaxis(a, k, 0).reshape(n, -1))[1][r:])
        for k, (n, r) in enumerate(zip(a.shape, made.ranks, strict=True))
    ]
    assert max(tails) <= error <= np.linalg.norm(tails)
    for u in made.factors:
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-13)
    plain = tn.Tucker.from_dense(a, 0, (3, 4, 5))
    if method == "hooi":
        assert error < np.linalg.norm(plain.to_dense() - a)


def test_tucker_indexing_and_rounding():
    t, a = tucker((4, 3, 5), 2, "float64", 3, "numpy")
    for index in [1, (0, 1, 2), (slice(1, 3), -1), (..., 2), (slice(None, None, -1), slice(1, 3))]:
        close(t[index], np.asarray(a[index]), scale=np.linalg.norm(a))
    doubled = t + t
    assert doubled.ranks == (4, 4, 4)
    assert doubled.round(1e-10).ranks == (2, 2, 2)
    close(doubled.round(1e-10), 2 * a)
    assert float((doubled - t - t).norm()) < 1e-12 * np.linalg.norm(a)


def test_cp_as_a_train():
    for shape in ((4,), (4, 3), (2, 3, 4, 2)):
        t, a = cp(shape, 3, "float64", 1, "numpy")
        close(t.to_tt(), a)
    weights = np.array([1.0, -2.0])
    u, v = np.eye(3)[:, :2], np.eye(2)
    close(tn.CP([u, v], weights), (u * weights) @ v.T)


def test_diverging_components_are_told():
    # a b b + b a b + b b a has rank 3 and border rank 2: n (b + a/n)^3 - n b^3 tends to it.
    a, b = np.eye(2)
    limit = sum(np.einsum("i,j,k", *[a if k == j else b for k in range(3)]) for j in range(3))
    n = 1e4
    near = (b + a / n)[:, None]
    factors = [np.hstack([n * near, -n * b[:, None]]), *[np.hstack([near, b[:, None]])] * 2]
    t = tn.CP(factors)
    assert np.linalg.norm(t.to_dense() - limit) < 1e-3
    told = t.diagnose()
    assert told.diverging == ((0, 1),) and told.growth > 1e3
    assert "border rank" in str(told)
    exact = tn.CP(
        [
            np.stack([a, b, b], axis=1),
            np.stack([b, a, b], axis=1),
            np.stack([b, b, a], axis=1),
        ]
    )
    close(exact, limit)
    assert not exact.diagnose().diverging and "none diverge" in str(exact.diagnose())


def test_ring_of_a_train():
    t = tn.TT.random((3, 4, 5), 2, seed=1)
    close(tn.Ring.from_tt(t), t.to_dense())


@kinds
def test_pytrees(name):
    t, a = KINDS[name]((2, 3, 2), 2, "float64", 1, "jax")
    value = jax.jit(lambda x: (x + x).dot(x))(t)
    np.testing.assert_allclose(value, 2 * np.vdot(a, a), rtol=1e-10)


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (lambda: tn.Tucker(np.ones((2, 2)), [np.ones((3, 2))]), ShapeError, "1 axes"),
        (lambda: tn.Tucker(np.ones((2,)), [np.ones((3, 3))]), ShapeError, "factor 0"),
        (lambda: tn.Tucker.from_dense(np.ones((2, 2)), method="x"), InputError, "method"),
        (lambda: tn.Tucker.from_dense(np.ones((2, 2)), ranks=(1,)), InputError, "ranks"),
        (lambda: tn.Tucker.from_dense(np.array([np.nan])), InputError, "NaN"),
        (lambda: tn.CP([]), ShapeError, "at least one"),
        (lambda: tn.CP([np.ones((2, 2)), np.ones((2, 3))]), ShapeError, "factor 1"),
        (lambda: tn.CP([np.ones((2, 2))], np.ones(3)), ShapeError, "weights"),
        (lambda: tn.Ring([np.ones((2, 3, 1))]), ShapeError, "core 0"),
        (lambda: tn.HTucker([np.ones((2, 1))] * 2), ShapeError, "2\\*d - 1"),
        (lambda: tn.HTucker([np.ones((2, 2))]), ShapeError, "root"),
        (lambda: tn.CP([np.ones((2, 1))]) + tn.CP([np.ones((3, 1))]), ShapeError, "differ"),
        (lambda: tn.CP([np.ones((2, 1))]) + 1, TypeError, "unsupported"),
    ],
)
def test_errors(work, error, words):
    with pytest.raises(error, match=words):
        work()

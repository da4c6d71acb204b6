"""Tucker, CP, ring and hierarchical Tucker formats: decompositions, rounding, what is special."""

import jax
import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, accuracy, close, given_to, numbers, ranks, seeds, shapes
from formats_made import FORMATS, library_of, made, named
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.formats import trees

formats = pytest.mark.parametrize("name", FORMATS)
decompositions = pytest.mark.parametrize("name", ["Tucker", "Ring", "HTucker"])
libraries_and_types = pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((x, k) for x in LIBRARIES[:-1] for k in TYPES),
        pytest.param("jax", "float32", marks=pytest.mark.slow),
    ],
)


def largest(t) -> list[int]:
    """All ranks of a format."""
    if isinstance(t, tn.CP):
        return [t.rank]
    return list(t.ranks.values() if isinstance(t.ranks, dict) else t.ranks)


# From dense arrays


@decompositions
@given(shape=shapes, seed=seeds, tol=st.sampled_from([0.0, 1e-10, 1e-3, 0.2, 0.8]))
def test_from_dense(name, shape, seed, tol):
    a = np.random.default_rng(seed).standard_normal(shape)
    for k, n in enumerate(shape):
        a *= (10.0 ** -np.arange(n)).reshape([-1 if j == k else 1 for j in range(len(shape))])
    made = getattr(tn, name).from_dense(a, tol)
    assert np.linalg.norm(made.to_dense() - a) <= (tol + 1e-13) * np.linalg.norm(a)


@decompositions
@libraries_and_types
def test_from_dense_in_each_library(name, library, kind):
    a = made("Tucker", "random", (4, 3, 5), 2, kind, 0, "numpy").dense.astype(kind)
    found = getattr(tn, name).from_dense(given_to(library, a), accuracy(kind))
    close(found, a, kind)
    zero = getattr(tn, name).from_dense(given_to(library, 0 * a))
    assert not numbers(zero).any() and zero.size < found.size
    assert named(found) == library


@pytest.mark.parametrize("method", ["hosvd", "st-hosvd", "hooi", "randomised"])
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


@libraries_and_types
@pytest.mark.parametrize("size", [20, 70])
def test_tucker_by_sketches(library, kind, size):
    # 70 columns are enough for a sketch, 20 are not; noise is 100 times below what ranks keep.
    rng = np.random.default_rng(1)
    a = made("Tucker", "random", (size,) * 3, 4, kind, 3, "numpy").dense
    noise = 1e-4 * np.linalg.norm(a) / size**1.5 * rng.standard_normal(a.shape)
    given = given_to(library, (a + noise).astype(kind))
    by_ranks = tn.Tucker.from_dense(given, 0, (4, 4, 4), "randomised", seed=2)
    by_tol = tn.Tucker.from_dense(given, 1e-2, method="randomised", seed=2)
    best = np.linalg.norm(tn.Tucker.from_dense(a + noise, 0, (4, 4, 4)).to_dense() - a - noise)
    assert by_ranks.ranks == by_tol.ranks == (4, 4, 4)
    assert np.linalg.norm(numbers(by_ranks) - a - noise) <= 1.01 * best
    assert np.linalg.norm(numbers(by_tol) - a - noise) <= 1e-2 * np.linalg.norm(a)
    assert named(by_ranks) == library and by_ranks.dtype == given.dtype


# Rounding


@formats
@libraries_and_types
def test_a_sum_is_rounded_to_the_ranks_of_its_term(name, library, kind):
    t = made(name, "random", (4, 5, 3, 4), 3, kind, 4, library).format
    double = (t + t).round(accuracy(kind))
    assert all(r <= s for r, s in zip(largest(double), largest(t), strict=True))
    close(double, 2 * numbers(t), kind)
    nothing = (t - t).round()
    assert float(nothing.norm()) <= accuracy(kind) * float(t.norm())


@formats
@given(rank=ranks, seed=seeds, tol=st.sampled_from([1e-12, 1e-6, 1e-2, 0.3]))
def test_rounding_keeps_its_tolerance(name, rank, seed, tol):
    shape = (3, 4, 2, 3)
    t = made(name, "random", shape, min(rank, 3), "float64", seed, "numpy").format
    for k in range(3):
        t = (
            t
            + 10.0 ** -(4 * k)
            * made(name, "random", shape, 1, "float64", seed + 2 * k, "numpy").format
        )
    rounded = t.round(tol)
    assert np.linalg.norm(numbers(rounded) - numbers(t)) <= (tol + 1e-13) * np.linalg.norm(
        numbers(t)
    )
    assert rounded.size <= t.size


@pytest.mark.parametrize("name", ["TT", "Tucker", "HTucker", "CP", "Ring"])
def test_rounding_of_condition_1e10_keeps_digits(name):
    # A Gram matrix would have 1e-20 beside 1: the second term would be noise.  The third term, that
    # cancels, comes first, so that bases which are made one vector after the other mix the others.
    rng = np.random.default_rng(5)
    shape = (6, 5, 4, 7)
    vectors = [np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in shape]
    kind = getattr(tn, name)
    one, two = (kind.outer([v[:, k] for v in vectors]) for k in range(2))
    third = kind.outer([rng.standard_normal(n) / n for n in shape])
    t = third + one + 1e-10 * two - third
    rounded = t.round(1e-12)
    assert max(largest(rounded)) == 2
    error = numbers(rounded) - numbers(one) - 1e-10 * numbers(two)
    assert np.linalg.norm(error) <= 2e-12
    assert max(largest(t.round(1e-9))) == 1


@formats
def test_norms_of_small_differences(name):
    shape = (3, 4, 5)
    t = made(name, "random", shape, 2, "float64", 1, "numpy")
    s = made(name, "random", shape, 2, "float64", 3, "numpy")
    found = float((t.format + 1e-10 * s.format - t.format).norm())
    assert abs(found - 1e-10 * np.linalg.norm(s.dense)) < 1e-14 * t.size


@pytest.mark.parametrize("name", ["TT", "HTucker", "Ring"])
def test_largest_rank(name):
    t = made(name, "random", (5, 4, 5, 3), 3, "float64", 2, "numpy").format
    assert max(largest(t.round(0, max_rank=2))) <= 2
    a = np.random.default_rng(0).standard_normal((5, 4, 6))
    assert max(largest(getattr(tn, name).from_dense(a, 0, max_rank=2))) <= 2


def test_rounding_to_ranks_is_quasi_optimal():
    a = np.random.default_rng(0).standard_normal((5, 6, 4, 5))
    t = tn.HTucker.from_dense(a, 0)
    cut = t.round(0, max_rank=3)
    error = np.linalg.norm(cut.to_dense() - a)
    tails = []
    for modes in list(t.ranks)[1:]:
        rest = [k for k in range(4) if k not in modes]
        m = a.transpose([*modes, *rest]).reshape(np.prod([a.shape[k] for k in modes]), -1)
        tails.append(np.linalg.norm(np.linalg.svd(m)[1][3:]))
    assert max(tails) <= error <= np.linalg.norm(tails)


def test_blocks_that_a_ring_sum_has_several_times():
    t = made("Ring", "random", (4, 5, 3), 2, "float64", 1, "numpy")
    s = made("Ring", "random", (4, 5, 3), 2, "float64", 2, "numpy")
    rounded = (t.format + s.format - 3 * t.format + 2 * s.format).round(1e-11)
    close(rounded, 3 * s.dense - 2 * t.dense, scale=t.size + s.size)
    assert max(rounded.ranks) <= 4
    one = tn.Ring([np.ones((3, 2, 3))])
    assert one.round().ranks == (1, 1)


def test_components_that_differ_in_one_mode_are_merged():
    rng = np.random.default_rng(0)
    u, v = rng.standard_normal((2, 4)), rng.standard_normal((5, 1))
    t = tn.CP([u, np.repeat(v, 4, axis=1), np.ones((3, 4)) * [1, -2, 1, 0.5]])
    merged = t.round(1e-12)
    assert merged.rank == 1
    close(merged, t.to_dense())
    z = tn.CP([np.array([[1, 1j]]), np.array([[1, 1j], [2, 2j]])])
    close(z.round(), z.to_dense())
    assert z.round().rank == 1
    apart = tn.CP([np.eye(2), np.eye(2)])
    assert apart.round().rank == 2
    near = tn.CP([np.array([[1.0, 1.0], [0, 1e-6]]), np.array([[1.0, 1.0], [0, 1e-6]])])
    assert near.round(1e-8).rank == 2 and near.round(1e-5).rank == 1


# Singular values


def unfolding(a, modes):
    rest = [k for k in range(a.ndim) if k not in modes]
    return a.transpose([*modes, *rest]).reshape(int(np.prod([a.shape[k] for k in modes])), -1)


@pytest.mark.parametrize("name", ["TT", "Tucker", "HTucker"])
@given(shape=shapes, rank=ranks, seed=seeds, kind=st.sampled_from(TYPES))
def test_singular_values(name, shape, rank, seed, kind):
    t = made(name, "random", shape, min(rank, 3), kind, seed, "numpy")
    found = t.format.singular_values()
    if isinstance(found, list):
        cuts = [range(k + 1) if name == "TT" else [k] for k in range(len(shape))]
        found = dict(zip(map(tuple, cuts), found, strict=False))
    counts = {"TT": len(shape) - 1, "Tucker": len(shape), "HTucker": 2 * len(shape) - 2}
    assert len(found) == counts[name]
    for modes, values in found.items():
        exact = np.linalg.svd(unfolding(t.dense, modes), compute_uv=False)
        size = max(len(exact), len(values))
        both = [np.pad(x, (0, size - len(x))) for x in (values, exact)]
        np.testing.assert_allclose(both[0], both[1], atol=10 * accuracy(kind) * t.size)


@pytest.mark.parametrize("kind", [tn.TT, tn.Tucker, tn.HTucker])
def test_small_singular_values_have_digits(kind):
    one, two = (kind.outer([x] * 4) for x in np.eye(2))
    found = (one + 1e-6 * two).singular_values()
    for values in found.values() if isinstance(found, dict) else found:
        np.testing.assert_allclose(values[:2], [1, 1e-6], rtol=1e-9)
        assert (values[2:] < 1e-14).all()


def test_plots(monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    x = np.linspace(0, 1, 6)
    a = np.sin(x[:, None, None] + x[:, None] + x)
    for kind, count in ((tn.TT, 2), (tn.Tucker, 3), (tn.HTucker, 4)):
        ax = figure.Figure().subplots()
        t = kind.from_dense(a)
        assert t.plot_singular_values(ax) is ax
        assert len(ax.lines) == count and ax.get_yscale() == "log"
        np.testing.assert_allclose(np.nansum(ax.lines[0].get_ydata() ** 2), 1)
        assert kind.__name__ in ax.get_title()
    zero = tn.TT.zeros((2, 3)).plot_singular_values(figure.Figure().subplots())
    assert np.isnan(zero.lines[0].get_ydata()).all()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        t.plot_singular_values()


# What is special


def test_conversions():
    t = tn.TT.random((4, 5, 6, 3), 3, seed=1)
    a = t.to_dense()
    assert tn.Tucker.from_tt(t).ranks == (3, 5, 6, 3)
    tree = tn.HTucker.from_tt(t)
    assert tree.ranks[0, 1] == 3 and tree.ranks[1,] == 5
    assert tree.to_tt().ranks == t.ranks
    q = tn.QTT.exp(1.0, 5)
    assert type(q.to_tt()) is tn.TT
    # A tolerance is kept.
    noisy = t + 1e-5 * tn.TT.random((4, 5, 6, 3), 2, seed=2)
    for kind in (tn.Tucker, tn.HTucker):
        rough = kind.from_tt(noisy, 1e-3)
        assert np.linalg.norm(rough.to_dense() - noisy.to_dense()) <= 1e-3 * np.linalg.norm(a)
        assert rough.size < kind.from_tt(noisy).size
    # The tensor of ones on many modes: nothing dense is made.
    assert tn.HTucker.from_tt(tn.TT.ones((2,) * 60)).to_tt().ranks == (1,) * 61


def test_trees():
    t = made("HTucker", "random", (2, 3, 4, 2), 2, "float64", 1, "numpy")
    assert t.format.tree == (((3, 2), 1), 0)
    turned = t.format.permute((2, 0, 3, 1))
    close(turned, t.dense.transpose(2, 0, 3, 1))
    assert turned.tree == (((2, 0), 3), 1)
    close(turned[:, 1, :, 2], t.dense.transpose(2, 0, 3, 1)[:, 1, :, 2], scale=t.size)
    assert t.format[:, 0].tree == ((2, 1), 0)
    chosen = tn.HTucker.from_dense(t.dense, 1e-12, tree=((0, 2), (1, 3)))
    close(chosen, t.dense)
    assert (0, 2) in chosen.ranks
    assert tn.HTucker.random((2, 3, 4), 2, tree=((2, 0), 1)).tree == ((2, 0), 1)
    assert trees.balanced(5) == ((0, 1), (2, (3, 4)))
    with pytest.raises(InputError, match=r"trees .* differ; bring both"):
        turned + tn.HTucker.ones((4, 2, 2, 3))
    same = tn.HTucker.from_tt(turned.to_tt()) + tn.HTucker.ones((4, 2, 2, 3))
    close(same, t.dense.transpose(2, 0, 3, 1) + 1)
    # An operation with a number keeps the tree.
    assert (turned + 1).tree == turned.tree


def test_permutations_of_rings():
    t = made("Ring", "random", (2, 3, 4, 2), 2, "float64", 1, "numpy")
    for order in ((2, 3, 0, 1), (1, 0, 3, 2), (0, 3, 2, 1)):
        close(t.format.permute(order), t.dense.transpose(order))
    with pytest.raises(InputError, match="rotation"):
        t.format.permute((1, 0, 2, 3))
    by_train = tn.Ring.from_tt(t.format.to_tt().permute((1, 0, 2, 3)))
    close(by_train, t.dense.transpose(1, 0, 2, 3))


@pytest.mark.parametrize("name", ["TT", "Tucker", "HTucker", "CP", "Ring"])
def test_random(name):
    kind = getattr(tn, name)
    squares = [np.mean(kind.random((4, 5, 6), 2, seed=k).to_dense() ** 2) for k in range(400)]
    error = np.std(squares) / 20
    assert abs(np.mean(squares) - 1) < 4 * error < 1
    for library in LIBRARIES:
        like = given_to(library, np.ones(1, np.complex64))
        t = kind.random((4, 5), 2, seed=1, like=like)
        assert named(t) == library and t.dtype == like.dtype
        np.testing.assert_array_equal(
            t.cores[0], kind.random((4, 5), 2, seed=1, like=like).cores[0]
        )


@formats
def test_no_array_without_asking(name):
    t = made(name, "random", (3, 3), 2, "float64", 0, "numpy").format
    for call in (np.asarray, np.array, np.linalg.norm, lambda x: np.asarray(x, dtype=float)):
        with pytest.raises(TypeError, match=r"to_dense|ufunc"):
            call(t)


def test_cp_weights():
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


def test_pictures():
    assert repr(tn.Tucker.random((8, 9), (2, 3))) == (
        "Tucker of shape (8, 9), ranks 2, 3: 49 of 72 numbers, float64\n  ■─┬─2─● 8\n    └─3─● 9"
    )
    assert repr(tn.HTucker.ones((2, 3, 4))) == (
        "HTucker of shape (2, 3, 4), ranks up to 1: 11 of 24 numbers, float64\n"
        "  ●─┬─1─● 2\n"
        "    └─1─●─┬─1─● 3\n"
        "          └─1─● 4"
    )
    assert repr(tn.CP.ones((2, 3))).endswith("  Σ─┬─1─● 2\n    └─1─● 3")
    assert repr(tn.CP.ones((2,))).endswith("  Σ───1─● 2")
    assert repr(tn.Ring.ones((2, 30))).startswith("Ring of shape (2, 30), ranks 1, 1: 32 of 60")
    long = repr(tn.HTucker.ones((2,) * 40))
    assert "┆" in long and len(long.splitlines()) < 20 and "2^40" in long
    assert repr(tn.laplacian((3, 4))).endswith("  ●─2─●\n  3×3 4×4")


@formats
def test_pytrees(name):
    t = made(name, "random", (2, 3, 2), 2, "float64", 1, "jax")
    value = jax.jit(lambda x: (x + x).dot(x))(t.format)
    np.testing.assert_allclose(value, 2 * np.vdot(t.dense, t.dense), rtol=1e-10)
    norm = jax.jit(lambda x: x.norm())(t.format)
    np.testing.assert_allclose(norm, np.linalg.norm(t.dense), rtol=1e-10)
    slope = jax.grad(lambda x: x.norm() ** 2)(t.format)
    # <core, dF/dcore> = 2*norm^2 for each core, by Euler's theorem.
    for core, change in zip(t.format.cores, slope.cores, strict=True):
        expected = 2 * np.linalg.norm(t.dense) ** 2
        np.testing.assert_allclose((core * change).sum(), expected, rtol=1e-9)


def test_weights_keep_precision():
    t = made(
        "Tucker", "random", (3, 2), 2, "float32", 1, "torch" if "torch" in LIBRARIES else "numpy"
    )
    made_complex = t.format.integrate({0: np.array([1j, 2, 0])})
    close(made_complex, np.array([1j, 2, 0]) @ t.dense, "float32", t.size)
    assert t.format.integrate({0: [1, 2, 3]}).dtype == t.format.dtype
    assert library_of(made_complex) is library_of(t.format)


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
        (lambda: tn.HTucker([np.ones((2, 1))], tree=(0, 1)), InputError, "tree: pairs of pairs"),
        (lambda: tn.HTucker.ones((2, 2)).round(-1), InputError, "tol"),
        (lambda: tn.HTucker.ones((2, 2)).round(max_rank=0), InputError, "max_rank"),
        (lambda: (tn.Ring.ones((2, 2)) * np.nan).round(), InputError, "NaN"),
        (lambda: (tn.CP.ones((2, 2)) * np.inf).round(), InputError, "NaN or inf"),
        (lambda: (tn.HTucker.ones((2, 2)) * np.nan).round(), InputError, "NaN or inf"),
        (lambda: tn.CP([np.ones((2, 1))]) + tn.CP([np.ones((3, 1))]), ShapeError, "differ"),
        (lambda: tn.CP([np.ones((2, 1))]) + "x", TypeError, "unsupported"),
        (lambda: tn.CP.ones((2,)) + tn.Ring.ones((2,)), TypeError, "unsupported"),
        (lambda: tn.CP.ones((2,)).dot(tn.TT.ones((2,))), InputError, "a CP is expected, not TT"),
        (lambda: tn.CP.ones((2,)).at([[2]]), InputError, "outside"),
        (lambda: tn.CP.ones((2,)).at([[0, 0]]), ShapeError, r"batch, 1"),
        (lambda: tn.CP.ones((2,))[2], InputError, "outside of axis 0"),
        (lambda: tn.CP.ones((2, 3)).permute((0, 0)), InputError, "each of 0 … 1"),
        (lambda: tn.CP.ones((2, 3)).kron(tn.CP.ones((2,))), ShapeError, "2 and 1 modes"),
        (lambda: tn.Ring.concatenate([]), ShapeError, "at least one"),
        (lambda: tn.Ring.concatenate([tn.CP.ones((2,))]), InputError, "a Ring is expected"),
        (
            lambda: tn.CP.concatenate([tn.CP.ones((2, 3)), tn.CP.ones((2, 4))]),
            ShapeError,
            r"concatenate: shapes \(2, 3\) and \(2, 4\)",
        ),
        (lambda: tn.CP.ones((2, 3)).integrate({0: [1, 1], -2: [1, 1]}), InputError, "once"),
        (lambda: tn.CP.outer([]), ShapeError, "at least one vector"),
        (lambda: tn.CP.outer([np.ones((2, 2))]), ShapeError, "vector 0"),
        (lambda: tn.Tucker.random((2, 3), (1, 2, 3)), ShapeError, "rank"),
        (lambda: tn.laplacian((3, 3))[9, 0], InputError, "outside of 9"),
        (lambda: tn.laplacian((3, 3))[0], InputError, "a row and a column"),
        (lambda: tn.laplacian((3, 3))[0, :], InputError, "use `at`"),
        (lambda: tn.laplacian((3, 3)).at([[0, 0]], [[0, 3]]), InputError, "at: columns"),
        (lambda: tn.laplacian((3, 3)).at([[0, 0]], [[0, 1], [1, 1]]), ShapeError, "number"),
    ],
)
def test_errors(work, error, words):
    with pytest.raises(error, match=words):
        work()


@pytest.mark.parametrize("library", LIBRARIES)
def test_beyond_memory(library):
    x = given_to(library, np.ones(1))
    long = tn.TT.ones((20,) * 400, like=x)
    ones = [given_to(library, np.ones((30, 1)))] * 30
    third = given_to(library, np.ones((1, 2, 1)))
    branches = tn.HTucker.from_dense(given_to(library, np.ones((2, 2))))
    assert branches.to_dense().shape == (2, 2)
    for work in (
        lambda: long.to_dense(),
        lambda: tn.TTMatrix.eye((8,) * 40).to_dense(),
        lambda: tn.CP(ones).to_dense(),
        lambda: tn.Tucker(given_to(library, np.ones((1,) * 30)), ones).to_dense(),
        lambda: tn.Ring([third] * 60).to_dense(),
    ):
        with pytest.raises(InputError, match=r"would take .* ask for some entries"):
            work()
    assert float(long[(0,) * 400]) == 1
    if library == "numpy":
        wide = tn.TT.random((4,) * 4, 400)
        with pytest.raises(InputError, match="`multiply` rounds without them"):
            wide * wide


@libraries_and_types
def test_entries_of_matrices(library, kind):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((12, 10)).astype(kind)
    t = tn.TTMatrix.from_dense(given_to(library, a), (3, 4), (2, 5), 0)
    rows, columns = rng.integers(0, [3, 4], (7, 2)), rng.integers(0, [2, 5], (7, 2))
    expected = a[rows @ [4, 1], columns @ [5, 1]]
    close(t.at(rows, columns), expected, kind, np.linalg.norm(a))
    for i, j in ((0, 0), (-1, 3), (7, -10)):
        close(t[i, j], np.asarray(a[i, j]), kind, np.linalg.norm(a))
    close(t[(2, 1), (1, 3)], np.asarray(a[9, 8]), kind, np.linalg.norm(a))
    big = tn.TTMatrix.eye((2,) * 100)
    assert big[2**99 + 5, 2**99 + 5] == 1 and big[2**99 + 5, 2**99 + 4] == 0

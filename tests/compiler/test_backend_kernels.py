"""The PyTorch and JAX kernels against the NumPy ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from backends import Backend, close, exponentials, positive, rank, sines, well
from numpy.testing import assert_allclose

from tensorcalculus.compiler import divided_differences, factors
from tensorcalculus.compiler import kernels as K
from tensorcalculus.compiler import spectral_kernels as S
from tensorcalculus.errors import GaugeWarning, InputError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


# -- values --------------------------------------------------------------------------------------

LINE = np.array([-1e3, -40.0, -3.2, -1.0, -0.3, -1e-9, 0.0, 1e-9, 0.4, 1.0, 2.7, 30.0, 1e3])
GAMMA = np.array([1e-3, 0.3, 0.7, 1.4, 2.5, 17.0])
SCALAR: list[tuple[str, tuple[Any, ...]]] = [
    *((name, (LINE,)) for name in ("sigmoid", "softplus", "relu", "step", "logcosh")),
    ("relu", (np.array([np.nan, np.inf]),)),
    ("softplus", (np.array([-700.0]),)),
    ("softplus", (np.array([np.inf, -np.inf]),)),
    ("logcosh", (np.array([1e-3, 1e-8, 1e-100]),)),
    ("sigmoid", (np.array([-700.0]),)),
    ("erf", (LINE,)),
    ("erfc", (LINE,)),
    ("erfc", (np.array([10.0, 20.0]),)),
    *((name, (GAMMA,)) for name in ("lgamma", "gamma", "digamma")),
    *((name, (np.array([-2.5, -1.5, -0.3]),)) for name in ("lgamma", "gamma")),
    *(("polygamma", (n, GAMMA)) for n in (0, 1, 2, 3)),
    ("polygamma", (1.0, GAMMA)),
    *(("power", (GAMMA, p)) for p in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 1.7, -2.0)),
    ("power", (np.array([0.0, 4.0, -2.0]), np.array([1.0, 2.0, 3.0]))),
    ("power", (np.array([0.0, -4.0, 2.0]), 5.0)),
    ("power", (2.0, LINE[:-1])),
    *(("guarded_power", (np.array([0.0, 4.0, 0.3]), p)) for p in (-1.0, 0.0, -0.5, 0.5, 1.0, 2.0)),
    ("guarded_power", (np.array([0.0, 0, 0, 2]), np.array([2.0, 0.5, -1.0, -1.0]))),
    ("guarded_power", (np.float64(0.0), -1.0)),
    ("xlogy", (np.array([0.0, 0.0, 0.0, 0.0, 2.0]), np.array([0.0, 3.0, np.inf, np.nan, 0.5]))),
    ("xlogy", (np.array([2.0, -2.0]), 0.0)),
    ("xlogy", (3.0, GAMMA)),
]


def call(backend: Backend, name: str, args: tuple[Any, ...], dtype: Any = np.float64) -> Any:
    arrays = (
        backend.array(a, dtype) if isinstance(a, (np.ndarray, np.float64)) else a for a in args
    )
    return getattr(backend.kernels, name)(*arrays)


@pytest.mark.filterwarnings("ignore:.*encountered in")
@pytest.mark.parametrize("case", SCALAR, ids=lambda c: c[0])
def test_scalar_functions(backend: Backend, case: Any) -> None:
    name, args = case
    # Each entry for itself: a large one must not hide a small one.
    expected = getattr(K, name)(*args)
    actual = np.asarray(call(backend, name, args))
    assert actual.dtype == np.float64 and actual.shape == np.shape(expected)
    assert_allclose(actual, expected, rtol=1e-12, atol=1e-300)
    with np.errstate(all="ignore"):
        single = call(backend, name, args, np.float32)
        assert np.asarray(single).dtype == np.float32
        narrow = [
            a.astype(np.float32) if isinstance(a, (np.ndarray, np.float64)) else a for a in args
        ]
        expected = np.asarray(getattr(K, name)(*narrow))
    assert_allclose(np.asarray(single), expected, rtol=3e-5, atol=1e-37)


def test_along_axes(backend: Backend, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 5)) * 3
    x[0, 0], x[0, 1, :3], x[1, 2, 0] = [1000, -1000, 999, 1000, 0], -np.inf, -np.inf
    k = backend.kernels
    close(k.softmax(backend.array(x)), K.softmax(x))
    close(k.logsumexp(backend.array(x)), K.logsumexp(x))
    assert_allclose(float(k.logsumexp(backend.array([0.0, -50.0]))), np.exp(-50.0), rtol=1e-14)
    close(k.logsumexp(backend.array([-np.inf] * 3)), -np.inf)
    close(k.logsumexp(backend.array([np.inf, 800.0, -np.inf])), np.inf)
    close(k.softmax(backend.array([-np.inf] * 3)), np.full(3, np.nan))
    close(k.logsumexp(backend.array(np.zeros((2, 0)))), np.full(2, -np.inf))
    close(k.softmax(backend.array(np.zeros((2, 0)))), np.zeros((2, 0)))
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 0.0, -1.0], [np.nan, 1.0, 1.0]])
    close(k.share_max(backend.array(ties), (-1,)), K.share_max(ties, (-1,)))
    close(k.share_max(backend.array(np.zeros((0, 3))), (-1,)), np.zeros((0, 3)))
    for reverse in (0, 1):
        close(k.cumsum(backend.array(x[1]), reverse), K.cumsum(x[1], reverse))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_product_except(backend: Backend, rng: np.random.Generator, order: int) -> None:
    for n in (0, 1, 2, 5):
        for zeros in range(min(n, 3) + 1):
            x = rng.normal(size=(2, n))
            x[:, :zeros] = 0
            actual = backend.fast(lambda y: backend.kernels.product_except(y, order))(
                backend.array(x)
            )
            close(actual, K.product_except(x, order))


def test_norm(backend: Backend, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 4))
    for y in (x, 0 * x, 1e200 * x, 1e-200 * x, 1e-300 * x, np.zeros((0, 2)), x[0, 0]):
        close(backend.kernels.norm(backend.array(y)), K.norm(y))
    close(backend.kernels.norm(backend.array([np.inf, 1.0])), np.inf)
    close(backend.kernels.norm(backend.array([np.nan, 1.0])), np.nan)


def test_windows(backend: Backend, rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 6, 3))
    k = backend.kernels
    for axis, size in ((0, 2), (1, 6), (1, 7), (2, 1), (-1, 2)):
        close(k.windows(backend.array(x), axis, size), K.windows(x, axis, size))
    with pytest.raises(InputError, match="window"):
        k.windows(backend.array(x), 0, 6)
    for count, size in ((5, 3), (3, 5), (1, 4), (4, 1), (4, 4), (0, 3), (3, 0), (0, 0)):
        g = rng.normal(size=(2, count, size))
        close(k.overlap_add(backend.array(g), size), K.overlap_add(g, size))
    with pytest.raises(InputError, match="windows"):
        k.overlap_add(backend.array(x), 2)


def test_fixed_patterns(backend: Backend) -> None:
    k = backend.kernels
    for dtype in (np.float32, np.float64):
        like = backend.array(0.0, dtype)
        close(k.lower(4, 0.5, like=like), K.lower(4, 0.5))
        close(k.shift(5, 3, like=like), K.shift(5, 3))
        assert np.asarray(k.lower(4, 0.5, like=like)).dtype == dtype
        assert np.asarray(k.shift(5, 3, like=like)).dtype == dtype
    close(k.lower(3, 1.0), K.lower(3, 1.0))
    close(k.shift(3, 3), K.shift(3, 3))


@pytest.mark.parametrize(
    ("pattern", "shape", "given"),
    [
        ("aa", (3, 3), (3,)),
        ("aab", (3, 3, 4), (3, 4)),
        ("aab", (3, 3, 4), (1, 4)),
        ("aab", (3, 3, 4), ()),
        ("abab", (3, 4, 3, 4), (3, 4)),
        ("baab", (2, 3, 3, 2), (2, 3)),
        ("aaa", (4, 4, 4), (4,)),
        ("aa", (0, 0), (0,)),
    ],
)
def test_diagonal(
    backend: Backend, rng: np.random.Generator, pattern: str, shape: Any, given: Any
) -> None:
    value = rng.normal(size=given)
    expected = np.zeros(shape)
    letters = "".join(dict.fromkeys(pattern))
    np.einsum(f"{pattern}->{letters}", expected)[...] = value

    def f(v: Any) -> Any:
        return backend.kernels.diagonal(v, pattern, shape)

    close(f(backend.array(value)), expected)
    several = np.stack([value, 2 * value])
    close(backend.vmap(f)(backend.array(several)), np.stack([expected, 2 * expected]))
    slope = backend.grad(lambda v: (f(v) ** 2).sum())(backend.array(value))
    copies = np.prod([shape[pattern.index(x)] for x in letters]) / max(value.size, 1)
    close(slope, 2 * value * copies)
    single = f(backend.array(value, np.float32))
    assert np.asarray(single).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((5,), (slice(1, 3),)),
        ((5,), (slice(None, None, -1),)),
        ((5,), (slice(-1, None, -2),)),
        ((5,), (2,)),
        ((5, 6), (slice(0, 5, 2), slice(4, 1, -1))),
        ((5, 6), (-1, slice(1, 3))),
        ((5, 6), (slice(1, 3), 4)),
        ((2, 5, 6), (slice(1, 3), 4)),
        ((2, 5, 6), (0, 1, 2)),
        ((2, 5, 6), (slice(4, 1, -1), slice(3, 3))),
        ((4, 5), (slice(None), slice(None, None, -1))),
    ],
)
def test_embed_and_select(
    backend: Backend, rng: np.random.Generator, shape: Any, index: Any
) -> None:
    k = backend.kernels
    expected = np.zeros(shape)
    value = rng.normal(size=expected[(..., *index)].shape)
    expected[(..., *index)] = value
    close(k.embed(backend.array(value), shape, index), expected)
    several = backend.vmap(lambda v: k.embed(v, shape, index))(
        backend.array(np.stack([value, 2 * value]))
    )
    close(several, np.stack([expected, 2 * expected]))
    slope = backend.grad(lambda v: (k.embed(v, shape, index) ** 2).sum())(backend.array(value))
    close(slope, 2 * value)
    whole = rng.normal(size=shape)
    close(k.select(backend.array(whole), index), whole[(..., *index)])
    back = backend.grad(lambda w: (k.select(w, index) * backend.array(value)).sum())
    close(back(backend.array(whole)), expected)


# -- matrices ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 6])
def test_cofactor(backend: Backend, rng: np.random.Generator, n: int) -> None:
    matrices = [rank(rng, n, r) for r in range(n + 1)]
    matrices += [
        np.eye(n),
        np.zeros((n, n)),
        well(rng, n, n),
        1e-60 * rank(rng, n, n - 1 if n else 0),
    ]
    matrices += [1e60 * well(rng, n, n)]
    run = backend.fast(backend.kernels.cofactor)
    for a in matrices:
        exact = S.cofactor(a)
        actual = np.asarray(run(backend.array(a)))
        # Where the cofactor vanishes, only rounding remains: judged by the size of its terms.
        with np.errstate(under="ignore"):
            size = max(
                np.abs(exact).max(initial=0.0), 1e-3 * np.linalg.norm(a) ** (n - 1) if n > 1 else 1
            )
        assert_allclose(actual, exact, rtol=0, atol=1e-12 * size)
    batch = np.stack([rank(rng, 4, 3), well(rng, 4, 4), np.full((4, 4), np.nan)])
    close(run(backend.array(batch)), S.cofactor(batch))


def test_determinants_and_cholesky(backend: Backend, rng: np.random.Generator) -> None:
    k = backend.kernels
    x = np.stack([rng.normal(size=(4, 4)), np.zeros((4, 4))])
    close(k.logdet(backend.array(x)), S.logdet(x))
    a = positive(rng, 2, 4, 4)
    close(k.cholesky(backend.array(a)), S.cholesky(a))
    a[1] = -a[1]
    factor = np.asarray(k.cholesky(backend.array(a)))
    close(factor[0], S.cholesky(a[0]))
    assert np.isnan(factor[1][np.tril_indices(4)]).all()
    with pytest.raises(InputError, match="square"):
        k.cholesky(backend.array(np.zeros((2, 3))))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 3), (1, 1)])
def test_decompositions(backend: Backend, rng: np.random.Generator, shape: Any) -> None:
    k = backend.kernels
    x = rng.normal(size=shape)
    u, s, v = (np.asarray(y) for y in k.svd(backend.array(x)))
    expected = S.svd(x)
    close(s, expected[1])
    assert u.shape == expected[0].shape and v.shape == expected[2].shape
    close((u * s[..., None, :]) @ np.swapaxes(v, -1, -2), x)
    close(k.qr(backend.array(x)), S.qr(x))
    close(k.pinv(backend.array(x)), S.pinv(x))
    a = x @ np.swapaxes(x, -1, -2)
    d, w = (
        np.asarray(y)
        for y in k.eigh(backend.array(a + np.tri(a.shape[-1]) - np.tri(a.shape[-1]).T))
    )
    close(d, np.linalg.eigvalsh(a))
    close((w * d[..., None, :]) @ np.swapaxes(w, -1, -2), a)
    basis = S.eigh(a)
    close(k.spectral(backend.xp.exp, *map(backend.array, basis)), factors.spectral(np.exp, *basis))
    close(
        k.singular(backend.xp.exp, *map(backend.array, expected)),
        factors.singular(np.exp, *expected),
    )


def test_rank_deficient(backend: Backend, rng: np.random.Generator) -> None:
    k = backend.kernels
    for a in (rank(rng, 5, 3), np.zeros((3, 4)), np.ones((40, 2))):
        close(k.pinv(backend.array(a)), S.pinv(a))
    s = np.array([[3.0, 1.0, 1e-17, 0.0], [1.0, 1.0, 1.0, 1e-3], [0.0] * 4])
    close(k.reciprocal_or_zero(backend.array(s)), S.reciprocal_or_zero(s))
    close(k.nonzero_sign(backend.array(s)), S.nonzero_sign(s))
    close(k.nonzero_sign(backend.array(np.zeros((2, 0)))), np.zeros((2, 0)))


def test_gaps(backend: Backend, rng: np.random.Generator) -> None:
    k = backend.kernels
    m, d = rng.normal(size=(2, 3, 4, 4)), np.array([[1.0, 2.0, 2.0, 5.0]] * 3)
    d[1] = [0, 0, 0, 0]
    with pytest.warns(GaugeWarning):
        expected = S.gap_multiply(m, d, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(k.gap_multiply(backend.array(m), backend.array(d), False), expected)
        g = backend.array(m[..., 0])
        assert k.degenerate_check(g, backend.array(d)) is g
    close(
        k.gap_multiply(backend.array(np.zeros((0, 0))), backend.array(np.zeros(0)), 0),
        np.zeros((0, 0)),
    )


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_matrix_functions(backend: Backend, rng: np.random.Generator, name: str) -> None:
    run = backend.fast(lambda a: backend.kernels.matrix_function(name, a))
    turn, triangle = np.eye(4), np.eye(4)
    turn[:2, :2] = [[np.cos(2.5), -np.sin(2.5)], [np.sin(2.5), np.cos(2.5)]]
    triangle[:3, :3] = [[1.0, 30.0, 2.0], [0.0, 1.0, -5.0], [0.0, 0.0, 1.5]]
    spread = positive(rng, 4, 4) * np.geomspace(1, 1e-5, 4) * np.geomspace(1, 1e-5, 4)[:, None]
    spread = (spread + spread.T) / 2
    large = 1e8 * well(rng, 4, 4) if name != "expm" else 10 * well(rng, 4, 4)
    batch = np.stack(
        [positive(rng, 4, 4), well(rng, 4, 4), np.eye(4), 3 * np.eye(4), turn, spread, large]
    )
    expected = S.matrix_function(name, batch)
    for one, exact in zip(run(backend.array(batch)), expected, strict=True):
        close(one, exact)
    close(run(backend.array(triangle)), S.matrix_function(name, triangle), 1e-11)
    close(run(backend.array(np.zeros((2, 0, 0)))), np.zeros((2, 0, 0)))
    single = run(backend.array(batch[:5], np.float32))
    assert np.asarray(single).dtype == np.float32
    close(single, expected[:5], 1e-4)
    with pytest.raises(InputError):
        backend.kernels.matrix_function("cosm", backend.array(batch))


@pytest.mark.parametrize("name", ["expm", "logm", "sqrtm"])
def test_frechet(backend: Backend, rng: np.random.Generator, name: str) -> None:
    run = backend.fast(lambda a, e: backend.kernels.frechet(name, a, e))
    a = np.stack([positive(rng, 4, 4), well(rng, 4, 4), 3 * np.eye(4)])
    e = rng.normal(size=(3, 4, 4))
    for scale in (1.0, 1e6, 0.0):
        expected = S.frechet(name, a, scale * e)
        for one, exact in zip(
            run(backend.array(a), backend.array(scale * e)), expected, strict=True
        ):
            close(one, exact)
    expected = np.stack([S.frechet(name, x, e[0]) for x in a])
    close(run(backend.array(a), backend.array(e[0])), expected, 1e-11)
    close(run(backend.array(a[1]), backend.array(e)), S.frechet(name, a[1], e))
    single = run(backend.array(a, np.float32), backend.array(e, np.float32))
    assert np.asarray(single).dtype == np.float32
    close(single, S.frechet(name, a, e), 1e-4)
    close(
        run(backend.array(np.zeros((0, 0))), backend.array(np.zeros((2, 0, 0)))),
        np.zeros((2, 0, 0)),
    )
    with pytest.raises(InputError, match="direction"):
        backend.kernels.frechet(name, backend.array(a), backend.array(np.eye(3)))


@pytest.mark.parametrize("name", ["logm", "sqrtm"])
def test_frechet_of_ill_conditioned_matrices(
    backend: Backend, rng: np.random.Generator, name: str
) -> None:
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0] + np.triu(rng.normal(size=(4, 4))) / 10
    e = rng.normal(size=(4, 4))
    for condition, tolerance in ((1e4, 1e-10), (1e6, 1e-8)):
        a = turn @ np.diag(np.geomspace(1, condition, 4)) @ np.linalg.inv(turn)
        run = backend.fast(lambda x: backend.kernels.frechet(name, x, backend.array(e)))
        close(run(backend.array(a)), S.frechet(name, a, e), tolerance)


@pytest.mark.parametrize("size", [1e-3, 0.2, 1.0, 4.0, 5.0, 8.0, 10.0, 12.0, 40.0, 300.0])
def test_exponentials(backend: Backend, rng: np.random.Generator, size: float) -> None:
    a = rng.normal(size=(2, 4, 4))
    a = a + np.swapaxes(a, -1, -2)
    a = a / np.abs(a).sum(-1).max() * size
    actual = backend.fast(lambda x: backend.kernels.matrix_function("expm", x))(backend.array(a))
    close(actual, S.matrix_function("expm", a), 1e-12)


def test_roots_of_special_matrices(backend: Backend, rng: np.random.Generator) -> None:
    root = backend.fast(lambda a: backend.kernels.matrix_function("sqrtm", a))
    a = rank(rng, 3, 2)
    psd = np.stack([a @ a.T, np.zeros((3, 3)), np.ones((3, 3))])
    close(root(backend.array(psd)), S.matrix_function("sqrtm", psd), 1e-7)
    bad = np.zeros((3, 2, 2))
    bad[0], bad[1], bad[2] = -np.eye(2), [[-1.0, 1.0], [0.0, -2.0]], [[0.0, 1.0], [0.0, 0.0]]
    for name in ("sqrtm", "logm"):
        run = backend.fast(lambda a, name=name: backend.kernels.matrix_function(name, a))
        assert not np.isfinite(np.asarray(run(backend.array(bad)))).any()


def test_large_exponentials(backend: Backend) -> None:
    a = np.diag([-1e7, -3.0, 1.0])
    close(
        backend.kernels.matrix_function("expm", backend.array(a)), np.diag(np.exp(np.diag(a))), 1e-8
    )


def test_factors(backend: Backend, rng: np.random.Generator) -> None:
    a, b = well(rng, 4, 4), rng.normal(size=(4, 3))
    theirs, ours = factors.factorize(a), backend.kernels.factorize(backend.array(a))
    for transposed in (False, True):
        for right in (b, b[:, 0], b[:, :0]):
            expected = theirs.solve(right, transposed=transposed)
            close(ours.solve(backend.array(right), transposed=transposed), expected)
    close(ours.inverse(), theirs.inverse())
    empty = backend.kernels.factorize(backend.array(np.zeros((0, 0))))
    close(empty.solve(backend.array(np.zeros((0, 2)))), np.zeros((0, 2)))
    for matrix in (a, a[::-1].copy(), -a):
        found = backend.kernels.factorize(backend.array(matrix))
        close(found.det(), np.linalg.det(matrix))
        close(found.logdet(), np.linalg.slogdet(matrix)[1])
    close(empty.det(), 1.0)
    symmetric = backend.kernels.symmetric_product(backend.array(a), backend.array(a.T))
    close(symmetric, a @ a.T)
    singular = backend.kernels.factorize(backend.array(np.ones((2, 2))))
    assert not np.isfinite(np.asarray(singular.solve(backend.array(np.ones(2))))).all()


def logarithms(xp: Any) -> list[Callable[[Any], Any]]:
    return [lambda t: xp.log(t), lambda t: 1 / t, lambda t: -(t**-2), lambda t: 2 * t**-3,
            lambda t: -6 * t**-4]  # fmt: skip


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("make", [exponentials, logarithms])
def test_divided_differences(
    backend: Backend, rng: np.random.Generator, order: int, make: Any
) -> None:
    tolerance = 1e-12 if order < 2 else 1e-10
    d = rng.uniform(0.5, 3.0, size=(2, 4))
    d[1] = [1.0, 2.0, 1.0, 1.0 + 1e-9]
    expected = divided_differences.divided_difference(make(np), d, order)
    difference = backend.fast(
        lambda x: backend.kernels.divided_difference(make(backend.xp), x, order)
    )
    close(difference(backend.array(d)), expected, tolerance)
    single = difference(backend.array(d, np.float32))
    assert np.asarray(single).dtype == np.float32
    close(single, expected, 3e-4)
    empty = backend.kernels.divided_difference(
        make(backend.xp), backend.array(np.zeros((2, 0))), order
    )
    assert empty.shape == (2, *[0] * (order + 1))
    with pytest.raises(InputError, match="functions"):
        backend.kernels.divided_difference(make(backend.xp)[:order], backend.array(d), order)


def cosines(xp: Any) -> list[Callable[[Any], Any]]:
    return [*sines(xp)[1:], xp.cos]


@pytest.mark.parametrize("signs", ["+-", "++", "--", "++-"])
@pytest.mark.parametrize(
    ("make", "parity"),
    [(sines, "odd"), (cosines, "even"), (cosines, "odd"), (exponentials, "even")],
)
def test_signed_differences(backend: Backend, make: Any, parity: str, signs: str) -> None:
    for s in ([2.0, 1.0, 1.0, 0.0], [[2.0, 0.5, 0.3], [1.0, 1.0, 1e-9]], np.zeros((2, 0))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GaugeWarning)
            expected = divided_differences.signed_difference(make(np), np.array(s), parity, signs)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            actual = backend.fast(
                lambda x: backend.kernels.signed_difference(make(backend.xp), x, parity, signs)
            )(backend.array(s))
        close(actual, expected, 1e-12 if len(signs) == 2 else 1e-10)


def test_common_type() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from tensorcalculus.compiler import torch_kernels

    single, double = torch.zeros(2, dtype=torch.float32), torch.zeros(2, dtype=torch.float64)
    assert torch_kernels.common(single, single) == (torch.float32, torch.device("cpu"))
    assert torch_kernels.common(single, double)[0] == torch.float64

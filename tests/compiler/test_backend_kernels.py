"""The PyTorch and JAX kernels against the NumPy ones, compiled, mapped and differentiated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tensorcalculus.compiler import divided_differences, factors
from tensorcalculus.compiler import kernels as K
from tensorcalculus.compiler import spectral_kernels as S
from tensorcalculus.errors import GaugeWarning, InputError


class Torch:
    name = "torch"

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from tensorcalculus.compiler import torch_kernels

        self.xp, self.kernels = self.torch, torch_kernels

    def array(self, x: Any, dtype: Any = np.float64) -> Any:
        return self.torch.tensor(np.array(x, dtype))

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        # What is compiled is the graph; machine code would need a compiler.
        self.torch._dynamo.reset()
        return self.torch.compile(f, backend="aot_eager", dynamic=False)

    def fast(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """``f`` as it runs quickest once."""
        return f

    def vmap(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.torch.func.vmap(f)

    def grad(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return self.torch.func.grad(f)

    def jacobian(self, f: Callable[..., Any], forward: bool = False) -> Callable[..., Any]:
        return (self.torch.func.jacfwd if forward else self.torch.func.jacrev)(f)


class Jax:
    name = "jax"

    def __init__(self) -> None:
        self.jax = pytest.importorskip("jax", reason="JAX is not installed")
        from tensorcalculus.compiler import jax_kernels

        self.xp, self.kernels = self.jax.numpy, jax_kernels
        self.jit, self.vmap, self.grad = self.jax.jit, self.jax.vmap, self.jax.grad
        self.fast = self.jax.jit

    def array(self, x: Any, dtype: Any = np.float64) -> Any:
        return self.xp.asarray(np.array(x, dtype))

    def jacobian(self, f: Callable[..., Any], forward: bool = False) -> Callable[..., Any]:
        return (self.jax.jacfwd if forward else self.jax.jacrev)(f)


Backend = Torch | Jax


@pytest.fixture(params=[Torch, Jax], ids=["torch", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = request.param()
    if isinstance(made, Torch):
        yield made
        return
    before = made.jax.config.jax_enable_x64
    made.jax.config.update("jax_enable_x64", True)
    yield made
    made.jax.config.update("jax_enable_x64", before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Equal to within ``tolerance`` of the largest finite entry; inf and NaN at the same places."""
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            close(a, e, tolerance)
        return
    a, e = np.asarray(actual), np.asarray(expected)
    assert a.shape == e.shape
    finite = np.isfinite(e)
    assert_array_equal(np.where(finite, 0, a), np.where(finite, 0, e))
    size = np.abs(e[finite]).max(initial=0.0)
    assert_allclose(a[finite], e[finite], rtol=0, atol=tolerance * size)


def well(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape) / 3 + 2 * np.eye(shape[-2], shape[-1])


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    a = rng.normal(size=shape)
    return a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def rank(rng: np.random.Generator, n: int, r: int) -> np.ndarray:
    return rng.normal(size=(n, r)) @ rng.normal(size=(r, n))


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
    for n in (0, 1, 2, 4, 7):
        for zeros in range(min(n, 3)):
            x = rng.normal(size=(2, n))
            x[:, :zeros] = 0
            actual = backend.kernels.product_except(backend.array(x), order)
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
    for a in matrices:
        exact = S.cofactor(a)
        actual = np.asarray(backend.kernels.cofactor(backend.array(a)))
        # Where the cofactor vanishes, only rounding remains: judged by the size of its terms.
        with np.errstate(under="ignore"):
            size = max(
                np.abs(exact).max(initial=0.0), 1e-3 * np.linalg.norm(a) ** (n - 1) if n > 1 else 1
            )
        assert_allclose(actual, exact, rtol=0, atol=1e-12 * size)
    batch = np.stack([rank(rng, 4, 3), well(rng, 4, 4), np.full((4, 4), np.nan)])
    close(backend.kernels.cofactor(backend.array(batch)), S.cofactor(batch))


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
    k = backend.kernels
    batch = np.stack([positive(rng, 4, 4), well(rng, 4, 4), np.eye(4), 3 * np.eye(4)])
    close(k.matrix_function(name, backend.array(batch)), S.matrix_function(name, batch))
    turn = np.array([[np.cos(2.5), -np.sin(2.5)], [np.sin(2.5), np.cos(2.5)]])
    triangle = np.array([[1.0, 30.0, 2.0], [0.0, 1.0, -5.0], [0.0, 0.0, 1.5]])
    for a, tolerance in ((turn, 1e-12), (triangle, 1e-11), (1e8 * well(rng, 3, 3), 1e-12)):
        if name == "expm" and np.abs(a).max() > 100:
            continue
        close(k.matrix_function(name, backend.array(a)), S.matrix_function(name, a), tolerance)
    spread = positive(rng, 4, 4) * np.geomspace(1, 1e-5, 4) * np.geomspace(1, 1e-5, 4)[:, None]
    spread = (spread + spread.T) / 2
    close(k.matrix_function(name, backend.array(spread)), S.matrix_function(name, spread))
    e = rng.normal(size=(3, 4, 4))
    for scale in (1.0, 1e6):
        actual = k.frechet(name, backend.array(batch[1]), backend.array(scale * e))
        close(actual, S.frechet(name, batch[1], scale * e))
        actual = k.frechet(name, backend.array(batch[0]), backend.array(scale * e))
        close(actual, S.frechet(name, batch[0], scale * e))
    actual = k.frechet(name, backend.array(batch), backend.array(e[0]))
    close(actual, S.frechet(name, batch, e[0]))
    close(
        k.frechet(name, backend.array(np.eye(2)), backend.array(np.zeros((2, 2)))), np.zeros((2, 2))
    )
    close(k.matrix_function(name, backend.array(np.zeros((2, 0, 0)))), np.zeros((2, 0, 0)))
    single = k.matrix_function(name, backend.array(batch, np.float32))
    assert np.asarray(single).dtype == np.float32
    close(single, S.matrix_function(name, batch), 1e-4)
    with pytest.raises(InputError):
        k.matrix_function("cosm", backend.array(batch))


@pytest.mark.parametrize("size", [1e-3, 0.2, 1.0, 4.0, 5.0, 8.0, 10.0, 12.0, 40.0, 300.0])
def test_exponentials(backend: Backend, rng: np.random.Generator, size: float) -> None:
    a = rng.normal(size=(2, 4, 4))
    a = a + np.swapaxes(a, -1, -2)
    a = a / np.abs(a).sum(-1).max() * size
    actual = backend.kernels.matrix_function("expm", backend.array(a))
    close(actual, S.matrix_function("expm", a), 1e-12)


def test_roots_of_special_matrices(backend: Backend, rng: np.random.Generator) -> None:
    k = backend.kernels
    a = rank(rng, 4, 2)
    for psd in (a @ a.T, np.zeros((3, 3)), np.ones((3, 3))):
        close(k.matrix_function("sqrtm", backend.array(psd)), S.matrix_function("sqrtm", psd), 1e-7)
    for bad in (
        -np.eye(2),
        np.array([[-1.0, 1.0], [0.0, -2.0]]),
        np.array([[0.0, 1.0], [0.0, 0.0]]),
    ):
        for name in ("sqrtm", "logm"):
            assert not np.isfinite(np.asarray(k.matrix_function(name, backend.array(bad)))).any()


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


def exponentials(xp: Any) -> list[Callable[[Any], Any]]:
    return [lambda t: xp.exp(2 * t)] + [lambda t, k=k: 2.0**k * xp.exp(2 * t) for k in range(1, 6)]


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


def sines(xp: Any) -> list[Callable[[Any], Any]]:
    return [xp.sin, xp.cos, lambda t: -xp.sin(t), lambda t: -xp.cos(t), xp.sin]


def cosines(xp: Any) -> list[Callable[[Any], Any]]:
    return sines(xp)[1:] + [xp.cos]


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


# -- compiled, mapped, differentiated ------------------------------------------------------------

EVERY: list[tuple[str, Callable[[Any, Any], Any], tuple[int, ...], str]] = [
    *(
        (name, lambda b, x, name=name: getattr(b.kernels, name)(x), (4,), "any")
        for name in ("sigmoid", "softplus", "relu", "step", "logcosh", "erf", "erfc")
    ),
    *(
        (name, lambda b, x, name=name: getattr(b.kernels, name)(x), (4,), "positive")
        for name in ("lgamma", "gamma", "digamma", "reciprocal_or_zero", "nonzero_sign")
    ),
    ("polygamma", lambda b, x: b.kernels.polygamma(2, x), (4,), "positive"),
    ("power", lambda b, x: b.kernels.power(x, 1.7), (4,), "positive"),
    ("power of", lambda b, x: b.kernels.power(2.0, x), (4,), "any"),
    ("power both", lambda b, x: b.kernels.power(x, x), (4,), "positive"),
    ("guarded_power", lambda b, x: b.kernels.guarded_power(x, -0.5), (4,), "positive"),
    ("xlogy", lambda b, x: b.kernels.xlogy(x, x), (4,), "positive"),
    ("softmax", lambda b, x: b.kernels.softmax(x), (2, 4), "any"),
    ("logsumexp", lambda b, x: b.kernels.logsumexp(x), (2, 4), "any"),
    ("share_max", lambda b, x: b.kernels.share_max(x, (-1,)), (2, 4), "any"),
    *(
        (f"prod {k}", lambda b, x, k=k: b.kernels.product_except(x, k), (2, 4), "any")
        for k in range(4)
    ),
    ("cumsum", lambda b, x: b.kernels.cumsum(x, 1), (2, 4), "any"),
    ("norm", lambda b, x: b.kernels.norm(x), (2, 4), "any"),
    ("windows", lambda b, x: b.kernels.windows(x, 0, 2), (4, 3), "any"),
    ("overlap_add", lambda b, x: b.kernels.overlap_add(x, 3), (4, 3), "any"),
    ("lower", lambda b, x: b.kernels.lower(4, 0.5, like=x) @ x, (4,), "any"),
    ("shift", lambda b, x: b.kernels.shift(4, 2, like=x) * x[:, None, None], (4,), "any"),
    ("cofactor", lambda b, x: b.kernels.cofactor(x), (4, 4), "well"),
    ("cofactor of an ill one", lambda b, x: b.kernels.cofactor(x), (4, 4), "singular"),
    ("logdet", lambda b, x: b.kernels.logdet(x), (3, 3), "well"),
    ("eigenvalues", lambda b, x: b.kernels.eigh(x)[0], (3, 3), "well"),
    ("spectral", lambda b, x: b.kernels.spectral(b.xp.exp, *b.kernels.eigh(x)), (3, 3), "well"),
    ("singular", lambda b, x: b.kernels.singular(b.xp.exp, *b.kernels.svd(x)), (3, 3), "well"),
    ("cholesky", lambda b, x: b.kernels.cholesky(x @ x.T), (3, 3), "well"),
    ("svd", lambda b, x: b.kernels.svd(x)[1], (4, 3), "any"),
    ("qr", lambda b, x: b.kernels.qr(x)[0], (4, 3), "any"),
    ("qr wide", lambda b, x: b.kernels.qr(x)[1], (3, 4), "any"),
    ("pinv", lambda b, x: b.kernels.pinv(x), (4, 3), "any"),
    ("gap_multiply", lambda b, x: b.kernels.gap_multiply(x * x[0], x[0], 0), (3, 3), "any"),
    ("expm", lambda b, x: b.kernels.matrix_function("expm", x), (3, 3), "any"),
    ("logm", lambda b, x: b.kernels.matrix_function("logm", x), (3, 3), "well"),
    ("sqrtm", lambda b, x: b.kernels.matrix_function("sqrtm", x), (3, 3), "well"),
    ("sqrtm of spd", lambda b, x: b.kernels.matrix_function("sqrtm", x @ x.T), (3, 3), "well"),
    ("frechet", lambda b, x: b.kernels.frechet("sqrtm", x, x * x), (3, 3), "well"),
    ("solve", lambda b, x: b.kernels.factorize(x).solve(x[0]), (3, 3), "well"),
    ("inverse", lambda b, x: b.kernels.factorize(x).inverse(), (3, 3), "well"),
    (
        "divided_difference",
        lambda b, x: b.kernels.divided_difference(exponentials(b.xp), x, 2),
        (3,),
        "any",
    ),
    (
        "signed_difference",
        lambda b, x: b.kernels.signed_difference(sines(b.xp), x, "odd", "+-"),
        (3,),
        "positive",
    ),
    ("diagonal", lambda b, x: b.kernels.diagonal(x, "aab", (3, 3, 2)), (3, 2), "any"),
    ("embed", lambda b, x: b.kernels.embed(x, (5, 4), (slice(0, 5, 2), 1)), (3,), "any"),
    ("select", lambda b, x: b.kernels.select(x, (slice(None, None, -1), 1)), (3, 2), "any"),
]


def draw(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "positive":
        return rng.uniform(0.5, 2.0, size=shape)
    if kind == "singular":
        return rank(rng, shape[-1], shape[-1] - 1)
    return well(rng, *shape) if kind == "well" else rng.normal(size=shape)


@pytest.mark.parametrize("case", EVERY, ids=lambda c: c[0])
def test_transformations(backend: Backend, rng: np.random.Generator, case: Any) -> None:
    name, kernel, shape, kind = case

    def f(x: Any) -> Any:
        return kernel(backend, x)

    points = [draw(rng, shape, kind) for _ in range(2)]
    expected = np.stack([np.asarray(backend.fast(f)(backend.array(p))) for p in points])
    close(backend.jit(f)(backend.array(points[0])), expected[0])
    close(backend.fast(backend.vmap(f))(backend.array(np.stack(points))), expected)
    # A derivative in a random direction against a difference of fourth order.
    weight = rng.normal(size=expected[0].shape)
    direction = rng.normal(size=shape)
    if kind == "singular":
        direction = direction / 10
    x, h = points[0], 1e-3

    def value(y: Any) -> Any:
        return (f(y) * backend.array(weight)).sum()

    run = backend.fast(value)
    along = [float(run(backend.array(x + c * h * direction))) for c in (-2, -1, 1, 2)]
    slope = (along[0] - 8 * along[1] + 8 * along[2] - along[3]) / (12 * h)
    gradient = backend.grad(value) if name not in ("step", "share_max") else None
    if gradient is None:
        assert_allclose(slope, 0, atol=1e-12)
        return
    actual = np.asarray(backend.fast(gradient)(backend.array(x)))
    assert np.isfinite(actual).all()
    if name == "nonzero_sign":
        assert not actual.any()
        return
    size = max(np.abs(expected[0] * weight).sum(), np.abs(actual * direction).sum())
    assert_allclose((actual * direction).sum(), slope, rtol=0, atol=1e-7 * size)
    forward = backend.fast(backend.jacobian(value, forward=True))(backend.array(x))
    close(forward, actual, 1e-9)
    second = np.asarray(backend.fast(backend.jacobian(backend.grad(value)))(backend.array(x)))
    assert np.isfinite(second).all()


SPECIAL: list[tuple[str, Callable[[Any, Any], Any], Any, Any]] = [
    ("softplus", lambda b, x: b.kernels.softplus(x), [-1e3, 0.0, 1e3], [0, 0.5, 1]),
    ("relu", lambda b, x: b.kernels.relu(x), [-1.0, 0.0, 1.0], [0, 0, 1]),
    ("logcosh", lambda b, x: b.kernels.logcosh(x), [-1e3, 0.0, 1e3], [-1, 0, 1]),
    ("sigmoid", lambda b, x: b.kernels.sigmoid(x), [-1e3, 0.0, 1e3], [0, 0.25, 0]),
    ("norm", lambda b, x: b.kernels.norm(x), [0.0, 0.0], [0, 0]),
    ("norm large", lambda b, x: b.kernels.norm(x), [3e200, 4e200], [0.6, 0.8]),
    ("guarded -1", lambda b, x: b.kernels.guarded_power(x, -1.0), [0.0, 2.0], [0, -0.25]),
    ("guarded 0.5", lambda b, x: b.kernels.guarded_power(x, 0.5), [0.0, 4.0], [0, 0.25]),
    ("guarded 1", lambda b, x: b.kernels.guarded_power(x, 1.0), [0.0, 4.0], [1, 1]),
    ("power 2.5", lambda b, x: b.kernels.power(x, 2.5), [0.0, 4.0], [0, 20]),
    ("exponent", lambda b, x: b.kernels.guarded_power(b.xp.zeros_like(x), x), [2.0, -1.0], [0, 0]),
    (
        "xlogy x",
        lambda b, x: b.kernels.xlogy(x, b.xp.ones_like(x) * 2),
        [0.0, 1.0],
        [np.log(2)] * 2,
    ),
    ("xlogy y", lambda b, x: b.kernels.xlogy(b.xp.zeros_like(x), x), [0.0, 1.0], [0, 0]),
    ("xlogy", lambda b, x: b.kernels.xlogy(x, x), [0.0, 1.0], [0, 1]),
    ("logsumexp", lambda b, x: b.kernels.logsumexp(x), [1.0, 1.0, -np.inf], [0.5, 0.5, 0]),
    ("prod", lambda b, x: b.kernels.product_except(x, 0), [0.0, 2.0, 3.0], [6, 0, 0]),
    ("prod 1", lambda b, x: b.kernels.product_except(x, 1), [0.0, 2.0, 0.0], [2, 0, 2]),
    ("reciprocal", lambda b, x: b.kernels.reciprocal_or_zero(x), [2.0, 0.0], [-0.25, 0]),
    ("pinv", lambda b, x: b.kernels.pinv(x), [[1.0, 0], [0, 1.0]], -np.ones((2, 2))),
    ("cofactor", lambda b, x: b.kernels.cofactor(x).diagonal(), np.eye(3), 2 * np.eye(3)),
    ("sqrtm", lambda b, x: b.kernels.matrix_function("sqrtm", x), np.eye(3), np.full((3, 3), 0.5)),
    (
        "logm",
        lambda b, x: b.kernels.matrix_function("logm", x),
        2 * np.eye(3),
        np.full((3, 3), 0.5),
    ),
    (
        "divided difference",
        lambda b, x: b.kernels.divided_difference(exponentials(b.xp), x, 1),
        [0.0, 0.0],
        [8, 8],
    ),
    (
        "signed difference",
        lambda b, x: b.kernels.signed_difference(sines(b.xp), x, "odd", "+-"),
        [0.0, 1.0],
        None,
    ),
]


@pytest.mark.parametrize("case", SPECIAL, ids=lambda c: c[0])
def test_gradients_at_special_points(backend: Backend, case: Any) -> None:
    _, kernel, x, expected = case
    x = np.array(x)
    gradient = backend.fast(backend.grad(lambda y: kernel(backend, y).sum()))(backend.array(x))
    gradient = np.asarray(gradient)
    if expected is not None:
        assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)
    assert np.isfinite(gradient).all()


def test_second_derivative_of_logcosh_at_zero(backend: Backend) -> None:
    twice = backend.grad(backend.grad(backend.kernels.logcosh))
    close(twice(backend.array(0.0)), 1.0)


def test_matrix_functions_know_unsymmetric_directions(
    backend: Backend, rng: np.random.Generator
) -> None:
    a, g = positive(rng, 3, 3), rng.normal(size=(3, 3))
    a = (a + a.T) / 2
    for name in ("expm", "logm", "sqrtm"):
        gradient = backend.grad(
            lambda x, name=name: (backend.kernels.matrix_function(name, x) * backend.array(g)).sum()
        )(backend.array(a))
        close(gradient, S.frechet(name, a.T, g), 1e-11)


def test_common_type() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from tensorcalculus.compiler import torch_kernels

    single, double = torch.zeros(2, dtype=torch.float32), torch.zeros(2, dtype=torch.float64)
    assert torch_kernels.common(single, single) == (torch.float32, torch.device("cpu"))
    assert torch_kernels.common(single, double)[0] == torch.float64

"""Quantised trains and tensor-train matrices against dense arrays and known ranks."""

import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, accuracy, close, drawn, given_to
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, sici

import tensorcalculus.networks as tn
from tensorcalculus.errors import EvaluationError, InputError, ShapeError
from tensorcalculus.networks.arrays import namespace


def matrix(modes, rank, seed=0, kind="float64", library="numpy"):
    """A random train matrix and its entries, by one einsum."""
    rng = np.random.default_rng(seed)
    d = len(modes)
    bonds = [1, *[rank] * (d - 1), 1]
    cores, operands = [], []
    for k, (m, n) in enumerate(modes):
        core = rng.standard_normal((bonds[k], m, n, bonds[k + 1]))
        if kind == "complex128":
            core = core + 1j * rng.standard_normal(core.shape)
        cores.append(core.astype(kind))
        operands += [cores[-1], [20 + k, k, 10 + k, 21 + k]]
    full = np.einsum(*operands, [20, *range(d), *range(10, 10 + d), 20 + d])[0, ..., 0]
    rows = np.prod([m for m, _ in modes])
    return tn.TTMatrix([given_to(library, c) for c in cores]), full.reshape(rows, -1)


pairs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((x, k) for x in LIBRARIES[:-1] for k in TYPES),
        pytest.param("jax", "float32", marks=pytest.mark.slow),
    ],
)
def test_operations(library, kind):
    modes = [(2, 3), (3, 2), (2, 2)]
    a, dense = matrix(modes, 2, 1, kind, library)
    b, other = matrix(modes, 3, 2, kind, library)
    v = [given_to(library, c) for c in drawn((3, 2, 2), 2, kind, 3)]
    x = tn.TT(v)
    flat = np.asarray(x.reshape((12,)).to_dense())
    square, full = matrix([(2, 2), (3, 3)], 2, 4, kind, library)
    tol = accuracy(kind)
    for made, expected in [
        (a, dense),
        (a + b, dense + other),
        (a - b, dense - other),
        (-a, -dense),
        (2 * a, 2 * dense),
        (a.T, dense.T),
        (a.conj(), dense.conj()),
        (a @ b.T, dense @ other.T),
        ((a @ x).reshape((12,)), dense @ flat),
        (a.apply(x, tol).reshape((12,)), dense @ flat),
        ((a + a).round(tol), 2 * dense),
        (a.norm(), np.linalg.norm(dense)),
        (a.dot(b), np.vdot(dense, other)),
        (square.trace(), np.trace(full)),
        (tn.TTMatrix.diag(x), np.diag(flat)),
    ]:
        close(made, np.asarray(expected), kind, scale=np.linalg.norm(dense) * 30)
        if hasattr(made, "cores"):
            assert namespace(made.cores[0]) is namespace(a.cores[0]) and made.dtype == a.dtype
    if library != "jax":
        back = tn.TTMatrix.from_dense(given_to(library, dense), (2, 3, 2), (3, 2, 2), tol)
        close(back, dense, kind)
        assert back.ranks == a.ranks


@given(pairs, st.integers(1, 3), st.integers(0, 99))
def test_matrices(modes, rank, seed):
    a, dense = matrix(modes, rank, seed)
    rows, columns = zip(*modes, strict=True)
    close(tn.TTMatrix.from_dense(dense, rows, columns), dense, scale=1e5 * np.linalg.norm(dense))
    close(a @ a.T, dense @ dense.T)
    x = tn.TT(drawn(columns, rank, "float64", seed))
    close((a @ x).reshape((len(dense),)), dense @ x.to_dense().reshape(-1))
    close(a.apply(x, 1e-13).reshape((len(dense),)), dense @ x.to_dense().reshape(-1))


def test_apply_without_forming():
    # Bonds of 15 each, the product of rank 15: the sketch is used.
    a = tn.laplacian((10,) * 8)
    x = tn.TT.random((10,) * 8, 15, seed=1)
    exact = a @ x
    assert max(exact.ranks) == 30
    made = (a + a).apply(x, 1e-10)
    assert max(made.ranks) == 30
    assert float((made - 2 * exact).norm() / exact.norm()) < 1e-9


def test_eye_kron_repr():
    close(tn.TTMatrix.eye((2, 3)), np.eye(6))
    a, b = np.arange(6.0).reshape(2, 3), np.arange(4.0).reshape(2, 2)
    close(tn.TTMatrix.kron([a, b]), np.kron(a, b))
    assert "2×3" in repr(tn.TTMatrix.kron([a, b]))


# Known ranks: shared/references/tensor_train.md, by item


def sampled(f, bits, per_cut, low=0.0, high=1.0):
    """Ranks of the train of samples for a tolerance at each cut."""
    t = tn.QTT.from_function(f, bits, (low, high), per_cut * np.sqrt(bits - 1))
    return t.ranks[1:-1]


def test_exponential():  # item 1
    assert sampled(lambda x: np.exp(3 * x), 12, 1e-11) == (1,) * 11


@pytest.mark.parametrize(
    ("f", "most"),
    [
        (lambda x: np.sin(10 * x + 0.3), 2),
        (lambda x: x * np.sin(20 * x), 4),
        (lambda x: (x < 0.3) * 1.0, 2),
    ],
)
def test_sines_and_steps(f, most):  # item 2
    assert max(sampled(f, 12, 1e-11)) == most


def test_polynomials():  # item 3
    cubic = sampled(lambda x: x**3 - 2 * x + 0.5, 12, 1e-11)
    assert cubic == (2, 4, 4, 4, 4, 4, 4, 4, 3, 3, 2)
    assert max(sampled(lambda x: (x - 0.3) ** 5 + x, 12, 1e-11)) == 6


def test_other_functions():  # item 4
    assert sampled(lambda x: 1 / (1 + x), 12, 1e-8) == (2, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2)
    assert max(sampled(lambda x: np.sqrt(x + 2.0**-12), 12, 1e-8)) == 6
    assert max(sampled(lambda x: np.exp(-50 * (x - 0.5) ** 2), 12, 1e-8)) == 8


@pytest.mark.parametrize("d", [2, 3, 5])
def test_laplacian(d):  # item 7
    made = tn.laplacian((3,) * d)
    one = 2 * np.eye(3) - np.eye(3, k=1) - np.eye(3, k=-1)
    dense = 0
    for k in range(d):
        dense = dense + np.kron(np.kron(np.eye(3**k), one), np.eye(3 ** (d - 1 - k)))
    close(made, dense)
    assert made.ranks[1:-1] == (2,) * (d - 1)
    found = tn.TTMatrix.from_dense(dense, (3,) * d, (3,) * d, 1e-12)
    assert found.ranks == made.ranks


def second_difference(n, boundary):
    dense = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    if boundary == "DN":
        dense[-1, -1] = 1
    if boundary == "P":
        dense[0, -1] -= 1
        dense[-1, 0] -= 1
    return dense


@pytest.mark.parametrize(
    ("boundary", "expected"), [("DD", (3,) * 5), ("DN", (4,) * 5), ("P", (2, 3, 3, 3, 3))]
)
def test_qtt_laplacian(boundary, expected):  # item 8
    dense = second_difference(64, boundary)
    made = tn.qtt_laplacian(6, boundary)
    close(made, dense)
    assert made.ranks[1:-1] == expected
    found = tn.TTMatrix.from_dense(dense, (2,) * 6, (2,) * 6, 1e-11)
    assert found.ranks[1:-1] == expected
    close(tn.qtt_laplacian(2, boundary), second_difference(4, boundary))


def test_inverse_and_shift():  # item 8
    inverse = np.linalg.inv(second_difference(64, "DD"))
    assert max(tn.TTMatrix.from_dense(inverse, (2,) * 6, (2,) * 6, 1e-11).ranks) == 5
    made = tn.qtt_shift(6)
    close(made, np.eye(64, k=-1))
    assert made.ranks[1:-1] == (2,) * 5
    close(tn.qtt_shift(6, periodic=True), np.roll(np.eye(64), 1, axis=0))
    close(tn.qtt_shift(1), np.eye(2, k=-1))


def test_fourier():  # item 9
    j = np.arange(64)
    dense = np.exp(-2j * np.pi * np.outer(j, j) / 64) / 8
    tol = 1e-6 * np.sqrt(5)
    found = tn.TTMatrix.from_dense(dense, (2,) * 6, (2,) * 6, tol)
    assert found.ranks[1:-1] == (4, 16, 64, 16, 4)
    reversed_bits = [int(f"{i:06b}"[::-1], 2) for i in range(64)]
    found = tn.TTMatrix.from_dense(dense[reversed_bits], (2,) * 6, (2,) * 6, tol)
    assert found.ranks[1:-1] == (2, 4, 7, 4, 2)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_toeplitz(bits):
    n = 2**bits
    g = np.random.default_rng(bits).standard_normal(2 * n)
    vector = tn.TT.from_dense(g.reshape((2,) * (bits + 1)), 1e-14)
    made = tn.qtt_toeplitz(vector)
    i, j = np.ogrid[:n, :n]
    close(made, g[i - j + n])
    assert all(r <= 2 * s for r, s in zip(made.ranks[1:-1], vector.ranks[2:-1], strict=True))


def test_convolution():
    # With a decaying exponential, whose train has rank 1, against NumPy.
    bits = 8
    n = 2**bits
    kernel = tn.QTT.exp(-5.0, bits + 1, (-1.0, 1.0))
    g = kernel.reshape((2 * n,)).to_dense()
    f = tn.QTT.sin(9.0, bits)
    made = tn.qtt_toeplitz(kernel).apply(f, 1e-12).reshape((n,)).to_dense()
    values = f.reshape((n,)).to_dense()
    expected = np.convolve(values, g)[n : 2 * n]
    close(made, expected)


def test_newton_potential():  # item 28
    # 1/r is a sum of Gaussians, 2/sqrt(pi) times the integral of exp(-r^2 t^2) over t > 0, so the
    # potential of exp(-|x|^2) is a CP format whose factors are convolutions on a line.
    bits, s = 13, np.arange(-14, 6, 0.35)
    n, t = 2**bits, np.exp(s)
    step = 16 / n
    line = tn.QTT.from_function(lambda x: np.exp(-(x**2)), bits, (-8, 8), 1e-12)
    columns = []
    for scale in t:
        kernel = tn.QTT.from_function(
            lambda x, a=scale: np.exp(-((a * x) ** 2)), bits + 1, (-16, 16), 1e-12
        )
        made = tn.qtt_toeplitz(kernel).apply(line, 1e-11)
        columns.append(step * made.reshape((n,)).to_dense())
    u = np.stack(columns, axis=1)
    weights = 2 / np.sqrt(np.pi) * 0.35 * t

    def potential(*x):
        rows = [u[[n // 2 + round(c / step)]] for c in x]
        return tn.CP(rows, weights).to_dense()[0, 0, 0]

    assert potential(0, 0, 0) == pytest.approx(2 * np.pi, rel=2e-5)
    for x in [(1, 0, 0), (0.5, -0.25, 1), (2, 2, -1)]:
        r = np.linalg.norm(x)
        assert potential(*x) == pytest.approx(np.pi**1.5 * erf(r) / r, rel=2e-5)


# Functions


@pytest.mark.parametrize("interval", [(0.0, 1.0), (-2.0, 3.0)])
def test_explicit_trains(interval):
    bits = 7
    low, high = interval
    x = low + (high - low) * np.arange(2**bits) / 2**bits
    for made, expected, rank in [
        (tn.QTT.exp(1.5, bits, interval), np.exp(1.5 * x), 1),
        (tn.QTT.exp(2j, bits, interval), np.exp(2j * x), 1),
        (tn.QTT.sin(5.0, bits, interval, 0.3), np.sin(5 * x + 0.3), 2),
        (tn.QTT.polynomial([0.5, -2, 0, 1], bits, interval), 0.5 - 2 * x + x**3, 4),
        (tn.QTT.polynomial([3], bits, interval), 3 + 0 * x, 1),
    ]:
        close(made.reshape((2**bits,)), expected)
        assert made.interval == interval and max(made.ranks) == rank
        found = tn.QTT.from_function(
            lambda x, e=expected: e, bits=bits, interval=interval, tol=1e-12
        )
        close(found, made.to_dense(), scale=10 * np.linalg.norm(expected))


def test_many_bits():
    q = tn.QTT.from_function(lambda x: np.exp(-x) * np.sin(30 * x), bits=40, tol=1e-11)
    assert q.info.converged and max(q.round(1e-10).ranks) == 2
    exact = (30 - np.exp(-1) * (np.sin(30) + 30 * np.cos(30))) / 901
    assert float(q.integral()) == pytest.approx(exact, rel=1e-9)
    assert (q + q).interval == q.interval and isinstance((q * q).round(), tn.QTT)
    assert float((q * q).integral()) == pytest.approx(float(q.dot(q)) * q.step)


def test_sine_integral():  # item 18
    bits, high = 30, 1e3
    step = high / 2**bits
    q = tn.QTT.from_function(lambda x: np.sin(x) / x, bits, (step / 2, high + step / 2), tol=1e-9)
    assert q.info.converged
    assert float(q.integral()) == pytest.approx(float(sici(high)[0]), abs=1e-6)


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (lambda: tn.QTT([np.ones((1, 3, 1))]), ShapeError, "length 2"),
        (lambda: tn.QTT.exp(1, 0), InputError, "bits"),
        (lambda: tn.QTT.exp(1, 3, (1, 1)), InputError, "interval"),
        (lambda: tn.QTT.from_function(np.sin, 0), InputError, "bits"),
        (lambda: tn.QTT.from_function(lambda x: 1.0, 3), ShapeError, "gave shape"),
        (
            lambda: tn.QTT.from_function(lambda x: np.where(x == 0.25, np.nan, x), 3),
            EvaluationError,
            "f gave nan at x = 0.25, at 1 of 8",
        ),
        (lambda: tn.QTT.exp(1, 3) + tn.QTT.exp(1, 3, (0, 2)), InputError, "intervals"),
        (lambda: tn.TTMatrix([]), ShapeError, "at least one"),
        (lambda: tn.TTMatrix([np.ones((1, 2, 2, 2))]), ShapeError, "last bond"),
        (lambda: tn.TTMatrix([np.ones((1, 2, 2))]), ShapeError, "core 0"),
        (lambda: tn.TTMatrix.eye((2,)) @ tn.TT.ones((3,)), ShapeError, "do not fit"),
        (lambda: tn.TTMatrix.eye((2,)) + tn.TTMatrix.eye((3,)), ShapeError, "differ"),
        (lambda: tn.TTMatrix.from_dense(np.eye(4), (2, 2), (4,)), ShapeError, "matrix"),
        (lambda: tn.qtt_laplacian(3, "X"), InputError, "boundary"),
        (lambda: tn.qtt_laplacian(1), InputError, "bits"),
        (lambda: tn.qtt_toeplitz(tn.TT.ones((3, 3))), ShapeError, "length 2"),
    ],
)
def test_errors(work, error, words):
    with pytest.raises(error, match=words):
        work()

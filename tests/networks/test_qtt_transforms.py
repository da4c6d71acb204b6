"""Fourier transforms, convolutions and rational functions on fine grids, against closed forms."""

import jax
import numpy as np
import pytest
from formats_data import LIBRARIES, close, given_to, numbers

import tensorcalculus.networks as tn
from tensorcalculus.errors import EvaluationError, InputError
from tensorcalculus.networks.arrays import namespace

SLOW_JAX = pytest.mark.parametrize(
    "library", [*LIBRARIES[:-1], pytest.param("jax", marks=pytest.mark.slow)]
)


def brought(q: tn.QTT, library: str, kind: str = "float64") -> tn.QTT:
    return tn.QTT([given_to(library, c.astype(kind)) for c in q.cores], q.interval)


def noise(bits: int, seed: int = 0) -> tn.QTT:
    """A train of full ranks, and so of any vector."""
    v = np.random.default_rng(seed).standard_normal((2,) * bits)
    return tn.QTT(tn.TT.from_dense(v, 0.0).cores)


def flat(q: tn.TT) -> np.ndarray:
    return numbers(q).reshape(-1)


def index(places, bits: int) -> np.ndarray:
    return np.array([[(int(j) >> (bits - 1 - k)) & 1 for k in range(bits)] for j in places])


# Fourier transforms


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 3, 6, 8])
def test_matrix(bits, inverse):
    n = 2**bits
    j = np.arange(n)
    reversed_bits = [int(f"{k:0{bits}b}"[::-1], 2) for k in j]
    dense = np.exp(-2j * np.pi * np.outer(reversed_bits, j) / n)
    dense = dense.conj() / n if inverse else dense
    close(tn.qtt_fourier(bits, inverse=inverse), dense)
    if bits == 6:  # item 9 of shared/references/tensor_train.md: the tolerance is that of each cut
        made = tn.qtt_fourier(bits, 1e-6 * np.sqrt(5), inverse)
        assert made.ranks[1:-1] == (2, 4, 7, 4, 2)


def test_ranks_do_not_grow():
    assert max(tn.qtt_fourier(60, 1e-8).ranks) == max(tn.qtt_fourier(20, 1e-8).ranks) <= 10


@SLOW_JAX
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_transform(library, kind):
    q = brought(noise(6), library, kind)
    v = flat(q)
    made = q.fft(1e-13)
    assert namespace(made.cores[0]) is namespace(q.cores[0]) and made.interval == (0.0, 64.0)
    close(made.reshape((64,)), np.fft.fft(v))
    close(q.ifft(1e-13).reshape((64,)), np.fft.ifft(v))
    back = made.ifft(1e-13, (2, 3))
    assert back.interval == (2.0, 3.0)
    close(back.reshape((64,)), v + 0j)


def test_traced_by_jax():
    q = brought(noise(4), "jax")
    made = jax.jit(lambda q: q.fft(max_rank=4))(q)
    assert made.ranks == (1, 2, 4, 2, 1)
    close(made.reshape((16,)), np.fft.fft(flat(q)))


def test_transform_in_single_precision():
    q = brought(noise(5), "numpy", "float32")
    made = q.fft(1e-6)
    assert made.dtype == np.complex64
    close(made.reshape((32,)), np.fft.fft(flat(q)), "float32")


@pytest.mark.parametrize("bits", [12, 40])
def test_geometric_series(bits):
    # sum_j a^j w^(jk) = (1 - a^n)/(1 - a w^k)
    n, rate = 2**bits, 9.0
    made = tn.QTT.exp(-rate, bits).fft(1e-12)
    k = np.array([0, 1, 2, 5, 100, n // 2, n - 1, n - 3])
    a = np.exp(-rate / n)
    # 1 - a w^k without cancellation: expm1 of small arguments.
    turned = (k + n // 2) % n - n // 2
    exact = -np.expm1(-rate) / -np.expm1(-rate / n - 2j * np.pi * turned / n)
    assert abs(a * np.exp(-2j * np.pi * turned / n) - 1 + 1 / exact * -np.expm1(-rate)).max() < 1e-9
    found = made.at(index(k, bits))
    np.testing.assert_allclose(found, exact, atol=1e-11 * np.abs(exact).max())
    norm = float(tn.QTT.exp(-rate, bits).norm()) * 2.0 ** (bits / 2)
    assert float(made.norm()) == pytest.approx(norm, rel=1e-11)  # Parseval


def test_waves_are_peaks():
    bits, k = 50, 2**20 + 12345
    made = tn.QTT.exp(2j * np.pi * k, bits).fft(1e-9) / 2.0**bits
    assert abs(made.at(index([k], bits))[0] - 1) < 1e-6
    assert abs(made.at(index([k + 1], bits))[0]) < 1e-6


# Convolutions


@SLOW_JAX
def test_convolution(library):
    bits = 5
    n = 2**bits
    f = tn.QTT(noise(bits, 1).cores, (1, 4))
    g = tn.QTT(noise(bits + 1, 2).cores, (-3, 3))
    made = brought(f, library).convolve(brought(g, library), 1e-13)
    assert namespace(made.cores[0]) is namespace(given_to(library, np.ones(1)))
    assert made.interval == (1.0, 4.0)
    i, j = np.ogrid[:n, :n]
    close(made.reshape((n,)), (flat(g)[i - j + n] @ flat(f)) * 3 / n)


def test_convolution_of_gaussians():
    # On 2^30 points: exp(-x^2) * exp(-x^2) = sqrt(pi/2) exp(-x^2/2).
    bits = 30
    f = tn.QTT.from_function(lambda x: np.exp(-(x**2)), bits, (-8, 8), 1e-12, start=[0])
    g = tn.QTT.from_function(lambda x: np.exp(-(x**2)), bits + 1, (-16, 16), 1e-12, start=[0])
    made = f.convolve(g, 1e-11)
    k = np.random.default_rng(0).integers(0, 2**bits, 200)
    x = -8 + 16 * k / 2.0**bits
    exact = np.sqrt(np.pi / 2) * np.exp(-(x**2) / 2)
    np.testing.assert_allclose(made.at(index(k, bits)), exact, atol=1e-8)


def test_convolution_theorem():
    # A periodic convolution by transforms, against NumPy.
    f, g = noise(6, 3), noise(6, 4)
    made = (f.fft(1e-13) * g.fft(1e-13)).round(1e-13).ifft(1e-13)
    expected = np.fft.ifft(np.fft.fft(flat(f)) * np.fft.fft(flat(g)))
    close(made.reshape((64,)), expected)


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_toeplitz_of_other_libraries(library):
    g = noise(4, 5)
    made = tn.qtt_toeplitz(tn.TT(brought(g, library).cores))
    close(made, numbers(tn.qtt_toeplitz(g)))
    assert namespace(made.cores[0]) is namespace(given_to(library, np.ones(1)))


# Rational functions


@pytest.mark.parametrize("bits", [1, 7, 12, 13, 20])
@pytest.mark.parametrize(
    ("p", "q", "interval"),
    [
        ([1], [1, 1], (0, 1)),
        ([1, -2, 0, 3], [2, 1, 1], (-1, 2)),
        ([0, 1], [1.01, 0, -2, 0, 1], (-3, 3)),
        ([2, 1], [4], (0, 1)),
        ([0], [1, 1], (0, 1)),
        ([1j, 1], [2j, 1, 1], (0, 1)),
    ],
)
def test_rational(p, q, interval, bits):
    low, high = interval
    made = tn.QTT.rational(p, q, bits, interval, tol=1e-10)
    places = np.random.default_rng(0).integers(0, 2**bits, 300)
    x = low + (high - low) * places / 2**bits
    exact = np.polyval(p[::-1], x) / np.polyval(q[::-1], x)
    np.testing.assert_allclose(made.at(index(places, bits)), exact, atol=1e-8)
    assert made.interval == interval
    assert bits <= 12 or (made.info.converged and made.info.error <= 1e-10)


def test_rank_of_a_simple_pole():
    # Item 4 of shared/references/tensor_train.md: ranks at 1e-8 for each cut.
    made = tn.QTT.rational([1], [1, 1], 12, tol=1e-8 * np.sqrt(11))
    assert made.ranks[1:-1] == (2, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2)
    assert max(tn.QTT.rational([1], [1, 1], 50, tol=1e-8).ranks) <= 5


def test_a_run_that_goes_on():
    def f(x):
        return np.exp(-x) * np.sin(30 * x)

    whole = tn.QTT.from_function(f, 30, tol=1e-11)
    again = tn.QTT.from_function(f, 30, tol=1e-11, known=whole.info)
    assert again.info.converged and again.info.evaluations == 0
    for first, second in zip(whole.cores, again.cores, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("width", [1e-1, 1e-3, 1e-4])
@pytest.mark.parametrize("place", [0.3, 0.7071])
def test_poles_near_the_line(place, width):
    # 1/((x - c)^2 + w^2), a peak of width w that random points of the grid would not see.
    q = tn.QTT.rational([1], [place**2 + width**2, -2 * place, 1], 40, tol=1e-9)
    exact = (np.arctan((1 - place) / width) + np.arctan(place / width)) / width
    assert float(q.integral()) == pytest.approx(exact, rel=1e-7)


def test_check_of_rational_functions():
    with pytest.raises(InputError, match=r"0 at 0\.5"):
        tn.QTT.rational([1], [-0.5, 1], 20)
    with pytest.raises(InputError, match="is 0"):
        tn.QTT.rational([1], [0, 0], 20)
    with pytest.raises(InputError, match="coefficients"):
        tn.QTT.rational([np.nan], [1], 20)
    with pytest.raises(EvaluationError, match="differs from the numerator") as caught:
        tn.QTT.rational([1], [0.3**2 + 1e-14, -0.6, 1], 40, tol=1e-14)
    assert len(caught.value.points) == len(caught.value.values) > 1000


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: tn.qtt_fourier(0), "bits"),
        (lambda: tn.QTT.exp(1, 4).convolve(tn.QTT.exp(1, 4)), "5 bits"),
        (lambda: tn.QTT.exp(1, 4).convolve(tn.QTT.exp(1, 5)), r"\(-1\.0, 1\.0\)"),
    ],
)
def test_errors(work, words):
    with pytest.raises(InputError, match=words):
        work()

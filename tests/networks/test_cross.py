"""Cross approximation: submatrices of large volume, skeletons, trains of functions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.errors import EvaluationError, InputError, ShapeError
from tensorcalculus.networks.cross.black_box import BlackBox
from tensorcalculus.networks.cross.climbing import climb
from tensorcalculus.networks.cross.maxvol import maxvol, rect_maxvol
from tensorcalculus.networks.cross.skeleton import skeleton


def matrix(n, r, seed, kind=float):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, r))
    return a + 1j * rng.standard_normal((n, r)) if kind is complex else a


# Submatrices


@given(
    st.integers(1, 8), st.integers(0, 20), st.integers(0, 999), st.sampled_from([float, complex])
)
def test_maxvol(r, more, seed, kind):
    a = matrix(r + more, r, seed, kind)
    rows, c = maxvol(a, 1.01)
    assert len(set(rows)) == r
    np.testing.assert_allclose(c @ a[rows], a, atol=1e-9)
    assert np.abs(c).max() <= 1.01 + 1e-9
    # No exchange of one row gains more than 1 percent, by determinants.
    volume = abs(np.linalg.det(a[rows]))
    for j in range(r):
        for i in range(r + more):
            other = a[[*rows[:j], i, *rows[j + 1 :]]]
            assert abs(np.linalg.det(other)) <= 1.0101 * volume + 1e-12


@given(st.integers(1, 6), st.integers(0, 20), st.integers(0, 999), st.integers(0, 5))
def test_rect_maxvol(r, more, seed, extra):
    a = matrix(r + more, r, seed)
    most = min(r + extra, r + more)
    rows, c = rect_maxvol(a, 0.0, most, most)
    assert len(rows) == len(set(rows)) == most
    np.testing.assert_allclose(c @ a[rows], a, atol=1e-9)
    # Coefficients of least norm are those of the pseudo-inverse.
    np.testing.assert_allclose(c, a @ np.linalg.pinv(a[rows]), atol=1e-8)
    rows, c = rect_maxvol(a, 1.0)
    others = np.setdiff1d(np.arange(r + more), rows)
    assert (np.linalg.norm(c[others], axis=1) <= 1 + 1e-9).all()


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_skeleton_bound(rank, seed):
    # Goreinov, Tyrtyshnikov (2001): entries are off by at most (r+1)*sigma_{r+1}.
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((40, 30)))
    v, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    sigma = 10.0 ** -np.arange(30)
    a = (u * sigma) @ v.T
    made = skeleton(a, rank, seed)
    assert np.abs(made.to_dense() - a).max() <= (rank + 1) * sigma[rank]
    np.testing.assert_allclose(made.columns, a[:, made.column_index])
    np.testing.assert_allclose(made.rows, a[made.row_index])


def test_skeleton_of_a_random_matrix():
    a = np.random.default_rng(0).standard_normal((30, 25))
    for rank in range(1, 25):
        sigma = np.linalg.svd(a, compute_uv=False)
        assert np.abs(skeleton(a, rank).to_dense() - a).max() <= (rank + 1) * sigma[rank]


def test_errors_of_matrices():
    with pytest.raises(ShapeError, match="tall"):
        maxvol(np.ones((2, 3)))
    with pytest.raises(InputError, match="full rank"):
        maxvol(np.ones((3, 2)))
    with pytest.raises(InputError, match="tol"):
        maxvol(np.ones((3, 1)), 0.5)
    with pytest.raises(InputError, match="lower numerical rank"):
        skeleton(np.ones((4, 4)), 2)
    with pytest.raises(InputError, match="between 1 and 4"):
        skeleton(np.ones((4, 5)), 5)
    with pytest.raises(ShapeError, match="matrix"):
        skeleton(np.ones(4), 1)


# Trains of functions


def error_of(t, f, count=2000):
    """The relative error on random points of another seed."""
    rng = np.random.default_rng(12345)
    points = np.stack([rng.integers(0, n, count) for n in t.shape], axis=1)
    truth = f(points)
    return np.linalg.norm(t.at(points) - truth) / np.linalg.norm(truth)


x = np.linspace(0, 1, 32)
c = np.arange(1, 11) / 11
wide, high = np.linspace(-2, 2, 32), np.linspace(-3, 3, 32)


def inverse(i):
    return 1 / (1 + x[i].sum(axis=1))


def ackley(i):
    z = wide[i]
    far = -20 * np.exp(-0.2 * np.sqrt((z**2).mean(axis=1)))
    return far - np.exp(np.cos(2 * np.pi * z).mean(axis=1)) + 20 + np.e


def corner(i):
    return (1 + x[i] @ c) ** -11.0


def path(i):
    z = high[i]
    return np.exp(-0.5 * (np.diff(z, axis=1) ** 2).sum(axis=1) - 0.5 * (z**2).sum(axis=1))


@pytest.mark.parametrize(
    ("f", "most"), [(inverse, 88_000), (ackley, 176_000), (corner, 176_000), (path, 308_000)]
)
def test_evaluations(f, most):
    t = tn.TT.cross(f, (32,) * 10, tol=1e-8)
    assert t.info.converged
    assert t.info.evaluations <= most
    assert error_of(t, f) <= 1e-8
    # Told from 1000 points, where few of them carry most of the norm.
    assert t.info.error < 30 * error_of(t, f)
    assert t.info.points.shape == (t.info.evaluations, 10)
    assert np.array_equal(f(t.info.points), t.info.values)


@pytest.mark.parametrize("seed", range(4))
def test_seeds(seed):
    for f in (inverse, corner):
        t = tn.TT.cross(f, (32,) * 10, tol=1e-8, seed=seed)
        assert t.info.converged and error_of(t, f) <= 2e-8


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    st.integers(1, 3),
    st.integers(0, 200),
    st.sampled_from([float, complex]),
)
def test_low_rank_is_found(shape, rank, seed, kind):
    exact = tn.TT.random(shape, rank, seed=seed, like=np.empty(0, kind))
    t = tn.TT.cross(exact.at, shape, tol=1e-9, seed=seed)
    np.testing.assert_allclose(
        t.to_dense(), exact.to_dense(), atol=1e-7 * np.abs(exact.to_dense()).max()
    )
    assert all(r <= max(rank, 1) for r in t.ranks)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("d", [3, 6])
def test_two_separated_peaks(d, seed):
    grid = np.linspace(0, 1, 40)

    def peaks(i):
        z = grid[i]
        first, second = ((z - 0.2) ** 2).sum(axis=1), ((z - 0.8) ** 2).sum(axis=1)
        return np.exp(-150 * first) + np.exp(-150 * second)

    t = tn.TT.cross(peaks, (40,) * d, tol=1e-6, seed=seed)
    tops = np.array([[8] * d, [31] * d])
    np.testing.assert_allclose(t.at(tops), peaks(tops), rtol=1e-5)
    assert t.info.evaluations < 10**6


def test_zero_and_constant():
    zero = tn.TT.cross(lambda i: np.zeros(len(i)), (4, 5, 6))
    assert not zero.to_dense().any() and zero.info.error == 0
    one = tn.TT.cross(lambda i: np.ones(len(i)), (4,) * 30)
    assert max(one.ranks) == 1 and one.info.converged
    # More entries than a 64-bit number tells apart.
    long = tn.TT.cross(lambda i: i.sum(axis=1), (10,) * 40, tol=1e-10)
    assert long.ranks[1:-1] == (2,) * 39 and error_of(long, lambda i: i.sum(axis=1)) < 1e-10


def test_float32_and_start():
    t = tn.TT.cross(lambda i: (1 / (1 + i.sum(axis=1))).astype(np.float32), (8,) * 4, tol=1e-4)
    assert t.dtype == np.float32

    def spike(i):
        return (i == 3).all(axis=1) * 1.0

    t = tn.TT.cross(spike, (20,) * 6, start=np.full((1, 6), 3))
    assert t.at([[3] * 6])[0] == pytest.approx(1)


def test_numbers_that_become_complex():
    def root(i):
        # NumPy's scimath gives real arrays where it can.
        return np.emath.sqrt(i.sum(axis=1) - 3.0)

    t = tn.TT.cross(root, (6,) * 4, tol=1e-10)
    points = np.stack(np.unravel_index(np.arange(6**4), (6,) * 4), axis=1)
    np.testing.assert_allclose(t.at(points), root(points), atol=1e-8)


def test_evaluations_grow_linearly():
    def made(d, n):
        return tn.TT.cross(lambda i: np.sin(i.sum(axis=1) / d / n), (n,) * d, tol=1e-8).info

    short, long, fine = (made(*size).evaluations - 1000 for size in ((10, 16), (40, 16), (10, 64)))
    assert long < 6 * short and fine < 6 * short


def test_budget_and_going_on():
    t = tn.TT.cross(ackley, (32,) * 10, tol=1e-8, max_evaluations=30_000)
    assert not t.info.converged and "max_evaluations" in t.info.reason
    assert t.info.evaluations <= 30_000
    assert t.info.error == pytest.approx(error_of(t, ackley), rel=1)
    asked = []

    def counted(i):
        asked.append(len(i))
        return ackley(i)

    on = tn.TT.cross(counted, (32,) * 10, tol=1e-8, known=t.info)
    assert on.info.converged and sum(asked) == on.info.evaluations
    cold = tn.TT.cross(ackley, (32,) * 10, tol=1e-8)
    assert on.info.evaluations < cold.info.evaluations - 10_000


def test_progress_is_told():
    told = []
    t = tn.TT.cross(inverse, (32,) * 10, progress=told.append)
    assert tuple(told) == t.info.history and told[-1].error < 1e-8


def failing(after, what):
    """A function that works for some calls, then does `what`."""
    calls = []

    def f(i):
        calls.append(len(i))
        return what(i) if len(calls) > after else 1 / (1.0 + i.sum(axis=1))

    return f


def raising(i):
    raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda i: np.full(len(i), np.nan), "gave nan at"),
        (lambda i: np.full(len(i), np.inf), "gave inf at"),
        (lambda i: np.ones((len(i), 1)), "is expected"),
        (lambda i: 1.0, r"shape \(\)"),
        (lambda i: np.array(["a"] * len(i)), "numbers are expected"),
        (raising, "raised ZeroDivisionError: no"),
    ],
)
def test_errors_keep_points(what, words):
    with pytest.raises(EvaluationError, match=words) as caught:
        tn.TT.cross(failing(5, what), (8,) * 5)
    points, values = caught.value.points, caught.value.values
    assert len(points) == len(values) > 1000
    np.testing.assert_allclose(values, 1 / (1 + points.sum(axis=1)))


def test_errors_of_arguments():
    with pytest.raises(EvaluationError, match="before the first sweep"):
        tn.TT.cross(inverse, (32,) * 10, max_evaluations=500)
    for options, words in [
        ({"tol": 0}, "tol"),
        ({"max_evaluations": 0}, "max_evaluations"),
        ({"max_rank": 0}, "max_rank"),
        ({"start": [[99] * 10]}, "start"),
    ]:
        with pytest.raises(InputError, match=words):
            tn.TT.cross(inverse, (32,) * 10, **options)
    with pytest.raises(ShapeError, match="shape"):
        tn.TT.cross(inverse, (0, 3))


# Integrals: shared/references/tensor_train.md, by item


def integral(f, d, n=16, low=0.0, high=1.0, tol=1e-10, **options):
    """By Gauss' rule in each variable."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    nodes = low + (nodes + 1) * (high - low) / 2
    t = tn.TT.cross(lambda i: f(nodes[i]), (n,) * d, tol=tol, **options)
    return t.integrate([weights * (high - low) / 2] * d), t


def test_inverse_of_a_sum():  # item 11
    value, _ = integral(lambda z: 1 / (1 + z.sum(axis=1)), 10)
    assert value == pytest.approx(0.1708141390369005213755742, rel=1e-9)


@pytest.mark.parametrize(
    ("d", "expected", "rel"),
    [(10, -0.62993525905472629936, 1e-13), (100, -0.0039267952610763515078, 1e-10)],
)
def test_sine_of_a_sum(d, expected, rel):  # item 12
    value, t = integral(lambda z: np.sin(z.sum(axis=1)), d, tol=1e-12)
    assert t.ranks[1:-1] == (2,) * (d - 1)
    assert value == pytest.approx(expected, rel=rel)


def test_corner_peak():  # item 13
    value, _ = integral(lambda z: (1 + z @ c) ** -11.0, 10, n=20)
    assert value == pytest.approx(6.6269902621487455276e-6, rel=1e-8)


def test_oscillatory():  # item 14
    value, _ = integral(lambda z: np.cos(0.6 * np.pi + z @ c), 10, tol=1e-12)
    assert value == pytest.approx(-0.28151022963174448048, rel=1e-12)


def test_product_peak_and_gaussian():  # item 15
    k = np.arange(1, 11)
    value, t = integral(lambda z: np.prod(1 / (k**-2.0 + (z - 0.5) ** 2), axis=1), 10, n=120)
    assert value == pytest.approx(6965759520.8138082665, rel=1e-9)
    assert max(t.ranks) == 1
    value, t = integral(lambda z: np.exp(-((z - 0.5) ** 2) @ (k / 2) ** 2), 10, n=30)
    assert value == pytest.approx(0.0065053449855934664308, rel=1e-11)
    assert max(t.ranks) == 1


def test_path_integral():  # item 16
    grid = np.linspace(-7, 7, 40)

    def f(i):
        z = grid[i]
        return np.exp(-(np.diff(z, axis=1) ** 2).sum(axis=1) / 2 - (z**2).sum(axis=1) / 2)

    t = tn.TT.cross(f, (40,) * 10, tol=1e-9, max_evaluations=4 * 10**6)
    value = t.sum() * (grid[1] - grid[0]) ** 10
    assert value == pytest.approx(119.05988022796703, rel=1e-7)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(3, 0.78130241289648629687), (4, 0.70119986017642999982), (10, 0.63188002414701222229)],
)
def test_ising_integrals(n, expected):  # item 17
    # C_n = 1/n! times the integral of (cosh x_1 + … + cosh x_n)^-2 over all of R^n.
    grid = np.linspace(-17, 17, 69)
    t = tn.TT.cross(
        lambda i: np.cosh(grid[i]).sum(axis=1) ** -2.0,
        (69,) * n,
        tol=1e-8,
        start=np.full((1, n), 34),
        max_evaluations=8 * 10**6,
    )
    value = t.sum() * (grid[1] - grid[0]) ** n / math.factorial(n)
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(3, 0.78130241289648629687), (10, 0.63188002414701222229), (20, 0.6304757798571973853)],
)
def test_ising_integrals_on_a_cube(n, expected):  # item 17
    # With x_1 > … > x_n, t_k = exp(x_{k+1} - x_k), and the integral by x_1 in closed form:
    # C_n = 2 times the integral over the cube of 1/(a b), a = 1 + t_1 + t_1 t_2 + …, and b the
    # same of the t in reverse.
    def f(t):
        front = 1 + np.cumprod(t, axis=1).sum(axis=1)
        return 2 / (front * (1 + np.cumprod(t[:, ::-1], axis=1).sum(axis=1)))

    value, t = integral(f, n - 1, n=12, tol=1e-10)
    assert t.info.converged
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("beside", [True, False])
def test_climbs_go_where_the_dense_difference_is_largest(beside: bool):
    """One mode after the other, as coordinate ascent on the dense array."""
    rng = np.random.default_rng(3)
    shape = (4, 1, 5, 3, 2)
    dense = rng.standard_normal(shape)
    train = tn.TT.random(shape, 3, seed=4)
    off = np.abs(dense - train.to_dense()) if beside else np.abs(dense)
    box = BlackBox(lambda i: dense[tuple(i.T)], shape, 10**5, rng)
    starts = np.stack([rng.integers(0, n, 20) for n in shape], axis=1)
    found = climb(box, list(train.cores) if beside else None, starts, rounds=2)
    expected = set()
    for start in starts:
        point = list(start)
        for _ in range(2):
            for k in range(len(shape)):
                fibre = off[tuple(slice(None) if j == k else i for j, i in enumerate(point))]
                point[k] = int(np.argmax(fibre))
        expected.add(tuple(point))
    assert {tuple(p) for p in found.tolist()} == expected

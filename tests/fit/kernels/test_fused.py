"""One pass over points: against dense einsum, finite differences and exact sums."""

import math
import string

import numpy as np
import pytest

import tensorcalculus as tc
import tensorcalculus.fit.kernels.threads as threads_of_kernels
from tensorcalculus.errors import ShapeError
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.kernels.fused import (
    loss,
    loss_and_gradients,
    mttkrp,
    mttkrps,
)
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.losses import as_loss

SHAPES = {2: (7, 9), 3: (6, 1, 11), 4: (5, 4, 3, 6), 5: (2, 5, 3, 4, 3)}

LOSSES = {
    "gaussian": lambda x, m: (x - m) ** 2,
    "poisson": lambda x, m: m - x * np.log(m + 1e-10),
    "bernoulli-logit": lambda x, m: np.logaddexp(0, m) - x * m,
    "m^3 + exp(x)*m": lambda x, m: m**3 + np.exp(x) * m,
}


def compiled(name):
    return as_loss(name).pair.compiled


def sparse(shape, n, seed=0, kind="float64"):
    rng = np.random.default_rng(seed)
    cells = rng.choice(math.prod(shape), n, replace=False)
    return SparseTensor(
        np.stack(np.unravel_index(cells, shape), 1), rng.random(n).astype(kind), shape
    )


def drawn(shape, rank, seed=1, kind="float64"):
    rng = np.random.default_rng(seed)
    return [rng.random((n, rank)).astype(kind) for n in shape]


def dense_products(x, factors):
    letters = string.ascii_lowercase[: x.ndim]
    made = []
    for k, own in enumerate(letters):
        others = [u.astype(float) for j, u in enumerate(factors) if j != k]
        subscripts = ",".join([letters, *(c + "z" for c in letters if c != own)])
        made.append(np.einsum(f"{subscripts}->{own}z", x, *others))
    return made


def dense_model(factors):
    letters = string.ascii_lowercase[: len(factors)]
    return np.einsum(",".join(c + "z" for c in letters) + "->" + letters, *factors)


@pytest.fixture
def every_thread(monkeypatch):
    """Threads for small work and long modes as well."""
    monkeypatch.setattr(threads_of_kernels, "WORTH", 1)
    monkeypatch.setattr(threads_of_kernels, "PRIVATE", 1e9)


@pytest.mark.parametrize(
    ("order", "rank", "kind"),
    [(2, 3, "float64"), (3, 1, "float64"), (3, 16, "float64"), (3, 17, "float32"),
     (4, 3, "float64"), (5, 17, "float64"), (3, 150, "float64")],
)  # fmt: skip
def test_products_equal_dense_ones(order, rank, kind, every_thread):
    shape = SHAPES[order]
    x, u = sparse(shape, 40), drawn(shape, rank, kind=kind)
    expected = dense_products(x.to_dense(), u)
    points = Points.ordered(x)
    close = 1e-13 if kind == "float64" else 1e-5
    for threads in (1, 2, 3):
        made = mttkrps(points, u, threads=threads)
        for k, e in enumerate(expected):
            np.testing.assert_allclose(made[k], e, rtol=close)
            assert made[k].dtype == kind
        np.testing.assert_allclose(mttkrp(points, u, 1, threads=threads), expected[1], rtol=close)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("order", [2, 4])
def test_losses_and_gradients(name, order, every_thread):
    pair, plain = compiled(name), LOSSES[name]
    shape = SHAPES[order]
    x, u = sparse(shape, 30), drawn(shape, 3)
    weights = np.random.default_rng(2).random(30)
    points = Points.ordered(x, weights)
    at = tuple(x.indices.T)

    def value(factors):
        return float(weights @ plain(x.values, dense_model(factors)[at]))

    for threads in (1, 2):
        made, gradients = loss_and_gradients(points, u, pair, threads=threads)
        assert made == pytest.approx(value(u), rel=1e-13)
        assert loss(points, u, pair, threads=threads) == pytest.approx(made, rel=1e-14)
        rng = np.random.default_rng(3)
        for _ in range(3):
            step = [rng.standard_normal(a.shape) for a in u]
            up, down = (
                value([a + t * b for a, b in zip(u, step, strict=True)]) for t in (1e-5, -1e-5)
            )
            slope = sum(float(np.sum(g * b)) for g, b in zip(gradients, step, strict=True))
            assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-8)


def test_single_precision_of_data_and_factors():
    pair, plain = compiled("poisson"), LOSSES["poisson"]
    shape = SHAPES[3]
    x, u = sparse(shape, 30, kind="float32"), drawn(shape, 5, kind="float32")
    value, gradients = loss_and_gradients(Points.ordered(x), u, pair)
    m = dense_model([a.astype(float) for a in u])[tuple(x.indices.T)]
    assert value == pytest.approx(plain(x.values.astype(float), m).sum(), rel=1e-6)
    slopes = SparseTensor(x.indices, 1 - x.values / m, shape).to_dense()
    for made, expected in zip(gradients, dense_products(slopes, u), strict=True):
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factors", ["float32", "float64"])
def test_products_with_data_and_weights_in_single_precision(factors):
    x, u = sparse(SHAPES[3], 30, kind="float32"), drawn(SHAPES[3], 3, kind=factors)
    weights = np.random.default_rng(2).random(30).astype(np.float32)
    points = Points.ordered(x, weights)
    weighed = tc.SparseTensor(x.indices, x.values.astype(float) * weights, x.shape).to_dense()
    close = 1e-13 if factors == "float64" else 1e-5
    for made, expected in zip(mttkrps(points, u), dense_products(weighed, u), strict=True):
        np.testing.assert_allclose(made, expected, rtol=close)
    value = loss(points, u, compiled("poisson"))
    m = dense_model([a.astype(float) for a in u])[tuple(x.indices.T)]
    terms = weights.astype(float) * LOSSES["poisson"](x.values.astype(float), m)
    assert value == pytest.approx(terms.sum(), rel=1e-13 if factors == "float64" else 1e-6)


def test_indices_of_64_bits():
    x, u = sparse(SHAPES[3], 30), drawn(SHAPES[3], 3)
    points = Points(x.indices.astype(np.int64), x.values, x.shape)
    for made, expected in zip(mttkrps(points, u), dense_products(x.to_dense(), u), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-13)


@pytest.mark.parametrize("n", [0, 1])
def test_no_point_and_one(n, every_thread):
    shape = SHAPES[3]
    x, u = sparse(shape, n), drawn(shape, 3)
    points = Points.ordered(x)
    pair, plain = compiled("gaussian"), LOSSES["gaussian"]
    value, gradients = loss_and_gradients(points, u, pair, threads=2)
    m = dense_model(u)[tuple(x.indices.T)]
    assert value == pytest.approx(plain(x.values, m).sum(), abs=0, rel=1e-14)
    slopes = SparseTensor(x.indices, 2 * (m - x.values), shape).to_dense()
    for made, expected in zip(gradients, dense_products(slopes, u), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-13)


def test_outputs_are_overwritten_and_must_fit():
    x, u = sparse(SHAPES[3], 30), drawn(SHAPES[3], 3)
    points = Points.ordered(x)
    out = [np.full_like(a, 7.0) for a in u]
    made = mttkrps(points, u, out=out)
    assert all(a is b for a, b in zip(made, out, strict=True))
    for a, e in zip(made, dense_products(x.to_dense(), u), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-13)
    with pytest.raises(ShapeError, match=r"out\[0\]: a contiguous array of float64"):
        mttkrps(points, u, out=[a.astype("float32") for a in out])
    with pytest.raises(ShapeError, match="factors: matrices with"):
        mttkrps(points, [*u[:2], u[2][:-1]])
    with pytest.raises(ShapeError, match="factors: matrices with"):
        mttkrps(points, u[:2])


def test_the_same_result_each_time_and_for_any_order_of_points(every_thread):
    x, u = sparse((50, 40, 30), 5000), drawn((50, 40, 30), 3)
    pair = compiled("gaussian")
    for threads in (1, 2):
        first, again = (
            loss_and_gradients(Points.ordered(x), u, pair, threads=threads) for _ in range(2)
        )
        assert first[0] == again[0]
        assert all((a == b).all() for a, b in zip(first[1], again[1], strict=True))
        plain = loss_and_gradients(Points(x.indices, x.values, x.shape), u, pair, threads=threads)
        np.testing.assert_allclose(plain[1][0], first[1][0], rtol=1e-12)


def test_fewer_threads_where_their_arrays_would_take_more_than_the_data(monkeypatch):
    monkeypatch.setattr(threads_of_kernels, "WORTH", 1)
    asked = []
    plain = threads_of_kernels._targets
    monkeypatch.setattr(
        threads_of_kernels, "_targets", lambda parts, _: asked.append(len(parts)) or plain(parts, _)
    )
    x, u = sparse((500, 4, 3), 5000), drawn((500, 4, 3), 16)
    points = Points(x.indices, x.values, x.shape)
    made = mttkrps(points, u, threads=8)
    assert asked == []  # any two parts in random order share all 500 rows
    for a, e in zip(made, dense_products(x.to_dense(), u), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12)
    for a, e in zip(mttkrps(Points.ordered(x), u, threads=8), made, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12)
    assert asked == [8]


def test_sums_of_many_points_keep_their_digits():
    # Values of both signs and all sizes: their sum by math.fsum is exact.
    n = 300_000
    rng = np.random.default_rng(0)
    x = rng.standard_normal(n) * 10.0 ** rng.uniform(-8, 8, n)
    cells = np.stack([np.arange(n, dtype=np.int32), np.zeros(n, np.int32)], 1)
    points = Points(cells, x, (n, 1))
    u = [np.zeros((n, 1)), np.zeros((1, 1))]
    pair = compiled("x + 0*m + m")
    error = abs(loss(points, u, pair, threads=1) - math.fsum(x))
    assert error <= 1e-14 * np.abs(x).sum()


def test_what_is_not_finite_is_seen():
    x, u = sparse(SHAPES[3], 30), drawn(SHAPES[3], 3)
    points = Points.ordered(x)
    row = x.indices[0, 0]
    for bad in (math.nan, math.inf):
        moved = [a.copy() for a in u]
        moved[0][row, 1] = bad
        value, gradients = loss_and_gradients(points, moved, compiled("gaussian"))
        assert value == bad or math.isnan(value)
        assert not np.isfinite(gradients[0][row]).all()
        other = [i for i in range(len(u[0])) if i != row]
        assert np.isfinite(gradients[0][other]).all()

"""Samples of cells: unbiased sums and gradients, exact ones where all cells are drawn.

Gradients of samples are compared with those of all cells, written out in NumPy, along the gradient
and in fixed random directions: the mean of 2000 lies within 4.5 standard errors.  By the normal
distribution a right one fails with probability 7e-6; numbers are seeded, so that what has passed
once always does.
"""

import math

import numpy as np
import pytest
from gcp_data import LOSSES, dense_model

import tensorcalculus as tc
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.generalized.sampling import (
    DenseSamples,
    Estimate,
    Gradient,
    SparseSamples,
    StoredSamples,
    Stratum,
    checked_sizes,
)
from tensorcalculus.fit.kernels import cell_table, random_cells, random_numbers
from tensorcalculus.fit.kernels.points import Points

MEANS, ERRORS = 2000, 4.5

FORMULAS = {
    "gaussian": (lambda x, m: (x - m) ** 2, lambda x, m: 2 * (m - x)),
    "poisson": (lambda x, m: m - x * np.log(m), lambda x, m: 1 - x / m),
    "bernoulli-logit": (
        lambda x, m: np.log1p(np.exp(m)) - x * m,
        lambda x, m: 1 / (1 + np.exp(-m)) - x,
    ),
}

CASES = {
    3: ((6, 7, 8), "poisson"),
    4: ((4, 5, 3, 6), "gaussian"),
    5: ((3, 4, 3, 2, 5), "bernoulli-logit"),
}

SAMPLERS = [
    "dense", "dense weighted", "dense rare", "stored", "stored weighted", "uniform", "stratified",
    "semi-stratified", "uniform missing", "stratified missing", "semi-stratified missing",
]  # fmt: skip


def points(cells, values, shape, weights=None):
    return Points(np.ascontiguousarray(cells, np.int32), values, shape, weights)


def problem(order, name):
    """Samples of random data, the data as a dense array, weights of all cells, factors."""
    shape, loss = CASES[order][0], LOSSES[CASES[order][1]]
    rng = np.random.default_rng(order)
    x = (rng.uniform(size=shape) < 0.3) * rng.integers(1, 3, shape).astype(float)
    if loss.domain == "binary":
        x = np.minimum(x, 1.0)
    factors = [rng.uniform(0.3, 1.3, (n, 2)) for n in shape]
    weights = np.ones(shape)
    if name.startswith("dense"):
        if "weighted" in name:
            weights = rng.integers(0, 3, shape).astype(float)
        if "rare" in name:
            weights = (rng.uniform(size=shape) < 0.05).astype(float)
        given = None if name == "dense" else weights
        return DenseSamples(x, loss, given), loss, x, weights, factors
    if name.startswith("stored"):
        kept = rng.uniform(size=shape) < 0.4
        some = rng.uniform(0.5, 1.5, int(kept.sum())) if "weighted" in name else None
        weights = np.zeros(shape)
        weights[kept] = 1.0 if some is None else some
        data = points(np.argwhere(kept), x[kept], shape, some)
        return StoredSamples(data, loss), loss, x, weights, factors
    missing = None
    if "missing" in name:
        weights = (rng.uniform(size=shape) < 0.8).astype(float)
        cells = np.argwhere(weights == 0)
        missing = points(cells, np.zeros(len(cells)), shape)
        x = x * weights
    data = points(np.argwhere(x), x[x != 0], shape)
    return SparseSamples(data, loss, missing), loss, x, weights, factors


def kind_of(name):
    return "uniform" if name.split()[0] in ("dense", "stored") else name.split()[0]


def exact(loss, x, weights, factors):
    """Loss and gradients over all cells, by einsum."""
    value, slope = FORMULAS[loss.name]
    m = dense_model(factors)
    tensor, letters = weights * slope(x, m), "abcde"[: x.ndim]
    made = []
    for k, own in enumerate(letters):
        others = [u for j, u in enumerate(factors) if j != k]
        inputs = ",".join([letters, *(c + "z" for c in letters if c != own)])
        made.append(np.einsum(f"{inputs}->{own}z", tensor, *others))
    return float(np.sum(weights * value(x, m))), made


def sampled(strata, factors, *numbers):
    sums = [np.zeros_like(u) for u in factors]
    Gradient(strata, factors, sums, *numbers[:-1]).add(numbers[-1])
    return sums


def within_errors(strata, gradients, factors, count=MEANS):
    """How many standard errors means of gradients are off, along the gradient and in two random
    directions; and the relative error along the gradient."""
    rng = np.random.default_rng(99)
    directions = [gradients, *([rng.standard_normal(u.shape) for u in factors] for _ in range(2))]

    def along(g):
        return [sum(float(np.vdot(a, b)) for a, b in zip(g, d, strict=True)) for d in directions]

    sums = [np.zeros_like(u) for u in factors]
    gradient = Gradient(strata, factors, sums, 7)
    found = np.empty((count, 3))
    for n in range(count):
        for s in sums:
            s[:] = 0
        gradient.add(n)
        found[n] = along(sums)
    told = np.array(along(gradients))
    error = found.std(axis=0, ddof=1) / math.sqrt(count)
    return np.abs(found.mean(axis=0) - told) / error, error[0] / told[0]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("order", CASES)
def test_gradients_are_right_on_average(order, name):
    samples, loss, x, weights, factors = problem(order, name)
    kind = kind_of(name)
    sizes = {"dense rare": (8,)}.get(name, (40,) if kind == "uniform" else (25, 25))
    strata = samples.strata(kind, sizes)
    off, error = within_errors(strata, exact(loss, x, weights, factors)[1], factors)
    assert samples.count == np.count_nonzero(weights)
    assert off.max() < ERRORS
    # A bias of a tenth of the gradient would be seen.
    assert error < 0.1 / ERRORS


def test_a_bias_is_seen():
    """Zeros from everywhere without the correction of what is stored there."""
    samples, loss, x, weights, factors = problem(3, "semi-stratified")
    stored, anywhere = samples.strata("semi-stratified", (25, 25))
    wrong = Stratum(stored.points, loss.pair, stored.size, stored._fill)
    off, _ = within_errors([wrong, anywhere], exact(loss, x, weights, factors)[1], factors)
    assert off.max() > 2 * ERRORS


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("order", CASES)
def test_all_cells_give_the_whole_sum(order, name):
    samples, loss, x, weights, factors = problem(order, name)
    kind, many = kind_of(name), 10**6
    value, gradients = exact(loss, x, weights, factors)
    strata = samples.strata(kind, (many,) if kind == "uniform" else (many, many))
    for found, told in zip(sampled(strata, factors, 0), gradients, strict=True):
        np.testing.assert_allclose(found, told, rtol=1e-9, atol=1e-9 * np.abs(told).max())
    estimate = Estimate(strata, samples.shape, 0)
    assert estimate.value(factors) == pytest.approx(value, rel=1e-9)
    # The default sizes for values are all there is of such data.
    steady = samples.strata(samples.steady, samples.sizes(samples.steady, True))
    assert Estimate(steady, samples.shape, 0).value(factors) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    "name", ["dense weighted", "stored", "stratified", "semi-stratified missing"]
)
def test_values_are_right_on_average(name):
    samples, loss, x, weights, factors = problem(3, name)
    kind = kind_of(name)
    strata = samples.strata(kind, (30,) if kind == "uniform" else (20, 30))
    found = [Estimate(strata, samples.shape, 3, n).value(factors) for n in range(1000)]
    value = exact(loss, x, weights, factors)[0]
    assert abs(np.mean(found) - value) < ERRORS * np.std(found, ddof=1) / math.sqrt(1000)
    assert np.std(found) > 0


def test_samples_belong_to_their_numbers():
    samples, _, _, _, factors = problem(3, "stratified")
    strata = samples.strata("stratified", (20, 20))
    first = sampled(strata, factors, 1, 2)
    other = sampled(strata, factors, 1, 3)
    again = sampled(samples.strata("stratified", (20, 20)), factors, 1, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "read-only", "strided"])
def test_arrays_of_all_kinds_are_read_alike(kind):
    samples, loss, x, weights, factors = problem(5, "dense weighted")
    if kind == "read-only":
        other = x.copy()
        other.setflags(write=False)
    elif kind == "strided":
        other = np.asfortranarray(x)
    else:
        other = x.astype(kind)
    found = sampled(DenseSamples(other, loss, weights).strata("uniform", (30,)), factors, 5)
    told = sampled(samples.strata("uniform", (30,)), factors, 5)
    assert all(np.array_equal(a, b) for a, b in zip(found, told, strict=True))


def test_few_zeros_are_listed():
    """Rejection would draw thousands of cells for each of them."""
    x = np.ones((20, 20, 20))
    x[0, 0, :7] = 0
    loss = LOSSES["poisson"]
    factors = [np.random.default_rng(1).uniform(0.5, 1, (20, 2)) for _ in range(3)]
    samples = SparseSamples(points(np.argwhere(x), x[x != 0], x.shape), loss)
    strata = samples.strata("stratified", (100, 3))
    strata[1].draw(np.uint64(0))
    assert strata[1].size == 7 and (x[tuple(strata[1].points.indices.T)] == 0).all()
    off, _ = within_errors(strata, exact(loss, x, np.ones(x.shape), factors)[1], factors)
    assert off.max() < ERRORS
    assert len(SparseSamples(points(np.argwhere(x + 1), x.ravel() + 1, x.shape), loss).strata(
        "stratified", (5, 5))) == 1  # fmt: skip


def test_no_stored_cells_at_all():
    loss = LOSSES["gaussian"]
    empty = points(np.empty((0, 3)), np.empty(0), (5, 6, 7))
    factors = [np.random.default_rng(1).uniform(0.5, 1, (n, 2)) for n in (5, 6, 7)]
    told = exact(loss, np.zeros((5, 6, 7)), np.ones((5, 6, 7)), factors)[1]
    for kind, sizes in (("uniform", (30,)), ("stratified", (30, 30)), ("semi-stratified", (9, 30))):
        off, _ = within_errors(SparseSamples(empty, loss).strata(kind, sizes), told, factors, 500)
        assert off.max() < ERRORS


def test_default_sizes_and_those_of_users():
    loss = LOSSES["poisson"]
    cells = np.zeros((10**6, 3), np.int32)
    big = SparseSamples(Points(cells, np.zeros(10**6), (2000, 1500, 1000)), loss)
    assert checked_sizes(big, None, None) == ("semi-stratified", (3000, 3000))
    assert checked_sizes(big, None, None, estimate=True) == ("stratified", (100000, 100000))
    assert checked_sizes(big, "stratified", 5) == ("stratified", (5, 5))
    assert checked_sizes(big, "stratified", (5, 7)) == ("stratified", (5, 7))
    assert checked_sizes(big, "uniform", None) == ("uniform", (6000,))
    dense = DenseSamples(np.zeros((200, 100, 100)), loss)
    assert checked_sizes(dense, None, None) == ("uniform", (20000,))
    assert checked_sizes(dense, None, None, estimate=True) == ("uniform", (10**6,))
    for kind, given, words in (
        ("stratified", 0, "positive integer or two"), ("stratified", (1, 2, 3), "or two"),
        ("uniform", (1, 2), "a positive integer is"), ("uniform", True, "a positive integer"),
        ("other", None, "'semi-stratified' or 'stratified' or 'uniform'"),
    ):  # fmt: skip
        with pytest.raises(tc.InputError, match=words):
            checked_sizes(big, kind, given)
    with pytest.raises(tc.InputError, match="'uniform' is expected for these data"):
        checked_sizes(dense, "stratified", None)


# -- compiled parts ------------------------------------------------------------------------------


def test_random_numbers_are_the_published_ones():
    """Numbers of splitmix64 for the seed 1234567, as in S. Vigna's reference program."""
    told = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    state = np.uint64(1234567)
    with np.errstate(over="ignore"):
        for number in told:
            state += random_numbers.STRIDE
            assert int(random_numbers.mixed(state)) == number
            assert random_numbers._mixed(int(state)) == number


@pytest.mark.parametrize("n", [3, 1000, 2**31 - 1, 2**40 + 1, 2**63 - 25])
def test_bounded_numbers_are_high_products(n):
    @random_cells.compiled
    def of(r, n):
        return random_numbers.below(r, n)

    for r in (0, 1, 2**32 - 1, 2**63 + 12345, 2**64 - 1):
        assert int(of(np.uint64(r), np.uint64(n))) == r * n >> 64


def test_cells_are_uniform():
    """Chi-square over 60 cells: above 120 with probability 4e-6."""
    sides, into = np.array([3, 4, 5], np.uint64), np.empty((60000, 3), np.int32)
    random_cells.from_all(random_numbers.stream(4), sides, into)
    counts = np.bincount(np.ravel_multi_index(tuple(into.T), (3, 4, 5)), minlength=60)
    assert np.sum((counts - 1000) ** 2 / 1000) < 120


@pytest.mark.parametrize("shape", [(50, 40, 30), (2**31 - 1, 2**31 - 1, 2**31 - 1)])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_tables_hold_what_is_listed(shape, kind):
    rng = np.random.default_rng(8)
    cells = np.unique(rng.integers(0, shape, (5000, 3)), axis=0).astype(kind)
    rng.shuffle(cells)
    listed, others = cells[:3000], cells[3000:]
    table = cell_table.table_of(listed, shape, with_rows=True)
    assert table.exact == (math.prod(shape) < 2**63)
    assert [cell_table.row_in(table, listed, i) for i in range(0, 3000, 7)] == list(
        range(0, 3000, 7)
    )
    assert not any(cell_table.holds(table, others, i) for i in range(len(others)))
    assert all(cell_table.row_in(table, others, i) == -1 for i in range(0, len(others), 7))


def test_zeros_and_values_that_are_drawn_are_those_of_the_data():
    samples, _, x, weights, _ = problem(3, "stratified missing")
    stored, zeros = samples.strata("stratified", (25, 60))
    (uniform,) = samples.strata("uniform", (60,))
    for n in range(50):
        for stratum in (stored, zeros, uniform):
            stratum.draw(random_numbers.stream(n))
        at = tuple(zeros.points.indices.T)
        assert (x[at] == 0).all() and (weights[at] == 1).all()
        for stratum in (stored, uniform):
            cells = tuple(stratum.points.indices.T)
            assert np.array_equal(x[cells], stratum.points.values) and (weights[cells] == 1).all()


def test_tensors_of_more_cells_than_64_bits_count():
    """Sides up to 2^31 - 1: sums over all cells are estimated all the same."""
    rng = np.random.default_rng(3)
    shape = (2**31 - 1, 2**31 - 1, 5, 7)
    cells = rng.integers(0, shape, (500, 4))
    data = SparseTensor(cells, rng.uniform(1, 2, 500), shape)
    samples = SparseSamples(points(data.indices, data.values, shape), LOSSES["gaussian"])
    for kind in ("stratified", "semi-stratified"):
        for stratum in samples.strata(kind, (100, 100)):
            stratum.draw(np.uint64(0))
            assert (stratum.points.indices >= 0).all()
            assert (stratum.points.indices < shape).all()
            drawn = stratum.points.indices[:, 0]
            assert drawn.max() > 2**30 and len(np.unique(drawn)) > 80

"""Alternating least squares: against plain einsum code, the core's gradients, closed forms."""

import numpy as np
import pytest
from fit_data import LIBRARIES, as_cp, dense, drawn, given_to, per_library, plain_als, product
from scipy.optimize import nnls

import tensorcalculus as tc
from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit import als
from tensorcalculus.networks.arrays import namespace, numpy_of


@pytest.mark.parametrize(
    ("shape", "library", "kind"),
    [
        *(
            (shape, library, kind)
            for shape in [(6, 5), (6, 5, 4), (3, 4, 2, 5), (2, 3, 4, 2, 3)]
            for library in LIBRARIES[:-1]
            for kind in ("float64", "complex128")
        ),
        ((6, 5, 4), "jax", "float64"),
    ],
)
def test_the_same_iterates_as_plain_code(shape, library, kind):
    rank = 2
    x = dense(drawn(shape, 4, 3, kind))
    start = drawn(shape, rank, 5, kind)
    factors, losses = plain_als(x, start, 6)
    made = tc.cp_als(given_to(library, x), rank, start=start, max_iterations=6, tol=0)
    np.testing.assert_allclose(made.loss_history, losses, rtol=1e-10)
    np.testing.assert_allclose(numpy_of(made.model.to_dense()), dense(factors), atol=1e-9)
    assert namespace(made.model.cores[0]) is namespace(given_to(library, x))
    assert made.iterations == 6 and not made.converged
    assert made.message == "max_iterations reached (6)"
    assert made.loss == pytest.approx(losses[-1])
    assert made.fit == pytest.approx(1 - np.sqrt(losses[-1]) / np.linalg.norm(x))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4), (3, 4, 2, 5)])
def test_ridge_the_same_iterates_as_plain_code(shape):
    x = dense(drawn(shape, 4, 3))
    start = drawn(shape, 2, 5)
    sizes = [np.linalg.norm(u, axis=0) for u in start]
    even = np.prod(sizes, axis=0) ** (1 / len(shape))
    start = [u * (even / n) for u, n in zip(start, sizes, strict=True)]
    factors, losses = plain_als(x, start, 6, l2=0.1)
    made = tc.cp_als(x, 2, start=start, max_iterations=6, tol=0, l2=0.1)
    np.testing.assert_allclose(made.loss_history, losses, rtol=1e-10)
    np.testing.assert_allclose(made.model.to_dense(), dense(factors), atol=1e-9)
    assert (np.diff(made.loss_history) <= 1e-12 * losses[0]).all()
    assert made.loss == pytest.approx(np.linalg.norm(x - dense(factors)) ** 2)


LOSS = tc.parse(
    "norm2(T-cp(A,B,C))^2+c*(norm2(A)^2+norm2(B)^2+norm2(C)^2)",
    T="i j k", A="i r", B="j r", C="k r", c="",
)  # fmt: skip
VALUE_AND_GRADIENTS = tc.compile([LOSS, *(LOSS.gradient(name) for name in "ABC")])


def gradients(x, factors, l2=0.0):
    """Loss and gradients by the core library, on the residual tensor."""
    a, b, c = factors
    value, *slopes = VALUE_AND_GRADIENTS(T=x, A=a, B=b, C=c, c=l2)
    return value, slopes


def balanced(made):
    even = made.weights ** (1 / len(made.factors))
    return [u * even for u in made.factors]


@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("method", ["als", "lm", "lbfgs"])
def test_the_gradient_of_the_core_vanishes_where_it_converged(method, l2):
    x = dense(drawn((6, 7, 5), 3)) + np.random.default_rng(1).standard_normal((6, 7, 5))
    if method == "als":
        made = tc.cp_als(x, 2, l2=l2, tol=1e-9, max_iterations=5000)
    else:
        made = tc.cp_opt(x, 2, method=method, l2=l2, tol=1e-9 if method == "lm" else 1e-7)
    assert made.converged
    factors = balanced(made)
    value, slopes = gradients(x, factors, l2)
    assert value == pytest.approx(made.loss_history[-1], rel=1e-9)
    for slope, k in zip(slopes, range(3), strict=True):
        assert np.abs(slope).max() <= 3e-6 * np.abs(product(x, factors, k)).max()
    # And it is a minimum along random lines, by differences of the residual tensor itself.
    rng = np.random.default_rng(2)
    for _ in range(5):
        moved = [u + 1e-3 * rng.standard_normal(u.shape) for u in factors]
        assert gradients(x, moved, l2)[0] > value


@per_library
def test_known_factors_are_found(library):
    factors = drawn((9, 8, 7), 4, 2)
    x = given_to(library, dense(factors))
    made = tc.cp_als(x, 4, starts=3, tol=1e-8, max_iterations=500)
    told = made.model.match(as_cp([given_to(library, u) for u in factors]))
    assert told.score > 1 - 1e-6 and made.fit > 1 - 1e-7
    assert made.converged and made.diagnosis.core_consistency == pytest.approx(100, abs=1e-3)
    assert len(made.start_losses) == 3 and min(made.start_losses) == made.loss


def test_an_exact_fit_is_told_to_its_last_digits():
    # By Gram matrices alone the loss would end at 1e-16*norm(X)^2.
    x = dense(drawn((9, 8, 7), 3, 2))
    made = tc.cp_als(x, 3, tol=1e-14, max_iterations=2000)
    error = np.linalg.norm(x - made.model.to_dense())
    assert np.sqrt(made.loss) == pytest.approx(error, rel=0.5, abs=1e-14 * float(np.linalg.norm(x)))
    assert error < 1e-12 * np.linalg.norm(x)


def test_single_precision():
    factors = drawn((9, 8, 7), 3, 2)
    x = dense(factors).astype("float32")
    made = tc.cp_als(x, 3, seed=1)
    assert made.converged and made.model.dtype == np.float32
    assert made.model.match(as_cp([u.astype("float32") for u in factors])).score > 0.9999
    assert made.fit > 0.9999


def test_model_is_normalised_and_sorted():
    x = dense(drawn((9, 8, 7), 3, 2)) + 0.1
    made = tc.cp_als(x, 3)
    first, *others = made.model.factors
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), made.weights)
    assert (np.diff(made.weights) <= 0).all()
    for u in others:
        np.testing.assert_allclose(np.linalg.norm(u, axis=0), 1)
        assert (np.take_along_axis(u, np.abs(u).argmax(0)[None], 0) > 0).all()
    np.testing.assert_allclose(made.factors[0] * made.weights, first)


# -- non-negative factors ------------------------------------------------------------------------


def test_columns_in_turn_solve_the_non_negative_problem(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    design, right = rng.standard_normal((20, 4)), rng.standard_normal((20, 6))
    expected = np.stack([nnls(design, column)[0] for column in right.T])
    monkeypatch.setattr(als, "PASSES", 500)
    monkeypatch.setattr(als, "SETTLED", 1e-14)
    found = als.nonnegative_rows(design.T @ design, right.T @ design, np.ones((6, 4)))
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("method", ["als", "lbfgs"])
@pytest.mark.parametrize("modes", [True, [0, -1]])
def test_non_negative(method, modes):
    known = drawn((8, 7, 6), 3, 1)
    x = dense([u if k == 1 and modes is not True else np.abs(u) for k, u in enumerate(known)])
    x = x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    run = tc.cp_als if method == "als" else tc.cp_opt
    options = {} if method == "als" else {"method": method}
    made = run(x, 3, nonnegative=modes, tol=1e-7, **options)
    assert made.converged
    held = [0, 1, 2] if modes is True else [0, 2]
    factors = balanced(made)
    _, slopes = gradients(x, factors)
    for k in range(3):
        size = 1e-6 * np.abs(product(x, factors, k)).max()
        if k in held:
            assert factors[k].min() >= 0
            # Kuhn and Tucker: no slope inside, none that points outwards at the bound.
            assert slopes[k].min() >= -size
            assert np.abs(slopes[k][factors[k] > 0]).max() <= size
        else:
            assert np.abs(slopes[k]).max() <= size
    if modes is not True:
        assert made.model.factors[1].min() < 0 <= made.model.factors[0].min()


def test_non_negative_loss_never_rises():
    x = np.random.default_rng(3).uniform(size=(8, 7, 6))
    for l2 in (0.0, 0.1):
        history = tc.cp_als(x, 5, nonnegative=True, l2=l2, tol=0, max_iterations=60).loss_history
        assert (np.diff(history) <= 1e-12 * history[0]).all()


# -- starts, limits, errors ----------------------------------------------------------------------


@pytest.mark.parametrize("start", ["random", "hosvd", "nvecs"])
@pytest.mark.parametrize("rank", [2, 6])
def test_starts(start, rank):
    x = dense(drawn((4, 7, 5), rank, 1))
    made = tc.cp_als(x, rank, start=start, max_iterations=3000, starts=2)
    assert made.fit > 0.99
    assert tc.cp_als(x, rank, start=start, max_iterations=3).loss == pytest.approx(
        tc.cp_als(x, rank, start=start, max_iterations=3).loss, rel=1e-12
    )


@per_library
def test_hosvd_begins_with_leading_singular_vectors(library):
    from tensorcalculus.fit.mttkrp import DenseData
    from tensorcalculus.fit.start import start_factors

    for shape in [(4, 7, 5), (30, 3, 2)]:
        x = np.random.default_rng(0).standard_normal(shape)
        made = start_factors(DenseData(given_to(library, x)), 2, "hosvd", frozenset(), 0, 0)
        for k, u in enumerate(made):
            vectors = np.linalg.svd(np.moveaxis(x, k, 0).reshape(shape[k], -1))[0][:, :2]
            cosines = np.abs(vectors.T @ (u / np.linalg.norm(u, axis=0)))
            np.testing.assert_allclose(cosines, np.eye(2), atol=1e-7)


def test_a_model_as_start_goes_on():
    x = dense(drawn((6, 5, 4), 3)) + 0.1
    whole = tc.cp_als(x, 3, max_iterations=20, tol=0)
    half = tc.cp_als(x, 3, max_iterations=12, tol=0)
    rest = tc.cp_als(x, 3, start=half.model, max_iterations=8, tol=0)
    np.testing.assert_allclose(rest.loss_history, whole.loss_history[12:], rtol=1e-8)


@pytest.mark.parametrize("method", ["als", "lm", "lbfgs"])
def test_an_interrupt_gives_the_model_so_far(method):
    x = dense(drawn((6, 5, 4), 3)) + np.random.default_rng(0).standard_normal((6, 5, 4))
    seen = []

    def press(entry):
        seen.append(entry.value)
        if entry.iteration == 4:
            raise KeyboardInterrupt

    run = tc.cp_als if method == "als" else tc.cp_opt
    options = {} if method == "als" else {"method": method}
    made = run(x, 3, progress=press, starts=5, **options)
    assert made.message == "interrupted" and not made.converged
    assert made.iterations == 4 and len(made.start_losses) == 1
    assert made.loss == pytest.approx(np.linalg.norm(x - made.model.to_dense()) ** 2)
    assert made.loss == pytest.approx(min(seen))


@pytest.mark.parametrize("method", ["lm", "lbfgs"])
def test_an_interrupt_before_the_first_iteration(method, monkeypatch: pytest.MonkeyPatch):
    from tensorcalculus.fit import driver

    def pressed(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(driver.METHODS, method, pressed)
    x = dense(drawn((6, 5, 4), 3))
    made = tc.cp_opt(x, 3, method=method)
    assert made.message == "interrupted" and made.iterations == 0
    assert made.loss == pytest.approx(np.linalg.norm(x - made.model.to_dense()) ** 2)
    assert "interrupted" in repr(made)


def test_limit_of_time():
    x = np.random.default_rng(0).standard_normal((6, 5, 4))
    for run in (tc.cp_als, tc.cp_opt):
        assert "max_seconds" in run(x, 2, max_seconds=1e-9, tol=0).message


def test_zero_and_rank_one():
    made = tc.cp_als(np.zeros((3, 4, 5)), 2)
    assert made.fit == 1.0 and not numpy_of(made.model.to_dense()).any() and made.converged
    x = dense(drawn((3, 4, 5), 1))
    for run in (tc.cp_als, tc.cp_opt):
        assert run(x, 1).fit > 1 - 1e-6
    for method in ("lm", "lbfgs"):
        made = tc.cp_opt(np.zeros((3, 4, 5)), 2, method=method)
        assert made.loss == 0 and made.converged and made.diagnosis.sound
    assert tc.cp_als(np.arange(24).reshape(2, 3, 4), 3).fit > 0.999


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rank": 0}, InputError, "rank: a positive integer is expected, not 0"),
        ({"rank": 2.0}, InputError, "rank: a positive integer"),
        ({"rank": 13}, InputError, "rank: 13 is more than any tensor of shape (3, 4, 5) needs"),
        ({"X": np.ones(3)}, ShapeError, "cp_als: at least 2 axes"),
        ({"X": np.full((3, 4), np.nan)}, InputError, "holds NaN or inf; tc.gcp(X, rank, mask="),
        ({"X": np.ones((3, 0, 4))}, ShapeError, "none of length 0"),
        ({"start": "svd"}, InputError, "start: 'random', 'hosvd', 'nvecs', a tn.CP"),
        ({"start": 3}, InputError, "not int"),
        ({"start": drawn((3, 4, 5), 3)}, ShapeError, "start: factors of shapes [(3, 2), (4, 2)"),
        ({"start": [np.full((n, 2), np.nan) for n in (3, 4, 5)]}, InputError, "NaN"),
        ({"start": drawn((3, 4, 5), 2), "nonnegative": [1]}, InputError, "negative entries"),
        ({"start": drawn((3, 4, 5), 2), "starts": 2}, InputError, "one start only"),
        ({"starts": 0}, InputError, "starts"),
        ({"nonnegative": [3]}, InputError, "a list of modes from 0 to 2"),
        ({"nonnegative": 1.5}, InputError, "a list of modes"),
        ({"l2": -1}, InputError, "l2: a finite number that is not negative"),
        ({"tol": np.nan}, InputError, "tol"),
        ({"max_iterations": 0}, InputError, "max_iterations"),
        ({"max_seconds": 0}, InputError, "max_seconds"),
        ({"seed": -1}, InputError, "seed"),
        ({"progress": 3}, TypeError, "progress"),
        ({"X": np.ones((3, 4, 5)) + 0j, "nonnegative": True}, InputError, "complex"),
    ],
)  # fmt: skip
def test_errors(change, error, message):
    given_to_it = {"X": np.ones((3, 4, 5)), "rank": 2, **change}
    with pytest.raises(error) as caught:
        tc.cp_als(**given_to_it)
    assert message in str(caught.value)


def test_errors_of_cp_opt():
    x = np.ones((3, 4, 5))
    with pytest.raises(InputError, match="method: 'lm' or 'lbfgs' is expected, not 'als'"):
        tc.cp_opt(x, 2, method="als")
    with pytest.raises(InputError, match="'lm' has no bounds"):
        tc.cp_opt(x, 2, nonnegative=True)
    with pytest.raises(InputError, match="complex arrays"):
        tc.cp_opt(x + 0j, 2)


def test_the_array_is_not_changed():
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    before = x.copy()
    tc.cp_als(x, 2, max_iterations=5)
    tc.cp_opt(x, 2, max_iterations=5)
    np.testing.assert_array_equal(x, before)


def test_starts_are_not_the_numbers_that_users_draw():
    from tensorcalculus.fit.mttkrp import DenseData
    from tensorcalculus.fit.start import start_factors

    rng = np.random.default_rng(0)
    mine = rng.standard_normal((4, 2))
    made = start_factors(DenseData(np.ones((4, 3))), 2, "random", frozenset(), 0, 0)
    cosines = np.sum(mine * made[0], axis=0) / np.linalg.norm(mine, axis=0)
    assert (np.abs(cosines / np.linalg.norm(made[0], axis=0)) < 0.99).all()

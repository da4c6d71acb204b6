"""Generalised CP of dense arrays: gradients, optima, arguments, results."""

import numpy as np
import pytest
from fit_data import LIBRARIES, given_to
from gcp_data import LOSSES, data_for, dense_loss, dense_model, factors_for, slope_along

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.fit.generalized import dense_cells
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.start import first_factors
from tensorcalculus.fit.losses import Loss

SHAPES = [(7, 5), (4, 3, 5), (3, 4, 2, 3), (2, 3, 2, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("masked", [False, True])
def test_value_and_gradients(shape: tuple, name: str, masked: bool) -> None:
    loss = LOSSES[name]
    x, factors = data_for(loss, shape), factors_for(loss, shape, 3)
    rng = np.random.default_rng(2)
    mask = rng.integers(0, 3, shape).astype(float) if masked else None
    if mask is not None:
        x = np.where(mask != 0, x, np.nan)
    filled = np.where(np.isfinite(x), x, 0.0)
    cells = DenseCells(filled, loss, mask)
    value, gradients = cells.value_gradients(factors)
    assert value == pytest.approx(dense_loss(loss, x, factors, mask), rel=1e-12)
    assert cells.count == (x.size if mask is None else np.count_nonzero(mask))
    directions = [rng.standard_normal(u.shape) for u in factors]
    found = sum(float(np.vdot(g, d)) for g, d in zip(gradients, directions, strict=True))
    numeric = slope_along(lambda u: dense_loss(loss, filled, u, mask), factors, directions)
    assert found == pytest.approx(numeric, rel=1e-7, abs=1e-7 * abs(value))


@pytest.mark.parametrize("tile", [1, 7, 20, 1000])
def test_tiles_of_any_size_give_one_result(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LOSSES["poisson"]
    x, factors = data_for(loss, (4, 3, 5)), factors_for(loss, (4, 3, 5), 2)
    whole, expected = DenseCells(x, loss).value_gradients(factors)
    monkeypatch.setattr(dense_cells, "TILE", tile)
    value, gradients = DenseCells(x, loss).value_gradients(factors)
    assert value == pytest.approx(whole, rel=1e-13)
    for found, told in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, told, rtol=1e-12)


def test_data_of_single_precision_are_read_as_they_are() -> None:
    loss = LOSSES["gaussian"]
    x, factors = data_for(loss, (4, 3, 5)), factors_for(loss, (4, 3, 5), 2)
    value, _ = DenseCells(x.astype(np.float32), loss).value_gradients(factors)
    rounded = float(np.sum((x.astype(np.float32) - dense_model(factors)) ** 2))
    assert value == pytest.approx(rounded, rel=1e-13)


def test_gaussian_fits_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(3)
    x = dense_model([rng.standard_normal((n, 2)) for n in (8, 7, 6)])
    x += 0.1 * rng.standard_normal(x.shape)
    result = tc.gcp(x, 2, tol=1e-7)
    other = tc.cp_opt(x, 2)
    assert result.converged
    assert result.value == pytest.approx(other.loss, rel=1e-7)
    assert result.model.match(other.model).congruence > 1 - 1e-6


def test_poisson_of_one_component_has_a_closed_form() -> None:
    """``m = prod of marginal sums/total^(d-1)``: the model of independence."""
    rng = np.random.default_rng(4)
    x = rng.poisson(3.0, (5, 6, 4)).astype(float)
    result = tc.gcp(x, 1, loss="poisson", tol=1e-10)
    sums = [x.sum(axis=tuple(j for j in range(3) if j != k)) for k in range(3)]
    expected = np.einsum("i,j,k->ijk", *sums) / x.sum() ** 2
    np.testing.assert_allclose(result.model.to_dense(), expected, rtol=1e-6)


def test_nonnegative_matrices_reach_the_minimum_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(5)
    x = rng.poisson(rng.gamma(1.0, 3.0, (12, 3)) @ rng.gamma(1.0, 1.0, (3, 10))).astype(float)
    start = [rng.uniform(0.5, 1.5, (12, 3)), rng.uniform(0.5, 1.5, (10, 3))]
    nmf = decomposition.NMF(
        3, beta_loss="kullback-leibler", solver="mu", init="custom", max_iter=20000, tol=0
    )
    w = nmf.fit_transform(x, W=start[0].copy(), H=start[1].T.copy())
    best = tc.Loss.named("poisson").pair(x, w @ nmf.components_)[0].sum()
    result = tc.gcp(x, 3, loss="poisson", start=start, tol=1e-8, max_iterations=5000)
    assert result.value <= best + 1e-4 * abs(best)


def test_masked_cells_do_not_matter() -> None:
    rng = np.random.default_rng(6)
    factors = [rng.standard_normal((n, 2)) for n in (9, 8, 7)]
    x = dense_model(factors)
    mask = rng.uniform(size=x.shape) < 0.6
    holed = np.where(mask, x, np.nan)
    result = tc.gcp(holed, 2, mask=mask, tol=1e-10, starts=3)
    np.testing.assert_allclose(result.model.to_dense(), x, atol=1e-5)
    assert result.cells == int(mask.sum())
    assert result.score(holed, mask=mask) == pytest.approx(-result.value / mask.sum())


def test_outliers_move_huber_less_than_gaussian() -> None:
    rng = np.random.default_rng(7)
    truth = tn.CP([rng.standard_normal((n, 2)) for n in (10, 9, 8)])
    x = np.array(truth.to_dense())
    x[rng.uniform(size=x.shape) < 0.05] += 20
    robust = tc.gcp(x, 2, loss="huber", parameters={"delta": 0.1}, starts=3)
    plain = tc.gcp(x, 2, starts=3)
    assert robust.model.match(truth).congruence > 0.99 > plain.model.match(truth).congruence


@pytest.mark.parametrize("library", LIBRARIES)
def test_factors_are_arrays_of_the_library_of_the_data(library: str) -> None:
    x = data_for(LOSSES["gaussian"], (4, 3, 5))
    result = tc.gcp(given_to(library, x), 2)
    assert type(result.factors[0]) is type(given_to(library, x))
    assert result.value == pytest.approx(tc.gcp(x, 2).value, rel=1e-9)


def test_results_tell_predict_and_come_back_from_files(tmp_path) -> None:
    x = data_for(LOSSES["bernoulli"], (6, 5, 4))
    result = tc.gcp(x, 2, loss="bernoulli", seed=1)
    assert np.all(np.diff(result.loss_history) <= 0)
    assert result.value == pytest.approx(dense_loss(result.loss, x, result.model.factors))
    m = dense_model(result.model.factors)
    cells = np.array([[0, 0, 0], [5, 4, 3], [2, 1, 0]])
    odds = m[tuple(cells.T)]
    np.testing.assert_allclose(result.predict(cells), odds / (1 + odds), rtol=1e-12)
    np.testing.assert_allclose(result.predict(), m / (1 + m), rtol=1e-12)
    assert "bernoulli" in repr(result) and "<table>" in result._repr_html_()
    back = tc.GCPFit.load(result.save(tmp_path / "model"))
    assert repr(back) == repr(result)
    np.testing.assert_array_equal(back.loss_history, result.loss_history)
    np.testing.assert_array_equal(back.predict(cells), result.predict(cells))
    with pytest.raises(tc.InputError, match="outside of the shape"):
        result.predict([[6, 0, 0]])
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(tc.InputError, match="holds no fit"):
        tc.GCPFit.load(tmp_path / "other.npz")


def test_a_seed_gives_one_result_and_starts_take_the_best() -> None:
    x = data_for(LOSSES["poisson"], (6, 5, 4))
    one, two = (tc.gcp(x, 3, loss="poisson", seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.factors[0], two.factors[0])
    several = tc.gcp(x, 3, loss="poisson", seed=5, starts=4)
    assert len(several.start_values) == 4 and several.value == min(several.start_values)
    assert several.value <= one.value


def test_starts_in_threads_give_what_one_after_the_other_gives() -> None:
    x = data_for(LOSSES["poisson"], (6, 5, 4))
    one, two = (tc.gcp(x, 3, loss="poisson", starts=4, n_jobs=n) for n in (1, 3))
    assert one.start_values == two.start_values
    np.testing.assert_array_equal(one.factors[1], two.factors[1])
    with pytest.raises(tc.InputError, match="n_jobs"):
        tc.gcp(x, 3, starts=2, n_jobs=0)
    with pytest.raises(tc.InputError, match="n_jobs=1"):
        tc.gcp(x, 3, starts=2, n_jobs=2, checkpoint="here.npz")


def test_an_interrupt_ends_starts_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorcalculus.fit.generalized import driver

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "wait", interrupted)
    x = data_for(LOSSES["poisson"], (30, 20, 20))
    result = tc.gcp(x, 5, loss="poisson", starts=3, n_jobs=2, tol=0, max_iterations=100_000)
    assert result.message == "interrupted" and np.isfinite(result.value)


def test_large_counts_in_a_logarithmic_model_start_in_range() -> None:
    rng = np.random.default_rng(8)
    x = rng.poisson(5000.0, (6, 5, 4)).astype(float)
    result = tc.gcp(x, 1, loss="poisson-log")
    assert np.isfinite(result.loss_history).all()
    np.testing.assert_allclose(result.predict([[0, 0, 0]]), 5000, rtol=0.2)


def test_interrupts_give_the_model_so_far() -> None:
    def stop(entry) -> None:
        if entry.iteration == 3:
            raise KeyboardInterrupt

    result = tc.gcp(data_for(LOSSES["gaussian"], (6, 5, 4)), 2, progress=stop)
    assert result.message == "interrupted" and not result.converged
    assert len(result.record) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank: a positive integer"),
        ({"rank": 500}, "rank: 500 is more"),
        ({"loss": "poisson", "x": -np.ones((3, 4))}, "not negative; the data hold -1"),
        ({"x": np.array([[1.0, np.nan], [2.0, 3.0]])}, "NaN"),
        ({"method": "newton"}, "method"),
        ({"loss": "poisson", "nonnegative": False}, "leave nonnegative=None"),
        ({"mask": np.ones((2, 2))}, "mask"),
        ({"start": [np.ones((3, 2))] * 3}, "start"),
        ({"parameters": {"delta": 1}}, "has no parameter"),
        ({"tol": -1}, "tol"),
        ({"starts": 0}, "starts"),
        ({"x": np.ones(3)}, "at least 2 axes"),
    ],
)
def test_what_cannot_be_fitted_is_refused(arguments: dict, message: str) -> None:
    given = {"x": np.ones((6, 5, 4)), "rank": 2, **arguments}
    with pytest.raises((tc.InputError, tc.ShapeError), match=message):
        tc.gcp(given.pop("x"), given.pop("rank"), **given)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_bounds_and_large_data_do_not_pass_for_convergence(scale):
    # All slopes point to the bounds and are far larger than the factors: not a minimum.
    rng = np.random.default_rng(0)
    factors = [rng.random((n, 1)) + 0.1 for n in (5, 4, 6)]
    x = np.einsum("ir,jr,kr->ijk", *(scale * u for u in factors))
    made = tc.gcp(x, 1, nonnegative=True, start=[2 * scale * u for u in factors])
    assert made.converged and made.value < 1e-9 * np.sum(x**2)


def test_starts_have_columns_of_one_norm_in_all_modes():
    # Of these nearly collinear components the fit took 381 iterations; with random columns whose
    # norms were those of their lengths, 1000 were not enough.
    rng = np.random.default_rng(1)
    x = 1e3 * np.einsum("ir,jr,kr->ijk", *(rng.random((n, 3)) + 1.0 for n in (4, 90, 40)))
    loss = Loss.named("gaussian")
    start = first_factors(DenseCells(x, loss), 3, loss, frozenset(), "random", 0, 0)
    norms = np.array([np.linalg.norm(u, axis=0) for u in start])
    np.testing.assert_allclose(norms, norms[:1].repeat(3, 0))
    model = np.einsum("ir,jr,kr->ijk", *start)
    assert 0.1 < np.linalg.norm(model) / np.linalg.norm(x) < 10
    assert tc.gcp(x, 3).converged

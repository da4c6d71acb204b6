"""What fits say about themselves: degeneracy, swamps, core consistency; results as objects."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import pytest
from fit_data import as_cp, border, dense, drawn, given_to, per_library

import tensorcalculus as tc
from tensorcalculus.errors import ShapeError
from tensorcalculus.fit.trouble import LONG, growing, swamps
from tensorcalculus.networks import CP

# -- border rank ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 6])
@pytest.mark.parametrize("method", ["als", "lm", "lbfgs"])
def test_the_tensor_of_border_rank_two_ends_in_a_diagnosis(n, method):
    x = border(n)
    with pytest.warns(tc.DegeneracyWarning, match="components 0 and 1 cancel each other"):
        made = tc.cp_als(x, 2) if method == "als" else tc.cp_opt(x, 2, method=method)
    told = made.diagnosis
    assert told.degenerate and told.opposite == ((0, 1),) and not made.converged
    # The components grow against each other, and the fit gets better with them.
    sizes = np.array([entry.growth for entry in made.record])
    assert sizes[-1] > 2 and sizes[-1] > sizes[len(sizes) // 2]
    assert made.loss_history[-1] < made.loss_history[len(sizes) // 2]
    norms = np.prod([np.linalg.norm(u, axis=0) for u in made.model.factors], axis=0)
    expected = np.linalg.norm(norms) / np.linalg.norm(made.model.to_dense())
    assert told.components.growth == pytest.approx(expected, rel=1e-6)
    for word in ("a lower rank", "nonnegative=True", "l2", "Tucker", "border rank"):
        assert word in str(told)
    assert "degenerate" in repr(made)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_seen_from_every_start_and_early(seed):
    for n in (2, 6):
        with pytest.warns(tc.DegeneracyWarning):
            tc.cp_als(border(n), 2, max_iterations=200, seed=seed)


def test_components_that_cancel_but_have_a_minimum():
    # An exact model of two nearly opposite components: the fit crawls there, they grow, and yet
    # nothing diverges, as steps of Levenberg-Marquardt beyond the model show.
    rng = np.random.default_rng(1)
    b = rng.standard_normal((3, 6))
    moved = b + 0.1 * np.random.default_rng(2).standard_normal((3, 6))
    factors = [np.stack([v, u], axis=1) for u, v in zip(b, moved, strict=True)]
    factors[0] = factors[0] * [1, -1]
    x = dense(factors)
    crawling = tc.cp_als(x, 2)
    assert not crawling.converged and not crawling.diagnosis.degenerate
    assert crawling.diagnosis.trapped
    exact = tc.cp_opt(x, 2)
    assert exact.converged and not exact.diagnosis.degenerate
    assert exact.model.match(as_cp(factors)).congruence > 1 - 1e-9
    assert exact.record[-1].growth > crawling.record[-1].growth > 2


def test_complex_and_constrained_fits_are_judged_by_their_record():
    with pytest.warns(tc.DegeneracyWarning):
        made = tc.cp_als(border() * (1 + 1j), 2)
    assert made.diagnosis.degenerate
    assert not tc.cp_als(border() + 0j, 3).diagnosis.degenerate


@pytest.mark.parametrize("method", ["als", "lm", "lbfgs"])
@pytest.mark.parametrize("cure", [{"l2": 1e-3}, {"nonnegative": True}, {"rank": 3}])
def test_each_cure_works(method, cure):
    if method == "lm" and "nonnegative" in cure:
        return
    options: dict[str, Any] = {"rank": 2, "seed": 1, **cure}
    with warnings.catch_warnings():
        warnings.simplefilter("error", tc.DegeneracyWarning)
        if method == "als":
            made = tc.cp_als(border(), **options)
        else:
            made = tc.cp_opt(border(), method=method, tol=1e-7, **options)
    assert made.converged and not made.diagnosis.degenerate
    if "rank" in cure:  # exact models of rank 3 are many, large ones among them
        assert made.fit > 0.9999
    else:
        assert made.weights.max() < 3 * np.linalg.norm(border())
    if cure == {"nonnegative": True}:
        assert made.loss == pytest.approx(1.0)  # one of the three terms, as b and b may not cancel


def test_partly_non_negative_factors_may_diverge_too():
    rng = np.random.default_rng(0)
    x = dense([np.abs(u) for u in drawn((8, 7, 6), 3, 1)])
    x = x + 0.5 * rng.standard_normal(x.shape)
    with pytest.warns(tc.DegeneracyWarning) as caught:
        tc.cp_als(x, 4, nonnegative=[0, 2])
    assert "nonnegative=True" not in str(caught[0].message)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_said_of_sound_fits(seed):
    x = dense(drawn((12, 11, 10), 4, seed))
    x = x + 0.2 * np.random.default_rng(seed).standard_normal(x.shape)
    for run in (tc.cp_als, tc.cp_opt):
        made = run(x, 4, seed=seed, starts=2)
        assert made.converged and made.diagnosis.sound
        if not made.diagnosis.swamps:
            assert str(made.diagnosis) == "nothing is wrong"


def test_three_components_that_cancel_without_opposite_pairs():
    angles = 2 * np.pi * np.arange(3) / 3
    star = np.stack([np.cos(angles), np.sin(angles)])
    # Columns that sum to nearly nothing, in one mode; the others are nearly equal.
    near = np.ones((2, 3)) + 1e-3 * np.arange(6).reshape(2, 3)
    told = CP([100 * star, near, near]).diagnose()
    assert told.cancelling and not told.diverging and "several cancel together" in str(told)
    told = CP(drawn((8, 8, 8), 3)).diagnose()
    assert not told.cancelling and not told.diverging


def test_growth_by_its_exponent():
    steps = np.arange(1, 301)
    assert growing(2 * steps**0.25)
    assert not growing(5 - 2.0 / steps)  # tends to a limit
    assert not growing(3 + 0 * steps) and not growing(1e3 / steps)
    assert not growing((2 * steps**0.25)[: LONG - 1])


# -- swamps --------------------------------------------------------------------------------------


def errors_of(*stretches: tuple[int, float]) -> np.ndarray:
    """Losses whose error falls by a rate for a number of iterations, and so on."""
    rates = np.concatenate([np.full(count, rate) for count, rate in stretches])
    return np.cumprod(np.concatenate([[1.0], 1 - rates])) ** 2


def test_a_plateau_that_is_left():
    found, ended = swamps(errors_of((30, 0.2), (200, 1e-4), (60, 0.3)), 0.0)
    assert found == [(31, 231)] and not ended


def test_a_plateau_that_is_not_left():
    found, ended = swamps(errors_of((30, 0.2), (400, 1e-4)), 0.0)
    assert found == [(31, 431)] and ended


def test_slow_progress_throughout():
    found, _ = swamps(errors_of((1500, 5e-3)), 0.0)
    assert len(found) == 1 and found[0][0] == 1


def test_no_swamps():
    assert swamps(errors_of((200, 0.05)), 0.0) == ([], False)
    assert swamps(errors_of((20, 1e-4)), 0.0) == ([], False)
    # Noise is all that is left: what remains to fall is nothing.
    assert swamps(1 + errors_of((60, 0.3), (300, 1e-5)), 0.0) == ([], False)
    # Rounding errors.
    flat = np.concatenate([errors_of((60, 0.3)), np.full(200, 1e-20)])
    assert swamps(flat, 1e-18) == ([], False)
    assert swamps([0.0] * 100, 0.0) == ([], False)


# -- core consistency and matching ---------------------------------------------------------------


@per_library
def test_core_consistency_is_that_of_the_least_squares_core(library):
    rng = np.random.default_rng(0)
    x, factors = rng.standard_normal((5, 6, 4)), drawn((5, 6, 4), 3)
    basis = np.einsum("ia,jb,kc->ijkabc", *factors).reshape(x.size, -1)
    core = np.linalg.lstsq(basis, x.reshape(-1), rcond=None)[0].reshape(3, 3, 3)
    ideal = np.zeros((3, 3, 3))
    ideal[range(3), range(3), range(3)] = 1
    expected = 100 * (1 - ((core - ideal) ** 2).sum() / 3)
    model = CP([given_to(library, u) for u in factors])
    assert model.core_consistency(given_to(library, x)) == pytest.approx(expected, rel=1e-8)
    assert model.core_consistency(model.to_dense()) == pytest.approx(100)
    with pytest.raises(ShapeError, match=r"shape \(5, 6, 4\) is expected"):
        model.core_consistency(x[:4] if library == "numpy" else given_to(library, x[:4]))
    assert CP(drawn((2, 6, 4), 3)).core_consistency(x[:2]) is None


def test_match_is_blind_to_order_signs_and_scales():
    factors = drawn((6, 5, 4), 4)
    order, signs = [2, 0, 3, 1], np.array([1, -1, 1, -1])
    a, b, c = [u[:, order] for u in factors]
    told = as_cp(factors).match(CP([a * signs, b * [3, 1, 1, 1], c * signs / [3, 1, 1, 1]]))
    assert told.congruence == pytest.approx(1) and told.score == pytest.approx(1)
    np.testing.assert_array_equal(np.array(order)[told.order], range(4))
    np.testing.assert_allclose(told.congruences, 1)
    # Components of twice the norm: half of the score, all of the congruence.
    told = as_cp(factors).match(as_cp([2 * factors[0], *factors[1:]]))
    assert told.congruence == pytest.approx(1) and told.score == pytest.approx(0.5)


def test_match_of_models_that_differ():
    factors = drawn((6, 5, 4), 3)
    fewer = as_cp([u[:, :2] for u in factors])
    told = as_cp(factors).match(fewer)
    assert told.congruence == pytest.approx(2 / 3) and told.order.tolist() == [0, 1, -1]
    told = fewer.match(as_cp(factors))
    assert told.congruence == pytest.approx(2 / 3) and told.order.tolist() == [0, 1]
    # A flipped sign in one mode only is another component.
    flipped = as_cp([-factors[0], *factors[1:]])
    assert as_cp(factors).match(flipped).congruence < 0.5
    # By hand: the product of the cosines, for one component each.
    u, v = drawn((6, 5, 4), 1, 1), drawn((6, 5, 4), 1, 2)
    cosines = [
        (a.T @ b).item() / (np.linalg.norm(a) * np.linalg.norm(b))
        for a, b in zip(u, v, strict=True)
    ]
    assert as_cp(u).match(as_cp(v)).congruence == pytest.approx(np.prod(cosines))
    with pytest.raises(ShapeError, match="match: shapes"):
        as_cp(u).match(as_cp(drawn((6, 5), 1)))


# -- the result ----------------------------------------------------------------------------------


def test_result_is_frozen_and_readable():
    made = tc.cp_als(dense(drawn((6, 5, 4), 2)) + 0.1, 2, starts=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.fit = 1.0  # type: ignore[misc]
    text = repr(made)
    assert "CP of rank 2, 6 x 5 x 4" in text and "best of 3 starts" in text
    assert "converged  yes: the relative gradient" in text and "nothing is wrong" in text
    assert "<table>" in made._repr_html_()
    assert made.rank == 2 and made.explained == pytest.approx(1 - (1 - made.fit) ** 2)
    assert len(made.loss_history) == made.iterations == len(made.record)
    assert [entry.iteration for entry in made.record] == list(range(1, made.iterations + 1))


def test_plots(monkeypatch: pytest.MonkeyPatch):
    matplotlib = pytest.importorskip("matplotlib", reason="plots need matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with pytest.warns(tc.DegeneracyWarning):
        made = tc.cp_als(border(), 2, max_iterations=300)
    ax = made.plot()
    assert ax.get_xlabel() == "iteration" and made.plot(ax) is ax
    assert len(made.plot_mode(1).get_lines()) == 2
    assert made.plot_mode(0, ax=ax) is ax
    plt.close("all")
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        made.plot()


def test_progress(monkeypatch: pytest.MonkeyPatch):
    from rich.status import Status

    shown = []
    monkeypatch.setattr(Status, "start", lambda self: shown.append(str(self.status)))
    monkeypatch.setattr(Status, "update", lambda self, text: shown.append(text))
    x = dense(drawn((6, 5, 4), 2)) + 0.1
    tc.cp_als(x, 2)
    tc.cp_als(x, 2, progress=False)
    assert shown == []
    tc.cp_als(x, 2, progress=True)
    assert shown[0].startswith("CP of rank 2 by als: iteration 1, value ")

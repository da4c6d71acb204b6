"""Tucker models as fits: against plain HOOI, dense residuals, the tails of unfoldings."""

import numpy as np
import pytest
from fit_data import given_to, per_library

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import numpy_of


def unfolding(x, k):
    return np.moveaxis(x, k, 0).reshape(x.shape[k], -1)


def plain_hooi(x, ranks, sweeps):
    """HOOI as textbooks have it, from the sequentially truncated SVD; losses from the residual."""
    bases, rest = [], x
    for k, r in enumerate(ranks):
        bases.append(np.linalg.svd(unfolding(rest, k))[0][:, :r])
        rest = np.moveaxis(np.tensordot(bases[k], rest, (0, k)), 0, k)
    losses = []
    for _ in range(sweeps + 1):
        projected = x
        for k, u in enumerate(bases):
            projected = np.moveaxis(np.tensordot(u @ u.T, projected, (1, k)), 0, k)
        losses.append(np.linalg.norm(x - projected) ** 2)
        for k, r in enumerate(ranks):
            rest = x
            for j, u in enumerate(bases):
                if j != k:
                    rest = np.moveaxis(np.tensordot(u, rest, (0, j)), 0, j)
            bases[k] = np.linalg.svd(unfolding(rest, k))[0][:, :r]
    return losses


@per_library
def test_sweeps_are_those_of_plain_code(library):
    x = np.random.default_rng(0).standard_normal((5, 6, 7))
    made = tc.tucker(given_to(library, x), (2, 3, 4), tol=0, max_iterations=5)
    np.testing.assert_allclose(made.loss_history, plain_hooi(x, (2, 3, 4), 5), rtol=1e-9)
    assert made.model.ranks == (2, 3, 4) and made.iterations == 5 and not made.converged
    error = np.linalg.norm(x - numpy_of(made.model.to_dense()))
    assert made.loss == pytest.approx(error**2)
    assert made.fit == pytest.approx(1 - error / np.linalg.norm(x))
    assert "core 2 x 3 x 4" in repr(made) and "converged  no" in repr(made)


def test_hooi_converges_and_is_better_than_its_start():
    x = np.random.default_rng(1).standard_normal((6, 5, 4, 3))
    made = tc.tucker(x, 2)
    assert made.converged and made.model.ranks == (2, 2, 2, 2)
    assert (np.diff(made.loss_history) <= 1e-12 * made.loss_history[0]).all()
    direct = tc.tucker(x, 2, method="st-hosvd")
    assert direct.loss == pytest.approx(made.loss_history[0]) and direct.loss > made.loss
    # No model of these ranks beats the tail of an unfolding.
    tails = [np.sum(np.linalg.svd(unfolding(x, k))[1][2:] ** 2) for k in range(4)]
    assert max(tails) <= made.loss <= sum(tails)


def test_ranks_from_an_error():
    grid = np.linspace(0, 1, 12)
    x = 1 / (1 + grid[:, None, None] + grid[:, None] + grid)
    for error in (1e-3, 1e-6):
        made = tc.tucker(x, error=error)
        assert 1 - made.fit <= error
        assert 1 - tc.tucker(x, [r - 1 for r in made.model.ranks]).fit > error / 10
    assert tc.tucker(x, 2, error=1e-6).model.ranks == (2, 2, 2)
    exact = tc.tucker(x, 12, method="hosvd")
    assert exact.fit > 1 - 1e-13 and tc.tucker(np.zeros((3, 4)), 2).fit == 1


def test_errors():
    x = np.ones((3, 4))
    for options, message in [
        ({}, "give ranks=, or error="),
        ({"ranks": 0}, "ranks: 2 positive integers"),
        ({"ranks": (1, 2, 3)}, "ranks: 2 positive integers"),
        ({"ranks": 1, "method": "als"}, "hooi, randomised is expected"),
        ({"ranks": 1, "tol": -1}, "tol"),
        ({"ranks": 1, "max_iterations": 0}, "max_iterations"),
    ]:
        with pytest.raises(InputError, match=message):
            tc.tucker(x, **options)
    with pytest.raises(InputError, match="tucker: the array must be finite"):
        tc.tucker(x * np.nan, 1)

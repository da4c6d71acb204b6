"""The estimator: scikit-learn's manners, and projections against convex solvers."""

import numpy as np
import pytest
from gcp_data import LOSSES, data_for, dense_loss, dense_model

import tensorcalculus as tc


def test_transform_of_least_squares_is_a_linear_solve() -> None:
    x = data_for(LOSSES["gaussian"], (12, 6, 5))
    estimator = tc.GCP(rank=2, random_state=1).fit(x[:8])
    khatri_rao = np.einsum("jr,kr->jkr", *estimator.components_).reshape(-1, 2)
    expected = np.linalg.lstsq(khatri_rao, x[8:].reshape(4, -1).T, rcond=None)[0].T
    np.testing.assert_allclose(estimator.transform(x[8:]), expected, atol=1e-5)
    l2 = tc.GCP(rank=2, random_state=1, l2=0.7).fit(x[:8])
    khatri_rao = np.einsum("jr,kr->jkr", *l2.components_).reshape(-1, 2)
    gram = khatri_rao.T @ khatri_rao + 0.7 * np.eye(2)
    ridge = np.linalg.solve(gram, khatri_rao.T @ x[8:].reshape(4, -1).T).T
    np.testing.assert_allclose(l2.transform(x[8:]), ridge, atol=1e-5)


def test_transform_of_the_training_data_gives_the_first_factor() -> None:
    rng = np.random.default_rng(1)
    x = rng.poisson(dense_model([rng.gamma(0.5, 3.0, (n, 2)) for n in (15, 9, 8)])).astype(float)
    estimator = tc.GCP(rank=2, loss="poisson", tol=1e-8).fit(x)
    found = estimator.transform(x)
    np.testing.assert_allclose(found, estimator.result_.model.factors[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        estimator.inverse_transform(found), estimator.result_.model.to_dense(), rtol=2e-3, atol=1e-3
    )
    expected = -dense_loss(estimator.result_.loss, x, [found, *estimator.components_]) / x.size
    assert estimator.score(x) == pytest.approx(expected)
    assert estimator.fit_transform(x).shape == (15, 2)


def test_masked_samples() -> None:
    rng = np.random.default_rng(2)
    truth = [rng.standard_normal((n, 2)) for n in (12, 7, 6)]
    x = dense_model(truth)
    estimator = tc.GCP(rank=2, tol=1e-10, starts=3).fit(x[:8])
    mask = rng.uniform(size=(4, 7, 6)) < 0.5
    found = estimator.transform(np.where(mask, x[8:], np.nan), mask=mask)
    np.testing.assert_allclose(estimator.inverse_transform(found), x[8:], atol=1e-4)


def test_it_is_an_estimator_of_scikit_learn() -> None:
    base = pytest.importorskip("sklearn.base")
    selection = pytest.importorskip("sklearn.model_selection")
    estimator = tc.GCP(rank=3, loss="poisson", l2=0.1)
    assert base.clone(estimator).get_params() == estimator.get_params()
    rng = np.random.default_rng(3)
    x = rng.poisson(dense_model([rng.gamma(0.4, 4.0, (n, 2)) for n in (24, 6, 5)]))
    search = selection.GridSearchCV(tc.GCP(loss="poisson"), {"rank": [1, 2]}, cv=3).fit(x)
    assert search.best_params_ == {"rank": 2}


def test_errors() -> None:
    x = data_for(LOSSES["gaussian"], (6, 5, 4))
    with pytest.raises(tc.InputError, match="not fitted"):
        tc.GCP().transform(x)
    with pytest.raises(tc.ShapeError, match=r"samples of shape \(5, 4\)"):
        tc.GCP().fit(x).transform(x[:, :4])


def test_other_libraries_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import importlib

    import tensorcalculus.fit.estimator as module

    real = builtins.__import__

    def without(name: str, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    try:
        plain = importlib.reload(module).GCP(rank=2)
        assert plain.set_params(rank=3).get_params()["rank"] == 3
        assert plain.fit_transform(data_for(LOSSES["gaussian"], (6, 5, 4))).shape == (6, 3)
        with pytest.raises(ValueError, match="no parameter"):
            plain.set_params(rnk=3)
    finally:
        monkeypatch.undo()
        importlib.reload(module)

"""Models fitted to data that scikit-learn ships, compared with scikit-learn's solutions."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc

datasets = pytest.importorskip(
    "sklearn.datasets", reason="scikit-learn is not installed: no data and no solutions to compare"
)
NEWTON = [None, "newton-cg"]


def standardised(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=0)) / X.std(axis=0)


def with_ones(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns after one of ones, and penalties that leave that one alone."""
    X = np.column_stack([np.ones(len(X)), X])
    c = np.ones(X.shape[1])
    c[0] = 0.0
    return X, c


@pytest.mark.parametrize("method", NEWTON)
def test_logistic_regression(method: str | None):
    from sklearn.linear_model import LogisticRegression

    bunch = datasets.load_breast_cancer()
    features = standardised(bunch.data)
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    model.fit(features, bunch.target)
    X, c = with_ones(features)
    f = tc.parse("sum(log(1+exp(-y.*(X*w))))+sum(c.*w.^2)/2", X="m n", y="m", w="n", c="n")
    data = {"X": X, "y": 2.0 * bunch.target - 1, "c": c}
    result = tc.minimize(f, "w", data, method=method, tol=1e-11)
    assert result.converged, result.message
    expected = np.append(model.intercept_, model.coef_[0])
    np.testing.assert_allclose(result["w"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", NEWTON)
def test_poisson_regression(method: str | None):
    """How many pixels of a digit are black, from those of its upper half."""
    from sklearn.linear_model import PoissonRegressor

    pixels = datasets.load_digits().data
    upper = pixels[:, :32]
    features = standardised(upper[:, upper.std(axis=0) > 1])
    counts = (pixels > 12).sum(axis=1).astype(float)
    model = PoissonRegressor(alpha=1e-2, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    model.fit(features, counts)
    X, c = with_ones(features)
    f = tc.parse("mean(exp(X*w)-y.*(X*w))+a*sum(c.*w.^2)/2", X="m n", y="m", w="n", c="n", a="")
    result = tc.minimize(f, "w", {"X": X, "y": counts, "c": c, "a": 1e-2}, method=method, tol=1e-11)
    assert result.converged, result.message
    expected = np.append(model.intercept_, model.coef_)
    np.testing.assert_allclose(result["w"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", [*NEWTON, "gauss-newton", "lbfgs"])
def test_ridge_regression(method: str | None):
    from sklearn.linear_model import Ridge

    bunch = datasets.load_diabetes()
    X, c = with_ones(standardised(bunch.data))
    model = Ridge(alpha=2.0, solver="cholesky").fit(X[:, 1:], bunch.target)
    f = tc.parse("norm2(X*w-y)^2+2*sum(c.*w.^2)", X="m n", y="m", w="n", c="n")
    result = tc.minimize(f, "w", {"X": X, "y": bunch.target, "c": c}, method=method, tol=1e-11)
    expected = np.append(model.intercept_, model.coef_)
    # L-BFGS ends where values no longer differ: the root of the rounding error in the variables.
    accuracy = 1e-5 if method == "lbfgs" else 1e-8
    np.testing.assert_allclose(result["w"], expected, rtol=0, atol=accuracy)


@pytest.mark.parametrize("method", ["newton-cg", "lbfgs"])
def test_non_negative_factors(method: str):
    from sklearn.decomposition import non_negative_factorization

    T = datasets.load_digits().data[:300]
    rng = np.random.default_rng(0)
    U, V = 3 * rng.random((300, 6)), 3 * rng.random((64, 6))
    W, H, _ = non_negative_factorization(
        T, W=U.copy(), H=V.T.copy(), init="custom", n_components=6, tol=1e-6, max_iter=1000
    )
    theirs = np.linalg.norm(T - W @ H) ** 2
    f = tc.parse("norm2(T-U*V')^2", T="m n", U="m k nonneg", V="n k nonneg")
    result = tc.minimize(f, ["U", "V"], {"T": T}, {"U": U, "V": V}, method=method, tol=1e-7)
    assert result.converged, result.message
    assert result.value <= theirs * (1 + 1e-3)
    # The Karush-Kuhn-Tucker conditions: feasible, gradient non-negative, zero where inside.
    for name in "UV":
        x, g = result[name], f.gradient(name)(T=T, **result.values)
        scale = np.abs(f.gradient(name)(T=T, U=U, V=V)).max()
        assert (x >= 0).all()
        assert g.min() >= -1e-6 * scale
        assert np.abs(np.minimum(x, g)).max() <= 1e-6 * scale


def test_matrix_completion():
    T = datasets.load_digits().data[:400] / 16
    W = (np.random.default_rng(1).random(T.shape) < 0.7).astype(float)
    f = tc.parse(
        "norm2(W.*(T-U*V'))^2+c*(norm2(U)^2+norm2(V)^2)", T="m n", W="m n", U="m k", V="n k", c=""
    )
    hidden = W == 0
    mean = (W * T).sum(axis=0) / W.sum(axis=0)
    baseline = np.mean((T - mean)[hidden] ** 2)
    for method in ("newton-cg", "lbfgs", "gauss-newton"):
        data = {"T": W * T, "W": W, "c": 1.0, "k": 8}
        result = tc.minimize(f, ["U", "V"], data, method=method, tol=1e-7)
        assert result.converged, result.message
        for name in "UV":
            assert np.abs(f.gradient(name)(T=W * T, W=W, c=1.0, **result.values)).max() < 1e-3
        error = np.mean((T - result["U"] @ result["V"].T)[hidden] ** 2)
        assert error < 0.6 * baseline, (method, error, baseline)


@pytest.mark.parametrize("method", [None, "lbfgs"])
def test_gaussian_process(method: str | None):
    """Scale, length and noise of a kernel: disease progression against body mass index."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    bunch = datasets.load_diabetes()
    x, y = standardised(bunch.data[:120, [2]]), standardised(bunch.target[:120])
    wide = (1e-6, 1e6)
    kernel = ConstantKernel(1, wide) * RBF(1, wide) + WhiteKernel(1, wide)
    model = GaussianProcessRegressor(kernel, alpha=0).fit(x, y)
    f = tc.parse(
        "(logdet(K)+y'*solve(K,y)+m*log(2*pi))/2 where K = exp(a-D/2*exp(-2*l))+exp(s)*eye",
        D="m m sym", y="m", a="", l="", s="",
    )  # fmt: skip
    start = {"a": 0.0, "l": 0.0, "s": 0.0}
    data = {"D": (x - x.T) ** 2, "y": y}
    result = tc.minimize(f, ["a", "l", "s"], data, start, method=method)
    assert result.converged, result.message
    best = -model.log_marginal_likelihood_value_
    assert result.value == pytest.approx(best, rel=1e-7)
    assert result.value <= best + 1e-9 * abs(best)
    theta = [float(result[name]) for name in "als"]
    np.testing.assert_allclose(theta, model.kernel_.theta, atol=2e-3)

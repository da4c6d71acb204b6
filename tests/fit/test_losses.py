"""The table of losses: values, derivatives, domains, what is polynomial where the data are 0."""

import numpy as np
import pytest
from scipy import stats

import tensorcalculus as tc
from tensorcalculus.fit.losses import ROWS, TABLE, as_loss

NAMES = [row.name for row in TABLE]
RNG = np.random.default_rng(0)
M = RNG.uniform(0.2, 3, 30)
COUNTS = RNG.poisson(2.0, 30).astype(float)


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_is_that_of_the_loss(name: str) -> None:
    loss = tc.Loss.named(name)
    x = COUNTS % 2 if loss.domain == "binary" else COUNTS
    step = 1e-6
    numeric = (loss.pair(x, M + step)[0] - loss.pair(x, M - step)[0]) / (2 * step)
    np.testing.assert_allclose(loss.pair(x, M)[1] + 0 * M, numeric, rtol=1e-7, atol=1e-8)


def likelihoods(m: np.ndarray = M) -> dict[str, tuple]:
    """``-log p(x | m)`` by SciPy, times the factor that the table leaves out."""
    binary = COUNTS % 2
    sigma = m * (2 / np.pi) ** 0.5
    return {
        "gaussian": (COUNTS, -2 * stats.norm.logpdf(COUNTS, m)),
        "gamma": (COUNTS + 0.5, -stats.expon.logpdf(COUNTS + 0.5, scale=m)),
        "rayleigh": (COUNTS + 0.5, -stats.rayleigh.logpdf(COUNTS + 0.5, scale=sigma)),
        "poisson": (COUNTS, -stats.poisson.logpmf(COUNTS, m)),
        "poisson-log": (COUNTS, -stats.poisson.logpmf(COUNTS, np.exp(m))),
        "bernoulli": (binary, -stats.bernoulli.logpmf(binary, m / (1 + m))),
        "bernoulli-logit": (binary, -stats.bernoulli.logpmf(binary, 1 / (1 + np.exp(-m)))),
        "negative-binomial": (COUNTS, -stats.nbinom.logpmf(COUNTS, 1, 1 / (1 + m))),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(likelihoods()))
def test_losses_are_likelihoods_up_to_constants_of_the_data(name: str) -> None:
    x, expected = likelihoods()[name]
    loss = tc.Loss.named(name)
    at_one = np.full_like(M, 1.0)
    likelihood = expected - likelihoods(at_one)[name][1]
    np.testing.assert_allclose(
        loss.pair(x, M)[0] - loss.pair(x, at_one)[0], likelihood, rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("name", list(likelihoods()))
def test_means_are_those_of_the_distribution(name: str) -> None:
    m = np.array([0.3, 1.7])
    expected = {
        "bernoulli": m / (1 + m), "bernoulli-logit": 1 / (1 + np.exp(-m)), "poisson-log": np.exp(m),
    }.get(name, m)  # fmt: skip
    np.testing.assert_allclose(tc.Loss.named(name).mean(m), expected, rtol=1e-14)


def test_trials_of_the_negative_binomial() -> None:
    loss = tc.Loss.named("negative-binomial", trials=3)
    p = 1 / (1 + M)
    expected = -stats.nbinom.logpmf(COUNTS, 3, p) + stats.nbinom.logpmf(COUNTS, 3, 0.5)
    found = loss.pair(COUNTS, M)[0] - loss.pair(COUNTS, np.ones_like(M))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(loss.mean(M), stats.nbinom.mean(3, p))


@pytest.mark.parametrize("delta", [0.25, 1.0, 2.5])
def test_huber_is_that_of_scipy(delta: float) -> None:
    from scipy.special import huber

    r = np.linspace(-4, 4, 41) + 0.013
    value, slope = tc.Loss.named("huber", delta=delta).pair(r, np.zeros_like(r))
    np.testing.assert_allclose(value, 2 * huber(delta, r), rtol=1e-13)
    np.testing.assert_allclose(slope, -2 * np.clip(r, -delta, delta), rtol=1e-13)


def test_beta_divergence_is_that_of_scikit_learn() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition._nmf")
    x, m = COUNTS[:, None] + 0.5, M[:, None]
    for beta in (0.5, 1.5, 2.0, 3.0):
        loss = tc.Loss.named("beta", beta=beta, eps=0)
        found = float(np.sum(loss.pair(x, m)[0] - loss.pair(x, x)[0]))
        expected = decomposition._beta_divergence(x, m, np.ones((1, 1)), beta)
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_of_zeros_is_told_exactly(name: str) -> None:
    loss = tc.Loss.named(name)
    known = {"gaussian": (0.0, 0.0, 1.0), "poisson": (0.0, 1.0)}
    assert loss.zero_part == known.get(name)
    x = np.array([1.0, 1.0, 2.0])
    m = np.array([0.3, 1.0, 4.0])
    zero, slope0 = loss.pair(np.zeros(3), m)
    value, slope = loss.pair(x, m)
    np.testing.assert_allclose(loss.at_zero(x, m)[0] + 0 * m, zero, rtol=1e-14)
    np.testing.assert_allclose(loss.at_zero(x, m)[1] + 0 * m, slope0, rtol=1e-14)
    np.testing.assert_allclose(
        loss.remainder(x, m)[0] + 0 * m, value - zero, rtol=1e-12, atol=1e-18
    )
    np.testing.assert_allclose(loss.remainder(x, m)[1] + 0 * m, slope - slope0, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "polynomial"),
    [
        ("(m-3*x)^2 + 5*m + 1", (1.0, 5.0, 1.0)),
        ("2*m - x*m^3", (0.0, 2.0)),
        ("7 - x*m", (7.0,)),
        ("(x-m)^3", None),
        ("(x-m)^2/(1+abs(x-m))", None),
        ("exp(m)-x*m", None),
    ],
)
def test_polynomials_of_own_losses_are_found(text: str, polynomial: tuple | None) -> None:
    assert tc.Loss(text).zero_part == polynomial


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("possion", tc.UnknownNameError, "Did you mean 'poisson'"),
        ("x^2", tc.InputError, "does not depend on m"),
        ("(x-q)^2+m", tc.InputError, "q in "),
        ("round(m)*x", tc.NotDifferentiableError, "round"),
        ("(x-m", tc.ParseError, "is never closed"),
        (3, TypeError, "a name, a formula"),
    ],
)
def test_losses_that_cannot_be_are_refused(loss: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        as_loss(loss)  # type: ignore[arg-type]


def test_parameters_are_checked() -> None:
    with pytest.raises(tc.InputError, match="has no parameter 'delta'"):
        tc.Loss.named("poisson", delta=2)
    for delta in (0, -1, np.inf, "a"):
        with pytest.raises(tc.InputError, match="delta of huber"):
            tc.Loss.named("huber", delta=delta)  # type: ignore[arg-type]
    with pytest.raises(tc.InputError, match="'poisson'"):
        tc.Loss.named("beta", beta=1)
    with pytest.raises(tc.InputError, match="only losses of the table"):
        as_loss("(x-m)^2", {"delta": 1})


@pytest.mark.parametrize(
    ("name", "bad"),
    [("poisson", 0.5), ("poisson", -1.0), ("bernoulli", 2.0), ("gamma", -0.1), ("beta", -3.0)],
)
def test_data_outside_of_the_domain_are_refused(name: str, bad: float) -> None:
    data = np.ones((3, 4))
    tc.Loss.named(name).check(data)
    data[1, 2] = bad
    with pytest.raises(tc.InputError, match=f"the data hold {bad:g}"):
        tc.Loss.named(name).check(data)


def test_descriptions_bring_losses_back() -> None:
    for loss in (tc.Loss("(x-m)^2/(1+abs(x-m))"), *(tc.Loss.named(name) for name in NAMES)):
        back = tc.Loss.from_description(loss.described())
        assert back.expression is loss.expression and back.name == loss.name
        assert (back.nonnegative, back.domain) == (loss.nonnegative, loss.domain)
        np.testing.assert_array_equal(back.mean(M), loss.mean(M))


def test_other_names_of_rows() -> None:
    assert ROWS["normal"] is ROWS["gaussian"]
    assert ROWS["bernoulli-odds"] is ROWS["bernoulli"]

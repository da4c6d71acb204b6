"""Adam in epochs: steps, failed epochs, recovery of models, interrupts, checkpoints."""

import math
from itertools import pairwise

import numpy as np
import pytest
from gcp_data import LOSSES, dense_model

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.fit.generalized.dense_cells import DenseCells
from tensorcalculus.fit.generalized.sampling import Gradient
from tensorcalculus.fit.generalized.start import first_factors
from tensorcalculus.fit.generalized.stochastic import AdamState, Epoch
from tensorcalculus.fit.kernels.adam_step import adam_step

SHORT = tc.Adam(epoch_iterations=100)


def counts(shape=(12, 10, 8), seed=0):
    rng = np.random.default_rng(seed)
    factors = [rng.gamma(0.7, size=(n, 2)) for n in shape]
    return rng.poisson(dense_model(factors)).astype(float), factors


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_steps_are_those_of_the_paper(l2):
    """Algorithm 1 of Kingma and Ba in NumPy, with projection."""
    rng = np.random.default_rng(1)
    x, edges, floors = rng.uniform(size=7), np.array([0, 4, 7]), np.array([0.0, -np.inf])
    y, m, v = x.copy(), np.zeros(7), np.zeros(7)
    means, squares = np.zeros(7), np.zeros(7)
    for t in range(1, 30):
        g = rng.standard_normal(7) + 0.5
        given = g.copy()
        adam_step(x, given, m, v, edges, floors, l2, 0.1, 0.9, 0.99, 1e-8, t)
        assert not given.any()
        g = g + 2 * l2 * y
        means = 0.9 * means + 0.1 * g
        squares = 0.99 * squares + 0.01 * g**2
        y = y - 0.1 * (means / (1 - 0.9**t)) / (np.sqrt(squares / (1 - 0.99**t)) + 1e-8)
        y[:4] = np.maximum(y[:4], 0)
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-15)
    assert (x[:4] >= 0).all() and x[4:].min() < 0


def test_nan_is_not_hidden_by_bounds():
    x, g = np.ones(2), np.array([np.nan, 1.0])
    m, v, edges, floors = np.zeros(2), np.zeros(2), np.array([0, 2]), np.zeros(1)
    adam_step(x, g, m, v, edges, floors, 0.0, 0.1, 0.9, 0.99, 1e-8, 1)
    assert np.isnan(x[0]) and x[1] == pytest.approx(0.9)


def test_without_taking_epochs_back_it_diverges():
    """The same samples and the same rate, with and without what the paper does after an epoch."""
    x, _ = counts()
    options = tc.Adam(rate=0.5, epoch_iterations=200, samples=50)
    loss = LOSSES["poisson"]
    cells, modes = DenseCells(x, loss), frozenset(range(3))
    start = first_factors(cells, 3, loss, modes, "random", 0, 0)
    state = AdamState(cells.samples(), options, start, modes)
    first, values = state.value(), []
    for _ in range(5):
        for _ in range(options.epoch_iterations):
            state.iterate()
        values.append(state.value())
    assert min(values) > first + abs(first)
    result = tc.gcp(x, 3, loss=loss, method=options, start=start, max_iterations=30)
    assert result.loss_history[0] == pytest.approx(first)
    assert (np.diff(result.loss_history) <= 0).all()
    assert result.value < first - 0.2 * abs(first)


def test_epochs_that_fail_are_taken_back_and_the_rate_falls(tmp_path):
    x, _ = counts()
    result = tc.gcp(x, 2, loss="poisson", method=tc.Adam(rate=0.3, epoch_iterations=150))
    record = result.record
    assert all(isinstance(e, Epoch) for e in record)
    rate, fails = 0.3, 0
    for before, entry in pairwise(record):
        assert entry.rate == pytest.approx(rate)
        assert entry.failed == (entry.tried > before.value)
        assert entry.value == (before.value if entry.failed else entry.tried)
        assert (entry.step == 0) == entry.failed
        if entry.failed:
            rate, fails = rate / 10, fails + 1
    assert fails == 3 and record[-1].failed and result.converged
    assert "3 epochs failed, the last at the rate 3e-03" in result.message
    assert "failed" in record[-1].told() and "rate 3e-03" in record[-1].told()
    back = tc.GCPFit.load(result.save(tmp_path / "model"))
    assert back.record == record and repr(back) == repr(result)
    # All cells are in the sample for values, so that the estimate is the loss.
    m = result.model.to_dense()
    assert result.value == pytest.approx(float(np.sum(m - x * np.log(m + 1e-10))), rel=1e-9)


def test_a_state_that_is_taken_back_is_the_one_that_was_kept():
    x, _ = counts()
    loss, modes = LOSSES["poisson"], frozenset(range(3))
    cells = DenseCells(x, loss)
    start = first_factors(cells, 2, loss, modes, "random", 0, 0)
    state = AdamState(cells.samples(), SHORT, start, modes)
    for _ in range(5):
        state.iterate()
    state.keep()
    held = [a.copy() for a in (state.x, state.m, state.v)]
    for _ in range(5):
        state.iterate()
    assert not np.array_equal(state.x, held[0])
    state.take_back()
    assert all(np.array_equal(a, b) for a, b in zip((state.x, state.m, state.v), held, strict=True))
    assert state.count == 5 and state.draws == 10


def test_the_optimum_of_exact_gradients_is_found():
    x, _ = counts((15, 14, 13))
    exact = tc.gcp(x, 2, loss="poisson", tol=1e-8)
    sampled = tc.gcp(x, 2, loss="poisson", method=tc.Adam(rate=1e-2), max_iterations=40)
    assert exact.value <= sampled.value < exact.value + 2e-3 * abs(exact.value)
    assert sampled.model.match(exact.model).congruence > 0.99


@pytest.mark.parametrize("sampling", ["semi-stratified", "stratified", "uniform"])
def test_planted_models_of_sparse_counts_are_recovered(sampling):
    rng = np.random.default_rng(4)
    truth = [rng.gamma(0.3, size=(n, 2)) for n in (30, 28, 26)]
    x = rng.poisson(0.7 * dense_model(truth)).astype(float)
    assert 0.02 < np.mean(x != 0) < 0.3
    method = tc.Adam(rate=1e-2, sampling=sampling, epoch_iterations=500)
    result = tc.gcp(
        tc.SparseTensor.from_dense(x), 2, loss="poisson", method=method, max_iterations=12
    )
    assert result.model.match(tn.CP(truth)).congruence > 0.95
    # A loss that has no exact sum over all cells of a sparse tensor.
    if sampling == "semi-stratified":
        binary = tc.SparseTensor.from_dense(np.minimum(x, 1))
        odds = tc.gcp(binary, 2, loss="bernoulli", method=method, max_iterations=12)
        assert tc.gcp(binary, 2, loss="bernoulli", max_iterations=1).method == "adam"
        dense = tc.gcp(np.minimum(x, 1), 2, loss="bernoulli")
        assert odds.value < dense.value + 0.02 * abs(dense.value)


def test_few_known_cells_are_enough():
    rng = np.random.default_rng(5)
    truth = [rng.standard_normal((20, 2)) for _ in range(3)]
    x = dense_model(truth)
    known = np.argwhere(rng.uniform(size=x.shape) < 0.2)
    stored = tc.SparseTensor(known, x[tuple(known.T)], x.shape)
    # One start in four ends in a local minimum, whose components cancel in the known cells.
    method = tc.Adam(rate=1e-2, epoch_iterations=400)
    result = tc.gcp(stored, 2, mask="stored", method=method, max_iterations=25, starts=3)
    assert result.cells == len(known)
    error = np.linalg.norm(result.model.to_dense() - x) / np.linalg.norm(x)
    assert error < 0.01


def test_missing_cells_of_sparse_data_do_not_count():
    x, _ = counts((15, 14, 13))
    rng = np.random.default_rng(6)
    gone = rng.uniform(size=x.shape) < 0.2
    stored = tc.SparseTensor.from_dense(np.where(gone, 0.0, x))
    sampled = tc.gcp(
        stored, 2, loss="poisson", missing=np.argwhere(gone), method=tc.Adam(rate=1e-2),
        max_iterations=15,
    )  # fmt: skip
    exact = tc.gcp(np.where(gone, np.nan, x), 2, loss="poisson", mask=~gone)
    assert sampled.cells == exact.cells
    assert exact.value <= sampled.value + 1e-9 < exact.value + 0.01 * abs(exact.value)


def test_a_seed_gives_one_result():
    x, _ = counts()
    data = tc.SparseTensor.from_dense(x)
    one, two, other = (
        tc.gcp(data, 2, loss="poisson", method=SHORT, max_iterations=3, seed=s) for s in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(one.factors, two.factors, strict=True))
    assert one.value == two.value != other.value
    several = tc.gcp(data, 2, loss="poisson", method=SHORT, max_iterations=3, seed=1, starts=3)
    assert several.value == min(several.start_values) and len(set(several.start_values)) == 3
    assert several.start_values[0] == one.value


def test_samples_of_users_sizes_are_drawn(monkeypatch):
    x, _ = counts()
    drawn = []
    add = Gradient.add

    def watched(self, number):
        drawn.append([len(s.points) for s in self._strata])
        add(self, number)

    monkeypatch.setattr(Gradient, "add", watched)
    method = tc.Adam(samples=(30, 40), epoch_iterations=2, sampling="stratified")
    tc.gcp(tc.SparseTensor.from_dense(x), 2, loss="poisson", method=method, max_iterations=3)
    assert drawn == [[30, 40]] * 6


@pytest.mark.parametrize("at", [30, 250])
def test_an_interrupt_gives_the_model_so_far(at, monkeypatch):
    x, _ = counts()
    calls, add = 0, Gradient.add

    def interrupted(self, number):
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        add(self, number)

    monkeypatch.setattr(Gradient, "add", interrupted)
    result = tc.gcp(x, 2, loss="poisson", method=SHORT, starts=3)
    assert result.message == "interrupted" and not result.converged
    assert len(result.record) == at // 100 + 2 and len(result.start_values) == 1
    assert result.value < result.loss_history[0]
    m = result.model.to_dense()
    assert result.value == pytest.approx(float(np.sum(m - x * np.log(m + 1e-10))), rel=1e-9)


def test_limits_end_epochs():
    x, _ = counts()
    result = tc.gcp(x, 2, loss="poisson", method=tc.Adam(epoch_iterations=10**7), max_seconds=0.05)
    assert "max_seconds" in result.message and len(result.record) == 2
    assert result.value < result.loss_history[0]
    told = []
    result = tc.gcp(x, 2, loss="poisson", method=SHORT, max_iterations=4, progress=told.append)
    assert "max_iterations" in result.message and result.iterations == 4
    assert tuple(told) == result.record and result.method == "adam"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"rate": 0}, "rate"), ({"decay": 1.0}, "decay: a positive number below 1"),
     ({"max_fails": -1}, "max_fails: an integer from 0"), ({"beta": 1.0}, "beta"),
     ({"epoch_iterations": 0.5}, "epoch_iterations"), ({"rate": math.inf}, "rate")],
)  # fmt: skip
def test_options_are_checked(given, words):
    with pytest.raises(tc.InputError, match=words):
        tc.Adam(**given)


def test_options_that_do_not_suit_the_data():
    x, _ = counts()
    with pytest.raises(tc.InputError, match="'uniform' is expected for these data"):
        tc.gcp(x, 2, method=tc.Adam(sampling="stratified"))
    with pytest.raises(tc.InputError, match="estimate_samples: a positive integer is"):
        tc.gcp(x, 2, method=tc.Adam(estimate_samples=(1, 2)))
    with pytest.raises(tc.InputError, match=r"or a tc\.Adam is expected"):
        tc.gcp(x, 2, method="sgd")


# -- checkpoints ---------------------------------------------------------------------------------


def same(one, other):
    assert all(np.array_equal(a, b) for a, b in zip(one.factors, other.factors, strict=True))
    assert one.value == other.value and one.start_values == other.start_values
    assert [e.value for e in one.record] == [e.value for e in other.record]
    assert [type(e) for e in one.record] == [type(e) for e in other.record]
    assert one.message == other.message


@pytest.mark.parametrize("rate", [1e-3, 0.3])
def test_adam_goes_on_to_the_last_bit(rate, tmp_path):
    """Also past epochs that failed, and in a later start."""
    x, _ = counts()
    data = tc.SparseTensor.from_dense(x)
    method = tc.Adam(rate=rate, epoch_iterations=60)
    path = tmp_path / "fit.npz"

    def fit(epochs, **files):
        return tc.gcp(
            data, 2, loss="poisson", method=method, max_iterations=epochs, l2=0.01, **files
        )

    whole = fit(9)
    fit(4, checkpoint=path)
    same(fit(9, resume=path), whole)
    fit(6, resume=path, checkpoint=path)
    same(fit(9, resume=str(path)), whole)
    assert whole.iterations > 4


def test_a_break_in_a_later_start(tmp_path, monkeypatch):
    x, _ = counts()
    path = tmp_path / "fit.npz"

    def fit(**files):
        return tc.gcp(
            x, 2, loss="poisson", method=SHORT, max_iterations=4, starts=3, seed=3, **files
        )

    whole = fit()
    calls, add = 0, Gradient.add

    def broken(self, number):
        nonlocal calls
        calls += 1
        if calls == 730:
            raise MemoryError
        add(self, number)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Gradient, "add", broken)
        fit(checkpoint=path)
    same(fit(resume=path), whole)


@pytest.mark.parametrize("limit", [50, 70, 120])
def test_lbfgs_goes_on_to_the_last_bit(limit, tmp_path):
    x, _ = counts()
    path, other = tmp_path / "fit.npz", tmp_path / "other.npz"
    whole = tc.gcp(x, 4, loss="poisson", tol=1e-7, checkpoint=other)
    assert whole.iterations > 125 and whole.converged
    tc.gcp(x, 4, loss="poisson", tol=1e-7, checkpoint=path, max_iterations=limit)
    same(tc.gcp(x, 4, loss="poisson", tol=1e-7, resume=path, checkpoint=path), whole)
    plain = tc.gcp(x, 4, loss="poisson", tol=1e-7)
    assert plain.value == pytest.approx(whole.value, rel=1e-3)


def test_checkpoints_of_other_fits_are_refused(tmp_path):
    x, _ = counts()
    path = tmp_path / "fit.npz"

    def fit(data=x, rank=2, loss="poisson", method=SHORT, **more):
        return tc.gcp(data, rank, loss=loss, method=method, max_iterations=2, **more)

    fit(checkpoint=path)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.npz"]
    for words, other in (
        ("rank = 2, this one has rank = 3", {"rank": 3}),
        ("loss", {"loss": "gaussian"}),
        ("method", {"method": "lbfgs"}),
        ("seed = 0, this one has seed = 1", {"seed": 1}),
        ("moments", {"data": x + 1}),
        ("shape", {"data": x[:11]}),
        # The same numbers in other cells: the loss at the model tells.
        ("the loss was", {"data": np.ascontiguousarray(x[::-1])}),
    ):
        with pytest.raises(tc.InputError, match=words):
            fit(**other, resume=path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        fit(resume=tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        fit(checkpoint=tmp_path / "none" / "fit.npz")
    fit().save(tmp_path / "model.npz")
    path.write_bytes(path.read_bytes()[:100])
    for wrong in ("model.npz", "fit.npz"):
        with pytest.raises(tc.InputError, match="holds no checkpoint"):
            fit(resume=tmp_path / wrong)


def test_a_break_while_a_checkpoint_is_written_leaves_the_last_one(tmp_path, monkeypatch):
    x, _ = counts()
    path = tmp_path / "fit.npz"
    tc.gcp(x, 2, loss="poisson", method=SHORT, max_iterations=2, checkpoint=path)
    held = path.read_bytes()

    def full(file, **_):
        file.write(b"half")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(np, "savez", full)
        tc.gcp(x, 2, loss="poisson", method=SHORT, max_iterations=4, resume=path, checkpoint=path)
    assert path.read_bytes() == held
    whole = tc.gcp(x, 2, loss="poisson", method=SHORT, max_iterations=4)
    same(tc.gcp(x, 2, loss="poisson", method=SHORT, max_iterations=4, resume=path), whole)

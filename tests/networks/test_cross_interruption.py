"""Cross approximation that ends early: nothing that was computed is lost."""

import tracemalloc

import numpy as np
import pytest

import tensorcalculus.networks as tn
from tensorcalculus.errors import EvaluationError, InputError
from tensorcalculus.networks.cross import tt_cross

SHAPE = (16,) * 6


def smooth(i):
    return 1 / (1 + i.sum(axis=1) / 16)


def stopped(at: int, fault: BaseException, asked: list):
    """A function that fails once `at` points are known."""

    def f(i):
        if sum(map(len, asked)) + len(i) > at:
            raise fault
        asked.append(i)
        return smooth(i)

    return f


def counted(asked: list):
    return stopped(10**9, KeyboardInterrupt(), asked)


def distance(t: tn.TT) -> float:
    points = np.random.default_rng(7).integers(0, 16, (3000, 6))
    truth = smooth(points)
    return float(np.linalg.norm(t.at(points) - truth) / np.linalg.norm(truth))


def test_interrupted():
    asked = []
    t = tn.TT.cross(stopped(8000, KeyboardInterrupt(), asked), SHAPE, tol=1e-10)
    assert not t.info.converged and t.info.reason == "interrupted"
    np.testing.assert_array_equal(t.info.points, np.concatenate(asked))
    np.testing.assert_array_equal(t.info.values, smooth(t.info.points))
    assert t.info.error == pytest.approx(distance(t), rel=1)

    cold = tn.TT.cross(smooth, SHAPE, tol=1e-10)
    later = []
    on = tn.TT.cross(counted(later), SHAPE, tol=1e-10, known=t.info)
    assert on.info.converged and distance(on) < 1e-9
    assert on.info.evaluations == sum(map(len, later))
    # All that was known serves again: validation, search and blocks.
    assert on.info.evaluations <= cold.info.evaluations - 0.9 * t.info.evaluations
    assert len(on.info.points) == on.info.evaluations + len(t.info.points)
    np.testing.assert_array_equal(on.info.values, smooth(on.info.points))


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), ValueError("no")])
def test_before_the_first_sweep(fault):
    asked = []
    with pytest.raises(EvaluationError, match=r"interrupted|raised ValueError: no") as caught:
        tn.TT.cross(stopped(1200, fault, asked), SHAPE)
    np.testing.assert_array_equal(caught.value.points, np.concatenate(asked))
    later = []
    on = tn.TT.cross(counted(later), SHAPE, known=caught.value)
    assert on.info.converged
    known = {tuple(p) for p in caught.value.points}
    assert not any(tuple(p) in known for part in later for p in part)


def test_interrupted_in_the_callback():
    def press(entry):
        if entry.sweep == 1:
            raise KeyboardInterrupt

    t = tn.TT.cross(smooth, SHAPE, tol=1e-12, progress=press)
    assert t.info.reason == "interrupted" and t.info.sweeps == 2


def test_memory(monkeypatch):
    # A block is bounded by the budget before it is made.
    tracemalloc.start()
    with pytest.raises(EvaluationError, match=r"max_evaluations=20000 would be exceeded") as caught:
        tn.TT.cross(lambda i: np.ones(len(i)), (10**9,) * 4, max_evaluations=20_000)
    assert len(caught.value.points) == 1000

    def noise(i):
        return np.random.default_rng(len(i)).standard_normal(len(i))

    t = tn.TT.cross(noise, (200,) * 4, max_evaluations=50_000)
    assert not t.info.converged and "max_evaluations" in t.info.reason
    assert tracemalloc.get_traced_memory()[1] < 2e8
    tracemalloc.stop()

    # Where it does not suffice all the same, the last train is given.
    sweep, count = tt_cross._State.sweep, []

    def exhausted(self, forward):
        count.append(forward)
        if len(count) > 2:
            raise MemoryError
        return sweep(self, forward)

    monkeypatch.setattr(tt_cross._State, "sweep", exhausted)
    t = tn.TT.cross(smooth, SHAPE, tol=1e-13)
    assert t.info.sweeps == 2 and not t.info.converged
    assert t.info.reason == f"memory does not suffice for ranks above {t.info.history[-1].max_rank}"


def test_two_peaks_are_found_after_going_on():
    grid = np.linspace(0, 1, 64)

    def peaks(i):
        z = grid[i]
        first, second = ((z - 0.15) ** 2).sum(axis=1), ((z - 0.85) ** 2).sum(axis=1)
        return np.exp(-400 * first) + np.exp(-400 * second)

    # It starts at one of them, and finds the other before it stops.
    t = tn.TT.cross(peaks, (64,) * 4, tol=1e-6, start=np.full((1, 4), 9))
    tops = np.array([[9] * 4, [54] * 4])
    np.testing.assert_allclose(t.at(tops), peaks(tops), rtol=1e-4)


def test_status_line(capsys, monkeypatch):
    from rich.status import Status

    shown = []
    monkeypatch.setattr(Status, "start", lambda self: shown.append(str(self.status)))
    monkeypatch.setattr(Status, "update", lambda self, text: shown.append(text))
    tn.TT.cross(smooth, SHAPE)  # no terminal
    tn.TT.cross(smooth, SHAPE, progress=False)
    assert shown == []
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    tn.TT.cross(smooth, SHAPE)  # shorter than a second
    assert shown == []
    monkeypatch.setattr("tensorcalculus.display.status_line.PATIENCE", 0.0)
    monkeypatch.setattr("tensorcalculus.display.status_line._PAUSE", 0.0)
    tn.TT.cross(smooth, SHAPE)
    assert shown[0].startswith("cross: sweep 1, 1000 of 1000000 values")
    assert any("ranks up to" in text and "error" in text for text in shown)
    stopped = []
    monkeypatch.setattr(Status, "stop", lambda self: stopped.append(self))
    with pytest.raises(EvaluationError):
        tn.TT.cross(lambda i: smooth(i) if len(i) == 1000 else np.nan, SHAPE, progress=True)
    assert stopped
    captured = capsys.readouterr()
    assert captured.err + captured.out == ""


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ((np.zeros((3, 2), int), np.ones(3)), r"\[count, 6\]"),
        ((np.zeros((3, 6), int), np.ones(2)), r"as many values"),
        ((np.zeros((3, 6)), np.ones(3)), r"float64 \(3, 6\)"),
        ((np.full((3, 6), 16), np.ones(3)), "outside"),
        ((np.zeros((3, 6), int), np.full(3, np.nan)), "finite"),
    ],
)
def test_wrong_knowledge(known, words):
    with pytest.raises(InputError, match=words):
        tn.TT.cross(smooth, SHAPE, known=known)

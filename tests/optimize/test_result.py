"""Results, limits, interruption, progress and error messages."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.errors import InputError, ShapeError, UnknownNameError

F = tc.parse("norm2(X*w-y)^2", X="m n", y="m", w="n")
DATA = {"X": np.vander(np.linspace(0, 1, 9), 3), "y": np.arange(9.0) ** 3}
FACTORS = tc.parse("norm2(T-U*V')^2", T="m n")


def test_result_and_record():
    result = tc.minimize(F, "w", DATA, method="lbfgs")
    assert result.converged
    assert result.iterations == len(result.record) - 1
    assert result.record[0].step == 0
    assert result.record[-1].value == result.value
    assert result.record[-1].gradient_norm == result.gradient_norm
    seconds = [entry.seconds for entry in result.record]
    assert seconds == sorted(seconds)
    assert result["w"] is result.values["w"]
    assert result.value == pytest.approx(F(w=result["w"], **DATA), abs=1e-12)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.value = 0.0  # type: ignore[misc]
    with pytest.raises(UnknownNameError, match=r"'W' was not optimised.*Did you mean 'w'"):
        result["W"]


def test_result_is_readable():
    text = repr(tc.minimize(F, "w", DATA))
    assert "converged  yes: the gradient is below tol" in text
    assert "by newton" in text
    assert "w (3,)" in text
    assert "<table>" in tc.minimize(F, "w", DATA)._repr_html_()


def test_plot():
    matplotlib = pytest.importorskip("matplotlib", reason="plots need matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    result = tc.minimize(F, "w", DATA, method="lbfgs")
    ax = result.plot()
    assert ax.get_xlabel() == "iteration"
    assert result.plot(ax) is ax
    plt.close("all")


def test_plot_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        tc.minimize(F, "w", DATA).plot()


def test_limits():
    data = {"T": np.random.default_rng(0).standard_normal((30, 20)), "k": 3}
    for method in ("lbfgs", "newton-cg", "adam", "gauss-newton"):
        result = tc.minimize(FACTORS, ["U", "V"], data, method=method, max_iterations=2)
        assert not result.converged
        assert result.message == "max_iterations reached (2)"
        assert result.iterations == 2
    result = tc.minimize(FACTORS, ["U", "V"], data, method="adam", max_seconds=1e-9)
    assert "max_seconds" in result.message


def test_interrupt_gives_the_best_so_far():
    def press(entry):
        if entry.iteration == 3:
            raise KeyboardInterrupt

    data = {"T": np.random.default_rng(0).standard_normal((30, 20)), "k": 3}
    for method in ("lbfgs", "newton-cg", "newton", "adam"):
        result = tc.minimize(FACTORS, ["U", "V"], data, method=method, progress=press)
        assert result.message == "interrupted"
        assert not result.converged
        assert result.value == min(entry.value for entry in result.record)
        assert result.value == pytest.approx(FACTORS(T=data["T"], **result.values))


def test_callback_sees_values_and_may_stop():
    seen = []

    def callback(values, entry):
        seen.append((values["w"], entry.value))
        return entry.iteration == 1

    result = tc.minimize(F, "w", DATA, method="lbfgs", callback=callback)
    assert result.message == "the callback asked to stop"
    assert [value for _, value in seen] == [entry.value for entry in result.record]
    assert seen[1][1] == pytest.approx(F(w=seen[1][0], **DATA))


def test_progress(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    from rich.status import Status

    shown = []
    monkeypatch.setattr(Status, "start", lambda self: shown.append(str(self.status)))
    monkeypatch.setattr(Status, "update", lambda self, text: shown.append(text))
    tc.minimize(F, "w", DATA)
    tc.minimize(F, "w", DATA, progress=False)
    assert shown == []
    tc.minimize(F, "w", DATA, progress=True)
    assert shown[0].startswith("newton: iteration 0, value ")
    entries = []
    result = tc.minimize(F, "w", DATA, progress=entries.append)
    assert tuple(entries) == result.record
    captured = capsys.readouterr()
    assert captured.err + captured.out == ""


def test_a_start_at_the_minimum_converges():
    once = tc.minimize(F, "w", DATA)
    for method in ("newton", "lbfgs", "newton-cg", "gauss-newton"):
        again = tc.minimize(F, "w", DATA, once.values, method=method)
        assert again.converged, (method, again.message)
        assert again.iterations <= 1


def test_unbounded_functions_are_told():
    for method in ("newton", "lbfgs", "newton-cg"):
        result = tc.minimize(tc.parse("x^3", x=""), "x", start={"x": -1.0}, method=method)
        assert not result.converged, method


def test_sizes_may_be_data():
    result = tc.minimize(FACTORS, ["U", "V"], {"T": np.eye(4), "k": 2}, method="lbfgs")
    assert result["V"].shape == (4, 2)


def test_random_starts_meet_domains():
    f = tc.parse("sum(x-log(x))", x="n")
    result = tc.minimize(f, "x", {"n": 4})
    np.testing.assert_allclose(result["x"], np.ones(4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"f": "norm2"}, TypeError, "read a formula with tc.parse"),
        ({"f": tc.parse("X*w", X="m n", w="n")}, ShapeError, r"shape \(m\).*norm2"),
        ({"over": "W"}, UnknownNameError, "'W'.*its variables: X, w, y.*Did you mean 'w'"),
        ({"over": []}, InputError, "names no variable"),
        ({"over": ["w", "w"]}, InputError, "names w twice"),
        ({"data": {"X": DATA["X"]}}, InputError, r"no value for y \(m\)"),
        ({"data": None}, InputError, r"no value for X \(m, n\), y \(m\)"),
        ({"data": {**DATA, "w": [1, 2, 3]}}, InputError, "w is in over= and in data="),
        ({"data": {**DATA, "z": 1}}, InputError, "'z', which is no variable.*X, y"),
        ({"data": {**DATA, "y": np.ones(8)}}, InputError, r"y has shape \(8,\)"),
        ({"data": {**DATA, "y": DATA["y"] * 1j}}, InputError, "y holds complex numbers"),
        ({"start": {"w": np.ones(4)}}, InputError, r"w has shape \(4,\).*n = 3 as in X"),
        ({"start": {"v": np.ones(3)}}, InputError, "start= holds 'v'.*not optimised"),
        ({"bounds": {"W": (0, 1)}}, InputError, "bounds= holds 'W'.*Did you mean 'w'"),
        ({"bounds": {"w": (1, 0)}}, InputError, r"bounds of w\[0\].*low 1.*high 0"),
        ({"bounds": {"w": 3}}, InputError, "a pair \\(low, high\\).*not 3"),
        ({"bounds": {"w": ([1, 2], None)}}, InputError, "a number or an array that fits"),
        ({"method": "newtn"}, UnknownNameError, "method='newtn'.*Did you mean 'newton'"),
        ({"tol": -1}, InputError, "tol is a non-negative number, not -1"),
        ({"max_iterations": 1.5}, InputError, "max_iterations .* not 1.5"),
        ({"max_seconds": 0}, InputError, "max_seconds is a positive number, not 0"),
        ({"learning_rate": 0.1}, InputError, "an option of method='adam'"),
        ({"seed": -1}, InputError, "seed is a non-negative integer, not -1"),
        ({"bounds": [(0, 1)]}, TypeError, "bounds= is a dictionary by name"),
        ({"callback": 3}, TypeError, "callback is a function"),
        ({"progress": 3}, TypeError, "progress is None, True, False or a function"),
    ],
)
def test_errors(arguments: dict, error: type, message: str):
    given = {"f": F, "over": "w", "data": DATA, **arguments}
    with pytest.raises(error, match=message):
        tc.minimize(given.pop("f"), **given)


def test_errors_of_sizes_and_structure():
    with pytest.raises(InputError, match=r"size k of U .* does not follow.*'k': 5"):
        tc.minimize(FACTORS, ["U", "V"], {"T": np.eye(3)})
    with pytest.raises(InputError, match="size k is a non-negative integer"):
        tc.minimize(FACTORS, ["U", "V"], {"T": np.eye(3), "k": 2.5})
    f = tc.parse("tr(S)-logdet(S)", S="n n spd")
    with pytest.raises(InputError, match=r"S is declared spd.*L\*L'"):
        tc.minimize(f, "S", {"n": 3})
    f = tc.parse("norm2(S-A)^2", S="n n sym", A="n n")
    with pytest.raises(InputError, match="start value of S is not sym"):
        tc.minimize(f, "S", {"A": np.eye(2)}, {"S": [[1.0, 2.0], [0.0, 1.0]]})


def test_memory_that_does_not_suffice(monkeypatch: pytest.MonkeyPatch):
    from tensorcalculus.optimize.problem import Problem

    def hessian(self, x):
        raise MemoryError

    monkeypatch.setattr(Problem, "hessian", hessian)
    with pytest.raises(InputError, match=r"newton needs more memory .* 3 unknowns; 'lbfgs' and"):
        tc.minimize(F, "w", DATA)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sum(log(1+exp(X*w)))", r"the term sum\(softplus"),
        ("norm2(X*w)^2-norm2(w)^2", "negative"),
        ("norm2(X*w)", "a sum of squares is expected"),
    ],
)
def test_gauss_newton_wants_squares(text: str, shown: str):
    f = tc.parse(text, X="m n", w="n")
    with pytest.raises(InputError, match=shown):
        tc.minimize(f, "w", {"X": DATA["X"]}, {"w": np.ones(3)}, method="gauss-newton")


def test_a_start_without_value_is_refused():
    f = tc.parse("sum(log(x))+c", x="n", c="")
    with pytest.raises(InputError, match="nan at the start; give another start for x"):
        tc.minimize(f, "x", {"c": 1.0}, {"x": np.array([1.0, -1.0])})
    with pytest.raises(InputError, match=r"not finite at the start: y\[2\] is nan"):
        tc.minimize(F, "w", {**DATA, "y": [0, 1, np.nan, 3, 4, 5, 6, 7, 8]})
    with pytest.raises(InputError, match=r"the start value of w\[1\] is inf"):
        tc.minimize(F, "w", DATA, {"w": [0, np.inf, 0]})

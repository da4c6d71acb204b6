"""The examples run and give what they promise; so does a short run of the benchmark."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY

import tensorcalculus as tc


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script as a module, without running its ``main``."""
    # As where a script runs: its neighbours are found.
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made.
    monkeypatch.setitem(__import__("sys").modules, path.stem, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def newton(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(REPOSITORY / "examples" / "logistic_newton.py", monkeypatch)


def test_newton_finds_the_coefficients_of_scikit_learn(
    newton: ModuleType, capsys: pytest.CaptureFixture
):
    pytest.importorskip("sklearn", reason="the example takes its data from scikit-learn")
    assert newton.main() < 1e-8
    out = capsys.readouterr().out
    assert "569 samples, 31 coefficients" in out
    assert "mean radius" in out


def test_newton_formulas(newton: ModuleType):
    """Gradient and Hessian of the example against the textbook's."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9, 4)), np.sign(rng.standard_normal(9))
    c = np.array([0.0, 1.0, 1.0, 2.0])
    result = newton.fit(X, y, c)
    w = result.coefficients
    s = 1 / (1 + np.exp(y * (X @ w)))  # [i]: probability of the other label
    values = {"X": X, "y": y, "w": w, "c": c}
    gradient = -X.T @ (s * y) + c * w
    hessian = X.T @ np.diag(s * (1 - s)) @ X + np.diag(c)
    g = result.gradient(**{n: values[n] for n in result.gradient.variables})
    H = result.hessian(**{n: values[n] for n in result.hessian.variables})
    assert np.allclose(g, gradient, rtol=1e-12, atol=1e-12)
    assert np.allclose(H, hessian, rtol=1e-12, atol=1e-12)
    assert np.abs(gradient).max() < 1e-9
    assert result.losses[-1] == min(result.losses)


def test_matrix_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    pytest.importorskip("sklearn", reason="the example takes its data from scikit-learn")
    errors = load(REPOSITORY / "examples" / "matrix_completion.py", monkeypatch).main()
    assert errors["U*V'"] < 0.75 * errors["mean of each pixel"]
    assert errors["U*V' with U, V >= 0"] < 0.8 * errors["mean of each pixel"]
    out = capsys.readouterr().out
    assert "600 images of 64 pixels, 80% seen, rank 8" in out
    assert out.count("converged  yes") == 2


def test_matrix_completion_is_a_minimum(monkeypatch: pytest.MonkeyPatch):
    """Given V, each row of U solves a ridge regression on the entries that are seen."""
    example = load(REPOSITORY / "examples" / "matrix_completion.py", monkeypatch)
    rng = np.random.default_rng(1)
    T = rng.random((12, 2)) @ rng.random((2, 7))
    M = (rng.random(T.shape) > 0.3).astype(float)
    found = example.complete(T, M, 2, method="newton")
    V = found["V"]
    for t, m, u in zip(T, M, found["U"], strict=True):
        system = V.T @ (m[:, None] * V) + example.PENALTY * np.eye(2)
        assert np.allclose(np.linalg.solve(system, V.T @ (m * t)), u, atol=1e-5)


def test_quickstart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    load(REPOSITORY / "examples" / "quickstart.py", monkeypatch).main()
    out = capsys.readouterr().out
    assert ">>> g is f\nTrue\n" in out
    assert "def evaluate(" in out
    assert '>>> d = loss.gradient("U")\n-2*(T-U*V\')*V\n' in out


def real(name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """What ``main`` of an example on real data gives; skipped where its data are missing."""
    example = load(REPOSITORY / "examples" / f"{name}.py", monkeypatch)
    try:
        return example.main(**options)
    except example.real_data.MissingData as missing:
        pytest.skip(str(missing))


def test_fluorescence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    acids, catecholamines = real("fluorescence", monkeypatch)
    assert acids[3] == pytest.approx(99.94, abs=0.005) and acids[2] == pytest.approx(86.8, abs=0.1)
    assert catecholamines[2] > 99.7 and catecholamines[3] > catecholamines[2]
    out = capsys.readouterr().out
    assert all(f"sample {k} alone holds it" in out for k in (1, 2, 3))


@pytest.mark.slow
def test_bike_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    found = real("bike_counts", monkeypatch)
    assert np.subtract(found["gaussian"], found["poisson"]).min() > 0.1
    assert "3,115,334 trips" in capsys.readouterr().out


@pytest.mark.slow
def test_flight_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    found = real("flight_counts", monkeypatch, splits=2)
    assert np.subtract(found["gaussian"], found["poisson"]).min() > 0.002
    assert "330,813 of 44,150,400 cells are not 0" in capsys.readouterr().out


@pytest.mark.slow
def test_late_flights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    found = real("late_flights", monkeypatch, splits=2)
    assert np.mean(found["Bernoulli"]) > np.mean(found["Gaussian"])
    assert "Bernoulli is better by" in capsys.readouterr().out


def test_rainfall(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    found = real("rainfall", monkeypatch, splits=2)
    for measure, by_loss in found.items():
        assert min(by_loss, key=lambda loss: np.mean(by_loss[loss])) == measure
    assert "most rain in" in capsys.readouterr().out


@pytest.mark.slow
def test_immunology(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    interleukin, serology = real("immunology", monkeypatch, splits=2)
    assert interleukin[1] < interleukin[2] < interleukin[3] and interleukin[3] > 91
    assert 70 < serology[2] < 75
    assert "degenerate" in capsys.readouterr().out


def test_matrix_multiplication(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    example = load(REPOSITORY / "examples" / "matrix_multiplication.py", monkeypatch)
    good, tried, model = example.success(example.strassen, 20)
    # 19 of these 20; 196 of the first 200.
    assert tried == 20 and good >= 17
    a, b = np.random.default_rng(0).standard_normal((2, 2, 2))
    assert np.abs(example.multiply(a, b, model) - a @ b).max() < 1e-10


@pytest.mark.slow
def test_matrix_multiplication_of_three(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    errors = load(REPOSITORY / "examples" / "matrix_multiplication.py", monkeypatch).main((5, 3))
    assert errors[3] < 1e-9
    assert "23 products instead of 27" in capsys.readouterr().out


def test_benchmark_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
):
    benchmark = load(REPOSITORY / "benchmarks" / "derive.py", monkeypatch)
    benchmark.main(["--quick", "--json", str(tmp_path / "out.json")])
    out = capsys.readouterr().out
    assert "| 10 layers, one sample |" in out
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["import"]["tensorcalculus"] > 0
    assert {row["depth"] for row in found["sizes"]} == {2, 4}


def test_graphs_grow_linearly_with_depth(monkeypatch: pytest.MonkeyPatch):
    """Twice the layers, twice the nodes: of the function, the gradient, the Hessian."""
    benchmark = load(REPOSITORY / "benchmarks" / "derive.py", monkeypatch)
    a, b, c = benchmark.sizes((6, 12, 24))
    for what in ("function", "gradient", "hessian"):
        growth = (c[what] - b[what]) / (b[what] - a[what])
        assert growth < 2.2, f"{what}: {a[what]}, {b[what]}, {c[what]} nodes"


def test_benchmark_derives_anew(monkeypatch: pytest.MonkeyPatch):
    benchmark = load(REPOSITORY / "benchmarks" / "derive.py", monkeypatch)
    formula = benchmark.Formula(
        "quadratic", "einsum('ij,i,j->',A,x,x)+n*x[0]", {"A": "n n", "x": "n"}, ["x"]
    )
    renamed = formula.renamed(7)
    assert renamed.text == "einsum('ij,i,j->',A_7,x_7,x_7)+n_7*x_7[0]"
    assert renamed.declarations == {"A_7": "n_7 n_7", "x_7": "n_7"}
    assert renamed.wrt == ["x_7"]
    # A result that is kept is noticed.
    kept = []
    derivative = tc.derivative
    monkeypatch.setattr(
        benchmark.tc, "derivative", lambda *a: kept.append(derivative(*a)) or kept[-1]
    )
    monkeypatch.setattr(benchmark, "PASSES", 3)
    with pytest.raises(RuntimeError, match="outlives"):
        benchmark.measure(formula, 1)

"""`tcalc fit` and `tcalc show`: beside the Python calls, and what they refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_cli import python, refused, run

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.fit.generalized.record import GCPFit

SHAPE = (6, 5, 4)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    factors = [rng.gamma(0.5, size=(n, 2)) * 2 for n in SHAPE]
    return rng.poisson(np.einsum("ir,jr,kr->ijk", *factors)).astype(float)


@pytest.fixture
def dense(counts, tmp_path) -> str:
    np.save(tmp_path / "x.npy", counts)
    return str(tmp_path / "x.npy")


@pytest.fixture
def sparse(counts, tmp_path) -> str:
    pytest.importorskip("numba")
    return str(tc.write_tns(tc.SparseTensor.from_dense(counts), tmp_path / "x.tns.gz"))


SHORT = ["--rank", "2", "--max-iterations", "12", "--seed", "3"]


def strict(text: str) -> dict:
    return json.loads(text, parse_constant=pytest.fail)


# -- fit -----------------------------------------------------------------------------------------


def test_dense_fit(counts, dense, tmp_path):
    out = tmp_path / "m.npz"
    told = run("fit", dense, *SHORT, "--loss", "poisson", "--out", str(out)).out
    expected = tc.gcp(counts, 2, loss="poisson", max_iterations=12, seed=3)
    found = GCPFit.load(out)
    for u, v in zip(found.factors, expected.factors, strict=True):
        assert np.array_equal(u, v)
    assert f"{expected.value:.8g} over 120 cells" in told
    assert re.search(r"^model +CP of rank 2, 6 x 5 x 4$", told, re.M)
    assert re.search(rf"^written to +{re.escape(str(out))}$", told, re.M)


def test_sparse_fit(counts, sparse, tmp_path):
    out = str(tmp_path / "m.npz")
    arguments = ["fit", sparse, *SHORT, "--loss", "poisson", "--out", out, "--json"]
    record = strict(run(*arguments).out)
    x = tc.SparseTensor.from_dense(counts)
    expected = tc.gcp(x, 2, loss="poisson", max_iterations=12, seed=3)
    assert record["fit"]["value"] == pytest.approx(expected.value, rel=1e-12)
    assert record["fit"]["cells"] == counts.size and record["path"] == out
    stored = strict(run(*arguments, "--mask", "stored").out)
    assert stored["fit"]["cells"] == x.nnz
    wide = strict(run(*arguments, "--shape", "6, 5 x 9").out)
    assert wide["shape"] == [6, 5, 9] and wide["fit"]["cells"] == 270


def test_masks_are_tensors_in_files(counts, dense, tmp_path):
    known = np.random.default_rng(1).random(SHAPE) < 0.7
    np.save(tmp_path / "known.npy", known)
    np.save(tmp_path / "holes.npy", np.where(known, counts, np.nan))
    out = str(tmp_path / "m.npz")
    arguments = [*SHORT, "--out", out, "--json"]
    mask = ["--mask", str(tmp_path / "known.npy")]
    record = strict(run("fit", str(tmp_path / "holes.npy"), *arguments, *mask).out)
    expected = tc.gcp(counts, 2, mask=known, max_iterations=12, seed=3)
    assert record["fit"]["value"] == pytest.approx(expected.value, rel=1e-12)
    assert record["fit"]["cells"] == known.sum()
    assert "NaN" in refused("fit", str(tmp_path / "holes.npy"), *SHORT, "--out", out)


def test_options_reach_the_fit(counts, dense, tmp_path):
    out = str(tmp_path / "m.npz")
    more = ["--loss", "huber", "--parameter", "delta=0.5", "--nonnegative", "--l2", "0.1"]
    run("fit", dense, *SHORT, "--out", out, *more, "--starts", "2")
    expected = tc.gcp(
        counts, 2, loss="huber", parameters={"delta": 0.5}, nonnegative=True, l2=0.1, starts=2,
        max_iterations=12, seed=3,
    )  # fmt: skip
    found = GCPFit.load(out)
    assert found.value == expected.value and len(found.start_values) == 2
    assert all((u >= 0).all() for u in found.factors)
    own = ["--loss", "(x-m)^2/(1+abs(x-m))"]
    run("fit", dense, *SHORT, "--out", out, *own)
    assert GCPFit.load(out).value == tc.gcp(counts, 2, loss=own[1], max_iterations=12, seed=3).value


def test_a_fit_goes_on_from_a_model(dense, tmp_path):
    first, second = str(tmp_path / "1.npz"), str(tmp_path / "2.npz")
    run("fit", dense, *SHORT, "--loss", "poisson", "--out", first)
    run("fit", dense, *SHORT, "--loss", "poisson", "--out", second, "--start", first)
    one, two = GCPFit.load(first), GCPFit.load(second)
    assert two.loss_history[0] == pytest.approx(one.value, rel=1e-12)
    assert two.value < one.value


def test_a_fit_is_taken_up_again(dense, tmp_path):
    out, other, state = (str(tmp_path / f"{name}.npz") for name in ("m", "o", "state"))
    arguments = ["fit", dense, "--rank", "2", "--loss", "poisson", "--seed", "3"]
    limits = ["--max-iterations", "60", "--tol", "0"]
    run(*arguments, *limits, "--out", out, "--checkpoint", state)
    whole = GCPFit.load(out)
    run(*arguments, *limits, "--out", other, "--resume", state)
    again = GCPFit.load(other)
    assert again.value == whole.value
    for u, v in zip(again.factors, whole.factors, strict=True):
        assert np.array_equal(u, v)
    assert "seed" in refused(*arguments[:-1], "4", *limits, "--out", other, "--resume", state)


def test_cells_listed_twice(tmp_path):
    pytest.importorskip("numba")
    path = tmp_path / "x.tns"
    path.write_text("1 1 1\n2 2 5\n1 1 2\n2 1 1\n")
    arguments = ["fit", str(path), "--rank", "1", "--out", str(tmp_path / "m.npz"), "--json"]
    assert "lines 1 and 3" in refused(*arguments)
    assert strict(run(*arguments, "--duplicates", "sum").out)["shape"] == [2, 2]


def test_quiet(dense, tmp_path):
    done = run("fit", dense, *SHORT, "--out", str(tmp_path / "m.npz"), "--quiet")
    assert done.out == "" and done.err == ""
    assert (tmp_path / "m.npz").exists()


def test_interrupts_keep_the_model(dense, tmp_path):
    program = f"""
import sys
from tensorcalculus.fit.generalized import objective
from tensorcalculus.cli import app
value_gradient, calls = objective.FactorProblem.value_gradient, []
def interrupted(self, x):
    calls.append(1)
    if len(calls) > 9:
        raise KeyboardInterrupt
    return value_gradient(self, x)
objective.FactorProblem.value_gradient = interrupted
app(["fit", {dense!r}, "--rank", "2", "--out", {str(tmp_path / "m.npz")!r}])
"""
    done = python("-c", program)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stdout and "Traceback" not in done.stderr
    assert GCPFit.load(tmp_path / "m.npz").message == "interrupted"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DATA": "none.tns"}, "there is no file none.tns"),
        ({"--rank": "0"}, "--rank"),
        ({"--rank": "99"}, "rank: 99 is more than"),
        ({"--loss": "possion"}, "Did you mean 'poisson'"),
        ({"--loss": "(x-m"}, "error"),
        ({"--loss": "bernoulli"}, "0 and 1"),
        ({"--out": "m.txt"}, "--out: a file.npz is expected, not 'm.txt'"),
        ({"--out": "nowhere/m.npz"}, "--out: there is no folder nowhere"),
        ({"--parameter": "delta"}, "--parameter: NAME=NUMBER is expected, not 'delta'"),
        ({"--parameter": "delta=1"}, "has no parameter 'delta'"),
        ({"--mask": "stored"}, "the data are dense"),
        ({"--mask": "none.npy"}, "--mask: there is no file none.npy"),
        ({"--method": "newton"}, "method"),
        ({"--start": "none.npz"}, "there is no file none.npz"),
        ({"--resume": "none.npz"}, "there is no file none.npz"),
        ({"--checkpoint": "nowhere/c.npz"}, "there is no folder nowhere"),
        ({"--shape": "6 5 a"}, "--shape: sizes such as 200,150,100"),
        ({"--duplicates": "drop"}, "drop"),
    ],
)
def test_what_fit_refuses(dense, tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    options = {"--rank": "2", "--out": str(tmp_path / "m.npz"), **changes}
    data = options.pop("DATA", dense)
    assert message in refused("fit", data, *(word for pair in options.items() for word in pair))
    assert not (tmp_path / "m.npz").exists()


def test_the_data_are_not_written_over(counts, tmp_path):
    np.savez(tmp_path / "x.npz", counts)
    path = str(tmp_path / "x.npz")
    assert "is the data" in refused("fit", path, *SHORT, "--out", path)


# -- show ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(counts, tmp_path_factory) -> tuple[str, GCPFit]:
    found = tc.gcp(counts, 2, loss="poisson", max_iterations=12)
    return str(found.save(tmp_path_factory.mktemp("model") / "m.npz")), found


def test_show(fitted):
    path, found = fitted
    told = run("show", path, "--largest", "2").out
    assert re.search(r"^loss +poisson: ", told, re.M)
    assert re.search(r"^indices +from 0", told, re.M)
    assert re.search(r"^diagnosis +components are ", told, re.M)
    for r, weight in enumerate(found.weights):
        assert re.search(rf"^component {r} +weight {weight:.4g}$", told, re.M)
    column = found.factors[1][:, 0]
    i, j = np.argsort(-np.abs(column))[:2]
    assert f"  mode 1  {i}: {column[i]:.3g}, {j}: {column[j]:.3g}\n" in told


def test_show_json(fitted):
    path, found = fitted
    record = strict(run("show", path, "--json", "--largest", "3").out)
    assert record["shape"] == list(SHAPE) and record["rank"] == 2
    assert record["weights"] == found.weights.tolist()
    assert record["fit"]["value"] == found.value and record["fit"]["loss"] == "poisson"
    for r, component in enumerate(record["components"]):
        for k, mode in enumerate(component["modes"]):
            column = found.factors[k][:, r]
            top = sorted(range(len(column)), key=lambda i: -abs(column[i]))[:3]
            assert mode["largest"] == [{"label": str(i), "entry": column[i]} for i in top]


def test_show_labels(counts, tmp_path):
    xarray = pytest.importorskip("xarray")
    cities = ["Bergen", "Oslo", "Voss", "Ås", "Bø", "Å"]
    held = xarray.DataArray(counts, dims=("city", "day", "hour"), coords={"city": cities})
    found = tc.gcp(held, 2, max_iterations=12)
    assert isinstance(found.labels, Labels)
    told = run("show", str(found.save(tmp_path / "m.npz"))).out
    first = cities[int(np.argmax(np.abs(found.factors[0][:, 0])))]
    assert re.search(rf"^  city  {first}: ", told, re.M)
    assert "indices" not in told


def test_show_models_of_other_making(tmp_path):
    model = tn.CP.random(SHAPE, 3, seed=1)
    record = strict(run("show", str(model.save(tmp_path / "cp.npz")), "--json").out)
    sizes = np.prod([np.linalg.norm(u, axis=0) for u in model.factors], axis=0)
    assert record["weights"] == pytest.approx(sorted(sizes, reverse=True))
    assert "fit" not in record
    assert "weights" in run("show", str(tmp_path / "cp.npz")).out


def test_show_plot(fitted, tmp_path):
    pytest.importorskip("matplotlib")
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"m.{ending}"
        run("show", fitted[0], "--plot", str(path))
        assert path.read_bytes().startswith(start) and path.stat().st_size > 5000
    assert "--plot: a file .png, .svg, .pdf" in refused("show", fitted[0], "--plot", "m.txt")
    assert "there is no folder" in refused("show", fitted[0], "--plot", "nowhere/m.png")


def test_what_show_refuses(tmp_path: Path):
    assert "there is no file" in refused("show", "none.npz")
    tn.TT.random(SHAPE, 2).save(tmp_path / "tt.npz")
    assert "holds a TT; a CP is expected" in refused("show", str(tmp_path / "tt.npz"))
    (tmp_path / "x.npz").write_bytes(b"no archive")
    assert "cannot be read" in refused("show", str(tmp_path / "x.npz"))
    np.savez(tmp_path / "told.npz", told=np.array("{}"))
    assert "holds no fit of tc.gcp" in refused("show", str(tmp_path / "told.npz"))
    tn.CP([np.ones((2, 1)) * 1j, np.ones((3, 1))]).save(tmp_path / "c.npz")
    assert "complex numbers" in refused("show", str(tmp_path / "c.npz"))

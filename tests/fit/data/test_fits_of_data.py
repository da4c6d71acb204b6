"""Fits of the same numbers in other hands: libraries, files, masks; labels on the results."""

from __future__ import annotations

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.fit.generalized.record import GCPFit

SHAPE = (6, 5, 4)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    factors = [rng.gamma(0.5, size=(n, 2)) * 2 for n in SHAPE]
    return rng.poisson(np.einsum("ir,jr,kr->ijk", *factors)).astype(float)


def fitted(x, **options):
    return tc.gcp(x, 2, loss="poisson", max_iterations=15, seed=1, **options)


def test_one_tensor_in_many_forms(counts, tmp_path):
    sparse = pytest.importorskip("sparse")
    pytest.importorskip("numba")
    x = tc.SparseTensor.from_dense(counts)
    expected = fitted(x)
    tc.write_tns(x, tmp_path / "x.tns.gz")
    for given in (sparse.COO(counts), tmp_path / "x.tns.gz", str(x.save(tmp_path / "x.npz"))):
        found = fitted(given)
        assert found.value == pytest.approx(expected.value, rel=1e-12)
        assert found.labels is None
    dense = fitted(counts, start=expected.model)
    assert dense.score(counts) == pytest.approx(dense.score(x), rel=1e-12)
    np.save(tmp_path / "x.npy", counts)
    assert fitted(tmp_path / "x.npy").value == pytest.approx(fitted(counts).value, rel=1e-12)


def test_masks_of_dense_and_sparse_data_agree(counts):
    pytest.importorskip("numba")
    rng = np.random.default_rng(3)
    known = rng.random(SHAPE) < 0.8
    x = tc.SparseTensor.from_dense(counts * known)
    cells = np.argwhere(known)
    ones = tc.SparseTensor(cells, np.ones(len(cells)), SHAPE)
    start = [rng.uniform(0.5, 1, (n, 2)) for n in SHAPE]
    expected = fitted(np.where(known, counts, np.nan), mask=known, start=start)
    for options in ({"mask": known}, {"mask": ones}, {"missing": np.argwhere(~known)}):
        for given in (counts, x):
            found = fitted(given, start=start, **options)
            assert found.cells == known.sum()
            assert found.value == pytest.approx(expected.value, rel=1e-9)
            assert found.score(given, **options) == pytest.approx(-found.value / known.sum())


def test_labels_stay(counts, tmp_path):
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    names = ["Bergen", "Oslo", "Voss", "Ås", "Bø", "Å"]
    held = xarray.DataArray(counts, dims=("city", "day", "hour"), coords={"city": names})
    found = fitted(held)
    again = GCPFit.load(found.save(tmp_path / "m.npz"))
    squares = tc.cp_als(held, 2, max_iterations=5)
    for model in (found, again, squares):
        made = model.factor_table("city")
        assert isinstance(made, pandas.DataFrame) and made.index.tolist() == names
        assert np.array_equal(made.values, model.factors[0])
        assert model.to_xarray()["factor of hour"].dims == ("hour", "component")
        top = int(np.argmax(model.factors[0][:, 1]))
        assert model.largest(1, "city", 2)[0] == (names[top], model.factors[0][top, 1])
    table = held.to_series().reset_index()
    assert fitted(table).labels.coordinates[0].tolist() == sorted(names)
    assert tc.cp_als(counts, 2, max_iterations=5).labels is None
    assert tc.cp_als(counts + 0j, 2, max_iterations=5).labels is None
    figure = pytest.importorskip("matplotlib.figure")
    for model in (found, squares):
        ax = model.plot_mode("city", figure.Figure().subplots())
        assert ax.get_xlabel() == "index of city"
    plain = fitted(counts)
    assert plain.factor_table(1).index.tolist() == list(range(5))

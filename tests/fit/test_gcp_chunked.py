"""Generalised CP of arrays on disk and in a cluster: the same numbers as in memory."""

import os
import signal
import tracemalloc

import numpy as np
import pytest
from gcp_data import LOSSES, data_for, dense_model, factors_for

import tensorcalculus as tc
from tensorcalculus.fit.data.observed import observe
from tensorcalculus.fit.generalized.driver import observed_cells

SHAPE = (13, 7, 9)


def on_disk(kind: str, x: np.ndarray, folder) -> object:
    """The array as one that is read in blocks."""
    if kind == "memmap":
        held = np.memmap(folder / "x.dat", x.dtype, "w+", shape=x.shape)
        held[:] = x
        return held
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        held = zarr.create_array(
            store=str(folder / "x.zarr"), shape=x.shape, chunks=(4, 3, 5), dtype=x.dtype
        )
        held[:] = x
        return held
    return pytest.importorskip("dask.array").from_array(x, chunks=(4, 3, 5))


@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask"])
@pytest.mark.parametrize("masked", [False, True])
def test_losses_and_gradients_are_those_of_the_whole_array(kind, masked, tmp_path) -> None:
    loss = LOSSES["poisson"]
    x, factors = data_for(loss, SHAPE), factors_for(loss, SHAPE, 3)
    mask = np.random.default_rng(0).uniform(size=SHAPE) < 0.7 if masked else None
    expected = observed_cells(observe(x, mask), loss)
    if masked:
        x[~mask] = np.nan
    found = observed_cells(observe(on_disk(kind, x, tmp_path), mask), loss)
    assert found.count == expected.count
    value, gradients = found.value_gradients(factors)
    whole, parts = expected.value_gradients(factors)
    assert value == pytest.approx(whole, rel=1e-12)
    for a, b in zip(gradients, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(found.moments(), expected.moments(), rtol=1e-12)
    for a, b in zip(found.slice_means(), expected.slice_means(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask"])
def test_fits_are_those_in_memory(kind, tmp_path) -> None:
    x = data_for(LOSSES["poisson"], SHAPE)
    expected = tc.gcp(x, 2, loss="poisson", max_iterations=20)
    found = tc.gcp(on_disk(kind, x, tmp_path), 2, loss="poisson", max_iterations=20)
    np.testing.assert_allclose(found.loss_history, expected.loss_history, rtol=1e-10)


def test_bad_numbers_are_found_with_their_place(tmp_path) -> None:
    x = data_for(LOSSES["poisson"], SHAPE)
    x[12, 5, 8] = np.nan
    for kind in ("memmap", "zarr", "dask"):
        with pytest.raises(tc.InputError, match=r"\[12, 5, 8\]"):
            tc.gcp(on_disk(kind, x, tmp_path), 2, loss="poisson")
    x[12, 5, 8] = -2
    with pytest.raises(tc.InputError, match="the data hold -2"):
        tc.gcp(on_disk("dask", x, tmp_path), 2, loss="poisson")


def test_chunks_of_sparse_arrays_in_dask() -> None:
    pytest.importorskip("numba")
    sparse = pytest.importorskip("sparse")
    array = pytest.importorskip("dask.array")
    rng = np.random.default_rng(1)
    x = np.where(rng.uniform(size=SHAPE) < 0.3, data_for(LOSSES["poisson"], SHAPE), 0.0)
    chunks = array.from_array(x, chunks=(7, 7, 5)).map_blocks(sparse.COO.from_numpy)
    expected = tc.gcp(x, 2, loss="poisson", max_iterations=10)
    found = tc.gcp(chunks, 2, loss="poisson", max_iterations=10)
    np.testing.assert_allclose(found.loss_history, expected.loss_history, rtol=1e-9)


@pytest.mark.slow
def test_a_cluster_of_processes_survives_a_killed_worker() -> None:
    distributed = pytest.importorskip("distributed")
    array = pytest.importorskip("dask.array")
    rng = np.random.default_rng(2)
    x = rng.poisson(dense_model([rng.gamma(0.5, 2.0, (n, 2)) for n in (40, 30, 20)])).astype(float)
    expected = tc.gcp(x, 2, loss="poisson", max_iterations=15)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killed = []

        def kill(entry) -> None:
            if entry.iteration == 5 and not killed:
                workers = client.run(os.getpid)
                killed.append(next(iter(workers.values())))
                os.kill(killed[0], signal.SIGKILL)

        found = tc.gcp(
            array.from_array(x, chunks=(10, 15, 20)), 2, loss="poisson", max_iterations=15,
            progress=kill,
        )  # fmt: skip
        assert killed
    np.testing.assert_allclose(found.loss_history, expected.loss_history, rtol=1e-10)


def test_memory_does_not_grow_with_passes(tmp_path) -> None:
    """A pass holds one block of the array, however many passes there are."""
    from tensorcalculus.fit.data.chunked import Chunked

    shape, loss = (64, 64, 64), LOSSES["gaussian"]
    held = np.memmap(tmp_path / "x.dat", np.float64, "w+", shape=shape)
    held[:] = 1.0
    cells = observed_cells(observe(Chunked(held, budget=2**17)), loss)
    factors = factors_for(loss, shape, 2)
    cells.value_gradients(factors)
    tracemalloc.start()
    peaks = []
    for _ in range(4):
        tracemalloc.reset_peak()
        cells.value_gradients(factors)
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert max(peaks) < 1.1 * peaks[0] < 0.6 * held.nbytes


@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask"])
def test_least_squares_of_blocks(kind, tmp_path) -> None:
    x = data_for(LOSSES["gaussian"], SHAPE)
    expected = tc.cp_als(x, 2, max_iterations=15)
    found = tc.cp_als(on_disk(kind, x, tmp_path), 2, max_iterations=15)
    np.testing.assert_allclose(found.loss_history, expected.loss_history, rtol=1e-10)


def test_starts_that_need_the_whole_array_are_refused(tmp_path) -> None:
    x = data_for(LOSSES["gaussian"], SHAPE)
    with pytest.raises(tc.InputError, match="start"):
        tc.cp_als(on_disk("memmap", x, tmp_path), 2, start="hosvd")


def test_damped_steps_of_blocks(tmp_path) -> None:
    x = data_for(LOSSES["gaussian"], SHAPE)
    expected = tc.cp_opt(x, 2, max_iterations=8)
    found = tc.cp_opt(on_disk("memmap", x, tmp_path), 2, max_iterations=8)
    np.testing.assert_allclose(found.loss_history, expected.loss_history, rtol=1e-9)


@pytest.mark.parametrize("kind", ["memmap", "zarr", "dask"])
@pytest.mark.parametrize("masked", [False, True])
def test_sampled_gradients_are_unbiased(kind, masked, tmp_path) -> None:
    """The mean of 600 is within 4.5 standard errors: one in 150 000 right ones would not be."""
    pytest.importorskip("numba")
    from tensorcalculus.fit.generalized.sampling import Gradient

    loss = LOSSES["poisson"]
    x, factors = data_for(loss, SHAPE), factors_for(loss, SHAPE, 3)
    mask = np.random.default_rng(0).uniform(size=SHAPE) < 0.7 if masked else None
    if masked:
        x[~mask] = np.nan
    cells = observed_cells(observe(on_disk(kind, x, tmp_path), mask), loss)
    _, exact = cells.value_gradients(factors)
    sums = [np.zeros_like(u) for u in factors]
    gradient = Gradient(cells.samples().strata("uniform", (50,)), factors, sums, 7)
    along = np.empty(600)
    for n in range(len(along)):
        gradient.add(n)
        along[n] = sum(float(np.vdot(a, b)) for a, b in zip(sums, exact, strict=True))
        for a in sums:
            a[:] = 0
    expected = sum(float(np.vdot(g, g)) for g in exact)
    assert abs(along.mean() - expected) < 4.5 * along.std(ddof=1) / np.sqrt(len(along))


@pytest.mark.parametrize("kind", ["memmap", "dask"])
def test_stochastic_fits_of_blocks(kind, tmp_path) -> None:
    pytest.importorskip("numba")
    x = data_for(LOSSES["poisson"], SHAPE)
    method = tc.Adam(rate=1e-2, epoch_iterations=200, samples=200)
    held = on_disk(kind, x, tmp_path)
    found, again = (
        tc.gcp(held, 2, loss="poisson", method=method, max_iterations=5) for _ in range(2)
    )
    np.testing.assert_array_equal(found.factors[0], again.factors[0])
    assert found.value < found.record[0].value
    value = observed_cells(observe(x), found.loss).value_gradients(found.model.factors)[0]
    exact = tc.gcp(x, 2, loss="poisson").value
    assert exact <= value < exact + 0.05 * abs(exact)


def test_samples_of_bad_numbers_are_refused(tmp_path) -> None:
    pytest.importorskip("numba")
    from tensorcalculus.fit.generalized.sampling import Gradient

    loss, x = LOSSES["poisson"], data_for(LOSSES["poisson"], (3, 2))
    factors = factors_for(loss, (3, 2), 1)
    sums = [np.zeros_like(u) for u in factors]
    for bad, message in ((np.nan, "not finite"), (-1.0, "the data hold -1")):
        x[1, 1] = bad
        cells = observed_cells(observe(on_disk("memmap", x, tmp_path)), loss)
        with pytest.raises(tc.InputError, match=message):
            Gradient(cells.samples().strata("uniform", (50,)), factors, sums, 0).add(0)

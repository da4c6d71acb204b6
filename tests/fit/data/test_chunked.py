"""Arrays read block by block: the blocks are the array, and memory does not grow with passes."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tensorcalculus import InputError, ShapeError
from tensorcalculus.fit.data.chunked import Chunked
from tensorcalculus.fit.data.observed import Observed, block_of, observe
from tensorcalculus.fit.data.reading import read_data

SHAPE = (7, 10, 9)
SOURCES = ["memmap", "memmap F", "zarr", "zarr large", "dask"]


def observed_blocks(found: Observed):
    """Where each block lies, its numbers, and which of them are known."""
    for where, values in found.data.values.blocks():
        known = found.known_in(where)
        yield where, block_of(values, where, known), known


def drawn(kind="float64", shape=SHAPE):
    return (100 * np.random.default_rng(0).standard_normal(shape)).astype(kind)


def stored(source: str, a: np.ndarray, folder):
    if source.startswith("memmap"):
        order = "F" if source.endswith("F") else "C"
        held = np.memmap(folder / "a", a.dtype, "w+", shape=a.shape, order=order)
        held[:] = a
        return held
    if source.startswith("zarr"):
        zarr = pytest.importorskip("zarr")
        chunks = a.shape if source.endswith("large") else (3, 4, 2)[: a.ndim]
        held = zarr.open(
            str(folder / "a.zarr"), mode="w", shape=a.shape, chunks=chunks, dtype=a.dtype
        )
        held[:] = a
        return held
    array = pytest.importorskip("dask.array")
    return array.from_array(a, chunks=((2, 4, 1), (10,), (1, 3, 5)))


@pytest.mark.parametrize("kind", ["float64", "float32", "int16"])
@pytest.mark.parametrize("source", SOURCES)
def test_blocks_are_the_array(source, kind, tmp_path):
    a = drawn(kind)
    held = stored(source, a, tmp_path)
    for budget in (1, 200, 2000, 10**9):
        x = Chunked(held, budget)
        found, seen = np.zeros_like(a), np.zeros(SHAPE, int)
        for where, values in x.blocks():
            assert values.dtype == a.dtype
            found[where] = values
            seen[where] += 1
            if source.startswith("memmap"):
                assert values.nbytes <= max(budget, a.itemsize)
        assert np.array_equal(found, a) and (seen == 1).all()
    assert len(x.grid()) == 1
    assert np.array_equal(x.to_dense(), a)
    cells = np.argwhere(np.ones(SHAPE))[::-7]
    assert np.array_equal(x.take(cells), a[tuple(cells.T)])
    assert x.take(np.empty((0, 3), int)).shape == (0,)
    assert (x.shape, x.size, x.nbytes) == (SHAPE, a.size, a.nbytes)


def test_blocks_follow_chunks(tmp_path):
    x = Chunked(stored("zarr", drawn(), tmp_path), 8 * 3 * 4 * 2 * 3)
    assert x.grid()[:2] == [
        (slice(0, 3), slice(0, 4), slice(0, 6)), (slice(0, 3), slice(0, 4), slice(6, 9)),
    ]  # fmt: skip
    lines = Chunked(stored("memmap F", drawn(), tmp_path), 8 * 15)
    assert lines.grid()[0] == (slice(0, 7), slice(0, 2), slice(0, 1))


@pytest.mark.parametrize("source", SOURCES)
def test_known_cells(source, tmp_path):
    a = drawn()
    known = np.random.default_rng(1).random(SHAPE) < 0.7
    holes = stored(source, np.where(known, a, np.nan), tmp_path)
    (tmp_path / "mask").mkdir()
    masks = [
        {"mask": known}, {"missing": np.argwhere(~known)},
        {"mask": stored(source, known, tmp_path / "mask")},
        {"mask": stored(source, known.astype("i1"), tmp_path / "mask")},
    ]  # fmt: skip
    data = read_data(Chunked(holes, 600))
    assert data.kind == "chunked"
    for options in masks:
        found = observe(data, **options)
        assert found.count == known.sum()
        values, seen = np.full(SHAPE, np.nan), np.zeros(SHAPE, bool)
        for where, part, there in observed_blocks(found):
            values[where], seen[where] = part, there
        assert np.array_equal(values, np.where(known, a, 0)) and np.array_equal(seen, known)
    first = np.argwhere(~known)
    with pytest.raises(
        InputError, match=r"of .* numbers are NaN or infinite, the first, nan, at"
    ) as e:
        list(observed_blocks(observe(data)))
    place = [int(i) for i in str(e.value).split("at [")[1].split("]")[0].split(",")]
    assert place in first.tolist()


def test_types_and_labels(tmp_path):
    a = drawn("int16")
    found = observe(stored("memmap", a, tmp_path))
    assert all(
        part.dtype == np.float64 and there is None for _, part, there in observed_blocks(found)
    )
    small = observe(stored("memmap", drawn("float32"), tmp_path))
    assert all(part.dtype == np.float32 for _, part, _ in observed_blocks(small))
    xarray = pytest.importorskip("xarray")
    held = xarray.DataArray(stored("dask", a, tmp_path), dims=("i", "j", "k"))
    data = read_data(held)
    assert data.kind == "chunked" and data.labels.names == ("i", "j", "k")
    found = observe(held, mask=held > 0)
    assert found.count == (a > 0).sum()


def test_folders_of_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    a = drawn()
    stored("zarr", a, tmp_path)
    data = read_data(tmp_path / "a.zarr")
    assert data.kind == "chunked" and np.array_equal(data.values.to_dense(), a)
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(InputError, match="a group of zarr arrays"):
        read_data(tmp_path / "group.zarr")


def test_what_is_refused(tmp_path):
    array = pytest.importorskip("dask.array")
    a = array.from_array(drawn(), chunks=3)
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        Chunked(a[a[:, 0, 0] > 0])
    with pytest.raises(InputError, match=r"X: real numbers are expected, .* complex128"):
        read_data(a.astype(complex))
    with pytest.raises(ShapeError, match="none of length 0"):
        read_data(a[:0])
    with pytest.raises(InputError, match=r"np.memmap, zarr.Array or dask.array.Array is expected"):
        Chunked(FakeArray())
    x = Chunked(a)
    with pytest.raises(InputError, match=r"cells: row 0 .* mode 1 has the index 10"):
        x.take([[0, 10, 0]])
    with pytest.raises(InputError, match="the data are chunked"):
        observe(a, mask="stored")
    with pytest.raises(ShapeError, match="mask: the shape"):
        observe(a, mask=a[1:] > 0)


class FakeArray:
    """Looks like an array, and is of no library."""

    shape, dtype = (2, 2), np.dtype(float)


def test_memory_does_not_grow_with_passes(tmp_path):
    a = np.memmap(tmp_path / "a", np.float32, "w+", shape=(256, 128, 64))
    a[:] = 1
    x = observe(Chunked(a, 2**18))
    peaks = []
    for _ in range(4):
        tracemalloc.start()
        try:
            total = sum(float(part.sum()) for _, part, _ in observed_blocks(x))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert total == a.size
    assert max(peaks) < 4 * 2**18 < a.nbytes / 4
    assert max(peaks[1:]) <= 1.1 * peaks[0]


@pytest.mark.slow
def test_a_large_array_of_zarr_stays_on_disk(tmp_path):
    pytest.importorskip("zarr")
    if not Path("/proc/self/status").is_file():
        pytest.skip("the largest memory of a process is read from Linux' /proc")
    program = f"""
import re, numpy as np, zarr
from pathlib import Path
from tensorcalculus.fit.data.observed import Observed, block_of, observe
from tensorcalculus.fit.data.reading import read_data
held = zarr.open({str(tmp_path / "a.zarr")!r}, mode="w", shape=(512, 512, 512),
                 chunks=(64, 512, 64), dtype="float32")
for i in range(0, 512, 64):
    held[i:i + 64] = np.float32(i)
x, peaks = read_data({str(tmp_path / "a.zarr")!r}).values, []
for _ in range(4):
    total = sum(float(part.sum(dtype=np.float64)) for _, part in x.blocks())
    # Of this program alone: what `resource` tells begins with the size of the one that started it.
    told = Path("/proc/self/status").read_text()
    peaks.append(int(re.search(r"VmHWM:\\s*(\\d+) kB", told)[1]) * 1024)
assert total == 64 * 512 * 512 * sum(range(0, 512, 64)), total
print(*peaks)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peaks = list(map(float, done.stdout.split()))
    assert peaks[-1] < 1.05 * peaks[0]
    assert peaks[-1] < 400e6 < 512**3 * 4

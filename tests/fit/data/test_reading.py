"""Data of every library become the same numbers; names and labels stay with them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from fit_data import given_to, per_library

import tensorcalculus as tc
from tensorcalculus import InputError, ShapeError, SparseTensor
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.fit.data.reading import Data, read_data


def drawn(shape=(4, 5, 3), density=0.4, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) * (rng.random(shape) < density)


def numbers(data: Data) -> np.ndarray:
    """All entries, whatever kind they are of."""
    values = data.values
    return data.numpy() if data.kind == "dense" else values.to_dense()  # type: ignore[union-attr]


# -- arrays --------------------------------------------------------------------------------------


@per_library
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "bool"])
def test_dense_arrays(library, kind):
    a = (10 * drawn()).astype(kind)
    data = read_data(given_to(library, a))
    assert data.kind == "dense" and data.shape == a.shape and not data.labels.given
    assert np.array_equal(data.numpy(), a.astype(np.float64))
    assert type(data.home) is type(given_to(library, a)) and data.home.shape == (0,)
    assert str(data.home.dtype).endswith("32" if kind == "float32" else "64")
    assert read_data(data) is data


def test_lists_and_small_floats():
    assert np.array_equal(read_data([[1, 2], [3, 4]]).numpy(), [[1.0, 2.0], [3.0, 4.0]])
    assert read_data(np.ones((2, 2), np.float16)).numpy().dtype == np.float64


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2], [3]], ShapeError, "X: lists that are no array"),
        (np.ones((2, 0)), ShapeError, r"X: axes, none of length 0, .* \(2, 0\)"),
        (np.float64(3), InputError, "X: an array .* is expected, not numpy.float64"),
        (np.ones((2, 2), complex), InputError, "not an array of complex128; tc.cp_als takes"),
        (np.array([["a"]]), InputError, "real numbers are expected, not an array of <U1"),
        (np.array([[None]]), InputError, "not an array of object"),
        (
            np.ma.masked_array([[1.0, 2]], [[True, False]]),
            InputError,
            "taken apart first: x.filled",
        ),
        ({1: 2}, InputError, "is expected, not builtins.dict"),
        (None, InputError, "not builtins.NoneType"),
    ],
)
def test_what_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        read_data(x)


def test_the_argument_is_named():
    with pytest.raises(InputError, match=r"^mask: real numbers"):
        read_data(np.array(["a"]), "mask")


# -- sparse --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("matrix", [False, True])
def test_scipy(form, matrix):
    a = drawn((6, 5))
    made = (scipy.sparse.csr_matrix if matrix else scipy.sparse.csr_array)(a).asformat(form)
    data = read_data(made)
    assert data.kind == "sparse" and np.array_equal(numbers(data), a)


def test_scipy_adds_what_is_listed_twice_as_it_does_itself():
    made = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 1, 0], [1, 1, 1])), (2, 2))
    assert np.array_equal(numbers(read_data(made)), made.toarray())


def test_pydata_sparse():
    sparse = pytest.importorskip("sparse")
    a = drawn()
    for made in (sparse.COO(a), sparse.GCXS(a), sparse.DOK(a)):
        data = read_data(made)
        assert data.kind == "sparse" and np.array_equal(numbers(data), a)
    with pytest.raises(InputError, match=r"X: from_sparse: cells that are not stored must be 0"):
        read_data(sparse.COO(a, fill_value=1.0))


def test_torch_sparse():
    torch = pytest.importorskip("torch")
    a = drawn()
    twice = torch.sparse_coo_tensor(
        [[0, 1, 0], [1, 1, 1]], [1.0, 2.0, 4.0], (2, 2), check_invariants=True
    )
    assert np.array_equal(numbers(read_data(torch.from_numpy(a).to_sparse())), a)
    assert np.array_equal(numbers(read_data(twice)), [[0, 5], [0, 2]])


# -- pandas and xarray ---------------------------------------------------------------------------


def table(pandas, seed=0):
    """A table in long form and the dense array that it stands for."""
    rng = np.random.default_rng(seed)
    cities, days = ["Bergen", "Oslo", "Voss"], pandas.date_range("2020-01-30", periods=4)
    a = drawn((3, 4, 2), 0.7, seed)
    assert a.any((1, 2)).all() and a.any((0, 2)).all() and a.any((0, 1)).all()
    rows = rng.permutation(np.argwhere(a))
    frame = pandas.DataFrame(
        {
            "city": [cities[i] for i in rows[:, 0]],
            "day": days[rows[:, 1]],
            "hour": [7 + 5 * int(k) for k in rows[:, 2]],
            "count": a[tuple(rows.T)],
        }
    )
    return frame, a


def test_pandas_tables():
    pandas = pytest.importorskip("pandas")
    frame, a = table(pandas)
    series = frame.set_index(["city", "day", "hour"])["count"]
    for given in (frame, series, series.to_frame(), frame.set_index("city")):
        data = read_data(given)
        assert data.kind == "sparse" and np.array_equal(numbers(data), a)
        assert data.labels.names == ("city", "day", "hour")
        assert data.labels.coordinates[0].tolist() == ["Bergen", "Oslo", "Voss"]
        assert data.labels.label("day", 2) == "2020-02-01"
        assert data.labels.coordinates[2].tolist() == [7, 12]
    x, labels = SparseTensor.from_pandas(frame.astype({"count": np.float32}))
    assert x.dtype == np.float32 and labels.label(0, 1) == "Oslo"


def test_categories_without_rows_are_kept_in_their_order():
    pandas = pytest.importorskip("pandas")
    kind = pandas.CategoricalDtype(["small", "medium", "large"])
    frame = pandas.DataFrame(
        {"size": pandas.Series(["large", "small"], dtype=kind), "k": [1, 5], "n": [3, 4]}
    )
    for given in (frame, frame.set_index(["size", "k"])["n"]):
        data = read_data(given)
        assert np.array_equal(numbers(data), [[0, 4], [0, 0], [3, 0]])
        assert data.labels.coordinates[0].tolist() == ["small", "medium", "large"]


def test_labels_of_other_types():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "month": pandas.period_range("2020-01", periods=2, freq="M"),
            "zone": pandas.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("Europe/Oslo"),
            "n": pandas.array([1, 2], dtype="Int64"),
        }
    )
    data = read_data(frame)
    assert data.labels.label("month", 1) == "2020-02"
    assert data.labels.label("zone", 0) == "2020-01-01 00:00:00+01:00"
    assert np.array_equal(numbers(data), np.diag([1.0, 2.0]))


def test_tables_that_are_refused():
    pandas = pytest.importorskip("pandas")
    frame, _ = table(pandas)
    first = frame.iloc[[0]]
    with pytest.raises(InputError, match=rf"rows 0 and {len(frame)} are of one cell, .*groupby"):
        read_data(pandas.concat([frame, first]))
    with pytest.raises(InputError, match=r"X: from_pandas: 1 of .* values are missing, .* row 2"):
        read_data(frame.assign(count=frame["count"].where(frame.index != 2)))
    with pytest.raises(InputError, match="1 labels of 'city' are missing, the first in row 3"):
        read_data(frame.assign(city=frame["city"].where(frame.index != 3)))
    with pytest.raises(InputError, match=r"values in 'city' are of type .* in its last column"):
        read_data(frame[["day", "city"]])
    with pytest.raises(InputError, match="value in row 0 is inf"):
        read_data(frame.assign(count=np.inf))
    with pytest.raises(InputError, match="a column for each mode"):
        read_data(frame[["count"]])
    with pytest.raises(InputError, match="no rows"):
        read_data(frame.iloc[:0])
    with pytest.raises(InputError, match="'city' occurs twice"):
        read_data(frame.rename(columns={"hour": "city"}))


def test_xarray():
    xarray = pytest.importorskip("xarray")
    a = drawn()
    held = xarray.DataArray(
        a, dims=("i", "j", "k"), coords={"i": list("abcd"), "far": ("j", np.arange(5))}
    )
    data = read_data(held)
    assert data.kind == "dense" and np.array_equal(numbers(data), a)
    assert data.labels.names == ("i", "j", "k")
    assert data.labels.coordinates[0].tolist() == list("abcd")
    assert data.labels.coordinates[1:] == (None, None)
    sparse = pytest.importorskip("sparse")
    assert read_data(held.copy(data=sparse.COO(a))).kind == "sparse"
    with pytest.raises(InputError, match="choose a variable of a Dataset"):
        read_data(held.to_dataset(name="x"))


# -- labels --------------------------------------------------------------------------------------


def test_labels():
    days = np.array(["2020-01-01", "2020-01-02T06:30"], "datetime64[ns]")
    labels = Labels(["city", "day", "k"], [["Oslo", "Bergen"], days, None])
    labels.check((2, 2, 9))
    assert [labels.mode(k) for k in ("day", 0, -1, np.int64(1))] == [1, 0, 2, 1]
    assert labels.label("day", 0) == "2020-01-01"
    assert labels.label("day", 1) == "2020-01-02T06:30:00"
    for wrong, message in (("dya", "Did you mean 'day'"), (3, "from 0 to 2"), (1.5, "1.5")):
        with pytest.raises(InputError, match=message):
            labels.mode(wrong)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="labels of 'city': 3 are expected, not 2"):
        labels.check((3, 2, 9))
    with pytest.raises(ShapeError, match="2 names are expected"):
        labels.check((3, 2))
    with pytest.raises(ShapeError, match="3 vectors"):
        Labels(["a", "b", "c"], [None])
    with pytest.raises(ShapeError, match="a vector is expected"):
        Labels(["a"], [[[1]]])


def test_labels_in_text():
    vectors = [
        np.array(["Ås", "Bø"]), np.array(["2020-01-01"], "datetime64[D]"), np.array([1.5, 2]),
        np.array([True]), np.arange(3), None, np.array([5], "timedelta64[h]"),
    ]  # fmt: skip
    labels = Labels("abcdefg", vectors)
    again = Labels.from_json(labels.to_json())
    assert again.names == labels.names
    for one, other in zip(labels.coordinates, again.coordinates, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one.dtype == other.dtype and np.array_equal(one, other))
    for text in ("{", '{"names": ["a"]}', '{"names": ["a"], "coordinates": [{"type": "O"}]}'):
        with pytest.raises(InputError, match="labels cannot be read"):
            Labels.from_json(text)


def test_tables_of_factors():
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    labels = Labels(["city", "k"], [["Oslo", "Bergen"], None])
    rng = np.random.default_rng(0)
    factors, weights = [rng.standard_normal((2, 3)), rng.standard_normal((4, 3))], np.arange(3.0)
    made = labels.factor_table(factors[0], "city")
    assert isinstance(made, pandas.DataFrame) and made.index.name == "city"
    assert made.loc["Bergen", 2] == factors[0][1, 2]
    held = labels.to_xarray(factors, weights)
    dense = (held["factor of city"] * held["factor of k"] * held["weights"]).sum("component")
    assert dense.dims == ("city", "k")
    assert np.abs(dense.values - (factors[0] * weights) @ factors[1].T).max() < 1e-14
    assert held.coords["city"].values.tolist() == ["Oslo", "Bergen"]
    with pytest.raises(InputError, match="as the axis of components"):
        Labels(["component", "k"]).to_xarray(factors, weights)


# -- files ---------------------------------------------------------------------------------------


def test_files(tmp_path):
    a = drawn()
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "one.npz", a)
    np.savez(tmp_path / "two.npz", a=a, b=a)
    SparseTensor.from_dense(a).save(tmp_path / "x.npz")
    tc.write_tns(SparseTensor.from_dense(a), tmp_path / "x.tns.gz")
    for name, kind in (("a.npy", "dense"), ("one.npz", "dense"), ("x.npz", "sparse"),
                       ("x.tns.gz", "sparse")):  # fmt: skip
        data = read_data(tmp_path / name)
        assert data.kind == kind and np.array_equal(numbers(data), a)
    # What a file is called does not matter.
    (tmp_path / "a.npy").rename(tmp_path / "a.tns")
    assert np.array_equal(read_data(str(tmp_path / "a.tns")).numpy(), a)
    with pytest.raises(InputError, match=r"two.npz holds the arrays a, b; a file of one"):
        read_data(tmp_path / "two.npz")
    with pytest.raises(InputError, match="there is no file"):
        read_data(tmp_path / "none.npy")
    with pytest.raises(InputError, match="is a folder, and none of zarr"):
        read_data(tmp_path)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_data(tmp_path / "objects.npy")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(InputError, match="cannot be read"):
        read_data(tmp_path / "x.npz")


def test_large_files_stay_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("tensorcalculus.fit.data.reading.LARGEST_LOADED", 100)
    np.save(tmp_path / "a.npy", drawn())
    data = read_data(tmp_path / "a.npy")
    assert data.kind == "chunked" and np.array_equal(numbers(data), drawn())


def test_no_library_is_loaded_to_look():
    program = (
        "import sys, numpy as np\n"
        "from tensorcalculus.fit.data.observed import observe\n"
        "observe(np.ones((2, 3)), mask=np.ones((2, 3)))\n"
        "libraries = {'pandas', 'xarray', 'zarr', 'dask', 'sparse', 'torch', 'jax', 'numba'}\n"
        "print(sorted(libraries & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr

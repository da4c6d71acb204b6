"""What a user hands over as one of three kinds of data, with the names that came along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.data.chunked import Chunked, is_chunked
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.networks.arrays import Array, is_array, is_jax, namespace, numpy_of

LARGEST_LOADED = 2**30
"""Bytes up to which a dense array in a file is loaded; larger ones stay there."""

_ACCEPTED = (
    "an array (NumPy, PyTorch, JAX), tc.SparseTensor, scipy.sparse, sparse.COO, a pandas Series or"
    " DataFrame in long form, an xarray DataArray, np.memmap, zarr or dask, or the path of a file"
    " .tns, .tns.gz, .npy, .npz or .zarr"
)
_NAMES = {b"\x93NUMPY": "npy", b"PK\x03\x04": "zip"}


@dataclass(frozen=True, eq=False)
class Data:
    """An array in the form in which fits take it."""

    values: Array | SparseTensor | Chunked
    """A dense array of its library, real and of a floating type; a sparse tensor; or an array that
    is read block by block, of any real type."""
    labels: Labels
    """Names of the modes and of their indices; :meth:`Labels.counted` where none came along."""
    home: Array
    """An array of the library, type and device in which results go back."""

    @property
    def kind(self) -> Literal["dense", "sparse", "chunked"]:
        """Which of the three it is."""
        if isinstance(self.values, SparseTensor):
            return "sparse"
        return "chunked" if isinstance(self.values, Chunked) else "dense"

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the modes."""
        return tuple(int(n) for n in self.values.shape)

    def numpy(self) -> np.ndarray:
        """The dense array in NumPy."""
        if isinstance(self.values, SparseTensor | Chunked):
            raise InputError(f"a dense array is expected, not a {self.kind} one")
        return numpy_of(self.values)


def read_data(x: Any, name: str = "X") -> Data:
    """Data of any of the libraries, or in a file, for a fit.

    Parameters
    ----------
    x
        - an array of NumPy, PyTorch or JAX, or nested lists: dense;
        - :class:`tensorcalculus.SparseTensor`, ``scipy.sparse``, an array of ``sparse``, a sparse
          tensor of PyTorch: sparse.  Cells that are not stored are 0 (or unknown, by a mask);
        - a pandas Series with an index of several levels, or a DataFrame with a row for each cell
          and the values in the last column: sparse, with labels;
        - an xarray DataArray: what it holds, with its dimensions and coordinates as labels;
        - ``np.memmap``, ``zarr.Array``, ``dask.array.Array``: chunked;
        - a path.  What it holds is told by its content: a sparse tensor as text (see
          :func:`tensorcalculus.read_tns`) or as ``SparseTensor.save`` wrote it, one array as NumPy
          wrote it, a folder of zarr.

        No library is imported to find out; what is not installed cannot have made the object.
    name
        What the argument is called in errors.

    Notes
    -----
    Whether numbers are finite is not checked here but where it is known which cells count:
    :func:`tensorcalculus.fit.data.observed.observe`.

    Raises
    ------
    InputError, ShapeError
        For other objects, types of numbers that are not real, shapes without cells, and files that
        hold something else.

    Examples
    --------
    >>> import numpy as np, scipy.sparse
    >>> from tensorcalculus.fit.data.reading import read_data
    >>> read_data(np.eye(3)).kind, read_data(scipy.sparse.eye_array(3)).kind
    ('dense', 'sparse')
    """
    if isinstance(x, Data):
        return x
    if isinstance(x, str | Path):
        return _named(name, _read_file, Path(x))
    return _named(name, _read_object, x)


def _named(name: str, read: Any, x: Any) -> Data:
    """What a reader makes of something, its errors beginning with the argument's name."""
    try:
        return read(x)
    except (InputError, ShapeError) as error:
        raise type(error)(f"{name}: {error}") from None


def _read_object(x: Any) -> Data:
    origin, kind = type(x).__module__.split(".")[0], type(x).__name__
    if isinstance(x, SparseTensor):
        return _sparse(x)
    if isinstance(x, Chunked):
        return _chunked(x)
    if origin == "xarray":
        return _read_xarray(x)
    if origin == "pandas":
        return _sparse(*SparseTensor.from_pandas(x))
    if is_chunked(x):
        return _chunked(Chunked(x))
    if origin == "scipy" and hasattr(x, "tocoo"):
        return _sparse(SparseTensor.from_scipy(x))
    if origin == "sparse" and hasattr(x, "fill_value"):
        return _sparse(SparseTensor.from_sparse(x))
    if origin == "torch" and getattr(x, "is_sparse", False):
        made = x.detach().cpu().coalesce()
        return _sparse(SparseTensor(made.indices().T.numpy(), made.values().numpy(), x.shape))
    if isinstance(x, np.ma.MaskedArray):
        raise InputError(
            "a masked array is taken apart first: x.filled(0) with mask=~np.ma.getmaskarray(x)"
        )
    return _dense(x, f"{origin}.{kind}")


def _sparse(x: SparseTensor, labels: Labels | None = None) -> Data:
    return Data(x, labels or Labels.counted(x.ndim), np.empty(0, x.dtype))


def _chunked(x: Chunked) -> Data:
    kind = x.dtype if x.dtype == np.float32 else np.float64
    return Data(x, Labels.counted(x.ndim), np.empty(0, kind))


def _dense(x: Any, told: str) -> Data:
    if not is_array(x):
        if not isinstance(x, list | tuple):
            raise InputError(f"{_ACCEPTED} is expected, not {told}")
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise ShapeError(f"lists that are no array: {error}") from None
    xp = namespace(x)
    if (isinstance(x, np.ndarray) and x.dtype.kind not in "biuf") or not xp.isdtype(
        x.dtype, ("bool", "integral", "real floating")
    ):
        more = "; tc.cp_als takes complex arrays" if "complex" in str(x.dtype) else ""
        raise InputError(f"real numbers are expected, not an array of {x.dtype}{more}")
    if not x.ndim or 0 in x.shape:
        raise ShapeError(f"axes, none of length 0, are expected, not the shape {tuple(x.shape)}")
    if not xp.isdtype(x.dtype, "real floating"):
        # In double precision, so that counts stay exact; JAX has it only where it is enabled.
        x = xp.astype(x, xp.asarray(1.0).dtype if is_jax(x) else xp.float64)
    elif isinstance(x, np.ndarray) and x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    return Data(x, Labels.counted(x.ndim), x.reshape(-1)[:0])


def _read_xarray(x: Any) -> Data:
    if not hasattr(x, "dims") or not hasattr(x, "data"):
        raise InputError(
            f"a DataArray is expected, not xarray.{type(x).__name__}; choose a variable of a"
            " Dataset: ds['name']"
        )
    held = _read_object(x.data)
    vectors = [
        x.coords[dim].values if dim in x.coords and x.coords[dim].dims == (dim,) else None
        for dim in x.dims
    ]
    return Data(held.values, Labels(x.dims, vectors), held.home)


# -- files ---------------------------------------------------------------------------------------


def _read_file(path: Path) -> Data:
    if path.is_dir():
        return _read_zarr(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with path.open("rb") as file:
        first = file.read(6)
    form = next((form for start, form in _NAMES.items() if first.startswith(start)), "text")
    if form == "npy":
        return _read_npy(path)
    if form == "zip":
        return _read_npz(path)
    from tensorcalculus.fit.data.tns import read_tns

    return _sparse(read_tns(path))


def _read_npy(path: Path) -> Data:
    try:
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if held.nbytes > LARGEST_LOADED:
        return _chunked(Chunked(held))
    return _dense(np.array(held), str(path))


def _read_npz(path: Path) -> Data:
    from zipfile import BadZipFile

    try:
        with np.load(path, allow_pickle=False) as held:
            names = list(held.files)
            if "format" not in names and len(names) == 1:
                return _dense(held[names[0]], str(path))
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if "format" in names:
        return _sparse(SparseTensor.load(path))
    raise InputError(
        f"{path} holds the arrays {', '.join(names)}; a file of one array is expected, or one that"
        " SparseTensor.save wrote: choose by np.load(path)['name']"
    )


def _read_zarr(path: Path) -> Data:
    if not any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        raise InputError(f"{path} is a folder, and none of zarr")
    try:
        import zarr
    except ImportError:
        raise ImportError(
            f"{path} is a folder of zarr, which is not installed: pip install"
            " 'tensorcalculus[data]'"
        ) from None
    held = zarr.open(str(path), mode="r")
    if not hasattr(held, "chunks"):
        raise InputError(f"{path} is a group of zarr arrays; one of them is expected: {path}/name")
    return _chunked(Chunked(held))

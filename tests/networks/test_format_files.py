"""Formats in files: all fields survive, and what is wrong is told in words."""

import sys

import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, numbers
from formats_made import FORMATS, made

import tensorcalculus.networks as tn
from tensorcalculus.errors import InputError, ShapeError

ENDINGS = [".npz", ".safetensors"]
endings = pytest.mark.parametrize("ending", ENDINGS)


@pytest.fixture(autouse=True)
def needs(request):
    if ".safetensors" in request.node.name:
        pytest.importorskip("safetensors")


@endings
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_saved_is_loaded(name, ending, tmp_path):
    for library in LIBRARIES:
        for kind in TYPES:
            t = made(name, "random", (2, 3, 2, 4), 2, kind, 1, library).format
            path = t.save(tmp_path / f"{library}.{kind}{ending}")
            found = type(t).load(path)
            assert type(found) is type(t) and found._fields() == t._fields()
            assert found.dtype == np.dtype(kind)
            for x, y in zip(found.cores, t.cores, strict=True):
                np.testing.assert_array_equal(x, numbers(y))


@endings
def test_fields(ending, tmp_path):
    q = tn.QTT.sin(3.0, 6, (0.1, 1 / 3))
    found = tn.QTT.load(q.save(tmp_path / f"q{ending}"))
    assert found.interval == (0.1, 1 / 3) and (found + q).interval == q.interval
    t = tn.HTucker.random((2, 3, 4), 2, tree=((2, 0), 1))
    assert tn.HTucker.load(t.save(tmp_path / f"t{ending}")).tree == ((2, 0), 1)
    a = tn.laplacian((3, 4))
    np.testing.assert_array_equal(
        tn.TTMatrix.load(a.save(tmp_path / f"a{ending}")).to_dense(), a.to_dense()
    )
    # Views are written by their entries, not by their memory.
    turned = tn.TT([core.transpose(2, 1, 0) for core in tn.TT.random((2, 3), 2).cores[::-1]])
    found = tn.TT.load(turned.save(tmp_path / f"v{ending}"))
    np.testing.assert_array_equal(found.to_dense(), turned.to_dense())


def test_names_of_files(tmp_path):
    t = tn.TT.ones((2, 3))
    assert t.save(tmp_path / "train").name == "train.npz"
    assert t.save(str(tmp_path / "v1.2")).name == "v1.2.npz"
    with pytest.raises(InputError, match=r"\.npz or \.safetensors"):
        t.save(tmp_path / "train.pkl")


@endings
def test_wrong_kinds_are_named(ending, tmp_path):
    path = tn.CP.ones((2, 3)).save(tmp_path / f"x{ending}")
    with pytest.raises(InputError, match="holds a CP; a TT is expected"):
        tn.TT.load(path)
    path = tn.QTT.exp(1.0, 3).save(tmp_path / f"y{ending}")
    with pytest.raises(InputError, match="holds a QTT; a TT is expected"):
        tn.TT.load(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        tn.TT.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(InputError, match="no tensor format; a TT is expected"):
        tn.TT.load(tmp_path / "other.npz")
    (tmp_path / "noise.npz").write_bytes(b"PK\x03\x04 not a zip file")
    with pytest.raises(InputError, match="cannot be read"):
        tn.TT.load(tmp_path / "noise.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        tn.TT.load(tmp_path / "empty.npz")
    np.savez(tmp_path / "code.npz", format="TT", core_0=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        tn.TT.load(tmp_path / "code.npz")
    np.savez(tmp_path / "gap.npz", format="TT", core_1=np.ones((1, 2, 1)))
    with pytest.raises(InputError, match="damaged"):
        tn.TT.load(tmp_path / "gap.npz")
    np.savez(tmp_path / "bad.npz", format="TT", core_0=np.ones((1, 2, 3)))
    with pytest.raises(ShapeError, match="last axis must be 1"):
        tn.TT.load(tmp_path / "bad.npz")


def test_other_safetensors(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    library.save_file({"core_0": np.ones((1, 2, 1))}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no tensor format"):
        tn.TT.load(tmp_path / "other.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"noise that is no header")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        tn.TT.load(tmp_path / "noise.safetensors")


def test_safetensors_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'tensorcalculus\[safetensors\]'"):
        tn.TT.ones((2, 3)).save(tmp_path / "x.safetensors")

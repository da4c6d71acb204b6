"""Files of sparse tensors: read as Python reads line by line; broken ones are refused by line."""

from __future__ import annotations

import gzip
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus import InputError, ShapeError, SparseTensor
from tensorcalculus.fit.data import tns
from tensorcalculus.fit.data.decimal_text import decimals, edges, integers


def written(folder: Path, text: str | bytes, name: str = "x.tns") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def by_lines(text: str) -> tuple[list[list[int]], list[float]]:
    """Cells from 0 and values, a line at a time."""
    cells, values = [], []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words:
            cells.append([int(w) - 1 for w in words[:-1]])
            values.append(float(words[-1]))
    return cells, values


def text_of_cells(n: int, d: int, seed: int = 0, spaces: bool = False) -> str:
    """Distinct cells with values in all kinds of spelling, and blank lines and comments between."""
    rng = np.random.default_rng(seed)
    keys = rng.choice(30**d, n, replace=False)
    spellings = ["{:.0f}", "{:.1f}", "{:.3f}", "{:.12f}", "{!r}", "{:.4e}", "+{:.2f}", "-{:.2f}"]
    lines = []
    for cell in np.stack(np.unravel_index(keys, (30,) * d), 1) * rng.integers(1, 10**5) + 1:
        value = spellings[rng.integers(len(spellings))].format(
            rng.uniform(0, 10.0 ** rng.integers(9))
        )
        gap = " " * rng.integers(1, 3) if spaces else " "
        lines.append(gap.join([*map(str, cell.tolist()), value]))
        if spaces:
            lines[-1] = "\t" * rng.integers(2) + lines[-1] + rng.choice(["", " ", "\r", " # 1 2"])
            lines += ["", "# a comment # twice", "  "][: rng.integers(4)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("block", [1 << 20, 700])
def test_lines_of_all_kinds(tmp_path, monkeypatch, spaces, d, block):
    monkeypatch.setattr(tns, "BLOCK", block)
    text = text_of_cells(25 if d == 1 else 800, d, d, spaces)
    cells, values = by_lines(text)
    x = tc.read_tns(written(tmp_path, text))
    assert np.array_equal(x.indices, cells) and np.array_equal(x.values, values)
    assert x.shape == tuple(np.max(cells, 0) + 1) and x.indices.dtype == np.int32
    # The last line may end with the file, and gzip is told by content.
    packed = written(tmp_path, gzip.compress(text.rstrip().encode()), "packed.tns")
    assert tc.read_tns(packed).equals(x)
    wide = tuple(n + 3 for n in x.shape)
    assert tc.read_tns(packed, shape=wide, dtype="float32").equals(
        SparseTensor(x.indices, np.float32(values), wide)
    )


def test_numbers_of_all_kinds():
    rng = np.random.default_rng(0)
    words = ["1", ".5", "5.", ".", "-", "+", "-.", "1.2.3", "1-2", "1_0", "0x1", "nan", "-inf", "é"]
    words += [
        "9007199254740993",
        "9007199254740992",
        "123456789012345678",
        "1e400",
        "1e-400",
        "--1",
    ]
    words += [
        "0.1234567890123456",
        "00000000000000000000001",
        "12345678.",
        "1234567.8",
        "12345678.9",
    ]
    digits = np.array(list("0123456789.-+e_x"))
    words += [
        "".join(rng.choice(digits[:m], rng.integers(1, 20))) for m in [10, 11, 12, 14, 16] * 300
    ]
    for x in rng.standard_normal(300) * 10.0 ** rng.integers(-9, 9, 300):
        words += [repr(float(x)), f"{x:.3f}", f"{x:.9f}", f"{x:.5e}", f"{x:.17f}", f"{x:.23f}"]
        words += [f"{x:.16E}", f"{x:.2e}", f"{int(abs(x) * 1e12)}.", repr(float(x) * 1e90)]
    # Half-way between two numbers, and next to that.
    for k in range(100):
        middle = 2**53 + 2 * int(rng.integers(2**52)) + 1
        words += [str(middle), f"{middle}.0", f"{10 * middle + 1}e-01", f"{10 * middle - 1}e-01"]
        # So near that 64 bits cannot tell.
        words.append(
            str(round(Fraction(2 * int(rng.integers(2**52, 5 * 2**50)) + 1, 2**50) * 10**18))
        )
        words[-1] = f"{words[-1][0]}.{words[-1][1:]}"
        words += [str(rng.integers(184, 190)) + str(rng.integers(10**16, 10**17))]
        words += [f"{middle * 5**9}e+{k % 30:02}", f"{middle}{'0' * (k % 4)}e-{k % 30:02}"]
    text = np.frombuffer(b" " * 16 + " ".join(words).encode() + b"\n", np.uint8)
    starts, ends = edges(text)
    found, wrong = decimals(text, starts, ends)
    whole, no_integer = integers(text, starts, ends)
    for i, word in enumerate(words):
        try:
            expected = None if "_" in word else float(word)
        except ValueError:
            expected = None
        assert wrong[i] == (expected is None), word
        assert wrong[i] or found[i] == expected or expected != expected, word
        is_integer = word.isascii() and word.isdigit() and len(word) <= 16
        assert no_integer[i] == (not is_integer), word
        assert not is_integer or whole[i] == int(word), word


@pytest.mark.parametrize(
    "head",
    [
        "3\n4 5 6\n", "3\n4 5 6\n2\n", "sptensor\n3\n4 5 6\n2\n",
        "# GenTen\nsptensor\n3\n\n4 5 6\n", "\ufeff3\n4 5 6\n",
    ],
)  # fmt: skip
def test_headers(tmp_path, head):
    x = tc.read_tns(written(tmp_path, head + "1 2 3 1.5\n4 1 1 2\n"))
    assert x.equals(SparseTensor([[0, 1, 2], [3, 0, 0]], [1.5, 2], (4, 5, 6)))
    with pytest.raises(ShapeError, match=r"the file says that the shape is \(4, 5, 6\); shape= is"):
        tc.read_tns(written(tmp_path, head + "1 2 3 1.5\n"), shape=(4, 5, 7))


@pytest.mark.parametrize("text", ["1 2 5\r", "1\x0b2\t5\r\n", "\n1 2 5\r\n\r\n", "1 2 5 \x0c\r\n"])
def test_white_space_of_all_kinds(tmp_path, text):
    assert tc.read_tns(written(tmp_path, text)).equals(SparseTensor([[0, 1]], [5.0]))


def test_header_of_one_mode(tmp_path):
    x = tc.read_tns(written(tmp_path, "1\n9\n2\n3 1.5\n4 2\n"))
    assert x.equals(SparseTensor([[2], [3]], [1.5, 2], (9,)))
    assert tc.read_tns(written(tmp_path, "2\n3 4\n0\n")).equals(
        SparseTensor(np.empty((0, 2), int), [], (3, 4))
    )


GOOD = "".join(f"{i} {i} {i}.5\n" for i in range(1, 51))


@pytest.mark.parametrize("block", [1 << 20, 64])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 4", "line 53: 2 indices and a value are expected, as on the first lines\n  3 4$"),
        ("3 4 5 6", "2 indices and a value"),
        ("0 4 1.5", r"line 53: index 1 is '0'; an integer from 1 is expected"),
        ("3 -4 1.5", "index 2 is '-4'"),
        ("3 4.0 1.5", "index 2 is '4.0'"),
        ("3 x 1.5", "index 2 is 'x'"),
        ("3 99999999999999999 1.5", "index 2 is '99999999999999999'"),
        ("3 4 1.5.2", "the value is '1.5.2'; a finite float64 is expected"),
        ("3 4 nan", "the value is 'nan'"),
        ("3 4 1e999", "the value is '1e999'"),
        ("3 4 1_0", "the value is '1_0'"),
        ("3 4 é", r"line 53: the value is 'é'"),
        ("3 4 \x00", "line 53: text is expected"),
        ("3 4 " + "9" * 400, "the value is '999.*…'"),
        ("2 2 1", r"lines 4 and 53: both are of the cell 2 2; duplicates='sum'"),
    ],
)
def test_broken_lines(tmp_path, monkeypatch, line, message, block):
    monkeypatch.setattr(tns, "BLOCK", block)
    text = "# head\n\n" + GOOD + line + "\n1 2 3\n"
    with pytest.raises(InputError, match=message) as caught:
        tc.read_tns(written(tmp_path, text))
    assert "x.tns" in str(caught.value) and len(str(caught.value)) < 400


def test_the_first_broken_line_is_told(tmp_path):
    with pytest.raises(InputError, match="line 3: the value is 'x'"):
        tc.read_tns(written(tmp_path, "1 1 1\n1 2 1\n1 3 x\n0 4 1\n"))


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", {}, "holds no cells"),
        ("# nothing\n\n", {}, "holds no cells"),
        ("1 2 5\n1 3 5\n", {"shape": (1, 2)}, "line 2: index 2 is '3'; an integer from 1 to 2"),
        ("1 2 5\n", {"shape": (1, 2, 3)}, r"line 1: 3 indices .* as the shape is \(1, 2, 3\)"),
        ("3\n4 5\n", {}, "line 2: 3 sizes are expected"),
        ("3\n4 5 0\n", {}, "line 2: 3 sizes are expected"),
        ("tensor\n", {}, "line 1: the order of the tensor is expected, or indices"),
        ("sptensor\n3 4\n", {}, "line 2: the order of the tensor is expected\n"),
        ("2\n4 5\n3\n1 1 1\n", {}, "says that it has 3 cells; 1 are in it"),
        ("2\n4 5\n1 1\n", {}, "line 3: 2 indices and the value"),
        ("1 2 5\n", {"duplicates": "drop"}, "'error' or 'sum'"),
        ("1 2 5\n", {"dtype": int}, "float32 or float64"),
        ("1 1e39\n", {"dtype": "float32"}, "a finite float32"),
        ("7" * 100_000, {}, "a line of more than 65536 bytes"),
        ("i,j,value\n1,2,3\n", {}, "line 1: the order of the tensor is expected, or indices"),
        ("i j value\n1 2 3\n", {}, "line 1: index 1 is 'i'"),
    ],
)
def test_files_that_are_refused(tmp_path, text, arguments, message):
    with pytest.raises(InputError, match=message):
        tc.read_tns(written(tmp_path, text), **arguments)


def test_no_file_and_a_damaged_one(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        tc.read_tns(tmp_path / "none.tns")
    packed = gzip.compress(GOOD.encode())
    with pytest.raises(InputError, match="compressed file is damaged"):
        tc.read_tns(written(tmp_path, packed[:-30]))
    with pytest.raises(ShapeError, match="positive integers"):
        tc.read_tns(written(tmp_path, GOOD), shape=(0, 3))


def test_duplicates_are_summed_on_demand(tmp_path):
    x = tc.read_tns(written(tmp_path, "1 1 1\n2 2 5\n1 1 2.5\n"), duplicates="sum")
    assert np.array_equal(x.to_dense(), [[3.5, 0], [0, 5]])


def test_wide_indices(tmp_path):
    x = tc.read_tns(written(tmp_path, f"1 1 1\n{2**31 + 1} 3 2\n1 2 3\n"))
    assert x.shape == (2**31 + 1, 3) and x.indices.dtype == np.int64
    assert x.indices[:, 0].tolist() == [0, 2**31, 0]


@pytest.mark.parametrize("ending", ["tns", "tns.gz"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_written_and_read(tmp_path, ending, kind):
    rng = np.random.default_rng(0)
    cells = np.unique(rng.integers(0, 40, (500, 4)), axis=0)
    x = SparseTensor(cells, (rng.standard_normal(len(cells)) * 1e3).astype(kind), (50,) * 4)
    path = tc.write_tns(x, tmp_path / f"x.{ending}")
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == ending.endswith("gz")
    y = tc.read_tns(path, shape=x.shape, dtype=kind)
    assert y.equals(x) and np.array_equal(y.indices, x.indices)


def test_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tensorcalculus.networks.arrays._memory", lambda: 600)
    with pytest.raises(InputError, match=r"x.tns: 50 cells would take 8.0e\+02 bytes, more than"):
        tc.read_tns(written(tmp_path, GOOD))


def test_nothing_but_the_tensor_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(tns, "BLOCK", 1 << 15)
    n = 150_000
    lines = [f"{i % 997 + 1} {i // 997 + 1} {i % 7}.25\n" for i in range(n)]
    path = written(tmp_path, "".join(lines))
    del lines
    tracemalloc.start()
    try:
        x = tc.read_tns(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Room for half as many cells again, keys to find duplicates, and what a block takes; the words
    # of the whole file would take eight times the tensor.
    assert peak < 2.2 * x.nbytes + 20 * tns.BLOCK

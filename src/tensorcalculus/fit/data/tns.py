"""Sparse tensors in text files of the FROSTT form, plain or compressed by gzip."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.fit.data.cells import CellKeys, first_repetition, index_type, repeated
from tensorcalculus.fit.data.decimal_text import MARGIN, decimals, edges, integers
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.networks.arrays import check_memory

BLOCK = 2**18
"""Bytes that are read at once; what is made of them on the way lies in the cache."""

LONGEST_LINE = 2**16

_GZIP = b"\x1f\x8b"
_MARK = b"\xef\xbb\xbf"
_SHOWN = 60
_WRITTEN = 2**16


def read_tns(
    path: str | Path,
    shape: Sequence[int] | None = None,
    dtype: Any = np.float64,
    duplicates: str = "error",
) -> SparseTensor:
    """A sparse tensor from a text file with a line for each stored cell: its indices, from 1, and
    its value.

    Whatever follows a ``#`` is a comment, and lines may be blank.  The file may begin with a line
    that holds the order alone (or the word ``sptensor``, then the order), followed by a line of the
    sizes and perhaps one of the number of cells: a first line of one word cannot be a cell, so no
    file is read in two ways.  Files compressed by gzip are known by their first bytes, whatever
    they are called.

    Parameters
    ----------
    path
        The file.  It is read in blocks, and nothing but the tensor grows with its length.
    shape
        The sizes of the modes; else those that the file begins with, else the largest indices.
    dtype
        Of the values, float64 or float32.
    duplicates
        What to do with cells that are listed twice: ``"error"``, or ``"sum"`` to add them up.

    Raises
    ------
    InputError
        For a line that is no cell of the tensor: its number and text are shown, and what was
        expected there.  For a file without cells, and one that ends early.
    ShapeError
        For a shape that is not that of the file.

    References
    ----------
    S. Smith et al., FROSTT: the formidable repository of open sparse tensors and tools (2017).

    Examples
    --------
    >>> import tempfile, pathlib, tensorcalculus as tc
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "x.tns"
    >>> _ = path.write_text("1 2 3 5.0\\n2 1 1 -1e-3\\n")
    >>> x = tc.read_tns(path)
    >>> x.shape, x[0, 1, 2], x[1, 0, 0]
    ((2, 2, 3), 5.0, -0.001)
    """
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise InputError(f"dtype: float32 or float64 is expected, not {kind}")
    if duplicates not in ("error", "sum"):
        raise InputError(f"duplicates: 'error' or 'sum' is expected, not {duplicates!r}")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    sides = None if shape is None else tuple(int(n) for n in shape)
    if sides is not None and (not sides or min(sides) < 1 or sides != tuple(shape or ())):
        raise ShapeError(f"shape: positive integers are expected, not {shape!r}")
    reader = _Reader(path, sides, kind)
    with _opened(path) as stream:
        for block in _blocks(stream, path):
            reader.read(block)
    return reader.finished(duplicates)


def write_tns(x: SparseTensor, path: str | Path) -> Path:
    """Write the stored cells of a tensor as text, one a line, its indices from 1.

    The values are written with as many digits as it takes to read the same numbers back.  A path
    that ends in ``.gz`` is compressed.  The sizes stand in a comment, as the form has no place for
    them: give them to :func:`read_tns` where the last indices of a mode may be empty.

    Returns
    -------
    Path
        The path that was written.
    """
    path = Path(path)
    if not isinstance(x, SparseTensor):
        raise InputError(f"write_tns: a SparseTensor is expected, not {type(x).__name__}")
    line = " ".join(["%d"] * x.ndim + ["%s"])
    with gzip.open(path, "wb", 6) if path.suffix == ".gz" else path.open("wb") as out:
        out.write(f"# {' x '.join(map(str, x.shape))}, {x.nnz} cells\n".encode())
        for first in range(0, x.nnz, _WRITTEN):
            rows = slice(first, first + _WRITTEN)
            columns = (x.indices[rows].astype(np.int64) + 1).T.tolist()
            # The digits of a float32 are those that tell it from other float32.
            values = x.values[rows]
            numbers = map(str, values.tolist() if values.dtype == np.float64 else values)
            lines = [line % cell for cell in zip(*columns, numbers, strict=True)]
            out.write(("\n".join(lines) + "\n").encode())
    return path


# -- bytes ---------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as plain:
        packed = plain.read(2) == _GZIP
        plain.seek(0)
        if not packed:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain) as unpacked:
            yield unpacked  # type: ignore[misc]


def _blocks(stream: IO[bytes], path: Path) -> Iterator[np.ndarray]:
    """Whole lines, with white space in front."""
    rest, first = b"", True
    while True:
        try:
            read = stream.read(BLOCK)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: the compressed file is damaged: {error}") from None
        if first:
            read, first = read.removeprefix(_MARK), False
        if not read:
            break
        end = read.rfind(b"\n") + 1
        if end:
            yield np.frombuffer(b"".join([b" " * MARGIN, rest, read[:end]]), np.uint8)
            rest = b""
        rest += read[end:]
        if len(rest) > LONGEST_LINE:
            raise InputError(
                f"{path}: a line of more than {LONGEST_LINE} bytes, {_shown(_bytes(rest))!r}; the"
                " indices and the value of one cell are expected on a line"
            )
    if rest:
        yield np.frombuffer(b"".join([b" " * MARGIN, rest, b"\n"]), np.uint8)


# -- lines ---------------------------------------------------------------------------------------


@dataclass
class _Lines:
    """The cells of one block: where their words are, and on which lines they stand."""

    text: np.ndarray
    starts: np.ndarray
    """``[n, d + 1]``"""
    ends: np.ndarray
    lines: np.ndarray | None
    """The line in the block of each cell; None where there is no other line in it."""

    def line(self, row: int) -> int:
        return row if self.lines is None else int(self.lines[row])

    def words(self, row: int) -> list[str]:
        return [
            _shown(self.text[a:b]) for a, b in zip(self.starts[row], self.ends[row], strict=True)
        ]


class _Reader:
    """Arrays that grow block by block."""

    def __init__(self, path: Path, shape: tuple[int, ...] | None, kind: np.dtype) -> None:
        self.path, self.shape, self.kind = path, shape, kind
        self.columns: int | None = None
        """How many words a line has."""
        self.header: list[str] = []
        """What the lines so far were."""
        self.order = 0
        self.announced: int | None = None
        """How many cells the file says it has."""
        self.cells = np.empty((0, 0), np.int32)
        self.values = np.empty(0, kind)
        self.count = 0
        self.passed = 0
        """Lines of earlier blocks."""
        self.where: list[tuple[int, int, np.ndarray | None]] = []
        """First cell, first line and lines of each block, to find the line of a cell."""

    def read(self, text: np.ndarray) -> None:
        total = int(np.count_nonzero(text == 10))
        odd = np.flatnonzero((text < 32) & (text - np.uint8(9) > 4))
        if len(odd):
            line = int(np.count_nonzero(text[: odd[0]] == 10))
            self._fail(text, line, "text is expected; is this a file of another kind?")
        text = _without_comments(text)
        if self.columns is None:
            text = self._start(text)
        if self.columns is not None:
            block = self._split(text, total)
            if len(block.starts):
                self._keep(block)
        self.passed += total

    def _start(self, text: np.ndarray) -> np.ndarray:
        """Learn from the first lines how many words a line has; what is no cell becomes blank."""
        at = MARGIN
        for number, line in enumerate(_lines_of(text)):
            words = [w.decode("ascii", "backslashreplace") for w in line.tobytes().split()]
            if words:
                told = self._is_header(words, text, number)
                if not told:
                    self._begin(words, text, number)
                    return text
                text = text.copy()
                text[at : at + len(line)] = 32
            at += len(line) + 1
        return text

    def _is_header(self, words: list[str], text: np.ndarray, line: int) -> bool:
        """Take in a line of the header, if it is one: the order, the sizes, the number of cells."""
        held = self.header
        if not held and words == ["sptensor"]:
            held.append("sptensor")
            return True
        numbers = [int(w) if w.isascii() and w.isdigit() else -1 for w in words]
        if "sizes" in held:
            if "cells" in held or len(words) > 1:
                return False
            if numbers[0] < 0:
                self._fail(text, line, "the number of cells, or a cell, is expected")
            self.announced = numbers[0]
            held.append("cells")
        elif self.order:
            if len(words) != self.order or min(numbers) < 1:
                what = f"{self.order} sizes are expected, as the order stands on a line above"
                self._fail(text, line, what)
            if self.shape not in (None, tuple(numbers)):
                raise ShapeError(
                    f"{self.path}: the file says that the shape is {tuple(numbers)}; shape= is"
                    f" {self.shape}"
                )
            self.shape = tuple(numbers)
            held.append("sizes")
        elif held or len(words) == 1:
            if len(words) > 1 or not 0 < numbers[0] < 100:
                what = "the order of the tensor is expected"
                self._fail(
                    text, line, what + ("" if held else ", or indices and the value of a cell")
                )
            self.order = numbers[0]
            held.append("order")
        else:
            return False
        return True

    def _begin(self, words: list[str], text: np.ndarray, line: int) -> None:
        given = None if self.shape is None else len(self.shape) + 1
        if len(words) < 2 or given not in (None, len(words)):
            order = "the" if given is None else f"{given - 1}"
            because = "" if given is None else f", as the shape is {self.shape}"
            self._fail(text, line, f"{order} indices and the value of a cell are expected{because}")
        self.columns = len(words)
        self.cells = np.empty((0, len(words) - 1), index_type(self.shape or ()))

    def _split(self, text: np.ndarray, total: int) -> _Lines:
        """The words of a block, checked to be as many on each line."""
        starts, ends = edges(text)
        columns = self.columns or 0
        if len(starts) == total * columns and total:
            starts, ends = starts.reshape(-1, columns), ends.reshape(-1, columns)
            # A line ends right behind each group of words: then none ends elsewhere.
            behind = text[ends[:, -1]]
            if behind[0] == 13:
                behind = text[ends[:, -1] + (behind == 13)]
            if (behind == 10).all():
                return _Lines(text, starts, ends, None)
            starts, ends = starts.reshape(-1), ends.reshape(-1)
        line_ends = np.flatnonzero(text == 10)
        counts = np.bincount(np.searchsorted(line_ends, starts), minlength=total)
        wrong = np.flatnonzero((counts != 0) & (counts != columns))
        if len(wrong):
            self._fail(
                text,
                int(wrong[0]),
                f"{columns - 1} indices and a value are expected, as on the first lines"
                if self.shape is None
                else f"{columns - 1} indices and a value are expected",
            )
        lines = np.flatnonzero(counts) if not counts.all() else None
        return _Lines(text, starts.reshape(-1, columns), ends.reshape(-1, columns), lines)

    def _keep(self, block: _Lines) -> None:
        """Append the numbers of a block; the first broken line is an error."""
        n, d = len(block.starts), self.cells.shape[1]
        self._grow(n)
        cells = np.empty((n, d), np.int64)
        problems: list[tuple[int, str]] = []
        for k in range(d):
            column, wrong = integers(block.text, block.starts[:, k], block.ends[:, k])
            most = None if self.shape is None else self.shape[k]
            wrong |= column < 1
            if most is not None:
                wrong |= column > most
            if wrong.any():
                row = int(np.argmax(wrong))
                upper = "" if most is None else f" to {most}"
                word = block.words(row)[k]
                problems.append(
                    (row, f"index {k + 1} is {word!r}; an integer from 1{upper} is expected")
                )
            cells[:, k] = column
        numbers, wrong = decimals(block.text, block.starts[:, d], block.ends[:, d])
        with np.errstate(over="ignore"):
            values = numbers.astype(self.kind, copy=False)
        wrong |= ~np.isfinite(values)
        if wrong.any():
            row = int(np.argmax(wrong))
            word = block.words(row)[d]
            problems.append((row, f"the value is {word!r}; a finite {self.kind} is expected"))
        if problems:
            row, message = min(problems, key=lambda problem: problem[0])
            self._fail(block.text, block.line(row), message)
        cells -= 1
        if self.shape is None and self.cells.dtype == np.int32:
            kind = index_type([int(cells.max()) + 1])
            self.cells = self.cells.astype(kind, copy=False)
        self.cells[self.count : self.count + n] = cells
        self.values[self.count : self.count + n] = values
        self.where.append((self.count, self.passed, block.lines))
        self.count += n

    def _grow(self, n: int) -> None:
        """Room for so many more; the memory is given more pages, not copied."""
        room = len(self.values)
        if self.count + n > room:
            room = max(self.count + n, room + room // 2)
            size = room * (self.cells.shape[1] * self.cells.itemsize + self.values.itemsize)
            what = f"{self.path}: {room} cells"
            check_memory(size, np.empty(0, np.uint8), what, "read a part of the file")
            self._resize(room)

    def _resize(self, rows: int) -> None:
        self.cells.resize((rows, self.cells.shape[1]), refcheck=False)
        self.values.resize(rows, refcheck=False)

    def finished(self, duplicates: str) -> SparseTensor:
        """The tensor, once all is read."""
        if self.announced is not None and self.announced != self.count:
            raise InputError(
                f"{self.path}: the file says that it has {self.announced} cells; {self.count} are"
                " in it"
            )
        if self.columns is None and self.shape is None:
            raise InputError(f"{self.path}: the file holds no cells, and no shape is given")
        if self.columns is None:
            return SparseTensor(np.empty((0, len(self.shape or ())), int), [], self.shape)
        self._resize(self.count)
        shape = self.shape or tuple(
            int(self.cells[:, k].max()) + 1 for k in range(self.columns - 1)
        )
        if duplicates == "sum":
            return SparseTensor.summed(self.cells, self.values, shape)
        keys = CellKeys(self.cells, shape).keys
        if repeated(keys):
            earlier, later, count = first_repetition(keys)
            cell = " ".join(str(i + 1) for i in self.cells[later].tolist())
            raise InputError(
                f"{self.path}, lines {self._line(earlier)} and {self._line(later)}: both are of the"
                f" cell {cell}"
                + (f", and {count} lines in all repeat an earlier one" if count > 1 else "")
                + "; duplicates='sum' adds such values up"
            )
        return SparseTensor._made(self.cells, self.values, shape)

    def _line(self, row: int) -> int:
        first, passed, lines = next(block for block in reversed(self.where) if block[0] <= row)
        return passed + 1 + (row - first if lines is None else int(lines[row - first]))

    def _fail(self, text: np.ndarray, line: int, message: str) -> NoReturn:
        held = next(islice(_lines_of(text), line, None))
        raise InputError(f"{self.path}, line {self.passed + line + 1}: {message}\n  {_shown(held)}")


def _lines_of(text: np.ndarray) -> Iterator[np.ndarray]:
    """The lines of a block, without their ends."""
    at = MARGIN
    for end in np.flatnonzero(text == 10).tolist():
        yield text[at:end]
        at = end + 1


def _without_comments(text: np.ndarray) -> np.ndarray:
    """The text with white space in place of what follows a ``#`` on its line."""
    marks = np.flatnonzero(text == ord("#"))
    if not len(marks):
        return text
    line_ends = np.flatnonzero(text == 10)
    of_line, first = np.unique(np.searchsorted(line_ends, marks), return_index=True)
    change = np.zeros(len(text), np.int8)
    change[marks[first]] = 1
    change[line_ends[of_line]] = -1
    return np.where(np.cumsum(change, dtype=np.int8) > 0, np.uint8(32), text)


def _bytes(held: bytes) -> np.ndarray:
    return np.frombuffer(held[: 2 * _SHOWN], np.uint8)


def _shown(text: np.ndarray, most: int = _SHOWN) -> str:
    """Some bytes as text that can be printed, shortened."""
    told = text.tobytes().decode("utf-8", "backslashreplace")
    told = "".join(c if c.isprintable() else " " if c in "\t\r" else ascii(c)[1:-1] for c in told)
    return told if len(told) <= most else told[: most - 1] + "…"

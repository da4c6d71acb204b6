"""Every operation of every format against dense arrays, from one table."""

import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, accuracy, close, ranks, seeds
from formats_made import (
    CASES,
    FORMATS,
    OPERATIONS,
    TESTED_ELSEWHERE,
    library_of,
    made,
    operations_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcalculus.networks as tn

ROWS = [(name, row) for name in FORMATS for row in operations_of(name)]
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def compare(name, row, case, shape, rank, kind, seed, library):
    x = made(name, case, shape, rank, kind, seed, library)
    y = made(name, "random", shape, max(1, rank - 1), kind, seed + 2, library)
    operation = OPERATIONS[row]
    found = operation.run(x.format, y.format, accuracy(kind))
    expected = np.asarray(operation.expected(x.dense, y.dense))
    close(found, expected, kind, operation.size(x.size, y.size))
    if hasattr(found, "cores"):
        assert library_of(found) is library_of(x.format)
        assert row == "astype" or found.dtype == x.format.dtype


@pytest.mark.parametrize(("name", "row"), ROWS)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=4)
@given(
    shape=shapes,
    rank=ranks,
    kind=st.sampled_from(TYPES),
    seed=seeds,
    library=st.sampled_from(LIBRARIES[:-1]),
)
def test_operation(name, row, case, shape, rank, kind, seed, library):
    compare(name, row, case, shape, min(rank, 3 if name == "Ring" else 4), kind, seed, library)


@pytest.mark.parametrize(("name", "row"), ROWS)
@pytest.mark.parametrize("kind", TYPES)
def test_operation_of_fixed_shape(name, row, kind):
    for library in LIBRARIES[:-1]:
        for shape, rank in [((3, 1, 4, 2), 3), ((2, 3, 2), 4), ((5,), 2)]:
            compare(name, row, "random", shape, rank, kind, 1, library)


# JAX compiles each operation for each shape and type, so a format taken in turn stands for all.
@pytest.mark.parametrize("row", OPERATIONS)
def test_operation_in_jax(row):
    names = [name for name in FORMATS if (name, row) in ROWS]
    name = names[[*OPERATIONS].index(row) % len(names)]
    compare(name, row, "random", (2, 1, 3), 2, "float32", 1, "jax")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row"), ROWS)
def test_operation_in_jax_of_all_formats(name, row):
    compare(name, row, "deficient", (3, 2, 1), 2, "complex128", 1, "jax")
    compare(name, row, "zero", (3, 2, 1), 2, "complex128", 1, "jax")


@pytest.mark.parametrize("name", FORMATS)
def test_every_method_is_in_the_table(name):
    methods = {row.split(":")[0] for row in OPERATIONS}
    public = {word for word in dir(getattr(tn, name)) if not word.startswith("_")}
    assert not public - methods - TESTED_ELSEWHERE, "a row in OPERATIONS is expected for these"
    operators = {"__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__"}
    operators |= {"__neg__", "__pos__", "__truediv__", "__getitem__"}
    assert operators <= methods

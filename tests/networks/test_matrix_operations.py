"""Every operation of matrices as trains against dense matrices, from one table."""

import numpy as np
import pytest
from formats_data import LIBRARIES, TYPES, accuracy, close, given_to, seeds
from formats_made import CASES, Operation, Sample, both, kind_of, normal, product
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcalculus.networks as tn
from tensorcalculus.networks.arrays import namespace


def matrix(case, modes, rank, kind, seed, library) -> Sample:
    """A random matrix of pairs of modes, and its entries by one einsum."""
    rng, d = np.random.default_rng(seed), len(modes)
    bonds = [1, *[rank] * (d - 1), 1]
    cores = [normal(rng, (bonds[k], *pair, bonds[k + 1]), kind) for k, pair in enumerate(modes)]
    if case == "zero":
        cores[0] = 0 * cores[0]

    def full(change):
        operands = []
        for k, core in enumerate(cores):
            operands += [change(core), [30 + k, k, 10 + k, 31 + k]]
        out = [*range(d), *range(10, 10 + d)]
        dense = np.einsum(*operands, [30, *out, 30 + d])[0, ..., 0]
        return dense.reshape(np.prod([m for m, _ in modes]), -1)

    made = tn.TTMatrix([given_to(library, core) for core in cores])
    size = float(np.linalg.norm(full(abs) * 1.0))
    dense = full(lambda c: c.astype(np.result_type(c, np.float64)))
    if case == "deficient":
        return Sample(made + made, 2 * dense, 2 * size)
    return Sample(made, dense, size)


def vector(a):
    """A train that fits the columns, of type and library of the matrix, and its entries."""
    cores = [np.cos(np.arange(2 * n).reshape(1, n, 2)) for n in a.column_shape]
    cores = [np.concatenate([c, c[:, ::-1]]) for c in cores]
    cores[0] = cores[0][:1]
    cores[-1] = cores[-1][..., :1]
    library = next(x for x in ("torch", "jax", "numpy") if x in namespace(a.cores[0]).__name__)
    return tn.TT([given_to(library, c.astype(kind_of(a))) for c in cores])


def vector_dense(a):
    held = [np.asarray(c, dtype=complex) for c in vector(a).cores]
    made = held[0]
    for core in held[1:]:
        made = np.tensordot(made, core, 1)
    return made.reshape(-1)


def square(a):
    return a @ a.conj().T


# Of two matrices and a tolerance; of two arrays.
OPERATIONS = {
    "to_dense": Operation(lambda a, b, tol: a, lambda x, y: x),
    "__add__": Operation(lambda a, b, tol: a + b, lambda x, y: x + y, both),
    "__sub__": Operation(lambda a, b, tol: a - b, lambda x, y: x - y, both),
    "__neg__": Operation(lambda a, b, tol: -a, lambda x, y: -x),
    "__mul__": Operation(lambda a, b, tol: a * 2.5, lambda x, y: 2.5 * x),
    "__rmul__": Operation(lambda a, b, tol: -2 * a, lambda x, y: -2 * x),
    "__truediv__": Operation(lambda a, b, tol: a / 4, lambda x, y: x / 4),
    "__matmul__": Operation(lambda a, b, tol: a @ b.T, lambda x, y: x @ y.T, product),
    "T": Operation(lambda a, b, tol: a.T, lambda x, y: x.T),
    "conj": Operation(lambda a, b, tol: a.conj(), lambda x, y: x.conj()),
    "astype": Operation(
        lambda a, b, tol: a.astype(namespace(a.cores[0]).complex128), lambda x, y: x.astype(complex)
    ),
    "dot": Operation(lambda a, b, tol: a.dot(b), lambda x, y: np.vdot(x, y), product),
    "norm": Operation(lambda a, b, tol: a.norm(), lambda x, y: np.linalg.norm(x)),
    "trace": Operation(
        lambda a, b, tol: square(a).trace(), lambda x, y: np.trace(square(x)), lambda x, y: x * x
    ),
    "round": Operation(lambda a, b, tol: a.round(tol), lambda x, y: x),
    "round:sum": Operation(lambda a, b, tol: (a + b - a).round(tol), lambda x, y: y, both),
    "train": Operation(lambda a, b, tol: a.train().norm(), lambda x, y: np.linalg.norm(x)),
    "at": Operation(
        lambda a, b, tol: a.at([[0] * len(a.cores)] * 2, [[0] * len(a.cores)] * 2),
        lambda x, y: x[[0, 0], [0, 0]],
    ),
    "at:last": Operation(
        lambda a, b, tol: a.at([[m - 1 for m in a.row_shape]], [[n - 1 for n in a.column_shape]]),
        lambda x, y: x[-1:, -1],
    ),
    "__getitem__": Operation(
        lambda a, b, tol: a[-1, a.shape[1] // 2], lambda x, y: x[-1, x.shape[1] // 2]
    ),
    "from_dense": Operation(
        lambda a, b, tol: tn.TTMatrix.from_dense(a.to_dense(), a.row_shape, a.column_shape, tol),
        lambda x, y: x,
    ),
    "eye": Operation(
        lambda a, b, tol: tn.TTMatrix.eye(a.row_shape, a.cores[0]),
        lambda x, y: np.eye(len(x)),
        lambda x, y: x + 10,
    ),
    "kron": Operation(
        lambda a, b, tol: tn.TTMatrix.kron([core[0, ..., 0] for core in a.cores[:1]]),
        lambda x, y: x,
    ),
}

# They need a train beside the matrix, and have tests of their own in test_qtt.py.
WITH_TRAINS = {
    "__matmul__": lambda a, tol: a @ vector(a),
    "apply": lambda a, tol: a.apply(vector(a), tol),
}

HELD = {
    *("cores", "dtype", "size", "shape", "ranks", "row_shape", "column_shape", "is_complex"),
    *("save", "load", "diag"),  # test_format_files.py; above
    *("network", "from_network"),  # test_conversion.py
}

pairs = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3)
drawn = given(
    modes=pairs,
    rank=st.integers(1, 4),
    kind=st.sampled_from(TYPES),
    seed=seeds,
    library=st.sampled_from(LIBRARIES[:-1]),
)


def compare(row, case, modes, rank, kind, seed, library):
    if row == "kron":
        modes, case = modes[:1], "random" if case == "deficient" else case
    a = matrix(case, modes, rank, kind, seed, library)
    b = matrix("random", modes, max(1, rank - 1), kind, seed + 1, library)
    operation = OPERATIONS[row]
    found = operation.run(a.format, b.format, accuracy(kind))
    expected = np.asarray(operation.expected(a.dense, b.dense))
    close(found, expected, kind, operation.size(a.size, b.size))
    if hasattr(found, "cores"):
        assert namespace(found.cores[0]) is namespace(a.format.cores[0])
        assert row == "astype" or found.dtype == a.format.dtype


@pytest.mark.parametrize("row", OPERATIONS)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=10)
@drawn
def test_operation(row, case, modes, rank, kind, seed, library):
    compare(row, case, modes, rank, kind, seed, library)


@pytest.mark.parametrize("row", WITH_TRAINS)
@pytest.mark.parametrize("case", CASES)
@settings(max_examples=10)
@drawn
def test_products_with_trains(row, case, modes, rank, kind, seed, library):
    a = matrix(case, modes, rank, kind, seed, library)
    found = WITH_TRAINS[row](a.format, accuracy(kind))
    x = vector_dense(a.format)
    expected = (a.dense @ x).reshape(found.shape)
    # The train's entries are sums of 2^(d-1) terms of size 1 at most.
    size = a.size * 4 * len(x) ** 0.5
    close(found, expected, kind, size)
    close(tn.TTMatrix.diag(found), np.diag(expected.reshape(-1)), kind, size)


@pytest.mark.slow
@pytest.mark.parametrize("row", OPERATIONS)
def test_operation_in_jax(row):
    for kind in TYPES:
        compare(row, "deficient", [(2, 3), (3, 1)], 2, kind, 1, "jax")


def test_every_method_is_in_the_table():
    public = {word for word in dir(tn.TTMatrix) if not word.startswith("_")}
    rows = {row.split(":")[0] for row in OPERATIONS} | set(WITH_TRAINS)
    assert not public - rows - HELD, "a row in OPERATIONS is expected for these"

"""Random tensors in every format beside their dense arrays, and the table of all operations."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from formats_data import given_to

import tensorcalculus.networks as tn
from tensorcalculus.networks.arrays import namespace
from tensorcalculus.networks.formats import trees


class Sample(NamedTuple):
    """A tensor in a format, its entries, and the norm of the tensor of absolute values.

    The latter is what rounding errors are relative to where terms cancel.
    """

    format: Any
    dense: np.ndarray
    size: float


def normal(rng, shape, kind):
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if kind == "complex128" else a).astype(kind)


def sampled(make, arrays, legs, out, library) -> Sample:
    """A format of arrays, and their einsum in double precision: no code is shared."""
    total = [
        np.einsum(
            *(part for a, on in zip(arrays, legs, strict=True) for part in (change(a), on)),
            out,
            optimize=len(arrays) > 3,
        )
        for change in (lambda a: a.astype(np.result_type(a, np.float64)), lambda a: abs(a) * 1.0)
    ]
    made = make([given_to(library, a) for a in arrays])
    return Sample(made, total[0], float(np.linalg.norm(total[1])))


def tucker(shape, rank, kind, seed, library):
    rng, d = np.random.default_rng(seed), len(shape)
    arrays = [normal(rng, (rank,) * d, kind), *(normal(rng, (n, rank), kind) for n in shape)]
    legs = [list(range(10, 10 + d)), *([k, 10 + k] for k in range(d))]
    return sampled(lambda x: tn.Tucker(x[0], x[1:]), arrays, legs, list(range(d)), library)


def cp(shape, rank, kind, seed, library):
    rng, d = np.random.default_rng(seed), len(shape)
    arrays = [normal(rng, (n, rank), kind) for n in shape]
    return sampled(tn.CP, arrays, [[k, 20] for k in range(d)], list(range(d)), library)


def ring(shape, rank, kind, seed, library):
    rng, d = np.random.default_rng(seed), len(shape)
    arrays = [normal(rng, (rank, n, rank), kind) for n in shape]
    legs = [[20 + k, k, 20 + (k + 1) % d] for k in range(d)]
    return sampled(tn.Ring, arrays, legs, list(range(d)), library)


def train(shape, rank, kind, seed, library, make: Callable = tn.TT):
    rng, d = np.random.default_rng(seed), len(shape)
    bonds = [1, *[rank] * (d - 1), 1]
    arrays = [normal(rng, (bonds[k], n, bonds[k + 1]), kind) for k, n in enumerate(shape)]
    legs = [[20 + k, k, 21 + k] for k in range(d)]
    return sampled(make, arrays, legs, list(range(d)), library)


def qtt(shape, rank, kind, seed, library):
    def make(cores):
        return tn.QTT(cores, (1.0, 3.0))

    return train((2,) * len(shape), rank, kind, seed, library, make)


def htucker(shape, rank, kind, seed, library):
    """On the balanced tree, or on one that takes modes from the last on, one after the other."""
    rng, d = np.random.default_rng(seed), len(shape)
    tree = trees.balanced(d)
    if seed % 2:
        tree = d - 1
        for k in reversed(range(d - 1)):
            tree = (tree, k)
    arrays, legs = [], []
    for number, node in enumerate(trees.nodes(tree)):
        top = rank if number else 1
        sides = [shape[node.modes[0]]] if node.children is None else [rank, rank]
        arrays.append(normal(rng, (*sides, top), kind))
        inner = node.modes if node.children is None else [20 + child for child in node.children]
        legs.append([*inner, 20 + number])
    return sampled(lambda x: tn.HTucker(x, tree), arrays, legs, list(range(d)), library)


FORMATS = {
    "TT": train,
    "QTT": qtt,
    "Tucker": tucker,
    "HTucker": htucker,
    "CP": cp,
    "Ring": ring,
}

CASES = ("random", "deficient", "zero")


def made(name, case, shape, rank, kind, seed, library) -> Sample:
    """A sample; deficient ones have twice the ranks that they need."""
    x = FORMATS[name](shape, rank, kind, seed, library)
    if case == "deficient":
        return Sample(x.format + x.format, 2 * x.dense, 2 * x.size)
    return Sample(x.format * 0, 0 * x.dense, x.size) if case == "zero" else x


class Operation(NamedTuple):
    """What is done to two tensors of a format, and the same to arrays."""

    run: Callable[..., Any]
    """Of two formats and a tolerance."""
    expected: Callable[..., Any]
    """Of two arrays."""
    size: Callable[..., Any] = lambda x, y: x
    """What rounding errors are relative to, from the sizes of both."""


def library_of(t):
    return namespace(t.cores[0])


def corners(shape):
    """Some indices, ``[4, d]``."""
    return np.array([[(3 * k + b) % n for k, n in enumerate(shape)] for b in range(4)])


def weights(shape):
    return [np.cos(np.arange(n) + k) for k, n in enumerate(shape)]


def integral(a):
    for w in weights(a.shape):
        a = np.tensordot(w, a, 1)
    return a


def both(x, y):
    return x + y


def product(x, y):
    return x * y


def one(x, y):
    return x + 10


# By method; what stands behind a colon tells variants apart.
OPERATIONS = {
    "to_dense": Operation(lambda t, s, tol: t, lambda a, b: a),
    "to_tt": Operation(lambda t, s, tol: t.to_tt(), lambda a, b: a),
    "__add__": Operation(lambda t, s, tol: t + s, lambda a, b: a + b, both),
    "__add__:number": Operation(lambda t, s, tol: t + 1.5, lambda a, b: a + 1.5, one),
    "__radd__": Operation(lambda t, s, tol: 2 + t, lambda a, b: 2 + a, one),
    "__sub__": Operation(lambda t, s, tol: t - s, lambda a, b: a - b, both),
    "__sub__:number": Operation(lambda t, s, tol: t - 3, lambda a, b: a - 3, one),
    "__rsub__": Operation(lambda t, s, tol: 2 - t, lambda a, b: 2 - a, one),
    "__neg__": Operation(lambda t, s, tol: -t, lambda a, b: -a),
    "__pos__": Operation(lambda t, s, tol: +t, lambda a, b: a),
    "__mul__": Operation(lambda t, s, tol: t * s, lambda a, b: a * b, product),
    "__mul__:number": Operation(lambda t, s, tol: t * 2.5, lambda a, b: a * 2.5),
    "__rmul__": Operation(lambda t, s, tol: -3 * t, lambda a, b: -3 * a),
    "__truediv__": Operation(lambda t, s, tol: t / 4, lambda a, b: a / 4),
    "multiply": Operation(lambda t, s, tol: t.multiply(s, tol), lambda a, b: a * b, product),
    "conj": Operation(lambda t, s, tol: t.conj(), lambda a, b: a.conj()),
    "astype": Operation(
        lambda t, s, tol: t.astype(library_of(t).complex128), lambda a, b: a.astype(complex)
    ),
    "dot": Operation(lambda t, s, tol: t.dot(s), lambda a, b: np.vdot(a, b), product),
    "norm": Operation(lambda t, s, tol: t.norm(), lambda a, b: np.linalg.norm(a)),
    "sum": Operation(lambda t, s, tol: t.sum(), lambda a, b: a.sum(), lambda x, y: 30 * x),
    "sum:first": Operation(lambda t, s, tol: t.sum(0), lambda a, b: a.sum(0), lambda x, y: 30 * x),
    "mean": Operation(lambda t, s, tol: t.mean(), lambda a, b: a.mean()),
    "mean:last": Operation(lambda t, s, tol: t.mean([-1]), lambda a, b: a.mean(-1)),
    "marginal": Operation(
        lambda t, s, tol: t.marginal([0, -1] if t.ndim > 1 else 0),
        lambda a, b: a.sum(tuple(range(1, a.ndim - 1))),
        lambda x, y: 30 * x,
    ),
    "integrate": Operation(
        lambda t, s, tol: t.integrate(weights(t.shape)),
        lambda a, b: integral(a),
        lambda x, y: 30 * x,
    ),
    "integrate:last": Operation(
        lambda t, s, tol: t.integrate({-1: weights(t.shape)[-1]}),
        lambda a, b: a @ weights(a.shape)[-1],
        lambda x, y: 30 * x,
    ),
    "at": Operation(
        lambda t, s, tol: t.at(corners(t.shape)), lambda a, b: a[tuple(corners(a.shape).T)]
    ),
    "at:none": Operation(
        lambda t, s, tol: t.at(np.zeros((0, t.ndim), int)), lambda a, b: np.zeros(0)
    ),
    "__getitem__": Operation(lambda t, s, tol: t[-1], lambda a, b: a[-1]),
    "__getitem__:entry": Operation(
        lambda t, s, tol: t[(0,) * t.ndim], lambda a, b: a[(0,) * a.ndim]
    ),
    "__getitem__:slices": Operation(
        lambda t, s, tol: t[::-1, ..., : t.shape[-1]] if t.ndim > 1 else t[::2],
        lambda a, b: a[::-1] if a.ndim > 1 else a[::2],
    ),
    "__getitem__:middle": Operation(
        lambda t, s, tol: t[1 % t.shape[0] :, 0] if t.ndim > 1 else t[:],
        lambda a, b: a[1 % a.shape[0] :, 0] if a.ndim > 1 else a,
    ),
    "kron": Operation(lambda t, s, tol: t.kron(s), lambda a, b: np.kron(a, b), product),
    "tensor": Operation(
        lambda t, s, tol: t.tensor(s), lambda a, b: np.multiply.outer(a, b), product
    ),
    "concatenate": Operation(
        lambda t, s, tol: type(t).concatenate([t, s, t]),
        lambda a, b: np.concatenate([a, b, a]),
        lambda x, y: 2 * x + y,
    ),
    "concatenate:last": Operation(
        lambda t, s, tol: type(t).concatenate([s, t], axis=-1),
        lambda a, b: np.concatenate([b, a], axis=-1),
        both,
    ),
    "permute": Operation(
        lambda t, s, tol: t.permute(range(t.ndim)[::-1]), lambda a, b: a.transpose()
    ),
    "reshape": Operation(
        lambda t, s, tol: t.reshape((1, np.prod(t.shape))), lambda a, b: a.reshape(1, -1)
    ),
    "round": Operation(lambda t, s, tol: t.round(tol), lambda a, b: a),
    "round:sum": Operation(lambda t, s, tol: (t + s - t).round(tol), lambda a, b: b, both),
    "orthogonalize": Operation(lambda t, s, tol: t.orthogonalize(t.ndim // 2), lambda a, b: a),
    "from_dense": Operation(
        lambda t, s, tol: type(t).from_dense(t.to_dense(), tol), lambda a, b: a
    ),
    "from_tt": Operation(lambda t, s, tol: type(t).from_tt(t.to_tt()), lambda a, b: a),
    "constant": Operation(
        lambda t, s, tol: type(t).constant(t.shape, 2.5, t.cores[0]),
        lambda a, b: np.full(a.shape, 2.5),
        one,
    ),
    "ones": Operation(
        lambda t, s, tol: type(t).ones(t.shape, t.cores[0]), lambda a, b: np.ones(a.shape), one
    ),
    "zeros": Operation(
        lambda t, s, tol: type(t).zeros(t.shape, t.cores[0]), lambda a, b: np.zeros(a.shape), one
    ),
    "outer": Operation(
        lambda t, s, tol: type(t).outer(
            [given_to(named(t), w.astype(kind_of(t))) for w in weights(t.shape)]
        ),
        lambda a, b: outer(weights(a.shape)),
        one,
    ),
    "integral": Operation(
        lambda t, s, tol: t.integral(),
        lambda a, b: a.sum() * 2 / a.size,
        lambda x, y: 30 * x,
    ),
}


def outer(vectors):
    made = vectors[0]
    for v in vectors[1:]:
        made = np.multiply.outer(made, v)
    return made


def named(t):
    """The library of a format."""
    full = library_of(t).__name__
    return next(name for name in ("torch", "jax", "numpy") if name in full)


def kind_of(t):
    return str(t.dtype).removeprefix("torch.")


TESTED_ELSEWHERE = {
    # What a format holds or is.
    *("cores", "dtype", "size", "shape", "ndim", "ranks", "rank", "core", "factors", "tree"),
    *("is_complex", "info", "interval", "bits", "step"),
    # Tests of their own, as they are random, read files, draw, or give no tensor.
    *("random", "save", "load", "singular_values", "plot_singular_values", "diagnose", "sample"),
    *("network", "from_network"),  # test_conversion.py
    *("cross", "map", "from_function", "exp", "sin", "polynomial"),
    *("rational", "fft", "ifft", "convolve"),  # test_qtt_transforms.py
}


def operations_of(name) -> list[str]:
    """Rows of the table that a format has."""
    kind = getattr(tn, name)
    skipped = {"QTT": {"from_dense", "constant", "ones", "zeros", "outer", "concatenate"}}
    rows = [row for row in OPERATIONS if hasattr(kind, row.split(":")[0])]
    return [row for row in rows if row.split(":")[0] not in skipped.get(name, set())]

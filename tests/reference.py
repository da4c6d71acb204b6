"""A plain evaluator of expressions, written apart from the compiler: slow, one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.linalg
from scipy import special

from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Size,
    Variable,
    walk,
)
from tensorcalculus.expr.operations.matrix_functions import write_out

NUMPY = """exp expm1 log log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh
arctanh abs sign floor ceil round maximum minimum arctan2"""
SCIPY = "erf erfc gamma digamma xlogy polygamma"

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in NUMPY.split()},
    **{name: getattr(special, name) for name in SCIPY.split()},
    "lgamma": special.gammaln,
    "sigmoid": special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "logcosh": lambda x: np.log(np.cosh(x)),
    "relu": lambda x: np.maximum(x, 0),
    "step": lambda x: np.where(x > 0, 1.0, 0.0),
    "pow": lambda x, p: np.power(np.asarray(x, float), p),
    "pow0": lambda x, p: np.where(x == 0, 0.0, np.power(np.where(x == 0, 1.0, x), p)),
}  # fmt: skip


def evaluate(
    e: Expr, values: Mapping[str, Any], sizes: Mapping[str, int] | None = None
) -> np.ndarray:
    """The value of ``e``; sizes of symbols are read off the arrays, others given."""
    known = dict(sizes or {})
    e = write_out(e)
    nodes = list(walk(e))
    for node in nodes:
        if isinstance(node, Variable):
            for d, length in zip(node.shape, np.shape(values[node.name]), strict=True):
                if d.symbol is not None:
                    known[d.symbol] = length
    done: dict[Expr, np.ndarray] = {}
    for node in nodes:
        done[node] = np.asarray(_value(node, done, values, known))
        assert done[node].shape == tuple(d.evaluate(known) for d in node.shape), node
    return done[e]


def _value(
    node: Expr, done: Mapping[Expr, np.ndarray], values: Mapping[str, Any], sizes: Mapping[str, int]
) -> Any:
    shape = tuple(d.evaluate(sizes) for d in node.shape)
    if isinstance(node, Variable):
        return np.asarray(values[node.name], float)
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Size):
        return float(node.dim.evaluate(sizes))
    if isinstance(node, Combination):
        total = np.zeros(shape)
        for c, t in zip(node.coefficients, node.terms, strict=True):
            total = total + float(c) * done[t]
        return total
    if isinstance(node, Map):
        return FUNCTIONS[node.function.name](*(done[a] for a in node.args))
    if isinstance(node, Contraction):
        return _contraction(node, done, sizes)
    assert isinstance(node, Operation)
    args = [done[a] for a in node.args]
    return OPERATIONS[node.row.name](node, args, sizes)


def _contraction(
    node: Contraction, done: Mapping[Expr, np.ndarray], sizes: Mapping[str, int]
) -> np.ndarray:
    # A vector of ones on every label, so that free and broadcast labels need no special case.
    lengths = [d.evaluate(sizes) for d in node.dims]
    args: list[Any] = []
    for i, length in enumerate(lengths):
        args += [np.ones(length), [i]]
    for o, legs in zip(node.operands, node.legs, strict=True):
        args += [done[o], list(legs)]
    unique = list(dict.fromkeys(node.out))
    value = np.einsum(*args, unique, optimize="greedy") if args else np.ones(())
    if unique == list(node.out):
        return value
    out = np.zeros([lengths[i] for i in node.out])
    for index in np.ndindex(value.shape):
        at = dict(zip(unique, index, strict=True))
        out[tuple(at[i] for i in node.out)] = value[index]
    return out


def _each(rule: Callable[[np.ndarray], Any]) -> Callable[..., Any]:
    """An operation on one matrix, applied to each of a stack."""

    def apply(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
        (a,) = args
        lead = a.shape[:-2]
        parts = [np.asarray(rule(m)) for m in a.reshape(-1, *a.shape[-2:])]
        return np.array(parts).reshape((*lead, *parts[0].shape))

    return apply


def _number(d: Any, sizes: Mapping[str, int]) -> Any:
    return d.evaluate(sizes) if isinstance(d, Dim) else d


def _key(items: tuple, sizes: Mapping[str, int]) -> tuple:
    parts = [
        item if isinstance(item, int) else slice(*(_number(i, sizes) for i in item))
        for item in items
    ]
    return (..., *parts)


def _embed(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    items, _ = node.params
    out = np.zeros([d.evaluate(sizes) for d in node.shape])
    out[_key(items, sizes)] = args[0]
    return out


def _prod(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    (x,) = args
    out = np.zeros([d.evaluate(sizes) for d in node.shape])
    lead = x.ndim - 1
    for index in np.ndindex(out.shape):
        gone = index[lead:]
        if len(set(gone)) == len(gone):
            out[index] = np.prod(np.delete(x[index[:lead]], list(gone)))
    return out


def _softmax(x: np.ndarray) -> np.ndarray:
    return special.softmax(x, axis=-1)


def _cumsum(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    x = args[0]
    return np.cumsum(x[..., ::-1], -1)[..., ::-1] if node.params[0] else np.cumsum(x, -1)


def _shift(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    out = np.zeros([d.evaluate(sizes) for d in node.shape])
    for i, o, j in np.ndindex(out.shape):
        out[i, o, j] = i == o + j
    return out


def _sym(a: np.ndarray) -> np.ndarray:
    return (a + a.T) / 2


def _qr(part: int) -> Callable[[np.ndarray], np.ndarray]:
    def rule(a: np.ndarray) -> np.ndarray:
        q, r = np.linalg.qr(a)
        sign = np.where(np.diag(r) < 0, -1.0, 1.0)
        return q * sign if part == 0 else r * sign[:, None]

    return rule


def _frechet(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    a, e = args
    (name,) = node.params
    f = getattr(scipy.linalg, name)
    n = a.shape[-1]
    shape = np.broadcast_shapes(a.shape, e.shape)
    a, e = np.broadcast_to(a, shape), np.broadcast_to(e, shape)
    out = np.zeros(shape)
    for index in np.ndindex(shape[:-2]):
        block = np.block([[a[index], e[index]], [np.zeros((n, n)), a[index]]])
        out[index] = np.real(f(block))[:n, n:]
    return out


def _spectral(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    (f,) = node.params

    def rule(a: np.ndarray) -> np.ndarray:
        d, v = np.linalg.eigh(_sym(a))
        fd = np.array([float(evaluate(f, {"t": x}, sizes)) for x in d])
        return v @ np.diag(fd) @ v.T

    return _each(rule)(node, args, sizes)


def _singular(left: bool) -> Callable[..., np.ndarray]:
    def rule(node: Operation, args: list[np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
        def one(a: np.ndarray) -> np.ndarray:
            u, s, vt = np.linalg.svd(a, full_matrices=False)
            fs = np.array([float(evaluate(node.params[0], {"t": x}, sizes)) for x in s])
            return u @ np.diag(fs) @ (u.T if left else vt)

        return _each(one)(node, args, sizes)

    return rule


OPERATIONS: dict[str, Callable[..., Any]] = {
    "singular": _singular(False),
    "singular_left": _singular(True),
    "inv": _each(np.linalg.inv),
    "det": _each(np.linalg.det),
    "logdet": _each(lambda a: np.linalg.slogdet(a)[1]),
    "cofactor": _each(lambda a: np.linalg.det(a) * np.linalg.inv(a).T),
    "pinv": _each(np.linalg.pinv),
    "chol": _each(lambda a: np.linalg.cholesky(_sym(a))),
    "expm": _each(scipy.linalg.expm),
    "logm": _each(lambda a: np.real(scipy.linalg.logm(a))),
    "sqrtm": _each(lambda a: np.real(scipy.linalg.sqrtm(a))),
    "eigvalsh": _each(lambda a: np.linalg.eigvalsh(_sym(a))),
    "eigh_V": _each(lambda a: np.linalg.eigh(_sym(a))[1]),
    "svd_U": _each(lambda a: np.linalg.svd(a, full_matrices=False)[0]),
    "svdvals": _each(lambda a: np.linalg.svd(a, full_matrices=False)[1]),
    "svd_V": _each(lambda a: np.linalg.svd(a, full_matrices=False)[2].T),
    "qr_Q": _each(_qr(0)),
    "qr_R": _each(_qr(1)),
    "frechet": _frechet,
    "spectral": _spectral,
    "reshape": lambda node, args, sizes: args[0].reshape([d.evaluate(sizes) for d in node.shape]),
    "slice": lambda node, args, sizes: args[0][_key(node.params[0], sizes)],
    "embed": _embed,
    "cumsum": _cumsum,
    "shift": _shift,
    "lower": lambda node, args, sizes: (
        np.tri(node.params[0].evaluate(sizes), k=-1)
        + float(node.params[1]) * np.eye(node.params[0].evaluate(sizes))
    ),
    "pi": lambda node, args, sizes: np.pi,
    "prod": _prod,
    "softmax": lambda node, args, sizes: _softmax(args[0]),
    "logsumexp": lambda node, args, sizes: special.logsumexp(args[0], axis=-1),
    "max": lambda node, args, sizes: np.max(args[0], axis=-1),
}

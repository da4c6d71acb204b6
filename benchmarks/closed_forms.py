"""Derivatives as one writes them by hand in NumPy: the floor of ``derivatives.py``.

Each takes the arrays of its row by position.  Products that come out symmetric go through BLAS'
symmetric product (NumPy takes it for ``B.T @ B``), structure is written into views of zeros, and
what a formula shares is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs
from scipy.special import expit

Array = NDArray[np.floating]

# -- factorisation: norm2(T-U*V')^2 --------------------------------------------------------------


def factorisation_core(V: Array) -> Array:
    """The k x k core of the Hessian by U, which is 2*kron(eye, V'V).

    The copy keeps NumPy from the symmetric product, which is slower for few columns.
    """
    core = np.dot(V.T, V.copy() if V.size < 10000 else V)
    core *= 2.0
    return core


def factorisation_hessian(U: Array, V: Array, T: Array) -> Array:
    """The Hessian by U, dense: its core along the diagonal of zeros."""
    m, k = U.shape
    out = np.zeros((m, k, m, k))
    a, b, c, d = out.strides
    as_strided(out, (m, k, k), (a + c, b, d))[...] = factorisation_core(V)
    return out


def factorisation_gradient(U: Array, V: Array, T: Array) -> Array:
    """The gradient by U, without the residual."""
    out = np.dot(U, np.dot(V.T, V))
    out -= np.dot(T, V)
    out *= 2.0
    return out


def factorisation_hvp(U: Array, V: Array, T: Array, D: Array) -> Array:
    """The Hessian by U times a direction."""
    return np.dot(D, factorisation_core(V))


def newton_step(U: Array, V: Array, T: Array, D: Array) -> Array:
    """The Hessian by U solved for a right-hand side: one small system for all rows."""
    return np.linalg.solve(factorisation_core(V), D.T).T


def newton_step_dense(U: Array, V: Array, T: Array, D: Array) -> Array:
    """The same through the dense Hessian."""
    size = U.size
    hessian = factorisation_hessian(U, V, T).reshape(size, size)
    return np.linalg.solve(hessian, D.ravel()).reshape(U.shape)


# -- quadratic form and logistic regression ------------------------------------------------------


def quadratic_hessian(x: Array, A: Array) -> Array:
    return A + A.T


def quadratic_gradient(x: Array, A: Array) -> Array:
    out = np.dot(A, x)
    out += np.dot(x, A)
    return out


def logistic_hessian(w: Array, X: Array, y: Array) -> Array:
    """Rows scaled by the square roots of the weights, then one symmetric product."""
    s = expit(y * np.dot(X, w))
    scaled = X * (np.abs(y) * np.sqrt(s * (1.0 - s)))[:, None]
    return scaled.T @ scaled


def logistic_gradient(w: Array, X: Array, y: Array) -> Array:
    s = expit(-y * np.dot(X, w))
    s *= -y
    return np.dot(s, X)


def softmax(z: Array) -> Array:
    """Along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def softmax_regression_hessian(W: Array, X: Array, Y: Array) -> Array:
    """One symmetric product of rows ``kron(x, s)``, and a smaller one for each class."""
    (m, n), k = X.shape, W.shape[1]
    s = softmax(X @ W)
    rows = (np.ascontiguousarray(X.T)[:, None, :] * s.T).reshape(n * k, m)
    flat = rows @ rows.T
    np.negative(flat, out=flat)
    out = flat.reshape(n, k, n, k)
    for a, root in enumerate(np.sqrt(s.T)):
        scaled = X * root[:, None]
        out[:, a, :, a] += scaled.T @ scaled
    return out


# -- Jacobians -----------------------------------------------------------------------------------


def tanh_jacobian(x: Array, A: Array) -> Array:
    t = np.tanh(np.dot(A, x))
    return (1.0 - t * t)[:, None] * A


def softmax_jacobian(W: Array, x: Array) -> Array:
    s = softmax(np.dot(W, x))
    core = np.multiply.outer(s, -s)
    core.ravel()[:: len(s) + 1] += s
    return np.einsum("ij,k->ijk", core, x)


def solve_jacobian(A: Array, b: Array) -> Array:
    getrf, getri = get_lapack_funcs(("getrf", "getri"), (A,))
    lu, pivots, _ = getrf(A)
    inverse, _ = getri(lu, pivots, overwrite_lu=1)
    x = np.dot(inverse, b)
    np.negative(x, out=x)
    return np.einsum("ij,k->ijk", inverse, x)


# -- CP decomposition ----------------------------------------------------------------------------


def cp_gradients(A: Array, B: Array, C: Array, T: Array) -> list[Array]:
    """Gradients by all factors: Gram matrices, and two products with T for three modes."""
    with_c = np.matmul(T, C)
    by_a = np.einsum("ijr,jr->ir", with_c, B)
    by_b = np.einsum("ijr,ir->jr", with_c, A)
    by_c = np.einsum("ikr,ir->kr", np.matmul(T.transpose(0, 2, 1), B), A)
    a, b, c = A.T @ A, B.T @ B, C.T @ C
    pairs = ((A @ (b * c), by_a), (B @ (a * c), by_b), (C @ (a * b), by_c))
    return [2.0 * (own - data) for own, data in pairs]


def cp_value(A: Array, B: Array, C: Array, T: Array) -> float:
    """The loss through Gram matrices: the model tensor is never made."""
    inner = np.vdot(np.einsum("ijr,jr->ir", np.matmul(T, C), B), A)
    flat = T.ravel()
    return flat @ flat - 2.0 * inner + ((A.T @ A) * (B.T @ B) * (C.T @ C)).sum()


# -- network: h = X, h = tanh(h*W) for each layer, sum((h-Y)^2) ----------------------------------


def _forward(X: Array, weights: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Values behind each layer and the derivatives of its tanh."""
    values, slopes = [X], []
    for W in weights:
        h = np.dot(values[-1], W)
        np.tanh(h, out=h)
        d = h * h
        np.subtract(1.0, d, out=d)
        values.append(h)
        slopes.append(d)
    return values, slopes


def network_gradients(*arrays: Array) -> list[Array]:
    """Gradients by all weights; arrays are the weights, X and Y."""
    *weights, X, Y = arrays
    values, slopes = _forward(X, weights)
    g = values[-1] - Y
    g *= 2.0
    g *= slopes[-1]
    out = [np.dot(values[-2].T, g)]
    for k in range(len(weights) - 1, 0, -1):
        g = np.dot(g, weights[k].T)
        g *= slopes[k - 1]
        out.append(np.dot(values[k - 1].T, g))
    return out[::-1]


def network_first_gradient(*arrays: Array) -> Array:
    """The gradient by the first weights alone."""
    *weights, X, Y = arrays
    values, slopes = _forward(X, weights)
    g = values[-1] - Y
    g *= 2.0
    g *= slopes[-1]
    for k in range(len(weights) - 1, 0, -1):
        g = np.dot(g, weights[k].T)
        g *= slopes[k - 1]
    return np.dot(X.T, g)


def network_core(*arrays: Array) -> Array:
    """For each sample the Hessian of its loss by what enters the first tanh, batch x n x n.

    Congruence by each layer from the last one down, plus the curvature of its tanh.
    """
    *weights, X, Y = arrays
    values, slopes = _forward(X, weights)
    batch, n = Y.shape
    h, d = values[-1], slopes[-1]
    g = 2.0 * (h - Y) * d
    core = weights[-1] * (2.0 * d * d - 2.0 * h * g)[:, None, :]
    for k in range(len(weights) - 1, 0, -1):
        W, h, d = weights[k], values[k], slopes[k - 1]
        if k < len(weights) - 1:
            core = np.matmul(W, core)
        core = np.dot(core.reshape(batch * n, n), W.T).reshape(batch, n, n)
        core *= d[:, :, None]
        core *= d[:, None, :]
        g = np.dot(g, W.T)
        g *= d
        core.reshape(batch, n * n)[:, :: n + 1] -= 2.0 * h * g
    return core


def network_hessian(*arrays: Array) -> Array:
    """The Hessian by the first weights: pairs of inputs times the core, one matrix product."""
    X = arrays[-2]
    batch, n = X.shape
    core = network_core(*arrays)
    pairs = (X[:, :, None] * X[:, None, :]).reshape(batch, n * n)
    flat = np.dot(pairs.T, core.reshape(batch, -1))
    return flat.reshape(n, n, *core.shape[1:]).transpose(0, 2, 1, 3)

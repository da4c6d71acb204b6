"""What ``derivatives.py`` measures: rows of work, each a formula, data, a closed form and a target.

A row's arrays come in the order in which closed forms and peers take them: the variables of the
derivative first, a direction last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import closed_forms as hand
import numpy as np

import tensorcalculus as tc
from tensorcalculus.expr.node import Expr

Arrays = dict[str, np.ndarray]
HESSIAN, GRADIENT, JACOBIAN, HVP = "hessian", "gradient", "jacobian", "hvp"
BEYOND = "a run of minutes"


@dataclass(frozen=True)
class Row:
    """One piece of work for all contestants."""

    name: str
    kind: str
    wrt: tuple[str, ...]
    function: Callable[[], Expr]
    """Our formula."""
    data: Callable[[np.random.Generator], Arrays]
    hand: Callable[..., Any]
    """The closed form, of all arrays by position."""
    peer: Callable[..., Any]
    """The formula for other frameworks: their words, then the arrays but the direction."""
    target: float
    """How many times faster than the best of JAX ours is to be."""
    largest: int = 0
    """Bytes of the largest array of the function's value that batched derivatives repeat."""
    skip: Mapping[str, str] | None = None
    """Peers that are left out, and why; "torch with threads": on more than one thread."""
    operator: str = ""
    """'build' times the operator of a Hessian, 'solve' a linear system with it as well."""
    dense: Callable[..., Any] | None = None
    """For an operator: the same through the dense result, where the target is set against it."""

    def ours(self) -> Expr | list[Expr]:
        """The derivative as an expression; a list for several variables."""
        f = self.function()
        if self.kind == HVP:
            return f.hvp(self.wrt[0], "D")
        if self.kind == HESSIAN:
            return f.hessian(self.wrt[0])
        if self.kind == JACOBIAN:
            return f.jacobian(self.wrt[0])
        gradients = [f.gradient(name) for name in self.wrt]
        return gradients if len(gradients) > 1 else gradients[0]


# -- formulas ------------------------------------------------------------------------------------


def factorisation() -> Expr:
    return tc.parse("norm2(T-U*V')^2", T="m n", U="m k", V="n k")


def quadratic() -> Expr:
    return tc.parse("x'*A*x", A="n n", x="n")


def logistic() -> Expr:
    return tc.parse("sum(log(1+exp(-y.*(X*w))))", X="m n", y="m", w="n")


def softmax_regression() -> Expr:
    text = "sum(logsumexp(X*W,axis=1))-sum(Y.*(X*W))"
    return tc.parse(text, X="m n", W="n k", Y="m k")


def tanh_layer() -> Expr:
    return tc.parse("tanh(A*x)", A="m n", x="n")


def softmax_layer() -> Expr:
    return tc.parse("softmax(W*x)", W="m n", x="n")


def solution() -> Expr:
    return tc.parse("solve(A,b)", A="n n", b="n")


def cp() -> Expr:
    return tc.parse("norm2(T-cp(A,B,C))^2", T="i j k", A="i r", B="j r", C="k r")


def network(layers: int = 10) -> Expr:
    names = [f"W{k}" for k in range(1, layers + 1)]
    *weights, X, Y = tc.variables(dict.fromkeys(names, "n n") | {"X": "m n", "Y": "m n"})
    h = X
    for W in weights:
        h = np.tanh(h @ W)
    return ((h - Y) ** 2).sum()


# -- data ----------------------------------------------------------------------------------------

Data = Callable[[np.random.Generator], Arrays]


def factorisation_data(n: int, k: int = 5, direction: bool = False) -> Data:
    def data(rng: np.random.Generator) -> Arrays:
        names = {"U": (n, k), "V": (n, k), "T": (n, n)} | ({"D": (n, k)} if direction else {})
        return {name: rng.standard_normal(shape) for name, shape in names.items()}

    return data


def quadratic_data(n: int) -> Data:
    return lambda rng: {"x": rng.standard_normal(n), "A": rng.standard_normal((n, n))}


def logistic_data(m: int, n: int) -> Data:
    return lambda rng: {
        "w": rng.standard_normal(n) / np.sqrt(n),
        "X": rng.standard_normal((m, n)),
        "y": np.sign(rng.standard_normal(m)),
    }


def softmax_data(m: int, n: int, k: int) -> Data:
    return lambda rng: {
        "W": rng.standard_normal((n, k)) / np.sqrt(n),
        "X": rng.standard_normal((m, n)),
        "Y": np.eye(k)[rng.integers(0, k, m)],
    }


def layer_data(vector: str, matrix: str, n: int, vector_first: bool) -> Data:
    def data(rng: np.random.Generator) -> Arrays:
        made = {vector: rng.standard_normal(n), matrix: rng.standard_normal((n, n)) / np.sqrt(n)}
        return made if vector_first else dict(reversed(made.items()))

    return data


def solution_data(n: int) -> Data:
    return lambda rng: {
        "A": rng.standard_normal((n, n)) / np.sqrt(n) + 2.0 * np.eye(n),
        "b": rng.standard_normal(n),
    }


def cp_data(n: int, r: int) -> Data:
    return lambda rng: {
        **{name: rng.standard_normal((n, r)) for name in "ABC"},
        "T": rng.standard_normal((n, n, n)),
    }


def network_data(n: int, batch: int, layers: int = 10) -> Data:
    return lambda rng: {
        **{f"W{k}": rng.standard_normal((n, n)) / np.sqrt(n) for k in range(1, layers + 1)},
        "X": rng.standard_normal((batch, n)),
        "Y": rng.standard_normal((batch, n)) / 2,
    }


# -- the same for other frameworks; `a` has their words, see contestants.py ----------------------


def peer_factorisation(a: Any, U: Any, V: Any, T: Any) -> Any:
    return ((T - U @ V.T) ** 2).sum()


def peer_quadratic(a: Any, x: Any, A: Any) -> Any:
    return x @ (A @ x)


def peer_logistic(a: Any, w: Any, X: Any, y: Any) -> Any:
    return a.softplus(-y * (X @ w)).sum()


def peer_softmax_regression(a: Any, W: Any, X: Any, Y: Any) -> Any:
    z = X @ W
    return a.logsumexp(z).sum() - (Y * z).sum()


def peer_tanh(a: Any, x: Any, A: Any) -> Any:
    return a.tanh(A @ x)


def peer_softmax(a: Any, W: Any, x: Any) -> Any:
    return a.softmax(W @ x)


def peer_solve(a: Any, A: Any, b: Any) -> Any:
    return a.solve(A, b)


def peer_cp(a: Any, A: Any, B: Any, C: Any, T: Any) -> Any:
    return ((T - a.einsum("ir,jr,kr->ijk", A, B, C)) ** 2).sum()


def peer_network(a: Any, *arrays: Any) -> Any:
    *weights, X, Y = arrays
    h = X
    for W in weights:
        h = a.tanh(h @ W)
    return ((h - Y) ** 2).sum()


# -- the rows ------------------------------------------------------------------------------------


def _factorisation(name: str, kind: str, n: int, closed: Any, target: float, **more: Any) -> Row:
    data = factorisation_data(n, direction=kind == HVP)
    name = f"{name} of factorisation, n={n}"
    f, peer = factorisation, peer_factorisation
    return Row(name, kind, ("U",), f, data, closed, peer, target, 8 * n * n, **more)


def rows() -> list[Row]:
    """All rows, in the order of the table."""
    weights = tuple(f"W{k}" for k in range(1, 11))
    made = [
        _factorisation("Hessian", HESSIAN, 300, hand.factorisation_hessian, 500),
        _factorisation(
            "Hessian as operator", HESSIAN, 300, lambda U, V, T: hand.factorisation_core(V), 20000,
            operator="build",
        ),
        _factorisation(
            "Hessian", HESSIAN, 1000, hand.factorisation_hessian, 0, skip={"autograd": BEYOND}
        ),
        Row(
            "Newton step of factorisation, n=1000", HVP, ("U",), factorisation,
            factorisation_data(1000, direction=True), hand.newton_step, peer_factorisation, 200,
            operator="solve", dense=hand.newton_step_dense,
        ),
        Row(
            "Hessian of x'Ax, n=1000", HESSIAN, ("x",), quadratic, quadratic_data(1000),
            hand.quadratic_hessian, peer_quadratic, 25, 8 * 1000,
        ),
        Row(
            "Hessian of logistic, m=2000, n=1000", HESSIAN, ("w",), logistic,
            logistic_data(2000, 1000), hand.logistic_hessian, peer_logistic, 3, 8 * 2000,
        ),
        Row(
            "Hessian of softmax regression, m=2000, n=100, k=10", HESSIAN, ("W",),
            softmax_regression, softmax_data(2000, 100, 10), hand.softmax_regression_hessian,
            peer_softmax_regression, 10, 8 * 20000,
        ),
        Row(
            "Hessian of 10-layer network by W1, n=32, batch 32", HESSIAN, ("W1",), network,
            network_data(32, 32), hand.network_hessian, peer_network, 7, 80 * 32 * 32,
        ),
        Row(
            "Jacobian of tanh(Ax), n=1000", JACOBIAN, ("x",), tanh_layer,
            layer_data("x", "A", 1000, True), hand.tanh_jacobian, peer_tanh, 12, 8 * 1000,
        ),
    ]  # fmt: skip
    for n in (100, 300):
        made.append(Row(
            f"Jacobian of softmax(Wx) by W, n={n}", JACOBIAN, ("W",), softmax_layer,
            layer_data("x", "W", n, False), hand.softmax_jacobian, peer_softmax, 1, 8 * n,
        ))  # fmt: skip
    for n in (100, 200):
        made.append(Row(
            f"Jacobian of solve(A,b) by A, n={n}", JACOBIAN, ("A",), solution, solution_data(n),
            hand.solve_jacobian, peer_solve, 1, 8 * n * n,
            skip={"torch with threads": BEYOND} if n > 100 else None,
        ))  # fmt: skip
    made += [
        _factorisation("Gradient", GRADIENT, 300, hand.factorisation_gradient, 3),
        _factorisation("HVP", HVP, 300, hand.factorisation_hvp, 14),
        Row(
            "Gradients of CP, 100^3, R=32, all factors", GRADIENT, ("A", "B", "C"), cp,
            cp_data(100, 32), hand.cp_gradients, peer_cp, 2,
        ),
    ]  # fmt: skip
    for n in (10, 100):
        made += [
            Row(
                f"Gradient of x'Ax, n={n}", GRADIENT, ("x",), quadratic, quadratic_data(n),
                hand.quadratic_gradient, peer_quadratic, 3,
            ),
            Row(
                f"Gradient of logistic, m=n={n}", GRADIENT, ("w",), logistic, logistic_data(n, n),
                hand.logistic_gradient, peer_logistic, 3,
            ),
            _factorisation("Gradient", GRADIENT, n, hand.factorisation_gradient, 3),
        ]  # fmt: skip
    made += [
        Row(
            "Gradient of 10-layer network by W1, n=32, batch 32", GRADIENT, ("W1",), network,
            network_data(32, 32), hand.network_first_gradient, peer_network, 1,
        ),
        Row(
            "Gradient of 10-layer network, all weights, n=32, batch 32", GRADIENT, weights,
            network, network_data(32, 32), hand.network_gradients, peer_network, 1,
        ),
    ]  # fmt: skip
    return made


# -- scaling -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """A function whose size grows: its gradient and HVP against its value."""

    name: str
    function: Callable[[], Expr]
    data: Callable[[int], Data]
    wrt: tuple[str, ...]
    sizes: tuple[int, ...]
    gradient_limit: float = 3.0
    hvp_limit: float = 5.0


def families() -> list[Family]:
    """What the sweep runs through."""
    weights = tuple(f"W{k}" for k in range(1, 11))
    return [
        Family("factorisation, k=5", factorisation, factorisation_data, ("U",), (50, 200, 800)),
        Family("x'Ax", quadratic, quadratic_data, ("x",), (50, 200, 800)),
        Family(
            "logistic, m=2n", logistic, lambda n: logistic_data(2 * n, n), ("w",), (50, 200, 800),
            4.0,
        ),
        Family(
            "softmax regression, m=10n, k=10", softmax_regression,
            lambda n: softmax_data(10 * n, n, 10), ("W",), (25, 100, 400), 4.0,
        ),
        Family("CP, R=16", cp, lambda n: cp_data(n, 16), ("A", "B", "C"), (20, 50, 100)),
        Family(
            "10-layer network, batch 32", network, lambda n: network_data(n, 32), weights,
            (16, 64, 256), 4.0,
        ),
    ]  # fmt: skip

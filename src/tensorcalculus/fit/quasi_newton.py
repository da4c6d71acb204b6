"""CP models by L-BFGS: a formula of this library, minimised by this library."""

from __future__ import annotations

import numpy as np

from tensorcalculus.expr.combination import add
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.components import Factors, balanced, component_norms, growth
from tensorcalculus.fit.mttkrp import CPData, gram_product
from tensorcalculus.fit.watch import Watch
from tensorcalculus.networks.arrays import numpy_of
from tensorcalculus.networks.network import network
from tensorcalculus.optimize.driver import run
from tensorcalculus.optimize.monitor import Finished
from tensorcalculus.optimize.record import Iteration


def expanded_loss(order: int, l2: float) -> Expr:
    """``norm(X - M)^2 - norm(X)^2 + l2*sum_k norm(U_k)^2``, the square multiplied out.

    Its gradients need ``X`` only in products with all factors but one, which share a tree.
    """
    legs = {f"U{k}": f"i{k} r" for k in range(order)}
    axes = " ".join(f"i{k}" for k in range(order))
    twice = [(name, text.replace("r", end)) for name, text in legs.items() for end in "rs"]
    loss = network(twice).expression - 2 * network({"X": axes, **legs}).expression
    if l2:
        squares = [network([(name, text)] * 2).expression for name, text in legs.items()]
        loss = add([(1, loss), *((l2, e) for e in squares)])
    return loss


def lbfgs(
    data: CPData, start: Factors, watch: Watch, nonnegative: frozenset[int], l2: float
) -> None:
    """L-BFGS on all factors at once, with bounds for those that may not be negative.

    The columns of a component start with one norm in all modes: of the fluorescence data in
    `tests/fit/test_amino_acids.py` that took 77 iterations, where random columns with the norms
    that their lengths give them were not done after 3000.

    E. Acar, D. M. Dunlavy, T. G. Kolda, A scalable optimization approach for fitting canonical
    tensor decompositions, J. Chemometrics 25 (2011).
    """
    names = [f"U{k}" for k in range(data.order)]
    entries = np.asarray(numpy_of(data.x), dtype=np.float64)

    def told(values: dict[str, np.ndarray], entry: Iteration) -> None:
        if entry.iteration == 0:
            return
        factors = [values[name] for name in names]
        penalty = l2 * sum(float(np.linalg.norm(u)) ** 2 for u in factors)
        loss = max(entry.value + data.norm2 - penalty, 0.0)
        if loss < data.cancels * data.norm2:
            loss = data.residual(factors)
        size = growth(component_norms(factors), float(np.sum(gram_product(factors)).real))
        watch.note(factors, loss + penalty, loss, entry.gradient_norm, entry.step, size)

    watch.judges = False  # by the gradient: the minimisation does
    found = run(
        expanded_loss(data.order, l2),
        names,
        {"X": entries},
        dict(zip(names, balanced(start), strict=True)),
        "lbfgs",
        {names[k]: (0, None) for k in nonnegative},
        watch.tol,
        watch.max_iterations,
        watch.max_seconds,
        progress=False,
        callback=told,
    )
    raise Finished(found.message, found.converged)

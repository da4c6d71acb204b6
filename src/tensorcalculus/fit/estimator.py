"""Generalised CP in the manner of scikit-learn: samples along the first mode."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np

from tensorcalculus.display.rows import Rows
from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr
from tensorcalculus.fit.decompose import gcp
from tensorcalculus.fit.generalized.driver import read_cells
from tensorcalculus.fit.generalized.projection import first_factor
from tensorcalculus.fit.generalized.record import GCPFit
from tensorcalculus.fit.losses import Loss
from tensorcalculus.networks.arrays import numpy_of

try:
    from sklearn.base import BaseEstimator, TransformerMixin  # type: ignore[assignment]
except ImportError:

    class BaseEstimator(Rows):  # type: ignore[no-redef]
        """Parameters by name, as scikit-learn has them, where it is not installed."""

        def _rows(self) -> list[tuple[str, str]]:
            return [(name, repr(value)) for name, value in self.get_params().items()]

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """The arguments of the constructor."""
            return {name: getattr(self, name) for name in signature(type(self)).parameters}

        def set_params(self, **parameters: Any) -> Any:
            """Change arguments of the constructor."""
            for name, value in parameters.items():
                if name not in self.get_params():
                    raise ValueError(f"{type(self).__name__} has no parameter {name!r}")
                setattr(self, name, value)
            return self

    class TransformerMixin:  # type: ignore[no-redef]
        """`fit_transform` from the two others."""

        def fit_transform(self, X: Any, y: Any = None, **options: Any) -> Any:
            """Fit, then the first factor."""
            return self.fit(X, y, **options).transform(X)  # type: ignore[attr-defined]


class GCP(TransformerMixin, BaseEstimator):
    """A generalised CP model as a transformer: samples become weights of components.

    Parameters
    ----------
    rank
        The number of components.
    loss, parameters, nonnegative, method, start, starts, l2, tol, max_iterations
        See :func:`tensorcalculus.gcp`.
    random_state
        The seed; an integer.

    Attributes
    ----------
    result_
        The :class:`tensorcalculus.GCPFit`.
    components_
        The factors of all modes but the first, with columns of norm 1.
    n_iter_
        The number of iterations.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> X = np.random.default_rng(0).poisson(2.0, (30, 8, 5))
    >>> estimator = tc.GCP(rank=2, loss="poisson", random_state=0).fit(X[:20])
    >>> estimator.transform(X[20:]).shape
    (10, 2)
    """

    def __init__(
        self,
        rank: int = 2,
        *,
        loss: str | Expr | Loss = "gaussian",
        parameters: Mapping[str, float] | None = None,
        nonnegative: bool | None = None,
        method: str = "auto",
        start: Any = "random",
        starts: int = 1,
        l2: float = 0.0,
        tol: float = 1e-6,
        max_iterations: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.rank = rank
        self.loss = loss
        self.parameters = parameters
        self.nonnegative = nonnegative
        self.method = method
        self.start = start
        self.starts = starts
        self.l2 = l2
        self.tol = tol
        self.max_iterations = max_iterations
        self.random_state = random_state

    result_: GCPFit
    components_: list[np.ndarray]
    n_iter_: int

    def fit(self, X: Any, y: Any = None, *, mask: Any = None) -> GCP:
        """Fit a model of all modes; `y` is ignored."""
        self.result_ = gcp(
            X, self.rank, loss=self.loss, parameters=self.parameters, mask=mask,
            method=self.method, nonnegative=self.nonnegative, start=self.start,
            starts=self.starts, l2=self.l2, tol=self.tol, max_iterations=self.max_iterations,
            seed=self.random_state, progress=False,
        )  # fmt: skip
        self.components_ = [np.asarray(numpy_of(u)) for u in self.result_.factors[1:]]
        self.n_iter_ = self.result_.iterations
        return self

    def transform(self, X: Any, *, mask: Any = None) -> np.ndarray:
        """The first factor ``[n, r]`` for samples ``[n, …]``, the components as they are."""
        fitted = self._fitted()
        cells = read_cells(X, fitted.loss, mask)
        wanted = fitted.loss.nonnegative if self.nonnegative is None else bool(self.nonnegative)
        return first_factor(cells, fitted.loss, self.components_, wanted, self.l2)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The expected values of samples ``[n, …]`` with these weights ``[n, r]``."""
        from tensorcalculus.networks.formats.cp import CP

        weights = np.asarray(X, dtype=np.float64)
        model = CP([weights, *self.components_]) if len(weights) else None
        shape = (0, *(len(u) for u in self.components_))
        return np.zeros(shape) if model is None else self._fitted().loss.mean(model.to_dense())

    def score(self, X: Any, y: Any = None, *, mask: Any = None) -> float:
        """Minus the mean loss of samples in terms of the components; higher is better."""
        loss = self._fitted().loss
        cells = read_cells(X, loss, mask)
        weights = self.transform(X, mask=mask)
        return -cells.value_gradients([weights, *self.components_])[0] / cells.count

    def _fitted(self) -> GCPFit:
        if not hasattr(self, "result_"):
            raise InputError("this GCP is not fitted yet; call fit with data first")
        return self.result_

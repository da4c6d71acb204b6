"""A sparse tensor contracted with factors of a CP model, by compiled passes over its cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tensorcalculus.fit.data.cells import CellKeys
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.kernels.fused import mttkrp, mttkrps
from tensorcalculus.fit.kernels.points import Points
from tensorcalculus.fit.mttkrp import CPData, DenseData, gram_product
from tensorcalculus.networks.formats.cp import CP

SMALL = 1 << 20
"""Cells, empty ones included, up to which a tensor is also looked at as an array where only that
gives all digits."""


class SparseData(CPData):
    """A sparse tensor, and the products of it that fits of CP models need.

    Cells that are not stored are zeros, and count: ``norm(x - m)^2`` is a sum over all cells, of
    which the model's part follows from Gram matrices (B. W. Bader, T. G. Kolda, Efficient MATLAB
    computations with sparse and factored tensors, SIAM J. Sci. Comput. 30 (2007)).

    Held beside the data is one copy along a Z-curve, which serves all modes.
    """

    def __init__(self, x: SparseTensor) -> None:
        self.tensor = x
        self.points = Points.ordered(x)
        self.x = x.values
        self.shape = x.shape
        self.order = len(self.shape)
        self.kind = np.dtype(np.float64)
        self.norm2 = _square(x.values)
        self.numpy: list[np.ndarray] = [np.zeros((n, 0)) for n in self.shape]
        self._dense = DenseData(x.to_dense()) if math.prod(self.shape) <= SMALL else None
        # Without the array nothing better is known than what Gram matrices give.
        self.cancels = float(np.finfo(x.values.dtype).eps) ** 0.5 if self._dense else 0.0

    def mttkrp(self, k: int) -> np.ndarray:
        """``sum over stored cells with index i_k of x*prod_{j != k} U_j[i_j, r]``, ``[n_k, r]``."""
        return mttkrp(self.points, self.numpy, k)

    def mttkrps(self) -> list[np.ndarray]:
        """The products by all modes at one point: one pass."""
        return mttkrps(self.points, self.numpy)

    def residual(self, factors: Sequence[np.ndarray]) -> float:
        """``norm(x - m)^2``; for large tensors exact to roundings of ``norm(x)^2`` only."""
        if self._dense is not None:
            return self._dense.residual(factors)
        inner = float(np.vdot(factors[0], mttkrp(self.points, factors, 0)))
        return self.loss(inner, float(np.sum(gram_product(factors))))[0]

    def leading(self, k: int, rank: int) -> np.ndarray:
        """Leading left singular vectors of an unfolding, as many as there are."""
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import svds

        others = [j for j in range(self.order) if j != k]
        cells = self.tensor.indices
        keys = CellKeys(cells[:, others], [self.shape[j] for j in others]).keys
        columns, where = np.unique(keys, return_inverse=True)
        shape = (self.shape[k], len(columns))
        values = self.x.astype(np.float64)
        matrix = csr_array((values, (cells[:, k], where)), shape=shape)
        count = min(rank, *shape)
        if count == 0:
            return np.zeros((shape[0], 0))
        if count >= min(shape) - 1:
            if shape[0] <= shape[1]:
                return np.linalg.eigh((matrix @ matrix.T).toarray())[1][:, ::-1][:, :count]
            return np.linalg.svd(matrix.toarray(), full_matrices=False)[0][:, :count]
        first = np.random.default_rng(0).standard_normal(min(shape))
        return svds(matrix, count, v0=first)[0][:, ::-1]

    def core_consistency(self, model: CP) -> float | None:
        """See :meth:`tensorcalculus.networks.CP.core_consistency`; None for large tensors."""
        return None if self._dense is None else self._dense.core_consistency(model)


def _square(values: np.ndarray) -> float:
    """The squared norm in double precision, without a copy of the values."""
    step = 1 << 16
    parts = [values[at : at + step].astype(np.float64) for at in range(0, len(values), step)]
    return math.fsum(float(part @ part) for part in parts)

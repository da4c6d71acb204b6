"""An array in blocks contracted with factors of a CP model: partial products, added up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.fit.data.blocks import blocks_of, rows_in
from tensorcalculus.fit.data.chunked import Block, Chunked
from tensorcalculus.fit.data.observed import block_of
from tensorcalculus.fit.data.sparse_tensor import SparseTensor
from tensorcalculus.fit.mttkrp import CPData, DenseData
from tensorcalculus.networks.formats.cp import CP


class ChunkedData(CPData):
    """An array on a disk or in a cluster, and the products of it that fits of CP models need.

    A product by one mode is the sum of those of the blocks, in their order.  A sweep of alternating
    least squares over d modes reads the array d times.  The methods are those of
    :class:`tensorcalculus.fit.mttkrp.DenseData`.
    """

    def __init__(self, array: Chunked) -> None:
        self.shape = array.shape
        self.order = len(self.shape)
        self.kind = np.dtype(np.float64)
        self.x = np.empty(0, np.float32 if array.dtype == np.float32 else np.float64)
        self.numpy: list[np.ndarray] = [np.zeros((n, 0)) for n in self.shape]
        self._blocks = blocks_of(array, prepared)
        self.cancels = float(np.finfo(self.x.dtype).eps) ** 0.5
        self.norm2 = math.fsum(self._blocks.ask(_norm2, [()] * len(self._blocks.places)))

    def mttkrp(self, k: int) -> np.ndarray:
        """The product by mode k, ``[n_k, r]``, by one pass."""
        return self._products([k])[0]

    def mttkrps(self) -> list[np.ndarray]:
        """The products by all modes at one point, by one pass."""
        return self._products(range(self.order))

    def _products(self, modes: Sequence[int]) -> list[np.ndarray]:
        made = [np.zeros_like(self.numpy[k]) for k in modes]
        places = self._blocks.places
        asked = [(list(modes), *rows_in(where, self.numpy)) for where in places]
        for where, parts in zip(places, self._blocks.ask(_mttkrps, asked), strict=True):
            for k, whole, part in zip(modes, made, parts, strict=True):
                whole[where[k]] += part
        return made

    def residual(self, factors: Sequence[np.ndarray]) -> float:
        """``norm(x - m)^2`` from the entries themselves."""
        rows = [rows_in(where, factors) for where in self._blocks.places]
        return math.fsum(self._blocks.ask(_residual, rows))

    def leading(self, k: int, rank: int) -> np.ndarray:
        """Leading left singular vectors of an unfolding: not of an array in blocks."""
        raise InputError("start: 'random' or factors are expected for an array that is chunked")

    def core_consistency(self, model: CP) -> float | None:
        """Not computed: it takes the whole array."""
        return None


def prepared(values: Any, where: Block, _: None) -> DenseData:
    """A block, checked.  Called in the processes of a cluster."""
    if type(values).__module__.startswith("sparse"):
        values = SparseTensor.from_sparse(values).to_dense()
    return DenseData(block_of(values, where, None))


def _norm2(data: DenseData) -> float:
    return data.norm2


def _mttkrps(data: DenseData, modes: list[int], *factors: np.ndarray) -> list[np.ndarray]:
    data.put_all(factors)
    if len(modes) == data.order:
        return data.mttkrps()
    return [data.mttkrp(k) for k in modes]


def _residual(data: DenseData, *factors: np.ndarray) -> float:
    return data.residual(factors)

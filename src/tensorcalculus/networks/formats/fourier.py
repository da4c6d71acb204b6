"""The discrete Fourier transform as a train matrix of small ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError
from tensorcalculus.networks.arrays import Array, namespace
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.formats.tt_matrix import TTMatrix

_NODES = 26
"""Interpolation of ``exp(-2 pi i y x)``, ``0 <= x, y <= 1``, is exact to rounding with so many."""


def qtt_fourier(bits: int, tol: float = 1e-12, inverse: bool = False) -> TTMatrix:
    """``exp(-2 pi i j k/2**bits)`` as a train of modes of length 2, the bits of k reversed.

    Row modes start with the lowest bit of k, column modes with the highest of j: in that order the
    singular values fall faster than exponentially, and ranks hardly depend on `bits` (2, 4, 7, 4, 2
    at 64 points and a tolerance of 1e-6); with k in its natural order they would be full.  As with
    `numpy.fft`, nothing is scaled, and the inverse has the factor ``2**-bits``.

    Chen, Lindsey, Direct interpolative construction of the discrete Fourier transform as a matrix
    product operator (2024): what the bits of k met so far do to the remaining fraction x of
    ``j/2**bits`` is ``exp(-2 pi i y x)``, smooth in x, and held by its values at Chebyshev nodes.

    Raises
    ------
    InputError
        No bits, or more than the range of the numbers allows.
    """
    if not 1 <= bits <= 1000:
        raise InputError(f"qtt_fourier: bits: between 1 and 1000 are expected, not {bits!r}")
    sign = 1 if inverse else -1
    # Chebyshev nodes on [0, 1], and weights of the barycentric formula for their basis.
    angles = (2 * np.arange(_NODES) + 1) * np.pi / (2 * _NODES)
    nodes = (1 - np.cos(angles)) / 2
    weights = (-1.0) ** np.arange(_NODES) * np.sin(angles)
    k, j = np.ogrid[:2, :2]

    def core(x: np.ndarray) -> np.ndarray:
        """``[node in front, k, j, x]`` for the fractions x that may remain behind the bit j."""
        whole = (j[..., None] + x) / 2
        away = whole - nodes[:, None, None, None]
        on = away == 0
        terms = weights[:, None, None, None] / np.where(on, 1.0, away)
        basis = np.where(on.any(axis=0), on * 1.0, terms / terms.sum(axis=0))
        phase = np.exp(sign * 2j * np.pi * k[..., None] * whole)
        return basis * phase * (0.5 if inverse else 1.0)

    cores = [core(nodes)] * (bits - 1) + [core(np.zeros(1))]
    cores[0] = cores[0].sum(axis=0, keepdims=True)
    return TTMatrix(cores).round(tol)


def transformed(
    cores: Sequence[Array], tol: float, max_rank: int | None, inverse: bool
) -> list[Array]:
    """Cores of the discrete Fourier transform of a train of modes of length 2, highest bit first.

    As Dolgov, Khoromskij, Savostyanov, Superfast Fourier transform using QTT approximation, J.
    Fourier Anal. Appl. 18 (2012), reach it step by step; here the whole matrix is one product,
    rounded.  Its reversed bits come into order when the train is read from the other end.
    """
    like = cores[0]
    xp = namespace(like)
    matrix = qtt_fourier(len(cores), min(1e-12, 0.1 * tol), inverse)
    if not isinstance(like, np.ndarray):
        device = {"device": like.device} if hasattr(like, "detach") else {}
        matrix = TTMatrix([xp.asarray(core, **device) for core in matrix.cores])
    matrix = matrix.astype(xp.result_type(like.dtype, xp.complex64))
    made = matrix.apply(TT(cores), tol, max_rank).cores
    return [xp.permute_dims(core, (2, 1, 0)) for core in reversed(made)]

"""Matrices whose trains are known: Laplacians, shifts, Toeplitz matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.networks.arrays import like, namespace
from tensorcalculus.networks.formats.indexing import checked_shape
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.formats.tt_matrix import TTMatrix

_I = np.eye(2)
_J = np.array([[0.0, 1.0], [0.0, 0.0]])
_NONE = np.zeros((2, 2))


def laplacian(shape: Sequence[int]) -> TTMatrix:
    """``-sum of second differences`` over all modes, with zeros outside; ranks exactly 2.

    Each mode has the tridiagonal matrix with 2 on the diagonal and -1 beside it; divide by the
    square of the step where it is not 1.  ``L⊗I⊗… + I⊗L⊗… + …`` has blocks ``[[I, 0], [L, I]]``.
    """
    shape = checked_shape(shape)
    cores = []
    for k, n in enumerate(shape):
        one, zero = np.eye(n), np.zeros((n, n))
        second = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        rows = [[second, one]] if k == 0 else [[one, zero], [second, one]]
        if k == len(shape) - 1:
            rows = [row[:1] for row in rows]
        cores.append(_core(rows))
    return TTMatrix(cores)


def qtt_laplacian(bits: int, boundary: str = "DD") -> TTMatrix:
    """Minus the second difference on ``2**bits`` points, as a train of modes of length 2.

    Kazeev, Khoromskij, Low-rank explicit QTT representation of the Laplace operator and its
    inverse, SIAM J. Matrix Anal. Appl. 33 (2012), lemmas 3.1 to 3.4: ranks 3, 4 and at most 3.

    Parameters
    ----------
    bits
        At least 2.
    boundary
        ``"DD"``: zero outside.  ``"DN"``: the last diagonal entry is 1.  ``"P"``: periodic.

    Raises
    ------
    InputError
        Another boundary, or fewer bits.
    """
    if boundary not in ("DD", "DN", "P"):
        raise InputError(
            f"qtt_laplacian: boundary: 'DD', 'DN' or 'P' is expected, not {boundary!r}"
        )
    _check_bits(bits, 2)
    end = 2 * _I - _J - _J.T
    inner = [[_I, _J.T, _J], [_NONE, _J, _NONE], [_NONE, _NONE, _J.T]]
    last = [[end], [-_J], [-_J.T]]
    if boundary == "P":
        # What leaves at one end comes in at the other: the carry may end in any state.
        first = [[_I, _J.T + _J, _J.T + _J]]
        if bits > 1:
            cores = [_core(first), *[_core(inner)] * (bits - 2), _core(last)]
            return TTMatrix(cores).round(1e-14)
    made = TTMatrix([_core([[_I, _J.T, _J]]), *[_core(inner)] * (bits - 2), _core(last)])
    if boundary == "DN":
        corner = np.diag([0.0, 1.0])
        made = made - TTMatrix.kron([corner] * bits)
    return made


def qtt_shift(bits: int, periodic: bool = False) -> TTMatrix:
    """``(S x)[i] = x[i-1]`` on ``2**bits`` points, as a train of rank 2.

    Adding 1 in binary: the bond is the carry, which starts as 1 at the last bit, and is lost at the
    first one unless the shift is periodic.
    """
    _check_bits(bits, 1)
    carry = np.zeros((2, 2, 2, 2))  # [carry out, i, j, carry in]
    for j in range(2):
        for c in range(2):
            carry[(j + c) // 2, (j + c) % 2, j, c] = 1
    cores = [carry] * bits
    cores[0] = carry.sum(axis=0, keepdims=True) if periodic else carry[:1]
    cores[-1] = cores[-1][..., 1:]
    return TTMatrix(cores)


def qtt_toeplitz(generator: TT) -> TTMatrix:
    """The Toeplitz matrix ``T[i, j] = g[i - j + n]`` of a quantised ``g`` of ``2*n`` entries.

    ``g[0]`` is not used.  Kazeev, Khoromskij, Tyrtyshnikov, Multilevel Toeplitz matrices generated
    by tensor-structured vectors and convolution with logarithmic complexity, SIAM J. Sci. Comput.
    35 (2013), theorem 4.1: ranks at most twice those of the vector.  Subtraction in binary: the
    bond holds the borrow beside the bond of the vector.

    Raises
    ------
    ShapeError
        Modes of the generator that are not of length 2, or fewer than two of them.
    """
    if generator.ndim < 2 or set(generator.shape) != {2}:
        raise ShapeError(f"qtt_toeplitz: modes of length 2 are expected, not {generator.shape}")
    top, *rest = generator.cores
    xp = namespace(top)
    # [digit of g, borrow out, i, j, borrow in]: where it is i - j - borrow
    digits = np.zeros((2, 2, 2, 2, 2))
    for i, j, b in np.ndindex(2, 2, 2):
        digits[(i - j - b) % 2, int(i - j - b < 0), i, j, b] = 1
    cores = []
    for g in rest:
        r, _, s = g.shape
        core = xp.tensordot(g, like(digits, g), axes=([1], [0]))  # [r, s, out, i, j, in]
        core = xp.permute_dims(core, (2, 0, 3, 4, 5, 1))
        cores.append(core.reshape(2 * r, 2, 2, 2 * s))
    # The highest bit of i - j + n is 1 unless something was borrowed from it.
    start = xp.concat([top[:, 1, :], top[:, 0, :]], axis=1)
    cores[0] = (start @ cores[0].reshape(start.shape[1], -1)).reshape(1, *cores[0].shape[1:])
    # Nothing is borrowed by the last bit.
    cores[-1] = cores[-1].reshape(*cores[-1].shape[:3], 2, -1)[..., 0, :]
    return TTMatrix(cores)


def _core(blocks: list[list[np.ndarray]]) -> np.ndarray:
    """A core ``[r, m, n, r']`` from its matrices."""
    return np.array(blocks).transpose(0, 2, 3, 1)


def _check_bits(bits: int, least: int) -> None:
    if bits < least:
        raise InputError(f"bits: at least {least} is expected, not {bits!r}")

"""Functions on fine grids: quantised tensor trains, whose modes are binary digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from tensorcalculus.errors import EvaluationError, InputError, ShapeError
from tensorcalculus.networks.arrays import Array
from tensorcalculus.networks.formats import conversion
from tensorcalculus.networks.formats.tt import TT
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.trains.reshaping import reshaped
from tensorcalculus.networks.trains.tt_svd import decompose

_MOST_BITS_SAMPLED = 12
_BITS_A_MODE = 4


class QTT(TT):
    """A function's values at ``x_j = a + (b-a)*j/2**bits``, as a train of modes of length 2.

    The first mode is the highest bit of j.  Everything of :class:`TT` works; sums and products of
    functions on the same grid keep it.

    Khoromskij, O(d log N)-quantics approximation of N-d tensors in high-dimensional numerical
    modeling, Constr. Approx. 34 (2011).

    Examples
    --------
    >>> import numpy as np, tensorcalculus.networks as tn
    >>> q = tn.QTT.from_function(lambda x: np.sin(10 * x), bits=40, interval=(0, 1))
    >>> max(q.ranks), round(float(q.integral()), 9)  # (1 - cos(10))/10
    (2, 0.183907153)
    """

    __slots__ = ("interval",)

    interval: tuple[float, float]

    def __init__(self, cores: Sequence[Any], interval: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(cores)
        if set(self.shape) != {2}:
            raise ShapeError(f"QTT: modes of length 2 are expected, not {self.shape}")
        object.__setattr__(self, "interval", _interval(interval))

    def _set(self, cores: Sequence[Array], *fields: Any) -> Self:
        object.__setattr__(self, "interval", fields[0] if fields else (0.0, 1.0))
        return super()._set(cores)

    def _fields(self) -> tuple[Any, ...]:
        return (self.interval,)

    def _agree(self, other: TT, name: str) -> None:
        if isinstance(other, QTT) and other.interval != self.interval:
            raise InputError(f"{name}: intervals {self.interval} and {other.interval} differ")

    @classmethod
    def _places(cls, structure: Structure, *fields: Any) -> list[conversion.Place]:
        if set(structure.sizes[i] for i in structure.out) != {2}:
            raise conversion.NotThisFormat("modes of length 2 are expected")
        return super()._places(structure)

    @property
    def bits(self) -> int:
        """The number of modes; the grid has ``2**bits`` points."""
        return self.ndim

    @property
    def step(self) -> float:
        """The distance of grid points."""
        return (self.interval[1] - self.interval[0]) / 2.0**self.ndim

    def integral(self) -> Array:
        """The sum over the grid times the step: the left rectangle rule."""
        return self.sum() * self.step

    # Transforms

    def fft(self, tol: float = 1e-10, max_rank: int | None = None) -> QTT:
        """``sum_j exp(-2 pi i j k/2**bits) * self[j]`` at ``k = 0 … 2**bits - 1``, as `numpy.fft`.

        The matrix has ranks of about 12 (see :func:`tensorcalculus.networks.qtt_fourier`), so the
        cost grows linearly in `bits`; the result is rounded.  Its interval is (0, 2**bits).

        Examples
        --------
        >>> import tensorcalculus.networks as tn
        >>> wave = tn.QTT.exp(2j * np.pi * 12345, bits=30)
        >>> made = wave.fft() / 2.0**30
        >>> place = [[int(b) for b in f"{12345:030b}"]]
        >>> max(made.ranks), round(float(abs(made.at(place)[0])), 9)
        (1, 1.0)
        """
        from tensorcalculus.networks.formats.fourier import transformed

        return QTT._made(transformed(self.cores, tol, max_rank, False), (0.0, 2.0**self.bits))

    def ifft(
        self,
        tol: float = 1e-10,
        interval: tuple[float, float] = (0.0, 1.0),
        max_rank: int | None = None,
    ) -> QTT:
        """The inverse of :meth:`fft`, with the factor ``2**-bits``, as a function on `interval`."""
        from tensorcalculus.networks.formats.fourier import transformed

        return QTT._made(transformed(self.cores, tol, max_rank, True), _interval(interval))

    def convolve(self, kernel: QTT, tol: float = 1e-10, max_rank: int | None = None) -> QTT:
        """``h(x_i) = step * sum_j kernel(x_i - x_j) * self(x_j)``, by a Toeplitz train, rounded.

        `kernel` has one bit more and the same step: for (a, b), its interval is (a-b, b-a).  See
        :func:`tensorcalculus.networks.qtt_toeplitz`.

        Raises
        ------
        InputError
            A kernel on another grid.
        """
        from tensorcalculus.networks.formats.operators import qtt_toeplitz

        low, high = self.interval
        wanted = (low - high, high - low)
        if kernel.bits != self.bits + 1 or not np.allclose(kernel.interval, wanted, 1e-12, 0):
            raise InputError(
                f"convolve: a kernel of {self.bits + 1} bits on {wanted} is expected, not of"
                f" {kernel.bits} bits on {kernel.interval}"
            )
        made = qtt_toeplitz(kernel * self.step).apply(self, tol, max_rank)
        return self._like(made.cores)

    # Constructors

    @classmethod
    def from_function(
        cls,
        f: Callable[[np.ndarray], Any],
        bits: int,
        interval: tuple[float, float] = (0.0, 1.0),
        tol: float = 1e-10,
        max_evaluations: int = 10**6,
        seed: int = 0,
        start: Sequence[float] | None = None,
        **options: Any,
    ) -> QTT:
        """The train of a function that takes an array of points ``[batch]``.

        Up to 4096 points are all asked for; beyond that cross approximation chooses, with four bits
        as one mode (see :meth:`TT.cross`, also for errors; ``info`` tells how it went).  `start`
        are points where the function is known to matter, such as narrow peaks; other options
        (``max_rank``, ``known``, ``progress`` …) are those of cross approximation.

        Raises
        ------
        InputError
            No bits, or an interval without length.
        EvaluationError
            From the function.
        """
        low, high = _interval(interval)
        if bits < 1:
            raise InputError(f"from_function: bits must be positive, not {bits!r}")
        step = (high - low) / 2.0**bits
        if bits <= _MOST_BITS_SAMPLED:
            values = np.asarray(f(low + step * np.arange(2**bits)))
            if values.shape != (2**bits,):
                raise ShapeError(f"from_function: f gave shape {values.shape} for ({2**bits},)")
            if not np.isfinite(values).all():
                k = int(np.argmin(np.isfinite(values)))
                raise EvaluationError(
                    f"from_function: f gave {values[k]} at x = {low + step * k:g}, at "
                    f"{np.count_nonzero(~np.isfinite(values))} of {2**bits} points"
                )
            shaped = (values + 0.0).reshape((2,) * bits)
            return cls._made(decompose(shaped, tol, None), (low, high))
        first = bits % _BITS_A_MODE
        modes = [2**first] * bool(first) + [2**_BITS_A_MODE] * (bits // _BITS_A_MODE)
        weights = 2.0 ** (bits - np.cumsum(np.log2(modes)))
        near = None
        if start is not None:
            # Digits of the nearest places of the grid, as Python's numbers know more than 53 bits.
            last = 2**bits - 1
            places = {min(max(int((x - low) / step), 0), last) for x in start}
            near = np.array([_digits(place, modes) for place in sorted(places)])
        made = TT.cross(
            lambda i: f(low + step * (i @ weights)),
            modes,
            tol,
            max_evaluations,
            seed,
            start=near,
            **options,
        )
        q = cls._made(reshaped(made.cores, (2,) * bits, 0.1 * tol), (low, high))
        object.__setattr__(q, "info", made.info)
        return q

    @classmethod
    def exp(cls, a: complex, bits: int, interval: tuple[float, float] = (0.0, 1.0)) -> QTT:
        """``exp(a*x)``: rank 1."""
        low, high = _interval(interval)
        steps = _steps(bits, low, high)
        cores = [np.array([1.0, np.exp(a * s)]).reshape(1, 2, 1) for s in steps]
        cores[0] = cores[0] * np.exp(a * low)
        return cls(cores, (low, high))

    @classmethod
    def sin(
        cls, a: float, bits: int, interval: tuple[float, float] = (0.0, 1.0), phase: float = 0.0
    ) -> QTT:
        """``sin(a*x + phase)``: rank 2, each bit a rotation."""
        low, high = _interval(interval)
        cores = []
        for s in _steps(bits, low, high):
            c, z = math.cos(a * s), math.sin(a * s)
            cores.append(np.array([np.eye(2), [[c, -z], [z, c]]]).transpose(1, 0, 2))
        # (sin, cos) as a row times rotations, and the first entry of the result.
        start = np.array([[math.sin(a * low + phase), math.cos(a * low + phase)]])
        cores = [np.ascontiguousarray(core.transpose(0, 1, 2)) for core in cores]
        cores[0] = np.tensordot(start, cores[0], 1)
        cores[-1] = cores[-1][:, :, :1]
        return cls(cores, (low, high))

    @classmethod
    def polynomial(
        cls,
        coefficients: Sequence[float] | np.ndarray,
        bits: int,
        interval: tuple[float, float] = (0.0, 1.0),
    ) -> QTT:
        """``c0 + c1*x + c2*x^2 + …``: rank at most the degree plus 1, by the binomial theorem.

        Oseledets, Constructive representation of functions in low-rank tensor formats, Constr.
        Approx. 37 (2013), theorem 5.
        """
        low, high = _interval(interval)
        c = np.atleast_1d(np.asarray(coefficients))
        p = len(c)
        shift = np.zeros((p, p), np.result_type(c, 1.0))
        cores = []
        for s in [low, *_steps(bits, low, high)]:
            for i in range(p):
                for j in range(i + 1):
                    shift[i, j] = math.comb(i, j) * s ** (i - j)
            cores.append(np.stack([np.eye(p), shift], axis=1))
        # c @ powers of (low + s1 + s2 + …), the last power being of 0.
        start = (c @ cores[0][:, 1, :])[None]
        cores = cores[1:]
        cores[0] = np.tensordot(start, cores[0], 1)
        cores[-1] = cores[-1][:, :, :1]
        return cls(cores, (low, high))

    @classmethod
    def rational(
        cls,
        numerator: Sequence[float],
        denominator: Sequence[float],
        bits: int,
        interval: tuple[float, float] = (0.0, 1.0),
        tol: float = 1e-10,
        seed: int = 0,
    ) -> QTT:
        """``p(x)/q(x)``, by the coefficients ``c0 + c1*x + …`` of both polynomials.

        Ranks grow with the logarithms of `tol` and of the distance of the poles from the interval.
        Above 12 bits, cross approximation starts near the poles, and is checked on the whole grid,
        not at points: ``q*train - p`` is a train, whose norm relative to ``norm(train)*max|q|`` is
        ``info.error``; where it is above `tol`, other points are tried.

        Raises
        ------
        InputError
            The denominator has a zero in the interval, or is 0.
        EvaluationError
            No train is found that passes the check.

        Examples
        --------
        >>> import tensorcalculus.networks as tn
        >>> q = tn.QTT.rational([1], [1, 0, 1], bits=40)  # 1/(1 + x^2)
        >>> round(float(q.integral()) * 4, 9)
        3.141592654
        """
        from tensorcalculus.networks.formats.rational import rational

        cores, info = rational(cls, numerator, denominator, bits, _interval(interval), tol, seed)
        made = cls._made(cores, _interval(interval))
        object.__setattr__(made, "info", info)
        return made


def _digits(place: int, modes: Sequence[int]) -> list[int]:
    found = []
    for n in reversed(modes):
        place, digit = divmod(place, n)
        found.append(digit)
    return found[::-1]


def _interval(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(x) for x in interval)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"interval: two finite numbers a < b are expected, not {interval!r}")
    return low, high


def _steps(bits: int, low: float, high: float) -> list[float]:
    """How far each bit moves, the highest one first."""
    if bits < 1:
        raise InputError(f"bits must be positive, not {bits!r}")
    return [(high - low) * 0.5 ** (k + 1) for k in range(bits)]

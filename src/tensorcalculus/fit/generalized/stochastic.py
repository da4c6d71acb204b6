"""Stochastic gradients: Adam in epochs, which are taken back where they fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from tensorcalculus.compiler.pointwise import import_numba
from tensorcalculus.display.rows import Fields
from tensorcalculus.errors import InputError
from tensorcalculus.fit.components import Factors
from tensorcalculus.fit.generalized.sampling import (
    Estimate,
    Gradient,
    SampledCells,
    checked_sizes,
)
from tensorcalculus.optimize.monitor import Finished
from tensorcalculus.optimize.progress import Progress
from tensorcalculus.optimize.record import Iteration

ESTIMATED, SAMPLED = 0, 1
"""Random numbers of samples for values, and for gradients."""


@dataclass(frozen=True)
class Adam(Fields):
    """Stochastic gradients by Adam, as ``method=`` of :func:`tensorcalculus.gcp`.

    After each epoch the loss is estimated on a sample that is drawn once.  Where the estimate rose,
    the epoch has failed: factors and moments are those from before it, and the rate is multiplied
    by `decay`.  Without that, a rate that is too high makes the model diverge.

    Parameters
    ----------
    rate
        The learning rate: about the most by which an entry changes in an iteration.
    decay
        By what the rate is multiplied after an epoch that failed.
    max_fails
        How many epochs may fail; one more ends the fit.  The paper allows one, hence two rates.
    epoch_iterations
        Iterations of an epoch.
    sampling
        Of sparse data ``"semi-stratified"`` (default), ``"stratified"`` or ``"uniform"``; of dense
        ones and of stored cells alone ``"uniform"``.
    samples
        Cells of each gradient: a number, for stratified sampling of stored cells and of zeros each;
        or two numbers.  By default 3 n/1000 and at least 1000, for n stored cells, so that an epoch
        meets each three times; n/100 and at least 1000 of n cells of a dense array.
    estimate_samples
        Cells of the sample by which the loss is estimated, stratified for sparse data: n/100 and at
        least 10^5 stored cells and zeros each; n/10 and at least 10^6 of a dense array.  Where that
        is all there are, the loss is exact.
    beta, gamma, epsilon
        Decay of the means of gradients and of their squares, and what is added to the root of the
        latter.

    Raises
    ------
    InputError
        For numbers out of their ranges.

    Notes
    -----
    Each iteration changes all entries of all factors, as published: rows that no sample met move on
    by their means.  That pass takes about 2.5 ns an entry.

    References
    ----------
    T. G. Kolda, D. Hong, Stochastic gradients for large-scale tensor decomposition, SIAM J. Math.
    Data Sci. 2 (2020), Alg. 5.1, Sec. 5.  D. P. Kingma, J. Ba, Adam: a method for stochastic
    optimization, ICLR 2015.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.gamma(1.0, size=(3, 20, 2))
    >>> counts = rng.poisson(np.einsum("ir,jr,kr->ijk", *factors))
    >>> exact = tc.gcp(counts, 2, loss="poisson")
    >>> by_samples = tc.gcp(counts, 2, loss="poisson", method=tc.Adam(rate=1e-2))
    >>> bool(by_samples.value < exact.value + 0.01 * abs(exact.value))
    True
    """

    rate: float = 1e-3
    decay: float = 0.1
    max_fails: int = 2
    epoch_iterations: int = 1000
    sampling: str | None = None
    samples: int | tuple[int, int] | None = None
    estimate_samples: int | tuple[int, int] | None = None
    beta: float = 0.9
    gamma: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name, most in (("rate", math.inf), ("decay", 1), ("epsilon", math.inf)):
            value = getattr(self, name)
            if not _is_real(value) or not 0 < value < most:
                bound = f" below {most}" if most == 1 else ""
                raise InputError(f"{name}: a positive number{bound} is expected, not {value!r}")
        for name in ("beta", "gamma"):
            value = getattr(self, name)
            if not _is_real(value) or not 0 <= value < 1:
                raise InputError(f"{name}: a number from 0 to below 1 is expected, not {value!r}")
        for name, least in (("max_fails", 0), ("epoch_iterations", 1)):
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < least:
                raise InputError(f"{name}: an integer from {least} is expected, not {value!r}")


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class Epoch(Iteration):
    """One epoch.

    `value` is the estimate of the loss, with its penalty, at the model that is kept: that from
    before the epoch if it failed.  `step` is the length of the step of all its iterations together,
    0 if it failed.  `gradient_norm` is the largest entry of Adam's mean of sampled gradients,
    projected on the bounds; it does not vanish, as samples differ.
    """

    rate: float
    """The learning rate."""
    tried: float
    """The estimate after the epoch."""

    @property
    def failed(self) -> bool:
        """Whether the epoch was taken back."""
        return not self.tried <= self.value

    def told(self) -> str:
        """The epoch in one line."""
        failed = f" (failed: {self.tried:.8g})" if self.failed else ""
        return f"epoch {self.iteration}, estimate {self.value:.8g}{failed}, rate {self.rate:.0e}"


class AdamState:
    """Factors and their means, and what moves them.

    Attributes
    ----------
    x, m, v
        All entries of the factors, means of their gradients and of the squares of these.
    count
        How many steps led to them.
    draws
        How many samples were drawn, also in epochs that were taken back.
    """

    def __init__(
        self,
        cells: SampledCells,
        options: Adam,
        start: Sequence[np.ndarray],
        nonnegative: frozenset[int],
        l2: float = 0.0,
        seed: int = 0,
        attempt: int = 0,
    ) -> None:
        import_numba("method='adam'")
        from tensorcalculus.fit.kernels.adam_step import adam_step

        self.options, self.l2 = options, l2
        self.rate = float(options.rate)
        self.x = np.concatenate([np.asarray(u, np.float64).reshape(-1) for u in start])
        self.m, self.v, self._g = (np.zeros_like(self.x) for _ in range(3))
        self.count = self.draws = 0
        self._edges = np.cumsum([0, *(u.size for u in start)])
        self._floors = np.array([0.0 if k in nonnegative else -np.inf for k in range(len(start))])
        self._step = adam_step
        self.rank = start[0].shape[1]
        self.factors = self.views(self.x)
        kind, sizes = checked_sizes(cells, options.sampling, options.samples)
        steady, for_values = checked_sizes(cells, None, options.estimate_samples, estimate=True)
        sums = self.views(self._g)
        self._gradient = Gradient(
            cells.strata(kind, sizes), self.factors, sums, seed, SAMPLED, attempt
        )
        self._estimate = Estimate(cells.strata(steady, for_values), cells.shape, seed, ESTIMATED)
        self.keep()

    def views(self, x: np.ndarray) -> Factors:
        """Factors as views of an array like `x`."""
        ends = [int(e) for e in self._edges]
        return [x[a:b].reshape(-1, self.rank) for a, b in pairwise(ends)]

    def value(self) -> float:
        """The estimate of the loss, with its penalty."""
        penalty = self.l2 * float(self.x @ self.x) if self.l2 else 0.0
        return self._estimate.value(self.factors) + penalty

    def iterate(self) -> None:
        """One step along a sampled gradient."""
        o = self.options
        self._gradient.add(self.draws)
        self.draws += 1
        self.count += 1
        self._step(
            self.x, self._g, self.m, self.v, self._edges, self._floors, float(self.l2), self.rate,
            float(o.beta), float(o.gamma), float(o.epsilon), self.count,
        )  # fmt: skip

    def keep(self) -> None:
        """Remember this state."""
        self.kept = self.x.copy(), self.m.copy(), self.v.copy(), self.count

    def take_back(self) -> None:
        """Return to the state that was kept."""
        self._g[:] = 0
        for array, kept in zip((self.x, self.m, self.v), self.kept, strict=False):
            array[:] = kept
        self.count = self.kept[3]

    def gradient_norm(self) -> float:
        """The largest entry of the mean gradient, projected on the bounds."""
        mean = self.m / (1 - self.options.beta ** max(self.count, 1))
        floors = np.repeat(self._floors, np.diff(self._edges))
        return float(np.abs(self.x - np.maximum(self.x - mean, floors)).max(initial=0.0))


class EpochMonitor:
    """Told of every epoch; raises :class:`Finished` when it is time to stop."""

    def __init__(
        self, max_epochs: int, max_seconds: float | None, progress: Progress,
        checkpoint: Callable[[AdamState, EpochMonitor], Any] | None = None,
    ) -> None:  # fmt: skip
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.progress = progress
        self.checkpoint = checkpoint
        self.record: list[Iteration] = []
        self.best: tuple[float, np.ndarray, float] = (np.inf, np.zeros(0), np.nan)
        self.fails = 0
        self.began = perf_counter()

    def note(self, state: AdamState, tried: float, rate: float, step: float) -> None:
        """One more epoch, and the model that is kept after it."""
        value = self.best[0]
        norm = state.gradient_norm()
        seconds = perf_counter() - self.began
        entry = Epoch(len(self.record), value, norm, step, seconds, rate, tried)
        self.record.append(entry)
        self.progress.update(entry)

    def out_of_time(self) -> bool:
        """Whether the fit has lasted long enough."""
        return self.max_seconds is not None and perf_counter() - self.began > self.max_seconds


def adam(state: AdamState, monitor: EpochMonitor) -> NoReturn:
    """Epochs until too many have failed, or the monitor ends it."""
    options = state.options
    if not monitor.record:
        first = state.value()
        if not math.isfinite(first):
            raise InputError(f"the loss is {first} at the start; give another one")
        monitor.best = first, state.x.copy(), np.nan
        monitor.note(state, first, state.rate, 0.0)
    while True:
        if monitor.fails > options.max_fails:
            raise Finished(
                f"the estimate no longer falls: {monitor.fails} epochs failed, the last at the rate"
                f" {state.rate / options.decay:.0e}",
                True,
            )
        if len(monitor.record) > monitor.max_epochs:
            raise Finished(f"max_iterations reached ({monitor.max_epochs} epochs)", False)
        if monitor.out_of_time():
            raise Finished(f"max_seconds reached ({monitor.max_seconds:g} s)", False)
        try:
            whole = True
            for _ in range(options.epoch_iterations):
                state.iterate()
                if monitor.out_of_time():
                    whole = False
                    break
        except KeyboardInterrupt:
            _close(state, monitor)
            raise
        _close(state, monitor)
        if whole and monitor.checkpoint is not None:
            monitor.checkpoint(state, monitor)


def _close(state: AdamState, monitor: EpochMonitor) -> None:
    """Keep what an epoch led to if the estimate fell, else take it back."""
    tried, rate, step = state.value(), state.rate, 0.0
    if tried <= monitor.best[0]:
        step = float(np.linalg.norm(state.x - monitor.best[1]))
        state.keep()
        monitor.best = tried, state.kept[0], np.nan
    else:
        state.take_back()
        monitor.fails += 1
        state.rate *= state.options.decay
    monitor.note(state, tried, rate, step)

"""The fits that users call; each is a door to `driver`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from tensorcalculus.expr.node import Expr
    from tensorcalculus.fit.generalized.record import GCPFit
    from tensorcalculus.fit.generalized.stochastic import Adam
    from tensorcalculus.fit.losses import Loss
    from tensorcalculus.fit.multilinear import TuckerFit
    from tensorcalculus.fit.record import CPFit
    from tensorcalculus.fit.watch import FitIteration


def cp_als(
    X: Any,
    rank: int,
    *,
    start: Any = "random",
    starts: int = 1,
    nonnegative: bool | Sequence[int] = False,
    l2: float = 0.0,
    tol: float = 1e-6,
    max_iterations: int = 1000,
    max_seconds: float | None = None,
    seed: int = 0,
    progress: bool | Callable[[FitIteration], Any] | None = None,
    method: str = "als",
    samples: int | None = None,
) -> CPFit:
    r"""A CP model of a dense or sparse tensor, by alternating least squares.

    .. math:: \min \|X - \sum_r u^1_r ∘ … ∘ u^d_r\|^2 + l_2 \sum_k \|U_k\|^2

    Parameters
    ----------
    X
        An array of two modes or more, of NumPy, PyTorch or JAX, real or complex.  The products with
        the whole array run in its library and type, what is left in NumPy and double precision.
        Or a :class:`tensorcalculus.SparseTensor`, an array of `scipy.sparse` or of `sparse`, whose
        cells that are not stored are zeros and count; the products then run in compiled loops, on
        as many threads as numba is set to (extra ``fit``).
    rank
        The number of components.
    start
        ``"random"``: normal entries, uniform ones where they may not be negative.  ``"hosvd"`` or
        ``"nvecs"``: leading left singular vectors of the unfoldings.  Or a ``tn.CP`` or factors.
    starts
        How many starts to make, of which the best is kept; all after the first are random.
    nonnegative
        True, or a list of modes whose factors have no negative entries.
    l2
        Weight of the squared norms of all factors.  Models then cannot diverge.
    tol
        Converged where ``norm(U_k G_k - M_k) <= tol*norm(M_k)`` for each mode just before its turn
        (``M_k`` the product of ``X`` with the other factors, ``G_k`` the product of their Gram
        matrices): the gradient, relative and independent of scales.
    max_iterations, max_seconds
        Limits for each start.
    seed
        Of the starts.
    progress
        None shows a line on a terminal after a second, True at once, False never; a function is
        called with each entry of the record.  An interrupt from the keyboard gives the best model
        so far.
    method
        ``"als"``, or ``"sampled"`` for tensors so large that a sweep over all data takes long, from
        some hundred million cells on: each least-squares problem is solved on rows that are drawn
        by leverage scores.  An iteration is then five sweeps; loss and gradient are those of all
        data.  It stops where the loss no longer falls, near a minimum rather than in it.
    samples
        How many rows ``"sampled"`` draws for each problem; 65536 by default.

    Returns
    -------
    CPFit
        ``result.model``, ``weights``, ``factors``, ``fit``, ``diagnosis``, ``plot()`` and more.

    Warns
    -----
    DegeneracyWarning
        Components cancel each other and grow: the infimum may not be attained.

    Raises
    ------
    InputError, ShapeError
        For a rank below 1 or above what any tensor of this shape needs, numbers that are not
        finite, and options that do not exist.

    See Also
    --------
    tensorcalculus.cp_opt : all factors at once; gets through swamps.

    References
    ----------
    T. G. Kolda, B. W. Bader, Tensor decompositions and applications, SIAM Rev. 51 (2009), Sec. 3.4.
    B. W. Larsen, T. G. Kolda, Practical leverage-based sampling for low-rank tensor decomposition,
    SIAM J. Matrix Anal. Appl. 43 (2022), for ``"sampled"``.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> A, B, C = np.random.default_rng(0).standard_normal((3, 6, 2))
    >>> result = tc.cp_als(np.einsum("ir,jr,kr->ijk", A, B, C), 2)
    >>> result.converged, round(result.fit, 4), result.diagnosis.sound
    (True, 1.0, True)
    """
    from tensorcalculus.fit.driver import fit

    if method not in ("als", "sampled"):
        raise InputError(f"method: 'als' or 'sampled' is expected, not {method!r}")
    if samples is not None and method != "sampled":
        raise InputError("samples: only method='sampled' draws samples")
    return fit(
        "cp_als", X, rank, method, start, starts, nonnegative, l2, tol, max_iterations, max_seconds,
        seed, progress, samples,
    )  # fmt: skip


def cp_opt(
    X: Any,
    rank: int,
    *,
    method: str = "lm",
    start: Any = "random",
    starts: int = 1,
    nonnegative: bool | Sequence[int] = False,
    l2: float = 0.0,
    tol: float = 1e-8,
    max_iterations: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    progress: bool | Callable[[FitIteration], Any] | None = None,
) -> CPFit:
    """A CP model of a real tensor, dense or sparse, by steps in all factors at once.

    Parameters
    ----------
    method
        ``"lm"``: Levenberg-Marquardt, the damped Gauss-Newton method, whose steps follow from Gram
        matrices of the factors; it converges fast also where alternating least squares is caught in
        a swamp.  ``"lbfgs"``: L-BFGS-B by :func:`tensorcalculus.minimize`, which takes
        ``nonnegative``; iterations are cheaper and more, and data dense.
    tol
        For ``"lm"`` as in :func:`cp_als`, in all modes at once; for ``"lbfgs"`` as in
        :func:`tensorcalculus.minimize`.

    Notes
    -----
    Other parameters, the result, warnings and errors are those of :func:`cp_als`.

    References
    ----------
    P. Tichavsky, A. H. Phan, A. Cichocki, Numerical CP decomposition of some difficult tensors,
    J. Comput. Appl. Math. 317 (2017).  E. Acar, D. M. Dunlavy, T. G. Kolda, J. Chemometrics 25
    (2011).

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> A, B, C = np.random.default_rng(0).standard_normal((3, 6, 2))
    >>> result = tc.cp_opt(np.einsum("ir,jr,kr->ijk", A, B, C), 2)
    >>> result.converged, result.fit > 1 - 1e-8, result.iterations < 20
    (True, True, True)
    """
    from tensorcalculus.fit.driver import fit

    if method not in ("lm", "lbfgs"):
        raise InputError(f"method: 'lm' or 'lbfgs' is expected, not {method!r}")
    return fit(
        "cp_opt", X, rank, method, start, starts, nonnegative, l2, tol, max_iterations, max_seconds,
        seed, progress,
    )  # fmt: skip


def gcp(
    X: Any,
    rank: int,
    *,
    loss: str | Expr | Loss = "gaussian",
    parameters: Mapping[str, float] | None = None,
    mask: Any = None,
    missing: Any = None,
    method: str | Adam = "auto",
    nonnegative: bool | Sequence[int] | None = None,
    start: Any = "random",
    starts: int = 1,
    l2: float = 0.0,
    tol: float = 1e-6,
    max_iterations: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    progress: bool | Callable[[Any], Any] | None = None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    n_jobs: int = 1,
) -> GCPFit:
    r"""A generalised CP model: the loss of each cell is any function of the datum and the model.

    .. math:: \min \sum_{i ∈ Ω} f(x_i, m_i) + l_2 \sum_k \|U_k\|^2,
              m_i = \sum_r u^1_{i_1 r} ⋯ u^d_{i_d r}

    Parameters
    ----------
    X
        An array of two modes or more of NumPy, PyTorch, JAX or xarray; a
        :class:`tensorcalculus.SparseTensor`, an array of ``scipy.sparse`` or ``sparse``, or a table
        of pandas with a row for each cell, whose other cells are 0; or the path of a file of
        either.  See :func:`tensorcalculus.fit.data.reading.read_data`.  Labels are kept.
    rank
        The number of components.
    loss
        A name of the table, see :meth:`tensorcalculus.Loss.named`; a formula in ``x``, the datum,
        and ``m``, the model, whose derivative is derived and compiled; or a
        :class:`tensorcalculus.Loss`.
    parameters
        Of a loss of the table, such as ``{"delta": 0.5}`` for ``"huber"``.
    mask
        Which cells are known: an array of the shape of the data, True or False, or of weights by
        which losses are multiplied; a sparse tensor of ones; or ``"stored"``: of a sparse tensor
        only the stored cells.  See :func:`tensorcalculus.fit.data.observed.observe`.
    missing
        Instead of a mask: the indices ``[n, d]`` of unknown cells.
    method
        ``"lbfgs"``: L-BFGS-B on all factors at once, with exact gradients.  ``"adam"``, or a
        :class:`tensorcalculus.Adam` with its options: gradients of samples of the cells, for any
        loss and size.  ``"auto"``: the former, but for losses of a sparse tensor that have no exact
        sum over zeros.
    nonnegative
        Whether factors have no negative entries; None: where the loss needs it.  Or a list of
        modes.
    start
        ``"random"``, a ``tn.CP`` or a list of factors.
    starts
        How many starts to make, of which the best is kept.
    l2
        Weight of the squared norms of all factors.
    tol
        Converged where the largest entry of the projected gradient is below ``tol`` of its scale,
        as in :func:`tensorcalculus.minimize`; Adam ends where epochs fail at all its rates.
    max_iterations, max_seconds
        Limits for each start; 1000 iterations, or epochs of Adam, by default.
    seed
        Of the starts and of samples.
    progress
        None shows a line on a terminal after a second, True at once, False never; a function is
        called with each entry of the record.  An interrupt from the keyboard gives the best model
        so far.
    checkpoint
        A file ``.npz`` that is written after each epoch of Adam, and every 50 iterations of
        L-BFGS, which then forgets its memory.
    resume
        Such a file: the fit goes on from there, and gives to the last bit what one without a break
        gives.  Data and arguments are those of that fit; limits and ``progress`` may be others.
    n_jobs
        How many starts run at a time, in threads.  Results are the same for any number.

    Returns
    -------
    GCPFit
        ``result.model``, a :class:`tensorcalculus.networks.CP`, ``factors``, ``weights``,
        ``loss_history``, ``predict``, ``score``, ``plot``, ``save`` and more.

    Raises
    ------
    InputError, ShapeError
        For data outside of the domain of the loss, NaN, ranks and options that do not exist.

    References
    ----------
    D. Hong, T. G. Kolda, J. A. Duersch, Generalized canonical polyadic tensor decomposition, SIAM
    Rev. 62 (2020).

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc, tensorcalculus.networks as tn
    >>> rng = np.random.default_rng(0)
    >>> A, B, C = 3 * rng.gamma(0.5, size=(3, 20, 2))
    >>> counts = rng.poisson(np.einsum("ir,jr,kr->ijk", A, B, C))
    >>> result = tc.gcp(counts, 2, loss="poisson")
    >>> result.converged, result.model.match(tn.CP([A, B, C])).congruence > 0.95
    (True, True)
    """
    from tensorcalculus.fit.generalized.driver import fit

    return fit(
        X, rank, loss, parameters, mask, missing, method, nonnegative, start, starts, l2, tol,
        max_iterations, max_seconds, seed, progress, checkpoint, resume, n_jobs,
    )  # fmt: skip


def tucker(
    X: Any,
    ranks: int | Sequence[int] | None = None,
    *,
    error: float = 0.0,
    method: str = "hooi",
    tol: float = 1e-10,
    max_iterations: int = 100,
) -> TuckerFit:
    """A Tucker model of a dense array: a small core and an orthonormal basis for each mode.

    Parameters
    ----------
    X
        An array of NumPy, PyTorch or JAX, real or complex.
    ranks
        The sides of the core, one for all or one each; at most, where ``error`` allows smaller
        ones.
    error
        What ``norm(X - model)/norm(X)`` may be; the truncated higher-order SVD chooses the ranks.
    method
        ``"hosvd"``, ``"st-hosvd"`` or ``"hooi"``; see
        :meth:`tensorcalculus.networks.Tucker.from_dense`.  HOOI starts from the second and improves
        the model at its ranks.
    tol, max_iterations
        HOOI has converged where a sweep raises the norm of the core by at most ``tol`` of it.

    Returns
    -------
    TuckerFit
        ``result.model``, ``fit``, ``converged`` and more.

    Raises
    ------
    InputError, ShapeError
        For ranks and options that do not exist, neither ranks nor error, and numbers that are not
        finite.

    References
    ----------
    L. De Lathauwer, B. De Moor, J. Vandewalle, SIAM J. Matrix Anal. Appl. 21 (2000), 1253 and 1324.
    N. Vannieuwenhoven, R. Vandebril, K. Meerbergen, SIAM J. Sci. Comput. 34 (2012).

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> x = np.linspace(0, 1, 30)
    >>> tc.tucker(np.sin(x[:, None, None] + x[:, None] + x), error=1e-8).model.ranks
    (2, 2, 2)
    """
    from tensorcalculus.fit.multilinear import fit_tucker

    return fit_tucker(X, ranks, error, method, tol, max_iterations)

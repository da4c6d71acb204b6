"""The functions of the package's face; each is a door to one module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from tensorcalculus.compiler.compiled import Compiled
    from tensorcalculus.explanation.record import Explanation
    from tensorcalculus.expr.dims import DimLike
    from tensorcalculus.expr.node import Expr, Variable
    from tensorcalculus.networks.network import Network
    from tensorcalculus.optimize.record import Iteration, Minimum


def parse(text: str, declarations: dict[str, str] | None = None, /, **shapes: str) -> Expr:
    """Read a formula.

    Parameters
    ----------
    text
        The formula, in the language of matrixcalculus.org and more (``tcalc functions``).
    shapes
        Declarations by name: ``X="m n"``, ``S="n n spd"``, ``c=""`` for a scalar.  A name that is
        not declared is a matrix (capital letter), a vector (small letter) or a scalar (Greek), and
        its dimensions are inferred.

    Raises
    ------
    ParseError, ShapeError, UnknownNameError
        With the place in the text marked.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> tc.parse("norm2(X*w-y)^2").gradient("w")
    2*X'*(X*w-y)
    """
    from tensorcalculus.notation.elaborate import parse as read

    return read(text, {**(declarations or {}), **shapes})


def variables(declarations: dict[str, str] | None = None, /, **shapes: str) -> Any:
    """Variables for Python operators and NumPy functions, in the order given.

    >>> import numpy as np, tensorcalculus as tc
    >>> X, w = tc.variables(X="m n", w="n")
    >>> np.exp(X @ w).sum().gradient("w")
    X'*exp(X*w)
    """
    from tensorcalculus.notation.declare import declare

    made = tuple(declare(name, spec) for name, spec in {**(declarations or {}), **shapes}.items())
    if not made:
        raise TypeError("name at least one variable, as in variables(X='m n')")
    return made[0] if len(made) == 1 else made


def network(
    cores: Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str | Sequence[str]]],
    output: str | Sequence[str] = "",
    *,
    sizes: Mapping[str, DimLike] | None = None,
) -> Network:
    """A tensor network as an expression that remembers its cores.

    Parameters
    ----------
    cores
        Labels by the name of the core, or pairs, where a core that stands several times is named
        several times.  A label on three cores is a hyperedge, twice on one core a diagonal.
    output
        The labels of the axes of the result; by default none, a scalar.
    sizes
        Sizes of labels, numbers or symbols; symbols of their own names by default.

    Raises
    ------
    InputError, ShapeError
        For names that are no identifiers, labels that stand on no core, and sizes that do not fit.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> net = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")
    >>> net.derivative("B")
    A(i r) [B(j r)] C(k r) -> i j k | j r
    """
    from tensorcalculus.networks.network import network as build

    return build(cores, output, sizes=sizes)


def derivative(
    f: Expr, wrt: str | Variable | Sequence[str | Variable], order: int = 1, **options: Any
) -> Expr:
    """The derivative of any order: ``derivative(F, "w", order=3)``, ``derivative(f, ["x", "y"])``.

    Axes of the function first, then those of the variable, once for each order.
    """
    from tensorcalculus.calculus.derivative import derivative as differentiate
    from tensorcalculus.expr.node import Expr as Node

    if not isinstance(f, Node):
        raise TypeError(f"an expression is expected, not {f!r}; read a formula with tc.parse")

    return differentiate(f, wrt, order, **options)


def explain(
    f: Expr | str,
    wrt: str | Variable | Sequence[str | Variable],
    *,
    order: int = 1,
    ways: str | Sequence[str] = ("differentials", "network", "indices", "backpropagation"),
    data: Mapping[str, Any] | None = None,
    symmetry: str = "projected",
    **shapes: str,
) -> Explanation:
    """How a derivative comes about, step by step, each step with its rule.

    Parameters
    ----------
    f
        An expression, or a formula; the names that its ``where`` defines are those of the steps:
        ``"(y-t)^2/2 where z = omega*x+b, y = sigmoid(z)"``.
    wrt
        The variable, or several, whose gradients are explained together.
    order
        1, or 2 for the second derivative of a scalar by one variable.
    ways
        ``"differentials"``: ``df = G:dX`` is reached by putting in one part after another.
        ``"network"``: the variable's node is deleted, once for every occurrence, as diagrams.
        ``"indices"``: sums with Kronecker deltas.  ``"backpropagation"``: tables of the
        computation graph with local derivatives and adjoints.
    data
        Arrays for all variables; the tables then have the numbers.
    symmetry
        As for :func:`derivative`.
    shapes
        Declarations by name, where ``f`` is a text; see :func:`parse`.

    Returns
    -------
    Explanation
        Printed as text; ``to_latex()``, ``to_markdown()``, ``to_html()``; in a notebook as a page.
        ``explanation["indices"]`` is one way alone.

    Raises
    ------
    InputError, ParseError, ShapeError, UnknownNameError, NotDifferentiableError
        InputError for a way or an order that does not exist, or an expression of more than 2000
        nodes.

    References
    ----------
    J. R. Magnus and H. Neudecker, Matrix Differential Calculus, 3rd ed., 2019.  A. Griewank and
    A. Walther, Evaluating Derivatives, 2nd ed., 2008, ch. 3.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> tc.explain("tr(A*X)", "X", ways=["differentials"])  # doctest: +NORMALIZE_WHITESPACE
    By differentials
      f = tr(A*X)
      df = tr(A*dX)  | constant factors stay: d(C*A) = C*dA
         = A':dX     | factors change sides: G:(A*B) = (A'*G):B = (G*B'):A
      df/dX = A'     | what stands with dX is the derivative by X
    """
    from tensorcalculus.explanation.steps import explained

    return explained(f, wrt, order, ways, data, shapes, symmetry)


def compile(
    outputs: Expr | Sequence[Expr], *, backend: str = "numpy", differentiation: str = "closed"
) -> Compiled:
    """One function for several expressions, all parts that they share computed once.

    Parameters
    ----------
    outputs
        An expression, or several.
    backend
        ``"numpy"``, ``"torch"`` or ``"jax"``.  The function takes arrays of the backend, NumPy
        arrays and Python numbers by name.  Results follow the types of the floating arrays given,
        and PyTorch's also their device; numbers and integers take the type of the others.  JAX has
        single precision only unless ``jax_enable_x64`` is set: arrays of float64 are then rounded.
    differentiation
        What the framework does when it differentiates through the function.  ``"closed"``: its
        derivatives are formulas of this library, by reverse and forward mode, to any order.
        ``"host"``: the framework differentiates the operations.  So it does in any case for complex
        arrays, and where a function in the formula has no derivative (``floor``).

    Returns
    -------
    Compiled
        Call it with arrays by name; see also its ``batched``, ``source`` and ``cost``.  It may
        stand inside ``jax.jit``, ``jax.vmap``, ``jax.grad``, ``torch.func`` and ``torch.compile``.

    Notes
    -----
    With NumPy, memory of results above 32 MiB is kept and lent to a later call once nothing refers
    to them any more, at most two at a time, as long as the function lives.

    Complex arrays: formulas are analytic.  ``norm2(z)^2`` is ``sum(z.^2)``, and a derivative is
    that of the holomorphic function, the Wirtinger derivative by ``z``; nothing is conjugated.  For
    the real part of a holomorphic function JAX gives the same, PyTorch its conjugate.

    Derivatives by a variable declared ``sym``, ``spd``, ``diag`` or ``tri`` are those in its space;
    so are those that a framework gets from closed forms.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
    >>> run = tc.compile([f, f.gradient("w"), f.hessian("w")])
    >>> value, gradient, hessian = run(X=np.eye(2), w=np.ones(2), y=np.zeros(2))
    """
    from tensorcalculus.compiler.compiled import Compiled

    return Compiled(outputs, backend, differentiation)


def codegen(
    run: Compiled | Expr | Sequence[Expr],
    language: str = "numpy",
    path: str | Path | None = None,
    name: str = "evaluate",
    sizes: Mapping[str, int] | None = None,
) -> str | Path:
    """A Python module that evaluates expressions without this package.

    It holds one function with the variables as arguments, in straight-line code with checks of
    shapes, and of our kernels those that it calls.  ``python module.py`` compares results with
    numbers that are stored in the file.  It needs the framework, and SciPy where NumPy has no such
    function.

    Parameters
    ----------
    run
        What :func:`compile` gives, an expression, or a list of them.
    language
        ``"numpy"``, ``"torch"`` or ``"jax"``.  PyTorch and JAX differentiate the operations of such
        a function; the closed forms of ``compile(..., backend=...)`` are not in it.
    path
        The file to write.
    name
        The name of the function.
    sizes
        Sizes for which the order of contractions is chosen, by symbol; 100 each by default.  The
        function takes arrays of all sizes.

    Returns
    -------
    str or Path
        The text of the module, or the path where one is given.

    Raises
    ------
    InputError
        For another language, a name that Python reserves, or a size that does not occur.

    Notes
    -----
    Sizes that no shape tells are arguments by keyword: the gradient of ``tr(X)`` is
    ``evaluate(n=3)``.  Arguments are not checked for declared properties such as ``spd``.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
    >>> text = tc.codegen([f, f.gradient("w")], name="least_squares")
    >>> module = {}
    >>> exec(text, module)
    >>> value, gradient = module["least_squares"](X=[[1, 0], [0, 2]], w=[1, 1], y=[0, 0])
    >>> gradient
    array([2., 8.])
    """
    from tensorcalculus.export.module import write

    return write(run, language, path, name, sizes)


def minimize(
    f: Expr,
    over: str | Variable | Sequence[str | Variable],
    data: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    method: str | None = None,
    bounds: Mapping[str, Any] | None = None,
    tol: float = 1e-8,
    max_iterations: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    *,
    learning_rate: float | None = None,
    progress: bool | Callable[[Iteration], Any] | None = None,
    callback: Callable[[dict[str, np.ndarray], Iteration], Any] | None = None,
) -> Minimum:
    """A local minimum of a scalar expression, by methods that use its derivatives as formulas.

    What does not depend on the variables optimised is computed once for all iterations.

    Parameters
    ----------
    f
        A scalar expression.
    over
        The variables to optimise, or one of them.  A variable declared ``sym``, ``diag`` or
        ``tri`` stays in its space; ``nonneg`` is a bound.
    data
        Arrays for all other variables by name; also sizes that follow from no array, such as the
        rank of a factorisation, ``{"T": T, "r": 5}``.
    start
        Where to begin.  What is not given is drawn from ``seed``: normal entries, rows of
        matrices of norm near 1.  Values outside the bounds are moved inside.
    method
        ``"newton"``: the full Hessian, shifted where it is not positive definite.
        ``"newton-cg"``: conjugate gradients on Hessian products, no Hessian.
        ``"gauss-newton"``: Levenberg-Marquardt, for sums of squares.
        ``"lbfgs"``: SciPy's L-BFGS-B.  ``"adam"``: Adam.
        By default Newton's method for up to 200 unknowns, L-BFGS for more.
    bounds
        ``{"U": (0, None)}``: lowest and highest value, numbers or arrays; all methods keep them.
    tol
        Stops where the largest entry of the gradient, projected on the bounds, is at most ``tol``
        times its size at the start (or times ``|f|/max(1, |x|)``, if that is larger): then, and
        only then, the result is ``converged``.  ``"newton"`` and ``"newton-cg"`` go on from a point
        where the function curves down, a saddle point or a maximum; the others cannot tell.
    max_iterations, max_seconds
        Limits; the message of the result says so when one is reached.
    learning_rate
        Of Adam, 0.01 by default; halved while no lower value is found.
    progress
        None shows a line on a terminal after a second, True at once, False never; a function is
        called with each entry of the record.
    callback
        Called with the values by name and the entry of the record after each iteration; stops the
        minimisation by returning something true.

    Returns
    -------
    Minimum
        ``result["w"]``, ``value``, ``converged``, ``message``, ``record``, ``plot()`` and more.  An
        interrupt from the keyboard gives the best point so far.

    Raises
    ------
    ShapeError, UnknownNameError, InputError
        If ``f`` is not a scalar, a name does not exist, data are missing, or the function has no
        finite value at the start.

    References
    ----------
    J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed., 2006: Alg. 3.1, 3.3, 7.1,
    Sec. 10.3.  D. P. Bertsekas, SIAM J. Control Optim. 20 (1982): bounds.  D. P. Kingma and
    J. Ba, ICLR 2015: Adam.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> f = tc.parse("norm2(X*w-y)^2+c*norm2(w)^2", X="m n", w="n", y="m", c="")
    >>> X, y = np.array([[1., 0.], [1., 1.], [1., 2.]]), np.array([1., 3., 5.])
    >>> result = tc.minimize(f, over="w", data={"X": X, "y": y, "c": 0})
    >>> result["w"].round(6)
    array([1., 2.])
    """
    from tensorcalculus.optimize.driver import run

    return run(
        f, over, data, start, method, bounds, tol, max_iterations, max_seconds, seed,
        learning_rate, progress, callback,
    )  # fmt: skip


def function(name: str, *args: Any) -> Expr:
    """A function of the tables by name, for those that NumPy lacks: ``function("erf", x)``."""
    from tensorcalculus.errors import UnknownNameError, nearest
    from tensorcalculus.expr.functions import FUNCTIONS
    from tensorcalculus.expr.maps import apply
    from tensorcalculus.notation.language import WORDS

    word = WORDS.get(name)
    if word is None and name not in FUNCTIONS:
        hint = nearest(str(name), [*WORDS, *FUNCTIONS])
        raise UnknownNameError(f"there is no function {name!r} in the tables.{hint}")
    if word is None:
        return apply(name, *args)
    if len(args) < word.least or (word.most is not None and len(args) > word.most):
        raise TypeError(f"{name} is called as {name}({word.arguments}); {len(args)} are given")
    return word.build(*args)


def functions() -> list[str]:
    """The names of all functions of the language."""
    from tensorcalculus.notation.language import names

    return names()


def svd(a: Expr) -> tuple[Expr, Expr, Expr]:
    """The thin singular value decomposition ``A = U*diag(s)*V'`` as three expressions."""
    from tensorcalculus.expr.operations.spectral import svd as parts

    return parts(a)


def eigh(a: Expr) -> tuple[Expr, Expr]:
    """Eigenvalues (ascending) and eigenvectors of a symmetric matrix."""
    from tensorcalculus.expr.operations.spectral import eigh as parts

    return parts(a)


def qr(a: Expr) -> tuple[Expr, Expr]:
    """The reduced factorisation ``A = Q*R`` with a non-negative diagonal of ``R``."""
    from tensorcalculus.expr.operations.spectral import qr as parts

    return parts(a)

"""The functions of the package's face; each is a door to one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorcalculus.compiler.compiled import Compiled
    from tensorcalculus.expr.node import Expr, Variable


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


def compile(outputs: Expr | Sequence[Expr], *, backend: str = "numpy") -> Compiled:
    """One function for several expressions, all parts that they share computed once.

    >>> import numpy as np, tensorcalculus as tc
    >>> f = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
    >>> run = tc.compile([f, f.gradient("w"), f.hessian("w")])
    >>> value, gradient, hessian = run(X=np.eye(2), w=np.ones(2), y=np.zeros(2))
    """
    from tensorcalculus.compiler.compiled import Compiled

    return Compiled(outputs, backend)


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

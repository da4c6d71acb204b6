"""The methods that every expression offers to its users; each is a door to one module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tensorcalculus.check import CheckReport
    from tensorcalculus.compiler.structured.operator import StructuredOperator
    from tensorcalculus.diagrams import Diagram
    from tensorcalculus.expr.node import Expr, Variable


class Face:
    """Derivatives, evaluation, checking and printing of an expression.

    The layout of derivatives: axes of the function first, then those of the variable, so that the
    gradient of a scalar has the shape of the variable.
    """

    __slots__ = ()

    @property
    def _expr(self) -> Expr:
        return cast("Expr", self)

    # -- derivatives -----------------------------------------------------------------------------

    def gradient(self, wrt: str | Variable, *, symmetry: str = "projected") -> Expr:
        """The gradient of a scalar expression, of the shape of the variable.

        Parameters
        ----------
        wrt
            A variable or its name.
        symmetry
            For variables declared symmetric, diagonal or triangular: ``"projected"`` stays in
            that space, ``"full"`` treats all entries as independent.

        Raises
        ------
        ShapeError
            If the expression is not a scalar (use :meth:`jacobian`).
        UnknownNameError, NotDifferentiableError

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m").gradient("w")
        2*X'*(X*w-y)
        """
        from tensorcalculus.calculus import derivative

        return derivative.gradient(self._expr, wrt, symmetry=symmetry)

    def jacobian(
        self, wrt: str | Variable, *, mode: str = "auto", symmetry: str = "projected"
    ) -> Expr:
        """The derivative of any expression; axes of the function, then of the variable.

        ``mode`` is ``"auto"``, ``"reverse"``, ``"forward"`` or ``"mixed"``; the result is the same
        function.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> tc.parse("tanh(A*x)", A="m n", x="n").jacobian("x")
        diag(1-tanh(A*x).^2)*A
        """
        from tensorcalculus.calculus import derivative

        return derivative.jacobian(self._expr, wrt, mode=mode, symmetry=symmetry)

    def hessian(
        self,
        wrt: str | Variable,
        other: str | Variable | None = None,
        *,
        mode: str = "auto",
        symmetry: str = "projected",
    ) -> Expr:
        """Second derivatives of a scalar, by ``wrt`` twice or by ``wrt`` and ``other``.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m").hessian("w")
        2*X'*X
        """
        from tensorcalculus.calculus import derivative

        return derivative.hessian(self._expr, wrt, other, mode=mode, symmetry=symmetry)

    def jvp(self, /, **directions: Any) -> Expr:
        """The directional derivative (Jacobian-vector product), ``F.jvp(w="dw")``.

        A direction is an expression, or a name that stands for a new variable of fitting shape.
        """
        from tensorcalculus.calculus import derivative

        return derivative.jvp(self._expr, directions)

    def vjp(self, /, **cotangents: Any) -> Expr | dict[str, Expr]:
        """The vector-Jacobian product, ``F.vjp(w="g")``: the derivative of ``F:g`` by ``w``.

        With several variables the result is a dictionary by name.
        """
        from tensorcalculus.calculus import derivative

        return derivative.vjp(self._expr, cotangents)

    def hvp(self, wrt: str | Variable, direction: Any) -> Expr:
        """The Hessian of a scalar times a direction, ``f.hvp("w", "v")``, without a Hessian."""
        from tensorcalculus.calculus import derivative

        return derivative.hvp(self._expr, wrt, direction)

    def differential(self, *names: str | Variable) -> Expr:
        """The total differential in the named variables (all by default): ``dW``, ``dX``, ..."""
        from tensorcalculus.calculus import derivative

        return derivative.differential(self._expr, names)

    # -- numbers ---------------------------------------------------------------------------------

    def __call__(self, /, *arrays: Any, **values: Any) -> Any:
        """The value for NumPy arrays given by name: an array, or a float for a scalar.

        Raises InputError, naming the array and the shape expected, where an array does not fit.
        """
        program = self._expr.memo.get("program") or self._program()
        if arrays:
            names = ", ".join(f"{name}=..." for name in self.variables)
            raise TypeError(f"arrays are given by name: f({names})")
        result = program(values)
        if isinstance(result, (int, float)):  # a constant, or a count such as sum(ones(n))
            return float(result)
        return result.item() if result.ndim == 0 else result

    def operator(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        rows: int | None = None,
        **arrays: Any,
    ) -> StructuredOperator:
        """The value as a matrix that knows its structure, a SciPy ``LinearOperator``.

        For Hessians and Jacobians: identities and Kronecker products are never multiplied out, and
        low rank stays a product of thin factors, in products, solves, ``diagonal`` and ``trace``.

        Parameters
        ----------
        values
            Arrays by name; they may be given as keywords as well.
        rows
            How many leading axes are those of the rows (for a Jacobian, the axes of the function);
            the others are those of the columns.  By default half of them, as for a Hessian.

        Returns
        -------
        StructuredOperator
            With ``@``, ``T``, ``solve``, ``diagonal``, ``trace``, ``todense`` and ``structure``.
            Vectors are flat (row-major) or have the shape of the column axes; the result has the
            matching form.  ``(N, q)`` is a block of vectors; see there for shapes that are both.

        Raises
        ------
        InputError
            Where an array does not fit, or an odd number of axes needs ``rows``.

        Examples
        --------
        >>> import numpy as np
        >>> import tensorcalculus as tc
        >>> f = tc.parse("norm2(T-U*V')^2")
        >>> T, U, V = np.ones((300, 200)), np.ones((300, 5)), np.ones((200, 5))
        >>> H = f.hessian("U").operator(T=T, U=U, V=V)
        >>> H
        kron(I_300, 5x5) (1500 x 1500)
        >>> (H @ U).shape, (H @ U.ravel()).shape
        ((300, 5), (1500,))
        """
        known = self._expr.memo.get("structure", {}) if rows is None else {}
        structure = known.get(rows)
        if structure is None:
            from tensorcalculus.compiler.structured.analysis import structure_of

            structure = structure_of(self._expr, rows)
        return structure.operator({**(values or {}), **arrays})

    @property
    def source(self) -> str:
        """The generated NumPy source that a call runs."""
        from tensorcalculus.display.source_text import SourceText

        return SourceText(self._program().source())

    def _program(self) -> Any:
        from tensorcalculus.compiler.program import Program

        memo = self._expr.memo
        if "program" not in memo:
            memo["program"] = Program([self._expr])
        return memo["program"]

    def check(
        self, *wrt: str | Variable, order: int = 1, seed: int = 0, **options: Any
    ) -> CheckReport:
        """Compare derivatives with complex or finite differences on random data.

        ``f.check("w", order=2)`` checks gradient and Hessian; the report holds the largest relative
        error.  Raises CheckError where a derivative is wrong.
        """
        from tensorcalculus import check

        return check.check(self._expr, *wrt, order=order, seed=seed, **options)

    # -- notation --------------------------------------------------------------------------------

    @property
    def variables(self) -> dict[str, Variable]:
        """The variables that occur, by name, in order of first appearance."""
        from tensorcalculus.expr.node import variables_of

        return variables_of(self._expr)

    def simplify(self) -> Expr:
        """The same function in the library's normal form, with stable functions folded."""
        from tensorcalculus.simplify.engine import simplify

        return simplify(self._expr)

    def __str__(self) -> str:
        from tensorcalculus.notation.text import to_text

        return to_text(self._expr)

    def __repr__(self) -> str:
        from tensorcalculus.errors import NotPrintableError

        try:
            return str(self)
        except NotPrintableError as error:
            return f"<expression with {self._expr.ndim} axes: {error}>"

    def to_matrix(self) -> str:
        """Matrix notation in the input language; parses back to the same function."""
        return str(self)

    def to_index(self) -> str:
        """Index notation: entries, sums and Kronecker deltas."""
        from tensorcalculus.notation.indices import to_index

        return to_index(self._expr)

    def draw(self, derivative_axes: int = 0) -> Diagram:
        """The expression as a picture: tensors as nodes, contractions as lines, sums side by side.

        A function of entries is a frame around its argument, whose legs pass through it; an
        operation (``inv``, ``reshape``) a frame that they do not leave.  What occurs more than once
        or is large is a letter, drawn below after ``where``.  Lines are labelled by their sizes,
        with an index letter in front where these do not tell open legs apart; where they do not
        tell the axes of a tensor apart, numbers at the ends of lines do.

        Parameters
        ----------
        derivative_axes
            How many of the last axes come from a derivative; they are marked.

        Returns
        -------
        Diagram
            With ``svg``, ``to_tikz()`` and ``save(path)``; notebooks show it.

        Raises
        ------
        InputError
            For ``derivative_axes`` beyond the number of axes, and for an expression that is too
            large to be drawn: more than 200 tensors, 400 lines, or 3000 parts.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> f = tc.parse("tr(A*B*C*D)")
        >>> f.draw()
        <diagram of 4 tensors: ring; .svg, .save(path)>
        >>> f.gradient("A").draw(derivative_axes=2)
        <diagram of 3 tensors: chain; .svg, .save(path)>
        """
        from tensorcalculus.notation.graphs import to_diagram

        return to_diagram(self._expr, derivative_axes)

    def to_index_latex(self) -> str:
        """Index notation as LaTeX, without surrounding dollar signs."""
        from tensorcalculus.notation.index_latex import to_index_latex

        return to_index_latex(self._expr)

    def to_latex(self) -> str:
        """LaTeX, without surrounding dollar signs."""
        from tensorcalculus.notation.latex import to_latex

        return to_latex(self._expr)

    def to_mathml(self, display: bool = False) -> str:
        """MathML, which browsers show as it is; needs latex2mathml.

        ``display`` is for a formula in a line of its own.
        """
        from tensorcalculus.notation.mathml import to_mathml

        return to_mathml(self.to_latex(), display)

    def to_einsum(self) -> str:
        """The input language with every contraction spelled as an einsum."""
        from tensorcalculus.notation.text import to_text

        return to_text(self._expr, contractions="einsum")

    def to_numpy(self) -> str:
        """NumPy source; the same as :attr:`source`."""
        return self.source

    def _repr_latex_(self) -> str | None:
        from tensorcalculus.notation.latex_lines import for_notebooks

        return for_notebooks(self._expr)

"""A derivative as a linear operator: products, solves, diagonal and trace from its structure.

Imported when an operator is asked for, as it needs SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from tensorcalculus.compiler.structured.terms import Array, Form, Term
from tensorcalculus.display import html
from tensorcalculus.errors import InputError

if TYPE_CHECKING:
    from tensorcalculus.compiler.structured.analysis import Plan

Recipe = Sequence[tuple[Form, Sequence[int]]]
"""Each term's form, and which of the arrays are its own."""
Shape = tuple[int, ...]


class StructuredOperator(LinearOperator):
    """A sum of Kronecker products, diagonals, blocks and products of thin factors.

    Made by ``expression.operator(...)``; see there.  A matrix of ``M`` rows and ``N`` columns
    whose rows and columns are those of tensors, in row-major order: ``row_shape`` and
    ``col_shape`` are their shapes.

    What it is applied to may be

    - a flat vector ``(N,)`` or column ``(N, 1)``: the result is ``(M,)`` or ``(M, 1)``;
    - a tensor of shape ``col_shape``: the result is one of shape ``row_shape``;
    - several vectors ``(N, q)``, one a column: the result is ``(M, q)``.

    A matrix of shape ``col_shape`` is one tensor, never a block of vectors; ``matmat`` takes only
    blocks.  Where ``col_shape`` has one axis, a vector is a flat one, and so is the result.  Where
    ``col_shape`` is ``(N, 1)``, a tensor looks like a column: both give the same array if
    ``row_shape`` is ``(M, 1)``; else ``@`` and ``matvec`` raise InputError.  A stack of tensors is
    not taken: make a block of it, ``stack.reshape(q, -1).T``.

    It is a :class:`scipy.sparse.linalg.LinearOperator`, so all of SciPy's iterative methods take
    it.

    Attributes
    ----------
    structure : str
        What the matrix is made of: ``kron(I_300, 5x5)``.
    row_shape, col_shape : tuple of int
        Shapes of the tensors on both sides.
    """

    dtype: np.dtype[Any]
    row_shape: Shape
    col_shape: Shape
    structure: str

    def __init__(
        self,
        terms: Sequence[Term],
        row_shape: Shape,
        col_shape: Shape,
        dtype: np.dtype[Any],
        structure: str,
    ) -> None:
        super().__init__(dtype, (prod(row_shape), prod(col_shape)))
        self._terms: Sequence[Term] | None = terms
        self._recipe: Recipe = ()
        self._results: Sequence[Any] = ()
        self.row_shape, self.col_shape = row_shape, col_shape
        self.structure = structure
        column = len(col_shape) == 2 and col_shape[1] == 1
        self._plain = len(row_shape) == len(col_shape) and (not column or row_shape[1] == 1)
        """Whether a tensor of shape ``col_shape`` is nothing else, and neither is the result."""
        self._turned: StructuredOperator | None = None
        self._solver: Callable[[Array], Array] | None = None

    @classmethod
    def like(cls, plan: Plan, dtype: np.dtype[Any]) -> StructuredOperator:
        """An operator of this structure without its numbers, for :meth:`holding`."""
        kept = dtype if dtype.kind in "fc" else np.dtype(float)
        bare = cls([], plan.row_shape, plan.col_shape, kept, plan.described())
        bare._terms, bare._recipe = None, plan.terms
        return bare

    def holding(self, results: Sequence[Any]) -> StructuredOperator:
        """A new operator like this one with the arrays of its terms, in the order of the plan."""
        # Not through the constructors, SciPy's among them, which take longer than a small product.
        made = object.__new__(StructuredOperator)
        made.__dict__.update(self.__dict__)
        made._results = results
        return made

    @property
    def terms(self) -> Sequence[Term]:
        """The parts whose sum this is."""
        if self._terms is None:
            arrays = [np.asarray(a) for a in self._results]
            self._terms = [Term(form, [arrays[k] for k in places]) for form, places in self._recipe]
        return self._terms

    # -- products --------------------------------------------------------------------------------

    def _apply(self, v: Array, many: bool) -> Array:
        """The matrix times a tensor of shape ``col_shape``, with a last axis of vectors or not."""
        if v.dtype.kind not in "fc":
            v = v.astype(self.dtype)
        last = v.shape[len(self.col_shape) :]
        terms = self.terms
        if not terms or not self.shape[0] or not v.size:
            return np.zeros(self.row_shape + last, np.result_type(self.dtype, v))
        total, new = terms[0].apply(v, many)
        for term in terms[1:]:
            total, new = total + term.apply(v, many)[0], True
        return total if new else total.copy()

    def matvec(self, x: ArrayLike) -> Array:
        """The matrix times a vector, flat or of shape ``col_shape``."""
        x = np.asarray(x)
        columns = self.shape[1]
        _refuse_ambiguous(x.shape, self.col_shape, self.row_shape, prod(self.row_shape))
        if x.shape == self.col_shape and (x.ndim > 1 or x.shape != (columns,)):
            return self._apply(x, False)
        if x.shape == (columns,):
            return self._apply(x.reshape(self.col_shape), False).reshape(self.shape[0])
        if x.shape == (columns, 1):
            return self._apply(x.reshape(self.col_shape), False).reshape(self.shape[0], 1)
        raise InputError(
            f"a vector of shape {x.shape} does not fit {self!r}: expected ({columns},)"
            + (f" or {self.col_shape}" if len(self.col_shape) != 1 else "")
            + f", or columns ({columns}, q)"
        )

    def matmat(self, X: ArrayLike) -> Array:
        """The matrix times the columns of ``X``, of shape ``(N, q)``."""
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[0] != self.shape[1]:
            raise InputError(
                f"columns of shape {X.shape} do not fit {self!r}: expected ({self.shape[1]}, q)"
            )
        q = X.shape[1]
        result = self._apply(X.reshape(*self.col_shape, q), True)
        return result.reshape(self.shape[0], q)

    def rmatvec(self, x: ArrayLike) -> Array:
        """The adjoint (conjugate transpose) times a vector, flat or of shape ``row_shape``."""
        return self._adjoint().matvec(x)

    def rmatmat(self, X: ArrayLike) -> Array:
        """The adjoint (conjugate transpose) times the columns of ``X``, of shape ``(M, q)``."""
        return self._adjoint().matmat(X)

    def dot(self, x: Any) -> Any:
        """``H @ x`` for a vector, a tensor, several columns, a scalar or another operator."""
        if type(x) is np.ndarray and x.shape == self.col_shape and self._plain:
            return self._apply(x, False)
        if isinstance(x, LinearOperator) or np.isscalar(x) or hasattr(x, "tocsr"):
            return super().dot(x)
        x = np.asarray(x)
        several = x.ndim == 2 and x.shape != self.col_shape and x.shape[1] != 1
        return self.matmat(x) if several else self.matvec(x)

    def __matmul__(self, x: Any) -> Any:
        if np.isscalar(x):
            raise InputError("@ takes vectors and matrices; write H * x for a number")
        return self.dot(x)

    # What SciPy's own methods call.
    def _matvec(self, x: Array) -> Array:
        return self.matvec(x)

    def _matmat(self, X: Array) -> Array:
        return self.matmat(X)

    def _rmatvec(self, x: Array) -> Array:
        return self.rmatvec(x)

    def _transpose(self) -> StructuredOperator:
        if self._turned is None:
            self._turned = StructuredOperator(
                [term.transposed for term in self.terms],
                self.col_shape,
                self.row_shape,
                self.dtype,
                self._described_transposed(),
            )
            self._turned._turned = self
        return self._turned

    def _described_transposed(self) -> str:
        from tensorcalculus.compiler.structured.text import describe

        return describe([term.form.transposed for term in self.terms])

    def _adjoint(self) -> StructuredOperator:
        turned = self._transpose()
        if np.dtype(self.dtype).kind != "c":
            return turned
        terms = [term.conjugate() for term in turned.terms]
        return StructuredOperator(
            terms, turned.row_shape, turned.col_shape, self.dtype, turned.structure
        )

    # -- entries ---------------------------------------------------------------------------------

    def todense(self) -> Array:
        """The matrix as an array of shape ``(M, N)``; identities are written along diagonals."""
        out = np.zeros((*self.row_shape, *self.col_shape), self.dtype)
        if out.size:
            for term in self.terms:
                term.add_to(out, (*term.form.rows, *term.form.cols))
        return out.reshape(self.shape)

    def diagonal(self) -> Array:
        """The diagonal, flat, from the diagonals of the parts.

        The dense matrix is made only where rows and columns are tensors of different shapes.
        """
        self._square("diagonal")
        if self.row_shape != self.col_shape:
            return self.todense().diagonal().copy()
        out = np.zeros(self.row_shape, self.dtype)
        if out.size:
            for term in self.terms:
                term.add_diagonal_to(out)
        return out.reshape(-1)

    def trace(self) -> Any:
        """The sum of the diagonal."""
        return self.diagonal().sum()

    # -- systems ---------------------------------------------------------------------------------

    def solve(self, b: ArrayLike) -> Array:
        """``x`` with ``H x = b``, by the structure where it has a closed form.

        ``b`` is a vector ``(M,)``, a tensor of shape ``row_shape``, or several columns ``(M, q)``;
        ``x`` has the matching form: ``(N,)``, ``col_shape`` or ``(N, q)``.  Where ``row_shape`` has
        one axis, a vector is a flat one, and so is ``x``.  The factorisation is kept for the next
        call.

        - One Kronecker product: a solve with each factor, Cholesky where it is symmetric positive
          definite, else LU; ``(A kron B)^-1 = A^-1 kron B^-1`` (Golub and Van Loan, section
          12.3).
        - Diagonals and block diagonals: one small solve a block.
        - Sums of Kronecker products with symmetric factors that have common eigenvectors, such as
          ``A kron I + I kron B``: a division by sums of eigenvalues (a Sylvester equation; Bartels
          and Stewart, Comm. ACM 15, 1972).
        - One of these plus low rank: the formula of Sherman, Morrison and Woodbury, ``(B+UV)^-1 =
          B^-1 - B^-1*U*(I+V*B^-1*U)^-1*V*B^-1``, with one step of refinement (Hager, SIAM Review
          31, 1989).
        - Else Cholesky or LU of the dense matrix where it has at most 4 million entries, else
          conjugate gradients with the diagonal as preconditioner, for a symmetric positive
          definite matrix.

        Raises
        ------
        InputError
            For a singular matrix, for a ``b`` that is a tensor as well as a column, with another
            ``x`` for each, and where none of these applies or conjugate gradients do not converge:
            then one of SciPy's iterative methods may, as in ``scipy.sparse.linalg.minres(H, b)``.

        Examples
        --------
        >>> import numpy as np
        >>> import tensorcalculus as tc
        >>> H = tc.parse("norm2(T-U*V')^2").hessian("U").operator(
        ...     T=np.ones((4, 3)), U=np.ones((4, 1)), V=np.ones((3, 1))
        ... )
        >>> H
        kron(I_4, 1x1) (4 x 4)
        >>> H.solve(np.full(4, 12.0))
        array([2., 2., 2., 2.])
        """
        self._square("solve")
        b = np.asarray(b)
        size = self.shape[0]
        _refuse_ambiguous(b.shape, self.row_shape, self.col_shape, size)
        tensor = b.shape == self.row_shape and b.shape != (size,)
        if not tensor and (b.ndim not in (1, 2) or b.shape[0] != size):
            raise InputError(
                f"a right-hand side of shape {b.shape} does not fit {self!r}: expected ({size},), "
                f"({size}, q)" + (f" or {self.row_shape}" if len(self.row_shape) != 1 else "")
            )
        if b.dtype.kind not in "fc":
            b = b.astype(self.dtype)
        shape = self.col_shape if tensor else b.shape
        if not b.size:
            return np.zeros(shape, np.result_type(self.dtype, b))
        if self._solver is None:
            from tensorcalculus.compiler.structured.solve import solver

            self._solver = solver(self)
        return self._solver(b.reshape(size, -1)).reshape(shape)

    def _square(self, what: str) -> None:
        if self.shape[0] != self.shape[1]:
            raise InputError(f"{what} is for square matrices; this one is {self!r}")

    def __repr__(self) -> str:
        rows, columns = cast("tuple[int, int]", self.shape)
        return f"{self.structure} ({rows} x {columns})"

    def _repr_html_(self) -> str:
        from tensorcalculus.compiler.structured.text import as_html

        rows, columns = cast("tuple[int, int]", self.shape)
        # Terms may share arrays.
        held = {id(a): a.size for term in self.terms for a in term.arrays}
        stored, dense = sum(held.values()), rows * columns
        kept = f"{stored:,} of {dense:,}" + (f" ({100 * stored / dense:.2g} %)" if dense else "")
        pairs = [
            ("structure", as_html(self.structure)),
            ("axes", f"{self.row_shape} by {self.col_shape}"),
            ("numbers stored", kept),
            ("type", self.dtype),
        ]
        return html.result(f"Matrix of {rows} x {columns}", html.rows(pairs))


def _refuse_ambiguous(given: Shape, tensor: Shape, result: Shape, length: int) -> None:
    """InputError for a matrix that is one tensor as well as a block of vectors, where these two
    give results of different shapes, ``result`` or ``(length, q)``.
    """
    if given == tensor and len(given) == 2 and given[0] == prod(tensor):
        as_block = (length, given[1])
        if result != as_block:
            raise InputError(
                f"an array of shape {given} is one tensor or a block of {given[1]} vectors here, "
                f"and the result would have the shape {result} or {as_block}; give a flat vector, "
                f"of shape ({given[0]},)"
            )

"""Decompositions: eigh, svd and qr, with derivatives that stay finite at equal singular values.

Eigenvectors of a repeated eigenvalue are a choice of basis.  Their differential divides by the gap
of the eigenvalues; ``gap_multiply`` sets that quotient to 0 on a degenerate pair, which is right
for every function that does not depend on the choice, and warns where a function does.  Functions
of all eigenvalues or singular values are operations of their own (``matrix_functions``).
"""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import minimum, show_shape
from tensorcalculus.expr.node import (
    Expr,
    Operation,
    Shape,
)
from tensorcalculus.expr.operations.dense import product, symmetric_part, transpose
from tensorcalculus.expr.operations.row import (
    OperationRow,
    batched,
    check_square,
    operation,
    register,
    square,
)
from tensorcalculus.expr.operations.structural import lower

_EIGH = "Giles (2008), Collected matrix derivative results, section 3.1, symmetric case"
_SVD = "Townsend (2016), Differentiating the singular value decomposition, eqs. 17 to 19"
_QR = "Walter, Lehmann, Lamour (2012), On evaluating higher-order derivatives of the QR, eq. 14"


def eigh(a: Expr) -> tuple[Expr, Expr]:
    """Eigenvalues (ascending) and orthonormal eigenvectors of the symmetric part of ``a``."""
    return operation("eigvalsh", a), operation("eigh_V", a)


def _vector_of_square(name: str):
    def rule(args: tuple[Expr, ...], params: tuple) -> Shape:
        check_square(name, args[0])
        return args[0].shape[:-1]

    return rule


def eigenbasis(a: Expr, da: Expr) -> tuple[Expr, Expr, Expr]:
    """Eigenvalues, eigenvectors, and the direction ``da`` in their basis."""
    d, v = eigh(a)
    return d, v, product(transpose(v), symmetric_part(da), v)


def _eigvalsh_differential(node: Operation, tangents) -> Expr:
    d, _, inside = eigenbasis(node.args[0], tangents[0])
    return operation("degenerate_check", batched("ii->i", inside), d)


def _eigh_v_differential(node: Operation, tangents) -> Expr:
    d, v, inside = eigenbasis(node.args[0], tangents[0])
    return product(v, operation("gap_multiply", inside, d, params=(0,)))


register(
    OperationRow(
        "eigvalsh",
        _vector_of_square("eigvalsh"),
        "spectral_kernels.eigh({0})",
        "a symmetric matrix (its symmetric part is taken); eigenvalues ascending",
        _EIGH,
        r"\lambda({})",
        cubic=9.0,
        differential=_eigvalsh_differential,
        part=0,
        sample="sym",
    )
)
register(
    OperationRow(
        "eigh_V",
        square("eigh_V"),
        "spectral_kernels.eigh({0})",
        "a symmetric matrix; eigenvectors as columns, differentiable at simple eigenvalues",
        _EIGH,
        r"\operatorname{{V}}_{{\mathrm{{eigh}}}}({})",
        cubic=9.0,
        differential=_eigh_v_differential,
        part=1,
        sample="sym",
    )
)


def _gap_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    m, d = args
    lead = max(m.shape[:-2], d.shape[:-1], key=len)
    return (*lead, *m.shape[-2:])


def _gap_differential(node: Operation, tangents) -> Expr:
    # F.*M with F_ij = 1/(d_j - d_i): dF = -F.^2 .* (dd_j - dd_i)
    _, d = node.args
    dd = tangents[1]
    ones = contract([], ("i",), {"i": d.shape[-1]})
    spread = batched("i,j->ij", ones, dd) - batched("i,j->ij", dd, ones)
    return -operation("gap_multiply", batched("ij,ij->ij", node, spread), d, params=node.params)


def _gap_transpose(node: Operation, k: int, g: Expr) -> Expr:
    return operation("gap_multiply", g, node.args[1], params=(1 - node.params[0],))


register(
    OperationRow(
        "gap_multiply",
        _gap_shape,
        "spectral_kernels.gap_multiply({0}, {1}, {p0})",
        "M./(d_j-d_i), 0 where d_i = d_j; warns where the result depends on the basis",
        _EIGH,
        r"\operatorname{{gap}}({})",
        differential=_gap_differential,
        transpose=_gap_transpose,
        linear=(0,),
        cores=(2, 1, 2),
    )
)
register(
    OperationRow(
        "degenerate_check",
        lambda args, params: max(args, key=lambda a: a.ndim).shape,
        "spectral_kernels.degenerate_check({0}, {1})",
        "the first argument; warns where it differs over equal entries of the second",
        "single eigenvalues have no derivative where they coincide",
        "{}",
        transpose=lambda node, k, g: operation("degenerate_check", g, node.args[1]),
        differential=lambda node, tangents: None,
        linear=(0,),
        cores=(1, 1, 1),
    )
)


def svd(a: Expr) -> tuple[Expr, Expr, Expr]:
    """Thin decomposition ``A = U*diag(s)*V'``, singular values descending."""
    return operation("svd_U", a), operation("svdvals", a), operation("svd_V", a)


def _thin(rows: int):
    def rule(args: tuple[Expr, ...], params: tuple) -> Shape:
        shape = args[0].shape
        if len(shape) < 2:
            raise ShapeError(f"svd and qr take a matrix; a {show_shape(shape)} tensor is given")
        k = minimum(shape[-2], shape[-1])
        return {
            0: (*shape[:-1], k),
            1: (*shape[:-2], k),
            2: (*shape[:-2], shape[-1], k),
            3: (*shape[:-2], k, shape[-1]),
        }[rows]

    return rule


def _svdvals_differential(node: Operation, tangents) -> Expr:
    # ds = diag(U' dX V); at s = 0 the least subgradient of |s|, 0, is taken.
    u, s, v = svd(node.args[0])
    inside = batched("ia,ij,ja->a", u, tangents[0], v)
    return operation("degenerate_check", batched("a,a->a", operation("sign0", s), inside), s)


def _svd_turn(node: Operation, da: Expr, spec: str) -> tuple[Expr, Expr, Expr, Expr]:
    """U, s, V and the rotation ``F o (M + M')``; ``spec`` scales columns or rows of dP by s."""
    u, s, v = svd(node.args[0])
    scaled = batched(spec, product(transpose(u), da, v), s)
    turn = operation("gap_multiply", scaled + transpose(scaled), s**2, params=(0,))
    return u, s, v, turn


def _svd_u_differential(node: Operation, tangents) -> Expr:
    # dU = U (F o (dP S + S dP')) + (I - U U') dX V inv(S), F_ij = 1/(s_j^2 - s_i^2)
    da = tangents[0]
    u, s, v, turned = _svd_turn(node, da, "ij,j->ij")
    outside = batched("ij,ja,a->ia", da, v, operation("reciprocal0", s))
    return product(u, turned) + outside - product(u, product(transpose(u), outside))


def _svd_v_differential(node: Operation, tangents) -> Expr:
    da = tangents[0]
    u, s, v, turned = _svd_turn(node, da, "ij,i->ij")
    outside = batched("ij,ia,a->ja", da, u, operation("reciprocal0", s))
    return product(v, turned) + outside - product(v, product(transpose(v), outside))


for _name, _rows, _part, _rule, _symbol in (
    ("svd_U", 0, 0, _svd_u_differential, r"\operatorname{{U}}_{{\mathrm{{svd}}}}({})"),
    ("svdvals", 1, 1, _svdvals_differential, r"\sigma_{{\mathrm{{svd}}}}({})"),
    ("svd_V", 2, 2, _svd_v_differential, r"\operatorname{{V}}_{{\mathrm{{svd}}}}({})"),
):
    register(
        OperationRow(
            _name,
            _thin(_rows),
            "spectral_kernels.svd({0})",
            "any matrix; thin; vectors differentiable at simple singular values, "
            "values at 0 by the subgradient of least norm",
            _SVD,
            _symbol,
            cubic=22.0,
            differential=_rule,
            part=_part,
            nonnegative=_name == "svdvals",
        )
    )


def _pointwise(args: tuple[Expr, ...], params: tuple) -> Shape:
    return args[0].shape


def _reciprocal_differential(node: Operation, tangents) -> Expr:
    return -batched("a,a,a->a", node, node, tangents[0])


register(
    OperationRow(
        "reciprocal0",
        _pointwise,
        "spectral_kernels.reciprocal_or_zero({0})",
        "1./s, 0 where s is 0 to rounding against its largest entry",
        "pseudo-inverse of a diagonal matrix",
        r"{}^{{+}}",
        differential=_reciprocal_differential,
        nonnegative=True,
    )
)
register(
    OperationRow(
        "sign0",
        _pointwise,
        "spectral_kernels.nonzero_sign({0})",
        "1 where s > 0 beyond rounding against its largest entry, else 0; derivative 0",
        "piecewise constant",
        r"\operatorname{{sign}}({})",
        constant=True,
        nonnegative=True,
    )
)


def qr(a: Expr) -> tuple[Expr, Expr]:
    """Reduced factors ``A = Q*R`` with a non-negative diagonal of ``R``, tall or wide."""
    return operation("qr_Q", a), operation("qr_R", a)


def _qr_turn(node: Operation, da: Expr) -> tuple[Expr, Expr, Expr, Expr]:
    # With A1, R1 the leading square columns (all of them where A is tall):
    # C = Q' dA1 inv(R1), Omega = L - L' for L the strict lower triangle of C.
    q, r = qr(node.args[0])
    k = q.shape[-1]
    square_part = ((0, None, 1), (0, k, 1))
    r1 = r if r.shape[-1] is k else operation("slice", r, params=(square_part,))
    da1 = da if da.shape[-1] is k else operation("slice", da, params=(square_part,))
    step = product(da1, operation("inv", r1))
    c = product(transpose(q), step)
    low = batched("ij,ij->ij", c, lower(k, Fraction(0)))
    return q, r, step, low - transpose(low)


def _qr_q_differential(node: Operation, tangents) -> Expr:
    q, _, step, omega = _qr_turn(node, tangents[0])
    return product(q, omega) + step - product(q, product(transpose(q), step))


def _qr_r_differential(node: Operation, tangents) -> Expr:
    q, r, _, omega = _qr_turn(node, tangents[0])
    return product(transpose(q), tangents[0]) - product(omega, r)


for _name, _rows, _part, _rule in (
    ("qr_Q", 0, 0, _qr_q_differential),
    ("qr_R", 3, 1, _qr_r_differential),
):
    register(
        OperationRow(
            _name,
            _thin(_rows),
            "spectral_kernels.qr({0})",
            "a matrix whose leading min(m,n) columns are independent; diag(R) >= 0",
            _QR,
            rf"\operatorname{{{{{_name[-1]}}}}}_{{{{\mathrm{{{{qr}}}}}}}}({{}})",
            cubic=8 / 3,
            differential=_rule,
            part=_part,
            sample="well",
        )
    )

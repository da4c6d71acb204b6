"""Linear algebra of square matrices: inverse, determinant, Cholesky, pseudo-inverse, functions."""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.node import Expr, Operation, Shape
from tensorcalculus.expr.operations.row import (
    OperationRow,
    batched,
    check_square,
    operation,
    register,
    square,
)
from tensorcalculus.expr.operations.structural import lower


def transpose(a: Expr) -> Expr:
    """The last two axes exchanged."""
    return batched("ij->ji", a)


def product(*factors: Expr) -> Expr:
    """The matrix product over the last two axes, leading axes broadcast."""
    result = factors[0]
    for b in factors[1:]:
        result = batched("ij,jk->ik", result, b)
    return result


def _scalar_of_square(name: str):
    def rule(args: tuple[Expr, ...], params: tuple) -> Shape:
        check_square(name, args[0])
        return args[0].shape[:-2]

    return rule


def _inv_differential(y: Operation, tangents) -> Expr:
    return -product(y, tangents[0], y)


def _det_differential(y: Operation, tangents) -> Expr:
    return batched(",ij,ji->", y, operation("inv", y.args[0]), tangents[0])


def _logdet_differential(y: Operation, tangents) -> Expr:
    return batched("ij,ji->", operation("inv", y.args[0]), tangents[0])


register(
    OperationRow(
        "inv",
        square("inv"),
        "np.linalg.inv({0})",
        "a square matrix of full rank",
        "d inv(X) = -inv(X) dX inv(X); Petersen and Pedersen, Matrix Cookbook, (40)",
        "{}^{{-1}}",
        cubic=4 / 3,
        differential=_inv_differential,
        symmetric=lambda node: symmetric(node.args[0]),
        transposes=True,
        sample="well",
        analytic=True,
    )
)
register(
    OperationRow(
        "det",
        _scalar_of_square("det"),
        "np.linalg.det({0})",
        "a square matrix; the derivative is the cofactor matrix, also where X is singular",
        "d det(X) = det(X) tr(inv(X) dX); Matrix Cookbook, (46)",
        r"\det({})",
        cubic=2 / 3,
        differential=_det_differential,
        sample="well",
        analytic=True,
    )
)
register(
    OperationRow(
        "logdet",
        _scalar_of_square("logdet"),
        "spectral_kernels.logdet({0})",
        "a square matrix of full rank; log|det(X)|",
        "d log|det(X)| = tr(inv(X) dX); Matrix Cookbook, (43)",
        r"\log\left|\det({})\right|",
        cubic=2 / 3,
        differential=_logdet_differential,
        sample="well",
        analytic=True,
    )
)


def _cofactor_differential(c: Operation, tangents) -> Expr:
    # C = det(X) inv(X)': dC = tr(inv(X) dX) C - inv(X)' dX' C
    inverse, dx = operation("inv", c.args[0]), tangents[0]
    grown = batched("ij,ji,kl->kl", inverse, dx, c)
    return grown - product(transpose(inverse), transpose(dx), c)


register(
    OperationRow(
        "cofactor",
        square("cofactor"),
        "spectral_kernels.cofactor({0})",
        "a square matrix, singular or not; its own derivative needs full rank",
        "det(X) inv(X)', continued to singular matrices",
        r"\operatorname{{cof}}({})",
        cubic=22.0,
        differential=_cofactor_differential,
        symmetric=lambda node: symmetric(node.args[0]),
        transposes=True,
        sample="well",
        analytic=True,
    )
)


def _pinv_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    from tensorcalculus.errors import ShapeError
    from tensorcalculus.expr.dims import show_shape

    shape = args[0].shape
    if len(shape) < 2:
        raise ShapeError(f"pinv takes a matrix; a {show_shape(shape)} tensor is given")
    return (*shape[:-2], shape[-1], shape[-2])


def _pinv_differential(p: Operation, tangents) -> Expr:
    # Golub and Pereyra (1973), eq. 4.12, rank constant:
    # dP = -P dA P + P P' dA' (I - A P) + (I - P A) dA' P' P
    a, da = p.args[0], tangents[0]
    pt, dat = transpose(p), transpose(da)
    left = product(p, pt, dat)
    right = product(dat, pt, p)
    return -product(p, da, p) + left - product(left, a, p) + right - product(p, product(a, right))


register(
    OperationRow(
        "pinv",
        _pinv_shape,
        "spectral_kernels.pinv({0})",
        "a matrix whose rank does not change nearby",
        "Golub and Pereyra (1973), eq. 4.12",
        "{}^{{+}}",
        cubic=22.0,
        differential=_pinv_differential,
        symmetric=lambda node: symmetric(node.args[0]),
        transposes=True,
        sample="well",
    )
)


def symmetric_part(a: Expr) -> Expr:
    """``(A+A')/2`` over the last two axes."""
    if a.ndim == 2 and symmetric(a):
        return a
    return (a + transpose(a)) / 2


def _chol_differential(el: Operation, tangents) -> Expr:
    # dL = L Phi(inv(L) dA inv(L)'), Phi: lower triangle with half the diagonal.
    # Iain Murray, Differentiation of the Cholesky decomposition (2016), eq. 8.
    inverse = operation("inv", el)
    middle = product(inverse, symmetric_part(tangents[0]), transpose(inverse))
    return product(el, batched("ij,ij->ij", middle, lower(el.shape[-1], Fraction(1, 2))))


register(
    OperationRow(
        "chol",
        square("chol"),
        "spectral_kernels.cholesky({0})",
        "a positive definite matrix (its symmetric part is taken); lower factor, A = L*L'",
        "Murray (2016), Differentiation of the Cholesky decomposition, eq. 8",
        r"\operatorname{{chol}}({})",
        cubic=1 / 3,
        differential=_chol_differential,
        sample="spd",
    )
)


def _matrix_function_differential(y: Operation, tangents) -> Expr:
    return operation("frechet", y.args[0], tangents[0], params=(y.row.name,))


for _name, _domain, _sample, _symbol in (
    ("expm", "a square matrix", "small", r"e^{{{}}}"),
    ("logm", "a square matrix without eigenvalues on the closed negative axis", "spd",
     r"\operatorname{{logm}}({})"),
    ("sqrtm", "a square matrix without eigenvalues on the closed negative axis", "spd",
     "{}^{{1/2}}"),
):  # fmt: skip
    register(
        OperationRow(
            _name,
            square(_name),
            f'spectral_kernels.matrix_function("{_name}", {{0}})',
            _domain,
            "Higham, Functions of Matrices (2008), section 3.1",
            _symbol,
            differential=_matrix_function_differential,
            symmetric=lambda node: symmetric(node.args[0]),
            transposes=True,
            sample=_sample,
        )
    )


def _frechet_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    for a in args:
        check_square("frechet", a)
    a, e = args
    return e.shape if e.ndim >= a.ndim else a.shape


def _block(a: Expr, e: Expr) -> Expr:
    """The matrix ``[A E; 0 A]``; leading axes broadcast to those of the deeper one."""
    n = a.shape[-1]
    shape = (n * 2, n * 2)
    first, second = (0, n, 1), (n, n * 2, 1)

    def place(x: Expr, rows: tuple, columns: tuple) -> Expr:
        return operation("embed", x, params=((rows, columns), shape))

    return _stretch([place(a, first, first), place(e, first, second), place(a, second, second)])


def _stretch(terms: list[Expr]) -> Expr:
    """The sum, each term broadcast along the leading axes of the deepest."""
    deepest = max(terms, key=lambda t: t.ndim)
    names = tuple(range(deepest.ndim))
    sizes = dict(zip(names, deepest.shape, strict=True))
    total = contract([(deepest, names)], names)
    for t in terms:
        if t is not deepest:
            total = total + contract([(t, names[len(names) - t.ndim :])], names, sizes)
    return total


def _frechet_differential(y: Operation, tangents) -> Expr:
    # L(A, E) is a block of f([A E; 0 A]); so is its derivative, one level up.
    a, e = y.args
    name, da = y.params, tangents[0]
    zero = da * 0
    n = a.shape[-1]
    outer = operation("frechet", _block(a, e), _block(da, zero), params=name)
    corner = ((0, n, 1), (n, n * 2, 1))
    return operation("slice", outer, params=(corner,))


def _frechet_transpose(y: Operation, k: int, g: Expr) -> Expr:
    return operation("frechet", transpose(y.args[0]), g, params=y.params)


register(
    OperationRow(
        "frechet",
        _frechet_shape,
        "spectral_kernels.frechet({p0!r}, {0}, {1})",
        "the derivative of expm, logm or sqrtm at A in direction E",
        "Al-Mohy and Higham (2009), eq. 2.1; Higham (2008), eq. 3.16",
        r"L({})",
        differential=_frechet_differential,
        transpose=_frechet_transpose,
        linear=(1,),
        cores=(2, 2, 2),
        spell=lambda name, args, params: f"frechet_{params[0]}({','.join(args)})",
    )
)

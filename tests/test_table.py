"""Every row of the two tables, by every argument, in every mode, against numerical derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.check import check
from tensorcalculus.expr.dims import dim
from tensorcalculus.expr.functions import FUNCTIONS, ScalarFunction
from tensorcalculus.expr.maps import apply
from tensorcalculus.expr.node import Expr, Number, Operation, Variable, variables_of
from tensorcalculus.expr.operations import OPERATIONS, OperationRow, matrix_functions
from tensorcalculus.expr.operations.row import register as register_operation

MODES = ("reverse", "forward", "mixed")


def variable(name: str, shape: str, *properties: str) -> Variable:
    return Variable(name, tuple(dim(d) for d in shape.split()), frozenset(properties))


# -- scalar functions ----------------------------------------------------------------------------

ROWS = list({row.name: row for row in FUNCTIONS.values()}.values())
DIFFERENTIABLE = [
    (row, k) for row in ROWS for k in range(row.arity) if row.derivatives[k] is not None
]


def scalar_argument(row: ScalarFunction, k: int, shape: str) -> Expr:
    low, high = row.sample[k]
    return Number(int(low)) if low == high else variable(f"x{k}", shape)


def applied(row: ScalarFunction, shapes: list[str]) -> Expr:
    return apply(row, *(scalar_argument(row, k, shapes[k]) for k in range(row.arity)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("row", "k"), DIFFERENTIABLE, ids=lambda v: getattr(v, "name", str(v)))
def test_scalar_function(row: ScalarFunction, k: int, mode: str) -> None:
    order = 1 if _stops(row) else 2
    check(applied(row, ["n"] * row.arity), f"x{k}", order=order, mode=mode)
    # Scalar arguments are broadcast against tensors.
    for lone in range(row.arity if row.arity > 1 else 0):
        shapes = ["" if j == lone else "m n" for j in range(row.arity)]
        check(applied(row, shapes), f"x{k}", order=1, mode=mode)


def _stops(row: ScalarFunction) -> bool:
    """Whether derivatives end with a function that has none, as for ``floor``."""
    return all(d is None for d in row.derivatives)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_scalar_function_of_another_function(row: ScalarFunction) -> None:
    if _stops(row):
        pytest.skip(f"{row.name} has no derivative")
    f = tc.parse("sum(a.*F)+sum(F.*F)", a="n", F="n")
    f = _substitute(f, "F", applied(row, ["n"] * row.arity))
    check(f, order=2)


def _substitute(f: Expr, name: str, by: Expr) -> Expr:
    from tensorcalculus.expr.rebuild import substitute

    return substitute(f, {variables_of(f)[name]: by})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_where_there_is_no_derivative_the_error_says_so(row: ScalarFunction) -> None:
    for k in range(row.arity):
        if row.derivatives[k] is None:
            args = [variable(f"x{j}", "n") for j in range(row.arity)]
            with pytest.raises(tc.NotDifferentiableError, match=row.name):
                apply(row, *args).jacobian(f"x{k}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_values_known_in_closed_form_are_right(row: ScalarFunction) -> None:
    for at, value in row.exact.items():
        f = apply(row, variable("x", ""))
        assert f(x=float(at)) == pytest.approx(value, abs=1e-15)


def sampled(row: ScalarFunction) -> np.ndarray:
    """Points of the interval of the only argument, their mirror images, and 0, in the domain."""
    (low, high) = row.sample[0]
    points = np.linspace(low, high, 41)
    both = np.concatenate([points, -points, [0.0]])
    with np.errstate(all="ignore"):
        return both[np.isfinite(apply(row, variable("x", "n"))(x=both))]


UNARY = [row for row in ROWS if row.arity == 1]


@pytest.mark.parametrize("row", UNARY, ids=lambda row: row.name)
def test_even_and_odd_functions_are_declared(row: ScalarFunction) -> None:
    f, x = apply(row, variable("x", "n")), sampled(row)
    mirrored = x[np.isin(-x, x)]
    found = [
        sign
        for sign in (-1, 1)
        if len(mirrored) > 1 and np.allclose(f(x=-mirrored), sign * f(x=mirrored), rtol=1e-14)
    ]
    assert found == ([row.parity] if row.parity else [])


@pytest.mark.parametrize("row", [r for r in UNARY if r.nonnegative], ids=lambda row: row.name)
def test_nonnegative_functions_are_so(row: ScalarFunction) -> None:
    assert np.all(apply(row, variable("x", "n"))(x=sampled(row)) >= 0)


# -- operations ----------------------------------------------------------------------------------


def _t() -> Expr:
    return matrix_functions.placeholder()


ARGUMENTS: dict[str, list[tuple[list[str], tuple]]] = {
    "reshape": [(["m n"], (2, (dim("m*n"),))), (["b m n"], (2, (dim("n"), dim("m"))))],
    "slice": [
        (["n"], (((0, None, 1),),)),
        (["m n"], ((1, (-1, None, -1)),)),
        (["b m n"], (((1, None, 1), 0),)),
        (["6"], (((1, None, 2),),)),
    ],
    "embed": [
        (["n"], ((1, (0, dim("n"), 1)), (dim("m"), dim("n+2")))),
        (["b n"], (((1, dim("n+1"), 1),), (dim("n+3"),))),
    ],
    "cumsum": [(["n"], (0,)), (["n"], (1,)), (["m n"], (0,))],
    "lower": [([], (dim("3"), 1))],
    "shift": [([], (dim("5"), dim("2")))],
    "pi": [([], ())],
    "prod": [(["n"], (0,)), (["m n"], (0,)), (["n"], (1,)), (["n"], (2,))],
    "softmax": [(["n"], ()), (["m n"], ())],
    "logsumexp": [(["n"], ()), (["m n"], ())],
    "max": [(["n"], ()), (["m n"], ())],
    "argmax_share": [(["n"], ())],
    "reciprocal0": [(["n"], ()), (["b n"], ())],
    "sign0": [(["n"], ())],
    "gap_multiply": [
        (["n n", "n"], (0,)),
        (["n n", "n"], (1,)),
        (["b n n", "n"], (0,)),
        (["b n n", "b n"], (0,)),
    ],
    "degenerate_check": [(["n", "n"], ()), (["b n", "n"], ())],
    "frechet": [
        (["n n", "n n"], (name,)) for name in ("expm", "logm", "sqrtm")
    ] + [(["n n", "b n n"], ("expm",)), (["b n n", "b n n"], ("expm",))],
    "spectral": [(["n n"], (tc.function("tanh", _t()) * _t(),)), (["b n n"], (_t() ** 3,))],
    "divided_difference": [
        (["n"], (tc.function("exp", _t()), 1)),
        (["n"], (tc.function("sin", _t()), 2)),
        (["b n"], (_t() ** 4, 1)),
    ],
    "spectral_derivative": [
        (["n n", "n n"], (tc.function("tanh", _t()), "")),
        (["n n", "n n", "n n"], (tc.function("sin", _t()), "")),
        (["n n", "b n n"], (_t() ** 3, "odd")),
    ],
    "singular": [
        (["m n"], (tc.function("tanh", _t()),)),
        (["n n"], (_t() ** 2,)),
        (["b m n"], (tc.function("cos", _t()),)),
    ],
    "singular_derivative": [
        (["m n", "m n"], (tc.function("sinh", _t()),)),
        (["n n", "b n n"], (_t() ** 3,)),
    ],
    "singular_left": [
        (["m n"], (_t() ** 4,)),
        (["m n"], (tc.function("exp", _t()),)),
        (["b n n"], (_t() ** 2,)),
    ],
    "signed_difference": [
        (["n"], (tc.function("tanh", _t()), "odd", "+-")),
        (["n"], (_t() ** 2, "even", "++")),
        (["b n"], (_t() ** 3, "odd", "++-")),
    ],
    "pinv": [(["m n"], ()), (["b m n"], ())],
    "svd_U": [(["m n"], ()), (["b m n"], ())],
    "svdvals": [(["m n"], ()), (["b m n"], ())],
    "svd_V": [(["m n"], ()), (["b m n"], ())],
    "qr_Q": [(["m n"], ()), (["b m n"], ())],
    "qr_R": [(["m n"], ()), (["b m n"], ())],
}  # fmt: skip
"""Shapes of arguments, and parameters, for rows that take others than square matrices."""

SQUARE: list[tuple[list[str], tuple]] = [(["n n"], ()), (["b n n"], ())]


def operation_cases() -> list:
    cases = []
    for row in OPERATIONS.values():
        for number, (shapes, params) in enumerate(ARGUMENTS.get(row.name, SQUARE)):
            cases += [
                pytest.param(row, shapes, params, k, id=f"{row.name}-{number}-{k}")
                for k in range(len(shapes))
            ]
    return cases


def call_row(row: OperationRow, shapes: list[str], params: tuple) -> Expr:
    return Operation(row, tuple(variable(f"x{k}", s) for k, s in enumerate(shapes)), params)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("row", "shapes", "params", "k"), operation_cases())
def test_operation(row: OperationRow, shapes: list[str], params: tuple, k: int, mode: str) -> None:
    f = call_row(row, shapes, params)
    # Second derivatives of matrix-valued functions of stacked matrices are large: one order less.
    batched = any(s.startswith("b ") for s in shapes)
    check(f, f"x{k}", order=1, mode=mode, sizes={"b": 2} if batched else None)


@pytest.mark.parametrize(("row", "shapes", "params", "k"), operation_cases())
def test_operation_twice(row: OperationRow, shapes: list[str], params: tuple, k: int) -> None:
    batched = any(s.startswith("b ") for s in shapes)
    f = call_row(row, shapes, params)
    weights = Variable("w", f.shape)
    inner = (weights * f).sum() if f.ndim else weights * f
    check(inner, f"x{k}", order=2, sizes={"b": 2} if batched else None)


@pytest.mark.parametrize("name", [n for n, row in OPERATIONS.items() if row.transposes])
def test_operations_that_commute_with_the_transpose_do(name: str) -> None:
    f = call_row(OPERATIONS[name], ["n n"], ())
    X = np.array([[4.0, 1.0, 0.5], [0.2, 3.0, -1.0], [0.3, 0.6, 5.0]])
    np.testing.assert_allclose(f(x0=X.T), f(x0=X).T, rtol=1e-12, atol=1e-14)


# -- the table guards itself ---------------------------------------------------------------------


def test_a_wrong_scalar_derivative_is_found() -> None:
    right = FUNCTIONS["tanh"]
    wrong = replace(right, name="tanh_wrong", derivatives=(lambda x, y: 1 - y,))
    with pytest.raises(tc.CheckError, match=r"derivative by x0 is wrong at entry .*derived"):
        check(applied(wrong, ["n"]), "x0")


def test_a_slightly_wrong_scalar_derivative_is_found() -> None:
    wrong = replace(
        FUNCTIONS["lgamma"],
        name="lgamma_wrong",
        derivatives=(lambda x, y: tc.function("digamma", x) * (1 + 1e-5),),
    )
    with pytest.raises(tc.CheckError, match="finite differences"):
        check(applied(wrong, ["n"]), "x0")


def test_a_wrong_second_derivative_is_found() -> None:
    def first(x: Expr, y: Expr) -> Expr:
        return apply(inner, x)

    inner = replace(
        FUNCTIONS["cos"], name="cos_wrong", derivatives=(lambda x, y: tc.function("sin", x),)
    )
    outer = replace(FUNCTIONS["sin"], name="sin_wrong", derivatives=(first,))
    check(applied(outer, ["n"]), "x0")
    with pytest.raises(tc.CheckError, match=r"derivative by \(x0, x0\)"):
        check(applied(outer, ["n"]), "x0", order=2)


def test_a_wrong_operation_is_found() -> None:
    wrong = replace(OPERATIONS["inv"], name="inv_wrong", differential=lambda y, t: y @ t[0] @ y)
    with pytest.raises(tc.CheckError, match="derivative by x0 is wrong"):
        check(call_row(wrong, ["n n"], ()), "x0")


def test_a_wrong_adjoint_is_found() -> None:
    wrong = replace(
        OPERATIONS["cumsum"],
        name="cumsum_wrong",
        transpose=lambda node, k, g: tc.parse("cumsum(x)", x="n") * 0 + g,
    )
    f = call_row(wrong, ["n"], (0,))
    check(f, "x0", mode="forward")
    with pytest.raises(tc.CheckError):
        check(f, "x0", mode="reverse")


def test_rows_that_leave_something_out_are_refused() -> None:
    from tensorcalculus.expr import functions

    with pytest.raises(ValueError, match="twice"):
        functions.register(FUNCTIONS["exp"])
    with pytest.raises(ValueError, match="leaves a field out"):
        functions.register(replace(FUNCTIONS["exp"], name="another", aliases=(), domain=""))
    FUNCTIONS.pop("another", None)
    with pytest.raises(ValueError, match="twice"):
        register_operation(OPERATIONS["inv"])
    with pytest.raises(ValueError, match="no derivative"):
        register_operation(replace(OPERATIONS["inv"], name="another", differential=None))
    with pytest.raises(ValueError, match="leaves a field out"):
        register_operation(replace(OPERATIONS["inv"], name="another", reference=""))
    assert "another" not in OPERATIONS


def test_a_new_row_is_in_the_generated_tests() -> None:
    assert {p.values[0].name for p in operation_cases()} == {
        name for name in OPERATIONS if ARGUMENTS.get(name, SQUARE)[0][0]
    }
    assert {row.name for row, _ in DIFFERENTIABLE} | {"floor", "ceil", "round"} == {
        row.name for row in ROWS
    }

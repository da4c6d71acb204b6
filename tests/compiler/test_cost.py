"""The cost of a program: counted as people count, and as a function of the sizes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import tensorcalculus as tc
from tensorcalculus.compiler.polynomial import Polynomial
from tensorcalculus.compiler.program import Program
from tensorcalculus.expr.dims import dim, minimum


@pytest.mark.parametrize(
    ("formula", "wrt", "expected"),
    [
        ("A*x", None, "2*m*n"),
        ("A*B", None, "2*k*m*n"),
        ("x'*x", None, "2*m"),
        ("x.*y.*z", None, "2*m"),
        ("2*x+3*y-1", None, "4*m"),
        ("sum(A)", None, "m*n"),
        ("sum(exp(A))", None, "2*m*n"),
        ("norm2(x)", None, "2*m + 1"),
        ("norm2(X*w-y)^2", "w", "4*m*n + m + n"),
        ("sum(x.^2)", "x", "m"),
        ("x*y'", None, "m*n"),
        ("logdet(S)", None, "2*n^3/3 + n^2"),
        ("inv(S)*x", None, "2*n^3/3 + 2*n^2"),
    ],
)
def test_operations_as_counted_by_hand(formula: str, wrt: str | None, expected: str) -> None:
    f = tc.parse(formula, {"S": "n n"} if "S" in formula else {})
    cost = tc.compile(f.gradient(wrt) if wrt else f).cost
    assert str(cost.symbolic) == expected
    assert float(cost.symbolic.evaluate(dict.fromkeys("mnk", 100))) == pytest.approx(cost.flops)


FORMULAS = (
    ("sum(log(1+exp(-y.*(X*w))))", "w", 2),
    ("logdet(S)+(x-u)'*inv(S)*(x-u)", "S", 1),
    ("norm2(T-cp(A,B,C))^2", "A", 1),
    ("sum(svdvals(X).^3)", "X", 1),
    ("norm2(softmax(Q*K'/sqrt(d))*V)^2", "Q", 1),
    ("tr(A*diag(w)*B*inv(C))", "C", 2),
    ("norm2(conv(x,k)-y)^2", "k", 1),
)


@pytest.mark.parametrize(("formula", "wrt", "order"), FORMULAS)
def test_the_polynomial_is_the_number(formula: str, wrt: str, order: int) -> None:
    declared = (
        {"S": "n n spd"} if "logdet" in formula else {"d": ""} if "sqrt(d)" in formula else {}
    )
    declared |= {"T": "i j k"} if "cp(" in formula else {}
    f = tc.parse(formula, declared)
    rng = np.random.default_rng(1)
    for outputs in ([f], [f, tc.derivative(f, wrt, order)]):
        program = Program(outputs)
        for _ in range(4):
            sizes = {s: int(rng.integers(20, 300)) for s in program.symbols}
            if "conv" in formula:
                sizes["m"] = 400  # the signal is longer than the kernel
            cost = program.cost(sizes)
            assert float(cost.symbolic.evaluate(sizes)) == pytest.approx(cost.flops, rel=1e-12)


def test_a_polynomial_holds_for_other_sizes_where_the_order_is_the_same() -> None:
    program = Program([tc.parse("norm2(X*w-y)^2").gradient("w")])
    here = program.cost({"m": 100, "n": 20}).symbolic
    assert here == program.cost({"m": 3000, "n": 7}).symbolic
    assert here.evaluate({"m": 3000, "n": 7}) == program.cost({"m": 3000, "n": 7}).flops


def test_polynomials() -> None:
    m, n = dim("m"), dim("n")
    p = Polynomial.sum([(2, [m, n]), (Fraction(1, 3), [n, n, n]), (-1, [m]), (1, [minimum(m, n)])])
    assert str(p) == "n^3/3 + 2*m*n + min(m,n) - m"
    assert p.evaluate({"m": 5, "n": 3}) == 9 + 30 + 3 - 5
    assert str(Polynomial.sum([(1, [m]), (-1, [m])])) == "0"
    assert str(Polynomial.sum([(1, [m - n, m + n])])) == "m^2 - n^2"
    assert str(Polynomial.sum([(3, [dim(4)]), (-1, [n])])) == "-n + 12"

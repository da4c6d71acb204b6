"""Sizes read off arrays, sizes given by name, and indices that an axis does not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from backends import Backend

import tensorcalculus as tc
from tensorcalculus.compiler.sizes import solve_sizes
from tensorcalculus.expr.dims import dim
from tensorcalculus.expr.node import Variable

# -- lengths that are polynomials ----------------------------------------------------------------


def told(length: int, shape: str, given: dict[str, int] | None = None, **more: int) -> dict:
    """Sizes from a vector declared of this shape, from others, and given by name."""
    variables = {"x": Variable("x", (dim(shape),))}
    variables |= {name: Variable(name, (dim(name),)) for name in more}
    return solve_sizes(variables, {"x": (length,), **{k: (n,) for k, n in more.items()}}, given)


@pytest.mark.parametrize(
    ("shape", "length", "n"),
    [
        ("n*n", 9, 3),
        ("n*n", 0, 0),
        ("n*n", 10**12, 10**6),
        ("n*n", (10**9 + 7) ** 2, 10**9 + 7),
        ("n*n*n", 125, 5),
        ("2*n*n+3", 21, 3),
        ("n*n+n", 12, 3),
        ("n*n-n", 6, 3),
        ("2*n", 8, 4),
        ("n+5", 5, 0),
        ("n-3", 4, 7),
        ("5-n", 2, 3),
    ],
)
def test_one_size_is_solved_for(shape: str, length: int, n: int):
    assert told(length, shape) == {"n": n}


def test_other_sizes_help():
    assert told(18, "n*n*k", k=2) == {"k": 2, "n": 3}
    assert told(7, "n*k+1", k=2) == {"k": 2, "n": 3}


@pytest.mark.parametrize(
    ("shape", "length", "message"),
    [
        ("n*n", 8, r"x has shape (8,); axis 0 is expected to be n*n, and no size n makes it 8; it "
                   r"may be 4 (n = 2) or 9 (n = 3)"),
        ("n*n*n", 26, "it may be 8 (n = 2) or 27 (n = 3)"),
        ("n*n-n", 5, "it may be 2 (n = 2) or 6 (n = 3)"),
        ("2*n", 5, "it may be 4 (n = 2) or 6 (n = 3)"),
        ("n+5", 3, "no size n makes it 3; it may be 5 (n = 0)"),
        ("5-n", 7, "no size n makes it 7; it may be 5 (n = 0)"),
    ],
)  # fmt: skip
def test_lengths_that_no_size_gives(shape: str, length: int, message: str):
    f = tc.parse("sum(x)+sum(ones(n))", x=shape)
    with pytest.raises(tc.InputError) as caught:
        f(x=np.ones(length))
    assert message in str(caught.value)


def test_sizes_solved_for_reach_the_formula():
    f = tc.parse("sum(x)*sum(ones(n))", x="n*n")
    assert f(x=np.ones(9)) == 27.0
    assert f.gradient("x")(x=np.ones(16)).tolist() == [4.0] * 16


@pytest.mark.parametrize(
    ("shape", "length", "message"),
    [
        ("m*n", 6, "be m*n, from which the sizes m and n do not follow; declare a variable with"),
        ("n*n-n", 0, "be n*n-n, from which the size n does not follow"),
    ],
)
def test_lengths_that_several_sizes_give(shape: str, length: int, message: str):
    f = tc.parse("sum(x)+sum(ones(n))", x=shape)
    with pytest.raises(tc.InputError) as caught:
        f(x=np.ones(length))
    assert message in str(caught.value)


def test_a_size_given_helps_and_is_compared():
    assert told(6, "n*k", {"k": 2}) == {"k": 2, "n": 3}
    with pytest.raises(tc.InputError, match="the size n is given as 4; the arrays say 3"):
        told(3, "n", {"n": 4})


# -- sizes given by name -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-3, 2.5, "3", True, None])
def test_what_is_no_size(size: Any):
    f = tc.parse("norm2(T-U*V')^2", T="m n", U="m k", V="n k")
    calls = [
        lambda: tc.codegen(f, sizes={"k": size}),
        lambda: f.check("U", sizes={"k": size}),
        lambda: tc.minimize(f, ["U", "V"], {"T": np.eye(3), "k": size}),
    ]
    for call in calls:
        with pytest.raises(tc.InputError, match="the size k is a non-negative integer, not "):
            call()
    with pytest.raises(tc.InputError, match=r"size k = .* is beyond the largest size accepted"):
        tc.codegen(f, sizes={"k": 2**40})


def test_sizes_of_a_module_fit_together():
    f = tc.parse("norm2(conv(x,c))^2", x="n", c="k")
    with pytest.raises(tc.InputError, match=r"n = 2 and k = 5 the axis n-k\+1 has the length -2"):
        tc.codegen(f, sizes={"n": 2, "k": 5})
    with pytest.raises(tc.InputError, match=r"n = 100 \(default\) and k = 500 the axis"):
        tc.codegen(f, sizes={"k": 500})
    assert "def evaluate" in str(tc.codegen(f, sizes={"n": 0, "k": 0}))
    assert "def evaluate" in str(tc.codegen(f, sizes={"n": 500, "k": 500}))


# -- indices -------------------------------------------------------------------------------------

INDICES = [
    ("x[3]", 2, "x[3] is outside of an axis of length 2; expected at least 4"),
    ("x[3]+sum(x)", 3, "x[3] is outside of an axis of length 3; expected at least 4"),
    ("x[5]", 5, "x[5] is outside of an axis of length 5; expected at least 6"),
    ("x[-3]", 2, "x[-3] is outside of an axis of length 2; expected at least 3"),
    ("x[0]", 0, "x[0] is outside of an axis of length 0; expected at least 1"),
    ("exp(x)[2]", 2, "exp(x)[2] is outside of an axis of length 2; expected at least 3"),
    ("sum(x[2:5])", 3, "x[2:5] is outside of an axis of length 3; expected at least 5"),
    ("sum(x[:-3])", 2, "x[:-3] is outside of an axis of length 2; expected at least 3"),
    ("sum(x[3:-2])", 4, "x[3:-2] is outside of an axis of length 4; expected at least 5"),
    ("sum(x[-2:3])", 6, "x[-2:3] is outside of an axis of length 6; expected at most 5"),
]


@pytest.mark.parametrize(("formula", "length", "message"), INDICES)
def test_an_index_outside_of_its_axis(formula: str, length: int, message: str):
    f = tc.parse(formula, x="n")
    with pytest.raises(tc.InputError) as caught:
        f(x=np.ones(length))
    assert message in str(caught.value)
    # A derivative writes to these places: it names what is written.
    with pytest.raises(tc.InputError, match=rf"is outside of an axis of length {length}; expected"):
        f.gradient("x")(x=np.ones(length))


def test_the_next_length_is_checked_again():
    # One source serves lengths from 4 to 7.
    f = tc.parse("x[5]", x="n")
    for _ in range(2):
        assert f(x=np.arange(7.0)) == 5
        with pytest.raises(tc.InputError, match="axis of length 4"):
            f(x=np.arange(4.0))
        assert f(x=np.arange(6.0)) == 5


def test_frameworks_do_not_guess(backend: Backend):
    for formula, length, message in INDICES:
        run = tc.compile(tc.parse(formula, x="n"), backend=backend.name)
        with pytest.raises(tc.InputError) as caught:
            run(x=backend.array(np.ones(length)))
        assert message in str(caught.value)


@pytest.mark.parametrize("formula", ["x[3]", "sum(x[2:5])", "sum(x[1:].*x[:-1])", "sum(x[::-1])"])
def test_arrays_that_are_long_enough_cost_nothing(formula: str):
    f = tc.parse(formula, x="n")
    for outputs in (f, f.gradient("x")):
        run = tc.compile(outputs)
        run(x=np.ones(8))
        assert "if " not in run.source
    assert "if " not in f._program().source()


def test_slices_to_the_end_may_be_empty():
    x = np.ones(3)
    assert tc.parse("x[3:]", x="n")(x=x).shape == tc.parse("x[:-3]", x="n")(x=x).shape == (0,)
    assert tc.parse("x[3:-2]", x="n")(x=np.ones(5)).shape == (0,)
    assert tc.parse("x[5:2]", x="n").shape == tc.parse("ones(0)").shape


def test_a_module_refuses_what_a_call_refuses():
    text = str(tc.codegen(tc.parse("x[5]+sum(x)", x="n"), sizes={"n": 5}))
    module: dict[str, Any] = {}
    exec(text, module)
    assert module["evaluate"](np.ones(6)) == 7
    with pytest.raises(ValueError, match=r"x\[5\] is outside of an axis of length 5"):
        module["evaluate"](np.ones(5))


@pytest.mark.parametrize("name", ["t0", "t1", "dtype", "d0", "np", "σ"])
def test_names_of_users_stay_in_the_text(name: str):
    f = tc.parse(f"sum(exp({name}*{name}'))+{name}[5]+exp({name})[2]", **{name: "n"})
    with pytest.raises(tc.InputError, match=rf"{name}\[5\] is outside of an axis of length 5"):
        f(**{name: np.ones(5)})
    assert f(**{name: np.zeros(7)}) == 50

"""Kinds and sizes of names, rows and columns, and what a formula that does not fit is told."""

from __future__ import annotations

import warnings

import pytest
from formula_data import SHAPES

import tensorcalculus as tc
from tensorcalculus.notation.declare import natural_order

# -- kinds and sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "order"),
    [("x", 1), ("X", 2), ("alpha", 0), ("alpha1", 0), ("beta_2", 0), ("λ", 0), ("Σ", 0),
     ("Γ", 0), ("lambda", 0), ("xs", 1), ("Xs", 2), ("w1", 1), ("_x", 1)],
)  # fmt: skip
def test_natural_kind(name: str, order: int):
    assert natural_order(name) == order


@pytest.mark.parametrize(
    ("text", "declared", "shapes"),
    [
        ("X*w-y", {}, {"X": "m n", "w": "n", "y": "m"}),
        ("norm2(X*w-y)^2", {}, {"X": "m n", "w": "n", "y": "m"}),
        ("alpha*x", {}, {"alpha": "", "x": "m"}),
        ("x'*A*x", {}, {"x": "m", "A": "m m"}),
        ("A*B'", {}, {"A": "m n", "B": "k n"}),
        ("A.*B+C", {}, {"A": "m n", "B": "m n", "C": "m n"}),
        ("tr(A*B)", {}, {"A": "m n", "B": "n m"}),
        ("inv(A)*x", {}, {"A": "m m", "x": "m"}),
        ("X*w", {"X": "5 n"}, {"X": "5 n", "w": "n"}),
        ("X*w", {"w": "k"}, {"X": "m k", "w": "k"}),
        ("X*w", {"w": "m"}, {"X": "n m", "w": "m"}),
        ("A+eye", {}, {"A": "m m"}),
        ("X-vector(1)*u'", {}, {"X": "m n", "u": "n"}),
        ("A*diag(x)*B", {}, {"A": "m n", "x": "n", "B": "n k"}),
        ("x^p", {"x": ""}, {"x": "", "p": ""}),
        ("sum(abs(x).^p)^(1/p)", {"p": ""}, {"x": "m", "p": ""}),
        ("det(X)^k", {}, {"X": "m m", "k": ""}),
        ("norm2(T-U*V')^2", {}, {"T": "m n", "U": "m k", "V": "n k"}),
        ("einsum('ij,j->i',A,x)", {}, {"A": "m n", "x": "n"}),
        ("A*x", {"A": "m n"}, {"A": "m n", "x": "n"}),
        ("sum(x)*n", {"x": "n"}, {"x": "n"}),
        ("kron(A,x*x')*B", {}, {"A": "m n", "x": "k", "B": "k*n p"}),
        ("solve(A,b)", {}, {"A": "m m", "b": "m"}),
        ("logdet(A'*diag(x)*A)", {}, {"A": "m n", "x": "m"}),
    ],
)
def test_inference(text: str, declared: dict[str, str], shapes: dict[str, str]):
    f = tc.parse(text, **declared)
    found = {name: " ".join(map(str, v.shape)) for name, v in f.variables.items()}
    sizes: dict[str, str] = {}

    def matches(a: str, b: str) -> bool:
        # The letters of inferred sizes do not matter, that equal ones are equal does.
        return len(a.split()) == len(b.split()) and all(
            sizes.setdefault(p, q) == q for p, q in zip(a.split(), b.split(), strict=True)
        )

    assert found.keys() == shapes.keys()
    assert all(matches(shapes[name], found[name]) for name in shapes), found
    assert len(set(sizes.values())) == len(sizes), found
    for name, spec in declared.items():
        assert found[name] == spec


def test_inference_ends_with_equal_objects():
    assert tc.parse("X*w-y") is tc.parse("X*w-y", X="m n", w="n", y="m")


def test_sizes_as_numbers():
    f = tc.parse("sum(x)/n", x="n")
    assert f(x=[1.0, 2.0, 6.0]) == 3.0


@pytest.mark.parametrize(
    ("spec", "shape", "properties"),
    [
        ("n n spd", "n n", {"spd"}),
        ("n n sym nonneg", "n n", {"sym", "nonneg"}),
        ("m n orth", "m n", {"orth"}),
        ("n, n, tri", "n n", {"tri"}),
        ("n n n sym", "n n n", {"sym"}),
        ("n diag", None, None),
        ("", "", set()),
        ("nonneg", "", {"nonneg"}),
        ("2*n k+1", "2*n k+1", set()),
        ("2 * n k + 1", "2*n k+1", set()),
    ],
)
def test_declarations(spec: str, shape: str | None, properties: set[str] | None):
    if shape is None:
        with pytest.raises(tc.ParseError):
            tc.variables(S=spec)
        return
    v = tc.variables(S=spec)
    assert " ".join(map(str, v.shape)) == shape
    assert v.properties == properties


def test_properties_are_used():
    f = tc.parse("x'*S*x", S="n n sym")
    assert f.gradient("x") is tc.parse("2*S*x", S="n n sym", x="n").simplify()
    S = tc.parse("S", S="n n spd")
    assert tc.parse("S'", S="n n spd").simplify() is S


def test_properties_by_either_way_in_are_the_same():
    S, v = tc.variables(S="n n spd", x="n")
    assert tc.parse("x'*S*x", S="n n spd") is (v @ S @ v)


# -- rows and columns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x*y", "two vectors side by side: `x` is (4), `y` is (4); write x'*y (a scalar)"),
        ("x'*y'", "two rows side by side: `x'` is a row (4)"),
        ("A*x'", "a matrix times a row: `A` is (4, 4), `x'` is a row (4); leave out the '"),
        ("x*A", "a column times a matrix"),
        ("x'+y", "cannot add: `x'` is a row (4), `y` is (4); one is a row, the other a column"),
        ("x'.*y", "one is a row, the other a column"),
        ("A*B'", "cannot multiply: `A` is (4, 4), `B'` is (3, 4); the inner"),
        ("A*B'", "the inner dimensions 4 and 3 clash"),
        ("A*B*A", "cannot multiply: `A*B` is (4, 3), `A` is (4, 4)"),
        ("A+B", "cannot add: `A` is (4, 4), `B` is (4, 3); 4 and 3 clash"),
        ("A+x", "the orders differ"),
        ("A.*B", ".* joins operands of one shape"),
        ("A./x", "./ joins operands of one shape"),
        ("x/y", "/ divides by a scalar; `y` is (4)"),
        ("A:x", "the Frobenius product A:B joins tensors of one shape"),
        ("T*A", "for tensors use einsum"),
        ("T'", "' transposes vectors and matrices"),
        ("c@A", "write * for a scalar"),
        ("x^2", "write .^ for entry by entry"),
        ("B^2", "square"),
        ("A^x", "^ is the power of a scalar"),
        ("A^0.5", "sqrtm"),
        ("x.^A", ".^ joins operands of one shape"),
        ("inv(B)", "inv takes a square matrix"),
        ("inv(x)", "inv takes a square matrix"),
        ("tr(B)", "B"),
        ("khatrirao(A,B)", "khatrirao takes two matrices with equally many columns"),
        ("A[4]", "4"),
        ("A[0,0,0]", "A"),
        ("c[0]", "c"),
        ("einsum('ij,jk->ik',A,x)", "x"),
        ("einsum('ij,jk->ik',A,B')", "3"),
        ("einsum('ij->k',A)", "k"),
        ("reshape(x,3,2)", "reshape"),
        ("cp(A,B)", "cp"),
        ("tt(B,A)", "ranks 3 and 4 of cores 1 and 2 clash"),
        ("conv(k,x)", "longer than the data"),
        ("diag(T)", "diag"),
        ("sum(A,axis=2)", "axis"),
        ("sum(A,axis=x)", "axis is an integer"),
        ("exp(x,axis=0)", "exp has no option 'axis'"),
        ("exp(x,y)", "exp is called as exp(x); 2 arguments are given"),
        ("kron(A)", "kron is called as kron(A, B); 1 arguments are given"),
        ("einsum(A,x)", "text in quotes"),
        ("eye(x)", "x is (4); a size is expected"),
        ("ones()", "ones takes"),
        ("x(1)", "x is a variable: write x*(...)"),
        ("maximum(A,x)", "maximum takes tensors of one shape, and scalars (in maximum: `A` (4, 4)"),
        ("max(A,x)", "takes tensors of one shape"),
        ("max(A,B,axis=0)", "without axis"),
        ("xlogy(A,B)", "(in xlogy: `A` (4, 4), `B` (4, 3))"),
    ],
)  # fmt: skip
def test_shape_errors(text: str, message: str):
    with pytest.raises(tc.TensorCalculusError) as caught:
        tc.parse(text, **SHAPES)
    assert message in str(caught.value)
    # The place is marked under the formula.
    assert f"\n  {text}\n" in str(caught.value)
    assert str(caught.value).splitlines()[-1].strip("^ ") == ""


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("sum(x)+tr(A*B)", "tr(A*B)"),
        ("exp(x)+exp(x*y)", "x*y"),
        ("x+foo(x)", "foo(x)"),
        ("tr(inv(B)*A)", "inv(B)"),
        ("2*(A+B)", "A+B"),
    ],
)
def test_errors_mark_their_place(text: str, marked: str):
    with pytest.raises(tc.TensorCalculusError) as caught:
        tc.parse(text, **SHAPES)
    *_, line, carets = str(caught.value).splitlines()
    start = carets.index("^")
    assert line[start : start + carets.count("^")].startswith(marked)


def test_open_sizes_are_asked_for():
    with pytest.raises(
        tc.ShapeError, match="does not follow from the formula; write it, as in eye"
    ):
        tc.parse("tr(eye)")


def test_no_warning_from_reading():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tc.parse("0*x+zeros(4)", x="4")


def test_where_defines_before_it_uses() -> None:
    with pytest.raises(tc.ParseError, match="z is used before where defines it"):
        tc.parse("(y-1)^2 where y = sin(z), z = 2*a'*b")


@pytest.mark.parametrize(("text", "message"), [("x^T*A*x", "written x'"), ("x.T*A", "x' for x.T")])
def test_transposes_of_other_languages(text: str, message: str) -> None:
    with pytest.raises(tc.TensorCalculusError, match=message):
        tc.parse(text)

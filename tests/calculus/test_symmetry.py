"""Derivatives by structured variables: inside their space, or by all entries."""

import numpy as np
import pytest

import tensorcalculus as tc


def test_projected_and_full_by_a_symmetric_matrix() -> None:
    f = tc.parse("x'*S*y", S="n n sym", x="n", y="n")
    assert str(f.gradient("S")) == "(x*y'+y*x')/2"
    assert str(f.gradient("S", symmetry="full")) == "x*y'"
    assert str(tc.parse("x'*S'*y", S="n n sym").gradient("S", symmetry="full")) == "y*x'"


def test_full_is_the_derivative_of_the_formula_by_independent_entries() -> None:
    rng = np.random.default_rng(0)
    a, b, s = (rng.standard_normal((3, 3)) for _ in range(3))
    s = s + s.T
    text = "tr(S*A*S*B)+tr(A*S)"
    full = tc.parse(text, S="n n sym").gradient("S", symmetry="full")
    free = tc.parse(text, S="n n").gradient("S")
    values = {"S": s, "A": a, "B": b}
    assert np.allclose(full(**values), free(**values))
    projected = tc.parse(text, S="n n sym").gradient("S")
    assert np.allclose(projected(**values), (free(**values) + free(**values).T) / 2)


def test_full_second_derivatives_do_not_depend_on_the_order() -> None:
    f = tc.parse("x'*S*x+x'*x", S="n n sym", x="n")
    one = tc.derivative(f, ["x", "S"], symmetry="full")
    other = tc.derivative(f, ["S", "x"], symmetry="full")
    x = np.arange(1.0, 4.0)
    values = {"x": x, "S": np.eye(3)}
    assert np.allclose(one(**values), np.transpose(other(**values), (2, 0, 1)))


@pytest.mark.parametrize("structure", ["sym", "spd", "diag", "tri"])
def test_projection_stays_in_the_space(structure: str) -> None:
    f = tc.parse("tr(A*S*B*S)+logdet(S)", S=f"n n {structure}", A="n n", B="n n")
    f.check("S", order=2)


def test_a_broadcast_diagonal_is_not_symmetric() -> None:
    f = tc.parse("tr(A'*diag(S)*ones(n)')", S="n n sym", A="n n")
    f.check("S", "A")
    assert str(f.gradient("A")) == "diag(S)*ones(n)'"


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ValueError, match="projected, full"):
        tc.parse("tr(S)", S="n n sym").gradient("S", symmetry="half")


@pytest.mark.parametrize("properties", ["", "sym", "tri", "diag"])
def test_hessians_of_deep_functions_lie_in_the_space_of_the_variable(properties: str) -> None:
    """They are made through the inner product of the first layer."""
    f = tc.parse("sum(tanh(tanh(tanh(X*S)*A)).^2)", X="m n", S=f"n n {properties}", A="n n")
    reports = {mode: f.hessian("S", mode=mode) for mode in ("auto", "reverse", "forward")}
    rng = np.random.default_rng(5)
    s = rng.standard_normal((3, 3))
    s = {"sym": s + s.T, "tri": np.tril(s), "diag": np.diag(np.diag(s))}.get(properties, s)
    values = {"X": rng.standard_normal((4, 3)), "S": s, "A": rng.standard_normal((3, 3))}
    found = {mode: h(**values) for mode, h in reports.items()}
    np.testing.assert_allclose(found["auto"], found["reverse"], atol=1e-13)
    np.testing.assert_allclose(found["forward"], found["reverse"], atol=1e-13)
    f.check("S", order=2)

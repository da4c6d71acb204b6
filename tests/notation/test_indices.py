"""Index notation: pinned formulas, and an independent reader that finds the same numbers."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from index_reader import Evaluator
from index_values import sizes_of, whole
from support import shared_path

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.node import Expr, Variable, variables_of, walk
from tensorcalculus.testing import expressions, values_for

TABLE = [
    ("a'*x", {}, "", "sum(i: a[i]*x[i])"),
    ("A*x", {}, "", "[i] = sum(j: A[i,j]*x[j])"),
    ("A*x", {}, "A", "[i,j,k] = x[k]*delta[i,j]"),
    ("norm2(X*w-y)^2", {}, "w", "[i] = 2*sum(j: X[j,i]*(sum(k: X[j,k]*w[k])-y[j]))"),
    ("norm2(X*w-y)^2", {}, "ww", "[i,j] = 2*sum(k: X[k,i]*X[k,j])"),
    ("tr(X'*A*X)", {"X": "m p"}, "XX", "[i,j,k,l] = (A[i,k]+A[k,i])*delta[j,l]"),
    ("tr(X)", {}, "X", "[i,j] = delta[i,j]"),
    ("sum(x)", {}, "x", "[i] = 1"),
    ("exp(X)", {}, "X", "[i,j,k,l] = exp(X[i,j])*delta[i,k]*delta[j,l]"),
    ("inv(X)", {}, "X", "[i,j,k,l] = -S[i,k]*S[l,j] where S[i,j] = inv(X)[i,j]"),
    ("logdet(A+diag(x))", {}, "x", "[i] = inv(R)[i,i] where R[i,j] = A[i,j]+x[i]*delta[i,j]"),
    ("log(sum(exp(x)))", {}, "xx",
     "[i,j] = s[i]*delta[i,j]-s[i]*s[j] where s[i] = softmax(x)[i]"),
    ("x/norm2(x)", {}, "", "[i] = x[i]/sqrt(sum(j: x[j]^2))"),
    ("x.*log(x./y)", {}, "", "[i] = x[i]*log(x[i]/y[i])"),
    ("(x'*y)^3/(2*c^2)", {"c": ""}, "", "sum(i: x[i]*y[i])^3/(2*c^2)"),
    ("-(a-b)^2*(a+c)", {"a": "", "b": "", "c": ""}, "", "-(a-b)^2*(a+c)"),
    ("2^-c*a^(b-1)", {"a": "", "b": "", "c": ""}, "", "a^(b-1)*2^(-c)"),
    ("mean(x)", {}, "x", "[i] = 1/m"),
    ("cp(A,B,C)", {"A": "m r", "B": "n r", "C": "p r"}, "",
     "[i,j,k] = sum(l: A[i,l]*B[j,l]*C[k,l])"),
    ("kron(A,B)", {"A": "m n", "B": "p q"}, "",
     "[i,j] = reshape(Z,m*p,n*q)[i,j] where Z[i,j,k,l] = A[i,k]*B[j,l]"),
    ("logsumexp(X, axis=-1)", {}, "", "[i] = logsumexp(X,axis=-1)[i]"),
    ("x[1:3]", {"x": "5"}, "x", '[i,j] = embed(Z,"1:3",5)[i,j] where Z[i<2,j<2] = delta[i,j]'),
    ("x[::-1]", {}, "", "[i] = x[::-1][i]"),
    ("k*A*x", {"k": "", "A": "i j", "x": "j"}, "", "[l] = k*sum(m: A[l,m]*x[m])"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shapes", "wrt", "expected"), TABLE)
def test_pinned(text: str, shapes: dict, wrt: str, expected: str) -> None:
    f = tc.parse(text, shapes)
    e = tc.derivative(f, list(wrt)) if wrt else f
    assert e.to_index() == expected


def compare(e: Expr, values: dict[str, Any], sizes: dict[str, int]) -> None:
    told = {k: v for k, v in values.items() if k in variables_of(e)}
    shown = {s for v in variables_of(e).values() for d in v.shape for s in d.symbols()}
    free = {s: sizes[s] for s in e._program().free_symbols if s not in shown}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        right = np.asarray(e(**told, **free))
        if right.size > 400 or not np.isfinite(right).all():
            return
        text = e.to_index()
        found = Evaluator(told, sizes, whole(sizes)).run(text, right.shape)
    scale = max(1.0, float(np.abs(right).max(initial=0.0)))
    assert np.allclose(found, right, rtol=1e-7, atol=1e-8 * scale), text


def small(e: Expr) -> bool:
    """Whether the loops of the reader end soon."""
    return sum(1 for _ in walk(e)) < 60


DATA = json.loads(shared_path("cases", "derivatives.json").read_text())


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["id"])
def test_cases(case: dict) -> None:
    f = tc.parse(case["expr"], {k: " ".join(v["shape"]) for k, v in case["vars"].items()})
    wrt = case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"]
    g = tc.derivative(f, wrt)
    values = values_for(f, sizes={s: 2 + k % 2 for k, s in enumerate(DATA["dims"])})
    for e in (f, g):
        if small(e):
            compare(e, values, sizes_of(f, values))


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
@given(expressions(max_nodes=6))
def test_random(f: Expr) -> None:
    try:
        values = values_for(f, sizes={"m": 2, "n": 3, "k": 2})
    except InputError:
        return
    sizes = {"m": 2, "n": 3, "k": 2} | sizes_of(f, values)
    compare(f, values, sizes)
    names = sorted(variables_of(f))
    if names and f.ndim <= 1 and small(f):
        g = f.jacobian(names[0])
        if small(g):
            compare(g, values, sizes)


def test_repeated_parts_keep_the_text_short() -> None:
    x = tc.variables(x="n n")
    for _ in range(30):
        x = np.tanh(x) @ x
    assert len(x.to_index()) < 4000


def test_depth_is_no_limit() -> None:
    x = tc.variables(x="n")
    for _ in range(5000):
        x = np.sin(x) + 1
    assert x.to_index().count("sin(") == 5000


def test_letters_avoid_names() -> None:
    i, J = tc.variables(i="", J="j j")
    assert (i * J).to_index() == "[k,l] = i*J[k,l]"


def test_kronecker_where_delta_is_a_variable() -> None:
    delta = Variable("delta", ())
    e = delta * tc.parse("tr(X)", X="n n").gradient("X")
    assert e.to_index() == "[i,j] = delta*kronecker[i,j]"


def test_more_indices_than_letters() -> None:
    vectors = tc.variables({f"v{k}": "n" for k in range(26)})
    total = tc.parse("+".join(f"v{k}'*v{k}" for k in range(26)), {f"v{k}": "n" for k in range(26)})
    assert total.to_index().startswith("sum(i: v0[i]^2)+sum(i: v1[i]^2)")
    text = contract([(v, (k,)) for k, v in enumerate(vectors)], range(26)).to_index()
    assert "v25[i1]" in text and text.count("[") == 27

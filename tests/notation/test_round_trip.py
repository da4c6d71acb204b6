"""What is printed parses back to the same function, and the same input always prints the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support import PACKAGE, shared_path

import tensorcalculus as tc
from tensorcalculus.errors import InputError
from tensorcalculus.expr import build
from tensorcalculus.expr.dims import dim
from tensorcalculus.expr.node import Expr, Map, Size, Variable, variables_of, walk
from tensorcalculus.expr.operations import operation
from tensorcalculus.testing import expressions, values_for

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))


def evaluated(e: Expr, values: dict[str, Any], sizes: dict[str, int]) -> np.ndarray:
    """The value of ``e``, whose variables are among the values."""
    told = {name: values[name] for name in variables_of(e)}
    shown = {s for v in variables_of(e).values() for d in v.shape for s in d.symbols()}
    free = {s: sizes[s] for s in e._program().free_symbols if s not in shown}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return np.asarray(e(**told, **free))


def sizes_of(f: Expr, values: dict[str, Any]) -> dict[str, int]:
    found = {name: v for name, v in values.items() if name not in variables_of(f)}
    for name, variable in variables_of(f).items():
        for d, n in zip(variable.shape, np.shape(values[name]), strict=True):
            if d.symbol is not None:
                found[d.symbol] = n
    return found


def _guarded(node: Expr) -> bool:
    return isinstance(node, Map) and node.function.name == "pow0"


def check(e: Expr, values: dict[str, Any], sizes: dict[str, int], *, same: bool = False) -> None:
    """Both spellings of ``e`` read back: the same node, or at least the same numbers."""
    for text in (str(e), e.to_einsum()):
        back = tc.parse(text, dict(variables_of(e)))
        if back is e:
            continue
        assert not same, f"{text} reads back as {back}"
        assert [d.evaluate(sizes) for d in back.shape] == [d.evaluate(sizes) for d in e.shape]
        right = evaluated(e, values, sizes)
        if not np.isfinite(right).all():
            continue
        found = evaluated(back, values, sizes)
        if not np.isfinite(found).all() and any(_guarded(n) for n in walk(e)):
            continue  # a power that is 0 at 0 by convention is typed as an ordinary one
        scale = max(1.0, float(np.abs(right).max(initial=0.0)))
        assert np.allclose(found, right, rtol=1e-7, atol=1e-8 * scale), text


# -- the shared cases ----------------------------------------------------------------------------

DATA = json.loads(shared_path("cases", "derivatives.json").read_text())


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["id"])
def test_cases(case: dict) -> None:
    f = tc.parse(case["expr"], {k: " ".join(v["shape"]) for k, v in case["vars"].items()})
    wrt = case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"]
    values = values_for(f)
    sizes = sizes_of(f, values)
    for e in (f, f.simplify(), tc.derivative(f, wrt)):
        check(e, values, sizes)


# -- texts and nodes that are easily spelled wrong ------------------------------------------------

TEXTS = [
    ("a-(b-c)", "abc"), ("a/(b*c)", "abc"), ("a/(b/c)", "abc"), ("(a+b)^2", "abc"),
    ("-a^2", "a"), ("(-a)^2+(-a)^3", "a"), ("2^-a", "a"), ("(2^a)^b", "ab"), ("a^(b^c)", "abc"),
    ("0.1*a+1e-7*b-1e20", "ab"), ("a/3-2*b/7", "ab"), ("-(a+b)/(a-b)", "ab"),
    ("x./y./z", ""), ("x./(y.*z)", ""), ("x.^y.^z", ""), ("(x.^2)'*y", ""), ("x.^2*y'", ""),
    ("2.^x", ""), ("x'*y*z", ""), ("x*(y'*z)", ""), ("(x*y')*z", ""), ("x'*A'*y", ""),
    ("(A*B)'", ""), ("A'.*B", ""), ("(A.^2)'", ""), ("A'^2", "A: n n"), ("inv(A)'", "A: n n"),
    ("(A*x)./y", ""), ("A*(x./y)", ""), ("diag(x)*A*diag(y)", ""), ("diag(A)", "A: n n"),
    ("diag(diag(A))", "A: n n"), ("ones(3)*x'", ""), ("x-mean(x)", ""), ("x+1", ""), ("A-2", ""),
    ("1-x./2", ""), ("sum(x)*ones(n)+y", "x: m, y: n"), ("mean(A,axis=0)", ""), ("var(A)", ""),
    ("sum(A,axis=0)", ""), ("sum(A,axis=1)", ""), ("max(A,axis=0)", ""), ("prod(A,axis=0)", ""),
    ("prod(A)", ""), ("logsumexp(A)", ""), ("logsumexp(A,axis=0)", ""), ("softmax(A')", ""),
    ("cumsum(x)+revcumsum(x)", ""), ("norm1(A)*norm2(x)^3", ""), ("norm2(x)^-1", ""),
    ("kron(x,y)", ""), ("kron(A,B)", ""), ("khatrirao(A,B)", ""), ("outer(A,x,y)", ""),
    ("outer(x,A)", ""), ("cp(A,B)", ""), ("cp(A,B,C)", ""), ("tt(A,B,C)", "B: p n q"),
    ("tucker(G,A,B,C)", "G: p q r"), ("unfold(T,3)", "T: m n p"), ("vec(A)", ""), ("vec(A')", ""),
    ("reshape(A,n,m)", "A: m n"), ("reshape(T,m*n,p)", "T: m n p"), ("transpose(T)", "T: m n p"),
    ("T:T", "T: m n p"), ("einsum('iij,j->i',T,x)", "T: n n p"), ("x[1:]", ""), ("A[0]", ""),
    ("A[:,1]", ""), ("A[1:,::-1]", ""), ("T[0,:,1:]", "T: m n p"), ("x[-2]", ""),
    ("conv(x,k)", "x: 7, k: 3"), ("conv(x,k)", "x: 2 7, k: 4 2 3"), ("conv(x,k)", ""),
    ("n*x", "x: n"), ("n^2*sum(x)/n", "x: n"), ("size(m*n)*c", "c"), ("size(m)*c", "c"),
    ("U*V' where (U,s,V) = svd(A)", ""), ("R where (Q,R) = qr(A)", ""), ("svdvals(A)", ""),
    ("V*diag(exp(d))*V' where (d,V) = eigh(S)", ""), ("r'*r where r = x-y", ""),
    ("spectral('exp(t)',S)", "S: n n"), ("A.*(B+1)", ""), ("min(max(x,0),1)", ""),
    ("max(A,c)", "c"), ("abs(x)", ""), ("polygamma(2,x)", ""), ("erf(c)*pi", "c"),
    ("zeros(m,n)*x", ""), ("c*eye(n)", "c"), ("lower(n,0.5)*x", "x: n"), ("shift(7,3)", ""),
    ("sign(x).*step(y)", ""),
    ("softplus(x)+logcosh(x)", ""), ("xlogy(x,y)", ""), ("arctan2(x,y)", ""), ("sqrt(A)", ""),
    ("sqrt(c)/sqrt(d)", "cd"), ("expm(A)+logm(A)+sqrtm(A)", "A: n n"), ("pinv(A)", ""),
    ("log_softmax(A)", ""), ("log_softmax(2*x-y)", ""), ("solve(A,x)", ""), ("A^-2", "A: n n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "spec"), TEXTS)
def test_texts(text: str, spec: str) -> None:
    if ":" in spec:
        parts = (p.split(":") for p in spec.split(","))
        declared = {name.strip(): shape.strip() for name, shape in parts}
    else:
        declared = dict.fromkeys(spec, "")
    f = tc.parse(text, declared)
    values = values_for(f)
    sizes = sizes_of(f, values)
    check(f, values, sizes, same=True)
    for name in variables_of(f) if f.ndim < 3 else ():
        check(f.jacobian(name), values, sizes)


def matrix(name: str, *shape: Any, props: str = "") -> Variable:
    return Variable(name, tuple(dim(s) for s in shape), frozenset(props.split()))


WHOLE = (0, None, 1)


def nodes() -> dict[str, Expr]:
    """Expressions that derivatives make and people hardly type."""
    x, A, T = matrix("x", "n"), matrix("A", "m", "n"), matrix("T", "k", "m", "n")
    c, S = matrix("c"), matrix("S", "n", "n", props="sym")
    square = matrix("B", "k", "n", "n")
    return {
        "a size that no variable shows": Size(dim("m")) * c,
        "a size with the name of a variable": Size(dim("n")) * matrix("n") * A,
        "a compound size": Size(dim("m") * "n" - 1) * A,
        "a slice behind batch axes": operation("slice", T, params=(((1, None, 1),),)),
        "a symbolic slice behind batch axes": operation(
            "slice", T, params=(((0, dim("n") - 1, 1),),)
        ),
        "embed behind batch axes": operation("embed", T, params=(((1, None, 1),), (dim("n") + 1,))),
        "reshape behind batch axes": operation(
            "reshape", matrix("R", "k", "m", "n"), params=(2, (dim("n"), dim("m")))
        ),
        "a slice to a minimum": operation("slice", A, params=((WHOLE, (0, dim("min(m,n)"), 1)),)),
        "embed to a minimum": operation(
            "embed",
            operation("qr_Q", A),
            params=((WHOLE, (0, dim("min(m,n)"), 1)), (dim("m"), dim("n"))),
        ),
        "a batch of inverses": operation("inv", square),
        "a batch of maxima": operation("max", T),
        "products without one": operation("prod", T, params=(1,)),
        "diagonals of two tensors": build.einsum(
            "iii,iii->", matrix("P", "n", "n", "n"), matrix("Q", "n", "n", "n")
        ),
        "a diagonal block": build.einsum("i,j->iji", x, matrix("y", "m")),
        "entries of two symmetric matrices": build.einsum("ij,ij->", S, matrix("R", "n", "n")),
        "a scalar of a slice": c * operation("slice", x, params=((0,),)),
        "powers of powers": (c**2) ** matrix("d"),
        "a negative base": (-x) ** 3,
        "a fraction as exponent": (1 + x**2) ** -1.5,
        "a negative number in a product": (-2 * x) * (-3 * c),
        "fills": build.ones("m", "n") * c + A,
        "a row of a matrix": operation("slice", A, params=((0, WHOLE),)),
    }


@pytest.mark.parametrize("which", list(nodes()))
def test_nodes(which: str) -> None:
    e = nodes()[which]
    values = values_for(e)
    check(e, values, sizes_of(e, values))


# -- random expressions --------------------------------------------------------------------------


def check_random(f: Expr) -> None:
    try:
        values = values_for(f)
    except InputError:
        return
    sizes = {"m": 3, "n": 3, "k": 3} | sizes_of(f, values)
    check(f, values, sizes)
    if f.ndim <= 1 and variables_of(f):
        check(f.jacobian(min(variables_of(f))), values, sizes)


@settings(RELAXED, max_examples=60)
@given(expressions(max_nodes=6))
def test_random(f: Expr) -> None:
    check_random(f)


@pytest.mark.slow
@settings(RELAXED, max_examples=2000)
@given(expressions(max_nodes=12))
def test_many_random(f: Expr) -> None:
    check_random(f)


# -- the same print every time ---------------------------------------------------------------------

PRINT = """
import json, sys
import tensorcalculus as tc
texts = json.loads(sys.stdin.read())
if sys.argv[1] == "backwards":
    texts = texts[::-1]
found = {}
for text, declared, wrt in texts:
    f = tc.parse(text, declared)
    for e in (f, tc.derivative(f, wrt)):
        prints = [str(e), e.to_einsum(), e.to_latex(), e.to_index()]
        found.setdefault(f"{text} by {wrt}", []).append(prints)
print(json.dumps(found, sort_keys=True))
"""


def printed(order: str, seed: str) -> dict:
    texts = [
        [
            case["expr"],
            {k: " ".join(v["shape"]) for k, v in case["vars"].items()},
            case["wrt"] if isinstance(case["wrt"], list) else [case["wrt"]] * case["order"],
        ]
        for case in DATA["cases"]
    ]
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PRINT, order],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
    )
    return json.loads(done.stdout)


def test_prints_are_the_same_in_every_process() -> None:
    first = printed("forwards", "1")
    for order, seed in (("backwards", "2"), ("forwards", "77")):
        again = printed(order, seed)
        assert again.keys() == first.keys()
        for text, found in first.items():
            assert again[text] == found, text

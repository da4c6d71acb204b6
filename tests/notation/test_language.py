"""What words, operators and where-clauses mean: each against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special
from formula_data import DATA, SHAPES, evaluate

import tensorcalculus as tc
from tensorcalculus.notation import language

# -- every function ------------------------------------------------------------------------------

POINTWISE: dict[str, tuple[str, Any]] = {
    "abs": ("x", np.abs), "sign": ("x", np.sign), "exp": ("x", np.exp), "expm1": ("x", np.expm1),
    "exp2": ("x", np.exp2), "log": ("p", np.log), "ln": ("p", np.log), "log1p": ("u", np.log1p),
    "log2": ("p", np.log2), "log10": ("p", np.log10), "sqrt": ("p", np.sqrt),
    "square": ("x", np.square), "cbrt": ("p", np.cbrt), "sin": ("x", np.sin), "cos": ("x", np.cos),
    "tan": ("u", np.tan), "arcsin": ("u", np.arcsin), "asin": ("u", np.arcsin),
    "arccos": ("u", np.arccos), "acos": ("u", np.arccos), "arctan": ("x", np.arctan),
    "atan": ("x", np.arctan), "sinh": ("x", np.sinh), "cosh": ("x", np.cosh),
    "tanh": ("x", np.tanh), "arcsinh": ("x", np.arcsinh), "asinh": ("x", np.arcsinh),
    "arccosh": ("v", np.arccosh), "acosh": ("v", np.arccosh), "arctanh": ("u", np.arctanh),
    "atanh": ("u", np.arctanh), "erf": ("x", scipy.special.erf), "erfc": ("x", scipy.special.erfc),
    "lgamma": ("p", scipy.special.gammaln), "gammaln": ("p", scipy.special.gammaln),
    "gamma": ("p", scipy.special.gamma), "digamma": ("p", scipy.special.digamma),
    "psi": ("p", scipy.special.digamma), "sigmoid": ("x", scipy.special.expit),
    "expit": ("x", scipy.special.expit), "softplus": ("x", lambda a: np.log(1 + np.exp(a))),
    "logcosh": ("x", lambda a: np.log(np.cosh(a))), "relu": ("x", lambda a: np.maximum(a, 0)),
    "step": ("x", lambda a: (a > 0) * 1.0), "floor": ("x", np.floor), "ceil": ("x", np.ceil),
    "round": ("x", np.round), "logsigmoid": ("x", lambda a: -np.log(1 + np.exp(-a))),
    "softmax": ("x", scipy.special.softmax), "log_softmax": ("x", scipy.special.log_softmax),
    "cumsum": ("x", np.cumsum), "revcumsum": ("x", lambda a: np.cumsum(a[::-1])[::-1]),
}  # fmt: skip


def _cofactor(a: np.ndarray) -> np.ndarray:
    return np.linalg.det(a) * np.linalg.inv(a).T


def _frechet(function: Any, a: np.ndarray, e: np.ndarray) -> np.ndarray:
    block = np.block([[a, e], [np.zeros_like(a), a]])
    return function(block)[: len(a), len(a) :]


def _convolution(x: np.ndarray, k: np.ndarray) -> np.ndarray:
    out = x.shape[1] - k.shape[2] + 1
    return np.stack([np.einsum("fcj,cj->f", k, x[:, o : o + k.shape[2]]) for o in range(out)], 1)


_d = DATA
_U, _s, _V = np.linalg.svd(_d["B"], full_matrices=False)
_gaps = _d["p"][None, :] - _d["p"][:, None] + np.eye(4)
_ratio = (np.exp(_d["p"])[None, :] - np.exp(_d["p"])[:, None]) / _gaps
np.fill_diagonal(_ratio, np.exp(_d["p"]))


def _sums(f: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sums and differences of ``f`` at the pairs of entries of ``p``."""
    value = f(_d["p"])
    return value[:, None] + value[None, :], value[:, None] - value[None, :]


OTHERS: dict[str, list[tuple[str, Any]]] = {
    "arctan2": [("arctan2(p,q)", np.arctan2(_d["p"], _d["q"]))],
    "atan2": [("atan2(x,y)", np.arctan2(_d["x"], _d["y"]))],
    "power": [("power(p,q)", _d["p"] ** _d["q"]), ("power(p,c)", _d["p"] ** 0.7)],
    "xlogy": [("xlogy(x,p)", _d["x"] * np.log(_d["p"]))],
    "polygamma": [("polygamma(1,p)", scipy.special.polygamma(1, _d["p"]))],
    "maximum": [("maximum(x,y)", np.maximum(_d["x"], _d["y"]))],
    "minimum": [("minimum(x,0.1)", np.minimum(_d["x"], 0.1))],
    "hadamard": [("hadamard(x,y,p)", _d["x"] * _d["y"] * _d["p"])],
    "sum": [("sum(T)", _d["T"].sum()), ("sum(B,axis=0)", _d["B"].sum(0)),
            ("sum(B,axis=-1)", _d["B"].sum(1))],
    "mean": [("mean(B)", _d["B"].mean()), ("mean(B,axis=1)", _d["B"].mean(1))],
    "var": [("var(x)", _d["x"].var()), ("var(B,axis=0)", _d["B"].var(0))],
    "max": [("max(B)", _d["B"].max()), ("max(B,axis=0)", _d["B"].max(0)),
            ("max(x,y)", np.maximum(_d["x"], _d["y"])), ("max(x,0)", np.maximum(_d["x"], 0))],
    "min": [("min(B)", _d["B"].min()), ("min(B,axis=1)", _d["B"].min(1)),
            ("min(x,y)", np.minimum(_d["x"], _d["y"]))],
    "prod": [("prod(x)", _d["x"].prod()), ("prod(B,axis=0)", _d["B"].prod(0))],
    "logsumexp": [("logsumexp(B)", scipy.special.logsumexp(_d["B"])),
                  ("logsumexp(B,axis=0)", scipy.special.logsumexp(_d["B"], axis=0))],
    "norm1": [("norm1(B)", np.abs(_d["B"]).sum())],
    "norm2": [("norm2(x)", np.linalg.norm(_d["x"])), ("norm2(T)", np.sqrt((_d["T"] ** 2).sum()))],
    "tr": [("tr(A)", np.trace(_d["A"]))],
    "diag": [("diag(x)", np.diag(_d["x"])), ("diag(A)", np.diag(_d["A"]))],
    "vec": [("vec(B)", _d["B"].reshape(-1, order="F"))],
    "outer": [("outer(x,y,p)", np.einsum("i,j,k->ijk", _d["x"], _d["y"], _d["p"]))],
    "kron": [("kron(B,D)", np.kron(_d["B"], _d["D"]))],
    "khatrirao": [("khatrirao(B,C)", scipy.linalg.khatri_rao(_d["B"], _d["C"]))],
    "cp": [("cp(B,C,D)", np.einsum("ir,jr,kr->ijk", _d["B"], _d["C"], _d["D"]))],
    "tucker": [("tucker(G,M',K,k*k')", np.einsum("abc,ia,jb,kc->ijk", _d["G"], _d["M"].T, _d["K"],
                                                np.outer(_d["k"], _d["k"])))],
    "tt": [("tt(K,L,M)", np.einsum("ia,ajb,bk->ijk", _d["K"], _d["L"], _d["M"]))],
    "conv": [("conv(N,Q)", _convolution(_d["N"], _d["Q"])),
             ("conv(x,k)", np.correlate(_d["x"], _d["k"], "valid")),
             ("conv(A,M[:,0:2])", np.einsum("oaij,ij->oa", np.lib.stride_tricks.sliding_window_view(
                 _d["A"], (2, 2)), _d["M"][:, :2]))],
    "solve": [("solve(A,x)", np.linalg.solve(_d["A"], _d["x"])),
              ("solve(A,B)", np.linalg.solve(_d["A"], _d["B"]))],
    "transpose": [("transpose(T)", _d["T"].T)],
    "inv": [("inv(A)", np.linalg.inv(_d["A"]))],
    "det": [("det(A)", np.linalg.det(_d["A"]))],
    "logdet": [("logdet(-A)", np.linalg.slogdet(-_d["A"])[1])],
    "pinv": [("pinv(B)", np.linalg.pinv(_d["B"]))],
    "chol": [("chol(S)", np.linalg.cholesky(_d["S"]))],
    "expm": [("expm(E)", scipy.linalg.expm(_d["E"]))],
    "logm": [("logm(S)", scipy.linalg.logm(_d["S"]))],
    "sqrtm": [("sqrtm(S)", scipy.linalg.sqrtm(_d["S"]))],
    "cofactor": [("cofactor(A)", _cofactor(_d["A"]))],
    "frechet_expm": [("frechet_expm(E,A)", _frechet(scipy.linalg.expm, _d["E"], _d["A"]))],
    "frechet_logm": [("frechet_logm(S,E)", _frechet(scipy.linalg.logm, _d["S"], _d["E"]))],
    "frechet_sqrtm": [("frechet_sqrtm(S,E)", _frechet(scipy.linalg.sqrtm, _d["S"], _d["E"]))],
    "eigvalsh": [("eigvalsh(S)", np.linalg.eigvalsh(_d["S"]))],
    "eigh_V": [("eigh_V(S)*diag(eigvalsh(S))*eigh_V(S)'", _d["S"])],
    "eigh": [("V*diag(d.^2)*V' where (d,V) = eigh(S)", _d["S"] @ _d["S"])],
    "svdvals": [("svdvals(B)", _s)],
    "svd_U": [("svd_U(B)*diag(svdvals(B))*svd_V(B)'", _d["B"])],
    "svd_V": [("svd_V(B)*svd_V(B)'", np.eye(3))],
    "svd": [("U*V' where (U,s,V) = svd(B)", _U @ _V), ("s where (U,s,V) = svd(B)", _s)],
    "qr_Q": [("qr_Q(B)'*qr_Q(B)", np.eye(3))],
    "qr_R": [("abs(qr_R(B))", np.abs(np.linalg.qr(_d["B"])[1]))],
    "qr": [("Q0*R where (Q0,R) = qr(B)", _d["B"]),
           ("R where (Q0,R) = qr(B)", np.linalg.cholesky(_d["B"].T @ _d["B"]).T)],
    "reciprocal0": [("reciprocal0(p)", 1 / _d["p"])],
    "sign0": [("sign0(p)", np.ones(4))],
    "argmax_share": [("argmax_share(z)", np.array([0, 0, 1.0, 0])),
                     ("argmax_share(min(z,1.5))", np.array([1, 0, 1, 1]) / 3)],
    "degenerate_check": [("degenerate_check(x,p)", _d["x"])],
    "gap_multiply": [("gap_multiply(E,p,0)", _d["E"] / _gaps * (1 - np.eye(4)))],
    "spectral": [('spectral("exp(t)",S/9)', scipy.linalg.expm(_d["S"] / 9))],
    "divided_difference": [('divided_difference("exp(t)",p,1)', _ratio)],
    "singular": [('singular("tanh(t)",B)', _U * np.tanh(_s) @ _V)],
    "singular_left": [('singular_left("t^4",B)', _U * _s**4 @ _U.T)],
    "signed_difference": [
        ('signed_difference("sinh(t)",p,"odd","+-")', _sums(np.sinh)[0] / _sums(np.positive)[0]),
        ('signed_difference("t^2",p,"even","+-")', _sums(np.square)[1] / _sums(np.positive)[0]),
    ],
    "einsum": [('einsum("ijk,kl->lij",T,A)', np.einsum("ijk,kl->lij", _d["T"], _d["A"])),
               ("einsum('ii',A)", np.trace(_d["A"])),
               ('einsum("i,i->i",x,y)', _d["x"] * _d["y"])],
    "reshape": [("reshape(T,6,4)", _d["T"].reshape(6, 4)),
                ("reshape(x,2,2)", _d["x"].reshape(2, 2))],
    "unfold": [("unfold(T,2)", np.moveaxis(_d["T"], 1, 0).reshape(3, -1, order="F"))],
    "eye": [("eye(3)", np.eye(3)), ("A+eye", _d["A"] + np.eye(4)),
            ("c*eye+A", 0.7 * np.eye(4) + _d["A"])],
    "ones": [("ones(2,3)", np.ones((2, 3)))],
    "zeros": [("zeros(2,3)+D", _d["D"]), ("zeros(4)", np.zeros(4))],
    "vector": [("x+vector(2)", _d["x"] + 2), ("vector(1)'*x", _d["x"].sum())],
    "matrix": [("D+matrix(c)", _d["D"] + 0.7)],
    "size": [("size(3)", 3.0)],
    "prod_except": [("prod_except(x,1)", _d["x"].prod() / _d["x"])],
    "lower": [("lower(3,0.5)", np.tril(np.ones((3, 3)), -1) + 0.5 * np.eye(3))],
    "shift": [("shift(4,2)", np.array([[[float(i == o + j) for j in range(2)] for o in range(3)]
                                       for i in range(4)]))],
    "embed": [('embed(k,"1:3",5)', np.array([0, *_d["k"], 0, 0]))],
    "slice": [('slice(x,"1:3")', _d["x"][1:3])],
}  # fmt: skip


def test_the_tables_cover_the_language():
    assert sorted([*POINTWISE, *OTHERS]) == language.names()
    assert not set(POINTWISE) & set(OTHERS)


@pytest.mark.parametrize("name", POINTWISE)
def test_entry_by_entry(name: str):
    variable, function = POINTWISE[name]
    value = evaluate(f"{name}({variable})")
    assert value.shape == (4,)
    assert np.allclose(value, function(DATA[variable]), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "expected"), [e for rows in OTHERS.values() for e in rows],
    ids=[text for rows in OTHERS.values() for text, _ in rows],
)  # fmt: skip
def test_whole_tensors(text: str, expected: Any):
    value = evaluate(text)
    assert value.shape == np.shape(expected)
    assert np.allclose(value, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [n for n, row in language.WORDS.items() if row.pointwise])
def test_pointwise_words_keep_rows(name: str):
    if name == "hadamard":
        assert evaluate("hadamard(x',y')*x").shape == ()
    else:
        variable = POINTWISE[name][0]
        assert evaluate(f"{name}({variable}')*y").shape == ()


# -- operators -----------------------------------------------------------------------------------

x, y, A, B, S, T, c = (DATA[n] for n in "xyABSTc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x'*y", x @ y),
        ("x*y'", np.outer(x, y)),
        ("x'*A", x @ A),
        ("x'*A*y", x @ A @ y),
        ("A*x", A @ x),
        ("A@x", A @ x),
        ("x@y", x @ y),
        ("x@A", x @ A),
        ("A*B", A @ B),
        ("T@A", T @ A),
        ("c*A*c", c * A * c),
        ("A.*S./A", S),
        ("c.*x", c * x),
        ("x./2", x / 2),
        ("1./x", 1 / x),
        ("x/c", x / c),
        ("A:S", (A * S).sum()),
        ("x:y+1", x @ y + 1),
        ("A^2", A @ A),
        ("A^-1", np.linalg.inv(A)),
        ("A^0", np.eye(4)),
        ("A**2", A @ A),
        ("A.^2", A**2),
        ("x.^2'*y", x**2 @ y),
        ("2.^x", 2**x),
        ("c^3", c**3),
        ("-c^2", -(c**2)),
        ("-x.^2", -(x**2)),
        ("2^-c", 2**-c),
        ("c^c^2", (c**c) ** 2),
        ("x'", x),
        ("A'", A.T),
        ("A.'", A.T),
        ("(A*B)'", B.T @ A.T),
        ("x'+y'", x + y),
        ("(x'+y')*A", (x + y) @ A),
        ("x+1", x + 1),
        ("1-A", 1 - A),
        ("x*y'*x", np.outer(x, y) @ x),
        ("x*(y'*x)", x * (y @ x)),
        ("(x'*y)*A", (x @ y) * A),
        ("x'*y*A", (x @ y) * A),
        ("sum(x)*x'*y", x.sum() * (x @ y)),
        ("2*x'*A'*x/3", 2 * (x @ A.T @ x) / 3),
        ("A*B*B'*x", A @ B @ B.T @ x),
        ("x[0]", x[0]),
        ("x[-1]", x[-1]),
        ("x[1:3]", x[1:3]),
        ("x[::2]", x[::2]),
        ("x[::-1]", x[::-1]),
        ("A[1]", A[1]),
        ("A[:,2]", A[:, 2]),
        ("A[1:,:2]", A[1:, :2]),
        ("A[1,2]", A[1, 2]),
        ("T[0,:,1:3]", T[0, :, 1:3]),
        ("x'[1:3]*y[1:3]", x[1:3] @ y[1:3]),
        ("A'[0]", A[:, 0]),
        ("2*pi*c", 2 * np.pi * c),
        ("1e-3*x", 1e-3 * x),
        (".5*x", 0.5 * x),
        ("1/3*x", x / 3),
        ("0.1+0.2", 0.3),
        ("x-x", np.zeros(4)),
        ("A-A", np.zeros((4, 4))),
    ],
)
def test_operators(text: str, expected: Any):
    value = evaluate(text)
    assert value.shape == np.shape(expected)
    assert np.allclose(value, expected, rtol=1e-12, atol=1e-13)


def test_numbers_stay_exact():
    assert tc.parse("0.1+0.2-0.3+x", x="") is tc.parse("x", x="")
    assert tc.parse("x/3*3", x="n") is tc.parse("x", x="n")


# -- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("r'*r where r = A*x-y", "(A*x-y)'*(A*x-y)"),
        ("r'*r with r = A*x-y", "(A*x-y)'*(A*x-y)"),
        ("s*r where r = x+y, s = r'*r", "((x+y)'*(x+y))*(x+y)"),
        ("r*y where r = x'", "x'*y"),
        ("s+s where s = exp(x)", "2*exp(x)"),
        ("R*x where R = A*A", "A^2*x"),
    ],
)
def test_where(text: str, same: str):
    assert tc.parse(text, **SHAPES).simplify() is tc.parse(same, **SHAPES).simplify()


def test_where_names_are_local():
    f = tc.parse("r'*r where r = A*x")
    assert set(f.variables) == {"A", "x"}


def test_decompositions_share_their_argument():
    f = tc.parse("norm2(B-U[:,0:1]*diag(s[0:1])*V[:,0:1]')^2 where (U,s,V) = svd(B)", B="4 3")
    assert np.isclose(f(B=B), (_s[1:] ** 2).sum())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("svd(A)", "svd gives 3 results"),
        ("U where (U,s) = svd(A)", "gives 3 results, 2 are named"),
        ("U where (U,s,V) = inv(A)", "need svd, eigh, qr"),
        ("r where r = x where s = r", "where"),
        ("A where A = x", "declared a variable and also defined"),
        ("r*x where s = x, r = s", "side by side"),
        ("sum(w) where W = y", "W is defined by where and does not occur. Did you mean 'w'"),
        ("sum(s) where (s,U,V) = svd(A)", r"svd gives \(U,s,V\), in this order"),
    ],
)
def test_where_errors(text: str, message: str):
    with pytest.raises(tc.TensorCalculusError, match=message):
        tc.parse(text, **SHAPES)

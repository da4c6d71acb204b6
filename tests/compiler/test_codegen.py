"""`tc.codegen`: modules that run where this package cannot be imported, and give what we give."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from typer.testing import CliRunner

import tensorcalculus as tc
from tensorcalculus.cli import app
from tensorcalculus.export.layout import broken, docstring, folded, quoted
from tensorcalculus.export.scopes import references
from tensorcalculus.random_data import draw_sizes, draw_values

Outputs = Sequence[tc.Expr]


def derived(formula: str, *wrt: str, **shapes: str) -> Outputs:
    """A scalar with its gradients and the Hessian by the first variable."""
    f = tc.parse(formula, **shapes)
    return [f, *(f.gradient(v) for v in wrt), f.hessian(wrt[0])]


def spectra() -> Outputs:
    S = tc.variables(S="n n sym")
    d, V = tc.eigh(S)
    return [(d**3).sum(), (V[:, 0] ** 4).sum().gradient("S"), d]


def singular_values() -> Outputs:
    U, s, V = tc.svd(tc.variables(X="m n"))
    return [U @ V.T, (s**2).sum().hessian("X"), (U @ V.T).jacobian("X")]


def general() -> Outputs:
    f = tc.parse("expm(A)*b", A="n n", b="n")
    return [f, f.jacobian("A"), tc.parse("pinv(B)*b", B="n k", b="n").jacobian("B")]


CASES: dict[str, Callable[[], Outputs]] = {
    "logistic": lambda: derived("sum(log(1+exp(-y.*(X*w))))", "w", X="m n", w="n", y="m"),
    "factorisation": lambda: derived(
        "norm2(T-U*V')^2+c*norm2(U)^2", "U", "V", T="m n", U="m r", V="n r", c=""
    ),
    "gaussian": lambda: derived("logdet(S)+y'*inv(S)*y", "S", "y", S="n n spd", y="n"),
    "nuclear": lambda: derived("sum(svdvals(X).^3)", "X", X="m n"),
    "entropy": lambda: derived("tr(S*logm(S))+sum(sqrt(eigvalsh(S)))", "S", S="n n spd"),
    "eigh": spectra,
    "svd": singular_values,
    "general": general,
    "convolution": lambda: derived("sum(conv(x,k).^2)", "x", "k", x="n", k="q"),
    "softmax": lambda: derived("c'*softmax(A*x)", "x", A="m n", x="n", c="m"),
    "norm": lambda: derived("norm2(A*x-b)+logsumexp(A*x)", "x", A="m n", x="n", b="m"),
    "cumsum": lambda: derived("sum(cumsum(x).^3)+prod(x)+max(x)", "x", x="n"),
    "special": lambda: derived("sum(erf(x))+sum(lgamma(exp(x)))+pi*sum(abs(x))", "x", x="n"),
    "determinant": lambda: derived("det(A)+tr(chol(A*A'+eye(n)))", "A", A="n n"),
    "transposed": lambda: [tc.parse("X'", X="m n")],
    "sizes": lambda: derived("sum(x)^2*sum(y.^2)", "y", x="n+1", y="n*k"),
}

# JAX compiles each operation for each shape.
SLOW_IN_JAX = ("nuclear", "entropy", "general", "gaussian", "factorisation", "determinant")

# Runs all modules, each first as a program, where nothing of ours can be imported.
DRIVER = """
import contextlib, io, json, runpy, sys
import numpy as np

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorcalculus":
            raise ImportError("a module must do without the package")

sys.meta_path.insert(0, Guard())
said = {}
for name in sys.argv[2:]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        module = runpy.run_path(f"{sys.argv[1]}/{name}.py", run_name="__main__")
    said[name] = out.getvalue()
    with np.load(f"{sys.argv[1]}/{name}.npz") as data:
        results = module["evaluate"](**data)
    np.savez(f"{sys.argv[1]}/{name}_results.npz", *(np.asarray(r) for r in results))
assert "tensorcalculus" not in sys.modules
print(json.dumps(said))
"""


def alone(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A run of Python without the paths of this process."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-I", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def loaded(text: str, name: str = "evaluate") -> Callable:
    namespace: dict = {"__name__": "generated"}
    exec(compile(text, "<generated>", "exec"), namespace)
    return namespace[name]


def names_in(text: str) -> set[str]:
    """What a module defines at its top level."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {n.name for n in ast.parse(text).body if isinstance(n, kinds)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder with the modules of all cases in one language."""
    folders: dict[str, Path] = {}

    def write(language: str) -> Path:
        if language not in folders:
            folder = folders[language] = tmp_path_factory.mktemp(language)
            for name, outputs in CASES.items():
                tc.codegen(outputs(), language, folder / f"{name}.py")
        return folders[language]

    return write


# -- what the modules give -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "cases"),
    [
        pytest.param("numpy", [*CASES], id="numpy"),
        pytest.param("torch", [*CASES], id="torch"),
        pytest.param("jax", [n for n in CASES if n not in SLOW_IN_JAX], id="jax"),
        pytest.param("jax", [*SLOW_IN_JAX], id="jax-slow", marks=pytest.mark.slow),
    ],
)
def test_modules_give_what_we_give(language: str, cases: list[str], written: Callable[[str], Path]):
    if importlib.util.find_spec(language) is None:
        pytest.skip(f"{language} is not installed")
    folder, expected = written(language), {}
    for name in cases:
        run, values = tc.compile(CASES[name]()), {}
        for e in run.outputs:
            sizes = draw_sizes(e, {}, values)[0]
            values = {**draw_values(e, sizes, values, seed=5), **values}
        results = run(**values)
        expected[name] = results if isinstance(results, tuple) else (results,)
        np.savez(folder / f"{name}.npz", **values)
    done = alone("-c", DRIVER, folder, *cases)
    assert done.returncode == 0, done.stderr
    for name, said in json.loads(done.stdout).items():
        assert said.startswith("ok, largest error"), name
        with np.load(folder / f"{name}_results.npz") as found:
            assert len(found.files) == len(expected[name])
            for mine, theirs in zip(expected[name], found.values(), strict=True):
                assert theirs.shape == np.shape(mine)
                size = max(1.0, np.abs(mine).max(initial=0.0))
                # Framework kernels take other ways in places, with a rounding of their own.
                tolerance = 1e-12 if language == "numpy" else 1e-10
                assert_allclose(theirs, mine, rtol=0, atol=tolerance * size, err_msg=name)


def test_a_module_is_a_program(written: Callable[[str], Path]):
    done = alone(written("numpy") / "logistic.py")
    assert (done.returncode, done.stdout[:17]) == (0, "ok, largest error")


def test_the_self_test_notices_a_wrong_formula(tmp_path: Path):
    path = tmp_path / "wrong.py"
    text = tc.codegen(tc.parse("3*x'*x", x="n"))
    assert isinstance(text, str)
    path.write_text(text.replace("3.0 *", "3.1 *"), encoding="utf-8")
    done = alone(path)
    assert done.returncode == 1
    assert "result 0 is wrong" in done.stderr


@pytest.mark.parametrize("language", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("width", [88, 100])
def test_ruff_is_content(language: str, width: int, written: Callable[[str], Path]):
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    folder = written(language)
    for command in (["check"], ["format", "--check"]):
        options = ["--isolated", "--no-cache", "--line-length", str(width)]
        done = alone("-m", "ruff", *command, *options, folder)
        assert done.returncode == 0, done.stdout


def test_lines_are_short_in_numpy(written: Callable[[str], Path]):
    texts = [p.read_text(encoding="utf-8") for p in written("numpy").glob("*.py")]
    assert max(len(line) for text in texts for line in text.splitlines()) <= 100


# -- the function ----------------------------------------------------------------------------------


def test_one_expression_gives_its_value_and_a_list_of_one_a_tuple():
    f = tc.parse("x'*x", x="n")
    assert loaded(tc.codegen(f))([1, 2]) == 5.0
    assert loaded(tc.codegen(tc.compile(f)))([1, 2]) == 5.0
    assert loaded(tc.codegen([f]))([1, 2]) == (5.0,)


def test_a_path_is_given_back(tmp_path: Path):
    path = tc.codegen(tc.parse("x+ω", x=""), path=str(tmp_path / "sum.py"), name="plus")
    assert path == tmp_path / "sum.py"
    assert loaded(path.read_text(encoding="utf-8"), "plus")(ω=1, x=2.0) == 3.0


def test_docstrings_tell_formulas_and_shapes():
    f = tc.parse("x'*S*x", S="n n spd")
    text = tc.codegen([f, f.gradient("x")])
    head, function = ast.get_docstring(ast.parse(text)), loaded(text).__doc__
    assert head is not None and function is not None
    assert "x'*S*x" in head and "2*S*x" in head
    assert "matrix (n, n), symmetric positive definite" in head
    assert f"Written by tensorcalculus {tc.__version__}." in head
    assert "x : vector (n)" in function


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"X": np.ones((3, 2)), "w": np.ones(3)}, r"w has shape \(3,\); expected \(n\) = \(2,\)"),
        ({"X": np.ones(3), "w": np.ones(3)}, r"X has shape \(3,\); expected \(m, n\)"),
        ({"X": [["a"]], "w": [1]}, "X holds entries of type <U1, not numbers"),
    ],
)
def test_shapes_are_checked(values: dict, message: str):
    evaluate = loaded(tc.codegen(tc.parse("X*w", X="m n", w="n")))
    with pytest.raises(ValueError, match=message):
        evaluate(**values)


def test_sizes_are_solved_from_shapes():
    evaluate = loaded(tc.codegen(tc.parse("sum(x)*sum(ones(n,k))*sum(y)", x="n+1", y="n*k")))
    assert evaluate(np.ones(3), np.ones(10)) == 3 * 10 * 10
    with pytest.raises(ValueError, match="axis 0 of y, k\\*n, has a length that no size gives"):
        evaluate(np.ones(3), np.ones(9))


def test_sizes_that_nothing_tells_are_given_by_name():
    evaluate = loaded(tc.codegen(tc.parse("tr(X)", X="n n").gradient("X")))
    assert_allclose(evaluate(n=2), np.eye(2))
    with pytest.raises(ValueError, match="the size n is a non-negative integer, not -1"):
        evaluate(n=-1)
    square = loaded(tc.codegen(tc.parse("sum(x)*sum(ones(n))", x="n*n")))
    assert square(np.ones(9), n=3) == 27.0
    with pytest.raises(ValueError, match=r"x has shape \(8,\); expected \(n\*n\) = \(9,\)"):
        square(np.ones(8), n=3)


def test_results_are_the_callers_own():
    evaluate, X = loaded(tc.codegen(tc.parse("X'", X="m n"))), np.ones((2, 3))
    evaluate(X)[0, 0] = 5.0
    assert X[0, 0] == 1.0


def test_only_needed_kernels_are_copied():
    plain = tc.codegen(tc.parse("X*w", X="m n", w="n"))
    assert isinstance(plain, str)
    assert names_in(plain) == {
        *("evaluate", "_array", "_check", "_own", "_formulas"),
        *("_draw", "_example", "_self_test"),
    }
    logistic = tc.codegen(tc.parse("sigmoid(x)", x="n"))
    assert isinstance(logistic, str)
    assert {"sigmoid", "as_inexact", "_fold"} <= names_in(logistic)
    assert not {"softplus", "softmax", "relu"} & names_in(logistic)


def test_sizes_choose_the_order_of_contractions():
    f = tc.parse("A*B*C", A="m n", B="n p", C="p q")
    first = tc.codegen(f, sizes={"q": 1})
    second = tc.codegen(f, sizes={"m": 1})
    assert first != second


# -- names -----------------------------------------------------------------------------------------


def test_names_of_helpers_kernels_and_modules_may_be_taken():
    names = ["x1", "x0", "np", "_array", "sigmoid", "kind", "print", "l", "ϕ", "m", "_formulas"]
    variables = tc.variables({name: "m" for name in names})
    f = tc.function("sigmoid", sum(k * x for k, x in enumerate(variables, 1)) / 300)
    values = {name: np.arange(2.0) + k for k, name in enumerate(names)}
    for language in ("numpy", "torch"):
        if importlib.util.find_spec(language):
            # Python reads a name in a normal form, where it stands in a text.
            given = {unicodedata.normalize("NFKC", name): v for name, v in values.items()}
            found = loaded(tc.codegen(f, language))(**given)
            assert_allclose(found, f(**values), rtol=1e-12)


@pytest.mark.parametrize("name", ["lambda", "if", "__debug__", "None"])
def test_words_of_python_are_no_arguments(name: str):
    f = 2 * tc.variables({name: "n"})
    with pytest.raises(tc.InputError, match="a word of Python's own"):
        tc.codegen(f)


@pytest.mark.parametrize(
    "name", ["class", "np", "sum", "a b", "", "f():\n    pass\nimport os\ndef g", "__name__", "é"]
)
def test_names_that_a_function_cannot_have(name: str):
    with pytest.raises(tc.InputError, match="the function cannot be called"):
        tc.codegen(tc.parse("x'*x"), name=name)


def test_a_function_may_be_called_like_a_kernel():
    assert loaded(tc.codegen(tc.parse("norm2(x)", x="n"), name="norm"), "norm")([3, 4]) == 5.0
    assert loaded(tc.codegen(tc.parse("x'*x"), name="_own"), "_own")([3, 4]) == 25.0


def test_two_names_that_are_one_to_python():
    f = tc.variables({"ϕ": "n"}) + tc.variables({"φ": "n"})
    with pytest.raises(tc.InputError, match="the same to Python"):
        tc.codegen(f)


@pytest.mark.parametrize(
    "name",
    ['a"""\nimport os\n"""', "a\nimport os", "a=__import__('os')", "a, *b", "a\\", "n # ", "x\x00"],
)
def test_hostile_names_are_refused(name: str):
    from tensorcalculus.expr.dims import dim
    from tensorcalculus.expr.node import Variable

    # Past all that reads declarations.
    with pytest.raises((tc.TensorCalculusError, ValueError)):
        tc.codegen(Variable(name, (dim("n"),)) * 2)


@pytest.mark.parametrize("formula", ["sum(x)\n+1", "sum(x)\r\n +\n1"])
def test_line_breaks_of_a_formula_do_not_matter(formula: str):
    assert loaded(tc.codegen(tc.parse(formula, x="n")))([1, 2]) == 4.0


@given(st.text() | st.text("\"\\\n'{}#x \r\t\x0c\u2028"))
def test_nothing_breaks_out_of_a_docstring(text: str):
    tree = ast.parse(f"def f():\n{docstring(text, '    ')}\n")
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    (statement,) = function.body
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    assert "".join(statement.value.value.split()).startswith("".join(text.split())[:1])


@given(st.text() | st.text("\"\\\n'{}"))
def test_quoted_text_is_read_back(text: str):
    assert quoted(text)[0] == '"'
    assert ast.literal_eval(quoted(text)) == text


def test_what_is_refused():
    f = tc.parse("x'*x", x="n")
    with pytest.raises(tc.InputError, match=r"not for 'numpi'\. Did you mean 'numpy'"):
        tc.codegen(f, "numpi")
    with pytest.raises(tc.InputError, match="'m' is no size of these expressions"):
        tc.codegen(f, sizes={"m": 3})
    with pytest.raises(TypeError, match="not an expression"):
        tc.codegen(["x'*x"])  # type: ignore[list-item]


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "free"),
    [
        ("def f(x, y=g, *, z: T = 1) -> R:\n    a = h.k.l(x)\n    return a", {"g", "T", "R", "h"}),
        ("def f():\n    def g():\n        return a + b\n    a = 1\n    return g", {"b"}),
        ("h = [x + y for x in x for y in z]", {"x", "z"}),
        ("def f(s):\n    return [t := u(v) for v in s], t", {"u"}),
        ("def f(p):\n    match p:\n        case [a, *b] if c:\n            return a, b", {"c"}),
        ("class C(B):\n    k = m\n    n = k\n    def g(self):\n        return k", {"B", "m", "k"}),
        ("def f(x):\n    return lambda y=x, *z: (x, y, z, w)", {"w"}),
        ("def f():\n    from a import b as c\n    import d.e\n    return c, d, b", {"b"}),
        ("@w(1)\ndef f():\n    with a as b, c() as (d, e):\n        return b, d", {"w", "a", "c"}),
    ],
)
def test_free_names(source: str, free: set[str]):
    assert {parts[0] for _, parts in references(ast.parse(source).body[0])} == free


@pytest.mark.parametrize(
    ("formula", "lines"),
    [
        ("+".join(["x'*(A-1e-05*B)*x"] * 9), 2),
        ("x" * 200, 1),
        ("where a = 1\nb = " + "f(x, y).*" * 12 + "z", 3),
    ],
)
def test_long_formulas_are_folded(formula: str, lines: int):
    found = folded(formula, "    ")
    assert len(found) == lines
    assert all(len(line) <= 88 for line in found) or lines == 1
    assert "".join("".join(found).split()) == "".join(formula.split())
    assert not any(line.rstrip().endswith((".", "e", "-", "+", "*")) for line in found)


EXPRESSIONS = st.recursive(
    st.sampled_from(["x0", "t12", "2.0", "t1.T", "(d0 + -1 * d1)", 'np.einsum("ab->a", t0)']),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*@/"), inner).map(" ".join),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"({e}).reshape(d0 * d1, d1)[:, None]"),
        st.lists(inner, min_size=1).map(lambda e: f"np.function_of({', '.join(e)})"),
        inner.map(lambda e: f"signed_difference((f0, f1,), {e}, 'odd', '+-')"),
    ),
    max_leaves=40,
)


@given(EXPRESSIONS, st.sampled_from(["t1 = {}", "return {}", "return {0}, {0}", "t1[...] -= {}"]))
def test_broken_lines_mean_the_same(expression: str, statement: str):
    line = "    " + statement.format(expression)
    text = "def f():\n" + "\n".join(broken(line))
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(f"def f():\n{line}"))


def test_the_command_line_writes_a_module(tmp_path: Path):
    path = tmp_path / "loss.py"
    arguments = ["codegen", "x'*x", "--wrt", "x", "--name", "loss", "--output", str(path)]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.output.strip()) == (0, str(path))
    value, gradient = loaded(path.read_text(encoding="utf-8"), "loss")([1, 2])
    assert value == 5.0
    assert_allclose(gradient, [2.0, 4.0])
    shown = CliRunner().invoke(app, ["codegen", "x'*x", "--language", "torch"])
    assert shown.exit_code == 0
    assert "import torch\n" in shown.output
    refused = CliRunner().invoke(app, ["codegen", "x'*x", "--name", "import"])
    assert refused.exit_code == 2

"""README.md does what it shows: its Python and console blocks run, its words and claims hold."""

from __future__ import annotations

import doctest
import re
import shlex

import numpy as np
import pytest
from support import REPOSITORY
from typer.testing import CliRunner

import tensorcalculus as tc
from tensorcalculus.cli import app

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMAND = 'pip install . && tcalc derive "norm2(X*W-Y)^2" --wrt W --check'


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def comparable(text: str) -> str:
    """Text without what rounding, and line ends, may change: errors in e-notation and spaces."""
    text = re.sub(r"\b\d(?:\.\d+)?e[-+]\d+\b", "#", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


class Checker(doctest.OutputChecker):
    """Compares the way :func:`comparable` says."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return comparable(want) == comparable(got)


def calls() -> list[tuple[str, str]]:
    """Command and output of every call in the console blocks."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_python_blocks() -> None:
    # One session: later blocks use the names of earlier ones.
    text = "\n".join(blocks("python"))
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    assert len(test.examples) > 20
    told: list[str] = []
    result = doctest.DocTestRunner(checker=Checker()).run(test, out=told.append)
    assert result.failed == 0, "".join(told)


@pytest.mark.parametrize(("command", "output"), calls(), ids=lambda text: text.split("\n")[0][:40])
def test_console_block(command: str, output: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "tcalc"
    plain = {"NO_COLOR": None, "FORCE_COLOR": None, "TTY_COMPATIBLE": None, "COLUMNS": None}
    done = CliRunner().invoke(app, arguments, env=plain)
    assert comparable(done.stdout + done.stderr) == comparable(output)


def test_the_two_commands() -> None:
    shell = blocks("sh")
    assert shell[0].strip() == COMMAND
    assert shell[0].split("&& ")[1].strip() == calls()[0][0]  # and the console block shows it
    after = README.split("<!-- test command -->")[1]
    assert re.findall(r"^```sh\n(.*?)^```$", after, re.DOTALL | re.MULTILINE)[0] == shell[1]
    assert shell[1].strip() == 'pip install -e ".[test]" && pytest'


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (REPOSITORY / target).exists(), target
    for path in re.findall(r"`((?:examples|docs|tests|benchmarks)/[\w/]+\.\w+)`", README):
        assert (REPOSITORY / path).exists(), path


SHAPES = {
    **{"A": "m n", "B": "m n", "S": "n n spd", "T": "n m n", "lambda": ""},
    **{"x": "n", "y": "n", "z": "2"},
}


def words() -> list[str]:
    """The formulas of the table of the language."""
    table = README.split("## The language")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


@pytest.mark.parametrize("word", words())
def test_every_word_of_the_language_is_read(word: str) -> None:
    shapes = {name: spec for name, spec in SHAPES.items() if re.search(rf"\b{name}\b", word)}
    if word in ("A^2", "A**2"):
        shapes["A"] = "n n"
    tc.parse(word, shapes)


def test_the_table_of_the_language_is_found() -> None:
    assert len(words()) > 60


def test_every_name_in_the_list_of_methods_exists() -> None:
    listed = README.split("In Python: ")[1].split("\n## ")[0]
    for name in re.findall(r"`f\.(\w+)", listed):
        assert hasattr(tc.parse("x'*x"), name), name
    for name in re.findall(r"`tc\.(\w+)", listed):
        assert hasattr(tc, name), name


# -- conventions ---------------------------------------------------------------------------------


def test_conventions_of_layout() -> None:
    A = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert tc.parse("vec(A)")(A=A).tolist() == [1, 3, 2, 4]
    assert tc.parse("reshape(A,4)", A="2 2")(A=A).tolist() == [1, 2, 3, 4]
    f = tc.parse("conv(x,k)", x="n", k="w")
    assert f(x=np.array([1.0, 2.0, 3.0]), k=np.array([1.0, 10.0])).tolist() == [21, 32]
    F = tc.parse("tanh(A*x*b')", A="m n", x="n", b="k")
    assert [str(d) for d in F.jacobian("A").shape] == ["m", "k", "m", "n"]
    assert [str(d) for d in F.jacobian("x").shape] == ["m", "k", "n"]


def test_conventions_of_decompositions() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 3))
    assert np.all(np.diag(tc.parse("R where (Q,R) = qr(A)")(A=A)) >= 0)
    S = np.array([[4.0, 3.0], [1.0, 5.0]])
    L = tc.parse("chol(S)", S="n n spd")(S=S)
    np.testing.assert_allclose(L @ L.T, (S + S.T) / 2)
    assert L[0, 1] == 0
    assert tc.parse("log(det(X))")(X=np.diag([-1.0, 2.0])) == pytest.approx(np.log(2))
    assert tc.parse("logdet(X)")(X=np.diag([-1.0, 2.0])) == pytest.approx(np.log(2))


def test_conventions_at_kinks() -> None:
    at = np.array([-2.0, 0.0, 3.0])
    assert tc.parse("norm1(x)").gradient("x")(x=at).tolist() == [-1, 0, 1]
    assert tc.parse("sum(relu(x))").gradient("x")(x=at).tolist() == [0, 0, 1]
    assert tc.parse("norm2(x)").gradient("x")(x=0 * at).tolist() == [0, 0, 0]
    assert tc.parse("max(x)").gradient("x")(x=np.array([1.0, 3.0, 3.0])).tolist() == [0, 0.5, 0.5]
    assert not np.any(tc.parse("sum(svdvals(X))").gradient("X")(X=np.zeros((2, 2))))
    with pytest.warns(tc.GaugeWarning):
        tc.parse("d[0] where (d,V) = eigh(S)", S="3 3 sym").gradient("S")(S=np.eye(3))
    with pytest.raises(tc.NotDifferentiableError):
        tc.parse("sum(floor(x))").gradient("x")


def test_conventions_of_structure() -> None:
    f = tc.parse("x'*S*y", S="n n sym")
    full = f.gradient("S", symmetry="full")
    assert (full + full.T) / 2 is f.gradient("S")
    assert str(tc.parse("x'*S*y", S="n n diag").gradient("S")) == "diag(x.*y)"


# -- peers ---------------------------------------------------------------------------------------


def test_what_is_said_of_sympy() -> None:
    sympy = pytest.importorskip("sympy", minversion="1.14")
    if not sympy.__version__.startswith("1.14"):
        pytest.skip("the table is about SymPy 1.14")
    n = sympy.Symbol("n", integer=True, positive=True)
    A, B, X = (sympy.MatrixSymbol(name, n, n) for name in "ABX")
    x, c = sympy.MatrixSymbol("x", n, 1), sympy.Symbol("c")
    tr, det = sympy.Trace, sympy.Determinant
    zero = sympy.ZeroMatrix(n, n)
    assert sympy.log(det(X)).diff(X) == zero
    assert sympy.log(det(A * X)).diff(X) == zero
    assert (det(X) ** 2).diff(X) == zero
    assert (tr(A.T * A) + tr(B.T * B)).diff(A) == zero
    assert sympy.exp(tr(A)).diff(A) == zero
    with pytest.raises(TypeError):
        sympy.sqrt((x.T * x)[0, 0]).diff(x)
    with pytest.raises(TypeError):
        sympy.Inverse(A + c * B).diff(c)

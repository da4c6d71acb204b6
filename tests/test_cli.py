"""The command line `tcalc`: what it prints, what it refuses, and with which exit code."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import PACKAGE
from typer.testing import CliRunner

import tensorcalculus as tc
from tensorcalculus.cli import app
from tensorcalculus.cli.work import read_declarations
from tensorcalculus.notation.language import names

LEAST_SQUARES = "norm2(X*w-y)^2"


class Result:
    """Exit code and both streams of one call, as text without carriage returns."""

    def __init__(self, *arguments: str, **env: str) -> None:
        # No terminal, no colour, whatever the shell that runs the tests asks for.
        plain = {"NO_COLOR": None, "FORCE_COLOR": None, "TTY_COMPATIBLE": None, "COLUMNS": None}
        done = CliRunner().invoke(app, list(arguments), env={**plain, **env})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.code, self.out, self.err = done.exit_code, done.stdout, done.stderr


def run(*arguments: str, **env: str) -> Result:
    """A call that succeeds."""
    result = Result(*arguments, **env)
    assert result.code == 0, result.err
    return result


def refused(*arguments: str) -> str:
    """The message of a call that is the user's error: exit code 2, stderr only, no traceback."""
    result = Result(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Traceback" not in result.err
    return result.err


def rows(text: str) -> dict[str, str]:
    """The labelled lines of `derive`: label to the rest of its line."""
    lines = [re.match(r"(\w+)\s{2,}(.*)", line) for line in text.splitlines()]
    return {m[1]: m[2] for m in lines if m}


# -- derive --------------------------------------------------------------------------------------


def test_derive_says_what_it_understood():
    out = run("derive", LEAST_SQUARES, "--wrt", "w").out
    said = rows(out)
    assert said["function"] == LEAST_SQUARES
    assert said["variables"] == "X  matrix (m, n)"
    assert re.search(r"^\s+w  vector \(n\)$", out, re.M)
    assert re.search(r"^\s+y  vector \(m\)$", out, re.M)
    assert said["layout"] == "the gradient of a scalar has the shape of w"
    assert "symmetry" not in said
    assert out.endswith("gradient by w: vector (n)\n  2*X'*(X*w-y)\n")


def test_quiet_prints_the_derivative_alone():
    assert run("derive", LEAST_SQUARES, "--wrt", "w", "--quiet").out == "2*X'*(X*w-y)\n"
    assert run("derive", LEAST_SQUARES, "--wrt", "w", "--order", "2", "--quiet").out == "2*X'*X\n"


@pytest.mark.parametrize(
    ("arguments", "title", "layout"),
    [
        (["tanh(A*x)", "--wrt", "x"], "Jacobian by x: matrix (m, n)",
         "axes of the function first, then those of x"),
        ([LEAST_SQUARES, "--wrt", "w", "--order", "2"], "Hessian by w: matrix (n, n)",
         "axes of w first, then those of w"),
        ([LEAST_SQUARES, "--wrt", "w", "--wrt", "X"], "Hessian by w and X: tensor of order 3",
         "axes of w first, then those of X"),
        ([LEAST_SQUARES, "--wrt", "w,X"], "Hessian by w and X: tensor of order 3",
         "axes of w first, then those of X"),
        (["sum(exp(x))", "--order", "3"], "derivative of order 3 by x: tensor of order 3", ""),
        (["exp(alpha)"], "gradient by alpha: scalar", ""),
    ],
)  # fmt: skip
def test_order_and_layout(arguments: list[str], title: str, layout: str):
    out = run("derive", *arguments).out
    assert title in out
    assert layout in rows(out)["layout"]


@pytest.mark.parametrize(
    ("convention", "derivative"), [("projected", "(x*y'+y*x')/2"), ("full", "x*y'")]
)
def test_symmetry_is_stated_and_used(convention: str, derivative: str):
    arguments = ["derive", "x'*S*y", "--wrt", "S", "--vars", "S: n n sym"]
    result = run(*arguments, "--symmetry", convention)
    said = rows(result.out)
    assert said["variables"].endswith("S  matrix (n, n), symmetric")
    assert said["symmetry"].startswith(convention)
    values = {k: np.random.default_rng(0).standard_normal(3) for k in "xy"}
    printed = tc.parse(run(*arguments, "--symmetry", convention, "--quiet").out.strip())
    expected = tc.parse(derivative)
    assert np.allclose(printed(**values), expected(**values))


def test_one_variable_needs_no_wrt():
    assert "gradient by x" in run("derive", "sum(x.^2)").out
    assert "--wrt X" in refused("derive", LEAST_SQUARES)


@pytest.mark.parametrize("notation", ["matrix", "index", "latex", "index-latex", "numpy", "einsum"])
def test_notations(notation: str):
    arguments = ["derive", LEAST_SQUARES, "--wrt", "w", "--quiet", "--as", notation]
    f = tc.parse(LEAST_SQUARES).gradient("w")
    expected = getattr(f, f"to_{notation.replace('-', '_')}")().strip("\n")
    assert run(*arguments).out == f"{expected}\n"


def test_brackets_are_no_markup():
    out = run("derive", "sum(x[0:2].^2)+x[1]", "--wrt", "x", "--vars", "x: 5").out
    assert rows(out)["function"].count("[:2]") == 1
    assert "[bold]" in refused("derive", "[bold]x[/bold]")


def test_formulas_may_begin_with_minus():
    assert rows(run("derive", "-x'*A*x", "--wrt", "x").out)["function"].startswith("-")
    assert run("derive", "--wrt", "x", "--quiet", "-q'*x").out == "-q\n"
    assert run("derive", "--quiet", "--wrt=x", "--", "-q'*x").out == "-q\n"


def test_long_formulas_stay_on_one_line():
    formula = "+".join(f"sum(exp(A{k}*x))" for k in range(40))
    lines = run("derive", formula, "--wrt", "x", COLUMNS="40").out.splitlines()
    assert len(lines) == 41 + 5


def test_check():
    out = run("derive", LEAST_SQUARES, "--wrt", "w", "--order", "2", "--check").out
    assert re.search(
        r"^check\s+by w: largest relative error \d\.\de[-+]\d\d \(complex step\)$", out, re.M
    )
    assert "by w, w: largest relative error" in out


def test_failed_check_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch):
    def wrong(task):
        raise tc.CheckError("the entry (0,) is 1, expected 2")

    monkeypatch.setattr("tensorcalculus.cli.work.run_check", wrong)
    result = Result("derive", LEAST_SQUARES, "--wrt", "w", "--check")
    assert result.code == 1
    assert result.err == "check failed: the entry (0,) is 1, expected 2\n"


def test_declared_and_not_used():
    out = run("derive", "sum(x.^2)", "--vars", "x: n, z: n").out
    assert "z is declared and does not occur" in out
    assert "note" not in rows(run("derive", "sum(x.^2)+n", "--vars", "x: n").out)


def test_derive_json():
    arguments = ["derive", "x'*S*x", "--wrt", "x", "--vars", "S: n n spd", "--order", "2"]
    record = json.loads(run(*arguments, "--check", "--json").out)
    assert record["expression"] == "x'*S*x"
    assert record["function"] == "x'*S*x"
    assert record["shape"] == []
    assert record["variables"] == {
        "x": {"kind": "vector", "shape": ["n"], "properties": []},
        "S": {"kind": "matrix", "shape": ["n", "n"], "properties": ["symmetric positive definite"]},
    }
    assert record["wrt"] == ["x", "x"]
    assert record["order"] == 2
    assert record["symmetry"] is None
    assert record["derivative"]["matrix"] == "2*S"
    assert record["derivative"]["shape"] == ["n", "n"]
    assert {"index", "latex", "index-latex", "numpy", "einsum"} <= record["derivative"].keys()
    assert record["check"]["passed"]
    assert record["check"]["largest_error"] < 1e-9
    assert [e["wrt"] for e in record["check"]["entries"]] == [["x"], ["x", "x"]]
    assert json.loads(run(*arguments, "--json").out)["check"] is None


# -- declarations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X: m n, y: m, S: n n spd, c:", {"X": "m n", "y": "m", "S": "n n spd", "c": ""}),
        ("c:, X: m n", {"c": "", "X": "m n"}),
        ("X=m n; y=m", {"X": "m n", "y": "m"}),
        ("X: m, n, y: m", {"X": "m, n", "y": "m"}),
        ("T:n k+1 2*q", {"T": "n k+1 2*q"}),
        ("λ:", {"λ": ""}),
        ("", {}),
        ("X: m n,", {"X": "m n"}),
    ],
)
def test_declarations(text: str, expected: dict[str, str]):
    assert read_declarations([text]) == expected


def test_declarations_add_up():
    assert read_declarations(["X: m n", "y: m"]) == {"X": "m n", "y": "m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m n", "cannot be read"),
        ("3: m n", "cannot be read"),
        ("X: m n, X: n m", "declares X twice"),
        ("X: m n spdd", "Did you mean 'spd'?"),
        ("X: n n symm", "Did you mean 'sym'?"),
        ("X: m n spd", "equal dimensions"),
        ("X: m / n", "X="),
        ("X: -3 n", "negative"),
        ("eye: n", "word of the language"),
        ("X: y: n", "cannot be read"),
    ],
)
def test_bad_declarations(text: str, message: str):
    assert message in refused("derive", "tr(X*X')", "--wrt", "X", "--vars", text)


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["derive", "x'*"], "^"),
        (["derive", "foo(x)"], "there is no function 'foo'"),
        (["derive", "sun(x)"], "Did you mean 'sum'?"),
        (["derive", "A*x", "--wrt", "x", "--vars", "A: m 3, x: 4"], "3 and 4"),
        (["derive", "A*x", "--wrt", "z"], "'z' does not occur"),
        (["derive", "floor(x)"], "floor"),
        (["derive", "x'*x", "--wrt", "x", "--wrt", "x", "--order", "3"], "order 3"),
        (["derive", "x'*x", "--order", "0"], "--order"),
        (["derive", "x'*x", "--as", "roman"], "roman"),
        (["derive", "x'*x", "y"], "y"),
        (["derive", "1+1"], "no variables"),
        (["derive", "x'*x", "--wtr", "x"], "--wrt"),
        (["functions", "zzzz"], "no function matches"),
        (["eval", "x'*x"], "no value is given for x"),
        (["eval", "x'*x", "missing.npz"], "there is no file missing.npz"),
        (["eval", "x'*x", "x=missing.npy"], "there is no file missing.npy"),
        (["eval", "x'*x", "x=[1,2"], "the value of x"),
        (["eval", "x'*x", "x=[1,[2]]"], "x cannot be read as an array"),
        (["eval", "x'*x", 'x=["a"]'], "numbers"),
        (["eval", "x'*x", "x=[[1,2]]"], "expected (m)"),
        (["eval", "x'*x", "x=[1]", "x=[2]"], "given twice"),
        (["eval", "x'*x", "x=[1]", "z=[2]"], "'z' is not a variable"),
        (["eval", "x'*x", "nonsense"], "NAME=VALUE"),
        (["eval", "A*x", "A=[[1,2],[3,4]]", "x=[1,2,3]"], "x has shape (3,)"),
        (["nothing"], "nothing"),
    ],
)
def test_errors(arguments: list[str], message: str):
    assert message in refused(*arguments)


def test_parse_error_keeps_its_caret():
    assert refused("derive", "sum(x)+foo(x)").splitlines()[1:] == [
        "  sum(x)+foo(x)",
        "         ^^^^^^",
    ]


# -- eval ----------------------------------------------------------------------------------------


def test_eval_literals():
    assert run("eval", "x'*A*x", "A=[[2,1],[1,3]]", "x=[1,2]").out == "18.0\n"
    assert run("eval", "A*x", "A=[[2,1],[1,3]]", "x=[1,-2]").out == "[ 0., -5.]\n"
    assert run("eval", "-x", "x=[1,-2]").out == "[-1.,  2.]\n"


def test_eval_derivative():
    arguments = ["eval", "x'*A*x", "A=[[2,1],[1,3]]", "x=[1,2]", "--wrt", "x"]
    assert json.loads(run(*arguments, "--json").out)["value"] == [8.0, 14.0]
    assert json.loads(run(*arguments, "--json", "--order", "2").out)["value"] == [[4, 2], [2, 6]]


def test_eval_files(tmp_path: Path):
    rng = np.random.default_rng(0)
    X, w, y = rng.standard_normal((5, 3)), rng.standard_normal(3), rng.standard_normal(5)
    np.savez(tmp_path / "data.npz", X=X, y=y, other=np.ones(2))
    np.save(tmp_path / "w.npy", w)
    given = [f"w={tmp_path}/w.npy", "--data", f"{tmp_path}/data.npz"]
    expected = np.sum((X @ w - y) ** 2)
    assert float(run("eval", LEAST_SQUARES, *given).out) == pytest.approx(expected, rel=1e-14)
    # What is given by name wins over a file.
    out = run("eval", LEAST_SQUARES, *given, "y=[0,0,0,0,0]").out
    assert float(out) == pytest.approx(np.sum((X @ w) ** 2), rel=1e-14)


def test_eval_prints_every_entry_in_a_pipe():
    out = run("eval", "2*x", f"x={list(range(3000))}").out
    assert "..." not in out
    assert np.array_equal(
        np.array(json.loads(re.sub(r"\.(?=[,\]])", "", out))), 2.0 * np.arange(3000)
    )


def test_eval_size_by_name():
    assert run("eval", "sum(ones(n))", "--vars", "", "n=4").out == "4.0\n"


def test_eval_json_is_strict():
    record = json.loads(run("eval", "log(x)", "x=[1,0]", "--json").out, parse_constant=pytest.fail)
    assert record["value"] == [0.0, None]
    assert record["finite"] is False
    assert record["shape"] == [2]


def test_pickles_are_refused(tmp_path: Path):
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read" in refused("eval", "x'*x", f"x={tmp_path}/x.npy")
    (tmp_path / "data.npz").write_bytes(b"no archive")
    assert "cannot be read" in refused("eval", "x'*x", f"{tmp_path}/data.npz")


# -- functions -----------------------------------------------------------------------------------


def test_functions_lists_the_whole_language():
    record = json.loads(run("functions", "--json").out)
    listed = [name for entry in record for name in (entry["name"], *entry["aliases"])]
    assert sorted(listed) == sorted(set(listed))
    assert sorted(listed) == names()
    assert all(entry["meaning"] for entry in record)


def test_functions_table():
    out = run("functions").out
    assert re.search(r"^  relu\(x\) +all real numbers; at 0 the derivative is 0", out, re.M)
    assert re.search(r"^  inv\(A\) .*Matrix Cookbook", out, re.M)
    assert "(U, s, V) = svd(A)" in out


def test_functions_pattern():
    assert "gammaln" in run("functions", "lgamma").out
    assert {e["name"] for e in json.loads(run("functions", "log*", "--json").out)} >= {
        "log", "log1p", "logdet", "logsumexp",
    }  # fmt: skip
    assert "Did you mean 'sigmoid'?" in refused("functions", "sigmodi")


# -- streams -------------------------------------------------------------------------------------


def test_version_and_help():
    assert run("--version").out == f"tcalc {tc.__version__}\n"
    assert "derive" in run("--help").out
    assert "--order" in run("derive", "--help").out


def python(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *arguments], env={**clean, "PYTHONPATH": path, **env},
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip


def test_pipe_is_plain():
    done = python("-m", "tensorcalculus.cli", "derive", LEAST_SQUARES, "--wrt", "w")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert not re.search("[\u2500-\u257f]", done.stdout)
    assert done.stdout.endswith("  2*X'*(X*w-y)\n")


def test_greek_where_the_stream_knows_no_greek():
    arguments = ["-m", "tensorcalculus.cli", "derive", "sum(exp(λ*x))", "--wrt", "λ"]
    done = python(*arguments, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u03bb" in done.stdout


def test_help_loads_neither_rich_nor_numpy():
    program = (
        "import sys; from tensorcalculus.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'rich', 'numpy', 'scipy', 'lark'} & set(sys.modules)))"
    )
    done = python("-c", program)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


def colours(*arguments: str, **env: str) -> str:
    """What a terminal would get; needs a pseudo-terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-m", "tensorcalculus.cli", *arguments],
        env={**clean, "PYTHONPATH": path, "TERM": "xterm-256color", **env},
        stdout=follower, stderr=follower, stdin=follower,
    ):  # fmt: skip
        os.close(follower)
        chunks = []
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(leader)
    return b"".join(chunks).decode()


def test_terminal_has_colour_unless_told_otherwise():
    arguments = ["derive", LEAST_SQUARES, "--wrt", "w", "--quiet"]
    shown = colours(*arguments)
    assert re.search("\x1b\\[[0-9;]*3[0-9]", shown)
    assert re.sub("\x1b\\[[0-9;]*m", "", shown).strip() == "2*X'*(X*w-y)"
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", colours(*arguments, NO_COLOR="1"))

"""`tc.compile` for PyTorch and JAX: the same numbers as NumPy, inside what the frameworks do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import support
from backends import Backend, Torch, close
from hypothesis import HealthCheck, given, settings
from test_table import ROWS, applied, call_row, operation_cases

import tensorcalculus as tc
from tensorcalculus.expr.functions import FUNCTIONS
from tensorcalculus.expr.node import Expr
from tensorcalculus.expr.operations import OPERATIONS
from tensorcalculus.testing import expressions, values_for

Job = tuple[str, list[Expr], dict[str, Any]]
RNG = np.random.default_rng(5)


def evaluate_all(backend: Backend, jobs: Sequence[Job], dtype: Any = np.float64) -> list[tuple]:
    """The outputs of all jobs; JAX compiles them together, which is quicker."""
    runs = [tc.compile(outputs, backend=backend.name) for _, outputs, _ in jobs]
    values = [
        {n: v if isinstance(v, int) else backend.array(v, dtype) for n, v in given.items()}
        for _, _, given in jobs
    ]
    if isinstance(backend, Torch):
        return [run(**v) for run, v in zip(runs, values, strict=True)]
    fixed = [{n: x for n, x in v.items() if isinstance(x, int)} for v in values]
    arrays = [{n: x for n, x in v.items() if not isinstance(x, int)} for v in values]

    def together(arrays: list[dict[str, Any]]) -> list[tuple]:
        return [r(**a, **f) for r, a, f in zip(runs, arrays, fixed, strict=True)]

    return backend.jit(together)(arrays)


def faults(
    backend: Backend, jobs: Sequence[Job], tolerance: float = 1e-12, dtype: Any = np.float64
) -> list[str]:
    """Where a backend differs from NumPy in double precision, or gives results of another type."""
    wrong = []
    every = evaluate_all(backend, jobs, dtype)
    for (label, outputs, values), found in zip(jobs, every, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tc.GaugeWarning)
            expected = tc.compile(outputs)(**values)
        for k, (a, e) in enumerate(zip(found, expected, strict=True)):
            a = np.asarray(a)
            if a.dtype != dtype:
                wrong.append(f"{label}, output {k}: type {a.dtype}")
            if re.match("svd_|eigenvectors|eigvec", label):
                a, e = abs(a), abs(e)  # signs are not determined
            try:
                close(a, e, tolerance)
            except AssertionError as error:
                wrong.append(f"{label}, output {k}: {error}")
    return wrong


# -- the same numbers ----------------------------------------------------------------------------


def published_cases() -> list[dict]:
    path = support.shared_folder() / "cases" / "derivatives.json"
    return json.loads(path.read_text())["cases"] if path.exists() else []


@pytest.mark.parametrize("part", range(5))
def test_published_derivatives(backend: Backend, part: int) -> None:
    support.shared_path("cases")
    from test_cases import NUMBERS, draw

    jobs: list[Job] = []
    for case in published_cases()[part::5]:
        rng = np.random.default_rng(0)
        values: dict[str, Any] = {k: draw(v, rng) for k, v in case["vars"].items()}
        f = tc.parse(case["expr"], **{k: " ".join(v["shape"]) for k, v in case["vars"].items()})
        order = 1 if isinstance(case["wrt"], list) else case["order"]
        g = tc.derivative(f, case["wrt"], order)
        jobs.append((case["id"], [g], values | NUMBERS.get(case["id"], {})))
    assert not faults(backend, jobs)


def scalar_jobs(derivatives: bool) -> list[Job]:
    jobs: list[Job] = []
    for row in ROWS:
        shapes = [["n"] * row.arity]
        if row.arity > 1:
            alone = range(row.arity)
            shapes += [["" if j == lone else "m n" for j in alone] for lone in alone]
        for names in shapes:
            f = applied(row, names)
            wrt = [f"x{k}" for k, d in enumerate(row.derivatives) if d is not None]
            by = [f.jacobian(n) for n in wrt if n in f.variables] if derivatives else []
            jobs.append((f"{row.name} {names}", [f, *by], values_for(f)))
    return jobs


def operation_jobs(derivatives: bool) -> list[Job]:
    jobs: list[Job] = []
    for case in operation_cases():
        row, shapes, params, k = case.values
        if k and not derivatives:
            continue
        f = call_row(row, shapes, params)
        jobs.append((str(case.id), [f, f.jacobian(f"x{k}")] if derivatives else [f], values_for(f)))
    return jobs


def test_every_scalar_function(backend: Backend) -> None:
    assert not faults(backend, scalar_jobs(derivatives=False))


def test_every_operation(backend: Backend) -> None:
    assert not faults(backend, operation_jobs(derivatives=False))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_derivatives_of_every_row(backend: Backend, part: int) -> None:
    jobs = [*scalar_jobs(derivatives=True), *operation_jobs(derivatives=True)]
    assert not faults(backend, jobs[part::6], 1e-11)


def constants() -> Job:
    """A formula full of numbers, sizes and patterns, and its derivatives."""
    f = tc.parse(
        "pi*sum(x)+log(2)*mean(x)*mean(y)+sqrt(n)*sum(eye(n)*x)+exp(2)*x'*y+lgamma(n)*norm2(x)"
        "+mean(log(1+exp(x)))/3+sum(erf(x)+xlogy(y,2))+sqrt(2)*sum(ones(n)*y')",
        x="n", y="n",
    )  # fmt: skip
    values = {"x": np.array([0.3, 0.5, -0.2]), "y": np.array([1.0, 2.0, 3.0])}
    return "constants", [f, f.gradient("x"), f.hessian("x")], values


def test_constants_are_as_precise_as_the_arguments(backend: Backend) -> None:
    # PyTorch's own default is single precision.
    assert not faults(backend, [constants()])


def test_single_precision_stays_single(backend: Backend) -> None:
    whole = isinstance(backend, Torch)  # JAX takes long to compile the rest
    jobs = [constants(), *scalar_jobs(whole), *(operation_jobs(True) if whole else [])]
    assert not faults(backend, jobs, 1e-4, np.float32)


def test_random_expressions(backend: Backend) -> None:
    jobs: list[Job] = []

    @settings(max_examples=150, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(expressions(max_nodes=8, max_order=3))
    def collect(f: Expr) -> None:
        try:
            jobs.append((str(f), [f], values_for(f)))
        except tc.InputError:
            return  # nowhere finite

    collect()
    assert len(jobs) > 100
    for k in range(0, len(jobs), 50):
        assert not faults(backend, jobs[k : k + 50], 1e-10)


@pytest.mark.parametrize(
    "formula",
    ["tanh(exp(2)*ones(n)+lgamma(n)*ones(n))+sqrt(n)+n^0.3", "3+pi", "n*eye(n)", "exp(2)+1"],
)
def test_formulas_of_numbers_alone(backend: Backend, formula: str) -> None:
    f = tc.parse(formula)
    values = {"n": 3} if "n" in f._program().symbols else {}
    run = tc.compile(f, backend=backend.name)
    close(np.asarray(run(**values), float), np.asarray(f(**values)), 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_cancelled_tells_the_type(backend: Backend, dtype: Any) -> None:
    run = tc.compile(tc.parse("tr(X)", X="n n").gradient("X"), backend=backend.name)
    found = run(X=backend.array(np.ones((3, 3)), dtype))
    assert dtype in str(found.dtype)
    close(found, np.eye(3))


def test_every_name_in_source_exists(backend: Backend) -> None:
    templates = [row.numpy for row in FUNCTIONS.values()]
    templates += [row.kernel for row in OPERATIONS.values()]
    folder = support.PACKAGE / "compiler"
    emitter = "\n".join(
        (folder / f"{file}.py").read_text()
        for file in ("source", "contraction_source", "operation_source", "pairwise", "targets")
    )
    from tensorcalculus.compiler.targets import TARGETS

    target = TARGETS[backend.name]
    names = target.namespace()
    text = "\n".join([*map(target.spell, templates), emitter])
    module = r"(kernels|spectral_kernels|factors|constants|torch|jnp)"
    called = set(re.findall(rf"(?<![\w.]){module}\.([a-z]\w*(?:\.[a-z]\w*)*)\(", text))
    called |= {(target.module, n) for n in re.findall(r'call\("(\w+)"', text)}
    called |= {("kernels", n) for n in ("lower", "shift", "power", "guarded_power")}
    called -= {("factors", "append")}  # a list of the emitter
    called -= {("kernels", "spread_product")}  # for loops, which only NumPy has
    if backend.name != "torch":
        called -= {("kernels", "common"), ("kernels", "inv")}
    called = {(m, n) for m, n in called if m in names}
    assert len(called) > 60
    for module, path in sorted(called):
        found = names[module]
        for name in path.split("."):
            assert hasattr(found, name), f"{module}.{path}"
            found = getattr(found, name)
    solver = names["factors"].factorize(backend.array(np.eye(2)))
    for method in ("solve", "inverse", "det", "logdet"):
        assert callable(getattr(solver, method))


# -- types, devices and errors -------------------------------------------------------------------

LOSS = tc.parse("sum(log(1+exp(-y.*(X*w))))+logdet(X'*X+eye(n))", X="m n", y="m", w="n")
DATA = {
    "X": RNG.standard_normal((7, 3)),
    "y": np.sign(RNG.standard_normal(7)),
    "w": RNG.standard_normal(3),
}


def test_results_follow_the_type(backend: Backend) -> None:
    run = tc.compile([LOSS, LOSS.hessian("w")], backend=backend.name)
    for dtype in ("float32", "float64"):
        given = {n: backend.array(v, dtype) for n, v in DATA.items()}
        assert all(dtype in str(r.dtype) for r in run(**given))
        # Integers and numbers have no say.
        given["y"] = given["y"] > 0
        assert all(dtype in str(r.dtype) for r in run(**given))
        assert all(dtype in str(r.dtype) for r in run(**{**given, "y": [1] * 7}))
    mixed = {**DATA, "X": backend.array(DATA["X"], "float32")}
    assert all("float64" in str(r.dtype) for r in run(**mixed))
    scalar = tc.compile(tc.parse("sin(a)*x+a^0.5", a="", x="n"), backend=backend.name)
    assert "float32" in str(scalar(a=2, x=backend.array(np.ones(3), "float32")).dtype)
    assert "float32" in str(scalar(a=2.5, x=backend.array(np.ones(3), "float32")).dtype)


def test_constants_inside_matrix_functions_follow_the_type(backend: Backend) -> None:
    f = tc.parse("tr(expm(S))+sum(abs(S).*S)", S="n n sym").hessian("S")
    S = np.diag([1.0, 2.0])
    run = tc.compile(f, backend=backend.name)
    for dtype in ("float32", "float64"):
        assert dtype in str(run(S=backend.array(S, dtype)).dtype)


def test_jax_without_double_precision_rounds(jax: Any) -> None:
    jax.config.update("jax_enable_x64", False)
    assert tc.compile(LOSS, backend="jax")(**DATA).dtype == np.float32


def test_results_are_copies(torch: Any) -> None:
    X = torch.ones((2, 3))
    for formula in ("X'", "X", "reshape(X,6)", "X[:, 0]", "X[0]", "einsum('ij->ji',X)"):
        f = tc.parse(formula.replace("'ij->ji'", '"ij->ji"'), X="2 3")
        result = tc.compile(f, backend="torch")(X=X)
        result += 1
        assert torch.equal(X, torch.ones((2, 3))), formula
    spread = tc.compile(tc.parse("x*ones(3)'+ones(2)*ones(3)'", x="2"), backend="torch")
    result = spread(x=torch.zeros(2))
    result[0, 0] += 1
    assert result.sum() == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"X": np.eye(3)}, r"no value is given for w \(n\)"),
        ({"X": np.eye(3), "w": np.ones(2)}, r"w has shape \(2,\); expected \(n\) with n = 3"),
        ({"X": np.eye(3), "w": np.ones((3, 1))}, r"w has shape \(3, 1\)"),
        ({"X": np.eye(3), "w": np.ones(3), "v": 1}, "'v' is not a variable"),
        ({"X": np.eye(3), "w": ["a", "b", "c"]}, "w holds entries of type"),
    ],
)
def test_errors_in_words(backend: Backend, values: dict, message: str) -> None:
    run = tc.compile(tc.parse("X*w", X="m n", w="n"), backend=backend.name)
    with pytest.raises(tc.InputError, match=message):
        run(**values)


def test_arrays_of_another_framework_are_refused(torch: Any, jax: Any) -> None:
    f = tc.parse("x'*x", x="n")
    with pytest.raises(tc.InputError, match=r'x is an array of JAX.*backend="jax"'):
        tc.compile(f, backend="torch")(x=jax.numpy.ones(2))
    with pytest.raises(tc.InputError, match=r'x is an array of PyTorch.*backend="torch"'):
        tc.compile(f, backend="jax")(x=torch.ones(2))


def test_devices_do_not_mix(torch: Any) -> None:
    run = tc.compile(tc.parse("x'*y", x="n", y="n"), backend="torch")
    x, y = torch.ones(2), torch.ones(2, device="meta")
    with pytest.raises(tc.InputError, match="y is on meta; expected cpu, where x is"):
        run(x=x, y=y)
    assert run(x=[1.0, 2.0], y=y).device.type == "meta"


def test_devices_of_jax_do_not_mix() -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    program = (
        "import jax, tensorcalculus as tc\n"
        "a, b = (jax.device_put(jax.numpy.ones(2), d) for d in jax.devices())\n"
        "run = tc.compile(tc.parse(\"x'*y\", x='n', y='n'), backend='jax')\n"
        "assert run(x=b, y=[1, 2]) == 3\n"
        "try: run(x=a, y=b)\n"
        "except tc.InputError as error: print(error)"
    )
    found = in_a_process(program, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert re.search("y is on .*1.*; expected .*0.*, where x is", found)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_that_is_missing(name: str) -> None:
    program = (
        f"import sys; sys.modules['{name}'] = None\n"
        "import tensorcalculus as tc\n"
        f"try: tc.compile(tc.parse('x'), backend='{name}')\n"
        "except tc.InputError as error: print(error)"
    )
    assert f"pip install 'tensorcalculus[{name}]'" in in_a_process(program)


def in_a_process(program: str, **more: str) -> str:
    import os

    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | more
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_unknown_options() -> None:
    with pytest.raises(tc.InputError, match="backend is one of numpy, torch, jax, not 'cuda'"):
        tc.compile(LOSS, backend="cuda")
    with pytest.raises(tc.InputError, match="differentiation is one of closed, host, not 'x'"):
        tc.compile(LOSS, differentiation="x")


# -- what can be looked at -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_source_and_cost_are_those_of_the_last_call(name: str) -> None:
    if name != "numpy":
        pytest.importorskip(name)
    run = tc.compile(tc.parse("A*B*x", A="m k", B="k n", x="n"), backend=name)
    assert repr(run) == f"<compiled for {name}: output (m) of A (m, k), B (k, n), x (n)>"
    typical = run.cost.flops
    assert typical == 4e4
    run(A=np.ones((2, 3)), B=np.ones((3, 4)), x=np.ones(4))
    assert run.cost.flops == 2 * (3 * 4 + 2 * 3)
    assert "def evaluate(x0, x1, x2, d0, d1, d2):" in run.source
    shown = repr(run.cost)
    assert "flop" in shown and "B at most" in shown and "a,ba->b" in shown

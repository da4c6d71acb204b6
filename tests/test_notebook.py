"""What notebooks show: every public class of results has a text and a rich display that are safe.

The classes are found, not listed: those that the public names stand for, and those that public
functions, methods and fields lead to, by their annotations.  One without an example here fails.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tensorcalculus as tc
import tensorcalculus.networks as tn
from tensorcalculus.compiler.structured.text import as_html
from tensorcalculus.display.curve import curve, descent
from tensorcalculus.display.html import Html, result, rows, table, text
from tensorcalculus.display.rows import Rows
from tensorcalculus.display.source_text import SourceText
from tensorcalculus.fit.data.labels import Labels
from tensorcalculus.fit.pictures import components

PUBLIC = [tc, tn]
WHOLE = {"Diagram", "Explanation"}
"""What is shown as a whole, and made of plain data."""
RICH = ("_repr_html_", "_repr_latex_", "_repr_mimebundle_")

# -- which classes there are ---------------------------------------------------------------------


@cache
def names(module: str) -> dict[str, tuple[str, str]]:
    """What the names of a module stand for, as module and name there, imports for types as well."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    found = {n.name: (module, n.name) for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tensorcalculus"):
            assert node.module is not None
            found |= {a.asname or a.name: (node.module, a.name) for a in node.names}
    return found


def told(annotation: Any, module: str) -> set[type]:
    """Classes of the package that an annotation names."""
    found = set()
    for word in re.findall(r"[A-Za-z_]\w*", annotation if isinstance(annotation, str) else ""):
        home, name = names(module).get(word, ("", ""))
        held = getattr(import_module(home), name, None) if home else None
        if isinstance(held, type):
            found.add(held)
    return found


def leads_to(held: Any) -> set[type]:
    """What a function returns, or what the public parts of a class hold and return."""
    if isinstance(held, property):
        held = held.fget
    held = getattr(held, "func", getattr(held, "__func__", held))
    if not isinstance(held, type):
        return told(
            getattr(held, "__annotations__", {}).get("return"), getattr(held, "__module__", "")
        )
    found: set[type] = set()
    for base in held.__mro__:
        if not base.__module__.startswith("tensorcalculus"):
            continue
        for name, annotation in vars(base).get("__annotations__", {}).items():
            found |= set() if name.startswith("_") else told(annotation, base.__module__)
        for name, part in vars(base).items():
            if not name.startswith("_") and not isinstance(part, type):
                found |= leads_to(part)
    return found


@cache
def result_classes() -> list[type]:
    """What users can have as the value of a cell."""
    # Annotated as the text that it is.
    start: list[Any] = [SourceText]
    start += [getattr(module, name) for module in PUBLIC for name in module.__all__]
    waiting = [held for held in start if isinstance(held, type)]
    waiting += [kind for held in start if callable(held) for kind in leads_to(held)]
    seen: set[type] = set()
    while waiting:
        kind = waiting.pop()
        ours = kind.__module__.startswith("tensorcalculus")
        if ours and kind not in seen and not issubclass(kind, BaseException):
            seen.add(kind)
            waiting += [] if kind.__name__ in WHOLE else leads_to(kind)
    return sorted((k for k in seen if not k.__name__.startswith("_")), key=lambda k: k.__name__)


# -- one object of each --------------------------------------------------------------------------

RNG = np.random.default_rng(0)
SQUARES = tc.parse("norm2(X*w-y)^2", X="m n", w="n", y="m")
DATA = {"X": RNG.normal(size=(5, 2)), "w": np.ones(2), "y": RNG.normal(size=5)}
BLOCK = RNG.normal(size=(4, 3, 5))
COUNTS = RNG.poisson(3.0, (4, 3, 5))
STAR = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")


@cache
def fitted() -> Any:
    return tc.cp_als(BLOCK, 2, max_iterations=5)


@cache
def counted() -> Any:
    return tc.gcp(COUNTS, 2, loss="poisson", max_iterations=5)


def prepared() -> Any:
    return tn.prepare(STAR, {n: np.ones((k, 2)) for n, k in [("A", 3), ("B", 4), ("C", 5)]})


EXAMPLES: dict[str, Callable[[], Any]] = {
    "Adam": tc.Adam,
    "CP": lambda: fitted().model,
    "CPFit": fitted,
    "CheckEntry": lambda: SQUARES.check("w").entries[0],
    "CheckReport": lambda: SQUARES.check("w", order=2),
    "Compiled": lambda: tc.compile([SQUARES, SQUARES.gradient("w"), SQUARES.hessian("w")]),
    "Cost": lambda: tc.compile(SQUARES.hessian("w")).cost,
    "Diagnosis": lambda: fitted().model.diagnose(),
    "Diagram": STAR.draw,
    "EnvironmentCost": lambda: prepared().cost,
    "Environments": prepared,
    "Expr": lambda: SQUARES.gradient("w"),
    "Explanation": lambda: tc.explain(SQUARES, "w"),
    "FitDiagnosis": lambda: fitted().diagnosis,
    "FitIteration": lambda: fitted().record[-1],
    "GCP": lambda: tc.GCP(rank=3),
    "GCPFit": counted,
    "HTucker": lambda: tn.HTucker.random((2, 3, 2, 3), 2),
    "Iteration": lambda: tc.minimize(SQUARES, "w", {"X": DATA["X"], "y": DATA["y"]}).record[0],
    "Labels": lambda: Labels(("city", "day"), (["Oslo", "Bergen"], None)),
    "Loss": lambda: tc.Loss.named("poisson"),
    "Match": lambda: fitted().model.match(fitted().model),
    "Minimum": lambda: tc.minimize(SQUARES, "w", {"X": DATA["X"], "y": DATA["y"]}),
    "Network": lambda: STAR,
    "NetworkSum": lambda: tc.network([("A", "i r"), ("A", "j r")], "i j").derivative("A"),
    "QTT": lambda: tn.QTT.from_function(np.sin, bits=4),
    "Ring": lambda: tn.Ring.random((2, 3, 4), 2),
    "Skeleton": lambda: tn.skeleton(BLOCK[0], 2),
    "SourceText": lambda: SQUARES.gradient("w").source,
    "SparseTensor": lambda: tc.SparseTensor([[0, 0, 1], [1, 2, 0]], [3.0, 5.0], (2, 3, 4)),
    "StructuredOperator": lambda: SQUARES.hessian("w").operator(DATA),
    "TT": lambda: tn.TT.random((2,) * 20, 3),
    "TTMatrix": lambda: tn.laplacian((3, 4)),
    "Tucker": lambda: tc.tucker(BLOCK, 2).model,
    "TuckerFit": lambda: tc.tucker(BLOCK, 2),
    "Variable": lambda: tc.variables(X="m n"),
}

# What is met only inside of others, in a list or behind an attribute of the makers: a text is
# enough.
PARTS: dict[str, Callable[[], Any]] = {
    "Core": lambda: STAR.cores[0],
    "Dim": lambda: SQUARES.gradient("w").shape[0],
    "Pointwise": lambda: tc.Loss("(x-m)^2").pair,
    "Step": lambda: tc.compile(SQUARES.hessian("w")).cost.contractions[0],
    "Term": lambda: SQUARES.hessian("w").operator(DATA).terms[0],
}


def test_every_result_class_is_known_here() -> None:
    found = {kind.__name__ for kind in result_classes()}
    assert {"Expr", "Minimum", "CheckReport", "Diagram", "Cost", "Iteration"} <= found
    new, gone = found - {*EXAMPLES, *PARTS}, {*EXAMPLES, *PARTS} - found
    assert not new, f"{sorted(new)}: give them a rich display, and an example here"
    assert not gone, f"{sorted(gone)} are gone"


def subclasses(kind: type) -> list[type]:
    return [kind, *(k for child in kind.__subclasses__() for k in subclasses(child))]


def test_every_result_class_has_a_rich_display() -> None:
    rich = [kind for kind in result_classes() if kind.__name__ in EXAMPLES]
    # Kinds of expressions, epochs of stochastic methods: what is declared as its base.
    for kind in {k for base in rich for k in subclasses(base)}:
        assert any(hasattr(kind, method) for method in RICH), kind


# -- what they show ------------------------------------------------------------------------------


def readable(held: Any) -> bool:
    """Whether the text is no address, and not so long that nobody would read it."""
    told = repr(held)
    return bool(told) and " object at 0x" not in told and len(told) < 3000


def markup(held: str) -> ElementTree.Element:
    """Our HTML is XML as well, so that faults show."""
    return ElementTree.fromstring(held)


def harmless(held: str) -> None:
    """No scripts, handlers or addresses, and colours that suit light and dark pages."""
    root = markup(held)
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert tag not in ("script", "iframe", "img", "link", "object", "embed", "a"), tag
        for name, value in element.attrib.items():
            assert not name.startswith("on") and "javascript" not in value
            assert name not in ("href", "src")
    assert "url(" not in held and "@import" not in held
    colours = set(re.findall(r"(?<!&)#[0-9a-fA-F]{3,8}\b", held))
    assert colours <= {"#2f9e44", "#e8590c", "#e6e6e6"}, colours
    assert not re.search(r"(?:color|background|fill|stroke):\s*(?:black|white)", held)


def test_what_counts_as_readable() -> None:
    assert not readable(object()) and not readable("x" * 4000) and readable(1)
    for wrong in ("<p><script>1</script></p>", "<p onclick='f()'/>", "<p style='color:#000'/>"):
        with pytest.raises(AssertionError):
            harmless(wrong)


@pytest.mark.parametrize("name", [*EXAMPLES, *PARTS])
def test_text(name: str) -> None:
    held = (EXAMPLES | PARTS)[name]()
    assert name in {k.__name__ for k in type(held).__mro__}
    assert isinstance(held, str) or readable(held)


@pytest.mark.parametrize("name", EXAMPLES)
def test_rich_display(name: str) -> None:
    held = EXAMPLES[name]()
    if name == "GCP" and not isinstance(held, Rows):
        return  # scikit-learn shows its own, with styles and scripts of its own
    if hasattr(held, "_repr_html_"):
        harmless(held._repr_html_())
        assert len("".join(markup(held._repr_html_()).itertext())) > 10
    else:
        assert re.fullmatch(r"\$\\displaystyle .+\$", held._repr_latex_())


@pytest.mark.parametrize("name", EXAMPLES)
def test_as_notebooks_ask(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    bundle, _ = formatters.DisplayFormatter().format(EXAMPLES[name]())
    assert {"text/html", "text/latex"} & bundle.keys() and bundle["text/plain"]
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "made",
    [
        lambda: SQUARES.source,
        lambda: tc.compile(SQUARES).source,
        lambda: prepared().source,
        lambda: tc.codegen(SQUARES),
    ],
)
def test_source_is_shown_line_by_line(made: Callable[[], str]) -> None:
    pretty = pytest.importorskip("IPython.lib.pretty").pretty
    source: Any = made()
    assert pretty(source) == str(source) and "\n" in source
    assert "".join(markup(source._repr_html_()).itertext()).endswith(source)


def test_networks_that_are_too_large_to_draw_are_told() -> None:
    large = tn.tt(70)
    assert "<svg" not in large._repr_html_() and "more" in large._repr_html_()
    assert "<svg" in tn.tt(20)._repr_html_()
    none = STAR.derivative("A", 2)
    harmless(none._repr_html_())
    assert "zero of shape" in none._repr_html_()


def test_parts_of_the_work_add_up() -> None:
    cost = tc.compile([SQUARES, SQUARES.hessian("w")]).cost
    shares = [float(x) for x in re.findall(r">([\d.e-]+) %<", cost._repr_html_())]
    assert len(shares) == len(cost.contractions) + 1 and abs(sum(shares) - 100) < 0.5
    assert sum(step.flops for step in cost.contractions) <= cost.flops


def test_cost_is_that_of_the_last_call() -> None:
    run = tc.compile(SQUARES)
    assert "typical sizes: m = 100" in run._repr_html_()
    run(**DATA)
    assert "the last call: m = 5, n = 2" in run._repr_html_()


def test_a_matrix_is_told_with_signs() -> None:
    f = tc.parse("norm2(T-U*V')^2")
    held = f.hessian("U").operator(T=np.ones((30, 20)), U=np.ones((30, 5)), V=np.ones((20, 5)))
    assert "I<sub>30</sub> ⊗ [5×5]" in held._repr_html_() and "25 of 22,500" in held._repr_html_()
    assert as_html("kron(I_3, blockdiag(3 of 2x2)) + delta_4") == (
        "I<sub>3</sub> ⊗ blockdiag(3 of [2×2]) + δ<sub>4</sub>"
    )


# -- what it is made of --------------------------------------------------------------------------

HOSTILE = "<script>alert('&')</script>"


def test_texts_are_escaped() -> None:
    made = [rows([(HOSTILE, HOSTILE)]), table([HOSTILE], [[HOSTILE]]), text(HOSTILE),
            Html(result(HOSTILE)), curve([1, 2], HOSTILE)]  # fmt: skip
    for held in made:
        assert "<script" not in held and "&lt;script&gt;" in held
    labels = Labels((HOSTILE, "b"), ([HOSTILE, "x"], None))
    harmless(labels._repr_html_())
    assert "".join(markup(labels._repr_html_()).itertext()).count(HOSTILE) == 2
    named = dataclasses.replace(fitted(), labels=Labels((HOSTILE, "b", "c")), message=HOSTILE)
    harmless(named._repr_html_())


def points(drawn: str) -> np.ndarray:
    *_, line = re.findall(r" d='M([^'H]*)'", drawn)
    return np.array([[float(v) for v in p.split(",")] for p in line.split()])


def test_a_curve_is_a_straight_map_of_the_numbers() -> None:
    values = RNG.normal(size=30)
    x, y = points(curve(values, "noise")).T
    assert np.corrcoef(x, np.arange(30))[0, 1] > 0.9999
    assert np.corrcoef(y, values)[0, 1] < -0.9999  # y goes down on the screen
    _, y = points(curve(10.0 ** np.arange(9), "powers", log=True)).T
    assert np.ptp(np.diff(y)) < 0.21  # as places are rounded to a tenth


def test_a_curve_of_many_numbers_keeps_the_extremes() -> None:
    values = RNG.normal(size=100_000)
    values[77_777] = 50.0
    drawn = points(curve(values, "many"))
    assert len(drawn) < 400 and drawn[:, 1].min() == pytest.approx(3.0)
    assert drawn[drawn[:, 1].argmin(), 0] == pytest.approx(2 + 176 * 0.77777, abs=0.1)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0], [np.nan, 1.0, np.inf], [0.0, -1.0]])
def test_curves_of_little(values: list[float]) -> None:
    for log in (False, True):
        markup(curve(values, "little", log=log, zero=not log))
    assert "nan" not in curve(values, "little") + descent(values)


def test_models_with_long_factors_are_drawn_quickly() -> None:
    factors = [RNG.normal(size=(200_000, 3)), RNG.normal(size=(4, 3))]
    drawn = components(np.array([3.0, 2.0, 1.0]), factors, Labels.counted(2))
    assert len(drawn) < 20_000 and drawn.count("<svg") == 6

"""The command line `tcalc`: derivatives and values of formulas, and the table of functions."""

from __future__ import annotations

import sys
from enum import Enum
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.core import TyperCommand

__all__ = ["app", "main"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

_EXAMPLES = """Examples:

\b
  tcalc derive "norm2(X*w-y)^2" --wrt w
  tcalc derive "sum(log(1+exp(-y.*(X*w))))" --wrt w --order 2 --as latex
  tcalc derive "x'*S*x" --wrt S --vars "S: n n sym" --check
  tcalc explain "norm2(X*W-Y)^2" --wrt W
  tcalc eval "x'*A*x" "A=[[2,1],[1,3]]" "x=[1,2]"
  tcalc eval "norm2(X*w-y)^2" --wrt w --data data.npz
  tcalc codegen "norm2(X*w-y)^2" --wrt w --language torch --output loss.py
  tcalc fit data.tns --rank 16 --loss poisson --out model.npz
  tcalc show model.npz
  tcalc serve --open
  tcalc functions "log*"
"""

# Typer's rich help would import rich for every `--help` and draw boxes.
app = typer.Typer(
    name="tcalc",
    help="Derivatives of tensor expressions, as formulas that read well and run fast.",
    epilog=_EXAMPLES,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Notation(Enum):
    """How a derivative is written."""

    matrix = "matrix"
    index = "index"
    latex = "latex"
    index_latex = "index-latex"
    numpy = "numpy"
    einsum = "einsum"


class Language(Enum):
    """What a module is written for."""

    numpy = "numpy"
    torch = "torch"
    jax = "jax"


class Duplicates(Enum):
    """What to do with cells that are listed twice."""

    error = "error"
    sum = "sum"


class Symmetry(Enum):
    """What the derivative by a structured variable means."""

    projected = "projected"
    full = "full"


class Way(Enum):
    """A way to a derivative."""

    differentials = "differentials"
    network = "network"
    indices = "indices"
    backpropagation = "backpropagation"


class Form(Enum):
    """How the steps to a derivative are written."""

    text = "text"
    latex = "latex"
    markdown = "markdown"
    html = "html"


class FormulaCommand(TyperCommand):
    """A command whose arguments may begin with a minus sign, as in ``tcalc derive "-x'*x"``."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:  # type: ignore[override]
        takes_value = {
            spelling
            for parameter in self.params
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for spelling in parameter.opts
        }
        spellings = {s for p in self.params if p.param_type_name == "option" for s in p.opts}
        kept: list[str] = []
        formulas: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                formulas.extend(words)
            elif word in takes_value:
                kept.append(word)
                kept.extend(value for value in [next(words, None)] if value is not None)
            elif (
                word.startswith("-")
                and not word.startswith("--")
                and word not in (*spellings, "-h")
            ):
                formulas.append(word)
            elif word.startswith("-"):
                kept.append(word)
            else:
                formulas.append(word)
        return super().parse_args(ctx, [*kept, "--", *formulas] if formulas else kept)


Formula = Annotated[str, typer.Argument(metavar="EXPR", help="The formula, in quotes.")]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--vars",
        metavar="SPECS",
        help='Shapes and properties: "X: m n, y: m, S: n n spd, c:" (c is a scalar). What is not '
        "declared is a matrix (capital), a vector (small) or a scalar (Greek).",
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help='Values: "X=[[1,2],[3,4]]", "c=0.5", X=file.npy, or a file.npz of arrays.',
    ),
]
Archives = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="A file.npz that holds the arrays by name."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SymmetryOption = Annotated[
    Symmetry,
    typer.Option(
        help="For symmetric, diagonal and triangular variables: stay in that space, or take all "
        "entries as independent."
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        from tensorcalculus import __version__

        typer.echo(f"tcalc {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Derivatives of tensor expressions, as formulas that read well and run fast."""


@app.command(cls=FormulaCommand, no_args_is_help=True)
def derive(
    expression: Formula,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The variable; twice for a mixed derivative."),
    ] = None,
    order: Annotated[
        int | None, typer.Option(min=1, max=8, help="The order of the derivative.")
    ] = None,
    variables: Variables = None,
    notation: Annotated[
        Notation, typer.Option("--as", help="How the derivative is written.")
    ] = Notation.matrix,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with numerical differences on random data.")
    ] = False,
    symmetry: SymmetryOption = Symmetry.projected,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the derivative only.")] = False,
    as_json: Json = False,
) -> None:
    """Derive a formula, and say how it was understood."""
    from tensorcalculus.cli import output, work

    with output.user_errors():
        task = work.read_task(expression, variables or [], wrt or [], order, symmetry.value)
        report = work.run_check(task) if check else None
        if as_json:
            output.print_json(work.as_record(task, report))
        elif quiet:
            output.print_formula(work.spell(task.derivative, notation.value), notation.value)
        else:
            output.print_derivative(task, notation.value, report)


@app.command(cls=FormulaCommand, no_args_is_help=True)
def explain(
    expression: Formula,
    values: Values = None,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The variable; twice for two gradients together."),
    ] = None,
    order: Annotated[int, typer.Option(min=1, max=2, help="The order of the derivative.")] = 1,
    by: Annotated[
        list[Way] | None,
        typer.Option(help="One way to the derivative; all of them if it is left out."),
    ] = None,
    variables: Variables = None,
    data: Archives = None,
    form: Annotated[Form, typer.Option("--as", help="How the steps are written.")] = Form.text,
    full: Annotated[
        bool, typer.Option("--full", help="Do not fold the middle of long derivations.")
    ] = False,
    symmetry: SymmetryOption = Symmetry.projected,
) -> None:
    """Show how a derivative comes about, step by step, with numbers where values are given."""
    from tensorcalculus.cli import output, work

    with output.user_errors():
        told = work.explained(
            expression, variables or [], wrt or [], order, symmetry.value,
            [way.value for way in by or []], [*(data or []), *(values or [])],
        )  # fmt: skip
        typer.echo(work.written_steps(told, form.value, full))


@app.command("eval", cls=FormulaCommand, no_args_is_help=True)
def evaluate(
    expression: Formula,
    values: Values = None,
    data: Archives = None,
    variables: Variables = None,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Evaluate the derivative by this variable instead."),
    ] = None,
    order: Annotated[
        int | None, typer.Option(min=1, max=8, help="The order of that derivative.")
    ] = None,
    symmetry: SymmetryOption = Symmetry.projected,
    as_json: Json = False,
) -> None:
    """Evaluate a formula, or its derivative, for given arrays."""
    from tensorcalculus.cli import output, work

    with output.user_errors():
        given = [*(data or []), *(values or [])]
        f, names = work.read_formula(expression, variables or [], wrt or [], order, symmetry.value)
        value = work.evaluate(f, names, given)
        if as_json:
            output.print_json(work.value_record(expression, wrt or [], value))
        else:
            output.print_value(value)


@app.command(cls=FormulaCommand, no_args_is_help=True)
def codegen(
    expression: Formula,
    wrt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A variable whose derivative is evaluated as well."),
    ] = None,
    order: Annotated[
        int | None, typer.Option(min=1, max=8, help="The order of that derivative.")
    ] = None,
    variables: Variables = None,
    language: Annotated[Language, typer.Option(help="What the module uses.")] = Language.numpy,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the function.")
    ] = "evaluate",
    path: Annotated[
        str | None, typer.Option("--output", metavar="FILE", help="Write to this file.")
    ] = None,
    symmetry: SymmetryOption = Symmetry.projected,
) -> None:
    """Write a Python module for a formula that does not need this program."""
    from tensorcalculus.cli import output, work

    with output.user_errors():
        specs, names = variables or [], wrt or []
        typer.echo(
            work.written(
                expression, specs, names, order, symmetry.value, language.value, name, path
            ),
            nl=path is not None,
        )


@app.command(no_args_is_help=True)
def fit(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A tensor: a sparse one as text (.tns, .tns.gz: a line for each cell, its indices "
            "from 1 and its value), or an array (.npy, .npz). Cells that are not listed are 0.",
        ),
    ],
    rank: Annotated[int, typer.Option(min=1, help="The number of components.")],
    out: Annotated[str, typer.Option(metavar="FILE.npz", help="Where to write the model.")],
    loss: Annotated[
        str,
        typer.Option(
            metavar="LOSS",
            help="gaussian, poisson, poisson-log, bernoulli, bernoulli-logit, gamma, rayleigh, "
            'negative-binomial, huber, beta, or a formula such as "(x-m)^2/(1+abs(x-m))".',
        ),
    ] = "gaussian",
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A parameter of the loss, such as delta=0.5."),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|stored",
            help="Which cells are known: a tensor of ones and zeros; stored: those in DATA only.",
        ),
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="SIZES", help="Of a text file, such as 200,150,100.")
    ] = None,
    duplicates: Annotated[
        Duplicates, typer.Option(help="Cells that a text file lists twice: refuse, or add up.")
    ] = Duplicates.error,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="How: auto, lbfgs (all cells), adam (samples).")
    ] = "auto",
    nonnegative: Annotated[
        bool | None,
        typer.Option(
            "--nonnegative/--signed",
            help="Whether factors have no negative entries; by default where the loss needs it.",
            show_default=False,
        ),
    ] = None,
    starts: Annotated[int, typer.Option(min=1, help="Random starts, of which the best wins.")] = 1,
    start: Annotated[
        str | None, typer.Option(metavar="FILE.npz", help="Start from this model.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the state of the fit there from time to time."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Go on from a checkpoint of the same fit."),
    ] = None,
    l2: Annotated[float, typer.Option(min=0.0, help="Weight of the squared norms of factors.")] = 0,
    tol: Annotated[float, typer.Option(help="Of the projected gradient.")] = 1e-6,
    max_iterations: Annotated[int | None, typer.Option(min=1, help="For each start.")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="For each start.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random starts.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and warnings only.")] = False,
    as_json: Json = False,
) -> None:
    """Fit a CP model to a tensor, and write it to a file.

    Ctrl-C ends the fit; the model so far is written, and the exit code is 130.
    """
    from tensorcalculus.cli import models, output

    with output.user_errors():
        path = models.checked_output(out, data)
        found = models.fit(
            data, rank, loss=loss, parameters=parameter or [], mask=mask, shape=shape,
            duplicates=duplicates.value, start=start, checkpoint=checkpoint, resume=resume,
            method=method, nonnegative=nonnegative, starts=starts, l2=l2, tol=tol,
            max_iterations=max_iterations, max_seconds=max_seconds, seed=seed,
            progress=False if quiet or as_json else None,
        )  # fmt: skip
        found.save(path)
        model = models.as_model(found, path)
        if as_json:
            output.print_json(models.record(model, 0))
        elif not quiet:
            output.print_model(model, 0, largest=False)
        if found.message == "interrupted":
            raise typer.Exit(INTERRUPTED)


@app.command(no_args_is_help=True)
def show(
    path: Annotated[
        str, typer.Argument(metavar="MODEL", help="A file.npz that tcalc fit or save() wrote.")
    ],
    count: Annotated[
        int, typer.Option("--largest", min=1, help="Entries of each column that are listed.")
    ] = 5,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw loss and factors into a .png, .svg or .pdf."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what is in a fitted model: loss, weights, the largest entries of each component."""
    from tensorcalculus.cli import models, output

    with output.user_errors():
        model = models.read_model(path)
        if plot is not None:
            models.draw(model, plot)
        if as_json:
            output.print_json(models.record(model, count))
        else:
            output.print_model(model, count)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Processes that derive; by default one a core, 2 to 4."),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="SECONDS", help="What a request may take.")
    ] = 5.0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve a page for formulas and their derivatives, until Ctrl-C.

    The page is for this machine alone: nothing is sent elsewhere or loaded from there.
    """
    from tensorcalculus.cli import output

    with output.user_errors():
        from tensorcalculus.web.server import serve as run

        try:
            run(host, port, workers, time_limit, announce=typer.echo, browser=browser)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


@app.command()
def functions(
    pattern: Annotated[
        str, typer.Argument(help="A part of a name, or a pattern with * and ?.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the functions of the language, with their domains."""
    from tensorcalculus.cli import output
    from tensorcalculus.notation import catalogue

    with output.user_errors():
        entries = catalogue.entries(pattern)
        if as_json:
            output.print_json([entry.as_record() for entry in entries])
        else:
            output.print_functions(entries)


def main() -> None:
    """The entry point of `tcalc`."""
    for stream in (sys.stdout, sys.stderr):
        # A Greek name must not end the program where the terminal knows no Greek.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="tcalc")

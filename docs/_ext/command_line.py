"""The program ``tcalc`` on the pages.

``.. command-line::`` describes its commands by what the program says of itself.
``.. run-tcalc:: derive "x'*x" --wrt x`` runs one and shows what it printed; an exit code other than
0 is an error of the build.
"""

from __future__ import annotations

import shlex

import click
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def _options(command: click.Command, context: click.Context) -> nodes.definition_list:
    items = nodes.definition_list(classes=["options"])
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is None and isinstance(parameter, click.Argument):
            record = (parameter.make_metavar(context), getattr(parameter, "help", None) or "")
        if record is None:
            continue
        term = nodes.term("", "", nodes.literal(record[0], record[0]))
        items += nodes.definition_list_item(
            "", term, nodes.definition("", nodes.paragraph("", record[1] or ""))
        )
    return items


class CommandLine(SphinxDirective):
    """A section for each command: usage, what it does, arguments and options."""

    def run(self) -> list[nodes.Node]:
        import typer

        from tensorcalculus.cli import app

        group = typer.main.get_command(app)
        outer = click.Context(group, info_name="tcalc")
        made: list[nodes.Node] = []
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            context = click.Context(command, info_name=name, parent=outer)
            section = nodes.section(ids=[nodes.make_id(f"tcalc-{name}")], names=[f"tcalc {name}"])
            section += nodes.title("", "", nodes.literal("", f"tcalc {name}"))
            usage = " ".join(["tcalc", name, *command.collect_usage_pieces(context)])
            section += nodes.literal_block(usage, usage, language="console")
            for part in (command.help or "").replace("\b", "").split("\n\n"):
                section += nodes.paragraph("", " ".join(part.split()))
            section += _options(command, context)
            made.append(section)
        return made


class RunCommand(SphinxDirective):
    """A command as one types it, and its output."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"lines": directives.positive_int}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        from typer.testing import CliRunner

        from tensorcalculus.cli import app

        line = " ".join(self.arguments[0].split())
        done = CliRunner().invoke(app, shlex.split(line), env={"TERM": "dumb", "COLUMNS": "100"})
        if done.exit_code:
            raise self.error(f"tcalc {line} ended with exit code {done.exit_code}: {done.output}")
        shown = done.output.splitlines()
        most = self.options.get("lines", len(shown))
        text = "\n".join([f"$ tcalc {line}", *shown[:most], *["…"] * (most < len(shown))])
        return [nodes.literal_block(text, text, language="console")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("run-tcalc", RunCommand)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The `uploads` command: one module for each subcommand, wired together here."""

import sys

import typer

from service.cli import check, serve, submit, template, watch
from service.cli.failures import explain


def app() -> typer.Typer:
    """The command with all its subcommands."""
    cli = typer.Typer(
        name="uploads",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_show_locals=False,
        help="Takes over the uploads of a carbon-accounting application: every upload replaces exactly what "
        "its own kind put there before, and nothing else.",
    )
    for part in (serve, submit, watch, check, template):
        part.register(cli)
    return cli


def main() -> None:
    """Run the command; what is known to go wrong is explained without a traceback."""
    try:
        app()()
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        typer.secho(failure.message, err=True, fg=typer.colors.RED)
        sys.exit(failure.exit_code)

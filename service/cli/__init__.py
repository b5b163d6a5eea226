"""The `uploads` command: one module for each subcommand, wired together here."""

import sys

import typer

from service.cli import serve
from service.errors import UploadError
from service.settings import InvalidSettings


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
    serve.register(cli)
    return cli


def main() -> None:
    """Run the command; settings and uploads that are wrong are explained without a traceback."""
    try:
        app()()
    except InvalidSettings as error:
        _fail(f"The settings are not usable:\n{error}\nSee `.env.example` for all of them.")
    except UploadError as error:
        _fail(error.message)


def _fail(message: str) -> None:
    typer.secho(message, err=True, fg=typer.colors.RED)
    sys.exit(2)

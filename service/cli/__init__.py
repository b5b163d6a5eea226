"""The `uploads` command: one module for each subcommand, wired together here."""

import logging
import sys
from collections.abc import Sequence
from typing import Protocol

import typer

from service.cli import check, dead_letters, demo, submit, template, watch
from service.cli.error_messages import LastKafkaMessage, explain


class Subcommand(Protocol):
    """A module that adds one or more subcommands."""

    def register(self, cli: typer.Typer, /) -> None: ...


def app(also: Sequence[Subcommand] = ()) -> typer.Typer:
    """The command with all its subcommands, and those of `also` before them."""
    cli = typer.Typer(
        name="uploads",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_show_locals=False,
        help="Takes over the uploads of a carbon-accounting application: every upload replaces exactly what "
        "its own kind put there before, and nothing else.",
    )
    for part in (*also, submit, watch, check, template, dead_letters, demo):
        part.register(cli)
    return cli


def main(arguments: Sequence[str] | None = None, also: Sequence[Subcommand] = ()) -> None:
    """Run the command, by default that of the command line; what is known to go wrong is told in a sentence."""
    last_word = LastKafkaMessage(logging.WARNING)
    logging.getLogger("aiokafka").addHandler(last_word)
    try:
        app(also)(arguments)
    except Exception as error:
        failure = explain(error, last_word.said)
        if failure is None:
            raise
        typer.secho(failure.message, err=True, fg=typer.colors.RED)
        sys.exit(failure.exit_code)

"""The `uploads` command: a module for one or more subcommands, all put together here."""

import logging
import sys
from collections.abc import Sequence
from typing import Protocol

import typer

from service.cli import check, dead_letters, demo, submit, template, watch
from service.cli.error_messages import LastKafkaMessage, explain


class Subcommand(Protocol):
    """A module that adds one or more subcommands to the command."""

    def register(self, cli: typer.Typer, /) -> None: ...


def app(also: Sequence[Subcommand] = ()) -> typer.Typer:
    """Make the command with all its subcommands.

    The subcommands of the modules in `also` come first. `service.serve` is passed in this way: it
    is above this package in the layers of imports, so this package may not import it.
    """
    cli = typer.Typer(
        name="uploads",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        # A box around a traceback is no log line, and its local variables would show row values.
        pretty_exceptions_enable=False,
        help="Takes over the uploads of a carbon-accounting application: every upload replaces "
        "exactly what its own kind put there before, and nothing else.",
    )
    for part in (*also, submit, watch, check, template, dead_letters, demo):
        part.register(cli)
    return cli


def main(arguments: Sequence[str] | None = None, also: Sequence[Subcommand] = ()) -> None:
    """Run the command with these arguments, or else with those of the command line.

    An error with a known cause is shown in a sentence and ends the process with its exit code. Any
    other error is raised.
    """
    last_kafka_message = LastKafkaMessage(logging.WARNING)
    logging.getLogger("aiokafka").addHandler(last_kafka_message)
    try:
        app(also)(arguments)
    except Exception as error:
        failure = explain(error, last_kafka_message.text)
        if failure is None:
            raise
        typer.secho(failure.message, err=True, fg=typer.colors.RED)
        sys.exit(failure.exit_code)

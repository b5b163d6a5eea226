"""`uploads demo`: the main job as a story, on parts that need no installation."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.upload_options import JsonOption

NOT_INSTALLED = 2
"""The exit code if the demo is left out, as it is in the image for production."""


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(demo)


def demo(
    as_json: JsonOption = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running, and say how to submit to it.")
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, hidden=True, help="Write a picture of it."),
    ] = None,
) -> None:
    """See the service at work, in a minute and without installing anything.

    Starts a PostgreSQL, a Kafka broker and a worker of its own, fills a small university, and sends
    eleven uploads through Kafka. After each it shows what has changed; at the end, that nothing
    else has. Everything is removed again. Nothing is read from `UPLOADS_…` variables.

    Exit codes: 0 all checks hold, 1 one does not, 2 a program that it needs is missing.

    **Examples**

    - `uploads demo`
    - `uploads demo --json > story.json`
    - `uploads demo --keep`
    """
    # Imported only here: a worker in production must not load the demo, and the image for
    # production does not even have it.
    try:
        from service.demo.command import run_demo  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        typer.secho(
            f"The demo is not part of this installation ({error}).", err=True, fg=typer.colors.RED
        )
        raise typer.Exit(NOT_INSTALLED) from None
    raise typer.Exit(run_demo(as_json=as_json, keep=keep, svg=svg))

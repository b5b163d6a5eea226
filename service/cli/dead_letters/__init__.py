"""`uploads dead-letters`: read, judge, replay, edit and discard what could not be processed."""

import typer

from service.cli.dead_letters import browse, discard, edit, replay


def register(cli: typer.Typer) -> None:
    """Add `dead-letters` with its subcommands."""
    commands = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="markdown",
        help="Read, judge, replay, edit and discard the messages that could not be processed. "
        "Commands that change something only show what they would do, unless you give `--execute`; "
        "who did what is kept.",
    )
    for part in (browse, replay, edit, discard):
        part.register(commands)
    cli.add_typer(commands, name="dead-letters")

"""`discard` gives letters up; `resume` lets the dead-letter guard park again."""

import asyncio
from typing import Annotated

import typer

from service.cli.dead_letters.options import (
    NOT_ALL,
    ByOption,
    ExecuteOption,
    LetterSelection,
    ReasonOption,
    operator_name,
    with_letter_options,
)
from service.cli.dead_letters.view import number_of_letters, print_json, show_letters
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.db.dead_letters import Filter, Letter
from service.db.engine import command_database
from service.dead_letters.audit import ActionReport, OperatorAction
from service.dead_letters.discard import require_discardable, run_discard
from service.dead_letters.guard import run_resume
from service.dead_letters.select import select_letters
from service.domain.model import LetterState
from service.settings import DatabaseOnly

_NOTHING_FOUND = "There is no such dead letter to discard."


def register(cli: typer.Typer) -> None:
    """Add the subcommands."""
    cli.command()(discard)
    cli.command()(resume)


@with_letter_options(LetterState.OPEN, LetterState.QUARANTINED)
def discard(
    selection: LetterSelection,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; kept with each letter and in the audit.")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="All letters, where no filter says which.")
    ] = False,
    execute: ExecuteOption = False,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give letters up: they are never replayed. Their records stay in the dead-letter topic.

    Needs `UPLOADS_DATABASE__URL` alone.

    Exit codes: 0 all were discarded, or this was a dry run; 3 some were taken by somebody else.
    Always: 1 something does not answer, 2 the command or a setting is wrong.

    **Examples**

        uploads dead-letters discard --id 3f0e2b52 --reason "uploaded again as 8124"
        uploads dead-letters discard --code tombstone --reason "a test of the producer" --execute
    """
    if not selection.filter.narrows and not every:
        raise typer.BadParameter("give --id or another filter, or --all to mean every letter.")
    try:
        require_discardable(selection.filter)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--state") from None

    if not execute:
        _show_preview(asyncio.run(_connect_and_select(selection.filter)), as_json=as_json)
        return
    action = OperatorAction(operator_name(by), "discard", selection.options, reason)
    report = asyncio.run(_connect_and_discard(selection.filter, action))
    _show_report(report, as_json=as_json)
    raise typer.Exit(NOT_ALL if report.count("discarded") < len(report.selected) else 0)


async def _connect_and_select(letter_filter: Filter) -> list[Letter]:
    async with command_database(DatabaseOnly.read().database) as engine, engine.connect() as conn:
        return await select_letters(conn, letter_filter)


async def _connect_and_discard(letter_filter: Filter, action: OperatorAction) -> ActionReport:
    async with command_database(DatabaseOnly.read().database) as engine:
        return await run_discard(engine, letter_filter, action)


def _show_preview(letters: list[Letter], *, as_json: bool) -> None:
    if as_json:
        print_json({"executed": False, "ids": [letter.id for letter in letters]})
        return
    screen = Screen()
    if not letters:
        screen.line(_NOTHING_FOUND)
        return
    show_letters(screen, letters)
    screen.line(
        f"{number_of_letters(len(letters))}. Nothing was discarded: add --execute to do it."
    )


def _show_report(report: ActionReport, *, as_json: bool) -> None:
    if as_json:
        print_json({"executed": True, "ids": report.selected, **report.as_json()})
        return
    screen = Screen()
    if not report.selected:
        screen.line(_NOTHING_FOUND)
        return
    discarded, selected = report.count("discarded"), number_of_letters(len(report.selected))
    screen.line(f"{discarded:,} of {selected} discarded (action {report.action_id}).")


def resume(reason: ReasonOption = None, by: ByOption = None, as_json: JsonOption = False) -> None:
    """Let the dead-letter guard park again, after what it stopped for is mended.

    Workers notice within their probe pause (`UPLOADS_RETRY__PROBE_PAUSE`) and go on where they
    held. Needs `UPLOADS_DATABASE__URL` alone.

    Example: `uploads dead-letters resume --reason "the producer is rolled back"`
    """
    action = OperatorAction(operator_name(by), "resume", None, reason)
    stop_reason = asyncio.run(_connect_and_resume(action))
    if as_json:
        print_json({"resumed": stop_reason is not None, "stopped_for": stop_reason})
    elif stop_reason is None:
        typer.echo("The guard had not stopped; it counts from now on.")
    else:
        typer.echo(f"Parking goes on. It had stopped: {stop_reason}")


async def _connect_and_resume(action: OperatorAction) -> str | None:
    async with command_database(DatabaseOnly.read().database) as engine:
        return await run_resume(engine, action)

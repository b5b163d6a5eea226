"""`discard` gives letters up; `resume` lets the dead-letter guard park again."""

import asyncio
from typing import Annotated

import typer

from service.cli.dead_letters.options import (
    ByOption,
    ExecuteOption,
    LetterSelection,
    ReasonOption,
    actor,
    choosing,
)
from service.cli.dead_letters.replay import NOT_ALL
from service.cli.dead_letters.view import number_of, print_json, show_letters
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.db.dead_letters import Letter
from service.db.engine import command_database
from service.dead_letters import guard
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.discard import discard_letters as give_up
from service.dead_letters.select import select_letters
from service.domain.model import LetterState
from service.settings import DatabaseOnly

_DISCARDED = {LetterState.OPEN, LetterState.QUARANTINED, LetterState.SENT}


def register(cli: typer.Typer) -> None:
    """Add the subcommands."""
    cli.command()(discard)
    cli.command()(resume)


@choosing(LetterState.OPEN, LetterState.QUARANTINED)
def discard(
    chosen: LetterSelection,
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

    Exit codes: 0 all were discarded, or this was a dry run; 3 some were taken by somebody else. Always: 1
    something does not answer, 2 the command or a setting is wrong.

    **Examples**

        uploads dead-letters discard --id 3f0e2b52 --reason "uploaded again as 8124"
        uploads dead-letters discard --code tombstone --reason "a test of the producer" --execute
    """
    if not chosen.filter.narrows and not every:
        raise typer.BadParameter("give --id or another filter, or --all to mean every letter.")
    if not set(chosen.filter.states) <= _DISCARDED or not chosen.filter.states:
        raise typer.BadParameter(
            "open, sent and quarantined letters are discarded, no others.", param_hint="--state"
        )
    action = OperatorAction(actor(by), "discard", chosen.asked, reason)
    raise typer.Exit(asyncio.run(_discard(chosen, action, execute=execute, as_json=as_json)))


async def _discard(
    chosen: LetterSelection, action: OperatorAction, *, execute: bool, as_json: bool
) -> int:
    report = None
    async with command_database(DatabaseOnly.read().database) as engine:
        async with engine.connect() as conn:
            found = await select_letters(conn, chosen.filter)
        if execute:
            async with audited(engine, action, [letter.id for letter in found]) as report:
                await give_up(engine, found, report, by=action.actor, reason=action.reason or "")
    done = report.count("discarded") if report else 0
    _show(found, report, done, as_json=as_json)
    return NOT_ALL if execute and done < len(found) else 0


def _show(found: list[Letter], report: ActionReport | None, done: int, *, as_json: bool) -> None:
    if as_json:
        ids = [letter.id for letter in found]
        print_json(
            {"executed": report is not None, "ids": ids, **(report.as_json() if report else {})}
        )
        return
    screen = Screen()
    if not found:
        screen.line("There is no such dead letter to discard.")
    elif report is None:
        show_letters(screen, found)
        screen.line(f"{number_of(len(found))}. Nothing was discarded: add --execute to do it.")
    else:
        screen.line(f"{done:,} of {number_of(len(found))} discarded (action {report.action_id}).")


def resume(reason: ReasonOption = None, by: ByOption = None, as_json: JsonOption = False) -> None:
    """Let the dead-letter guard park again, after what it stopped for is mended.

    Workers notice within their probe pause (`UPLOADS_RETRY__PROBE_PAUSE`) and go on where they held.
    Needs `UPLOADS_DATABASE__URL` alone.

    Example: `uploads dead-letters resume --reason "the producer is rolled back"`
    """
    why = asyncio.run(_resume(OperatorAction(actor(by), "resume", None, reason)))
    if as_json:
        print_json({"resumed": why is not None, "stopped_for": why})
    elif why is None:
        typer.echo("The guard had not stopped; it counts from now on.")
    else:
        typer.echo(f"Parking goes on. It had stopped: {why}")


async def _resume(action: OperatorAction) -> str | None:
    async with (
        command_database(DatabaseOnly.read().database) as engine,
        audited(engine, action, ()) as report,
    ):
        why = await guard.resume_parking(engine, by=action.actor)
        report.notes["stopped_for"] = why
    return why

"""`replay`: what a replay would do, letter by letter, and with `--execute` doing it."""

import asyncio
import os
from typing import Annotated

import typer

from service import crash
from service.cli.dead_letters.connections import connected_judge
from service.cli.dead_letters.options import (
    NOT_ALL,
    ByOption,
    ExecuteOption,
    LetterSelection,
    ReasonOption,
    operator_name,
    with_letter_options,
)
from service.cli.dead_letters.view import (
    describe_counts,
    describe_verdicts,
    print_json,
    show_judged,
    show_sending_progress,
)
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.dead_letters.audit import OperatorAction
from service.dead_letters.pace import Pace
from service.dead_letters.replay import (
    ReplayResult,
    preview_replay,
    require_replayable,
    run_replay,
)
from service.domain.model import LetterState
from service.kafka.producer import connected_producer
from service.settings import Settings


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(replay)


@with_letter_options(LetterState.OPEN)
def replay(
    selection: LetterSelection,
    quarantined: Annotated[
        bool,
        typer.Option("--quarantined", help="Also send letters that have come back three times."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also send letters that would come back, as far as the verdict can tell.",
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.01, help="Send at most this many letters a second."),
    ] = None,
    canary: Annotated[
        str,
        typer.Option(
            metavar="1,5,25",
            help="Send this many first, and go on when they have ended and none came back.",
        ),
    ] = "",
    patience: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.1, help="How long `--canary` waits for a wave to end."
        ),
    ] = 120.0,
    execute: ExecuteOption = False,
    reason: ReasonOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what would happen to each letter's message if it were sent again; with `--execute`, send
    it.

    A message goes to the topic that it came from, its key, value and headers as they were. Letters
    that would come back are held back unless `--force` is given. Without filters all open letters
    are meant. `--state sent` sends a letter once more whose message was lost on its way.

    Exit codes: 0 all were sent, or this was a dry run; 3 some were not, or a canary came back.
    Always: 1 something does not answer, 2 the command or a setting is wrong.

    **Examples**

        uploads dead-letters replay --code file_gone
        uploads dead-letters replay --code file_gone --canary 1,5,25 --execute
        uploads dead-letters replay --scope 2025:vehicles --older-than 2h --rate 5 --execute
        uploads dead-letters replay --id 3f0e2b52 --quarantined --force --execute
    """
    pace = Pace(rate, _parse_waves(canary), patience)
    replayable = _check_states(selection, quarantined=quarantined)
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    if not execute:
        asyncio.run(_connect_and_preview(replayable, as_json=as_json))
        return

    action = OperatorAction(operator_name(by), "replay", replayable.options, reason)
    result = asyncio.run(_connect_and_run(replayable, action, pace, force=force))
    _show_result(result, as_json=as_json)
    raise typer.Exit(0 if result.is_complete else NOT_ALL)


def _parse_waves(canary: str) -> tuple[int, ...]:
    waves = canary.split(",") if canary else []
    if not all(wave.strip().isdecimal() and int(wave) for wave in waves):
        raise typer.BadParameter(
            f'"{canary}" has no numbers of letters; expected 1,5,25.', param_hint="--canary"
        )
    return tuple(map(int, waves))


def _check_states(selection: LetterSelection, *, quarantined: bool) -> LetterSelection:
    """Return the selection, with quarantined letters only if `--quarantined` was given."""
    try:
        require_replayable(selection.filter)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--state") from None

    states = set(selection.filter.states)
    if quarantined:
        states.add(LetterState.QUARANTINED)
    elif LetterState.QUARANTINED in states:
        raise typer.BadParameter("add --quarantined to mean it.", param_hint="--state")
    return selection.within(tuple(sorted(states)))


async def _connect_and_preview(selection: LetterSelection, *, as_json: bool) -> None:
    async with connected_judge(Settings.read()) as judge:
        judged = await preview_replay(judge, selection.filter)
    if as_json:
        print_json({"executed": False, "letters": [letter.as_json() for letter in judged]})
        return
    screen = Screen()
    if not judged:
        screen.line("There is no such dead letter to replay.")
        return
    show_judged(screen, judged)
    verdicts = describe_verdicts(judged)
    screen.line(f"{verdicts}. Nothing was sent: add --execute to send what would not come back.")


async def _connect_and_run(
    selection: LetterSelection, action: OperatorAction, pace: Pace, *, force: bool
) -> ReplayResult:
    settings = Settings.read()
    async with (
        connected_judge(settings) as judge,
        connected_producer(settings.kafka) as publish,
    ):
        with show_sending_progress() as tell:
            return await run_replay(
                judge, publish, selection.filter, action, pace=pace, force=force, tell=tell
            )


def _show_result(result: ReplayResult, *, as_json: bool) -> None:
    report = result.report
    if as_json:
        print_json(
            {
                "executed": True,
                "action_id": report.action_id,
                "stopped": report.stopped,
                "sent": report.count("sent"),
                "letters": [letter.as_json() for letter in result.letters],
            }
        )
        return

    screen = Screen()
    if not report.selected:
        screen.line("There is no such dead letter to replay.")
        return

    not_sent = [letter for letter in result.letters if letter.sending != "sent"]
    if not_sent:
        show_judged(screen, not_sent)
    counts = {name: len(ids) for name, ids in report.letters.items()}
    counts["not reached"] = len(report.selected) - sum(counts.values())
    screen.line(f"{describe_counts(counts)} (action {report.action_id}).")
    if report.stopped:
        screen.line(f"Stopped: {report.stopped}", "red")

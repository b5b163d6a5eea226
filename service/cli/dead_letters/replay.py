"""`replay_letters`: what a replay would do, letter by letter, and doing it."""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated

import typer

from service import crash
from service.cli.dead_letters.connections import judging
from service.cli.dead_letters.options import (
    ByOption,
    ExecuteOption,
    LetterSelection,
    ReasonOption,
    actor,
    choosing,
)
from service.cli.dead_letters.view import (
    JudgedLetter,
    counted,
    print_json,
    sending_shown,
    show_judged,
    tally,
)
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.db.dead_letters import Letter
from service.dead_letters import replay as replaying
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.replay import Pace, Sender
from service.dead_letters.select import select_letters
from service.dead_letters.verdict import Judge
from service.domain.model import LetterState
from service.kafka.producer import connected_producer
from service.settings import KafkaSettings, Settings

NOT_ALL = 3
"""The exit code when not every letter that was chosen was sent, or one of a canary came back."""

_REPLAYED = {LetterState.OPEN, LetterState.SENT, LetterState.QUARANTINED}


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(replay)


@choosing(LetterState.OPEN)
def replay(
    chosen: LetterSelection,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="Those too that have come back three times.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Send those too that would come back, as far as the verdict can tell."
        ),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(metavar="N", min=0.01, help="So many letters a second at most.")
    ] = None,
    canary: Annotated[
        str,
        typer.Option(
            metavar="1,5,25",
            help="Send so many first, and go on when they have ended and none came back.",
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
    """Say what would happen to each letter's message if it were sent again; with `--execute`, send it.

    A message goes to the topic that it came from, its key, value and headers as they were. Letters that
    would come back are held back unless `--force` is given. Without filters all open letters are meant.
    `--state sent` sends a letter once more whose message was lost on its way.

    Exit codes: 0 all were sent, or this was a dry run; 3 some were not, or a canary came back. Always: 1
    something does not answer, 2 the command or a setting is wrong.

    **Examples**

        uploads dead-letters replay --code file_gone
        uploads dead-letters replay --code file_gone --canary 1,5,25 --execute
        uploads dead-letters replay --scope 2025:vehicles --older-than 2h --rate 5 --execute --reason "bucket is back"
        uploads dead-letters replay --id 3f0e2b52 --quarantined --force --execute
    """
    pace = Pace(rate, _waves(canary), patience)
    letters = _replayable(chosen, quarantined=quarantined)
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    if execute:
        action = OperatorAction(actor(by), "replay", letters.asked, reason)
        raise typer.Exit(asyncio.run(_execute(letters, action, pace, force=force, as_json=as_json)))
    asyncio.run(_dry_run(letters, as_json=as_json))


def _waves(canary: str) -> tuple[int, ...]:
    waves = canary.split(",") if canary else []
    if not all(wave.strip().isdecimal() and int(wave) for wave in waves):
        raise typer.BadParameter(
            f'"{canary}" has no numbers of letters; expected 1,5,25.', param_hint="--canary"
        )
    return tuple(map(int, waves))


def _replayable(chosen: LetterSelection, *, quarantined: bool) -> LetterSelection:
    """The choice, in states from which a letter may be sent."""
    states = set(chosen.filter.states)
    if not states or not states <= _REPLAYED:
        raise typer.BadParameter(
            "open, sent and quarantined letters are replayed, no others.", param_hint="--state"
        )
    if quarantined:
        states.add(LetterState.QUARANTINED)
    elif LetterState.QUARANTINED in states:
        raise typer.BadParameter("add --quarantined to mean it.", param_hint="--state")
    return chosen.within(tuple(sorted(states)))


async def _dry_run(chosen: LetterSelection, *, as_json: bool) -> None:
    async with judging(Settings.read()) as judge:
        letters = await _selected(judge, chosen)
        judged = [JudgedLetter(one.letter, one.finding) async for one in judge.each(letters)]
    if as_json:
        print_json({"executed": False, "letters": [one.as_json() for one in judged]})
        return
    screen = Screen()
    if not judged:
        screen.line("There is no such dead letter to replay.")
        return
    show_judged(screen, judged)
    screen.line(
        f"{tally(judged)}. Nothing was sent: add --execute to send what would not come back."
    )


async def _execute(
    chosen: LetterSelection, action: OperatorAction, pace: Pace, *, force: bool, as_json: bool
) -> int:
    settings = Settings.read()
    async with judging(settings) as judge:
        await replaying.end_abandoned_claims(judge.engine, actor=action.actor)
        letters = await _selected(judge, chosen)
        async with audited(judge.engine, action, [letter.id for letter in letters]) as report:
            judged = await _send(
                settings.kafka, judge, letters, action.actor, report, pace, force=force
            )
    sent = report.count("sent")
    if as_json:
        result = {
            "executed": True,
            "action_id": report.action_id,
            "stopped": report.stopped,
            "sent": sent,
        }
        print_json(result | {"letters": [one.as_json() for one in judged]})
    else:
        _show_end(judged, report, chosen=len(letters))
    return 0 if sent == len(letters) and report.stopped is None else NOT_ALL


async def _send(
    kafka: KafkaSettings,
    judge: Judge,
    letters: Sequence[Letter],
    by: str,
    report: ActionReport,
    pace: Pace,
    *,
    force: bool,
) -> list[JudgedLetter]:
    judged: list[JudgedLetter] = []
    async with connected_producer(kafka) as publish:
        sender = Sender(judge.engine, publish, judge.topics, by, report.action_id)
        with sending_shown(len(letters), judged) as tell:
            await replaying.replay_letters(
                sender, judge, letters, report, pace=pace, force=force, tell=tell
            )
    return judged


async def _selected(judge: Judge, chosen: LetterSelection) -> list[Letter]:
    async with judge.engine.connect() as conn:
        return await select_letters(conn, chosen.filter)


def _show_end(judged: Sequence[JudgedLetter], report: ActionReport, *, chosen: int) -> None:
    screen = Screen()
    if not chosen:
        screen.line("There is no such dead letter to replay.")
        return
    not_sent = [one for one in judged if one.sending != "sent"]
    if not_sent:
        show_judged(screen, not_sent)
    came = {what: len(ids) for what, ids in report.letters.items()}
    came["not reached"] = chosen - sum(came.values())
    screen.line(f"{counted(came)} (action {report.action_id}).")
    if report.stopped:
        screen.line(f"Stopped: {report.stopped}", "red")

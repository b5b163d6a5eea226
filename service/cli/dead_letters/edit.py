"""`edit`: a changed copy of a letter's message."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from service import crash
from service.cli.dead_letters.connections import connected_judge
from service.cli.dead_letters.options import (
    NOT_ALL,
    ByOption,
    ExecuteOption,
    ReasonOption,
    operator_name,
)
from service.cli.dead_letters.view import print_json
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.dead_letters.audit import OperatorAction
from service.dead_letters.edit import EditResult, parse_assignment, preview_edit, run_edit
from service.kafka.producer import connected_producer
from service.settings import Settings


def register(cli: typer.Typer) -> None:
    """Add the subcommand."""
    cli.command()(edit)


def edit(
    letter_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="The letter's id, or how it begins.")
    ],
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="`year=2025`, `file.url=s3://…`: JSON or text. Repeatable.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="A file for the store, in place of the letter's.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Send it even if it would come back.")
    ] = False,
    execute: ExecuteOption = False,
    reason: ReasonOption = None,
    by: ByOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a changed copy of a letter's message, under a fresh job id; without `--execute`, show
    it.

    The copy is `based_on` the original's job: if a newer job has replaced the same rows, it changes
    nothing. The letter is resolved when the copy has succeeded, and open again when the copy ends
    in any other way.

    Exit codes: 0 sent, or a dry run; 3 not sent. Always: 1 something does not answer, 2 the command
    or a setting is wrong, or the letter can't be edited.

    **Examples**

        uploads dead-letters edit --id 3f0e2b52 --set data_entry_type=services
        uploads dead-letters edit --id 3f0e2b52 --file corrected.csv --execute --reason "cut short"
    """
    try:
        changes = dict(map(parse_assignment, assignments or ()))
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--set") from None
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    if not execute:
        preview = asyncio.run(_connect_and_preview(letter_id, changes, file))
        _show_result(preview, execute=False, as_json=as_json)
        return

    options = {
        "id": letter_id,
        "set": assignments,
        "file": None if file is None else str(file),
    }
    action = OperatorAction(operator_name(by), "edit", options, reason)
    result = asyncio.run(_connect_and_run(letter_id, changes, file, action, force=force))
    _show_result(result, execute=True, as_json=as_json)
    raise typer.Exit(NOT_ALL if result.job_id is None else 0)


async def _connect_and_preview(
    letter_id: str, changes: Mapping[str, Any], file: Path | None
) -> EditResult:
    async with connected_judge(Settings.read()) as judge:
        return await preview_edit(judge, letter_id, changes, file)


async def _connect_and_run(
    letter_id: str,
    changes: Mapping[str, Any],
    file: Path | None,
    action: OperatorAction,
    *,
    force: bool,
) -> EditResult:
    settings = Settings.read()
    async with (
        connected_judge(settings) as judge,
        connected_producer(settings.kafka) as publish,
    ):
        return await run_edit(judge, publish, letter_id, changes, file, action, force=force)


def _show_result(result: EditResult, *, execute: bool, as_json: bool) -> None:
    draft, finding, job_id = result.draft, result.finding, result.job_id
    message = {name: value for name, value in draft.message.items() if name != "rows"}
    if as_json:
        print_json(
            {
                "executed": job_id is not None,
                "id": draft.letter.id,
                "job_id": job_id,
                "message": message,
                "verdict": finding.verdict,
                "detail": finding.detail,
            }
        )
        return

    screen = Screen()
    screen.line(orjson.dumps(message, option=orjson.OPT_INDENT_2).decode())
    screen.line(f"{finding.verdict}: {finding.detail}" if finding.detail else finding.verdict)
    if job_id is not None:
        screen.line(
            f"Sent as job {job_id}; the letter is resolved when that has succeeded.", "green"
        )
    elif not execute:
        screen.line("Nothing was sent: add --execute to send it.")
    elif finding.verdict.ends_well:
        screen.line("Not sent: somebody else has taken the letter meanwhile.", "red")
    else:
        screen.line("Not sent, for it would come back: correct it, or add --force.", "red")

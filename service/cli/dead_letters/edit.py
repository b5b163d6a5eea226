"""`edit`: a changed copy of a letter's message."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from service import crash
from service.cli.dead_letters.connections import judging
from service.cli.dead_letters.options import ByOption, ExecuteOption, ReasonOption, actor
from service.cli.dead_letters.replay import NOT_ALL
from service.cli.dead_letters.view import print_json
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.contract.messages import parse_job
from service.db.dead_letters import Filter, Letter
from service.db.job_ids import draw_job_id
from service.dead_letters.audit import OperatorAction, audited
from service.dead_letters.edit import (
    NotEditable,
    copy_message,
    draft_copy,
    parse_assignment,
    send_copy,
)
from service.dead_letters.records import read_originals
from service.dead_letters.replay import ForeignTopic, Sender, end_abandoned_claims
from service.dead_letters.select import select_letters
from service.dead_letters.verdict import Finding, Judge
from service.domain.model import MAX_JOB_ID, LetterState, Record
from service.domain.provider_types import ProviderType
from service.files.local_file import URL, claim_check_of, local_store
from service.files.store import FileStore
from service.kafka.producer import connected_producer
from service.settings import Settings

_EDITABLE = (LetterState.OPEN, LetterState.QUARANTINED)
_COMPRESSED = {".gz", ".zst"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A copy that has no job id yet: `message` is all else, `file` what is to lie in the store for it."""

    letter: Letter
    original: Record
    provider_type: ProviderType
    message: Mapping[str, Any]
    file: Path | None

    def value(self, job_id: int, file_url: str) -> bytes:
        """The copy's message; `file_url` is where its new file lies, if it has one."""
        if self.file is None:
            return copy_message(self.message, job_id)
        without_rows = {name: value for name, value in self.message.items() if name != "rows"}
        return copy_message(without_rows | {"file": claim_check_of(self.file, file_url)}, job_id)


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
    """Send a changed copy of a letter's message, under a fresh job id; without `--execute`, show it.

    The copy is `based_on` the original's job: where a newer job has replaced the same, it changes nothing. The
    letter is resolved when the copy has succeeded, and open again when the copy ends in any other way.

    Exit codes: 0 sent, or a dry run; 3 not sent. Always: 1 something does not answer, 2 the command or a
    setting is wrong, or the letter can't be edited.

    **Examples**

        uploads dead-letters edit --id 3f0e2b52 --set data_entry_type=services
        uploads dead-letters edit --id 3f0e2b52 --file corrected.csv --execute --reason "cut short in transfer"
    """
    try:
        changes = dict(map(parse_assignment, assignments or ()))
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--set") from None
    crash.arm(os.environ.get("UPLOADS_CRASH_AT"))
    asked = {"id": letter_id, "set": assignments, "file": file and str(file)}
    action = OperatorAction(actor(by), "edit", asked, reason)
    run = _edit(changes, file, action, force=force, execute=execute, as_json=as_json)
    raise typer.Exit(asyncio.run(run))


async def _edit(
    changes: Mapping[str, Any],
    file: Path | None,
    action: OperatorAction,
    *,
    force: bool,
    execute: bool,
    as_json: bool,
) -> int:
    settings = Settings.read()
    async with judging(settings) as judge:
        if execute:
            await end_abandoned_claims(judge.engine, actor=action.actor)
        drafted = await _draft(judge, str((action.filter or {})["id"]), changes, file)
        finding = await _finding(judge, drafted)
        job_id = None
        if execute and (finding.verdict.ends_well or force):
            job_id = await _send(settings, judge, drafted, action)
    _show(drafted, finding, job_id, execute=execute, as_json=as_json)
    return NOT_ALL if execute and job_id is None else 0


async def _draft(
    judge: Judge, letter_id: str, changes: Mapping[str, Any], file: Path | None
) -> Draft:
    async with judge.engine.connect() as conn:
        (letter,) = await select_letters(conn, Filter(ids=(letter_id,), states=_EDITABLE))
    provider_type = judge.topics.provider_type(letter.original_topic)
    if provider_type is None:
        raise ForeignTopic("name", topic=letter.original_topic)
    original = (await read_originals(judge.read, [letter])).get(letter.id)
    if original is None:
        raise NotEditable("record_gone")
    return Draft(letter, original, provider_type, draft_copy(original, changes), file)


async def _finding(judge: Judge, drafted: Draft) -> Finding:
    """What would become of the copy; a new file is looked at where it lies now."""
    if drafted.file is not None:
        judge = replace(judge, store=local_store(drafted.file))
    _, finding = await judge.look_at(drafted.provider_type, drafted.value(MAX_JOB_ID, URL))
    return finding


async def _send(
    settings: Settings, judge: Judge, drafted: Draft, action: OperatorAction
) -> int | None:
    """Send the copy; its job id, or None where somebody else has taken the letter meanwhile."""
    async with judge.engine.begin() as conn:
        job_id = await draw_job_id(conn)
    async with audited(judge.engine, action, [drafted.letter.id]) as report:
        report.notes["job_id"] = job_id
        value = drafted.value(job_id, await _store_file(judge.store, drafted, job_id))
        job = parse_job(drafted.provider_type, value)
        async with connected_producer(settings.kafka) as publish:
            sender = Sender(judge.engine, publish, judge.topics, action.actor, report.action_id)
            is_sent = await send_copy(sender, drafted.letter, drafted.original, value, job)
        report.note("sent" if is_sent else "taken", drafted.letter.id)
    return job_id if is_sent else None


async def _store_file(store: FileStore, drafted: Draft, job_id: int) -> str:
    """Put the copy's new file into the store, if it has one; its URL."""
    if drafted.file is None:
        return ""
    suffix = drafted.file.suffix.lower()
    url = store.url_under_root(f"edited/{job_id}.csv{suffix if suffix in _COMPRESSED else ''}")
    await store.write(url, drafted.file)
    return url


def _show(
    drafted: Draft, finding: Finding, job_id: int | None, *, execute: bool, as_json: bool
) -> None:
    message = {name: value for name, value in drafted.message.items() if name != "rows"}
    if as_json:
        told = {
            "executed": job_id is not None,
            "id": drafted.letter.id,
            "job_id": job_id,
            "message": message,
        }
        print_json(told | {"verdict": finding.verdict, "detail": finding.detail})
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

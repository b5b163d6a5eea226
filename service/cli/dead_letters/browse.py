"""`list`, `show` and `export`: nothing here changes a letter."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import orjson
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from service.cli.dead_letters.options import (
    ByOption,
    LetterSelection,
    ReasonOption,
    actor,
    choosing,
)
from service.cli.dead_letters.view import (
    as_text,
    dumped,
    fields_of,
    number_of,
    print_json,
    record_as_json,
    show_groups,
    show_letters,
)
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.contract import headers
from service.contract.topics import Topics
from service.db import audit, dead_letters, service_state
from service.db.audit import Action
from service.db.dead_letters import Letter
from service.db.engine import command_database
from service.dead_letters.audit import OperatorAction, audited
from service.dead_letters.guard import NAME as GUARD
from service.dead_letters.records import Read, read_originals
from service.dead_letters.select import find_by_id, select_letters
from service.domain.model import LetterState, Record
from service.kafka.record_reader import record_reader
from service.settings import DatabaseOnly, Settings

UNSETTLED = (LetterState.OPEN, LetterState.CLAIMED, LetterState.SENT, LetterState.QUARANTINED)

_BATCH = 100


def register(cli: typer.Typer) -> None:
    """Add the subcommands."""
    cli.command("list")(list_)
    cli.command()(show)
    cli.command()(export)


@choosing(*UNSETTLED)
def list_(
    chosen: LetterSelection,
    every: Annotated[
        bool, typer.Option("--all", help="A line for each letter instead of each code.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the letters that need an end, by what they were parked for.

    Needs `UPLOADS_DATABASE__URL` alone. Settled letters are listed with `--state`.

    **Examples**

        uploads dead-letters list
        uploads dead-letters list --all --code file_gone --newer-than 2h
        uploads dead-letters list --state all --json | jq '.groups[].code'
    """
    asyncio.run(_list(chosen, every=every, as_json=as_json))


async def _list(chosen: LetterSelection, *, every: bool, as_json: bool) -> None:
    screen = Screen()
    async with command_database(DatabaseOnly.read().database) as engine, engine.connect() as conn:
        stopped = (await service_state.read_state(conn, GUARD)).get("why")
        found = await select_letters(conn, chosen.filter) if every else []
        groups = [] if every else await dead_letters.count_by_code(conn, chosen.filter)
    if as_json:
        print_json({"guard": stopped, **({"letters": found} if every else {"groups": groups})})
        return
    if stopped:
        screen.line(f"Nothing more is parked until `uploads dead-letters resume`: {stopped}", "red")
    if not found and not groups:
        screen.line("There is no such dead letter.")
    elif every:
        show_letters(screen, found)
    else:
        show_groups(screen, groups)


def show(
    letter_id: Annotated[
        str, typer.Argument(metavar="ID", help="A letter's id, or how it begins.")
    ],
    value: Annotated[
        bool,
        typer.Option(
            "--value", help="The message too; it may hold personal data. JSON is laid out."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show everything about one letter: why it was parked and where, its headers, and what was done to it since.

    **Examples**

        uploads dead-letters show 3f0e2b52
        uploads dead-letters show 3f0e2b52 --value
    """
    asyncio.run(_show(letter_id, with_value=value, as_json=as_json))


async def _show(letter_id: str, *, with_value: bool, as_json: bool) -> None:
    settings = Settings.read()
    async with command_database(settings.database) as engine, engine.connect() as conn:
        letter = await find_by_id(conn, letter_id)
        history = await audit.actions_on_letter(conn, letter.id)
        came_back_as = await dead_letters.find_successors(conn, letter.id)
    async with record_reader(
        settings.kafka, Topics(settings.kafka.topic_prefix).dead_letter
    ) as read:
        record = (await read_originals(read, [letter])).get(letter.id)
    if as_json:
        told = record_as_json(record)
        if not with_value:
            del told["value"]
        print_json({"letter": letter, "came_back_as": came_back_as, "history": history, **told})
        return
    screen = Screen()
    screen.table(("field", "value"), [(name, str(said)) for name, said in fields_of(letter)])
    if came_back_as:
        screen.line(f"It came back as {', '.join(map(str, came_back_as))}.")
    if record is None:
        screen.line(
            "Its record is no longer in the dead-letter topic: it can't be replayed.", "red"
        )
    else:
        _show_record(screen, record, with_value=with_value)
    _show_history(screen, letter, history)


def _show_record(screen: Screen, record: Record, *, with_value: bool) -> None:
    said = dict(record.headers)
    own = [
        (name, repr(value))
        for name, value in record.headers
        if not name.startswith(headers.DLQ_PREFIX)
    ]
    size = "none (a tombstone)" if record.value is None else f"{len(record.value):,} bytes"
    screen.line(f"\nkey: {record.key!r}\nvalue: {size}{'' if with_value else '; --value shows it'}")
    if own:
        screen.table(("header", "value"), own)
    screen.line(f"\nstack:\n{said.get(headers.DLQ_STACK, b'').decode('utf-8', 'replace')}".rstrip())
    if with_value and record.value is not None:
        screen.line(f"\n{as_text(record.value)}")


def _show_history(screen: Screen, letter: Letter, history: list[Action]) -> None:
    screen.line("\nhistory:")
    rows = [(f"{letter.parked_at:%Y-%m-%d %H:%M:%S}", "worker", "parked", letter.code)]
    rows += [
        (f"{done.at:%Y-%m-%d %H:%M:%S}", done.actor, done.action, _came_of(done, letter))
        for done in history
    ]
    if letter.state is not LetterState.OPEN:
        now = (letter.state_by or "", letter.state, letter.state_reason or "")
        rows.append((f"{letter.state_at:%Y-%m-%d %H:%M:%S}", *now))
    screen.table(("when (UTC)", "who", "what", "came of it"), rows)


def _came_of(done: Action, letter: Letter) -> str:
    """What a deed did to one letter."""
    if done.outcome is None:
        came = "never completed: its process was killed, or is still at it"
    else:
        outcomes = done.outcome.get("letters", {})
        came = next(
            (what for what, ids in outcomes.items() if str(letter.id) in ids),
            done.outcome.get("stopped") or "",
        )
    return f"{came} ({done.reason})" if done.reason else came


@choosing()
def export(
    chosen: LetterSelection,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, writable=True, help="Default: standard output."
        ),
    ] = None,
    reason: ReasonOption = None,
    by: ByOption = None,
) -> None:
    """Write letters as JSON lines: all that is known, and the record's key, value and headers in base64.

    The values may hold personal data: a new file is readable for you alone, and the export is kept in the audit.

    **Examples**

        uploads dead-letters export --out letters.jsonl
        uploads dead-letters export --code schema | jq -r '.value | @base64d'
    """
    with _opened(out) as file:
        asyncio.run(
            _export(chosen, file, OperatorAction(actor(by), "export", chosen.asked, reason))
        )


@contextmanager
def _opened(out: Path | None) -> Iterator[BinaryIO]:
    if out is None:
        stream = typer.get_binary_stream("stdout")
        yield stream
        stream.flush()
        return
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file


async def _export(chosen: LetterSelection, file: BinaryIO, action: OperatorAction) -> None:
    settings = Settings.read()
    topic = Topics(settings.kafka.topic_prefix).dead_letter
    async with (
        command_database(settings.database) as engine,
        record_reader(settings.kafka, topic) as read,
    ):
        async with engine.connect() as conn:
            found = await select_letters(conn, chosen.filter)
        await _write(engine, read, found, file, action)
    typer.echo(f"{number_of(len(found))} exported.", err=True)


async def _write(
    engine: AsyncEngine, read: Read, found: list[Letter], file: BinaryIO, action: OperatorAction
) -> None:
    async with audited(engine, action, [letter.id for letter in found]) as report:
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            records = await read_originals(read, batch)
            for letter in batch:
                line: dict[str, Any] = asdict(letter) | record_as_json(records.get(letter.id))
                file.write(dumped(line, orjson.OPT_APPEND_NEWLINE))
                report.note("exported", letter.id)

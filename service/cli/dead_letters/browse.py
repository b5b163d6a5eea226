"""`list`, `show` and `export`: none of them changes a letter."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from service.cli.dead_letters.options import (
    ByOption,
    LetterSelection,
    ReasonOption,
    operator_name,
    with_letter_options,
)
from service.cli.dead_letters.view import (
    as_text,
    fields_of,
    number_of_letters,
    print_json,
    show_groups,
    show_letters,
)
from service.cli.screen import Screen
from service.cli.upload_options import JsonOption
from service.contract import headers
from service.contract.topics import Topics
from service.db.dead_letters import Filter, Group, Letter, count_by_code
from service.db.engine import command_database
from service.dead_letters.audit import ActionReport, OperatorAction
from service.dead_letters.export import record_as_json, run_export
from service.dead_letters.guard import read_stop_reason
from service.dead_letters.history import HistoryEntry, LetterHistory, read_history
from service.dead_letters.parked_record import own_headers
from service.dead_letters.records import read_originals
from service.dead_letters.select import select_letters
from service.domain.model import UNFINISHED, Record
from service.kafka.record_reader import record_reader
from service.settings import DatabaseOnly, Settings


def register(cli: typer.Typer) -> None:
    """Add the subcommands."""
    cli.command("list")(list_)
    cli.command()(show)
    cli.command()(export)


@with_letter_options(*UNFINISHED)
def list_(
    selection: LetterSelection,
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
    if every:
        stop_reason, letters = asyncio.run(_connect_and_find(selection.filter))
        if as_json:
            print_json({"guard": stop_reason, "letters": letters})
        else:
            _show_list(stop_reason, letters=letters)
        return

    stop_reason, groups = asyncio.run(_connect_and_count(selection.filter))
    if as_json:
        print_json({"guard": stop_reason, "groups": groups})
    else:
        _show_list(stop_reason, groups=groups)


async def _connect_and_find(letter_filter: Filter) -> tuple[str | None, list[Letter]]:
    """Return why the guard has stopped, if it has, and the letters."""
    async with command_database(DatabaseOnly.read().database) as engine, engine.connect() as conn:
        return await read_stop_reason(conn), await select_letters(conn, letter_filter)


async def _connect_and_count(letter_filter: Filter) -> tuple[str | None, list[Group]]:
    """Return why the guard has stopped, if it has, and the letters by their code."""
    async with command_database(DatabaseOnly.read().database) as engine, engine.connect() as conn:
        return await read_stop_reason(conn), await count_by_code(conn, letter_filter)


def _show_list(
    stop_reason: str | None, letters: Sequence[Letter] = (), groups: Sequence[Group] = ()
) -> None:
    screen = Screen()
    if stop_reason:
        screen.line(
            f"Nothing more is parked until `uploads dead-letters resume`: {stop_reason}", "red"
        )
    if letters:
        show_letters(screen, letters)
    elif groups:
        show_groups(screen, groups)
    else:
        screen.line("There is no such dead letter.")


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
    """Show everything about one letter: why it was parked and where, its headers, and what was done
    to it since.

    **Examples**

        uploads dead-letters show 3f0e2b52
        uploads dead-letters show 3f0e2b52 --value
    """
    history, record = asyncio.run(_connect_and_read(letter_id))
    if as_json:
        _print_letter(history, record, with_value=value)
    else:
        _show_letter(history, record, with_value=value)


async def _connect_and_read(letter_id: str) -> tuple[LetterHistory, Record | None]:
    """Return a letter with its history, and its record unless that is gone."""
    settings = Settings.read()
    # The database comes first, so that a wrong id is reported even if Kafka does not answer.
    async with command_database(settings.database) as engine, engine.connect() as conn:
        history = await read_history(conn, letter_id)
    topic = Topics(settings.kafka.topic_prefix).dead_letter
    async with record_reader(settings.kafka, topic) as read:
        originals = await read_originals(read, [history.letter])
    return history, originals.get(history.letter.id)


def _print_letter(history: LetterHistory, record: Record | None, *, with_value: bool) -> None:
    record_fields = record_as_json(record)
    if not with_value:
        del record_fields["value"]
    print_json(
        {
            "letter": history.letter,
            "came_back_as": history.came_back_as,
            "history": history.actions,
            **record_fields,
        }
    )


def _show_letter(history: LetterHistory, record: Record | None, *, with_value: bool) -> None:
    screen = Screen()
    fields = [(name, str(value)) for name, value in fields_of(history.letter)]
    screen.table(("field", "value"), fields)
    if history.came_back_as:
        screen.line(f"It came back as {', '.join(map(str, history.came_back_as))}.")
    if record is None:
        screen.line(
            "Its record is no longer in the dead-letter topic: it can't be replayed.", "red"
        )
    else:
        _show_record(screen, record, with_value=with_value)

    screen.line("\nhistory:")
    rows = [_history_row(entry) for entry in history.entries()]
    screen.table(("when (UTC)", "who", "what", "came of it"), rows)


def _history_row(entry: HistoryEntry) -> tuple[str, str, str, str]:
    return f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.actor, entry.action, entry.result


def _show_record(screen: Screen, record: Record, *, with_value: bool) -> None:
    size = "none (a tombstone)" if record.value is None else f"{len(record.value):,} bytes"
    hint = "" if with_value else "; --value shows it"
    screen.line(f"\nkey: {record.key!r}\nvalue: {size}{hint}")

    header_rows = [(name, repr(value)) for name, value in own_headers(record)]
    if header_rows:
        screen.table(("header", "value"), header_rows)

    stack = dict(record.headers).get(headers.DLQ_STACK, b"").decode("utf-8", "replace")
    screen.line(f"\nstack:\n{stack}".rstrip())
    if with_value and record.value is not None:
        screen.line(f"\n{as_text(record.value)}")


@with_letter_options()
def export(
    selection: LetterSelection,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, writable=True, help="Default: standard output."
        ),
    ] = None,
    reason: ReasonOption = None,
    by: ByOption = None,
) -> None:
    """Write letters as JSON lines: all that is known, and the record's key, value and headers in
    base64.

    The values may hold personal data: a new file is readable for you alone, and the export is kept
    in the audit.

    **Examples**

        uploads dead-letters export --out letters.jsonl
        uploads dead-letters export --code schema | jq -r '.value | @base64d'
    """
    action = OperatorAction(operator_name(by), "export", selection.options, reason)
    with _open_output(out) as file:
        report = asyncio.run(_connect_and_export(selection.filter, action, file))
    typer.echo(f"{number_of_letters(len(report.selected))} exported.", err=True)


@contextmanager
def _open_output(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        stream = typer.get_binary_stream("stdout")
        yield stream
        stream.flush()
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


async def _connect_and_export(
    letter_filter: Filter, action: OperatorAction, file: BinaryIO
) -> ActionReport:
    settings = Settings.read()
    topic = Topics(settings.kafka.topic_prefix).dead_letter
    async with (
        command_database(settings.database) as engine,
        record_reader(settings.kafka, topic) as read,
    ):
        return await run_export(engine, read, letter_filter, action, file.write)

"""Export: letters as JSON lines, with the bytes of their records."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.dead_letters import Filter, Letter
from service.dead_letters.audit import ActionReport, OperatorAction, audited
from service.dead_letters.records import Read, read_originals
from service.dead_letters.select import select_letters
from service.domain.model import Record

BATCH_SIZE = 100
"""How many letters are exported at the same time, with their records in memory."""


async def run_export(
    engine: AsyncEngine,
    read: Read,
    letter_filter: Filter,
    action: OperatorAction,
    write: Callable[[bytes], object],
) -> ActionReport:
    """Export the letters that a filter selects, with a line in the audit.

    `write` is called with one JSON line, its newline included, for each letter. Raises
    `NoSuchLetter`, `BrokerAway`, and what the database and `write` raise.
    """
    async with engine.connect() as conn:
        letters = await select_letters(conn, letter_filter)

    async with audited(engine, action, [letter.id for letter in letters]) as report:
        for start in range(0, len(letters), BATCH_SIZE):
            batch = letters[start : start + BATCH_SIZE]
            await _export_batch(read, batch, report, write)
    return report


async def _export_batch(
    read: Read, batch: Sequence[Letter], report: ActionReport, write: Callable[[bytes], object]
) -> None:
    records = await read_originals(read, batch)
    for letter in batch:
        line = asdict(letter) | record_as_json(records.get(letter.id))
        write(dump_json(line, orjson.OPT_APPEND_NEWLINE))
        report.note("exported", letter.id)


def record_as_json(record: Record | None) -> dict[str, Any]:
    """Return a record with its bytes in base64.

    A null key or value stays null, and `record` is false if there is no record.
    """
    if record is None:
        return {"record": False, "key": None, "value": None, "headers": []}
    return {
        "record": True,
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": [[name, _base64(value)] for name, value in record.headers],
    }


def dump_json(value: Any, option: int) -> bytes:
    """Write letters, and values with letters in them, as JSON; `option` is one of orjson's."""
    # `default`, because asyncpg has a UUID class of its own, which orjson refuses
    return orjson.dumps(value, default=str, option=option)


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()

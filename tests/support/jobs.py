"""Uploads without Kafka: tests hand in messages, and read the events that are published.

The files of the messages are in a storage root.
"""

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.messages import parse_job
from service.domain.errors import MemberTaken
from service.domain.model import Position, Record
from service.domain.provider_types import ProviderType
from service.files.store import FileStore
from service.jobs.outbox import Publish
from service.jobs.prepare import PrepareDependencies
from service.jobs.processor import JobContext, JobProcessor
from service.jobs.transaction import EventRoute
from service.settings import LimitSettings, StorageSettings

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
CSV_UNIT = ProviderType.CSV_MODULE_UNIT_SPECIFIC
API_PER_YEAR = ProviderType.API_MODULE_PER_YEAR
API_UNIT = ProviderType.API_MODULE_UNIT_SPECIFIC
EXTERNAL = ProviderType.EXTERNAL_INTEGRATION
FACTORS = ProviderType.FACTORS

INLINE = frozenset({API_PER_YEAR, API_UNIT, EXTERNAL})
"""The provider types whose messages carry the rows, unless they name a file."""

Event = dict[str, Any]
Row = Mapping[str, Any]
Content = Sequence[Row] | str | bytes
"""Rows, or a file's text or bytes."""


class Jobs:
    """Processes jobs on one database and one storage root.

    `publish` replaces the broker; without it, published records are kept in `published`.
    """

    def __init__(self, engine: AsyncEngine, root: Path, publish: Publish | None = None) -> None:
        self.root = root
        self.published: list[Record] = []
        self._ids = count(1)
        store = FileStore.of(StorageSettings(root=root.as_uri()))
        dependencies = PrepareDependencies(engine, store, LimitSettings())
        event_route = EventRoute("uploads.completed", "/carbon-uploads")
        self.processor = JobProcessor(
            engine, dependencies, publish or self._publish, event_route, "uploads.progress", 60.0
        )

    async def run(
        self, provider_type: ProviderType, content: Content | None = None, **fields: Any
    ) -> Event:
        """Process one upload; return its event."""
        message = self.message(provider_type, content, **fields)
        return event_of(await self.deliver(provider_type, message))

    def message(
        self, provider_type: ProviderType, content: Content | None = None, **fields: Any
    ) -> bytes:
        """The message of an upload of the other purchases of 2025.

        `fields` are added to the message, or replace its fields. Rows are in the message if its
        provider type allows that, and in a file otherwise.
        """
        job_id = fields.get("job_id") or next(self._ids)
        message = {"job_id": job_id, "year": 2025, "data_entry_type": "other_purchases"}
        if content is not None:
            message |= self._content(provider_type, content, f"{job_id} - é.csv")
        return orjson.dumps(message | fields)

    def _content(self, provider_type: ProviderType, content: Content, name: str) -> dict[str, Any]:
        if isinstance(content, str | bytes):
            return {"file": self.file(content, name)}
        if provider_type in INLINE:
            return {"rows": list(content)}
        return {"file": self.file(csv_of(content), name)}

    def file(self, content: str | bytes, name: str = "upload.csv", **claim: Any) -> dict[str, Any]:
        """Write a file to the root; return its claim check."""
        data = content.encode() if isinstance(content, str) else content
        path = self.root / name
        path.write_bytes(data)
        return {
            "url": path.as_uri(),
            "size": len(data),
            "sha256": sha256(data).hexdigest(),
            **claim,
        }

    async def deliver(self, provider_type: ProviderType, message: bytes, tries: int = 20) -> Record:
        """Process one message as a worker does; return the record of its event.

        Like a worker, this tries again when another job takes a member at the same time.
        """
        job = parse_job(provider_type, message)
        for _ in range(tries):
            try:
                line = await self.processor.process(job, JobContext())
            except MemberTaken:
                continue
            await self.processor.mark_announced(line)
            assert line.event is not None
            return line.event
        raise AssertionError(f"job {job.job_id} found a member taken {tries} times")

    async def deliver_at_once(self, *messages: tuple[ProviderType, bytes]) -> list[Record]:
        """Process several messages at the same time, as several workers would."""
        return await asyncio.gather(
            *(self.deliver(provider_type, message) for provider_type, message in messages)
        )

    async def run_at_once(self, *messages: tuple[ProviderType, bytes]) -> list[Event]:
        """Process several messages at the same time; return their events."""
        return [event_of(record) for record in await self.deliver_at_once(*messages)]

    def rejects(self, event: Event) -> list[list[str]]:
        """The rows of the reject file that an event names, header included."""
        path = Path(unquote(urlsplit(event["reject_file"]).path))
        assert path.is_relative_to(self.root)
        return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))

    async def _publish(self, record: Record) -> Position:
        self.published.append(record)
        return Position(0, len(self.published) - 1)


async def ledger(engine: AsyncEngine) -> dict[int, tuple[str | None, int, bool]]:
    """Every job's outcome and attempts, and whether it was announced."""
    query = text("""
        SELECT job_id, outcome, attempts, announced_at IS NOT NULL FROM upload_jobs ORDER BY job_id
    """)
    async with engine.connect() as conn:
        return {row[0]: (row[1], row[2], row[3]) for row in await conn.execute(query)}


def event_of(record: Record) -> Event:
    """An event's body."""
    assert record.value is not None
    event: Event = orjson.loads(record.value)
    return event


def csv_of(rows: Sequence[Row]) -> str:
    """Rows as a CSV file: the columns in the order of their first appearance."""
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def purchase(unit: str | None, name: str = "Pipettes", **columns: Any) -> dict[str, Any]:
    """A good row of a purchase; without a unit it is for a unit-specific upload."""
    unit_cell = {} if unit is None else {"unit_institutional_id": unit}
    return {
        **unit_cell,
        "name": name,
        "total_spent_amount": "12.5",
        "purchase_institutional_code": "411",
        **columns,
    }


def bad_purchase(unit: str | None, name: str = "Pipettes") -> dict[str, Any]:
    """The same row with a decimal comma."""
    return purchase(unit, name, total_spent_amount="12,5")


def purchases(*units: str | None) -> list[dict[str, Any]]:
    """A good row for each unit."""
    return [purchase(unit) for unit in units]


def member(unit: str | None, user: str, **columns: Any) -> dict[str, Any]:
    """A good row of a member; without a unit it is for a unit-specific upload."""
    unit_cell = {} if unit is None else {"unit_institutional_id": unit}
    return {
        **unit_cell,
        "name": f"Person {user}",
        "sius_code": "52",
        "user_institutional_id": user,
        "fte": "1",
        **columns,
    }


def codes(event: Event) -> list[tuple[int, str, str]]:
    """The row errors of an event: row, column and code."""
    return [(error["row"], error["column"], error["code"]) for error in event["row_errors"]]


def remaining(event: Event) -> dict[str | None, int]:
    """The remaining rows that an event states, by source."""
    return {line["source"]: line["remaining"] for line in event["sources"]}

"""Where the time of one large job goes: each of its parts alone, one after the other.

`python -m bench.where [--rows 100000] [--runs 5]`
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaProducer

from bench.prepare_alone import read
from bench.support.files import PURCHASES, claim, places, write_purchases
from bench.support.result import Measurement, median, tell
from bench.support.servers import YEAR, Servers, servers, settle
from bench.support.workers import settings_of
from service.contract.topics import Topics
from service.db import entries, scopes
from service.db.engine import create_engine
from service.domain.model import ClaimCheck
from service.domain.provider_types import DataEntrySource
from service.files.fetch import fetch_file
from service.files.store import FileStore
from service.kafka.connection import connection_options
from service.kafka.topic_admin import ensure_topics
from service.rows.checker import EntryChecker, RowTags, key_of, line_of
from service.rows.copy_stream import join_into_pieces, sort_in_windows
from service.rows.table import open_csv
from service.rows.upload import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.rows.checker import CopyRow
    from service.settings import Settings

UNITS = 500
SOURCE = DataEntrySource.CSV_MODULE_PER_YEAR

PARTS = {
    "fetch": "fetch: read, hash, check UTF-8, spool",
    "parse": "parse: the csv module",
    "check": "check and encode: the compiled check, lines for COPY",
    "order": "order: by module, in windows, and join to pieces",
    "server": "wire and server: COPY of the pieces, with all indexes",
    "heads": "server: heads",
    "delete": "server: delete of the older rows",
    "counts": "server: counts",
    "commit": "server: commit",
    "kafka": "Kafka: one acknowledged send",
}


class Stopwatch(dict[str, list[float]]):
    """Seconds, by part."""

    @contextmanager
    def __call__(self, part: str) -> "Iterator[None]":
        before = time.perf_counter()
        yield
        self.setdefault(part, []).append(time.perf_counter() - before)


async def once(
    watch: Stopwatch, settings: "Settings", path: Path, units: dict[str, Any], job_id: int
) -> None:
    """Run all parts of one replace, one after the other."""
    store = FileStore.of(settings.storage)
    file = ClaimCheck(**claim(path))
    with watch("fetch"):
        async with fetch_file(
            file, store, settings.limits, directory=path.parent.parent, now=datetime.now(UTC)
        ):
            pass
    watch.setdefault("parse", []).append(read(path))
    with open_csv(path, PURCHASES, per_year=True, max_columns=100) as table:
        checker = EntryChecker(
            PURCHASES, table.header, RowTags(PURCHASES.id, YEAR, SOURCE.value, job_id), units=units
        )
        chunks: list[list[CopyRow]] = []
        with watch("check"):
            while rows := table.take(CHUNK_ROWS)[0]:
                chunks.append(checker.check(rows)[0])
    watch["check"][-1] -= watch["parse"][-1]
    with watch("order"):
        ordered = sort_in_windows(iter(chunks), key_of, CHUNK_ROWS)
        pieces = list(
            join_into_pieces(b"\n".join([*map(line_of, chunk), b""]) for chunk in ordered)
        )
    await write(watch, settings, pieces, checker, job_id)
    topic = Topics(settings.kafka.topic_prefix).completed
    async with AIOKafkaProducer(**connection_options(settings.kafka), acks="all") as producer:
        await producer.send_and_wait(topic, b"warm")
        with watch("kafka"):
            await producer.send_and_wait(topic, orjson.dumps({"job_id": job_id}))


async def write(
    watch: Stopwatch, settings: "Settings", pieces: list[bytes], checker: EntryChecker, job_id: int
) -> None:
    async def ready() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    engine = create_engine(settings.database.url.get_secret_value())
    scope = (checker.receiving_modules, PURCHASES.id, SOURCE)
    async with engine.connect() as conn, conn.begin() as transaction:
        with watch("server"):
            await entries.insert_entries(conn, ready())
        with watch("heads"):
            await scopes.take_scope_heads(conn, *scope, job_id=job_id, fence=job_id)
        with watch("delete"):
            await scopes.delete_by_source(conn, *scope, keep_job_id=job_id)
        with watch("counts"):
            await scopes.count_other_sources(conn, *scope)
        with watch("commit"):
            await transaction.commit()
    await engine.dispose()


async def measure(running: Servers, rows: int, runs: int) -> Stopwatch:
    watch = Stopwatch()
    async with running.database(units=UNITS) as (url, conn):
        settings = settings_of(running, url)
        path = write_purchases(
            Path(settings.storage.root.removeprefix("file://")) / "file.csv", rows, units=UNITS
        )
        units = await places(conn)
        await ensure_topics(settings.kafka, Topics(settings.kafka.topic_prefix))
        await once(Stopwatch(), settings, path, units, 1)
        for run in range(1, runs + 1):
            await settle(conn)
            await once(watch, settings, path, units, 1 + run)
            tell(f"run {run} of {runs}")
    return watch


async def main(rows: int, runs: int) -> None:
    measurement = Measurement(
        "where", f"The parts of a replace of {rows:,} rows, each by itself", ""
    )
    with servers() as running:
        watch = await measure(running, rows, runs)
    whole = sum(median(watch[part]) for part in PARTS)
    measurement.facts = [["part", "ms", "µs a row", "share of the sum"]]
    for part, label in PARTS.items():
        seconds = median(watch[part])
        measurement.facts.append(
            [
                label,
                f"{seconds * 1000:.1f}",
                f"{seconds / rows * 1e6:.2f}",
                f"{seconds / whole:.0%}",
            ]
        )
    measurement.notes = [
        f"The sum is {whole:.2f} s. In the service parse, check and order run in a thread while "
        "the server copies, so a job takes less than the sum where there is a second core."
    ]
    measurement.keep()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    asyncio.run(main(asked.rows, asked.runs))

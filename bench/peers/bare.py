"""A bare loop over asyncpg and aiokafka: the least code that does the job, without any validation.

A job is: read the file, write the ledger line, COPY, heads, delete, counts, close, one `acks=all`
produce, the announced mark, one offset commit. It runs in its own process, as the service does.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.support.files import PURCHASES, places
from service.db.entries import COLUMNS
from service.settings import Settings

HEADS = """
    INSERT INTO scope_heads (carbon_report_module_id, data_entry_type_id, source, job_id)
    SELECT module, $2, 1, $3 FROM unnest($1::bigint[]) AS module ORDER BY module
    ON CONFLICT (carbon_report_module_id, data_entry_type_id, source)
    DO UPDATE SET job_id = excluded.job_id WHERE scope_heads.job_id < excluded.job_id
"""
DELETE = """
    DELETE FROM data_entries
    WHERE carbon_report_module_id = ANY($1::bigint[]) AND data_entry_type_id = $2 AND source = 1
      AND created_by_id IS DISTINCT FROM $3
"""
COUNTS = """
    SELECT source, count(*) FROM data_entries
    WHERE carbon_report_module_id = ANY($1::bigint[]) AND data_entry_type_id = $2 GROUP BY source
"""
BEGIN = """
    INSERT INTO upload_jobs (
        job_id, provider_type, fingerprint, data_entry_type_id, year, partition_key, attempts
    )
    VALUES ($1, 'csv-module-per-year', '', $2, $3, '', 1)
"""
CLOSE = """
    UPDATE upload_jobs SET outcome = 'succeeded', finished_at = $2,
        event_key = '', event_headers = '', event = $3
    WHERE job_id = $1
"""
ANNOUNCED = "UPDATE upload_jobs SET announced_at = $2 WHERE job_id = $1"


async def run(url: str, bootstrap_servers: str, topic: str, completed: str) -> None:
    """Consume until the process is killed."""
    conn = await asyncpg.connect(url)
    units = await places(conn)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True
    )
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=topic,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await producer.start()
    await consumer.start()
    print("ready", flush=True)
    while True:
        record = await consumer.getone()
        job = json.loads(record.value)
        event = await apply(conn, job, units)
        await producer.send_and_wait(completed, event)
        await conn.execute(ANNOUNCED, job["job_id"], datetime.now(UTC))
        await consumer.commit({TopicPartition(record.topic, record.partition): record.offset + 1})


async def apply(
    conn: "asyncpg.Connection[Any]", job: dict[str, Any], units: dict[str, Any]
) -> bytes:
    """Write one job's rows; return its event."""
    job_id, year = job["job_id"], job["year"]
    path = Path(unquote(job["file"]["url"].removeprefix("file://")))
    rows = list(_rows(path, job_id, year, units))
    modules = sorted({row[1] for row in rows})
    await conn.execute(BEGIN, job_id, PURCHASES.id, year)
    async with conn.transaction():
        await conn.copy_records_to_table("data_entries", records=rows, columns=COLUMNS)
        await conn.execute(HEADS, modules, PURCHASES.id, job_id)
        await conn.execute(DELETE, modules, PURCHASES.id, job_id)
        counts = await conn.fetch(COUNTS, modules, PURCHASES.id)
        event = json.dumps(
            {"job_id": job_id, "outcome": "succeeded", "sources": [list(row) for row in counts]}
        )
        await conn.execute(CLOSE, job_id, datetime.now(UTC), event.encode())
    return event.encode()


def _rows(path: Path, job_id: int, year: int, units: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            module, unit = units[row.pop("unit_institutional_id")]
            row["quantity"] = float(row["quantity"])
            row["total_spent_amount"] = float(row["total_spent_amount"])
            yield PURCHASES.id, module, unit, year, 1, job_id, json.dumps(row, ensure_ascii=False)


@contextmanager
def running(settings: Settings, topic: str, completed: str) -> Iterator[None]:
    """Run the loop in another process, once it consumes; kill it at the end."""
    addresses = [settings.database.url.get_secret_value(), settings.kafka.bootstrap_servers]
    command = [sys.executable, "-m", "bench.peers.bare", *addresses, topic, completed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("the bare loop did not start")
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("url", "bootstrap_servers", "topic", "completed"):
        parser.add_argument(name)
    asked = parser.parse_args()
    uvloop.run(run(asked.url, asked.bootstrap_servers, asked.topic, asked.completed))

"""One large job, the whole way from the message to its event: rows per second, memory, and the loop's longest gap.

`python -m bench.million [--rows 1000000] [--units 500] [--runs 2]`; the first run inserts, the others replace as many.
Real PostgreSQL with default durability, real Kafka, one worker in this process.
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from hashlib import file_digest
from pathlib import Path

import uvloop
from sqlalchemy import text

from service.db.engine import create_engine
from service.db.migrate import upgrade
from service.demo.postgres import EmbeddedPostgres
from tests.support.apache import ApacheKafka
from tests.support.jobs import Jobs
from tests.support.worker import CSV_PER_YEAR, client, running, settings_for

BEAT = 0.005
"""Seconds between two beats of the loop's heart; a gap is what a beat comes late."""

HEADER = "unit_institutional_id,name,supplier,quantity,total_spent_amount,currency,purchase_institutional_code"

UNIVERSITY = """
    INSERT INTO units (institutional_id, name) SELECT 'U' || n, 'Unit ' || n FROM generate_series(1, {units}) AS n;
    INSERT INTO carbon_reports (unit_id, year, kind) SELECT id, 2025, 'calculator' FROM units;
    INSERT INTO carbon_report_modules (carbon_report_id, module_type_id) SELECT id, 5 FROM carbon_reports
"""


def write_purchases(path: Path, rows: int, units: int) -> None:
    """A file of realistic purchases in no order, one cell in ten quoted."""
    chance = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for number in range(rows):
            name = f'"Pipettes, {number} ""x"""' if number % 10 == 0 else f"Réactif {number}"
            unit, amount = chance.randrange(units) + 1, chance.randrange(10**6) / 100
            file.write(f"U{unit},{name},Fournisseur {number % 900},{number % 12 + 1},{amount},chf,C{number % 400}\n")


class Heart:
    """Beats in the event loop and remembers its longest gap, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, time.perf_counter() - before - BEAT)


async def measure(rows: int, units: int, runs: int, home: Path) -> None:
    with EmbeddedPostgres() as postgres, ApacheKafka() as kafka:
        await upgrade(postgres.url)
        engine = create_engine(postgres.url)
        async with engine.begin() as conn:
            for statement in UNIVERSITY.format(units=units).split(";"):
                await conn.execute(text(statement))
        settings = settings_for(postgres.url, kafka.bootstrap_servers, home, "bench")
        async with client(settings) as talk, running(settings):
            await _run_all(Jobs(engine, home), talk, rows, units, runs)
        await engine.dispose()


async def _run_all(jobs: Jobs, talk: object, rows: int, units: int, runs: int) -> None:
    write_purchases(jobs.root / "purchases.csv", rows, units)
    idle = _peak()
    for number in range(1, runs + 1):
        heart = Heart()
        beating = asyncio.create_task(heart.beat())
        message = jobs.message(CSV_PER_YEAR, job_id=number, file=_claim(jobs))
        before = time.perf_counter()
        await talk.send(CSV_PER_YEAR, message)  # type: ignore[attr-defined]
        event = await talk.event(number, within=600)  # type: ignore[attr-defined]
        took = time.perf_counter() - before
        beating.cancel()
        print(
            f"run {number}: {event['outcome']}, {rows} rows in {took:.1f} s, {rows / took:,.0f} rows/s, "
            f"longest gap {heart.longest * 1000:.0f} ms, peak memory {_peak():.0f} MB ({_peak() - idle:+.0f} MB)"
        )


def _claim(jobs: Jobs) -> dict[str, object]:
    """The claim check of the file, hashed without holding it in memory."""
    path = jobs.root / "purchases.csv"
    with path.open("rb") as file:
        return {"url": path.as_uri(), "size": path.stat().st_size, "sha256": file_digest(file, "sha256").hexdigest()}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--runs", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        uvloop.run(measure(asked.rows, asked.units, asked.runs, Path(home)))


if __name__ == "__main__":
    main()

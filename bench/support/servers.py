"""The servers of a measurement: PostgreSQL with full durability, and the real Apache Kafka."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import structlog

from service.db.migrate import upgrade
from service.demo.postgres import EmbeddedPostgres
from tests.support.apache import ApacheKafka
from tests.support.databases import new_database

# results go to stdout, so the log must not
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

YEAR = 2025
UNIVERSITY = f"""
    INSERT INTO units (institutional_id, name)
    SELECT 'U' || n, 'Unit ' || n FROM generate_series(1, $1) AS n;
    INSERT INTO carbon_reports (unit_id, year, kind) SELECT id, {YEAR}, 'calculator' FROM units;
    INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
    SELECT id, type FROM carbon_reports, generate_series(1, 8) AS type
"""

Migrate = Callable[[str], Awaitable[None]]
"""Brings the schema of the database at a URL up to date."""


async def _migrate(url: str) -> None:
    await upgrade(url, report=lambda _: None)


@dataclass(frozen=True)
class Servers:
    """The running servers, and a directory for files."""

    postgres: EmbeddedPostgres
    kafka: ApacheKafka
    home: Path

    @asynccontextmanager
    async def database(
        self, *, units: int, migrate: Migrate = _migrate
    ) -> AsyncIterator[tuple[str, "asyncpg.Connection[Any]"]]:
        """Yield the URL of a migrated database and a connection to it.

        It has `units` units, each with all modules of the year.
        """
        with new_database(self.postgres.url) as url:
            await migrate(url)
            conn = await asyncpg.connect(url)
            try:
                await conn.execute(UNIVERSITY.replace("$1", str(units)))
                await conn.execute("VACUUM ANALYZE")
                yield url, conn
            finally:
                await conn.close()


@contextmanager
def servers(**settings: str) -> Iterator[Servers]:
    """Start both; they end with the measurement. `settings` are those of `postgresql.conf`."""
    with (
        TemporaryDirectory(prefix="uploads-bench-") as home,
        EmbeddedPostgres(settings=settings) as postgres,
        ApacheKafka() as kafka,
    ):
        yield Servers(postgres, kafka, Path(home))


async def settle(conn: "asyncpg.Connection[Any]") -> None:
    """Bring the tables to the state in which every timed run begins: vacuumed and checkpointed."""
    await conn.execute("VACUUM ANALYZE data_entries")
    await conn.execute("CHECKPOINT")
    await asyncio.sleep(0.2)

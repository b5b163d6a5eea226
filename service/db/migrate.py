"""Bring the schema to a revision: alembic, one process at a time, on a database in use."""

import asyncio
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from random import uniform
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.engine import create_engine

VERSION_TABLE = "uploads_alembic_version"
"""Not alembic's default, which is the host application's."""

LOCK_KEY = int.from_bytes(b"uploads")
"""The advisory lock that the process holds which migrates a database."""

POLL_INTERVAL = (0.1, 0.5)
"""Seconds between two looks at the lock, at random, or ten processes would look in step."""

Report = Callable[[str], None]
"""Takes a sentence on what goes on, for people."""


async def upgrade(
    database_url: str, revision: str = "head", *, wait: float = 600.0, report: Report | None = None
) -> None:
    """Bring the schema forward to `revision`; any number of processes may call this at once.

    `wait` bounds, in seconds, the wait for another process that is migrating. `report` defaults to the
    log. Alembic's `op` is one for the whole process: migrate one database after the other.
    Raises `TimeoutError`, and `migrations.adopt.IncompatibleDatabase` or `TableBusy`.
    """
    await _migrate(database_url, partial(command.upgrade, revision=revision), wait, report)


async def downgrade(
    database_url: str, revision: str, *, wait: float = 600.0, report: Report | None = None
) -> None:
    """Take the schema back to `revision` (`base`: all of it), dropping what the migrations created, rows included."""
    await _migrate(database_url, partial(command.downgrade, revision=revision), wait, report)


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision that the database is at; None before the first migration."""
    return await connection.run_sync(_revision)


def head_revision() -> str:
    """The revision that this version of the service needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("the installation holds no migrations: install carbon-uploads again")
    return head


async def _migrate(
    database_url: str, run: Callable[[Config], None], wait: float, report: Report | None
) -> None:
    report = report or structlog.get_logger(__name__).info
    engine = create_engine(
        database_url,
        application_name="carbon-uploads migrate",
        pool_size=1,
        lock_timeout=0,
        statement_timeout=0,
    )
    try:
        async with engine.connect() as connection:
            await _lock(connection, wait, report)
            await connection.run_sync(_run, run, report)
    finally:
        await engine.dispose()


async def _lock(connection: AsyncConnection, wait: float, report: Report) -> None:
    """Take the lock, for as long as the session lasts: also on behalf of a server that still builds
    an index for a process that was killed.

    Polls, in autocommit: who waits inside a statement holds a snapshot, for whose end the other's
    CREATE INDEX CONCURRENTLY waits in turn.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    waiting = False
    try:
        async with asyncio.timeout(wait):
            while not await driver.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
                if not waiting:
                    report("another process is migrating this database; waiting for it to end")
                waiting = True
                await asyncio.sleep(uniform(*POLL_INTERVAL))
    except TimeoutError:
        raise TimeoutError(
            f"another process has been migrating this database for {wait:g} s and goes on; "
            "look for 'carbon-uploads migrate' in pg_stat_activity, then try again"
        ) from None


def _run(connection: Connection, run: Callable[[Config], None], report: Report) -> None:
    config = _config()
    config.attributes.update(connection=connection, report=report)
    run(config)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE}
    ).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config

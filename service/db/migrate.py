"""Bring the schema to a revision with alembic, while the database is in use.

One process migrates at a time; the others wait for it.
"""

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
"""Not alembic's default name: that table belongs to the host application."""

LOCK_KEY = int.from_bytes(b"uploads")
"""The key of the advisory lock that a process holds while it migrates a database."""

POLL_INTERVAL = (0.1, 0.5)
"""Seconds between two tries to get the lock, drawn at random.

With a fixed interval, ten processes would all try at the same moments.
"""

Report = Callable[[str], None]
"""Takes a sentence about the progress, for people to read."""


async def upgrade(
    database_url: str, revision: str = "head", *, wait: float = 600.0, report: Report | None = None
) -> None:
    """Bring the schema forward to `revision`; any number of processes may call this at once.

    `wait` is the longest time in seconds to wait for another process that is migrating. `report`
    defaults to the log. Alembic's `op` is global to the process, so never migrate two databases at
    the same time. Raises `TimeoutError`, `migrations.adopt.IncompatibleDatabase` and `TableBusy`.
    """
    await _migrate(database_url, partial(command.upgrade, revision=revision), wait, report)


async def downgrade(
    database_url: str, revision: str, *, wait: float = 600.0, report: Report | None = None
) -> None:
    """Take the schema back to `revision`, or to `base` for all of it.

    Everything that the migrations created is dropped, with its rows. Raises what `upgrade` raises.
    """
    await _migrate(database_url, partial(command.downgrade, revision=revision), wait, report)


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision of the database; None before the first migration."""
    return await connection.run_sync(_read_revision)


def head_revision() -> str:
    """The revision that this version of the service needs.

    Raises `RuntimeError` if the installation is without its migrations.
    """
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
            await _wait_for_lock(connection, wait, report)
            await connection.run_sync(_run_command, run, report)
    finally:
        await engine.dispose()


async def _wait_for_lock(connection: AsyncConnection, wait: float, report: Report) -> None:
    """Take the advisory lock, which this session then holds until it ends.

    A lock of the session also outlives a client that was killed: the server keeps it while it goes
    on to build the index that the client asked for. Raises `TimeoutError` after `wait` seconds.
    """
    # Tries again and again, in autocommit. A statement that waits for the lock would hold a
    # snapshot; the CREATE INDEX CONCURRENTLY of the other process waits until all older snapshots
    # are gone, so the two processes would wait for each other.
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


def _run_command(connection: Connection, run: Callable[[Config], None], report: Report) -> None:
    config = _config()
    config.attributes.update(connection=connection, report=report)
    run(config)


def _read_revision(connection: Connection) -> str | None:
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _config() -> Config:
    config = Config()
    # Alembic reads the option with ConfigParser, which takes a single % as an interpolation.
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    return config

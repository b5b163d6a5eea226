"""Migrations of a database that others use, or migrate, at the same time."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest

from service.db.migrate import LOCK_KEY, upgrade
from tests.support.hosts import OLDER
from tests.support.until import until


@pytest.fixture
async def connection(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database)
    await connection.execute(OLDER)
    yield connection
    await connection.close()


async def test_ten_processes_may_migrate_at_once(empty_database, connection):
    reports: list[str] = []

    await asyncio.gather(*(upgrade(empty_database, report=reports.append) for _ in range(10)))

    assert [line for line in reports if line.startswith("upgraded")] == [
        "upgraded to revision 0001",
        "upgraded to revision 0002",
        "upgraded to revision 0003",
    ]


async def test_the_wait_for_another_process_is_bounded(empty_database, connection):
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    with pytest.raises(TimeoutError, match="another process has been migrating"):
        await upgrade(empty_database, wait=0.1)


async def test_a_table_in_use_is_waited_for_without_holding_up_its_readers(
    empty_database, connection
):
    reader = await asyncpg.connect(empty_database, server_settings={"lock_timeout": "2500"})
    reports: list[str] = []
    async with connection.transaction():
        await connection.execute("SELECT FROM data_entries")
        migrating = asyncio.create_task(upgrade(empty_database, report=reports.append))
        async with asyncio.timeout(20):
            while not any("in use" in line for line in reports):
                await reader.execute("SELECT FROM data_entries")
                await asyncio.sleep(0.05)
    await migrating
    await reader.close()
    assert reports[-1] == "upgraded to revision 0003"


async def _building(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
        "AND state = 'active' AND query LIKE 'CREATE INDEX CONCURRENTLY%')"
    )


async def test_a_build_that_outlives_its_process_is_waited_for_and_kept(empty_database, connection):
    await upgrade(empty_database, "0001")
    old = await asyncpg.connect(empty_database)
    reports: list[str] = []
    async with old.transaction(isolation="repeatable_read"):  # the build waits for its end
        await old.execute("SELECT 1 FROM units")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service",
            "migrate",
            env=os.environ | {"UPLOADS_DATABASE__URL": empty_database},
        )
        await until(lambda: _building(connection), within=30, what="the index is being built")
        process.kill()
        await process.wait()

        successor = asyncio.create_task(upgrade(empty_database, report=reports.append))
        await until(lambda: reports, within=10, what="the next process says that it waits")
        assert reports == ["another process is migrating this database; waiting for it to end"]
    await successor
    await old.close()
    assert not any("uploads_entries_by_scope" in line for line in reports)
    assert reports[-1] == "upgraded to revision 0003"

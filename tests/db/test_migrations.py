"""Migrations on real databases: empty ones, and ones that a host application uses already."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from migrations.adopt import IncompatibleDatabase
from service.db.engine import create_engine
from service.db.migrate import current_revision, downgrade, head_revision, upgrade
from tests.support.hosts import OLDER, TRACKING

EMPTY = "SELECT"

STARTS = pytest.mark.parametrize(
    "start", [EMPTY, OLDER, TRACKING], ids=["empty", "older", "tracking"]
)

COLUMNS = """
SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '')
FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'uploads_alembic_version'
UNION ALL
SELECT indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'uploads_alembic_version'
UNION ALL
SELECT conrelid::regclass || ' ' || conname FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
  AND conrelid <> coalesce(to_regclass('uploads_alembic_version'), 0)
UNION ALL
SELECT 'sequence ' || sequencename || ' ' || start_value FROM pg_sequences
WHERE schemaname = 'public'
"""


async def _schema(connection: asyncpg.Connection) -> set[str]:
    return {row[0] for row in await connection.fetch(COLUMNS)}


async def _our_indexes(connection: asyncpg.Connection) -> set[str]:
    found = await connection.fetch("""
        SELECT indexrelid::regclass::text FROM pg_index
        WHERE indrelid = 'data_entries'::regclass AND indisvalid
          AND indexrelid::regclass::text LIKE 'uploads%'
    """)
    return {row[0] for row in found}


async def _rows(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT ctid, * FROM data_entries ORDER BY id")


@pytest.fixture
async def connection(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(empty_database)
    yield connection
    await connection.close()


@STARTS
async def test_it_goes_up_and_down_and_up_again(empty_database, connection, start):
    await connection.execute(start)
    before = await _schema(connection)

    await upgrade(empty_database)
    migrated = await _schema(connection)
    await downgrade(empty_database, "base")
    after = await _schema(connection)
    await upgrade(empty_database)

    assert before < migrated
    assert after == before
    assert await _schema(connection) == migrated


@STARTS
async def test_each_revision_can_be_left_and_entered_alone(empty_database, connection, start):
    await connection.execute(start)
    seen = [await _schema(connection)]
    for revision in ("0001", "0002", "0003"):
        await upgrade(empty_database, revision)
        seen.append(await _schema(connection))
    for expected in reversed(seen[:-1]):
        await downgrade(empty_database, "-1")
        assert await _schema(connection) == expected


@pytest.mark.parametrize("start", [OLDER, TRACKING], ids=["older", "tracking"])
async def test_rows_that_were_there_stay_as_they_are(empty_database, connection, start):
    await connection.execute(start)
    before = [dict(row) for row in await _rows(connection)]

    await upgrade(empty_database)

    untracked = {"source": None, "created_by_id": None}
    assert [dict(row) for row in await _rows(connection)] == [untracked | row for row in before]


async def test_the_applications_own_version_table_is_left_alone(empty_database, connection):
    await connection.execute(OLDER)
    await upgrade(empty_database)
    await downgrade(empty_database, "base")
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "5f0c2e"


async def test_an_older_application_gets_every_index(empty_database, connection):
    await connection.execute(OLDER)
    await upgrade(empty_database)
    assert await _our_indexes(connection) == {
        "uploads_entries_by_scope",
        "uploads_entries_by_job",
        "uploads_entries_of_unknown_source",
    }


async def test_an_application_that_tracks_sources_keeps_its_columns_and_gets_no_index_twice(
    empty_database, connection
):
    await connection.execute(TRACKING)
    await upgrade(empty_database)
    assert await _our_indexes(connection) == {"uploads_entries_of_unknown_source"}
    assert {"data_entries.source integer ", "data_entries.created_by_id integer "} < await _schema(
        connection
    )


async def test_an_index_that_serves_other_queries_does_not_spare_ours(empty_database, connection):
    await connection.execute(TRACKING)
    await connection.execute("""
        DROP INDEX ix_data_entries_scope;
        CREATE INDEX other_order
        ON data_entries (source, data_entry_type_id, carbon_report_module_id);
        CREATE INDEX fewer_rows
        ON data_entries (carbon_report_module_id, data_entry_type_id, source) WHERE year > 2024;
    """)
    await upgrade(empty_database)
    assert "uploads_entries_by_scope" in await _our_indexes(connection)


async def test_an_unfinished_index_of_the_application_does_not_spare_ours(
    empty_database, connection
):
    await connection.execute(TRACKING)
    await connection.execute("DROP INDEX ix_data_entries_created_by_id")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY unfinished ON data_entries (created_by_id)"
        )
    await upgrade(empty_database)
    assert "uploads_entries_by_job" in await _our_indexes(connection)


async def test_tables_that_are_missing_are_added_to_those_that_are_there(
    empty_database, connection
):
    await connection.execute(
        "CREATE TABLE units (id serial PRIMARY KEY, institutional_id text UNIQUE)"
    )
    await upgrade(empty_database)
    await connection.execute("INSERT INTO units (institutional_id) VALUES ('1')")
    await connection.execute(
        "INSERT INTO carbon_reports (unit_id, year, kind) VALUES (1, 2025, 'calculator')"
    )

    await downgrade(empty_database, "base")

    assert await connection.fetchval("SELECT count(*) FROM units") == 1
    assert await connection.fetchval("SELECT to_regclass('carbon_reports')") is None


async def test_a_table_that_lacks_a_column_is_refused_by_name(empty_database, connection):
    await connection.execute("CREATE TABLE carbon_reports (id int PRIMARY KEY, year int)")
    with pytest.raises(
        IncompatibleDatabase, match="carbon_reports exists, but has no column kind, unit_id"
    ):
        await upgrade(empty_database)
    assert await connection.fetchval("SELECT to_regclass('units')") is None


async def test_what_an_interrupted_build_left_is_dropped_and_built_again(
    empty_database, connection
):
    await connection.execute(OLDER)
    await upgrade(empty_database, "0001")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY uploads_entries_by_scope ON data_entries (year)"
        )

    await upgrade(empty_database)

    rebuilt = await connection.fetchval(
        "SELECT pg_get_indexdef('uploads_entries_by_scope'::regclass)"
    )
    assert rebuilt.endswith("(carbon_report_module_id, data_entry_type_id, source)")
    assert "uploads_entries_by_scope" in await _our_indexes(connection)


async def test_job_ids_start_above_every_job_that_wrote_a_row(empty_database, connection):
    await connection.execute(TRACKING)
    await upgrade(empty_database)
    assert await connection.fetchval("SELECT nextval('upload_job_id_seq')") == 42


async def test_job_ids_start_at_one_in_a_new_database(empty_database, connection):
    await upgrade(empty_database)
    assert await connection.fetchval("SELECT nextval('upload_job_id_seq')") == 1


async def test_the_revision_can_be_asked_for(empty_database):
    engine = create_engine(empty_database)
    async with engine.connect() as before:
        assert await current_revision(before) is None
    await upgrade(empty_database)
    async with engine.connect() as after:
        assert await current_revision(after) == head_revision() == "0003"
    await engine.dispose()

"""The worker's role: what docs/sql/roles.sql allows it, and what it refuses."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from service.db.migrate import upgrade

ROLES = (Path(__file__).parents[2] / "docs" / "sql" / "roles.sql").read_text(encoding="utf-8")

READ = {"SELECT"}
WRITE = {"SELECT", "INSERT", "UPDATE", "DELETE"}
GRANTED = {
    "units": READ,
    "carbon_reports": READ,
    "carbon_report_modules": READ,
    "uploads_alembic_version": READ,
    "data_entries": {"SELECT", "INSERT", "DELETE"},
    "factors": WRITE,
    "upload_jobs": WRITE,
    "scope_heads": WRITE,
    "factor_heads": WRITE,
    "member_locks": WRITE,
    "dead_letters": WRITE,
    "dead_letter_actions": WRITE,
    "service_state": WRITE,
}

ENTRY = """
    INSERT INTO data_entries (data_entry_type_id, carbon_report_module_id, data)
    VALUES (66, 1, '{}')
"""
FACTOR = """
    INSERT INTO factors (data_entry_type_id, year, classification, "values")
    VALUES (1, 2025, '{}', '{}')
"""
ACTION = """
    INSERT INTO dead_letter_actions (actor, action, dead_letter_ids) VALUES ('me', 'list', '{}')
"""


@pytest.fixture
async def worker(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    await upgrade(empty_database)
    connection = await asyncpg.connect(empty_database)
    await connection.execute("CREATE TABLE users (id int)")
    await connection.execute(ENTRY)
    await connection.execute(ROLES)
    await connection.execute(ROLES)  # again, which changes nothing
    await connection.execute("SET ROLE uploads_worker")
    yield connection
    await connection.close()


async def test_the_worker_has_exactly_these_rights(worker):
    held = await worker.fetch("""
        SELECT relname, privilege FROM pg_class,
            unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) AS privilege
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
          AND has_table_privilege('uploads_worker', pg_class.oid, privilege)
    """)
    assert {(row["relname"], row["privilege"]) for row in held} == {
        (table, privilege) for table, privileges in GRANTED.items() for privilege in privileges
    }


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nextval('upload_job_id_seq')",
        "CREATE TEMPORARY TABLE staged (id int) ON COMMIT DROP",
        ENTRY,
        "DELETE FROM data_entries",
        FACTOR,
        "UPDATE factors SET last_seen_job_id = 1",
        "INSERT INTO scope_heads VALUES (1, 66, 1, 7) ON CONFLICT DO NOTHING",
        ACTION,
        "SELECT FROM upload_jobs FOR UPDATE SKIP LOCKED",
    ],
)
async def test_the_worker_can_do_its_work(worker, statement):
    await worker.execute(statement)


async def test_the_worker_can_copy_rows_in(worker):
    await worker.copy_records_to_table(
        "data_entries",
        records=[(66, 1, "{}")],
        columns=("data_entry_type_id", "carbon_report_module_id", "data"),
    )
    assert await worker.fetchval("SELECT count(*) FROM data_entries") == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE data_entries SET status = 1",
        "TRUNCATE data_entries",
        "INSERT INTO units (institutional_id, name) VALUES ('1', 'one')",
        "DELETE FROM carbon_report_modules",
        "SELECT FROM users",
        "SELECT setval('upload_job_id_seq', 1)",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE upload_jobs ADD COLUMN mine int",
        "DROP INDEX uploads_entries_by_scope",
        "UPDATE uploads_alembic_version SET version_num = '0'",
    ],
)
async def test_the_worker_can_do_nothing_else(worker, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await worker.execute(statement)


async def test_serial_ids_of_the_application_can_be_drawn(empty_database):
    await upgrade(empty_database)
    connection = await asyncpg.connect(empty_database)
    await connection.execute("ALTER TABLE data_entries ALTER id DROP IDENTITY")
    await connection.execute("CREATE SEQUENCE entry_ids OWNED BY data_entries.id")
    await connection.execute("ALTER TABLE data_entries ALTER id SET DEFAULT nextval('entry_ids')")
    await connection.execute(ROLES)
    await connection.execute("SET ROLE uploads_worker")
    await connection.execute(ENTRY)
    await connection.close()

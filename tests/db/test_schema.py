"""The migrated schema is the one that `service.db.tables` describes."""

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from service.db.engine import create_engine
from service.db.migrate import VERSION_TABLE, downgrade, upgrade
from service.db.tables import metadata

# Everything that a definition can say, a line each; the order of columns has no meaning.
CATALOGUE = f"""
WITH tables AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '{VERSION_TABLE}'
)
SELECT format('column %s.%s %s %s default=%s identity=%s',
              relname, attname, format_type(atttypid, atttypmod),
              CASE WHEN attnotnull THEN 'not null' END, pg_get_expr(adbin, adrelid), attidentity)
FROM tables JOIN pg_attribute ON attrelid = oid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT format('constraint %s.%s %s', relname, conname, pg_get_constraintdef(pg_constraint.oid))
FROM tables JOIN pg_constraint ON conrelid = tables.oid WHERE contype <> 'n'
UNION ALL
SELECT pg_get_indexdef(indexrelid) FROM tables JOIN pg_index ON indrelid = oid
UNION ALL
SELECT format('sequence %s %s from %s to %s start %s by %s', seqrelid::regclass, seqtypid::regtype,
              seqmin, seqmax, seqstart, seqincrement) FROM pg_sequence
"""


async def _catalogue(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row[0] for row in await connection.fetch(CATALOGUE)}
    finally:
        await connection.close()


async def test_migrations_and_models_make_the_same_schema_to_the_letter(empty_database):
    await upgrade(empty_database)
    migrated = await _catalogue(empty_database)
    await downgrade(empty_database, "base")
    engine = create_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()

    modelled = await _catalogue(empty_database)

    assert migrated - modelled == set()
    assert modelled - migrated == set()
    assert {line.split()[0] for line in migrated} == {"column", "constraint", "CREATE", "sequence"}


def _differences(connection: Connection) -> list[object]:
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
    }
    found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    operations = [op for entry in found for op in (entry if isinstance(entry, list) else [entry])]
    return [op for op in operations if "comment" not in op[0]]  # the migrations' marks


async def test_alembic_finds_nothing_left_to_migrate(empty_database):
    await upgrade(empty_database)
    engine = create_engine(empty_database)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await engine.dispose()

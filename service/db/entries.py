"""Rows of `data_entries`: the one COPY of a job, and the ids that other rows hold already."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain import DataEntrySource

COLUMNS = (
    "data_entry_type_id",
    "carbon_report_module_id",
    "data",
    "year",
    "unit_id",
    "source",
    "created_by_id",
)
"""What a job writes of a row; the database fills in the id and the timestamps, `status` stays NULL."""

_HELD = text("""
    SELECT carbon_report_module_id, data ->> :key FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id
      AND created_by_id IS DISTINCT FROM :job_id
      AND (CAST(:replaced AS int) IS NULL OR source IS DISTINCT FROM CAST(:replaced AS int))
""")

_LARGEST_JOB_ID = text("""
    SELECT CASE format_type(atttypid, NULL) WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647
           ELSE 9223372036854775807 END
    FROM pg_attribute WHERE attrelid = 'data_entries'::regclass AND attname = 'created_by_id'
""")


async def insert(conn: AsyncConnection, records: AsyncIterator[tuple[Any, ...]]) -> int:
    """Write a stream of rows, tuples in the order of `COLUMNS`, through one binary COPY; the number written.

    The stream sets the pace; memory stays bounded by asyncpg's buffer.
    """
    return await copy(conn, "data_entries", COLUMNS, records)


async def copy(
    conn: AsyncConnection, table: str, columns: tuple[str, ...], records: AsyncIterator[tuple[Any, ...]]
) -> int:
    """COPY a stream of tuples into a table, within the caller's transaction; the number of rows written."""
    driver = (await conn.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("the connection has no driver connection")
    status: str = await driver.copy_records_to_table(table, columns=columns, records=records)
    return int(status.removeprefix("COPY "))


async def held_ids(
    conn: AsyncConnection,
    modules: Collection[int],
    type_id: int,
    key: str,
    *,
    job_id: int,
    replaced: DataEntrySource | None,
) -> Mapping[int, set[str]]:
    """The values of `data[key]`, trimmed, that entries hold by module; not those of this job.

    Rows of the source `replaced` are left out: the job will delete them.
    """
    found = await conn.execute(
        _HELD,
        {
            "modules": list(modules),
            "type_id": type_id,
            "key": key,
            "job_id": job_id,
            "replaced": None if replaced is None else replaced.value,
        },
    )
    held: dict[int, set[str]] = {}
    for module_id, value in found:
        if value is not None:
            held.setdefault(module_id, set()).add(value.strip())
    return held


async def largest_job_id(conn: AsyncConnection) -> int:
    """The largest job id that `created_by_id` can hold: a host that tracked sources before may have made it int4."""
    largest: int = await conn.scalar(_LARGEST_JOB_ID)
    return largest

"""Rows of `data_entries`: the one COPY of a job, and the unique ids that other rows hold."""

from collections.abc import AsyncIterator, Collection, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.copy import copy_lines
from service.domain.model import Job
from service.domain.provider_types import WriteMode

COLUMNS = (
    "data_entry_type_id",
    "carbon_report_module_id",
    "unit_id",
    "year",
    "source",
    "created_by_id",
    "data",
)
"""The columns that a job writes, in the order of its COPY lines.

The database fills in the id and the timestamps; `status` stays NULL.
"""

_HELD = text("""
    SELECT carbon_report_module_id, data ->> :key FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id
      AND (source IS DISTINCT FROM :source
           OR (CAST(:appends AS boolean) AND created_by_id IS DISTINCT FROM :job_id))
""")

_LARGEST_JOB_ID = text("""
    SELECT CASE format_type(atttypid, NULL)
           WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647
           ELSE 9223372036854775807 END
    FROM pg_attribute WHERE attrelid = 'data_entries'::regclass AND attname = 'created_by_id'
""")


async def insert_entries(conn: AsyncConnection, lines: AsyncIterator[bytes]) -> int:
    """Write a stream of COPY lines, cells as in `COLUMNS`. Returns the number of rows written."""
    return await copy_lines(conn, "data_entries", COLUMNS, lines)


async def held_ids(
    conn: AsyncConnection, job: Job, modules: Collection[int], key: str
) -> Mapping[int, set[str]]:
    """The unique ids that other entries of these modules keep after the job, by module id.

    An id is the value of `data[key]` without spaces at its ends. Rows that the job itself has
    written do not count, nor do rows of its source if it replaces them. Rows of another source
    always count, whatever their `created_by_id` is: on a row that a person typed, it is the id of
    a person, which may be the same number as the job's.
    """
    found = await conn.execute(
        _HELD,
        {
            "modules": list(modules),
            "type_id": job.data_entry_type_id,
            "key": key,
            "source": job.source.value,
            "appends": job.mode is WriteMode.APPEND,
            "job_id": job.job_id,
        },
    )
    held: dict[int, set[str]] = {}
    for module_id, value in found:
        if value is not None:
            held.setdefault(module_id, set()).add(value.strip())
    return held


class JobIdWidth:
    """Knows which job ids the column `created_by_id` can hold.

    A host application that tracked sources before us may have made the column a 4-byte integer.
    The database is asked for the width once, and again for an id that does not fit: the column may
    have been widened in the meantime.
    """

    def __init__(self) -> None:
        self._largest = 0

    async def fits(self, conn: AsyncConnection, job_id: int) -> bool:
        """Return True if `created_by_id` can hold this job id."""
        if job_id > self._largest:
            self._largest = await conn.scalar(_LARGEST_JOB_ID) or 0
        return job_id <= self._largest

"""The rule itself: who may write a scope, and which of its older rows go.

A scope is (carbon_report_module_id, data_entry_type_id, source); its head says which job's rows are in
it. Every function takes a connection inside the caller's transaction, and commits nothing.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.provider_types import DataEntrySource

# Inserting in order is what keeps two jobs over the same scopes from a deadlock.
_WRITE_HEADS = text("""
    INSERT INTO scope_heads (carbon_report_module_id, data_entry_type_id, source, job_id)
    SELECT module_id, :type_id, :source, :job_id
    FROM unnest(CAST(:modules AS bigint[])) AS module_id ORDER BY module_id
    ON CONFLICT (carbon_report_module_id, data_entry_type_id, source)
    DO UPDATE SET job_id = excluded.job_id WHERE scope_heads.job_id <= :fence
    RETURNING carbon_report_module_id
""")

# Some heads may have been written already: the job is not its own successor.
_HIGHEST_HEAD = text("""
    SELECT max(job_id) FROM scope_heads
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id AND source = :source AND job_id <> :job_id
""")

_HOLDING = text("""
    SELECT DISTINCT carbon_report_module_id FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id AND source = :source
""")

_DELETE = text("""
    DELETE FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id AND source = :source
      AND created_by_id IS DISTINCT FROM :job_id
""")

_COUNT = text("""
    SELECT source, count(*) FROM data_entries
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[])) AND data_entry_type_id = :type_id
    GROUP BY source
""")

# Three ranges of the index, because "any but this one" would visit every row that the job has just written.
_COUNT_OTHERS = text("""
    SELECT source, count(*) FROM (
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[])) AND data_entry_type_id = :type_id
          AND source < :source
        UNION ALL
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[])) AND data_entry_type_id = :type_id
          AND source > :source
        UNION ALL
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[])) AND data_entry_type_id = :type_id
          AND source IS NULL
    ) AS others GROUP BY source
""")

_LOCK_MEMBERS = text("""
    INSERT INTO member_locks (carbon_report_module_id, data_entry_type_id)
    SELECT module_id, :type_id FROM unnest(CAST(:modules AS bigint[])) AS module_id ORDER BY module_id
    ON CONFLICT (carbon_report_module_id, data_entry_type_id)
    DO UPDATE SET data_entry_type_id = excluded.data_entry_type_id
""")


async def take_scope_heads(
    conn: AsyncConnection,
    modules: Collection[int],
    type_id: int,
    source: DataEntrySource,
    *,
    job_id: int,
    fence: int,
) -> int | None:
    """Lock, fence and write the heads of a job's scopes, in one statement.

    Waits for other jobs on the same scopes to end. Returns None where every head is now this job's, else
    the highest other job id found: the caller must roll back, for some heads may have been written.
    Never join this statement with the delete or the counts: having waited, those would still read the
    snapshot from before the other job's commit, and leave its rows in place.
    """
    scope = {"modules": list(modules), "type_id": type_id, "source": source.value, "job_id": job_id}
    taken = await conn.execute(_WRITE_HEADS, scope | {"fence": fence})
    if len(taken.all()) == len(modules):
        return None
    newer: int = await conn.scalar(_HIGHEST_HEAD, scope)
    return newer


async def modules_holding(
    conn: AsyncConnection, modules: Collection[int], type_id: int, source: DataEntrySource
) -> set[int]:
    """Those of the modules that hold rows of a type and source."""
    scope = {"modules": list(modules), "type_id": type_id, "source": source.value}
    return set(await conn.scalars(_HOLDING, scope))


async def delete_by_source(
    conn: AsyncConnection,
    modules: Collection[int],
    type_id: int,
    source: DataEntrySource,
    *,
    keep_job_id: int,
) -> int:
    """Delete the rows of one source and type that any other job wrote; the number deleted.

    Rows with no `created_by_id` count as written by another job.
    """
    scope = {
        "modules": list(modules),
        "type_id": type_id,
        "source": source.value,
        "job_id": keep_job_id,
    }
    return (await conn.execute(_DELETE, scope)).rowcount


async def count_by_source(
    conn: AsyncConnection, modules: Collection[int], type_id: int
) -> Mapping[int | None, int]:
    """Rows of a type in these modules, for every source that is present; None is unknown origin."""
    counted = await conn.execute(_COUNT, {"modules": list(modules), "type_id": type_id})
    return {row[0]: row[1] for row in counted}


async def count_other_sources(
    conn: AsyncConnection, modules: Collection[int], type_id: int, source: DataEntrySource
) -> Mapping[int | None, int]:
    """The same without one source, and without visiting its rows."""
    counted = await conn.execute(
        _COUNT_OTHERS, {"modules": list(modules), "type_id": type_id, "source": source.value}
    )
    return {row[0]: row[1] for row in counted}


async def lock_members(conn: AsyncConnection, modules: Collection[int], type_id: int) -> None:
    """Take one lock for each module and type that the jobs of all sources share, until the transaction ends.

    Row locks, not advisory ones: a job over 2,300 modules would fill the server's lock table.
    People's typing takes none of them and is never locked out.
    """
    await conn.execute(_LOCK_MEMBERS, {"modules": list(modules), "type_id": type_id})

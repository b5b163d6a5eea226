"""The central rule of the service: which job may write a scope, and which older rows it deletes.

A scope is (carbon_report_module_id, data_entry_type_id, source). The head of a scope is the last
job that replaced it, even with no rows. Every function works inside the caller's transaction and
commits nothing.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.provider_types import DataEntrySource

# One statement does three things: it locks the heads, leaves a head above the fence as it is (the
# WHERE), and writes this job as the new head of all others. It returns a row for each head that it
# wrote. ORDER BY: two jobs over the same scopes lock the heads in the same order, so one of them
# waits for the other. In any other order they could wait for each other, a deadlock.
_WRITE_HEADS = text("""
    INSERT INTO scope_heads (carbon_report_module_id, data_entry_type_id, source, job_id)
    SELECT module_id, :type_id, :source, :job_id
    FROM unnest(CAST(:modules AS bigint[])) AS module_id ORDER BY module_id
    ON CONFLICT (carbon_report_module_id, data_entry_type_id, source)
    DO UPDATE SET job_id = excluded.job_id WHERE scope_heads.job_id <= :fence
    RETURNING carbon_report_module_id
""")

# Looks for another job's head: the statement before may have written this job into some of them.
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
    WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
      AND data_entry_type_id = :type_id
    GROUP BY source
""")

# Three ranges of the index. With `source IS DISTINCT FROM :source`, PostgreSQL would also visit the
# rows of the job's own source, which are all the rows that the job has just written.
_COUNT_OTHERS = text("""
    SELECT source, count(*) FROM (
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
          AND data_entry_type_id = :type_id AND source < :source
        UNION ALL
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
          AND data_entry_type_id = :type_id AND source > :source
        UNION ALL
        SELECT source FROM data_entries
        WHERE carbon_report_module_id = ANY(CAST(:modules AS bigint[]))
          AND data_entry_type_id = :type_id AND source IS NULL
    ) AS others GROUP BY source
""")

# An update that changes nothing still locks its row until the transaction ends. ORDER BY, as for
# the heads: all jobs lock in the same order, so there is no deadlock.
_LOCK_MEMBERS = text("""
    INSERT INTO member_locks (carbon_report_module_id, data_entry_type_id)
    SELECT module_id, :type_id FROM unnest(CAST(:modules AS bigint[])) AS module_id
    ORDER BY module_id
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
    """Lock the job's scopes and make the job their head.

    Waits for other jobs on the same scopes to end. Returns None if no head was above the `fence`.
    Else returns the highest job id among the other heads; the caller must then roll back, because
    some heads may have been written already.

    Never join this statement with the delete or the counts: `service.db` explains lock waits.
    """
    scope = {"modules": list(modules), "type_id": type_id, "source": source.value, "job_id": job_id}
    taken = await conn.execute(_WRITE_HEADS, scope | {"fence": fence})
    if len(taken.all()) == len(modules):
        return None
    head_above_fence: int = await conn.scalar(_HIGHEST_HEAD, scope)
    return head_above_fence


async def modules_holding(
    conn: AsyncConnection, modules: Collection[int], type_id: int, source: DataEntrySource
) -> set[int]:
    """The ids of those modules that hold rows of this type and source."""
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
    """Delete the rows of one type and source that any other job wrote.

    Returns the number of rows deleted. Rows without a `created_by_id` count as written by another
    job. The caller must have taken the heads of the scopes, which is the lock that keeps other jobs
    of the same source out.
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
    """Count the rows of a type in these modules by source; the key None is unknown origin."""
    counted = await conn.execute(_COUNT, {"modules": list(modules), "type_id": type_id})
    return {row[0]: row[1] for row in counted}


async def count_other_sources(
    conn: AsyncConnection, modules: Collection[int], type_id: int, source: DataEntrySource
) -> Mapping[int | None, int]:
    """Count like `count_by_source`, but leave one source out and do not visit its rows."""
    counted = await conn.execute(
        _COUNT_OTHERS, {"modules": list(modules), "type_id": type_id, "source": source.value}
    )
    return {row[0]: row[1] for row in counted}


async def lock_members(conn: AsyncConnection, modules: Collection[int], type_id: int) -> None:
    """Lock (module, type) for the jobs of all sources, until the transaction ends.

    Take these locks after the heads, never before: the order of all jobs is heads, then members.
    They are row locks and not advisory locks, because a job over 2,300 modules would fill the
    server's lock table. Rows that people type take no such lock, so nobody is ever locked out.
    """
    await conn.execute(_LOCK_MEMBERS, {"modules": list(modules), "type_id": type_id})

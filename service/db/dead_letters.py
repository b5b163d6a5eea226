"""Rows of `dead_letters`: the state of each record of the dead-letter topic."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain import Job, ReplaceScope, Result, WriteMode

_INSERT = text("""
    INSERT INTO dead_letters
           (id, original_topic, original_partition, original_offset, original_timestamp, consumer_group,
            job_id, provider_type, data_entry_type_id, year, modules, code, stage, exception_class, message,
            attempts, first_failed_at, parked_at, service_version, replay_count, replay_of)
    VALUES (:id, :original_topic, :original_partition, :original_offset, :original_timestamp, :consumer_group,
            :job_id, :provider_type, :data_entry_type_id, :year, :modules, :code, :stage, :exception_class, :message,
            :attempts, :first_failed_at, :parked_at, :service_version, :replay_count, :replay_of)
    ON CONFLICT (id) DO NOTHING
""")

_SENT_TO = text("UPDATE dead_letters SET dlq_partition = :partition, dlq_offset = :offset WHERE id = :id")

_COUNT_OPEN = text("""
    SELECT code, count(*) FROM dead_letters WHERE state IN ('open', 'claimed', 'sent', 'quarantined')
    GROUP BY code ORDER BY code
""")

_RECENT = text("SELECT count(*) FROM dead_letters WHERE parked_at > :since AND replay_of IS NULL")

# A conflicting message bears the id of a job that it is not, so that job's end says nothing about it.
_SETTLE = text("""
    UPDATE dead_letters
    SET state = CASE WHEN job_id = :job_id OR edited_as = :job_id THEN 'resolved' ELSE 'superseded' END,
        state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE state IN ('open', 'claimed', 'sent', 'quarantined')
      AND (
        (job_id = :job_id AND code <> 'job_id_conflict')
        OR (:changed AND edited_as = :job_id)
        OR (:replaced AND state IN ('open', 'quarantined') AND job_id < :job_id AND provider_type = :provider_type
            AND data_entry_type_id = :type_id AND year = :year
            AND (:is_whole OR modules <@ CAST(:modules AS bigint[])))
      )
""")


async def insert(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Note a record as parked; False where it was noted before."""
    return (await conn.execute(_INSERT, row)).rowcount == 1


async def settle(conn: AsyncConnection, job: Job, result: Result) -> None:
    """Close the letters that a job's end answers, in the job's own transaction.

    Resolved: its own, and, where it succeeded, those that it is an edited copy of. Superseded: older ones
    of the same kind that a successful replace covers whole; an append settles nobody else's.
    """
    changed = result.outcome.changes_rows
    await conn.execute(
        _SETTLE,
        {
            "job_id": job.job_id,
            "reason": f"job {job.job_id}: {result.outcome.value}",
            "changed": changed,
            "replaced": changed and job.mode is WriteMode.REPLACE,
            "provider_type": job.provider_type.value,
            "type_id": job.data_entry_type_id,
            "year": job.year,
            "is_whole": job.is_factors or job.replace_scope is ReplaceScope.YEAR,
            "modules": list(result.affected_modules),
        },
    )


async def note_position(conn: AsyncConnection, letter_id: UUID, *, partition: int, offset: int) -> None:
    """Remember where in the dead-letter topic the record lies."""
    await conn.execute(_SENT_TO, {"id": letter_id, "partition": partition, "offset": offset})


async def count_since(conn: AsyncConnection, since: datetime) -> int:
    """Records parked since a moment, replays aside: what the dead-letter guard looks at."""
    counted: int = await conn.scalar(_RECENT, {"since": since})
    return counted


async def count_open(conn: AsyncConnection) -> Mapping[str, int]:
    """Letters that still need an end, by code."""
    counted = await conn.execute(_COUNT_OPEN)
    return {row[0]: row[1] for row in counted}

"""Rows of `dead_letters` as the worker writes them: a record is parked, and a job's end settles what it answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain import Job, LetterState, Outcome, ReplaceScope, Result, WriteMode

QUARANTINE_AFTER = 3
"""Replays after which a letter that has failed again is no longer `open`."""

_INSERT = text("""
    INSERT INTO dead_letters
           (id, original_topic, original_partition, original_offset, original_timestamp, consumer_group,
            job_id, provider_type, data_entry_type_id, year, modules, code, stage, exception_class, message,
            attempts, first_failed_at, parked_at, service_version, replay_count, replay_of, state)
    VALUES (:id, :original_topic, :original_partition, :original_offset, :original_timestamp, :consumer_group,
            :job_id, :provider_type, :data_entry_type_id, :year, :modules, :code, :stage, :exception_class, :message,
            :attempts, :first_failed_at, :parked_at, :service_version, :replay_count,
            (SELECT id FROM dead_letters WHERE id = :replay_of AND original_topic = :original_topic), :state)
    ON CONFLICT (id) DO NOTHING
""")

# `open` and `quarantined` too: its sender may have died before saying so, and the claim been taken back.
_FAILED_AGAIN = text("""
    UPDATE dead_letters SET state = 'failed', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE id = :replay_of AND original_topic = :original_topic
      AND state IN ('open', 'claimed', 'sent', 'quarantined')
""")

_SENT_TO = text("UPDATE dead_letters SET dlq_partition = :partition, dlq_offset = :offset WHERE id = :id")

_COUNT_OPEN = text("""
    SELECT code, count(*) FROM dead_letters WHERE state IN ('open', 'claimed', 'sent', 'quarantined')
    GROUP BY code ORDER BY code
""")

_RECENT = text("SELECT count(*) FROM dead_letters WHERE parked_at > :since AND replay_of IS NULL")

# In this order: the letters that the job is an edited copy of, its own, and older ones that it covers whole.
# A conflicting message bears the id of a job that it is not, so that job's end says nothing about it.
_SETTLE = text("""
    UPDATE dead_letters
    SET state = CASE WHEN edited_as IS DISTINCT FROM :job_id
                     THEN CASE WHEN job_id = :job_id THEN 'resolved' ELSE 'superseded' END
                     WHEN :changed THEN 'resolved'
                     WHEN replay_count >= :quarantine_after THEN 'quarantined' ELSE 'open' END,
        state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE (edited_as = :job_id AND state NOT IN ('resolved', 'superseded', 'discarded'))
       OR (state IN ('open', 'claimed', 'sent', 'quarantined') AND job_id = :job_id AND code <> 'job_id_conflict')
       OR (:replaced AND state IN ('open', 'quarantined') AND job_id < :job_id AND provider_type = :provider_type
           AND data_entry_type_id = :type_id AND year = :year
           AND (:is_whole OR modules <@ CAST(:modules AS bigint[])))
""")

_SETTLE_REPEAT = text("""
    UPDATE dead_letters SET state = 'resolved', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE job_id = :job_id AND code <> 'job_id_conflict' AND state IN ('open', 'claimed', 'sent', 'quarantined')
""")


async def insert(conn: AsyncConnection, row: dict[str, Any]) -> bool:
    """Note a record as parked; False where it was noted before. The letter that it is a replay of has failed."""
    state = LetterState.QUARANTINED if row["replay_count"] >= QUARANTINE_AFTER else LetterState.OPEN
    inserted = await conn.execute(_INSERT, row | {"state": state.value})
    if inserted.rowcount == 0:
        return False
    if row["replay_of"] is not None:
        reason = f"parked again as {row['id']}: {row['code']}"
        predecessor = {"replay_of": row["replay_of"], "original_topic": row["original_topic"], "reason": reason}
        await conn.execute(_FAILED_AGAIN, predecessor)
    return True


async def settle(conn: AsyncConnection, job: Job, result: Result) -> None:
    """Close the letters that a job's end answers, in the job's own transaction.

    Resolved: its own, and, where it succeeded, those that it is an edited copy of; where it did not, these
    are open again. Superseded: older ones of the same kind that a successful replace covers whole; an
    append settles nobody else's.
    """
    changed = result.outcome.changes_rows
    await conn.execute(
        _SETTLE,
        {
            "job_id": job.job_id,
            "reason": _reason(job.job_id, result.outcome),
            "changed": changed,
            "quarantine_after": QUARANTINE_AFTER,
            "replaced": changed and job.mode is WriteMode.REPLACE,
            "provider_type": job.provider_type.value,
            "type_id": job.data_entry_type_id,
            "year": job.year,
            "is_whole": job.is_factors or job.replace_scope is ReplaceScope.YEAR,
            "modules": list(result.affected_modules),
        },
    )


async def settle_repeat(conn: AsyncConnection, job_id: int, outcome: Outcome) -> None:
    """Close the letters of a job that had ended before: its message came again and was answered."""
    await conn.execute(_SETTLE_REPEAT, {"job_id": job_id, "reason": _reason(job_id, outcome)})


def _reason(job_id: int, outcome: Outcome) -> str:
    return f"job {job_id}: {outcome.value}"


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

"""The ledger of jobs, which is the outbox too: one line a job; final once its outcome is set.

The completion event is stored with the outcome, byte for byte, so that every repeat of it is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.domain.errors import JobIdConflict
from service.domain.model import Job, Outcome, Record, Result

# A line that is final, or another upload's, is left as it was and not returned: the caller reads which.
_BEGIN = text("""
    INSERT INTO upload_jobs AS line
           (job_id, provider_type, fingerprint, data_entry_type_id, year, carbon_report_module_id,
            partition_key, submitted_by, attempts, first_started_at, started_at)
    VALUES (:job_id, :provider_type, :fingerprint, :type_id, :year, :module_id,
            :key, :submitted_by, 1, :now, :now)
    ON CONFLICT (job_id) DO UPDATE
    SET attempts = line.attempts + 1, started_at = excluded.started_at
    WHERE line.outcome IS NULL AND line.fingerprint = excluded.fingerprint
    RETURNING attempts, first_started_at
""")

_READ = text("""
    SELECT fingerprint, attempts, first_started_at, outcome, event_key, event_headers, event
    FROM upload_jobs WHERE job_id = :job_id
""")

_CLAIM = text(_READ.text + " FOR UPDATE")

_CLOSE = text("""
    UPDATE upload_jobs
    SET outcome = :outcome, finished_at = :now, superseded_by = :superseded_by,
        rows_total = :total, rows_processed = :processed, rows_skipped = :skipped,
        event_key = :event_key, event_headers = :event_headers, event = :event
    WHERE job_id = :job_id
    RETURNING EXISTS (SELECT FROM dead_letters WHERE state IN ('open', 'claimed', 'sent', 'quarantined'))
""")

# Not waited for on the disk: a mark that is lost in a crash costs one more announcement, with the same bytes.
_ANNOUNCED = text("""
    WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE upload_jobs SET announced_at = :now FROM relaxed WHERE job_id = :job_id AND announced_at IS NULL
""")

# Ids do not commit in order, so "above the last one seen" would miss some.
_UNANNOUNCED = text("""
    SELECT job_id, event_key, event_headers, event FROM upload_jobs
    WHERE outcome IS NOT NULL AND announced_at IS NULL AND finished_at < :before
    ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_COUNT_UNANNOUNCED = text("""
    SELECT count(*), min(finished_at) FROM upload_jobs WHERE outcome IS NOT NULL AND announced_at IS NULL
""")

_FAILED = text("""
    UPDATE upload_jobs SET last_error_code = :code, last_error_at = :now WHERE job_id = :job_id AND outcome IS NULL
""")


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A job's line: how often it was tried, and, once it is final, its outcome and event."""

    job_id: int
    attempts: int
    first_started_at: datetime
    outcome: Outcome | None = None
    event: Record | None = None


async def begin_attempt(
    conn: AsyncConnection, job: Job, *, topic: str, now: datetime
) -> LedgerLine:
    """Open the job's line, or count another attempt on it; final lines are returned as they are.

    Waits while another delivery of the same job is at work. Raises `JobIdConflict` where the line is
    another upload's.
    """
    line = {
        "job_id": job.job_id,
        "provider_type": job.provider_type.value,
        "fingerprint": job.fingerprint,
        "type_id": job.data_entry_type_id,
        "year": job.year,
        "module_id": job.carbon_report_module_id,
        "key": job.key,
        "submitted_by": job.submitted_by,
        "now": now,
    }
    begun = (await conn.execute(_BEGIN, line)).one_or_none()
    if begun is not None:
        return LedgerLine(job.job_id, begun.attempts, begun.first_started_at)
    return await _read(conn, job, topic, locked=False)


async def lock_line(conn: AsyncConnection, job: Job, *, topic: str) -> LedgerLine:
    """Lock the job's line until the transaction ends: a second delivery of the same job waits here."""
    return await _read(conn, job, topic, locked=True)


async def _read(conn: AsyncConnection, job: Job, topic: str, *, locked: bool) -> LedgerLine:
    row = (await conn.execute(_CLAIM if locked else _READ, {"job_id": job.job_id})).one()
    if row.fingerprint != job.fingerprint:
        raise JobIdConflict("job_id", job_id=job.job_id)
    if row.outcome is None:
        return LedgerLine(job.job_id, row.attempts, row.first_started_at)
    event = _stored_event(topic, row.event_key, row.event_headers, row.event)
    return LedgerLine(job.job_id, row.attempts, row.first_started_at, Outcome(row.outcome), event)


async def find_line(conn: AsyncConnection, job_id: int) -> tuple[str, Outcome | None] | None:
    """A line's fingerprint and outcome, without beginning anything; None where the job is unknown."""
    row = (await conn.execute(_READ, {"job_id": job_id})).one_or_none()
    return None if row is None else (row.fingerprint, row.outcome and Outcome(row.outcome))


async def close_line(
    conn: AsyncConnection, job: Job, result: Result, event: Record, *, now: datetime
) -> bool:
    """Make the job's line final: its outcome, its counts and its event; whether any dead letter waits for its end."""
    letters_wait: bool = await conn.scalar(
        _CLOSE,
        {
            "job_id": job.job_id,
            "outcome": result.outcome.value,
            "now": now,
            "superseded_by": result.superseded_by,
            "total": result.rows_total,
            "processed": result.rows_processed,
            "skipped": result.rows_skipped,
            "event_key": event.key,
            "event_headers": orjson.dumps(
                [(name, value.decode()) for name, value in event.headers]
            ),
            "event": event.value,
        },
    )
    return letters_wait


async def note_failure(conn: AsyncConnection, job_id: int, code: str, *, now: datetime) -> None:
    """Remember why the last attempt at an open job failed, for those who wait for it."""
    await conn.execute(_FAILED, {"job_id": job_id, "code": code, "now": now})


async def mark_announced(conn: AsyncConnection, job_id: int, *, now: datetime) -> None:
    """Remember that the broker has acknowledged the job's completion event."""
    await conn.execute(_ANNOUNCED, {"job_id": job_id, "now": now})


async def lock_unannounced(
    conn: AsyncConnection, *, topic: str, before: datetime, limit: int
) -> Sequence[tuple[int, Record]]:
    """Final jobs that finished before a moment and were not announced, locked; those others hold are skipped."""
    rows = await conn.execute(_UNANNOUNCED, {"before": before, "limit": limit})
    return [
        (row.job_id, _stored_event(topic, row.event_key, row.event_headers, row.event))
        for row in rows
    ]


async def count_unannounced(conn: AsyncConnection) -> tuple[int, datetime | None]:
    """How many final jobs are not announced yet, and when the oldest of them finished."""
    count, oldest = (await conn.execute(_COUNT_UNANNOUNCED)).one()
    return count, oldest


def _stored_event(topic: str, key: bytes, headers: bytes, value: bytes) -> Record:
    return Record(
        topic, key, value, tuple((name, text_.encode()) for name, text_ in orjson.loads(headers))
    )

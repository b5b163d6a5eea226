"""The ledger of jobs, the table `upload_jobs`: one line for each job.

A line is final once its outcome is set. The completion event is stored with the outcome as bytes,
so every repetition of the event is the same. This makes the ledger the outbox too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.letter_states import text_with_unfinished
from service.domain.errors import JobIdConflict
from service.domain.model import Job, Outcome, Record, Result

# The WHERE leaves a final line, and a line of another upload, unchanged. Such a line is not
# returned either; the caller reads it to see which of the two it is.
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

_READ_AND_LOCK = text(_READ.text + " FOR UPDATE")

_CLOSE = text_with_unfinished("""
    UPDATE upload_jobs
    SET outcome = :outcome, finished_at = :now, superseded_by = :superseded_by,
        rows_total = :total, rows_processed = :processed, rows_skipped = :skipped,
        event_key = :event_key, event_headers = :event_headers, event = :event
    WHERE job_id = :job_id
    RETURNING EXISTS (SELECT FROM dead_letters WHERE state IN :unfinished)
""")

# With synchronous_commit off, the commit does not wait for the disk. If a crash of the server loses
# the mark, the same event is published once more.
_MARK_ANNOUNCED = text("""
    WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE upload_jobs SET announced_at = :now FROM relaxed
    WHERE job_id = :job_id AND announced_at IS NULL
""")

# Asks for the mark, not for "job ids above the last one seen": jobs do not commit in the order of
# their ids, so some would be missed. SKIP LOCKED gives two sweepers different lines.
_UNANNOUNCED = text("""
    SELECT job_id, event_key, event_headers, event FROM upload_jobs
    WHERE outcome IS NOT NULL AND announced_at IS NULL AND finished_at < :before
    ORDER BY finished_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_COUNT_UNANNOUNCED = text("""
    SELECT count(*), min(finished_at) FROM upload_jobs
    WHERE outcome IS NOT NULL AND announced_at IS NULL
""")

_NOTE_FAILURE = text("""
    UPDATE upload_jobs SET last_error_code = :code, last_error_at = :now
    WHERE job_id = :job_id AND outcome IS NULL
""")


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A job's line. `outcome` and `event` are None until the line is final."""

    job_id: int
    attempts: int
    first_started_at: datetime
    outcome: Outcome | None = None
    event: Record | None = None


async def begin_attempt(
    conn: AsyncConnection, job: Job, *, topic: str, now: datetime
) -> LedgerLine:
    """Open the job's line, or count one more attempt; a final line is returned unchanged.

    Waits while another delivery of the same job is in its transaction, since that one has the line
    locked. Raises `JobIdConflict` if the line belongs to another upload.
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
    return await _read_line(conn, job, topic, lock=False)


async def lock_line(conn: AsyncConnection, job: Job, *, topic: str) -> LedgerLine:
    """Read the job's line and lock it until the transaction ends.

    A second delivery of the same job waits here. It then reads what the first one has committed
    (`service.db` explains lock waits). Raises `JobIdConflict` if the line belongs to another
    upload.
    """
    return await _read_line(conn, job, topic, lock=True)


async def _read_line(conn: AsyncConnection, job: Job, topic: str, *, lock: bool) -> LedgerLine:
    query = _READ_AND_LOCK if lock else _READ
    row = (await conn.execute(query, {"job_id": job.job_id})).one()
    if row.fingerprint != job.fingerprint:
        raise JobIdConflict("job_id", job_id=job.job_id)
    if row.outcome is None:
        return LedgerLine(job.job_id, row.attempts, row.first_started_at)
    event = _stored_event(topic, row.event_key, row.event_headers, row.event)
    return LedgerLine(job.job_id, row.attempts, row.first_started_at, Outcome(row.outcome), event)


async def find_line(conn: AsyncConnection, job_id: int) -> tuple[str, Outcome | None] | None:
    """Read a line's fingerprint and outcome, and count no attempt; None if there is no such line.

    The outcome is None while the line is not final.
    """
    row = (await conn.execute(_READ, {"job_id": job_id})).one_or_none()
    if row is None:
        return None
    outcome = None if row.outcome is None else Outcome(row.outcome)
    return row.fingerprint, outcome


async def close_line(
    conn: AsyncConnection, job: Job, result: Result, event: Record, *, now: datetime
) -> bool:
    """Make the job's line final, with its outcome, its counts and its event.

    Returns True if any dead letter, of any job, is unfinished. Only then is it worth one more round
    trip to settle the letters that this end answers.
    """
    some_are_unfinished: bool = await conn.scalar(
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
    return some_are_unfinished


async def note_failure(conn: AsyncConnection, job_id: int, code: str, *, now: datetime) -> None:
    """Note why the last attempt at a job failed; a final line stays as it is."""
    await conn.execute(_NOTE_FAILURE, {"job_id": job_id, "code": code, "now": now})


async def mark_announced(conn: AsyncConnection, job_id: int, *, now: datetime) -> None:
    """Note that the broker has acknowledged the job's completion event."""
    await conn.execute(_MARK_ANNOUNCED, {"job_id": job_id, "now": now})


async def lock_unannounced(
    conn: AsyncConnection, *, topic: str, before: datetime, limit: int
) -> Sequence[tuple[int, Record]]:
    """Lock final jobs that ended before `before` and are not announced.

    Returns their ids and events. The oldest come first. Jobs that another transaction has locked
    are skipped.
    """
    rows = await conn.execute(_UNANNOUNCED, {"before": before, "limit": limit})
    return [
        (row.job_id, _stored_event(topic, row.event_key, row.event_headers, row.event))
        for row in rows
    ]


async def count_unannounced(conn: AsyncConnection) -> tuple[int, datetime | None]:
    """How many final jobs are not announced yet, and when the oldest of them ended."""
    count, oldest = (await conn.execute(_COUNT_UNANNOUNCED)).one()
    return count, oldest


def _stored_event(topic: str, key: bytes, headers: bytes, value: bytes) -> Record:
    """The record of a stored event; its headers are stored as JSON, a list of name and text."""
    pairs = tuple((name, header.encode()) for name, header in orjson.loads(headers))
    return Record(topic, key, value, pairs)

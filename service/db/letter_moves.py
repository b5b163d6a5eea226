"""What an operator may do to a dead letter's row. Each is one statement; a letter that has moved on is left alone."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.dead_letters import QUARANTINE_AFTER
from service.db.letters import Letter
from service.domain import Job, LetterState

# What could not be read when it was parked may be readable to a newer version of the service.
_CLAIM = text("""
    UPDATE dead_letters
    SET state = 'claimed', state_at = now(), state_by = :by, state_reason = :reason, edited_as = :edited_as,
        job_id = coalesce(job_id, :job_id), data_entry_type_id = coalesce(data_entry_type_id, :type_id),
        year = coalesce(year, :year), modules = coalesce(modules, CAST(:modules AS bigint[]))
    WHERE id = :id AND state = :state AND state_at = :state_at AND state IN ('open', 'quarantined', 'sent')
    RETURNING id
""")

_SENT = text("""
    UPDATE dead_letters SET state = 'sent', state_at = now()
    WHERE id = :id AND state = 'claimed' AND state_by = :by AND state_reason = :reason
""")

# A job that was begun after the claim was sent by it; one that has ended would have settled the letter.
_TAKE_BACK = text("""
    UPDATE dead_letters AS letter
    SET state = CASE
            WHEN EXISTS (SELECT FROM upload_jobs AS line
                         WHERE line.job_id = coalesce(letter.edited_as, letter.job_id)
                           AND line.started_at > letter.state_at) THEN 'sent'
            WHEN replay_count >= :quarantine_after THEN 'quarantined'
            ELSE 'open' END,
        state_at = now(), state_by = :by, state_reason = 'claim abandoned by ' || state_by
    WHERE state = 'claimed' AND state_at < now() - CAST(:after AS interval)
    RETURNING id, state
""")

_DISCARD = text("""
    UPDATE dead_letters SET state = 'discarded', state_at = now(), state_by = :by, state_reason = :reason
    WHERE id = :id AND state = :state AND state_at = :state_at AND state IN ('open', 'quarantined', 'sent')
    RETURNING id
""")


async def claim(
    conn: AsyncConnection, letter: Letter, *, by: str, reason: str, job: Job | None = None, edited_as: int | None = None
) -> bool:
    """Take a letter for sending, if it still is as it was read; of two operators at once, one gets True.

    `job` is what its message can be read as now, `edited_as` the job id of a changed copy.
    """
    module_id = job and job.carbon_report_module_id
    read_as = {
        "job_id": job and job.job_id,
        "type_id": job and job.data_entry_type_id,
        "year": job and job.year,
        "modules": None if module_id is None else [module_id],
    }
    claimed = await conn.execute(_CLAIM, _seen(letter) | read_as | {"by": by, "reason": reason, "edited_as": edited_as})
    return claimed.rowcount == 1


async def mark_sent(conn: AsyncConnection, letter_id: UUID, *, by: str, reason: str) -> None:
    """Remember that the broker has the record; where its job has ended meanwhile, that stands."""
    await conn.execute(_SENT, {"id": letter_id, "by": by, "reason": reason})


async def take_back(conn: AsyncConnection, *, after: timedelta, by: str) -> Mapping[UUID, LetterState]:
    """End the claims that are that old: their operator was killed. Where each letter stands now.

    It counts as sent where its job was begun since, else it is as before the claim.
    """
    given = {"after": after, "by": by, "quarantine_after": QUARANTINE_AFTER}
    return {row.id: LetterState(row.state) for row in await conn.execute(_TAKE_BACK, given)}


async def discard(conn: AsyncConnection, letters: Collection[Letter], *, by: str, reason: str) -> list[UUID]:
    """Give letters up, those that still are as they were read; their ids."""
    gone = []
    for letter in letters:
        moved = await conn.execute(_DISCARD, _seen(letter) | {"by": by, "reason": reason})
        gone += [row.id for row in moved]
    return gone


def _seen(letter: Letter) -> dict[str, Any]:
    return {"id": letter.id, "state": letter.state.value, "state_at": letter.state_at}

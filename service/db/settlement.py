"""Settling: the end of a job closes the dead letters that it answers."""

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db.dead_letters import QUARANTINE_AFTER
from service.db.letter_states import text_with_unfinished
from service.domain.model import Job, Outcome, ReplaceScope, Result
from service.domain.provider_types import WriteMode

# A letter with `job_id_conflict` is of another upload that used the same job id, so the end of this
# job says nothing about it. The locks of this UPDATE: see `jobs.transaction`.
_SETTLE = text_with_unfinished("""
    UPDATE dead_letters
    SET state = CASE
            -- This job is no edited copy of the letter. The letter is its own, or is an older one
            -- whose scope it has replaced.
            WHEN edited_as IS DISTINCT FROM :job_id
                THEN CASE WHEN job_id = :job_id THEN 'resolved' ELSE 'superseded' END
            -- This job is the edited copy of the letter, and its rows are in the tables.
            WHEN :changed THEN 'resolved'
            -- The edited copy was rejected or superseded: the letter needs an operator again.
            WHEN replay_count >= :quarantine_after THEN 'quarantined'
            ELSE 'open' END,
        state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE
       -- 1. The letter that this job is an edited copy of. It may be `failed`, if a first try to
       --    process the copy was parked.
          (edited_as = :job_id AND state NOT IN ('resolved', 'superseded', 'discarded'))
       -- 2. Letters of the job itself: its message was replayed, or came a second time.
       OR (state IN :unfinished AND job_id = :job_id AND code <> 'job_id_conflict')
       -- 3. Older letters of the same provider type, whose whole scope this job has replaced. Not
       --    `claimed` or `sent` ones: their jobs are on their way, and settle them when they end.
       OR (:replaced AND state IN ('open', 'quarantined') AND job_id < :job_id
           AND provider_type = :provider_type AND data_entry_type_id = :type_id AND year = :year
           AND (:is_whole OR modules <@ CAST(:modules AS bigint[])))
""")

_SETTLE_REPEAT = text_with_unfinished("""
    UPDATE dead_letters
    SET state = 'resolved', state_at = now(), state_by = 'worker', state_reason = :reason
    WHERE job_id = :job_id AND code <> 'job_id_conflict' AND state IN :unfinished
""")


async def settle_letters(conn: AsyncConnection, job: Job, result: Result) -> None:
    """Close the letters that a job's end answers, in the job's own transaction.

    Its own letters become `resolved`, whatever the outcome. A letter that the job is an edited copy
    of becomes `resolved` if the job changed rows, else `open` or `quarantined` again. An older
    letter of the same provider type becomes `superseded` if the job has replaced its whole scope;
    an append settles no letter of another job.
    """
    changed = result.outcome.changes_rows
    await conn.execute(
        _SETTLE,
        {
            "job_id": job.job_id,
            "reason": _end_of_job(job.job_id, result.outcome),
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


async def settle_letters_of_repeat(conn: AsyncConnection, job_id: int, outcome: Outcome) -> None:
    """Close the letters of a job that had ended before; its message came again and was answered."""
    await conn.execute(_SETTLE_REPEAT, {"job_id": job_id, "reason": _end_of_job(job_id, outcome)})


def _end_of_job(job_id: int, outcome: Outcome) -> str:
    return f"job {job_id}: {outcome.value}"

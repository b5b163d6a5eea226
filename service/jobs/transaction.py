"""The one transaction of a job: everything that the job changes, it changes here and at once.

The steps of `apply_upload`, in their order:

1. lock the job's line in the ledger, so that a second delivery of the same job waits here;
2. insert the new rows with one COPY, while the file is still being read;
3. write the heads, which locks the scope and turns away a job that is older than the head;
4. delete the older rows of the scope;
5. count what is there now, by source;
6. close the line with the outcome and the completion event, and settle dead letters;
7. commit.

A job that may change nothing (rejected, superseded) is rolled back as a whole. Its end is then
written by a small transaction of its own, `end_without_change`.

Lock order: the job's line, the heads by module id, the member locks by module id. Every job takes
its locks in this order, so two jobs never wait for each other in a circle.

What a job changes (its scope, the counts, the result) is decided in `effect`. The transactions
begin and end here: no function that is called from here commits.
"""

from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service import crash
from service.contract.events import COMPLETED, UploadCompleted, completion_id, to_record
from service.db import dead_letters, entries, factors, ledger, scopes
from service.db.engine import autocommit
from service.db.ledger import LedgerLine
from service.domain.catalogue import entry_type
from service.domain.errors import MemberTaken
from service.domain.model import Job, Record, Result
from service.domain.provider_types import WriteMode
from service.files.store import FileStore
from service.jobs import effect
from service.jobs.prepare import save_rejects
from service.rows.upload import Upload


@dataclass(frozen=True, slots=True)
class EventRoute:
    """The topic of completion events, and the `source` that they name as their sender."""

    topic: str
    source: str


async def begin_job(engine: AsyncEngine, job: Job, event_route: EventRoute) -> LedgerLine:
    """Open the job's line in the ledger, or count one more attempt at it. Raises `JobIdConflict`.

    This is a transaction of its own, so that a rollback of the job never forgets an attempt. If
    the line has an event, the job ended before: publish this event as the answer, and do no more.
    """
    async with autocommit(engine).connect() as conn:
        line = await ledger.begin_attempt(conn, job, topic=event_route.topic, now=datetime.now(UTC))
        if line.outcome is not None:
            await dead_letters.settle_letters_of_repeat(conn, job.job_id, line.outcome)
        return line


async def apply_upload(
    engine: AsyncEngine, job: Job, upload: Upload, store: FileStore, event_route: EventRoute
) -> LedgerLine:
    """Write the upload's rows and end the job, or end it with the tables unchanged.

    Returns the job's final line, or the final line of another delivery that was faster. Raises
    `MemberTaken` if the upload must be prepared again, and whatever the database or the store
    raises. After an error, either nothing has changed, or the job has ended and only the answer
    to its COMMIT was lost; the ledger tells which.
    """
    async with engine.connect() as conn, conn.begin() as transaction:
        crash.point("after_begin")
        line = await ledger.lock_line(conn, job, topic=event_route.topic)
        if line.event is not None:
            return line
        crash.point("after_claim")

        result = await _write_upload(conn, job, upload, store)

        if result.outcome.changes_rows:
            line = await _close_line(conn, job, line, result, event_route)
            crash.point("before_commit")
        else:
            # Undoes the COPY, and the heads that were written before a newer one was met.
            await transaction.rollback()
    crash.point("after_commit")

    if result.outcome.changes_rows:
        return line
    return await end_without_change(engine, job, result, event_route)


async def end_without_change(
    engine: AsyncEngine, job: Job, result: Result, event_route: EventRoute
) -> LedgerLine:
    """End a job that changes no row of the tables, in a small transaction of its own.

    Returns the job's final line, or the final line of another delivery that was faster.
    """
    async with engine.begin() as conn:
        line = await ledger.lock_line(conn, job, topic=event_route.topic)
        if line.event is not None:
            return line
        return await _close_line(conn, job, line, result, event_route)


async def _write_upload(
    conn: AsyncConnection, job: Job, upload: Upload, store: FileStore
) -> Result:
    """Insert the new rows and replace the older ones; the result says whether to commit."""
    # The new rows go in before the scope is locked. The COPY lasts as long as reading the file
    # does, and other jobs on the same scope need not wait for that. Readers go on to see the
    # older rows until the commit, so nobody ever sees an empty scope.
    insert = factors.stage_factors if job.is_factors else entries.insert_entries
    async with aclosing(upload.lines()) as lines:
        written = await insert(conn, lines)
    upload.progress.stage = "replacing"

    result = effect.result_of_reading(upload, await save_rejects(job, upload, store))
    if not result.outcome.changes_rows:
        return result
    if written != result.rows_processed:
        raise RuntimeError(f"{written} rows were written of {result.rows_processed} good ones")

    if job.is_factors:
        return await _apply_factors(conn, job, upload, result)
    return await _apply_entries(conn, job, upload, result)


async def _apply_entries(conn: AsyncConnection, job: Job, upload: Upload, result: Result) -> Result:
    """Lock the scope, delete its older rows and count; an append deletes nothing."""
    type_id = job.data_entry_type_id
    modules = await effect.find_job_modules(conn, job, upload)

    if job.mode is WriteMode.REPLACE:
        # A statement of its own, never joined with the delete or the counts. A statement that has
        # waited for a lock still reads the snapshot from before the wait: joined, the delete would
        # not see the rows that the other job has just committed, and would leave them in place.
        newer = await scopes.take_scope_heads(
            conn, modules.in_scope, type_id, job.source, job_id=job.job_id, fence=job.fence
        )
        if newer is not None:
            return effect.superseded_result(result, newer)
        crash.point("after_lock")

    unique_column = entry_type(type_id).unique
    if unique_column is not None:
        await _check_members(conn, job, upload, unique_column)

    affected = await effect.find_affected_modules(conn, job, modules)
    deleted = 0
    if job.mode is WriteMode.REPLACE:
        deleted = await scopes.delete_by_source(
            conn, modules.to_empty, type_id, job.source, keep_job_id=job.job_id
        )
        crash.point("after_delete")

    counts = await effect.count_after_writing(
        conn, job, affected, deleted=deleted, inserted=result.rows_processed
    )
    return effect.changed_entries_result(result, job, affected, counts)


async def _check_members(
    conn: AsyncConnection, job: Job, upload: Upload, unique_column: str
) -> None:
    """Check once more, now under a lock, that no other job has stored the same unique id.

    The rows were checked before the transaction, and without a lock. The heads do not help here:
    they belong to one source each, and the id must be unique among the rows of all sources.
    Raises `MemberTaken`; the job is then prepared again, and its rows meet the id that is stored.
    """
    checker = effect.entry_checker(upload)
    await scopes.lock_members(conn, checker.receiving_modules, job.data_entry_type_id)

    held = await entries.held_ids(conn, job, checker.receiving_modules, unique_column)
    if any(value in held.get(module_id, ()) for module_id, value in checker.row_of_id):
        raise MemberTaken


async def _apply_factors(conn: AsyncConnection, job: Job, upload: Upload, result: Result) -> Result:
    """Lock the type and year, then make it hold the factors that the COPY has staged."""
    type_id, year = job.data_entry_type_id, job.year
    newer = await factors.take_factor_head(conn, type_id, year, job_id=job.job_id, fence=job.fence)
    if newer is not None:
        return effect.superseded_result(result, newer)

    kept = effect.identities_to_keep(upload)
    counts = await factors.replace_factors(conn, type_id, year, job_id=job.job_id, kept=kept)
    return replace(result, factors=counts)


async def _close_line(
    conn: AsyncConnection, job: Job, line: LedgerLine, result: Result, event_route: EventRoute
) -> LedgerLine:
    """Make the line final and settle the dead letters that this end answers; the final line."""
    now = datetime.now(UTC)
    event = _completion_event(job, line, result, event_route, now)
    letters_are_open = await ledger.close_line(conn, job, result, event, now=now)
    if letters_are_open:
        await dead_letters.settle_letters(conn, job, result)
    return replace(line, outcome=result.outcome, event=event)


def _completion_event(
    job: Job, line: LedgerLine, result: Result, event_route: EventRoute, now: datetime
) -> Record:
    body = UploadCompleted.of(
        job, result, attempts=line.attempts, started_at=line.first_started_at, finished_at=now
    )
    return to_record(
        body,
        topic=event_route.topic,
        event_type=COMPLETED,
        event_id=completion_id(job.job_id),
        at=now,
        source=event_route.source,
        key=job.key,
    )

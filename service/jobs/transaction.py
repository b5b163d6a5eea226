"""The one transaction of a job: everything that the job changes, it changes here and at once.

The steps of `apply_upload` for a job that **replaces** entries, in their order:

1. lock the job's line in the ledger, so that a second delivery of the same job waits here;
2. insert the new rows with one COPY, while the file is still being read;
3. write the reject file to the store, if a row is invalid;
4. find the modules of the scope, and write their heads: this locks the scope, and the job ends
   `superseded` if the head of any module is above its fence;
5. for a type with a unique id: lock the modules for the jobs of all sources, and check again that
   no other entry has an id of this upload (else the job is prepared again);
6. find the modules that lose rows, delete the older rows of the scope, and count what is there now,
   by source;
7. close the line with the outcome and the completion event, and settle dead letters;
8. commit.

A job that **appends** entries has no scope. It writes no head and deletes nothing: steps 1, 2, 3,
5, the counts of step 6, 7 and 8.

A job of **factors** has other steps between 1 and 7:

- copy the new factors to a temporary table, then write the reject file as in step 3;
- write the head of the type and year, which locks them; the job ends `superseded` if the head is
  above its fence;
- match the new factors with the old ones; delete, update and insert; count.

A job that may change nothing (rejected, superseded) is rolled back as a whole. Its end is then
written by a small transaction of its own, `end_without_change`.

Lock order: the job's line, the heads by module id, the member locks by module id, then the dead
letters that the job settles. Every job takes its locks in this order, so two jobs do not wait for
each other in a circle, with one rare exception: the dead letters have no order among themselves.
Two jobs that replaced the same scope never settle at the same time, because one of them waits for
the heads of the other. But a job without heads (rejected, superseded, or a repeat of a job that has
ended) settles its own letters while a newer job may settle the same ones as replaced. If these are
several letters, the two may lock them in different orders, and so may `dead-letters discard`.
PostgreSQL then ends one of the two with a deadlock error: a job is tried again (40P01 in
`failures`), and the command can be repeated.

What a job changes (its scope, the counts, the result) is decided in `effect`. The transactions
begin and end here: no function that is called from here commits.
"""

from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service import crash
from service.contract.events import COMPLETED, UploadCompleted, completion_id, to_record
from service.db import entries, factors, ledger, scopes, settlement
from service.db.engine import autocommit
from service.db.ledger import LedgerLine
from service.domain.catalogue import entry_type
from service.domain.errors import MemberTaken
from service.domain.model import Job, Record, Result
from service.domain.provider_types import WriteMode
from service.files.store import FileStore
from service.jobs import effect
from service.jobs.rejects import save_rejects
from service.rows.upload import Upload


@dataclass(frozen=True, slots=True)
class EventRoute:
    """The topic of completion events, and the `source` that they name as their sender."""

    topic: str
    source: str


async def begin_job(engine: AsyncEngine, job: Job, event_route: EventRoute) -> LedgerLine:
    """Open the job's line in the ledger, or count one more attempt at it. Raises `JobIdConflict`.

    This is not part of the job's transaction, so that a rollback never forgets an attempt. Each
    statement here commits by itself. If the line has an event, the job ended before: publish this
    event as the answer, and do no more.
    """
    async with autocommit(engine).connect() as conn:
        line = await ledger.begin_attempt(conn, job, topic=event_route.topic, now=datetime.now(UTC))
        if line.outcome is not None:
            await settlement.settle_letters_of_repeat(conn, job.job_id, line.outcome)
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
            # Undoes the COPY, and the heads that were written beside one that is above the fence.
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
    upload.is_written = True
    upload.progress.stage = "replacing"

    # Inside the transaction: only now are all bad rows known, and the event, which this transaction
    # stores, has the URL of the file. Before the heads: no other job waits for the store.
    reject_file = await save_rejects(job, upload, store)

    result = effect.result_of_reading(upload, reject_file)
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
        # Before the delete and the counts, in a statement of its own: `service.db` explains lock
        # waits.
        head_above_fence = await scopes.take_scope_heads(
            conn, modules.in_scope, type_id, job.source, job_id=job.job_id, fence=job.fence
        )
        if head_above_fence is not None:
            return effect.superseded_result(result, head_above_fence)
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
    head_above_fence = await factors.take_factor_head(
        conn, type_id, year, job_id=job.job_id, fence=job.fence
    )
    if head_above_fence is not None:
        return effect.superseded_result(result, head_above_fence)

    kept = effect.identities_to_keep(upload)
    counts = await factors.replace_factors(conn, type_id, year, job_id=job.job_id, kept=kept)
    return replace(result, factors=counts)


async def _close_line(
    conn: AsyncConnection, job: Job, line: LedgerLine, result: Result, event_route: EventRoute
) -> LedgerLine:
    """Make the line final and settle the dead letters that this end answers.

    Returns the final line.
    """
    now = datetime.now(UTC)
    event = _completion_event(job, line, result, event_route, now)
    some_are_unfinished = await ledger.close_line(conn, job, result, event, now=now)
    if some_are_unfinished:
        await settlement.settle_letters(conn, job, result)
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

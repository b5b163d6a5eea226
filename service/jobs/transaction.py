"""The one transaction that is a job's whole effect.

claim · insert the new rows · take the heads · delete the older rows · count · close · commit.
The new rows go in first, so readers never see a gap and the scope is locked for the delete alone. A job that
may change nothing is rolled back whole, and its end is a small transaction of its own. This module owns the
transactions: nothing that it calls commits.
"""

from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service import crash
from service.contract.events import COMPLETED, UploadCompleted, completion_id, to_record
from service.db import dead_letters, entries, factors, ledger, modules, scopes
from service.db.engine import autocommit
from service.db.ledger import LedgerLine
from service.domain.catalogue import EntryType, entry_type
from service.domain.errors import MemberTaken
from service.domain.model import Job, Outcome, Record, ReplaceScope, Result, SourceCounts
from service.domain.provider_types import WriteMode
from service.files.store import FileStore
from service.jobs.prepare import save_rejects
from service.rows.checker import EntryChecker
from service.rows.upload import Tally, Upload


@dataclass(frozen=True, slots=True)
class EventRoute:
    """Where completion events go, and who they say they come from."""

    topic: str
    source: str


async def begin_job(engine: AsyncEngine, job: Job, outbox: EventRoute) -> LedgerLine:
    """Count an attempt at the job, in a transaction of its own so that a rollback forgets none.

    A line with an event is final: the job ended before, and this event answers it. Raises `JobIdConflict`.
    """
    async with autocommit(engine).connect() as conn:
        line = await ledger.begin_attempt(conn, job, topic=outbox.topic, now=datetime.now(UTC))
        if line.outcome is not None:
            await dead_letters.settle_letters_of_repeat(conn, job.job_id, line.outcome)
        return line


async def apply_upload(
    engine: AsyncEngine, job: Job, upload: Upload, store: FileStore, outbox: EventRoute
) -> LedgerLine:
    """Write the upload's rows and end the job, or end it with the tables unchanged; its final line.

    Raises `MemberTaken` where the upload must be prepared again, and whatever the database raises; then
    nothing has happened.
    """
    async with engine.connect() as conn, conn.begin() as transaction:
        crash.point("after_begin")
        line = await ledger.lock_line(conn, job, topic=outbox.topic)
        if line.event is not None:
            return line
        crash.point("after_claim")
        result = await _effect(conn, job, upload, store)
        if result.outcome.changes_rows:
            line = await _close(conn, job, line, result, outbox)
            crash.point("before_commit")
        else:
            await transaction.rollback()
    crash.point("after_commit")
    return (
        line
        if result.outcome.changes_rows
        else await end_without_change(engine, job, result, outbox)
    )


async def end_without_change(
    engine: AsyncEngine, job: Job, result: Result, outbox: EventRoute
) -> LedgerLine:
    """End a job that changes no row; its final line, or that of a delivery that was faster."""
    async with engine.begin() as conn:
        line = await ledger.lock_line(conn, job, topic=outbox.topic)
        return line if line.event is not None else await _close(conn, job, line, result, outbox)


async def _close(
    conn: AsyncConnection, job: Job, line: LedgerLine, result: Result, outbox: EventRoute
) -> LedgerLine:
    now = datetime.now(UTC)
    event = completion_event(job, line, result, outbox, now)
    if await ledger.close_line(conn, job, result, event, now=now):
        await dead_letters.settle_letters(conn, job, result)
    return replace(line, outcome=result.outcome, event=event)


def completion_event(
    job: Job, line: LedgerLine, result: Result, outbox: EventRoute, now: datetime
) -> Record:
    """The record that tells everyone how the job ended."""
    body = UploadCompleted.of(
        job, result, attempts=line.attempts, started_at=line.first_started_at, finished_at=now
    )
    return to_record(
        body,
        topic=outbox.topic,
        event_type=COMPLETED,
        event_id=completion_id(job.job_id),
        at=now,
        source=outbox.source,
        key=job.key,
    )


async def _effect(conn: AsyncConnection, job: Job, upload: Upload, store: FileStore) -> Result:
    write = factors.stage_factors if job.is_factors else entries.insert_entries
    async with aclosing(upload.lines()) as lines:
        written = await write(conn, lines)
    upload.progress.stage = "replacing"
    found = await _found(job, upload, store)
    if upload.reason is not None:
        return replace(found, outcome=Outcome.REJECTED, reason=upload.reason)
    if written != upload.tally.processed:
        raise RuntimeError(f"{written} rows were written of {upload.tally.processed} good ones")
    return await (_settle_factors if job.is_factors else _settle_entries)(conn, job, upload, found)


async def _found(job: Job, upload: Upload, store: FileStore) -> Result:
    """What reading the upload has shown, whatever becomes of it."""
    tally = upload.tally
    return Result(
        Outcome.SUPERSEDED,
        rows_total=tally.total,
        rows_skipped=tally.skipped,
        row_errors=tuple(tally.errors),
        reject_file=await save_rejects(job, upload, store),
    )


async def _settle_entries(conn: AsyncConnection, job: Job, upload: Upload, found: Result) -> Result:
    kind, type_id = entry_type(job.data_entry_type_id), job.data_entry_type_id
    checker, inserted = upload.checker, upload.tally.processed
    if not isinstance(checker, EntryChecker):
        raise TypeError("entries are checked by an EntryChecker")
    affected, deleted = checker.affected, 0
    if job.mode is WriteMode.REPLACE:
        scope = await modules_in_scope(conn, job, kind, checker)
        newer = await scopes.take_scope_heads(
            conn, scope, type_id, job.source, job_id=job.job_id, fence=job.fence
        )
        if newer is not None:
            return replace(found, superseded_by=newer)
        crash.point("after_lock")
    if kind.unique is not None:
        await _check_members(conn, job, kind.unique, checker)
    if job.mode is WriteMode.REPLACE:
        emptied = modules_to_empty(scope, upload.tally, checker)
        if others := emptied - affected:
            affected = affected | await scopes.modules_holding(conn, others, type_id, job.source)
        deleted = await scopes.delete_by_source(
            conn, emptied, type_id, job.source, keep_job_id=job.job_id
        )
        crash.point("after_delete")
    return replace(
        found,
        outcome=outcome_of(upload),
        rows_processed=inserted,
        sources=source_lines(
            job, await _counts(conn, job, affected, inserted), deleted=deleted, inserted=inserted
        ),
        affected_modules=tuple(sorted(affected)),
    )


async def _counts(
    conn: AsyncConnection, job: Job, modules: Collection[int], inserted: int
) -> Mapping[int | None, int]:
    """The rows that each source now has in these modules. A replace leaves its own source what it inserted."""
    type_id = job.data_entry_type_id
    if job.mode is WriteMode.APPEND:
        return await scopes.count_by_source(conn, modules, type_id)
    others = await scopes.count_other_sources(conn, modules, type_id, job.source)
    return {job.source.value: inserted, **others}


async def modules_in_scope(
    conn: AsyncConnection, job: Job, kind: EntryType, checker: EntryChecker
) -> set[int]:
    """The modules in which a replace job replaces: those with a valid row, or all of the year."""
    if job.replace_scope is ReplaceScope.YEAR:
        return checker.affected | await modules.calculator_modules(
            conn, job.year, kind.module_type_id
        )
    return checker.affected


def modules_to_empty(scope: set[int], tally: Tally, checker: EntryChecker) -> set[int]:
    """Those of the scope whose older rows go: a unit that only bad rows name has not said that it has none."""
    return scope - (tally.modules_of_bad_rows - checker.affected)


async def _check_members(conn: AsyncConnection, job: Job, key: str, checker: EntryChecker) -> None:
    """Make sure, under a lock that the jobs of all sources share, that no id got in twice meanwhile."""
    await scopes.lock_members(conn, checker.affected, job.data_entry_type_id)
    held = await entries.held_ids(conn, job, checker.affected, key)
    if any(value in held.get(module_id, ()) for module_id, value in checker.taken):
        raise MemberTaken


async def _settle_factors(conn: AsyncConnection, job: Job, upload: Upload, found: Result) -> Result:
    newer = await factors.take_factor_head(
        conn, job.data_entry_type_id, job.year, job_id=job.job_id, fence=job.fence
    )
    if newer is not None:
        return replace(found, superseded_by=newer)
    counts = await factors.replace_factors(
        conn,
        job.data_entry_type_id,
        job.year,
        job_id=job.job_id,
        kept=identities_to_keep(upload),
    )
    return replace(
        found, outcome=outcome_of(upload), rows_processed=upload.tally.processed, factors=counts
    )


def identities_to_keep(upload: Upload) -> set[str]:
    """The identities whose older factors stay: those that only bad rows name."""
    return upload.tally.identities_of_bad_rows.difference(upload.checker.taken)


def outcome_of(upload: Upload) -> Outcome:
    """How a job ends that changes rows."""
    return Outcome.PARTIAL if upload.tally.skipped else Outcome.SUCCEEDED


def source_lines(
    job: Job, counts: Mapping[int | None, int], *, deleted: int, inserted: int
) -> tuple[SourceCounts, ...]:
    """A line for every source present: the job's own first, unknown origin last."""
    own = job.source.value
    others = sorted(
        (source for source in counts if source != own), key=lambda source: (source is None, source)
    )
    return (
        SourceCounts(own, deleted, inserted, counts[own]),
        *(SourceCounts(source, 0, 0, counts[source]) for source in others),
    )

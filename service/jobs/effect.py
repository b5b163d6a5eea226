"""What a job changes: its scope, the modules to empty, the counts and the result.

Each of these rules stands here once. `transaction` asks for them while it writes, and `preview`
asks for them without writing, so that a preview says what the job then does. The functions here
read at most: they take no lock, write no row and end no transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from service.db import modules, scopes
from service.domain.catalogue import entry_type
from service.domain.errors import Refusal
from service.domain.model import (
    Job,
    Outcome,
    Reason,
    ReplaceScope,
    Result,
    SourceCounts,
)
from service.domain.provider_types import WriteMode
from service.rows.checker import EntryChecker, FactorChecker
from service.rows.upload import Upload

# The result, as far as the upload itself decides it


def refused_result(refusal: Refusal) -> Result:
    """The result of a job that is refused before its first row is read: rejected, with a reason."""
    reason = Reason.of(refusal.code, refusal.case, **refusal.values)
    return Result(Outcome.REJECTED, reason=reason)


def result_of_reading(upload: Upload, reject_file: str | None) -> Result:
    """The result of an upload whose rows have all been read, before the tables are looked at.

    The outcome is `rejected` if the whole upload is refused, `partial` if rows were skipped, else
    `succeeded`. `reject_file` is the URL of the reject file, None if every row is valid.
    """
    tally, reason = upload.tally, upload.reason
    if reason is not None:
        outcome, processed = Outcome.REJECTED, 0
    elif tally.skipped:
        outcome, processed = Outcome.PARTIAL, tally.processed
    else:
        outcome, processed = Outcome.SUCCEEDED, tally.processed

    return Result(
        outcome,
        rows_total=tally.total,
        rows_processed=processed,
        rows_skipped=tally.skipped,
        row_errors=tuple(tally.errors),
        reason=reason,
        reject_file=reject_file,
        ignored_columns=upload.checker.ignored_columns,
    )


def superseded_result(result: Result, head_above_fence: int) -> Result:
    """The result of a job that changes nothing because the head of a scope is above its fence.

    `head_above_fence` is the job id of that head.
    """
    return replace(
        result, outcome=Outcome.SUPERSEDED, rows_processed=0, superseded_by=head_above_fence
    )


# Entries


@dataclass(frozen=True, slots=True)
class JobModules:
    """The modules that a job over entries touches.

    `receiving` have at least one valid row in the upload. `in_scope` are those in which a replace
    job becomes the head. `to_empty` are those whose older rows, of the job's type and source, are
    deleted. An append has no scope: its last two sets are empty.
    """

    receiving: set[int]
    in_scope: set[int]
    to_empty: set[int]


class EntryCounts(NamedTuple):
    """Rows of the job's type in the affected modules.

    `deleted` counts rows of the job's own source. `remaining` counts the rows after the job by
    their source; the key None is unknown origin.
    """

    deleted: int
    remaining: Mapping[int | None, int]


def entry_checker(upload: Upload) -> EntryChecker:
    """The checker of an upload of entries. Raises `TypeError` for an upload of factors."""
    if not isinstance(upload.checker, EntryChecker):
        raise TypeError("entries are checked by an EntryChecker")
    return upload.checker


async def find_job_modules(conn: AsyncConnection, job: Job, upload: Upload) -> JobModules:
    """Decide which modules the job touches; one query if it replaces the whole year, else none."""
    receiving = entry_checker(upload).receiving_modules
    if job.mode is WriteMode.APPEND:
        return JobModules(receiving, set(), set())

    in_scope = receiving
    if job.replace_scope is ReplaceScope.YEAR:
        module_type_id = entry_type(job.data_entry_type_id).module_type_id
        in_scope = receiving | await modules.calculator_modules(conn, job.year, module_type_id)

    # If only invalid rows name a unit, the upload does not say that the unit has no rows.
    # Its older rows stay.
    invalid_alone = upload.tally.modules_of_bad_rows - receiving
    return JobModules(receiving, in_scope, in_scope - invalid_alone)


async def find_affected_modules(
    conn: AsyncConnection, job: Job, job_modules: JobModules
) -> set[int]:
    """The modules whose rows change: those that receive rows, and those that lose older ones.

    Must run before the delete, since it looks for the rows that the delete takes.
    """
    only_emptied = job_modules.to_empty - job_modules.receiving
    if not only_emptied:
        return job_modules.receiving
    losing = await scopes.modules_holding(conn, only_emptied, job.data_entry_type_id, job.source)
    return job_modules.receiving | losing


async def count_before_writing(
    conn: AsyncConnection, job: Job, affected: set[int], *, inserted: int
) -> EntryCounts:
    """Compute the counts from the rows that are there now, before the job has written anything."""
    own = job.source.value
    now = await scopes.count_by_source(conn, affected, job.data_entry_type_id)
    deleted = now.get(own, 0) if job.mode is WriteMode.REPLACE else 0
    return EntryCounts(deleted, {**now, own: now.get(own, 0) - deleted + inserted})


async def count_after_writing(
    conn: AsyncConnection, job: Job, affected: set[int], *, deleted: int, inserted: int
) -> EntryCounts:
    """Count the rows inside the job's transaction, after its insert and its delete.

    Of its own source, a replace leaves exactly the rows that it inserted. These are not counted
    again, because a count would visit every one of them.
    """
    type_id = job.data_entry_type_id
    if job.mode is WriteMode.APPEND:
        return EntryCounts(deleted, await scopes.count_by_source(conn, affected, type_id))
    others = await scopes.count_other_sources(conn, affected, type_id, job.source)
    return EntryCounts(deleted, {job.source.value: inserted, **others})


def changed_entries_result(
    result: Result, job: Job, affected: set[int], counts: EntryCounts
) -> Result:
    """The result of a job that changes entries: a line for each source, and the modules."""
    return replace(
        result,
        sources=_source_lines(job, counts, inserted=result.rows_processed),
        affected_modules=tuple(sorted(affected)),
    )


def _source_lines(job: Job, counts: EntryCounts, *, inserted: int) -> tuple[SourceCounts, ...]:
    """A line for the job's own source, then one for each other source; unknown origin last."""
    own, remaining = job.source.value, counts.remaining
    others = sorted(
        (source for source in remaining if source != own),
        key=lambda source: (source is None, source),
    )
    return (
        SourceCounts(own, counts.deleted, inserted, remaining[own]),
        *(SourceCounts(source, 0, 0, remaining[source]) for source in others),
    )


# Factors


def factor_checker(upload: Upload) -> FactorChecker:
    """The checker of an upload of factors. Raises `TypeError` for an upload of entries."""
    if not isinstance(upload.checker, FactorChecker):
        raise TypeError("factors are checked by a FactorChecker")
    return upload.checker


def identities_to_keep(upload: Upload) -> set[str]:
    """The identities (JSON) whose older factors stay: those that only invalid rows name."""
    return upload.tally.identities_of_bad_rows.difference(factor_checker(upload).row_of_identity)

"""What a job would do, found out with the worker's own code and without writing anything."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.db.preview import compare_factors
from service.db.scopes import count_by_source, modules_holding
from service.domain.catalogue import entry_type
from service.domain.errors import Refusal
from service.domain.model import Job, Outcome, Reason, Result
from service.domain.provider_types import WriteMode
from service.files.local_file import URL, claim_check_of, local_store
from service.jobs.prepare import PrepareDependencies, prepare_upload
from service.jobs.request import UploadRequest
from service.jobs.transaction import (
    identities_to_keep,
    modules_in_scope,
    modules_to_empty,
    outcome_of,
    source_lines,
)
from service.rows.checker import EntryChecker, FactorChecker
from service.rows.reject_file import RejectFile
from service.rows.upload import Progress, Upload
from service.settings import LimitSettings

PREVIEW_JOB_ID = 2**31 - 1
"""An id that every database can hold and no row carries."""

KeepRejects = Callable[[RejectFile], str | None]
"""Keeps the reject file where that is wanted; where it is now."""


async def preview(
    request: UploadRequest, engine: AsyncEngine, limits: LimitSettings, keep: KeepRejects
) -> tuple[Job, Result]:
    """The job that the request asks for, and how it would end if it were submitted now.

    Nothing is written; the engine may be a read-only one. Raises `Poison` where the job would be parked,
    `BadRequest`, and what the database raises.
    """
    job = request.job(request.message(PREVIEW_JOB_ID, await _content(request)))
    try:
        return job, await _preview(
            job, PrepareDependencies(engine, local_store(request.path), limits), keep
        )
    except Refusal as refusal:
        return job, Result(
            Outcome.REJECTED, reason=Reason.of(refusal.code, refusal.case, **refusal.values)
        )


async def _content(request: UploadRequest) -> dict[str, Any]:
    return (
        request.rows()
        if request.has_rows
        else {"file": await asyncio.to_thread(claim_check_of, request.path, URL)}
    )


async def _preview(job: Job, dependencies: PrepareDependencies, keep: KeepRejects) -> Result:
    async with prepare_upload(job, dependencies, Progress()) as upload:
        async with aclosing(upload.lines()) as lines:
            async for _ in lines:
                pass
        found = _found(upload, keep)
        if upload.reason is not None:
            return found
        async with dependencies.engine.connect() as conn:
            return await (_factors if job.is_factors else _entries)(conn, job, upload, found)


def _found(upload: Upload, keep: KeepRejects) -> Result:
    """What the file alone shows: a rejected job, until it is known what the others would change."""
    tally = upload.tally
    return Result(
        Outcome.REJECTED,
        reason=upload.reason,
        rows_total=tally.total,
        rows_skipped=tally.skipped,
        row_errors=tuple(tally.errors),
        reject_file=keep(upload.rejects),
    )


async def _entries(conn: AsyncConnection, job: Job, upload: Upload, found: Result) -> Result:
    type_id, inserted, own = job.data_entry_type_id, upload.tally.processed, job.source.value
    checker = upload.checker
    if not isinstance(checker, EntryChecker):
        raise TypeError("entries are checked by an EntryChecker")
    affected = set(checker.affected)
    if job.mode is WriteMode.REPLACE:
        scope = await modules_in_scope(conn, job, entry_type(type_id), checker)
        affected |= await modules_holding(
            conn, modules_to_empty(scope, upload.tally, checker), type_id, job.source
        )
    now = await count_by_source(conn, affected, type_id)
    deleted = now.get(own, 0) if job.mode is WriteMode.REPLACE else 0
    then = {**now, own: now.get(own, 0) - deleted + inserted}
    return replace(
        found,
        outcome=outcome_of(upload),
        rows_processed=inserted,
        sources=source_lines(job, then, deleted=deleted, inserted=inserted),
        affected_modules=tuple(sorted(affected)),
    )


async def _factors(conn: AsyncConnection, job: Job, upload: Upload, found: Result) -> Result:
    checker = upload.checker
    if not isinstance(checker, FactorChecker):
        raise TypeError("factors are checked by a FactorChecker")
    counts = await compare_factors(
        conn,
        job.data_entry_type_id,
        job.year,
        incoming=checker.taken.keys(),
        kept=identities_to_keep(upload),
    )
    return replace(
        found, outcome=outcome_of(upload), rows_processed=upload.tally.processed, factors=counts
    )

"""What a job would do, found out with the worker's own code and without writing anything."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.apply import emptied_of, kept_of, scope_of, source_lines, success
from service.catalogue import entry_type
from service.cli.local_file import URL, claim, local_store
from service.cli.request import Request
from service.db.engine import create_engine
from service.db.preview import compare_factors
from service.db.scopes import count_by_source, modules_holding
from service.domain import Job, Outcome, Reason, Result, WriteMode
from service.errors import Refusal
from service.prepare.check import EntryChecker, FactorChecker
from service.prepare.prepare import Workshop, prepare
from service.prepare.rejects import Rejects
from service.prepare.upload import Progress, Upload
from service.settings import CheckSettings, DatabaseSettings

PREVIEW_JOB_ID = 2**31 - 1
"""An id that every database can hold and no row carries."""

KeepRejects = Callable[[Rejects], str | None]
"""Keeps the reject file where that is wanted; where it is now."""


async def preview(request: Request, settings: CheckSettings, keep: KeepRejects) -> tuple[Job, Result]:
    """The job that the request asks for, and how it would end if it were submitted now.

    Every transaction is a read-only one. Raises `Poison` where the job would be parked,
    `typer.BadParameter`, and what the database raises.
    """
    job = request.job(request.message(PREVIEW_JOB_ID, await _content(request)))
    engine = reading_engine(settings.database)
    try:
        return job, await _preview(job, Workshop(engine, local_store(request.path), settings.limits), keep)
    except Refusal as refusal:
        return job, Result(Outcome.REJECTED, reason=Reason(refusal.code, refusal.message))
    finally:
        await engine.dispose()


def reading_engine(database: DatabaseSettings) -> AsyncEngine:
    """An engine all of whose transactions are read-only."""
    url, timeout = database.url.get_secret_value(), database.connect_timeout
    return create_engine(url, pool_size=2, connect_timeout=timeout, read_only=True)


async def _content(request: Request) -> dict[str, Any]:
    return request.rows() if request.has_rows else {"file": await asyncio.to_thread(claim, request.path, URL)}


async def _preview(job: Job, workshop: Workshop, keep: KeepRejects) -> Result:
    async with prepare(job, workshop, Progress()) as upload:
        async with aclosing(upload.lines()) as lines:
            async for _ in lines:
                pass
        found = _found(upload, keep)
        if upload.reason is not None:
            return found
        async with workshop.engine.connect() as conn:
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
        scope = await scope_of(conn, job, entry_type(type_id), checker)
        affected |= await modules_holding(conn, emptied_of(scope, upload.tally, checker), type_id, job.source)
    now = await count_by_source(conn, affected, type_id)
    deleted = now.get(own, 0) if job.mode is WriteMode.REPLACE else 0
    then = {**now, own: now.get(own, 0) - deleted + inserted}
    return replace(
        found,
        outcome=success(upload),
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
        kept=kept_of(upload),
    )
    return replace(found, outcome=success(upload), rows_processed=upload.tally.processed, factors=counts)

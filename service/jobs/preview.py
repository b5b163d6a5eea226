"""What a job would do if it were submitted now. Nothing is written to find out.

The upload is fetched, checked and read with the worker's own code, and `effect` decides what it
would change. Only the order differs from `transaction`: the counts come from the rows that are
there now, since no row is inserted or deleted.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.db import factors
from service.domain.errors import Refusal
from service.domain.model import Job, Result
from service.files.local_file import LOCAL_FILE_URL, claim_check_of, local_store
from service.jobs import effect
from service.jobs.prepare import PrepareDependencies, prepare_upload
from service.jobs.request import UploadRequest
from service.rows.reject_file import RejectFile
from service.rows.upload import Progress, Upload
from service.settings import LimitSettings

PREVIEW_JOB_ID = 2**31 - 1
"""A job id that every database can hold and that no row has."""

KeepRejects = Callable[[RejectFile], str | None]
"""Copies the reject file to where the user wants it. Returns its new path, or None if not kept."""


async def preview(
    request: UploadRequest, engine: AsyncEngine, limits: LimitSettings, keep: KeepRejects
) -> tuple[Job, Result]:
    """Return the job that the request asks for, and how it would end if it were submitted now.

    Nothing is written, so `engine` may be one whose transactions are read-only. Heads are not
    looked at: a preview never ends `superseded`. Raises `Poison` if the job would be parked,
    `BadRequest`, and what the database raises.
    """
    job = request.job(request.message(PREVIEW_JOB_ID, await _read_content(request)))
    dependencies = PrepareDependencies(engine, local_store(request.path), limits)
    try:
        return job, await _preview_job(job, dependencies, keep)
    except Refusal as refusal:
        return job, effect.refused_result(refusal)


async def _read_content(request: UploadRequest) -> dict[str, Any]:
    if request.has_rows:
        return request.rows()
    return {"file": await asyncio.to_thread(claim_check_of, request.path, LOCAL_FILE_URL)}


async def _preview_job(job: Job, dependencies: PrepareDependencies, keep: KeepRejects) -> Result:
    async with prepare_upload(job, dependencies, Progress()) as upload:
        # Reading to the end is what fills the tally; the lines themselves are for a COPY.
        async with aclosing(upload.lines()) as lines:
            async for _ in lines:
                pass

        result = effect.result_of_reading(upload, keep(upload.rejects))
        if not result.outcome.changes_rows:
            return result
        async with dependencies.engine.connect() as conn:
            if job.is_factors:
                return await _preview_factors(conn, job, upload, result)
            return await _preview_entries(conn, job, upload, result)


async def _preview_entries(
    conn: AsyncConnection, job: Job, upload: Upload, result: Result
) -> Result:
    modules = await effect.find_job_modules(conn, job, upload)
    affected = await effect.find_affected_modules(conn, job, modules)
    counts = await effect.count_before_writing(conn, job, affected, inserted=result.rows_processed)
    return effect.changed_entries_result(result, job, affected, counts)


async def _preview_factors(
    conn: AsyncConnection, job: Job, upload: Upload, result: Result
) -> Result:
    counts = await factors.compare_factors(
        conn,
        job.data_entry_type_id,
        job.year,
        incoming=effect.factor_checker(upload).row_of_identity.keys(),
        kept=effect.identities_to_keep(upload),
    )
    return replace(result, factors=counts)

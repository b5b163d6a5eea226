"""From a request to a job in Kafka: its id, its file in the store, its message."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.job_ids import draw_job_id
from service.domain.errors import UrlRefused
from service.domain.model import Job, Record
from service.files.local_file import claim_check_of
from service.files.store import FileStore
from service.jobs.outbox import Publish
from service.jobs.request import UploadRequest

_UNWANTED_IN_URLS = re.compile(r"[\x00-\x1f\x7f\\]")
_LONGEST_NAME = 60
"""Characters of a stored file's name; its end is kept, which says how the file is compressed."""


async def submit_upload(
    request: UploadRequest,
    engine: AsyncEngine,
    store: FileStore,
    publish: Publish,
    *,
    topic: str,
    job_id: int | None = None,
) -> Job:
    """Store the request's file where that is needed and publish its message; the job, as a worker will read it.

    Without a `job_id`, a fresh one is drawn from the database. Raises `BadRequest`, and what the
    database, the store and the broker raise.
    """
    if job_id is None:
        async with engine.begin() as conn:
            job_id = await draw_job_id(conn)
    value = request.message(job_id, await _content(request, store, job_id))
    job = request.job(value)
    await publish(Record(topic, job.key.encode(), value))
    return job


async def _content(request: UploadRequest, store: FileStore, job_id: int) -> dict[str, Any]:
    """The rows themselves, or the claim check of the file, which then lies in the store."""
    if request.has_rows:
        return request.rows()
    stored = _url_in(store, request.path)
    url = stored or store.url_under_root(f"submitted/{job_id}/{_plain_name(request.path)}")
    claimed = await asyncio.to_thread(claim_check_of, request.path, url)
    if stored is None:
        await store.write(url, request.path)
    return {"file": claimed}


def _url_in(store: FileStore, path: Path) -> str | None:
    """The file's URL where it lies below the storage root."""
    try:
        return store.resolve(Path(os.path.abspath(path)).as_uri()).url  # noqa: PTH100 - links are the store's to judge
    except UrlRefused:
        return None


def _plain_name(path: Path) -> str:
    """The file's name without what no URL of the store may have."""
    readable = os.fsencode(path.name).decode("utf-8", "replace")
    return _UNWANTED_IN_URLS.sub("_", readable)[-_LONGEST_NAME:]

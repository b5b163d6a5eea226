"""From a request to a job in Kafka: its id, its file in the store, its message."""

import asyncio
import os
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.job_ids import draw_job_id
from service.domain.errors import UrlRefused
from service.domain.model import Job, Record
from service.files.local_file import claim_check_of
from service.files.store import FileStore
from service.files.urls import FORBIDDEN_CHARACTERS
from service.jobs.outbox import Publish
from service.jobs.request import UploadRequest

_MAX_NAME_LENGTH = 60
"""Characters of a stored file's name. A longer name loses its beginning, never its suffix."""


async def submit_upload(
    request: UploadRequest,
    engine: AsyncEngine,
    store: FileStore,
    publish: Publish,
    *,
    topic: str,
    job_id: int | None = None,
) -> Job:
    """Copy the request's file to the store if it is not there yet, and publish the job's message.

    Returns the job as a worker will read it. Without a `job_id`, a new one is drawn from the
    database. Raises `BadRequest`, and what the database, the store and the broker raise.
    """
    if job_id is None:
        async with engine.begin() as conn:
            job_id = await draw_job_id(conn)

    content = await _store_content(request, store, job_id)
    value = request.message(job_id, content)
    job = request.job(value)
    await publish(Record(topic, job.key.encode(), value))
    return job


async def _store_content(request: UploadRequest, store: FileStore, job_id: int) -> dict[str, Any]:
    """The rows themselves, or the claim check of the file, which is then in the store."""
    if request.has_rows:
        return request.rows()

    stored_url = _url_if_stored(store, request.path)
    if stored_url is not None:
        return {"file": await asyncio.to_thread(claim_check_of, request.path, stored_url)}

    url = store.url_under_root(f"submitted/{job_id}/{_name_for_url(request.path)}")
    claim_check = await asyncio.to_thread(claim_check_of, request.path, url)
    await store.write(url, request.path)
    return {"file": claim_check}


def _url_if_stored(store: FileStore, path: Path) -> str | None:
    """The URL of a file that already lies below the storage root; None for any other file."""
    # Path.resolve() would follow symbolic links; whether one may be followed, the store decides.
    absolute = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() leaves `..` in
    try:
        return store.resolve(Path(absolute).as_uri()).url
    except UrlRefused:
        return None


def _name_for_url(path: Path) -> str:
    """The file's name with `_` for each character that a URL of the store must not have."""
    readable = os.fsencode(path.name).decode("utf-8", "replace")
    return FORBIDDEN_CHARACTERS.sub("_", readable)[-_MAX_NAME_LENGTH:]

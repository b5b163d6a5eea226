"""From a request to a job in Kafka: its id, its file in the store, its message."""

import asyncio
import os
import re
from pathlib import Path
from typing import Any

from service.broker import Producer
from service.cli.local_file import claim
from service.cli.request import Request
from service.db.engine import create_engine
from service.db.job_ids import draw_job_id
from service.domain import Job, Record
from service.errors import UrlRefused
from service.prepare.store import Store
from service.settings import DatabaseSettings, KafkaSettings, Settings

_UNWANTED_IN_URLS = re.compile(r"[\x00-\x1f\x7f\\]")
_LONGEST_NAME = 60
"""Characters of a stored file's name; its end is kept, which says how the file is compressed."""


async def send(request: Request, settings: Settings, topic: str, *, job_id: int | None) -> Job:
    """Store the request's file where that is needed and publish its message; the job, as a worker will read it.

    Without a `job_id`, a fresh one is drawn from the database. Raises `typer.BadParameter`, and what the
    database, the store and the broker raise.
    """
    job_id = job_id or await _fresh_job_id(settings.database)
    value = request.message(job_id, await _content(request, Store.of(settings.storage), job_id))
    job = request.job(value)
    await _publish(settings.kafka, Record(topic, job.key.encode(), value))
    return job


async def _fresh_job_id(database: DatabaseSettings) -> int:
    engine = create_engine(
        database.url.get_secret_value(), pool_size=1, connect_timeout=database.connect_timeout, statement_timeout=60
    )
    try:
        async with engine.begin() as conn:
            return await draw_job_id(conn)
    finally:
        await engine.dispose()


async def _content(request: Request, store: Store, job_id: int) -> dict[str, Any]:
    """The rows themselves, or the claim check of the file, which then lies in the store."""
    if request.has_rows:
        return request.rows()
    stored = _url_in(store, request.path)
    url = stored or store.under_root(f"submitted/{job_id}/{_plain_name(request.path)}")
    claimed = await asyncio.to_thread(claim, request.path, url)
    if stored is None:
        await store.write(url, request.path)
    return {"file": claimed}


def _url_in(store: Store, path: Path) -> str | None:
    """The file's URL where it lies below the storage root."""
    try:
        return store.resolve(Path(os.path.abspath(path)).as_uri()).url  # noqa: PTH100 - links are the store's to judge
    except UrlRefused:
        return None


def _plain_name(path: Path) -> str:
    """The file's name without what no URL of the store may have."""
    readable = os.fsencode(path.name).decode("utf-8", "replace")
    return _UNWANTED_IN_URLS.sub("_", readable)[-_LONGEST_NAME:]


async def _publish(kafka: KafkaSettings, record: Record) -> None:
    producer = Producer(kafka)
    await producer.start()
    try:
        await producer.publish(record)
    finally:
        await producer.stop()

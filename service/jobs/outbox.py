"""From the ledger to `uploads.completed`: publish the stored event, then remember that it is out."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.db import ledger
from service.db.engine import autocommit
from service.db.ledger import LedgerLine
from service.domain.model import Position, Record

Publish = Callable[[Record], Awaitable[Position]]
"""Sends one record; where it lies, once the broker has acknowledged it. Raises `BrokerAway`."""

SWEEP_LIMIT = 100


async def announce_job(publish: Publish, line: LedgerLine) -> None:
    """Publish the event of a final line; a repeat sends the same bytes again."""
    if line.event is None:
        raise ValueError(f"job {line.job_id} has not ended")
    await publish(line.event)
    crash.point("after_ack")


async def mark_announced(engine: AsyncEngine, line: LedgerLine) -> None:
    """Remember that the event of a line is out, or the sweeper sends it once more."""
    async with autocommit(engine).connect() as conn:
        await ledger.mark_announced(conn, line.job_id, now=datetime.now(UTC))


async def announce_forgotten(
    engine: AsyncEngine, publish: Publish, *, topic: str, after: timedelta
) -> int:
    """Announce what finished that long ago and was not; the number announced.

    It finds the jobs whose worker died between commit and publishing, and whose message never comes
    back. Two sweepers at once take different jobs.
    """
    async with engine.begin() as conn:
        before = datetime.now(UTC) - after
        found = await ledger.lock_unannounced(conn, topic=topic, before=before, limit=SWEEP_LIMIT)
        for job_id, event in found:
            await publish(event)
            await ledger.mark_announced(conn, job_id, now=datetime.now(UTC))
    return len(found)

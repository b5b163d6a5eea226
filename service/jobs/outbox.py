"""From the ledger to `uploads.completed`: publish the stored event of a job that has ended.

The ledger is the outbox. The event is stored with the job's outcome, in one transaction, so it
cannot be lost: if a worker dies before it has published the event, the sweeper does so later. A job
is marked as announced once its event is published: by `JobProcessor.mark_announced`, or by the
sweeper, which is `announce_forgotten`.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from service import crash
from service.db import ledger
from service.db.ledger import LedgerLine
from service.domain.model import Position, Record

Publish = Callable[[Record], Awaitable[Position]]
"""Sends one record, and returns its position once the broker has acknowledged it.

Raises `BrokerAway`, or `RecordRefused` (of `kafka.producer`) if the record is larger than its topic
allows.
"""

SWEEP_LIMIT = 100
"""Events that one sweep publishes at most: their ledger lines are locked until the sweep ends."""


async def announce_job(publish: Publish, line: LedgerLine) -> None:
    """Publish the event of a final line. A repeated call sends the same bytes again.

    Raises `ValueError` if the line is not final, and what `publish` raises.
    """
    if line.event is None:
        raise ValueError(f"job {line.job_id} has not ended")
    await publish(line.event)
    crash.point("after_ack")


async def announce_forgotten(
    engine: AsyncEngine, publish: Publish, *, topic: str, after: timedelta
) -> int:
    """Announce jobs that ended at least `after` ago and are not announced yet.

    Returns the number of these jobs. Their workers died after the commit and before publishing, and
    their records do not come again. Two sweepers that run at the same time take different jobs.
    Raises what `publish` and the database raise; the events published so far may then be published
    again.
    """
    async with engine.begin() as conn:
        before = datetime.now(UTC) - after
        forgotten = await ledger.lock_unannounced(
            conn, topic=topic, before=before, limit=SWEEP_LIMIT
        )
        for job_id, event in forgotten:
            await publish(event)
            await ledger.mark_announced(conn, job_id, now=datetime.now(UTC))
    return len(forgotten)

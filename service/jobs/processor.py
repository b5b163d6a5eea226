"""The way of one job, from its message to its completion event. Read this module first.

`JobProcessor.process` takes a job through four steps. Each step is one call:

- `begin`: count the attempt in the ledger (`transaction.begin_job`). If the job ended before, its
  stored event is the answer, and `announce` follows at once.
- `fetch`, for a job with a file, or `prepare`, for a job with rows in its message: look up units
  and modules, fetch the file, open the rows (`prepare.prepare_upload`). Nothing is written to the
  database.
- `apply`: write the rows and end the job, in one transaction (`transaction.apply_upload`). The
  completion event is stored in the ledger by the same transaction.
- `announce`: publish the stored event (`outbox.announce_job`).

The caller, `handlers.dispatch`, then commits the record's offset and calls `mark_announced`.

A refusal is a normal end: the job ends `rejected` and is announced. Every other error leaves
`process` as it is raised, and the caller decides what follows: park the record, or try again.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.events import progress_record
from service.db import ledger
from service.db.engine import autocommit
from service.db.ledger import LedgerLine
from service.domain.errors import Environment, Refusal, TookTooLong, Transient
from service.domain.model import Job
from service.jobs.background import background_task
from service.jobs.effect import refused_result
from service.jobs.outbox import Publish, announce_job
from service.jobs.prepare import PrepareDependencies, prepare_upload
from service.jobs.transaction import EventRoute, apply_upload, begin_job, end_without_change
from service.rows.checker import EntryChecker
from service.rows.upload import Progress, Upload

log = structlog.get_logger(__name__)

Step = Literal["begin", "fetch", "prepare", "apply", "announce"]
"""The steps of a job; the docstring of this module describes them."""


@dataclass(slots=True)
class JobContext:
    """How far one attempt at a job has come. `process` fills it in.

    It belongs to the caller, who reads it after an error: a dead letter names the step in which
    the job failed, its attempts and its modules.
    """

    job_id: int | None = None
    step: Step = "begin"
    attempts: int = 1
    first_started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress = field(default_factory=Progress)
    upload: Upload | None = None

    def modules_of(self, job: Job) -> tuple[int, ...] | None:
        """The ids of the modules that the job's rows are for.

        None if the job failed before all its rows were read and written, or if its rows are
        factors.
        """
        if job.carbon_report_module_id is not None:
            return (job.carbon_report_module_id,)
        if self.upload is None or not self.upload.is_written:
            return None
        checker = self.upload.checker
        if not isinstance(checker, EntryChecker):
            return None
        return tuple(sorted(checker.receiving_modules))


@dataclass(frozen=True, slots=True)
class JobProcessor:
    """Processes jobs, any number of them. A worker has one.

    `progress_interval` and `job_timeout` are in seconds.
    """

    engine: AsyncEngine
    dependencies: PrepareDependencies
    publish: Publish
    event_route: EventRoute
    progress_topic: str
    progress_interval: float
    job_timeout: float = 900.0

    async def process(self, job: Job, context: JobContext) -> LedgerLine:
        """Take a job to its end and publish its completion event.

        Returns the job's final line in the ledger. A job that ended before is answered with its
        stored event. After an error, either the tables are unchanged or the job has ended; in both
        cases it is safe to process the same job again. Raises `JobIdConflict`, `TookTooLong`, and
        the errors of the steps.
        """
        line = await begin_job(self.engine, job, self.event_route)
        context.attempts, context.first_started_at = line.attempts, line.first_started_at

        if line.event is None:
            async with background_task(self._publish_progress_forever(job, context.progress)):
                line = await self._process_within_limit(job, context)

        context.step = "announce"
        await announce_job(self.publish, line)
        return line

    async def mark_announced(self, line: LedgerLine) -> None:
        """Note in the ledger that the job's event is published. Raises nothing.

        If the note cannot be written, the sweeper publishes the same event once more.
        """
        try:
            async with autocommit(self.engine).connect() as conn:
                await ledger.mark_announced(conn, line.job_id, now=datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the event is out, so no error loses anything
            log.warning("announced_not_marked", job_id=line.job_id, reason=type(error).__name__)

    async def _process_within_limit(self, job: Job, context: JobContext) -> LedgerLine:
        """Prepare and apply the job within `job_timeout`. Raises `TookTooLong`.

        Without a limit, a job could outlast Kafka's `max.poll.interval.ms`: Kafka would then take
        this worker for dead and give the record to another one.
        """
        try:
            async with asyncio.timeout(self.job_timeout) as limit:
                return await self._prepare_and_apply(job, context)
        except TimeoutError:
            # The job itself may raise a TimeoutError too, for example of a connection.
            if not limit.expired():
                raise
            raise TookTooLong("limit", seconds=self.job_timeout) from None

    async def _prepare_and_apply(self, job: Job, context: JobContext) -> LedgerLine:
        context.step = "fetch" if job.file else "prepare"
        try:
            async with prepare_upload(job, self.dependencies, context.progress) as upload:
                context.step, context.upload = "apply", upload
                store = self.dependencies.store
                return await apply_upload(self.engine, job, upload, store, self.event_route)
        except Refusal as refusal:
            # The refusal is no failure. From here on, only the transaction that ends the job can
            # fail, which belongs to this step.
            context.step = "apply"
            return await end_without_change(
                self.engine, job, refused_result(refusal), self.event_route
            )

    async def _publish_progress_forever(self, job: Job, progress: Progress) -> None:
        """Publish how far the job has come, every `progress_interval` seconds, until cancelled."""
        while True:
            await asyncio.sleep(self.progress_interval)
            record = progress_record(
                job, progress, topic=self.progress_topic, source=self.event_route.source
            )
            # Nothing depends on progress. Without a broker the job goes on all the same; its
            # completion event is what waits for the broker.
            with suppress(Transient, Environment):
                await self.publish(record)

"""The way of one job, top to bottom: begin, prepare, apply, announce; and, beside its offset, remember."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.events import progress_record
from service.db.ledger import LedgerLine
from service.domain.errors import Environment, Refusal, TookTooLong, Transient
from service.domain.model import Job, Outcome, Reason, Result
from service.jobs.background import background_task
from service.jobs.outbox import Publish, announce_job, mark_announced
from service.jobs.prepare import PrepareDependencies, prepare_upload
from service.jobs.transaction import EventRoute, apply_upload, begin_job, end_without_change
from service.rows.checker import EntryChecker
from service.rows.upload import Progress, Upload

log = structlog.get_logger(__name__)

Step = Literal["begin", "fetch", "prepare", "apply", "announce"]


@dataclass(slots=True)
class JobContext:
    """Where a job is on its way; what went wrong is told with the step that it went wrong in."""

    job_id: int | None = None
    step: Step = "begin"
    attempts: int = 1
    first_started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    progress: Progress = field(default_factory=Progress)
    upload: Upload | None = None

    def modules_of(self, job: Job) -> tuple[int, ...] | None:
        """The modules that the job's rows are for; None where it failed before that was known."""
        if job.carbon_report_module_id is not None:
            return (job.carbon_report_module_id,)
        if self.upload is None or self.progress.stage != "replacing":
            return None
        checker = self.upload.checker
        return tuple(sorted(checker.affected)) if isinstance(checker, EntryChecker) else None


@dataclass(frozen=True, slots=True)
class JobProcessor:
    """What a job meets on its way; one for a process."""

    engine: AsyncEngine
    dependencies: PrepareDependencies
    publish: Publish
    outbox: EventRoute
    progress_topic: str
    progress_interval: float
    job_timeout: float = 900.0

    async def process(self, job: Job, context: JobContext) -> LedgerLine:
        """Take a job to its end and tell everyone; its final line in the ledger.

        A job that ended before is answered with its first event. Whatever is raised, the tables are
        unchanged or the job has ended, and coming back with the same job is safe.
        """
        line = await begin_job(self.engine, job, self.outbox)
        context.attempts, context.first_started_at = line.attempts, line.first_started_at
        if line.event is None:
            async with background_task(self._publish_progress_forever(job, context.progress)):
                line = await self._process_within_limit(job, context)
        context.step = "announce"
        await announce_job(self.publish, line)
        return line

    async def mark_announced(self, line: LedgerLine) -> None:
        """Mark the job as announced. Where that fails, the sweeper announces it again."""
        try:
            await mark_announced(self.engine, line)
        except Exception as error:  # noqa: BLE001 - the event is out: whatever this is, nothing is lost
            log.warning("announced_not_marked", job_id=line.job_id, reason=type(error).__name__)

    async def _process_within_limit(self, job: Job, context: JobContext) -> LedgerLine:
        """Bound the job in time; Kafka takes a consumer that is silent for longer to be dead."""
        try:
            async with asyncio.timeout(self.job_timeout) as bound:
                return await self._prepare_and_apply(job, context)
        except TimeoutError:
            if bound.expired():
                raise TookTooLong("limit", seconds=self.job_timeout) from None
            raise

    async def _prepare_and_apply(self, job: Job, context: JobContext) -> LedgerLine:
        context.step = "fetch" if job.file else "prepare"
        try:
            async with prepare_upload(job, self.dependencies, context.progress) as upload:
                context.step, context.upload = "apply", upload
                return await apply_upload(
                    self.engine, job, upload, self.dependencies.store, self.outbox
                )
        except Refusal as refusal:
            context.step = "apply"
            refused = Result(
                Outcome.REJECTED, reason=Reason.of(refusal.code, refusal.case, **refusal.values)
            )
            return await end_without_change(self.engine, job, refused, self.outbox)

    async def _publish_progress_forever(self, job: Job, progress: Progress) -> None:
        """Publish progress now and then, for ever."""
        while True:
            await asyncio.sleep(self.progress_interval)
            # nothing depends on progress: without a broker the job goes on, and its end waits for one
            with suppress(Transient, Environment):
                await self.publish(
                    progress_record(
                        job, progress, topic=self.progress_topic, source=self.outbox.source
                    )
                )

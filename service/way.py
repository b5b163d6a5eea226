"""The way of one job, top to bottom: begin, prepare, apply, announce; and, beside its offset, remember."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.announce import Publish, announce, mark
from service.apply import Outbox, apply, begin, end_unchanged
from service.beside import beside
from service.db.ledger import Line
from service.domain import Job, Outcome, Reason, Result
from service.errors import Environment, Refusal, TookTooLong, Transient
from service.events import progress_record
from service.prepare.check import EntryChecker
from service.prepare.prepare import Workshop, prepare
from service.prepare.upload import Progress, Upload

log = structlog.get_logger(__name__)

Step = Literal["begin", "fetch", "prepare", "apply", "announce"]


@dataclass(slots=True)
class Journey:
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
class Way:
    """What a job meets on its way; one for a process."""

    engine: AsyncEngine
    workshop: Workshop
    publish: Publish
    outbox: Outbox
    progress_topic: str
    progress_interval: float
    longest: float = 900.0

    async def go(self, job: Job, journey: Journey) -> Line:
        """Take a job to its end and tell everyone; its final line in the ledger.

        A job that ended before is answered with its first event. Whatever is raised, the tables are
        unchanged or the job has ended, and coming back with the same job is safe.
        """
        line = await begin(self.engine, job, self.outbox)
        journey.attempts, journey.first_started_at = line.attempts, line.first_started_at
        if line.event is None:
            async with beside(self._tell(job, journey.progress)):
                line = await self._in_time(job, journey)
        journey.step = "announce"
        await announce(self.publish, line)
        return line

    async def remember(self, line: Line) -> None:
        """Mark the job as announced. Where that fails, the sweeper announces it again."""
        try:
            await mark(self.engine, line)
        except Exception as error:  # noqa: BLE001 - the event is out: whatever this is, nothing is lost
            log.warning("announced_not_marked", job_id=line.job_id, reason=type(error).__name__)

    async def _in_time(self, job: Job, journey: Journey) -> Line:
        """Bound the job in time; Kafka takes a consumer that is silent for longer to be dead."""
        try:
            async with asyncio.timeout(self.longest) as bound:
                return await self._process(job, journey)
        except TimeoutError:
            if bound.expired():
                raise TookTooLong(f"At most {self.longest:g} seconds.") from None
            raise

    async def _process(self, job: Job, journey: Journey) -> Line:
        journey.step = "fetch" if job.file else "prepare"
        try:
            async with prepare(job, self.workshop, journey.progress) as upload:
                journey.step, journey.upload = "apply", upload
                return await apply(self.engine, job, upload, self.workshop.store, self.outbox)
        except Refusal as refusal:
            journey.step = "apply"
            refused = Result(Outcome.REJECTED, reason=Reason(refusal.code, refusal.message))
            return await end_unchanged(self.engine, job, refused, self.outbox)

    async def _tell(self, job: Job, progress: Progress) -> None:
        """Publish progress now and then, for ever."""
        while True:
            await asyncio.sleep(self.progress_interval)
            # nothing depends on progress: without a broker the job goes on, and its end waits for one
            with suppress(Transient, Environment):
                await self.publish(progress_record(job, progress, topic=self.progress_topic, source=self.outbox.source))

"""What follows from a failure: park the record, try it again, or hold it for a person."""

import traceback
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from sqlalchemy.exc import SQLAlchemyError

from service.contract.messages import job_id_of
from service.contract.topics import Topics
from service.db import ledger
from service.dead_letters.guard import Guard
from service.dead_letters.park import park_record
from service.dead_letters.parked_record import Failure, FailureStage, Incoming
from service.domain.errors import (
    Environment,
    GuardStopped,
    Poison,
    Transient,
    Unexpected,
    UploadError,
    stack_frames,
)
from service.domain.model import Job
from service.handlers.breaker import Breaker
from service.handlers.disposition import Commit, Disposition, Retry
from service.jobs.failures import classify_failure, retry_delay
from service.jobs.processor import JobContext, JobProcessor
from service.settings import RetrySettings

log = structlog.get_logger(__name__)

FAILURE_STAGES: Final[Mapping[str, FailureStage]] = {
    "begin": "validate",
    "fetch": "fetch",
    "prepare": "prepare",
    "apply": "apply",
    "announce": "announce",
}
"""The stage that a dead letter names, by the step of the job that failed.

In `begin` the ledger validates the job id. A message that could not even be read has the stage
`decode`.
"""


PlaceInKafka = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class FailureHandler:
    """Decides the disposition of records whose job failed. There is one in a process."""

    def __init__(
        self,
        processor: JobProcessor,
        topics: Topics,
        breaker: Breaker,
        guard: Guard,
        retry: RetrySettings,
    ) -> None:
        self._processor = processor
        self._topics = topics
        self._breaker = breaker
        self._guard = guard
        self._retry = retry
        # How often a record met an unknown error; a record leaves when it is processed or parked.
        self._unexpected_tries: Counter[PlaceInKafka] = Counter()
        # Where the unknown errors of parked records came from. One for each line of code that has
        # such a mistake, so the set stays small.
        self._origins_of_parked: set[str] = set()

    async def handle(
        self,
        incoming: Incoming,
        job: Job | None,
        context: JobContext,
        error: Exception,
        tries: int,
    ) -> Disposition:
        """Park the record, or let it come again: after a pause, or when the environment is mended.

        `error` is what the job raised, and `tries` counts how often this worker has tried the
        record in a row. (Attempts are counted in the ledger, over all workers.)
        """
        failure = self._classify(error, _place_in_kafka(incoming))
        if isinstance(failure, Poison):
            return await self._park_or_hold(incoming, job, context, failure, error, tries)
        return await self._hold(incoming, job, failure, error, tries)

    def forget(self, record: ConsumerRecord[Any, Any]) -> None:
        """Forget the unknown errors of a record that is processed by now."""
        if self._unexpected_tries:
            place = (record.topic, record.partition, record.offset)
            self._unexpected_tries.pop(place, None)

    async def _park_or_hold(
        self,
        incoming: Incoming,
        job: Job | None,
        context: JobContext,
        failure: Poison,
        error: Exception,
        tries: int,
    ) -> Disposition:
        """Park the record. If that fails the record is held, never dropped."""
        try:
            await self._park(incoming, job, context, failure, error)
        except Exception as parking_error:  # noqa: BLE001 - every failure must end in a disposition
            failed_parking = _classify_failed_parking(parking_error)
            return await self._hold(incoming, job, failed_parking, parking_error, tries)
        return Commit()

    async def _hold(
        self,
        incoming: Incoming,
        job: Job | None,
        failure: UploadError,
        error: Exception,
        tries: int,
    ) -> Retry:
        """Let the record come again: when the breaker has closed, or after a pause."""
        if isinstance(failure, Environment):
            _log_held(failure, error, tries, delay=None)
            held = TopicPartition(incoming.record.topic, incoming.partition)
            # A person lets a stopped guard go on, and the database says so: no job need be tried.
            probe = self._guard.resumed if isinstance(failure, GuardStopped) else None
            self._breaker.open(held, failure, probe)
            return Retry(0)
        delay = retry_delay(tries, self._retry)
        _log_held(failure, error, tries, delay)
        await self._note_failure(job, failure)
        return Retry(delay)

    def _classify(self, error: Exception, place: PlaceInKafka) -> UploadError:
        """Classify a failure as poison, transient or environment.

        An unknown one is transient for its first tries and poison after them. The same unknown
        error in two records points to the environment, not to the data.
        """
        known = classify_failure(error)
        if known is not None:
            return known
        where = _origin_of(error)
        self._unexpected_tries[place] += 1
        if self._unexpected_tries[place] == 1:
            log.error(
                "unexpected_failure", exception=type(error).__name__, stack=stack_frames(error)
            )
        if self._unexpected_tries[place] < self._retry.unexpected_tries:
            return Transient("unexpected", where=where)
        if where in self._origins_of_parked:
            return Environment("unexpected_twice", where=where)
        return Unexpected("at", where=where)

    async def _park(
        self,
        incoming: Incoming,
        job: Job | None,
        context: JobContext,
        poison: Poison,
        error: Exception,
    ) -> None:
        """Make a dead letter of the record. Raises `GuardStopped`, and what parking raises."""
        failure = _describe_failure(incoming, job, context, poison, error)
        await self._guard.admit()
        is_new = await park_record(
            self._processor.engine,
            self._processor.publish,
            self._topics,
            self._processor.event_route.source,
            incoming,
            failure,
        )
        self._guard.note(parked=True)
        self._unexpected_tries.pop(_place_in_kafka(incoming), None)
        if isinstance(poison, Unexpected):
            self._origins_of_parked.add(_origin_of(error))
        log.error(
            "parked",
            code=poison.code,
            stage=failure.stage,
            message=poison.message,
            dead_letter_id=str(incoming.dead_letter_id),
            repeated=not is_new,
        )

    async def _note_failure(self, job: Job | None, failure: UploadError) -> None:
        """Write into the ledger why the job is not finished, if the database can be reached."""
        if job is None:
            return
        try:
            async with self._processor.engine.begin() as conn:
                await ledger.note_failure(conn, job.job_id, failure.code, now=datetime.now(UTC))
        except (SQLAlchemyError, OSError) as error:
            log.debug("failure_not_noted", reason=type(error).__name__)


def _describe_failure(
    incoming: Incoming,
    job: Job | None,
    context: JobContext,
    poison: Poison,
    error: Exception,
) -> Failure:
    """Gather what a dead letter says about its failure."""
    last_failure = datetime.now(UTC)
    first_failure = min(context.first_started_at, last_failure)
    if job is None:
        return Failure(
            poison,
            "decode",
            context.attempts,
            first_failure,
            last_failure,
            cause=error,
            id_read=job_id_of(incoming.record.value),
        )
    return Failure(
        poison,
        FAILURE_STAGES[context.step],
        context.attempts,
        first_failure,
        last_failure,
        job=job,
        cause=error,
        modules=context.modules_of(job),
    )


def _place_in_kafka(incoming: Incoming) -> PlaceInKafka:
    return incoming.record.topic, incoming.partition, incoming.offset


def _classify_failed_parking(error: Exception) -> UploadError:
    """Classify why a record could not be parked.

    If it is no passing failure, treat it as an environment failure: nothing is ever dropped.
    """
    known = classify_failure(error)
    if isinstance(known, Transient | Environment):
        return known
    return Environment("parking_failed", where=_origin_of(error))


def _origin_of(error: Exception) -> str:
    """Name an unknown error by its type and the line that raised it, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} in {frames[-1].name}, line {frames[-1].lineno}"


def _log_held(failure: UploadError, error: BaseException, tries: int, delay: float | None) -> None:
    """Log that a record is held; `delay` is the pause in seconds, None for an open breaker."""
    log.warning(
        "job_held",
        code=failure.code,
        message=failure.message,
        tries=tries,
        pause_seconds=None if delay is None else round(delay, 3),
        exception=type(error).__name__,
    )

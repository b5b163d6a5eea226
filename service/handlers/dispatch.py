"""From a record to its offset: what a job's end, or its failure, means for the partition."""

import asyncio
import traceback
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never
from uuid import UUID

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from service import crash
from service.contract.messages import job_id_of, parse_job
from service.contract.topics import Topics
from service.db import ledger
from service.db.ledger import LedgerLine
from service.dead_letters.guard import Guard
from service.dead_letters.letter import Failure, Incoming, Stage
from service.dead_letters.park import park_record
from service.domain.errors import (
    Environment,
    GuardStopped,
    Poison,
    Transient,
    Unexpected,
    UploadError,
)
from service.domain.model import Job, Record
from service.domain.provider_types import ProviderType
from service.handlers.breaker import Breaker
from service.handlers.topic_consumer import InFlightRecord, TopicConsumer
from service.jobs.failures import classify_failure, retry_delay
from service.jobs.processor import JobContext, JobProcessor
from service.settings import RetrySettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Commit:
    """The record is dealt with for good: commit the offset behind it. `line` is of the job that was announced."""

    line: LedgerLine | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The record must come again: wait, then seek back to it."""

    seconds: float


Disposition = Commit | Retry


class Dispatcher:
    """Decides the fate of every record; one for a process."""

    def __init__(
        self,
        processor: JobProcessor,
        topics: Topics,
        breaker: Breaker,
        guard: Guard,
        retry: RetrySettings,
    ) -> None:
        self._processor = processor
        self._guard = guard
        self._topics = topics
        self._retry = retry
        self._unexpected: Counter[UUID] = Counter()
        self._parked_unexpected: set[str] = set()
        self.breaker = breaker

    async def dispatch(
        self,
        provider_type: ProviderType,
        record: ConsumerRecord[Any, Any],
        consumer: AIOKafkaConsumer,
        topic_consumer: TopicConsumer,
    ) -> None:
        """Handle one record and move, or hold, its partition.

        The offset is committed only once the event is out or the dead letter is acknowledged.
        """
        partition = TopicPartition(record.topic, record.partition)
        context = JobContext()
        async with topic_consumer.working_on(
            InFlightRecord(record.partition, record.offset, context)
        ):
            fate: Disposition = Retry(0)
            if await self.breaker.wait_until_closed(topic_consumer.topic, topic_consumer.wait):
                tries = topic_consumer.count_try(partition, record.offset)
                fate = await self._process_record(provider_type, record, context, tries)
            match fate:
                case Commit(line):
                    self.breaker.record_finished(partition)
                    await topic_consumer.finish_in_background(
                        self._commit_and_mark(consumer, partition, record.offset + 1, line)
                    )
                    return
                case Retry(seconds):
                    _seek_back(consumer, partition, record.offset)
                case _:
                    assert_never(fate)
            await topic_consumer.wait(seconds)

    async def _commit_and_mark(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        offset: int,
        line: LedgerLine | None,
    ) -> None:
        marked = () if line is None else (self._processor.mark_announced(line),)
        await asyncio.gather(_commit_offset(consumer, partition, offset), *marked)
        crash.point("after_offset_commit")

    async def _process_record(
        self,
        provider_type: ProviderType,
        record: ConsumerRecord[Any, Any],
        context: JobContext,
        tries: int,
    ) -> Disposition:
        started, job = datetime.now(UTC), None
        with bound_contextvars(
            topic=record.topic, partition=record.partition, offset=record.offset
        ):
            try:
                job = parse_job(provider_type, record.value)
                context.job_id = job.job_id
                with bound_contextvars(job_id=job.job_id):
                    line = await self._processor.process(job, context)
            except Exception as error:  # noqa: BLE001 - whatever it is, the record must meet one of three fates
                return await self._handle_failure(
                    _incoming_record(provider_type, record), job, context, error, tries
                )
            self._guard.note(parked=False)
            _log_end(job, line, started)
            return Commit(line)

    async def _handle_failure(
        self, incoming: Incoming, job: Job | None, context: JobContext, error: Exception, tries: int
    ) -> Disposition:
        failure = self._classify(error, incoming.dead_letter_id)
        if isinstance(failure, Poison):
            try:
                await self._park_record(incoming, job, context, failure, error)
            except Exception as while_parking:  # noqa: BLE001 - the offset is held, and the record comes again
                error, failure = while_parking, _meaning_of_failed_parking(while_parking)
            else:
                return Commit()
        _log_failure(failure, error, tries)
        if isinstance(failure, Environment):
            held = TopicPartition(incoming.record.topic, incoming.partition)
            self.breaker.open(
                held, failure, self._guard.resumed if isinstance(failure, GuardStopped) else None
            )
            return Retry(0)
        await self._note_failure(job, failure)
        return Retry(retry_delay(tries, self._retry))

    def _classify(self, error: Exception, record_id: UUID) -> UploadError:
        """The failure as one of the three kinds; an unknown one is tried again a few times first."""
        known = classify_failure(error)
        if known is not None:
            return known
        where = _place_of_failure(error)
        self._unexpected[record_id] += 1
        if self._unexpected[record_id] < self._retry.unexpected_tries:
            return Transient("unexpected", where=where)
        if where in self._parked_unexpected:
            # what strikes two jobs alike is not about a job
            return Environment("unexpected_twice", where=where)
        return Unexpected("at", where=where)

    async def _park_record(
        self,
        incoming: Incoming,
        job: Job | None,
        context: JobContext,
        failure: Poison,
        error: Exception,
    ) -> None:
        stage: Stage = "decode" if job is None else _STAGES[context.step]
        last = datetime.now(UTC)
        first = min(context.first_started_at, last)
        id_read = job_id_of(incoming.record.value) if job is None else None
        modules = None if job is None else context.modules_of(job)
        letter = Failure(
            failure, stage, context.attempts, first, last, job, error, id_read, modules
        )
        processor = self._processor
        await self._guard.admit()
        is_new = await park_record(
            processor.engine,
            processor.publish,
            self._topics,
            processor.outbox.source,
            incoming,
            letter,
        )
        self._guard.note(parked=True)
        self._unexpected.pop(incoming.dead_letter_id, None)
        if isinstance(failure, Unexpected):
            self._parked_unexpected.add(_place_of_failure(error))
        log.error(
            "parked", code=failure.code, stage=stage, message=failure.message, repeated=not is_new
        )

    async def _note_failure(self, job: Job | None, failure: UploadError) -> None:
        """Let the ledger say why the job is not done; where the database is the reason, it can't."""
        if job is None:
            return
        try:
            async with self._processor.engine.begin() as conn:
                await ledger.note_failure(conn, job.job_id, failure.code, now=datetime.now(UTC))
        except (SQLAlchemyError, OSError) as error:
            log.debug("failure_not_noted", reason=type(error).__name__)


def _meaning_of_failed_parking(error: Exception) -> UploadError:
    """What it means that a record could not be parked: nothing is dropped, so all that does not pass needs a person."""
    known = classify_failure(error)
    return (
        known
        if isinstance(known, Transient | Environment)
        else Environment("parking_failed", where=_place_of_failure(error))
    )


_STAGES: dict[str, Stage] = {
    "begin": "validate",
    "fetch": "fetch",
    "prepare": "prepare",
    "apply": "apply",
    "announce": "announce",
}


def _incoming_record(provider_type: ProviderType, record: ConsumerRecord[Any, Any]) -> Incoming:
    return Incoming(
        record=Record(record.topic, record.key, record.value, tuple(record.headers)),
        partition=record.partition,
        offset=record.offset,
        timestamp=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        group=record.topic,
        provider_type=provider_type,
    )


async def _commit_offset(
    consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> None:
    """Commit this partition's position alone.

    Where that fails, the next commit covers it, or the record comes again and the ledger answers it.
    """
    try:
        await consumer.commit({partition: offset})
    except (CommitFailedError, IllegalStateError) as error:
        log.warning(
            "partition_lost_before_commit",
            partition=partition.partition,
            reason=type(error).__name__,
        )
    except KafkaError as error:
        log.warning("commit_failed", partition=partition.partition, reason=type(error).__name__)


def _seek_back(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
    try:
        consumer.seek(partition, offset)
    except IllegalStateError:
        log.info("partition_given_up", partition=partition.partition)


def _place_of_failure(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} in {frames[-1].name}, line {frames[-1].lineno}"
        if frames
        else type(error).__name__
    )


def _log_end(job: Job, line: LedgerLine, started: datetime) -> None:
    log.info(
        "job_ended",
        job_id=job.job_id,
        outcome=line.outcome and line.outcome.value,
        attempts=line.attempts,
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _log_failure(failure: UploadError, error: BaseException, tries: int) -> None:
    log.warning(
        "job_held",
        code=failure.code,
        message=failure.message,
        tries=tries,
        exception=type(error).__name__,
    )

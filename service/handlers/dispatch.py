"""From a record to its offset: process the record, then commit or retry."""

import asyncio
from datetime import UTC, datetime
from typing import Any, assert_never

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from structlog.contextvars import bound_contextvars

from service import crash
from service.contract.messages import parse_job
from service.db.ledger import LedgerLine
from service.dead_letters.guard import Guard
from service.dead_letters.parked_record import Incoming, Replay
from service.domain.model import Job
from service.domain.provider_types import ProviderType
from service.handlers.breaker import Breaker
from service.handlers.disposition import Commit, Disposition, Retry
from service.handlers.failure_handler import FailureHandler
from service.handlers.topic_consumer import InFlightRecord, TopicConsumer
from service.jobs.processor import JobContext, JobProcessor
from service.kafka.consumer_record import record_of

log = structlog.get_logger(__name__)


class Dispatcher:
    """Decides the disposition of every record. There is one in a process."""

    def __init__(
        self,
        processor: JobProcessor,
        breaker: Breaker,
        guard: Guard,
        failure_handler: FailureHandler,
    ) -> None:
        self.breaker = breaker
        self._processor = processor
        self._guard = guard
        self._failure_handler = failure_handler

    async def dispatch(
        self,
        provider_type: ProviderType,
        record: ConsumerRecord[Any, Any],
        kafka_consumer: AIOKafkaConsumer,
        topic_consumer: TopicConsumer,
    ) -> None:
        """Process one record, then commit its offset, or seek back to it and wait.

        The offset is committed only after the broker has acknowledged the job's event or the dead
        letter, so a worker that dies in between loses nothing: the record comes again.
        """
        partition = TopicPartition(record.topic, record.partition)
        context = JobContext()
        in_flight = InFlightRecord(record.partition, record.offset, context)
        async with topic_consumer.working_on(in_flight):
            disposition = await self._decide(provider_type, record, context, topic_consumer)
            match disposition:
                case Commit(line):
                    self.breaker.record_finished(partition)
                    await topic_consumer.finish_in_background(
                        self._commit_and_mark(kafka_consumer, partition, record.offset + 1, line)
                    )
                case Retry(seconds):
                    _seek_back(kafka_consumer, partition, record.offset)
                    # The record stays in flight: the stall detector takes an idle consumer that
                    # does not move for stalled. A rebalance ends this pause at once.
                    await topic_consumer.wait(seconds)
                case _:
                    assert_never(disposition)

    async def _decide(
        self,
        provider_type: ProviderType,
        record: ConsumerRecord[Any, Any],
        context: JobContext,
        topic_consumer: TopicConsumer,
    ) -> Disposition:
        """Wait for the breaker, then process the record.

        The record is in flight meanwhile: a partition that is held by the breaker is given up only
        after this wait, which then ends at once.
        """
        may_go_on = await self.breaker.wait_for_turn(topic_consumer.topic, topic_consumer.wait)
        if not may_go_on:
            return Retry(0)
        partition = TopicPartition(record.topic, record.partition)
        tries = topic_consumer.count_try(partition, record.offset)
        return await self._process_record(provider_type, record, context, tries)

    async def _commit_and_mark(
        self,
        kafka_consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        offset: int,
        line: LedgerLine | None,
    ) -> None:
        """Commit the offset, and mark the job as announced where there is one."""
        work = [_commit_offset(kafka_consumer, partition, offset)]
        if line is not None:
            work.append(self._processor.mark_announced(line))
        await asyncio.gather(*work)
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
                _log_replay(job, record)
                with bound_contextvars(job_id=job.job_id):
                    line = await self._processor.process(job, context)
            except Exception as error:  # noqa: BLE001 - every failure must end in a disposition
                incoming = _incoming_record(provider_type, record)
                return await self._failure_handler.handle(incoming, job, context, error, tries)
            self._guard.note(parked=False)
            self._failure_handler.forget(record)
            _log_end(job, line, started)
            return Commit(line)


def _incoming_record(provider_type: ProviderType, record: ConsumerRecord[Any, Any]) -> Incoming:
    return Incoming(
        record=record_of(record),
        partition=record.partition,
        offset=record.offset,
        timestamp=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        group=record.topic,
        provider_type=provider_type,
    )


async def _commit_offset(
    kafka_consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int
) -> None:
    """Commit the position of this partition alone.

    A failure is logged and nothing more: the next commit covers it, or the record comes again and
    the ledger answers it.
    """
    try:
        await kafka_consumer.commit({partition: offset})
    except (CommitFailedError, IllegalStateError) as error:
        log.warning(
            "partition_lost_before_commit",
            topic=partition.topic,
            partition=partition.partition,
            reason=type(error).__name__,
        )
    except KafkaError as error:
        log.warning(
            "commit_failed",
            topic=partition.topic,
            partition=partition.partition,
            reason=type(error).__name__,
        )


def _seek_back(kafka_consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
    try:
        kafka_consumer.seek(partition, offset)
    except IllegalStateError:
        # The group has given the partition to another worker, which reads from the committed
        # offset.
        log.info(
            "partition_given_up",
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
        )


def _log_replay(job: Job, record: ConsumerRecord[Any, Any]) -> None:
    replay = Replay.from_headers(tuple(record.headers))
    if replay.of is not None:
        log.info(
            "replay_received",
            job_id=job.job_id,
            dead_letter_id=str(replay.of),
            replay_count=replay.count,
        )


def _log_end(job: Job, line: LedgerLine, started: datetime) -> None:
    log.info(
        "job_ended",
        job_id=job.job_id,
        outcome=None if line.outcome is None else line.outcome.value,
        attempts=line.attempts,
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )

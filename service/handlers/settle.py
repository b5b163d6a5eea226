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
from service.db import ledger
from service.db.ledger import Line
from service.dead_letters.guard import Guard
from service.dead_letters.letter import Failure, Incoming, Stage
from service.dead_letters.park import park
from service.domain import Job, ProviderType, Record
from service.errors import Environment, GuardStopped, Poison, Transient, Unexpected, UploadError
from service.handlers.breaker import Breaker
from service.handlers.lane import Hand, Lane
from service.messages import job_id_of, parse
from service.retry import classify, pause
from service.settings import RetrySettings
from service.topics import Topics
from service.way import Journey, Way

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The record is dealt with for good: commit the offset behind it. `line` is of the job that was announced."""

    line: Line | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The record must come again: wait, then seek back to it."""

    seconds: float


Fate = Done | Again


class Settler:
    """Decides the fate of every record; one for a process."""

    def __init__(self, way: Way, topics: Topics, breaker: Breaker, guard: Guard, retry: RetrySettings) -> None:
        self._way = way
        self._guard = guard
        self._topics = topics
        self._retry = retry
        self._unexpected: Counter[UUID] = Counter()
        self._parked_unexpected: set[str] = set()
        self.breaker = breaker

    async def settle(
        self, provider_type: ProviderType, record: ConsumerRecord[Any, Any], consumer: AIOKafkaConsumer, lane: Lane
    ) -> None:
        """Handle one record and move, or hold, its partition.

        The offset is committed only once the event is out or the dead letter is acknowledged.
        """
        partition = TopicPartition(record.topic, record.partition)
        journey = Journey()
        async with lane.holding(Hand(record.partition, record.offset, journey)):
            fate: Fate = Again(0)
            if await self.breaker.enter(lane.topic, lane.wait):
                tries = lane.count_try(partition, record.offset)
                fate = await self._fate(provider_type, record, journey, tries)
            match fate:
                case Done(line):
                    self.breaker.settled(partition)
                    await lane.trail(self._put_away(consumer, partition, record.offset + 1, line))
                    return
                case Again(seconds):
                    _seek(consumer, partition, record.offset)
                case _:
                    assert_never(fate)
            await lane.wait(seconds)

    async def _put_away(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int, line: Line | None
    ) -> None:
        marked = () if line is None else (self._way.remember(line),)
        await asyncio.gather(_commit(consumer, partition, offset), *marked)
        crash.point("after_offset_commit")

    async def _fate(
        self, provider_type: ProviderType, record: ConsumerRecord[Any, Any], journey: Journey, tries: int
    ) -> Fate:
        started, job = datetime.now(UTC), None
        with bound_contextvars(topic=record.topic, partition=record.partition, offset=record.offset):
            try:
                job = parse(provider_type, record.value)
                journey.job_id = job.job_id
                with bound_contextvars(job_id=job.job_id):
                    line = await self._way.go(job, journey)
            except Exception as error:  # noqa: BLE001 - whatever it is, the record must meet one of three fates
                return await self._failed(_incoming(provider_type, record), job, journey, error, tries)
            self._guard.note(parked=False)
            _log_end(job, line, started)
            return Done(line)

    async def _failed(
        self, incoming: Incoming, job: Job | None, journey: Journey, error: Exception, tries: int
    ) -> Fate:
        failure = self._judged(error, incoming.dead_letter_id)
        if isinstance(failure, Poison):
            try:
                await self._park(incoming, job, journey, failure, error)
            except Exception as while_parking:  # noqa: BLE001 - the offset is held, and the record comes again
                error, failure = while_parking, _unparked(while_parking)
            else:
                return Done()
        _log_failure(failure, error, tries)
        if isinstance(failure, Environment):
            held = TopicPartition(incoming.record.topic, incoming.partition)
            self.breaker.open(held, failure, self._guard.resumed if isinstance(failure, GuardStopped) else None)
            return Again(0)
        await self._note(job, failure)
        return Again(pause(tries, self._retry))

    def _judged(self, error: Exception, record_id: UUID) -> UploadError:
        """The failure as one of the three kinds; an unknown one is tried again a few times first."""
        known = classify(error)
        if known is not None:
            return known
        where = _where(error)
        self._unexpected[record_id] += 1
        if self._unexpected[record_id] < self._retry.unexpected_tries:
            return Transient(f"Unexpected {where}.")
        if where in self._parked_unexpected:
            # what strikes two jobs alike is not about a job
            return Environment(f"Unexpected {where}, for the second job.")
        return Unexpected(f"{where}.")

    async def _park(
        self, incoming: Incoming, job: Job | None, journey: Journey, failure: Poison, error: Exception
    ) -> None:
        stage: Stage = "decode" if job is None else _STAGES[journey.step]
        last = datetime.now(UTC)
        first = min(journey.first_started_at, last)
        id_read = job_id_of(incoming.record.value) if job is None else None
        modules = None if job is None else journey.modules_of(job)
        letter = Failure(failure, stage, journey.attempts, first, last, job, error, id_read, modules)
        way = self._way
        await self._guard.admit()
        is_new = await park(way.engine, way.publish, self._topics, way.outbox.source, incoming, letter)
        self._guard.note(parked=True)
        self._unexpected.pop(incoming.dead_letter_id, None)
        if isinstance(failure, Unexpected):
            self._parked_unexpected.add(_where(error))
        log.error("parked", code=failure.code, stage=stage, message=failure.message, repeated=not is_new)

    async def _note(self, job: Job | None, failure: UploadError) -> None:
        """Let the ledger say why the job is not done; where the database is the reason, it can't."""
        if job is None:
            return
        try:
            async with self._way.engine.begin() as conn:
                await ledger.note_failure(conn, job.job_id, failure.code, now=datetime.now(UTC))
        except (SQLAlchemyError, OSError) as error:
            log.debug("failure_not_noted", reason=type(error).__name__)


def _unparked(error: Exception) -> UploadError:
    """What it means that a record could not be parked: nothing is dropped, so all that does not pass needs a person."""
    known = classify(error)
    return known if isinstance(known, Transient | Environment) else Environment(f"Parking failed: {_where(error)}.")


_STAGES: dict[str, Stage] = {
    "begin": "validate",
    "fetch": "fetch",
    "prepare": "prepare",
    "apply": "apply",
    "announce": "announce",
}


def _incoming(provider_type: ProviderType, record: ConsumerRecord[Any, Any]) -> Incoming:
    return Incoming(
        record=Record(record.topic, record.key, record.value, tuple(record.headers)),
        partition=record.partition,
        offset=record.offset,
        timestamp=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        group=record.topic,
        provider_type=provider_type,
    )


async def _commit(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
    """Commit this partition's position alone.

    Where that fails, the next commit covers it, or the record comes again and the ledger answers it.
    """
    try:
        await consumer.commit({partition: offset})
    except (CommitFailedError, IllegalStateError) as error:
        log.warning("partition_lost_before_commit", partition=partition.partition, reason=type(error).__name__)
    except KafkaError as error:
        log.warning("commit_failed", partition=partition.partition, reason=type(error).__name__)


def _seek(consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
    try:
        consumer.seek(partition, offset)
    except IllegalStateError:
        log.info("partition_given_up", partition=partition.partition)


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}, line {frames[-1].lineno}" if frames else type(error).__name__


def _log_end(job: Job, line: Line, started: datetime) -> None:
    log.info(
        "job_ended",
        job_id=job.job_id,
        outcome=line.outcome and line.outcome.value,
        attempts=line.attempts,
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
    )


def _log_failure(failure: UploadError, error: BaseException, tries: int) -> None:
    log.warning("job_held", code=failure.code, message=failure.message, tries=tries, exception=type(error).__name__)

"""What the commands talk to: the database, the job topics, and the dead-letter topic."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.announce import Publish
from service.broker import LETTER_BYTES, Producer, connection
from service.cli.events import require_topic
from service.db.engine import create_engine
from service.dead_letters.original import Read
from service.dead_letters.verdict import Judge
from service.domain import Position, Record
from service.errors import BrokerAway
from service.prepare.store import Store
from service.settings import DatabaseSettings, KafkaSettings, Settings
from service.topics import Topics

STATEMENT_SECONDS = 60.0
READ_SECONDS = 30.0
CLOSE_SECONDS = 10.0
"""How long a producer may take to close: without a broker it would wait for ever."""


@asynccontextmanager
async def database(settings: DatabaseSettings) -> AsyncIterator[AsyncEngine]:
    """An engine for a short command."""
    engine = create_engine(
        settings.url.get_secret_value(),
        pool_size=4,
        connect_timeout=settings.connect_timeout,
        statement_timeout=STATEMENT_SECONDS,
    )
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def judging(settings: Settings) -> AsyncIterator[Judge]:
    """A judge, with all that it looks at."""
    topics = Topics(settings.kafka.topic_prefix)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(database(settings.database))
        read = await stack.enter_async_context(reading(settings.kafka, topics.dead_letter))
        yield Judge(engine, Store.of(settings.storage), settings.limits, topics, read)


@asynccontextmanager
async def publishing(kafka: KafkaSettings) -> AsyncIterator[Publish]:
    """A way to send records. Raises `KafkaError` where no broker answers."""
    producer = Producer(kafka)
    await producer.start()
    try:
        yield producer.publish
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), CLOSE_SECONDS)


@asynccontextmanager
async def reading(kafka: KafkaSettings, topic: str) -> AsyncIterator[Read]:
    """A way to read single records of a topic, in no group. Raises `NoTopics` and `KafkaError`."""
    await require_topic(kafka, topic)
    consumer = AIOKafkaConsumer(
        **connection(kafka),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=LETTER_BYTES,
    )
    try:
        await consumer.start()
        yield _Reader(consumer, topic)
    finally:
        await consumer.stop()


class _Reader:
    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic

    async def __call__(self, positions: Sequence[Position]) -> Mapping[Position, Record]:
        wanted: dict[int, set[int]] = defaultdict(set)
        for position in positions:
            wanted[position.partition].add(position.offset)
        found: dict[Position, Record] = {}
        try:
            async with asyncio.timeout(READ_SECONDS):
                for partition, offsets in wanted.items():
                    async for record in self._of(TopicPartition(self._topic, partition), sorted(offsets)):
                        found[Position(partition, record.offset)] = _as_it_is(record)
        except (TimeoutError, KafkaError) as error:
            raise BrokerAway(f"{self._topic} cannot be read ({type(error).__name__}).") from error
        return found

    async def _of(self, partition: TopicPartition, offsets: Sequence[int]) -> AsyncIterator[ConsumerRecord[Any, Any]]:
        """The records at these ascending offsets, as far as they are kept."""
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        self._consumer.assign([partition])
        position = None
        for offset in offsets:
            if not first <= offset < end:
                continue
            if offset != position:  # a needless seek would throw away what is fetched already
                self._consumer.seek(partition, offset)
            record = await self._consumer.getone(partition)
            position = record.offset + 1
            if record.offset == offset:
                yield record


def _as_it_is(record: ConsumerRecord[Any, Any]) -> Record:
    return Record(record.topic, record.key, record.value, tuple(record.headers))

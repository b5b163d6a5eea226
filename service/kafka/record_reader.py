"""Reads single records of a topic by their position, outside of any consumer group."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from service.dead_letters.records import Read
from service.domain.errors import BrokerAway
from service.domain.model import Position, Record
from service.kafka.connection import connection_options
from service.kafka.consumer_record import record_of
from service.kafka.event_stream import require_topic
from service.kafka.topic_admin import LETTER_BYTES
from service.settings import KafkaSettings

READ_SECONDS = 30.0


@asynccontextmanager
async def record_reader(kafka: KafkaSettings, topic: str) -> AsyncIterator[Read]:
    """Give a way to read single records of a topic. Raises `NoTopics` and `KafkaError`."""
    await require_topic(kafka, topic)
    consumer = AIOKafkaConsumer(
        **connection_options(kafka),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=LETTER_BYTES,
    )
    try:
        await consumer.start()
        yield _RecordReader(consumer, topic)
    finally:
        await consumer.stop()


class _RecordReader:
    """Reads the records at given positions; those that are no longer kept are left out."""

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
                for number, offsets in wanted.items():
                    partition = TopicPartition(self._topic, number)
                    async for record in self._read_partition(partition, sorted(offsets)):
                        found[Position(number, record.offset)] = record_of(record)
        except (TimeoutError, KafkaError) as error:
            raise BrokerAway("reading", topic=self._topic, error=type(error).__name__) from error
        return found

    async def _read_partition(
        self, partition: TopicPartition, offsets: Sequence[int]
    ) -> AsyncIterator[ConsumerRecord[Any, Any]]:
        """Read the records at these ascending offsets, as far as they are kept."""
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        self._consumer.assign([partition])
        position = None
        for offset in offsets:
            if not first <= offset < end:
                continue
            if offset != position:
                # A needless seek would throw away the records that are fetched already.
                self._consumer.seek(partition, offset)
            record = await self._consumer.getone(partition)
            position = record.offset + 1
            if record.offset == offset:
                yield record

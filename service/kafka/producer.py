"""The producer: it sends records exactly as they are, and waits for the broker's acknowledgement."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from service import crash
from service.domain.errors import BrokerAway, Environment
from service.domain.model import Position, Record
from service.jobs.outbox import Publish
from service.kafka.connection import connection_options
from service.settings import KafkaSettings

REQUEST_BYTES = 64 * 2**20
"""The largest record sent: far above what any topic takes, so that the topic's own limit decides and can be raised."""


CLOSE_SECONDS = 10.0
"""How long a producer may take to close: without a broker it would wait for ever."""


class RecordRefused(Environment):
    """The broker refuses a record for its size; raise `max.message.bytes` of the topic above the largest job's."""

    code = "record_refused"


class Producer:
    """Sends records exactly as they are, a null value included, and waits for the broker's ack."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `KafkaError` where no broker answers."""
        producer = AIOKafkaProducer(
            **connection_options(self._kafka),
            acks="all",
            enable_idempotence=True,
            max_request_size=REQUEST_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Disconnect; harmless where nothing was connected."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, record: Record) -> Position:
        """Send one record. Raises `BrokerAway`, or `RecordRefused` where the broker will never take it."""
        if self._producer is None:
            raise BrokerAway("not_connected")
        try:
            sending = await _send(self._producer, record)
            crash.point("after_publish")
            sent = await sending
        except MessageSizeTooLargeError as error:
            raise RecordRefused("topic", topic=record.topic) from error
        except KafkaError as error:
            raise BrokerAway(
                "publishing", topic=record.topic, error=type(error).__name__
            ) from error
        return Position(sent.partition, sent.offset)


async def _send(producer: AIOKafkaProducer, record: Record) -> Awaitable[Any]:
    """Hand a record to the producer; what is returned waits for the ack, and tells where the record lies."""
    headers = list(record.headers)
    acknowledged: Awaitable[Any]
    if record.key is not None or record.value is not None:
        acknowledged = await producer.send(
            record.topic, record.value, key=record.key, headers=headers
        )
    else:
        # aiokafka's `send` asserts that there is a key or a value; other clients produce records without either
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers)
        batch.close()
        partition = random.choice(sorted(await producer.partitions_for(record.topic)))
        acknowledged = await producer.send_batch(batch, record.topic, partition=partition)
    return acknowledged


@asynccontextmanager
async def connected_producer(kafka: KafkaSettings) -> AsyncIterator[Publish]:
    """A way to send records. Raises `KafkaError` where no broker answers."""
    producer = Producer(kafka)
    await producer.start()
    try:
        yield producer.publish
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), CLOSE_SECONDS)

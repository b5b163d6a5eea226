"""The producer. It sends records exactly as they are, and waits for the acknowledgement."""

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
"""The largest request in bytes. It is far above what any topic takes: the topic's own limit
decides.
"""

CLOSE_SECONDS = 10.0
"""How long a command's producer may take to close. Without a broker it would never end."""


class RecordRefused(Environment):
    """The broker refuses a record because it is too large for its topic."""

    code = "record_refused"


class Producer:
    """Sends records, null values included, and waits for the broker's acknowledgement."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `KafkaError` if no broker answers."""
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
        """Disconnect. Does nothing if it is not connected."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def publish(self, record: Record) -> Position:
        """Send one record and return where the broker put it.

        Raises `BrokerAway`, or `RecordRefused` if the record is larger than its topic allows.
        """
        if self._producer is None:
            raise BrokerAway("not_connected")
        try:
            acknowledgement = await _send(self._producer, record)
            crash.point("after_publish")
            sent = await acknowledgement
        except MessageSizeTooLargeError as error:
            raise RecordRefused("topic", topic=record.topic) from error
        except KafkaError as error:
            reason = type(error).__name__
            raise BrokerAway("publishing", topic=record.topic, error=reason) from error
        return Position(sent.partition, sent.offset)


async def _send(producer: AIOKafkaProducer, record: Record) -> Awaitable[Any]:
    """Hand a record to the producer; await the result for the acknowledgement and the position."""
    headers = list(record.headers)
    acknowledgement: Awaitable[Any]
    if record.key is not None or record.value is not None:
        acknowledgement = await producer.send(
            record.topic, record.value, key=record.key, headers=headers
        )
    else:
        # aiokafka's `send` asserts that a record has a key or a value. Other clients produce
        # records that have neither, and such a record must reach the dead-letter topic as it is.
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers)
        batch.close()
        partition = random.choice(sorted(await producer.partitions_for(record.topic)))
        acknowledgement = await producer.send_batch(batch, record.topic, partition=partition)
    return acknowledgement


@asynccontextmanager
async def connected_producer(kafka: KafkaSettings) -> AsyncIterator[Publish]:
    """Give a short command a way to publish. Raises `KafkaError` if no broker answers."""
    producer = Producer(kafka)
    await producer.start()
    try:
        yield producer.publish
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), CLOSE_SECONDS)

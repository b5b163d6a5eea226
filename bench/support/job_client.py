"""The application's part on Kafka: it produces jobs, waits for their events and takes the time."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from service.contract.topics import Topics
from service.domain.provider_types import ProviderType
from service.kafka.connection import connection_options
from service.kafka.topic_admin import ensure_topics
from service.settings import Settings

CSV_PER_YEAR = ProviderType.CSV_MODULE_PER_YEAR
LONGEST = 1800.0
"""Seconds to wait for an event."""


class JobClient:
    """Sends jobs to one topic, and reads new completion events of all partitions."""

    def __init__(
        self, topics: Topics, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer
    ) -> None:
        self.topics = topics
        self._producer = producer
        self._consumer = consumer

    async def timed(
        self, message: dict[str, Any], topic: str | None = None
    ) -> tuple[float, dict[str, Any]]:
        """Send a job; return the seconds until its event, and the event.

        Raises `RuntimeError` if the job did not succeed.
        """
        before = time.perf_counter()
        await self._producer.send_and_wait(
            topic or self.topics.job_topic(CSV_PER_YEAR), orjson.dumps(message)
        )
        (event,) = await self.events({message["job_id"]})
        return time.perf_counter() - before, event

    async def put(self, topic: str, messages: Iterable[tuple[int, dict[str, Any]]]) -> None:
        """Produce messages to given partitions of a topic, all at once."""
        sent = [
            await self._producer.send(topic, orjson.dumps(body), partition=number)
            for number, body in messages
        ]
        await asyncio.gather(*sent)

    async def events(self, job_ids: set[int]) -> Sequence[dict[str, Any]]:
        """Wait for one event of each job. Raises `RuntimeError` if a job did not succeed."""
        events: dict[int, dict[str, Any]] = {}
        async with asyncio.timeout(LONGEST):
            while len(events) < len(job_ids):
                record = await self._consumer.getone()
                event = orjson.loads(record.value)
                if event["job_id"] in job_ids:
                    if event["outcome"] != "succeeded":
                        raise RuntimeError(f"a measured job did not succeed: {event}")
                    events[event["job_id"]] = event
        return list(events.values())


@asynccontextmanager
async def connected_client(settings: Settings) -> AsyncIterator[JobClient]:
    """Yield a client for the topics of these settings; it creates the topics."""
    topics = Topics(settings.kafka.topic_prefix)
    await ensure_topics(settings.kafka, topics)
    producer = AIOKafkaProducer(**connection_options(settings.kafka), acks="all")
    consumer = AIOKafkaConsumer(
        **connection_options(settings.kafka), fetch_max_wait_ms=20, enable_auto_commit=False
    )
    await producer.start()
    await consumer.start()
    partitions = [
        TopicPartition(topics.completed, number) for number in range(settings.kafka.partitions)
    ]
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    try:
        yield JobClient(topics, producer, consumer)
    finally:
        await consumer.stop()
        await producer.stop()

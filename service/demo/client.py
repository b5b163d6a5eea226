"""The application's part on Kafka: it produces jobs, and reads the events that end them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from service.contract.topics import Topics
from service.demo.author import OutgoingJob
from service.kafka.connection import connection_options
from service.settings import KafkaSettings

EVENT_TIMEOUT = 60.0
"""Seconds to wait for the event of a job."""


class Client:
    """Sends one job after the other, and waits for the event of each."""

    def __init__(
        self, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer, topics: Topics
    ) -> None:
        self._producer = producer
        self._consumer = consumer
        self._topics = topics

    def topic_of(self, message: OutgoingJob) -> str:
        """Return the name of the topic that a message goes to."""
        return self._topics.job_topic(message.provider_type)

    async def submit(
        self, message: OutgoingJob, worker_is_alive: Callable[[], bool]
    ) -> ConsumerRecord[Any, Any]:
        """Produce a job's message, and return the Kafka record of the event that ends the job.

        Raises `TimeoutError` when no event comes in time, and at once when the worker is not alive.
        """
        topic = self.topic_of(message)
        await self._producer.send_and_wait(topic, message.value, key=message.key.encode())
        async with asyncio.timeout(EVENT_TIMEOUT):
            while worker_is_alive():
                for records in (await self._consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        if orjson.loads(record.value)["job_id"] == message.job_id:
                            return record
        raise TimeoutError


@asynccontextmanager
async def connected(kafka: KafkaSettings) -> AsyncIterator[Client]:
    """Yield a client of the worker; it reads new events only, no event from before."""
    topics = Topics(kafka.topic_prefix)
    producer = AIOKafkaProducer(**connection_options(kafka), acks="all", max_request_size=2**21)
    consumer = AIOKafkaConsumer(
        **connection_options(kafka), fetch_max_wait_ms=50, enable_auto_commit=False
    )
    async with producer, consumer:
        partitions = await producer.partitions_for(topics.completed)
        consumer.assign([TopicPartition(topics.completed, number) for number in partitions])
        await consumer.seek_to_end()
        yield Client(producer, consumer, topics)

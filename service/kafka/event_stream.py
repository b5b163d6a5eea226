"""Events as they come from Kafka, read from all partitions and in no group: nobody else gets fewer for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError
from pydantic import ValidationError

from service.contract.events import (
    COMPLETED,
    PARKED,
    PROGRESS,
    UploadCompleted,
    UploadParked,
    UploadProgress,
)
from service.contract.headers import CE_TYPE
from service.domain.errors import Environment
from service.kafka.connection import connection_options
from service.settings import KafkaSettings

Event = UploadCompleted | UploadParked | UploadProgress

_BODIES: dict[bytes, type[Event]] = {
    COMPLETED.encode(): UploadCompleted,
    PARKED.encode(): UploadParked,
    PROGRESS.encode(): UploadProgress,
}

_METADATA_MS = 10_000
"""How long a topic is waited for that the broker may be about to create."""


class NoTopics(Environment):
    """Kafka lacks the service's topics; start a worker, which creates them, or correct UPLOADS_KAFKA__TOPIC_PREFIX."""

    code = "no_topics"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event, the bytes it came as, and when the broker took it."""

    event: Event
    value: bytes
    at: datetime


async def require_topic(kafka: KafkaSettings, *any_of: str) -> None:
    """Make sure that a worker was here, so that no job waits in a topic that nobody reads.

    Raises `NoTopics` where the broker shows none of these, and `KafkaError` where it does not answer.
    """
    admin = AIOKafkaAdminClient(**connection_options(kafka))
    try:
        await admin.start()
        if not {*any_of}.intersection(await admin.list_topics()):
            raise NoTopics("missing", topics=[any_of[0]])
    finally:
        await admin.close()


@asynccontextmanager
async def listen_to_events(
    kafka: KafkaSettings, *topics: str, from_beginning: bool = False
) -> AsyncIterator[AsyncIterator[ReceivedEvent]]:
    """The events of these topics, from this moment on or from the first one kept; they never end.

    Whatever is published once the context is entered will be heard. Raises `NoTopics` and `KafkaError`.
    """
    consumer = AIOKafkaConsumer(
        *topics,
        **connection_options(kafka),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=_METADATA_MS,
    )
    try:
        await consumer.start()
        if not from_beginning:
            await _skip_what_is_there(consumer)
        yield _events(consumer)
    except UnknownTopicOrPartitionError:
        raise NoTopics("missing", topics=topics) from None
    finally:
        await consumer.stop()


async def _skip_what_is_there(consumer: Any) -> None:
    for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
        consumer.seek(partition, end)


async def _events(consumer: Any) -> AsyncIterator[ReceivedEvent]:
    async for record in consumer:
        body = _BODIES.get(dict(record.headers).get(CE_TYPE, b""))
        if body is None or record.value is None:
            continue
        try:
            event = body.model_validate_json(record.value)
        except ValidationError:  # of a later version, or somebody else's
            continue
        yield ReceivedEvent(
            event, record.value, datetime.fromtimestamp(record.timestamp / 1000, UTC)
        )

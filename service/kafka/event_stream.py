"""Reads events from all partitions of their topics, outside of any consumer group.

So any number of readers may listen, and each gets every event.
"""

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
"""How long to wait for a topic that the broker may be about to create."""


class NoTopics(Environment):
    """The broker has none of the topics that were asked for."""

    code = "no_topics"


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event, its bytes as they came, and the time of its record."""

    event: Event
    value: bytes
    at: datetime


async def require_topic(kafka: KafkaSettings, *any_of: str) -> None:
    """Check that one of these topics exists. A worker creates them, so a job will be read.

    A worker creates all of its topics at once. So the error names only the first topic: it stands
    for all, and the caller passes the most important one first.

    Raises `NoTopics` if there is none, and `KafkaError` if no broker answers.
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
    """Listen to topics, from this moment on or from the first event that is kept.

    The stream never ends. It has every event that is published after the context was entered.
    Raises `NoTopics` and `KafkaError`.
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
            await _skip_to_the_end(consumer)
        yield _events(consumer)
    except UnknownTopicOrPartitionError:
        raise NoTopics("missing", topics=topics) from None
    finally:
        await consumer.stop()


async def _skip_to_the_end(consumer: Any) -> None:
    for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
        consumer.seek(partition, end)


async def _events(consumer: Any) -> AsyncIterator[ReceivedEvent]:
    async for record in consumer:
        body = _BODIES.get(dict(record.headers).get(CE_TYPE, b""))
        if body is None or record.value is None:
            continue
        try:
            event = body.model_validate_json(record.value)
        except ValidationError:
            # an event of a later version, or of somebody else
            continue
        taken_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        yield ReceivedEvent(event, record.value, taken_at)

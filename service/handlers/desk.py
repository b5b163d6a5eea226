"""Where the doormen stand: one subscriber a topic, raw records, offsets decided by us alone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiokafka import ConsumerRecord
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from service.domain import ProviderType
from service.handlers.lane import Lane
from service.handlers.settle import Settler
from service.settings import KafkaSettings, LimitSettings
from service.topics import Topics

Handler = Callable[[KafkaMessage], Awaitable[None]]

POLL_MARGIN = 60.0
"""Seconds that a consumer may be silent beyond the longest job before the group gives up on it."""


class Desk:
    """Subscribes handlers to job topics, each with a lane of its own, and hands their records on."""

    def __init__(
        self, broker: KafkaBroker, settler: Settler, topics: Topics, kafka: KafkaSettings, limits: LimitSettings
    ) -> None:
        self.lanes: dict[ProviderType, Lane] = {}
        self._broker = broker
        self._settler = settler
        self._topics = topics
        self._kafka = kafka
        self._patience = round((limits.job_seconds + POLL_MARGIN) * 1000)

    def subscriber(self, provider_type: ProviderType) -> Callable[[Handler], Any]:
        """Subscribe a handler to the topic of a provider type, in the group named after the topic."""
        topic = self._topics.jobs(provider_type)
        lane = self.lanes[provider_type] = Lane(topic, self._settler.breaker)
        return self._broker.subscriber(
            topic,
            group_id=topic,
            title=provider_type.value,
            parser=_parse,
            decoder=_undecoded,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            listener=lane,
            max_poll_interval_ms=self._patience,
            rebalance_timeout_ms=self._patience,
            session_timeout_ms=round(self._kafka.session_timeout * 1000),
            heartbeat_interval_ms=round(self._kafka.session_timeout * 1000 / 10),
            max_partition_fetch_bytes=2 * 2**20,
            # a fetch under way leaves out the partition of the record in hand: its next record waits for the end of it
            fetch_max_wait_ms=100,
        )

    async def settle(self, provider_type: ProviderType, message: KafkaMessage) -> None:
        """Take one record of a topic to its end, or back to its partition."""
        record: Any = message.raw_message
        consumer: Any = message.consumer
        await self._settler.settle(provider_type, record, consumer, self.lanes[provider_type])

    async def rest(self, within: float) -> None:
        """Let every lane do what is left of its last record, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*(lane.rest() for lane in self.lanes.values()))


async def _parse(record: ConsumerRecord[Any, Any], original: Callable[[Any], Awaitable[Any]]) -> Any:
    """A message of any record: headers that are no text must not keep it from the handler, which parks it."""
    parsed = await original(_Readable(record))
    parsed.raw_message = record
    return parsed


class _Readable:
    """A record as FastStream's parser can read it, whatever its headers hold."""

    def __init__(self, record: ConsumerRecord[Any, Any]) -> None:
        self._record = record
        self.headers = [(name, (value or b"").decode("utf-8", "replace").encode()) for name, value in record.headers]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    """What a handler is given: the message whole, for its meaning is decided in `messages.parse`."""
    return message

"""The subscriptions: one FastStream subscriber for each job topic, with a topic consumer of its
own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from service.contract.topics import Topics
from service.domain.provider_types import ProviderType
from service.handlers.dispatch import Dispatcher
from service.handlers.faststream_overrides import keep_undecoded, parse_any_record
from service.handlers.topic_consumer import TopicConsumer
from service.kafka.topic_admin import RECORD_BYTES
from service.settings import KafkaSettings, LimitSettings

Handler = Callable[[KafkaMessage], Awaitable[None]]

POLL_MARGIN = 60.0
"""Seconds that a consumer may be silent beyond the longest job before it loses its partitions.

The end of the longest job takes some seconds more: its event is published, its offset committed.
"""

HEARTBEATS_PER_SESSION = 10
"""So that a few lost heartbeats do not end the membership in the group."""

FETCH_WAIT_MS = 100
"""How long a fetch waits at the broker for a record.

While a record is processed, its partition is not part of the fetch that is waiting. Its next
record is requested only by the following fetch, so a long wait would delay it.
"""


class Subscriptions:
    """Subscribes handlers to job topics and passes their records to the dispatcher."""

    def __init__(
        self,
        broker: KafkaBroker,
        dispatcher: Dispatcher,
        topics: Topics,
        kafka: KafkaSettings,
        limits: LimitSettings,
    ) -> None:
        self.topic_consumers: dict[ProviderType, TopicConsumer] = {}
        self._broker = broker
        self._dispatcher = dispatcher
        self._topics = topics
        self._session_ms = round(kafka.session_timeout * 1000)
        self._longest_silence_ms = round((limits.job_seconds + POLL_MARGIN) * 1000)

    def subscriber(self, provider_type: ProviderType) -> Callable[[Handler], Any]:
        """Subscribe a handler to a provider type's topic, in the group named after the topic."""
        topic = self._topics.job_topic(provider_type)
        topic_consumer = TopicConsumer(topic, self._dispatcher.breaker)
        self.topic_consumers[provider_type] = topic_consumer
        return self._broker.subscriber(
            topic,
            group_id=topic,
            title=provider_type.value,
            parser=parse_any_record,
            decoder=keep_undecoded,
            # The dispatcher alone commits offsets, partition by partition.
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            listener=topic_consumer,
            # A consumer that works on one job fetches nothing. Kafka must not take it for dead,
            # and a rebalance must wait for the end of its job.
            max_poll_interval_ms=self._longest_silence_ms,
            rebalance_timeout_ms=self._longest_silence_ms,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=self._session_ms // HEARTBEATS_PER_SESSION,
            max_partition_fetch_bytes=RECORD_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    def require_all(self) -> None:
        """Check that every provider type has a handler. Raises `RuntimeError` naming those
        without.
        """
        missing = [known for known in ProviderType if known not in self.topic_consumers]
        if missing:
            raise RuntimeError(f"no handler subscribes to {', '.join(missing)}")

    async def dispatch(self, provider_type: ProviderType, message: KafkaMessage) -> None:
        """Process one record, then commit its offset or seek back to it."""
        record: Any = message.raw_message
        kafka_consumer: Any = message.consumer
        topic_consumer = self.topic_consumers[provider_type]
        await self._dispatcher.dispatch(provider_type, record, kafka_consumer, topic_consumer)

    def stop_waiting(self) -> None:
        """End all pauses between tries, and let none begin: the process is about to stop."""
        for topic_consumer in self.topic_consumers.values():
            topic_consumer.stop_waiting()

    async def wait_until_finished(self, within: float) -> None:
        """Wait until the pending offsets are committed, for at most so many seconds."""
        pending = [one.wait_until_finished() for one in self.topic_consumers.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*pending)

"""Where the doormen stand: one subscriber a topic, raw records, offsets decided by us alone."""

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
from service.settings import KafkaSettings, LimitSettings

Handler = Callable[[KafkaMessage], Awaitable[None]]

POLL_MARGIN = 60.0
"""Seconds that a consumer may be silent beyond the longest job before the group gives up on it."""


class Subscriptions:
    """Subscribes handlers to job topics, each with a lane of its own, and hands their records on."""

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
        self._kafka = kafka
        self._patience = round((limits.job_seconds + POLL_MARGIN) * 1000)

    def subscriber(self, provider_type: ProviderType) -> Callable[[Handler], Any]:
        """Subscribe a handler to the topic of a provider type, in the group named after the topic."""
        topic = self._topics.job_topic(provider_type)
        topic_consumer = self.topic_consumers[provider_type] = TopicConsumer(
            topic, self._dispatcher.breaker
        )
        return self._broker.subscriber(
            topic,
            group_id=topic,
            title=provider_type.value,
            parser=parse_any_record,
            decoder=keep_undecoded,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            listener=topic_consumer,
            max_poll_interval_ms=self._patience,
            rebalance_timeout_ms=self._patience,
            session_timeout_ms=round(self._kafka.session_timeout * 1000),
            heartbeat_interval_ms=round(self._kafka.session_timeout * 1000 / 10),
            max_partition_fetch_bytes=2 * 2**20,
            # a fetch under way leaves out the partition of the record in hand: its next record waits for the end of it
            fetch_max_wait_ms=100,
        )

    async def dispatch(self, provider_type: ProviderType, message: KafkaMessage) -> None:
        """Take one record of a topic to its end, or back to its partition."""
        record: Any = message.raw_message
        consumer: Any = message.consumer
        await self._dispatcher.dispatch(
            provider_type, record, consumer, self.topic_consumers[provider_type]
        )

    async def wait_until_finished(self, within: float) -> None:
        """Let every lane do what is left of its last record, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(
                    *(
                        topic_consumer.wait_until_finished()
                        for topic_consumer in self.topic_consumers.values()
                    )
                )

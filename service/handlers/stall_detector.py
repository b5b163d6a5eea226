"""Looks at FastStream's consumers from outside, to find one that has stopped.

After a restart of the broker aiokafka can stop for good while its tasks look alive. So progress is
what counts: a consumer that is behind and idle, and does not move while the broker answers, never
will.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from service.handlers.topic_consumer import TopicConsumer
from service.kafka.aiokafka_internals import broker_answers, fetch_position, is_group_member

END_OFFSETS_SECONDS = 5.0

OnStall = Callable[[str], None]
"""Is called with the topic whose consumer has stopped."""


class StallDetector:
    """Asks the consumers of one broker whether they work, and watches their progress.

    The `why_not_…` questions are for the health probes: the answer is None if all is well, else a
    text that says what is wrong.
    """

    def __init__(self, broker: KafkaBroker, topic_consumers: Mapping[str, TopicConsumer]) -> None:
        self._broker = broker
        self._topic_consumers = topic_consumers
        self._last_seen: dict[str, tuple[object, float]] = {}

    async def why_not_consuming(self) -> str | None:
        """Name the topics whose consume task has ended: only a restart helps there."""
        dead = [
            topic
            for topic, subscriber in self.subscribers().items()
            if all(task.done() for task in subscriber.tasks)
        ]
        return f"nobody consumes {', '.join(dead)}" if dead else None

    async def why_not_connected(self) -> str | None:
        """Check that every consumer can talk to a broker."""
        for consumer in self.consumers().values():
            if not await broker_answers(consumer):
                return "Kafka does not answer"
        return None

    async def why_not_assigned(self) -> str | None:
        """Name the topics whose consumer is no member of its group yet.

        A member may have no partition: there can be more members than partitions.
        """
        consumers = self.consumers()
        waiting = [
            topic
            for topic in self.subscribers()
            if topic not in consumers or not is_group_member(consumers[topic])
        ]
        return f"no partitions yet of {', '.join(waiting)}" if waiting else None

    async def watch(self, on_stall: OnStall, *, patience: float) -> None:
        """Look again and again; report each consumer without progress for `patience` seconds."""
        while True:
            await asyncio.sleep(patience / 5)
            for topic, consumer in self.consumers().items():
                if await self._has_stalled(topic, consumer, patience):
                    on_stall(topic)

    async def _has_stalled(self, topic: str, consumer: AIOKafkaConsumer, patience: float) -> bool:
        backlog = None
        if not self._is_busy(topic):
            backlog = await _backlog_of(consumer)
        if backlog is None:
            self._last_seen.pop(topic, None)
            return False
        before, since = self._last_seen.get(topic, (None, 0.0))
        if backlog != before:
            self._last_seen[topic] = (backlog, monotonic())
            return False
        return monotonic() - since > patience

    def _is_busy(self, topic: str) -> bool:
        topic_consumer = self._topic_consumers.get(topic)
        return topic_consumer is not None and topic_consumer.in_flight is not None

    def subscribers(self) -> dict[str, Any]:
        """Return FastStream's subscribers, by topic."""
        subscribers: list[Any] = list(self._broker.subscribers)
        return {subscriber.topic_names[0]: subscriber for subscriber in subscribers}

    def consumers(self) -> dict[str, AIOKafkaConsumer]:
        """Return the consumers that are connected, by topic."""
        subscribers = self.subscribers()
        return {
            topic: subscriber.consumer
            for topic, subscriber in subscribers.items()
            if subscriber.consumer is not None
        }


async def _backlog_of(consumer: AIOKafkaConsumer) -> object | None:
    """What a consumer still has to do, in a form that two looks can compare.

    None if it has nothing to do, or if no broker answers. Without membership in its group it has
    everything to do.
    """
    if not await broker_answers(consumer):
        return None
    if not is_group_member(consumer):
        return "no member of its group"
    partitions = consumer.assignment()
    if not partitions:
        return None
    try:
        asked = consumer.end_offsets(partitions)
        ends = await asyncio.wait_for(asked, END_OFFSETS_SECONDS)
    except (KafkaError, TimeoutError):
        return None
    positions = {partition: fetch_position(consumer, partition) for partition in partitions}
    behind = {
        partition: position
        for partition, position in positions.items()
        if position is None or position < ends[partition]
    }
    return behind or None

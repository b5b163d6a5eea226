"""Looks at FastStream's consumers from outside, to tell whether they still consume.

After a broker's restart aiokafka can stop for good while its tasks look alive, so what counts is progress:
a consumer that is behind, idle and not moving while the broker answers will never move again.
"""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from service.handlers.topic_consumer import TopicConsumer

Stalled = Callable[[str], None]
"""Is told the topic whose consumer has stopped for good."""


class StallDetector:
    """Questions to the consumers of one broker; each answer is None, or what is wrong."""

    def __init__(self, broker: KafkaBroker, topic_consumers: Mapping[str, TopicConsumer]) -> None:
        self._broker = broker
        self._topic_consumers = topic_consumers
        self._seen: dict[str, tuple[object, float]] = {}

    async def consuming(self) -> str | None:
        """A consume task that has ended will never take another record: only a restart helps."""
        dead = [
            topic
            for topic, sub in self.subscribers().items()
            if all(task.done() for task in sub.tasks)
        ]
        return f"nobody consumes {', '.join(dead)}" if dead else None

    async def broker_answers(self) -> str | None:
        """Every consumer has a broker that it can talk to."""
        for consumer in self.consumers().values():
            if not await _answers(consumer):
                return "Kafka does not answer"
        return None

    async def assigned(self) -> str | None:
        """Every consumer is a member of its group; with more members than partitions, it may have none."""
        consumers = self.consumers()
        waiting = [
            t for t in self.subscribers() if t not in consumers or not _is_member(consumers[t])
        ]
        return f"no partitions yet of {', '.join(waiting)}" if waiting else None

    async def watch(self, stalled: Stalled, *, patience: float) -> None:
        """Look again and again; tell of a consumer that made no progress for `patience` seconds."""
        while True:
            await asyncio.sleep(patience / 5)
            for topic, consumer in self.consumers().items():
                if await self._stands_still(topic, consumer, patience):
                    stalled(topic)

    async def _stands_still(self, topic: str, consumer: Any, patience: float) -> bool:
        topic_consumer = self._topic_consumers.get(topic)
        behind = (
            None
            if topic_consumer is not None and topic_consumer.in_flight is not None
            else await _behind(consumer)
        )
        if behind is None:
            self._seen.pop(topic, None)
            return False
        before, since = self._seen.get(topic, (None, 0.0))
        if behind != before:
            self._seen[topic] = (behind, monotonic())
            return False
        return monotonic() - since > patience

    def subscribers(self) -> dict[str, Any]:
        """FastStream's subscribers, by topic."""
        return {sub.topic_names[0]: sub for sub in self._broker.subscribers}  # type: ignore[attr-defined]

    def consumers(self) -> dict[str, Any]:
        """The consumers that are connected, by topic."""
        return {
            topic: sub.consumer
            for topic, sub in self.subscribers().items()
            if sub.consumer is not None
        }


async def _behind(consumer: Any) -> object | None:
    """What a consumer still has to do, to be compared with a later look; None where it has nothing, or no broker.

    Without membership in its group it has everything to do.
    """
    if not await _answers(consumer):
        return None
    if not _is_member(consumer):
        return "no member of its group"
    partitions = consumer.assignment()
    try:
        ends = await asyncio.wait_for(consumer.end_offsets(partitions), 5) if partitions else {}
    except (KafkaError, TimeoutError):
        return None
    positions = {partition: _position(consumer, partition) for partition in partitions}
    lagging = {
        p: position for p, position in positions.items() if position is None or position < ends[p]
    }
    return lagging or None


def _position(consumer: Any, partition: Any) -> int | None:
    """Where a consumer is; None before its first fetch. Its public `position()` would wait for that."""
    assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
    state = assignment and assignment.state_value(partition)
    return state.position if state is not None and state.has_valid_position else None


async def _answers(consumer: Any) -> bool:
    """Whether a broker answers; aiokafka has no public ping."""
    try:
        return bool(await asyncio.wait_for(consumer._client.force_metadata_update(), 5))  # noqa: SLF001
    except (KafkaError, TimeoutError):
        return False


def _is_member(consumer: Any) -> bool:
    return bool(consumer.assignment()) or consumer._coordinator.generation > 0  # noqa: SLF001

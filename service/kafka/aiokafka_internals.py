"""What we read of aiokafka's private parts, all of it.

aiokafka has no public way to ask these questions. Its version is bounded from above in
`pyproject.toml`, and `tests/kafka/test_aiokafka_internals.py` asks each question of a real
consumer: run it before the bound is raised.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

ANSWER_SECONDS = 5.0


async def broker_answers(consumer: AIOKafkaConsumer) -> bool:
    """Return True if a broker answers within five seconds. aiokafka has no public ping."""
    client: Any = consumer._client  # noqa: SLF001 - see the module
    try:
        return bool(await asyncio.wait_for(client.force_metadata_update(), ANSWER_SECONDS))
    except (KafkaError, TimeoutError):
        return False


def is_group_member(consumer: AIOKafkaConsumer) -> bool:
    """Return True if the consumer has joined its group, even if it was given no partition."""
    coordinator: Any = consumer._coordinator  # noqa: SLF001 - see the module
    return bool(consumer.assignment()) or coordinator.generation > 0


def fetch_position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """Return the next offset to be fetched, None before the first fetch.

    The public `position()` would wait for the first fetch.
    """
    subscription: Any = consumer._subscription.subscription  # noqa: SLF001 - see the module
    assignment = subscription.assignment
    if not assignment:
        return None
    state = assignment.state_value(partition)
    if state is None or not state.has_valid_position:
        return None
    position: int = state.position
    return position

"""Looks at FastStream's consumers from outside, to tell whether they still consume."""

from typing import Any

from faststream.kafka import KafkaBroker


class Vigil:
    """Questions to the consumers of one broker; each answer is None, or what is wrong."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker

    async def consuming(self) -> str | None:
        """A consume task that has ended will never take another record: only a restart helps."""
        dead = [sub.topic_names[0] for sub in self._subscribers if not sub.tasks or all(t.done() for t in sub.tasks)]
        return f"nobody consumes {', '.join(dead)}" if dead else None

    async def broker_answers(self) -> str | None:
        """Every consumer has a broker that it can talk to."""
        for consumer in self._consumers:
            if not await consumer._client.force_metadata_update():  # noqa: SLF001 - aiokafka has no public ping
                return "Kafka does not answer"
        return None

    async def assigned(self) -> str | None:
        """Every consumer is a member of its group; with more members than partitions, it may have none."""
        waiting = [
            sub.topic_names[0] for sub in self._subscribers if sub.consumer is None or not _is_member(sub.consumer)
        ]
        return f"no partitions yet of {', '.join(waiting)}" if waiting else None

    @property
    def _subscribers(self) -> list[Any]:
        return list(self._broker.subscribers)

    @property
    def _consumers(self) -> list[Any]:
        return [sub.consumer for sub in self._subscribers if sub.consumer is not None]


def _is_member(consumer: Any) -> bool:
    return bool(consumer.assignment()) or consumer._coordinator.generation > 0  # noqa: SLF001 - as above

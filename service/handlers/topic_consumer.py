"""One topic's lane: the job in hand, and who must wait for it to end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from service.handlers.breaker import Breaker
from service.jobs.processor import JobContext


@dataclass(frozen=True, slots=True)
class InFlightRecord:
    """The record in hand, since when, and how far its job has come."""

    partition: int
    offset: int
    context: JobContext
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


class TopicConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """The consumer of one topic handles one record at a time; a rebalance waits until it has ended.

    A job that only waits for its next try is given up at once instead: whoever gets the
    partition tries it again.
    """

    def __init__(self, topic: str, breaker: Breaker) -> None:
        self.topic = topic
        self._breaker = breaker
        self.in_flight: InFlightRecord | None = None
        self._busy = asyncio.Lock()
        self._leaving = asyncio.Event()
        self._tries: dict[TopicPartition, tuple[int, int]] = {}
        self._trail: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def working_on(self, hand: InFlightRecord) -> AsyncIterator[None]:
        """Have a record in hand; who waits for the lane waits until this ends."""
        async with self._busy:
            self.in_flight = hand
            try:
                yield
            finally:
                self.in_flight = None

    async def finish_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what is left of the record in hand beside the next one, after that of the record before.

        One record at most is behind in this, and none once the lane is to be given up. Raises what the
        work of the record before raised.
        """
        if self._trail is not None:
            await self._trail
        self._trail = asyncio.create_task(work)
        if self._leaving.is_set():
            await self._trail

    async def wait_until_finished(self) -> None:
        """Wait until nothing is left to do of the records that were in hand."""
        if self._trail is not None:
            await asyncio.wait({self._trail})

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002
        """Hold the rebalance until the job in hand has ended and its offset is committed."""
        self._leaving.set()
        async with self._busy:
            await self.wait_until_finished()
            self._tries.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take up work again."""
        self._breaker.partitions_assigned(self.topic, set(assigned))
        self._leaving.clear()

    def stop_waiting(self) -> None:
        """Give up waiting, here and in every pause to come: the process is about to stop."""
        self._leaving.set()

    async def wait(self, seconds: float) -> bool:
        """Wait that long; False at once when the partition is wanted elsewhere or the process stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
        return not self._leaving.is_set()

    def count_try(self, partition: TopicPartition, offset: int) -> int:
        """How often this record was tried here in a row, this time included."""
        last_offset, tries = self._tries.get(partition, (offset, 0))
        tries = tries + 1 if last_offset == offset else 1
        self._tries[partition] = (offset, tries)
        return tries

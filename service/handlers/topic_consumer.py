"""The consumer of one topic: its record in flight, and the rebalances that wait for its end."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

from service.handlers.breaker import Breaker
from service.jobs.processor import JobContext

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InFlightRecord:
    """The record that is being processed, since when, and how far its job has come."""

    partition: int
    offset: int
    context: JobContext
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


class TopicConsumer(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """The consumer of one topic. It processes one record at a time, and a rebalance waits for its
    end.

    A job that only waits for its next try does not hold a rebalance: the wait ends at once, and the
    worker that gets the partition tries the job again.
    """

    def __init__(self, topic: str, breaker: Breaker) -> None:
        self.topic = topic
        self.in_flight: InFlightRecord | None = None
        self._breaker = breaker
        # Held while a record is in flight. A rebalance takes it, and so waits for the record's end.
        self._busy = asyncio.Lock()
        # Set while partitions are being given up, or once the process stops: no pause is worth it.
        self._leaving = asyncio.Event()
        # The last offset of each partition, and how often this worker has tried its record.
        self._tries: dict[TopicPartition, tuple[int, int]] = {}
        # Commits the offset of the record before the one in flight.
        self._pending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def working_on(self, record: InFlightRecord) -> AsyncIterator[None]:
        """Mark a record as in flight. A rebalance waits until this context ends."""
        async with self._busy:
            self.in_flight = record
            try:
                yield
            finally:
                self.in_flight = None

    async def finish_in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Commit a record's offset and mark its job in the background; at most one record is
        pending.

        Waits for the pending work of the record before, and raises what that work raised. While a
        rebalance or the end of the process waits, this work is waited for too.
        """
        if self._pending is not None:
            await self._pending
        self._pending = asyncio.create_task(work)
        if self._leaving.is_set():
            await self._pending

    async def wait_until_finished(self) -> None:
        """Wait until no work is pending.

        An error of the work is not raised here: `finish_in_background` raises it for the next
        record. If there is none, the record comes again after the restart.
        """
        if self._pending is not None:
            await asyncio.wait({self._pending})

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Hold the rebalance until the record in flight is finished and its offset is committed."""
        self._leaving.set()
        async with self._busy:
            await self.wait_until_finished()
            self._tries.clear()
        self._log_partitions("partitions_revoked", revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go on with the partitions that the group gives to this worker."""
        self._breaker.partitions_assigned(self.topic, set(assigned))
        self._leaving.clear()
        self._log_partitions("partitions_assigned", assigned)

    def stop_waiting(self) -> None:
        """End the pause between tries, and let none begin: the process is about to stop."""
        self._leaving.set()

    async def wait(self, seconds: float) -> bool:
        """Wait between two tries. Returns False at once if the partition or the process must go."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
        return not self._leaving.is_set()

    def count_try(self, partition: TopicPartition, offset: int) -> int:
        """Return how often this worker has tried the record in a row, this time included."""
        last_offset, tries = self._tries.get(partition, (offset, 0))
        tries = tries + 1 if last_offset == offset else 1
        self._tries[partition] = (offset, tries)
        return tries

    def _log_partitions(self, event: str, partitions: Iterable[TopicPartition]) -> None:
        numbers = sorted(partition.partition for partition in partitions)
        if numbers:
            log.info(event, topic=self.topic, partitions=numbers)

"""The circuit breaker: while every job would fail alike, no job is tried except a probe."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from time import monotonic

import structlog
from aiokafka import TopicPartition

from service.domain.errors import UploadError

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How often a waiting topic consumer looks whether the breaker has closed."""

RecoveryProbe = Callable[[], Awaitable[bool]]
"""Asks whether the fault is gone, without trying a job on it."""


class Breaker:
    """Opens at the first environment failure, and closes when every record that met one is
    finished.

    Only such a record proves that the fault is gone: a job of another kind may succeed without
    ever touching what is broken. So the topics that hold such a record send the probes, and the
    others wait.
    """

    def __init__(self, probe_pause: float) -> None:
        self.error: UploadError | None = None
        self.opened_at: datetime | None = None
        self._probe_pause = probe_pause
        self._next_probe = 0.0
        self._recovery_probe: RecoveryProbe | None = None
        self._held: set[TopicPartition] = set()

    @property
    def is_open(self) -> bool:
        return self.error is not None

    def open(
        self,
        partition: TopicPartition,
        error: UploadError,
        recovery_probe: RecoveryProbe | None = None,
    ) -> None:
        """Hold all partitions because the next record of this one met an environment failure.

        The first failure is logged as an alert, its repeats are not. With a `recovery_probe`, that
        is asked instead of trying a job.
        """
        self._held.add(partition)
        # The latest failure decides how recovery is asked for: it is the one that holds us now.
        self._recovery_probe = recovery_probe
        if self.error is None:
            self.opened_at = datetime.now(UTC)
            self._next_probe = monotonic() + self._probe_pause
            log.critical(
                "breaker_opened",
                code=error.code,
                message=error.message,
                held_topic=partition.topic,
                held_partition=partition.partition,
            )
        self.error = error

    def record_finished(self, partition: TopicPartition) -> None:
        """Note that a record of this partition is finished: the next probe need not wait."""
        self._next_probe = 0.0
        self._release({partition})

    def partitions_assigned(self, topic: str, partitions: Collection[TopicPartition]) -> None:
        """Release the partitions of a topic that belong to another worker now."""
        lost = {held for held in self._held if held.topic == topic and held not in partitions}
        self._release(lost)

    async def wait_for_turn(self, topic: str, wait: Callable[[float], Awaitable[bool]]) -> bool:
        """Wait until the caller may try its job: at once while closed, as a probe while open.

        While open, one caller in each pause passes as a probe, and the others wait. Returns False
        if `wait` says that the caller must give up.
        """
        while self.is_open:
            if self._may_probe(topic) and monotonic() >= self._next_probe:
                self._next_probe = monotonic() + self._probe_pause
                if await self._probe():
                    return True
            elif not await wait(min(self._probe_pause, POLL_SECONDS)):
                return False
        return True

    def _release(self, partitions: set[TopicPartition]) -> None:
        self._held -= partitions
        # With a recovery probe, finished records prove nothing: the probe alone closes the breaker.
        if not self._held and self._recovery_probe is None:
            self._close()

    def _close(self) -> None:
        if self.error is not None:
            log.warning("breaker_closed", code=self.error.code, open_seconds=self._open_seconds())
        self.error = self.opened_at = self._recovery_probe = None
        self._held.clear()

    def _open_seconds(self) -> float | None:
        if self.opened_at is None:
            return None
        return round((datetime.now(UTC) - self.opened_at).total_seconds(), 1)

    def _may_probe(self, topic: str) -> bool:
        if self._recovery_probe is not None:
            return True
        return any(held.topic == topic for held in self._held)

    async def _probe(self) -> bool:
        """Return True if the caller may go on: as the probe, or because the fault is gone."""
        if self._recovery_probe is None:
            return True
        if await self._recovery_probe():
            self._close()
        return not self.is_open

"""The breaker: when every job would fail alike, none is tried but a probe now and then."""

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from time import monotonic

import structlog
from aiokafka import TopicPartition

from service.domain.errors import UploadError

log = structlog.get_logger(__name__)

GLANCE = 0.5
"""Seconds after which a lane that waits looks again whether the breaker has closed."""

RecoveryProbe = Callable[[], Awaitable[bool]]
"""Asks whether the fault is gone, without trying a job on it."""


class Breaker:
    """Open from the first failure of the environment until every record that met one is dealt with.

    Only those records prove anything: a job of another kind may end well without ever touching what is
    broken. So the topics that hold one send the probes, and the others wait.
    """

    def __init__(self, probe_pause: float) -> None:
        self.error: UploadError | None = None
        self.opened_at: datetime | None = None
        self._probe_pause = probe_pause
        self._next_probe = 0.0
        self._mended: RecoveryProbe | None = None
        self._held: set[TopicPartition] = set()

    @property
    def is_open(self) -> bool:
        return self.error is not None

    def open(
        self, partition: TopicPartition, error: UploadError, mended: RecoveryProbe | None = None
    ) -> None:
        """Hold all partitions for a failure of this one's next record. The first is an alert, its repeats are not.

        Where it can be asked whether the fault is `mended`, that is the probe; else a job is.
        """
        self._held.add(partition)
        self._mended = mended
        if self.error is None:
            self.opened_at = datetime.now(UTC)
            self._next_probe = monotonic() + self._probe_pause
            log.critical("breaker_opened", code=error.code, message=error.message)
        self.error = error

    def record_finished(self, partition: TopicPartition) -> None:
        """A record of this partition is dealt with: the next probe need not wait, and after the last one none is."""
        self._next_probe = 0.0
        self._forget({partition})

    def partitions_assigned(self, topic: str, partitions: Collection[TopicPartition]) -> None:
        """Forget what was held on partitions of a topic that are another worker's now."""
        self._forget(
            {held for held in self._held if held.topic == topic and held not in partitions}
        )

    def _forget(self, partitions: set[TopicPartition]) -> None:
        self._held -= partitions
        if not self._held and self._mended is None:
            self._close()

    def _close(self) -> None:
        if self.error is not None:
            log.warning("breaker_closed", code=self.error.code)
        self.error = self.opened_at = self._mended = None
        self._held.clear()

    async def wait_until_closed(self, topic: str, wait: Callable[[float], Awaitable[bool]]) -> bool:
        """Return at once while closed; else after a wait, one caller in each pause, as a probe.

        False where `wait` says to give up.
        """
        while self.is_open:
            if self._may_probe(topic) and monotonic() >= self._next_probe:
                self._next_probe = monotonic() + self._probe_pause
                if await self._probe():
                    return True
            elif not await wait(min(self._probe_pause, GLANCE)):
                return False
        return True

    def _may_probe(self, topic: str) -> bool:
        return self._mended is not None or any(held.topic == topic for held in self._held)

    async def _probe(self) -> bool:
        """Whether the caller may go on: as the probe, or because the fault is known to be mended."""
        if self._mended is None:
            return True
        if await self._mended():
            self._close()
        return not self.is_open

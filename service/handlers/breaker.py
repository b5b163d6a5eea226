"""The breaker: when every job would fail alike, none is tried but a probe now and then."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic

import structlog

from service.errors import UploadError

log = structlog.get_logger(__name__)

Mended = Callable[[], Awaitable[bool]]
"""Asks whether the fault is gone, without trying a job on it."""


class Breaker:
    """Open from the first failure of the environment until a job ends well; nothing is parked meanwhile."""

    def __init__(self, probe_pause: float) -> None:
        self.error: UploadError | None = None
        self.opened_at: datetime | None = None
        self._probe_pause = probe_pause
        self._next_probe = 0.0
        self._mended: Mended | None = None

    @property
    def is_open(self) -> bool:
        return self.error is not None

    def open(self, error: UploadError, mended: Mended | None = None) -> None:
        """Hold all partitions. The first failure is logged as an alert, its repeats are not.

        Where it can be asked whether the fault is `mended`, that is the probe; else a job is.
        """
        self._mended = mended
        if self.error is None:
            self.opened_at = datetime.now(UTC)
            self._next_probe = monotonic() + self._probe_pause
            log.critical("breaker_opened", code=error.code, message=error.message)
        self.error = error

    def job_ended(self) -> None:
        """Take a job's end as proof that the environment is well, unless the fault can be asked for itself."""
        if self._mended is None:
            self.close()

    def close(self) -> None:
        """Let everything through again."""
        if self.error is not None:
            log.warning("breaker_closed", code=self.error.code)
        self.error = self.opened_at = self._mended = None

    async def enter(self, wait: Callable[[float], Awaitable[bool]]) -> bool:
        """Return at once while closed; else after a wait, one caller in each pause, as a probe.

        False where `wait` says to give up.
        """
        while self.is_open:
            remaining = self._next_probe - monotonic()
            if remaining <= 0:
                self._next_probe = monotonic() + self._probe_pause
                if await self._probe():
                    return True
            elif not await wait(remaining):
                return False
        return True

    async def _probe(self) -> bool:
        """Whether the caller may go on: as the probe, or because the fault is known to be mended."""
        if self._mended is None:
            return True
        if await self._mended():
            self.close()
        return not self.is_open

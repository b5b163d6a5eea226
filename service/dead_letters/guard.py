"""The guard of the dead-letter topic: it stops the parking when too many records are parked.

If many records fail, the fault is probably not in the records. Then they wait at their offsets
until a person lets the parking go on.
"""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.db import dead_letters, service_state
from service.dead_letters.audit import OperatorAction, audited
from service.domain.errors import GuardStopped
from service.domain.texts import detail_of
from service.settings import RetrySettings

log = structlog.get_logger(__name__)

NAME = "dead_letter_guard"
"""The name of the guard's state in the table `service_state`.

Its value is a JSON object. `why` is the reason why the parking has stopped; the key is missing if
it has not. `resumed_at` is the time when a person last let the parking go on.
"""

WORKER = "worker"

RECENT = 40
"""How many of the last records the guard looks at, however long ago they came.

If more than half of them were parked, it stops.
"""


class Guard:
    """Decides before each parking whether it is allowed.

    A record that may not be parked is not dropped: it waits at its offset.
    """

    def __init__(self, engine: AsyncEngine, settings: RetrySettings) -> None:
        self._engine = engine
        self._limit = settings.guard_count
        self._window = timedelta(seconds=settings.guard_window)
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def note(self, *, parked: bool) -> None:
        """Remember whether a record was parked."""
        self._recent.append(parked)

    async def admit(self) -> None:
        """Return normally if one record may be parked.

        Raises `GuardStopped` if too many records were parked, or if the guard has stopped before,
        and what the database raises.
        """
        async with self._engine.begin() as conn:
            kept = await service_state.read_state(conn, NAME)
            stop_reason = kept.get("why")
            if stop_reason is None:
                stop_reason = await self._reason_to_stop(conn, kept)
                if stop_reason is not None:
                    stopped = kept | {"why": stop_reason}
                    await service_state.write_state(conn, NAME, stopped, by=WORKER)
                    log.critical("guard_stopped", reason=stop_reason)
        if stop_reason is not None:
            raise GuardStopped("stopped", why=stop_reason)

    async def resumed(self) -> bool:
        """Return True if a person has let the parking go on since it stopped."""
        try:
            async with self._engine.connect() as conn:
                is_stopped = "why" in await service_state.read_state(conn, NAME)
        except (SQLAlchemyError, OSError):
            # Nobody can have resumed in a database that does not answer.
            return False
        if is_stopped:
            return False
        self._recent.clear()
        log.warning("guard_resumed")
        return True

    async def _reason_to_stop(self, conn: AsyncConnection, kept: dict[str, Any]) -> str | None:
        """Return why the parking must stop, None if it may go on."""
        if sum(self._recent) > RECENT / 2:
            return detail_of(GuardStopped.code, "most_of_last", {"count": RECENT})

        since = datetime.now(UTC) - self._window
        if "resumed_at" in kept:
            since = max(since, datetime.fromisoformat(kept["resumed_at"]))

        if await dead_letters.count_since(conn, since) >= self._limit:
            return detail_of(
                GuardStopped.code,
                "many_in_window",
                {"count": self._limit, "seconds": self._window.total_seconds()},
            )
        return None


async def read_stop_reason(conn: AsyncConnection) -> str | None:
    """Return why the parking has stopped, None if it has not."""
    stop_reason: str | None = (await service_state.read_state(conn, NAME)).get("why")
    return stop_reason


async def run_resume(engine: AsyncEngine, action: OperatorAction) -> str | None:
    """Let the parking go on, with a line in the audit.

    Returns why it had stopped, None if it had not.
    """
    async with audited(engine, action, ()) as report:
        stop_reason = await resume_parking(engine, by=action.actor)
        report.notes["stopped_for"] = stop_reason
    return stop_reason


async def resume_parking(engine: AsyncEngine, *, by: str) -> str | None:
    """Let the parking go on, and count the parked records from now on.

    Returns why it had stopped, None if it had not.
    """
    async with engine.begin() as conn:
        kept = await service_state.read_state(conn, NAME)
        await service_state.write_state(
            conn, NAME, {"resumed_at": datetime.now(UTC).isoformat()}, by=by
        )
    return kept.get("why")

"""The guard: when too much is parked, the fault is not in the messages, and parking stops until a person says go."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.db import dead_letters, service_state
from service.domain.errors import GuardStopped
from service.domain.texts import detail_of
from service.settings import RetrySettings

NAME = "dead_letter_guard"
WORKER = "worker"

RECENT = 40
"""How many of the last messages are looked at: more than half of them parked is too much, however slowly."""


class Guard:
    """Asked before each parking. What it stops is held at its offset, never dropped."""

    def __init__(self, engine: AsyncEngine, settings: RetrySettings) -> None:
        self._engine = engine
        self._limit = settings.guard_count
        self._window = timedelta(seconds=settings.guard_window)
        self._recent: deque[bool] = deque(maxlen=RECENT)

    def note(self, *, parked: bool) -> None:
        """Remember how a message ended."""
        self._recent.append(parked)

    async def admit(self) -> None:
        """Let one record be parked. Raises `GuardStopped` where too many were, or it has stopped before."""
        async with self._engine.begin() as conn:
            kept = await service_state.read_state(conn, NAME)
            why = kept.get("why") or await self._too_many(conn, kept)
            if why and "why" not in kept:
                await service_state.write_state(conn, NAME, kept | {"why": why}, by=WORKER)
        if why:
            raise GuardStopped("stopped", why=why)

    async def resumed(self) -> bool:
        """Whether a person has said go since it stopped; False where that can't be known."""
        try:
            async with self._engine.connect() as conn:
                stopped = "why" in await service_state.read_state(conn, NAME)
        except (SQLAlchemyError, OSError):
            return False  # nobody can have said go to a database that does not answer
        if not stopped:
            self._recent.clear()
        return not stopped

    async def _too_many(self, conn: AsyncConnection, kept: dict[str, Any]) -> str | None:
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


async def resume_parking(engine: AsyncEngine, *, by: str) -> str | None:
    """Say go: parking starts anew, and counting with it. Why it had stopped, None where it had not."""
    async with engine.begin() as conn:
        kept = await service_state.read_state(conn, NAME)
        await service_state.write_state(
            conn, NAME, {"resumed_at": datetime.now(UTC).isoformat()}, by=by
        )
    return kept.get("why")

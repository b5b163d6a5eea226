"""Whether this worker is well: for the platform that restarts it, and for the people who look."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import orjson
from faststream.asgi import AsgiResponse, get
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.migrate import current_revision, head_revision
from service.handlers.breaker import Breaker
from service.handlers.stall_detector import StallDetector

CHECK_SECONDS = 3.0

_STARTING = {"starting": "the first connection to PostgreSQL and Kafka is still to be made"}

Check = Callable[[], Awaitable[str | None]]
"""Asks one question. None if all is well, else what is wrong, in words."""

Route = tuple[str, Callable[..., Awaitable[None]]]


@dataclass(slots=True)
class Health:
    """Answers the probes. A worker without Kafka or PostgreSQL is not ready, but it is alive.

    Each answer maps the name of a failed check to what is wrong; it is empty if all is well.
    """

    engine: AsyncEngine
    breaker: Breaker
    stall_detector: StallDetector
    started: bool = False
    stopping: bool = False
    _revision: str = field(default_factory=head_revision)

    async def live(self) -> dict[str, str]:
        """Check what only a restart can mend. An answer at all proves that the event loop runs."""
        if not self.started or self.stopping:
            return {}
        return await _failed_checks({"consuming": self.stall_detector.why_not_consuming})

    async def ready(self) -> dict[str, str]:
        """Check everything that a job needs."""
        if self.stopping:
            return {"stopping": "the worker is draining"}
        if not self.started:
            return _STARTING
        return await _failed_checks(
            {
                "database": self._database,
                "broker": self.stall_detector.why_not_connected,
                "partitions": self.stall_detector.why_not_assigned,
                "breaker": self._breaker,
            }
        )

    async def startup(self) -> dict[str, str]:
        """Check that PostgreSQL and Kafka were reached once; until then the other probes wait."""
        if self.started:
            return {}
        return _STARTING

    def routes(self) -> list[Route]:
        """Return the probes as ASGI routes: 200 and `{}` if all is well, else 503 and what is
        wrong.
        """

        @get
        async def live(_scope: object) -> AsgiResponse:
            return _answer(await self.live())

        @get
        async def ready(_scope: object) -> AsgiResponse:
            return _answer(await self.ready())

        @get
        async def startup(_scope: object) -> AsgiResponse:
            return _answer(await self.startup())

        return [("/health/live", live), ("/health/ready", ready), ("/health/startup", startup)]

    async def _database(self) -> str | None:
        try:
            async with self.engine.connect() as conn:
                revision = await current_revision(conn)
        except (SQLAlchemyError, OSError) as error:
            return f"PostgreSQL does not answer ({type(error).__name__})"
        if revision != self._revision:
            return (
                f"the schema is at revision {revision}, expected {self._revision}: "
                "run `uploads migrate`"
            )
        return None

    async def _breaker(self) -> str | None:
        if self.breaker.error is None:
            return None
        return f"the breaker is open: {self.breaker.error.message}"


async def _failed_checks(checks: Mapping[str, Check]) -> dict[str, str]:
    """Ask all questions at once and return the failed ones; one that takes too long has failed."""
    answers = await asyncio.gather(*map(_ask_in_time, checks.values()))
    named = zip(checks, answers, strict=True)
    return {name: wrong for name, wrong in named if wrong is not None}


async def _ask_in_time(check: Check) -> str | None:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"


def _answer(wrong: dict[str, str]) -> AsgiResponse:
    status = 503 if wrong else 200
    return AsgiResponse(orjson.dumps(wrong), status, {"content-type": "application/json"})

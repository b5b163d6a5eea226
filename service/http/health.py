"""Whether this worker is well, for the platform that keeps it running and for the people who look."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from faststream.asgi import AsgiResponse, get
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.db.migrate import current_revision, head_revision
from service.handlers.breaker import Breaker

CHECK_SECONDS = 3.0

_STARTING = "the first connection to PostgreSQL and Kafka is still to be made"

Check = Callable[[], Awaitable[str | None]]
"""Asks one question; None where all is well, else what is wrong, in words."""

Route = tuple[str, Callable[..., Awaitable[None]]]


@dataclass(slots=True)
class Health:
    """Answers the probes. Kafka or PostgreSQL being away makes a worker unready, never dead."""

    engine: AsyncEngine
    breaker: Breaker
    consuming: Check
    broker_answers: Check
    assigned: Check
    started: bool = False
    stopping: bool = False
    _revision: str = field(default_factory=head_revision)

    async def live(self) -> dict[str, str]:
        """What only a restart can mend: that this answers at all shows that the event loop ticks."""
        return await self._ask(
            {"consuming": self.consuming} if self.started and not self.stopping else {}
        )

    async def ready(self) -> dict[str, str]:
        """What keeps jobs from being done now."""
        if self.stopping:
            return {"stopping": "the worker is draining"}
        if not self.started:
            return {"starting": _STARTING}
        checks = {
            "database": self._database,
            "broker": self.broker_answers,
            "partitions": self.assigned,
        }
        return await self._ask(checks | {"breaker": self._breaker})

    async def startup(self) -> dict[str, str]:
        """Whether PostgreSQL and Kafka have been reached once; a probe with patience keeps the others quiet."""
        return {} if self.started else {"starting": _STARTING}

    def routes(self) -> list[Route]:
        """The probes as ASGI routes: 200 and `{}` where all is well, else 503 and what is wrong."""

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

    async def _ask(self, checks: dict[str, Check]) -> dict[str, str]:
        """What is wrong, by check; a check that takes too long is wrong too."""

        async def ask(check: Check) -> str | None:
            try:
                return await asyncio.wait_for(check(), CHECK_SECONDS)
            except TimeoutError:
                return f"no answer within {CHECK_SECONDS:g} s"

        answers = await asyncio.gather(*map(ask, checks.values()))
        return {
            name: wrong for name, wrong in zip(checks, answers, strict=True) if wrong is not None
        }

    async def _database(self) -> str | None:
        try:
            async with self.engine.connect() as conn:
                revision = await current_revision(conn)
        except (SQLAlchemyError, OSError) as error:
            return f"PostgreSQL does not answer ({type(error).__name__})"
        if revision != self._revision:
            return f"the schema is at revision {revision}, expected {self._revision}: run `uploads migrate`"
        return None

    async def _breaker(self) -> str | None:
        return (
            None
            if self.breaker.error is None
            else f"the breaker is open: {self.breaker.error.message}"
        )


def _answer(wrong: dict[str, str]) -> AsgiResponse:
    return AsgiResponse(
        orjson.dumps(wrong), 503 if wrong else 200, {"content-type": "application/json"}
    )

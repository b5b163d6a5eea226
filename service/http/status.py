"""`/status`: what a person wants to see of one worker, as JSON."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka.errors import KafkaError
from faststream.asgi import AsgiResponse, get
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__
from service.db import dead_letters, ledger, service_state
from service.dead_letters.guard import NAME as GUARD
from service.handlers.breaker import Breaker
from service.handlers.stall_detector import StallDetector
from service.handlers.topic_consumer import InFlightRecord, TopicConsumer
from service.http.health import Route

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """Gathers what is known; a part that does not answer says so in its place."""

    engine: AsyncEngine
    breaker: Breaker
    topic_consumers: Mapping[str, TopicConsumer]
    stall_detector: StallDetector
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def routes(self) -> list[Route]:
        """The page as an ASGI route; always 200, for it is read by people."""

        @get
        async def status(_scope: object) -> AsgiResponse:
            body = orjson.dumps(
                await self.gather(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
            )
            return AsgiResponse(body, 200, {"content-type": "application/json"})

        return [("/status", status)]

    async def gather(self) -> dict[str, Any]:
        """Everything, as JSON values; times in seconds."""
        kafka, database = await asyncio.gather(self._kafka(), self._database())
        error = self.breaker.error
        return {
            "version": __version__,
            "up_seconds": _since(self.started_at),
            "breaker": error
            and {
                "code": error.code,
                "message": error.message,
                "open_seconds": self._open_seconds(),
            },
            "jobs_in_hand": [
                _hand(topic_consumer.topic, topic_consumer.in_flight)
                for topic_consumer in self.topic_consumers.values()
                if topic_consumer.in_flight
            ],
            **kafka,
            **database,
        }

    def _open_seconds(self) -> float | None:
        return None if self.breaker.opened_at is None else _since(self.breaker.opened_at)

    async def _kafka(self) -> dict[str, Any]:
        try:
            found = await asyncio.wait_for(
                asyncio.gather(*map(_partitions, self.stall_detector.consumers().values())), 5
            )
        except (KafkaError, TimeoutError) as error:
            return {"partitions": f"Kafka does not answer ({type(error).__name__})"}
        return {"partitions": [line for lines in found for line in lines]}

    async def _database(self) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(self._backlog(), ANSWER_SECONDS)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            return {"database": f"PostgreSQL does not answer ({type(error).__name__})"}

    async def _backlog(self) -> dict[str, Any]:
        async with self.engine.connect() as conn:
            count, oldest = await ledger.count_unannounced(conn)
            return {
                "unannounced": {"events": count, "oldest_seconds": oldest and _since(oldest)},
                "open_dead_letters": dict(await dead_letters.count_open(conn)),
                "dead_letter_guard": (await service_state.read_state(conn, GUARD)).get("why"),
            }


async def _partitions(consumer: Any) -> list[dict[str, Any]]:
    assigned = sorted(consumer.assignment())
    committed = await asyncio.gather(*map(consumer.committed, assigned))
    ends = await consumer.end_offsets(assigned) if assigned else {}
    return [
        {
            "topic": partition.topic,
            "partition": partition.partition,
            "committed": offset,
            "high_water": ends[partition],
            "lag": ends[partition] - (offset or 0),
        }
        for partition, offset in zip(assigned, committed, strict=True)
    ]


def _hand(topic: str, hand: InFlightRecord) -> dict[str, Any]:
    progress = hand.context.progress
    return {
        "topic": topic,
        "partition": hand.partition,
        "offset": hand.offset,
        "job_id": hand.context.job_id,
        "step": hand.context.step,
        "stage": progress.stage,
        "rows_done": progress.rows_done,
        "seconds": _since(hand.since),
    }


def _since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 1)

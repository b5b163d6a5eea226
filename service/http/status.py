"""`/status`: what a person wants to know of one worker, as JSON."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from faststream.asgi import AsgiResponse, get
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from service import __version__
from service.db import dead_letters, ledger
from service.dead_letters.guard import read_stop_reason
from service.handlers.breaker import Breaker
from service.handlers.stall_detector import StallDetector
from service.handlers.topic_consumer import InFlightRecord, TopicConsumer
from service.http.health import Route

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Status:
    """Gathers what is known. A part that does not answer says so in its place."""

    engine: AsyncEngine
    breaker: Breaker
    topic_consumers: Mapping[str, TopicConsumer]
    stall_detector: StallDetector
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def routes(self) -> list[Route]:
        """Return the page as an ASGI route. It is always 200, because people read it."""

        @get
        async def status(_scope: object) -> AsgiResponse:
            options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
            body = orjson.dumps(await self.gather(), option=options)
            return AsgiResponse(body, 200, {"content-type": "application/json"})

        return [("/status", status)]

    async def gather(self) -> dict[str, Any]:
        """Return everything as JSON values; durations are in seconds."""
        kafka, database = await asyncio.gather(self._kafka(), self._database())
        consumers = self.topic_consumers.values()
        return {
            "version": __version__,
            "up_seconds": _seconds_since(self.started_at),
            "breaker": self._breaker(),
            "jobs_in_hand": [
                _job_in_hand(consumer.topic, consumer.in_flight)
                for consumer in consumers
                if consumer.in_flight is not None
            ],
            **kafka,
            **database,
        }

    def _breaker(self) -> dict[str, Any] | None:
        error, opened_at = self.breaker.error, self.breaker.opened_at
        if error is None or opened_at is None:
            return None
        return {
            "code": error.code,
            "message": error.message,
            "open_seconds": _seconds_since(opened_at),
        }

    async def _kafka(self) -> dict[str, Any]:
        consumers = self.stall_detector.consumers().values()
        try:
            asked = asyncio.gather(*map(_partitions_of, consumers))
            answers = await asyncio.wait_for(asked, ANSWER_SECONDS)
        except (KafkaError, TimeoutError) as error:
            return {"partitions": f"Kafka does not answer ({type(error).__name__})"}
        return {"partitions": [partition for answer in answers for partition in answer]}

    async def _database(self) -> dict[str, Any]:
        try:
            return await asyncio.wait_for(self._backlog(), ANSWER_SECONDS)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            return {"database": f"PostgreSQL does not answer ({type(error).__name__})"}

    async def _backlog(self) -> dict[str, Any]:
        async with self.engine.connect() as conn:
            count, oldest = await ledger.count_unannounced(conn)
            open_letters = dict(await dead_letters.count_unfinished(conn))
            stop_reason = await read_stop_reason(conn)
        return {
            "unannounced": {
                "events": count,
                "oldest_seconds": oldest and _seconds_since(oldest),
            },
            "open_dead_letters": open_letters,
            "dead_letter_guard": stop_reason,
        }


async def _partitions_of(consumer: AIOKafkaConsumer) -> list[dict[str, Any]]:
    """Return a consumer's partitions, each with its committed offset and its lag in records."""
    assigned = sorted(consumer.assignment())
    if not assigned:
        return []
    committed = await asyncio.gather(*map(consumer.committed, assigned))
    ends = await consumer.end_offsets(assigned)
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


def _job_in_hand(topic: str, in_flight: InFlightRecord) -> dict[str, Any]:
    context = in_flight.context
    return {
        "topic": topic,
        "partition": in_flight.partition,
        "offset": in_flight.offset,
        "job_id": context.job_id,
        "step": context.step,
        "stage": context.progress.stage,
        "rows_done": context.progress.rows_done,
        "seconds": _seconds_since(in_flight.since),
    }


def _seconds_since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 1)

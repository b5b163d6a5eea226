"""Runs the story: sends each message over Kafka, reads its event, compares the tables in SQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from aiokafka import ConsumerRecord
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.events import PARKED, UploadParked
from service.contract.headers import CE_TYPE
from service.db.engine import create_engine
from service.demo.author import Author
from service.demo.client import Client, connected
from service.demo.parts import Parts, Worker
from service.demo.script import JOB_IDS, Script, StoryStep
from service.demo.snapshot import Snapshot
from service.demo.step_result import StepResult
from service.settings import KafkaSettings


class StoryBroken(RuntimeError):
    """The story cannot go on; the message says at which step, and why."""


class Story:
    """The steps to run, and the results of those that were run.

    `start` and `end` are the tables before the first step and after the last one that was run.
    """

    def __init__(
        self,
        client: Client,
        engine: AsyncEngine,
        worker: Worker,
        steps: list[StoryStep],
        start: Snapshot,
    ) -> None:
        self.steps = steps
        self.start = start
        self.results: list[StepResult] = []
        self._client = client
        self._engine = engine
        self._worker = worker

    @property
    def end(self) -> Snapshot:
        return self.results[-1].after if self.results else self.start

    @property
    def untouched(self) -> bool:
        """Return True if no row that uploads must not touch has changed since the start."""
        return self.start.foreign() == self.end.foreign()

    @property
    def passed(self) -> bool:
        return self.untouched and all(result.passed for result in self.results)

    async def run_step(self, step: StoryStep) -> StepResult:
        """Send a step's message, wait for its event and take a snapshot. Raises `StoryBroken`."""
        number = len(self.results) + 1
        started = perf_counter()
        try:
            record = await self._client.submit(step.message, lambda: self._worker.is_running)
        except TimeoutError:
            raise StoryBroken(f"Step {number} got no event. {self._worker.state_and_log}") from None
        seconds = perf_counter() - started
        _refuse_parked(record)

        result = StepResult(
            number,
            step,
            before=self.end,
            after=await Snapshot.take(self._engine),
            topic=self._client.topic_of(step.message),
            record=record,
            seconds=seconds,
            first=None if step.repeats is None else self.results[step.repeats - 1],
        )
        self.results.append(result)
        return result


def _refuse_parked(record: ConsumerRecord[Any, Any]) -> None:
    """Raise `StoryBroken` if the event says that the job's message was parked."""
    if dict(record.headers).get(CE_TYPE) == PARKED.encode():
        event = UploadParked.model_validate_json(record.value)
        raise StoryBroken(f"Job {event.job_id} was parked ({event.code}): {event.message}")


@asynccontextmanager
async def open_story(parts: Parts) -> AsyncIterator[Story]:
    """Yield the story, connected to Kafka and PostgreSQL and ready to be run step by step."""
    engine = create_engine(parts.database_url, pool_size=1)
    try:
        async with connected(KafkaSettings(bootstrap_servers=parts.bootstrap_servers)) as client:
            author = Author(parts.worker.storage, await _draw_job_ids(engine))
            steps = list(Script(parts.university, author).steps())
            yield Story(client, engine, parts.worker, steps, await Snapshot.take(engine))
    finally:
        await engine.dispose()


async def _draw_job_ids(engine: AsyncEngine) -> list[int]:
    draw = text("SELECT nextval('upload_job_id_seq') FROM generate_series(1, :count)")
    async with engine.begin() as conn:
        return list(await conn.scalars(draw, {"count": JOB_IDS}))

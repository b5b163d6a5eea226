"""The story as it is played: each message sent over Kafka, its event read from Kafka, the tables compared in SQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from aiokafka import ConsumerRecord
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.contract.events import PARKED, UploadParked
from service.db.engine import create_engine
from service.demo.author import Author
from service.demo.client import Client, connected
from service.demo.played import Played
from service.demo.script import JOB_IDS, Scene, Script
from service.demo.snapshot import Snapshot
from service.demo.stage import Stage, Worker
from service.settings import KafkaSettings


class StoryBroken(RuntimeError):
    """The story cannot go on; the message says at which step, and why."""


class Story:
    """Plays the script on a stage; `start` and `end` are the tables before the first scene and after the last."""

    def __init__(
        self,
        client: Client,
        engine: AsyncEngine,
        worker: Worker,
        scenes: list[Scene],
        start: Snapshot,
    ) -> None:
        self.scenes = scenes
        self.start = start
        self.played: list[Played] = []
        self._client = client
        self._engine = engine
        self._worker = worker

    @property
    def end(self) -> Snapshot:
        return self.played[-1].after if self.played else self.start

    @property
    def untouched(self) -> bool:
        """Whether what is foreign to the uploads is to the byte what it was before the first of them."""
        return self.start.foreign() == self.end.foreign()

    @property
    def passed(self) -> bool:
        return self.untouched and all(played.passed for played in self.played)

    async def play(self, scene: Scene) -> Played:
        """Send a scene's message, and wait for its end. Raises `StoryBroken`."""
        started = perf_counter()
        try:
            record = await self._client.submit(scene.message, lambda: self._worker.is_running)
        except TimeoutError:
            number = len(self.played) + 1
            raise StoryBroken(f"Step {number} got no event. {self._worker.last_words}") from None
        seconds = perf_counter() - started
        _refuse_parked(record)
        first = None if scene.repeats is None else self.played[scene.repeats - 1]
        topic = self._client.topic(scene.message)
        after = await Snapshot.take(self._engine)
        self.played.append(
            Played(len(self.played) + 1, scene, self.end, after, topic, record, seconds, first)
        )
        return self.played[-1]


def _refuse_parked(record: ConsumerRecord[Any, Any]) -> None:
    if dict(record.headers).get("ce_type") == PARKED.encode():
        event = UploadParked.model_validate_json(record.value)
        raise StoryBroken(f"Job {event.job_id} was parked ({event.code}): {event.message}")


@asynccontextmanager
async def opened(stage: Stage) -> AsyncIterator[Story]:
    """The story, ready to be played scene by scene."""
    engine = create_engine(stage.database_url, pool_size=1)
    try:
        async with connected(KafkaSettings(bootstrap_servers=stage.bootstrap_servers)) as client:
            author = Author(stage.worker.storage, await _draw_job_ids(engine))
            scenes = list(Script(stage.university, author).scenes())
            yield Story(client, engine, stage.worker, scenes, await Snapshot.take(engine))
    finally:
        await engine.dispose()


async def _draw_job_ids(engine: AsyncEngine) -> list[int]:
    draw = text("SELECT nextval('upload_job_id_seq') FROM generate_series(1, :count)")
    async with engine.begin() as conn:
        return list(await conn.scalars(draw, {"count": JOB_IDS}))

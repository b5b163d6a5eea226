"""Many small jobs over many scopes, for one worker, for several, and for the bare loop."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bench.peers import bare
from bench.support.files import message, write_purchases
from bench.support.job_client import CSV_PER_YEAR, JobClient, connected_client
from bench.support.servers import Servers
from bench.support.workers import settings_of, workers
from service.settings import Settings
from tests.support.worker import Process

SCOPES = 200
ROWS = 100
WARM_UP = 50


@dataclass
class RunningSystem:
    """The service or the bare loop, running with its own database and topics."""

    settings: Settings
    client: JobClient
    processes: list[Process]
    templates: list[dict[str, Any]]
    ids: Iterator[int] = field(default_factory=lambda: count(1000))

    @property
    def topic(self) -> str:
        return self.client.topics.job_topic(CSV_PER_YEAR)

    async def run(self, jobs: int) -> float:
        """Produce `jobs` jobs at once, over all scopes; return the seconds until the last event.

        The jobs of one scope are in one partition, so they keep their order.
        """
        places = [number % len(self.templates) for number in range(jobs)]
        bodies = [self.templates[place] | {"job_id": next(self.ids)} for place in places]
        partitions = [place % self.settings.kafka.partitions for place in places]
        before = time.perf_counter()
        await self.client.put(self.topic, zip(partitions, bodies, strict=True))
        await self.client.events({body["job_id"] for body in bodies})
        return time.perf_counter() - before

    async def one(self, number: int) -> float:
        """Return the seconds from producing one job until its event, on an idle system."""
        body = self.templates[number % len(self.templates)] | {"job_id": next(self.ids)}
        return (await self.client.timed(body, self.topic))[0]


@asynccontextmanager
async def running_service(running: Servers, count_: int = 1) -> AsyncIterator[RunningSystem]:
    """Run the service with `count_` workers, warmed up."""
    async with running.database(units=SCOPES) as (url, _):
        settings = settings_of(running, url)
        async with (
            workers(settings, running.home, count_) as started,
            connected_client(settings) as client,
        ):
            system = RunningSystem(settings, client, started, templates(settings))
            await system.run(WARM_UP * count_)
            yield system


@asynccontextmanager
async def running_bare_loop(running: Servers) -> AsyncIterator[RunningSystem]:
    """Run the bare loop, warmed up."""
    async with running.database(units=SCOPES) as (url, _):
        settings = settings_of(running, url)
        async with connected_client(settings) as client:
            system = RunningSystem(settings, client, [], templates(settings))
            with bare.running(settings, system.topic, client.topics.completed):
                await system.run(WARM_UP)
                yield system


def templates(settings: Settings) -> list[dict[str, Any]]:
    """Write a file for each scope, of one unit; return their messages."""
    root = Path(settings.storage.root.removeprefix("file://"))
    files = [root / f"unit {number}.csv" for number in range(1, SCOPES + 1)]
    for number, path in enumerate(files, 1):
        write_purchases(path, ROWS, units=1, first_unit=number, seed=number)
    return [message(path, 1) for path in files]
